"""A sweep's row under its lock: its counts, and the state that follows from them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from runstream_control.sweep_tables import changes, sweeps
from runstream_control.sweeps.model import SERVER, AgentRow, Cause, LeaseAnswer, State, StoredTrial, SweepRow, Verdict


class Ledger:
    """Read the row for update, collect changes to it, and write them with `save()`."""

    def __init__(self, connection: Connection, row: SweepRow, now: int) -> None:
        self._connection = connection
        self._row: dict[str, Any] = dict(row._mapping)
        self._changed: set[str] = set()
        self.now = now

    @classmethod
    def open(cls, connection: Connection, sweep: str, now: int) -> Ledger | None:
        """Lock and read the sweep's row, or return None when there is no such sweep.

        Other transactions wait for the row until this one ends.
        """
        row = connection.execute(select(sweeps).where(sweeps.c.id == sweep).with_for_update()).one_or_none()
        return None if row is None else cls(connection, row, now)

    def __getitem__(self, column: str) -> Any:
        return self._row[column]

    def __setitem__(self, column: str, value: object) -> None:
        if self._row[column] != value:
            self._row[column] = value
            self._changed.add(column)

    @property
    def trials(self) -> int:
        """The number of drawn trials, for the run cap; trials added from elsewhere do not count."""
        return sum(self[state] for state in StoredTrial if state is not StoredTrial.ADDED)

    @property
    def living(self) -> int:
        return int(self[StoredTrial.QUEUED] + self[StoredTrial.RUNNING])

    @property
    def may_draw(self) -> int | None:
        """The number of new trials that the run cap allows; None allows any number."""
        cap = self["run_cap"]
        if self["exhausted"]:
            return 0
        return None if cap is None else max(int(cap) - self.trials, 0)

    def move(self, old: StoredTrial | None, new: StoredTrial, count: int = 1) -> None:
        if old is not None:
            self[old] = self[old] - count
        self[new] = self[new] + count

    def next_result(self) -> int:
        self["results"] = self["results"] + 1
        return int(self["results"])

    def note(self, author: str, action: str, detail: str) -> None:
        self._connection.execute(
            insert(changes).values(sweep=self["id"], at_us=self.now, author=author, action=action, detail=detail)
        )

    def set_state(self, state: State, reason: str, author: str, action: str) -> None:
        self["state"], self["reason"] = state.value, reason
        self["ended_us"] = self.now if state in (State.FINISHED, State.CANCELLED) else None
        self.note(author, action, reason)

    def settle(self) -> None:
        """Finish the sweep when no work is left, or a budget is spent."""
        if self["state"] not in (State.RUNNING, State.PAUSED):
            return
        spent = self.budget_spent()
        if spent:
            self.set_state(State.FINISHED, spent, SERVER, "finished")
        elif self.may_draw == 0 and self.living == 0 and (self.trials or self["exhausted"]):
            what = "the run cap" if not self["exhausted"] else "the grid"
            self.set_state(State.FINISHED, f"all {self.trials} trials of {what} ended", SERVER, "finished")

    def budget_spent(self) -> str:
        """Return a sentence about the budget that is spent, or an empty text."""
        wall, trial_time, cost = self["wall_time_s"], self["trial_time_s"], self["cost_limit"]
        if wall and self["started_us"] and self.now - self["started_us"] >= wall * 1e6:
            return f"the budget of {wall:g} s since the first trial is spent"
        if trial_time and self["trial_seconds"] >= trial_time:
            return f"the budget of {trial_time:g} s of trials is spent"
        if cost and self["cost"] >= cost:
            return f"the budget of {cost:g} is spent: {self['cost']:g}"
        return ""

    def verdict(self, agent: AgentRow | None = None) -> LeaseAnswer:
        """Return what an agent must do, regardless of the trials there are. GO means that it may go on."""
        if agent is not None and agent.state != "active":
            return LeaseAnswer(Verdict.STOP, cause=Cause.FAILURE_GUARD, reason=agent.reason)
        match self["state"]:
            case State.CANCELLED:
                return LeaseAnswer(Verdict.STOP, cause=Cause.SWEEP_CANCELLED, reason=self["reason"])
            case State.FINISHED:
                cause = Cause.BUDGET if self["reason"].startswith("the budget") else Cause.SWEEP_FINISHED
                return LeaseAnswer(Verdict.STOP, cause=cause, reason=self["reason"])
            case State.PAUSED:
                return LeaseAnswer(Verdict.PAUSED, reason=self["reason"])
        return LeaseAnswer(Verdict.GO)

    def save(self) -> None:
        if self._changed:
            values = {column: self._row[column] for column in self._changed}
            self._connection.execute(update(sweeps).where(sweeps.c.id == self["id"]).values(**values))
            self._changed.clear()


DELETED = LeaseAnswer(Verdict.STOP, cause=Cause.SWEEP_DELETED, reason="the sweep was deleted")
