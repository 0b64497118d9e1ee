"""Records of the spool into batches, batches into columns: what went in comes out, bit for bit."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream.sender.batch import BatchBuilder, pack_deltas
from runstream.spool import format
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter
from runstream_common.bus.protocol import BusMessage, Delivery, Origin, Position
from runstream_common.identity import version
from runstream_ingestor.validation import InvalidBatchError
from runstream_ingestor.writer.decode import DecodedBatch, decode, unpack
from runstream_ingestor.writer.point_tables import points_table, series_table
from runstream_proto.v1 import ingest_pb2 as pb

INT64 = st.integers(-(2**63), 2**63 - 1)
NOW = 1_790_000_000_000_000
ORIGIN = Origin("team", "project", "run", "writer-1", 3, 5, NOW, "user", 1, 0, NOW)
PATH = pb.RunPath(team="team", project="project", run="run")


def delivered(data: bytes, origin: Origin = ORIGIN) -> Delivery:
    return Delivery(BusMessage("key", data, origin), Position("local", 0, 0))


def batch(**changes: Any) -> pb.Batch:
    """A good batch of two rows of two keys, changed."""
    frame = pb.MetricFrame(
        keys=["a", "b"],
        rows=2,
        first_number=1,
        first_step=7,
        first_time_us=NOW,
        time_deltas=b"\x05",
        values=struct.pack("<4d", 1, 2, 3, 4),
    )
    for name in list(changes):
        if name in pb.MetricFrame.DESCRIPTOR.fields_by_name:
            value = changes.pop(name)
            frame.ClearField(name)  # type: ignore[arg-type]
            if isinstance(value, list):
                frame.keys.extend(value)
            else:
                setattr(frame, name, value)
    fields = {
        "format": 1,
        "run": PATH,
        "writer_id": "writer-1",
        "rank": 3,
        "first_record": 1,
        "last_record": 2,
        "points": 4,
    }
    return pb.Batch(**{**fields, **changes}, frames=[frame])


@given(st.lists(INT64, min_size=1, max_size=50))
def test_packed_integers_come_back(numbers: list[int]) -> None:
    data = pack_deltas(numbers, signed=True)
    assert unpack(numbers[0], data, len(numbers), signed=True).tolist() == numbers


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50, unique=True).map(sorted))
def test_packed_record_numbers_come_back(numbers: list[int]) -> None:
    data = pack_deltas(numbers, signed=False)
    assert unpack(numbers[0], data, len(numbers), signed=False).tolist() == numbers


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([("a",), ("a", "b"), ("c", "ä/ü", "x" * 100)]),
            st.integers(-(2**53), 2**53),
            st.lists(st.floats(width=64), min_size=3, max_size=3),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_rows_travel_from_spool_to_columns_bit_for_bit(rows: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("spool")
    writer = SpoolWriter(folder)
    expected = set()
    for number, (keys, step, values) in enumerate(rows, start=1):
        writer.append_row(keys, values[: len(keys)], step, NOW + number)
        for key, value in zip(keys, values, strict=False):
            expected.add((key, step, struct.pack("<d", value), NOW + number, version(5, number)))
    builder = BatchBuilder()
    SpoolReader(folder, SpoolPosition(0, format.HEADER_BYTES)).drain(builder)
    decoded = decode(delivered(builder.build(PATH, "writer-1", 3)))
    table = points_table(decoded.blocks).to_pydict()
    found = {
        (metric, step, struct.pack("<d", value), int(moment.timestamp() * 1e6 + 0.5), number)
        for metric, step, value, moment, number in zip(
            table["metric"], table["step"], table["value"], table["time"], table["version"], strict=True
        )
    }
    assert {row[:3] + row[4:] for row in found} == {row[:3] + row[4:] for row in expected}
    assert set(table["project"]) == {"team/project"} and set(table["rank"]) == {3}
    assert str(table["run_month"][0]) == "2026-09-01"


def test_building_the_same_records_again_gives_the_same_bytes(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for step in range(1000):
        writer.append_row(("a", "b"), (step, -step), step, NOW + step)
    writer.append_json(
        '{"kind":"start","value":{"environment":{"variables":{"B":"2","A":"1"},"packages":{"z":"1","a":"2"}}}}', NOW
    )

    def build() -> bytes:
        builder = BatchBuilder()
        SpoolReader(tmp_path, SpoolPosition(0, format.HEADER_BYTES)).drain(builder)
        return builder.build(PATH, "writer-1", 3)

    assert build() == build()


def test_series_hold_the_newest_row_only() -> None:
    first, second = (
        decode(delivered(batch().SerializeToString())),
        decode(delivered(batch(first_number=9, first_step=1, first_record=9, last_record=10).SerializeToString())),
    )
    rows = series_table([*second.blocks, *first.blocks]).to_pylist()
    assert [(row["metric"], row["last"]["step"], row["last"]["value"]) for row in rows] == [
        ("a", 8, 3.0),
        ("b", 8, 4.0),
    ]


def test_nan_and_infinities_are_values() -> None:
    values = struct.pack("<4d", math.nan, math.inf, -math.inf, 0)
    decoded = decode(delivered(batch(values=values).SerializeToString()))
    table = points_table(decoded.blocks)
    assert table.column("value").null_count == 0
    assert math.isnan(table.column("value")[0].as_py())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": b"\0" * 24}, "2 rows of 2 keys and 24 bytes"),
        ({"rows": 3}, "bytes of values"),
        ({"rows": 0}, "0 rows"),
        ({"keys": []}, "0 keys"),
        ({"keys": ["a", "a"]}, "repeats a metric name"),
        ({"keys": ["a", ""]}, "empty metric name"),
        ({"keys": ["a", "x" * 10_000]}, "longer than 1024"),
        ({"keys": ["a", "b\n"]}, "control character"),
        ({"keys": ["a", "b\x85"]}, "control character"),
        ({"step_deltas": b"\1\2\3"}, "do not fit 2 rows"),
        ({"time_deltas": b""}, "do not fit 2 rows"),
        ({"number_deltas": b"\1\2\3"}, "do not fit 2 rows"),
        ({"points": 5}, "declares 5 points and contains 4"),
        ({"first_number": 0}, "out of range"),
        ({"first_number": 2**62}, "out of range"),
        ({"first_record": 9, "last_record": 3}, "not a valid range"),
        ({"format": 2}, "format 2"),
        ({"writer_id": "another-one"}, "its stream to"),
        ({"rank": 4}, "its stream to"),
        ({"run": pb.RunPath(team="victim", project="project", run="run")}, "its stream to"),
    ],
)
def test_batches_that_do_not_hold_together_are_refused_with_the_reason(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidBatchError, match=words):
        decode(delivered(batch(**changes).SerializeToString()))


@pytest.mark.parametrize("data", [b"\xff" * 100, b"\x0a", batch().SerializeToString()[:-5], b"not protobuf at all"])
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBatchError):
        decode(delivered(data))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"first_step": 2**60}, "step out of range"),
        ({"first_step": -(2**62)}, "step out of range"),
        ({"first_time_us": -1_000_000}, "time out of range"),
        ({"first_time_us": 2**62}, "time out of range"),
    ],
)
def test_rows_out_of_range_are_put_aside_and_counted(changes: dict[str, Any], reason: str) -> None:
    decoded: DecodedBatch = decode(delivered(batch(**changes).SerializeToString()))
    assert decoded.rejected == {reason: 4}
    assert decoded.blocks == []


def test_a_row_out_of_range_leaves_its_siblings() -> None:
    decoded = decode(delivered(batch(step_deltas=struct.pack("<q", 2**60)).SerializeToString()))
    assert decoded.rejected == {"step out of range": 2}
    assert decoded.blocks[0].steps.tolist() == [7]
    assert np.array_equal(decoded.blocks[0].values, [[1.0, 2.0]])
