"""Read the new rows of a run that are not superseded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from runstream_proto.v1 import live_pb2 as pb
from runstream_proto.v1 import rich_pb2 as rich
from runstream_query.base.storage import Storage
from runstream_query.live import limits
from runstream_query.live.arrivals import Arrival, PointsQuery, queries_of, ranges_of
from runstream_query.live.entry import FeedEntry, Piece
from runstream_query.live.interest import Wanted
from runstream_query.rich.console import ConsoleLine, console_row
from runstream_query.rich.rich_keys import KINDS


class PollOverflowError(Exception):
    """More data arrived than one poll may push; the message names it."""


class Collector:
    """Reads what arrived into an entry. Each method raises StorageError, PollOverflowError."""

    def __init__(self, storage: Storage, project: str) -> None:
        self._storage = storage
        self._project = project

    async def collect(self, run: str, arrivals: Sequence[Arrival], wanted: Wanted) -> FeedEntry:
        entry = FeedEntry()
        with_points = [one for one in arrivals if one.points]
        with_documents = ranges_of(one for one in arrivals if one.documents)
        if with_points and (wanted.metrics or wanted.pattern):
            for query in queries_of(ranges_of(with_points), by_step=True):
                await self._points(entry, run, query, wanted)
        for query in queries_of(with_documents, by_step=False):
            await self._records(entry, run, query)
            if wanted.console:
                await self._console(entry, run, query, wanted)
        return entry

    async def _points(self, entry: FeedEntry, run: str, query: PointsQuery, wanted: Wanted) -> None:
        low, high = query.steps
        columns = await self._storage.columns(
            "live_points",
            project=self._project,
            run=run,
            metrics=list(wanted.metrics),
            pattern=wanted.pattern,
            ranks=query.ranks,
            min_step=low,
            max_step=high,
            limit=limits.MAX_POINTS + 1,
            **query.parameters,
        )
        if entry.points + len(columns["step"]) > limits.MAX_POINTS:
            raise PollOverflowError(f"more than {limits.MAX_POINTS} points of {run} arrived at once")
        metrics, ranks = columns["metric"], columns["rank"]
        if not len(metrics):
            return
        edges = np.flatnonzero((metrics[1:] != metrics[:-1]) | (ranks[1:] != ranks[:-1])) + 1
        for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(metrics)], strict=True):
            # Copy: a view would keep the whole answer in memory.
            parts = (np.array(columns[name][start:end]) for name in ("step", "value", "time_us"))
            entry.pieces.append(Piece(run, str(metrics[start]), int(ranks[start]), *parts))

    async def _records(self, entry: FeedEntry, run: str, query: PointsQuery) -> None:
        rows = await self._storage.rows(
            "live_records", project=self._project, run=run, limit=limits.MAX_RECORDS + 1, **query.parameters
        )
        if len(rows) > limits.MAX_RECORDS:
            raise PollOverflowError(f"more than {limits.MAX_RECORDS} fields and alerts of {run} arrived at once")
        for row in rows:
            if row["kind"] == "alert":
                entry.alerts.append(
                    rich.AlertItem(
                        run=run,
                        rank=row["rank"],
                        level=row["detail"],
                        title=row["title"],
                        text=row["text"],
                        time_us=row["time_us"],
                        writer_id=row["name"],
                        number=row["number"],
                    )
                )
            elif row["kind"] == "field":
                entry.fields.append(
                    pb.FieldChange(
                        run=run,
                        section=row["detail"],
                        key=row["name"],
                        value_json=row["text"],
                        deleted=bool(row["number"]),
                    )
                )
            else:
                entry.keys.append(pb.KeyChange(run=run, key=row["name"], kind=KINDS[row["kind"]], step=row["step"]))

    async def _console(self, entry: FeedEntry, run: str, query: PointsQuery, wanted: Wanted) -> None:
        rows = await self._storage.rows(
            "live_console",
            project=self._project,
            run=run,
            ranks=list(wanted.console_ranks),
            low=min(one.low for one in query.ranges),
            high=max(one.high for one in query.ranges),
            limit=limits.MAX_LINES + 1,
            **query.parameters,
        )
        if len(entry.console) + len(rows) > limits.MAX_LINES:
            raise PollOverflowError(f"more than {limits.MAX_LINES} console lines of {run} arrived at once")
        entry.console.extend(console_row(run, row) for row in cast("list[ConsoleLine]", rows))
