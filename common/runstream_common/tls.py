"""Serving with or without TLS, the same for every port that is not loopback's own business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc


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
