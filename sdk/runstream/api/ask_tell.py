"""Ask and tell: an interface for programs that drive trials themselves, in any order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runstream.api.connection import Connection
from runstream.api.ranking import Importance, Objective, importance
from runstream.api.runs import StoredRun, read_run
from runstream.errors import InvalidRequestError, NotFoundError
from runstream.sweeps import agent_session as outcomes
from runstream.sweeps.agent_session import AgentSession, Leased
from runstream.sweeps.client import Client
from runstream.sweeps.create import as_json
from runstream.sweeps.front import front_of
from runstream.sweeps.registration import check_place, open_session
from runstream.sweeps.sweep_info import SweepInfo, TrialInfo, parse_path

if TYPE_CHECKING:
    from typing import Unpack

    from runstream.api.ranking import ImportanceOptionsOfSweep

_STATES = {
    "finished": outcomes.FINISHED,
    "failed": outcomes.FAILED,
    "pruned": outcomes.STOPPED,
    "given_back": outcomes.GIVEN_BACK,
}


class LeasedTrial:
    """A trial that this program asked for, and whose end it must tell."""

    def __init__(self, session: AgentSession, leased: Leased) -> None:
        self._session = session
        self._leased = leased

    @property
    def number(self) -> int:
        return self._leased.number

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name, nested where the sweep's are nested."""
        return self._leased.info.parameters

    @property
    def run_id(self) -> str:
        """The run id for `init(id=...)`, where the trial logs a run.

        The server then reads the trial's value from that run.
        """
        return self._leased.info.run

    def report(self, value: float, step: int) -> None:
        """Report the first objective's value at a step; early stopping judges by these values.

        Waits while the server is away.
        """
        self._session.report(self.number, [(step, value)])

    @property
    def should_stop(self) -> bool:
        """True when the sweep stopped the trial (pruned or cancelled), or gave it to another agent.

        `tell` such a trial as "pruned". The answer is as new as the last `report` or heartbeat.
        """
        return self.number in self._session.orders or self.number not in self._session.held

    def __repr__(self) -> str:
        return f"Trial({self.number}, {self.params!r})"


