"""The levels that `alert()` takes."""

from __future__ import annotations

from enum import StrEnum


class AlertLevel(StrEnum):
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
