"""The properties that people read of a run: the first part of `Run`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runstream.ranks.job import Job
from runstream.settings import Settings

if TYPE_CHECKING:
    from runstream.runs.active_trial import ActiveTrial
    from runstream.runs.stream import Stream


class RunFacts:
    """Properties of a run; the attributes that they need exist once `Run` has been made."""

    settings: Settings
    id: str
    job: Job
    _fields: dict[str, Any]
    """The fields name, notes, tags, group and job_type."""
    _steps: itertools.count[int]
    _jump: int | None
    _finished: bool
    _dropped: list[int]
    _stream: Stream | None
    _trial: ActiveTrial | None

    def _heed_stream(self) -> None:
        raise NotImplementedError

    def _set_field(self, section: str, key: str, value: object) -> None:
        raise NotImplementedError

    @property
    def name(self) -> str:
        return str(self._fields["name"])

    @name.setter
    def name(self, value: str) -> None:
        self._set_of_run("name", value)

    @property
    def notes(self) -> str:
        return str(self._fields["notes"])

    @notes.setter
    def notes(self, value: str) -> None:
        self._set_of_run("notes", value)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self._fields["tags"])

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._set_of_run("tags", (value,) if isinstance(value, str) else tuple(str(tag) for tag in value))

    def _set_of_run(self, name: str, value: object) -> None:
        self._fields[name] = value
        self._set_field("SECTION_RUN", name, value)

    @property
    def project(self) -> str:
        return self.settings.project

    @property
    def entity(self) -> str:
        """The team; it is empty where the API key's default team is meant."""
        return self.settings.entity

    @property
    def group(self) -> str:
        return str(self._fields["group"])

    @property
    def job_type(self) -> str:
        return str(self._fields["job_type"])

    @property
    def sweep_id(self) -> str:
        return self.settings.sweep_id

    @property
    def path(self) -> str:
        """`team/project/run`, without the team where the API key's default is meant."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def project_url(self) -> str:
        """The address of the project's page."""
        return f"{self.settings.base_url.rstrip('/')}/{self.entity or '-'}/{self.project}"

    @property
    def url(self) -> str:
        """The address of the run's page; `-` stands for the API key's default team."""
        return f"{self.project_url}/runs/{self.id}"

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
        jump = self._jump
        return int(repr(self._steps)[6:-1]) if jump is None else jump  # "count(5)": reading repr() does not advance it

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
        return str(self._stream.folder) if self._stream else ""

    @property
    def offline(self) -> bool:
        return self.settings.mode == "offline"

    @property
    def disabled(self) -> bool:
        return self.settings.mode == "disabled"

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def stop_requested(self) -> bool:
        """True when the server asked this run to stop, through its stream: training code may end its loop."""
        return bool(self._stream and self._stream.state.read().stop_requested)

    @property
    def should_stop(self) -> bool:
        """True when this run must end: somebody stopped it, or its sweep did (pruned, cancelled, lease lost).

        A program that reads this property ends by itself: `log()` no longer raises TrialStopped in it.
        """
        self._heed_stream()
        if self._trial is None:
            return self.stop_requested
        return self._trial.asked_to_stop()

    @property
    def points_logged(self) -> int:
        """The number of scalar points that this process has logged."""
        return self._stream.writer.points if self._stream else 0

    @property
    def points_dropped(self) -> int:
        """The number of values that this process had to give up because the spool was full."""
        return sum(self._dropped)