class Sweep:
    """A sweep that this program asks for trials, tells their ends to, and inspects.

        sweep = runstream.Sweep(sweep_id)
        while trial := sweep.ask():
            sweep.tell(trial, evaluate(trial.params))

    One thread asks and tells. A thread of this object sends heartbeats that keep the trials alive, until they are told
    or this process ends.
    """

    def __init__(
        self, sweep_id: str, entity: str | None = None, project: str | None = None, *, client: Client | None = None
    ) -> None:
        """Read the sweep from the server. Raises ApiError."""
        self._path = (sweep_id, entity, project)
        self._client = client or Client()
        self._session: AgentSession | None = None
        team, named, self.id = parse_path(sweep_id, entity, project)
        check_place(self.info(), team, named)

    # Trials

    def ask(self, timeout: float | None = None) -> LeasedTrial | None:
        """Return the next trial, or None when the sweep is over or no trial came within `timeout` seconds.

        Waits while the sweep is paused, or the server is away.
        """
        session = self._opened()
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            answer = session.lease(1, min(outcomes.WAIT_S, max(deadline - time.monotonic(), 0.0)))
            if answer.trials:
                return LeasedTrial(session, answer.trials[0])
            left_s = deadline - time.monotonic()
            if answer.stop or left_s <= 0:
                return None
            time.sleep(min(answer.retry_after_s or 1.0, left_s))

    def __iter__(self) -> Iterator[LeasedTrial]:
        while (trial := self.ask()) is not None:
            yield trial

    def tell(
        self,
        trial: LeasedTrial | int,
        value: float | Sequence[float] | None = None,
        state: str = "finished",
        message: str = "",
        cost: float | None = None,
    ) -> bool:
        """Tell the server how a trial ended: finished | failed | pruned | given_back (another agent may run it).

        `value`: one number for each objective; with None the server takes the values that the trial's run logged.
        Returns False where another agent had the trial by then.
        """
        if state not in _STATES:
            raise InvalidRequestError(f"state is {state!r}: use one of {', '.join(_STATES)}")
        number = trial if isinstance(trial, int) else trial.number
        values = (
            [] if value is None else ([float(one) for one in value] if isinstance(value, Sequence) else [float(value)])
        )
        return self._opened().end(number, _STATES[state], message=message, values=values, cost=cost).accepted

    # Reading

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that is in force."""
        return self.info().definition

    def update(self, **changes: object) -> dict[str, Any]:
        """Change keys of the configuration while the sweep runs, and return the configuration in force.

        The keys are name, description, run_cap, max_parallel, retries and budget; `early_terminate=None` ends early
        stopping. None removes a limit.

            sweep.update(run_cap=200, max_parallel=None)

        Raises InvalidRequestError for a key that cannot be changed: create another sweep for that.
        """
        config = {key: value for key, value in {**self.config, **changes}.items() if value is not None}
        found = self._client.call("UpdateSweep", sweep=self.id, definition_json=as_json(config))
        return SweepInfo.of(found).definition

    @property
    def name(self) -> str:
        return self.info().name

    @property
    def state(self) -> str:
        """One of running, paused, finished or cancelled."""
        return self.info().state

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state."""
        return self.info().counts

    def trials(self, *states: str) -> Iterator[TrialInfo]:
        """Yield all trials by number, or those in some states."""
        token = ""
        wanted = [f"TRIAL_STATE_{state.upper()}" for state in states]
        while True:
            found = self._client.call("ListTrials", sweep=self.id, states=wanted, page_size=1000, page_token=token)
            yield from map(TrialInfo.of, found.get("trials", []))
            token = found.get("next_page_token", "")
            if not token:
                return

    def top(self, k: int = 10, objective: int = 0) -> list[TrialInfo]:
        """Return the best K trials that have a value, best first; NaN sorts last."""
        found = self._client.call("ListTrials", sweep=self.id, order="ORDER_VALUE", page_size=k, objective=objective)
        return [TrialInfo.of(one) for one in found.get("trials", [])]

    def best(self) -> TrialInfo | None:
        """Return the best trial, or None while no trial has a value.

        With several objectives it is the first of `best_trials()`.
        """
        return next(front_of(self._client, self.id), None)

    def best_trials(self) -> list[TrialInfo]:
        """Return the best trials: with several objectives, all trials that no other trial beats in every objective."""
        return list(front_of(self._client, self.id))

    def best_run(self) -> StoredRun | None:
        """Return the best trial's run as `Api().run()` does, or None where there is none."""
        best = self.best()
        if best is None or not best.run:
            return None
        info = self.info()
        try:
            return read_run(self._connection(), f"{info.team}/{info.project}/{best.run}")
        except NotFoundError:  # the program that told the trial logs no runs
            return None

    def importance(self, **options: Unpack[ImportanceOptionsOfSweep]) -> Importance:
        """Return how much each parameter matters for the first objective: `Api.importance` of this sweep's runs."""
        info = self.info()
        if not info.objectives:
            raise InvalidRequestError(f"the sweep {info.id} has no metric: nothing to matter for")
        first = info.objectives[0]
        objective = Objective(first.metric, first.goal)
        return importance(self._connection(), f"{info.team}/{info.project}", objective, sweep=info.id, **options)

    def _connection(self) -> Connection:
        settings = self._client.settings
        return Connection(settings.base_url, settings.api_key or None)

    # Control

    def pause(self) -> None:
        """Pause the sweep: it gives out no new trials until `resume()`."""
        self._order("PAUSE")

    def resume(self) -> None:
        self._order("RESUME")

    def stop(self) -> None:
        """Stop the sweep: it gives out no new trials, and the trials that run go on to their end."""
        self._order("STOP")

    def cancel(self) -> None:
        """Cancel the sweep, and stop the trials that run."""
        self._order("CANCEL")

    def close(self) -> None:
        """Give the trials that were not told back to the pool, and close the session."""
        if self._session is not None:
            self._session.give_back()
            self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _order(self, command: str) -> None:
        self._client.call("CommandSweep", sweep=self.id, command=f"SWEEP_COMMAND_{command}")

    def info(self) -> SweepInfo:
        """Return everything that the server knows of the sweep now."""
        return SweepInfo.of(self._client.call("GetSweep", sweep=self.id))

    def _opened(self) -> AgentSession:
        if self._session is None:
            self._session = open_session(*self._path, client=self._client)
        return self._session
