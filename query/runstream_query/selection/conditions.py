"""Conditions into SQL: constant text, values as typed parameters. No condition is ever NULL."""

from __future__ import annotations

import json
import math
from typing import Any

from runstream_query.selection.fields import Field, Kind
from runstream_query.selection.filters import All, Any_, Condition, Not, Test
from runstream_query.selection.sources import Sources

NO_TEXT = "''"
"""The text column of what is a number or missing."""
_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_LISTS = frozenset({Kind.OWN, Kind.CONFIG, Kind.SUMMARY, Kind.STREAM})
"""Kinds whose values can be lists: a comparison holds when it holds of the list, or of one of its elements."""
_SHOWN = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How answers show numbers that JSON has not: a filter may name them so."""


class Conditions:
    """Writes conditions on the columns of `Sources` and keeps their parameters."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.parameters: dict[str, Any] = {}

    def parameter(self, kind: str, value: Any) -> str:
        """A place for a value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def write(self, condition: Condition) -> str:
        match condition:
            case All(parts):
                return _joined("AND", [self.write(part) for part in parts], "1")
            case Any_(parts):
                return _joined("OR", [self.write(part) for part in parts], "0")
            case Not(part):
                return f"(NOT {self.write(part)})"
            case Test():
                return self._test(condition)

    def _test(self, test: Test) -> str:
        text, number = self._sources.columns(test.field)
        match test.operator:
            case "$exists":
                return f"({number} IS NOT NULL)" if text == NO_TEXT else f"({text} != '' OR {number} IS NOT NULL)"
            case "$in":
                return self._among(test.field, test.operand, text, number)
            case "$regex":
                pattern = f"match({{}}, {self.parameter('String', test.operand)})"
                return self._any_of(test.field, text, _string(pattern, text), _string(pattern, "e"))
        sign = _SIGNS[test.operator]
        if isinstance(test.operand, str):
            bound = self.parameter("String", test.operand)
            whole, element = (_string(f"{{}} {sign} {bound}", name) for name in (text, "e"))
        else:
            bound = self.parameter("Float64", float(test.operand))
            whole = f"ifNull({number} {sign} {bound}, 0)"
            element = f"ifNull(toFloat64OrNull(e) {sign} {bound}, 0)"
        return self._any_of(test.field, text, whole, element)

    def _among(self, field: Field, operands: tuple[Any, ...], text: str, number: str) -> str:
        """Equal to one of them. null is also equal to what is missing; true and 1 are different."""
        wholes: list[str] = []
        elements: list[str] = []
        if None in operands:
            absent = f"{number} IS NULL"
            wholes.append(f"({absent})" if text == NO_TEXT else f"({text} IN ('', 'null') AND {absent})")
        strings = [operand for operand in operands if isinstance(operand, str)]
        numbers = [float(o) for o in operands if isinstance(o, (int, float)) and not isinstance(o, bool)]
        numbers += [_SHOWN[string] for string in strings if string in _SHOWN]
        words = [json.dumps(operand) for operand in operands if isinstance(operand, bool)]
        lists = [_json(operand) for operand in operands if isinstance(operand, list)]
        if (strings or words or lists) and text != NO_TEXT:
            wholes.append(f"{text} IN {self.parameter('Array(String)', [*map(_json, strings), *words, *lists])}")
        if strings:
            elements.append(_string(f"{{}} IN {self.parameter('Array(String)', strings)}", "e"))
        if words:
            elements.append(f"e IN {self.parameter('Array(String)', words)}")
        if any(math.isnan(one) for one in numbers):
            wholes.append(f"ifNull(isNaN({number}), 0)")
        # IN compares bits, for which 0.0 and -0.0 are two.
        if found := [one + 0.0 for one in numbers if not math.isnan(one)]:
            place = self.parameter("Array(Float64)", found)
            wholes.append(f"ifNull({number} + 0. IN {place}, 0)")
            elements.append(f"ifNull(toFloat64OrNull(e) + 0. IN {place}, 0)")
        return self._any_of(field, text, _joined("OR", wholes, "0"), _joined("OR", elements, "0"))

    @staticmethod
    def _any_of(field: Field, text: str, whole: str, element: str) -> str:
        if field.kind not in _LISTS or element == "0" or text == NO_TEXT:
            return whole
        return f"({whole} OR (startsWith({text}, '[') AND arrayExists(e -> {element}, JSONExtractArrayRaw({text}))))"


def _string(test: str, column: str) -> str:
    """A test of a string, which holds of nothing else; `{}` in it is the string."""
    if column == NO_TEXT:
        return "0"
    return f"(startsWith({column}, '\"') AND {test.replace('{}', f'JSONExtractString({column})')})"


def _joined(word: str, parts: list[str], empty: str) -> str:
    return f"({f' {word} '.join(parts)})" if len(parts) > 1 else parts[0] if parts else empty


def _json(value: Any) -> str:
    """As the writer stores it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
