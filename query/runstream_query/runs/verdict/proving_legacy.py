"""Checks points of runs with batches from versions whose writer did not store which rows they replace.

For these the number of replaced rows is not known, only bounded. See decisions 20 and 27.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runstream_common.identity import version
from runstream_common.proofs import BLOCK_BITS
from runstream_query.base.storage import Storage
from runstream_query.runs.verdict.proving_blocks import (
    EPOCH_SHIFT,
    FULL_READ,
    MODULUS,
    NOTHING,
    Batch,
    Blocks,
    DeletedEpochs,
    Expected,
    Proof,
    Replaced,
    place_of,
    point_blocks,
)

_MAX_EXPLAINED = 1000
"""Groups of batches with missing rows that are explained by queries; no cause is given for further groups."""
_MAX_STEPS = 100_000
"""Steps in several batches of a rank that one query names one by one."""


async def prove_in_bounds(
    storage: Storage,
    project: str,
    run: str,
    batches: Sequence[Batch],
    dead: DeletedEpochs,
    found: Blocks,
    replaced: Replaced,
) -> Proof:
    """Return the proof of a run. Raises StorageError.

    `found`: blocks of the run, read without FINAL. `replaced`: the rows of these blocks that are noted as replaced.
    """
    check = _Check(run, batches, dead)
    final = bool(replaced) or check.is_doubtful(found)
    if final:
        check.take_away(replaced)
        found = (await point_blocks(storage, project, [run], final=True))[run]
    await check.judge(storage, project, found)
    superseded = 0 if final else await _superseded(storage, project, run, batches, check.proof.counted)
    check.proof.stored = check.proof.counted - superseded
    return check.proof


@dataclass(slots=True)
class _Short:
    """Neighbouring batches that have fewer rows than they stored: a block may belong to two of them."""

    batches: dict[tuple[str, int], Batch] = field(default_factory=dict)
    missing: int = 0


async def _superseded(storage: Storage, project: str, run: str, batches: Iterable[Batch], counted: int) -> int:
    """Return how many of the rows that were counted without FINAL are replaced by a newer row."""
    steps: set[int] = set()
    for first, last in _common_steps(batches):
        if len(steps) + last - first > _MAX_STEPS:
            stored = await storage.rows("points_stored", settings=FULL_READ, project=project, run=run)
            return counted - int(stored[0]["points"])
        steps.update(range(first, last + 1))
    if not steps:
        return 0
    rows = await storage.rows("doubled_steps", settings=FULL_READ, project=project, run=run, steps=sorted(steps))
    return int(rows[0]["rows"])


def _common_steps(batches: Iterable[Batch]) -> list[tuple[int, int]]:
    """Return the ranges of steps, inclusive, of which more than one batch of a rank may have points."""
    found = []
    ends: dict[int, int] = {}
    for batch in sorted((one for one in batches if one["points"]), key=lambda one: one["low_step"]):
        end = ends.get(batch["rank"])
        if end is not None and batch["low_step"] <= end:
            found.append((batch["low_step"], min(end, batch["high_step"])))
        ends[batch["rank"]] = batch["high_step"] if end is None else max(end, batch["high_step"])
    return found


class _Check:
    """Compares the rows of one run with the ledger."""

    def __init__(self, run: str, batches: Sequence[Batch], dead: DeletedEpochs) -> None:
        self.proof = Proof()
        self._run, self._dead = run, dead
        self._expected: dict[int, Expected] = defaultdict(Expected)
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
            one.digest = (one.digest + digest) % MODULUS
            one.batches.append(batch)

    def take_away(self, replaced: Replaced) -> None:
        """Remove the rows that are noted as replaced from the expected rows."""
        for block, (rows, digest, _) in replaced.items():
            if one := self._expected.get(block):
                one.rows -= rows
                one.digest = (one.digest - digest) % MODULUS

    def is_doubtful(self, found: Blocks) -> bool:
        """Return True when rows that were sent twice may count twice, so that a query with FINAL has to decide."""
        if self._legacy:
            return True
        for block, (rows, digest) in found.items():
            if block >> EPOCH_SHIFT <= self._dead.run:
                continue
            one = self._expected.get(block)
            if one is None or rows > one.rows or (rows == one.rows and digest != one.digest):
                return True
        return False

    async def judge(self, storage: Storage, project: str, found: Blocks) -> None:
        """Fill in the proof. Raises StorageError."""
        proof, short, deleted = self.proof, list[_Short](), 0
        for block in sorted(found.keys() | self._expected.keys()):
            epoch = block >> EPOCH_SHIFT
            rows, digest = found.get(block, NOTHING)
            if epoch <= self._dead.run:
                continue
            proof.counted += rows
            one = self._expected.get(block, Expected())
            if block in self._old:
                continue
            if rows > one.rows:
                extra = f"{rows - one.rows} surplus rows of points {place_of(block, one)}"
                proof.damages.append(f"{extra}: no batch in the ledger has them")
            elif rows == one.rows and digest == one.digest:
                proof.proved += rows
            elif rows == one.rows:
                place = place_of(block, one)
                proof.damages.append(f"rows of points were changed {place}: {rows} do not agree with their digest")
            elif epoch <= self._dead.metric:
                deleted += one.rows - rows
            else:
                _add_short(short, one, rows)
        await self._explain(storage, project, short)
        await self._judge_old(storage, project, found)
        if deleted:
            proof.notes.append(
                f"{deleted} rows were deleted with a metric: the other rows of their records are counted, not proved"
            )

    async def _explain(self, storage: Storage, project: str, short: Sequence[_Short]) -> None:
        """Decide whether missing rows were replaced by newer rows of the same steps, or lost."""
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
        """Judge batches that are older than the digests: their rows are counted, not proved."""
        legacy = self._legacy
        if not legacy:
            return
        wanted = sum(batch["points"] - batch["rejected"] for batch in legacy)
        there = sum(found.get(block, NOTHING)[0] - self._rows_expected(block) for block in self._old)
        notes, damages = self.proof.notes, self.proof.damages
        notes.append(f"{wanted} points are older than the digests: their rows are counted, not proved")
        if there < wanted:
            newer = 0
            for batch in legacy[:_MAX_EXPLAINED]:
                newer += await _newer(storage, project, self._run, batch)
            if wanted - there > newer and len(legacy) <= _MAX_EXPLAINED:
                damages.append(f"{wanted - there} rows of points are missing of those that are older than the digests")

    def _rows_expected(self, block: int) -> int:
        return self._expected[block].rows if block in self._expected else 0


def _add_short(short: list[_Short], one: Expected, rows: int) -> None:
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
