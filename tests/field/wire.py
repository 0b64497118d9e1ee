"""Another client: batches on the wire as nobody's SDK would make them."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

from runstream.sender.link import Links
from runstream.spool.folder import StreamMeta
from runstream_proto.v1 import ingest_pb2 as pb
from tests.support.stack import ServiceStack


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

        return asyncio.run(act())


def rejected(spool: Path) -> list[str]:
    """Names of what a sender kept in the spool's `rejected` folder."""
    return sorted(path.name for path in (spool / "rejected").iterdir())
