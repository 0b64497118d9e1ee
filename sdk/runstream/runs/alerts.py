"""Alerts: their levels, and the limit on alerts with the same title."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from runstream.base.notices import Notices

_WAIT_S = 60.0


class AlertLevel(StrEnum):
    """The levels that `alert()` takes."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Alerts:
    """Appends alerts to the stream, those with the same title not too often."""

    def __init__(self, append: Callable[[str, dict[str, object]], None], notices: Notices) -> None:
        """Take the function that appends a record of a kind."""
        self._append = append
        self._notices = notices
        self._last: dict[str, float] = {}

    def send(self, title: str, text: str, level: object, wait_duration: Any) -> None:
        """Append an alert; see `Run.alert`."""
        name = str(getattr(level, "value", level)).upper()
        if name not in AlertLevel.__members__:
            self._notices.complain("alert", f"alert: level is {level!r}: INFO, WARN or ERROR; INFO is taken")
            name = "INFO"
        wait_s = _WAIT_S if wait_duration is None else getattr(wait_duration, "total_seconds", lambda: None)()
        wait_s = float(wait_duration) if wait_s is None else wait_s
        now = time.monotonic()
        if now - self._last.get(title, -1e18) >= wait_s:
            self._last[title] = now
            self._append("alert", {"title": str(title)[:1024], "text": str(text)[:65536], "level": f"LEVEL_{name}"})
