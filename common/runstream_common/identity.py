"""Names and versions decide whether two rows are the same, and which of them survives."""

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
"""The beginning of the reason of a reject that the SDK's sender reported: these points never came."""

SYSTEM_STREAM = 2
"""The `helper` of a stream in which a sender writes its own samples; 1 is a forked child of a rank, 0 a rank itself."""


class InvalidNameError(ValueError):
    """The name cannot be used; the message says which names can."""


def check_name(what: str, value: str) -> str:
    """Return `value` when it can name a team, project or run. Raise InvalidNameError."""
    if not _NAME.fullmatch(value) or len(value) > _LONGEST[what] or value in (".", ".."):
        shown = value if len(value) <= 80 else value[:80] + "..."
        raise InvalidNameError(
            f"the {what} {shown!r} cannot be used: 1 to {_LONGEST[what]} letters, digits, '.', '_' and '-'"
        )
    return value


def check_writer_id(value: str) -> str:
    """Return `value` when it can be a writer id. Raise InvalidNameError."""
    if not _WRITER.fullmatch(value):
        raise InvalidNameError("the writer id cannot be used: 8 to 64 letters, digits, '_' and '-'")
    return value


def full_project(team: str, project: str) -> str:
    """Return ClickHouse's name of a project: `team/project`. Neither part holds a slash."""
    return f"{team}/{project}"


def version(epoch: int, number: int) -> int:
    """Return a row's version: the epoch in the high 24 bits, the record number in the low 40.

    Of rows with one key the highest version survives. A version never holds a wall clock, because clocks skew. Raise
    ValueError when a part is out of range.
    """
    if not (0 <= epoch <= MAX_EPOCH and 0 <= number <= MAX_RECORD_NUMBER):
        raise ValueError(f"epoch {epoch}, record {number}: out of range")
    return epoch << 40 | number


def run_month(created_us: int) -> date:
    """Return the partition of all rows of a run: the first day of the month (UTC) in which it was first seen."""
    return datetime.fromtimestamp(created_us // 1_000_000, tz=UTC).date().replace(day=1)
