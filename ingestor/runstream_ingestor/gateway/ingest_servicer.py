"""The methods of the gRPC service: open streams, uploads of files, and the refusals of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn, TypeVar

import grpc
import structlog

from runstream_common.bus.protocol import Publisher
from runstream_common.limits import MAX_WORLD_SIZE
from runstream_common.objects import MediaError
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.control_store import ControlStore, Resume
from runstream_control.errors import (
    AuthenticationError,
    ControlError,
    PermissionDeniedError,
    RefusedNameError,
    RunDeletedError,
    RunExistsError,
    RunMissingError,
)
from runstream_control.principal import Principal
from runstream_ingestor.gateway.authentication import api_key
from runstream_ingestor.gateway.config import StreamLimits
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_ingestor.gateway.media_uploads import MediaUploads
from runstream_ingestor.gateway.stop_notifier import StopNotifier
from runstream_ingestor.gateway.stream_session import BoundStream, BrokenStreamError, StreamSession
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc

LOG = structlog.get_logger()
_RESUME = {pb.RESUME_MODE_NEVER: Resume.NEVER, pb.RESUME_MODE_MUST: Resume.MUST}
_STATUS: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (MediaError, grpc.StatusCode.INVALID_ARGUMENT),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (AuthenticationError, grpc.StatusCode.UNAUTHENTICATED),
    (PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (RunDeletedError, grpc.StatusCode.FAILED_PRECONDITION),
    (RunExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (RunMissingError, grpc.StatusCode.NOT_FOUND),
    (RefusedNameError, grpc.StatusCode.INVALID_ARGUMENT),
)
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Context = grpc.aio.ServicerContext[pb.IngestRequest, pb.IngestResponse]


class IngestServicer(rpc.IngestServiceServicer):
    def __init__(
        self,
        store: ControlStore,
        authenticator: CachedAuthenticator,
        publisher: Publisher,
        limits: StreamLimits,
        instruments: GatewayInstruments,
        max_streams: int,
        media: MediaUploads,
        stops: StopNotifier,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._publisher = publisher
        self._limits = limits
        self._instruments = instruments
        self._max_streams = max_streams
        self._media = media
        self._stops = stops
        self._open = 0

    async def Stream(
        self, request_iterator: AsyncIterator[pb.IngestRequest], context: _Context
    ) -> AsyncIterator[pb.IngestResponse]:
        """See ingest.proto."""
        if self._open >= self._max_streams:
            await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "this gateway has too many streams open")
        self._open += 1
        self._instruments.stream_opened()
        try:
            async for response in self._serve(request_iterator, context):
                yield response
        finally:
            self._open -= 1
            self._instruments.stream_closed()

    async def PutMedia(
        self,
        request_iterator: AsyncIterator[pb.MediaUpload],
        context: grpc.aio.ServicerContext[AsyncIterator[pb.MediaUpload], pb.MediaStored],
    ) -> pb.MediaStored:
        """See ingest.proto."""
        try:
            principal = await self._authenticator.authenticate(api_key(context.invocation_metadata()))
            async with asyncio.timeout(self._limits.upload_timeout_s):
                return await self._media.put(principal, request_iterator)
        except (ControlError, MediaError, TimeoutError) as error:
            await self._refuse(context, _status(error), str(error) or "the upload took too long")

    async def FindMissingMedia(
        self, request: pb.MediaQuestion, context: grpc.aio.ServicerContext[pb.MediaQuestion, pb.MediaAnswer]
    ) -> pb.MediaAnswer:
        """See ingest.proto."""
        try:
            principal = await self._authenticator.authenticate(api_key(context.invocation_metadata()))
            return await self._media.missing(principal, request)
        except (ControlError, MediaError) as error:
            await self._refuse(context, _status(error), str(error))

    async def _serve(
        self, requests: AsyncIterator[pb.IngestRequest], context: _Context
    ) -> AsyncIterator[pb.IngestResponse]:
        key = api_key(context.invocation_metadata())
        hello = await self._hello(requests, context)
        bound = await self._bind(key, hello, context)
        structlog.contextvars.bind_contextvars(run=hello.run.run, writer=hello.writer_id, rank=hello.rank)
        yield pb.IngestResponse(
            welcome=pb.Welcome(
                epoch=bound.binding.epoch,
                run=pb.RunPath(team=bound.binding.team, project=hello.run.project, run=hello.run.run),
                max_batch_bytes=self._limits.max_batch_bytes,
                max_in_flight=self._limits.max_in_flight,
            )
        )
        session = StreamSession(bound, self._publisher, self._limits, self._instruments)
        path = hello.run
        taking = asyncio.create_task(self._take_all(requests, session, key, bound))
        try:
            with self._stops.subscribed(bound.binding.team, path.project, path.run, session.send_stop):
                async for answer in session.answers():
                    yield answer
            if taking.done():
                taking.result()
        except BrokenStreamError as error:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, f"the batch could not be stored now, send it again: {error}"
            )
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the stream was idle for too long")
        except ControlError as error:
            await self._refuse(context, _status(error), str(error))
        finally:
            taking.cancel()
            session.cancel()

    async def _hello(self, requests: AsyncIterator[pb.IngestRequest], context: _Context) -> pb.Hello:
        try:
            async with asyncio.timeout(self._limits.hello_timeout_s):
                first = await anext(aiter(requests), None)
        except TimeoutError:
            await self._refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "no hello arrived in time")
        if first is None or first.WhichOneof("message") != "hello":
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "a stream begins with a hello")
        hello = first.hello
        if not 0 <= hello.rank < max(hello.world_size, 1) or hello.world_size > MAX_WORLD_SIZE:
            await self._refuse(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"rank {hello.rank} of world size {hello.world_size}: 0 <= rank < world_size <= {MAX_WORLD_SIZE}",
            )
        return hello

    async def _bind(self, key: str, hello: pb.Hello, context: _Context) -> BoundStream:
        try:
            principal: Principal = await self._authenticator.authenticate(key)
            binding = await self._store.bind_stream(
                principal,
                team=hello.run.team,
                project=hello.run.project,
                run=hello.run.run,
                writer_id=hello.writer_id,
                rank=hello.rank,
                resume=_RESUME.get(hello.resume, Resume.ALLOW),
            )
        except ControlError as error:
            await self._refuse(context, _status(error), str(error))
        return BoundStream(hello, binding, principal.user)

    async def _take_all(
        self, requests: AsyncIterator[pb.IngestRequest], session: StreamSession, key: str, bound: BoundStream
    ) -> None:
        """Take the client's messages until it closes or falls silent, its key is revoked, or its run is deleted."""
        try:
            loop = asyncio.get_running_loop()
            recheck_at = loop.time() + self._limits.recheck_key_s
            while True:
                async with asyncio.timeout(self._limits.idle_timeout_s):
                    request = await anext(aiter(requests), None)
                if request is None:
                    break
                if request.WhichOneof("message") == "batch":
                    await session.take(request.batch)
                if loop.time() >= recheck_at:
                    await self._authenticator.authenticate(key)
                    await self._store.check_living(
                        team=bound.binding.team,
                        project=bound.hello.run.project,
                        run=bound.hello.run.run,
                        epoch=bound.binding.epoch,
                    )
                    recheck_at = loop.time() + self._limits.recheck_key_s
        finally:
            await session.finish()

    async def _refuse(
        self, context: grpc.aio.ServicerContext[_Request, _Response], status: grpc.StatusCode, detail: str
    ) -> NoReturn:
        self._instruments.refused(status.name.lower())
        LOG.info("stream refused", status=status.name, detail=detail)
        await context.abort(status, detail)
        raise AssertionError("abort returned")


def _status(error: Exception) -> grpc.StatusCode:
    return next((code for kind, code in _STATUS if isinstance(error, kind)), grpc.StatusCode.UNAVAILABLE)
