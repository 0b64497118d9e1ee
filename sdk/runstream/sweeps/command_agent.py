"""An agent that starts the sweep's program for each trial, one or several at once, and ends each of them properly.

It is one loop: it checks the programs that run, reports those that have ended, and asks for more trials. Signals and
the heartbeat's thread only leave a message and wake the loop.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from runstream.errors import ApiError, RunstreamError, UnavailableError
from runstream.runs.active_trial import StopOrder
from runstream.sweeps import agent_session as outcomes
from runstream.sweeps.agent_session import AgentReply, AgentSession, Leased
from runstream.sweeps.gpu_binding import Binding, Devices
from runstream.sweeps.macros import expand
from runstream.sweeps.registration import AgentStoppedError
from runstream.sweeps.sweep_info import flat
from runstream.sweeps.trial_environment import TrialFiles, variables
from runstream.sweeps.trial_process import ExitResult, TrialProcess
from runstream.sweeps.wording import ending, shown

_PAUSE_S = 2.0
_RETRY_S = 2.0
_LOOK_S = 5.0
_WAIT_WITH_GPU_S = 5.0
"""A request for a trial holds the GPUs that the trial would run on. It is short, since others may have a trial for
them."""
_GOODBYE_S = 10.0
"""How long an agent that was told to end tries to report its trials to a server that is away."""


@dataclass(slots=True)
class _Running:
    trial: Leased
    child: TrialProcess
    files: TrialFiles
    kill_at: float = float("inf")
    outcome: str = ""
    """The outcome of the trial where it is known before the program ends: stopped or preempted."""
    ended: ExitResult | None = None

    def end(self, number: int, outcome: str, grace_s: float) -> None:
        """Signal the program now, and send SIGKILL after `grace_s` seconds. Only the first call has an effect."""
        if not self.outcome and self.ended is None:
            self.outcome = outcome
            if outcome == outcomes.STOPPED:
                self.files.mark_stopped()
            self.child.signal(number)
            self.kill_at = time.monotonic() + grace_s

    def check_liveness(self) -> None:
        if time.monotonic() >= self.kill_at and self.ended is None:
            self.kill_at = float("inf")
            self.child.kill()


class _SignalledError(BaseException):
    """A signal while the agent waits for the server."""


class CommandAgent:
    """An agent that runs programs until the sweep, `count` or a signal ends it."""

    def __init__(
        self, session: AgentSession, count: int | None = None, parallel: int = 1, devices: Devices | None = None
    ) -> None:
        """Prepare the agent. Raises UsageError where the sweep names no program to start."""
        self._session = session
        assert session.info is not None
        self._info = session.info
        self._left = sys.maxsize if count is None else count
        self._parallel = parallel
        self._devices = devices
        self._grace_s = session.client.settings.agent_kill_delay
        self._running: dict[int, _Running] = {}
        self._orders: deque[tuple[int, StopOrder]] = deque()
        self._signals: deque[int] = deque()
        self._over: AgentReply | None = None
        self._error: ApiError | None = None
        self._told_to_end = 0
        self._ask_at = 0.0
        self._in_call = False
        self._said = ""
        self._wake, self._wake_end = os.pipe()
        for fd in (self._wake, self._wake_end):
            os.set_blocking(fd, False)
        session.on_stop = self._on_stop
        self._arguments({}, None)

    def run(self) -> int:
        """Run trials, and return the number of the signal that ended the agent; return 0 when no trials were left.

        Raises AgentStoppedError where the server stopped this agent because its trials fail. No program that the agent
        started runs any more after it returns.
        """
        with self._signals_noted():
            try:
                while not self._done():
                    self._turn()
            except BaseException:
                self._leave()
                raise
            self._session.give_back()
        if self._error is not None:
            raise self._error
        if self._over is not None and self._over.cause == "failure_guard":
            raise AgentStoppedError(self._over.reason)
        if self._over is not None and not self._told_to_end:
            self._session.say(f"the sweep is over: {self._over.reason}")
        return self._told_to_end

    def _done(self) -> bool:
        return not self._running and (self._over is not None or self._told_to_end != 0 or self._left <= 0)

    def _turn(self) -> None:
        self._heed_signals()
        self._heed_orders()
        for running in list(self._running.values()):
            running.check_liveness()
            if running.ended is not None:
                self._report(running)
        if self._done():
            return
        binding = self._place()
        if binding is not None:
            self._ask(binding)
        else:
            self._wait(self._ask_at)

    # Asking for trials

    def _place(self) -> Binding | None:
        """Return the devices for the next trial; None when no place is free, or no trial is wanted."""
        wanted = self._over is None and not self._told_to_end and self._left > 0
        if not wanted or len(self._running) >= self._parallel or time.monotonic() < self._ask_at:
            return None
        if self._devices is None:
            return Binding((), ())
        binding = self._devices.take()
        if binding is None:
            self._pause(_PAUSE_S, "no GPU is free: waiting for one")
        return binding

    def _ask(self, binding: Binding) -> None:
        try:
            with self._interruptible():
                wait_s = _WAIT_WITH_GPU_S if binding.devices else outcomes.WAIT_S
                answer = self._session.try_lease(1, 0.0 if self._running else wait_s)
        except (UnavailableError, _SignalledError) as error:
            binding.release()
            self._ask_at = time.monotonic() + (_RETRY_S if isinstance(error, UnavailableError) else 0.0)
            return
        except ApiError as error:  # the key was revoked or the sweep deleted: trials that run go on to their end
            binding.release()
            self._refused(error)
            return
        for trial in answer.trials:
            self._start(trial, binding)
        binding.release()
        if answer.stop:
            self._over = answer
        elif not answer.trials:
            self._pause(answer.retry_after_s or _PAUSE_S, answer.reason)

    def _refused(self, error: ApiError) -> None:
        self._error = error
        self._over = AgentReply(stop=True, reason=str(error))

    def _pause(self, seconds: float, reason: str) -> None:
        self._ask_at = time.monotonic() + seconds
        if reason and reason != self._said and not self._running:
            self._said = reason
            self._session.say(reason)

    # Trials

    def _start(self, trial: Leased, binding: Binding) -> None:
        self._left -= 1
        self._said = ""
        settings = self._session.client.settings
        files = TrialFiles(settings, self._info, trial)
        gpus = f" on GPU {', '.join(binding.devices)}" if binding.devices else ""
        self._session.say(f"trial {trial.number}{gpus}: {shown(flat(trial.info.parameters))}")
        environment = os.environ | variables(self._info, trial, files.parameters) | binding.variables
        try:
            child = TrialProcess(
                self._arguments(trial.info.parameters, files), environment, self._grace_s, binding.lock_fds
            )
        except OSError as error:  # there is no process or no memory left, which is not the trial's fault
            files.remove()
            self._ask_at = time.monotonic() + _PAUSE_S
            self._left += 1
            self._session.say(f"trial {trial.number} could not be started: {error}")
            self._session.end(trial.number, outcomes.GIVEN_BACK)
            return
        self._running[trial.number] = _Running(trial, child, files)

    def _arguments(self, parameters: dict[str, object], files: TrialFiles | None) -> list[str]:
        definition = self._info.definition
        command, program = definition.get("command"), str(definition.get("program") or "")
        if files is None:  # only checks that there is a program to start
            command = (
                [part for part in command if part != "${args_json_file}"] if isinstance(command, list) else command
            )
        path = files.arguments if files is not None else self._session.client.settings.root
        return expand(command, program, parameters, path, sys.executable, os.environ)

    def _report(self, running: _Running) -> None:
        """Report how a trial ended. Where the server is away, the next turn tries again."""
        number, ended = running.trial.number, running.ended
        assert ended is not None
        order = self._session.orders.get(number)
        outcome = running.outcome or (outcomes.FAILED if ended.status else outcomes.FINISHED)
        if running.files.stopped and not running.outcome:
            outcome = outcomes.STOPPED
        if order is not None and order.cause == "lease_lost":
            answer = AgentReply(accepted=False)
        else:
            message = ended.message if outcome == outcomes.FAILED else ""
            try:
                with self._interruptible():
                    answer = self._session.try_end(number, outcome, ended.status, message)
            except _SignalledError:
                return
            except UnavailableError:
                if not self._told_to_end or time.monotonic() < running.kill_at:
                    self._wait(time.monotonic() + _RETRY_S)
                    return
                answer = AgentReply(accepted=False, untold=True)
            except ApiError as error:
                self._refused(error)
                answer = AgentReply(accepted=False)
        self._session.forget(number)
        running.files.remove()
        del self._running[number]
        self._session.say(f"trial {number} {ending(outcome, answer, ended.message, order)}")
        self._ask_at = 0.0
        if answer.stop:
            self._over = answer

    # Orders and signals

    def _on_stop(self, number: int, order: StopOrder) -> None:
        """Queue an order to stop; the heartbeat's thread calls this."""
        self._orders.append((number, order))
        self._call_loop()

    def _heed_orders(self) -> None:
        while self._orders:
            number, _ = self._orders.popleft()
            if number in self._running:
                self._running[number].end(signal.SIGTERM, outcomes.STOPPED, self._grace_s)

    def _heed_signals(self) -> None:
        while self._signals:
            number = self._signals.popleft()
            again, self._told_to_end = bool(self._told_to_end), number
            for running in self._running.values():
                if again:
                    running.child.kill()
                else:
                    running.end(number, outcomes.PREEMPTED, self._grace_s)
            if not again and self._running:
                what = f"{len(self._running)} trials" if len(self._running) > 1 else "the trial"
                self._session.say(
                    f"{signal.Signals(number).name}: handed on; {what} may take {self._grace_s:g} s to end"
                )

    def _wait(self, until: float) -> None:
        """Wait for the end of a program, a message from another thread, or the time `until`."""
        now = time.monotonic()
        living = [one for one in self._running.values() if one.ended is None]
        ends = [max(one.kill_at - now, 0.0) for one in living] + ([until - now] if until > now else [])
        sources: list[int | TrialProcess] = [self._wake, *(one.child for one in living)]
        ready, _, _ = select.select(sources, [], [], min([*ends, _LOOK_S]))
        for running in living:
            if running.child in ready:
                running.ended = running.child.poll()
                if running.ended is not None:
                    running.kill_at = time.monotonic() + _GOODBYE_S
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _call_loop(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_end, b"!")

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let a signal break off the request to the server in the block; the loop repeats that request."""
        if self._signals:
            raise _SignalledError
        self._in_call = True
        try:
            yield
        finally:
            self._in_call = False

    @contextlib.contextmanager
    def _signals_noted(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            self._signals.append(number)
            self._call_loop()
            if self._in_call:
                self._in_call = False
                raise _SignalledError

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _leave(self) -> None:
        """End everything that the agent started, after an error of its own. The leases run out by themselves."""
        for running in self._running.values():
            running.child.kill()
        for running in self._running.values():
            while running.ended is None and running.child.poll() is None:
                pass
            running.files.remove()


def check_parallel(parallel: int | None, devices: Devices | None) -> int:
    """Return how many trials run at once. Raises RunstreamError."""
    most = devices.trials if devices is not None else 1
    if parallel is not None and (parallel < 1 or (devices is not None and parallel > most)):
        raise RunstreamError(f"--parallel is {parallel}: 1 or more" + (f", at most {most}" if devices else ""))
    return parallel or most
