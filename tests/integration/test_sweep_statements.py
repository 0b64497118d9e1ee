"""What a lease asks the control database, SQLite or PostgreSQL: rows are found by index, however many there are."""

from __future__ import annotations

from sqlalchemy import Connection, event

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_control.sweeps.model import Drawn, Known, LeaseRequest, Proposal, Registration, Verdict
from runstream_control.sweeps.sweep_store import SweepStore

_FIELDS = {"host": "", "lease_s": 600.0, "failure_limit": 3, "failure_window_s": 60.0, "guard_off": False}
_SWEEP = {"name": "", "description": "", "definition": "{}", "method": "random", "notes": "[]", "seed": 1, "size": ""}
_CAPS = ("run_cap", "max_parallel", "wall_time_s", "trial_time_s", "cost_limit")


class _Numbers:
    """A search whose configurations are the trials' numbers, with a text that needs care in every way of writing it."""

    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        return Drawn(
            [
                Proposal(f'{{"n":{n},"s":"\\"\\u00e9,{{}}\\\\ \u2028"}}', f"{n:032x}")
                for n in range(number, number + count)
            ]
        )


async def _sweep(store: ControlStore, agents: int) -> tuple[SweepStore, str, list[str]]:
    await store.create_api_key("tester", "main", Role.MEMBER)
    sweeps = SweepStore.beside(store)
    fields = {**_SWEEP, **dict.fromkeys(_CAPS), "retries": 0, "size_is_limit": False}
    sweep = (await sweeps.create("main", "p", "tester", "", fields)).id
    rows = await sweeps.register(sweep, [Registration("tester", f"agent-{n}", _FIELDS) for n in range(agents)])
    assert rows is not None
    return sweeps, sweep, [row.id for row in rows]


async def test_what_agents_are_given_is_what_was_written(store: ControlStore) -> None:
    sweeps, sweep, agents = await _sweep(store, 20)
    asks = [LeaseRequest(agent, f"request of {agent}", 2) for agent in agents]
    answers = await sweeps.lease(sweep, asks, _Numbers())
    again = await sweeps.lease(sweep, asks, _Numbers())
    for ask, answer, repeated in zip(asks, answers, again, strict=True):
        assert answer.verdict is repeated.verdict is Verdict.GO and len(answer.trials) == 2
        for given, stored in zip(answer.trials, repeated.trials, strict=True):
            assert vars(given) == dict(stored._mapping)  # type: ignore[union-attr]
            assert (given.agent, given.request_id) == (ask.agent, ask.request_id)
    numbers = sorted(trial.number for answer in answers for trial in answer.trials)
    assert numbers == list(range(1, 41))


async def test_a_lease_finds_repeated_requests_and_expired_trials_by_index(store: ControlStore) -> None:
    """No index suits that begins with the sweep: PostgreSQL would go through all its trials, or all under way."""
    sweeps, sweep, agents = await _sweep(store, 50)
    for turn in range(20):
        await sweeps.lease(sweep, [LeaseRequest(agent, f"{turn} of {agent}", 4) for agent in agents], _Numbers())
    asked: list[tuple[str, object]] = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        asked.append((statement, parameters))

    await sweeps.lease(sweep, [LeaseRequest(agent, f"last of {agent}", 1) for agent in agents], _Numbers())
    event.remove(store._engine, "before_cursor_execute", note)
    selects = [one for one in asked if one[0].startswith("SELECT") and "sweep_trials" in one[0]]
    with store._engine.connect() as connection:
        plans = [_plan(connection, *one) for one in selects]
    assert len(plans) == 2
    for plan, index in zip(plans, ("sweep_trials_by_expiry", "sweep_trials_by_request_id"), strict=True):
        assert index in plan, plan


def _plan(connection: Connection, statement: str, parameters: object) -> str:
    explain = "EXPLAIN QUERY PLAN"
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which suits so small a table
        explain = "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)  # type: ignore[arg-type]
    return "\n".join(str(row) for row in rows)
