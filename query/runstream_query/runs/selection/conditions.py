"""Decide which runs meet a condition on columns."""

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
from runstream_query.runs.selection import json_texts as of_json
from runstream_query.runs.selection.field_column import MISSING, FieldColumn
from runstream_query.runs.selection.filters import BAD_REGEX, All, Any_, Condition, Not, Test

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
        case All(parts):
            found = np.ones(count, bool)
            for part in parts:
                found &= meets(part, count, column)
            return found
        case Any_(parts):
            found = np.zeros(count, bool)
            for part in parts:
                found |= meets(part, count, column)
            return found
        case Not(part):
            return ~meets(part, count, column)
        case Test():
            return _test(condition, column(condition.field))


def _test(test: Test, column: FieldColumn) -> Mask:
    lists = test.field.kind in _LISTS
    match test.operator:
        case "$exists":
            return column.present | column.numeric
        case "$in":
            return _among(test.operand, column, lists)
        case "$regex":
            return _matches(test.operand, column, lists)
    if isinstance(test.operand, str):
        return _strings(test.operator, test.operand, column, lists)
    compare, _ = _SIGNS[test.operator]
    number = float(test.operand)
    with np.errstate(invalid="ignore"):
        found: Mask = column.numeric & compare(column.numbers, number)
    return found | _of_elements(column, lists, lambda one: _is_number(one) and compare(_float(one), number))


def _among(operands: tuple[Any, ...], column: FieldColumn, lists: bool) -> Mask:
    """Return the runs whose value equals one of the operands.

    null also equals a missing value; true and 1 are different.
    """
    found = np.zeros(len(column.numbers), bool)
    strings = {operand for operand in operands if isinstance(operand, str)}
    booleans = [operand for operand in operands if isinstance(operand, bool)]
    numbers = [_float(o) for o in operands if isinstance(o, (int, float)) and not isinstance(o, bool)]
    numbers += [_SHOWN[string] for string in strings if string in _SHOWN]
    if None in operands:
        found |= column.kinds == MISSING
    texts = {of_json.json_text(one) for one in operands if isinstance(one, (str, bool, list))}
    if texts and column.codes is not None:
        found |= column.holds(of_json.among(column.texts, texts))
    if any(np.isnan(number) for number in numbers):
        found |= column.numeric & np.isnan(column.numbers)
    finite = {number for number in numbers if not np.isnan(number)}
    if finite:
        found |= column.numeric & np.isin(column.numbers, list(finite))

    def equal(one: Any) -> bool:
        if isinstance(one, bool):
            return one in booleans
        return one in strings if isinstance(one, str) else _is_number(one) and _float(one) in finite

    return found | _of_elements(column, lists, equal)


def _matches(pattern: str, column: FieldColumn, lists: bool) -> Mask:
    """Return the runs with a string that the RE2 pattern matches. A dot matches any character, a line break too."""

    def matched(words: pa.Array) -> Any:
        try:
            return of_json.mask(pc.match_substring_regex(words, f"(?s){pattern}"))
        except pa.ArrowInvalid as error:
            raise InvalidRequestError(BAD_REGEX) from error

    if column.codes is None:
        matched(pa.array([], pa.string()))
        return np.zeros(len(column.numbers), bool)
    holds = matched(column.words).copy()
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
    whole = column.holds(of_json.mask(compare_all(column.words.cast(pa.binary()), limit)))
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
