"""Conversions between datetimes and microseconds since 1970 (UTC), the form in which all times travel."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Return the time of this machine's wall clock."""
    return time.time_ns() // 1000


def from_us(microseconds: int) -> datetime:
    """Return the exact datetime, unlike `fromtimestamp`, which goes through a double.

    Raise OverflowError past the year 9999.
    """
    return _EPOCH + timedelta(microseconds=microseconds)
