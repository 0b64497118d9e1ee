"""Another client: batches on the wire as nobody's SDK would make them."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from runstream.sender.link import Link, Links
from runstream.spool.folder import StreamMeta
from runstream_proto.v1 import ingest_pb2 as pb
from tests.support.stack import ServiceStack

T = TypeVar("T")


class Client:
    """One process's stream to the gateway. `send` returns why a batch was refused; empty: it is stored."""

    def __init__(self, stack: ServiceStack, project: str, run: str) -> None:
        self.meta = StreamMeta(
            writer_id=uuid.uuid4().hex[:26],
            base_url=f"http://{stack.address('http')}",
            gateway=stack.address("gateway"),
            gateway_tls=False,
            key_prefix="",
            team="main",
            project=project,
            run=run,
            rank=0,
            world_size=1,
            resume="allow",
            offline=False,
            helper=False,
            system=False,
            system_interval_s=0.0,
            created_us=time.time_ns() // 1000,
            pid=1,
            host="host",
            sdk_version="0",
        )
        self._key = stack.key
        self._batches = self._records = 0

    def batch(self, *records: dict[str, Any]) -> bytes:
        """A batch of records: the fields of `Record`, less number and time."""
        first = self._records + 1
        made = [pb.Record(number=first + n, time_us=time.time_ns() // 1000, **one) for n, one in enumerate(records)]
        self._records += len(records)
        meta = self.meta
        return pb.Batch(
            format=1,
            run=pb.RunPath(team=meta.team, project=meta.project, run=meta.run),
            writer_id=meta.writer_id,
            first_record=first,
            last_record=self._records,
            records=made,
        ).SerializeToString()

    def send(self, batch: bytes) -> str:
        """Raises RunstreamError when the gateway does not let the stream in."""
        self._batches += 1

        async def act() -> str:
            links = Links()
            try:
                return await links.send_once(self.meta, self._key, self._batches, batch, 30)
            finally:
                await links.close()

        return _run(act())

    def send_all(self, batches: list[bytes]) -> list[str]:
        """Send them on one stream and wait for every answer. Returns why each was refused; empty: it is stored.
        Raises RunstreamError when the gateway does not let the stream in, TimeoutError after a minute."""
        first = self._batches + 1
        self._batches += len(batches)

        async def act() -> list[str]:
            links, answers = Links(), dict[int, str]()
            try:
                async with asyncio.timeout(60):
                    link = await links.open(self.meta, self._key)
                    sending = asyncio.create_task(_send_in_order(link, first, batches))
                    async for response in link.responses():
                        match response.WhichOneof("message"):
                            case "ack":
                                answers[response.ack.number] = ""
                            case "reject":
                                answers[response.reject.number] = response.reject.detail
                        if len(answers) == len(batches):
                            break
                    await sending
                    await link.close()
            finally:
                await links.close()
            return [answers[number] for number in range(first, first + len(batches))]

        return _run(act())


def _run(act: Coroutine[Any, Any, T]) -> T:
    """In one loop for all threads: gRPC's poller does not like loops that end while others run."""
    return asyncio.run_coroutine_threadsafe(act, _loop()).result()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="wire", daemon=True).start()
    return loop


async def _send_in_order(link: Link, first: int, batches: list[bytes]) -> None:
    for number, batch in enumerate(batches, first):
        await link.send(number, batch)


def rejected(spool: Path) -> list[str]:
    """Names of what a sender kept in the spool's `rejected` folder."""
    return sorted(path.name for path in (spool / "rejected").iterdir())
