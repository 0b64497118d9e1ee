"""What names a run: its id, its fields, its path, and the addresses of its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runstream.settings import Settings


class RunIdentity:
    """The id and the fields of a run: name, notes, tags, group and job type. A field that is set is written at once."""

    def __init__(
        self, settings: Settings, run_id: str, fields: Mapping[str, Any], on_set: Callable[[str, object], None]
    ) -> None:
        """Take the run's id and fields. `on_set` writes a field's new value."""
        self._settings = settings
        self.id = run_id
        self.fields = dict(fields)
        self._on_set = on_set

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.fields["tags"])

    def text(self, name: str) -> str:
        """Return the value of a field that is a text."""
        return str(self.fields[name])

    def set(self, name: str, value: object) -> None:
        """Set a field, and write it."""
        self.fields[name] = value
        self._on_set(name, value)

    def set_tags(self, value: Iterable[str]) -> None:
        """Set the tags, and write them. A text is one tag."""
        self.set("tags", (value,) if isinstance(value, str) else tuple(str(tag) for tag in value))

    @property
    def path(self) -> str:
        """`team/project/run`, without the team where the API key's default is meant."""
        return "/".join(part for part in (self._settings.entity, self._settings.project, self.id) if part)

    @property
    def project_url(self) -> str:
        """The address of the project's page; `-` stands for the API key's default team."""
        settings = self._settings
        return f"{settings.base_url.rstrip('/')}/{settings.entity or '-'}/{settings.project}"

    @property
    def url(self) -> str:
        """The address of the run's page."""
        return f"{self.project_url}/runs/{self.id}"
