"""Reading ends with the caller: no query of ClickHouse goes on for nobody, in whichever way series are read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.curves.curve_query import check_query
from runstream_query.curves.curve_reading import curves_of
from runstream_query.curves.plan_cache import PlanCache
from runstream_query.curves.readers.curve_reader import ReadContext
from runstream_query.curves.series_plan import SeriesPart, SeriesPlan
from runstream_query.curves.spans import Span

LONG = Span(0, 1_000_000)
PART = SeriesPart("part", LONG, (256,))


class StuckStorage:
    """Answers some queries, and none of the others."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self._answers = answers
        self.running: set[str] = set()
        self.ended: set[str] = set()

    async def rows(self, name: str, **_: Any) -> Any:
        if name in self._answers:
            return self._answers[name]
        self.running.add(name)
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.add(name)

    columns = table = rows


def extent(ranks: int = 1, high: int = LONG.high) -> dict[str, Any]:
    return {"run": "a", "metric": "m", "ranks": ranks, "low_step": 0, "high_step": high}


ROLLED = {
    "run": "a",
    "metric": "m",
    "rank": 0,
    "part": PART.name,
    "widths": list(PART.widths),
    "first_step": LONG.low,
    "last_step": LONG.high,
}


@pytest.mark.parametrize(
    ("answers", "fields", "remembered", "running"),
    [
        ({}, {}, False, {"series_extent", "rolled_series"}),
        ({"series_extent": [extent(high=99)], "rolled_series": []}, {}, False, {"short_series_unmerged"}),
        ({"series_extent": [extent()], "rolled_series": []}, {}, False, {"curve_buckets"}),
        ({"series_extent": [extent(ranks=4)], "rolled_series": []}, {}, False, {"curve_buckets_mean"}),
        (
            {"series_extent": [extent()], "rolled_series": [ROLLED], "other_parts": []},
            {},
            False,
            {"parts_alive", "rolled_cells"},
        ),
        ({}, {}, True, {"points_elsewhere", "parts_alive", "rolled_cells"}),
        ({}, {"x_axis": 4, "x_metric": "x"}, False, {"count_points"}),
    ],
    ids=["plan", "whole series", "engine's buckets", "means", "roll-ups", "remembered", "against a metric"],
)
async def test_all_queries_end_with_the_caller(
    answers: dict[str, list[dict[str, Any]]], fields: dict[str, Any], remembered: bool, running: set[str]
) -> None:
    storage, cache = StuckStorage(answers), PlanCache()
    if remembered:
        cache.remember(("team/p", "a", "m"), SeriesPlan(0, LONG, [PART], []))
    query = check_query(pb.GetCurvesRequest(runs=["a"], metrics=["m"], **fields))
    reading = asyncio.ensure_future(curves_of(ReadContext(cast(Storage, storage), "team/p", query, {}), cache))
    for _ in range(50):
        await asyncio.sleep(0)
    assert storage.running == running and not storage.ended
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert storage.ended == running
