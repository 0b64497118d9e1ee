"""The points of runs against the digests that the writer left in the ledger: see decisions 20 and 22."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from runstream_common.identity import version
from runstream_common.proofs import BLOCK_BITS
from runstream_query.storage import FOLDER, Storage

_MAX_FINDINGS = 100
_MAX_EXPLAINED = 1000
"""Groups of batches with fewer rows than they stored: beyond it no more questions are asked, and nothing is claimed."""
_MODULUS = 1 << 64
_EPOCH_SHIFT = 40 - BLOCK_BITS
_FEW_POINTS = 200_000
"""Of all runs that are asked for: FINAL costs little then, and less than to ask twice."""
_MAX_STEPS = 100_000
"""Steps that several batches of a rank have, named one by one in a question."""
WHOLE = {"max_execution_time": 55}
"""All rows of a run are read: longer than other questions, shorter than the client waits."""

Batch = Mapping[str, Any]
Blocks = dict[int, tuple[int, int]]


@dataclass(slots=True)
class Proof:
    """What the rows say."""

    counted: int = 0
    """Rows of points."""
    stored: int = 0
    """Of them, those that no newer one replaces."""
    proved: int = 0
    documents: int = 0
    """Rows that are no points."""
    documents_proved: int = 0
    damages: list[str] = field(default_factory=list)
    lost: bool = False
    """Rows are missing. The ledger was read before them, so that no process that still writes explains it."""
    notes: list[str] = field(default_factory=list)
    """True of the run, and no reason against it."""

    def shorten(self) -> None:
        """Keep as many findings as somebody may read."""
        if len(self.damages) > _MAX_FINDINGS:
            rest = len(self.damages) - _MAX_FINDINGS
            self.damages[_MAX_FINDINGS:] = [f"and {rest} more findings of this kind"]


@dataclass(frozen=True, slots=True)
class Dead:
    """What was deleted of a run: epochs up to which nothing lives, 0 where nothing was deleted."""

    run: int = 0
    metric: int = 0


@dataclass(slots=True)
class _Expected:
    rows: int = 0
    digest: int = 0
    batches: list[Batch] = field(default_factory=list)


@dataclass(slots=True)
class _Short:
    """Neighbouring batches with fewer rows than they stored: a block may belong to two of them."""

    batches: dict[tuple[str, int], Batch] = field(default_factory=dict)
    missing: int = 0


@cache
def computed_by() -> str:
    """The files of the queries that count, and their common fingerprint."""
    names = ("point_blocks.sql", "document_rows.sql")
    text = b"".join((FOLDER / name).read_bytes() for name in names)
    return f"{' and '.join(names)} {hashlib.sha256(text).hexdigest()[:12]}"


async def prove_points(
    storage: Storage, project: str, ledgers: Mapping[str, Sequence[Batch]], dead: Mapping[str, Dead]
) -> dict[str, Proof]:
    """Return the proof of each run. `ledgers`: batches by run, the oldest attempt first. Raises StorageError; one with
    a code of DAMAGE_CODES means damage."""
    checks = {run: _Check(run, batches, dead.get(run, Dead())) for run, batches in ledgers.items()}
    few = sum(batch["points"] for batches in ledgers.values() for batch in batches) <= _FEW_POINTS
    found = await _blocks(storage, project, list(checks), final=few)
    again = [] if few else [run for run, check in checks.items() if check.is_doubtful(found[run])]
    if again:
        found.update(await _blocks(storage, project, again, final=True))
    for run, check in checks.items():
        await check.judge(storage, project, found[run])
        doubled = 0 if few or run in again else await _doubled(storage, project, run, ledgers[run], check.proof.counted)
        check.proof.stored = check.proof.counted - doubled
    return {run: check.proof for run, check in checks.items()}


async def _blocks(storage: Storage, project: str, runs: list[str], *, final: bool) -> dict[str, Blocks]:
    """Rows and digest of each block, by run. Without `final` a row that was sent twice may be there twice."""
    change = {"FROM points": "FROM points FINAL"} if final else None
    table = await storage.table("point_blocks", change=change, settings=WHOLE, project=project, runs=runs)
    found: dict[str, Blocks] = {run: {} for run in runs}
    columns = (table.column(name).to_pylist() for name in ("run", "block", "rows", "digest"))
    for run, block, rows, digest in zip(*columns, strict=True):
        found[run][block] = (rows, digest)
    return found


async def _doubled(storage: Storage, project: str, run: str, batches: Iterable[Batch], counted: int) -> int:
    """Of the rows that were counted without FINAL, how many a newer one replaces."""
    steps: set[int] = set()
    for first, last in _common_steps(batches):
        if len(steps) + last - first > _MAX_STEPS:
            stored = await storage.rows("points_stored", settings=WHOLE, project=project, run=run)
            return counted - int(stored[0]["points"])
        steps.update(range(first, last + 1))
    if not steps:
        return 0
    rows = await storage.rows("doubled_steps", settings=WHOLE, project=project, run=run, steps=sorted(steps))
    return int(rows[0]["rows"])


def _common_steps(batches: Iterable[Batch]) -> list[tuple[int, int]]:
    """Ranges of steps, inclusive, that more than one batch of a rank may have points of."""
    found = []
    ends: dict[int, int] = {}
    for batch in sorted((one for one in batches if one["points"]), key=lambda one: one["low_step"]):
        end = ends.get(batch["rank"])
        if end is not None and batch["low_step"] <= end:
            found.append((batch["low_step"], min(end, batch["high_step"])))
        ends[batch["rank"]] = batch["high_step"] if end is None else max(end, batch["high_step"])
    return found


class _Check:
    """One run: what the ledger says, against what was found."""

    def __init__(self, run: str, batches: Sequence[Batch], dead: Dead) -> None:
        self.proof = Proof()
        self._run, self._dead = run, dead
        self._expected: dict[int, _Expected] = defaultdict(_Expected)
        self._legacy: list[Batch] = []
        for batch in batches:
            if batch["epoch"] > dead.run:
                self._expect(batch)
        self._old = _blocks_of(self._legacy)

    def _expect(self, batch: Batch) -> None:
        if not batch["proved"]:
            if batch["points"] > batch["rejected"]:
                self._legacy.append(batch)
            return
        for block, rows, digest in zip(batch["blocks"], batch["block_rows"], batch["block_digests"], strict=True):
            one = self._expected[block]
            one.rows += rows
            one.digest = (one.digest + digest) % _MODULUS
            one.batches.append(batch)

    def is_doubtful(self, found: Blocks) -> bool:
        """Whether rows that were sent twice may have been counted twice: FINAL has to say."""
        if self._legacy:
            return True
        for block, (rows, digest) in found.items():
            if block >> _EPOCH_SHIFT <= self._dead.run:
                continue
            one = self._expected.get(block)
            if one is None or rows > one.rows or (rows == one.rows and digest != one.digest):
                return True
        return False

    async def judge(self, storage: Storage, project: str, found: Blocks) -> None:
        """Fill the proof. Raises StorageError."""
        proof, short, deleted = self.proof, list[_Short](), 0
        for block in sorted(found.keys() | self._expected.keys()):
            epoch = block >> _EPOCH_SHIFT
            rows, digest = found.get(block, (0, 0))
            if epoch <= self._dead.run:
                continue
            proof.counted += rows
            one = self._expected.get(block, _Expected())
            if block in self._old:
                continue
            if rows > one.rows:
                extra = f"{rows - one.rows} rows of points too many {_place(block, one)}"
                proof.damages.append(f"{extra}: no batch in the ledger has them")
            elif rows == one.rows and digest == one.digest:
                proof.proved += rows
            elif rows == one.rows:
                place = _place(block, one)
                proof.damages.append(f"rows of points were changed {place}: {rows} do not agree with their digest")
            elif epoch <= self._dead.metric:
                deleted += one.rows - rows
            else:
                _add_short(short, one, rows)
        await self._explain(storage, project, short)
        await self._judge_old(storage, project, found)
        if deleted:
            proof.notes.append(
                f"{deleted} rows went with the deletion of a metric: what is left of their records is counted only"
            )

    async def _explain(self, storage: Storage, project: str, short: Sequence[_Short]) -> None:
        """Rows that batches stored and that are not there: replaced by newer ones of the same steps, or lost."""
        replaced = hidden = 0
        for number, one in enumerate(short):
            newer = one.missing
            if number < _MAX_EXPLAINED:
                newer = sum([await _newer(storage, project, self._run, batch) for batch in one.batches.values()])
            if one.missing <= newer:
                replaced += one.missing
                hidden += newer - one.missing
                continue
            first, *_, last = [*one.batches.values()] * 2
            low = min(batch["low_step"] for batch in one.batches.values())
            high = max(batch["high_step"] for batch in one.batches.values())
            self.proof.lost = True
            self.proof.damages.append(
                f"{one.missing} rows of points are missing in batches {first['batch']} to {last['batch']} of writer "
                f"{first['writer']}, rank {first['rank']}, steps {low} to {high}: at most {newer} were replaced"
            )
        if replaced:
            note = f"{replaced} rows were replaced by rows that were logged again for the same steps"
            if hidden:
                note += f"; the digests cannot tell whether up to {hidden} of them were removed instead"
            self.proof.notes.append(note)

    async def _judge_old(self, storage: Storage, project: str, found: Blocks) -> None:
        """Batches from before digests: their rows are counted."""
        legacy = self._legacy
        if not legacy:
            return
        wanted = sum(batch["points"] - batch["rejected"] for batch in legacy)
        there = sum(found.get(block, (0, 0))[0] - self._rows_expected(block) for block in self._old)
        notes, damages = self.proof.notes, self.proof.damages
        notes.append(f"{wanted} points are from before digests were kept: their rows are counted, not proved")
        if there < wanted:
            newer = 0
            for batch in legacy[:_MAX_EXPLAINED]:
                newer += await _newer(storage, project, self._run, batch)
            if wanted - there > newer and len(legacy) <= _MAX_EXPLAINED:
                damages.append(f"{wanted - there} rows of points are missing of those from before digests were kept")

    def _rows_expected(self, block: int) -> int:
        return self._expected[block].rows if block in self._expected else 0


def _add_short(short: list[_Short], one: _Expected, rows: int) -> None:
    keys = {(batch["writer"], batch["batch"]): batch for batch in one.batches}
    if not short or not short[-1].batches.keys() & keys.keys():
        short.append(_Short())
    short[-1].batches.update(keys)
    short[-1].missing += one.rows - rows


async def _newer(storage: Storage, project: str, run: str, batch: Batch) -> int:
    rows = await storage.rows(
        "superseding",
        project=project,
        run=run,
        rank=batch["rank"],
        low=batch["low_step"],
        high=batch["high_step"],
        version=version(batch["epoch"], batch["last_record"]),
    )
    return int(rows[0]["rows"])


def _blocks_of(batches: Sequence[Batch]) -> set[int]:
    found: set[int] = set()
    for batch in batches:
        first = version(batch["epoch"], batch["first_record"]) >> BLOCK_BITS
        found.update(range(first, (version(batch["epoch"], batch["last_record"]) >> BLOCK_BITS) + 1))
    return found


def _place(block: int, one: _Expected) -> str:
    first = (block << BLOCK_BITS) & ((1 << 40) - 1)
    who = f"of writer {one.batches[0]['writer']}, rank {one.batches[0]['rank']}, " if one.batches else ""
    return f"({who}attempt {block >> _EPOCH_SHIFT}, records {max(first, 1)} to {first + 31})"
