"""The gateway over real gRPC: what is wrong is said at the edge, what is right is stored and acked."""

from __future__ import annotations

import asyncio
import struct
import time
import uuid
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack


@dataclass
class Client:
    """One stream, spoken by hand."""

    channel: grpc.aio.Channel
    key: str
    run: str
    writer: str = "writer-by-hand"

    def open(self, key: str | None = None) -> Any:
        metadata = (("authorization", f"Bearer {self.key if key is None else key}"),)
        return rpc.IngestServiceStub(self.channel).Stream(metadata=metadata)

    def hello(self, **changes: Any) -> pb.IngestRequest:
        path = changes.pop("run", pb.RunPath(project="hand", run=self.run))
        fields = {"writer_id": self.writer, "rank": 0, "world_size": 1}
        return pb.IngestRequest(hello=pb.Hello(run=path, **{**fields, **changes}))

    async def welcomed(self, **changes: Any) -> tuple[Any, pb.Welcome]:
        call = self.open()
        await call.write(self.hello(**changes))
        return call, (await asyncio.wait_for(call.read(), 60)).welcome

    def batch(self, number: int = 1, first: int = 1, **frame: Any) -> pb.Batch:
        columns = {
            "keys": ["loss"],
            "rows": 2,
            "first_number": first,
            "first_step": first,
            "first_time_us": time.time_ns() // 1000,
            "time_deltas": b"\x01",
            "values": struct.pack("<2d", number, float("nan")),
        }
        frames = [pb.MetricFrame(**{**columns, **frame})]
        points = sum(len(f.keys) * f.rows for f in frames)
        path = pb.RunPath(project="hand", run=self.run)
        return pb.Batch(
            format=1,
            run=path,
            writer_id=self.writer,
            first_record=first,
            last_record=first + 1,
            points=points,
            frames=frames,
        )

    async def send(self, call: Any, number: int, data: bytes, crc: int | None = None) -> pb.IngestResponse:
        sealed = pb.SealedBatch(number=number, batch=data, crc32=zlib.crc32(data) if crc is None else crc)
        await call.write(pb.IngestRequest(batch=sealed))
        return await asyncio.wait_for(call.read(), 60)  # type: ignore[no-any-return]


@pytest.fixture
async def client(embedded: ServiceStack) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(embedded.address("gateway")) as channel:
        yield Client(channel, embedded.key, f"run-{uuid.uuid4().hex[:8]}")


async def refusal(call: Any, request: pb.IngestRequest | None) -> tuple[grpc.StatusCode, str]:
    try:
        if request is not None:
            await call.write(request)
        await asyncio.wait_for(call.read(), 60)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    return await call.code(), await call.details()


async def test_a_batch_is_stored_when_it_is_acked(client: Client, embedded: ServiceStack) -> None:
    call, welcome = await client.welcomed()
    assert (welcome.epoch, welcome.run.team) == (1, "main")
    answer = await client.send(call, 1, client.batch().SerializeToString())
    assert answer.ack.number == 1
    query = "SELECT step, value, version FROM points WHERE run = {run:String} ORDER BY step"
    rows = embedded.clickhouse.client().query(query, parameters={"run": client.run}).result_rows
    assert [(step, version) for step, _, version in rows] == [(1, 1 << 40 | 1), (2, 1 << 40 | 2)]
    assert rows[0][1] == 1.0 and rows[1][1] != rows[1][1]
    call.cancel()


async def test_a_batch_sent_again_changes_nothing(client: Client, embedded: ServiceStack) -> None:
    data = client.batch().SerializeToString()
    for _ in range(3):
        call, welcome = await client.welcomed()
        assert welcome.epoch == 1
        assert (await client.send(call, 1, data)).ack.number == 1
        call.cancel()
    ask = embedded.clickhouse.client()
    for table, count in (("points", 2), ("ledger", 1)):
        query = f"SELECT count() FROM {table} FINAL WHERE run = {{run:String}}"
        assert ask.query(query, parameters={"run": client.run}).result_rows == [(count,)]


