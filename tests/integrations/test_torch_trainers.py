"""PyTorch Lightning and Hugging Face's Trainer, training tiny models with whatever Python here has torch."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.integrations.conftest import ROOT, torch_interpreter
from tests.support.long import long

LIGHTNING = """
import json, warnings, logging
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
import torch
torch.distributed.is_available = lambda: False  # Debian's torch 1.13 has code there that Python 3.11 cannot load
import pytorch_lightning as pl, runstream
from torch.utils.data import DataLoader, TensorDataset
from runstream.integrations.lightning import RunstreamLogger
pl.seed_everything(0)

class Small(pl.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__(); self.save_hyperparameters(); self.layer = torch.nn.Linear(3, 1)
    def training_step(self, batch, index):
        loss = (self.layer(batch[0]) ** 2).mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True); return loss
    def validation_step(self, batch, index):
        self.log("val_loss", (self.layer(batch[0]) ** 2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

data = DataLoader(TensorDataset(torch.randn(64, 3)), batch_size=8)
logger = RunstreamLogger(project="lightning", name="small", config={"seed": 0})
trainer = pl.Trainer(max_epochs=2, logger=logger, accelerator="cpu", log_every_n_steps=2, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)
directory = []
class Note(pl.Callback):
    def on_train_start(self, trainer, module): directory.append(trainer.logger.experiment.spool_dir)
trainer.callbacks.append(Note())
trainer.fit(Small(), data, data)
print(json.dumps({"dir": directory[0], "step": trainer.global_step, "open": runstream.run is not None}))
"""

TRANSFORMERS = """
import json, warnings
warnings.filterwarnings("ignore")
import torch, transformers, runstream
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from runstream.integrations.transformers import RunstreamCallback
transformers.logging.set_verbosity_error()
torch.manual_seed(0)
config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                    max_position_embeddings=16, num_labels=2)
rows = [{"input_ids": torch.randint(0, 50, (8,)), "attention_mask": torch.ones(8, dtype=torch.long), "labels": i % 2}
        for i in range(32)]
arguments = TrainingArguments(output_dir="out", num_train_epochs=2, per_device_train_batch_size=8, logging_steps=2,
    evaluation_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, run_name="tiny",
    hub_token="hf_secret_secret_secret")
run = runstream.init(project="transformers")
trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows, eval_dataset=rows,
                  callbacks=[RunstreamCallback()])
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    trainer.train()
run.finish()
print(json.dumps({"dir": run.spool_dir, "history": trainer.state.log_history}))
"""


def train(script: str, cwd: Any) -> dict[str, Any]:
    folders = [str(ROOT / "sdk"), str(ROOT / "proto"), str(ROOT / ".cache" / "torch-libraries")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    interpreter = torch_interpreter()
    done = subprocess.run(
        [interpreter, "-W", "ignore", "-c", script],
        capture_output=True, text=True, env=environment, cwd=cwd, check=False, timeout=110,
    )  # fmt: skip
    if "No module named" in done.stderr and not os.environ.get("RUNSTREAM_REQUIRE_REAL"):
        pytest.skip(f"run `make test` once, or tests/setup.sh: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@long
def test_lightning_logs_its_metrics_by_global_step_and_ends_the_run(tmp_path: Any, logged: Any) -> None:
    told = train(LIGHTNING, tmp_path)
    found = logged(type("Run", (), {"spool_dir": told["dir"]}))
    assert told["step"] == 16 and told["open"] is False
    assert [step for step, _ in found.series("train_loss_step")] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert len(found.series("val_loss")) == 2 and len(found.series("train_loss_epoch")) == 2
    assert found.config() == {"seed": 0, "lr": 0.1}
    assert found.outcome() == "OUTCOME_FINISHED"


def test_the_trainer_logs_what_it_logs(tmp_path: Any, logged: Any) -> None:
    told = train(TRANSFORMERS, tmp_path)
    found = logged(type("Run", (), {"spool_dir": told["dir"]}))
    losses = [(entry["step"], entry["loss"]) for entry in told["history"] if "loss" in entry]
    assert found.series("train/loss") == losses and losses[-1][0] == 8
    evaluated = [(entry["step"], entry["eval_loss"]) for entry in told["history"] if "eval_loss" in entry]
    assert found.series("eval/loss") == evaluated
    config = found.config()
    assert config["hidden_size"] == 16 and config["num_train_epochs"] == 2 and config["hub_token"] == "***"
    assert "hf_secret" not in json.dumps(config)
    fields = {record["key"] for record in found.records("field") if record["section"] == "SECTION_SUMMARY"}
    assert "train/train_runtime" in fields
