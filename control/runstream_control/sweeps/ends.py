"""The ends of trials: results, retries, trials given back, and the guard against agents whose trials all fail."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from runstream_control.sweep_tables import agents, trials
from runstream_control.sweeps.leases import stopped
from runstream_control.sweeps.ledger import Ledger
from runstream_control.sweeps.model import (
    SERVER,
    AgentRow,
    Cause,
    Outcome,
    State,
    StoredTrial,
    SweepLimits,
    TrialEnd,
    TrialEndResult,
    TrialRow,
    Value,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """The part of an objective that the transactions need."""

    maximize: bool
    target: float | None = None

    def reached(self, value: float) -> bool:
        if self.target is None or math.isnan(value):
            return False
        return value >= self.target if self.maximize else value <= self.target


def end(
    connection: Connection, sweep: str, report: TrialEnd, goals: Sequence[Goal], limits: SweepLimits, now: int
) -> TrialEndResult | None:
    """Record the end of a trial. Return None when there is no such trial."""
    ledger = Ledger.open(connection, sweep, now)
    which = (trials.c.sweep == sweep, trials.c.number == report.number)
    row = connection.execute(select(trials).where(*which)).one_or_none()
    agent = connection.execute(select(agents).where(agents.c.id == report.agent)).one_or_none()
    if ledger is None or row is None or agent is None:
        return None
    if row.lease != report.lease or row.agent != report.agent:
        return TrialEndResult(row, False, False, ledger.verdict(agent))
    if row.state not in (
        StoredTrial.RUNNING,
        StoredTrial.QUEUED,
    ):  # the agent reported it before, and the answer was lost
        return TrialEndResult(row, True, False, ledger.verdict(agent))
    state, change = _became(ledger, row, report, goals, limits)
    change |= {
        "state": state.value,
        "expires_us": None,
        "ended_us": now,
        "duration_s": max(now - (row.leased_us or now), 0) / 1e6,
        "run": report.run or row.run,
    }
    if report.cost is not None:
        change["cost"] = row.cost + report.cost
        ledger["cost"] = ledger["cost"] + report.cost
    ledger["trial_seconds"] = ledger["trial_seconds"] + change["duration_s"]
    connection.execute(update(trials).where(*which).values(**change))
    ledger.move(StoredTrial(row.state), state)
    if change.get("value_state") == Value.KNOWN:
        check_target(ledger, report.number, report.values, goals)
    agent = _judge(connection, ledger, agent, report, limits)
    ledger.settle()
    ledger.save()
    row = connection.execute(select(trials).where(*which)).one()
    return TrialEndResult(row, True, state is StoredTrial.QUEUED, ledger.verdict(agent))


def _became(
    ledger: Ledger, row: TrialRow, report: TrialEnd, goals: Sequence[Goal], limits: SweepLimits
) -> tuple[StoredTrial, dict[str, object]]:
    """Return the trial's new state, and the other columns that change."""
    match report.outcome:
        case Outcome.FINISHED:
            return StoredTrial.FINISHED, {
                "message": "",
                "exit_code": report.exit_code,
                **_result(ledger, report, goals),
            }
        case Outcome.STOPPED | Outcome.FAILED | Outcome.PREEMPTED if row.stop:  # it was ordered to stop
            state, change = stopped(row.stop)
            result = _result(ledger, report, goals) if state is StoredTrial.PRUNED else {}
            return state, {**change, "message": row.stop_reason, **result}
        case Outcome.FAILED:
            failed = {"failures": row.failures + 1, "message": report.message, "exit_code": report.exit_code}
            if row.failures < ledger["retries"] and _goes_on(ledger):
                return StoredTrial.QUEUED, {**failed, "lease": "", "resume": False}
            return StoredTrial.FAILED, {**failed, "result_order": ledger.next_result()}
        case Outcome.GIVEN_BACK:
            change = {"lease": "", "attempt": max(row.attempt - 1, 0), "resume": row.resume and row.attempt > 1}
        case _:
            change = {"lease": "", "losses": row.losses + 1, "resume": True, "message": report.message or "preempted"}
            if row.losses + 1 >= limits.losses:
                reason = f"given up: it was preempted or lost {row.losses + 1} times"
                return StoredTrial.FAILED, {**change, "message": reason, "result_order": ledger.next_result()}
    if not _goes_on(ledger):
        return StoredTrial.CANCELLED, {"message": ledger["reason"]}
    return StoredTrial.QUEUED, change


def _goes_on(ledger: Ledger) -> bool:
    return bool(ledger["state"] != State.CANCELLED)


