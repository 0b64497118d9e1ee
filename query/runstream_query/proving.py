"""The rows of a run against the digests that the writer left in the ledger: see decision 20."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
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


@dataclass(slots=True)
class Proof:
    """What the rows say."""

    counted: int = 0
    proved: int = 0
    damages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """True of the run, and no reason against it."""


@dataclass(slots=True)
class _Expected:
    rows: int = 0
    digest: int = 0
    batches: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Short:
    """Neighbouring batches with fewer rows than they stored: a block may belong to two of them."""

    batches: dict[tuple[str, int], Mapping[str, Any]]
    missing: int = 0


@cache
def computed_by() -> str:
    """The file of the query that counts, and its fingerprint."""
    text = (FOLDER / "point_blocks.sql").read_bytes()
    return f"point_blocks.sql {hashlib.sha256(text).hexdigest()[:12]}"


async def prove(storage: Storage, project: str, run: str, batches: Sequence[Mapping[str, Any]]) -> Proof:
    """`batches`: the run's ledger. Raises StorageError; one with a code of DAMAGE_CODES means damage."""
    proof = Proof()
    found = {
        row["block"]: (row["rows"], row["digest"])
        for row in await storage.rows("point_blocks", project=project, run=run)
    }
    dead = {row["metric"]: row["epoch"] for row in await storage.rows("dead_metrics", project=project, run=run)}
    dead_epoch, dead_metric = dead.pop("", 0), max(dead.values(), default=0)
    expected: dict[int, _Expected] = defaultdict(_Expected)
    legacy: list[Mapping[str, Any]] = []
    for batch in batches:
        if batch["epoch"] <= dead_epoch:
            continue
        if not batch["proved"]:
            if batch["points"] > batch["rejected"]:
                legacy.append(batch)
            continue
        for block, rows, digest in zip(batch["blocks"], batch["block_rows"], batch["block_digests"], strict=True):
            one = expected[block]
            one.rows += rows
            one.digest = (one.digest + digest) % _MODULUS
            one.batches.append(batch)
    old = _blocks_of(legacy)
    short: list[_Short] = []
    deleted = 0
    for block in sorted(found.keys() | expected.keys()):
        epoch = block >> _EPOCH_SHIFT
        rows, digest = found.get(block, (0, 0))
        if epoch <= dead_epoch:
            continue
        proof.counted += rows
        one = expected.get(block, _Expected())
        if block in old:
            continue
        place = _place(block, one)
        if rows > one.rows:
            proof.damages.append(f"{rows - one.rows} rows of points too many {place}: no batch in the ledger has them")
        elif rows == one.rows and digest == one.digest:
            proof.proved += rows
        elif rows == one.rows:
            proof.damages.append(f"rows of points were changed {place}: {rows} rows do not agree with their digest")
        elif epoch <= dead_metric:
            deleted += one.rows - rows
        else:
            keys = {(batch["writer"], batch["batch"]): batch for batch in one.batches}
            if not short or not short[-1].batches.keys() & keys.keys():
                short.append(_Short({}))
            short[-1].batches.update(keys)
            short[-1].missing += one.rows - rows
    await _explain(storage, project, run, short, proof)
    await _judge_old(storage, project, run, legacy, old, found, expected, proof)
    if deleted:
        proof.notes.append(
            f"{deleted} rows went with the deletion of a metric: what is left of their records is counted only"
        )
    if len(proof.damages) > _MAX_FINDINGS:
        rest = len(proof.damages) - _MAX_FINDINGS
        proof.damages[_MAX_FINDINGS:] = [f"and {rest} more findings of this kind"]
    return proof


async def _explain(storage: Storage, project: str, run: str, short: Sequence[_Short], proof: Proof) -> None:
    """Rows that batches stored and that are not there: replaced by newer ones of the same steps, or lost."""
    replaced = 0
    for number, one in enumerate(short):
        newer = one.missing
        if number < _MAX_EXPLAINED:
            newer = sum([await _newer(storage, project, run, batch) for batch in one.batches.values()])
        if one.missing <= newer:
            replaced += one.missing
            continue
        first, *_, last = [*one.batches.values()] * 2
        low = min(batch["low_step"] for batch in one.batches.values())
        high = max(batch["high_step"] for batch in one.batches.values())
        proof.damages.append(
            f"{one.missing} rows of points are missing in batches {first['batch']} to {last['batch']} of writer "
            f"{first['writer']}, rank {first['rank']}, steps {low} to {high}: at most {newer} were replaced"
        )
    if replaced:
        proof.notes.append(f"{replaced} rows were replaced by rows that were logged again for the same steps")


async def _judge_old(
    storage: Storage,
    project: str,
    run: str,
    legacy: Sequence[Mapping[str, Any]],
    old: set[int],
    found: Mapping[int, tuple[int, int]],
    expected: Mapping[int, _Expected],
    proof: Proof,
) -> None:
    """Batches from before digests: their rows are counted."""
    if not legacy:
        return
    wanted = sum(batch["points"] - batch["rejected"] for batch in legacy)
    there = sum(found.get(block, (0, 0))[0] - (expected[block].rows if block in expected else 0) for block in old)
    proof.notes.append(f"{wanted} points are from before digests were kept: their rows are counted, not proved")
    if there < wanted:
        newer = 0
        for batch in legacy[:_MAX_EXPLAINED]:
            newer += await _newer(storage, project, run, batch)
        if wanted - there > newer and len(legacy) <= _MAX_EXPLAINED:
            proof.damages.append(f"{wanted - there} rows of points are missing of those from before digests were kept")


async def _newer(storage: Storage, project: str, run: str, batch: Mapping[str, Any]) -> int:
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


def _blocks_of(batches: Sequence[Mapping[str, Any]]) -> set[int]:
    found: set[int] = set()
    for batch in batches:
        first = version(batch["epoch"], batch["first_record"]) >> BLOCK_BITS
        found.update(range(first, (version(batch["epoch"], batch["last_record"]) >> BLOCK_BITS) + 1))
    return found


def _place(block: int, one: _Expected) -> str:
    first = (block << BLOCK_BITS) & ((1 << 40) - 1)
    who = f"of writer {one.batches[0]['writer']}, rank {one.batches[0]['rank']}, " if one.batches else ""
    return f"({who}attempt {block >> _EPOCH_SHIFT}, records {max(first, 1)} to {first + 31})"
