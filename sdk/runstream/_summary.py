"""`run.summary`: one value a metric. By default its last one; a key that is set stays as set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any


class Summary(MutableMapping[str, Any]):
    """What this process logged last, overlaid by what was set. The server's answer covers all ranks."""

    def __init__(self, last_values: Callable[[], dict[str, Any]], on_set: Callable[[str, Any], None]) -> None:
        self._last_values = last_values
        self._set: dict[str, Any] = {}
        self._on_set = on_set

    def __getitem__(self, key: str) -> Any:
        return self._set[key] if key in self._set else self._last_values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set[key] = value
        self._on_set(key, value)

    def __delitem__(self, key: str) -> None:
        del self._set[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._last_values(), **self._set})

    def __len__(self) -> int:
        return len({**self._last_values(), **self._set})

    def __repr__(self) -> str:
        return f"Summary({dict(self)!r})"
