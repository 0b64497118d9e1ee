"""Batches into ClickHouse by the writer's own parts, without a gateway: any attempt, number and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runstream_common.bus.protocol import BusMessage, Delivery, Origin, Position
from runstream_common.clickhouse.client import ArrowInserter
from runstream_common.times import now_us
from runstream_ingestor.writer.decode import DecodedBatch, decode
from runstream_ingestor.writer.flush import prepare, store
from runstream_ingestor.writer.replacement_tracker import ClickHouseReplacementTracker
from runstream_proto.v1 import ingest_pb2 as pb

NOW_US = 1_790_000_000_000_000


class Attempt:
    """One process's stream of a run: numbers its records and batches."""

    def __init__(
        self, team: str, project: str, run: str, epoch: int = 1, rank: int = 0, created_us: int = NOW_US
    ) -> None:
        """`created_us`: of the run; where the control database knows it, what it says."""
        self.created_us = created_us
        self.place = (team, project, run)
        self.epoch, self.rank = epoch, rank
        self.records = 0
        self.batches = 0

    def start(self, world_size: int = 1) -> DecodedBatch:
        def fill(record: pb.Record) -> None:
            record.start.world_size = world_size

        return self.document(fill)

    def finish(self) -> DecodedBatch:
        def fill(record: pb.Record) -> None:
            record.finish.outcome = pb.StreamFinish.OUTCOME_FINISHED
            record.finish.records = self.records

        return self.document(fill)

    def document(self, *fills: Callable[[pb.Record], Any]) -> DecodedBatch:
        """A batch of records that are no points."""
        made = self._batch(len(fills), 0)
        for number, fill in enumerate(fills):
            fill(made.records.add(number=made.first_record + number, time_us=NOW_US + self.records))
        return self._decoded(made)

    def points(self, values: dict[str, Sequence[float]], steps: Sequence[int]) -> DecodedBatch:
        """A batch of rows: a value a step for each metric."""
        made = self._batch(len(steps), len(values) * len(steps))
        differences = np.diff(np.array(steps, dtype="<i8"))
        frame = made.frames.add(
            keys=list(values),
            rows=len(steps),
            first_step=steps[0],
            step_deltas=differences.astype("<i8").tobytes(),
            first_time_us=NOW_US,
            time_deltas=bytes(len(steps) - 1),
            first_number=made.first_record,
            values=np.array(list(values.values()), dtype="<f8").T.tobytes(),
        )
        assert frame.rows == len(steps)
        return self._decoded(made)

    def _batch(self, records: int, points: int) -> pb.Batch:
        team, project, run = self.place
        self.batches += 1
        made = pb.Batch(
            format=1,
            writer_id=self.writer,
            rank=self.rank,
            first_record=self.records + 1,
            last_record=self.records + records,
            points=points,
        )
        made.run.team, made.run.project, made.run.run = team, project, run
        self.records += records
        return made

    def _decoded(self, made: pb.Batch) -> DecodedBatch:
        who = (self.writer, self.rank, self.epoch, self.created_us, "user", self.batches)
        origin = Origin(*self.place, *who, 0, now_us())
        return decode(Delivery(BusMessage("key", made.SerializeToString(), origin), Position("topic", 0, self.batches)))

    @property
    def writer(self) -> str:
        return f"writer-{self.epoch:04d}"


async def put(client: Any, *batches: DecodedBatch) -> None:
    """As one flush."""

    async def give_up(error: Exception) -> None:
        raise error

    replaced = await ClickHouseReplacementTracker(client).notes(batches, give_up)
    await store(prepare(batches, replaced), ArrowInserter(client, tokens=False), give_up)
