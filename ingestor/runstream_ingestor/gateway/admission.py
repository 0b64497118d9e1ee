"""Who is not known is sent away before anything is read of what he sends: a hello, an upload, a question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from runstream_common.control.auth import CachedAuthenticator
from runstream_common.control.errors import AuthenticationError, ControlError
from runstream_ingestor.gateway.instruments import GatewayInstruments


class Admission(grpc.aio.ServerInterceptor):
    """Asks the authenticator that the methods ask again, each for its own need: it remembers."""

    def __init__(self, authenticator: CachedAuthenticator, instruments: GatewayInstruments) -> None:
        self._authenticator = authenticator
        self._instruments = instruments

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        try:
            await self._authenticator.authenticate(api_key(details.invocation_metadata))
        except ControlError as error:
            known = isinstance(error, AuthenticationError)
            status = grpc.StatusCode.UNAUTHENTICATED if known else grpc.StatusCode.UNAVAILABLE
            self._instruments.refused(status.name.lower())
            return _refusing(status, str(error))
        return await continuation(details)


def api_key(metadata: Any) -> str:
    """The bearer token, empty where there is none: authentication then says so."""
    for name, value in metadata or ():
        if name == "authorization":
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            scheme, _, token = text.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


def _refusing(status: grpc.StatusCode, words: str) -> Any:
    """For a method of any kind: on the wire they are all streams, and this one reads nothing."""

    async def refuse(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(status, words)
        yield b""

    return grpc.stream_stream_rpc_method_handler(refuse)
