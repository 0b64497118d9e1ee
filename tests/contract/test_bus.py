"""What gateway and writer may expect of a bus: the same suite on `LocalBus` and on a real Kafka."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from runstream_common.bus.kafka import KafkaConsumer, KafkaPublisher
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.local import LocalBus
from runstream_common.bus.message_headers import from_headers, to_headers
from runstream_common.bus.protocol import (
    BatchRefusedError,
    BusClosedError,
    BusError,
    BusMessage,
    Consumer,
    Delivery,
    Origin,
    PoisonDelivery,
    Publisher,
)
from tests.support.kafka import KafkaCluster

ORIGIN = Origin("team", "project", "run", "writer-1", 0, 1, 0, "user", 1, 0, 0)


def message(number: int, key: str = "team/project/run/0", size: int = 100) -> BusMessage:
    return BusMessage(key, number.to_bytes(4, "big") + bytes(size), replace(ORIGIN, batch_number=number))


def numbers(deliveries: list[Any]) -> list[int]:
    return [delivery.message.origin.batch_number for delivery in deliveries if isinstance(delivery, Delivery)]


@dataclass
class Bus:
    publisher: Publisher
    consumer: Consumer
    reopened: Callable[[], Awaitable[Consumer]] | None
    """A consumer that starts where the confirmed ended; None where the bus does not outlive its consumer."""


@pytest.fixture(params=["local", "kafka"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "local":
        local = LocalBus(max_pending_bytes=1 << 20)
        yield Bus(local, local, None)
        await local.close()
        return
    cluster: KafkaCluster = request.getfixturevalue("kafka")
    name = uuid.uuid4().hex[:8]
    config = KafkaConfig(cluster.bootstrap, topic=f"contract-{name}", group=f"group-{name}", partitions=3)
    publisher, consumers = KafkaPublisher(config), [KafkaConsumer(config)]
    await publisher.start()
    await consumers[0].start()

    async def reopened() -> Consumer:
        await consumers[-1].close()
        consumers.append(KafkaConsumer(config))
        await consumers[-1].start()
        return consumers[-1]

    yield Bus(publisher, consumers[0], reopened)
    await publisher.close()
    await consumers[-1].close()


async def poll_until(consumer: Consumer, count: int, timeout_s: float = 60.0) -> list[Any]:
    got: list[Any] = []
    async with asyncio.timeout(timeout_s):
        while len(got) < count:
            got += await consumer.poll(0.2)
    return got


async def confirming(consumer: Consumer, count: int) -> list[Any]:
    """Take and confirm until `count` deliveries have come."""
    got: list[Any] = []
    async with asyncio.timeout(60):
        while len(got) < count:
            deliveries = await consumer.poll(0.2)
            await consumer.confirm(deliveries)
            got += deliveries
    return got


async def test_what_is_published_is_delivered_with_its_origin(bus: Bus) -> None:
    publishing = asyncio.create_task(bus.publisher.publish(message(7)))
    (delivery,) = await poll_until(bus.consumer, 1)
    assert delivery.message == message(7)
    await bus.consumer.confirm([delivery])
    await asyncio.wait_for(publishing, 60)


async def test_order_is_kept_within_a_key_and_nothing_is_lost(bus: Bus) -> None:
    async def publish_all() -> None:
        await asyncio.gather(*(bus.publisher.publish(message(n, key=f"key-{n % 3}")) for n in range(1000)))

    publishing = asyncio.create_task(publish_all())
    got = numbers(await confirming(bus.consumer, 1000))
    await asyncio.wait_for(publishing, 60)
    assert sorted(got) == list(range(1000))
    for key in range(3):
        assert [n for n in got if n % 3 == key] == list(range(key, 1000, 3))


async def test_a_poll_of_nothing_ends(bus: Bus) -> None:
    async with asyncio.timeout(20):
        assert list(await bus.consumer.poll(0.1)) == []


async def test_what_was_not_confirmed_is_delivered_to_the_next_consumer(bus: Bus) -> None:
    if bus.reopened is None:
        # No log: whoever published hears of it, and sends again.
        publishing = asyncio.create_task(bus.publisher.publish(message(1)))
        await poll_until(bus.consumer, 1)
        await bus.publisher.close()
        with pytest.raises(BusClosedError):
            await publishing
        return
    await asyncio.gather(*(bus.publisher.publish(message(n, key="one")) for n in range(10)))
    first = await poll_until(bus.consumer, 10)
    await bus.consumer.confirm(first[:4])
    again = await poll_until(await bus.reopened(), 6)
    assert numbers(again) == [4, 5, 6, 7, 8, 9]


async def test_a_message_that_is_too_large_is_a_clear_error_or_taken_alone(bus: Bus) -> None:
    huge = message(1, size=6 << 20)
    publishing = asyncio.create_task(bus.publisher.publish(huge))
    if bus.reopened is None:
        await confirming(bus.consumer, 1)
        await publishing
    else:
        with pytest.raises(BusError, match="larger"):
            await publishing


async def test_publishing_after_close_is_an_error(bus: Bus) -> None:
    await bus.publisher.close()
    with pytest.raises(BusClosedError):
        await bus.publisher.publish(message(1))
    assert bus.publisher.healthy() is not None


async def test_local_publish_returns_only_when_confirmed() -> None:
    bus = LocalBus()
    publishing = asyncio.create_task(bus.publish(message(1)))
    deliveries = await bus.poll(1.0)
    await asyncio.sleep(0)
    assert not publishing.done()
    await bus.confirm(deliveries)
    await asyncio.wait_for(publishing, 1)


async def test_local_refuse_tells_the_publisher() -> None:
    bus = LocalBus()
    publishing = asyncio.create_task(bus.publish(message(1)))
    (delivery,) = await bus.poll(1.0)
    assert isinstance(delivery, Delivery)
    await bus.refuse(delivery, "refused", "never")
    await bus.confirm([delivery])
    with pytest.raises(BatchRefusedError, match="never"):
        await publishing


async def test_local_publish_waits_when_too_much_is_pending() -> None:
    bus = LocalBus(max_pending_bytes=1000)
    tasks = [asyncio.create_task(bus.publish(message(n, size=400))) for n in range(5)]
    deliveries = await bus.poll(1.0)
    assert numbers(list(deliveries)) == [0, 1]
    assert list(await bus.poll(0.05)) == []
    await bus.confirm(deliveries)
    assert numbers(await confirming(bus, 3)) == [2, 3, 4]
    await asyncio.gather(*tasks)


async def test_poison_on_the_topic_does_not_block_what_is_behind(kafka: KafkaCluster) -> None:
    name = uuid.uuid4().hex[:8]
    config = KafkaConfig(kafka.bootstrap, topic=f"poison-{name}", group=f"group-{name}", partitions=1)
    publisher, consumer = KafkaPublisher(config), KafkaConsumer(config)
    await publisher.start()
    await consumer.start()
    raw = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await raw.start()
    try:
        await raw.send_and_wait(config.topic, b"no headers at all")
        await raw.send_and_wait(config.topic, b"x", headers=[("runstream-origin-v1", b"{}")])
        await raw.send_and_wait(config.topic, b"x", key=b"\xff\xfe", headers=to_headers(ORIGIN))
        await publisher.publish(message(5))
        got = await poll_until(consumer, 4)
        assert [type(delivery) for delivery in got] == [PoisonDelivery] * 3 + [Delivery]
        assert "no usable header" in got[0].reason
    finally:
        await raw.stop()
        await publisher.close()
        await consumer.close()


async def test_a_published_message_survives_the_brokers_sigkill(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.conftest import started_kafka

    for cluster in started_kafka(tmp_path_factory.mktemp("killed")):
        config = KafkaConfig(cluster.bootstrap, topic="killed", group="killed", partitions=1)
        publisher = KafkaPublisher(config)
        await publisher.start()
        await publisher.publish(message(42))
        broker = cluster.brokers[0]
        await asyncio.to_thread(broker.kill)
        broker.start()
        await asyncio.to_thread(broker.wait_ready)
        consumer = KafkaConsumer(config)
        await consumer.start()
        assert numbers(await poll_until(consumer, 1, 60)) == [42]
        await consumer.close()
        await publisher.close()


async def test_no_kafka_is_a_clear_error() -> None:
    config = KafkaConfig("127.0.0.1:1")
    with pytest.raises(BusError, match="127.0.0.1:1"):
        await KafkaPublisher(config).start()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("other", b"1")],
        [("runstream-origin-v1", b"\xff")],
        [("runstream-origin-v1", b"[1]")],
        [("runstream-origin-v1", b'{"team": 3}')],
        [("runstream-origin-v1", b"[" * 3000)],
    ],
)
def test_headers_that_do_not_fit_are_refused(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises((ValueError, RecursionError)):
        from_headers(headers)


def test_headers_carry_the_whole_origin() -> None:
    assert from_headers(to_headers(ORIGIN)) == ORIGIN


@pytest.fixture
async def group(kafka: KafkaCluster) -> AsyncIterator[Callable[[], Awaitable[KafkaConsumer]]]:
    """Makes members of one group on a topic of four partitions, with forty messages of ten keys."""
    name = uuid.uuid4().hex[:8]
    config = KafkaConfig(
        kafka.bootstrap, topic=f"group-{name}", group=f"group-{name}", partitions=4, session_timeout_s=6.0
    )
    publisher = KafkaPublisher(config)
    await publisher.start()
    await asyncio.gather(*(publisher.publish(message(n, key=f"key-{n % 10}")) for n in range(40)))
    await publisher.close()
    members: list[KafkaConsumer] = []

    async def join() -> KafkaConsumer:
        members.append(KafkaConsumer(config))
        await members[-1].start()
        return members[-1]

    yield join
    for member in members:
        await member.close()


async def test_a_paused_consumer_takes_nothing_and_stays_a_member(
    group: Callable[[], Awaitable[KafkaConsumer]],
) -> None:
    consumer = await group()
    got = await poll_until(consumer, 1)
    consumer.pause()
    for _ in range(3):
        assert await consumer.poll(0.2) == []
    assert consumer.healthy() is None and consumer.owns(got[0])
    consumer.resume()
    assert len(got) + len(await poll_until(consumer, 40 - len(got))) == 40


async def test_what_was_polled_is_settled_before_its_partitions_go_to_another(
    group: Callable[[], Awaitable[KafkaConsumer]],
) -> None:
    first = await group()
    got = await poll_until(first, 40)
    settled = asyncio.Event()

    async def settle() -> None:
        await asyncio.sleep(0.2)
        await first.confirm(got)
        settled.set()

    first.before_revoke(settle)
    joining = asyncio.create_task(group())
    async with asyncio.timeout(60):
        while not settled.is_set():
            await first.poll(0.1)
        second = await joining
        while second.healthy() is not None:
            await asyncio.gather(first.poll(0.1), second.poll(0.1))
    assert not any(first.owns(delivery) for delivery in got), "a claim ends with its assignment"
    async with asyncio.timeout(10):
        again = [*await first.poll(1.0), *await second.poll(1.0)]
    assert again == [], "what was settled comes to nobody again"
    await first.confirm(got)  # of no effect, and no error: the partitions have another owner


async def test_a_rebalance_that_fails_is_no_secret(group: Callable[[], Awaitable[KafkaConsumer]]) -> None:
    first = await group()
    await poll_until(first, 1)

    async def settle() -> None:
        raise RuntimeError("out of order")

    first.before_revoke(settle)
    joining = asyncio.create_task(group())
    with pytest.raises(BusError, match="out of order"):
        async with asyncio.timeout(60):
            while True:
                await first.poll(0.1)
    await first.close()
    await joining
