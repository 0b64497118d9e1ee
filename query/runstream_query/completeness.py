"""Is everything there that the streams said they logged? The rows against the ledger, the ledger against the finish
records."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from runstream_common.clickhouse import DAMAGE_CODES, StorageRefusedError
from runstream_common.identity import LOST, SYSTEM_STREAM
from runstream_common.times import now_us
from runstream_proto.v1 import query_pb2 as pb
from runstream_query import damage
from runstream_query.documents import STATES, timestamp
from runstream_query.editing.edits import WRITER as EDITS
from runstream_query.proving import computed_by, prove
from runstream_query.storage import Storage

_OPEN_POINTS = 1_000_000
"""Of a run that is not over, no more points are checked at each look: its verdict does not depend on them."""


@dataclass(slots=True)
class Described:
    """The processes of a run, each with its completeness, and the run's as the ledger has it."""

    streams: list[pb.Stream]
    whole: pb.Completeness
    batches: dict[str, list[dict[str, Any]]]
    """The ledger, by writer."""
    known: set[str]
    """Writers that have a stream."""


async def describe_streams(storage: Storage, project: str, run: str, world_size: int, silent_us: int) -> Described:
    """`silent_us`: when a process that is running must have been heard of, microseconds since 1970."""
    rows = await storage.rows("streams", project=project, run=run, silent_us=silent_us)
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for batch in await storage.rows("ledger", project=project, run=run):
        batches[batch["writer"]].append(batch)
    losses: dict[str, dict[int, int]] = defaultdict(dict)
    for loss in await storage.rows("losses", project=project, run=run, prefix=LOST):
        losses[loss["writer"]][loss["batch"]] = loss["points"]
    streams = [_stream(row, batches[row["writer"]], losses[row["writer"]]) for row in rows]
    whole = pb.Completeness(
        **{
            name: sum(getattr(stream.completeness, name) for stream in streams)
            for name in ("points_logged", "points_received", "points_rejected", "points_dropped")
        },
    )
    for stream in streams:
        whole.missing.extend(stream.completeness.missing)
    # What the node's sender still samples or reads of the console keeps nobody waiting.
    verdicts = {
        stream.completeness.verdict
        for stream, row in zip(streams, rows, strict=True)
        if row["helper"] != SYSTEM_STREAM or stream.completeness.verdict != pb.Completeness.VERDICT_OPEN
    }
    ranks = {stream.rank for stream, row in zip(streams, rows, strict=True) if not row["helper"]}
    if len(ranks) < world_size:
        whole.findings.append(f"{len(ranks)} of {world_size} ranks {'has' if len(ranks) == 1 else 'have'} reported")
    if pb.Completeness.VERDICT_OPEN in verdicts or len(ranks) < world_size:
        whole.verdict = pb.Completeness.VERDICT_OPEN
    elif pb.Completeness.VERDICT_INCOMPLETE in verdicts:
        whole.verdict = pb.Completeness.VERDICT_INCOMPLETE
    else:
        whole.verdict = pb.Completeness.VERDICT_COMPLETE
    return Described(streams, whole, batches, {row["writer"] for row in rows} | {EDITS})


async def judge(storage: Storage, project: str, run: str, described: Described) -> pb.Completeness:
    """Return the run's completeness, judged by the rows that are there. Reads all of them."""
    whole, batches = described.whole, described.batches
    whole.computed.FromMicroseconds(now_us())
    whole.computed_by = computed_by()
    unknown = batches.keys() - described.known
    damages = [f"batches of writer {writer} are in the ledger, its start is not stored" for writer in unknown]
    notes: list[str] = []
    try:
        if whole.verdict == pb.Completeness.VERDICT_OPEN and whole.points_received > _OPEN_POINTS:
            whole.points_stored = (await storage.rows("points_stored", project=project, run=run))[0]["points"]
            whole.findings.extend([*damages, "the rows of this run are checked when it has ended"])
            return whole
        proof = await prove(storage, project, run, [batch for found in batches.values() for batch in found])
        whole.points_stored = whole.rows_counted = proof.counted
        whole.rows_proved = proof.proved
        damages += proof.damages
        notes += proof.notes
    except StorageRefusedError as error:
        if error.code not in DAMAGE_CODES:
            raise
        damages.append(damage.sentence(error))
    if damages:
        notes += await damage.detached(storage)
        # A running process may have rows whose batch is not in the ledger yet.
        if whole.verdict != pb.Completeness.VERDICT_OPEN:
            whole.verdict = pb.Completeness.VERDICT_DAMAGED
    whole.findings.extend([*damages, *notes])
    return whole


def gaps(ranges: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """What of 1..last the ranges (inclusive, sorted by their start) do not cover."""
    missing, expected = [], 1
    for first, end in ranges:
        if first > expected:
            missing.append((expected, min(first - 1, last)))
        expected = max(expected, end + 1)
        if expected > last:
            break
    if expected <= last:
        missing.append((expected, last))
    return missing


def _stream(row: dict[str, Any], batches: list[dict[str, Any]], losses: dict[int, int]) -> pb.Stream:
    """`losses`: points by batch, of batches that say which records were lost."""
    outcome = row["outcome"]
    received = sum(batch["points"] for batch in batches)
    completeness = pb.Completeness(
        points_logged=row["points"] if outcome else received,
        points_received=received,
        points_rejected=sum(batch["rejected"] for batch in batches),
        points_dropped=row["dropped_points"] + sum(losses.values()),
        points_stored=received - sum(batch["rejected"] for batch in batches),
    )
    # The finish record itself is one more than the records it counts.
    last = row["records"] + 1 if outcome else max((batch["last_record"] for batch in batches), default=0)
    # How many points a damaged record held nobody knows; that it is missing is known.
    held = [(batch["first_record"], batch["last_record"]) for batch in batches if batch["batch"] not in losses]
    for first, end in gaps(held, last):
        completeness.missing.add(writer_id=row["writer"], rank=row["rank"], first_record=first, last_record=end)
    if not outcome:
        completeness.verdict = pb.Completeness.VERDICT_OPEN
    elif (
        completeness.missing or completeness.points_rejected or completeness.points_dropped or received != row["points"]
    ):
        completeness.verdict = pb.Completeness.VERDICT_INCOMPLETE
    else:
        completeness.verdict = pb.Completeness.VERDICT_COMPLETE
    seen = max([row["seen_us"], *(batch["received_us"] for batch in batches)])
    return pb.Stream(
        writer_id=row["writer"],
        rank=row["rank"],
        epoch=row["epoch"],
        host=row["host"],
        state=STATES.get("crashed" if row["silent"] else outcome, pb.RUN_STATE_RUNNING),
        exit_code=row["exit_code"],
        started=timestamp(row["started_us"]),
        heartbeat=timestamp(seen),
        finished=timestamp(row["finished_us"]),
        completeness=completeness,
    )
