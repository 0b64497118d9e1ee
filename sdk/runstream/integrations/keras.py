"""Keras 3 (and tf.keras): `model.fit(..., callbacks=[RunstreamCallback()])`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstream.integrations.run_in_use import RunHolder, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runstream.runs.run import Run

try:
    from keras.callbacks import Callback
except ImportError as error:
    raise missing("Keras", "keras") from error


class RunstreamCallback(Callback):  # type: ignore[misc]  # Keras has no types
    """Logs the values that Keras reports, under W&B's names.

    `epoch/*` come after each epoch, `batch/*` every `log_freq` batches. `log_freq`: "epoch", or a number of batches.
    `run`: by default the current run, else a run that is started here.
    """

    def __init__(self, log_freq: str | int = "epoch", run: Run | None = None, **init: object) -> None:
        super().__init__()
        if log_freq != "epoch" and (not isinstance(log_freq, int) or log_freq < 1):
            raise ValueError(f"log_freq is {log_freq!r}: 'epoch' or a number of batches")
        self._every = None if log_freq == "epoch" else int(log_freq)
        self._holder = RunHolder(run, **init)
        self._batches = 0

    def on_train_begin(self, logs: Mapping[str, object] | None = None) -> None:
        run = self._holder.run
        run.define_metric("epoch/*", step_metric="epoch/epoch")
        run.define_metric("batch/*", step_metric="batch/batch_step")
        optimizer = getattr(self.model, "optimizer", None)
        known: dict[str, object] = {"keras.optimizer": type(optimizer).__name__} if optimizer is not None else {}
        if self.params:
            known |= {f"keras.{name}": value for name, value in self.params.items() if isinstance(value, (int, float))}
        run.config.update(known, allow_val_change=True)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, object] | None = None) -> None:
        if self._every is not None and self._batches % self._every == 0:
            values = {f"batch/{name}": value for name, value in (logs or {}).items()}
            self._holder.run.log({**values, "batch/batch_step": self._batches, **self._learning_rate("batch")})
        self._batches += 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, object] | None = None) -> None:
        values = {f"epoch/{name}": value for name, value in (logs or {}).items()}
        self._holder.run.log({**values, "epoch/epoch": epoch, **self._learning_rate("epoch")})

    def on_train_end(self, logs: Mapping[str, object] | None = None) -> None:
        self._holder.finish()

    def _learning_rate(self, prefix: str) -> dict[str, float]:
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None)
        try:
            return {f"{prefix}/learning_rate": float(rate)}  # type: ignore[arg-type]  # a variable or a schedule
        except (TypeError, ValueError):
            return {}
