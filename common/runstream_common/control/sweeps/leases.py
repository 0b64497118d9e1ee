"""Handing trials out: one transaction for all agents of a sweep that ask at the same time."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from runstream_common.control.sweep_tables import agents, reports, trials
from runstream_common.control.sweeps.ledger import DELETED, Ledger
from runstream_common.control.sweeps.model import (
    Answer,
    Ask,
    Beat,
    Beaten,
    Cause,
    Limits,
    Order,
    Search,
    State,
    Trial,
    TrialRow,
    Value,
    Verdict,
)

_WAIT = "all trials are under way: some may come back"


def lease(
    connection: Connection, sweep: str, asks: Sequence[Ask], search: Search, limits: Limits, now: int
) -> list[Answer]:
    """One answer an ask. A request that was answered before, and whose trials still run, gets the same ones."""
    ledger = Ledger.open(connection, sweep, now)
    if ledger is None:
        return [DELETED] * len(asks)
    expire(connection, ledger, limits)
    ledger.settle()
    known = _agents(connection, {ask.agent for ask in asks})
    again = _repeated(connection, sweep, asks)
    wanting: list[tuple[Ask, Any]] = []
    answers: dict[int, Answer] = {}
    for index, ask in enumerate(asks):
        agent = known.get(ask.agent)
        if agent is None or agent.sweep != sweep:
            answers[index] = DELETED
        elif again.get((ask.agent, ask.request_id)):
            answers[index] = Answer(Verdict.GO, again[ask.agent, ask.request_id])
        elif (verdict := ledger.verdict(agent)).verdict is not Verdict.GO:
            answers[index] = verdict
        else:
            wanting.append((ask, agent))
    given, none_left = _give(connection, ledger, wanting, search)
    ledger.settle()
    ledger.save()
    connection.execute(
        update(agents).where(agents.c.id == bindparam("which")).values(seen_us=now), [{"which": name} for name in known]
    ) if known else None
    places = iter(given)
    for index in range(len(asks)):
        if index not in answers:
            mine = next(places)
            answers[index] = Answer(Verdict.GO, mine) if mine else _nothing(ledger, none_left)
    return [answers[index] for index in range(len(asks))]


def _nothing(ledger: Ledger, none_left: bool) -> Answer:
    if ledger["state"] != State.RUNNING:
        return ledger.verdict()
    most = ledger["max_parallel"]
    if most is not None and ledger[Trial.RUNNING] >= most:
        return Answer(Verdict.WAIT, reason=f"{most} trials run, and max_parallel allows no more")
    return Answer(Verdict.WAIT, reason=_WAIT) if none_left else Answer(Verdict.AGAIN, reason="still searching")


def _agents(connection: Connection, names: set[str]) -> dict[str, Any]:
    return {row.id: row for row in connection.execute(select(agents).where(agents.c.id.in_(names)))}


def _repeated(connection: Connection, sweep: str, asks: Sequence[Ask]) -> Mapping[tuple[str, str], list[TrialRow]]:
    found: dict[tuple[str, str], list[TrialRow]] = {}
    query = select(trials).where(
        trials.c.sweep == sweep,
        trials.c.request_id.in_({ask.request_id for ask in asks}),
        trials.c.state == Trial.RUNNING.value,
    )
    for row in connection.execute(query.order_by(trials.c.number)):
        found.setdefault((row.agent, row.request_id), []).append(row)
    return found


def _give(
    connection: Connection, ledger: Ledger, wanting: Sequence[tuple[Ask, Any]], search: Search
) -> tuple[list[list[TrialRow]], bool]:
    """Trials for each, the first for all before the second for any; and whether there are no more to give."""
    if not wanting:
        return [], True
    turns = _turns([ask.count for ask, _ in wanting])
    most = ledger["max_parallel"]
    if most is not None:
        turns = turns[: max(most - ledger[Trial.RUNNING], 0)]
    numbers = _returned(connection, ledger, wanting, turns)
    numbers += _fresh(connection, ledger, wanting, turns[len(numbers) :], search)
    rows = {row.number: row for row in _rows(connection, ledger["id"], numbers)}
    given: list[list[TrialRow]] = [[] for _ in wanting]
    for turn, number in zip(turns, numbers, strict=False):
        given[turn].append(rows[number])
    return given, len(numbers) < len(turns) and ledger.may_draw == 0


def _turns(counts: Sequence[int]) -> list[int]:
    turns: list[int] = []
    left = deque(enumerate(counts))
    while left:
        index, count = left.popleft()
        turns.append(index)
        if count > 1:
            left.append((index, count - 1))
    return turns


def _rows(connection: Connection, sweep: str, numbers: Sequence[int]) -> Iterable[TrialRow]:
    if not numbers:
        return ()
    return connection.execute(select(trials).where(trials.c.sweep == sweep, trials.c.number.in_(numbers)))


def _grant(ask: Ask, agent: Any, now: int) -> dict[str, Any]:
    return {
        "state": Trial.RUNNING.value,
        "agent": ask.agent,
        "lease": secrets.token_hex(12),
        "request_id": ask.request_id,
        "leased_us": now,
        "expires_us": now + int(agent.lease_s * 1e6),
    }


def _returned(
    connection: Connection, ledger: Ledger, wanting: Sequence[tuple[Ask, Any]], turns: Sequence[int]
) -> list[int]:
    """Trials of the pool, the earliest first."""
    if not turns or not ledger[Trial.QUEUED]:
        return []
    query = select(trials.c.number, trials.c.attempt, trials.c.run, trials.c.resume).where(
        trials.c.sweep == ledger["id"], trials.c.state == Trial.QUEUED.value
    )
    rows = list(connection.execute(query.order_by(trials.c.number).limit(len(turns))))
    for turn, row in zip(turns, rows, strict=False):
        attempt = row.attempt + 1
        run = row.run if row.resume else run_name(ledger["id"], row.number, attempt)
        grant = {**_grant(*wanting[turn], ledger.now), "attempt": attempt, "run": run, "ended_us": None, "message": ""}
        if not row.resume:
            told = (reports.c.sweep == ledger["id"], reports.c.number == row.number)
            connection.execute(delete(reports).where(*told))
        which = (trials.c.sweep == ledger["id"], trials.c.number == row.number)
        connection.execute(update(trials).where(*which).values(**grant))
    ledger.move(Trial.QUEUED, Trial.RUNNING, len(rows))
    return [row.number for row in rows]


def _fresh(
    connection: Connection, ledger: Ledger, wanting: Sequence[tuple[Ask, Any]], turns: Sequence[int], search: Search
) -> list[int]:
    """New trials."""
    may_draw = ledger.may_draw
    count = len(turns) if may_draw is None else min(len(turns), may_draw)
    if not count:
        return []
    sweep, first = ledger["id"], ledger["drawn"] + 1

    def known(digest: str) -> bool:
        query = select(trials.c.number).where(trials.c.sweep == sweep, trials.c.digest == digest)
        return connection.execute(query.limit(1)).first() is not None

    # A grid never repeats itself: it need only look where trials came from elsewhere.
    never = ledger["method"] == "grid" and not ledger[Trial.ADDED]
    drawn = search.draw(first, int(ledger["place"]), count, (lambda _: False) if never else known)
    rows = []
    for number, (turn, found) in enumerate(zip(turns, drawn.proposals, strict=False), start=first):
        rows.append(
            {
                **blank(sweep, number, found.parameters_json, found.digest, ledger.now),
                **_grant(*wanting[turn], ledger.now),
                "run": run_name(sweep, number, 1),
                "attempt": 1,
            }
        )
    if rows:
        connection.execute(insert(trials), rows)
        ledger.move(None, Trial.RUNNING, len(rows))
        ledger["drawn"] = first + len(rows) - 1
        if ledger["started_us"] is None:
            ledger["started_us"] = ledger.now
    ledger["place"], ledger["exhausted"] = str(drawn.place), drawn.exhausted
    return [row["number"] for row in rows]


def blank(sweep: str, number: int, parameters: str, digest: str, now: int) -> dict[str, Any]:
    """A trial of which nothing is known."""
    return {
        "sweep": sweep,
        "number": number,
        "parameters": parameters,
        "digest": digest,
        "run": "",
        "resume": False,
        "attempt": 0,
        "failures": 0,
        "losses": 0,
        "agent": "",
        "lease": "",
        "request_id": "",
        "created_us": now,
        "duration_s": 0.0,
        "value_state": Value.NONE.value,
        "values_json": "",
        "exit_code": 0,
        "message": "",
        "stop": "",
        "stop_reason": "",
        "cost": 0.0,
    }


def run_name(sweep: str, number: int, attempt: int) -> str:
    """Of a trial's attempt: one run each, but for a preempted one, whose run is continued."""
    return f"{sweep}-{number}" if attempt == 1 else f"{sweep}-{number}-{attempt}"


