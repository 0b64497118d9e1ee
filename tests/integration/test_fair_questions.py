"""One user's load is his own: who else asks is answered meanwhile."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_proto.v1 import export_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from runstream_query.transport.request_queues import EXPORT_SHARES, RequestLimits
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

ASKED = 64
RUNS, STEPS = 20, 70_000
"""So many steps that the engine puts each series into buckets: a query a run."""


@pytest.fixture(scope="module")
def keys(embedded: ServiceStack) -> list[str]:
    """Three of one member, and one of another; project `heavy` has long series."""
    embedded.make_project("heavy")
    client = embedded.clickhouse.client()
    run = f"concat('r', toString(intDiv(number, {STEPS})))"
    client.command(
        f"INSERT INTO points SELECT 'main/heavy', {run}, 'loss', 0, number % {STEPS}, sin(number), "
        f"toDateTime64(1790000000 + number % {STEPS}, 6), 1, toDate('2026-11-01') FROM numbers({RUNS * STEPS})"
    )
    client.command(
        "INSERT INTO series SELECT project, run, metric, rank, max((step, version, value, time)), min(step), "
        "any(run_month) FROM points WHERE project = 'main/heavy' GROUP BY project, run, metric, rank"
    )
    client.command(
        "INSERT INTO streams (project, run, writer, event, rank, epoch, world_size, time, received, run_created, "
        "version, run_month) SELECT 'main/heavy', concat('r', toString(number)), 'w', 'start', 0, 1, 1, now64(6), "
        f"now64(6), toDateTime64(1790000000, 6), 1, toDate('2026-11-01') FROM numbers({RUNS})"
    )
    client.close()

    async def make() -> list[str]:
        store = ControlStore.open(embedded.control_url)
        try:
            mine = [str(await store.create_api_key("loud", "main", Role.MEMBER)) for _ in range(3)]
            return [*mine, str(await store.create_api_key("quiet", "main", Role.MEMBER))]
        finally:
            await store.close()

    return asyncio.run(make())


@contextmanager
def service(stack: ServiceStack) -> Iterator[rpc.QueryServiceStub]:
    with grpc.insecure_channel(stack.address("grpc"), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield rpc.QueryServiceStub(channel)


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


def measured(stack: ServiceStack, name: str) -> float:
    with urllib.request.urlopen(f"http://{stack.address('query_ops')}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def running(stack: ServiceStack) -> int:
    """Queries of the engine, less the one that asks."""
    client = stack.clickhouse.client()
    try:
        return int(client.query("SELECT count() FROM system.processes").result_rows[0][0]) - 1
    finally:
        client.close()


WAITING = 'runstream_query_places_waiting{pool="questions"}'
CURVES = pb.GetCurvesRequest(project="heavy", runs=[f"r{run}" for run in range(RUNS)], metrics=["loss"], ranks=[0])


def test_others_are_answered_while_the_questions_of_one_user_wait(embedded: ServiceStack, keys: list[str]) -> None:
    *loud, quiet = keys
    with service(embedded) as theirs, service(embedded) as mine:
        asked = [
            theirs.GetCurves.future(CURVES, metadata=bearer(loud[number % 3]), timeout=300) for number in range(ASKED)
        ]
        wait_for(lambda: running(embedded) > 0, "the first")
        for key in (quiet, embedded.key):
            assert mine.ListRuns(pb.ListRunsRequest(project="heavy"), metadata=bearer(key), timeout=120).total == RUNS
            one = pb.GetCurvesRequest(project="heavy", runs=["r3"], metrics=["loss"])
            assert sum(mine.GetCurves(one, metadata=bearer(key), timeout=120).curves[0].counts) == STEPS
        done = sum(call.done() for call in asked)
        assert done < ASKED // 2, "they were answered after him"
        assert measured(embedded, WAITING) > 0
        for call in asked:
            call.cancel()
        wait_for(lambda: measured(embedded, WAITING) == 0, "who has gone waits on")


def test_more_than_a_user_may_have_waiting_are_refused_with_what_to_do(embedded: ServiceStack, keys: list[str]) -> None:
    usual = RequestLimits()
    most = usual.waiting + usual.per_user
    with service(embedded) as theirs:
        asked = [
            theirs.GetCurves.future(CURVES, metadata=bearer(keys[number % 3]), timeout=300) for number in range(most)
        ]
        wait_for(lambda: measured(embedded, WAITING) == usual.waiting, "all wait")
        with pytest.raises(grpc.RpcError, match="questions of this user wait already") as refused:
            theirs.ListRuns(pb.ListRunsRequest(project="heavy"), metadata=bearer(keys[0]), timeout=60)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(refused.value.trailing_metadata())["retry-after"].isdecimal()
        question = urllib.request.Request(
            f"http://{embedded.address('http')}/api/v1/ListRuns",
            json.dumps({"project": "heavy"}).encode(),
            {"authorization": f"Bearer {keys[1]}", "content-type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as over_http:
            urllib.request.urlopen(question, timeout=60)
        over_http.value.close()
        assert over_http.value.code == 429 and int(over_http.value.headers["retry-after"]) > 0
        assert theirs.WhoAmI(pb.WhoAmIRequest(), metadata=bearer(keys[0]), timeout=60).user == "loud"
        starting = pb.GetRunRequest(project="heavy", run="r1", omit_completeness=True)
        assert theirs.GetRun(starting, metadata=bearer(keys[0]), timeout=60).id == "r1", "a training that starts"
        for call in asked:
            call.cancel()
        wait_for(lambda: measured(embedded, WAITING) == 0, "who has gone waits on")


def test_exports_of_one_user_leave_room_for_another(embedded: ServiceStack, keys: list[str]) -> None:
    *loud, quiet = keys
    request = export_pb2.ExportPointsRequest(project="heavy", format=export_pb2.EXPORT_FORMAT_CSV)
    taken = 'runstream_query_places_taken{pool="exports"}'
    with service(embedded) as theirs, service(embedded) as mine:
        calls = [theirs.ExportPoints(request, metadata=bearer(loud[number % 3]), timeout=300) for number in range(4)]
        wait_for(lambda: measured(embedded, taken) == EXPORT_SHARES.per_user, "his share, and nobody reads")
        assert next(mine.ExportPoints(request, metadata=bearer(quiet), timeout=120)).data
        for call in calls:
            call.cancel()
