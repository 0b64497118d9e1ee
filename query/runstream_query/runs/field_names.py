"""Name the fields of runs for filters, orders and groups: `state`, `created_at`, `config.lr`, `summary.acc`, ..."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.names import nearest

MAX_FIELDS = 64
"""Different fields in one request: each needs a column of a value for every run."""


class Kind(Enum):
    ID = "id"
    NAME = "name"
    """The display name; the id if there is none."""
    OWN = "own"
    """A key of the run's own document. An empty value counts as missing."""
    STREAM = "stream"
    """A fact that the run's processes report: state, user, host."""
    TIME = "time"
    """Seconds since 1970; operands may also be ISO 8601."""
    NUMBER = "number"
    CONFIG = "config"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Field:
    kind: Kind
    key: str
    """The config or summary key, or the name of the column or document key behind it."""

    def __str__(self) -> str:
        """Return the name by which filters refer to the field."""
        return f"{self.kind.value}.{self.key}" if self.kind in (Kind.CONFIG, Kind.SUMMARY) else self.key


CREATED = Field(Kind.TIME, "created_at")
_STATE = Field(Kind.STREAM, "state")
_NAME = Field(Kind.NAME, "name")
_GROUP, _JOB_TYPE, _SWEEP = Field(Kind.OWN, "group"), Field(Kind.OWN, "job_type"), Field(Kind.OWN, "sweep_id")
_HEARTBEAT, _DURATION = Field(Kind.TIME, "heartbeat_at"), Field(Kind.NUMBER, "duration")
_USER = Field(Kind.STREAM, "user")
_KNOWN = {
    "id": Field(Kind.ID, "id"),
    "run": Field(Kind.ID, "id"),
    "name": _NAME,
    "displayName": _NAME,
    "display_name": _NAME,
    "state": _STATE,
    "tags": Field(Kind.OWN, "tags"),
    "group": _GROUP,
    "jobType": _JOB_TYPE,
    "job_type": _JOB_TYPE,
    "notes": Field(Kind.OWN, "notes"),
    "sweep": _SWEEP,
    "sweep_id": _SWEEP,
    "user": _USER,
    "username": _USER,
    "host": Field(Kind.STREAM, "host"),
    "created": CREATED,
    "createdAt": CREATED,
    "created_at": CREATED,
    "heartbeat": _HEARTBEAT,
    "heartbeatAt": _HEARTBEAT,
    "heartbeat_at": _HEARTBEAT,
    "duration": _DURATION,
    "duration_s": _DURATION,
}
_PREFIXES = {"config.": Kind.CONFIG, "summary.": Kind.SUMMARY, "summary_metrics.": Kind.SUMMARY}


def parse_field(name: str) -> Field:
    """Return the field of this name. Raise InvalidRequestError that suggests a similar name."""
    if name in _KNOWN:
        return _KNOWN[name]
    for prefix, kind in _PREFIXES.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            return Field(kind, name[len(prefix) :])
    raise InvalidRequestError(
        f"there is no field {name[:100]!r} of runs{nearest(name, _KNOWN)}: use one of {', '.join(_KNOWN)}, config.KEY "
        "or summary.KEY"
    )
