"""`Run`: what `init()` returns. It checks and hands on; the spool keeps, the sender sends."""

from __future__ import annotations

import operator
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from runstream import environment
from runstream._config import Config
from runstream._summary import Summary
from runstream.errors import SpoolError, UsageError
from runstream.names import default_name
from runstream.notices import Notices
from runstream.ranks import Job
from runstream.settings import Settings
from runstream.spool.writer import split_keys
from runstream.stream import Stream, Target
from runstream.values import key_problem, sort_values

_time_ns = time.time_ns
_LOOK_AFTER_US = 5_000_000
"""How often `log()` looks whether the sender still lives."""
_STEP_LIMIT = 2**53
"""Steps beyond it are not exact as doubles, which is what pages and programs compute with."""
_MAX_KEYS = 8192
_live: set[Run] = set()
"""Runs of this process that are not finished: held here, so that one that nobody holds is finished at exit."""


class Run:
    """One process's part in a run.

    `log()` returns when the record is in the memory-mapped spool: it survives SIGKILL from then on. No method
    but `finish()` waits for anything, and that no longer than its deadline. `log()` and `finish()` may be called
    from any thread, and after a fork: a child's records go to a stream of its own, under the same run and rank.
    """

    def __init__(
        self, settings: Settings, run_id: str, job: Job, config: Mapping[str, Any], resumed: bool = False
    ) -> None:
        """Raises SpoolError when the spool folder cannot be used."""
        self.settings = settings
        self.id = run_id
        self.job = job
        self.resumed = resumed
        self._name = settings.name or default_name(run_id)
        self._notes = settings.notes
        self._tags = tuple(settings.tags)
        self._notices = Notices(settings.silent, settings.strict)
        self._target = Target(settings.entity, settings.project, run_id, _resume_mode(settings))
        self._pid = os.getpid()
        self._finished = False
        self._dropped_points = 0
        self._step = 0
        self._next_look_us = 0
        self._stream: Stream | None = None
        self._append_row: Callable[[tuple[str, ...], Iterable[object], int, int], None] = self._open_and_append
        self.config = Config(config, self._config_changed)
        self.summary = Summary(self._last_values, self._summary_set)
        if settings.mode != "disabled":
            self._open(start=True)
        _live.add(self)

    # What people read

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value
        self._set_field("SECTION_RUN", "name", value)

    @property
    def notes(self) -> str:
        return self._notes

    @notes.setter
    def notes(self, value: str) -> None:
        self._notes = value
        self._set_field("SECTION_RUN", "notes", value)

    @property
    def tags(self) -> tuple[str, ...]:
        return self._tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._tags = tuple(value)
        self._set_field("SECTION_RUN", "tags", list(self._tags))

    @property
    def project(self) -> str:
        return self.settings.project

    @property
    def entity(self) -> str:
        """The team; empty where the API key's default team is meant."""
        return self.settings.entity

    @property
    def group(self) -> str:
        return self.settings.run_group

    @property
    def job_type(self) -> str:
        return self.settings.job_type

    @property
    def path(self) -> str:
        """`team/project/run`, without the team where the API key's default is meant."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def rank(self) -> int:
        return self.job.rank

    @property
    def world_size(self) -> int:
        return self.job.world_size

    @property
    def step(self) -> int:
        """The step that the next `log()` without one takes."""
        return self._step

    @property
    def dir(self) -> str:
        """The spool folder of this process's stream."""
        return str(self._stream.folder) if self._stream else ""

    @property
    def offline(self) -> bool:
        return self.settings.mode == "offline"

    @property
    def disabled(self) -> bool:
        return self.settings.mode == "disabled"

    @property
    def stop_requested(self) -> bool:
        """True when somebody asked the server to stop this run: training code may end its loop."""
        return bool(self._stream and self._stream.state.read().stop_requested)

    @property
    def points_logged(self) -> int:
        """Scalar points that this process has logged."""
        return self._stream.writer.points if self._stream else 0

    # What people do

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log values at a step. When it returns, they survive SIGKILL of this process.

        `data`: names to numbers (anything with __float__, arrays of one element), strings, or nested dicts
        (names joined by dots). NaN and infinities are values. `step`: any integer up to ±2^53, in any order, any
        number of times (the last write of a name and step wins); default: one more than the last, from 0, counted
        per rank. `commit=False` stays at the step. Never raises and never waits for the network: what cannot be
        logged is left out with a warning, once a kind (an exception with `strict`).
        """
        now = _time_ns() // 1000
        if step is None:
            step = self._step
        elif step.__class__ is not int or not -_STEP_LIMIT <= step <= _STEP_LIMIT:
            checked = self._checked_step(step)
            if checked is None:
                return
            step = checked
        try:
            self._append_row(tuple(data), data.values(), step, now)
        except Exception:  # noqa: BLE001  # anything that a value's __float__ may raise: looked at one by one there
            self._log_one_by_one(data, step, now)
        if commit is not False:
            self._step = step + 1
        if now >= self._next_look_us and self._stream is not None:
            self._next_look_us = now + _LOOK_AFTER_US
            self._stream.ensure_sender()

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        summary: str | None = None,
        goal: str | None = None,
        hidden: bool = False,
        **_: Any,
    ) -> None:
        """Say what a metric, or all that match a glob pattern, is drawn against and summed up by."""
        value = {
            "name": name,
            "step_metric": step_metric or "",
            "summary": summary or "",
            "goal": goal or "",
            "hidden": hidden,
        }
        self._append("definition", value)

    def alert(self, title: str, text: str = "", level: str = "INFO") -> None:
        """Record an alert. `level`: INFO, WARN or ERROR."""
        self._append("alert", {"title": title, "text": text, "level": f"LEVEL_{level.upper()}"})

    def finish(self, exit_code: int | None = None, timeout: float | None = None, **_: Any) -> bool:
        """End this process's part of the run and wait until the server has all of it, `timeout` seconds at most.

        Returns True when everything is stored on the server. What is not stays in the spool: the node's sender goes
        on trying, and `runstream sync` sends it at any time. Never raises because of the network.
        """
        if self._finished:
            return True
        self._finished = True
        _live.discard(self)
        stream = self._stream
        self._append_row = self._refuse_row
        if stream is None:
            return True
        number = self._write_finish(stream, exit_code or 0)
        timeout = self.settings.finish_timeout_s if timeout is None else timeout
        stored = self._wait(stream, number, timeout) if self.settings.mode == "online" and number else False
        stream.end()
        if not stored:
            self._notices.say(
                f"run {self.id}: recorded in {stream.spool.root}; "
                + (
                    f"not yet on the server after {timeout:g} s{_because(stream)}: the sender goes on, or send it with "
                    if self.settings.mode == "online"
                    else "send it with "
                )
                + f"`runstream sync {stream.spool.root}`"
            )
        return stored

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def __repr__(self) -> str:
        return f"Run({self.path!r}, rank={self.rank}/{self.world_size})"

    # Within

    def _open(self, start: bool) -> Stream:
        stream = Stream(self.settings, self._target, self.job, _check_keys, helper=not start)
        self._stream = stream
        self._append_row = stream.writer.append_row
        self._next_look_us = _time_ns() // 1000 + _LOOK_AFTER_US
        stream.append(
            "start",
            self._start_record() if start else {"world_size": self.world_size, "pid": os.getpid(), "helper": True},
        )
        stream.show()
        return stream

    def _start_record(self) -> dict[str, Any]:
        """The `RunStart` message. What describes the whole run is rank 0's to say."""
        import socket

        value: dict[str, Any] = {
            "world_size": self.world_size,
            "restart_count": self.job.restart_count,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": _time_ns() // 1000,
            "local_rank": self.job.local_rank,
            "node_rank": self.job.node_rank,
            "sdk_version": _sdk_version(),
        }
        if self.rank == 0:
            from runstream.stream import dumps

            value |= {
                "name": self._name,
                "notes": self._notes,
                "tags": list(self._tags),
                "group": self.group,
                "job_type": self.job_type,
                "config_json": dumps(self.config.as_dict()),
                "environment": environment.capture(),
                "sweep_id": self.settings.sweep_id,
            }
        return value

    def _open_and_append(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        """The first row after a fork: the child gets a stream of its own."""
        if self.settings.mode != "disabled":
            self._open(start=False).writer.append_row(keys, values, step, now)

    def _refuse_row(self, keys: tuple[str, ...], values: Iterable[object], step: int, now: int) -> None:
        raise UsageError(f"run {self.id} is finished: log() after finish() records nothing")

    def _log_one_by_one(self, data: Any, step: int, now: int) -> None:
        """The slow path: sort out what the fast one could not pack."""
        if not isinstance(data, Mapping):
            self._notices.complain("log", f"log() takes a dict of names to values, not {type(data).__name__}")
            return
        scalars, strings, problems = sort_values(data)
        for problem in problems:
            self._notices.complain(problem.partition(":")[0], f"log(): left out {problem}")
        try:
            for keys in split_keys(list(scalars)):
                self._append_row(keys, [scalars[key] for key in keys], step, now)
            if strings:
                stream = self._stream or self._open(start=False)
                for key, text in strings.items():
                    stream.append("text", {"key": key, "step": step, "value": text}, now)
        except SpoolError as error:
            self._dropped_points += len(scalars)
            self._notices.complain("spool", f"log(): {error}; points are lost until there is space")
        except UsageError as error:
            self._notices.complain("finished", str(error))

    def _checked_step(self, step: object) -> int | None:
        try:
            number = operator.index(step)  # type: ignore[arg-type]  # says so itself
        except TypeError:
            number = None
            if isinstance(step, float) and step.is_integer():
                number = int(step)
        if number is None or abs(number) > _STEP_LIMIT:
            self._notices.complain("step", f"log(): step {step!r} is no whole number between -2^53 and 2^53: left out")
            return None
        return number

    def _append(self, kind: str, value: dict[str, Any]) -> None:
        if self._stream is None or self._finished:
            return
        try:
            self._stream.append(kind, value)
        except SpoolError as error:
            self._notices.complain(kind, f"{kind}: {error}")

    def _set_field(self, section: str, key: str, value: object) -> None:
        from runstream.stream import dumps

        self._append("field", {"section": section, "key": key, "value_json": dumps(value)})

    def _config_changed(self, key: str, value: Any) -> None:
        self._set_field("SECTION_CONFIG", key, value)

    def _summary_set(self, key: str, value: Any) -> None:
        self._set_field("SECTION_SUMMARY", key, value)

    def _last_values(self) -> dict[str, Any]:
        return dict(self._stream.writer.last_values()) if self._stream and not self._finished else {}

    def _write_finish(self, stream: Stream, exit_code: int) -> int:
        """Number of the finish record; 0 when there was no space for it."""
        writer = stream.writer
        value = {
            "exit_code": exit_code,
            "outcome": "OUTCOME_FINISHED" if exit_code == 0 else "OUTCOME_FAILED",
            "points": writer.points,
            "records": writer.number,
            "dropped_points": self._dropped_points,
        }
        try:
            number = stream.append("finish", value)
        except SpoolError as error:
            self._notices.complain("finish", f"finish(): {error}")
            number = 0
        writer.seal()
        return number

    def _wait(self, stream: Stream, number: int, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        stream.ensure_sender()
        if stream.wait_acked(number, min(deadline, time.monotonic() + 1.0)):
            return True
        with self._notices.progress() as show:
            while not stream.wait_acked(number, min(deadline, time.monotonic() + 0.5)):
                left = number - stream.state.acked_record()
                show(f"run {self.id}: {left} records to send, {max(deadline - time.monotonic(), 0):.0f} s left")
                if time.monotonic() >= deadline:
                    return False
        return True

    def _after_fork(self) -> None:
        """In the child: the parent's stream is the parent's."""
        if self._stream is not None:
            self._stream.abandon()
            self._stream = None
        if not self._finished:
            self._append_row = self._open_and_append


def _check_keys(keys: tuple[str, ...]) -> None:
    if len(keys) > _MAX_KEYS:
        raise ValueError("too many keys for one row")
    for key in keys:
        problem = key_problem(key)
        if problem:
            raise ValueError(problem)


def _because(stream: Stream) -> str:
    error = stream.state.read().error
    return f" ({error})" if error else ""


def _resume_mode(settings: Settings) -> str:
    return "allow" if settings.resume == "auto" else settings.resume


def _sdk_version() -> str:
    from runstream._version import VERSION

    return VERSION


def live_runs() -> list[Run]:
    """Runs of this process that are not finished."""
    return list(_live)


def _finish_all() -> None:
    """At exit: the exit code is 1 when an exception is on its way out."""
    failed = getattr(sys, "last_value", None) is not None or getattr(sys, "last_exc", None) is not None
    for run in live_runs():
        run.finish(exit_code=1 if failed else 0)


def _after_fork_in_child() -> None:
    from runstream.sender.spawn import forget_children

    forget_children()
    for run in list(_live):
        run._after_fork()


def install_hooks() -> None:
    """Once a process, by `init()`: finish what is open at exit, and give forked children streams of their own."""
    import atexit

    if not _installed:
        _installed.append(True)
        atexit.register(_finish_all)
        os.register_at_fork(after_in_child=_after_fork_in_child)


_installed: list[bool] = []
