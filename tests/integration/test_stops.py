"""The gateway's look at trials that are to stop, on a real control database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore
from runstream_control.sweeps.model import Cause, LeaseRequest, Outcome, Registration, State, SweepRow, TrialEnd
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_ingestor.gateway.stop_notifier import StopNotifier
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_query.sweeps.definition import parse
from runstream_query.sweeps.search.grid import Grid

FIELDS = {"host": "", "lease_s": 60, "failure_limit": 3, "failure_window_s": 60, "guard_off": True}


class Bench:
    """A sweep, an agent of it, and a gateway's listeners."""

    def __init__(self, store: SweepStore, sweep: SweepRow, agent: str) -> None:
        self.store, self.sweep, self.agent = store, sweep.id, agent
        self.stops = StopNotifier(store, GatewayInstruments(Metrics(["gateway"])))
        self._open = contextlib.ExitStack()
        self._search = Grid(parse('{"method": "grid", "parameters": {"x": {"min": 1, "max": 9}}}').space)

    async def lease(self, request_id: str) -> tuple[int, str, str]:
        """Number, lease and run of a trial."""
        (answer,) = await self.store.lease(self.sweep, [LeaseRequest(self.agent, request_id, 1)], self._search)
        (row,) = answer.trials
        return row.number, row.lease, row.run

    def listen(self, run: str, team: str = "acme", project: str = "p") -> list[pb.StopRun]:
        told: list[pb.StopRun] = []
        self._open.enter_context(self.stops.subscribed(team, project, run, told.append))
        return told


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = ControlStore.open(f"sqlite:///{tmp_path / 'control.db'}")
    await store.migrate()
    await store.create_api_key("ann", "acme")
    sweeps = SweepStore.beside(store)
    texts = dict.fromkeys(("name", "description", "definition"), "")
    columns = {**texts, "size": "9", "method": "grid", "notes": "[]", "seed": 1, "size_is_limit": False, "retries": 2}
    sweep = await sweeps.create("acme", "p", "ann", "", columns)
    (agent,) = await sweeps.register(sweep.id, [Registration("ann", "a", FIELDS)]) or ()
    yield Bench(sweeps, sweep, agent.id)
    await store.close()


async def test_a_pruned_trials_streams_are_told_once_and_no_others(bench: Bench) -> None:
    (one, _, run), (_, _, other) = await bench.lease("a"), await bench.lease("b")
    ranks = [bench.listen(run) for _ in range(3)]
    others = [bench.listen(other), bench.listen("a-run-of-mine"), bench.listen(run, team="rivals")]
    others += [bench.listen(run, project="q"), bench.listen("zzzzzzzz-1")]
    await bench.stops.check()
    assert not any(ranks)
    await bench.store.order_stop(bench.sweep, {one: "it was the worst"}, Cause.PRUNED)
    for _ in range(2):
        await bench.stops.check()
    assert ranks == [[pb.StopRun(cause="pruned", reason="it was the worst")]] * 3
    assert not any(others)
    late = bench.listen(run)
    await bench.stops.check()
    assert len(late) == 1, "a stream that was opened again is told again"


async def test_a_trial_that_runs_elsewhere_by_now_and_a_cancelled_one_are_told(bench: Bench) -> None:
    number, lease, run = await bench.lease("a")
    told = bench.listen(run)
    failed = TrialEnd(bench.agent, number, lease, Outcome.FAILED)
    await bench.store.end(bench.sweep, [failed], ())
    await bench.stops.check()
    assert not told, "it waits in the pool: nobody else has it"
    again, _, later = await bench.lease("b")
    assert (again, later) == (number, f"{run}-2")
    now = bench.listen(later)
    await bench.stops.check()
    assert [order.cause for order in told] == ["lease_lost"] and "attempt 2" in told[0].reason and not now
    await bench.store.command(bench.sweep, "ann", State.CANCELLED, "cancelled", "enough")
    await bench.stops.check()
    assert now == [pb.StopRun(cause="sweep_cancelled", reason="cancelled by ann: enough")]


async def test_a_stream_that_is_closed_is_not_looked_after(bench: Bench) -> None:
    number, _, run = await bench.lease("a")
    told: list[pb.StopRun] = []
    with bench.stops.subscribed("acme", "p", run, told.append):
        pass
    await bench.store.order_stop(bench.sweep, {number: "late"}, Cause.PRUNED)
    await bench.stops.check()
    assert not told and not bench.stops._subscribers
