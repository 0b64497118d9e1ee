"""Exports: the surviving rows in every format, whole or broken off, and ended when nobody wants them any more."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import http.client
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import grpc
import pyarrow as pa
import pyarrow.parquet
import pytest

from runstream_common.clickhouse.client import connect
from runstream_common.objects import MediaConfig, MediaStore
from runstream_common.service.metrics import Metrics
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.control_store import ControlStore, Resume
from runstream_proto.v1 import export_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.storage import Storage
from runstream_query.base.tail import Tail
from runstream_query.export import file_parts
from runstream_query.export.file_parts import metric_filter
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from runstream_query.sqlaccess.limits import SqlLimits
from runstream_query.transport.credentials import Authenticators
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.grpc_server import make_server
from runstream_query.transport.request_queues import EXPORT_SHARES, RequestLimits, RequestQueues
from tests.integration.world import World, same
from tests.support.stack import ServiceStack

BIG_POINTS = 4_000_000
Row = tuple[str, str, int, int, float, int]


@pytest.fixture(scope="module")
def big(embedded: ServiceStack) -> ServiceStack:
    """A project `big` with one run, too large for all buffers on the way."""

    async def seed() -> None:
        store = ControlStore.open(embedded.control_url)
        owner = await store.authenticate(embedded.key)
        names = {"team": "", "project": "big", "run": "one", "writer_id": "writer-x", "rank": 0}
        await store.bind_stream(owner, resume=Resume.ALLOW, **names)
        await store.close()
        client = await connect(embedded.clickhouse.config)
        await client.command(
            "INSERT INTO points SELECT 'main/big', 'one', concat('m', toString(number % 4)), 0, intDiv(number, 4), "
            "cityHash64(number) / 7, toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number / 1000, number, "
            f"toDate('2026-11-01') FROM numbers({BIG_POINTS})"
        )
        await client.command(
            "INSERT INTO series (project, run, metric, rank, last, run_month) "
            "SELECT project, run, metric, rank, max((step, version, value, time)), any(run_month) "
            "FROM points WHERE project = 'main/big' GROUP BY project, run, metric, rank"
        )
        await client.command(
            "INSERT INTO streams (project, run, writer, event, epoch, world_size, time, version, run_month) "
            "VALUES ('main/big', 'one', 'writer-x', 'start', 1, 1, now64(6), 1, '2026-11-01')"
        )
        await client.close()

    asyncio.run(seed())
    return embedded


async def exported(world: World, kind: pb.ExportFormat.ValueType = pb.EXPORT_FORMAT_ARROW, **fields: Any) -> bytes:
    request = pb.ExportPointsRequest(project=world.project, format=kind, **fields)
    return b"".join([chunk.data async for chunk in world.answers.exporting.ExportPoints(world.principal, request)])


def from_table(table: Any) -> list[Row]:
    columns = [table.column(name).to_pylist() for name in ("run", "metric", "rank", "step", "value")]
    times = table.column("time").cast(pa.int64()).to_pylist()
    return list(zip(*columns, times, strict=True))


def from_csv(data: bytes) -> list[Row]:
    return [
        (row["run"], row["metric"], int(row["rank"]), int(row["step"]), float(row["value"]), 0)
        for row in csv.DictReader(io.StringIO(data.decode()))
    ]


READ: dict[pb.ExportFormat.ValueType, Callable[[bytes], list[Row]]] = {
    pb.EXPORT_FORMAT_ARROW: lambda data: from_table(pa.ipc.open_stream(data).read_all()),
    pb.EXPORT_FORMAT_PARQUET: lambda data: from_table(pyarrow.parquet.read_table(io.BytesIO(data))),
    pb.EXPORT_FORMAT_CSV: from_csv,
}


def check(got: list[Row], world: World, wanted: Callable[[str, str, int, int], bool], *, times: bool = True) -> None:
    expected = [
        (*place, value, moment)
        for place, (_, value, moment) in sorted(
            world.surviving.items(), key=lambda item: (item[0][0], item[0][1].encode(), item[0][2], item[0][3])
        )
        if wanted(*place)
    ]
    assert [row[:4] for row in got] == [row[:4] for row in expected]
    assert all(same(a[4], b[4]) for a, b in zip(got, expected, strict=True))
    assert not times or [row[5] for row in got] == [row[5] for row in expected]


@pytest.mark.parametrize("kind", list(READ))
async def test_an_export_is_the_surviving_rows_in_order(world: World, kind: pb.ExportFormat.ValueType) -> None:
    got = READ[kind](await exported(world, kind))
    check(got, world, lambda *_: True, times=kind != pb.EXPORT_FORMAT_CSV)
    assert any(math.isnan(row[4]) for row in got) and any(math.isinf(row[4]) for row in got)


async def test_runs_metrics_ranks_and_steps_are_chosen(world: World) -> None:
    got = READ[pb.EXPORT_FORMAT_ARROW](
        await exported(world, runs=["run-c", "run-a"], metrics=["l*s", "ä/b ?"], ranks=[0, 2], min_step=-5, max_step=60)
    )
    check(
        got,
        world,
        lambda run, metric, rank, step: run != "run-b" and metric != "acc" and rank != 1 and -5 <= step <= 60,
    )
    assert READ[pb.EXPORT_FORMAT_ARROW](await exported(world, metrics=["acc", "nothing*"], min_step=10_000)) == []


async def test_a_filter_chooses_the_runs(world: World) -> None:
    chosen = json.dumps({"id": {"$in": ["run-a", "run-c"]}})
    check(READ[pb.EXPORT_FORMAT_ARROW](await exported(world, filter=chosen)), world, lambda run, *_: run != "run-b")
    with pytest.raises(UnknownNameError, match="no run is let through"):
        await exported(world, filter='{"id": "run-x"}')
    with pytest.raises(InvalidRequestError):
        await exported(world, filter='{"id": {"$near": 1}}')


async def test_the_names_are_dictionaries_and_the_epoch_comes_when_asked(world: World) -> None:
    table = pa.ipc.open_stream(await exported(world, with_epoch=True)).read_all()
    assert pa.types.is_dictionary(table.schema.field("run").type)
    assert pa.types.is_dictionary(table.schema.field("metric").type)
    epochs = table.column("epoch").to_pylist()
    for row, epoch in zip(from_table(table), epochs, strict=True):
        assert world.surviving[row[:4]][0] >> 40 == epoch


async def test_counts_and_extents_are_those_of_the_rows(world: World) -> None:
    counted = await world.answers.exporting.CountRows(world.principal, pb.CountRowsRequest(project=world.project))
    for found in counted.runs:
        assert found.points == sum(place[0] == found.run for place in world.surviving)
    extent = await world.answers.exporting.GetExtent(
        world.principal, pb.GetExtentRequest(project=world.project, run="run-a", metrics=["loss"])
    )
    series = world.series("run-a", "loss")
    assert [(r.rank, r.first_step, r.last_step) for r in extent.ranks] == [
        (rank, rows[0][0], rows[-1][0]) for rank, rows in sorted(series.items())
    ]
    assert all(found.points >= len(series[found.rank]) for found in extent.ranks)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"runs": ["run-x"]}, "near it: run-"),
        ({"metrics": ["los"]}, "near it: loss"),
        ({"metrics": [""]}, "a name is empty"),
        ({"metrics": [f"m{n}" for n in range(1001)]}, "at most 1000"),
        ({"runs": ["r"] * 10_001}, "at most 10000"),
        ({"runs": ["run-a"], "filter": "{}"}, "do not go together"),
        ({"min_step": 2, "max_step": 1}, "swap them"),
    ],
)
async def test_bad_exports_are_told_what_to_do(world: World, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidRequestError, UnknownNameError), match=words):
        await exported(world, **fields)


def test_patterns_are_only_patterns() -> None:
    assert metric_filter(["a.b", "x*(y", "z?"]) == {"metrics": ["a.b"], "pattern": r"(?s)^(?:x.*\(y|z.)$"}
    assert metric_filter([]) == {"metrics": [], "pattern": ""}


def test_an_error_at_the_end_of_a_stream_is_found_and_other_ends_are_kept() -> None:
    text = b"Code: 241. DB::Exception: too much\n"
    end = b"\r\n__exception__\r\nabc\r\n%b%d abc\r\n__exception__\r\n" % (text, len(text))
    for size in (1, 7, 100_000):
        tail = Tail()
        data = b"x" * 50_000 + end
        got = b"".join(tail.pass_on(data[start : start + size]) for start in range(0, len(data), size))
        assert got == b"x" * len(got)
        with pytest.raises(Exception, match="too much"):
            tail.end()
    tail = Tail()
    assert tail.pass_on(b"short") + tail.end() == b"short"
    tail = Tail()
    assert tail.pass_on(end + b"and more") + tail.end() == end + b"and more"


@contextlib.contextmanager
def download(stack: ServiceStack, what: str, key: str | None = None, **fields: str) -> Iterator[Any]:
    connection = http.client.HTTPConnection(stack.address("http"), timeout=30)
    headers = {"authorization": f"Bearer {stack.key if key is None else key}"}
    connection.request("GET", f"/api/v1/export/{what}?{urlencode(fields)}", headers=headers)
    with contextlib.closing(connection), connection.getresponse() as response:
        yield response


async def running(stack: ServiceStack) -> int:
    client = await connect(stack.clickhouse.config)
    try:
        sql = "SELECT countIf(position(query, 'rank, step, value, time') > 0) - 1 FROM system.processes"
        return int((await client.query(sql)).result_rows[0][0])
    finally:
        await client.close()


def wait_until_ended(stack: ServiceStack) -> None:
    deadline = time.monotonic() + 15.0
    while asyncio.run(running(stack)) > 0:
        assert time.monotonic() < deadline, "the query goes on"
        time.sleep(0.02)


def test_over_http_a_file_is_its_bytes(big: ServiceStack) -> None:
    with download(big, "points", project="big", runs="one", metrics="m1") as response:
        assert response.status == 200
        assert response.getheader("content-type") == "application/vnd.apache.arrow.stream"
        assert 'filename="big-points.arrows"' in response.getheader("content-disposition")
        assert pa.ipc.open_stream(response.read()).read_all().num_rows == BIG_POINTS // 4
    with download(big, "streams", project="big", format="EXPORT_FORMAT_CSV") as response:
        assert b'"one","writer-x","start"' in response.read()
    for what, key, fields, status in (
        ("points", None, {"project": "bigg"}, 404),
        ("points", None, {"project": "big", "metrics": "m9"}, 404),
        ("points", None, {"project": "big", "format": "9"}, 400),
        ("nothing", None, {"project": "big"}, 404),
        ("points", "wrong", {"project": "big"}, 401),
    ):
        with download(big, what, key, **fields) as response:
            assert response.status == status
            assert json.loads(response.read())["error"]["message"]


def test_a_client_that_goes_ends_its_export_over_both_transports(big: ServiceStack) -> None:
    with download(big, "points", project="big", format="EXPORT_FORMAT_CSV") as response:
        response.read(1 << 20)
        assert asyncio.run(running(big)) == 1
    wait_until_ended(big)
    with grpc.insecure_channel(big.address("grpc")) as channel:
        call = _export(channel, big)
        next(call)
        assert asyncio.run(running(big)) == 1
        call.cancel()
        wait_until_ended(big)
    assert "Traceback" not in (big.folder / "query.log").read_text(), "a client that goes is nobody's error"


def test_no_more_exports_of_a_user_at_once_than_his_share(big: ServiceStack) -> None:
    with grpc.insecure_channel(big.address("grpc")) as channel:
        calls = [_export(channel, big) for _ in range(EXPORT_SHARES.per_user)]
        for call in calls:
            next(call)
        one_more = _export(channel, big)
        assert asyncio.run(running(big)) == EXPORT_SHARES.per_user
        calls.pop().cancel()
        assert next(one_more).data, "it waited for a place"
        for call in (*calls, one_more):
            call.cancel()
        wait_until_ended(big)


async def test_an_export_that_nobody_reads_gives_its_place_back(
    big: ServiceStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_parts, "TAKEN_WITHIN_S", 0.5)
    client, store = await connect(big.clickhouse.config), ControlStore.open(big.control_url)
    storage, metrics = Storage(client), Metrics(["query"])
    media = MediaStore(MediaConfig((big.folder / "media").absolute().as_uri()))
    answers = QueryService(storage, store, Deletion(client, storage, store, media))
    authenticators = Authenticators({"key": CachedAuthenticator(store)})
    admission = RequestQueues(RequestLimits(), SqlLimits(), metrics)
    server = make_server(Dispatcher(answers, authenticators, metrics, admission))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = pb.ExportPointsRequest(project="big", format=pb.EXPORT_FORMAT_CSV)
        metadata = (("authorization", f"Bearer {big.key}"),)
        call = rpc.QueryServiceStub(channel).ExportPoints(request, metadata=metadata)
        assert (await call.read()).data
        taken = metrics.gauge("runstream_query_places_taken", pool="exports")
        async with asyncio.timeout(30):
            while taken._value.get():
                await asyncio.sleep(0.05)
        with pytest.raises(grpc.aio.AioRpcError, match="nothing of the answer was taken"):
            async with asyncio.timeout(30):
                while await call.read() is not grpc.aio.EOF:
                    pass
    await server.stop(None)
    await answers.close()
    await client.close()
    await store.close()


def _export(channel: grpc.Channel, stack: ServiceStack) -> Any:
    request = pb.ExportPointsRequest(project="big", format=pb.EXPORT_FORMAT_CSV)
    metadata = (("authorization", f"Bearer {stack.key}"),)
    return rpc.QueryServiceStub(channel).ExportPoints(request, metadata=metadata, timeout=60)
