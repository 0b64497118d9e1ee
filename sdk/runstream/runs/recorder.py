"""The records of one process's part in a run: the stream is opened here, and every record goes through here."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from runstream.base.notices import Notices
from runstream.data.loggable import Content
from runstream.errors import SpoolClosedError, SpoolError
from runstream.ranks.job import Job
from runstream.runs import processes
from runstream.runs.active_trial import ActiveTrial
from runstream.runs.metric_definitions import Definitions, MetricDefinition
from runstream.runs.stream import Stream, Target
from runstream.runs.values import check_keys
from runstream.settings import Settings
from runstream.spool.append_row import AppendRow

_CHECK_US = 5_000_000
_CHECK_TRIAL_US = 1_000_000


class Recorder:
    """Appends the records of one process's part in a run to its stream.

    Any thread may call it, also after a fork: a forked child gets a stream of its own with its first row.
    """

    __slots__ = ("__dict__", "append_row", "check_every_us", "next_check_us")
    """The attributes that every `log()` uses; the others are in `__dict__`."""

    def __init__(
        self,
        settings: Settings,
        target: Target,
        job: Job,
        notices: Notices,
        trial: ActiveTrial | None,
        *,
        helper: bool,
    ) -> None:
        """Take the run. No stream is opened: `open()` opens that of a run's process, and the first row a helper's."""
        self._settings = settings
        self._target = target
        self._job = job
        self._notices = notices
        self._trial = trial
        self._definitions = Definitions()
        self._dropped: list[int] = []
        self._lock = threading.RLock()
        """Guards a child's stream, which is opened late."""
        self.helper = helper
        """True in a process that only helps: its stream has no start of its own."""
        self.stream: Stream | None = None
        self.finished = False
        """True from the beginning of `finish()` on."""
        self.ended = False
        """True when the finish record is written, or there is none to write."""
        self.ending_process = False
        """True when SIGTERM has begun to end the process."""
        self.append_row: AppendRow = self._open_and_append
        self.check_every_us = _CHECK_US if trial is None else _CHECK_TRIAL_US
        """How often `log()` checks that the sender is alive, and in a sweep's trial whether the trial must stop."""
        self.next_check_us = 0

    # The stream

    def open(self, make_start: Callable[[], dict[str, object]], fields: Iterable[dict[str, object]] = ()) -> Stream:
        """Open the stream, and append its start record and these fields. Raises SpoolError."""
        stream = Stream(self._settings, self._target, self._job, check_keys, helper=self.helper)
        processes.watch_child()
        self.stream = stream
        self.append_row = self._row_appender(stream)
        self.next_check_us = time.time_ns() // 1000 + self.check_every_us
        stream.append("start", make_start())
        for field in fields:
            stream.append("field", field)
        stream.show()
        return stream

    def open_for_child(self) -> Stream:
        """Return the stream of a forked child; the first of its threads that logs opens it. Raises SpoolError."""
        with self._lock:
            return self.stream or self.open(self._start_of_helper)

    def refuse_rows(self) -> None:
        """Let every later row raise SpoolClosedError."""
        self.append_row = refuse_row

    def check_liveness(self) -> None:
        """Check that the sender and the spool are well. `log()` calls this every few seconds."""
        if self.stream is None:
            return
        self.stream.ensure_sender()
        if self.stream.quota.dropped_bytes:
            self._notices.complain("dropped", "the spool is full: its oldest unsent records are given up")
        if self.stream.writer.broken:
            folder = self.stream.folder
            self._notices.complain("truncated", f"a spool file in {folder} was truncated: some records are lost")

    def leave_to_parent(self) -> None:
        """Give up the parent's stream in a forked child: it belongs to the parent."""
        if self.stream is not None:
            self.stream.abandon()
            self.stream = None
        self._lock = threading.RLock()
        self._dropped = []
        self.ending_process = False
        self.helper = True
        if not self.finished:
            self.append_row = self._open_and_append

    def _start_of_helper(self) -> dict[str, object]:
        return {"world_size": self._job.world_size, "pid": os.getpid(), "helper": True}

    def status(self) -> dict[str, object]:
        """Return how far the sender is; see `Run.status`."""
        if self.stream is None:
            return {"records": 0, "stored": 0, "rejected": 0, "error": ""}
        progress = self.stream.state.read()
        return {
            "records": self.stream.writer.number,
            "stored": progress.acked_record,
            "rejected": progress.rejected_batches,
            "error": progress.error,
        }

    # Rows

    def define(self, definition: MetricDefinition) -> None:
        """Apply a definition to the rows that follow, and append it."""
        self._definitions.add(definition)
        self.renew_append_row()
        value = {
            "name": definition.name,
            "step_metric": definition.step_metric,
            "summary": ",".join(definition.summary),
            "goal": definition.goal,
            "hidden": definition.hidden,
        }
        self.append("definition", value)

    def renew_append_row(self) -> None:
        """Let the next row follow the definitions and the trial's order to stop. Any thread may call it."""
        if self.stream is not None and not self.finished:
            self.append_row = self._row_appender(self.stream)

    def last_values(self) -> dict[str, object]:
        """Return the summary of this process: the last value of each metric, and what the definitions ask for."""
        last = self.stream.writer.last_values() if self.stream and not self.finished else {}
        return dict(self._definitions.summary(last))

    def count_dropped(self, values: int) -> None:
        """Count values that are lost."""
        self._dropped.append(values)  # one step of the interpreter: no thread or handler comes in between
        if self.stream is not None:
            self.stream.writer.note_dropped(self.points_dropped)

    @property
    def points_dropped(self) -> int:
        return sum(self._dropped)

    @property
    def points(self) -> int:
        return self.stream.writer.points if self.stream else 0

    def _row_appender(self, stream: Stream) -> AppendRow:
        append: AppendRow = stream.writer.append_row
        append = self._definitions.wrap(append) if self._definitions.tracked else append
        return self._trial.wrap(append) if self._trial is not None and self._trial.order is not None else append

    def _open_and_append(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        """Open a stream for a forked child, and append its first row."""
        if self._settings.mode != "disabled":
            self.open_for_child().writer.append_row(keys, values, step, now)

    # Other records

    def append(self, kind: str, value: dict[str, object]) -> None:
        """Append a record, where a stream is open. A problem is reported."""
        if self.stream is None or self.ended:
            return
        try:
            self.stream.append(kind, value)
        except SpoolClosedError as error:
            self.report_closed(str(error))
        except SpoolError as error:
            self._notices.complain(kind, f"{kind}: {error}")

    def append_file(self, value: dict[str, object], content: Content) -> None:
        """Append a file's record and its content, where a stream is open. Raises SpoolError, UsageError."""
        if self.stream is not None and not self.finished:
            self.stream.append("file", value, contents=[content])

    def append_finish(self, make_value: Callable[[int, int], dict[str, object]]) -> int:
        """Append the finish record and return its number; return 0 when there is no stream, or no space for it."""
        if self.stream is None:
            return 0
        try:
            return self.stream.append_finish(make_value)
        except SpoolError as error:
            self._notices.complain("finish", f"finish(): {error}")
            return 0

    def report_closed(self, why: str) -> None:
        """Report a call that came after the end of the stream.

        Where SIGTERM has begun to end the process, the call does not return any more: a call that returns has kept its
        values.
        """
        while self.ending_process:
            time.sleep(1.0)
        run = self._target.run
        self._notices.complain("finished", f"run {run} is finished: log() after finish() records nothing ({why})")


def refuse_row(keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
    raise SpoolClosedError("the run has ended")
