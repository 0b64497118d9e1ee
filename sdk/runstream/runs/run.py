"""`Run`: the object that `init()` returns. It checks and hands on; the spool keeps, the sender sends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runstream.base.notices import Notices
from runstream.capture.model_watcher import ModelWatcher
from runstream.errors import UsageError
from runstream.ranks.job import Job
from runstream.runs import active_trial, processes
from runstream.runs.alerts import AlertLevel, Alerts
from runstream.runs.config import Config
from runstream.runs.ending import Ending
from runstream.runs.field_writer import FieldWriter, run_field
from runstream.runs.goodbye import Goodbye
from runstream.runs.initial_document import Document, start_record
from runstream.runs.kept_files import KeptFiles
from runstream.runs.metric_definitions import make_definition
from runstream.runs.recorder import Recorder
from runstream.runs.run_identity import RunIdentity
from runstream.runs.slow_path import SlowPath
from runstream.runs.steps import StepCounter
from runstream.runs.stop_orders import StopOrders
from runstream.runs.stream import Target
from runstream.runs.summary import Summary
from runstream.settings import Settings

if TYPE_CHECKING:
    import datetime

    from runstream.capture.console_capture import Capture
    from runstream.runs.resume import AutoResume

_time_ns = time.time_ns


class Run:
    """One process's part in a run.

    `log()` returns when the record is in the memory-mapped spool, where it survives SIGKILL. Only `finish()` waits, and
    no longer than its deadline. `log()` and `finish()` may be called from any thread, and after a fork: the records of
    a forked child go to a stream of its own, under the same run and rank. A run may be pickled to a spawned process,
    and behaves there in the same way.
    """

    __slots__ = ("__dict__", "__weakref__", "_recorder", "_steps")
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
        parameters: Mapping[str, object] | None = None,
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
        notices = self._notices = Notices(settings.silent, settings.strict)
        trial = None if helper else active_trial.of_run(settings)
        recorder = self._recorder = Recorder(settings, Target.of(settings, run_id), job, notices, trial, helper=helper)
        fields = self._field_writer = FieldWriter(recorder.append, notices, mask_secrets=settings.mask_secrets)
        self._steps = StepCounter(starting_step)
        self._slow_path = SlowPath(recorder, notices, disabled=self.disabled)
        self._identity = RunIdentity(settings, run_id, document.fields, fields.set_run)
        self._files = KeptFiles(recorder.append_file, notices)
        self._alerts = Alerts(recorder.append, notices)
        self._stop_orders = StopOrders(run_id, recorder, trial, notices)
        self._watcher = ModelWatcher(self)
        self.config = Config(document.config, fields.set_config, allow_val_change, parameters)
        self.summary = Summary(recorder.last_values, fields.set_summary, fields.delete_summary, document.summary)
        capture = None if self.disabled or helper else self._open(document)
        self._ending = Ending(
            settings,
            recorder,
            Goodbye(settings, self._identity, job.rank, notices),
            notices,
            before=(self._watcher.remove, self._files.save_again),
            in_child=(self._files.forget, self._steps.renew_lock),
            capture=capture,
            auto_resume=auto_resume,
        )
        processes.add(self._ending)

    # What a training logs

    def log(
        self, data: Mapping[str, object], step: int | None = None, commit: bool | None = None, sync: bool | None = None
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
        recorder, steps = self._recorder, self._steps
        if step is None:
            step = next(steps.counter) if steps.jump is None and commit is not False else steps.take(commit)
        elif step.__class__ is not int or not -9007199254740992 <= step <= 9007199254740992:
            checked = self._slow_path.checked_step(step, data)
            if checked is None:
                return
            step = checked
        try:
            recorder.append_row(tuple(data), data.values(), step, now)
        except Exception:  # noqa: BLE001  # a value's __float__ may raise anything; the slow path tries each value
            self._slow_path.log(data, step, now)
        if given is not None and commit is not False:
            steps.jump = step + 1
        if now >= recorder.next_check_us or now < recorder.next_check_us - 5_000_000:  # or the clock has jumped back
            recorder.next_check_us = now + recorder.check_every_us
            self._check_liveness()

    def define_metric(
        self,
        name: str,
        step_metric: object = None,
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
        self._recorder.define(definition)
        return definition

    def alert(
        self,
        title: str,
        text: str = "",
        level: AlertLevel | str = "INFO",
        wait_duration: float | datetime.timedelta | None = None,
    ) -> None:
        """Record an alert. `level` is INFO, WARN or ERROR.

        An alert with the same title within `wait_duration` seconds (a number or a timedelta; default 60) is left out.
        """
        self._alerts.send(title, text, level, wait_duration)

    def save(
        self,
        glob_str: str | os.PathLike[str] | None = None,
        base_path: str | os.PathLike[str] | None = None,
        policy: str = "live",
    ) -> list[str]:
        """Keep all files that match `glob_str` with the run, and return their paths.

        A file is stored under its path below `base_path` (default: the pattern's fixed part). `policy` is now, live
        (stores the file again at the end, if it changed) or end.
        """
        return self._files.save(glob_str, base_path, policy)

    def log_code(
        self,
        root: str | None = ".",
        name: str | None = None,
        include_fn: Callable[..., object] | None = None,
        exclude_fn: Callable[..., object] | None = None,
    ) -> list[str]:
        """Keep source code with the run, and return the paths.

        The files are `*.py` under `root`, or those that `include_fn(path)` accepts.
        """
        return self._files.save_code(root, include_fn, exclude_fn)

    def watch(
        self,
        models: object,
        criterion: object = None,
        log: str | None = "gradients",
        log_freq: int = 1000,
        **options: object,
    ) -> None:
        """Log histograms of a torch model's gradients, parameters, or both, every `log_freq` batches.

        `log` is gradients, parameters, all or None. Batches are counted by backward passes.
        """
        try:
            for model in models if isinstance(models, (list, tuple)) else [models]:
                self._watcher.add(model, log, log_freq)
        except UsageError as error:
            self._notices.complain("watch", str(error))

    def unwatch(self, models: object = None) -> None:
        """Stop the logging that `watch()` began, for these models or for all."""
        self._watcher.remove(models)

    def mark_preempting(self) -> None:
        """Declare that this process is about to be preempted.

        Its run then ends as preempted instead of failed, unless it ends well.
        """
        self._ending.mark_preempting()

    # The end

    def finish(self, exit_code: int | None = None, quiet: bool | None = None, timeout: float | None = None) -> bool:
        """End this process's part of the run and wait until the server has all of it, `timeout` seconds at most.

        Returns True when everything is stored on the server. Records that are not stored stay in the spool: the node's
        sender goes on trying, and `runstream sync` sends them at any time. Never raises because of the network.
        """
        return self._ending.finish(exit_code, quiet, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code=processes.code_of(error))

    # What people read of a run

    @property
    def name(self) -> str:
        return self._identity.name

    @name.setter
    def name(self, value: str) -> None:
        self._identity.set("name", value)

    @property
    def notes(self) -> str:
        return self._identity.text("notes")

    @notes.setter
    def notes(self, value: str) -> None:
        self._identity.set("notes", value)

    @property
    def tags(self) -> tuple[str, ...]:
        return self._identity.tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._identity.set_tags(value)

    @property
    def project(self) -> str:
        return self.settings.project

    @property
    def entity(self) -> str:
        """The team; it is empty where the API key's default team is meant."""
        return self.settings.entity

    @property
    def group(self) -> str:
        return self._identity.text("group")

    @property
    def job_type(self) -> str:
        return self._identity.text("job_type")

    @property
    def sweep_id(self) -> str:
        return self.settings.sweep_id

    @property
    def path(self) -> str:
        """`team/project/run`, without the team where the API key's default is meant."""
        return self._identity.path

    @property
    def project_url(self) -> str:
        """The address of the project's page."""
        return self._identity.project_url

    @property
    def url(self) -> str:
        """The address of the run's page; `-` stands for the API key's default team."""
        return self._identity.url

    def get_url(self) -> str:
        return self.url

    def get_project_url(self) -> str:
        return self.project_url

    def project_name(self) -> str:
        return self.project

    @property
    def rank(self) -> int:
        return self.job.rank

    @property
    def world_size(self) -> int:
        return self.job.world_size

    @property
    def step(self) -> int:
        """The step that the next `log()` without one takes."""
        return self._steps.next

    @property
    def dir(self) -> str:
        """A folder for this run's files; it is created when this property is read."""
        folder = self.settings.root / "files" / self.id
        if not self.disabled:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder)

    @property
    def spool_dir(self) -> str:
        """The spool folder of this process's stream; it is empty where the process has none."""
        stream = self._recorder.stream
        return str(stream.folder) if stream else ""

    @property
    def offline(self) -> bool:
        return self.settings.mode == "offline"

    @property
    def disabled(self) -> bool:
        return self.settings.mode == "disabled"

    @property
    def finished(self) -> bool:
        return self._recorder.finished

    @property
    def stop_requested(self) -> bool:
        """True when the server asked this run to stop, through its stream: training code may end its loop."""
        return self._stop_orders.requested

    @property
    def should_stop(self) -> bool:
        """True when this run must end: somebody stopped it, or its sweep did (pruned, cancelled, lease lost).

        A program that reads this property ends by itself: `log()` no longer raises TrialStopped in it.
        """
        return self._stop_orders.should_stop()

    @property
    def points_logged(self) -> int:
        """The number of scalar points that this process has logged."""
        return self._recorder.points

    @property
    def points_dropped(self) -> int:
        """The number of values that this process had to give up because the spool was full."""
        return self._recorder.points_dropped

    def status(self) -> dict[str, Any]:
        """Return how far the sender is: records logged and stored, batches refused, and its last error."""
        return self._recorder.status()

    def __repr__(self) -> str:
        return f"Run({self.path!r}, rank={self.rank}/{self.world_size})"

    def __reduce__(self) -> tuple[object, ...]:
        return attach, (self.settings, self.id, self.job, self.config.as_dict(), self.step, self._identity.fields)

    # Private methods

    def _open(self, document: Document) -> Capture | None:
        """Open the stream, and begin to capture the console where the settings want it. Raises SpoolError."""

        def make_start() -> dict[str, object]:
            config = self._field_writer.without_secrets(document.written_config(self.config.as_dict()))
            return start_record(self.settings, self.job, document, config)

        emptied = document.emptied if self.rank == 0 else ()
        fields = [run_field("SECTION_RUN", name, document.fields[name]) for name in emptied]
        stream = self._recorder.open(make_start, fields)
        if self.settings.console != "auto":
            return None
        from runstream.capture.console_capture import Capture

        return Capture.start(stream.folder, self.settings.console_limit_mb << 20, self._notices)

    def _check_liveness(self) -> None:
        """Check what works beside the training. `log()` calls this every few seconds."""
        self._recorder.check_liveness()
        self._ending.check_console()
        self._stop_orders.read_stream()


def attach(
    settings: Settings, run_id: str, job: Job, config: Mapping[str, object], step: int, fields: Mapping[str, object]
) -> Run:
    """Return this process's part in a run of another process.

    Its records go to a stream of its own, under the same run and rank.
    """
    processes.install_hooks()
    return Run(settings, run_id, job, Document(fields, config), starting_step=step, helper=True)
