"""Runs whose verdict is not complete, and the places that still have what they lack."""

from __future__ import annotations

import fcntl
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.protocol import Delivery, Origin
from runstream_common.bus.topic_history import read_topic
from runstream_common.identity import full_project
from runstream_ingestor.writer.batch_replay import BatchReplayer
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.runs.verdict.completeness import describe_streams, judge
from runstream_query.runs.writer_marks import WriterMarks

Run = tuple[str, str]
"""The pair (team/project, the run's id)."""
_RUNS_AT_ONCE = 200
_BATCHES_AT_ONCE = 64
_POINTS_AT_ONCE = 500_000
_CRASH_AFTER_US = 300_000_000
_BAD = (pb.Completeness.VERDICT_INCOMPLETE, pb.Completeness.VERDICT_DAMAGED)
_OPEN = pb.Completeness.VERDICT_OPEN


class UnknownRunError(Exception):
    """No rows of such a run are stored."""


@dataclass(slots=True)
class IncompleteRun:
    """A run that lacks rows."""

    project: str
    run: str
    found: pb.Completeness
    ledger: set[tuple[str, int]] = field(default_factory=set)
    """The stored batches, as (writer, batch)."""
    topic: set[tuple[str, int]] = field(default_factory=set)
    """The batches that the topic still holds, as (writer, batch)."""
    spools: int = 0
    """The number of streams of ended processes that wait in the spool folder."""

    @property
    def is_open(self) -> bool:
        """True when a process has not said its last word: it lives, or it is dead and its words wait in a spool."""
        return self.found.verdict == _OPEN

    @property
    def path(self) -> str:
        return f"{self.project}/{self.run}"

    @property
    def verdict(self) -> str:
        return pb.Completeness.Verdict.Name(self.found.verdict).removeprefix("VERDICT_").lower()

    @property
    def can_be_replayed(self) -> bool:
        return bool(self.topic or self.spools)


async def find_incomplete_runs(storage: Storage, only: Run | None) -> list[IncompleteRun]:
    """Return the runs that are incomplete, damaged or open: of all runs, or this one.

    Raise StorageError, UnknownRunError.
    """
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for row in await storage.rows("all_runs"):
        if only in (None, (row["project"], row["run"])):
            sizes[row["project"]][row["run"]] = row["world_size"]
    if only is not None and not sizes:
        raise UnknownRunError(f"no rows are stored of {'/'.join(only)}")
    incomplete: list[IncompleteRun] = []
    listening = WriterMarks(storage, _CRASH_AFTER_US)
    for project, runs in sizes.items():
        names = list(runs)
        for start in range(0, len(names), _RUNS_AT_ONCE):
            some = {name: runs[name] for name in names[start : start + _RUNS_AT_ONCE]}
            described = await describe_streams(storage, project, some, await listening.heard_since())
            verdicts = await judge(storage, project, described)
            found = {
                run: IncompleteRun(project, run, one) for run, one in verdicts.items() if one.verdict in (*_BAD, _OPEN)
            }
            bad = [run for run, entry in found.items() if not entry.is_open]
            for row in await storage.rows("ledger", project=project, runs=bad) if bad else ():
                found[row["run"]].ledger.add((row["writer"], row["batch"]))
            incomplete += found.values()
    return incomplete


async def find_in_topic(config: KafkaConfig, incomplete: Iterable[IncompleteRun]) -> None:
    """Note for each run which batches the topic holds. The whole topic is read. Raise BusError."""
    wanted = {(entry.project, entry.run): entry for entry in incomplete}
    async for delivery in read_topic(config):
        origin = delivery.message.origin
        entry = wanted.get(_run_of(origin))
        if entry is not None:
            entry.topic.add((origin.writer_id, origin.batch_number))


def find_in_spool(folder: Path, incomplete: Iterable[IncompleteRun]) -> None:
    """Note for each run how many of its streams wait in a spool folder of this machine.

    Streams of living processes do not count: their sender sends them.
    """
    wanted = {(entry.project, entry.run): entry for entry in incomplete}
    for meta in folder.glob("streams/*/meta.json"):
        if _is_locked(meta.with_name("lock")):
            continue
        try:
            description = json.loads(meta.read_text(encoding="utf-8"))
            place, team = (description["project"], description["run"]), description["team"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `runstream status` reports what is wrong with it
        for (project, run), entry in wanted.items():
            # A spool holds no team when the key decides it.
            if (project.partition("/")[2], run) == place and team in ("", project.partition("/")[0]):
                entry.spools += 1


async def replay(config: KafkaConfig, replayer: BatchReplayer, incomplete: Iterable[IncompleteRun]) -> int:
    """Store every batch of these runs that the topic holds again. Return how many. Raise BusError, StorageError."""
    wanted = {(entry.project, entry.run) for entry in incomplete}
    stored, points, gathered = 0, 0, list[Delivery]()
    async for delivery in read_topic(config):
        if _run_of(delivery.message.origin) not in wanted:
            continue
        gathered.append(delivery)
        points += len(delivery.message.value) // 8  # an upper bound
        if len(gathered) >= _BATCHES_AT_ONCE or points >= _POINTS_AT_ONCE:
            stored += await replayer.store(gathered)
            points, gathered = 0, []
    return stored + (await replayer.store(gathered) if gathered else 0)


def describe(entry: IncompleteRun, topic: str, spool: Path) -> list[str]:
    """Return sentences about what a run lacks, and which places still have it.

    `topic` is empty where there is none.
    """
    lines = [f"{entry.path}: {entry.verdict}", *(f"  {finding}" for finding in entry.found.findings)]
    for gap in entry.found.missing[:20]:
        lines.append(
            f"  missing: records {gap.first_record} to {gap.last_record} of rank {gap.rank}, writer {gap.writer_id}"
        )
    if topic and not entry.is_open:
        held, more = len(entry.topic & entry.ledger), len(entry.topic - entry.ledger)
        lines.append(f"  on the topic {topic}: {held} of {len(entry.ledger)} batches that were stored, {more} others")
    if entry.spools:
        lines.append(f"  in the spool {spool}: {entry.spools} streams wait to be sent")
    if not entry.can_be_replayed:
        lines.append(
            "  neither topic nor spool has what is missing: run `runstream status` on the machines that trained"
        )
    return lines


def _is_locked(path: Path) -> bool:
    """Return whether the process that writes the stream holds its lock, which is the SDK's sign that it lives."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _run_of(origin: Origin) -> Run:
    return full_project(origin.team, origin.project), origin.run


def parse_run_path(path: str) -> Run:
    """Return (team/project, run) of team/project/run. Raise UnknownRunError."""
    parts: Sequence[str] = path.split("/")
    if len(parts) != 3 or not all(parts):
        raise UnknownRunError(f"{path!r} is not a run: give team/project/run")
    return "/".join(parts[:2]), parts[2]
