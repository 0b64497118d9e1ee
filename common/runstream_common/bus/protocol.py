"""The contract that the bus keeps towards the gateway and the writer.

The gateway publishes batches. A writer polls deliveries, stores them, and confirms them. A delivery that is not
confirmed comes again, to this consumer or to another, any number of times: a writer must be able to store it again
without harm. The bus keeps the order within one key as long as it delivers nothing again; no code may depend on this
order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runstream_common.errors import ReportedError


@dataclass(frozen=True, slots=True)
class Origin:
    """The facts about a batch that the gateway knows and the batch does not contain. The headers carry them.

    The gateway has compared `team`, `project`, `run`, `writer_id` and `rank` with the batch.
    """

    team: str
    project: str
    run: str
    writer_id: str
    rank: int
    epoch: int
    """The control database binds the epoch to (run, writer). It is the high part of each row's version."""
    run_created_us: int
    """When the run was first seen, in microseconds since 1970 (UTC).

    It never changes, so it can choose the partition.
    """
    user: str
    batch_number: int
    checksum: int
    """CRC-32 of the batch, as the client sent it."""
    received_us: int
    """When the gateway received the batch, in microseconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class BusMessage:
    key: str
    """Messages of one key stay in order: `team/project/run/rank`."""
    value: bytes
    """A serialized `runstream.v1.Batch`: exactly the bytes that the client sent."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a message on the bus. Where there is no log, `topic` is "local" and `offset` is a counter."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Delivery:
    message: BusMessage
    position: Position
    claim: int = 0
    """The number of the assignment of the partition under which the message came.

    A partition that is taken away and given back gets a new claim.
    """


@dataclass(frozen=True, slots=True)
class PoisonDelivery:
    """A message on the bus that cannot be read as a `BusMessage`: its raw bytes and the reason."""

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


class BusError(ReportedError):
    """The bus failed to take or give a message. It is unknown whether the message is stored: send it again."""


class BusClosedError(BusError):
    """The bus is shutting down."""


class TooManyDeadLettersError(BusError):
    """More messages are refused than a bad client explains: this consumer or its storage has a fault."""


class BatchRefusedError(BusError):
    """The stage behind the bus will never store this message: do not send it again."""


class Publisher(Protocol):
    async def start(self) -> None: ...

    async def publish(self, message: BusMessage) -> None:
        """Return when the message is stored for good (promise 2).

        It is then on all in-sync replicas or, on a bus without a log of its own, in ClickHouse. Raise `BusError` when
        that is not known.
        """
        ...

    async def close(self) -> None:
        """Wait for published messages, up to a bound, then release all resources."""
        ...

    def healthy(self) -> str | None:
        """Return None when publishing is expected to work, else one sentence about the fault."""
        ...


class Consumer(Protocol):
    async def start(self) -> None: ...

    async def poll(self, max_wait_s: float) -> Sequence[Delivery | PoisonDelivery]:
        """Return what has arrived: at least one message, unless `max_wait_s` passed first. Never block longer."""
        ...

    async def confirm(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> None:
        """Confirm that these messages, and all that were polled before them on the same partitions, are stored.

        Positions of partitions that were taken away meanwhile are skipped: their next owner stores them again.
        """
        ...

    async def refuse(self, delivery: Delivery | PoisonDelivery, reason: str, detail: str) -> None:
        """Declare that this message will never be stored.

        `KafkaBus` keeps it as a dead letter; `LocalBus` tells its publisher. Call `confirm` afterwards, as for any
        other message. Raise BusError when the declaration failed, and TooManyDeadLettersError when so many messages are
        refused that the consumer should stop.
        """
        ...

    def owns(self, delivery: Delivery | PoisonDelivery) -> bool:
        """Return False when the message's partition was taken away since it came: the next owner gets it again."""
        ...

    def pause(self) -> None:
        """Deliver nothing until `resume`. Calls of `poll` still keep the membership alive."""
        ...

    def resume(self) -> None: ...

    def before_revoke(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Await `settle`, for a bounded time, before partitions go to another consumer."""
        ...

    async def close(self) -> None: ...

    def healthy(self) -> str | None: ...

    def lag(self) -> int:
        """Return the number of messages that wait behind the polled ones, as far as it is known."""
        ...

    def horizons(self) -> Sequence[Horizon]:
        """Of each partition that this consumer has, as far as known. Asks nobody; to be called now and then."""
        ...
