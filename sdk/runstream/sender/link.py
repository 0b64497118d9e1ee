"""The gRPC connections of the sender: channels are shared by address, and each stream is one bidirectional call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from runstream.errors import RunstreamError
from runstream.spool.folder import StreamMeta
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc

CONNECT_TIMEOUT_S = 20.0
_GREETINGS = 16
"""The most streams that wait for their welcome at the same time: more would time out together on a busy gateway."""
_PART_BYTES = 512 << 10
_OPTIONS = [
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
_PERMANENT = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}
_PROXIES, _NO_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy"), ("no_grpc_proxy", "no_proxy")
"""Variables that gRPC reads; it takes the first that is set."""
_RESUME = {"allow": pb.RESUME_MODE_ALLOW, "never": pb.RESUME_MODE_NEVER, "must": pb.RESUME_MODE_MUST}


class PermanentError(RunstreamError):
    """The server refused the stream in a way that another try at once does not change."""


class KeyRefusedError(PermanentError):
    """The server does not know the API key: it was revoked, or has expired."""


class DeletedRunError(PermanentError):
    """The run was deleted on the server: the rest of this stream is not wanted any more."""


class MediaRefusedError(RunstreamError):
    """The server will never take this file."""


class Link:
    """An open stream that the gateway has welcomed."""

    def __init__(self, call: Any, welcome: pb.Welcome) -> None:
        self._call = call
        self.welcome = welcome

    async def send(self, number: int, batch: bytes) -> None:
        """Send one batch. Raises grpc.RpcError or PermanentError when the stream is broken."""
        sealed = pb.SealedBatch(number=number, batch=batch, crc32=zlib.crc32(batch))
        try:
            await self._call.write(pb.IngestRequest(batch=sealed))
        except asyncio.InvalidStateError as error:
            raise ConnectionResetError("the gateway ended the stream") from error
        except grpc.aio.AioRpcError as error:
            raise _classified(error) from error

    async def ping(self) -> None:
        """Keep the stream from becoming idle. Never raises: other calls report what is wrong with the stream."""
        with contextlib.suppress(Exception):
            await self._call.write(pb.IngestRequest(ping=pb.Ping()))

    async def responses(self) -> AsyncIterator[pb.IngestResponse]:
        """Yield the gateway's responses. Raises PermanentError, or grpc.RpcError when the connection broke."""
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                yield response
        except grpc.aio.AioRpcError as error:
            raise _classified(error) from error

    async def close(self) -> None:
        self._call.cancel()


