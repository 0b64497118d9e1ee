"""`KafkaBus`: a publisher and a consumer over aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, TopicAlreadyExistsError

from runstream_common.bus.headers import from_headers, to_headers
from runstream_common.bus.kafka_config import MAX_MESSAGE_BYTES, KafkaConfig
from runstream_common.bus.protocol import BusClosedError, BusError, BusMessage, Delivery, PoisonDelivery, Position

LOG = structlog.get_logger()
_MAX_IN_FLIGHT_BYTES = 64 << 20
_FETCH_BYTES = 8 << 20
_MAX_POLL_RECORDS = 64


async def ensure_topic(config: KafkaConfig) -> None:
    """Make the topic where it is missing. Raises BusError when Kafka cannot be reached."""
    admin = AIOKafkaAdminClient(**config.client())
    topic = NewTopic(
        config.topic,
        config.partitions,
        config.replication,
        topic_configs={
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "min.insync.replicas": str(config.min_insync_replicas),
            "unclean.leader.election.enable": "false",
        },
    )
    try:
        await admin.start()
        with contextlib.suppress(TopicAlreadyExistsError):
            response = await admin.create_topics([topic])
            _raise_topic_errors(response)
    except (KafkaError, OSError) as error:
        raise BusError(f"Kafka at {config.bootstrap}: {_reason(error)}") from error
    finally:
        await admin.close()


class KafkaPublisher:
    """Publishes with acks from all in-sync replicas, idempotently; bounded in bytes under way."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None
        self._in_flight_bytes = 0
        self._room = asyncio.Condition()
        self._last_error: str | None = None

    async def start(self) -> None:
        """Raises BusError."""
        await ensure_topic(self._config)
        self._producer = AIOKafkaProducer(
            **self._config.client(),
            acks="all",
            enable_idempotence=True,
            compression_type=None if self._config.compression == "none" else self._config.compression,
            max_request_size=MAX_MESSAGE_BYTES,
            max_batch_size=1 << 20,
            linger_ms=2,
        )
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka at {self._config.bootstrap}: {_reason(error)}") from error

    async def publish(self, message: BusMessage) -> None:
        """Raises BusError when it is unknown whether Kafka has it: the client sends it again."""
        if self._producer is None:
            raise BusClosedError("the server is shutting down")
        size = len(message.value)
        async with self._room:
            await self._room.wait_for(
                lambda: not self._in_flight_bytes or self._in_flight_bytes + size <= _MAX_IN_FLIGHT_BYTES
            )
            self._in_flight_bytes += size
        try:
            await self._producer.send_and_wait(
                self._config.topic,
                value=message.value,
                key=message.key.encode(),
                headers=to_headers(message.origin),
                timestamp_ms=message.origin.received_us // 1000,
            )
            self._last_error = None
        except (KafkaError, OSError) as error:
            self._last_error = _reason(error)
            raise BusError(f"Kafka: {self._last_error}") from error
        finally:
            async with self._room:
                self._in_flight_bytes -= size
                self._room.notify_all()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def healthy(self) -> str | None:
        if self._producer is None:
            return "not connected to Kafka"
        return self._last_error


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Forgets what was polled from partitions that go away: their next owner polls it again."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._consumer.forget(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        LOG.info("partitions assigned", partitions=sorted(part.partition for part in assigned))


class KafkaConsumer:
    """One member of the writers' group. Offsets are committed by `confirm` alone."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._consumer: Any = None
        self._owned: set[tuple[str, int]] = set()
        self._next_offsets: dict[tuple[str, int], int] = {}
        """Behind what was polled, by partition: for the lag."""

    async def start(self) -> None:
        """Raises BusError."""
        await ensure_topic(self._config)
        self._consumer = AIOKafkaConsumer(
            **self._config.client(),
            group_id=self._config.group,
            group_instance_id=self._config.instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=2 * _FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=100,
            session_timeout_ms=15_000,
            heartbeat_interval_ms=3_000,
            max_poll_interval_ms=600_000,
        )
        self._consumer.subscribe([self._config.topic], listener=_Assignment(self))
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka at {self._config.bootstrap}: {_reason(error)}") from error

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        for part in partitions:
            self._owned.discard((part.topic, part.partition))

    async def poll(self, max_wait_s: float) -> Sequence[Delivery | PoisonDelivery]:
        """Raises BusClosedError, BusError."""
        if self._consumer is None:
            raise BusClosedError("the consumer is closed")
        try:
            async with asyncio.timeout(max_wait_s + 30):
                found = await self._consumer.getmany(timeout_ms=int(max_wait_s * 1000), max_records=_MAX_POLL_RECORDS)
        except TimeoutError:
            return []  # a rebalance holds getmany: nothing came
        except (KafkaError, IllegalStateError) as error:
            raise BusError(f"Kafka: {_reason(error)}") from error
        deliveries: list[Delivery | PoisonDelivery] = []
        for part, records in found.items():
            self._owned.add((part.topic, part.partition))
            self._next_offsets[part.topic, part.partition] = records[-1].offset + 1
            deliveries += [_delivery(record) for record in records]
        return deliveries

    async def confirm(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        """Raises BusError when the commit's fate is unknown: what was stored is stored again, and changes nothing."""
        offsets: dict[TopicPartition, int] = {}
        for delivery in deliveries:
            position = delivery.position
            if (position.topic, position.partition) in self._owned:
                part = TopicPartition(position.topic, position.partition)
                offsets[part] = max(offsets.get(part, 0), position.offset + 1)
        if not offsets or self._consumer is None:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            LOG.info("commit left to the partitions' next owner", reason=_reason(error))
            self.forget(offsets)
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka: {_reason(error)}") from error

    async def refuse(self, delivery: Delivery, reason: str) -> None:
        """Its publisher has had its ack long ago: the writer's log and the rejects table say so."""

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def healthy(self) -> str | None:
        if self._consumer is None:
            return "not connected to Kafka"
        return None if self._consumer.assignment() else "no partitions assigned yet"

    def lag(self) -> int:
        if self._consumer is None:
            return 0
        behind = 0
        for part in self._consumer.assignment():
            end, taken = self._consumer.highwater(part), self._next_offsets.get((part.topic, part.partition))
            if end is not None and taken is not None:
                behind += max(end - taken, 0)
        return behind


def _delivery(record: Any) -> Delivery | PoisonDelivery:
    position = Position(record.topic, record.partition, record.offset)
    try:
        origin = from_headers(record.headers)
        key = (record.key or b"").decode()
        if record.value is None:
            raise ValueError("no value")
    except (ValueError, RecursionError) as error:
        return PoisonDelivery(record.value or b"", str(error), position)
    return Delivery(BusMessage(key, record.value, origin), position)


def _raise_topic_errors(response: Any) -> None:
    from aiokafka.errors import for_code

    for topic_error in response.topic_errors:
        if topic_error[1]:
            raise for_code(topic_error[1])(topic_error[2] if len(topic_error) > 2 else topic_error[0])


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
