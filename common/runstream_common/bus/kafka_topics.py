"""Make topics where they are missing, so that the first start needs no operator."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from runstream_common.bus.kafka_config import MAX_MESSAGE_BYTES, KafkaConfig
from runstream_common.bus.protocol import BusError


class _CreateTopicsResponse(Protocol):
    """The part of aiokafka's response that is read here."""

    @property
    def topic_errors(self) -> Sequence[tuple[str, int] | tuple[str, int, str | None]]:
        """Return name, error code and, from newer brokers, the message of each topic."""
        ...


async def ensure_topic(config: KafkaConfig, name: str, *, compacted: bool = False) -> None:
    """Make the topic where it is missing. A topic that is `compacted` has one partition.

    Raise BusError when Kafka cannot be reached.
    """
    admin = AIOKafkaAdminClient(**config.client())
    settings = {
        "max.message.bytes": str(MAX_MESSAGE_BYTES + 8192 * compacted),
        "min.insync.replicas": str(config.min_insync_replicas),
        "unclean.leader.election.enable": "false",
    }
    if compacted:
        settings["cleanup.policy"] = "compact"
    elif config.retention_hours:
        settings["retention.ms"] = str(int(config.retention_hours * 3_600_000))
    topic = NewTopic(name, 1 if compacted else config.partitions, config.replication, topic_configs=settings)
    try:
        await admin.start()
        with contextlib.suppress(TopicAlreadyExistsError):
            _raise_topic_errors(await admin.create_topics([topic]))
    except (KafkaError, OSError) as error:
        raise BusError(f"Kafka at {config.bootstrap}: {reason_of(error)}") from error
    finally:
        await admin.close()


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    """Return the partitions of a topic, read through a consumer that has started. Raise BusError."""
    for _ in range(50):
        await consumer._client.force_metadata_update()
        if found := consumer.partitions_for_topic(topic):
            return sorted(found)
    raise BusError(f"the topic {topic} has no partitions")


def reason_of(error: BaseException) -> str:
    """Return one line about an error, also where the error has no message."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def _raise_topic_errors(response: _CreateTopicsResponse) -> None:
    for topic_error in response.topic_errors:
        if topic_error[1]:
            raise for_code(topic_error[1])(topic_error[2] if len(topic_error) > 2 else topic_error[0])
