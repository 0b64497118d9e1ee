"""Digests of rows of `points`: computed by the writer of what it stores, and by ClickHouse of what is stored.

The hash of a row covers its key, value, time and version. The digest of a block of records is the sum of the hashes of
its rows, modulo 2^64: the order of rows does not matter, and each row that is removed, added or changed changes it.
`point_blocks.sql` of the query service computes the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK_BITS = 5
"""Of a version that number the records of a block: 32 records. A digest costs 8 bytes a block."""
STEP_FACTOR, TIME_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
VERSION_FACTOR, RANK_FACTOR = 0x165667B19E3779F9, 0x27D4EB2F165667C5

UInt64 = NDArray[np.uint64]


@lru_cache(maxsize=1 << 16)
def name_hash(name: str) -> int:
    """The first 8 bytes of the SHA-256 of a name, as ClickHouse's `reinterpretAsUInt64(SHA256(name))` reads them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def row_hashes(
    keys: tuple[str, ...], rank: int, steps: NDArray[np.int64], times_us: NDArray[np.int64], versions: UInt64,
    values: NDArray[np.float64],
) -> UInt64:  # fmt: skip
    """(R, K): a hash for each point of R rows of K metrics."""
    names = np.array([name_hash(key) for key in keys], dtype=np.uint64)
    with np.errstate(over="ignore"):
        row = (
            steps.astype(np.int64).view(np.uint64) * np.uint64(STEP_FACTOR)
            + times_us.astype(np.int64).view(np.uint64) * np.uint64(TIME_FACTOR)
            + versions * np.uint64(VERSION_FACTOR)
            + np.uint64(rank * RANK_FACTOR & 0xFFFFFFFFFFFFFFFF)
        )
        bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
        return _mix(_mix(bits ^ names) + row[:, None])


Frame = tuple[tuple[str, ...], NDArray[np.int64], UInt64, UInt64]
"""Keys; steps, versions (R,); hashes (R, K)."""


def block_sums(frames: Sequence[Frame]) -> list[tuple[int, int, int]]:
    """(block, rows, digest) of the rows of a batch that survive within it, in order of blocks."""
    if not frames:
        return []
    if _ascending(frames):
        versions = np.concatenate([frame[2] for frame in frames])
        counts = np.concatenate([np.full(len(frame[2]), len(frame[0]), dtype=np.int64) for frame in frames])
        sums = np.concatenate([frame[3].sum(axis=1, dtype=np.uint64) for frame in frames])
    else:
        versions, sums = _survivors(frames)
        counts = np.ones(len(versions), dtype=np.int64)
    blocks, places = np.unique(versions >> np.uint64(BLOCK_BITS), return_inverse=True)
    rows = np.zeros(len(blocks), dtype=np.int64)
    digests = np.zeros(len(blocks), dtype=np.uint64)
    np.add.at(rows, places, counts)
    np.add.at(digests, places, sums)
    return list(zip(blocks.tolist(), rows.tolist(), digests.tolist(), strict=True))


def _ascending(frames: Sequence[Frame]) -> bool:
    """Whether no step comes twice, as in most batches."""
    steps = np.concatenate([frame[1] for frame in frames])
    return bool((steps[1:] > steps[:-1]).all()) and all(len(set(frame[0])) == len(frame[0]) for frame in frames)


def _survivors(frames: Sequence[Frame]) -> tuple[UInt64, UInt64]:
    """Version and hash of the newest point of each (metric, step)."""
    names = np.concatenate([np.tile(np.array([name_hash(key) for key in f[0]], np.uint64), len(f[1])) for f in frames])
    steps = np.concatenate([np.repeat(f[1], len(f[0])) for f in frames])
    versions = np.concatenate([np.repeat(f[2], len(f[0])) for f in frames])
    hashes = np.concatenate([f[3].ravel() for f in frames])
    order = np.lexsort((versions, steps, names))
    names, steps = names[order], steps[order]
    newest = np.append((names[1:] != names[:-1]) | (steps[1:] != steps[:-1]), True)
    return versions[order][newest], hashes[order][newest]


def _mix(numbers: UInt64) -> UInt64:
    """ClickHouse's intHash64."""
    shift = np.uint64(33)
    numbers = numbers ^ np.uint64(0x4CF2D2BAAE6DA887)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    numbers = (numbers ^ (numbers >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return numbers ^ (numbers >> shift)
