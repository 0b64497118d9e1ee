"""Batches of the sender's own: heartbeats, lost records, and the finish record of a process that wrote none."""

from __future__ import annotations

from collections.abc import Callable

from runstream.sender.wire_time import wire_time
from runstream.spool.folder import StreamMeta
from runstream.spool.journal import KIND_HEARTBEAT, KIND_LOST, KIND_UNFINISHED, JournalEntry
from runstream_proto.v1 import ingest_pb2 as pb


def run_path(meta: StreamMeta) -> pb.RunPath:
    return pb.RunPath(team=meta.team, project=meta.project, run=meta.run)


def build_own_batch(
    entry: JournalEntry, meta: StreamMeta, points_before: int, dropped_points: Callable[[], int], *, lost: bool = False
) -> bytes:
    """Return the serialized Batch of a journal's entry; the same entry gives the same bytes.

    `points_before`: the stream's points before the batch. `dropped_points` reads how many points the process gave up.
    `lost`: the records of the entry are no longer there.
    """
    record = pb.Record(number=entry.last_record, time_us=wire_time(entry.time_us))
    if lost or entry.kind in (KIND_LOST, KIND_UNFINISHED):
        record.loss.points = entry.points_total - points_before
        if entry.kind == KIND_UNFINISHED:
            record.loss.cause = pb.SpoolLoss.CAUSE_UNFINISHED
        else:
            full = pb.SpoolLoss.CAUSE_SPOOL_FULL
            record.loss.cause = full if record.loss.points else pb.SpoolLoss.CAUSE_DAMAGED
    elif entry.kind == KIND_HEARTBEAT:
        # A heartbeat is no record of the run: its version is the batch number, which grows too.
        record.number = entry.number
        record.heartbeat.SetInParent()
    else:
        # A stream of the sender's own ends with the process that it watched. Any other process without a finish
        # record was killed, or ended by os._exit; so did a forked child (whose end does not end the run).
        outcome = pb.StreamFinish.OUTCOME_FINISHED if meta.system else pb.StreamFinish.OUTCOME_CRASHED
        record.finish.outcome = outcome
        record.finish.exit_code = 0 if meta.system else -1
        record.finish.points = entry.points_total
        record.finish.records = entry.last_record - 1
        record.finish.dropped_points = dropped_points()
    batch = pb.Batch(
        format=1,
        run=run_path(meta),
        writer_id=meta.writer_id,
        rank=meta.rank,
        first_record=entry.first_record,
        last_record=entry.last_record,
        records=[record],
    )
    return batch.SerializeToString(deterministic=True)
