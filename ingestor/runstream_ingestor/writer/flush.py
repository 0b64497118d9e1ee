"""One flush: insert decoded batches into ClickHouse, in the order that makes the ledger true."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Protocol

import pyarrow as pa

from runstream_common.clickhouse.client import StorageRefusedError, StorageUnavailableError
from runstream_common.service.failpoints import InjectedFaultError, passage
from runstream_common.times import from_us, now_us
from runstream_ingestor.writer import arrow_schemas, document_rows, ledger_rows
from runstream_ingestor.writer.decode import DecodedBatch, PointBlock
from runstream_ingestor.writer.point_tables import points_table, series_table
from runstream_ingestor.writer.retry import OnRetry, retry_until_done

_IPC = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
"""Steps, times and versions repeat for every metric of a row.

Compression makes 9 of the 52 bytes of a point, in 8 ns (measured), and two HTTP stacks then carry only these.
"""
_ALONE = ("replaced_points", "points", "series", "ledger")
"""Tables whose inserts begin when all before them are stored, and end before any after them begins."""
_AT_ONCE = 3
"""Inserts of documents of one flush at once.

Each is a round trip, and on a busy server a round trip is mostly waiting. The embedded engine has 8 threads for all.
"""


class InsertFailedError(Exception):
    """An insert ended in an exception that does not say what caused it.

    The cause may be the batches, the storage or the driver.
    """


class Inserter(Protocol):
    """A function that inserts one Arrow stream into one table."""

    async def __call__(self, table: str, columns: Sequence[str], data: bytes, token: str) -> None:
        """Return when the data are stored.

        Raise StorageUnavailableError when it is unknown whether they are stored (send the same again), or
        StorageRefusedError when they never will be. By its `token` the engine may recognise a repetition; it may be
        empty.
        """
        ...


@dataclass(frozen=True, slots=True)
class Insert:
    """The bytes for one table, made once: an ambiguous insert is repeated with the same bytes."""

    table: str
    columns: tuple[str, ...]
    data: bytes
    rows: int
    token: str = ""
    """The token saves work when the same is sent again; correctness does not depend on it."""


@dataclass(slots=True)
class Flush:
    """The inserts that are stored together, and their batches."""

    batches: list[DecodedBatch]
    inserts: list[Insert] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(block.points for decoded in self.batches for block in decoded.blocks)


def prepare(batches: Sequence[DecodedBatch], replaced: Sequence[Mapping[str, object]], ledger: bool = True) -> Flush:
    """Turn batches into inserts.

    The order is: the rows of points that lose because of these batches, points, series, documents, rejects, and the
    ledger last. `replaced` are rows of `replaced_points`. Without the ledger no run can be proved complete.

    Raise whatever exception a batch causes: the caller finds out which batch it is.
    """
    flush = Flush(list(batches))
    if replaced:
        # These come before the points: once the points are there, the engine may forget the rows that they replace.
        flush.inserts.append(to_insert("replaced_points", arrow_schemas.to_table("replaced_points", replaced)))
    blocks: list[PointBlock] = [block for decoded in batches for block in decoded.blocks]
    if blocks:
        origin = _positions(batches)
        flush.inserts += [
            to_insert("points", points_table(blocks), origin),
            to_insert("series", series_table(blocks), origin),
        ]
    rows: document_rows.Rows = defaultdict(list)
    written = from_us(now_us())
    for decoded in batches:
        passage("writer.prepare", decoded.delivery.message.origin.run)
        own = document_rows.document_rows(decoded) if decoded.batch.records else {}
        own = {**own, "rejects": ledger_rows.reject_rows(decoded, written)}
        for table, found in own.items():
            rows[table] += found
        if ledger and decoded.batch.last_record >= decoded.batch.first_record:
            rows["ledger"].append(ledger_rows.ledger_row(decoded, own, written))
    flush.inserts += [
        to_insert(name, arrow_schemas.to_table(name, rows[name])) for name in arrow_schemas.ORDER if rows[name]
    ]
    return flush


async def store(flush: Flush, insert: Inserter, on_retry: OnRetry) -> float:
    """Insert everything in the order of `prepare`, documents side by side. Return the seconds it took.

    An insert whose outcome is unknown is repeated with the same bytes until it succeeds. Raise StorageRefusedError when
    the engine will never accept one of the inserts, and InsertFailedError when the cause of a failure is unknown. The
    inserts before it, and beside it, stay stored, and storing them again does no harm.
    """
    started = time.monotonic()
    passage("writer.before_send")
    for alone, inserts in groupby(flush.inserts, key=lambda one: one.table if one.table in _ALONE else ""):
        if alone in ("points", "ledger"):
            passage(f"writer.before_{alone}")
        acts = [partial(_insert_once, one, flush.batches, insert) for one in inserts]
        await _all_done([partial(retry_until_done, act, on_retry) for act in acts])
    return time.monotonic() - started


async def _all_done(acts: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Do all of these, some at once. Raise the first exception, when none of them is under way any more."""
    if len(acts) == 1:
        await acts[0]()
        return
    places = asyncio.Semaphore(_AT_ONCE)

    async def take_place(act: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await act()

    results = await asyncio.gather(*map(take_place, acts), return_exceptions=True)
    for result in results:
        if result is not None:
            raise result


async def _insert_once(one: Insert, batches: Sequence[DecodedBatch], insert: Inserter) -> None:
    """Insert one table's rows. Raise StorageUnavailableError, StorageRefusedError or InsertFailedError."""
    try:
        for decoded in batches:
            passage("writer.insert", decoded.delivery.message.origin.run)
        await insert(one.table, one.columns, one.data, one.token)
        passage("writer.insert_applied")  # the insert was applied, and its answer is lost
    except InjectedFaultError as error:
        raise StorageUnavailableError(str(error)) from error
    except (StorageUnavailableError, StorageRefusedError):
        raise
    except Exception as error:
        raise InsertFailedError(f"{one.table}: {describe_error(error)}") from error
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        # Nobody cancels this task: the driver raised it, for example when it gave a connection up.
        raise InsertFailedError(f"{one.table}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Return an exception as one sentence that can be stored.

    The message of an exception may be no valid text, or not even a text.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # an exception's own
        message = "the exception has no message"
    return f"{type(error).__name__}: {message}".encode("utf-8", "backslashreplace").decode()[:1024]


def to_insert(table: str, arrow: pa.Table, origin: str = "") -> Insert:
    """Return the bytes of an insert of an Arrow table. `origin` says where its rows come from, for the token."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema, options=_IPC) as stream:
        stream.write_table(arrow)
    data = sink.getvalue().to_pybytes()
    # The token covers the contents: a topic that was made anew has the same offsets, but other batches.
    token = hashlib.blake2b(origin.encode() + data, digest_size=16).hexdigest() if origin else ""
    return Insert(table, tuple(arrow.schema.names), data, arrow.num_rows, token)


def _positions(batches: Sequence[DecodedBatch]) -> str:
    """Return `topic/partition/first-last` of each partition among the batches."""
    ranges: dict[tuple[str, int], tuple[int, int]] = {}
    for decoded in batches:
        position = decoded.delivery.position
        first, last = ranges.get((position.topic, position.partition), (position.offset, position.offset))
        ranges[position.topic, position.partition] = min(first, position.offset), max(last, position.offset)
    return "+".join(f"{topic}/{part}/{low}-{high}" for (topic, part), (low, high) in sorted(ranges.items()))