def expire(connection: Connection, ledger: Ledger, limits: Limits) -> int:
    """Give trials whose lease ran out back to the pool. Their lease still names their last agent: it may go on with
    them until another has them."""
    query = select(trials).where(
        trials.c.sweep == ledger["id"],
        trials.c.state == Trial.RUNNING.value,
        trials.c.expires_us < ledger.now,
    )
    rows = list(connection.execute(query))
    for row in rows:
        change: dict[str, Any] = {"losses": row.losses + 1, "resume": False}
        silent = "its agent was not heard of any more"
        if row.stop:
            state, extra = stopped(row.stop)
            change |= {**extra, "message": row.stop_reason, "ended_us": ledger.now}
        elif ledger["state"] == State.CANCELLED:
            state = Trial.CANCELLED
            change |= {"ended_us": ledger.now, "message": ledger["reason"]}
        elif row.losses + 1 >= limits.losses:
            state = Trial.FAILED
            change |= {"ended_us": ledger.now, "message": f"given up: {silent}, {row.losses + 1} times"}
            change |= {"result_order": ledger.next_result()}
        else:
            state = Trial.QUEUED
            change |= {"message": silent}
        which = (trials.c.sweep == row.sweep, trials.c.number == row.number)
        connection.execute(update(trials).where(*which).values(state=state.value, expires_us=None, **change))
        ledger.move(Trial.RUNNING, state)
        ledger["trial_seconds"] = ledger["trial_seconds"] + max(row.expires_us - row.leased_us, 0) / 1e6
    return len(rows)


