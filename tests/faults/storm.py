"""Writers that join the group and leave it at random: SEED TIMES. Each is the product's own writer, in this process."""

from __future__ import annotations

import asyncio
import random
import sys

from runstream_common.bus.kafka import KafkaConsumer
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.config import Env
from runstream_common.metrics import Metrics
from runstream_ingestor.parts import WriterPart
from runstream_ingestor.writer.config import WriterConfig

_AT_ONCE = 3


async def main(seed: int, times: int) -> None:
    generator = random.Random(seed)
    env = Env()
    present: list[tuple[KafkaConsumer, WriterPart]] = []
    for _ in range(times):
        if present and (len(present) >= _AT_ONCE or generator.random() < 0.5):
            consumer, writer = present.pop(generator.randrange(len(present)))
            await writer.close(10.0)
            await consumer.close()
        else:
            consumer = KafkaConsumer(KafkaConfig.from_env(env))
            writer = WriterPart(WriterConfig.from_env(env), consumer, Metrics(["writer"]))
            await consumer.start()
            await writer.start()
            present.append((consumer, writer))
        await asyncio.sleep(generator.uniform(0.0, 0.15))
    for consumer, writer in present:
        await writer.close(10.0)
        await consumer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
