"""Hand trials out, in one transaction for all agents of a sweep that ask at the same time."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, func, select, update

from runstream_control.sweep_tables import agents, reports, trials
from runstream_control.sweeps import lease_statements
from runstream_control.sweeps.ledger import DELETED, Ledger
from runstream_control.sweeps.model import (
    AgentOrder,
    AgentRow,
    Cause,
    FreshTrial,
    Heartbeat,
    HeartbeatResult,
    LeaseAnswer,
    LeaseRequest,
    Search,
    State,
    StoredTrial,
    SweepLimits,
    TrialRow,
    Value,
    Verdict,
)

_WAIT = "all trials are under way: some may come back"


def lease(
    connection: Connection, sweep: str, requests: Sequence[LeaseRequest], search: Search, limits: SweepLimits, now: int
) -> list[LeaseAnswer]:
    """Return one answer for each request.

    A request that was answered before, and whose trials still run, gets the same trials.
    """
    ledger = Ledger.open(connection, sweep, now)
    if ledger is None:
        return [DELETED] * len(requests)
    expire(connection, ledger, limits)
    ledger.settle()
    known = lease_statements.agents_by_id(connection, list({request.agent for request in requests}))
    again = lease_statements.repeated(connection, sweep, requests)
    wanting: list[tuple[LeaseRequest, AgentRow]] = []
    answers: dict[int, LeaseAnswer] = {}
    for index, request in enumerate(requests):
        agent = known.get(request.agent)
        if agent is None or agent.sweep != sweep:
            answers[index] = DELETED
        elif again.get((request.agent, request.request_id)):
            answers[index] = LeaseAnswer(Verdict.GO, again[request.agent, request.request_id])
        elif (verdict := ledger.verdict(agent)).verdict is not Verdict.GO:
            answers[index] = verdict
        else:
            wanting.append((request, agent))
    given, none_left = _give(connection, ledger, wanting, search)
    ledger.settle()
    ledger.save()
    if known:
        lease_statements.seen(connection, list(known), now)
    places = iter(given)
    for index in range(len(requests)):
        if index not in answers:
            mine = next(places)
            answers[index] = LeaseAnswer(Verdict.GO, mine) if mine else _nothing(ledger, none_left)
    return [answers[index] for index in range(len(requests))]


def _nothing(ledger: Ledger, none_left: bool) -> LeaseAnswer:
    if ledger["state"] != State.RUNNING:
        return ledger.verdict()
    most = ledger["max_parallel"]
    if most is not None and ledger[StoredTrial.RUNNING] >= most:
        return LeaseAnswer(Verdict.WAIT, reason=f"{most} trials run, and max_parallel allows no more")
    return (
        LeaseAnswer(Verdict.WAIT, reason=_WAIT) if none_left else LeaseAnswer(Verdict.AGAIN, reason="still searching")
    )


def _give(
    connection: Connection, ledger: Ledger, wanting: Sequence[tuple[LeaseRequest, AgentRow]], search: Search
) -> tuple[list[list[TrialRow | FreshTrial]], bool]:
    """Return trials for each request, and whether there are no more to give.

    Every agent gets its first trial before any agent gets its second.
    """
    if not wanting:
        return [], True
    turns = _turns([request.count for request, _ in wanting])
    most = ledger["max_parallel"]
    if most is not None:
        turns = turns[: max(most - ledger[StoredTrial.RUNNING], 0)]
    handed: list[TrialRow | FreshTrial] = list(_returned(connection, ledger, wanting, turns))
    handed += _fresh(connection, ledger, wanting, turns[len(handed) :], search)
    given: list[list[TrialRow | FreshTrial]] = [[] for _ in wanting]
    for turn, row in zip(turns, handed, strict=False):
        given[turn].append(row)
    return given, len(handed) < len(turns) and ledger.may_draw == 0


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


def _grant(request: LeaseRequest, agent: AgentRow, now: int) -> dict[str, object]:
    return {
        "agent": request.agent,
        "lease": secrets.token_hex(12),
        "request_id": request.request_id,
        "expires_us": now + int(agent.lease_s * 1e6),
    }


def _returned(
    connection: Connection, ledger: Ledger, wanting: Sequence[tuple[LeaseRequest, AgentRow]], turns: Sequence[int]
) -> Sequence[TrialRow]:
    """Hand out trials of the pool, the earliest first."""
    if not turns or not ledger[StoredTrial.QUEUED]:
        return []
    query = select(trials.c.number, trials.c.attempt, trials.c.run, trials.c.resume).where(
        trials.c.sweep == ledger["id"], trials.c.state == StoredTrial.QUEUED.value
    )
    rows = list(connection.execute(query.order_by(trials.c.number).limit(len(turns))))
    for turn, row in zip(turns, rows, strict=False):
        attempt = row.attempt + 1
        run = row.run if row.resume else run_name(ledger["id"], row.number, attempt)
        grant = {**_grant(*wanting[turn], ledger.now), "attempt": attempt, "run": run, "ended_us": None, "message": ""}
        grant |= {"state": StoredTrial.RUNNING.value, "leased_us": ledger.now}
        if not row.resume:
            told = (reports.c.sweep == ledger["id"], reports.c.number == row.number)
            connection.execute(delete(reports).where(*told))
        which = (trials.c.sweep == ledger["id"], trials.c.number == row.number)
        connection.execute(update(trials).where(*which).values(**grant))
    ledger.move(StoredTrial.QUEUED, StoredTrial.RUNNING, len(rows))
    return sorted(_rows(connection, ledger["id"], [row.number for row in rows]), key=lambda row: row.number)


def _fresh(
    connection: Connection,
    ledger: Ledger,
    wanting: Sequence[tuple[LeaseRequest, AgentRow]],
    turns: Sequence[int],
    search: Search,
) -> list[FreshTrial]:
    """Draw and hand out new trials."""
    may_draw = ledger.may_draw
    count = len(turns) if may_draw is None else min(len(turns), may_draw)
    if not count:
        return []
    sweep, first = ledger["id"], ledger["drawn"] + 1

    def known(digest: str) -> bool:
        query = select(trials.c.number).where(trials.c.sweep == sweep, trials.c.digest == digest)
        return connection.execute(query.limit(1)).first() is not None

    # A grid never repeats itself, so it looks for known trials only where some were added from elsewhere.
    never = ledger["method"] == "grid" and not ledger[StoredTrial.ADDED]
    drawn = search.draw(first, int(ledger["place"]), count, (lambda _: False) if never else known)
    own = []
    for number, (turn, found) in enumerate(zip(turns, drawn.proposals, strict=False), start=first):
        grant = _grant(*wanting[turn], ledger.now)
        row = {"number": number, "parameters": found.parameters_json, "digest": found.digest, **grant}
        row["run"] = run_name(sweep, number, 1)
        own.append([row[column] for column in lease_statements.OWN])
    ledger["place"], ledger["exhausted"] = str(drawn.place), drawn.exhausted
    if not own:
        return []
    ledger.move(None, StoredTrial.RUNNING, len(own))
    ledger["drawn"] = first + len(own) - 1
    if ledger["started_us"] is None:
        ledger["started_us"] = ledger.now
    return lease_statements.write_fresh(connection, sweep, ledger.now, own)


def blank(sweep: str, number: int, parameters: str, digest: str, now: int) -> dict[str, object]:
    """Return the columns of a trial about which nothing is known."""
    return {
        **lease_statements.BLANK,
        "sweep": sweep,
        "number": number,
        "parameters": parameters,
        "digest": digest,
        "created_us": now,
    }


def run_name(sweep: str, number: int, attempt: int) -> str:
    """Return the run's name for an attempt of a trial. A preempted attempt continues its run, under its name."""
    return f"{sweep}-{number}" if attempt == 1 else f"{sweep}-{number}-{attempt}"


