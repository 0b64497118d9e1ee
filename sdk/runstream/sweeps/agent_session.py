"""An agent's side of the contract: it registers, leases trials, keeps them alive, and reports how they ended.

`try_*` methods make one request and raise UnavailableError where another try makes sense: they remember the request, so
that the next try repeats the same one. `lease` and `end` go on trying. One thread may lease and end. Heartbeats come
from a daemon thread of this session, which does nothing but HTTP: a fork of the process is safe at any time.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runstream.errors import ApiError, NotFoundError, UnavailableError
from runstream.runs.active_trial import StopOrder
from runstream.sweeps.client import Client, host_name, new_request_id
from runstream.sweeps.sweep_info import Json, SweepInfo, TrialInfo, enum_name

_T = TypeVar("_T")
FINISHED, FAILED, PREEMPTED, STOPPED, GIVEN_BACK = ("FINISHED", "FAILED", "PREEMPTED", "STOPPED", "GIVEN_BACK")
WAIT_S = 20.0
"""How long one request for a trial waits on the server."""
_MARGIN_S = 15.0
_BEAT_WHILE_PRUNING_S = (0.5, 5.0)
"""Where a sweep stops trials early, an agent sends its heartbeat after a fifth of the youngest trial's age, within
these bounds: a trial that takes seconds must be stopped within seconds."""
_BACKOFF_S = (0.2, 10.0)
_GOODBYE_S = 5.0
_MESSAGE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Leased:
    """A trial that this agent holds."""

    info: TrialInfo
    lease: str
    resume: bool
    """True when the trial continues the run of an earlier attempt."""
    since: float
    """The time when the trial was leased, in seconds of the monotonic clock."""

    @property
    def number(self) -> int:
        return self.info.number


@dataclass(frozen=True, slots=True)
class AgentReply:
    """The server's answer: trials, and whether to go on, wait, or end."""

    trials: tuple[Leased, ...] = ()
    stop: bool = False
    cause: str = ""
    reason: str = ""
    retry_after_s: float = 0.0
    accepted: bool = True
    untold: bool = False
    """True when the agent had to end before it could tell the server."""
    trial: TrialInfo | None = None