async def test_a_batch_that_comes_after_a_later_one_is_stored(client: Client, embedded: ServiceStack) -> None:
    for number, first in ((2, 3), (1, 1)):
        call, _ = await client.welcomed()
        data = client.batch(number, first).SerializeToString()
        assert (await client.send(call, number, data)).ack.number == number
        call.cancel()
    query = "SELECT step FROM points FINAL WHERE run = {run:String} ORDER BY step"
    rows = embedded.clickhouse.client().query(query, parameters={"run": client.run}).result_rows
    assert [step for (step,) in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("key", ["", "garbage", "rs_000000000000_" + "x" * 43])
async def test_unknown_keys_are_refused_before_a_word_is_read(client: Client, key: str) -> None:
    # Nothing is written: grpc.aio says INTERNAL of a write that meets the end of a stream, and forgets what was said.
    status, words = await refusal(client.open(key), None)
    assert status is grpc.StatusCode.UNAUTHENTICATED and "runstream key create" in words


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"run": pb.RunPath(team="rivals", project="p", run="r")}, grpc.StatusCode.PERMISSION_DENIED, "may not write"),
        ({"run": pb.RunPath(project="a/b", run="r")}, grpc.StatusCode.INVALID_ARGUMENT, "the project"),
        ({"run": pb.RunPath(project="p", run="")}, grpc.StatusCode.INVALID_ARGUMENT, "the run"),
        (
            {"run": pb.RunPath(project="'; DROP TABLE points; --", run="r")},
            grpc.StatusCode.INVALID_ARGUMENT,
            "the project",
        ),
        ({"writer_id": "x"}, grpc.StatusCode.INVALID_ARGUMENT, "writer id"),
        ({"rank": 5}, grpc.StatusCode.INVALID_ARGUMENT, "rank 5 of world size 1"),
        ({"resume": pb.RESUME_MODE_MUST}, grpc.StatusCode.NOT_FOUND, "to resume"),
    ],
)
async def test_a_hello_that_cannot_be_is_refused_in_words(
    client: Client, changes: dict[str, Any], status: grpc.StatusCode, words: str
) -> None:
    got, said = await refusal(client.open(), client.hello(**changes))
    assert got is status and words in said


async def test_a_viewer_may_not_write(client: Client, embedded: ServiceStack) -> None:
    store = ControlStore.open(embedded.control_url)
    key = await store.create_api_key("viewer", "main", Role.VIEWER)
    await store.close()
    assert (await refusal(client.open(key), client.hello()))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_a_stream_begins_with_a_hello(client: Client) -> None:
    status, words = await refusal(client.open(), pb.IngestRequest(ping=pb.Ping()))
    assert status is grpc.StatusCode.INVALID_ARGUMENT and "begins with a hello" in words


@pytest.mark.parametrize("welcomed", [False, True], ids=["first", "later"])
async def test_bytes_that_are_no_message_are_refused_in_words(client: Client, welcomed: bool) -> None:
    method = client.channel.stream_stream(
        "/runstream.v1.IngestService/Stream", response_deserializer=pb.IngestResponse.FromString
    )
    call = method(metadata=(("authorization", f"Bearer {client.key}"),))
    if welcomed:
        await call.write(client.hello().SerializeToString())
        assert (await call.read()).HasField("welcome")
    await call.write(b"\xff no message")
    with pytest.raises(grpc.aio.AioRpcError, match="the request cannot be read") as refused:
        while await call.read() is not grpc.aio.EOF:
            pass
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_key_revoked_in_mid_stream_ends_it(client: Client, embedded: ServiceStack) -> None:
    store = ControlStore.open(embedded.control_url)
    client.key = await store.create_api_key("leaver", "main")
    call, _ = await client.welcomed()
    assert (await client.send(call, 1, client.batch().SerializeToString())).ack.number == 1
    await store.revoke_api_key(client.key[:15])
    await store.close()
    number = 1
    with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError, AssertionError)):
        async with asyncio.timeout(60):
            while True:
                number += 1
                answer = await client.send(call, number, client.batch(number, 2 * number).SerializeToString())
                assert answer is not grpc.aio.EOF
                await asyncio.sleep(0.2)
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


