"""What `init()` says of a run as a whole: names, tags, notes, config. And, of a run that is continued, what stays said.

What was not given is not written: what the run has stays. What was given is written, unless people changed the field by
hand and `init()` only repeats what the run had said before: then the change stays (decision 24).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runstream import environment
from runstream._config import merged
from runstream._version import VERSION
from runstream.masking import MASK, mask_config
from runstream.names import default_name
from runstream.plain import flattened, nested, to_plain, without
from runstream.ranks import Job
from runstream.settings import Settings
from runstream.stream import dumps

_FIELDS = {"name": "name", "notes": "notes", "tags": "tags", "run_group": "group", "job_type": "job_type"}
"""Settings, and the fields of the run that they are."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the run from before."""

    exists: bool | None = False
    """None: the server did not say."""
    last_step: int | None = None
    """Of this rank; None where no step is known."""
    trouble: str = ""
    """Why the server did not say."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """name, notes, tags, group, job_type, as far as they are known."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Dotted keys to values."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    edited: Mapping[str, str] = field(default_factory=dict)
    """`run.name`, `config.<dotted key>`, ...: fields whose value people set, with what the run had said, as JSON."""


@dataclass(frozen=True, slots=True)
class Document:
    """A run's document as this process begins with it."""

    fields: Mapping[str, Any]
    """name, notes, tags, group, job_type: what holds."""
    config: Mapping[str, Any]
    """What holds: values of an earlier attempt are plain and nested, given ones are as they were given."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Of earlier attempts."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """Of `fields`, what this process says anew."""
    kept: frozenset[str] = frozenset()
    """Dotted keys of the run's config that this process does not say anew."""
    unknown: tuple[str, ...] = ()
    """Those of them that are not in `config`: they were recorded masked, and what they held nobody knows."""

    @property
    def emptied(self) -> list[str]:
        """Of `written`, what was given empty: it empties what the run has, and the start record cannot say so."""
        return [name for name, value in self.written.items() if not value]

    def written_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Of `config`, as it holds now, what this process says anew: plain and nested."""
        return without(to_plain(config), self.kept.__contains__)


def make_document(
    settings: Settings, run_id: str, config: Mapping[str, Any], earlier: Earlier, fixed: Mapping[str, Any] | None = None
) -> Document:
    """Pure. `config`: as it was given to `init()`. `fixed`: a sweep's parameters, which nothing outranks."""
    given = settings.given()
    held: dict[str, Any] = {"name": default_name(run_id), "notes": "", "tags": (), "group": "", "job_type": ""}
    held |= {name: value for name, value in earlier.fields.items() if value}
    written: dict[str, Any] = {}
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
    config: Mapping[str, Any], earlier: Earlier, fixed: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[str], tuple[str, ...]]:
    """What the run's config is, the dotted keys of it that need not be said again, and those whose value is masked."""
    parameters = flattened(fixed)
    said = {
        key: value
        for key, value in (flattened(to_plain(config)) | parameters).items()
        if key in parameters or not _is_repeated(earlier, f"config.{key}", value)
    }
    known = {key: value for key, value in earlier.config.items() if said.keys().isdisjoint(_paths(key))}
    edited = {name.removeprefix("config.") for name in earlier.edited if name.startswith("config.")}
    not_whole = {path for key in (*known, *edited) for path in _paths(key)}
    whole = {str(key): value for key, value in config.items() if key not in not_whole}  # as it was given: an object
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
    """A dotted key, and those of the dicts that it is in."""
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _is_repeated(earlier: Earlier, name: str, value: object) -> bool:
    """Whether people changed the field, and `value` is what the run had said before they did."""
    before = earlier.edited.get(name)
    if not before:
        return False
    key = name.removeprefix("config.").rpartition(".")[2]
    try:
        said = json.loads(before)
        return any(said == json.loads(json.dumps(one)) for one in (to_plain(value), mask_config(to_plain(value), key)))
    except ValueError:
        return False


def start_record(settings: Settings, job: Job, document: Document, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `RunStart` message of this process. What describes the whole run is rank 0's to say.

    `config`: what is to be written of it, secrets masked. Takes tens of milliseconds where the environment is captured.
    """
    value: dict[str, Any] = {
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
