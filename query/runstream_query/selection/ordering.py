"""Orders: `-created_at`, `+config.lr`, ...: keys that put any values in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstream_query.errors import InvalidQuestionError
from runstream_query.selection.fields import CREATED, Field, parse_field

MAX_KEYS = 8


@dataclass(frozen=True, slots=True)
class Key:
    """Numbers come first, then text, then booleans, then lists, then NaN, and last what is missing or null: in both
    directions. `descending` turns each class around, not the classes."""

    field: Field
    descending: bool


NEWEST_FIRST = (Key(CREATED, True),)


def parse_order(order: Sequence[str]) -> tuple[Key, ...]:
    """Raises InvalidQuestionError."""
    if len(order) > MAX_KEYS:
        raise InvalidQuestionError(f"order: at most {MAX_KEYS} keys, not {len(order)}")
    keys: dict[Field, Key] = {}
    for text in order:
        field = parse_field(text[1:] if text[:1] in ("+", "-") else text)
        keys.setdefault(field, Key(field, text.startswith("-")))
    return tuple(keys.values()) or NEWEST_FIRST
