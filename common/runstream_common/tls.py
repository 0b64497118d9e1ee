"""Serving with or without TLS, the same for every port that is not loopback's own business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

NEWCOMERS: list[tuple[str, int]] = [
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Whoever asks nothing need not hold a descriptor; clients connect again by themselves.
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.max_metadata_size", 16 << 10),
]
"""Options of every gRPC server: what is granted to somebody who has not said yet who he is."""


def grpc_port(server: grpc.aio.Server, address: str, certificate: Path | None, key: Path | None) -> int:
    """Bind a gRPC server; returns the port. Raises OSError when the address is taken."""
    try:
        if certificate and key:
            credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is the port taken?") from error


def http_options(certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """uvicorn's options."""
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)} if certificate and key else {}
