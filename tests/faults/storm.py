"""Writers that join the group and leave it at random: SEED TIMES. Each is the product's own writer, in this process."""

from __future__ import annotations

import asyncio
import random
import sys

from runstream_common.bus.kafka import KafkaConsumer
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.service.config import Env
from runstream_common.service.metrics import Metrics
from runstream_ingestor.writer.config import WriterConfig
from runstream_ingestor.writer.writer_service import WriterService

_AT_ONCE = 3


async def main(seed: int, times: int) -> None:
    generator = random.Random(seed)
    env = Env()
    present: list[tuple[KafkaConsumer, WriterService]] = []
    joining: set[asyncio.Task[None]] = set()
    leaving: set[asyncio.Task[None]] = set()

    async def join() -> None:
        consumer = KafkaConsumer(KafkaConfig.from_env(env))
        writer = WriterService(WriterConfig.from_env(env), consumer, Metrics(["writer"]))
        await consumer.start()
        await writer.start()
        present.append((consumer, writer))

    async def leave(consumer: KafkaConsumer, writer: WriterService) -> None:
        await writer.close(10.0)
        await consumer.close()

    for _ in range(times):  # many come and go in the same rebalance
        joining = {task for task in joining if not task.done() or task.result()}
        if not present and len(joining) >= _AT_ONCE:
            await asyncio.wait(joining, return_when=asyncio.FIRST_COMPLETED)
        if present and (len(present) + len(joining) >= _AT_ONCE or generator.random() < 0.5):
            leaving.add(asyncio.create_task(leave(*present.pop(generator.randrange(len(present))))))
        else:
            joining.add(asyncio.create_task(join()))
        await asyncio.sleep(generator.uniform(0.0, 0.15))
    await asyncio.gather(*joining)
    await asyncio.gather(*leaving, *(leave(*one) for one in present))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
