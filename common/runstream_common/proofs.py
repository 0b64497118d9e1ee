"""Digests of rows of `points`. The writer computes them from what it stores, ClickHouse from what is stored.

The hash of a row covers its key, value, time and version. The digest of a block of records is the sum of the hashes of
its rows, modulo 2^64. It does not depend on the order of rows, and it changes with each row that is removed, added or
changed. `point_blocks.sql` of the query service computes the same.

The digests of a batch cover all rows that it inserts, also those that lose to a newer row of the same metric, rank and
step at once or later. `replaced_points` names the losing rows one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK_BITS = 5
"""The low bits of a version that number the records of a block: 32 records. A digest costs 8 bytes a block."""
EXACT = 2
"""A value of `proved` in the ledger:

`replaced_points` names the rows that the batch replaces. 1 is the earlier kind: of rows with the same metric and step
within the batch, the digests cover the newest alone. 0 is a batch from before digests.
"""
STEP_FACTOR, TIME_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
VERSION_FACTOR, RANK_FACTOR = 0x165667B19E3779F9, 0x27D4EB2F165667C5

UInt64 = NDArray[np.uint64]


@lru_cache(maxsize=1 << 18)
def name_hash(name: str) -> int:
    """Return the first 8 bytes of the SHA-256, as ClickHouse's `reinterpretAsUInt64(SHA256(name))` reads them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


@lru_cache(maxsize=64)
def name_hashes(keys: tuple[str, ...]) -> UInt64:
    """Return the hash of each name, (K,).

    The result is cached: there are few different lists of keys, and a list may have 100,000 names.
    """
    return np.array([name_hash(key) for key in keys], dtype=np.uint64)


def row_hashes(
    keys: tuple[str, ...], rank: int, steps: NDArray[np.int64], times_us: NDArray[np.int64], versions: UInt64,
    values: NDArray[np.float64],
) -> UInt64:  # fmt: skip
    """Return a hash for each point of R rows of K metrics, (R, K)."""
    names = name_hashes(keys)
    ranks = np.uint64(rank)
    return point_hashes(names, ranks, steps[:, None], times_us[:, None], versions[:, None], values)


def point_hashes(
    names: UInt64, ranks: UInt64 | np.uint64, steps: NDArray[np.int64], times_us: NDArray[np.int64], versions: UInt64,
    values: NDArray[np.float64],
) -> UInt64:  # fmt: skip
    """Return a hash for each point.

    `names` are made by `name_hash`; `ranks` are uint64. The shapes are broadcast to that of `values`.
    """
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
"""Versions (R,) and hashes (R, K)."""


def block_sums(frames: Sequence[Frame]) -> list[tuple[int, int, int]]:
    """Return (block, rows, digest) for all rows of a batch, in the order of blocks."""
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
    """Compute ClickHouse's intHash64."""
    shift = np.uint64(33)
    numbers = numbers ^ np.uint64(0x4CF2D2BAAE6DA887)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return numbers ^ (numbers >> shift)
