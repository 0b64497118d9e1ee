"""Requests to the server over HTTP and JSON, with the standard library alone.

Agents that call a function live in the training process: gRPC there would bring threads that do not survive a fork, and
data loaders fork. HTTP/1.1 needs no threads, and uses the address that people know.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import urllib.request
import uuid
from typing import Any
from urllib.parse import urlsplit

from runstream.errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from runstream.server.key_file import Credentials
from runstream.settings import Settings

_KINDS: dict[str, type[ApiError]] = {
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "NOT_FOUND": NotFoundError,
    "INVALID_ARGUMENT": InvalidRequestError,
}
"""Codes that no other try changes. All others are worth another try: unavailable, overloaded, an internal error."""
_TIMEOUT_S = 30.0
_MAX_ANSWER_BYTES = 64 << 20


class Client:
    """A client that calls methods of SweepService and QueryService by name.

    Several threads may use it; a forked child opens connections of its own.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Make the client without a request to the server. Raises AuthenticationError when no key is known."""
        self.settings = settings or Settings.from_environment()
        key = self.settings.api_key or Credentials(self.settings.root).find(self.settings.base_url)
        if not key:
            raise AuthenticationError(
                f"no API key for {self.settings.base_url}: run `runstream login`, or set RUNSTREAM_API_KEY"
            )
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._idle: list[http.client.HTTPConnection] = []
        self._pid = os.getpid()

    def call(self, method: str, timeout_s: float = _TIMEOUT_S, **fields: object) -> dict[str, Any]:
        """Call a method, and return its response as JSON: names as in the proto file, 64-bit integers as texts.

        Raises ApiError of the kind that fits; UnavailableError where another try makes sense.
        """
        body = json.dumps(fields, allow_nan=False).encode()
        if self._pid != os.getpid():
            self._idle, self._pid = [], os.getpid()
        while True:
            try:
                connection, used = self._idle.pop(), True
            except IndexError:
                connection, used = self._connect(timeout_s), False
            try:
                return self._ask(connection, method, body, timeout_s)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                connection.close()
                if not used:  # a kept connection may have been closed meanwhile; every call may be repeated
                    raise self._away(error) from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._away(error) from None
            except BaseException:  # a signal broke the call off: the next bytes on the connection belong to it
                connection.close()
                raise

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, body: bytes, timeout_s: float
    ) -> dict[str, Any]:
        base = urlsplit(self.settings.base_url)
        prefix = self.settings.base_url.rstrip("/") if getattr(connection, "absolute", False) else base.path.rstrip("/")
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        connection.request("POST", f"{prefix}/api/v1/{method}", body, self._headers)
        response = connection.getresponse()
        data = response.read(_MAX_ANSWER_BYTES)
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return _answer(response.status, data, self.settings.base_url)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """Return a connection to the server, or to the proxy that the environment names for it."""
        parts = urlsplit(self.settings.base_url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        through = urlsplit(proxy) if proxy and not urllib.request.proxy_bypass(host) else None
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        if through is None or not through.hostname:
            return kind(host, port, timeout=timeout_s)
        connection = kind(through.hostname, through.port or 80, timeout=timeout_s)
        if secure:
            connection.set_tunnel(host, port)
        else:
            connection.absolute = True  # type: ignore[attr-defined]  # a request to a proxy has the whole address
        return connection

    def _away(self, error: Exception) -> UnavailableError:
        why = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            why = error.strerror
        return UnavailableError(f"cannot reach the server at {self.settings.base_url}: {why}")


def _answer(status: int, data: bytes, base_url: str) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        found = None
    if status == 200 and isinstance(found, dict):
        return found
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        if status < 500:
            raise ApiError(f"{base_url} answered {status}, and not as runstream does: check RUNSTREAM_BASE_URL")
        raise UnavailableError(f"{base_url} answered {status}")
    raise _KINDS.get(str(error.get("code")), UnavailableError)(str(error.get("message") or error.get("code")))


def new_request_id() -> str:
    return uuid.uuid4().hex


def host_name() -> str:
    with contextlib.suppress(OSError):
        return socket.gethostname()[:255]
    return ""
