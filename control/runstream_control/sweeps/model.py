"""The inputs and outputs of the sweeps' transactions."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from sqlalchemy import Row

SweepRow = Row[*tuple[Any, ...]]
"""A row of `sweep_tables.sweeps`."""
TrialRow = Row[*tuple[Any, ...]]
"""A row of `sweep_tables.trials`."""
AgentRow = Row[*tuple[Any, ...]]
"""A row of `sweep_tables.agents`."""
SERVER = "runstream"
"""The author of the server's own changes. A user may have the same name: it is only shown."""


class FreshTrial(SimpleNamespace):
    """A trial that was drawn and handed out just now: all columns of its row, as they were written."""


class State(enum.StrEnum):
    """The state of a sweep."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class StoredTrial(enum.StrEnum):
    """State of a trial; each but none is also a column of the sweep that counts them."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"
    CANCELLED = "cancelled"
    ADDED = "added"


class Value(enum.StrEnum):
    """Whether, and from where, a trial's result is known."""

    NONE = ""
    PENDING = "pending"
    KNOWN = "known"
    MISSING = "missing"


class Cause(enum.StrEnum):
    """Why a trial, or an agent, must stop."""

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
    """The search proposed nothing this time, though it may propose something later: the caller asks again at once."""


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
    """The list may be shorter than requested, or empty: ask again from `place`."""
    place: int = 0
    """Where the next drawing begins; only a grid has one."""
    exhausted: bool = False
    """The search will never propose another configuration."""


Known = Callable[[str], bool]
"""A function that tells whether a configuration of this digest was drawn or added before."""


class Search(Protocol):
    def draw(self, number: int, place: int, count: int, known: Known) -> Drawn:
        """Return configurations for the trials `number`, `number` + 1, ...

        The result is deterministic, given the arguments and the known configurations.
        """


@dataclass(frozen=True, slots=True)
class Registration:
    """An agent that registers, for the first time or again under its name."""

    user: str
    name: str
    fields: Mapping[str, object]
    """The columns that the agent itself sets: host, lease, guard."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """One agent's request for trials."""

    agent: str
    request_id: str
    count: int


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    verdict: Verdict
    trials: Sequence[TrialRow | FreshTrial] = ()
    cause: Cause | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    number: int
    lease: str
    run: str = ""
    """The name of the run; empty keeps the earlier one."""


@dataclass(frozen=True, slots=True)
class AgentOrder:
    """The order to stop a trial."""

    number: int
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """The answer to a heartbeat."""

    orders: list[AgentOrder]
    answer: LeaseAnswer
    """The order to the agent itself."""
    lease_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """An agent's report that a trial ended."""

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
class TrialEndResult:
    trial: TrialRow
    accepted: bool
    requeued: bool
    answer: LeaseAnswer
    """The order to the agent itself."""


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """The limits at which a trial or an agent is given up."""

    losses: int
    initial_failures: int
