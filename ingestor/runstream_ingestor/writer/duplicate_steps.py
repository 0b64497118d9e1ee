"""Find the rows of points that lose to a newer one of the same metric, rank and step, with numpy alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_common.proofs import STEP_FACTOR, name_hash, name_hashes, point_hashes, row_hashes
from runstream_ingestor.writer.decode import DecodedBatch, PointBlock

UInt64 = NDArray[np.uint64]
_STORED = -1


@dataclass(frozen=True, slots=True)
class PointRows:
    """Points of one rank of a run, (N,) each.

    `owners` is the index of the points' batch, or -1 where they are stored.
    """

    names: UInt64
    """The metrics' hashes, made by `proofs.name_hash`."""
    steps: NDArray[np.int64]
    versions: UInt64
    hashes: UInt64
    owners: NDArray[np.int64]


ReplacedRows = dict[int, tuple[UInt64, UInt64]]
"""By the index of a batch: versions and hashes of the rows that lost because of this batch, its own rows among them."""


def stored_rows(table: pa.Table) -> dict[int, PointRows]:
    """Return the stored rows of a run, by rank. `table`: metric, rank, step, version, value, time_us."""
    metrics = table.column("metric").combine_chunks().cast(pa.string()).dictionary_encode()
    hashed = np.array([name_hash(name) for name in metrics.dictionary.to_pylist()], dtype=np.uint64)
    names = hashed[metrics.indices.to_numpy()]
    ranks, steps, versions, values, times_us = (
        table.column(name).to_numpy() for name in ("rank", "step", "version", "value", "time_us")
    )
    hashes = point_hashes(names, ranks.astype(np.uint64), steps, times_us, versions, values)
    order = np.argsort(ranks, kind="stable")
    found: dict[int, PointRows] = {}
    for rank, start, count in zip(*np.unique(ranks[order], return_index=True, return_counts=True), strict=True):
        some = order[start : start + count]
        owners = np.full(count, _STORED, dtype=np.int64)
        found[int(rank)] = PointRows(names[some], steps[some], versions[some], hashes[some], owners)
    return found


def find_replaced(batches: Sequence[DecodedBatch], stored: PointRows | None = None) -> ReplacedRows:
    """Return the rows that lose when the batches, all of one rank of a run, are added to the stored rows.

    `stored` holds, for each metric and step that the batches may meet, the one row that is read now.
    """
    steps = _shared_steps(batches, stored)
    if not len(steps):
        return {}
    return _resolve([stored, *_points_at(batches, steps)] if stored is not None else list(_points_at(batches, steps)))


def _shared_steps(batches: Sequence[DecodedBatch], stored: PointRows | None) -> NDArray[np.int64]:
    """Return the steps at which a row of the batches may meet another row of its metric."""
    if stored is None and _ascending(batches):
        return np.empty(0, dtype=np.int64)
    repeated = [] if stored is None else [stored.steps]
    for blocks in _groups_without_common_metric(batches):
        found, times = np.unique(np.concatenate([block.steps for block in blocks]), return_counts=True)
        repeated.append(found[times > 1])
    return np.unique(np.concatenate(repeated)) if repeated else np.empty(0, dtype=np.int64)


def _ascending(batches: Sequence[DecodedBatch]) -> bool:
    """Return whether steps only grow, as in most batches, so that no step comes twice."""
    blocks = [block for decoded in batches for block in decoded.blocks]
    if not blocks:
        return True
    steps = blocks[0].steps if len(blocks) == 1 else np.concatenate([block.steps for block in blocks])
    return bool((steps[1:] > steps[:-1]).all())


def _groups_without_common_metric(batches: Sequence[DecodedBatch]) -> list[list[PointBlock]]:
    """Return the blocks in groups, such that blocks of different groups share no metric."""
    by_keys: dict[tuple[str, ...], list[PointBlock]] = defaultdict(list)
    for decoded in batches:
        for block in decoded.blocks:
            by_keys[block.keys].append(block)
    groups: list[list[PointBlock]] = list(by_keys.values())
    if sum(map(len, by_keys)) != len({key for keys in by_keys for key in keys}):
        groups = [[block for blocks in groups for block in blocks]]
    return groups


def _points_at(batches: Sequence[DecodedBatch], steps: NDArray[np.int64]) -> Iterator[PointRows]:
    """Yield the points of the batches at some steps."""
    for owner, decoded in enumerate(batches):
        for block in decoded.blocks:
            here = np.isin(block.steps, steps)
            if not here.any():
                continue
            some = block if here.all() else replace(
                block, steps=block.steps[here], times_us=block.times_us[here], versions=block.versions[here],
                values=block.values[here],
            )  # fmt: skip
            rows, width = some.values.shape
            hashes = row_hashes(some.keys, some.origin.rank, some.steps, some.times_us, some.versions, some.values)
            yield PointRows(
                np.tile(name_hashes(some.keys), rows),
                np.repeat(some.steps, width),
                np.repeat(some.versions, width),
                hashes.ravel(),
                np.full(rows * width, owner, dtype=np.int64),
            )


def _resolve(found: Sequence[PointRows]) -> ReplacedRows:
    """Return the replaced rows: for each metric and step the highest version wins.

    A loser is noted by the batch that it lost to, or by its own batch where it lost to a row that was stored before.
    """
    names, steps, versions, hashes, owners = (
        np.concatenate([getattr(rows, column) for rows in found])
        for column in ("names", "steps", "versions", "hashes", "owners")
    )
    with np.errstate(over="ignore"):
        order = np.argsort(names + steps.view(np.uint64) * np.uint64(STEP_FACTOR))
    names, steps, versions, owners = (column[order] for column in (names, steps, versions, owners))
    first = np.append(True, (names[1:] != names[:-1]) | (steps[1:] != steps[:-1]))
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(first)))
    highest = np.repeat(np.maximum.reduceat(versions, starts), sizes)
    lost = np.flatnonzero(versions < highest)
    if not len(lost):
        return {}
    # Where a stored row comes again, the batch owns it.
    winners = np.maximum.reduceat(np.where(versions == highest, owners, _STORED), starts)
    winners = np.repeat(winners, sizes)[lost]
    noted_by = np.where(winners == _STORED, owners[lost], winners)
    lost_hashes = hashes[order[lost]]
    return {int(by): (versions[lost[noted_by == by]], lost_hashes[noted_by == by]) for by in np.unique(noted_by)}
