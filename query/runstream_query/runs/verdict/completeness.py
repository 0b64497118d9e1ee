"""Checks that all data which the streams reported as logged is stored.

The stored rows are compared with the ledger, and the ledger with the finish records.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict, TypeVar, cast

from runstream_common.clickhouse.client import DAMAGE_CODES, StorageRefusedError
from runstream_common.identity import LOST, SYSTEM_STREAM
from runstream_common.times import now_us
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.damage import damage_message
from runstream_query.base.storage import Storage
from runstream_query.runs.documents import STATES, timestamp
from runstream_query.runs.editing.edits import WRITER as EDITS
from runstream_query.runs.verdict import damage_watch
from runstream_query.runs.verdict.proving_blocks import FULL_READ, DeletedEpochs, Proof
from runstream_query.runs.verdict.proving_documents import prove_documents
from runstream_query.runs.verdict.proving_points import computed_by, prove_points

_Row = TypeVar("_Row", bound=Mapping[str, object])
_OPEN_POINTS = 1_000_000
"""The rows of an open run with more points than this are not checked: the verdict does not depend on them."""
_POINTS_AT_ONCE = 2_000_000
"""Points of the runs that one query checks together, by their ledgers; the rows of one run are never divided."""


_RECHECK_AFTER_S = (0.3, 1.5)
"""Seconds to wait before a run that has more rows than its ledger says is checked again."""


class StreamRow(TypedDict):
    """A row of `streams.sql`: one process."""

    run: str
    writer: str
    rank: int
    epoch: int
    host: str
    helper: int
    """What the process is beside a rank; 0 for the rank itself."""
    started_us: int
    seen_us: int
    finished_us: int
    outcome: str
    silent: int
    exit_code: int
    points: int
    records: int
    dropped_points: int


class BatchRow(TypedDict):
    """A row of `ledger.sql`: one stored batch."""

    run: str
    writer: str
    batch: int
    first_record: int
    last_record: int
    points: int
    rejected: int
    received_us: int


class LossRow(TypedDict):
    """A row of `losses.sql`: a batch that names records which were lost."""

    run: str
    writer: str
    batch: int
    points: int


@dataclass(slots=True)
class DescribedRun:
    """The processes of a run with their completeness, and the completeness of the run by its ledger."""

    streams: list[pb.Stream]
    whole: pb.Completeness
    writers: set[str]
    """Writers that have batches in the ledger."""
    known: set[str]
    """Writers that have a stream."""


async def describe_streams(
    storage: Storage, project: str, world_sizes: Mapping[str, int], silent_us: int
) -> dict[str, DescribedRun]:
    """Return the processes of each run. Raises StorageError.

    `world_sizes`: number of ranks by run. `silent_us`: a running process that has not been heard from since this time,
    microseconds since 1970, counts as silent.
    """
    runs = list(world_sizes)
    streams = await storage.rows("streams", project=project, runs=runs, silent_us=silent_us)
    ledger = await storage.rows("ledger", project=project, runs=runs)
    losses = await storage.rows("losses", project=project, runs=runs, prefix=LOST)
    streams_of = _by_run(runs, cast("list[StreamRow]", streams))
    batches_of = _by_run(runs, cast("list[BatchRow]", ledger))
    losses_of = _by_run(runs, cast("list[LossRow]", losses))
    return {run: _describe(streams_of[run], batches_of[run], losses_of[run], world_sizes[run]) for run in runs}


async def judge(storage: Storage, project: str, described: Mapping[str, DescribedRun]) -> dict[str, pb.Completeness]:
    """Return the completeness of each run, judged by all rows that are stored. Raises StorageError."""
    for one in described.values():
        one.whole.computed.FromMicroseconds(now_us())
        one.whole.computed_by = computed_by()
    wanted: dict[str, DescribedRun] = {}
    for run, one in described.items():
        if one.whole.verdict == pb.Completeness.VERDICT_OPEN and one.whole.points_received > _OPEN_POINTS:
            one.whole.points_stored = (await storage.rows("points_stored", project=project, run=run))[0]["points"]
            one.whole.findings.extend([*_unknown_writers(one), "the rows of this run are checked after it has ended"])
        else:
            wanted[run] = one
    for some in _portions(wanted):
        await _judge_some(storage, project, some)
    return {run: one.whole for run, one in described.items()}


def _portions(described: Mapping[str, DescribedRun]) -> Iterator[dict[str, DescribedRun]]:
    """Yield the runs in groups that one query can check."""
    some: dict[str, DescribedRun] = {}
    points = 0
    for run, one in described.items():
        points += one.whole.points_received
        if some and points > _POINTS_AT_ONCE:
            yield some
            some, points = {}, one.whole.points_received
        some[run] = one
    if some:
        yield some


async def _judge_some(storage: Storage, project: str, described: Mapping[str, DescribedRun]) -> None:
    """Fill in the verdicts.

    Where rows cannot be read, check each run alone: the damage may be another run's.
    """
    try:
        proofs = await _prove(storage, project, list(described))
        for pause_s in _RECHECK_AFTER_S:
            # The writer stores rows first and their ledger entry second: surplus rows may be the newest ones.
            doubtful = [run for run, proof in proofs.items() if proof.damages and not proof.lost]
            if not doubtful:
                break
            await asyncio.sleep(pause_s)
            proofs |= await _prove(storage, project, doubtful)
    except StorageRefusedError as error:
        if error.code not in DAMAGE_CODES:
            raise
        if len(described) > 1:
            for run, one in described.items():
                await _judge_some(storage, project, {run: one})
            return
        proofs = {run: Proof(damages=[damage_message(error)]) for run in described}
    for run, one in described.items():
        await _conclude(storage, one, proofs[run])


async def _prove(storage: Storage, project: str, runs: list[str]) -> dict[str, Proof]:
    ledgers = _by_run(runs, await storage.rows("ledger_proofs", settings=FULL_READ, project=project, runs=runs))
    dead: dict[str, DeletedEpochs] = {}
    for row in await storage.rows("dead_metrics", project=project, runs=runs):
        was = dead.get(row["run"], DeletedEpochs())
        epoch = row["epoch"]
        dead[row["run"]] = (
            DeletedEpochs(was.run, max(was.metric, epoch)) if row["metric"] else DeletedEpochs(epoch, was.metric)
        )
    proofs = await prove_points(storage, project, ledgers, dead)
    await prove_documents(storage, project, ledgers, dead, proofs)
    return proofs


async def _conclude(storage: Storage, described: DescribedRun, proof: Proof) -> None:
    whole = described.whole
    whole.points_stored, whole.rows_counted, whole.rows_proved = proof.stored, proof.counted, proof.proved
    whole.documents_counted, whole.documents_proved = proof.documents, proof.documents_proved
    proof.damages[:0] = _unknown_writers(described)
    proof.shorten()
    if proof.damages:
        proof.notes += await damage_watch.detached(storage)
        # A running process may have stored rows whose batch is not in the ledger yet.
        if proof.lost or whole.verdict != pb.Completeness.VERDICT_OPEN:
            whole.verdict = pb.Completeness.VERDICT_DAMAGED
    whole.findings.extend([*proof.damages, *proof.notes])


def _unknown_writers(described: DescribedRun) -> list[str]:
    """Return a finding for each writer that has batches but no stream."""
    unknown = sorted(described.writers - described.known)
    return [
        f"batches of writer {writer} are in the ledger, but the start of this writer is not stored"
        for writer in unknown
    ]


def _by_run(runs: Iterable[str], rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {run: [] for run in runs}
    for row in rows:
        found[str(row["run"])].append(row)
    return found


def _describe(rows: list[StreamRow], ledger: list[BatchRow], lost: list[LossRow], world_size: int) -> DescribedRun:
    batches: dict[str, list[BatchRow]] = defaultdict(list)
    for batch in ledger:
        batches[batch["writer"]].append(batch)
    losses: dict[str, dict[int, int]] = defaultdict(dict)
    for loss in lost:
        losses[loss["writer"]][loss["batch"]] = loss["points"]
    writers = set(batches)
    streams = [_stream(row, batches[row["writer"]], losses[row["writer"]]) for row in rows]
    whole = pb.Completeness(
        **{
            name: sum(getattr(stream.completeness, name) for stream in streams)
            for name in ("points_logged", "points_received", "points_rejected", "points_dropped")
        },
    )
    for stream in streams:
        whole.missing.extend(stream.completeness.missing)
    # An open system stream, which holds samples and console lines of the node, does not delay the verdict.
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
    return DescribedRun(streams, whole, writers, {row["writer"] for row in rows} | {EDITS})


def gaps(ranges: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """Return the parts of 1 to `last` that the ranges do not cover. Ranges are inclusive and sorted by their start."""
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


def _stream(row: StreamRow, batches: list[BatchRow], losses: dict[int, int]) -> pb.Stream:
    """Return the message of one process.

    `losses`: points by batch, for the batches that name records that were lost.
    """
    outcome = row["outcome"]
    received = sum(batch["points"] for batch in batches)
    completeness = pb.Completeness(
        points_logged=row["points"] if outcome else received,
        points_received=received,
        points_rejected=sum(batch["rejected"] for batch in batches),
        points_dropped=row["dropped_points"] + sum(losses.values()),
        points_stored=received - sum(batch["rejected"] for batch in batches),
    )
    # The finish record itself comes on top of the records that it counts.
    last = row["records"] + 1 if outcome else max((batch["last_record"] for batch in batches), default=0)
    # The number of points in a damaged record is unknown; the record itself counts as missing.
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
