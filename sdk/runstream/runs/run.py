"""`Run`: the object that `init()` returns. It checks and hands on; the spool keeps, the sender sends."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runstream.base.json_text import dumps
from runstream.base.notices import Notices, warn_once
from runstream.base.plain import to_plain
from runstream.capture.masking import mask_config
from runstream.data.loggable import Content, Text, write_value
from runstream.errors import SpoolClosedError, SpoolError, UsageError
from runstream.ranks.job import Job
from runstream.runs import active_trial as trials
from runstream.runs import processes
from runstream.runs.config import Config
from runstream.runs.ending import RunEnding
from runstream.runs.initial_document import Document, start_record
from runstream.runs.kept_files import KeptFiles
from runstream.runs.metric_definitions import Definitions, make_definition
from runstream.runs.stream import Stream, StreamOutbox, Target
from runstream.runs.summary import Summary
from runstream.runs.values import check_keys, sort_values, whole_number
from runstream.settings import Settings
from runstream.spool.append_row import AppendRow
from runstream.spool.record_bytes import split_keys

if TYPE_CHECKING:
    from runstream.capture.console_capture import Capture
    from runstream.runs.resume import AutoResume

_time_ns = time.time_ns
_LOOK_AFTER_US = 5_000_000
_LOOK_AFTER_TRIAL_US = 1_000_000
"""How often `log()` checks that the sender is alive, and in a sweep's trial whether the trial must stop. (The number is
written out where every call compares it.)"""
_STEP_LIMIT = 2**53
"""Steps beyond this limit are not exact as doubles, and pages and programs compute with doubles."""
_ALERT_LEVELS = ("INFO", "WARN", "ERROR")
_ALERT_WAIT_S = 60.0


class Run(RunEnding):
    """One process's part in a run.

    `log()` returns when the record is in the memory-mapped spool, where it survives SIGKILL. Only `finish()` waits, and
    no longer than its deadline. `log()` and `finish()` may be called from any thread, and after a fork: the records of
    a forked child go to a stream of its own, under the same run and rank. A run may be pickled to a spawned process,
    and behaves there in the same way.
    """

    __slots__ = ("_append_row", "_jump", "_next_look_us", "_steps")
    """The attributes that every `log()` uses; the others are in `__dict__`."""

    def __init__(
        self,
        settings: Settings,
        run_id: str,
        job: Job,
        document: Document,
        *,
        allow_val_change: bool = False,
        resumed: bool = False,
        starting_step: int = 0,
        helper: bool = False,
        auto_resume: AutoResume | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the run, and open its stream unless it is disabled or a helper's.

        `parameters` are those of the sweep's trial that this run is; they win over the document's config. Raises
        SpoolError when the spool folder cannot be used.
        """
        self.settings = settings
        self.id = run_id
        self.job = job
        self.resumed = resumed
        self.starting_step = starting_step
        self.start_time = time.time()
        self._document = document
        self._fields = dict(document.fields)
        self._notices = Notices(settings.silent, settings.strict)
        self._target = Target(settings.entity, settings.project, run_id, _resume_mode(settings))
        self._definitions = Definitions()
        self._auto_resume = auto_resume
        self._preempting = False
        self._finished = False
        self._ended = False
        self._ending_process = False
        self._dropped: list[int] = []
        self._lock = threading.RLock()
        """Guards a child's stream, which is opened late, and the default step after a step that was given."""
        self._alerts: dict[str, float] = {}
        self._files = KeptFiles(self._append_file, self._notices)
        self._steps = itertools.count(starting_step)
        self._jump: int | None = None
        """The next default step after a step that was given; None where the counter has it."""
        self._next_look_us = 0
        self._stream: Stream | None = None
        self._capture: Capture | None = None
        self._watcher: Any = None
        self._trial = None if helper else trials.of_run(settings)
        self._look_us = _LOOK_AFTER_US if self._trial is None else _LOOK_AFTER_TRIAL_US
        self._helper = helper
        self._append_row: AppendRow = self._open_and_append
        self.config = Config(document.config, self._config_changed, allow_val_change, parameters)
        self.summary = Summary(self._last_values, self._summary_set, self._summary_deleted, document.summary)
        if settings.mode != "disabled" and not helper:
            self._open(start=True)
        processes.add(self)

    # Public methods

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, sync: bool | None = None
    ) -> None:
        """Log values at a step. When it returns, they survive SIGKILL of this process.

        `data` maps names to numbers (anything with __float__, arrays of one element), strings, `runstream.Image` and
        its like, or nested dicts (names joined by dots). NaN and infinities are values. `step` is any integer up to
        ±2^53, in any order, any number of times (the last write of a name and step wins). The default step is one more
        than the last one, from 0, counted per rank. `commit=False` stays at the step. The method never raises and never
        waits for the network: it leaves out what cannot be logged, and warns once for each kind (with `strict` it
        raises an exception).
        """
        now = _time_ns() // 1000
        given = step
        if step is None:
            # next() is one step of the interpreter: two threads that log at once take different steps.
            step = next(self._steps) if self._jump is None and commit is not False else self._next_step(commit)
        elif step.__class__ is not int or not -9007199254740992 <= step <= 9007199254740992:
            checked = self._checked_step(step)
            if checked is None:
                self._count_dropped(len(data) if isinstance(data, Mapping) else 0)
                return
            step = checked
        try:
            self._append_row(tuple(data), data.values(), step, now)
        except Exception:  # noqa: BLE001  # a value's __float__ may raise anything; the slow path tries each value
            self._log_one_by_one(data, step, now)
        if given is not None and commit is not False:
            self._jump = step + 1
        if now >= self._next_look_us or now < self._next_look_us - 5_000_000:  # or the clock has jumped back
            self._next_look_us = now + self._look_us
            self._look_after()

    def define_metric(
        self,
        name: str,
        step_metric: Any = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
    ) -> Any:
        """Define the x axis and the summary of a metric, or of all metrics that match a glob pattern.

        `summary` is last, min, max, mean, first, best (with `goal`: minimize or maximize) or none; several are joined
        by commas. `summary["loss.min"]` then has the value; the server computes it over all ranks.
        """
        try:
            definition = make_definition(name, step_metric, summary, goal, bool(hidden))
        except UsageError as error:
            self._notices.complain("define_metric", str(error))
            return None
        self._definitions.add(definition)
        if self._stream is not None and not self._finished:
            self._append_row = self._row_appender(self._stream)
        value = {
            "name": definition.name,
            "step_metric": definition.step_metric,
            "summary": ",".join(definition.summary),
            "goal": definition.goal,
            "hidden": definition.hidden,
        }
        self._append("definition", value)
        return definition

    def alert(self, title: str, text: str = "", level: Any = "INFO", wait_duration: Any = None) -> None:
        """Record an alert. `level` is INFO, WARN or ERROR.

        An alert with the same title within `wait_duration` seconds (a number or a timedelta; default 60) is left out.
        """
        name = str(getattr(level, "value", level)).upper()
        if name not in _ALERT_LEVELS:
            self._notices.complain("alert", f"alert: level is {level!r}: INFO, WARN or ERROR; INFO is taken")
            name = "INFO"
        wait_s = _ALERT_WAIT_S if wait_duration is None else getattr(wait_duration, "total_seconds", lambda: None)()
        wait_s = float(wait_duration) if wait_s is None else wait_s
        now = time.monotonic()
        if now - self._alerts.get(title, -1e18) >= wait_s:
            self._alerts[title] = now
            self._append("alert", {"title": str(title)[:1024], "text": str(text)[:65536], "level": f"LEVEL_{name}"})

    def save(
        self, glob_str: str | os.PathLike[str] | None = None, base_path: Any = None, policy: str = "live"
    ) -> list[str]:
        """Keep all files that match `glob_str` with the run, and return their paths.

        A file is stored under its path below `base_path` (default: the pattern's fixed part). `policy` is now, live
        (stores the file again at the end, if it changed) or end.
        """
        return self._files.save(glob_str, base_path, policy)

    def log_code(
        self, root: str | None = ".", name: str | None = None, include_fn: Any = None, exclude_fn: Any = None
    ) -> list[str]:
        """Keep source code with the run, and return the paths.

        The files are `*.py` under `root`, or those that `include_fn(path)` accepts.
        """
        return self._files.save_code(root, include_fn, exclude_fn)

    def watch(
        self, models: Any, criterion: Any = None, log: str | None = "gradients", log_freq: int = 1000, **options: Any
    ) -> None:
        """Log histograms of a torch model's gradients, parameters, or both, every `log_freq` batches.

        `log` is gradients, parameters, all or None. Batches are counted by backward passes.
        """
        from runstream.capture.model_watcher import ModelWatcher

        try:
            self._watcher = self._watcher or ModelWatcher(self)
            for model in models if isinstance(models, (list, tuple)) else [models]:
                self._watcher.add(model, log, log_freq)
        except UsageError as error:
            self._notices.complain("watch", str(error))

    def unwatch(self, models: Any = None) -> None:
        """Stop the logging that `watch()` began, for these models or for all."""
        if self._watcher is not None:
            self._watcher.remove(models)

    def mark_preempting(self) -> None:
        """Declare that this process is about to be preempted.

        Its run then ends as preempted instead of failed, unless it ends well.
        """
        self._preempting = True

    def __repr__(self) -> str:
        return f"Run({self.path!r}, rank={self.rank}/{self.world_size})"

    def __reduce__(self) -> tuple[Any, ...]:
        return attach, (self.settings, self.id, self.job, self.config.as_dict(), self.step, self._fields)

    # Private methods

    def _open(self, start: bool) -> Stream:
        stream = Stream(self.settings, self._target, self.job, check_keys, helper=not start)
        processes.watch_child()
        self._stream = stream
        self._append_row = self._row_appender(stream)
        self._next_look_us = _time_ns() // 1000 + self._look_us
        stream.append(
            "start",
            start_record(
                self.settings,
                self.job,
                self._document,
                self._kept(self._document.written_config(self.config.as_dict())),
            )
            if start
            else {"world_size": self.world_size, "pid": os.getpid(), "helper": True},
        )
        for name in self._document.emptied if start and self.rank == 0 else ():
            stream.append("field", {"section": "SECTION_RUN", "key": name, "value_json": dumps(self._fields[name])})
        stream.show()
        if start and self.settings.console == "auto":
            from runstream.capture.console_capture import Capture

            self._capture = Capture.start(stream.folder, self.settings.console_limit_mb << 20, self._notices)
        return stream

    def _row_appender(self, stream: Stream) -> AppendRow:
        append: AppendRow = stream.writer.append_row
        append = self._definitions.wrap(append) if self._definitions.tracked else append
        return self._trial.wrap(append) if self._trial is not None and self._trial.order is not None else append

    def _heed_stream(self) -> None:
        """Stop a sweep's trial when the order to stop has come through the stream.

        The order may come through the stream sooner than through the agent, and a trial may have no agent.
        """
        if self._trial is None or self._trial.order is not None or self._stream is None:
            return
        order = self._stream.stop_order()
        if order is not None:
            if trials.current is None:  # no agent in this process prints it
                self._notices.say(f"run {self.id} is to stop: {order.reason}")
            self._trial.stop(order)

    def _heed_stop(self) -> None:
        """Let the next `log()` raise TrialStopped, because the trial has an order to stop. Any thread may call it."""
        if self._stream is not None and not self._finished:
            self._append_row = self._row_appender(self._stream)

    def _look_after(self) -> None:
        """Check that the helpers are alive. `log()` calls this every few seconds."""
        if self._stream is not None:
            self._stream.ensure_sender()
            if self._stream.quota.dropped_bytes:
                self._notices.complain("dropped", "the spool is full: its oldest unsent records are given up")
            if self._stream.writer.broken:
                folder = self._stream.folder
                self._notices.complain("truncated", f"a spool file in {folder} was truncated: some records are lost")
        if self._capture is not None:
            self._capture.look_after()
        self._heed_stream()

    def _next_step(self, commit: bool | None) -> int:
        """Return the default step, after a step that was given or where `commit=False` stays at it."""
        with self._lock:
            if self._jump is not None:
                self._steps, self._jump = itertools.count(self._jump), None
            return self.step if commit is False else next(self._steps)

    def _open_and_append(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        """Open a stream for a forked child, and append its first row."""
        if self.settings.mode != "disabled":
            self._open_for_child().writer.append_row(keys, values, step, now)

    def _open_for_child(self) -> Stream:
        """Return the stream of a forked child; the first of its threads that logs opens it."""
        with self._lock:
            return self._stream or self._open(start=False)

    def _refuse_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        raise SpoolClosedError("the run has ended")

    def _say_closed(self, why: str) -> None:
        """Report a call that came after the end of the stream.

        Where SIGTERM has begun to end the process, the call does not return any more: a call that returns has kept its
        values.
        """
        while self._ending_process:
            time.sleep(1.0)
        self._notices.complain("finished", f"run {self.id} is finished: log() after finish() records nothing ({why})")

    def _end_with_process(self, exit_code: int, deadline: float) -> None:
        """End the run on SIGTERM: wait for the server while other threads go on logging, then finish.

        Calls of other threads do not return from then on. The caller ends the process.
        """
        self.mark_preempting()
        self._drain(deadline)
        self._ending_process = True
        self.finish(exit_code=exit_code, timeout=max(deadline - time.monotonic(), 0.0))

    def _count_dropped(self, values: int) -> None:
        self._dropped.append(values)  # one step of the interpreter: no thread or handler comes in between
        if self._stream is not None:
            self._stream.writer.note_dropped(self.points_dropped)

    def _log_one_by_one(self, data: Any, step: int, now: int) -> None:
        """Sort the values that the fast path could not pack, and log them one by one."""
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
                self._append_row(keys, [found.scalars[key] for key in keys], step, now)
                left -= len(keys)
            left += len(found.strings) + len(found.rich)
            for key, text in found.strings.items():
                self._log_rich(key, step, now, Text(text))
                left -= 1
            for key, value in found.rich.items():
                self._log_rich(key, step, now, value)
                left -= 1
        except SpoolClosedError as error:
            self._say_closed(str(error))
        except SpoolError as error:
            self._count_dropped(left)
            self._notices.complain("spool", f"log(): {error}; what is logged is lost until there is space")
        except UsageError as error:
            self._notices.complain("finished", str(error))

    def _log_rich(self, key: str, step: int, now: int, value: Any) -> None:
        """Log a `Loggable` or a list of media. Raises SpoolError (also when the run has ended)."""
        if self.disabled:
            return
        if self._finished:
            self._refuse_row((), (), step, now)
        outbox = StreamOutbox(self._stream or self._open_for_child(), now, self._append_row)
        try:
            write_value(value, key, step, outbox)
        except (UsageError, ValueError) as error:  # ValueError: a name that a row cannot have
            self._notices.complain(f"rich {key}", f"log() skipped {key!r}: {error}")

    def _append_file(self, value: dict[str, Any], content: Content) -> None:
        if self._stream is not None and not self._finished:
            self._stream.append("file", value, contents=[content])

    def _checked_step(self, step: object) -> int | None:
        number = whole_number(step)
        if number is None or abs(number) > _STEP_LIMIT:
            self._notices.complain("step", f"log(): step {step!r} is no whole number between -2^53 and 2^53: left out")
            return None
        return number

    def _append(self, kind: str, value: dict[str, Any]) -> None:
        if self._stream is None or self._ended:
            return
        try:
            self._stream.append(kind, value)
        except SpoolClosedError as error:
            self._say_closed(str(error))
        except SpoolError as error:
            self._notices.complain(kind, f"{kind}: {error}")

    def _set_field(self, section: str, key: str, value: object) -> None:
        self._append("field", {"section": section, "key": key, "value_json": dumps(value)})

    def _config_changed(self, key: str, value: Any) -> None:
        self._set_field("SECTION_CONFIG", key, self._kept(to_plain(value), key))

    def _kept(self, value: Any, key: str = "") -> Any:
        """Return the form of a config value that is recorded: without secrets where `mask_secrets` is set."""
        kept = mask_config(value, key) if self.settings.mask_secrets else value
        if kept != value:
            self._notices.complain("secret", "config: what looks like a secret is recorded as ***; see mask_secrets")
        return kept

    def _summary_set(self, key: str, value: Any) -> None:
        self._set_field("SECTION_SUMMARY", key, value)

    def _summary_deleted(self, key: str) -> None:
        self._append("field", {"section": "SECTION_SUMMARY", "key": key, "deleted": True})

    def _last_values(self) -> dict[str, Any]:
        last = self._stream.writer.last_values() if self._stream and not self._finished else {}
        return dict(self._definitions.summary(last))

    def _after_fork(self) -> None:
        """Give up the parent's stream in a forked child: it belongs to the parent."""
        if self._stream is not None:
            self._stream.abandon()
            self._stream = None
        self._capture = None
        self._lock = threading.RLock()
        self._dropped = []
        self._ending_process = False
        self._files.forget()
        self._helper = True
        self._auto_resume = None
        if not self._finished:
            self._append_row = self._open_and_append


def attach(
    settings: Settings, run_id: str, job: Job, config: Mapping[str, Any], step: int, fields: Mapping[str, Any]
) -> Run:
    """Return this process's part in a run of another process.

    Its records go to a stream of its own, under the same run and rank.
    """
    processes.install_hooks()
    return Run(settings, run_id, job, Document(fields, config), starting_step=step, helper=True)


def _resume_mode(settings: Settings) -> str:
    return settings.resume if settings.resume in ("never", "must") else "allow"
