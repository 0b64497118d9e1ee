"""`KafkaBus`: a publisher and a consumer over aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from runstream_common.bus.dead_letters import DeadLetterBox
from runstream_common.bus.kafka_config import MAX_MESSAGE_BYTES, KafkaConfig
from runstream_common.bus.kafka_topics import ensure_topic, reason_of
from runstream_common.bus.message_headers import from_headers, to_headers
from runstream_common.bus.protocol import (
    BusClosedError,
    BusError,
    BusMessage,
    Delivery,
    Horizon,
    PoisonDelivery,
    Position,
)

LOG = structlog.get_logger()
_MAX_IN_FLIGHT_BYTES = 64 << 20
_FETCH_BYTES = 8 << 20
_MAX_POLL_RECORDS = 64
_COMMIT_S = 20.0
_SETTLE_S = 5.0
"""The longest time for which a rebalance waits until polled messages are stored."""


class KafkaPublisher:
    """Publish idempotently, with acks from all in-sync replicas. The bytes in flight are bounded."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._in_flight_bytes = 0
        self._room = asyncio.Condition()
        self._last_error: str | None = None

    async def start(self) -> None:
        """Make the topic where it is missing, and connect. Raise BusError when Kafka cannot be reached."""
        await ensure_topic(self._config, self._config.topic)
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
            raise BusError(f"Kafka at {self._config.bootstrap}: {reason_of(error)}") from error

    async def publish(self, message: BusMessage) -> None:
        """Return when all in-sync replicas have the message.

        Raise BusError when it is unknown whether Kafka has it: the client sends it again.
        """
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
            self._last_error = reason_of(error)
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


