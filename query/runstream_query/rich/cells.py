"""Classify the cells of a table, compare them, and filter rows. It is pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.struct_pb2 import Value

from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError

Row = list[Any]
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_KINDS = {int: "number", float: "number", bool: "boolean", type(None): "missing", list: "list"}
"""By Python type, the kind of a cell that JSON can hold; texts and objects are handled apart."""
_F = pb.TableFilter
_MAX_PATTERN = 1000
"""In characters; RE2 takes linear time, whatever the pattern."""


def number(cell: object) -> float | int | None:
    """Return the cell's number; None if it has none.

    JSON cannot write NaN and infinities, so these arrive as strings with their names.
    """
    if isinstance(cell, (int, float)):
        return cell
    return _SPECIAL.get(cell) if isinstance(cell, str) else None


def missing(cell: object) -> bool:
    return cell is None or cell == "NaN" or (isinstance(cell, float) and math.isnan(cell))


def kind(cell: object) -> str:
    """Return the kind of the cell, as `TableColumn.type` names it."""
    if isinstance(cell, str):
        return "missing" if cell == "NaN" else "number" if cell in _SPECIAL else "text"
    if isinstance(cell, dict):
        return "media" if cell.get("_type") == "media" else "object"
    return "missing" if cell != cell else _KINDS[type(cell)]


def column_type(kinds: Counter[str]) -> str:
    """Return the type of a column from the kinds of its cells; missing cells do not count."""
    found = sorted(name for name in kinds if name != "missing")
    return found[0] if len(found) == 1 else ("mixed" if found else "missing")


class _Reversed:
    """A text that sorts in reverse."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]


def sort_key(row: Row, place: int, order: Sequence[tuple[int, bool]]) -> tuple[object, ...]:
    """Return a key that sorts rows by `order`, a list of (column, descending).

    Missing cells come last, and equal rows are sorted by their number.
    """
    parts: list[object] = []
    for column, descending in order:
        rank, value = _comparable(row[column])
        if rank == _MISSING:
            parts += (_MISSING, 0)
        elif not descending:
            parts += (rank, value)
        else:
            parts += (-rank, _Reversed(value) if isinstance(value, str) else -value)
    parts.append(place)
    return tuple(parts)


_MISSING = 9


def _comparable(cell: object) -> tuple[int, Any]:
    if cell is None or cell != cell:
        return _MISSING, 0
    if isinstance(cell, (int, float)):
        return 0, cell
    if isinstance(cell, str):
        if cell == "NaN":
            return _MISSING, 0
        return (0, _SPECIAL[cell]) if cell in _SPECIAL else (1, cell)
    return 2, json.dumps(cell, sort_keys=True)


CellTest = Callable[[Any], bool]


def make_filters(columns: Sequence[str], filters: Sequence[pb.TableFilter]) -> Callable[[Sequence[Row]], list[bool]]:
    """Return a function that tells which rows pass all filters.

    Raise InvalidRequestError that names the wrong filter.
    """
    tests = [(place_of(columns, one.column), _test(one)) for one in filters if one.operator != _F.OPERATOR_REGEX]
    patterns = [(place_of(columns, one.column), _pattern(one)) for one in filters if one.operator == _F.OPERATOR_REGEX]

    def passing(rows: Sequence[Row]) -> list[bool]:
        passed = [all(test(row[place]) for place, test in tests) for row in rows]
        for place, pattern in patterns:
            texts = pa.array([row[place] if isinstance(row[place], str) else None for row in rows], pa.large_string())
            matches = pc.match_substring_regex(texts, pattern).fill_null(False).to_pylist()
            passed = [before and match for before, match in zip(passed, matches, strict=True)]
        return passed

    return passing


def place_of(columns: Sequence[str], name: str) -> int:
    """Return the place of the column with this name. Raise InvalidRequestError if there is none."""
    if name not in columns:
        shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
        raise InvalidRequestError(f"there is no column {name[:100]!r}; the table has {shown}")
    return list(columns).index(name)


def _pattern(one: pb.TableFilter) -> str:
    pattern = one.value.string_value
    if not 0 < len(pattern) <= _MAX_PATTERN:
        raise InvalidRequestError(f"OPERATOR_REGEX on {one.column!r}: give a text of 1 to {_MAX_PATTERN} characters")
    try:
        pc.match_substring_regex(pa.array([""], pa.large_string()), pattern)
    except pa.ArrowInvalid as error:
        raise InvalidRequestError(f"{pattern[:100]!r} is not an RE2 expression: {error}") from error
    return pattern


def _test(one: pb.TableFilter) -> CellTest:
    operator = one.operator or _F.OPERATOR_EQ
    if operator == _F.OPERATOR_MISSING:
        return missing
    if operator == _F.OPERATOR_PRESENT:
        return lambda cell: not missing(cell)
    if not one.HasField("value"):
        raise InvalidRequestError(f"the filter on {one.column!r} has no value")
    if operator == _F.OPERATOR_IN:
        if one.value.WhichOneof("kind") != "list_value":
            raise InvalidRequestError(f"OPERATOR_IN on {one.column!r}: give a list")
        tests = [_equals(plain(value)) for value in one.value.list_value.values]
        return lambda cell: any(test(cell) for test in tests)
    wanted = plain(one.value)
    if isinstance(wanted, (list, dict)):
        raise InvalidRequestError(f"the filter on {one.column!r}: give a number, a text, true, false or null")
    if operator == _F.OPERATOR_EQ:
        return _equals(wanted)
    if operator == _F.OPERATOR_NE:
        equals = _equals(wanted)
        return lambda cell: not equals(cell)
    if operator == _F.OPERATOR_CONTAINS:
        if not isinstance(wanted, str):
            raise InvalidRequestError(f"OPERATOR_CONTAINS on {one.column!r}: give a text")
        folded = wanted.casefold()
        return lambda cell: isinstance(cell, str) and folded in cell.casefold()
    return _compares(operator, wanted)


def plain(value: Value) -> object:
    """Return a protobuf Value as a Python value."""
    which = value.WhichOneof("kind")
    if which == "struct_value":
        return dict(value.struct_value)
    if which == "list_value":
        return [plain(item) for item in value.list_value.values]
    return None if which in (None, "null_value") else getattr(value, which)


def _equals(wanted: object) -> CellTest:
    if wanted is None:
        return missing
    if isinstance(wanted, bool):
        return lambda cell: cell is wanted
    if isinstance(wanted, str):
        return lambda cell: isinstance(cell, str) and cell == wanted

    def equal(cell: object) -> bool:
        value = None if isinstance(cell, bool) else number(cell)
        return value is not None and value == wanted

    return equal


_COMPARISONS: dict[int, Callable[[Any, Any], bool]] = {
    _F.OPERATOR_LT: lambda a, b: a < b,
    _F.OPERATOR_LE: lambda a, b: a <= b,
    _F.OPERATOR_GT: lambda a, b: a > b,
    _F.OPERATOR_GE: lambda a, b: a >= b,
}


def _compares(operator: int, wanted: object) -> CellTest:
    holds = _COMPARISONS.get(operator)
    if holds is None or wanted is None or isinstance(wanted, bool):
        raise InvalidRequestError("a comparison takes a number or a text")
    if isinstance(wanted, str):
        return lambda cell: isinstance(cell, str) and not missing(cell) and holds(cell, wanted)

    def compare(cell: object) -> bool:
        value = None if isinstance(cell, bool) else number(cell)
        return value is not None and holds(value, wanted)

    return compare
