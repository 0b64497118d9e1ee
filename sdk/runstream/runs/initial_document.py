"""The facts that `init()` gives for a run as a whole: names, tags, notes, config; and those that a continued run keeps.

A fact that was not given is not written: the run keeps what it has. A fact that was given is written, unless people
changed the field by hand and `init()` only repeats the run's value from before: then the change stays (decision 24).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runstream.base.json_text import dumps
from runstream.base.plain import flattened, nested, to_plain, without
from runstream.base.run_names import default_name
from runstream.capture import environment
from runstream.capture.masking import MASK, mask_config
from runstream.ranks.job import Job
from runstream.runs.config import merged
from runstream.settings import Settings
from runstream.version import VERSION

_FIELDS = {"name": "name", "notes": "notes", "tags": "tags", "run_group": "group", "job_type": "job_type"}
"""Maps settings to the fields of the run."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the run from earlier attempts."""

    exists: bool | None = False
    """Whether the run exists; None where the server did not say."""
    last_step: int | None = None
    """The last step of this rank; None where no step is known."""
    trouble: str = ""
    """The reason why the server did not say it."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """The fields name, notes, tags, group and job_type, as far as they are known."""
    config: Mapping[str, object] = field(default_factory=dict)
    """The run's config: dotted keys to values."""
    summary: Mapping[str, object] = field(default_factory=dict)
    edited: Mapping[str, str] = field(default_factory=dict)
    """Fields whose value people set (`run.name`, `config.<dotted key>`, ...), with the run's value before, as JSON."""


@dataclass(frozen=True, slots=True)
class Document:
    """A run's document as this process begins with it."""

    fields: Mapping[str, object]
    """The values in force of name, notes, tags, group and job_type."""
    config: Mapping[str, object]
    """The config in force: values of an earlier attempt are plain and nested, given ones are as they were given."""
    summary: Mapping[str, object] = field(default_factory=dict)
    """The summary of earlier attempts."""
    written: Mapping[str, object] = field(default_factory=dict)
    """The part of `fields` that this process writes."""
    kept: frozenset[str] = frozenset()
    """Dotted keys of the run's config that this process does not write."""
    unknown: tuple[str, ...] = ()
    """The keys of `kept` that are not in `config`: they were recorded masked, and their values are not known."""

    @property
    def emptied(self) -> list[str]:
        """The names in `written` whose value was given empty.

        Such a value empties the run's value, which the start record cannot say.
        """
        return [name for name, value in self.written.items() if not value]

    def written_config(self, config: Mapping[str, object]) -> dict[str, object]:
        """Return the part of `config`, as it is now, that this process writes: plain and nested."""
        return without(to_plain(config), self.kept.__contains__)


def make_document(
    settings: Settings,
    run_id: str,
    config: Mapping[str, object],
    earlier: Earlier,
    fixed: Mapping[str, object] | None = None,
) -> Document:
    """Return the document of a run; a pure function.

    `config` is as it was given to `init()`. `fixed` are a sweep's parameters, which take precedence over everything.
    """
    given = settings.given()
    held: dict[str, Any] = {"name": default_name(run_id), "notes": "", "tags": (), "group": "", "job_type": ""}
    held |= {name: value for name, value in earlier.fields.items() if value}
    written: dict[str, object] = {}
    if earlier.exists is False:
        written["name"] = held["name"]
    for setting, name in _FIELDS.items():
        is_given = setting in given and (given[setting] or name != "name")
        if is_given and not _is_repeated(earlier, f"run.{name}", given[setting]):
            held[name] = written[name] = given[setting]
    held["tags"] = tuple(held["tags"])
    shown, kept, unknown = _continued_config(config, earlier, to_plain(fixed or {}))
    return Document(held, shown, dict(earlier.summary), written, kept, unknown)


def _continued_config(
    config: Mapping[str, object], earlier: Earlier, fixed: Mapping[str, object]
) -> tuple[dict[str, object], frozenset[str], tuple[str, ...]]:
    """Return the run's config, the dotted keys of it that are not written again, and the keys whose value is masked."""
    parameters = flattened(fixed)
    said = {
        key: value
        for key, value in (flattened(to_plain(config)) | parameters).items()
        if key in parameters or not _is_repeated(earlier, f"config.{key}", value)
    }
    known = {key: value for key, value in earlier.config.items() if said.keys().isdisjoint(_paths(key))}
    edited = {name.removeprefix("config.") for name in earlier.edited if name.startswith("config.")}
    not_whole = {path for key in (*known, *edited) for path in _paths(key)}
    whole = {str(key): value for key, value in config.items() if key not in not_whole}  # objects as they were given
    apart = flattened(to_plain(whole)).keys() | parameters.keys()
    unknown = [key for key, value in known.items() if _is_masked(value)]
    shown = nested({key: value for key, value in (known | said).items() if key not in apart and key not in unknown})
    shown = merged(shown | whole, fixed)
    return shown, frozenset(known.keys() | edited - said.keys()), tuple(unknown)


def _is_masked(value: object) -> bool:
    if isinstance(value, list):
        return any(_is_masked(item) for item in value)
    return isinstance(value, str) and MASK in value


def _paths(key: str) -> list[str]:
    """Return a dotted key, and the keys of the dicts that it is in."""
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _is_repeated(earlier: Earlier, name: str, value: object) -> bool:
    """Return whether people changed the field, and `value` is the run's value from before the change."""
    before = earlier.edited.get(name)
    if not before:
        return False
    key = name.removeprefix("config.").rpartition(".")[2]
    try:
        said = json.loads(before)
        return any(said == json.loads(json.dumps(one)) for one in (to_plain(value), mask_config(to_plain(value), key)))
    except ValueError:
        return False


def start_record(settings: Settings, job: Job, document: Document, config: Mapping[str, object]) -> dict[str, object]:
    """Return the `RunStart` message of this process. Only rank 0 writes the fields of the whole run.

    `config`: the part that is written, secrets masked. Takes tens of milliseconds where the environment is captured.
    """
    value: dict[str, object] = {
        "world_size": job.world_size,
        "restart_count": job.restart_count,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_us": time.time_ns() // 1000,
        "local_rank": job.local_rank,
        "node_rank": job.node_rank,
        "sdk_version": VERSION,
    }
    if job.rank == 0:
        value |= {
            **document.written,
            "partial": True,
            "config_json": dumps(config),
            "environment": environment.capture(settings.capture_variables, settings.capture_diff)
            if settings.capture_environment
            else {},
            "sweep_id": settings.sweep_id,
        }
    return value
