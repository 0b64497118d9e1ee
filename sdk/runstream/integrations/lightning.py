"""PyTorch Lightning: `Trainer(logger=RunstreamLogger(project="..."))`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runstream.integrations.run_in_use import RunHolder, missing
from runstream.runs.config import as_mapping

if TYPE_CHECKING:
    from runstream.runs.run import Run

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
except ImportError:
    try:
        from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
    except ImportError as error:
        raise missing("PyTorch Lightning", "lightning") from error


class RunstreamLogger(Logger):  # type: ignore[misc]  # Lightning's class is untyped where it is not installed
    """Logs the values that Lightning modules `log()`, by the trainer's global step, and hyperparameters as config.

    Lightning reduces over ranks and logs on rank zero. So the run has one rank, unless the modules' code logs by
    itself through `trainer.logger.experiment.log`. `run`: by default the current run, else a run that is started here
    with `init`'s arguments.
    """

    def __init__(self, run: Run | None = None, prefix: str = "", log_model: bool = False, **init: object) -> None:
        super().__init__()
        self._holder = RunHolder(run, **{**init, "rank": 0, "world_size": 1} if run is None else init)
        self._prefix = prefix
        self._log_model = log_model

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]
    def experiment(self) -> Any:
        """The `Run`; on ranks other than zero, an object that does nothing."""
        return self._holder.run

    @property
    def name(self) -> str:
        return str(self.experiment.project)

    @property
    def version(self) -> str:
        return str(self.experiment.id)

    @property
    def save_dir(self) -> str | None:
        return None

    def log_hyperparams(self, params: object, *args: object, **kwargs: object) -> None:
        if _is_rank_zero():
            values = vars(params) if isinstance(params, Namespace) else as_mapping(params)
            self.experiment.config.update(dict(values), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if _is_rank_zero():
            values: dict[str, object] = {f"{self._prefix}{name}": value for name, value in metrics.items()}
            if step is not None:
                self.experiment.define_metric("*", step_metric="trainer/global_step") if not self._defined else None
                self._defined = True
                values["trainer/global_step"] = step
            self.experiment.log(values, step=step)

    _defined = False

    def watch(self, model: object, log: str = "gradients", log_freq: int = 100) -> None:
        """Call `Run.watch`."""
        self.experiment.watch(model, log=log, log_freq=log_freq)

    def after_save_checkpoint(self, checkpoint_callback: object) -> None:
        path = getattr(checkpoint_callback, "best_model_path", "") or getattr(
            checkpoint_callback, "last_model_path", ""
        )
        if self._log_model and path and _is_rank_zero():
            self.experiment.save(path, policy="now")

    def finalize(self, status: str) -> None:
        if _is_rank_zero():
            self._holder.finish(0 if status == "success" else 1)


def _is_rank_zero() -> bool:
    try:
        from lightning.pytorch.utilities import rank_zero_only
    except ImportError:
        from pytorch_lightning.utilities import rank_zero_only
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0