def _result(ledger: Ledger, report: TrialEnd, goals: Sequence[Goal]) -> dict[str, object]:
    if not goals:
        return {}
    if not report.values:
        return {"value_state": Value.PENDING.value}
    return known(ledger, report.values)


def known(ledger: Ledger, values: Sequence[float]) -> dict[str, object]:
    """Return the columns of a trial whose values are known."""
    first = float(values[0])
    return {
        "value_state": Value.KNOWN.value,
        "value": None if math.isnan(first) else first,
        "values_json": json.dumps(list(values)),
        "result_order": ledger.next_result(),
    }


def check_target(ledger: Ledger, number: int, values: Sequence[float], goals: Sequence[Goal]) -> None:
    """Finish the sweep when the trial's values reach the target of an objective."""
    if ledger["state"] not in (State.RUNNING, State.PAUSED):
        return
    for value, goal in zip(values, goals, strict=False):
        if goal.reached(value):
            reason = f"trial {number} reached the target of {goal.target:g} with {value:g}"
            ledger.set_state(State.FINISHED, reason, SERVER, "finished")
            return


def record(
    connection: Connection,
    sweep: str,
    found: Mapping[int, Sequence[float] | str],
    goals: Sequence[Goal],
    now: int,
) -> int:
    """Write the values of trials that awaited them. A text in place of values says why there are none.

    Return how many trials were written: another process may have written the same ones.
    """
    ledger = Ledger.open(connection, sweep, now)
    if ledger is None:
        return 0
    written = 0
    for number, values in found.items():
        which = (
            trials.c.sweep == sweep,
            trials.c.number == number,
            trials.c.value_state == Value.PENDING.value,
        )
        if connection.execute(select(trials.c.number).where(*which)).first() is None:
            continue
        if isinstance(values, str):
            change = {"value_state": Value.MISSING.value, "result_order": ledger.next_result(), "message": values}
        else:
            change = known(ledger, values)
            check_target(ledger, number, values, goals)
        connection.execute(update(trials).where(*which).values(**change))
        written += 1
    ledger.save()
    return written


def _judge(connection: Connection, ledger: Ledger, agent: AgentRow, report: TrialEnd, limits: SweepLimits) -> AgentRow:
    """Count the end for its agent, and stop an agent whose trials fail one after the other."""
    failed = report.outcome is Outcome.FAILED
    counted = failed or report.outcome in (Outcome.FINISHED, Outcome.STOPPED)
    change: dict[str, object] = {"seen_us": ledger.now}
    if counted:
        recent = [*json.loads(agent.recent_failures), ledger.now] if failed else []
        kept = max(agent.failure_limit, limits.initial_failures)
        change |= {
            "ends": agent.ends + 1,
            "failed": agent.failed + failed,
            "finished": agent.finished + (not failed),
            "recent_failures": json.dumps(recent[-kept:]),
        }
        reason = "" if agent.guard_off else _guard(agent, recent, agent.ends + 1, limits)
        if reason and agent.state == "active":
            reason = f"{reason}; the last: {report.message or f'exit code {report.exit_code}'}"
            change |= {"state": "stopped", "reason": reason[:4096]}
            ledger.note(SERVER, "agent stopped", f"{agent.name}: {reason}"[:4096])
    connection.execute(update(agents).where(agents.c.id == agent.id).values(**change))
    return connection.execute(select(agents).where(agents.c.id == agent.id)).one()


def _guard(agent: AgentRow, recent: Sequence[int], ends: int, limits: SweepLimits) -> str:
    """Return why the agent must stop, or an empty text. `recent`: its failures since the last success, in us."""
    limit = agent.failure_limit
    if len(recent) >= limit and recent[-1] - recent[-limit] <= agent.failure_window_s * 1e6:
        return f"its last {limit} trials failed within {agent.failure_window_s:g} s"
    if ends == len(recent) == limits.initial_failures:
        return f"its first {ends} trials all failed"
    return ""


def stop_all(connection: Connection, ledger: Ledger, reason: str) -> None:
    """Tell the running trials of a cancelled sweep to stop, and cancel those in the pool."""
    of_sweep = trials.c.sweep == ledger["id"]
    connection.execute(
        update(trials)
        .where(of_sweep, trials.c.state == StoredTrial.RUNNING.value, trials.c.stop == "")
        .values(stop=Cause.SWEEP_CANCELLED.value, stop_reason=reason)
    )
    queued = connection.execute(
        update(trials)
        .where(of_sweep, trials.c.state == StoredTrial.QUEUED.value)
        .values(state=StoredTrial.CANCELLED.value, ended_us=ledger.now, message=reason)
    ).rowcount
    ledger.move(StoredTrial.QUEUED, StoredTrial.CANCELLED, queued)
