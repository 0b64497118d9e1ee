"""The spool's bytes. Native byte order (little-endian; others are refused), everything aligned to 8.

A segment is a 64-byte header, then records, then zeros. A record is

    u32  crc32, u32 length          length of what follows, a multiple of 8; written last of all
    u32  kind, u32 keyset           a keyset's number is unique in its segment
    u64  record number              0 for a keyset definition, which is not a record of the run
    i64  time, microseconds since 1970 (UTC)
    ...  ROW: i64 step, then one f64 a key;  KEYSET and JSON: u64 byte count, then UTF-8, zero-padded

so a reader sees a record whole or not at all, and the checksum tells a torn or flipped one.
"""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import dataclass

from runstream.errors import SpoolError

if sys.byteorder != "little":  # pragma: no cover
    raise SpoolError("runstream's spool needs a little-endian machine")

crc32 = zlib.crc32

MAGIC = b"RSSPOOL2"
HEADER_BYTES = 64
PREFIX = struct.Struct("@II")
"""crc32, length"""
U64 = struct.Struct("@Q")
HEAD = struct.Struct("@IIQq")
"""kind, keyset, number, time"""
SIZED = struct.Struct("@IIQqQ")
"""kind, keyset, number, time, byte count"""
ROW_HEAD_BYTES = HEAD.size + 8

SEGMENT_HEADER = struct.Struct("@8sIIQQq")
"""magic, header bytes, dropped points, segment index, segment bytes, created (microseconds since 1970)"""
U32 = struct.Struct("@I")
DROPPED_OFFSET = 12
"""u32 in the header: the points that the process has reported as given up so far."""
POINTS_OFFSET = 40
"""u64 in the header: the number of scalar points in the segments before this one."""
RECORDS_OFFSET = 56
"""u64 in the header: the number of records in the segments before this one. Both numbers show what a dropped segment
held."""
SEALED_OFFSET = 48
"""u64 in the header: 0 while the segment is written to, else the offset where its records end."""

KIND_ROW = 1
KIND_KEYSET = 2
KIND_JSON = 3

FIRST_SEGMENT_BYTES = 1 << 20
"""The size of the first segment: small, because most runs are small. It is allocated at once, so that a full disk is an
error here and no SIGBUS later."""
SEGMENT_BYTES = 8 << 20
"""The size of later segments, which hold 60,000 rows of 10 metrics."""
RESERVE_BYTES = 4096
"""Bytes that each segment reserves at its end for the finish record: a run ends properly although its disk is full."""
MAX_KEYS_PER_ROW = 8192
"""A wider dict becomes several rows, so that a row with its names fits in a batch."""
MAX_JSON_BYTES = 3 << 20
"""The most bytes of a JSON record: it must fit in a batch, which the gateway bounds at 4 MiB."""

LAST_BYTES = 2048
"""Bytes that are kept for the finish record when the stream is shut; it is written once the claims before it are
filled."""

STOP_ORDER = "stop.json"
"""The file beside the state page with `cause` and `reason` of a stop; it is written before the page requests the
stop."""
STATE_BYTES = 4096
STATE = struct.Struct("@8sQQQQQ")
"""magic, acked record, acked batch, rejected batches, stop requested (0 or 1), sender's beat (us since 1970)"""
STATE_MAGIC = b"RSSTATE1"
STATE_TEXT_OFFSET = 256
"""u32 byte count and UTF-8: the last error that the sender saw; it is empty when there is none."""
STATE_TEXT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class SpoolPosition:
    """A position in a stream: a segment's index and a byte offset in it."""

    segment: int
    offset: int


def padded(length: int) -> int:
    """Return `length` rounded up to a multiple of 8."""
    return (length + 7) & ~7


def segment_name(index: int) -> str:
    return f"{index:08d}.seg"
