"""Write `Origin` as Kafka headers, and read it back. A header that does not fit is poison: nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields

from runstream_common.bus.protocol import Origin

HEADER = "runstream-origin-v1"
_TYPES = {field.name: (int if field.type == "int" else str) for field in fields(Origin)}


def to_headers(origin: Origin) -> list[tuple[str, bytes]]:
    return [(HEADER, json.dumps(asdict(origin), separators=(",", ":")).encode())]


def from_headers(headers: Iterable[tuple[str, bytes]]) -> Origin:
    """Return the origin. Raise ValueError that says what is missing or has the wrong type."""
    raw = next((value for name, value in headers if name == HEADER), None)
    if raw is None or len(raw) > 4096:
        raise ValueError(f"no usable header {HEADER}")
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError(f"the header {HEADER} is no object")
    for name, kind in _TYPES.items():
        if type(found.get(name)) is not kind:
            raise ValueError(f"the header {HEADER} has no {kind.__name__} {name}")
        if kind is str:
            found[name].encode()  # raises UnicodeEncodeError, a ValueError, for a lone surrogate: no column takes it
    return Origin(**{name: found[name] for name in _TYPES})