class Links:
    """Opens streams, over one channel for each gateway."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, bool], grpc.aio.Channel] = {}
        self._greetings = asyncio.Semaphore(_GREETINGS)
        self.settled = 0
        """The number of batches of all streams that were acked or refused for good."""
        self.living = 0
        """The number of streams of living processes among those that are sent; the sender's loop sets it."""

    async def open(self, meta: StreamMeta, api_key: str) -> Link:
        """Say hello and wait for the welcome. Raises PermanentError, grpc.RpcError, TimeoutError."""
        async with self._greetings:
            return await self._greet(meta, api_key)

    async def _greet(self, meta: StreamMeta, api_key: str) -> Link:
        stub = rpc.IngestServiceStub(self._channel(meta.gateway, meta.gateway_tls))
        call = stub.Stream(metadata=(("authorization", f"Bearer {api_key}"),))
        response: object = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await call.write(pb.IngestRequest(hello=_hello(meta)))
                response = await call.read()
        except grpc.aio.AioRpcError as error:
            raise _classified(error) from error
        except asyncio.InvalidStateError:
            pass  # the stream was refused before the hello was written, and the call has the reason
        except TimeoutError:
            call.cancel()
            raise TimeoutError(f"the gateway {meta.gateway} did not answer within {CONNECT_TIMEOUT_S:g} s") from None
        if not isinstance(response, pb.IngestResponse) or response.WhichOneof("message") != "welcome":
            code, details = await call.code(), await call.details()
            raise _classified(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details))
        return Link(call, response.welcome)

    async def upload(self, meta: StreamMeta, api_key: str, path: Path, sha256: str, size: int) -> None:
        """Put a file into the project's object storage.

        Raises MediaRefusedError (the server never takes this file), PermanentError, grpc.RpcError, OSError.
        """
        stub = rpc.IngestServiceStub(self._channel(meta.gateway, meta.gateway_tls))
        run = pb.RunPath(team=meta.team, project=meta.project, run=meta.run)
        metadata = (("authorization", f"Bearer {api_key}"),)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):  # gRPC's own deadline uses a clock that may be set back
                answer = await stub.FindMissingMedia(pb.MediaQuestion(run=run, sha256=[sha256]), metadata=metadata)
            if not answer.missing:
                return

            async def parts() -> AsyncIterator[pb.MediaUpload]:
                yield pb.MediaUpload(header=pb.MediaHeader(run=run, sha256=sha256, size_bytes=size))
                with path.open("rb") as file:
                    while data := file.read(_PART_BYTES):
                        yield pb.MediaUpload(data=data)

            await stub.PutMedia(parts(), metadata=metadata)
        except TimeoutError:
            raise TimeoutError(f"the gateway {meta.gateway} did not answer within {CONNECT_TIMEOUT_S:g} s") from None
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise MediaRefusedError(str(error.details())) from error
            raise _classified(error) from error

    async def send_once(self, meta: StreamMeta, api_key: str, number: int, batch: bytes, patience_s: float) -> str:
        """Send one batch and wait for its answer. Return why it was refused; return an empty text when it is stored.

        Raises RunstreamError when the server cannot be reached, or does not accept the stream.
        """
        try:
            async with asyncio.timeout(patience_s):
                link = await self.open(meta, api_key)
                try:
                    await link.send(number, batch)
                    async for response in link.responses():
                        if response.WhichOneof("message") == "ack" and response.ack.number == number:
                            return ""
                        if response.WhichOneof("message") == "reject" and response.reject.number == number:
                            return f"{pb.RejectReason.Name(response.reject.reason)}: {response.reject.detail}"
                finally:
                    await link.close()
        except (grpc.RpcError, OSError, TimeoutError) as error:
            raise RunstreamError(f"the server did not take it: {error or 'no answer'}") from error
        raise RunstreamError("the gateway ended the stream without an answer")

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    def _channel(self, address: str, tls: bool) -> grpc.aio.Channel:
        channel = self._channels.get((address, tls))
        if channel is None:
            if tls:
                channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(), options=_OPTIONS)
            else:
                channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
            self._channels[(address, tls)] = channel
        return channel


def gateway_in_words(address: str) -> str:
    """Return the gateway's address for a message.

    An error of gRPC names only the proxy where there is one, or an IP address.
    """
    host = address.rpartition(":")[0].strip("[]")
    proxy = next(filter(None, (os.environ.get(name) for name in _PROXIES)), "")
    spared = next(filter(None, (os.environ.get(name) for name in _NO_PROXIES)), "")
    if not proxy or any(host.endswith(part.strip()) for part in spared.split(",") if part.strip()):
        return f"gateway {address}"
    name = urlsplit(proxy).netloc.rpartition("@")[2]
    return f"gateway {address} through the proxy {name} (no_proxy={host} goes past it)"


def _hello(meta: StreamMeta) -> pb.Hello:
    return pb.Hello(
        run=pb.RunPath(team=meta.team, project=meta.project, run=meta.run),
        writer_id=meta.writer_id,
        rank=meta.rank,
        world_size=meta.world_size,
        sdk_version=meta.sdk_version,
        resume=_RESUME.get(meta.resume, pb.RESUME_MODE_ALLOW),
        created_us=meta.created_us,
    )


def _classified(error: grpc.aio.AioRpcError) -> Exception:
    if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
        return DeletedRunError(str(error.details()))
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return KeyRefusedError(f"unauthenticated: {error.details()}")
    if error.code() in _PERMANENT:
        return PermanentError(f"{error.code().name.lower().replace('_', ' ')}: {error.details()}")
    return error
