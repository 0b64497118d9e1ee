"""Microseconds since 1970 (UTC), the one way that times travel, and datetimes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """This machine's wall clock."""
    return time.time_ns() // 1000


def from_us(microseconds: int) -> datetime:
    """Exact, unlike `fromtimestamp`, which goes through a double. Raises OverflowError past the year 9999."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_us(moment: datetime) -> int:
    """Exact. `moment` must know its time zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
