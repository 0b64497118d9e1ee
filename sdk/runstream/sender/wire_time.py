"""Times in the range that the server takes.

A clock that is years off is no reason to lose what was logged: versions and order never come from it.
"""

from __future__ import annotations

MIN_US = 0
MAX_US = 4_102_444_800_000_000
"""The years 1970 and 2100: a time outside comes from a wrong clock, and the server puts its record aside."""


def wire_time(time_us: int) -> int:
    """Return `time_us`, or the nearest time that the server takes, in microseconds since 1970 (UTC)."""
    return MIN_US if time_us < MIN_US else MAX_US if time_us > MAX_US else time_us
