"""Find the rows of points that lose because of a flush, before it is inserted: see decision 27.

The engine keeps the newest row of each metric, rank and step, and forgets the others when it merges. `replaced_points`
notes each forgotten row, so that a verdict knows exactly which rows must remain. A batch whose steps are above all
stored ones costs a look into a dictionary.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import structlog

from runstream_common.clickhouse.client import StorageUnavailableError, classify
from runstream_common.clickhouse.interface import ClickHouseClient, Parameters
from runstream_common.identity import full_project, run_month
from runstream_common.service.logging import limited_warning
from runstream_common.sql_files import read_sql
from runstream_common.times import from_us, now_us
from runstream_ingestor.writer.decode import DecodedBatch
from runstream_ingestor.writer.duplicate_steps import PointRows, ReplacedRows, find_replaced, stored_rows
from runstream_ingestor.writer.highest_steps import HighestSteps, RankPath, rank_path
from runstream_ingestor.writer.retry import OnRetry, retry_until_done

LOG = structlog.get_logger()
_MAX_METRICS = 1000
"""The most metrics that a query names. Above it, the query reads all metrics of the steps."""
_STEPS_AT_ONCE = 2000
_SETTINGS = {"do_not_merge_across_partitions_select_final": 1}
_SQL = Path(__file__).parent / "sql"
Row = dict[str, object]
Run = tuple[str, str, str]


class ReplacementTracker(Protocol):
    """Find the rows that batches replace."""

    def mark(self, decoded: DecodedBatch) -> None:
        """Set whether a batch may replace rows. Call this in the order in which batches are stored."""
        ...

    def forget(self) -> None:
        """Forget all marks: another writer may store the marked runs from now on."""
        ...

    async def notes(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> list[Row]:
        """Return rows of `replaced_points`, which must be stored before the batches.

        All batches that were marked before these are stored by now.
        """
        ...


class ClickHouseReplacementTracker:
    """Find replaced rows by reading ClickHouse."""

    def __init__(self, client: ClickHouseClient) -> None:
        self._client = client
        self._highest_steps = HighestSteps()

    def mark(self, decoded: DecodedBatch) -> None:
        self._highest_steps.mark(decoded)

    def forget(self) -> None:
        self._highest_steps.forget()

    async def notes(self, batches: Sequence[DecodedBatch], on_retry: OnRetry) -> list[Row]:
        """Return rows of `replaced_points`. Raise what `on_retry` raises."""
        with_points = [decoded for decoded in batches if decoded.blocks]
        asked = [decoded for decoded in with_points if decoded.may_replace]
        stored: dict[RankPath, PointRows] = {}
        if asked:
            for some in _by_run(await retry_until_done(partial(self._meeting, asked), on_retry)).values():
                stored |= await retry_until_done(partial(self._stored, some), on_retry)
        return await asyncio.to_thread(_notes, with_points, {rank_path(decoded) for decoded in asked}, stored)

    async def _meeting(self, asked: Sequence[DecodedBatch]) -> list[DecodedBatch]:
        """Return the batches without those that are known to meet no stored row.

        Raise StorageUnavailableError.
        """
        first_seen = [decoded for decoded in asked if self._highest_steps.unknown(decoded)]
        projects: dict[tuple[str, str], list[DecodedBatch]] = defaultdict(list)
        for decoded in first_seen:
            projects[rank_path(decoded)[:2]].append(decoded)
        stored: dict[RankPath, dict[str, int]] = defaultdict(dict)
        for (team, project), some in projects.items():
            table = await self._ask(
                "highest_steps",
                project=full_project(team, project),
                runs=sorted({rank_path(decoded)[2] for decoded in some}),
                low=min(map(_low, some)),
                **_scope(some),
            )
            for row in table.to_pylist():
                stored[team, project, row["run"], row["rank"]][row["metric"]] = row["top"]
        self._highest_steps.learn(first_seen, stored)
        above = {
            id(decoded)
            for decoded in first_seen
            if all(top < _low(decoded) for top in stored.get(rank_path(decoded), {}).values())
        }
        return [decoded for decoded in asked if id(decoded) not in above]

    async def _stored(self, batches: Sequence[DecodedBatch]) -> dict[RankPath, PointRows]:
        """Return the stored rows of one run that the batches may meet. Raise StorageUnavailableError."""
        team, project, run, _ = rank_path(batches[0])
        steps = np.unique(np.concatenate([block.steps for decoded in batches for block in decoded.blocks]))
        tables = [
            await self._ask(
                "stored_rows",
                project=full_project(team, project),
                run=run,
                steps=steps[start : start + _STEPS_AT_ONCE].tolist(),
                **_scope(batches),
            )
            for start in range(0, len(steps), _STEPS_AT_ONCE)
        ]
        return {(team, project, run, rank): rows for rank, rows in stored_rows(pa.concat_tables(tables)).items()}

    async def _ask(self, name: str, **parameters: object) -> pa.Table:
        """Run the query of a file; return no rows where they cannot be read. Raise StorageUnavailableError."""
        try:
            return await self._client.query_arrow(read_sql(_SQL, name), parameters=parameters, settings=_SETTINGS)
        except Exception as error:  # rows that cannot be read must not keep new ones out
            if isinstance(_classified(error), StorageUnavailableError):
                raise _classified(error) from error
            # A verdict may then report damaged or missing rows wrongly: storing the batches again repairs that.
            limited_warning(LOG, "stored rows that a batch may replace cannot be read", 10.0, error=str(error))
            return _NOTHING


_NOTHING = pa.table(
    {
        "metric": pa.array([], pa.string()),
        "rank": pa.array([], pa.uint32()),
        "step": pa.array([], pa.int64()),
        "version": pa.array([], pa.uint64()),
        "value": pa.array([], pa.float64()),
        "time_us": pa.array([], pa.int64()),
    }
)


def _classified(error: Exception) -> Exception:
    try:
        return classify(error)
    except Exception as unknown:  # noqa: BLE001  # what the driver raises beside its own kinds
        return unknown


def _scope(batches: Sequence[DecodedBatch]) -> Parameters:
    """Return the ranks and metrics of batches, as parameters of a query."""
    metrics = {key for decoded in batches for block in decoded.blocks for key in block.keys}
    return {
        "ranks": sorted({rank_path(decoded)[3] for decoded in batches}),
        "metrics": sorted(metrics) if len(metrics) <= _MAX_METRICS else [],
    }


def _by_run(batches: Sequence[DecodedBatch]) -> dict[Run, list[DecodedBatch]]:
    found: dict[Run, list[DecodedBatch]] = defaultdict(list)
    for decoded in batches:
        found[rank_path(decoded)[:3]].append(decoded)
    return found


def _low(decoded: DecodedBatch) -> int:
    return min(int(block.steps.min()) for block in decoded.blocks)


def _notes(batches: Sequence[DecodedBatch], meeting: set[RankPath], stored: Mapping[RankPath, PointRows]) -> list[Row]:
    """Return the rows of `replaced_points` for the batches.

    Batches of the ranks in `meeting` may meet each other, or stored rows. Any other batch meets only itself.
    """
    groups: dict[RankPath, list[DecodedBatch]] = defaultdict(list)
    notes: list[Row] = []
    for decoded in batches:
        if rank_path(decoded) in meeting:
            groups[rank_path(decoded)].append(decoded)
        else:
            notes += _rows([decoded], find_replaced([decoded]))
    for path, group in groups.items():
        notes += _rows(group, find_replaced(group, stored.get(path)))
    return notes


def _rows(batches: Sequence[DecodedBatch], lost: ReplacedRows) -> Iterator[Row]:
    written = from_us(now_us())
    for index, (versions, hashes) in lost.items():
        origin = batches[index].delivery.message.origin
        order = np.argsort(versions)  # the column's codec stores differences of neighbours
        versions, hashes = versions[order], hashes[order]
        note = hashlib.blake2b(versions.tobytes() + hashes.tobytes(), digest_size=8).digest()
        yield {
            "project": full_project(origin.team, origin.project),
            "run": origin.run,
            "writer": origin.writer_id,
            "batch": origin.batch_number,
            "note": int.from_bytes(note, "little"),
            "epoch": origin.epoch,
            "versions": versions,
            "hashes": hashes,
            "written": written,
            "run_month": run_month(origin.run_created_us),
        }
