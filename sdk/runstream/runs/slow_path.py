"""The slow path of `log()`: values that the fast path could not pack are sorted, and logged one by one."""

from __future__ import annotations

from collections.abc import Mapping

from runstream.base.notices import Notices, warn_once
from runstream.data.loggable import Text, write_value
from runstream.errors import SpoolClosedError, SpoolError, UsageError
from runstream.runs.recorder import Recorder, refuse_row
from runstream.runs.stream import StreamOutbox
from runstream.runs.values import sort_values, whole_number
from runstream.spool.record_bytes import split_keys

_STEP_LIMIT = 2**53
"""Steps beyond this limit are not exact as doubles, and pages and programs compute with doubles."""


class SlowPath:
    """Logs what `Run.log` cannot pack at once. What cannot be logged is left out, and reported once for each kind."""

    def __init__(self, recorder: Recorder, notices: Notices, *, disabled: bool) -> None:
        self._recorder = recorder
        self._notices = notices
        self._disabled = disabled

    def checked_step(self, step: object, data: object) -> int | None:
        """Return the step as an int; return None when it is no step, and count the values as dropped."""
        number = whole_number(step)
        if number is None or abs(number) > _STEP_LIMIT:
            self._notices.complain("step", f"log(): step {step!r} is no whole number between -2^53 and 2^53: left out")
            self._recorder.count_dropped(len(data) if isinstance(data, Mapping) else 0)
            return None
        return number

    def log(self, data: object, step: int, now: int) -> None:
        """Sort the values, and log them one by one."""
        if not isinstance(data, Mapping):
            self._notices.complain("log", f"log() takes a dict of names to values, not {type(data).__name__}")
            return
        try:
            found = sort_values(data)
        except Exception as error:  # noqa: BLE001  # a foreign mapping may raise anything when it is read
            self._notices.complain("log", f"log(): the values cannot be read ({type(error).__name__}): left out")
            return
        for problem in found.problems:
            self._notices.complain(problem.partition(":")[0], f"log() skipped {problem}")
        for note in found.notes:
            warn_once(f"log(): {note}")
        left = len(found.scalars)
        try:
            for keys in split_keys(list(found.scalars)):
                self._recorder.append_row(keys, [found.scalars[key] for key in keys], step, now)
                left -= len(keys)
            left += len(found.strings) + len(found.rich)
            for key, text in found.strings.items():
                self._log_rich(key, step, now, Text(text))
                left -= 1
            for key, value in found.rich.items():
                self._log_rich(key, step, now, value)
                left -= 1
        except SpoolClosedError as error:
            self._recorder.report_closed(str(error))
        except SpoolError as error:
            self._recorder.count_dropped(left)
            self._notices.complain("spool", f"log(): {error}; what is logged is lost until there is space")
        except UsageError as error:
            self._notices.complain("finished", str(error))

    def _log_rich(self, key: str, step: int, now: int, value: object) -> None:
        """Log a `Loggable` or a list of media. Raises SpoolError (also when the run has ended)."""
        if self._disabled:
            return
        if self._recorder.finished:
            refuse_row((), (), step, now)
        stream = self._recorder.stream or self._recorder.open_for_child()
        outbox = StreamOutbox(stream, now, self._recorder.append_row)
        try:
            write_value(value, key, step, outbox)
        except (UsageError, ValueError) as error:  # ValueError: a name that a row cannot have
            self._notices.complain(f"rich {key}", f"log() skipped {key!r}: {error}")
