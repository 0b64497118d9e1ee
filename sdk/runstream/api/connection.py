"""Requests to the query service over gRPC, which is imported with the first request, not before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runstream.errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    TooExpensiveError,
    UnavailableError,
)
from runstream.server.key_file import Credentials
from runstream.settings import Settings

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from runstream_proto.v1 import query_pb2_grpc as rpc

_MAX_MESSAGE_BYTES = 256 << 20


class Connection:
    """A connection to one server with one API key. Several threads may use it."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None, timeout_s: float = 60.0) -> None:
        """Make the client without a request to the server. Raises AuthenticationError when no key is known."""
        self._settings = Settings.from_environment(None, base_url=base_url, api_key=api_key)
        key = self._settings.api_key or Credentials(self._settings.root).find(self._settings.base_url)
        if not key:
            raise AuthenticationError(
                f"no API key for {self._settings.base_url}: run `runstream login`, or set RUNSTREAM_API_KEY"
            )
        self.metadata = (("authorization", f"Bearer {key}"),)
        self.base_url = self._settings.base_url.rstrip("/")
        self._timeout_s = timeout_s

    def call(self, method: str, request: Message, timeout_s: float | None = None) -> Any:
        """Start a gRPC call, and return it: iterate over it to get the responses; its `cancel()` ends it."""
        return getattr(self._stub, method)(request, metadata=self.metadata, timeout=timeout_s)

    def ask(self, method: str, request: Message) -> Any:
        """Call a method that has one response, and return the response. Raises ApiError of the kind that fits."""
        import grpc

        try:
            return getattr(self._stub, method)(request, metadata=self.metadata, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from None

    def stream(self, method: str, request: Message, timeout_s: float | None = None) -> Iterator[Any]:
        """Yield the responses of a method that streams; ending the iteration cancels it.

        Raises ApiError as `ask` does.
        """
        import grpc

        call = getattr(self._stub, method)(request, metadata=self.metadata, timeout=timeout_s or self._timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise translated(error) from None
        finally:
            call.cancel()

    def content(self, entity: str, project: str, sha256: str) -> Iterator[bytes]:
        """Yield the bytes of a file, image or table in object storage, by its SHA-256.

        Raises NotFoundError, ApiError.
        """
        import urllib.error
        import urllib.request

        address = f"{self._settings.base_url.rstrip('/')}/api/v1/media/{entity}/{project}/{sha256}"
        request = urllib.request.Request(address, headers=dict(self.metadata))  # noqa: S310  # the server's own
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310
                while data := response.read(1 << 20):
                    yield data
        except urllib.error.HTTPError as error:
            kind = NotFoundError if error.code == 404 else ApiError
            raise kind(f"the content {sha256[:12]}... of {entity}/{project}: HTTP {error.code}") from None
        except OSError as error:
            raise UnavailableError(f"{self._settings.base_url} cannot be reached: {error}") from None

    @property
    def api_key(self) -> str:
        return self.metadata[0][1].removeprefix("Bearer ")

    @property
    def settings(self) -> Settings:
        """The settings of the client, with the server's addresses."""
        return self._settings

    @cached_property
    def _stub(self) -> rpc.QueryServiceStub:
        import grpc

        from runstream_proto.v1 import query_pb2_grpc as rpc

        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            # These pings, sent while a call is open, notice a server that disappeared without closing the connection.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ]
        address = self._settings.query_address
        if self._settings.tls:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=options)
        else:
            channel = grpc.insecure_channel(address, options=options)
        return rpc.QueryServiceStub(channel)


def translated(error: Any) -> ApiError:
    """Return the ApiError that fits a gRPC error."""
    import grpc

    kinds = {
        grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
        grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
        grpc.StatusCode.NOT_FOUND: NotFoundError,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: TooExpensiveError,
        grpc.StatusCode.UNAVAILABLE: UnavailableError,
        grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    }
    return kinds.get(error.code(), ApiError)(error.details() or error.code().name.lower())
