"""Where everything of one `runstream up` listens, and where that is written down."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "up.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """host:port each."""

    gateway: str
    http: str
    grpc: str
    clickhouse: str
    gateway_ops: str
    writer_ops: str
    query_ops: str
    pid: int = 0
    embedded: bool = True

    @classmethod
    def default(cls, host: str) -> Addresses:
        return cls(
            f"{host}:7460",
            f"{host}:7461",
            f"{host}:7462",
            "127.0.0.1:7463",
            "127.0.0.1:7470",
            "127.0.0.1:7471",
            "127.0.0.1:7472",
        )

    @classmethod
    def any_free(cls, host: str) -> Addresses:
        """Ports that were free a moment ago."""
        sockets = [socket.socket() for _ in range(7)]
        try:
            for index, sock in enumerate(sockets):
                sock.bind((host if index < 3 else "127.0.0.1", 0))
            names = [f"{host if i < 3 else '127.0.0.1'}:{s.getsockname()[1]}" for i, s in enumerate(sockets)]
        finally:
            for sock in sockets:
                sock.close()
        return cls(*names[:7])  # type: ignore[arg-type]  # seven addresses, checked by count

    def save(self, data: Path) -> None:
        temporary = data / f".{FILE}"
        temporary.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        temporary.replace(data / FILE)

    @classmethod
    def load(cls, data: Path) -> Addresses | None:
        try:
            return cls(**json.loads((data / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
