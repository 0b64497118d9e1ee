"""Read a definition's fields: each reader returns the value it checked, or raises DefinitionError with path and fix."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from runstream_query.base.names import nearest
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.limits import MAX_INTEGER

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*")
_SECONDS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and halves of surrogate pairs, which UTF-8 cannot encode."""
_TEXT_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def mapping(path: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        refuse(path, f"is {shown(value)}: give a mapping of keys to values")
    return value


def only(path: str, value: Mapping[str, object], known: Collection[str]) -> None:
    for key in value:
        if key not in known:
            where = f"{path}.{key}" if path else str(key)
            refuse(where, f"there is no such key{nearest(str(key), known)}; keys: {', '.join(known)}")


def number(path: str, value: object) -> int | float:
    """Return a finite number; an integer stays one. Raise DefinitionError."""
    if isinstance(value, str) and _TEXT_NUMBER.fullmatch(value.strip()):
        plain = float(value)
        hint = (
            f"write {plain!r} (YAML reads 1e-3 as text: it wants 1.0e-3)" if math.isfinite(plain) else "give a number"
        )
        refuse(path, f"is the text {value!r}: {hint}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(path, f"is {shown(value)}: give a number")
    if not math.isfinite(value):
        refuse(path, f"is {value}: give a finite number")
    if abs(value) > MAX_INTEGER and isinstance(value, int):
        refuse(path, f"is {shown(value)}: integers end at {MAX_INTEGER}")
    return value


def integer(path: str, value: object, minimum: int, maximum: int = MAX_INTEGER) -> int:
    """Return an integer; a float without a fraction is accepted too, since JSON makes no difference.

    Raise DefinitionError.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        most = "" if maximum == MAX_INTEGER else f" and at most {maximum}"
        refuse(path, f"is {shown(value)}: give a whole number of at least {minimum}{most}")
    return value


def positive(path: str, value: object) -> int | float:
    found = number(path, value)
    if found <= 0:
        refuse(path, f"is {found}: give a number above 0")
    return found


def text(path: str, value: object, most: int) -> str:
    if (
        not isinstance(value, str)
        or len(value) > most
        or "\0" in value
        or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        refuse(path, f"is {shown(value)}: give a text of at most {most} characters")
    return value


def one_of(path: str, value: object, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        near = nearest(value, known) if isinstance(value, str) else ""
        refuse(path, f"is {shown(value)}{near}: use one of {', '.join(known)}")
    return value


def truth(path: str, value: object) -> bool:
    if not isinstance(value, bool):
        refuse(path, f"is {shown(value)}: give true or false")
    return value


def duration_s(path: str, value: object) -> float:
    """Return seconds, from a number or a text such as 90m, 12h, 2d. Raise DefinitionError."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            refuse(path, f"is {value!r}: give seconds, or a text such as 90m, 12h, 2d")
        value = float(match[1]) * _SECONDS[match[2]]
    return float(positive(path, value))
