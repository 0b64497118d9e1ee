"""The limits at which the writer stores what it has gathered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """The limits at which a flush is full.

    ClickHouse works best with large inserts; the age bounds how stale a chart is.
    """

    max_points: int = 500_000
    max_bytes: int = 32 << 20
    max_age_s: float = 0.15
    parallel_inserts: int = 2
    """One insert keeps about one core of ClickHouse busy."""
    ledger: bool = True
    """Turn the ledger off for measurements only: without it no run can be proved complete."""
