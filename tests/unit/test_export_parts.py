"""The parts of export and import that need no server."""

from __future__ import annotations

import asyncio
import gzip
import io
import random
import re

import lz4.frame
import numpy as np
import pytest
import zstandard

from runstream.api import InvalidRequestError, MissingExtraError
from runstream.api.frames import build, need
from runstream.api.histories import spread
from runstream.api.listing import filter_json
from runstream.api.progress import TransferProgress
from runstream.archive import layout, metric_frames
from runstream.archive.attempts import MARK, Attempt, writer_id
from runstream.sender.batch import pack_deltas
from runstream_deploy.embedded.packing import choose_packer
from runstream_deploy.embedded.request import parse_statement
from runstream_ingestor.validation import check_batch
from runstream_ingestor.writer.decode import unpack
from runstream_proto.v1 import ingest_pb2
from runstream_query.base.errors import ClientGoneError
from runstream_query.export.file_parts import metric_filter
from runstream_query.transport.client_gone import unless_gone


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "zstd", "lz4"])
def test_an_answer_packed_in_pieces_unpacks_to_the_whole(encoding: str) -> None:
    unpack_whole = {"zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}
    unpack_whole |= {"lz4": lz4.frame.decompress, "gzip": gzip.decompress, "x-gzip": gzip.decompress}
    pieces = [random.Random(7).randbytes(size) for size in (1, 100_000, 0, 70_000)]
    packer = choose_packer({"enable_http_compression": "1"}, {"accept-encoding": f"br, {encoding};q=1"})
    assert packer is not None
    packed = b"".join([*map(packer.add, pieces), packer.finish()])
    assert unpack_whole[encoding](packed) == b"".join(pieces)
    assert unpack_whole[encoding](packer.whole(pieces[1])) == pieces[1]


def test_answers_are_not_packed_unless_asked_for() -> None:
    assert choose_packer({}, {"accept-encoding": "gzip"}) is None
    refused = choose_packer({"enable_http_compression": "1"}, {"accept-encoding": "zstd;q=0, lz4; q=0.0, gzip;q=0.5"})
    assert refused is not None and refused.name == "gzip"
    assert choose_packer({"enable_http_compression": "1"}, {"accept-encoding": "br"}) is None


@pytest.mark.parametrize(
    ("sql", "streams", "reads"),
    [
        ("SELECT 1", True, True),
        ("-- why\nWITH 1 AS x SELECT x", True, True),
        ("WITH 1 AS x INSERT INTO t SELECT x", False, True),
        ("SHOW TABLES", False, True),
        ("(SELECT 1)", False, True),
        ("INSERT INTO t SELECT 1", False, False),
        ("ALTER TABLE t DELETE WHERE 1", False, False),
        ("SELECT 1 INTO OUTFILE 'x'", False, True),
    ],
)
def test_statements_that_stream_only_read(sql: str, streams: bool, reads: bool) -> None:
    statement = parse_statement({}, {}, sql.encode(), read_only=False)
    assert (statement.streams, statement.reads) == (streams, reads)


def test_the_answers_format_moves_behind_the_pipe() -> None:
    statement = parse_statement({}, {}, b"SELECT 1 FORMAT JSON;", read_only=False)
    assert statement.into("/p") == "SELECT 1\nINTO OUTFILE '/p' TRUNCATE COMPRESSION 'none' FORMAT JSON"


async def test_work_ends_when_the_client_leaves() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def leave() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGoneError):
        await unless_gone(leave, work())
    assert ended.is_set()

    async def stay() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def answer() -> int:
        return 5

    assert await unless_gone(stay, answer()) == 5


@pytest.mark.parametrize("seed", range(20))
def test_differences_are_those_of_the_sender(seed: int) -> None:
    generator = random.Random(seed)
    spread = 10 ** generator.randrange(1, 19)
    numbers = [generator.randrange(-spread, spread) for _ in range(generator.randrange(1, 40))]
    if seed % 5 == 0:
        numbers = list(range(numbers[0], numbers[0] + len(numbers)))
    packed = metric_frames.pack_deltas(np.array(numbers, dtype=np.int64), ones_are_empty=True)
    assert packed == pack_deltas(numbers, signed=True)
    assert unpack(numbers[0], packed, len(numbers), signed=True).tolist() == numbers


