"""Names and versions: what makes two rows the same, and which of them survives."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from runstream_common.limits import MAX_EPOCH, MAX_RECORD_NUMBER

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_WRITER = re.compile(r"[A-Za-z0-9_-]{8,64}")
_LONGEST = {"team": 64, "project": 128, "run": 128}

PIECE = "piece"
"""The section of `run_fields` in which parts of large values lie: see `SECTION_PIECE` in ingest.proto."""
LOST = "lost: "
"""How the reason of a reject begins that the SDK's sender reported: points that never came."""

SYSTEM_STREAM = 2
"""`helper` of a stream in which a sender writes what it samples; 1: a forked child of a rank; 0: a rank itself."""


class InvalidNameError(ValueError):
    """A name that cannot be used; the message says what can."""


def check_name(what: str, value: str) -> str:
    """`value`, if it can name a team, project or run. Raises InvalidNameError."""
    if not _NAME.fullmatch(value) or len(value) > _LONGEST[what] or value in (".", ".."):
        shown = value if len(value) <= 80 else value[:80] + "..."
        raise InvalidNameError(
            f"the {what} {shown!r} cannot be used: 1 to {_LONGEST[what]} letters, digits, '.', '_' and '-'"
        )
    return value


def check_writer_id(value: str) -> str:
    """Raises InvalidNameError."""
    if not _WRITER.fullmatch(value):
        raise InvalidNameError("the writer id cannot be used: 8 to 64 letters, digits, '_' and '-'")
    return value


def full_project(team: str, project: str) -> str:
    """How ClickHouse names a project: `team/project`. Neither part holds a slash."""
    return f"{team}/{project}"


def version(epoch: int, number: int) -> int:
    """What decides between rows of one key: the epoch in the high 24 bits, the record number in the low 40.

    Never a wall clock: clocks skew. Raises ValueError out of range.
    """
    if not (0 <= epoch <= MAX_EPOCH and 0 <= number <= MAX_RECORD_NUMBER):
        raise ValueError(f"epoch {epoch}, record {number}: out of range")
    return epoch << 40 | number


def run_month(created_us: int) -> date:
    """The partition of all rows of a run: the first day of the month (UTC) in which it was first seen."""
    return datetime.fromtimestamp(created_us // 1_000_000, tz=UTC).date().replace(day=1)
