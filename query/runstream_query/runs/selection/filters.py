"""Parse and check filters in W&B's query language, from JSON text to a tree.

docs/query.md explains each operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.field_names import Field, Kind, parse_field

MAX_FILTER_CHARACTERS = 65_536
"""About a thousand run ids fit into one $in."""
MAX_COMPARISONS = 256
MAX_DEPTH = 16
BAD_REGEX = "the regular expression does not compile, or is too large: use RE2's syntax"
MAX_REGEX_CHARACTERS = 512
"""RE2 takes time in proportion to pattern and text, and refuses a pattern that would need much memory."""
COMPARISONS = ("$gt", "$gte", "$lt", "$lte")
OPERATORS = ("$eq", "$ne", *COMPARISONS, "$in", "$nin", "$exists", "$regex", "$not")


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One operator on one field.

    `$ne`, `$nin` and `$not` become a Not of another comparison; `$eq` becomes `$in` of one value.
    """

    field: Field
    operator: str
    """One of $in, $gt, $gte, $lt, $lte, $exists and $regex."""
    operand: Any


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = FieldTest | AllOf | AnyOf | Not


def parse_filter(text: str) -> Condition:
    """Parse a filter; an empty text gives a condition that all runs meet. Raise InvalidRequestError."""
    if len(text) > MAX_FILTER_CHARACTERS:
        raise InvalidRequestError(f"filter: at most {MAX_FILTER_CHARACTERS} characters, not {len(text)}")
    if not text.strip():
        return AllOf(())
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"filter is not valid JSON: {error}") from error
    condition = _document(document, 1)
    if (count := sum(1 for _ in comparisons(condition))) > MAX_COMPARISONS:
        raise InvalidRequestError(f"filter: at most {MAX_COMPARISONS} comparisons, not {count}")
    return condition


def comparisons(condition: Condition) -> list[FieldTest]:
    """Return all comparisons in the condition."""
    match condition:
        case FieldTest():
            return [condition]
        case Not(part):
            return comparisons(part)
        case AllOf(parts) | AnyOf(parts):
            return [comparison for part in parts for comparison in comparisons(part)]


def _document(document: Any, depth: int) -> Condition:
    if not isinstance(document, dict):
        raise InvalidRequestError('filter: give an object such as {"config.lr": {"$lt": 0.1}}')
    if depth > MAX_DEPTH:
        raise InvalidRequestError(f"filter: at most {MAX_DEPTH} levels")
    return AllOf(tuple(_entry(str(name), value, depth) for name, value in document.items()))


def _entry(name: str, value: Any, depth: int) -> Condition:
    if name == "$not":
        return Not(_document(value, depth + 1))
    if name in ("$and", "$or", "$nor"):
        if not isinstance(value, list) or not value:
            raise InvalidRequestError(f"filter: {name} needs a list of objects")
        parts = tuple(_document(part, depth + 1) for part in value)
        return AllOf(parts) if name == "$and" else AnyOf(parts) if name == "$or" else Not(AnyOf(parts))
    if name.startswith("$"):
        raise InvalidRequestError(
            f"filter: the operator {name[:50]!r} cannot be used here; use $and, $or, $nor, $not, or name a field"
        )
    return _field(parse_field(name), value, depth)


def _field(field: Field, value: Any, depth: int) -> Condition:
    if not isinstance(value, dict):
        return _comparison(field, "$eq", value, depth)
    if not value or not all(isinstance(key, str) and key.startswith("$") for key in value):
        raise InvalidRequestError(
            f"filter: {field} is compared with an object; use operators ($eq, $lt, ...), and dotted keys for nested "
            "values: config.model.depth"
        )
    return AllOf(tuple(_comparison(field, operator, operand, depth) for operator, operand in value.items()))


def _comparison(field: Field, operator: str, operand: Any, depth: int) -> Condition:
    match operator:
        case "$not":
            if depth >= MAX_DEPTH:
                raise InvalidRequestError(f"filter: at most {MAX_DEPTH} levels")
            return Not(_field(field, operand, depth + 1))
        case "$eq":
            return FieldTest(field, "$in", (_operand(field, operator, operand),))
        case "$ne":
            return Not(FieldTest(field, "$in", (_operand(field, operator, operand),)))
        case "$in" | "$nin":
            if not isinstance(operand, list):
                raise InvalidRequestError(f"filter: {operator} needs a list")
            comparison = FieldTest(field, "$in", tuple(_operand(field, operator, item) for item in operand))
            return comparison if operator == "$in" else Not(comparison)
        case "$exists":
            if not isinstance(operand, bool):
                raise InvalidRequestError("filter: $exists needs true or false")
            comparison = FieldTest(field, operator, None)
            return comparison if operand else Not(comparison)
        case "$regex":
            return FieldTest(field, operator, check_regex(operand))
    if operator not in COMPARISONS:
        raise InvalidRequestError(f"filter: there is no operator {operator[:50]!r}; use one of {', '.join(OPERATORS)}")
    found = _operand(field, operator, operand)
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        raise InvalidRequestError(f"filter: {operator} compares with a number or a text, not with {operand!r:.50}")
    return FieldTest(field, operator, found)


def check_regex(pattern: Any) -> str:
    if not isinstance(pattern, str) or len(pattern) > MAX_REGEX_CHARACTERS:
        raise InvalidRequestError(f"a regular expression is a text of at most {MAX_REGEX_CHARACTERS} characters")
    if "\0" in pattern:
        raise InvalidRequestError("a regular expression must not contain NUL")
    return pattern


def _operand(field: Field, operator: str, value: Any) -> Any:
    if isinstance(value, dict):
        raise InvalidRequestError(f"filter: {operator} on {field} cannot compare with an object")
    if isinstance(value, str) and "\0" in value:
        raise InvalidRequestError(f"filter: {field} is compared with a text that contains NUL")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 1023:
        raise InvalidRequestError(f"filter: {field} is compared with a number that is too large")
    if field.kind is Kind.TIME and isinstance(value, str):
        return _seconds(field, value)
    if field.kind is Kind.OWN and value in ("", []):
        return None
    return value


def _seconds(field: Field, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(
            f"filter: {field} is compared with {text[:50]!r}: give ISO 8601 (2026-01-31T12:00:00) or seconds since 1970"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
