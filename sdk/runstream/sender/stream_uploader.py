"""One spool stream on its way to the gateway: send its batches, and move the acked position."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Sequence
from pathlib import Path

import grpc

from runstream.errors import RunstreamError
from runstream.sender import rejected_batches
from runstream.sender.batch import SpooledContent
from runstream.sender.batch_cutter import HEARTBEAT_S, BatchCutter, CutBatch
from runstream.sender.link import (
    DeletedRunError,
    KeyRefusedError,
    Link,
    Links,
    MediaRefusedError,
    PermanentError,
    gateway_in_words,
)
from runstream.sender.wire_records import Unreadable
from runstream.server.key_file import Credentials
from runstream.spool import files, format
from runstream.spool.folder import SpoolFolder, is_alive, read_meta, remove_stream
from runstream.spool.journal import JournalEntry
from runstream.spool.state import StateFile
from runstream_proto.v1 import ingest_pb2 as pb

LOG = logging.getLogger("runstream.sender")
POLL_S = 0.02
IDLE_POLL_S = 0.1
MAX_IN_FLIGHT = 8
"""The most batches (of at most ~0.6 MB) that wait for their ack; it bounds the sender's memory."""
RETRY_MIN_S, RETRY_MAX_S = 0.2, 10.0
PERMANENT_RETRY_S = 15.0
"""The pause after a refusal that waiting alone does not repair (wrong key, no right), while people may repair it."""


class GivesWayError(RunstreamError):
    """The process is dead and its stream cannot be sent now: another stream may have its place."""

    def __init__(self, text: str, least_s: float) -> None:
        super().__init__(text)
        self.least_s = least_s
        """How long to wait before the next try."""


