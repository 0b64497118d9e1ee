"""Note in ClickHouse until when everything that the bus accepted is stored, and since when there was no gap.

This runs beside the writer's loop. Its errors are logged, and neither stop nor delay the writer.
`runstream_common.listening` explains how the query service uses the notes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from runstream_common.bus.protocol import Consumer, Horizon
from runstream_common.clickhouse.client import classify
from runstream_common.clickhouse.interface import ClickHouseClient, Row
from runstream_common.listening import TABLE, VIEWS_CRASH_AFTER_US, Mark, Period, shortened, silent_before
from runstream_common.service.logging import limited_warning
from runstream_common.sql_files import read_sql
from runstream_common.times import from_us, now_us

LOG = structlog.get_logger()
_SQL = Path(__file__).parent / "sql"
_OBSERVE_EVERY_S = 1.0
_WRITE_EVERY_S = 5.0
_CLOCKS_US = 2_000_000
"""How far the clocks of gateway and writer may differ, and how long a batch may travel between them."""
_GAP_US = 60_000_000
"""A partition that was behind for longer than this counts as not listened to."""
_STALL_US = 15_000_000
"""When this process stood still for longer than this (SIGSTOP, a machine that slept), so did a gateway in it."""
SETTLE_US = 30_000_000
"""The time after a break until all running senders have been heard.

A sender tries again after 10 s at most, and sends a heartbeat every 15 s.
"""
_COLUMNS = ("bus", "part", "parts", "until", "began", "ended", "silent_before", "version")
_Key = tuple[str, int]


class PartitionHistory:
    """One claim of a partition: until when it is stored, and in which periods it was listened to."""

    def __init__(self, claim: int, before: Sequence[Period] = (), version: int = 0) -> None:
        """Make the history of a claim.

        `before` are the periods that other claims noted, in order. `version` is the version of their row.
        """
        self.claim = claim
        self.version = version
        self.until_us: int | None = None
        self.written_us: int | None = None
        self._before = tuple(before)
        self._opens_us: int | None = None
        self._awaited: tuple[int, int] | None = None
        """An end of the partition, and the moment at which it was the end.

        The moment is reached when everything before this end is stored. Under load the newest end is never reached,
        because something always waits.
        """

    def observe(self, horizon: Horizon) -> None:
        if self._awaited is None:
            self._awaited = horizon.end, horizon.at_us - _CLOCKS_US
        end, at_us = self._awaited
        if horizon.stored >= end:
            self._awaited = None
            self._reach(at_us)

    def interrupt(self) -> None:
        """Begin a new period with what comes next."""
        self._before, self._opens_us, self._awaited = self.periods(), None, None

    def periods(self) -> tuple[Period, ...]:
        if self._opens_us is None or self.until_us is None or self.until_us < self._opens_us:
            return self._before
        return shortened((*self._before, (self._opens_us, self.until_us)))

    def _reach(self, at_us: int) -> None:
        if self.until_us is not None and not self.until_us - _GAP_US <= at_us <= self.until_us + _GAP_US:
            self.interrupt()
        elif self.until_us is not None and at_us <= self.until_us:
            return
        if self._opens_us is None:
            self._before = clipped(self._before, at_us)
            self._opens_us = at_us + SETTLE_US if self._before else at_us
        self.until_us = at_us


class ListeningRecorder:
    """Observe the bus, and note what is stored. `run()` runs until it is cancelled, and raises nothing else."""

    def __init__(self, client: ClickHouseClient, consumer: Consumer) -> None:
        self._client = client
        self._consumer = consumer
        self._partitions: dict[_Key, PartitionHistory] = {}
        self._horizons: dict[_Key, Horizon] = {}
        self._observed_us = now_us()

    async def run(self) -> None:
        await asyncio.gather(self._observe_forever(), self._write_forever())

    async def _observe_forever(self) -> None:
        while True:
            try:
                self._observe()
            except Exception as error:  # noqa: BLE001  # storing goes on without marks
                limited_warning(LOG, "the stored position of the bus could not be read", 60.0, error=repr(error))
            await asyncio.sleep(_OBSERVE_EVERY_S)

    def _observe(self) -> None:
        now = now_us()
        if abs(now - self._observed_us) > _STALL_US:
            for known in self._partitions.values():
                known.interrupt()
        self._observed_us = now
        self._horizons = {(horizon.bus, horizon.partition): horizon for horizon in self._consumer.horizons()}
        for key, horizon in self._horizons.items():
            if (partition := self._partitions.get(key)) is not None and partition.claim == horizon.claim:
                partition.observe(horizon)

    async def _write_forever(self) -> None:
        written = float("-inf")
        while True:
            try:
                await self._take_over()
                if time.monotonic() - written >= _WRITE_EVERY_S and await self._write():
                    written = time.monotonic()
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                # Nobody cancels this task: it came out of the driver, as of a connection that was given up.
            except Exception as error:  # noqa: BLE001  # as above
                limited_warning(LOG, "the listening marks could not be written", 60.0, error=repr(error))
            await asyncio.sleep(_OBSERVE_EVERY_S)

    async def _take_over(self) -> None:
        """Read the notes about partitions that are new in this process. Raise StorageError."""
        for key in set(self._partitions) - set(self._horizons):
            del self._partitions[key]
        new = {
            key: horizon
            for key, horizon in self._horizons.items()
            if key not in self._partitions or self._partitions[key].claim != horizon.claim
        }
        if new:
            known = {(mark.bus, mark.partition): (mark, version) for mark, version in await read(self._client)}
            for key, horizon in new.items():
                mark, version = known.get(key, (None, 0))
                self._partitions[key] = PartitionHistory(horizon.claim, mark.periods if mark else (), version)

    async def _write(self) -> bool:
        """Write the notes, and return whether there were any. Raise StorageError."""
        rows: list[Row] = []
        written: list[tuple[PartitionHistory, int, int]] = []
        for key, partition in self._partitions.items():
            until, periods = partition.until_us, partition.periods()
            silent = silent_before(periods, VIEWS_CRASH_AFTER_US)
            if key in self._horizons and silent is not None and until is not None and until != partition.written_us:
                version = max(now_us(), partition.version + 1)
                began, ended = [[from_us(moment) for moment in side] for side in zip(*periods, strict=True)]
                parts = self._horizons[key].partitions
                rows.append((*key, parts, from_us(until), began, ended, from_us(silent), version))
                written.append((partition, until, version))
        if rows:
            try:
                await self._client.insert(TABLE, rows, column_names=_COLUMNS, settings={"async_insert": 0})
            except Exception as error:
                raise classify(error) from error
            for partition, until, version in written:
                partition.written_us, partition.version = until, version
        return bool(rows)


async def read(client: ClickHouseClient) -> list[tuple[Mark, int]]:
    """Return what is noted of each partition of each bus, and the version of its row. Raise StorageError."""
    try:
        rows = (await client.query(read_sql(_SQL, "listening_marks"))).result_rows
    except Exception as error:
        raise classify(error) from error
    return [
        (Mark(bus, part, parts, until, tuple(zip(began, ended, strict=True))), version)
        for bus, part, parts, until, began, ended, version in rows
    ]


def clipped(periods: Sequence[Period], now_us: int) -> tuple[Period, ...]:
    """Return the periods without what lies after `now_us`: a clock that was ahead noted it."""
    return tuple((began, min(ended, now_us)) for began, ended in periods if began < now_us)
