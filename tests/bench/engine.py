"""What the engine can do: Arrow inserts of the same kind of rows, prepared beforehand, straight into ClickHouse."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pyarrow as pa

from runstream_common.clickhouse.client import ArrowInserter
from tests.bench.load import rows_of

ROWS = 500_000
TABLE = "engine_limit"


async def engine_points_per_s(client: Any, insert: ArrowInserter, metrics: int, points: int, at_once: int) -> float:
    """`points` rows into an empty copy of `points`, `at_once` inserts at a time: merges of as many rows included."""
    await client.command(f"DROP TABLE IF EXISTS {TABLE} SYNC")
    await client.command(f"CREATE TABLE {TABLE} AS points")
    bodies = [arrow_body(metrics, index) for index in range(max(points // ROWS, 1))]
    columns = list(pa.ipc.open_stream(bodies[0]).schema.names)
    gate = asyncio.Semaphore(at_once)

    async def one(body: bytes) -> None:
        async with gate:
            await insert(TABLE, columns, body, "")

    started = time.monotonic()
    await asyncio.gather(*(one(body) for body in bodies))
    seconds = time.monotonic() - started
    await client.command(f"DROP TABLE {TABLE} SYNC")
    return len(bodies) * ROWS / seconds


def arrow_body(metrics: int, index: int) -> bytes:
    """ROWS points of four ranks, metric by metric, as the writer sends them."""
    ranks = 4
    steps = ROWS // metrics // ranks
    values = np.array([list(row.values()) for row in rows_of(metrics, 500, index)])
    curve = np.resize(values, (steps, metrics)).T.ravel()
    step = np.arange(index * steps, (index + 1) * steps, dtype=np.int64)
    count = metrics * steps * ranks
    names = pa.array([f"train/metric_{number:03d}" for number in range(metrics)])
    metric = np.tile(np.repeat(np.arange(metrics, dtype=np.int32), steps), ranks)
    constant = pa.array(np.zeros(count, dtype=np.int32))
    all_steps = np.tile(step, metrics * ranks)
    table = pa.table(
        {
            "project": pa.DictionaryArray.from_arrays(constant, pa.array(["main/bench"])),
            "run": pa.DictionaryArray.from_arrays(constant, pa.array(["engine"])),
            "metric": pa.DictionaryArray.from_arrays(pa.array(metric), names),
            "rank": pa.array(np.repeat(np.arange(ranks, dtype=np.uint32), metrics * steps)),
            "step": pa.array(all_steps),
            "value": pa.array(np.tile(curve, ranks)),
            "time": pa.array(1_790_000_000_000_000 + all_steps * 1000).cast(pa.timestamp("us", "UTC")),
            "version": pa.array((1 << 40) + all_steps.astype(np.uint64)),
            "run_month": pa.array(np.full(count, 20_000, dtype=np.int32)).cast(pa.date32()),
        }
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")  # as the writer does: the faster way here
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
