"""Curves on the wire, and series put into buckets together: against the slow way."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.curves import encoding
from runstream_query.curves.buckets import NAMES, Buckets, from_points
from runstream_query.curves.curve import Curve
from runstream_query.curves.curve_query import check_query
from runstream_query.curves.readers.whole_series import bucket_points
from runstream_query.curves.sorting import Points
from runstream_query.curves.widths import GRID, width_for

QUERY = check_query(pb.GetCurvesRequest(runs=["r"], metrics=["m"], selection=pb.RANK_SELECTION_EACH))
WHOLE = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-200, 200)
COUNT = st.integers(0, (1 << 63) - 1) | st.integers(0, 200)


def buckets_of(rows: list[tuple[int, int, int, float]]) -> Buckets:
    signed, moments, counts, values = ([row[place] for row in rows] for place in range(4))
    columns = {
        name: np.array(
            {"earliest_us": moments, "points": counts, "not_finite": counts}.get(name, signed), dtype=np.int64
        )
        for name in NAMES
    }
    doubles = ("first", "last", "minimum", "maximum", "total")
    return Buckets(**{**columns, **{name: np.array(values, dtype=np.float64) for name in doubles}})


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(WHOLE, WHOLE, COUNT, st.floats()), max_size=6), max_size=5), st.integers(1, 9))
def test_a_curve_is_encoded_as_protobuf_would(curves: list[list[tuple[int, int, int, float]]], batch: int) -> None:
    found = [Curve("r", "m", rank, 3, buckets_of(rows)) for rank, rows in enumerate(curves)]
    expected = pb.GetCurvesResponse()
    usual, encoding._BATCH = encoding._BATCH, batch
    try:
        response = encoding.encode_curves(found, QUERY)
    finally:
        encoding._BATCH = usual
    for curve in found:
        into = expected.curves.add(run="r", metric="m", rank=curve.rank, bucket_width=3)
        of = curve.buckets
        for field, column in (
            ("first_steps", of.first_step),
            ("last_steps", of.last_step),
            ("first_times_us", of.earliest_us),
            ("counts", of.points),
            ("not_finite", of.not_finite),
            ("firsts", of.first),
            ("lasts", of.last),
            ("mins", of.minimum),
            ("maxs", of.maximum),
            ("means", of.means),
        ):
            getattr(into, field).extend(column.tolist())
    assert response.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)),
        st.lists(st.tuples(st.integers(-500, 500), st.floats()), min_size=1, unique_by=lambda row: row[0]),
        max_size=8,
    ),
    st.integers(1, 12),
)
def test_series_in_buckets_together_are_as_one_by_one(
    series: dict[tuple[int, int, int], list[tuple[int, float]]], buckets: int
) -> None:
    rows = [(*name, step, value) for name in sorted(series) for step, value in sorted(series[name])]
    steps, values = np.array([row[3] for row in rows], dtype=np.int64), np.array([row[4] for row in rows], dtype=float)
    runs, metrics = ["abc"[run] for run, _, _ in sorted(series)], ["xy"[metric] for _, metric, _ in sorted(series)]
    counts = np.array([len(series[name]) for name in sorted(series)], dtype=np.int64)
    points = Points(runs, metrics, [rank for _, _, rank in sorted(series)], counts, steps, values, steps * 7)
    found = list(bucket_points(points, buckets))
    assert [(curve.run, curve.metric, curve.rank) for curve in found] == [
        ("abc"[run], "xy"[metric], rank) for run, metric, rank in sorted(series)
    ]
    for curve, name in zip(found, sorted(series), strict=True):
        together = [step for other, own in series.items() if other[:2] == name[:2] for step, _ in own]
        longest = max(len(own) for other, own in series.items() if other[:2] == name[:2])
        width = 1 if longest <= buckets else width_for(min(together), max(together), buckets)
        steps = np.array(sorted(step for step, _ in series[name]), dtype=np.int64)
        values = np.array([value for _, value in sorted(series[name])], dtype=np.float64)
        alone = from_points((steps + GRID) // width, steps, values, steps * 7)
        assert curve.width == width
        for column in NAMES:
            np.testing.assert_array_equal(getattr(curve.buckets, column), getattr(alone, column))


@settings(max_examples=200)
@given(
    st.integers(1, 62).flatmap(
        lambda bits: st.lists(
            st.lists(st.integers(0, (1 << bits) - 1) | st.integers(0, bits - 1).map(lambda bit: 1 << bit), max_size=6),
            min_size=1,
            max_size=4,
        )
    ),
    st.booleans(),
)
def test_numbers_of_every_size_are_encoded_as_protobuf_would(columns: list[list[int]], signed: bool) -> None:
    signs = [[-number if signed and number % 3 == 0 else number for number in column] for column in columns]
    encoded = encoding.varints([np.array(column, dtype=np.int64) for column in signs], signed=signed)
    for column, data in zip(signs, encoded, strict=False):
        curve = pb.Curve(first_steps=column) if signed else pb.Curve(counts=column)
        assert curve.SerializeToString()[2:] == bytes(data), "behind the field's number and its length, a byte each"
