"""Checks the points of runs against the digests that the writer left in the ledger: see decisions 20, 22 and 27.

For a block of records the ledger has the number and the digest of all rows that were stored, and `replaced_points`
names the rows that lost to a newer row. The engine drops those rows when it merges, and no others. So the stored rows
are the whole block, or the whole block without some of the rows that lost.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from runstream_common.proofs import EXACT
from runstream_query.base.storage import Storage, sql_files
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
    replaced_blocks,
)
from runstream_query.runs.verdict.proving_legacy import prove_in_bounds

_ROWS_AT_ONCE, _BLOCKS_AT_ONCE = 2_000_000, 20_000
"""Limits of one query that returns the distinct rows of blocks: a row takes some 60 bytes there."""

_NO_REPLACED = (0, 0, 0)


@cache
def computed_by() -> str:
    """Return the names of the SQL files that count, and their common fingerprint."""
    names = ("point_blocks", "point_rows", "replaced_blocks", "document_rows")
    text = b"".join(sql_files()[name].read_bytes() for name in names)
    return f"{', '.join(f'{name}.sql' for name in names)} {hashlib.sha256(text).hexdigest()[:12]}"


async def prove_points(
    storage: Storage, project: str, ledgers: Mapping[str, Sequence[Batch]], dead: Mapping[str, DeletedEpochs]
) -> dict[str, Proof]:
    """Return the proof of each run. `ledgers`: batches by run, the oldest attempt first.

    Raises StorageError; an error with a code of DAMAGE_CODES means damage.
    """
    runs = list(ledgers)
    # A writer stores the notes on replaced rows before the rows that replace them: so read the rows first.
    found = await point_blocks(storage, project, runs)
    replaced = await replaced_blocks(storage, project, runs)
    proofs: dict[str, Proof] = {}
    for run, batches in ledgers.items():
        gone = dead.get(run, DeletedEpochs())
        living = [batch for batch in batches if batch["epoch"] > gone.run and batch["points"] > batch["rejected"]]
        if all(batch["proved"] >= EXACT for batch in living):
            check = _Check(living, gone, replaced[run])
            proofs[run] = check.judge(found[run], await _rows(storage, project, run, check.doubtful(found[run])))
        else:
            proofs[run] = await prove_in_bounds(storage, project, run, batches, gone, found[run], replaced[run])
    return proofs


_DistinctRows = dict[int, tuple[int, int, int, int]]
"""By block: number and digest of its distinct rows, then number and digest of those that are noted as replaced."""


async def _rows(storage: Storage, project: str, run: str, doubtful: Blocks) -> _DistinctRows:
    """Return the distinct rows of blocks, which may hold rows sent twice, and replaced rows that are still stored."""
    distinct: _DistinctRows = {}
    for blocks in _portions(doubtful):
        table = await storage.table("point_rows", settings=FULL_READ, project=project, run=run, blocks=blocks)
        names = ("block", "rows", "digest", "replaced_rows", "replaced_digest")
        for block, *counts in zip(*(table.column(name).to_pylist() for name in names), strict=True):
            distinct[block] = (counts[0], counts[1], counts[2], counts[3])
    return distinct


def _portions(doubtful: Blocks) -> Iterator[list[int]]:
    some: list[int] = []
    held = 0
    for block, (rows, _) in doubtful.items():
        if some and (held + rows > _ROWS_AT_ONCE or len(some) == _BLOCKS_AT_ONCE):
            yield some
            some, held = [], 0
        some.append(block)
        held += rows
    if some:
        yield some


class _Check:
    """Compares the rows of one run with the ledger."""

    def __init__(self, batches: Sequence[Batch], dead: DeletedEpochs, replaced: Replaced) -> None:
        """Create the check. `batches`: the batches that hold points and were not deleted."""
        self._dead = dead
        self._replaced = replaced
        self._expected: dict[int, Expected] = defaultdict(Expected)
        for batch in batches:
            for block, rows, digest in zip(batch["blocks"], batch["block_rows"], batch["block_digests"], strict=True):
                one = self._expected[block]
                one.rows += rows
                one.digest = (one.digest + digest) % MODULUS
                one.batches.append(batch)

    def doubtful(self, found: Blocks) -> Blocks:
        """Return the blocks that are neither whole nor completely merged, whether sent once or several times."""
        return {
            block: rows_and_digest
            for block, rows_and_digest in found.items()
            if block >> EPOCH_SHIFT > self._dead.run and self._plain(block, rows_and_digest) is None
        }

    def _plain(self, block: int, found: tuple[int, int]) -> tuple[int, int] | None:
        """Return the number of rows of a block, and of replaced ones among them; None where only some are left."""
        one = self._expected.get(block, Expected())
        lost_rows, lost_digest, _ = self._replaced.get(block, _NO_REPLACED)
        for rows, digest, left in (
            (one.rows, one.digest, lost_rows),
            (one.rows - lost_rows, one.digest - lost_digest, 0),
        ):
            times, rest = divmod(found[0], rows) if rows > 0 else (1, found[0])
            if not rest and times and found[1] == digest * times % MODULUS:
                return rows, left
        return None

    def judge(self, found: Blocks, distinct: _DistinctRows) -> Proof:
        """Return the proof. `distinct`: the distinct rows of the doubtful blocks."""
        proof, deleted = Proof(), 0
        short: list[tuple[int, Expected]] = []
        replaced = 0
        for block in sorted(found.keys() | self._expected.keys()):
            epoch = block >> EPOCH_SHIFT
            if epoch <= self._dead.run:
                continue
            one = self._expected.get(block, Expected())
            lost_rows, lost_digest, pending = self._replaced.get(block, _NO_REPLACED)
            replaced += lost_rows
            plain = self._plain(block, found.get(block, NOTHING))
            if plain is not None:
                rows, left = plain
                proof.counted += rows - left
                proof.proved += rows - left
                continue
            rows, digest, left, left_digest = distinct.get(block, (0, 0, 0, 0))
            proof.counted += rows - left
            wanted = one.rows - lost_rows + left
            if epoch <= self._dead.metric and rows <= one.rows:
                deleted += max(wanted - rows, 0)
            elif rows == wanted and digest == (one.digest - lost_digest + left_digest) % MODULUS:
                proof.proved += rows - left
            elif rows < wanted:
                short.append((wanted - rows, one))
                proof.lost = proof.lost or wanted - rows > pending
            elif rows == wanted:
                changed = f"rows of points were changed {place_of(block, one)}"
                proof.damages.append(f"{changed}: {rows} do not agree with their digest")
            else:
                extra = f"{rows - wanted} surplus rows of points {place_of(block, one)}"
                proof.damages.append(f"{extra}: no batch in the ledger has them")
        proof.stored = proof.counted
        proof.damages += _missing(short)
        if replaced:
            proof.notes.append(f"{replaced} rows were replaced by rows that were logged again for the same steps")
        if deleted:
            proof.notes.append(
                f"{deleted} rows were deleted with a metric: the other rows of their records are counted, not proved"
            )
        return proof


def _missing(short: Sequence[tuple[int, Expected]]) -> Iterator[str]:
    """Yield sentences that say which rows are missing.

    `short`: the number of missing rows, by block. Neighbouring blocks that share a batch get one sentence.
    """
    batches: dict[tuple[str, int], Batch] = {}
    missing = 0
    for count, one in short:
        own = {(batch["writer"], batch["batch"]): batch for batch in one.batches}
        if batches and not batches.keys() & own.keys():
            yield _sentence(missing, list(batches.values()))
            batches, missing = {}, 0
        batches |= own
        missing += count
    if batches:
        yield _sentence(missing, list(batches.values()))


def _sentence(missing: int, batches: Sequence[Batch]) -> str:
    first, last = batches[0], batches[-1]
    low, high = min(batch["low_step"] for batch in batches), max(batch["high_step"] for batch in batches)
    return (
        f"{missing} rows of points are missing in batches {first['batch']} to {last['batch']} of writer "
        f"{first['writer']}, rank {first['rank']}, steps {low} to {high}"
    )
