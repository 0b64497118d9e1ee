"""Parse orders such as `-created_at` and `+config.lr` into keys, which put values of all kinds in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.field_names import CREATED, Field, parse_field

MAX_KEYS = 8


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order.

    Numbers come first, then texts, booleans, lists and NaN, and missing values or null come last. That holds in both
    directions: `descending` reverses the order within each class, not that of the classes.
    """

    field: Field
    descending: bool


NEWEST_FIRST = (Key(CREATED, True),)


def parse_order(order: Sequence[str]) -> tuple[Key, ...]:
    """Parse the order; no key means the newest runs first. Raise InvalidRequestError."""
    if len(order) > MAX_KEYS:
        raise InvalidRequestError(f"order: at most {MAX_KEYS} keys, not {len(order)}")
    keys: dict[Field, Key] = {}
    for text in order:
        field = parse_field(text[1:] if text[:1] in ("+", "-") else text)
        keys.setdefault(field, Key(field, text.startswith("-")))
    return tuple(keys.values()) or NEWEST_FIRST
