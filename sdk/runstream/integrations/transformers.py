"""Hugging Face's `Trainer`: `Trainer(..., callbacks=[RunstreamCallback()])`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstream.integrations.run_in_use import RunHolder, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from runstream.runs.run import Run

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise missing("transformers", "transformers") from error


class RunstreamCallback(TrainerCallback):  # type: ignore[misc]  # untyped where it is not installed
    """Logs the values that the Trainer logs, as `train/*` and `eval/*` by its global step.

    The Trainer's arguments and the model's configuration become config. `run`: by default the current run, else a run
    that is started here with `init`'s arguments. Only the world's process zero logs, where the Trainer's numbers are
    complete.
    """

    def __init__(self, run: Run | None = None, log_model: bool = False, **init: object) -> None:
        self._given_name = "name" in init
        self._init = {**init, "rank": 0, "world_size": 1}
        self._holder = RunHolder(run, **self._init)
        self._run = run
        self._log_model = log_model
        self._begun = False

    def setup(self, args: TrainingArguments, state: TrainerState, model: object) -> None:
        """Begin the run at the first event of the Trainer; later calls do nothing."""
        if self._begun or not state.is_world_process_zero:
            return
        self._begun = True
        name = getattr(args, "run_name", None)
        if name and not self._given_name and name != getattr(args, "output_dir", None):
            self._holder = RunHolder(self._run, **{**self._init, "name": name})
        run = self._holder.run
        run.define_metric("train/*", step_metric="train/global_step")
        run.define_metric("eval/*", step_metric="train/global_step")
        known = dict(args.to_dict())
        config = getattr(model, "config", None)
        if config is not None:
            known = {**(config if isinstance(config, dict) else config.to_dict()), **known}
        for name in [name for name in known if "token" in name and isinstance(known[name], str)]:
            known[name] = "***"  # hub_token and its like
        run.config.update(known, allow_val_change=True)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: object = None,
        **kwargs: object,
    ) -> None:
        self.setup(args, state, model)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: object = None,
        logs: Mapping[str, object] | None = None,
        **kwargs: object,
    ) -> None:
        self.setup(args, state, model)
        if not state.is_world_process_zero or not logs:
            return
        run = self._holder.run
        values: dict[str, object] = {"train/global_step": state.global_step}
        for name, value in logs.items():
            if name in _SUMMARY:
                run.summary[f"train/{name}"] = value
            elif name.startswith("eval_"):
                values[f"eval/{name.removeprefix('eval_')}"] = value
            else:
                values[f"train/{name}"] = value
        run.log(values, step=state.global_step)
        if run.should_stop:
            control.should_training_stop = True

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: object = None,
        **kwargs: object,
    ) -> None:
        if self._begun and self._log_model:
            self._holder.run.save(f"{args.output_dir}/**/*.json", base_path=args.output_dir, policy="now")
            self._holder.run.save(f"{args.output_dir}/**/*.safetensors", base_path=args.output_dir, policy="now")


_SUMMARY = frozenset(
    {"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos"}
)
