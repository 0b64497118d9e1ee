"""The end of a process's part in a run: by `finish()`, by a signal, at exit, or in a forked child."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runstream.base.notices import Notices
from runstream.runs import processes
from runstream.runs.active_trial import stopped_by_sweep
from runstream.runs.goodbye import Goodbye
from runstream.runs.recorder import Recorder
from runstream.runs.stream import Stream
from runstream.settings import Settings

if TYPE_CHECKING:
    from runstream.capture.console_capture import Capture
    from runstream.runs.resume import AutoResume


class Ending:
    """Ends one process's part in a run. `processes` keeps it from the run's start to its end, and calls it."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        goodbye: Goodbye,
        notices: Notices,
        *,
        before: Sequence[Callable[[], None]],
        in_child: Sequence[Callable[[], None]],
        capture: Capture | None,
        auto_resume: AutoResume | None,
    ) -> None:
        """Take what must end. `before` is called first by `finish()`, `in_child` in a forked child."""
        self._settings = settings
        self._recorder = recorder
        self._goodbye = goodbye
        self._notices = notices
        self._before = before
        self._in_child = in_child
        self._capture = capture
        self._auto_resume = auto_resume
        self._preempting = False

    def mark_preempting(self) -> None:
        """Let a run that does not end well end as preempted instead of failed."""
        self._preempting = True

    def check_console(self) -> None:
        """Check that the console's capture is well. `log()` calls this every few seconds."""
        if self._capture is not None:
            self._capture.check_liveness()

    def finish(self, exit_code: int | None = None, quiet: bool | None = None, timeout: float | None = None) -> bool:
        """End this process's part of the run; see `Run.finish`."""
        recorder = self._recorder
        if recorder.ended:
            return True
        for call in self._before:
            call()
        recorder.finished = True
        if self._capture is not None:
            self._capture.stop()
        stream = recorder.stream
        if self._auto_resume is not None and not exit_code:
            self._auto_resume.forget()
        # A signal handler that interrupts before this line does all of this itself; after it, it has nothing to do.
        number = recorder.append_finish(self._make_finish(exit_code or 0))
        recorder.ended = True
        processes.discard(self)
        recorder.refuse_rows()
        if stream is None:
            return True
        timeout = self._settings.finish_timeout_s if timeout is None else timeout
        stored = self._wait(stream, number, timeout) if self._settings.mode == "online" and number else False
        progress = stream.state.read()
        stream.end()
        if not quiet:
            self._goodbye.say(
                stream, stored, progress, timeout, dropped=recorder.points_dropped, helper=recorder.helper
            )
        return stored

    def finish_preempted(self, exit_code: int) -> None:
        """End the run as preempted, within the time that SIGTERM leaves."""
        self.mark_preempting()
        self.finish(exit_code=exit_code, timeout=self._settings.sigterm_timeout_s)

    def finish_in_child(self, exit_code: int, timeout: float | None = None) -> None:
        """End a child's part of the run.

        The part of a forked child ends without waiting, because the sender of the process that has the run sends its
        records in any case.
        """
        if not self._recorder.helper:
            self.finish(exit_code=exit_code, timeout=timeout)
        elif self._recorder.stream is not None:
            self.finish(exit_code=exit_code, quiet=True, timeout=0.0)

    def finish_child_by_signal(self, number: int) -> None:
        """End a forked child's part of the run, because a signal ends the child."""
        self.mark_preempting()
        self.finish_in_child(128 + number, self._settings.sigterm_timeout_s)

    def finish_by_signal(self, number: int, now: float) -> None:
        """End the run on a signal that came at `now` (time.monotonic()).

        It waits for the server while other threads go on logging, then finishes. Calls of other threads do not return
        from then on. The caller ends the process.
        """
        exit_code = 0 if stopped_by_sweep(self._settings) else 128 + number
        deadline = now + self._settings.sigterm_timeout_s
        self.mark_preempting()
        self._drain(deadline)
        self._recorder.ending_process = True
        self.finish(exit_code=exit_code, timeout=max(deadline - time.monotonic(), 0.0))

    def apply_stop(self) -> None:
        """Let the next `log()` raise TrialStopped, because the trial has an order to stop. Any thread may call it."""
        self._recorder.renew_append_row()

    def leave_to_parent(self) -> None:
        """Give up what belongs to the parent, in a forked child."""
        self._recorder.leave_to_parent()
        self._capture = None
        self._auto_resume = None
        for call in self._in_child:
            call()

    def _drain(self, deadline: float) -> bool:
        """Wait until the server has the records logged so far, until `deadline` (time.monotonic()) at most.

        Threads go on logging meanwhile. Return True when the server has them.
        """
        stream = self._recorder.stream
        if stream is None or self._recorder.ended or self._settings.mode != "online":
            return True
        stream.ensure_sender()
        return stream.wait_acked(stream.writer.number, deadline)

    def _make_finish(self, exit_code: int) -> Callable[[int, int], dict[str, object]]:
        """Return the function that makes the finish record from the numbers of points and records."""
        outcome = "PREEMPTED" if self._preempting and exit_code else ("FAILED" if exit_code else "FINISHED")

        def value(points: int, records: int) -> dict[str, object]:
            return {
                "exit_code": max(min(exit_code, 2**31 - 1), -(2**31)),
                "outcome": f"OUTCOME_{outcome}",
                "points": points,
                "records": records,
                "dropped_points": self._recorder.points_dropped,
            }

        return value

    def _wait(self, stream: Stream, number: int, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        stream.ensure_sender()
        if stream.wait_acked(number, min(deadline, time.monotonic() + 1.0)):
            return True
        run = stream.target.run
        with self._notices.progress() as show:
            while not stream.wait_acked(number, min(deadline, time.monotonic() + 0.5)):
                progress = stream.state.read()
                left = number - progress.acked_record
                why = f" ({progress.error})" if progress.error else ""
                show(f"run {run}: {left} records to send, {max(deadline - time.monotonic(), 0):.0f} s left{why}")
                if time.monotonic() >= deadline:
                    return False
        return True
