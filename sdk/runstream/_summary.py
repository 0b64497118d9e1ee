"""`run.summary`: one value a metric. By default its last one; a key that is set stays as set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any


class Summary(MutableMapping[str, Any]):
    """What this process logged last, overlaid by what was set. The server's answer covers all ranks."""

    _values: dict[str, Any]

    def __init__(
        self,
        last_values: Callable[[], dict[str, Any]],
        on_set: Callable[[str, Any], None],
        on_delete: Callable[[str], None],
    ) -> None:
        object.__setattr__(self, "_last_values", last_values)
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_on_set", on_set)
        object.__setattr__(self, "_on_delete", on_delete)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several keys; nested dicts become dotted names."""
        for source in (*args, kwargs):
            for key, value in dict(source).items():
                self[key] = value

    def __getitem__(self, key: str) -> Any:
        return self._values[key] if key in self._values else self._last_values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, item in value.items():
                self[f"{key}.{name}"] = item
            return
        self._values[str(key)] = value
        self._on_set(str(key), value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._on_delete(key)

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"the summary has no key {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter({**self._last_values(), **self._values})

    def __len__(self) -> int:
        return len({**self._last_values(), **self._values})

    def __repr__(self) -> str:
        return f"Summary({dict(self)!r})"
