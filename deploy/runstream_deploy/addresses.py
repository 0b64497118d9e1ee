"""The addresses on which the services of one `runstream up` listen, and the file that keeps them."""

from __future__ import annotations

import contextlib
import errno
import json
import random
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from runstream_common.service.config import ConfigError

FILE = "up.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the services, each as host:port."""

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
        return cls.on_ports(host, ["7460", "7461", "7462", "7463", "7470", "7471", "7472"])

    @classmethod
    def on_ports(cls, host: str, ports: Sequence[str]) -> Addresses:
        """Return addresses on these ports. Raise ConfigError.

        The three services that clients use listen on `host`, all others on loopback.
        """
        if len(ports) != 7 or not all(port.isdigit() and 0 < int(port) < 65536 for port in ports):
            raise ConfigError("give seven different port numbers, separated by commas")
        names = [f"{host if index < 3 else '127.0.0.1'}:{port}" for index, port in enumerate(ports)]
        return cls(*names[:7])  # type: ignore[arg-type]  # seven addresses, checked by count

    @classmethod
    def any_free(cls, host: str) -> Addresses:
        """Return addresses on ports that were free a moment ago.

        They are below the ports that the kernel gives to outgoing connections: one of those could be taken again before
        its service has bound it.
        """
        ports: list[str] = []
        with contextlib.ExitStack() as held:
            while len(ports) < 7:
                port = random.SystemRandom().randrange(15_000, 32_000)
                sock = held.enter_context(socket.socket())
                try:
                    sock.bind((host if len(ports) < 3 else "127.0.0.1", port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                else:
                    ports.append(str(port))
        return cls.on_ports(host, ports)

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