BAD = [
    ("a truncated batch", lambda c: c.batch().SerializeToString()[:-3], pb.REJECT_REASON_CORRUPT),
    ("garbage", lambda c: b"\xff\xfe\xfd" * 50, pb.REJECT_REASON_CORRUPT),
    ("too large", lambda c: bytes((4 << 20) + 1), pb.REJECT_REASON_TOO_LARGE),
    ("rows and keys differ", lambda c: c.batch(values=b"12345678").SerializeToString(), pb.REJECT_REASON_BAD_SHAPE),
    ("a name of 10 KB", lambda c: c.batch(keys=["x" * 10240]).SerializeToString(), pb.REJECT_REASON_BAD_NAME),
    ("a name with a bell", lambda c: c.batch(keys=["a\x07"]).SerializeToString(), pb.REJECT_REASON_BAD_NAME),
    (
        "another's run",
        lambda c: pb.Batch(
            format=1, run=pb.RunPath(project="hand", run="other"), writer_id=c.writer
        ).SerializeToString(),
        pb.REJECT_REASON_WRONG_RUN,
    ),
]


@pytest.mark.parametrize(("what", "make", "reason"), BAD, ids=[what for what, _, _ in BAD])
async def test_a_bad_batch_is_rejected_and_those_behind_it_are_stored(
    client: Client, what: str, make: Any, reason: pb.RejectReason.ValueType
) -> None:
    call, _ = await client.welcomed()
    reject = (await client.send(call, 1, make(client))).reject
    assert (reject.number, reject.reason) == (1, reason)
    assert reject.detail
    assert (await client.send(call, 2, client.batch(2, 3).SerializeToString())).ack.number == 2
    call.cancel()


async def test_a_checksum_that_does_not_fit_is_rejected(client: Client) -> None:
    call, _ = await client.welcomed()
    assert (
        await client.send(call, 1, client.batch().SerializeToString(), crc=1)
    ).reject.reason == pb.REJECT_REASON_CORRUPT
    call.cancel()


async def test_absurd_steps_and_times_are_put_aside_with_their_reason(client: Client, embedded: ServiceStack) -> None:
    call, _ = await client.welcomed()
    for number, frame in enumerate(({"first_step": 2**62}, {"first_time_us": 2**62}, {"first_step": -5}), start=1):
        assert (
            await client.send(call, number, client.batch(number, 2 * number, **frame).SerializeToString())
        ).ack.number
    ask = embedded.clickhouse.client()
    query = "SELECT reason, points FROM rejects FINAL WHERE run = {run:String} ORDER BY reason"
    rows = ask.query(query, parameters={"run": client.run}).result_rows
    assert rows == [("step out of range", 2), ("time out of range", 2)]
    query = "SELECT step FROM points WHERE run = {run:String} ORDER BY step"
    assert ask.query(query, parameters={"run": client.run}).result_rows == [(-5,), (-4,)]
    call.cancel()


async def test_a_stream_of_a_message_beyond_all_bounds_ends_and_the_gateway_lives(client: Client) -> None:
    call, _ = await client.welcomed()
    data = bytes(20 << 20)
    with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
        await client.send(call, 1, data)
        raise asyncio.InvalidStateError
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    again, _ = await client.welcomed()
    assert (await client.send(again, 2, client.batch().SerializeToString())).ack.number == 2
    again.cancel()


async def test_acks_wait_for_clickhouse_and_come_when_it_is_back(client: Client, embedded: ServiceStack) -> None:
    """The writer repeats an insert until it succeeds; nothing is acked before."""
    call, _ = await client.welcomed()
    await asyncio.to_thread(embedded.clickhouse.service.kill)
    waiting = asyncio.create_task(client.send(call, 1, client.batch().SerializeToString()))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    await asyncio.to_thread(embedded.clickhouse.start)
    assert (await asyncio.wait_for(waiting, 60)).ack.number == 1
    call.cancel()


def test_the_services_metrics_and_health_answer(embedded: ServiceStack) -> None:
    import urllib.error
    import urllib.request

    for ops in ("gateway_ops", "query_ops"):
        for path, words in (("healthz", b"{"), ("metrics", b"runstream_"), ("readyz", b"ok")):
            url = f"http://{embedded.address(ops)}/{path}"

            def answered(url: str = url, words: bytes = words) -> bool:
                try:
                    with urllib.request.urlopen(url, timeout=5) as response:
                        return words in response.read()
                except urllib.error.HTTPError as error:  # not ready for a moment, which it says
                    error.close()
                    return False

            wait_for(answered, url)
