"""An agent that calls a function for each trial, in the caller's own thread and process."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

from runstream.runs import active_trial as trials
from runstream.runs.active_trial import ActiveTrial, StopOrder, TrialStopped
from runstream.runs.processes import live_runs
from runstream.sweeps import agent_session as outcomes
from runstream.sweeps.agent_session import AgentReply, AgentSession, Leased
from runstream.sweeps.registration import AgentStoppedError
from runstream.sweeps.sweep_info import flat
from runstream.sweeps.trial_environment import TrialFiles, in_environment, variables
from runstream.sweeps.wording import ending, print_error, shown

_PAUSE_S = 2.0
SIGTERM_STATUS = 128 + signal.SIGTERM


class TerminatedError(SystemExit):
    """SIGTERM, raised in the function: the trial goes back to the pool, then the process ends with status 143."""


class FunctionAgent:
    """An agent that runs trials one after the other until the sweep or `count` ends it."""

    def __init__(
        self,
        session: AgentSession,
        function: Callable[[], object],
        count: int | None = None,
        after_trial: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the session. `after_trial` is called when the runs of a trial are finished."""
        self._session = session
        self._function = function
        self._left = count
        self._after_trial = after_trial
        self._active: ActiveTrial | None = None
        self._said = ""
        session.on_stop = self._stop

    def run(self) -> None:
        """Run trials until the end.

        Raises AgentStoppedError where the server stopped this agent because its trials fail.
        """
        with _sigterm_raises():
            while self._left is None or self._left > 0:
                answer = self._session.lease()
                idle = not answer.trials
                for trial in answer.trials:
                    answer = self._run(trial)
                    self._left = None if self._left is None else self._left - 1
                if answer.stop:
                    self._say_end(answer)
                    return
                if idle:
                    self._pause(answer)

    def _run(self, trial: Leased) -> AgentReply:
        """Run one trial to its end, which the server knows when this returns.

        Raises the exceptions that end the agent, too.
        """
        sweep = self._session.info
        assert sweep is not None
        files = TrialFiles(self._session.client.settings, sweep, trial)
        self._said = ""
        self._session.say(f"trial {trial.number}: {shown(flat(trial.info.parameters))}")
        self._active = trials.current = ActiveTrial(trial.number)
        message, leave = "", None
        outcome = outcomes.FINISHED
        try:
            with in_environment(variables(sweep, trial, files.parameters)):
                self._function()
        except TrialStopped:
            outcome = outcomes.STOPPED
        except (KeyboardInterrupt, TerminatedError) as error:
            outcome, leave = outcomes.PREEMPTED, error
        except SystemExit as error:
            if error.code not in (None, 0):
                outcome, message = outcomes.FAILED, f"SystemExit: {error.code}"
        except Exception as error:  # noqa: BLE001  # the boundary: any exception of the function fails its trial
            outcome, message = outcomes.FAILED, _words(error)
            trace = error.__traceback__.tb_next if error.__traceback__ else None  # without this frame
            print_error("".join(traceback.format_exception(type(error), error, trace)))
        finally:
            if self._active.order is not None and outcome == outcomes.FINISHED:
                outcome = outcomes.STOPPED  # the function read run.should_stop, and returned
            trials.current = self._active = None
            _finish_runs(outcome)
            self._after_trial()
            files.remove()
        return self._end(trial, outcome, message, leave)

    def _end(self, trial: Leased, outcome: str, message: str, leave: BaseException | None) -> AgentReply:
        order = self._session.orders.get(trial.number)
        if leave is not None:
            with contextlib.suppress(Exception):
                self._session.try_end(trial.number, outcome, message="the agent was told to end", timeout_s=5.0)
            raise leave
        if order is not None and order.cause == "lease_lost":
            self._session.say(f"trial {trial.number}: {order.reason}")
            self._session.forget(trial.number)
            return AgentReply(accepted=False)
        answer = self._session.end(trial.number, outcome, int(outcome == outcomes.FAILED), message)
        self._session.say(f"trial {trial.number} {ending(outcome, answer, message, order)}")
        return answer

    def _stop(self, number: int, order: StopOrder) -> None:
        active = self._active
        if active is not None and active.number == number:
            active.stop(order)

    def _pause(self, answer: AgentReply) -> None:
        if answer.reason and answer.reason != self._said:
            self._said = answer.reason
            self._session.say(answer.reason)
        time.sleep(answer.retry_after_s or _PAUSE_S)

    def _say_end(self, answer: AgentReply) -> None:
        if answer.cause == "failure_guard":
            raise AgentStoppedError(answer.reason)
        self._session.say(f"the sweep is over: {answer.reason}")


def _finish_runs(outcome: str) -> None:
    """Finish the runs that the function left open.

    When this returns, all that the function logged is on the server, if the server answers.
    """
    for run in live_runs():
        if outcome == outcomes.PREEMPTED:
            run.finish_preempted(SIGTERM_STATUS)
        else:
            run.finish(exit_code=int(outcome == outcomes.FAILED))


def _words(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise TerminatedError while the agent works.

    Nothing is changed where the program has a handler of its own, or this is not its main thread.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TerminatedError(SIGTERM_STATUS)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
