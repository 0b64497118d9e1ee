"""Digests of rows of `points`: computed by the writer of what it stores, and by ClickHouse of what is stored.

The hash of a row covers its key, value, time and version. The digest of a block of records is the sum of the hashes of
its rows, modulo 2^64: the order of rows does not matter, and each row that is removed, added or changed changes it.
`point_blocks.sql` of the query service computes the same.

A batch's digests are of all rows that it inserts, also of those that lose to a newer row of the same metric, rank and
step at once or later: these are named one by one in `replaced_points`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BITS = 5
"""Of a version that number the records of a block: 32 records. A digest costs 8 bytes a block."""
EXACT = 2
"""`proved` in the ledger: what a batch replaces is in `replaced_points`. 1: from before that; of rows with the same
metric and step within the batch the digests have the newest alone. 0: from before digests."""
STEP_FACTOR, TIME_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
VERSION_FACTOR, RANK_FACTOR = 0x165667B19E3779F9, 0x27D4EB2F165667C5

UInt64 = NDArray[np.uint64]


@lru_cache(maxsize=1 << 18)
def name_hash(name: str) -> int:
    """The first 8 bytes of the SHA-256 of a name, as ClickHouse's `reinterpretAsUInt64(SHA256(name))` reads them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


@lru_cache(maxsize=64)
def name_hashes(keys: tuple[str, ...]) -> UInt64:
    """(K,): the hash of each name. Frames have few lists of keys, and a list may have 100,000."""
    return np.array([name_hash(key) for key in keys], dtype=np.uint64)


def row_hashes(
    keys: tuple[str, ...], rank: int, steps: NDArray[np.int64], times_us: NDArray[np.int64], versions: UInt64,
    values: NDArray[np.float64],
) -> UInt64:  # fmt: skip
    """(R, K): a hash for each point of R rows of K metrics."""
    names = name_hashes(keys)
    ranks = np.uint64(rank)
    return point_hashes(names, ranks, steps[:, None], times_us[:, None], versions[:, None], values)


def point_hashes(
    names: UInt64, ranks: Any, steps: NDArray[np.int64], times_us: NDArray[np.int64], versions: UInt64,
    values: NDArray[np.float64],
) -> UInt64:  # fmt: skip
    """A hash for each point. `names`: by `name_hash`; `ranks`: uint64. The shapes are broadcast to that of `values`."""
    with np.errstate(over="ignore"):
        row = (
            steps.astype(np.int64).view(np.uint64) * np.uint64(STEP_FACTOR)
            + times_us.astype(np.int64).view(np.uint64) * np.uint64(TIME_FACTOR)
            + versions * np.uint64(VERSION_FACTOR)
            + ranks * np.uint64(RANK_FACTOR)
        )
        bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
        return _mix(_mix(bits ^ names) + row)


Frame = tuple[UInt64, UInt64]
"""Versions (R,); hashes (R, K)."""


def block_sums(frames: Sequence[Frame]) -> list[tuple[int, int, int]]:
    """(block, rows, digest) of all rows of a batch, in order of blocks."""
    if not frames:
        return []
    versions = np.concatenate([versions for versions, _ in frames])
    counts = np.concatenate([np.full(hashes.shape[0], hashes.shape[1], dtype=np.int64) for _, hashes in frames])
    sums = np.concatenate([hashes.sum(axis=1, dtype=np.uint64) for _, hashes in frames])
    blocks, places = np.unique(versions >> np.uint64(BLOCK_BITS), return_inverse=True)
    rows = np.zeros(len(blocks), dtype=np.int64)
    digests = np.zeros(len(blocks), dtype=np.uint64)
    np.add.at(rows, places, counts)
    np.add.at(digests, places, sums)
    return list(zip(blocks.tolist(), rows.tolist(), digests.tolist(), strict=True))


def _mix(numbers: UInt64) -> UInt64:
    """ClickHouse's intHash64."""
    shift = np.uint64(33)
    numbers = numbers ^ np.uint64(0x4CF2D2BAAE6DA887)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return numbers ^ (numbers >> shift)
