"""`run.config`: what a run was started with, a dict with attribute access."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from runstream.errors import UsageError


class Config(MutableMapping[str, Any]):
    """Keys are strings; nested dicts are stored as they are and shown with dotted names.

    Changing a key that has a value raises UsageError unless `update(..., allow_val_change=True)`:
    a configuration that changes while training runs is rarely meant.
    """

    def __init__(self, values: Mapping[str, Any], on_change: Callable[[str, Any], None]) -> None:
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "_on_change", on_change)

    def update(self, *args: Any, allow_val_change: bool = False, **kwargs: Any) -> None:
        """Set several keys; from a mapping, an argparse namespace, or keywords."""
        for source in (*args, kwargs):
            for key, value in as_mapping(source).items():
                self._set(key, value, allow_val_change)

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def _set(self, key: str, value: Any, allow_change: bool) -> None:
        if not isinstance(key, str):
            raise UsageError(f"config key {key!r} is no string")
        if not allow_change and key in self._values and self._values[key] != value:
            raise UsageError(
                f"config.{key} is {self._values[key]!r} already: "
                "use config.update({...}, allow_val_change=True) to change it"
            )
        self._values[key] = value
        self._on_change(key, value)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set(key, value, allow_change=False)

    def __delitem__(self, key: str) -> None:
        raise UsageError("config keys cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise AttributeError(f"config has no key {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __repr__(self) -> str:
        return f"Config({self._values!r})"


def as_mapping(source: object) -> Mapping[str, Any]:
    """A mapping of a mapping, an argparse namespace or another plain object. Raises UsageError."""
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return source
    if hasattr(source, "__dict__"):
        return dict(vars(source))
    raise UsageError(f"a config is a dict or an argparse namespace, not {type(source).__name__}")
