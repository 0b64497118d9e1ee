"""The values that people pass to `log()`, sorted into scalars, strings and problems.

Plain dicts skip this slow path.
"""

from __future__ import annotations

import datetime
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runstream.base.text import shortened, valid_name
from runstream.data.histogram import Histogram
from runstream.data.image import Image, is_figure, is_picture
from runstream.data.loggable import Loggable, Media, Text
from runstream.data.table import Table, is_frame

MAX_KEY_BYTES = 1024
MAX_DEPTH = 32
MAX_STRING_BYTES = 1 << 20
_MAX_ESCAPED_BYTES = 2 << 20
_MAX_KEYS = 8192


@dataclass(slots=True)
class Sorted:
    """A dict for `log()`, sorted by the kind of its values; names are dotted."""

    scalars: dict[str, float] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    rich: dict[str, object] = field(default_factory=dict)
    """`Loggable`s, or lists of `Media`."""
    problems: list[str] = field(default_factory=list)
    """One sentence for each value that was left out."""
    notes: list[str] = field(default_factory=list)
    """One sentence for each name or text that is kept in another form than it was given."""


def sort_values(data: Mapping[object, object]) -> Sorted:
    found = Sorted()
    _walk(data, "", found, 0)
    return found


def _walk(data: Mapping[object, object], prefix: str, found: Sorted, depth: int) -> None:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(key, str) and key_problem(key, name) and (fit := valid_name(name)):
            found.notes.append(f"the name {name[:80]!r} is kept as {fit[:80]!r}")
            name = fit
        problem = key_problem(key, name)
        if problem:
            found.problems.append(problem)
            continue
        try:
            _sort(name, value, found, depth)
        except Exception as error:  # noqa: BLE001  # a foreign object may raise anything when it is read
            found.problems.append(
                f"{name!r}: a {type(value).__name__} that raises {type(error).__name__} when it is read"
            )


def _sort(name: str, value: object, found: Sorted, depth: int) -> None:
    if isinstance(value, Mapping):
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
    elif (number := as_scalar(value)) is None:
        found.problems.append(f"{name!r}: unsupported type {describe(value)}{_advice(value)}")
    else:
        found.scalars[name] = number


def _fitting(value: str) -> str:
    """Return the text up to the length that a record takes. A control character has six characters in JSON."""
    limit = MAX_STRING_BYTES
    if len(value) * 6 > _MAX_ESCAPED_BYTES:
        escaped = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        limit = limit if len(escaped) <= _MAX_ESCAPED_BYTES else _MAX_ESCAPED_BYTES // 6
    return shortened(value, limit)


def as_rich(value: object) -> object:
    """Return `value` in the form of a rich value, or None if `log()` can write it only as a number.

    The form is a `Loggable`, a list of media, a figure or a picture; a frame becomes a table, an array or list of
    several numbers a histogram, a date a text.
    """
    if isinstance(value, Loggable):
        return value
    if isinstance(value, (list, tuple)):
        return _of_list(value)
    if is_figure(value) or is_picture(value):
        return Image(value)
    if is_frame(value):
        return Table(dataframe=value)
    if isinstance(value, (datetime.date, datetime.time)):  # datetime is a date
        return Text(value.isoformat() if value == value else "NaT")  # pandas' NaT is no equal of itself
    kind = _dtype_kind(value)
    if kind == "M" and _count(value) == 1:
        return Text(str(value))
    return Histogram(value) if kind and _count(value) != 1 else None


def _of_list(values: Sequence[object]) -> object:
    if not values:
        return None
    media = [Image(item) if is_figure(item) or is_picture(item) else item for item in values]
    if all(isinstance(item, Media) for item in media):
        return media
    if len(values) == 1 and not isinstance(values[0], (list, tuple)):
        return None  # as an array of one element, it is a number
    numbers = _flat_numbers(values, 0)
    return None if numbers is None else Histogram(numbers)


def _flat_numbers(values: Sequence[object], depth: int) -> list[float] | None:
    found: list[float] = []
    for item in values:
        if isinstance(item, (list, tuple)) and depth < MAX_DEPTH:
            inner = _flat_numbers(item, depth + 1)
            if inner is None:
                return None
            found += inner
        elif isinstance(item, str) or (number := as_scalar(item)) is None:
            return None
        else:
            found.append(number)
    return found


def _dtype_kind(value: object) -> str:
    """Return numpy's letter for the kind of an array's elements ("M": dates), "f" for tensors, else an empty text."""
    if not isinstance(getattr(value, "shape", None), tuple):
        return ""
    dtype = getattr(value, "dtype", None)
    return str(getattr(dtype, "kind", "f")) if dtype is not None else ""


def _count(value: object) -> int | None:
    """Return the number of elements of an array or tensor, or None for a value without such a count."""
    size = getattr(value, "size", None)
    size = size() if callable(size) else size
    numel = getattr(value, "numel", None)
    count = numel() if callable(numel) else size
    return count if isinstance(count, int) else None


def _advice(value: object) -> str:
    if isinstance(value, int):
        return ": beyond what a double holds"
    if isinstance(getattr(value, "shape", None), tuple) or isinstance(value, (list, tuple)):
        return ": log numbers, media, or a runstream.Table"
    return ""


def as_scalar(value: object) -> float | None:
    """Return `value` as a double, if it is a number, a duration (in seconds), or an array or list of one; else None."""
    try:
        if isinstance(value, datetime.timedelta):
            return value.total_seconds()
        if isinstance(value, (list, tuple)):
            return as_scalar(value[0]) if len(value) == 1 else None
        if _dtype_kind(value) in ("m", "M"):
            return None
        count = _count(value)
        if count is not None and count != 1:
            return None
        if count is not None and hasattr(value, "item"):
            return float(value.item())
        return float(value)  # type: ignore[arg-type]  # whatever has __float__ or __index__
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def whole_number(value: object) -> int | None:
    """Return `value` as an int, if it is a whole number of any type, such as 7.0, numpy's or a tensor; else None."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # raises TypeError itself
    except TypeError:
        pass
    if isinstance(value, (str, bytes)):
        return None
    number = as_scalar(value)
    return int(number) if number is not None and number.is_integer() else None


def key_problem(key: object, name: str | None = None) -> str:
    """Return what is wrong with a metric's name; return an empty text when it can be used."""
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
    """Return the name of a value's type, with its shape where it has one."""
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{f' of shape {tuple(shape)}' if isinstance(shape, tuple) else ''}"


def check_keys(keys: tuple[str, ...]) -> None:
    """Check that the keys can be the names of one row's metrics. Raises ValueError."""
    if len(keys) > _MAX_KEYS:
        raise ValueError("too many keys for one row")
    for key in keys:
        problem = key_problem(key)
        if problem:
            raise ValueError(problem)
