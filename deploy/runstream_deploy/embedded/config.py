"""Configuration and limits of the embedded engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runstream_common.service.config import ConfigError, split_address

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_QUERY_BYTES = 4 << 20
"""The longest SQL text. ClickHouse's own max_query_size is 256 KiB, but lists of ids in IN (...) are longer."""
MAX_BODY_BYTES = 512 << 20
"""The largest insert, both as sent and unpacked. The writer's flushes are about 30 MB."""
MAX_WAITING = 256
"""The most queries that wait for a thread. Any more are told to come back (TOO_MANY_SIMULTANEOUS_QUERIES)."""
KEEP_ALIVE_S = 60
"""The longest time between two requests of a connection."""
BODY_TIMEOUT_S = 60.0
"""The longest time without a byte of the body. A slow client holds a connection, but no thread."""


SEND_TIMEOUT_S = 60.0
"""The longest time for which a client takes nothing of a large answer: it holds a thread of the engine."""


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    data: Path
    address: str = "127.0.0.1:7463"
    user: str = "default"
    password: str = ""
    threads: int = 8
    """The queries that run at once. As many queries of low priority (people's SQL, exports) run beside them."""
    drain_s: float = 10.0

    def check(self) -> None:
        """Raise ConfigError when the engine would be open to others without a password."""
        if not self.password and split_address(self.address)[0] not in _LOOPBACK:
            raise ConfigError(
                f"{self.address} is not loopback: set RUNSTREAM_CLICKHOUSE_PASSWORD (or --password-file), "
                "or listen on 127.0.0.1"
            )
