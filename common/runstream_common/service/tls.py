"""Serve with or without TLS, the same on every port that is not only for loopback."""

from __future__ import annotations

from pathlib import Path

import grpc

NEWCOMERS: list[tuple[str, int]] = [
    ("grpc.server_handshake_timeout_ms", 10_000),
    # An idle client need not hold a descriptor; clients connect again by themselves.
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.max_metadata_size", 16 << 10),
]
"""The options of every gRPC server that limit clients which have not authenticated yet."""


def grpc_port(server: grpc.aio.Server, address: str, certificate: Path | None, key: Path | None) -> int:
    """Bind a gRPC server, and return the port. Raise OSError when the address is taken."""
    try:
        if certificate and key:
            credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is the port taken?") from error


def http_options(certificate: Path | None, key: Path | None) -> dict[str, str]:
    """Return uvicorn's options for TLS; empty without a certificate."""
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)} if certificate and key else {}
