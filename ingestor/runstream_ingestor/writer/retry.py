"""The writer's one retry loop, and what happens between two attempts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from runstream_common.bus.protocol import Consumer, Delivery, PoisonDelivery
from runstream_common.clickhouse.client import StorageUnavailableError
from runstream_common.service.logging import limited_warning
from runstream_ingestor.writer.instruments import WriterInstruments

LOG = structlog.get_logger()
RETRY_MIN_S, RETRY_MAX_S = 0.1, 5.0
_T = TypeVar("_T")
OnRetry = Callable[[Exception], Awaitable[None]]
"""A function that is called before a retry. It raises where there should be no retry."""


class AbandonedError(Exception):
    """All partitions of a flush were taken away before it could be stored: their next owner stores it."""


def is_storage_unavailable(error: Exception) -> bool:
    return isinstance(error, StorageUnavailableError)


async def retry_until_done(
    act: Callable[[], Awaitable[_T]],
    on_retry: OnRetry,
    may_pass: Callable[[Exception], bool] = is_storage_unavailable,
) -> _T:
    """Return the result of `act`. While it raises errors that `may_pass`, call it again, after a growing delay.

    Raise what `on_retry` raises, and any other error of `act`.
    """
    delay = RETRY_MIN_S
    while True:
        try:
            return await act()
        except Exception as error:
            if not may_pass(error):
                raise
            await on_retry(error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)


class RetryMonitor:
    """Count and log retries, and end those whose deliveries belong to another writer by now."""

    def __init__(self, consumer: Consumer, instruments: WriterInstruments) -> None:
        self._consumer = consumer
        self._instruments = instruments
        self.last_retry = time.monotonic()

    def of(self, deliveries: Sequence[Delivery | PoisonDelivery]) -> OnRetry:
        """Return the function to call before each retry of an operation on these deliveries.

        It raises AbandonedError when none of them belongs to this writer any more.
        """
        return partial(self._before_retry, deliveries)

    async def _before_retry(self, deliveries: Sequence[Delivery | PoisonDelivery], error: Exception) -> None:
        self._instruments.retried()
        limited_warning(LOG, "storing failed, and is tried again with the same bytes", 5.0, error=str(error))
        self.last_retry = time.monotonic()
        if not any(self._consumer.owns(delivery) for delivery in deliveries):
            raise AbandonedError
