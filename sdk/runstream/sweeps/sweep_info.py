"""The server's messages about sweeps and trials, as Python objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runstream.errors import InvalidRequestError

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SweepObjective:
    metric: str
    maximize: bool

    @property
    def goal(self) -> str:
        return "maximize" if self.maximize else "minimize"


@dataclass(frozen=True, slots=True)
class SweepInfo:
    """A sweep as it is now."""

    id: str
    team: str
    project: str
    name: str
    method: str
    state: str
    """running, paused, finished or cancelled"""
    reason: str
    objectives: tuple[SweepObjective, ...]
    size: int
    """The number of trials that the sweep will have; 0 for a sweep without an end."""
    size_is_limit: bool
    counts: dict[str, int]
    """The number of trials in each state."""
    definition: dict[str, Any]
    """The configuration; it is empty where the request did not ask for it."""
    notes: tuple[str, ...]
    created: datetime | None
    cost: float
    trial_seconds: float

    @classmethod
    def of(cls, found: Json) -> SweepInfo:
        return cls(
            id=found["id"],
            team=found["team"],
            project=found["project"],
            name=found.get("name", ""),
            method=found.get("method", ""),
            state=enum_name(found.get("state", ""), "SWEEP_STATE_"),
            reason=found.get("reason", ""),
            objectives=tuple(
                SweepObjective(one["metric"], bool(one.get("maximize"))) for one in found.get("objectives", [])
            ),
            size=int(found.get("size", 0)),
            size_is_limit=bool(found.get("size_is_limit")),
            counts={name: int(number) for name, number in (found.get("counts") or {}).items()},
            definition=json.loads(found.get("definition_json") or "{}"),
            notes=tuple(found.get("notes", [])),
            created=_time(found.get("created")),
            cost=float(found.get("cost", 0.0)),
            trial_seconds=float(found.get("trial_seconds", 0.0)),
        )

    @property
    def path(self) -> str:
        return f"{self.team}/{self.project}/{self.id}"


@dataclass(frozen=True, slots=True)
class TrialInfo:
    """A trial as it is now."""

    sweep: str
    number: int
    state: str
    """queued, running, finished, failed, pruned, cancelled or added"""
    parameters: dict[str, Any]
    run: str
    attempt: int
    value_state: str
    """pending, known or missing; it is empty for a trial that has not ended, or has failed"""
    values: tuple[float, ...]
    exit_code: int
    message: str
    leased: datetime | None
    ended: datetime | None
    duration_s: float
    cost: float

    @classmethod
    def of(cls, found: Json) -> TrialInfo:
        return cls(
            sweep=found.get("sweep", ""),
            number=int(found["number"]),
            state=enum_name(found.get("state", ""), "TRIAL_STATE_"),
            parameters=json.loads(found.get("parameters_json") or "{}"),
            run=found.get("run", ""),
            attempt=int(found.get("attempt", 0)),
            value_state=enum_name(found.get("value_state", ""), "VALUE_STATE_"),
            values=tuple(float(value) for value in found.get("values", [])),
            exit_code=int(found.get("exit_code", 0)),
            message=found.get("message", ""),
            leased=_time(found.get("leased")),
            ended=_time(found.get("ended")),
            duration_s=float(found.get("duration_s", 0.0)),
            cost=float(found.get("cost", 0.0)),
        )

    @property
    def value(self) -> float | None:
        """The value of the first objective; None where it is not known."""
        return self.values[0] if self.values else None


def flat(parameters: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested parameters with dotted names."""
    found: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def parse_path(path: str, entity: str | None = None, project: str | None = None) -> tuple[str, str, str]:
    """Return (team, project, sweep) of "SWEEP", "project/SWEEP" or "team/project/SWEEP".

    A part that neither the path nor the arguments name is empty. Raises InvalidRequestError.
    """
    parts = path.split("/") if isinstance(path, str) else []
    if not 1 <= len(parts) <= 3 or not parts[-1]:
        raise InvalidRequestError(f"the sweep {path!r} cannot be read: give SWEEP, project/SWEEP or team/project/SWEEP")
    team, named, sweep = ["", "", *parts][-3:]
    return team or entity or "", named or project or "", sweep


def enum_name(name: object, prefix: str) -> str:
    """Return an enum's value without its prefix, in lower case; return an empty text where it is unspecified."""
    text = str(name or "").removeprefix(prefix).lower()
    return "" if text == "unspecified" else text


def _time(text: object) -> datetime | None:
    if not text:
        return None
    head, dot, rest = str(text).rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}{dot}{rest[:6]}+00:00")
