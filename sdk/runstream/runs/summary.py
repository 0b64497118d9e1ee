"""`run.summary`: one value for each metric, by default its last one. A key that is set keeps the value that was set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from runstream.base.plain import flattened, key_text, to_plain


class Summary(MutableMapping[str, Any]):
    """The last values that this process logged, overlaid by the values that were set.

    The server's summary covers all ranks.
    """

    _values: dict[str, object]
    _earlier: dict[str, object]

    def __init__(
        self,
        last_values: Callable[[], dict[str, object]],
        on_set: Callable[[str, object], None],
        on_delete: Callable[[str], None],
        earlier: Mapping[str, object] | None = None,
    ) -> None:
        """Take the callbacks.

        `earlier` is the summary of the run that this one continues; newer values take precedence.
        """
        object.__setattr__(self, "_earlier", dict(earlier or {}))
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
        if key in self._values:
            return self._values[key]
        last = self._last_values()
        return last[key] if key in last else self._earlier[key]

    def __setitem__(self, key: str, value: object) -> None:
        key, plain = key_text(key), to_plain(value)
        for name, item in flattened({key: plain}).items():
            self._values[name] = value if name == key else item
            self._on_set(name, item)

    def __delitem__(self, key: str) -> None:
        if self._earlier.pop(key, None) is None or key in self._values:
            del self._values[key]
        self._on_delete(key)

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"the summary has no key {key!r}") from None

    def __setattr__(self, key: str, value: object) -> None:
        self[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter({**self._earlier, **self._last_values(), **self._values})

    def __len__(self) -> int:
        return len({**self._earlier, **self._last_values(), **self._values})

    def __repr__(self) -> str:
        return f"Summary({dict(self)!r})"
