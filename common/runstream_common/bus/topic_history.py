"""Read what the topic still holds from its beginning, without a group and without a commit."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runstream_common.bus.kafka import delivery_of
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.kafka_topics import partitions_of, reason_of
from runstream_common.bus.protocol import BusError, Delivery

_SILENT_S = 30.0
_MAX_POLL_RECORDS = 64
_NO_CLAIM = 0


async def read_topic(config: KafkaConfig) -> AsyncIterator[Delivery]:
    """Yield every message that lay on the topic when the reading began, in the order of each partition.

    Poison is left out: it is among the dead letters. Raise BusError when Kafka cannot be reached, or sends nothing for
    30 s.
    """
    # "latest", the default, would race with a seek to the beginning, and nothing would be read.
    consumer = AIOKafkaConsumer(
        **config.client(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        parts = [TopicPartition(config.topic, number) for number in await partitions_of(consumer, config.topic)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        heard = time.monotonic()
        while any([await consumer.position(part) < ends[part] for part in parts]):
            found = await consumer.getmany(timeout_ms=500, max_records=_MAX_POLL_RECORDS)
            for part, records in found.items():
                for record in records:
                    delivery = delivery_of(record, _NO_CLAIM)
                    if isinstance(delivery, Delivery) and record.offset < ends[part]:
                        yield delivery
            now = time.monotonic()
            heard = now if found else heard
            if now - heard > _SILENT_S:
                raise BusError(f"the topic {config.topic} could not be read to its end")
    except (KafkaError, OSError) as error:
        raise BusError(f"Kafka at {config.bootstrap}: {reason_of(error)}") from error
    finally:
        await consumer.stop()
