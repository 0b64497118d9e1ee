"""What goes in and out of the sweeps' transactions."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from sqlalchemy import Row

SweepRow = Row[Any]
"""Of `sweep_tables.sweeps`."""
TrialRow = Row[Any]
"""Of `sweep_tables.trials`."""
AgentRow = Row[Any]
"""Of `sweep_tables.agents`."""
SERVER = "runstream"
"""The author of what the server does by itself; no user may be called so by accident: it is only shown."""


class FreshTrial(SimpleNamespace):
    """A trial that was drawn and handed out just now: all columns of its row, as they were written."""


class State(enum.StrEnum):
    """Of a sweep."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Trial(enum.StrEnum):
    """State of a trial; each but none is also a column of the sweep that counts them."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"
    CANCELLED = "cancelled"
    ADDED = "added"


class Value(enum.StrEnum):
    """What is known of a trial's result."""

    NONE = ""
    PENDING = "pending"
    KNOWN = "known"
    MISSING = "missing"


class Cause(enum.StrEnum):
    """Why something must stop."""

    SWEEP_FINISHED = "finished"
    SWEEP_CANCELLED = "cancelled"
    PRUNED = "pruned"
    LEASE_LOST = "lost"
    FAILURE_GUARD = "guard"
    BUDGET = "budget"
    SWEEP_DELETED = "deleted"


class Verdict(enum.StrEnum):
    GO = "go"
    WAIT = "wait"
    PAUSED = "paused"
    STOP = "stop"
    AGAIN = "again"
    """Nothing was proposed this time, though there may be something: the caller asks again at once."""


class Outcome(enum.StrEnum):
    """How an agent says that a trial ended."""

    FINISHED = "finished"
    FAILED = "failed"
    PREEMPTED = "preempted"
    STOPPED = "stopped"
    GIVEN_BACK = "given back"


@dataclass(frozen=True, slots=True)
class Proposal:
    parameters_json: str
    digest: str


@dataclass(frozen=True, slots=True)
class Drawn:
    proposals: list[Proposal]
    """Perhaps fewer than were asked for, or none: ask again from `place`."""
    place: int = 0
    """Where the next drawing begins; only a grid has one."""
    exhausted: bool = False
    """There will never be another."""


Known = Callable[[str], bool]
"""Whether a configuration of this digest was drawn or added before."""


class Search(Protocol):
    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        """Configurations for the trials `number`, `number` + 1, ... Deterministic given these and what is known."""


@dataclass(frozen=True, slots=True)
class Registration:
    """An agent that comes, or comes again under its name."""

    user: str
    name: str
    fields: Mapping[str, Any]
    """Columns that are the agent's own to say: host, lease, guard."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One agent's request for trials."""

    agent: str
    request_id: str
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    trials: Sequence[TrialRow | FreshTrial] = ()
    cause: Cause | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    number: int
    lease: str
    run: str = ""
    """Empty: as it was."""


@dataclass(frozen=True, slots=True)
class Order:
    """A trial must stop."""

    number: int
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Beaten:
    """The answer to a heartbeat."""

    orders: list[Order]
    answer: Answer
    """What the agent is to do besides."""
    lease_s: float = 0.0


@dataclass(frozen=True, slots=True)
class End:
    """What an agent says of a trial."""

    agent: str
    number: int
    lease: str
    outcome: Outcome
    exit_code: int = 0
    message: str = ""
    run: str = ""
    values: tuple[float, ...] = ()
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    trial: TrialRow
    accepted: bool
    requeued: bool
    answer: Answer
    """What the agent is to do besides."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial and an agent may do before they are given up."""

    losses: int
    initial_failures: int
