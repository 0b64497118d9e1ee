"""A scheduler for threads that switches where it is told to: at any bytecode of the code under test.

A trace function stops a thread at the opcode that the schedule names, and another thread goes on. So all schedules
with a bounded number of switches can be played, on the real code and the real interpreter, each the same every time.
Code in C is one step here, as it is for the interpreter, unless it lets go of the interpreter's lock; then it touches
no claim.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

FOREVER = 1 << 60


class Stopped(BaseException):
    """Ends a thread that the schedule leaves where it is, as SIGKILL would."""


class Actor:
    """A thread that takes as many steps as it is told to."""

    def __init__(
        self, body: Callable[[], object], files: tuple[str, ...], fine: frozenset[str], control: threading.Semaphore
    ) -> None:
        """`files`: ends of the names of the source files whose lines count as steps, and in functions of the names
        `fine` their opcodes."""
        self._fine = fine
        self._body = body
        self._files = files
        self._control = control
        self._go = threading.Semaphore(0)
        self._budget = 0
        self._abandoned = False
        self.steps = 0
        self.done = False
        self.blocked = False
        """It waits for a lock that another actor holds."""
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def advance(self, steps: int) -> None:
        """Let it take `steps` steps, or fewer where it ends or waits for a lock. Nobody else moves meanwhile."""
        if self.done:
            return
        self._budget = steps
        self.blocked = False
        self._go.release()
        self._control.acquire()

    def abandon(self) -> None:
        """End it where it is: nothing of it runs any more but the handlers of its frames, which are ended too."""
        self._abandoned = True
        while not self.done:
            self._go.release()
            self._control.acquire()
        self._thread.join()

    def wait_for_lock(self) -> None:
        """Of this actor's thread: somebody else must go on first."""
        self.blocked = True
        self._hand_over()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._abandoned:
                sys.settrace(self._enter)
                self._body()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  # the schedule's checks look at it
            self.error = error
        finally:
            sys.settrace(None)
            self.done = True
            self._control.release()

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(self._files):
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in self._fine
        frame.f_trace_lines = not frame.f_trace_opcodes
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("opcode", "line"):
            if self._abandoned:
                raise Stopped
            self.steps += 1
            self._budget -= 1
            if self._budget <= 0:
                self._hand_over()
        return self._step

    def _hand_over(self) -> None:
        self._control.release()
        self._go.acquire()
        if self._abandoned:
            raise Stopped


class SteppedLock:
    """A re-entrant lock for actors: who finds it taken lets the schedule go on with another."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        actor = _current.get(threading.get_ident())
        if actor is None:
            self._lock.acquire()
            return
        while not self._lock.acquire(blocking=False):
            actor.wait_for_lock()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_current: dict[int, Actor] = {}


def sleep(seconds: float) -> None:
    """In place of `time.sleep` in the code under test: an actor that waits for another lets it go on."""
    actor = _current.get(threading.get_ident())
    if actor is None:
        time.sleep(seconds)
    else:
        actor.wait_for_lock()


def play(
    bodies: Sequence[Callable[[], object]],
    files: tuple[str, ...],
    fine: frozenset[str],
    schedule: Sequence[tuple[int, int]],
) -> list[Actor]:
    """Let each of `bodies` take the steps that `schedule` gives it as (which, how many), in order. Returns the actors,
    which stand where the schedule has left them: go on with `finish_all`, or `abandon` them."""
    control = threading.Semaphore(0)
    actors = [Actor(body, files, fine, control) for body in bodies]
    for actor in actors:
        assert actor._thread.ident is not None
        _current[actor._thread.ident] = actor
    for which, steps in schedule:
        actors[which].advance(steps)
    return actors


def finish_all(actors: Sequence[Actor]) -> None:
    """Let all of them run to their ends, in turn where they wait for one another."""
    for _ in range(10_000):
        waiting = [actor for actor in actors if not actor.done]
        if not waiting:
            break
        for actor in waiting:
            actor.advance(FOREVER)
    else:
        raise AssertionError("the actors wait for one another for ever")
    forget(actors)


def forget(actors: Sequence[Actor]) -> None:
    """Join their threads."""
    for actor in actors:
        assert actor._thread.ident is not None
        _current.pop(actor._thread.ident, None)
        actor._thread.join()
