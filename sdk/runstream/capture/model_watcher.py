"""`watch()`: histograms of a torch model's gradients and parameters, taken on the device.

Hooks see each gradient as backward computes it; only the histogram leaves the device, at every `log_freq`-th batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from runstream.data.histogram import Histogram
from runstream.errors import UsageError

if TYPE_CHECKING:
    import torch

BINS = 64
_KINDS = {"gradients": (True, False), "parameters": (False, True), "all": (True, True), None: (False, False)}


class Logger(Protocol):
    """The part of a run that a watcher needs."""

    @property
    def step(self) -> int:
        """The step that the next `log()` without one takes."""
        ...

    def log(self, data: Mapping[str, object], step: int | None = None, commit: bool | None = None) -> None:
        """Log values at a step."""
        ...


class ModelWatcher:
    """Watches the models of one run.

    A batch is a backward pass: the first gradient that repeats begins the next batch.
    """

    def __init__(self, run: Logger) -> None:
        self._run = run
        self._hooks: list[tuple[int, Any]] = []
        self._models: dict[int, _Model] = {}

    def add(self, model: object, log: str | None, log_freq: int) -> None:
        """Watch a model. Raises UsageError when `model` is no torch module, or `log` or `log_freq` cannot be used."""
        if log not in _KINDS:
            raise UsageError(f"watch: log is {log!r}: gradients, parameters, all or None")
        if not hasattr(model, "named_parameters"):
            raise UsageError(f"watch: a torch.nn.Module is meant, not {type(model).__name__}")
        if not isinstance(log_freq, int) or log_freq < 1:
            raise UsageError(f"watch: log_freq is {log_freq!r}: a number of batches")
        gradients, parameters = _KINDS[log]
        number = len(self._models)
        watched = _Model(self._run, f"{number}/" if number else "", gradients, parameters, log_freq)
        self._models[id(model)] = watched
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                hook = parameter.register_hook(watched.hook(name, parameter))
                self._hooks.append((id(model), hook))

    def remove(self, models: object = None) -> None:
        """Remove the hooks of these models, or of all models."""
        listed = models if isinstance(models, (list, tuple)) else [models]
        wanted = None if models is None else {id(model) for model in listed}
        for model, hook in self._hooks:
            if wanted is None or model in wanted:
                hook.remove()
        self._hooks = [pair for pair in self._hooks if wanted is not None and pair[0] not in wanted]


class _Model:
    def __init__(self, run: Logger, prefix: str, gradients: bool, parameters: bool, log_freq: int) -> None:
        self._run = run
        self._prefix = prefix
        self._gradients = gradients
        self._parameters = parameters
        self._log_freq = log_freq
        self._batch = 0
        self._seen: set[str] = set()

    def hook(self, name: str, parameter: torch.Tensor) -> Any:
        def on_gradient(gradient: torch.Tensor) -> None:
            if name in self._seen:
                self._seen.clear()
                self._batch += 1
            self._seen.add(name)
            if self._batch % self._log_freq == 0:
                self._log(name, parameter, gradient)

        return on_gradient

    def _log(self, name: str, parameter: torch.Tensor, gradient: torch.Tensor) -> None:
        data: dict[str, object] = {}
        if self._gradients:
            data[f"gradients/{self._prefix}{name}"] = tensor_histogram(gradient)
        if self._parameters:
            data[f"parameters/{self._prefix}{name}"] = tensor_histogram(parameter)
        if data:
            self._run.log(data, step=self._run.step, commit=False)


def tensor_histogram(tensor: torch.Tensor, bins: int = BINS) -> Histogram:
    """Return the histogram of a tensor, counted on the tensor's device; NaN and infinities are counted apart."""
    import torch

    with torch.no_grad():
        values = tensor.detach()
        values = (values.coalesce().values() if values.is_sparse else values).flatten()
        values = values if values.dtype == torch.float64 else values.float()
        finite = values[torch.isfinite(values)]
        not_finite = values.numel() - finite.numel()
        if not finite.numel():
            histogram = Histogram([float("nan")] if not_finite else [])
        else:
            low, high = float(finite.min()), float(finite.max())
            if low == high:
                low, high = low - 0.5, high + 0.5
            counts = torch.histc(finite, bins=bins, min=low, max=high).cpu().tolist()
            width = (high - low) / bins
            histogram = Histogram(np_histogram=(counts, [*(low + width * place for place in range(bins)), high]))
    histogram.not_finite = not_finite
    return histogram