def test_an_attempts_batches_hold_together_and_are_the_same_again() -> None:
    def batches() -> list[bytes]:
        attempt = Attempt("writer", 1, 3, {"start": _event(5), "heartbeat": _event(8), "finish": _event(9)}, "import-1")
        cut = []
        attempt.start({"python": "3.11", "packages": {"numpy": "2"}})
        attempt.add_points("loss", np.arange(3), np.arange(3) * 7, np.array([np.nan, np.inf, -1.0]))
        cut.append(attempt.cut("t", "p", "r"))
        attempt.add_points("loss", np.array([9]), np.array([1]), np.array([2.0]))
        attempt.end()
        return [*cut, attempt.cut("t", "p", "r"), attempt.cut("t", "p", "r")]

    first, second, nothing = batches()
    assert [first, second, nothing] == batches() and nothing == b""
    parsed = [ingest_pb2.Batch.FromString(data) for data in (first, second)]
    for batch in parsed:
        check_batch(batch)
    assert [(b.first_record, b.last_record, b.points) for b in parsed] == [(1, 4, 3), (5, 7, 1)]
    finish = parsed[1].records[-1].finish
    assert (finish.points, finish.records, finish.exit_code) == (4, 6, 2)


def test_writers_of_an_import_follow_from_where_they_come() -> None:
    one = writer_id("t/p", "r", "w", 0)
    assert one == writer_id("t/p", "r", "w", 0) and one.startswith(MARK) and len(one) <= 64
    assert len({one, writer_id("t/q", "r", "w", 0), writer_id("t/p", "r", "w", 1), writer_id("t/p", "r", "x", 0)}) == 4


def test_runs_that_differ_in_case_alone_have_files_of_their_own() -> None:
    names = layout.points_names(["Run", "run", "RUN", "other"], ".parquet")
    assert len({name.lower() for name in names.values()}) == 4 and names["other"] == "points/other.parquet"


def test_frames_tell_nothing_from_nan() -> None:
    columns = {"a": [1.0, None], "b": [float("nan"), 2.0]}
    assert build(columns, "arrow").column("a").null_count == 1 and build(columns, "arrow").column("b").null_count == 0
    assert build(columns, "polars")["a"].null_count() == 1
    assert build(columns, "pandas")["a"].isna().tolist() == [False, True]
    assert build(columns, "default")[1] == {"b": 2.0}
    with pytest.raises(MissingExtraError, match=r"runstream\[nothing\]"):
        need("nothing")


def test_filters_are_json_or_refused() -> None:
    assert filter_json({"config.lr": {"$lt": 0.1}}) == '{"config.lr": {"$lt": 0.1}}'
    assert filter_json(None) == filter_json({}) == "" and filter_json('{"a": 1}') == '{"a": 1}'
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        filter_json({"a": object()})


def test_progress_is_silent_without_a_terminal_and_short_with_one() -> None:
    silent, terminal = io.StringIO(), _Terminal()
    for stream in (silent, terminal):
        with TransferProgress("reading", 3, "runs", stream) as progress:
            for _ in range(3):
                progress.add(1)
    assert silent.getvalue() == ""
    assert terminal.getvalue().endswith("\n") and "3/3 runs" in terminal.getvalue()
    assert terminal.getvalue().count("\r") <= 3


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _event(moment: int) -> dict[str, object]:
    said = {"world_size": 2, "host": "h", "pid": 1, "helper": 0, "outcome": "failed", "exit_code": 2}
    return {**said, "dropped_points": 0, "time": moment}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["*"], ["*", "?", "a\\b", "loss", "loss.min"]),
        ([r"\*"], ["*"]),
        ([r"\?"], ["?"]),
        (["?"], ["*", "?"]),
        (["a\\b"], ["a\\b"]),
        ([r"loss*", r"\?"], ["?", "loss", "loss.min"]),
    ],
)
def test_a_backslash_makes_a_wildcard_a_character(asked: list[str], found: list[str]) -> None:
    chosen = metric_filter(asked)
    names = ["*", "?", "a\\b", "loss", "loss.min"]
    matches = [n for n in names if n in chosen["metrics"] or (chosen["pattern"] and re.search(chosen["pattern"], n))]
    assert matches == found


def test_the_columns_of_a_bucket_take_no_metrics_name() -> None:
    columns: dict[str, list[object]] = {"_step": []}
    metrics = {"loss": (1.0, 0.5, 2.0, 1.0, 1.5, 2), "loss.min": (-1.0, -2.0, 0.0, 0.0, -2.0, 2)}
    spread(columns, {"_step": 0}, metrics, True, frozenset(metrics))
    assert columns["loss"] == [1.0] and columns["loss.min"] == [-1.0]
    assert columns["loss.bucket_min"] == [0.5] and columns["loss.max"] == [2.0] and columns["loss.min.min"] == [-2.0]
