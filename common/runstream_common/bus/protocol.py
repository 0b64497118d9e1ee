"""What gateway and writer may expect of the bus between them.

The gateway publishes batches; a writer polls deliveries, stores them, and confirms them. A delivery that is
not confirmed comes again, to this consumer or to another, any number of times: who stores it must not mind.
Order is kept within one key as long as nothing is delivered again; nothing may rest on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Origin:
    """What the gateway knows about a batch that the batch cannot say itself: carried in the headers.

    `team`, `project`, `run`, `writer_id` and `rank` are checked by the gateway against the batch.
    """

    team: str
    project: str
    run: str
    writer_id: str
    rank: int
    epoch: int
    """Bound to (run, writer) by the control database; the high part of each row's version."""
    run_created_us: int
    """When the run was first seen, microseconds since 1970 (UTC): never changes, so it can choose the partition."""
    user: str
    batch_number: int
    checksum: int
    """CRC-32 of the batch, as the client sent it."""
    received_us: int
    """When the gateway got it, microseconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class BusMessage:
    key: str
    """Messages of one key stay in order: `team/project/run/rank`."""
    value: bytes
    """A serialized `runstream.v1.Batch`, the very bytes the client sent."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class Position:
    """Where a message lies on the bus. `topic` is "local" and `offset` a counter where there is no log."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Delivery:
    message: BusMessage
    position: Position
    claim: int = 0
    """Which of the consumer's assignments of the partition it came under: what was taken away and given back is
    another claim."""


@dataclass(frozen=True, slots=True)
class PoisonDelivery:
    """A message on the bus that cannot even be read as a `BusMessage`: its raw bytes and why."""

    raw: bytes
    reason: str
    position: Position
    claim: int = 0
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far a partition is stored, and where it ended when the consumer looked last."""

    bus: str
    """`kafka/TOPIC`, or `local`."""
    partition: int
    partitions: int
    """How many the bus has."""
    claim: int
    end: int
    """Offset behind everything that the bus had accepted at `at_us`."""
    at_us: int
    """Microseconds since 1970. What was accepted before it lies before `end`."""
    stored: int
    """Offset behind what this consumer has confirmed, without a gap."""


class BusError(Exception):
    """The bus did not take or give a message. Nothing is known to be stored: try again, or let the client."""


class BusClosedError(BusError):
    """The bus is shutting down."""


class TooManyDeadLettersError(BusError):
    """More is refused than a bad client explains: something is wrong with this consumer, or with its storage."""


class BatchRefusedError(BusError):
    """The stage behind the bus looked at this message and will never store it: do not try again."""


class Publisher(Protocol):
    async def start(self) -> None: ...

    async def publish(self, message: BusMessage) -> None:
        """Return when the message is stored for good (promise 2): on all in-sync replicas, or, on a bus
        without a log of its own, in ClickHouse. Raise `BusError` when that is not known."""
        ...

    async def close(self) -> None:
        """Wait for what was published, up to a bound, then release all resources."""
        ...

    def healthy(self) -> str | None:
        """None when publishing is expected to work, else one sentence about what is wrong."""
        ...


class Consumer(Protocol):
    async def start(self) -> None: ...

    async def poll(self, max_wait_s: float) -> Sequence[Delivery | PoisonDelivery]:
        """What has arrived, at least one unless `max_wait_s` passed first. Never blocks longer."""
        ...

    async def confirm(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        """All of these are stored, and so is everything polled before them on the same partitions. Positions of
        partitions that were taken away meanwhile are skipped: their next owner stores them again."""
        ...

    async def refuse(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """This one will never be stored. It is kept as a dead letter (`KafkaBus`), or whoever published it is told
        (`LocalBus`). Must be followed by `confirm`, like any other. Raises BusError when that did not work,
        TooManyDeadLettersError when so much is refused that the consumer should stop."""
        ...

    def owns(self, delivery: Delivery | PoisonDelivery) -> bool:
        """False when its partition was taken away since it came: its next owner gets it again."""
        ...

    def pause(self) -> None:
        """Deliver nothing until `resume`: `poll` still keeps the membership alive."""
        ...

    def resume(self) -> None: ...

    def before_revoke(self, settle: Callable[[], Awaitable[None]]) -> None:
        """`settle` is awaited, for a bounded time, before partitions go to another consumer."""
        ...

    async def close(self) -> None: ...

    def healthy(self) -> str | None: ...

    def lag(self) -> int:
        """Messages waiting behind what was polled, as far as known."""
        ...

    def horizons(self) -> Sequence[Horizon]:
        """Of each partition that this consumer has, as far as known. Asks nobody; to be called now and then."""
        ...
