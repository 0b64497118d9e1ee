"""Roll up long series, part by part of `points`, without the writer's taking part.

A part never changes, so its roll-ups are computed once, and are right while the part exists. The readers of curves
trust the roll-ups of parts that exist, and read the points of all others. Nothing waits for this task, and several
services may run it at once: they compute the same rows. A row of `rolled_series` is written after the roll-ups that it
announces.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.service.metrics import Metrics
from runstream_query.base.storage import Storage
from runstream_query.curves.rollups.resolutions import COARSER_BITS, by_run_and_width, widths_for

LOG = structlog.get_logger()
MIN_POINTS = 32_768
"""How many points a series must have in a part: a shorter one is read in a millisecond."""
_SETTLED_S = 5
_PARTS_AT_ONCE = 16
_SERIES_AT_ONCE = 200
_DEAD_FOR_S = 600.0
"""How many seconds after a part its roll-ups are removed: a request that began with the part has long ended by then."""
_ONE_THREAD = {"max_threads": 1, "max_execution_time": 600, "optimize_aggregation_in_order": 1}


class RollupKeeper:
    def __init__(
        self,
        storage: Storage,
        metrics: Metrics,
        every_s: float,
        min_points: int = MIN_POINTS,
        settled_s: int = _SETTLED_S,
    ) -> None:
        """Look for new parts every `every_s` seconds; a part must be `settled_s` seconds old."""
        self._storage = storage
        self._metrics = metrics
        self._every_s = every_s
        self._min_points = min_points
        self._settled_s = settled_s
        self._dead_since: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                while await self.roll():
                    pass
                await self.forget()
            except StorageError as error:
                LOG.warning("roll-ups wait", reason=str(error))

    async def roll(self) -> int:
        """Roll up some parts that were not looked at yet; return how many. Raise StorageError."""
        parts = await self._storage.rows(
            "parts_to_roll", min_rows=self._min_points, settled_s=self._settled_s, limit=_PARTS_AT_ONCE
        )
        for row in parts:
            started = time.monotonic()
            series = await self._roll_part(row["name"])
            self._metrics.counter("runstream_query_parts_rolled_total").inc()
            self._metrics.histogram("runstream_query_roll_seconds").observe(time.monotonic() - started)
            LOG.debug("part rolled up", part=row["name"], rows=row["rows"], series=series)
        return len(parts)

    async def forget(self) -> int:
        """Remove the roll-ups of parts that are long gone; return of how many parts. Raise StorageError."""
        dead = {row["part"] for row in await self._storage.rows("rolled_dead", limit=10_000)}
        now = time.monotonic()
        self._dead_since = {part: self._dead_since.get(part, now) for part in dead}
        gone = sorted(part for part, since in self._dead_since.items() if now - since >= _DEAD_FOR_S)
        if gone:
            for table in ("rolled_series", "rollups", "rolled_parts"):
                await self._storage.execute(f"forget_{table}", parts=gone)
        return len(gone)

    async def _roll_part(self, part: str) -> int:
        """Roll up the long series of a part; return how many there are. Raise StorageError."""
        series = await self._storage.rows("long_series", settings=_ONE_THREAD, part=part, min_points=self._min_points)
        for (project, run, bits), members in by_run_and_width(series):
            for start in range(0, len(members), _SERIES_AT_ONCE):
                await self._roll_series(part, project, run, bits, members[start : start + _SERIES_AT_ONCE])
        await self._storage.execute("mark_rolled", part=part)
        return len(series)

    async def _roll_series(self, part: str, project: str, run: str, bits: int, members: list[Any]) -> None:
        def named(rows: list[Any], bits: int) -> dict[str, Any]:
            series = [(row["metric"], row["rank"]) for row in rows]
            return {"part": part, "project": project, "run": run, "series": series, "bits": bits}

        await self._storage.execute("roll", settings=_ONE_THREAD, **named(members, bits))
        longer, level = members, 1
        while longer := [row for row in longer if len(widths_for(bits, row["points"])) > level]:
            finer = named(longer, bits + COARSER_BITS * (level - 1))
            await self._storage.execute("roll_coarser", settings=_ONE_THREAD, **finer, more=COARSER_BITS)
            level += 1
        await self._storage.execute(
            "mark_series",
            part=part,
            project=project,
            run=run,
            widths=[widths_for(bits, row["points"]) for row in members],
            month=members[0]["month"],
            metrics=[row["metric"] for row in members],
            ranks=[row["rank"] for row in members],
            first_steps=[row["first_step"] for row in members],
            last_steps=[row["last_step"] for row in members],
            counts=[row["points"] for row in members],
        )