def expire(connection: Connection, ledger: Ledger, limits: SweepLimits) -> int:
    """Give trials whose lease ran out back to the pool. Return their number.

    Their lease still names their last agent: it may go on with them until another agent has them.
    """
    query = select(trials).where(
        func.coalesce(trials.c.sweep, "") == ledger["id"],  # so that the index of expiries is used, not that of states
        trials.c.state == StoredTrial.RUNNING.value,
        trials.c.expires_us < ledger.now,
    )
    rows = list(connection.execute(query))
    for row in rows:
        change: dict[str, object] = {"losses": row.losses + 1, "resume": False}
        silent = "its agent was not heard of any more"
        if row.stop:
            state, extra = stopped(row.stop)
            change |= {**extra, "message": row.stop_reason, "ended_us": ledger.now}
        elif ledger["state"] == State.CANCELLED:
            state = StoredTrial.CANCELLED
            change |= {"ended_us": ledger.now, "message": ledger["reason"]}
        elif row.losses + 1 >= limits.losses:
            state = StoredTrial.FAILED
            change |= {"ended_us": ledger.now, "message": f"given up: {silent}, {row.losses + 1} times"}
            change |= {"result_order": ledger.next_result()}
        else:
            state = StoredTrial.QUEUED
            change |= {"message": silent}
        which = (trials.c.sweep == row.sweep, trials.c.number == row.number)
        connection.execute(update(trials).where(*which).values(state=state.value, expires_us=None, **change))
        ledger.move(StoredTrial.RUNNING, state)
        ledger["trial_seconds"] = ledger["trial_seconds"] + max(row.expires_us - row.leased_us, 0) / 1e6
    return len(rows)


