"""Turns columns of values of any kind into numbers, with the kind of axis that fits them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstream_proto.v1 import ranking_pb2 as pb

_DECADES_OF_LOG = 2
"""Positive numbers that span at least this many decades get a logarithmic axis, such as learning rates."""


@dataclass(frozen=True, slots=True)
class ParameterColumn:
    name: str
    kind: pb.AxisKind.ValueType
    values: NDArray[np.float64]
    """One number a run; a category is its place in `categories`. NaN: the value is missing, or NaN."""
    categories: tuple[str, ...] = ()
    distinct: int = 0

    @property
    def present(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.values)

    @property
    def numeric(self) -> bool:
        """True when the values have an order of their own; false and true have one."""
        return self.kind != pb.AXIS_KIND_CATEGORY or set(self.categories) <= {"false", "true"}


def make_column(name: str, values: Sequence[Any], time: bool = False) -> ParameterColumn:
    """Return the column of these values: numbers, texts, booleans, lists, or None where missing."""
    given = [value for value in values if value is not None]
    if all(_is_number(value) for value in given):
        numbers = np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
        finite = numbers[np.isfinite(numbers)]
        kind = pb.AXIS_KIND_TIME if time else _scale(finite)
        return ParameterColumn(name, kind, numbers, distinct=len(np.unique(finite)))
    texts = [None if value is None else category(value) for value in values]
    known = sorted({text for text in texts if text is not None})
    places = {text: float(place) for place, text in enumerate(known)}
    codes = np.array([math.nan if text is None else places[text] for text in texts], dtype=np.float64)
    return ParameterColumn(name, pb.AXIS_KIND_CATEGORY, codes, tuple(known), len(known))


def category(value: Any) -> str:
    """Return a text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _scale(finite: NDArray[np.float64]) -> pb.AxisKind.ValueType:
    if len(finite) and finite.min() > 0 and math.log10(finite.max()) - math.log10(finite.min()) >= _DECADES_OF_LOG:
        return pb.AXIS_KIND_LOG
    return pb.AXIS_KIND_NUMBER