class KafkaRepublisher:
    """Put messages back on the topic as they were, poison included. The producer starts with the first message."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        """Return when all in-sync replicas have the message. Raise BusError when that is unknown."""
        try:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._config.client(), acks="all", enable_idempotence=True, max_request_size=MAX_MESSAGE_BYTES
                )
                await producer.start()
                self._producer = producer
            await self._producer.send_and_wait(self._config.topic, value=value, key=key or None, headers=list(headers))
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka: {reason_of(error)}") from error

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Pass assignments on to the consumer.

    An error is kept for `poll` to raise, because aiokafka would log it and go on.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        try:
            await self._consumer._give_up(list(revoked))
        except Exception as error:  # noqa: BLE001  # whatever it was, it surfaces in poll
            self._consumer._fail(error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            self._consumer._take(list(assigned))
        except Exception as error:  # noqa: BLE001  # as above
            self._consumer._fail(error)


class KafkaConsumer:
    """One member of the writers' group. Only `confirm` commits offsets.

    The group uses the eager protocol, because aiokafka has no cooperative one: a rebalance takes all partitions away
    for a moment. Before that, the consumer settles what was polled, for a bounded time, so that little is delivered
    twice.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._consumer: AIOKafkaConsumer | None = None
        self._dead_letters = DeadLetterBox(config)
        self._claims: dict[TopicPartition, int] = {}
        self._next_claim = 1
        self._committed: dict[TopicPartition, int] = {}
        self._next_offsets: dict[TopicPartition, int] = {}
        """For each partition the offset after the last polled message."""
        self._stored: dict[TopicPartition, int] = {}
        """For each partition the offset after the last confirmed message, also where the commit failed."""
        self._answered: dict[TopicPartition, tuple[int, int]] = {}
        """For each partition when two answers of the broker came, in milliseconds since 1970: the newest that was seen,
        and one before it."""
        self._settle: Callable[[], Awaitable[None]] | None = None
        self._paused = False
        self._failure: Exception | None = None
        self.rebalances = 0

    async def start(self) -> None:
        """Make the topic where it is missing, and join the group. Raise BusError when Kafka cannot be reached."""
        config = self._config
        await ensure_topic(config, config.topic)
        session_ms = int(config.session_timeout_s * 1000)
        self._consumer = AIOKafkaConsumer(
            **config.client(),
            group_id=config.group,
            group_instance_id=config.instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=2 * _FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=100,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(session_ms // 10, 500),  # the members learn of a rebalance by it
            max_poll_interval_ms=600_000,
        )
        self._consumer.subscribe([config.topic], listener=_Assignment(self))
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka at {config.bootstrap}: {reason_of(error)}") from error

    async def poll(self, max_wait_s: float) -> Sequence[Delivery | PoisonDelivery]:
        """Return the messages that arrived. Raise BusClosedError after `close`, BusError when Kafka fails."""
        if self._consumer is None:
            raise BusClosedError("the consumer is closed")
        if self._failure is not None:
            raise BusError(f"a rebalance failed: {self._failure!r}") from self._failure
        try:
            async with asyncio.timeout(max_wait_s + 30):
                found = await self._consumer.getmany(timeout_ms=int(max_wait_s * 1000), max_records=_MAX_POLL_RECORDS)
        except TimeoutError:
            return []  # a rebalance held getmany, so nothing came
        except (KafkaError, IllegalStateError) as error:
            raise BusError(f"Kafka: {reason_of(error)}") from error
        deliveries: list[Delivery | PoisonDelivery] = []
        for part, records in found.items():
            claim = self._claims.get(part)
            if claim is None:
                continue  # the partition was taken away: its next owner gets the records
            self._next_offsets[part] = records[-1].offset + 1
            deliveries += [delivery_of(record, claim) for record in records]
        return deliveries

    async def confirm(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        """Commit the offsets of stored messages.

        Raise BusError when it is unknown whether the commit succeeded. The messages are then stored again, which
        changes nothing.
        """
        offsets: dict[TopicPartition, int] = {}
        for delivery in deliveries:
            part = _part(delivery)
            behind = delivery.position.offset + 1
            if self.owns(delivery):
                self._stored[part] = max(behind, self._stored.get(part, 0))
            if self.owns(delivery) and behind > max(offsets.get(part, 0), self._committed.get(part, 0)):
                offsets[part] = behind
        if not offsets or self._consumer is None:
            return
        try:
            async with asyncio.timeout(_COMMIT_S):
                await self._consumer.commit(offsets)
            self._committed.update(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            LOG.info("commit left to the partitions' next owner", reason=reason_of(error))
        except (KafkaError, OSError, TimeoutError) as error:
            raise BusError(f"Kafka: {reason_of(error)}") from error

    async def refuse(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Put the message on the dead-letter topic. Raise BusError or TooManyDeadLettersError."""
        await self._dead_letters.put(delivery, reason, detail)

    def owns(self, delivery: Delivery | PoisonDelivery) -> bool:
        return self._claims.get(_part(delivery)) == delivery.claim

    def pause(self) -> None:
        self._paused = True
        if self._consumer is not None:
            self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        self._paused = False
        if self._consumer is not None:
            self._consumer.resume(*(self._consumer.paused() & self._consumer.assignment()))

    def before_revoke(self, settle: Callable[[], Awaitable[None]]) -> None:
        self._settle = settle

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
        await self._dead_letters.close()

    def healthy(self) -> str | None:
        if self._consumer is None:
            return "not connected to Kafka"
        return None if self._consumer.assignment() else "no partitions assigned yet"

    def lag(self) -> int:
        if self._consumer is None:
            return 0
        behind = 0
        for part in self._consumer.assignment():
            end, taken = self._consumer.highwater(part), self._next_offsets.get(part)
            if end is not None and taken is not None:
                behind += max(end - taken, 0)
        return behind

    def horizons(self) -> Sequence[Horizon]:
        """Return how far each partition is stored, and the moment that the broker's answer stands for.

        An answer may be read long after it was given, because of a slow network or SIGSTOP. It was given after the
        answer before it, so that the time of the earlier one counts.
        """
        if self._consumer is None:
            return []
        topic, found = self._config.topic, []
        partitions = len(self._consumer.partitions_for_topic(topic) or ())
        for part in self._consumer.assignment():
            state = self._consumer._subscription.subscription.assignment.state_value(part)
            claim, polled = self._claims.get(part), self._next_offsets.get(part)
            if claim is None or state is None or state.highwater is None or not state.has_valid_position:
                continue
            stored = self._stored.get(part, 0)
            if polled is None or polled <= stored:
                stored = state.position  # all that was polled is stored, and nothing lies between
            before, newest = self._answered.get(part, (0, state.timestamp))
            if state.timestamp != newest:
                before, newest = newest, state.timestamp
            self._answered[part] = before, newest
            if before:
                end, at_us = state.highwater, before * 1000
                found.append(Horizon(f"kafka/{topic}", part.partition, partitions, claim, end, at_us, stored))
        return found

    async def _give_up(self, revoked: list[TopicPartition]) -> None:
        if revoked and self._settle is not None and self._consumer is not None:
            try:
                async with asyncio.timeout(_SETTLE_S):
                    await self._settle()
            except TimeoutError:
                LOG.warning("partitions go away before all that was polled is stored: their next owner stores it")
        for part in revoked:
            for known in (self._claims, self._committed, self._next_offsets, self._stored, self._answered):
                known.pop(part, None)

    def _take(self, assigned: list[TopicPartition]) -> None:
        self.rebalances += 1
        for part in assigned:
            self._claims[part] = self._next_claim
            self._next_claim += 1
        if self._paused and self._consumer is not None:
            self._consumer.pause(*assigned)
        LOG.info("partitions assigned", partitions=sorted(part.partition for part in assigned))

    def _fail(self, error: Exception) -> None:
        self._failure = error


def _part(delivery: Delivery | PoisonDelivery) -> TopicPartition:
    return TopicPartition(delivery.position.topic, delivery.position.partition)


def delivery_of(record: ConsumerRecord, claim: int) -> Delivery | PoisonDelivery:
    """Return aiokafka's record as a delivery, or as poison where its headers cannot be read."""
    position = Position(record.topic, record.partition, record.offset)
    try:
        origin = from_headers(record.headers)
        key = (record.key or b"").decode()
        if record.value is None:
            raise ValueError("no value")
    except (ValueError, RecursionError) as error:
        return PoisonDelivery(
            record.value or b"", str(error), position, claim, record.key or b"", tuple(record.headers)
        )
    return Delivery(BusMessage(key, record.value, origin), position, claim)
