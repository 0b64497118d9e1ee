"""Configuration and limits of the embedded engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runstream_common.config import ConfigError, split_address

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_QUERY_BYTES = 4 << 20
"""Of SQL text. ClickHouse's own max_query_size is 256 KiB; lists of ids in IN (...) are longer."""
MAX_BODY_BYTES = 512 << 20
"""Of one insert, as sent and unpacked: the writer's flushes are about 30 MB."""
MAX_WAITING = 256
"""Queries that wait for a thread; more are told to come back (TOO_MANY_SIMULTANEOUS_QUERIES)."""
KEEP_ALIVE_S = 60
"""Between two requests of a connection."""
BODY_TIMEOUT_S = 60.0
"""Without a byte: a client that sends a letter an hour holds no thread, but a connection."""


SEND_TIMEOUT_S = 60.0
"""In which a client takes nothing of a large answer: it holds a thread of the engine."""


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    data: Path
    address: str = "127.0.0.1:7463"
    user: str = "default"
    password: str = ""
    threads: int = 8
    """Queries that run at once; beside them as many of those that give way to others (people's SQL, exports)."""
    drain_s: float = 10.0

    def check(self) -> None:
        """Raises ConfigError."""
        if not self.password and split_address(self.address)[0] not in _LOOPBACK:
            raise ConfigError(
                f"{self.address} is not loopback: set RUNSTREAM_CLICKHOUSE_PASSWORD (or --password-file), "
                "or bind 127.0.0.1"
            )