def stopped(cause: str) -> tuple[Trial, dict[str, Any]]:
    """What a trial becomes that was told to stop."""
    if cause == Cause.PRUNED:
        return Trial.PRUNED, {"value_state": Value.PENDING.value}
    return Trial.CANCELLED, {}


def beat(connection: Connection, sweep: str, agent_id: str, beats: Sequence[Beat], now: int) -> Beaten:
    """Renew what is the agent's, and say what must stop. A trial in the pool that was the agent's is so again."""
    ledger = Ledger.open(connection, sweep, now)
    agent = connection.execute(select(agents).where(agents.c.id == agent_id)).one_or_none()
    if ledger is None or agent is None:
        return Beaten([Order(one.number, Cause.SWEEP_DELETED, DELETED.reason) for one in beats], DELETED)
    rows = {row.number: row for row in _rows(connection, sweep, [one.number for one in beats])}
    orders: list[Order] = []
    for one in beats:
        row = rows.get(one.number)
        mine = row is not None and row.lease == one.lease and row.agent == agent_id
        if row is None or not mine or row.state not in (Trial.RUNNING, Trial.QUEUED):
            orders.append(Order(one.number, Cause.LEASE_LOST, "its lease ran out: it is not this agent's any more"))
            continue
        if row.stop:
            orders.append(Order(one.number, Cause(row.stop), row.stop_reason))
        change: dict[str, Any] = {"expires_us": now + int(agent.lease_s * 1e6)}
        if one.run and one.run != row.run:
            change["run"] = one.run
        if row.state == Trial.QUEUED:
            change |= {"state": Trial.RUNNING.value, "message": ""}
            ledger.move(Trial.QUEUED, Trial.RUNNING)
        connection.execute(
            update(trials).where(trials.c.sweep == sweep, trials.c.number == row.number).values(**change)
        )
    connection.execute(update(agents).where(agents.c.id == agent_id).values(seen_us=now))
    ledger.save()
    return Beaten(orders, ledger.verdict(agent), agent.lease_s)


def order_stop(connection: Connection, ledger: Ledger, orders: Mapping[int, str], cause: Cause) -> int:
    """Tell running trials to stop; those told before keep their reason."""
    told = 0
    for number, reason in orders.items():
        which = (
            trials.c.sweep == ledger["id"],
            trials.c.number == number,
            trials.c.state == Trial.RUNNING.value,
            trials.c.stop == "",
        )
        told += connection.execute(update(trials).where(*which).values(stop=cause.value, stop_reason=reason)).rowcount
    return told
