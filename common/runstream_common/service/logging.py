"""Structured logs: JSON lines, or colours on a terminal. API keys are masked wherever they occur."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Protocol

import structlog
from structlog.typing import EventDict, Processor

_KEY = re.compile(r"(rs_[0-9a-f]{6,16})_[\w-]{8,}")
_last_warned: dict[str, tuple[float, int]] = {}


class WarningLogger(Protocol):
    """A structured logger, as far as it warns."""

    def warning(self, event: str, **fields: object) -> object: ...


def configure_logging(service: str, level: str = "INFO") -> None:
    """Configure structlog and the standard library's loggers. Call it once in a process, in its `__main__`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask,
    ]
    terminal = sys.stderr.isatty()
    renderer: Processor = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info if not terminal else _keep,
            _mask,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aiokafka", "clickhouse_connect", "asyncio", "uvicorn.access"):
        logging.getLogger(noisy).setLevel("WARNING")
    structlog.contextvars.bind_contextvars(service=service)


def limited_warning(log: WarningLogger, event: str, every_s: float, **fields: object) -> None:
    """Warn at most once in `every_s` seconds for each event, and say how many warnings were kept back."""
    now = time.monotonic()
    warned_at, kept_back = _last_warned.get(event, (float("-inf"), 0))
    if now - warned_at < every_s:
        _last_warned[event] = (warned_at, kept_back + 1)
        return
    _last_warned[event] = (now, 0)
    log.warning(event, kept_back=kept_back, **fields)


def mask(text: str) -> str:
    """Return the text with API keys cut to their public prefix."""
    return _KEY.sub(r"\1_***", text)


def _mask(_logger: object, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = mask(value)
    return event


def _keep(_logger: object, _method: str, event: EventDict) -> EventDict:
    return event
