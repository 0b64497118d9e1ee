"""How a process's part of a run ends: the last base class of `Run`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runstream.base.notices import Notices
from runstream.errors import SpoolError
from runstream.runs import processes
from runstream.runs.facts import RunFacts

if TYPE_CHECKING:
    from runstream.capture.console_capture import Capture
    from runstream.runs.kept_files import KeptFiles
    from runstream.runs.resume import AutoResume
    from runstream.runs.stream import Stream


class RunEnding(RunFacts):
    """`finish()` and the methods that it needs; `Run` inherits from this class."""

    _append_row: Callable[[tuple[str, ...], Iterable[object], int, int], None]
    _auto_resume: AutoResume | None
    _capture: Capture | None
    _helper: bool
    _files: KeptFiles
    _notices: Notices
    _preempting: bool
    _ended: bool

    def unwatch(self, models: Any = None) -> None:
        raise NotImplementedError

    def _refuse_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """Return how far the sender is: records logged and stored, batches refused, and its last error."""
        if self._stream is None:
            return {"records": 0, "stored": 0, "rejected": 0, "error": ""}
        progress = self._stream.state.read()
        return {
            "records": self._stream.writer.number,
            "stored": progress.acked_record,
            "rejected": progress.rejected_batches,
            "error": progress.error,
        }

    def finish(self, exit_code: int | None = None, quiet: bool | None = None, timeout: float | None = None) -> bool:
        """End this process's part of the run and wait until the server has all of it, `timeout` seconds at most.

        Returns True when everything is stored on the server. Records that are not stored stay in the spool: the node's
        sender goes on trying, and `runstream sync` sends them at any time. Never raises because of the network.
        """
        if self._ended:
            return True
        self.unwatch()
        self._files.save_again()
        self._finished = True
        if self._capture is not None:
            self._capture.stop()
        stream = self._stream
        if self._auto_resume is not None and not exit_code:
            self._auto_resume.forget()
        # A signal handler that interrupts before this line does all of this itself; after it, it has nothing to do.
        number = self._write_finish(stream, exit_code or 0) if stream is not None else 0
        self._ended = True
        processes.discard(self)
        self._append_row = self._refuse_row
        if stream is None:
            return True
        timeout = self.settings.finish_timeout_s if timeout is None else timeout
        stored = self._wait(stream, number, timeout) if self.settings.mode == "online" and number else False
        rejected = stream.state.read().rejected_batches
        error = _because(stream)
        stream.end()
        if not quiet:
            self._say_goodbye(stream, stored, rejected, timeout, error)
        return stored

    def finish_in_child(self, exit_code: int, timeout: float | None = None) -> None:
        """End a child's part of the run.

        The part of a forked child ends without waiting, because the sender of the process that has the run sends its
        records in any case.
        """
        if not self._helper:
            self.finish(exit_code=exit_code, timeout=timeout)
        elif self._stream is not None:
            self.finish(exit_code=exit_code, quiet=True, timeout=0.0)

    def _drain(self, deadline: float) -> bool:
        """Wait until the server has the records logged so far, until `deadline` (time.monotonic()) at most.

        Threads go on logging meanwhile. Return True when the server has them.
        """
        if self._stream is None or self._ended or self.settings.mode != "online":
            return True
        self._stream.ensure_sender()
        return self._stream.wait_acked(self._stream.writer.number, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code=processes.code_of(error))

    def _write_finish(self, stream: Stream, exit_code: int) -> int:
        """Write the finish record and return its number; return 0 when there was no space for it."""
        outcome = "PREEMPTED" if self._preempting and exit_code else ("FAILED" if exit_code else "FINISHED")

        def value(points: int, records: int) -> dict[str, Any]:
            return {
                "exit_code": max(min(exit_code, 2**31 - 1), -(2**31)),
                "outcome": f"OUTCOME_{outcome}",
                "points": points,
                "records": records,
                "dropped_points": self.points_dropped,
            }

        try:
            return stream.append_finish(value)
        except SpoolError as error:
            self._notices.complain("finish", f"finish(): {error}")
            return 0

    def _wait(self, stream: Stream, number: int, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        stream.ensure_sender()
        if stream.wait_acked(number, min(deadline, time.monotonic() + 1.0)):
            return True
        with self._notices.progress() as show:
            while not stream.wait_acked(number, min(deadline, time.monotonic() + 0.5)):
                progress = stream.state.read()
                left = number - progress.acked_record
                why = f" ({progress.error})" if progress.error else ""
                show(f"run {self.id}: {left} records to send, {max(deadline - time.monotonic(), 0):.0f} s left{why}")
                if time.monotonic() >= deadline:
                    return False
        return True

    def _say_goodbye(self, stream: Stream, stored: bool, rejected: int, timeout: float, because: str) -> None:
        root = stream.spool.root
        if self.points_dropped:
            self._notices.warn(
                f"run {self.id}: {self.points_dropped} values were dropped: the spool was full, or they had no step"
            )
        if stream.quota.dropped_bytes:
            megabytes = stream.quota.dropped_bytes >> 20
            self._notices.warn(f"run {self.id}: {megabytes} MB of unsent records were given up: the spool was full")
        if rejected:
            self._notices.warn(
                f"run {self.id}: {rejected} batches or records could not be stored; see `runstream spool rejected`"
            )
        if self.settings.mode == "offline":
            self._notices.say(f"run {self.id}: recorded in {root}; send it with `runstream sync {root}`")
        elif not stored:
            self._notices.say(
                f"run {self.id}: recorded in {root}; not yet on the server after {timeout:g} s{because}: "
                f"the sender goes on, or send it with `runstream sync {root}`"
            )
        elif self.rank == 0 and not self._helper and not self.settings.silent:
            from runstream.server.reachable import page_problem

            problem = page_problem(self.settings)
            points = stream.writer.points
            stored_text = f"run {self.name}: {points} {'point' if points == 1 else 'points'} stored"
            if problem:
                self._notices.warn(f"{stored_text} by the gateway {self.settings.gateway_address}, but {problem}")
            else:
                self._notices.say(f"{stored_text}; {self.url}")


def _because(stream: Stream) -> str:
    error = stream.state.read().error
    return f" ({error})" if error else ""
