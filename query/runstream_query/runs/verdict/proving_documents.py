"""Checks all rows of runs other than points against the hashes that the writer left in the ledger: see decision 22."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runstream_common.clickhouse.tombstones import METRIC_TABLES
from runstream_common.document_proofs import table_of
from runstream_common.identity import version
from runstream_query.base.storage import Storage
from runstream_query.runs.editing.edits import WRITER as EDITS
from runstream_query.runs.verdict.proving_blocks import FULL_READ, Batch, DeletedEpochs, Proof

_MISSING = "is missing"
_EPOCH_SHIFT = 40
_REJECTS = "rejects"
"""The table of the writer's notes on rejected batches; the ledger has no row for a batch that was rejected whole."""


@dataclass(slots=True)
class _Expected:
    """The rows of one run according to the ledger."""

    rows: dict[int, tuple[int, Batch]] = field(default_factory=dict)
    """By hash of the key: the hash of the newest row, and its batch."""
    unproved: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of versions, inclusive, of batches from before hashes were kept."""
    edits: set[int] = field(default_factory=set)
    """Epochs of users' changes."""

    def covers(self, row_version: int) -> bool:
        """Return True when a row of this version may be stored without a hash in the ledger."""
        if row_version >> _EPOCH_SHIFT in self.edits:
            return True
        return any(first <= row_version <= last for first, last in self.unproved)


async def prove_documents(
    storage: Storage,
    project: str,
    ledgers: Mapping[str, Sequence[Batch]],
    dead: Mapping[str, DeletedEpochs],
    proofs: Mapping[str, Proof],
) -> None:
    """Add to the proofs the results for rows other than points. `ledgers`: batches by run, the oldest attempt first.

    Raises StorageError; an error with a code of DAMAGE_CODES means damage.
    """
    table = await storage.table("document_rows", settings=FULL_READ, project=project, runs=list(ledgers))
    found: dict[str, dict[int, tuple[int, int]]] = {run: {} for run in ledgers}
    columns = (table.column(name).to_pylist() for name in ("run", "key_hash", "row_hash", "row_version"))
    for run, key, row, row_version in zip(*columns, strict=True):
        found[run][key] = (row, row_version)
    for run, batches in ledgers.items():
        _compare(
            _expected(batches, dead.get(run, DeletedEpochs())), found[run], dead.get(run, DeletedEpochs()), proofs[run]
        )


def _expected(batches: Sequence[Batch], dead: DeletedEpochs) -> _Expected:
    expected = _Expected()
    for batch in batches:
        if batch["writer"] == EDITS:
            expected.edits.add(batch["epoch"])
        elif batch["epoch"] <= dead.run:
            continue
        elif not batch["documents_proved"]:
            first, last = (version(batch["epoch"], batch[name]) for name in ("first_record", "last_record"))
            expected.unproved.append((first, last))
        else:
            for key, row in zip(batch["document_keys"], batch["document_hashes"], strict=True):
                expected.rows[key] = (row, batch)
    return expected


def _compare(expected: _Expected, found: Mapping[int, tuple[int, int]], dead: DeletedEpochs, proof: Proof) -> None:
    unproved = deleted = 0
    for table, kind, key in _differences(expected, found, dead):
        if kind == "deleted":
            deleted += 1
        elif kind == "unproved":
            unproved += 1
        else:
            proof.lost = proof.lost or kind == _MISSING
            proof.damages.append(f"a row of {table} {kind}{_origin(expected, key)}")
    living = sum(row_version >> _EPOCH_SHIFT > dead.run for _, row_version in found.values())
    proof.documents = living
    proof.documents_proved = sum(
        key in expected.rows and expected.rows[key][0] == row for key, (row, _) in found.items()
    )
    if unproved:
        why = "from before schema 9, or changed by users"
        proof.notes.append(f"{unproved} rows other than points have no hash ({why})")
    if deleted:
        proof.notes.append(f"{deleted} rows other than points were deleted with a metric")


def _differences(
    expected: _Expected, found: Mapping[int, tuple[int, int]], dead: DeletedEpochs
) -> Iterator[tuple[str, str, int]]:
    """Yield (table, difference, hash of the key) for each row that differs from the ledger."""
    for key, (row, batch) in expected.rows.items():
        table = table_of(key)
        there, row_version = found.get(key, (None, 0))
        if there == row:
            continue
        if there is None:
            gone = table in METRIC_TABLES and batch["epoch"] <= dead.metric
            yield table, "deleted" if gone else _MISSING, key
        elif expected.covers(row_version) and row_version > version(batch["epoch"], batch["first_record"]):
            yield table, "unproved", key
        else:
            yield table, "was changed", key
    for key, (_, row_version) in found.items():
        table = table_of(key)
        if key in expected.rows or row_version >> _EPOCH_SHIFT <= dead.run or table == _REJECTS:
            continue
        yield table, "unproved" if expected.covers(row_version) else "is surplus: no batch in the ledger has it", key


def _origin(expected: _Expected, key: int) -> str:
    if key not in expected.rows:
        return ""
    batch = expected.rows[key][1]
    records = f"records {batch['first_record']} to {batch['last_record']}"
    return f" (batch {batch['batch']} of writer {batch['writer']}, rank {batch['rank']}, {records})"
