"""Check a request for curves, and hold it in the units that planning and reading use."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from runstream_common.limits import MAX_TIME_US
from runstream_proto.v1 import curves_pb2, query_pb2
from runstream_query.base.errors import InvalidRequestError
from runstream_query.curves.request_checks import bucket_count, check_list, step_range
from runstream_query.curves.smoothing import check_smoothing
from runstream_query.curves.spans import Span

MAX_RUNS, MAX_METRICS, MAX_SERIES = 100, 100, 2000
"""Limits of one request. Two thousand curves of a thousand buckets are 160 MB of answer."""
COLUMNS = frozenset(field.name for field in query_pb2.Curve.DESCRIPTOR.fields if field.is_repeated)
_TIMES = (curves_pb2.X_AXIS_RELATIVE_TIME, curves_pb2.X_AXIS_WALL_TIME)


@dataclass(frozen=True, slots=True)
class CurveQuery:
    """Hold a checked request for curves.

    `min_step`, `max_step`: inclusive. `min_x`, `max_x`: in the unit of the axis, infinite where not given.
    """

    runs: list[str]
    metrics: list[str]
    min_step: int
    max_step: int
    buckets: int
    each_rank: bool
    """True for one curve a rank, False for the mean over ranks."""
    ranks: list[int]
    """The ranks to read; empty for all."""
    x_axis: int
    x_metric: str
    min_x: float
    max_x: float
    smoothing: curves_pb2.Smoothing | None
    columns: frozenset[str]
    """The columns of each curve that are sent."""

    @property
    def steps(self) -> Span:
        """Return the requested range of steps."""
        return Span(self.min_step, self.max_step)

    @property
    def by_time(self) -> bool:
        return self.x_axis in _TIMES

    @property
    def by_metric(self) -> bool:
        return self.x_axis == curves_pb2.X_AXIS_METRIC

    def times_us(self, started_us: int) -> tuple[int, int]:
        """Return the requested range of times of a run, microseconds since 1970; all times where none is requested."""
        if not self.by_time:
            return 0, MAX_TIME_US
        origin = self.origin_us(started_us)
        low = 0 if self.min_x == -math.inf else origin + math.ceil(self.min_x * 1e6)
        high = MAX_TIME_US if self.max_x == math.inf else origin + math.floor(self.max_x * 1e6)
        return min(max(low, 0), MAX_TIME_US), max(min(high, MAX_TIME_US), 0)

    def origin_us(self, started_us: int) -> int:
        """Return the time, microseconds since 1970, at which the axis of a run begins."""
        return started_us if self.x_axis == curves_pb2.X_AXIS_RELATIVE_TIME else 0


def check_query(request: query_pb2.GetCurvesRequest) -> CurveQuery:
    """Check a request for curves. Raises InvalidRequestError, which names the field."""
    runs, metrics = check_list("runs", request.runs, MAX_RUNS), check_list("metrics", request.metrics, MAX_METRICS)
    if len(runs) * len(metrics) > MAX_SERIES:
        raise InvalidRequestError(
            f"{len(runs)} runs x {len(metrics)} metrics: at most {MAX_SERIES} series at once, ask in parts"
        )
    low, high = step_range(request)
    min_x, max_x = _x_range(request)
    by_metric = request.x_axis == curves_pb2.X_AXIS_METRIC
    if by_metric != bool(request.x_metric):
        raise InvalidRequestError("x_metric goes with x_axis X_AXIS_METRIC: give both or neither")
    one = request.selection == query_pb2.RANK_SELECTION_ONE
    ranks = [request.rank] if one else sorted(set(request.ranks))
    smoothing = request.smoothing if request.smoothing.kind else None
    if smoothing is not None:
        check_smoothing(smoothing)
    return CurveQuery(
        runs,
        metrics,
        low,
        high,
        bucket_count(request.buckets),
        request.selection in (query_pb2.RANK_SELECTION_EACH, query_pb2.RANK_SELECTION_ONE),
        ranks,
        request.x_axis or curves_pb2.X_AXIS_STEP,
        request.x_metric,
        min_x,
        max_x,
        smoothing,
        _columns(request.columns),
    )


def _columns(names: Iterable[str]) -> frozenset[str]:
    """Return the named columns, or all where none is named. Raises InvalidRequestError."""
    wanted = frozenset(names)
    if unknown := sorted(wanted - COLUMNS):
        raise InvalidRequestError(f"columns: there is no {unknown[0]}; there are {', '.join(sorted(COLUMNS))}")
    return wanted or COLUMNS


def _x_range(request: query_pb2.GetCurvesRequest) -> tuple[float, float]:
    low = request.min_x if request.HasField("min_x") else -math.inf
    high = request.max_x if request.HasField("max_x") else math.inf
    if math.isnan(low) or math.isnan(high) or low > high:
        raise InvalidRequestError(f"min_x {low:g} and max_x {high:g}: give numbers, the smaller one first")
    if (low, high) != (-math.inf, math.inf) and request.x_axis in (0, curves_pb2.X_AXIS_STEP):
        raise InvalidRequestError("min_x and max_x go with another x_axis: for steps use min_step and max_step")
    return low, high
