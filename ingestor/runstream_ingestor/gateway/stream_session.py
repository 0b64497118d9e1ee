"""One open stream at the gateway: batches come in, acks go out, and the number in between is bounded."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from runstream_common.bus.protocol import BatchRefusedError, BusError, BusMessage, Origin, Publisher
from runstream_common.times import now_us
from runstream_control.control_store import StreamBinding
from runstream_ingestor import validation
from runstream_ingestor.gateway.config import StreamLimits
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_ingestor.validation import InvalidBatchError
from runstream_proto.v1 import ingest_pb2 as pb

LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BoundStream:
    """The authenticated client of a stream: its Hello, and its epoch."""

    hello: pb.Hello
    binding: StreamBinding
    user: str

    def origin(self, number: int, checksum: int) -> Origin:
        return Origin(
            team=self.binding.team,
            project=self.hello.run.project,
            run=self.hello.run.run,
            writer_id=self.hello.writer_id,
            rank=self.hello.rank,
            epoch=self.binding.epoch,
            run_created_us=self.binding.run_created_us,
            user=self.user,
            batch_number=number,
            checksum=checksum,
            received_us=now_us(),
        )


class BrokenStreamError(Exception):
    """The stream must end with UNAVAILABLE: it is unknown whether a batch is stored, so the client sends it again."""


class StreamSession:
    """Check and publish batches, and answer them in any order.

    A session ends when the client closes, or when a publish fails.
    """

    def __init__(
        self, bound: BoundStream, publisher: Publisher, limits: StreamLimits, instruments: GatewayInstruments
    ) -> None:
        self._bound = bound
        self._publisher = publisher
        self._limits = limits
        self._instruments = instruments
        self._answers: asyncio.Queue[pb.IngestResponse | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._publishing: set[asyncio.Task[None]] = set()
        self._broken: BusError | None = None
        path = bound.hello.run
        self._key = f"{bound.binding.team}/{path.project}/{path.run}/{bound.hello.rank}"

    async def answers(self) -> AsyncIterator[pb.IngestResponse]:
        """Yield the answers. Raise BrokenStreamError when a batch could not be published."""
        while (answer := await self._answers.get()) is not None:
            yield answer
        if self._broken is not None:
            raise BrokenStreamError(str(self._broken)) from self._broken

    async def take(self, sealed: pb.SealedBatch) -> None:
        """Check a batch and hand it to the bus.

        This waits while too many batches are in flight; gRPC then holds the client back.
        """
        try:
            batch = self._checked(sealed)
        except InvalidBatchError as error:
            self._reject(sealed.number, error.reason, error.detail)
            return
        self._instruments.received(len(sealed.batch), batch.points)
        message = BusMessage(self._key, sealed.batch, self._bound.origin(sealed.number, sealed.crc32))
        await self._slots.acquire()
        task = asyncio.create_task(self._publish(message))
        self._publishing.add(task)
        task.add_done_callback(self._published)

    def send_stop(self, order: pb.StopRun) -> None:
        """Send the client the order to stop the run."""
        LOG.info("the client is told to stop its run", cause=order.cause)
        self._answers.put_nowait(pb.IngestResponse(control=pb.Control(stop_run=order)))

    async def finish(self) -> None:
        """Wait for batches in flight, then end the answers. The client sends no more."""
        if self._publishing:
            await asyncio.wait(self._publishing)
        self._answers.put_nowait(None)

    def cancel(self) -> None:
        for task in self._publishing:
            task.cancel()

    def _checked(self, sealed: pb.SealedBatch) -> pb.Batch:
        if len(sealed.batch) > self._limits.max_batch_bytes:
            raise InvalidBatchError(
                pb.REJECT_REASON_TOO_LARGE,
                f"the batch has {len(sealed.batch)} bytes: at most {self._limits.max_batch_bytes} are allowed",
            )
        if zlib.crc32(sealed.batch) != sealed.crc32:
            raise InvalidBatchError(pb.REJECT_REASON_CORRUPT, "the batch does not match its checksum")
        batch = validation.parse(sealed.batch)
        validation.check_origin(batch, self._bound.origin(sealed.number, sealed.crc32))
        validation.check_batch(batch)
        return batch

    async def _publish(self, message: BusMessage) -> None:
        started = time.monotonic()
        number = message.origin.batch_number
        try:
            await self._publisher.publish(message)
        except BatchRefusedError as error:
            self._reject(number, pb.REJECT_REASON_BAD_SHAPE, str(error))
        except BusError as error:
            self._broken = error
            self._answers.put_nowait(None)
        else:
            self._instruments.acked(time.monotonic() - started)
            self._answers.put_nowait(pb.IngestResponse(ack=pb.Ack(number=number)))

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("publishing a batch failed unexpectedly", exc_info=error)
            self._broken = BusError(repr(error))
            self._answers.put_nowait(None)

    def _reject(self, number: int, reason: pb.RejectReason.ValueType, detail: str) -> None:
        name = pb.RejectReason.Name(reason).removeprefix("REJECT_REASON_").lower()
        self._instruments.rejected(name)
        LOG.warning("batch rejected", batch=number, reason=name, detail=detail)
        self._answers.put_nowait(
            pb.IngestResponse(reject=pb.Reject(number=number, reason=reason, detail=detail[:1024]))
        )
