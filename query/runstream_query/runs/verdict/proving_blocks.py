"""Defines blocks of 32 records of a process, as the ledger and as the stored rows have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runstream_common.proofs import BLOCK_BITS
from runstream_query.base.storage import Storage

MODULUS = 1 << 64
EPOCH_SHIFT = 40 - BLOCK_BITS
FULL_READ = {"max_execution_time": 55}
"""Settings of queries that read all rows of a run: more time than other queries, less than the client waits."""
_MAX_FINDINGS = 100

Batch = Mapping[str, Any]
Blocks = dict[int, tuple[int, int]]
"""Number and digest of rows, by block."""
Replaced = dict[int, tuple[int, int, int]]
"""By block: number and digest of the rows that lost to newer rows, and the number of pending rows.

Pending rows are noted by batches that are not in the ledger yet.
"""
NOTHING = (0, 0)


@dataclass(slots=True)
class Proof:
    """What the stored rows prove of a run."""

    counted: int = 0
    """Rows of points that were counted."""
    stored: int = 0
    """Rows of points that no newer row replaces."""
    proved: int = 0
    documents: int = 0
    """Rows other than points."""
    documents_proved: int = 0
    damages: list[str] = field(default_factory=list)
    lost: bool = False
    """True when rows are missing.

    The ledger was read before the rows, so a process that still writes cannot be the reason.
    """
    notes: list[str] = field(default_factory=list)
    """Notes on the run that are no damage."""

    def shorten(self) -> None:
        """Cut the findings to as many as a person may read."""
        if len(self.damages) > _MAX_FINDINGS:
            rest = len(self.damages) - _MAX_FINDINGS
            self.damages[_MAX_FINDINGS:] = [f"and {rest} more findings of this kind"]


@dataclass(frozen=True, slots=True)
class DeletedEpochs:
    """The epochs up to which data of a run is deleted, 0 where nothing is."""

    run: int = 0
    metric: int = 0


@dataclass(slots=True)
class Expected:
    """The rows of a block according to the ledger."""

    rows: int = 0
    digest: int = 0
    batches: list[Batch] = field(default_factory=list)


async def point_blocks(
    storage: Storage, project: str, runs: Sequence[str], *, final: bool = False
) -> dict[str, Blocks]:
    """Return the blocks of the stored rows, by run. Raises StorageError.

    Without `final`, a row that was sent twice may count twice, and a replaced row may count beside its replacement.
    """
    change = {"FROM points": "FROM points FINAL"} if final else None
    table = await storage.table("point_blocks", change=change, settings=FULL_READ, project=project, runs=list(runs))
    found: dict[str, Blocks] = {run: {} for run in runs}
    columns = (table.column(name).to_pylist() for name in ("run", "block", "rows", "digest"))
    for run, block, rows, digest in zip(*columns, strict=True):
        found[run][block] = (rows, digest)
    return found


async def replaced_blocks(storage: Storage, project: str, runs: Sequence[str]) -> dict[str, Replaced]:
    """Return the blocks of the rows that are noted as replaced, by run. Raises StorageError."""
    table = await storage.table("replaced_blocks", settings=FULL_READ, project=project, runs=list(runs))
    found: dict[str, Replaced] = {run: {} for run in runs}
    names = ("run", "block", "rows", "digest", "pending")
    for run, block, *counts in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        found[run][block] = (counts[0], counts[1], counts[2])
    return found


def place_of(block: int, one: Expected) -> str:
    """Return a text that locates a block: its writer and rank, attempt and records."""
    first = (block << BLOCK_BITS) & ((1 << 40) - 1)
    who = f"of writer {one.batches[0]['writer']}, rank {one.batches[0]['rank']}, " if one.batches else ""
    return f"({who}attempt {block >> EPOCH_SHIFT}, records {max(first, 1)} to {first + 31})"