def stopped(cause: str) -> tuple[StoredTrial, dict[str, object]]:
    """Return the state, and other columns, of a trial that was told to stop."""
    if cause == Cause.PRUNED:
        return StoredTrial.PRUNED, {"value_state": Value.PENDING.value}
    return StoredTrial.CANCELLED, {}


def beat(connection: Connection, sweep: str, agent_id: str, beats: Sequence[Heartbeat], now: int) -> HeartbeatResult:
    """Renew the agent's leases, and return the orders to stop.

    A trial that was the agent's and is in the pool becomes the agent's again.
    """
    ledger = Ledger.open(connection, sweep, now)
    agent = connection.execute(select(agents).where(agents.c.id == agent_id)).one_or_none()
    if ledger is None or agent is None:
        return HeartbeatResult([AgentOrder(one.number, Cause.SWEEP_DELETED, DELETED.reason) for one in beats], DELETED)
    rows = {row.number: row for row in _rows(connection, sweep, [one.number for one in beats])}
    orders: list[AgentOrder] = []
    for one in beats:
        row = rows.get(one.number)
        mine = row is not None and row.lease == one.lease and row.agent == agent_id
        if row is None or not mine or row.state not in (StoredTrial.RUNNING, StoredTrial.QUEUED):
            orders.append(
                AgentOrder(one.number, Cause.LEASE_LOST, "its lease ran out: it is not this agent's any more")
            )
            continue
        if row.stop:
            orders.append(AgentOrder(one.number, Cause(row.stop), row.stop_reason))
        change: dict[str, object] = {"expires_us": now + int(agent.lease_s * 1e6)}
        if one.run and one.run != row.run:
            change["run"] = one.run
        if row.state == StoredTrial.QUEUED:
            change |= {"state": StoredTrial.RUNNING.value, "message": ""}
            ledger.move(StoredTrial.QUEUED, StoredTrial.RUNNING)
        connection.execute(
            update(trials).where(trials.c.sweep == sweep, trials.c.number == row.number).values(**change)
        )
    connection.execute(update(agents).where(agents.c.id == agent_id).values(seen_us=now))
    ledger.save()
    return HeartbeatResult(orders, ledger.verdict(agent), agent.lease_s)


def order_stop(connection: Connection, ledger: Ledger, orders: Mapping[int, str], cause: Cause) -> int:
    """Tell running trials to stop, and return how many were told. Trials told before keep their reason."""
    told = 0
    for number, reason in orders.items():
        which = (
            trials.c.sweep == ledger["id"],
            trials.c.number == number,
            trials.c.state == StoredTrial.RUNNING.value,
            trials.c.stop == "",
        )
        told += connection.execute(update(trials).where(*which).values(stop=cause.value, stop_reason=reason)).rowcount
    return told
