"""Turn rows of the control database into protobuf messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from runstream_control.sweeps.model import (
    AgentOrder,
    AgentRow,
    Cause,
    FreshTrial,
    LeaseAnswer,
    Outcome,
    State,
    StoredTrial,
    SweepRow,
    TrialRow,
    Value,
    Verdict,
)
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.runs.documents import timestamp
from runstream_query.sweeps.definition import SweepDefinition

STATES = {
    State.RUNNING: pb.SWEEP_STATE_RUNNING,
    State.PAUSED: pb.SWEEP_STATE_PAUSED,
    State.FINISHED: pb.SWEEP_STATE_FINISHED,
    State.CANCELLED: pb.SWEEP_STATE_CANCELLED,
}
STATE_NAMES = {number: state for state, number in STATES.items()}
TRIAL_STATES = {state: pb.TrialState.Value(f"TRIAL_STATE_{state.name}") for state in StoredTrial}
TRIAL_STATE_NAMES = {number: state for state, number in TRIAL_STATES.items()}
_VALUE_STATES = {
    Value.NONE: pb.VALUE_STATE_UNSPECIFIED,
    Value.PENDING: pb.VALUE_STATE_PENDING,
    Value.KNOWN: pb.VALUE_STATE_KNOWN,
    Value.MISSING: pb.VALUE_STATE_MISSING,
}
CAUSES = {cause: pb.StopCause.Value(f"STOP_CAUSE_{cause.name}") for cause in Cause}
VERDICTS = {
    Verdict.GO: pb.LeaseTrialsResponse.VERDICT_GO,
    Verdict.WAIT: pb.LeaseTrialsResponse.VERDICT_WAIT,
    Verdict.AGAIN: pb.LeaseTrialsResponse.VERDICT_WAIT,
    Verdict.PAUSED: pb.LeaseTrialsResponse.VERDICT_PAUSED,
    Verdict.STOP: pb.LeaseTrialsResponse.VERDICT_STOP,
}
OUTCOMES = {
    pb.EndTrialRequest.OUTCOME_FINISHED: Outcome.FINISHED,
    pb.EndTrialRequest.OUTCOME_FAILED: Outcome.FAILED,
    pb.EndTrialRequest.OUTCOME_PREEMPTED: Outcome.PREEMPTED,
    pb.EndTrialRequest.OUTCOME_STOPPED: Outcome.STOPPED,
    pb.EndTrialRequest.OUTCOME_GIVEN_BACK: Outcome.GIVEN_BACK,
}
_LARGEST = (1 << 63) - 1
HEARTBEATS = 3
"""Heartbeats in the life of a lease."""


def sweep_message(row: SweepRow, definition: SweepDefinition, *, whole: bool = True) -> pb.Sweep:
    """Return the message of a sweep; `whole` includes the definition."""
    size, is_limit = _size(row)
    message = pb.Sweep(
        id=row.id,
        team=row.team,
        project=row.project,
        name=row.name,
        description=row.description,
        definition_json=json.dumps(in_force(row, definition)) if whole else "",
        method=row.method,
        state=STATES[State(row.state)],
        reason=row.reason,
        seed=row.seed,
        run_cap=row.run_cap or 0,
        max_parallel=row.max_parallel or 0,
        retries=row.retries,
        size=size,
        size_is_limit=is_limit,
        created_by=row.created_by,
        created=timestamp(row.created_us),
        started=timestamp(row.started_us or 0),
        ended=timestamp(row.ended_us or 0),
        cost=row.cost,
        trial_seconds=row.trial_seconds,
        notes=json.loads(row.notes),
    )
    for state in StoredTrial:
        setattr(message.counts, state.value, getattr(row, state.value))
    for objective in definition.objectives:
        message.objectives.add(
            metric=objective.metric, maximize=objective.maximize, target=objective.target, summary=objective.summary
        )
    return message


def _size(row: SweepRow) -> tuple[int, bool]:
    if not row.size:
        return row.run_cap or 0, False
    size = min(int(row.size), _LARGEST)
    if row.run_cap and row.run_cap < size:
        return row.run_cap, False
    return size, bool(row.size_is_limit)


def in_force(row: SweepRow, definition: SweepDefinition) -> dict[str, object]:
    """Return the configuration in force: as given, with the changes since."""
    config = dict(definition.config)
    changed: dict[str, object] = {"name": row.name, "description": row.description, "retries": row.retries}
    changed |= {"run_cap": row.run_cap, "max_parallel": row.max_parallel}
    budget = {"wall_time": row.wall_time_s, "trial_time": row.trial_time_s, "cost": row.cost_limit}
    changed["budget"] = {key: value for key, value in budget.items() if value}
    if row.early_off:
        config.pop("early_terminate", None)
    for key, value in changed.items():
        if value:
            config[key] = value
        else:
            config.pop(key, None)
    return config


def trial_message(row: TrialRow | FreshTrial, place: int = 0) -> pb.Trial:
    return pb.Trial(
        sweep=row.sweep,
        number=row.number,
        state=TRIAL_STATES[StoredTrial(row.state)],
        parameters_json=row.parameters,
        run=row.run,
        attempt=row.attempt,
        agent=row.agent,
        value_state=_VALUE_STATES[Value(row.value_state)],
        values=json.loads(row.values_json) if row.values_json else (),
        exit_code=row.exit_code,
        message=row.message,
        created=timestamp(row.created_us),
        leased=timestamp(row.leased_us or 0),
        ended=timestamp(row.ended_us or 0),
        duration_s=row.duration_s,
        cost=row.cost,
        place=place,
    )


def agent_message(row: AgentRow, running: Mapping[str, int]) -> pb.Agent:
    return pb.Agent(
        id=row.id,
        sweep=row.sweep,
        name=row.name,
        host=row.host,
        user=row.user,
        lease_s=row.lease_s,
        heartbeat_s=row.lease_s / HEARTBEATS,
        state=pb.AGENT_STATE_ACTIVE if row.state == "active" else pb.AGENT_STATE_STOPPED,
        reason=row.reason,
        running=running.get(row.id, 0),
        finished=row.finished,
        failed=row.failed,
        created=timestamp(row.created_us),
        seen=timestamp(row.seen_us),
    )


class VerdictFields(TypedDict):
    """The fields of several responses that tell an agent what it must do."""

    verdict: pb.LeaseTrialsResponse.Verdict.ValueType
    cause: pb.StopCause.ValueType
    reason: str


def lease_message(answer: LeaseAnswer, retry_after_s: float) -> pb.LeaseTrialsResponse:
    message = pb.LeaseTrialsResponse(**verdict_fields(answer))
    if answer.verdict is not Verdict.GO and answer.verdict is not Verdict.STOP:
        message.retry_after_s = retry_after_s
    for row in answer.trials:
        message.trials.add(
            trial=trial_message(row),
            lease=row.lease,
            lease_s=(row.expires_us - row.leased_us) / 1e6,
            resume=row.resume,
        )
    return message


def verdict_fields(answer: LeaseAnswer) -> VerdictFields:
    """Return the fields verdict, cause and reason, which tell an agent what to do; several responses have them."""
    cause = CAUSES[answer.cause] if answer.cause is not None else pb.STOP_CAUSE_UNSPECIFIED
    return {"verdict": VERDICTS[answer.verdict], "cause": cause, "reason": answer.reason}


def order_message(order: AgentOrder) -> pb.StopOrder:
    return pb.StopOrder(number=order.number, cause=CAUSES[order.cause], reason=order.reason)


def values_of(row: TrialRow) -> Sequence[float]:
    return json.loads(row.values_json) if row.values_json else ()
