"""Evaluate a condition on columns: which runs meet it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.field_names import Field, Kind
from runstream_query.runs.selection import json_texts
from runstream_query.runs.selection.field_column import MISSING, FieldColumn
from runstream_query.runs.selection.filters import BAD_REGEX, AllOf, AnyOf, Condition, FieldTest, Not

Mask = NDArray[np.bool_]
"""(N,): whether each run meets a condition."""
_SIGNS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "$gt": (operator.gt, pc.greater),
    "$gte": (operator.ge, pc.greater_equal),
    "$lt": (operator.lt, pc.less),
    "$lte": (operator.le, pc.less_equal),
}
"""By operator: the comparison of Python numbers and numpy arrays, and the one of Arrow arrays."""
_LISTS = frozenset({Kind.OWN, Kind.CONFIG, Kind.SUMMARY, Kind.STREAM})
"""Kinds whose values can be lists: a comparison holds when it holds of the list, or of one of its elements."""
_SHOWN = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
"""How responses show the numbers that JSON cannot write; a filter may name them in the same way."""


def meets(condition: Condition, count: int, column: Callable[[Field], FieldColumn]) -> Mask:
    """Return which of the `count` runs meet the condition.

    Raise InvalidRequestError for a regular expression that does not compile.
    """
    match condition:
        case AllOf(parts):
            found = np.ones(count, bool)
            for part in parts:
                found &= meets(part, count, column)
            return found
        case AnyOf(parts):
            found = np.zeros(count, bool)
            for part in parts:
                found |= meets(part, count, column)
            return found
        case Not(part):
            return ~meets(part, count, column)
        case FieldTest():
            return _compare(condition, column(condition.field))


def _compare(comparison: FieldTest, column: FieldColumn) -> Mask:
    lists = comparison.field.kind in _LISTS
    match comparison.operator:
        case "$exists":
            return column.present | column.numeric
        case "$in":
            return _equals_any(comparison.operand, column, lists)
        case "$regex":
            return _matches(comparison.operand, column, lists)
    if isinstance(comparison.operand, str):
        return _strings(comparison.operator, comparison.operand, column, lists)
    compare, _ = _SIGNS[comparison.operator]
    number = float(comparison.operand)
    with np.errstate(invalid="ignore"):
        found: Mask = column.numeric & compare(column.numbers, number)
    return found | _of_elements(column, lists, lambda one: _is_number(one) and compare(_float(one), number))


def _equals_any(operands: tuple[Any, ...], column: FieldColumn, lists: bool) -> Mask:
    """Return the runs whose value equals one of the operands.

    null also equals a missing value; true and 1 are different.
    """
    numbers = _numbers_of(operands)
    found = _has_number(numbers, column) | _has_text(operands, column)
    if None in operands:
        found |= column.kinds == MISSING
    return found | _of_elements(column, lists, _element_test(operands, numbers))


def _numbers_of(operands: tuple[Any, ...]) -> set[float]:
    """Return the operands that are numbers, or names of NaN and the infinities, as doubles."""
    numbers = {_float(one) for one in operands if _is_number(one)}
    return numbers | {_SHOWN[one] for one in operands if isinstance(one, str) and one in _SHOWN}


def _has_number(numbers: set[float], column: FieldColumn) -> Mask:
    """Return the runs whose number is one of these; here NaN equals NaN."""
    finite = [number for number in numbers if not np.isnan(number)]
    found: Mask = column.numeric & np.isin(column.numbers, finite)
    if len(finite) < len(numbers):
        found |= column.numeric & np.isnan(column.numbers)
    return found


def _has_text(operands: tuple[Any, ...], column: FieldColumn) -> Mask:
    """Return the runs whose JSON text is that of a string, boolean or list among the operands."""
    texts = {json_texts.json_text(one) for one in operands if isinstance(one, (str, bool, list))}
    if not texts or column.codes is None:
        return np.zeros(len(column.numbers), bool)
    return column.holds(json_texts.among(column.texts, texts))


def _element_test(operands: tuple[Any, ...], numbers: set[float]) -> Callable[[Any], bool]:
    """Return the function that says whether an element of a list equals one of the operands."""
    strings = {one for one in operands if isinstance(one, str)}
    booleans = {one for one in operands if isinstance(one, bool)}

    def equal(one: Any) -> bool:
        if isinstance(one, bool):
            return one in booleans
        return one in strings if isinstance(one, str) else _is_number(one) and _float(one) in numbers

    return equal


def _matches(pattern: str, column: FieldColumn, lists: bool) -> Mask:
    """Return the runs with a string that the RE2 pattern matches. A dot matches any character, a line break too."""

    def matched(strings: pa.Array) -> Any:
        try:
            return json_texts.mask(pc.match_substring_regex(strings, f"(?s){pattern}"))
        except pa.ArrowInvalid as error:
            raise InvalidRequestError(BAD_REGEX) from error

    if column.codes is None:
        matched(pa.array([], pa.string()))
        return np.zeros(len(column.numbers), bool)
    holds = matched(column.strings).copy()
    if lists:
        for code, elements in column.lists.items():
            holds[code] = bool(matched(pa.array([e for e in elements if isinstance(e, str)], pa.string())).any())
    return column.holds(holds)


def _strings(sign: str, bound: str, column: FieldColumn, lists: bool) -> Mask:
    """Return the runs whose string compares so with `bound`.

    Python orders strings by code point, which is the order of their UTF-8 bytes, also for halves of a surrogate pair.
    """
    if column.codes is None:
        return np.zeros(len(column.numbers), bool)
    compare, compare_all = _SIGNS[sign]
    limit = pa.scalar(bound.encode("utf-8", "surrogatepass"), pa.binary())
    whole = column.holds(json_texts.mask(compare_all(column.strings.cast(pa.binary()), limit)))
    return whole | _of_elements(column, lists, lambda one: isinstance(one, str) and compare(one, bound))


def _of_elements(column: FieldColumn, lists: bool, holds: Callable[[Any], bool]) -> Mask:
    found = np.zeros(len(column.numbers), bool)
    if lists and column.codes is not None and column.lists:
        of_text = np.zeros(len(column.texts), bool)
        for code, elements in column.lists.items():
            of_text[code] = any(holds(one) for one in elements)
        found = column.holds(of_text)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
