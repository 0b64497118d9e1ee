"""The state of a run that is resumed: asked of the server within a short deadline, and read from the own spool."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

from runstream.base.plain import flattened
from runstream.capture.environment import working_directory
from runstream.errors import SpoolError
from runstream.runs.initial_document import Earlier
from runstream.server.run_lookup import error_text, request_run
from runstream.settings import Settings
from runstream.spool import format
from runstream.spool.folder import SpoolFolder, read_meta
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader

_STEP = struct.Struct("@q")
_FIELDS = ("name", "notes", "tags", "group", "job_type")
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def find_earlier(settings: Settings, run: str, rank: int) -> Earlier:
    """Return what server and spool know of the run. Never raises; waits `resume_timeout_s` at most for the server."""
    local = _read_spool(settings, run, rank)
    try:
        remote = _read_answer(request_run(settings, run, settings.resume_timeout_s, large_values=True), rank)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remote = Earlier(exists=None, trouble=error_text(error))
    steps = [step for step in (local.last_step, remote.last_step) if step is not None]
    return replace(
        remote,
        exists=True if local.exists else remote.exists,
        last_step=max(steps) if steps else None,
        fields={**remote.fields, **{k: v for k, v in local.fields.items() if f"run.{k}" not in remote.edited}},
        config={**remote.config, **{k: v for k, v in local.config.items() if f"config.{k}" not in remote.edited}},
    )


def _read_answer(answer: dict[str, Any] | None, rank: int) -> Earlier:
    """Return what an answer to GetRun says of the run; a pure function.

    Raises ValueError, KeyError, TypeError or AttributeError for a value that is no answer to GetRun.
    """
    if answer is None:
        return Earlier(exists=False)
    _put_large(answer)
    steps = [int(item["step"]) for item in answer.get("last_steps", []) if int(item["rank"]) == rank]
    return Earlier(
        exists=True,
        last_step=max(steps) if steps else None,
        fields={name: answer[name] for name in _FIELDS if answer.get(name)},
        config={key: _restored(value) for key, value in answer.get("config", {}).items()},
        summary={
            key: _SPECIAL.get(value, value) if isinstance(value, str) else value
            for key, value in answer.get("summary", {}).items()
        },
        edited={one["field"]: one.get("replaced_json", "") for one in answer.get("edited_fields", [])},
    )


def _put_large(answer: dict[str, Any]) -> None:
    """Put large values in place of the notes that stand for them; a note without its value is removed."""
    for one in answer.get("large", []):
        section = answer if one["section"] == "run" else answer.get(one["section"], {})
        section.pop(one["key"], None)
        if one.get("value_json"):
            section[one["key"]] = json.loads(one["value_json"])


def _restored(value: object) -> object:
    """Return a value of the wire with whole numbers as int again: the wire's numbers are all doubles."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    return value


class _Unsent:
    """A sink for a stream's records that keeps the highest step and the fields of the run."""

    def __init__(self) -> None:
        self.step: int | None = None
        self.fields: dict[str, object] = {}
        self.config: dict[str, object] = {}

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        (step,) = _STEP.unpack_from(step_and_values)
        self.step = step if self.step is None else max(self.step, step)
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            record = json.loads(data)
            value = record["value"]
            if record["kind"] == "start":
                self.fields |= {name: value[name] for name in _FIELDS if value.get(name)}
                self.config |= flattened(json.loads(value.get("config_json") or "{}"))
            elif record["kind"] == "field" and value.get("section") == "SECTION_CONFIG":
                self.config |= flattened({value["key"]: json.loads(value["value_json"])})
            elif record["kind"] == "field" and value.get("section") == "SECTION_RUN" and value["key"] in _FIELDS:
                self.fields[value["key"]] = json.loads(value["value_json"])
        return True


def _read_spool(settings: Settings, run: str, rank: int) -> Earlier:
    """Return what streams of the run that are not sent yet say of it; steps are of this rank alone."""
    mine: list[tuple[int, Path]] = []
    for folder in SpoolFolder(settings.root).stream_folders():
        with contextlib.suppress(SpoolError):
            meta = read_meta(folder)
            if (meta.project, meta.run, meta.rank, meta.system) == (settings.project, run, rank, False):
                mine.append((meta.created_us, folder))
    sink = _Unsent()
    for _, folder in sorted(mine):
        with contextlib.suppress(SpoolError, OSError, ValueError):
            reader = SpoolReader(folder, SpoolPosition(0, format.HEADER_BYTES))
            try:
                reader.drain(sink)
            finally:
                reader.close()
    return Earlier(bool(mine), sink.step, fields=sink.fields, config=sink.config)


class AutoResume:
    """`resume="auto"`: it remembers the run that this folder's script has open, until that run ends well."""

    def __init__(self, settings: Settings) -> None:
        place = f"{working_directory()}|{settings.entity}|{settings.project}|{settings.base_url}"
        name = hashlib.sha256(place.encode()).hexdigest()[:24]
        self._path = settings.root / "resume" / f"{name}.json"

    def run_id(self) -> str:
        """Return the unfinished run's id, or an empty text when there is none."""
        try:
            return str(json.loads(self._path.read_text(encoding="utf-8"))["run"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def remember(self, run: str) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"run": run}), encoding="utf-8")

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
