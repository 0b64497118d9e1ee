"""Queries on the sweeps' tables: no method changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from runstream_common.times import now_us
from runstream_control.database import Database, in_thread
from runstream_control.sweep_tables import agents, changes, reports, sweeps, trials
from runstream_control.sweeps.model import AgentRow, State, StoredTrial, SweepRow, TrialRow, Value

_TOGETHER = 1000
"""The most trial numbers in one query: SQLite takes 32,766 values."""


class SweepQueries(Database):
    """Read the sweeps' tables. All methods raise ControlUnavailableError."""

    @in_thread
    def sweep(self, sweep: str) -> SweepRow | None:
        with self._reading.connect() as connection:
            return connection.execute(select(sweeps).where(sweeps.c.id == sweep)).one_or_none()

    @in_thread
    def sweeps_of(
        self, team: str, project: str, state: str, after: tuple[int, str] | None, limit: int
    ) -> Sequence[SweepRow]:
        """Return sweeps, newest first. `after`: created_us and id of the last row of the page before."""
        where: list[ColumnElement[bool]] = [sweeps.c.team == team, sweeps.c.project == project]
        if state:
            where.append(sweeps.c.state == state)
        if after is not None:
            created_us, sweep = after
            older = (sweeps.c.created_us == created_us) & (sweeps.c.id < sweep)
            where.append((sweeps.c.created_us < created_us) | older)
        query = select(sweeps).where(*where).order_by(sweeps.c.created_us.desc(), sweeps.c.id.desc()).limit(limit)
        with self._reading.connect() as connection:
            return connection.execute(query).all()

    @in_thread
    def changes_of(self, sweep: str, before: int | None, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return changes, newest first. `before`: the id of the last row of the page before."""
        where = [changes.c.sweep == sweep] + ([changes.c.id < before] if before is not None else [])
        with self._reading.connect() as connection:
            return connection.execute(select(changes).where(*where).order_by(changes.c.id.desc()).limit(limit)).all()

    @in_thread
    def agents_named(self, names: Sequence[str]) -> Mapping[str, AgentRow]:
        """Return those of the named agents that exist, by id."""
        with self._reading.connect() as connection:
            return {row.id: row for row in connection.execute(select(agents).where(agents.c.id.in_(set(names))))}

    @in_thread
    def agents_of(self, sweep: str, start: int, limit: int) -> tuple[Sequence[AgentRow], Mapping[str, int]]:
        """Return agents, the one seen last first, and how many trials each of them runs."""
        query = select(agents).where(agents.c.sweep == sweep).order_by(agents.c.seen_us.desc(), agents.c.id)
        busy = select(trials.c.agent, func.count()).where(
            trials.c.sweep == sweep, trials.c.state == StoredTrial.RUNNING.value
        )
        with self._reading.connect() as connection:
            running = {row[0]: row[1] for row in connection.execute(busy.group_by(trials.c.agent))}
            return connection.execute(query.offset(start).limit(limit)).all(), running

    @in_thread
    def agents_alive(self, sweep: str) -> int:
        """Return the number of active agents that were heard of within their lease."""
        silence = agents.c.seen_us + agents.c.lease_s * 1_000_000
        where = (agents.c.sweep == sweep, agents.c.state == "active", silence >= now_us())
        with self._reading.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(agents).where(*where)).scalar_one())

    @in_thread
    def reports_of(self, sweep: str, numbers: Sequence[int]) -> Mapping[int, list[float]]:
        """Return the finite reported values of each trial, in the order of steps."""
        found: dict[int, list[float]] = {}
        query = select(reports).where(reports.c.sweep == sweep, reports.c.number.in_(numbers))
        with self._reading.connect() as connection:
            for row in connection.execute(query.order_by(reports.c.number, reports.c.step)):
                if row.value is not None and abs(row.value) != float("inf"):
                    found.setdefault(row.number, []).append(row.value)
        return found

    @in_thread
    def standing(self, wanted: Mapping[str, Sequence[int]]) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return one row for each trial that exists. `wanted`: trial numbers by sweep.

        The columns are sweep, number, run, attempt, stop, stop_reason, team, project.
        """
        columns = (trials.c.sweep, trials.c.number, trials.c.run, trials.c.attempt, trials.c.stop, trials.c.stop_reason)
        query = select(*columns, sweeps.c.team, sweeps.c.project).join(sweeps, sweeps.c.id == trials.c.sweep)
        found: list[Row[*tuple[Any, ...]]] = []
        with self._reading.connect() as connection:
            for sweep, numbers in wanted.items():
                for first in range(0, len(numbers), _TOGETHER):
                    some = numbers[first : first + _TOGETHER]
                    found += connection.execute(query.where(trials.c.sweep == sweep, trials.c.number.in_(some)))
        return found

    @in_thread
    def to_tend(self) -> list[str]:
        """Return the sweeps that have an expired lease or a budget of time."""
        expired = select(trials.c.sweep).where(
            trials.c.state == StoredTrial.RUNNING.value, trials.c.expires_us < now_us()
        )
        timed = select(sweeps.c.id).where(
            sweeps.c.state == State.RUNNING.value, sweeps.c.wall_time_s > 0, sweeps.c.started_us.is_not(None)
        )
        with self._reading.connect() as connection:
            return [row[0] for row in connection.execute(expired.distinct().union(timed))]

    @in_thread
    def awaiting_values(self, limit: int) -> Sequence[TrialRow]:
        """Return ended trials, of all sweeps, whose values must still be read from their runs."""
        query = select(trials).where(trials.c.value_state == Value.PENDING.value)
        with self._reading.connect() as connection:
            return connection.execute(query.order_by(trials.c.ended_us).limit(limit)).all()

    @in_thread
    def results_after(self, sweep: str, order: int) -> Sequence[TrialRow]:
        """Return the trials with a result after `order`, in the order in which the results became known."""
        where = (trials.c.sweep == sweep, trials.c.result_order > order)
        with self._reading.connect() as connection:
            return connection.execute(select(trials).where(*where).order_by(trials.c.result_order)).all()

    @in_thread
    def pending(self, sweep: str) -> Sequence[TrialRow]:
        """Return the trials whose result is still to come, by number."""
        under_way = trials.c.state.in_([StoredTrial.QUEUED.value, StoredTrial.RUNNING.value])
        where = (trials.c.sweep == sweep, under_way | (trials.c.value_state == Value.PENDING.value))
        with self._reading.connect() as connection:
            return connection.execute(select(trials).where(*where).order_by(trials.c.number)).all()

    @in_thread
    def early_stopping(self) -> Sequence[SweepRow]:
        """Return the sweeps whose running trials may have to be stopped.

        The caller checks whether the sweep's definition asks for early stopping.
        """
        live = sweeps.c.state.in_([State.RUNNING.value, State.PAUSED.value, State.FINISHED.value])
        where = (live, sweeps.c.running > 0, sweeps.c.early_off.is_(False))
        with self._reading.connect() as connection:
            return connection.execute(select(sweeps).where(*where)).all()

    @in_thread
    def judged(self, sweep: str) -> Sequence[TrialRow]:
        """Return the trials that early stopping looks at: running, finished and pruned ones."""
        ran = [state.value for state in (StoredTrial.RUNNING, StoredTrial.FINISHED, StoredTrial.PRUNED)]
        where = (trials.c.sweep == sweep, trials.c.state.in_(ran))
        columns = (trials.c.number, trials.c.run, trials.c.state, trials.c.stop, trials.c.value_state)
        with self._reading.connect() as connection:
            return connection.execute(select(*columns).where(*where)).all()

    @in_thread
    def trials_of(
        self,
        sweep: str,
        *,
        states: Sequence[str] = (),
        numbers: Sequence[int] = (),
        descending: bool = False,
        after: int | None = None,
        limit: int,
    ) -> Sequence[TrialRow]:
        """Return trials by number. `after`: the number of the last row of the page before."""
        where: list[ColumnElement[bool]] = [trials.c.sweep == sweep]
        if states:
            where.append(trials.c.state.in_(states))
        if numbers:
            where.append(trials.c.number.in_(numbers))
        if after is not None:
            where.append(trials.c.number < after if descending else trials.c.number > after)
        order = trials.c.number.desc() if descending else trials.c.number
        with self._reading.connect() as connection:
            return connection.execute(select(trials).where(*where).order_by(order).limit(limit)).all()

    @in_thread
    def ranked(self, sweep: str, states: Sequence[str], maximize: bool, start: int, limit: int) -> Sequence[TrialRow]:
        """Return trials with a value of the first objective, best first, NaN last, ties by number."""
        where: list[ColumnElement[bool]] = [trials.c.sweep == sweep, trials.c.value_state == Value.KNOWN.value]
        if states:
            where.append(trials.c.state.in_(states))
        value = trials.c.value.desc() if maximize else trials.c.value.asc()
        query = select(trials).where(*where).order_by(trials.c.value.is_(None), value, trials.c.number)
        with self._reading.connect() as connection:
            return connection.execute(query.offset(start).limit(limit)).all()

    @in_thread
    def values_of(self, sweep: str, limit: int) -> Sequence[TrialRow]:
        """Return the trials with values, in the order of the results.

        The columns are number, state, ended_us, values_json, result_order.
        """
        columns = (trials.c.number, trials.c.state, trials.c.ended_us, trials.c.values_json, trials.c.result_order)
        where = (trials.c.sweep == sweep, trials.c.value_state == Value.KNOWN.value)
        with self._reading.connect() as connection:
            return connection.execute(select(*columns).where(*where).order_by(trials.c.result_order).limit(limit)).all()

    @in_thread
    def value_counts(self, sweep: str) -> Mapping[str, int]:
        """Return the number of trials in each state of their value."""
        query = select(trials.c.value_state, func.count()).where(trials.c.sweep == sweep)
        with self._reading.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(trials.c.value_state))}

    @in_thread
    def ended_since(self, sweep: str, since_us: int) -> int:
        """Return the number of trials that finished, failed or were pruned from that moment on."""
        done = [state.value for state in (StoredTrial.FINISHED, StoredTrial.FAILED, StoredTrial.PRUNED)]
        where = (trials.c.sweep == sweep, trials.c.state.in_(done), trials.c.ended_us >= since_us)
        with self._reading.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(trials).where(*where)).scalar_one())
