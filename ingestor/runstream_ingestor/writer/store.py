"""One flush: decoded batches into ClickHouse, in the order that makes the ledger true."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from runstream_common.clickhouse import StorageUnavailableError
from runstream_common.times import from_us, now_us
from runstream_ingestor.writer import documents, tables
from runstream_ingestor.writer.columns import points_table, series_table
from runstream_ingestor.writer.decode import Block, Decoded

RETRY_MIN_S, RETRY_MAX_S = 0.1, 5.0
_IPC = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
"""Steps, times and versions repeat for every metric of a row: 52 bytes a point become 9, in 8 ns (measured), and
that is what then goes through two HTTP stacks."""


class Inserter(Protocol):
    """Puts one Arrow stream into one table."""

    async def __call__(self, table: str, columns: Sequence[str], data: bytes) -> None:
        """Return when it is stored. Raises StorageUnavailableError (unknown whether stored: send the same again) or
        StorageRefusedError (never will be)."""
        ...


@dataclass(frozen=True, slots=True)
class Insert:
    """Bytes for one table, made once: an ambiguous insert is repeated with the same bytes."""

    table: str
    columns: tuple[str, ...]
    data: bytes
    rows: int


@dataclass(slots=True)
class Flush:
    """What is inserted together."""

    batches: list[Decoded]
    inserts: list[Insert] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(block.points for decoded in self.batches for block in decoded.blocks)


def prepare(batches: Sequence[Decoded]) -> Flush:
    """Turn batches into inserts: points, series, documents, rejects, and the ledger last."""
    flush = Flush(list(batches))
    blocks: list[Block] = [block for decoded in batches for block in decoded.blocks]
    if blocks:
        flush.inserts += [to_insert("points", points_table(blocks)), to_insert("series", series_table(blocks))]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    written = from_us(now_us())
    for decoded in batches:
        if decoded.batch.records:
            for table, found in documents.document_rows(decoded).items():
                rows[table] += found
        rows["rejects"] += documents.reject_rows(decoded, written)
        if decoded.batch.last_record >= decoded.batch.first_record:
            rows["ledger"].append(documents.ledger_row(decoded, written))
    flush.inserts += [to_insert(name, tables.to_table(name, rows[name])) for name in tables.ORDER if rows[name]]
    return flush


async def store(flush: Flush, insert: Inserter, on_retry: Callable[[Exception], Awaitable[None]]) -> float:
    """Insert everything, one table after the other; an insert whose outcome is unknown is repeated with the same
    bytes until it succeeds. Returns the seconds it took.

    Raises StorageRefusedError when the engine will never take one of them: what came before it stays stored, and
    storing it again does no harm.
    """
    started = time.monotonic()
    for one in flush.inserts:
        delay = RETRY_MIN_S
        while True:
            try:
                await insert(one.table, one.columns, one.data)
                break
            except StorageUnavailableError as error:
                await on_retry(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
    return time.monotonic() - started


def to_insert(table: str, arrow: Any) -> Insert:
    """An Arrow table as the bytes of an insert."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema, options=_IPC) as stream:
        stream.write_table(arrow)
    return Insert(table, tuple(arrow.schema.names), sink.getvalue().to_pybytes(), arrow.num_rows)