class StreamUploader:
    """Sends one stream. `upload()` returns when all of it is stored and its folder is deleted."""

    def __init__(self, spool: SpoolFolder, folder: Path, links: Links) -> None:
        """Take the stream.

        Raises SpoolError when the stream's files cannot be read, BlockingIOError when another sender has the stream.
        """
        self._spool = spool
        self._folder = folder
        self._links = links
        self._closed = False
        self._lock = files.FileLock(folder / "sending")
        if not self._lock.acquire():
            raise BlockingIOError
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        """Read how far an earlier sender came, and build the batches again that it had cut but not seen acked."""
        folder = self._folder
        self.meta = read_meta(folder)
        self._state = StateFile(folder / "state")
        self._acked = self._acked_at_start = self._state.read().acked_batch
        self._acked_ahead: set[int] = set()
        self._cutter = BatchCutter(folder, self.meta, self._acked, self._keep_unreadable)
        self._in_flight: dict[int, bytes] = {}
        self._contents: dict[int, Sequence[SpooledContent]] = {}
        self._refused_key = ""
        self._room = asyncio.Event()
        self._pause_until = 0.0
        for cut in self._cutter.rebuild_unacked():
            self._register(cut)

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def acked(self) -> int:
        """The number of the last batch up to which all batches are stored."""
        return self._acked

    @property
    def moved(self) -> bool:
        """Whether any batch was stored since this stream was opened."""
        return self._acked > self._acked_at_start

    @property
    def idle_since_death(self) -> bool:
        """True when the process that writes the stream no longer lives."""
        return not is_alive(self._folder)

    @property
    def waiting_records(self) -> int:
        """The number of records that were read from the spool and are not acked yet."""
        if self._closed:
            return 0
        return self._cutter.last_record - self._state.acked_record() + int(self._cutter.pending)

    @property
    def behind(self) -> bool:
        """True when a record that was logged is not stored yet, as far as this object knows."""
        return not self._closed and self._unsettled()

    def _unsettled(self) -> bool:
        return not self._cutter.caught_up or self._cutter.pending or bool(self._in_flight)

    def last_error(self) -> str:
        return "" if self._closed else self._state.read().error

    async def upload(self) -> None:
        """Connect, send and reconnect until everything is acked.

        Raises GivesWayError when sending must wait and the process is dead; the stream of a living process is tried on
        and on.
        """
        delay = RETRY_MIN_S
        while not self._done():
            try:
                acked = self._acked
                try:
                    await self._session()
                finally:
                    if self._acked > acked:
                        delay = RETRY_MIN_S
            except DeletedRunError as error:
                self._trouble(str(error))
                await self._discard()
            except PermanentError as error:
                self._trouble(str(error))
                self._give_way(str(error), PERMANENT_RETRY_S)
                await asyncio.sleep(PERMANENT_RETRY_S)
            except (grpc.RpcError, OSError, TimeoutError) as error:
                text = f"{gateway_in_words(self.meta.gateway)}: {_reason(error)}"
                self._trouble(text)
                self._give_way(text, RETRY_MIN_S)
                await asyncio.sleep(delay * random.uniform(0.75, 1.25))  # noqa: S311  not all at once
                delay = min(delay * 2, RETRY_MAX_S)
            except GivesWayError:
                raise
            except Exception as error:
                advice = f"see {self._spool.sender_log}, and `runstream spool set-aside {self.meta.writer_id}`"
                self._trouble(f"this stream cannot be sent ({type(error).__name__}: {error}); {advice}")
                raise
        self.close()
        remove_stream(self._folder)

    def _give_way(self, text: str, least_s: float) -> None:
        if self.idle_since_death:
            raise GivesWayError(text, least_s) from None

    async def _discard(self) -> None:
        """Read the records that the process still logs, and drop them.

        The run was deleted, so nobody wants them, and the spool must not fill.
        """
        while not self._done():
            for number in sorted(self._in_flight):
                self._settle(number)
            self._state.beat(time.time_ns() // 1000)
            if self._next_batch() is None:
                await asyncio.sleep(IDLE_POLL_S)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._cutter.close()
        self._state.close()
        self._lock.release()

    def _done(self) -> bool:
        return self._cutter.ended and not self._in_flight

    def _trouble(self, text: str) -> None:
        if self._state.read().error != text:
            LOG.warning("run %s rank %s: %s", self.meta.run, self.meta.rank, text)
            self._state.set_error(text)

    async def _session(self) -> None:
        """Run one gRPC stream, from hello until it ends or all is sent."""
        key = self._key()
        if key is None:
            raise PermanentError(f"no API key for {self.meta.base_url}: run `runstream login`")
        try:
            link = await self._links.open(self.meta, key)
        except KeyRefusedError:
            self._refused_key = key
            raise
        try:
            self._state.set_error("")
            limit = min(MAX_IN_FLIGHT, max(link.welcome.max_in_flight, 1))
            receiver = asyncio.create_task(self._receive(link))
            try:
                for number in sorted(self._in_flight):
                    await self._send(link, key, number, self._in_flight[number])
                await self._send_new(link, key, receiver, limit)
            finally:
                receiver.cancel()
                with contextlib.suppress(asyncio.CancelledError, grpc.RpcError, PermanentError):
                    await receiver
        finally:
            await link.close()

    def _key(self) -> str | None:
        """Return the key that the stream was begun with, or the last key given for this server.

        The last key is used where the server refuses the first one (it was revoked, or has expired).
        """
        credentials = Credentials(self._spool.root)
        key = credentials.find(self.meta.base_url, self.meta.key_prefix)
        if key is None or key == self._refused_key:
            return credentials.find(self.meta.base_url) or key
        return key

    async def _send(self, link: Link, key: str, number: int, batch: bytes) -> None:
        """Send the contents that the batch refers to, then the batch."""
        contents = self._contents.get(number, ())
        if contents:
            pings = asyncio.create_task(self._keep_busy(link))
            try:
                for content in contents:
                    await self._upload(key, content)
            finally:
                pings.cancel()
        await link.send(number, batch)

    async def _upload(self, key: str, content: SpooledContent) -> None:
        path = self._folder / "media" / content.name
        try:
            await self._links.upload(self.meta, key, path, content.sha256, content.size_bytes)
        except FileNotFoundError:
            LOG.error("run %s: the file %s is gone: its record is sent without it", self.meta.run, path)
        except MediaRefusedError as error:
            LOG.error("run %s: a file of %s bytes was refused: %s", self.meta.run, content.size_bytes, error)
            self._state.set_error(f"a file was refused: {error}")
            with contextlib.suppress(OSError):
                path.rename(self._spool.rejected / f"{self.meta.writer_id}-{content.name}")

    async def _keep_busy(self, link: Link) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._state.beat(time.time_ns() // 1000)
            await link.ping()

    async def _send_new(self, link: Link, key: str, receiver: asyncio.Task[None], limit: int) -> None:
        idle = POLL_S
        while not self._done():
            if receiver.done():
                receiver.result()  # raises the error that ended the stream
                raise ConnectionResetError("the gateway ended the stream")
            self._state.beat(time.time_ns() // 1000)
            pause = self._pause_until - time.monotonic()
            if pause > 0 or len(self._in_flight) >= limit:
                await self._wait_for_room(max(pause, POLL_S))
                continue
            began = time.monotonic()
            batch = self._next_batch()
            took = time.monotonic() - began
            if batch is not None:
                await self._send(link, key, *batch)
                if self._links.living and self.idle_since_death:
                    await asyncio.sleep(took)  # streams of living processes get at least half of the loop's time
                idle = POLL_S
            else:
                await self._wait_for_room(idle)
                idle = min(idle * 1.2, IDLE_POLL_S) if not self._cutter.pending else POLL_S

    async def _wait_for_room(self, timeout_s: float) -> None:
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), timeout_s)

    async def _receive(self, link: Link) -> None:
        async for response in link.responses():
            match response.WhichOneof("message"):
                case "ack":
                    self._settle(response.ack.number)
                case "reject":
                    self._keep_rejected(response.reject)
                    self._settle(response.reject.number)
                case "control":
                    self._obey(response.control)
                case _:
                    pass  # a newer server sent a message that this sender does not know

    def _settle(self, number: int) -> None:
        """Mark batch `number` as done, and move the acked position over all batches that are done in a row."""
        if self._in_flight.pop(number, None) is None:
            return
        self._links.settled += 1
        for content in self._contents.pop(number, ()):
            (self._folder / "media" / content.name).unlink(missing_ok=True)
        self._acked_ahead.add(number)
        settled: JournalEntry | None = None
        for entry in self._cutter.journal.entries:
            if entry.number == self._acked + 1 and entry.number in self._acked_ahead:
                self._acked_ahead.discard(entry.number)
                self._acked = entry.number
                settled = entry
        if settled is not None:
            self._state.set_acked(settled.last_record, settled.number)
            self._cutter.journal.forget_before(settled.number)
            self._delete_segments_before(settled.end.segment)
        self._room.set()

    def _keep_rejected(self, reject: pb.Reject) -> None:
        reason, data = pb.RejectReason.Name(reject.reason), self._in_flight.get(reject.number, b"")
        path = rejected_batches.keep_batch(self._spool, self.meta, reject.number, data, reason, reject.detail)
        self._state.count_rejected()
        LOG.error("run %s: a batch was refused (%s): %s; kept in %s", self.meta.run, reason, reject.detail, path)

    def _keep_unreadable(self, found: Unreadable) -> None:
        path = rejected_batches.keep_record(self._spool, self.meta, found)
        self._state.count_rejected()
        LOG.error("run %s: record %s %s; kept in %s", self.meta.run, found.number, found.reason, path)

    def _obey(self, control: pb.Control) -> None:
        match control.WhichOneof("command"):
            case "stop_run":
                order = {"cause": control.stop_run.cause, "reason": control.stop_run.reason}
                (self._folder / format.STOP_ORDER).write_text(json.dumps(order), encoding="utf-8")
                self._state.request_stop()
            case "slow_down":
                self._pause_until = time.monotonic() + control.slow_down.pause_ms / 1000
            case _:
                pass

    def _next_batch(self) -> tuple[int, bytes] | None:
        """Return the next batch that is due; return None when none is due."""
        cut = self._cutter.next_batch()
        if cut is None:
            return None
        self._register(cut)
        return cut.number, cut.data

    def _register(self, cut: CutBatch) -> None:
        self._in_flight[cut.number] = cut.data
        self._contents[cut.number] = cut.contents

    def _delete_segments_before(self, segment: int) -> None:
        for index in range(segment - 1, -1, -1):
            path = self._folder / format.segment_name(index)
            if not path.exists():
                break
            path.unlink(missing_ok=True)  # the process may drop it at the same moment


def _reason(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__
