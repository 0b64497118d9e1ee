"""The live stream against the real engine: everything that arrives is told once, whatever the order, the readers and
the connections do."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runstream_common.clickhouse.client import StorageUnavailableError, connect
from runstream_common.objects import MediaConfig, MediaStore
from runstream_common.service.metrics import Metrics
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.control_store import ControlStore, Resume
from runstream_control.errors import AuthenticationError
from runstream_control.principal import Principal
from runstream_proto.v1 import ingest_pb2
from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.errors import GoingAwayError, InvalidRequestError, TooManyWatchersError
from runstream_query.base.storage import Storage
from runstream_query.live import limits
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from runstream_query.sqlaccess.limits import SqlLimits
from runstream_query.transport import dispatcher
from runstream_query.transport.credentials import Authenticators, Credential
from runstream_query.transport.request_queues import RequestLimits, RequestQueues
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack


class CountingStorage(Storage):
    """Also fails on demand, as when ClickHouse is away."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked: Counter[str] = Counter()
        self.away = False

    async def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        self._count(name)
        return await super().rows(name, **parameters)

    async def columns(self, name: str, **parameters: Any) -> dict[str, Any]:
        self._count(name)
        return await super().columns(name, **parameters)

    def _count(self, name: str) -> None:
        self.asked[name] += 1
        if self.away:
            raise StorageUnavailableError("away")


