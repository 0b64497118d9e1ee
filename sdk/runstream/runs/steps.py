"""The default steps of `log()`: one more than the last one, also after a step that was given."""

from __future__ import annotations

import itertools
import threading


class StepCounter:
    """Counts the steps of one process's part in a run. Any thread may take a step."""

    __slots__ = ("_lock", "counter", "jump")

    def __init__(self, first: int) -> None:
        self.counter = itertools.count(first)
        """`log()` takes its step here itself: `next()` is one step of the interpreter, so two threads that log at once
        take different steps."""
        self.jump: int | None = None
        """The next default step after a step that was given; None where the counter has it."""
        self._lock = threading.RLock()
        """Guards the change from `jump` to a new counter."""

    @property
    def next(self) -> int:
        """The step that the next `log()` without one takes."""
        jump = self.jump
        return int(repr(self.counter)[6:-1]) if jump is None else jump  # "count(5)": repr() does not advance it

    def take(self, commit: bool | None) -> int:
        """Return the default step, after a step that was given or where `commit=False` stays at it."""
        with self._lock:
            if self.jump is not None:
                self.counter, self.jump = itertools.count(self.jump), None
            return self.next if commit is False else next(self.counter)

    def renew_lock(self) -> None:
        """Make a new lock, in a forked child: another thread of the parent may have held this one."""
        self._lock = threading.RLock()
