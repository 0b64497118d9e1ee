"""Compute the plot of a table from its plot description. It is pure, and takes the table's rows one part at a time."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from runstream_common import text
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.rich.cells import Row, number, place_of

MAX_POINTS = 20_000
"""Points of all series of one plot: no screen has more columns."""
MAX_SERIES = 500
MAX_CLASSES = 500
"""They make 250,000 cells of a confusion matrix."""
_BINS = 64
_FIELDS = ("x", "y", "stroke", "label", "value", "actual", "predicted", "count")


class Drawing(Protocol):
    """Takes rows, then fills in the response."""

    def take(self, rows: list[Row]) -> None: ...

    def finish(self, response: pb.GetPlotResponse) -> None: ...


def begin(plot_json: str, columns: Sequence[str], response: pb.GetPlotResponse) -> Drawing:
    """Return the drawing of a table's plot, and fill in type, title and fields. Raise InvalidRequestError."""
    spec = _spec(plot_json)
    response.type = str(spec.get("type", ""))
    response.title = str(spec.get("title") or "")
    for name in _FIELDS:
        if spec.get(name):
            response.fields[name] = str(spec[name])
    places = {name: place_of(columns, column) for name, column in response.fields.items()}
    try:
        match response.type:
            case "confusion_matrix":
                return _Confusion(places["actual"], places["predicted"], places["count"])
            case "histogram":
                return _Bins(places["value"])
            case "bar":
                return _Series(places["label"], places["value"], None, "")
            case "line" | "scatter" | "pr_curve" | "roc_curve":
                return _Series(places["x"], places["y"], places.get("stroke"), response.type)
    except KeyError as error:
        raise InvalidRequestError(f"the plot does not name {error}: read the table with GetTable") from error
    raise InvalidRequestError(f"the plot type {response.type[:50]!r} is unknown: read the table with GetTable")


def _spec(plot_json: str) -> dict[str, object]:
    try:
        spec = text.plain(json.loads(plot_json or "{}"))
    except (ValueError, RecursionError):
        spec = None
    if not isinstance(spec, dict) or not spec:
        raise InvalidRequestError("this table has no plot: read it with GetTable")
    return spec


def _number(cell: object) -> float:
    found = number(cell)
    return math.nan if found is None else float(found)


class _Series:
    def __init__(self, x: int, y: int, stroke: int | None, curve: str) -> None:
        self._x, self._y, self._stroke, self._curve = x, y, stroke, curve
        self._points: dict[str, tuple[list[object], list[float]]] = defaultdict(lambda: ([], []))
        self._rows = 0

    def take(self, rows: list[Row]) -> None:
        self._rows += len(rows)
        for row in rows:
            xs, ys = self._points["" if self._stroke is None else str(row[self._stroke])]
            xs.append(row[self._x])
            ys.append(_number(row[self._y]))
        if len(self._points) > MAX_SERIES:
            raise InvalidRequestError(f"the plot has more than {MAX_SERIES} lines: read it with GetTable")

    def finish(self, response: pb.GetPlotResponse) -> None:
        every = max(-(-self._rows // MAX_POINTS), 1)
        response.thinned = every > 1
        for name, (cells, ys) in self._points.items():
            xs = [_number(cell) for cell in cells]
            series = response.series.add(name=text.valid(name), area=area(self._curve, xs, ys))
            kept = range(len(xs)) if every == 1 else [*range(0, len(xs) - 1, every), len(xs) - 1]
            series.xs.extend(xs[place] for place in kept)
            series.ys.extend(ys[place] for place in kept)
            if any(isinstance(cell, str) and number(cell) is None for cell in cells):
                series.labels.extend(text.valid(str(cells[place])) for place in kept)


def area(curve: str, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the area under a `roc_curve` by trapezoids, or the average precision of a `pr_curve`; 0 for other lines.

    The points may ascend or descend. The area is NaN if there are no finite points.
    """
    if curve not in ("pr_curve", "roc_curve"):
        return 0.0
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return math.nan
    if points[0][0] > points[-1][0]:
        points.reverse()  # scikit-learn gives precision and recall from high to low
    if curve == "roc_curve":
        return math.fsum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:], strict=False))
    return math.fsum((b[0] - a[0]) * b[1] for a, b in zip(points, points[1:], strict=False))


class _Bins:
    def __init__(self, value: int) -> None:
        self._value = value
        self._numbers: list[float] = []
        self._left_out = 0

    def take(self, rows: list[Row]) -> None:
        found = [_number(row[self._value]) for row in rows]
        finite = [value for value in found if math.isfinite(value)]
        self._left_out += len(found) - len(finite)
        self._numbers += finite

    def finish(self, response: pb.GetPlotResponse) -> None:
        response.bins.left_out = self._left_out
        if self._numbers:
            counts, edges = np.histogram(np.array(self._numbers), bins=_BINS)
            response.bins.edges.extend(edges.tolist())
            response.bins.counts.extend(counts.astype(float).tolist())


class _Confusion:
    def __init__(self, actual: int, predicted: int, count: int) -> None:
        self._actual, self._predicted, self._count = actual, predicted, count
        self._counts: dict[tuple[str, str], float] = defaultdict(float)
        self._classes: dict[str, None] = {}

    def take(self, rows: list[Row]) -> None:
        for row in rows:
            pair = str(row[self._actual]), str(row[self._predicted])
            value = _number(row[self._count])
            self._classes.update(dict.fromkeys(pair))
            self._counts[pair] += 0.0 if math.isnan(value) else value
        if len(self._classes) > MAX_CLASSES:
            raise InvalidRequestError(f"the matrix has more than {MAX_CLASSES} classes: read it with GetTable")

    def finish(self, response: pb.GetPlotResponse) -> None:
        response.confusion.CopyFrom(confusion(list(self._classes), self._counts))


def confusion(classes: Sequence[str], counts: dict[tuple[str, str], float]) -> pb.ConfusionMatrix:
    """Return the matrix with its totals, and precision, recall and F1 of each class.

    `counts` are by (actual, predicted).
    """
    matrix = np.array([[counts.get((actual, predicted), 0.0) for predicted in classes] for actual in classes])
    matrix = matrix.reshape(len(classes), len(classes))
    hits, actual, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    total = float(matrix.sum())
    found = pb.ConfusionMatrix(
        classes=classes, counts=matrix.ravel().tolist(), total=total, accuracy=_ratio(float(hits.sum()), total)
    )
    for place, name in enumerate(classes):
        hit, actual_count, predicted_count = float(hits[place]), float(actual[place]), float(predicted[place])
        found.scores.add(
            name=name,
            actual=actual_count,
            predicted=predicted_count,
            precision=_ratio(hit, predicted_count),
            recall=_ratio(hit, actual_count),
            f1=_ratio(2 * hit, actual_count + predicted_count),
        )
    return found


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
