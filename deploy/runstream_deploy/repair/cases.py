"""Runs whose verdict is not complete, and the places that still have what they lack."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.protocol import Delivery, Origin
from runstream_common.bus.topic_history import read_topic
from runstream_common.identity import full_project
from runstream_ingestor.writer.again import StoringAgain
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


class UnknownRunError(Exception):
    """No rows of such a run are stored."""


@dataclass(slots=True)
class Case:
    """A run that lacks rows."""

    project: str
    run: str
    found: pb.Completeness
    ledger: set[tuple[str, int]] = field(default_factory=set)
    """The stored batches, as (writer, batch)."""
    topic: set[tuple[str, int]] = field(default_factory=set)
    """The batches that the topic still holds, as (writer, batch)."""
    spools: int = 0
    """The number of streams that wait in the spool folder."""

    @property
    def path(self) -> str:
        return f"{self.project}/{self.run}"

    @property
    def verdict(self) -> str:
        return pb.Completeness.Verdict.Name(self.found.verdict).removeprefix("VERDICT_").lower()

    @property
    def can_be_replayed(self) -> bool:
        return bool(self.topic or self.spools)


async def find_cases(storage: Storage, only: Run | None) -> list[Case]:
    """Return the runs that are incomplete or damaged: of all runs, or this one. Raise StorageError, UnknownRunError."""
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for row in await storage.rows("all_runs"):
        if only in (None, (row["project"], row["run"])):
            sizes[row["project"]][row["run"]] = row["world_size"]
    if only is not None and not sizes:
        raise UnknownRunError(f"nothing is stored of {'/'.join(only)}")
    cases: list[Case] = []
    listening = WriterMarks(storage, _CRASH_AFTER_US)
    for project, runs in sizes.items():
        names = list(runs)
        for start in range(0, len(names), _RUNS_AT_ONCE):
            some = {name: runs[name] for name in names[start : start + _RUNS_AT_ONCE]}
            described = await describe_streams(storage, project, some, await listening.heard_since())
            verdicts = await judge(storage, project, described)
            bad = {run: Case(project, run, found) for run, found in verdicts.items() if found.verdict in _BAD}
            for row in await storage.rows("ledger", project=project, runs=list(bad)) if bad else ():
                bad[row["run"]].ledger.add((row["writer"], row["batch"]))
            cases += bad.values()
    return cases


async def look_on_topic(config: KafkaConfig, cases: Iterable[Case]) -> None:
    """Note in each case which batches the topic holds. The whole topic is read. Raise BusError."""
    wanted = {(case.project, case.run): case for case in cases}
    async for delivery in read_topic(config):
        origin = delivery.message.origin
        case = wanted.get(_run_of(origin))
        if case is not None:
            case.topic.add((origin.writer_id, origin.batch_number))


def look_in_spool(folder: Path, cases: Iterable[Case]) -> None:
    """Note in each case how many of its streams wait in a spool folder of this machine."""
    wanted = {(case.project, case.run): case for case in cases}
    for meta in folder.glob("streams/*/meta.json"):
        try:
            said = json.loads(meta.read_text(encoding="utf-8"))
            place, team = (said["project"], said["run"]), said["team"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `runstream status` says what is wrong with it
        for (project, run), case in wanted.items():
            # A spool holds no team when the key decides it.
            if (project.partition("/")[2], run) == place and team in ("", project.partition("/")[0]):
                case.spools += 1


async def replay(config: KafkaConfig, again: StoringAgain, cases: Iterable[Case]) -> int:
    """Store every batch of these runs that the topic holds again. Return how many. Raise BusError, StorageError."""
    wanted = {(case.project, case.run) for case in cases}
    stored, points, gathered = 0, 0, list[Delivery]()
    async for delivery in read_topic(config):
        if _run_of(delivery.message.origin) not in wanted:
            continue
        gathered.append(delivery)
        points += len(delivery.message.value) // 8  # an upper bound
        if len(gathered) >= _BATCHES_AT_ONCE or points >= _POINTS_AT_ONCE:
            stored += await again.store(gathered)
            points, gathered = 0, []
    return stored + (await again.store(gathered) if gathered else 0)


def sentences(case: Case, topic: str, spool: Path) -> list[str]:
    """Return sentences about what a run lacks, and which places still have it.

    `topic` is empty where there is none.
    """
    lines = [f"{case.path}: {case.verdict}", *(f"  {finding}" for finding in case.found.findings)]
    for gap in case.found.missing[:20]:
        lines.append(
            f"  missing: records {gap.first_record} to {gap.last_record} of rank {gap.rank}, writer {gap.writer_id}"
        )
    if topic:
        held, more = len(case.topic & case.ledger), len(case.topic - case.ledger)
        lines.append(f"  on the topic {topic}: {held} of {len(case.ledger)} batches that were stored, {more} others")
    if case.spools:
        lines.append(f"  in the spool {spool}: {case.spools} streams that wait")
    if not case.can_be_replayed:
        lines.append("  nothing here holds it: see the spools of the machines that trained (`runstream status`)")
    return lines


def _run_of(origin: Origin) -> Run:
    return full_project(origin.team, origin.project), origin.run


def split(path: str) -> Run:
    """Return (team/project, run) of team/project/run. Raise UnknownRunError."""
    parts: Sequence[str] = path.split("/")
    if len(parts) != 3 or not all(parts):
        raise UnknownRunError(f"{path!r} is no run: give team/project/run")
    return "/".join(parts[:2]), parts[2]
