"""Sweeps in the control database. The caller checks the user's rights: no method here does.

A store is for one event loop. Several processes may use one database, and each may end at any moment: there is no state
but the rows.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, insert, select

from runstream_common.times import now_us
from runstream_control import core_tables as control
from runstream_control import sweep_tables as tables
from runstream_control.database import in_thread
from runstream_control.sweep_tables import reports, sweeps, trials
from runstream_control.sweeps import ends, leases, registering
from runstream_control.sweeps.ends import Goal
from runstream_control.sweeps.ledger import Ledger
from runstream_control.sweeps.model import (
    AgentOrder,
    AgentRow,
    Cause,
    Heartbeat,
    HeartbeatResult,
    LeaseAnswer,
    LeaseRequest,
    Proposal,
    Registration,
    Search,
    State,
    StoredTrial,
    SweepLimits,
    SweepRow,
    TrialEnd,
    TrialEndResult,
    Value,
)
from runstream_control.sweeps.queries import SweepQueries

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class SweepStore(SweepQueries):
    """Change the sweeps' tables. All methods raise ControlUnavailableError."""

    limits = SweepLimits(losses=10, initial_failures=5)

    @in_thread
    def create(self, team: str, project: str, user: str, request_id: str, fields: Mapping[str, object]) -> SweepRow:
        """Make a sweep, and its project where it does not exist.

        A repeated request of the same user gets the same sweep.
        """
        now = now_us()
        with self._writing() as connection:
            if request_id:
                same = (sweeps.c.created_by == user, sweeps.c.request_id == request_id)
                found = connection.execute(select(sweeps).where(*same)).one_or_none()
                if found is not None:
                    return found
            which = (control.projects.c.team == team, control.projects.c.project == project)
            if connection.execute(select(control.projects.c.project).where(*which)).first() is None:
                connection.execute(
                    insert(control.projects).values(team=team, project=project, created_us=now, created_by=user)
                )
            sweep = "".join(secrets.choice(_ALPHABET) for _ in range(8))
            counts = {state.value: 0 for state in StoredTrial}
            connection.execute(
                insert(sweeps).values(
                    id=sweep,
                    team=team,
                    project=project,
                    created_us=now,
                    created_by=user,
                    request_id=request_id or None,
                    state=State.RUNNING.value,
                    reason="",
                    early_off=False,
                    drawn=0,
                    place="0",
                    exhausted=False,
                    results=0,
                    cost=0.0,
                    trial_seconds=0.0,
                    **counts,
                    **fields,
                )
            )
            row = connection.execute(select(sweeps).where(sweeps.c.id == sweep)).one()
            Ledger(connection, row, now).note(user, "created", f"{row.method} search")
            return row

    @in_thread
    def update(self, sweep: str, user: str, fields: Mapping[str, object]) -> SweepRow | None:
        """Set columns, and note the old and new values. Return None when there is no such sweep."""
        with self._writing() as connection:
            ledger = Ledger.open(connection, sweep, now_us())
            if ledger is None:
                return None
            before = {column: ledger[column] for column in fields if ledger[column] != fields[column]}
            for column in before:
                ledger[column] = fields[column]
            if before:
                shown = [f"{column}: {_short(before[column])} -> {_short(fields[column])}" for column in before]
                ledger.note(user, "updated", "; ".join(shown))
            ledger.settle()
            ledger.save()
            return connection.execute(select(sweeps).where(sweeps.c.id == sweep)).one()

    @in_thread
    def command(self, sweep: str, user: str, state: State, action: str, reason: str) -> SweepRow | None:
        """Change the state. Return None when there is no such sweep.

        The caller has checked that this change is allowed.
        """
        with self._writing() as connection:
            ledger = Ledger.open(connection, sweep, now_us())
            if ledger is None:
                return None
            if ledger["state"] != state.value and ledger["state"] != State.CANCELLED:
                explanation = f"{action} by {user}" + (f": {reason}" if reason else "")
                if state is State.RUNNING:
                    explanation = ""
                ledger.set_state(state, explanation, user, action)
                if state is State.CANCELLED:
                    ends.stop_all(connection, ledger, explanation)
                ledger.settle()
                ledger.save()
            return connection.execute(select(sweeps).where(sweeps.c.id == sweep)).one()

    @in_thread
    def delete(self, sweep: str) -> int:
        """Delete a sweep with all its rows, and return the number of its trials."""
        with self._writing() as connection:
            Ledger.open(connection, sweep, now_us())
            count = 0
            for table in tables.ALL:
                which = table.c.id if table is sweeps else table.c.sweep
                done = connection.execute(delete(table).where(which == sweep)).rowcount
                count = done if table is trials else count
            return count

    @in_thread
    def register(self, sweep: str, calls: Sequence[Registration]) -> list[AgentRow] | None:
        """Register agents and return their rows in order, or None when there is no such sweep.

        An agent that registers again under its name gets the same row, with its counts set back.
        """
        with self._writing() as connection:
            return registering.register(connection, sweep, calls, now_us())

    @in_thread
    def lease(self, sweep: str, requests: Sequence[LeaseRequest], search: Search) -> list[LeaseAnswer]:
        """Return one answer for each request, in their order."""
        with self._writing() as connection:
            return leases.lease(connection, sweep, requests, search, self.limits, now_us())

    @in_thread
    def beat(self, sweep: str, calls: Sequence[tuple[str, Sequence[Heartbeat]]]) -> list[HeartbeatResult]:
        """Answer heartbeats of agents of one sweep, in their order."""
        with self._writing() as connection:
            now = now_us()
            return [leases.beat(connection, sweep, agent, beats, now) for agent, beats in calls]

    @in_thread
    def end(self, sweep: str, calls: Sequence[TrialEnd], goals: Sequence[Goal]) -> list[TrialEndResult | None]:
        """Record ends of trials of one sweep. The answer is None where there is no such trial."""
        with self._writing() as connection:
            now = now_us()
            return [ends.end(connection, sweep, report, goals, self.limits, now) for report in calls]

    @in_thread
    def report(self, sweep: str, agent: str, number: int, lease: str, values: Mapping[int, float]) -> AgentOrder | None:
        """Store values of a running trial. Return an order to stop it, or None."""
        which = (trials.c.sweep == sweep, trials.c.number == number)
        with self._writing() as connection:
            row = connection.execute(select(trials).where(*which)).one_or_none()
            if row is None or row.lease != lease or row.agent != agent or row.state != StoredTrial.RUNNING:
                return AgentOrder(number, Cause.LEASE_LOST, "its lease ran out: it is not this agent's any more")
            mine = (reports.c.sweep == sweep, reports.c.number == number)
            connection.execute(delete(reports).where(*mine, reports.c.step.in_(list(values))))
            rows = [{"sweep": sweep, "number": number, "step": step, "value": value} for step, value in values.items()]
            connection.execute(insert(reports), rows)
            return AgentOrder(number, Cause(row.stop), row.stop_reason) if row.stop else None

    @in_thread
    def order_stop(self, sweep: str, orders: Mapping[int, str], cause: Cause) -> int:
        """Tell running trials to stop, each with its reason. Return how many were told now."""
        with self._writing() as connection:
            ledger = Ledger.open(connection, sweep, now_us())
            return 0 if ledger is None else leases.order_stop(connection, ledger, orders, cause)

    @in_thread
    def tend(self, sweep: str) -> None:
        """Give expired trials back, and finish the sweep when no work is left."""
        with self._writing() as connection:
            ledger = Ledger.open(connection, sweep, now_us())
            if ledger is not None:
                leases.expire(connection, ledger, self.limits)
                ledger.settle()
                ledger.save()

    @in_thread
    def add(
        self, sweep: str, user: str, known: Sequence[tuple[Proposal, str, Sequence[float]]], request_id: str
    ) -> list[int]:
        """Add trials from elsewhere: configuration, run, values. Return their numbers.

        A trial without values gets them from its run later. The list is empty when there is no such sweep. A repeated
        request gets the same numbers.
        """
        with self._writing() as connection:
            now = now_us()
            ledger = Ledger.open(connection, sweep, now)
            if ledger is None:
                return []
            same = (
                trials.c.sweep == sweep,
                trials.c.request_id == request_id,
                trials.c.state == StoredTrial.ADDED.value,
            )
            if request_id:
                there = connection.execute(select(trials.c.number).where(*same).order_by(trials.c.number)).scalars()
                if numbers := list(there):
                    return numbers
            first = ledger["drawn"] + 1
            rows = []
            for number, (found, run, values) in enumerate(known, start=first):
                row = leases.blank(sweep, number, found.parameters_json, found.digest, now)
                result = ends.known(ledger, values) if values else {"value_state": Value.PENDING.value}
                empty = {"value": None, "result_order": None}
                given = {"run": run, "state": StoredTrial.ADDED.value, "ended_us": now, "request_id": request_id}
                rows.append({**row, **empty, **result, **given})
            connection.execute(insert(trials), rows)
            ledger.move(None, StoredTrial.ADDED, len(rows))
            ledger["drawn"] = first + len(rows) - 1
            ledger.note(user, "trials added", f"{len(rows)}: {first} to {first + len(rows) - 1}")
            ledger.save()
            return list(range(first, first + len(rows)))

    @in_thread
    def record(self, sweep: str, found: Mapping[int, Sequence[float] | str], goals: Sequence[Goal]) -> int:
        """See `ends.record`."""
        with self._writing() as connection:
            return ends.record(connection, sweep, found, goals, now_us())


def _short(value: object) -> str:
    return json.dumps(value)[:200]
