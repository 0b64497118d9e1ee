"""What people pass to `log()`, sorted into scalars, strings and trouble. The slow path: plain dicts skip it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runstream.data.image import Image, is_figure, is_picture
from runstream.data.loggable import Loggable, Media
from runstream.text import shortened, valid_name

MAX_KEY_BYTES = 1024
MAX_DEPTH = 32
MAX_STRING_BYTES = 1 << 20
_MAX_ESCAPED_BYTES = 2 << 20


@dataclass(slots=True)
class Sorted:
    """A dict for `log()`, by what its values are; names are dotted."""

    scalars: dict[str, float] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    rich: dict[str, Any] = field(default_factory=dict)
    """`Loggable`s, or lists of `Media`."""
    problems: list[str] = field(default_factory=list)
    """One sentence for each value that was left out."""
    notes: list[str] = field(default_factory=list)
    """One sentence for each name or text that is kept otherwise than it was given."""


def sort_values(data: Mapping[Any, Any]) -> Sorted:
    found = Sorted()
    _walk(data, "", found, 0)
    return found


def _walk(data: Mapping[Any, Any], prefix: str, found: Sorted, depth: int) -> None:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(key, str) and key_problem(key, name) and (fit := valid_name(name)):
            found.notes.append(f"the name {name[:80]!r} is kept as {fit[:80]!r}")
            name = fit
        problem = key_problem(key, name)
        if problem:
            found.problems.append(problem)
        elif isinstance(value, Mapping):
            if depth >= MAX_DEPTH:
                found.problems.append(f"{name!r}: nested deeper than {MAX_DEPTH} levels")
            else:
                _walk(value, f"{name}.", found, depth + 1)
        elif isinstance(value, str):
            found.strings[name] = _fitting(value)
            if found.strings[name] is not value:
                found.notes.append(f"{name!r}: a text of more than {MAX_STRING_BYTES} bytes is cut there")
        elif (rich := as_rich(value)) is not None:
            found.rich[name] = rich
        else:
            number = as_scalar(value)
            if number is None:
                found.problems.append(f"{name!r}: {describe(value)} is no number{_advice(value)}")
            else:
                found.scalars[name] = number


def _fitting(value: str) -> str:
    """The text as far as a record takes it. A control character is six in JSON."""
    limit = MAX_STRING_BYTES
    if len(value) * 6 > _MAX_ESCAPED_BYTES:
        escaped = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        limit = limit if len(escaped) <= _MAX_ESCAPED_BYTES else _MAX_ESCAPED_BYTES // 6
    return shortened(value, limit)


def as_rich(value: object) -> object:
    """`value`, if `log()` can write it as more than a number: a `Loggable`, a list of media, a figure, a picture."""
    if isinstance(value, Loggable):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, Media) for item in value):
        return list(value)
    if is_figure(value) or is_picture(value):
        return Image(value)
    return None


def _advice(value: object) -> str:
    if isinstance(getattr(value, "shape", None), tuple) or isinstance(value, (list, tuple)):
        return ": log its mean, or runstream.Histogram(...) or runstream.Image(...) of it"
    return ""


def as_scalar(value: object) -> float | None:
    """`value` as a double, if it is a number or an array or tensor of one element; else None."""
    try:
        size = getattr(value, "size", None)
        size = size() if callable(size) else size
        numel = getattr(value, "numel", None)
        count = numel() if callable(numel) else size
        if isinstance(count, int) and count != 1:
            return None
        if isinstance(count, int) and hasattr(value, "item"):
            return float(value.item())
        return float(value)  # type: ignore[arg-type]  # whatever has __float__ or __index__
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def key_problem(key: object, name: str | None = None) -> str:
    """What is wrong with a metric's name; empty when nothing is."""
    if not isinstance(key, str):
        return f"key {key!r} is a {type(key).__name__}, not a string"
    name = key if name is None else name
    if not name:
        return "an empty key"
    if len(name) * 4 > MAX_KEY_BYTES and len(name.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        return f"key {name[:40]!r}...: longer than {MAX_KEY_BYTES} bytes"
    if not name.isprintable() and any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in name
    ):
        return f"key {name[:80]!r}: holds a control character"
    return ""


def describe(value: object) -> str:
    """A value's type, with its shape where it has one."""
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{f' of shape {tuple(shape)}' if isinstance(shape, tuple) else ''}"
