"""What arrives while a flush waits for its turn is stored with it, and not one flush later."""

from __future__ import annotations

import asyncio
from typing import Any

from runstream_common.bus.local import LocalBus
from tests.integration.test_dead_letters import Storage, batch, make_writer


class Slow(Storage):
    """Holds up inserts of points until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.waiting = 0

    async def __call__(self, table: str, columns: Any, data: bytes, token: str) -> None:
        if table == "points":
            self.waiting += 1
            await self.go.wait()
        await super().__call__(table, columns, data, token)


async def test_a_batch_that_comes_while_a_flush_waits_goes_with_it() -> None:
    bus, storage = LocalBus(), Slow()
    writer = make_writer(bus, storage, max_age_s=0.01)
    running = asyncio.create_task(writer.run())
    publishing = []
    for number in (1, 2):  # two flushes are stored at once
        publishing.append(asyncio.create_task(bus.publish(batch(number))))
        while storage.waiting < number:
            await asyncio.sleep(0.005)
    for number in (3, 4, 5):
        publishing.append(asyncio.create_task(bus.publish(batch(number))))
        await asyncio.sleep(0.1)  # longer than a flush gathers
    assert storage.waiting == 2
    storage.go.set()
    await asyncio.wait_for(asyncio.gather(*publishing), 30)
    writer.stop()
    await running
    assert storage.steps() == [1, 2, 3, 4, 5]
    assert storage.waiting == 3, "the three that waited are one flush"
