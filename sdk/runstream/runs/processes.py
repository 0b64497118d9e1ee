"""The end of runs when their process forks, is told to end, or ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import NoReturn, Protocol


class LiveRun(Protocol):
    """The part of an open run that the hooks of this process need."""

    def finish(self, exit_code: int | None = None, quiet: bool | None = None, timeout: float | None = None) -> bool:
        """End this process's part of the run, and wait for the server until `timeout`."""
        ...

    def finish_preempted(self, exit_code: int) -> None:
        """End the run as preempted, within the time that SIGTERM leaves."""
        ...

    def finish_in_child(self, exit_code: int) -> None:
        """End a child's part of the run."""
        ...

    def finish_by_signal(self, number: int, now: float) -> None:
        """End the run on a signal that came at `now` (time.monotonic())."""
        ...

    def finish_child_by_signal(self, number: int) -> None:
        """End a forked child's part of the run, because a signal ends the child."""
        ...

    def apply_stop(self) -> None:
        """Let the next `log()` follow the trial's order to stop."""
        ...

    def leave_to_parent(self) -> None:
        """Give up the parent's stream, in a forked child."""
        ...


_live: set[LiveRun] = set()
"""Runs of this process that are not finished. They are held here so that all of them are finished at exit."""
_installed = False
_exit_code: int | None = None
"""The exit code that this process is about to end with, where it is known."""
INTERRUPTED = 130
_watched_child = 0
"""The pid of the child of multiprocessing whose end is watched."""


def add(run: LiveRun) -> None:
    _live.add(run)
    watch_child()


def discard(run: LiveRun) -> None:
    _live.discard(run)


def live_runs() -> list[LiveRun]:
    """Return the runs of this process that are not finished."""
    return list(_live)


def exit_code() -> int:
    """Return the exit code of this process as far as it is known.

    It is that of `sys.exit` or of an uncaught exception, else 0.
    """
    return _exit_code or 0


def install_hooks() -> None:
    """Install the hooks of runs; each `init()` calls this.

    The hooks finish open runs at exit, drain on SIGTERM, learn the exit code, and give forked children streams of their
    own. Hooks that the program has installed itself are called, or left alone.
    """
    global _installed
    _watch_sigterm()  # each time: the first call may have come from another thread, or from a function of a sweep
    if _installed:
        return
    _installed = True
    atexit.register(_finish_all)
    os.register_at_fork(after_in_child=_after_fork_in_child)
    _watch_exceptions()
    _watch_sys_exit()


def _finish_all() -> None:
    for run in live_runs():
        run.finish(exit_code=exit_code())
    thread = sys.modules.get("runstream.sender.thread")
    if thread is not None:
        thread.stop()
    spawn = sys.modules.get("runstream.sender.spawn")
    if spawn is not None:
        spawn.forget_children()


def _after_fork_in_child() -> None:
    global _exit_code
    from runstream.sender.spawn import forget_children

    _exit_code = None
    forget_children()
    for run in list(_live):
        run.leave_to_parent()


def watch_child() -> None:
    """Finish the open runs of a child of multiprocessing when its function has returned or raised.

    Such a child ends by `os._exit`, without atexit. The runs get the exit code that the child then has. In any other
    process nothing is done.
    """
    global _watched_child
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _watched_child == os.getpid():
        return
    _watched_child = os.getpid()
    util.Finalize(None, _finish_child, exitpriority=-100)  # after the child's own children have ended


def _finish_child() -> None:
    code = code_of(sys.exception())  # multiprocessing calls this while the function's exception is on its way
    for run in live_runs():
        run.finish_in_child(code)


def code_of(error: BaseException | None) -> int:
    """Return the exit code of a process, or of a part of it, that ends with `error`."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _watch_exceptions() -> None:
    before = sys.excepthook

    def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        global _exit_code
        _exit_code = INTERRUPTED if issubclass(kind, KeyboardInterrupt) else 1
        before(kind, error, trace)

    sys.excepthook = note


def _watch_sys_exit() -> None:
    before = sys.exit

    def note(status: str | int | None = None, /) -> NoReturn:
        global _exit_code
        if threading.current_thread() is not threading.main_thread():
            before(status)  # it ends a thread
        _exit_code = status if isinstance(status, int) else (0 if status is None else 1)
        before(status)

    sys.exit = note


_TRIES = 50
_AGAIN_S = 0.001


def _is_logging(frame: FrameType | None) -> bool:
    """Return whether the signal interrupted the main thread in the middle of an append.

    The bytes that the append has claimed can be filled only when the handler returns.
    """
    while frame is not None:
        if frame.f_globals.get("__name__") in ("runstream.spool.writer", "runstream.spool.appending"):
            return True
        frame = frame.f_back
    return False


def _signal_again(pid: int, number: int) -> None:
    time.sleep(_AGAIN_S)
    if os.getpid() == pid:
        os.kill(pid, number)


def _watch_sigterm() -> None:
    """Install a handler of SIGTERM, unless the program has one of its own.

    SIGTERM comes first at a preemption by SLURM, Kubernetes or torchrun.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    pid = os.getpid()
    draining = False
    tries = 0

    def drain(number: int, frame: FrameType | None) -> None:
        nonlocal draining, tries
        if os.getpid() != pid:
            _leave_child(number, frame)
            return
        if draining:
            return  # a second SIGTERM, of a job manager and an agent of a sweep, say: the end is in progress
        if _is_logging(frame) and tries < _TRIES:
            tries += 1
            threading.Thread(target=_signal_again, args=(pid, number), daemon=True).start()
            return
        draining = True
        now = time.monotonic()
        for run in live_runs():
            run.finish_by_signal(number, now)
        _end_by(number)

    signal.signal(signal.SIGTERM, drain)


def _leave_child(number: int, frame: FrameType | None) -> None:
    """End a forked child at once, as it would end without runstream.

    Its run records that it was told to end, where it can.
    """
    for run in live_runs() if not _is_logging(frame) else ():
        run.finish_child_by_signal(number)
    _end_by(number)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