@dataclass(slots=True)
class AgentSession:
    """One agent of one sweep, from `open()` to `close()`."""

    client: Client
    sweep: str
    name: str = ""
    on_stop: Callable[[int, StopOrder], None] = lambda number, order: None
    """The heartbeat's thread calls this for each trial that must stop, with each heartbeat until the trial ends."""
    say: Callable[[str], None] = lambda sentence: None
    agent: str = ""
    info: SweepInfo | None = None
    held: dict[int, Leased] = field(default_factory=dict)
    orders: dict[int, StopOrder] = field(default_factory=dict)
    _pending: dict[str, object] = field(default_factory=dict)
    _beat_s: float = WAIT_S
    _prunes: bool = False
    _wake: threading.Event = field(default_factory=threading.Event)
    _closed: bool = False
    _away_since: float = 0.0

    def open(self) -> SweepInfo:
        """Read the sweep, register the agent, and start the heartbeats.

        Waits while the server is away. Raises ApiError when the server refuses.
        """
        self.info = SweepInfo.of(self._insist("GetSweep", sweep=self.sweep))
        settings = self.client.settings
        found = self._insist(
            "RegisterAgent",
            sweep=self.sweep,
            name=self.name or f"{host_name()}-{os.getpid()}-{new_request_id()[:6]}",
            host=host_name(),
            lease_s=settings.agent_lease_s,
            failure_limit=settings.agent_max_initial_failures,
            failure_guard_off=settings.agent_disable_flapping,
        )
        self.agent = str(found["id"])
        self._beat_s = float(found.get("heartbeat_s") or 0) or 20.0
        self._prunes = bool(self.info.definition.get("early_terminate"))
        threading.Thread(target=self._beat, name="runstream-heartbeat", daemon=True).start()
        return self.info

    def try_lease(self, count: int, wait_s: float) -> AgentReply:
        """Make one request for trials.

        Raises UnavailableError: call it again, and trials come that may have been lost on the way.
        """
        if not self._pending:
            self._pending = {"request_id": new_request_id(), "count": count}
        found = self._call("LeaseTrials", wait_s + _MARGIN_S, agent=self.agent, wait_s=wait_s, **self._pending)
        trials = tuple(_leased(one) for one in found.get("trials", []))
        for one in trials:
            self.orders.pop(one.number, None)
            self.held[one.number] = one
        self._pending = {}
        if trials and self._prunes:
            self._wake.set()  # heartbeats are more frequent from now on
        return _answer(found, trials)

    def lease(self, count: int = 1, wait_s: float = WAIT_S) -> AgentReply:
        """Lease trials as `try_lease` does, and go on while the server is away.

        An interruption gives back the trials that were on their way.
        """
        begun = set(self.held)
        try:
            return self._patiently(lambda: self.try_lease(count, wait_s))
        except (KeyboardInterrupt, SystemExit):
            self.give_back(begun)
            raise

    def give_back(self, begun: Container[int] = (), deadline_s: float = _GOODBYE_S) -> None:
        """Give back all trials that were leased and not begun, and those that an interrupted request may have brought.

        Never raises.
        """
        with contextlib.suppress(ApiError):
            if self._pending and self.agent:
                fields = {"agent": self.agent, **self._pending, "wait_s": 0.0}
                found = self.client.call("LeaseTrials", deadline_s, **fields)
                self.held |= {int(one["trial"]["number"]): _leased(one) for one in found.get("trials", [])}
            for number in [one for one in self.held if one not in begun]:
                self.try_end(number, GIVEN_BACK, timeout_s=deadline_s)
        self._pending = {}

    def try_end(
        self,
        number: int,
        outcome: str,
        exit_code: int = 0,
        message: str = "",
        values: Iterable[float] = (),
        cost: float | None = None,
        timeout_s: float = WAIT_S,
    ) -> AgentReply:
        """Make one request that reports the end of a trial.

        Raises UnavailableError: call it again. For a trial that this agent no longer holds, no request is made.
        """
        held = self.held.get(number)
        if held is None:
            return AgentReply(accepted=False)
        fields: dict[str, float] = {} if cost is None else {"cost": cost}
        found = self._call(
            "EndTrial",
            timeout_s,
            agent=self.agent,
            number=number,
            lease=held.lease,
            outcome=f"OUTCOME_{outcome}",
            exit_code=exit_code,
            message=message[:_MESSAGE_LIMIT],
            values=[_number(value) for value in values],
            **fields,
        )
        self.forget(number)
        trial = TrialInfo.of(found["trial"]) if found.get("trial") else None
        return _answer(found, (), accepted=bool(found.get("accepted")), trial=trial)

    def end(self, number: int, outcome: str, exit_code: int = 0, message: str = "", **fields: Any) -> AgentReply:
        """Report the end of a trial as `try_end` does, and go on while the server is away: no end is lost."""
        return self._patiently(lambda: self.try_end(number, outcome, exit_code, message, **fields))

    def try_report(self, number: int, values: Iterable[tuple[int, float]]) -> StopOrder | None:
        """Report values of a running trial in one request, and return the order to stop, where there is one."""
        held = self.held.get(number)
        if held is None:
            return self.orders.get(number)
        reported = [{"step": step, "value": _number(value)} for step, value in values]
        found = self._call("ReportValues", agent=self.agent, number=number, lease=held.lease, values=reported)
        if found.get("stop"):
            self._told(found["stop"])
        return self.orders.get(number)

    def report(self, number: int, values: Iterable[tuple[int, float]]) -> StopOrder | None:
        """Report values as `try_report` does, and go on while the server is away."""
        reported = list(values)
        return self._patiently(lambda: self.try_report(number, reported))

    def forget(self, number: int) -> None:
        """Drop a trial that has ended or belongs to another agent: heartbeats no longer name it."""
        self.held.pop(number, None)
        self.orders.pop(number, None)

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        self.client.close()

    # Private methods

    def _beat(self) -> None:
        pid, patience_s = os.getpid(), self._patience_s()
        while True:
            self._wake.wait(patience_s)
            self._wake.clear()
            if self._closed or os.getpid() != pid:
                return
            patience_s = self._beat_once()

    def _beat_once(self) -> float:
        """Send one heartbeat, and return the seconds until the next one."""
        trials = [{"number": one.number, "lease": one.lease} for one in list(self.held.values())]
        try:
            found = self.client.call("Heartbeat", min(self._beat_s, WAIT_S), agent=self.agent, trials=trials)
        except NotFoundError as error:
            for trial in trials:
                self._told({"number": trial["number"], "cause": "STOP_CAUSE_SWEEP_DELETED", "reason": str(error)})
            return self._beat_s
        except ApiError:  # the next lease or end reports it; the leases live some time without heartbeats
            return min(self._beat_s, 2.0)
        for order in found.get("stop", []):
            self._told(order)
        return self._patience_s()

    def _patience_s(self) -> float:
        """Return the seconds until the next heartbeat."""
        if not self._prunes or not self.held:
            return self._beat_s
        young, old = _BEAT_WHILE_PRUNING_S
        ages = [time.monotonic() - one.since for one in list(self.held.values())]
        return min(self._beat_s, max(min(ages, default=young) / 5, young), old)

    def _told(self, found: Json) -> None:
        number = int(found["number"])
        if number in self.held:
            order = StopOrder(
                enum_name(found.get("cause"), "STOP_CAUSE_"), str(found.get("reason") or "the sweep stopped it")
            )
            self.orders[number] = order
            self.on_stop(number, order)

    def _call(self, method: str, timeout_s: float = WAIT_S, **fields: object) -> dict[str, Any]:
        try:
            found = self.client.call(method, timeout_s, **fields)
        except UnavailableError as error:
            if not self._away_since:
                self.say(f"{error}; waiting for it, and going on then")
                self._away_since = time.monotonic()
            raise
        if self._away_since:
            self.say(f"the server is back after {time.monotonic() - self._away_since:.0f} s")
            self._away_since = 0.0
        return found

    def _insist(self, method: str, **fields: Any) -> dict[str, Any]:
        return self._patiently(lambda: self._call(method, **fields))

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        pause_s = _BACKOFF_S[0]
        while True:
            try:
                return ask()
            except UnavailableError:
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _BACKOFF_S[1])


def _number(value: float) -> float | str:
    """Return a number in the JSON form of protocol buffers, which has names for NaN and infinities."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _leased(found: Json) -> Leased:
    return Leased(TrialInfo.of(found["trial"]), str(found["lease"]), bool(found.get("resume")), time.monotonic())


def _answer(found: Json, trials: tuple[Leased, ...], **more: Any) -> AgentReply:
    verdict = str(found.get("verdict") or "")
    return AgentReply(
        trials=trials,
        stop=verdict == "VERDICT_STOP",
        cause=enum_name(found.get("cause"), "STOP_CAUSE_"),
        reason=str(found.get("reason") or ""),
        retry_after_s=float(found.get("retry_after_s") or 0.0),
        **more,
    )
