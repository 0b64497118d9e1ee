"""Reads export requests, cuts the engine's bytes into messages, and sets the limits on both."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sized
from dataclasses import dataclass
from typing import Any

from runstream_proto.v1 import export_pb2 as pb
from runstream_query.base.errors import InvalidRequestError

MAX_RUNS = 10_000
"""Runs of one export: their ids are one parameter of the query."""
MAX_METRICS = 1000
MAX_RANKS = 10_000
DEADLINE_S = 3600
"""Seconds that one export may take: 7 billion points at 2 million points a second."""
TAKEN_WITHIN_S = 60.0
"""Seconds after which an export ends if its client reads nothing.

It would occupy a place in the queue that another export could use.
"""
CHUNK_BYTES = 256 << 10
"""Bytes of one message, about: larger messages make gRPC no faster."""
_WILDCARDS = re.compile(r"[*?]")
_PARTS = re.compile(r"(\\[*?\\]|[*?])")
"""Splits a pattern into wildcards, characters that a backslash escapes, and the text between them."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One file format of exports."""

    engine: str
    media_type: str
    suffix: str


FORMATS = {
    pb.EXPORT_FORMAT_ARROW: FileFormat("ArrowStream", "application/vnd.apache.arrow.stream", "arrows"),
    pb.EXPORT_FORMAT_PARQUET: FileFormat("Parquet", "application/vnd.apache.parquet", "parquet"),
    pb.EXPORT_FORMAT_CSV: FileFormat("CSVWithNames", "text/csv; charset=utf-8", "csv"),
}
TABLES = {value: name.removeprefix("EXPORT_TABLE_").lower() for name, value in pb.ExportTable.items() if value}
"""Names of tables by number; `sql/export_<name>.sql` selects the rows of a table."""

SETTINGS: dict[str, str | int | float] = {
    "max_execution_time": DEADLINE_S,
    # The export reads, merges and writes as a stream, so memory does not grow with it: 20 million points take 150 MiB.
    "max_memory_usage": 2 << 30,
    "max_result_rows": 0,
    "max_result_bytes": 0,
    # The engine merges the sorted parts as a stream. Two threads are as fast as more, and leave the others to charts.
    "max_threads": 2,
    "optimize_read_in_order": 1,
    "cancel_http_readonly_queries_on_client_close": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "output_format_arrow_compression_method": "lz4_frame",
    "output_format_arrow_string_as_string": 1,
    "output_format_parquet_string_as_string": 1,
    "output_format_parquet_compression_method": "zstd",
    "output_format_parquet_row_group_size": 262_144,
    "date_time_output_format": "iso",
    "output_format_csv_crlf_end_of_line": 0,
}


def file_format(number: int) -> FileFormat:
    """Return the file format with this number; 0 means Arrow. Raises InvalidRequestError."""
    found = FORMATS.get(number or pb.EXPORT_FORMAT_ARROW)  # type: ignore[call-overload]  # any number may come
    if found is None:
        raise InvalidRequestError(f"there is no format {number}: use Arrow, Parquet or CSV")
    return found  # type: ignore[no-any-return]


def table_name(number: int) -> str:
    """Return the name of the table with this number. Raises InvalidRequestError."""
    if number not in TABLES:
        raise InvalidRequestError(f"name the table: one of {', '.join(TABLES.values())}")
    return TABLES[number]  # type: ignore[index]


def metric_filter(metrics: Iterable[str]) -> dict[str, Any]:
    """Return the SQL parameters `metrics` (names) and `pattern` (a regex). Raises InvalidRequestError."""
    names = sorted(set(metrics))
    if len(names) > MAX_METRICS:
        raise InvalidRequestError(f"metrics: at most {MAX_METRICS} names and patterns, not {len(names)}")
    if not all(names):
        raise InvalidRequestError("metrics: a name is empty")
    patterns = [name for name in names if _WILDCARDS.search(name)]
    return {
        "metrics": [name for name in names if name not in patterns],
        "pattern": f"(?s)^(?:{'|'.join(map(_regex, patterns))})$" if patterns else "",
    }


def check_count(what: str, values: Sized, most: int) -> None:
    """Raise InvalidRequestError where there are more than `most` values."""
    if len(values) > most:
        raise InvalidRequestError(f"{what}: at most {most}, not {len(values)}; empty: all")


async def chunks(pieces: AsyncIterator[bytes]) -> AsyncIterator[pb.ExportChunk]:
    """Yield messages of CHUNK_BYTES from pieces of any size; the last message may be smaller."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield pb.ExportChunk(data=bytes(waiting[:CHUNK_BYTES]))
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield pb.ExportChunk(data=bytes(waiting))


def _regex(pattern: str) -> str:
    return "".join(map(_part_regex, _PARTS.split(pattern)))


def _part_regex(part: str) -> str:
    if part in ("*", "?"):
        return ".*" if part == "*" else "."
    escaped = len(part) == 2 and part[0] == "\\" and part[1] in "*?\\"
    return re.escape(part[1] if escaped else part)
