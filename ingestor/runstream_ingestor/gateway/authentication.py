"""Refuse callers without a valid key before the server reads a message of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

import grpc

from runstream_control.authenticator import CachedAuthenticator
from runstream_control.errors import AuthenticationError, ControlError
from runstream_ingestor.gateway.instruments import GatewayInstruments

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class AuthenticationInterceptor(grpc.aio.ServerInterceptor):
    """Ask the authenticator for every call. The methods ask it again for their own needs: it has a cache."""

    def __init__(self, authenticator: CachedAuthenticator, instruments: GatewayInstruments) -> None:
        self._authenticator = authenticator
        self._instruments = instruments

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[_Request, _Response] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[_Request, _Response] | None:
        try:
            await self._authenticator.authenticate(api_key(handler_call_details.invocation_metadata))
        except ControlError as error:
            known = isinstance(error, AuthenticationError)
            status = grpc.StatusCode.UNAUTHENTICATED if known else grpc.StatusCode.UNAVAILABLE
            self._instruments.refused(status.name.lower())
            return _refusing(status, str(error))
        return await continuation(handler_call_details)


def api_key(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Return the bearer token, or an empty text where there is none: authentication then refuses it."""
    for name, value in metadata or ():
        if name == "authorization":
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            scheme, _, token = text.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


def _refusing(status: grpc.StatusCode, words: str) -> grpc.RpcMethodHandler[_Request, _Response]:
    """Return a handler that refuses a method of any kind.

    On the wire all methods are streams, and this handler reads nothing.
    """

    async def refuse(
        requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        await context.abort(status, words)
        yield b""

    return grpc.stream_stream_rpc_method_handler(refuse)
