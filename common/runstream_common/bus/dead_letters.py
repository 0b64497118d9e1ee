"""The dead-letter topic holds messages that can never be stored: whole, with their origin and the reason.

The topic is compacted and its key is the origin, `topic/partition/offset`: putting the same message aside twice leaves
one letter. A message without a value deletes a letter that was replayed or discarded.
"""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from runstream_common.bus.kafka_config import MAX_MESSAGE_BYTES, KafkaConfig
from runstream_common.bus.kafka_topics import ensure_topic, partitions_of, reason_of
from runstream_common.bus.message_headers import HEADER, to_headers
from runstream_common.bus.protocol import BusError, Delivery, PoisonDelivery, Position, TooManyDeadLettersError
from runstream_common.times import now_us

_HEADER, _KEY_HEADER = "runstream-dead-letter-v1", "runstream-dead-letter-key"
_READ_S = 30.0
_SHARE = 4
"""The letters of one user fill at most 1/_SHARE of the limit, so that no single user can stop the writers.

A fault of the writers, or of their storage, makes letters of all users.
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why and when a message was put aside, and by which version of the software."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    time_us: int
    version: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it lay on the topic, and the reason why it is dead."""

    why: Reason
    key: bytes
    size: int
    """The size of the value in bytes."""
    value: bytes
    """The value is empty unless the caller asked for it."""
    headers: tuple[tuple[str, bytes], ...]

    @property
    def id(self) -> str:
        return f"{self.why.topic}/{self.why.partition}/{self.why.offset}"

    @property
    def origin(self) -> dict[str, object]:
        """The gateway's header about the message; empty where it cannot be read."""
        raw = next((value for name, value in self.headers if name == HEADER), b"{}")
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class DeadLetterBox:
    """Put letters on the topic. The producer starts with the first letter."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._version = importlib.metadata.version("runstream")
        self._producer: AIOKafkaProducer | None = None
        self._recent: deque[tuple[float, str]] = deque()
        """For each letter that counts against the limit: when it was put, and its user."""

    async def put(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Return when all in-sync replicas have the letter.

        Raise TooManyDeadLettersError above the configured rate, and BusError when Kafka cannot be reached.
        """
        self._count(delivery.message.origin.user if isinstance(delivery, Delivery) else "")
        why = Reason(
            **asdict(delivery.position),
            reason=reason,
            detail=detail[:1024],
            time_us=now_us(),
            version=self._version,
        )
        if isinstance(delivery, Delivery):
            key, value = delivery.message.key.encode(), delivery.message.value
            headers: Iterable[tuple[str, bytes]] = to_headers(delivery.message.origin)
        else:
            key, value, headers = delivery.key, delivery.raw, delivery.headers
        await self._send(
            _id(delivery.position),
            value,
            [(_HEADER, json.dumps(asdict(why)).encode()), (_KEY_HEADER, key), *headers],
        )

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a letter. Raise BusError when Kafka cannot be reached."""
        await self._send(letter.id, None, [])

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def _count(self, user: str) -> None:
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > 60.0:
            self._recent.popleft()
        share = self._config.dead_letters_per_minute // _SHARE
        if user and sum(whose == user for _, whose in self._recent) >= share > 0:
            return
        if len(self._recent) >= self._config.dead_letters_per_minute:
            raise TooManyDeadLettersError(
                f"more than {self._config.dead_letters_per_minute} messages a minute cannot be stored "
                "(RUNSTREAM_DEAD_LETTERS_PER_MINUTE): see `runstream deadletter list` and this server's version; "
                "nothing is lost, the topic keeps what was not confirmed"
            )
        self._recent.append((now, user))

    async def _send(self, key: str, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        try:
            if self._producer is None:
                await ensure_topic(self._config, self._config.dead_letter_topic, compacted=True)
                producer = AIOKafkaProducer(
                    **self._config.client(),
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=MAX_MESSAGE_BYTES + 8192,
                )
                await producer.start()
                self._producer = producer
            await self._producer.send_and_wait(
                self._config.dead_letter_topic, value=value, key=key.encode(), headers=headers
            )
        except (KafkaError, OSError) as error:
            raise BusError(f"Kafka: {reason_of(error)}") from error


async def read_letters(config: KafkaConfig, wanted: str = "") -> list[DeadLetter]:
    """Return all letters that wait, oldest first.

    Only the letter whose id is `wanted` has its value, so that thousands of letters do not need gigabytes. Raise
    BusError when Kafka cannot be reached, or sends nothing for 30 s.
    """
    await ensure_topic(config, config.dead_letter_topic, compacted=True)
    # "latest", the default, would race with a seek to the beginning, and letters would not be seen.
    consumer = AIOKafkaConsumer(
        **config.client(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    letters: dict[str, DeadLetter] = {}
    try:
        await consumer.start()
        numbers = await partitions_of(consumer, config.dead_letter_topic)
        parts = [TopicPartition(config.dead_letter_topic, number) for number in numbers]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        deadline = time.monotonic() + _READ_S
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for found in (await consumer.getmany(timeout_ms=500)).values():
                for record in found:
                    name = (record.key or b"").decode("utf-8", "replace")
                    letters.pop(name, None)
                    if record.value is not None and (letter := _letter(record, name == wanted)) is not None:
                        letters[name] = letter
                deadline = time.monotonic() + _READ_S
            if time.monotonic() > deadline:
                raise BusError("the dead-letter topic could not be read to its end")
    except (KafkaError, OSError) as error:
        raise BusError(f"Kafka: {reason_of(error)}") from error
    finally:
        await consumer.stop()
    return sorted(letters.values(), key=lambda letter: letter.why.time_us)


def _letter(record: ConsumerRecord, whole: bool) -> DeadLetter | None:
    headers = tuple(record.headers)
    raw = next((value for name, value in headers if name == _HEADER), None)
    key = next((value for name, value in headers if name == _KEY_HEADER), b"")
    try:
        why = Reason(**json.loads(raw or b""))
    except (ValueError, TypeError, RecursionError):
        return None
    own = (_HEADER, _KEY_HEADER)
    rest = tuple(pair for pair in headers if pair[0] not in own)
    return DeadLetter(why, key, len(record.value), record.value if whole else b"", rest)


def _id(position: Position) -> str:
    return f"{position.topic}/{position.partition}/{position.offset}"