@dataclass
class Watcher:
    """Reads a stream in a task of its own, and keeps what it is told."""

    responses: AsyncIterator[pb.WatchRunsResponse]
    told: list[pb.WatchRunsResponse] = field(default_factory=list)
    error: BaseException | None = None
    task: asyncio.Task[None] | None = None

    def points(self) -> list[tuple[str, str, int, int, float]]:
        return [
            (one.run, one.metric, one.rank, step, value)
            for response in self.told
            for one in response.points
            for step, value in zip(one.steps, one.values, strict=True)
        ]

    def changes(self) -> list[tuple[Any, str, str]]:
        return [(one.kind, one.run, one.state) for response in self.told for one in response.runs]

    async def begin(self) -> Watcher:
        self.task = asyncio.create_task(self._read())
        await self.wait(lambda: bool(self.told) or self.error is not None)
        return self

    async def _read(self) -> None:
        try:
            async for response in self.responses:
                self.told.append(response)
        except Exception as error:  # noqa: BLE001  # for the test to look at
            self.error = error

    async def wait(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def wait_for_points(self, count: int) -> None:
        await self.wait(lambda: len(self.points()) >= count)

    async def end(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.responses.aclose()  # type: ignore[attr-defined]  # an async generator


@dataclass
class World:
    client: Any
    store: ControlStore
    storage: CountingStorage
    answers: QueryService
    principal: Principal
    project: str

    def attempt(self, run: str = "run", epoch: int = 1, rank: int = 0) -> Attempt:
        return Attempt("main", self.project, run, epoch, rank)

    async def begin(self, *runs: str) -> list[Attempt]:
        """Runs that have started, and one that exists for the project's sake."""
        for run in runs:
            await self.store.bind_stream(
                self.principal,
                team="",
                project=self.project,
                run=run,
                writer_id="writer-x",
                rank=0,
                resume=Resume.ALLOW,
            )
        attempts = [self.attempt(run) for run in runs]
        await put(self.client, *(attempt.start() for attempt in attempts))
        return attempts

    def ask(self, **fields: Any) -> AsyncIterator[pb.WatchRunsResponse]:
        request = pb.WatchRunsRequest(project=self.project, **fields)
        return self.answers.live.WatchRuns(self.principal, request)

    async def watch(self, **fields: Any) -> Watcher:
        return await Watcher(self.ask(**fields)).begin()


@pytest.fixture
async def world(embedded: ServiceStack) -> AsyncIterator[World]:
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    storage = CountingStorage(client)
    deletion = Deletion(client, storage, store, MediaStore(MediaConfig("memory:///")))
    answers = QueryService(storage, store, deletion)
    principal = await store.authenticate(embedded.key)
    yield World(client, store, storage, answers, principal, f"live-{uuid.uuid4().hex[:8]}")
    await answers.close()
    await client.close()
    await store.close()


async def test_points_of_all_writers_are_told_with_their_values(world: World) -> None:
    (first,) = await world.begin("run")
    await put(world.client, first.points({"loss": [9.0]}, [0]))
    watcher = await world.watch(runs=["run"], metrics=["loss", "acc*"])
    second = world.attempt(epoch=2, rank=1)
    await put(world.client, first.points({"loss": [math.nan, math.inf], "other": [1, 2]}, [1, 2]))
    await put(world.client, second.points({"acc/a": [0.5], "loss": [-0.0]}, [7]))
    await watcher.wait_for_points(4)
    found = watcher.points()
    assert sorted(map(str, found)) == sorted(
        map(
            str,
            [
                ("run", "loss", 0, 1, math.nan),
                ("run", "loss", 0, 2, math.inf),
                ("run", "acc/a", 1, 7, 0.5),
                ("run", "loss", 1, 7, -0.0),
            ],
        )
    ), "what was there before the first response is not told, nor what nobody asked for"
    await watcher.end()


async def test_old_steps_that_are_logged_again_are_told(world: World) -> None:
    (first,) = await world.begin("run")
    await put(world.client, first.points({"loss": [1.0] * 100}, range(1000, 1100)))
    watcher = await world.watch(runs=["run"], metrics=["loss"])
    resumed = world.attempt(epoch=2)
    await put(world.client, resumed.points({"loss": [2.0, 3.0]}, [1050, 3]))
    await watcher.wait_for_points(2)
    assert watcher.points() == [("run", "loss", 0, 1050, 2.0), ("run", "loss", 0, 3, 3.0)]
    # An older attempt's spool comes late: what the resumed one has written again is superseded, and not told.
    await put(world.client, first.points({"loss": [8.0, 9.0]}, [1050, 1200]))
    await watcher.wait_for_points(3)
    assert watcher.points()[2:] == [("run", "loss", 0, 1200, 9.0)]
    await watcher.end()


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_the_order_and_however_often_each_point_is_told_once(world: World, seed: int) -> None:
    generator = random.Random(seed)
    await world.begin("run", "other")
    watcher = await world.watch(runs=["run", "other"], metrics=["*"])
    batches, expected = [], {}
    for run in ("run", "other"):
        for rank in range(4):
            attempt = world.attempt(run, epoch=2 + rank, rank=rank)
            for _ in range(12):
                rows = generator.randrange(1, 20)
                steps = sorted(generator.sample(range(100_000), rows))
                metric = generator.choice(["a", "b/c", "d"])
                values = [generator.random() for _ in steps]
                batches.append(attempt.points({metric: values}, steps))
                expected.update({(run, metric, rank, step): value for step, value in zip(steps, values, strict=True)})
    repeated = batches + generator.sample(batches, 30)
    generator.shuffle(repeated)
    while repeated:
        size = generator.randrange(1, 20)
        await put(world.client, *repeated[:size])
        del repeated[:size]
        if generator.random() < 0.3:
            await asyncio.sleep(0.3)
    await watcher.wait(lambda: {one[:4] for one in watcher.points()} == set(expected))
    # A step that a later batch wrote again may be told again, with that batch's value; nothing else is told twice.
    assert max(Counter(watcher.points()).values()) == 1
    last = {one[:4]: one[4] for one in watcher.points()}
    held = await world.client.query(
        "SELECT run, metric, rank, step, value FROM points FINAL WHERE project = {p:String}",
        parameters={"p": f"main/{world.project}"},
    )
    assert last == {tuple(row[:4]): row[4] for row in held.result_rows}
    await watcher.end()


async def test_states_fields_keys_alerts_and_console_lines_are_told(world: World) -> None:
    (run,) = await world.begin("run")
    whole = await world.watch()
    one = await world.watch(runs=["run"], console=True, console_ranks=[0])
    snapshot = one.told[0].runs[0]
    assert (snapshot.kind, snapshot.state, snapshot.user) == (pb.RunChange.KIND_SNAPSHOT, "running", "user")

    def config(record: ingest_pb2.Record) -> None:
        record.field.section, record.field.key, record.field.value_json = ingest_pb2.SECTION_CONFIG, "lr", "0.5"

    def alert(record: ingest_pb2.Record) -> None:
        record.alert.title, record.alert.level = "warm", ingest_pb2.Alert.LEVEL_WARN

    def line(record: ingest_pb2.Record) -> None:
        record.console.text, record.console.line = "\x1b[1mhello", 3

    def note(record: ingest_pb2.Record) -> None:
        record.text.key, record.text.step, record.text.value = "note", 5, "words"

    other = world.attempt("newcomer")
    await put(world.client, run.document(config, alert, line, note), other.start())
    await one.wait(lambda: any(response.console for response in one.told))
    (told,) = [response for response in one.told if response.console]
    assert [(f.section, f.key, f.value_json) for f in told.fields] == [("config", "lr", "0.5")]
    assert [(a.run, a.level, a.title) for a in told.alerts] == [("run", "warn", "warm")]
    assert [(c.text, c.line, c.rank) for c in told.console] == [("\x1b[1mhello", 3, 0)]
    assert [(k.key, k.step) for k in told.keys] == [("note", 5)]
    await put(world.client, run.finish())
    await whole.wait(lambda: len(whole.changes()) >= 2)
    await one.wait(lambda: len(one.changes()) >= 2)
    assert whole.changes() == [
        (pb.RunChange.KIND_NEW, "newcomer", "running"),
        (pb.RunChange.KIND_STATE, "run", "finished"),
    ]
    assert one.changes()[1:] == [(pb.RunChange.KIND_STATE, "run", "finished")]
    assert not any(response.console or response.fields for response in whole.told)
    assert any(response.alerts for response in whole.told)
    await whole.end()
    await one.end()


async def test_a_deleted_run_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWEEP_S", 0.5)
    await world.begin("run", "other")
    watcher = await world.watch(runs=["run", "other"])
    deletion = world.answers.deletion._deletion
    await deletion.runs(world.principal, "main", world.project, ["run"])
    await watcher.wait(lambda: len(watcher.changes()) >= 3)
    assert watcher.changes()[2:] == [(pb.RunChange.KIND_GONE, "run", "")]
    await watcher.end()


async def test_who_begins_while_points_arrive_misses_none_of_them(world: World) -> None:
    (run,) = await world.begin("run")
    stored = 0
    done = asyncio.Event()

    async def log() -> None:
        nonlocal stored
        while not done.is_set():
            await put(world.client, run.points({"loss": [float(stored)]}, [stored]))
            stored += 1
            await asyncio.sleep(0.01)

    logging = asyncio.create_task(log())
    watchers: list[Watcher] = []
    begun: list[int] = []
    told_before: list[int] = []
    for metrics in (["loss"], ["lo*"], ["loss", "acc"], ["loss"]):
        told_before.append(max((point[3] for watcher in watchers for point in watcher.points()), default=-1))
        watchers.append(await world.watch(runs=["run"], metrics=metrics))
        begun.append(stored)
        told = len(watchers[-1].points())
        await watchers[-1].wait_for_points(told + 1)
    done.set()
    await logging
    for watcher, begin, before in zip(watchers, begun, told_before, strict=True):
        await watcher.wait(lambda watcher=watcher: stored - 1 in {point[3] for point in watcher.points()})  # type: ignore[misc]
        steps = [point[3] for point in watcher.points()]
        assert steps == list(range(steps[0], stored)), "from where it begins, each once"
        # One was being stored when the first response came.
        assert before < steps[0] <= begin + 1, "what the feed had told is old, and what came since is told"
        await watcher.end()


async def test_who_comes_back_goes_on_without_a_gap_or_a_double(world: World) -> None:
    (run,) = await world.begin("run")
    fields: dict[str, Any] = {"runs": ["run"], "metrics": ["loss"]}
    watcher = await world.watch(**fields)
    told: list[int] = []
    for turn in range(2):
        for step in range(turn * 10, turn * 10 + 5):
            await put(world.client, run.points({"loss": [1.0]}, [step]))
        await watcher.wait_for_points(turn * 10 + 5 - len(told))
        await watcher.end()
        told += [point[3] for point in watcher.points()]
        for step in range(turn * 10 + 5, turn * 10 + 10):
            await put(world.client, run.points({"loss": [1.0]}, [step]))
        watcher = await world.watch(**fields, after=watcher.told[-1].event_id)
        assert not any(response.HasField("reset") for response in watcher.told)
        if turn % 2:
            await asyncio.sleep(0.7)
    await watcher.wait_for_points(20 - len(told))
    await asyncio.sleep(1.2)
    told += [point[3] for point in watcher.points()]
    assert told == list(range(20))
    await watcher.end()


@pytest.mark.parametrize("after", ["nonsense", "0123456789ab-7", "-", "\u00b2-\u00b2"])
async def test_who_was_away_too_long_is_told_to_load_again(world: World, after: str) -> None:
    await world.begin("run")
    watcher = await world.watch(runs=["run"], metrics=["loss"], after=after)
    assert watcher.told[0].reset.reason
    assert watcher.told[0].runs, "with the states as they are"
    await watcher.end()
    other = await world.watch(runs=["run"], metrics=["acc"], after=watcher.told[0].event_id)
    assert other.told[0].HasField("reset"), "another question was not looked after meanwhile"
    await other.end()


async def test_one_poller_serves_a_hundred_watchers(world: World) -> None:
    (run,) = await world.begin("run")
    watchers = await asyncio.gather(
        *(world.watch(runs=["run"], metrics=["loss"] if n % 2 else ["*"]) for n in range(100))
    )
    with pytest.raises(TooManyWatchersError, match="100 streams of one user"):
        await anext(world.ask(runs=["run"]))
    world.storage.asked.clear()
    started_s, cpu_s = time.monotonic(), time.process_time()
    for step in range(20):
        await put(world.client, run.points({"loss": [1.0], "acc": [2.0]}, [step]))
    for watcher in watchers:
        await watcher.wait_for_points(20)
    turns = (time.monotonic() - started_s) / limits.POLL_S + 2
    assert world.storage.asked["live_arrivals"] <= turns
    assert world.storage.asked["live_points"] <= turns
    assert time.process_time() - cpu_s < 5.0
    await asyncio.gather(*(watcher.end() for watcher in watchers))
    assert world.answers.hub.watchers == 0


async def test_a_watcher_that_never_reads_costs_no_memory_and_is_told_to_load_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RING_BYTES", 500_000)
    (run,) = await world.begin("run")
    sleeper = world.ask(runs=["run"], metrics=["*"])
    first = await anext(sleeper)
    reader = await world.watch(runs=["run"], metrics=["*"])
    (feed, _) = next(iter(world.answers.hub._feeds.values()))
    for turn in range(4):
        count = len(reader.points()) + 10_000
        await put(world.client, run.points({"loss": [1.0] * 10_000}, range(turn * 10_000, turn * 10_000 + 10_000)))
        await reader.wait_for_points(count)
        assert feed.ring.bytes <= 500_000
    assert len(reader.points()) == 40_000
    second = await anext(sleeper)
    assert second.reset.reason.startswith("this client reads more slowly")
    assert second.event_id == feed.event_id(feed.ring.last) != first.event_id
    await put(world.client, run.points({"loss": [7.0]}, [100_000]))
    while not (third := await anext(sleeper)).points:
        pass
    assert third.points[0].values == [7.0], "from there it goes on"
    await sleeper.aclose()  # type: ignore[attr-defined]  # an async generator
    await reader.end()


async def test_too_much_at_once_is_a_reset_of_that_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_POINTS", 1000)
    run, other = await world.begin("run", "other")
    watcher = await world.watch(runs=["run", "other"], metrics=["*"])
    await put(world.client, run.points({"loss": [1.0] * 1001}, range(1001)), other.points({"loss": [5.0]}, [1]))
    await watcher.wait(lambda: bool(watcher.points()) and any(one.HasField("reset") for one in watcher.told))
    assert watcher.points() == [("other", "loss", 0, 1, 5.0)]
    (reset,) = [one.reset for one in watcher.told if one.HasField("reset")]
    assert list(reset.runs) == ["run"]
    await watcher.end()


async def test_what_arrives_while_clickhouse_is_away_is_told_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(limits, "NEAR_S", 0.5)
    (run,) = await world.begin("run")
    watcher = await world.watch(runs=["run"], metrics=["loss"])
    world.storage.away = True
    await put(world.client, run.points({"loss": [1.0]}, [0]))
    await watcher.wait(lambda: watcher.told[-1].behind_s > 2.0)
    assert watcher.points() == []
    world.storage.away = False
    await watcher.wait_for_points(1)
    await watcher.wait(lambda: watcher.told[-1].behind_s == 0.0)
    assert watcher.points() == [("run", "loss", 0, 0, 1.0)]
    await watcher.end()


async def test_signs_of_life_come_and_a_revoked_key_ends_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.HEARTBEAT_S <= 15.0
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(dispatcher, "RECHECK_S", 0.2)
    await world.begin("run")
    key = str(await world.store.create_api_key("guest", "main"))
    authenticators = Authenticators({"key": CachedAuthenticator(world.store, ttl_s=0.1)})
    metrics = Metrics(["query"])
    desk = dispatcher.Dispatcher(
        world.answers, authenticators, metrics, RequestQueues(RequestLimits(), SqlLimits(), metrics)
    )
    request = pb.WatchRunsRequest(team="main", project=world.project, runs=["run"])
    method = world.answers.methods.streaming("WatchRuns")
    watcher = await Watcher(desk.stream(method, Credential("key", key), request)).begin()
    await watcher.wait(lambda: len(watcher.told) >= 4)
    assert all(len(one.ListFields()) == 1 for one in watcher.told[1:]), "nothing but an event id"
    await world.store.revoke_api_key("_".join(key.split("_")[:2]))
    await watcher.wait(lambda: watcher.error is not None)
    assert isinstance(watcher.error, AuthenticationError)
    assert world.answers.hub.watchers == 0


async def test_the_feed_ends_when_nobody_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.5)
    await world.begin("run")
    watcher = await world.watch(runs=["run"])
    await watcher.end()
    assert world.answers.hub._feeds, "for a while it waits"
    await watcher.wait(lambda: not world.answers.hub._feeds)
    again = await world.watch(runs=["run"], after=watcher.told[-1].event_id)
    assert again.told[0].HasField("reset")
    await again.end()


async def test_the_end_of_the_service_ends_its_streams(world: World) -> None:
    await world.begin("run")
    watcher = await world.watch(runs=["run"])
    await world.answers.close()
    await watcher.wait(lambda: watcher.error is not None)
    assert isinstance(watcher.error, GoingAwayError)
    with pytest.raises(GoingAwayError):
        await anext(world.ask(runs=["run"]))


async def test_limits_are_told(world: World) -> None:
    await world.begin("run")
    for fields, words in (
        ({"runs": ["run"], "metrics": [f"m{n}" for n in range(201)]}, "at most 200"),
        ({"runs": [f"r{n}" for n in range(101)]}, "at most 100"),
        ({"console": True}, "name the runs"),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            await anext(world.ask(**fields))  # type: ignore[arg-type]
