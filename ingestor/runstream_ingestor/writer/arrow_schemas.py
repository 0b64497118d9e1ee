"""Arrow schemas of the tables that are written row by row; a test compares them with the migrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

_TIME = pa.timestamp("us", "UTC")
_RUN = [("project", pa.string()), ("run", pa.string())]
_KEYED = [*_RUN, ("key", pa.string()), ("rank", pa.uint32()), ("step", pa.int64())]
_VERSIONED = [("time", _TIME), ("version", pa.uint64()), ("run_month", pa.date32())]
_STORED = [("written", _TIME), ("run_month", pa.date32())]

SCHEMAS: dict[str, pa.Schema] = {
    "run_fields": pa.schema(
        [
            *_RUN,
            ("section", pa.string()),
            ("key", pa.string()),
            ("value", pa.string()),
            ("deleted", pa.uint8()),
            *_VERSIONED,
        ]
    ),
    "streams": pa.schema(
        [
            *_RUN,
            ("writer", pa.string()),
            ("event", pa.string()),
            ("rank", pa.uint32()),
            ("epoch", pa.uint64()),
            ("world_size", pa.uint32()),
            ("host", pa.string()),
            ("pid", pa.uint64()),
            ("user", pa.string()),
            ("helper", pa.uint8()),
            ("outcome", pa.string()),
            ("exit_code", pa.int32()),
            ("points", pa.uint64()),
            ("records", pa.uint64()),
            ("dropped_points", pa.uint64()),
            ("run_created", _TIME),
            ("received", _TIME),
            *_VERSIONED,
        ]
    ),
    "strings": pa.schema([*_KEYED, ("value", pa.string()), *_VERSIONED]),
    "histograms": pa.schema(
        [*_KEYED, ("edges", pa.list_(pa.float64())), ("counts", pa.list_(pa.float64())), *_VERSIONED]
    ),
    "tables": pa.schema(
        [
            *_KEYED,
            ("columns", pa.list_(pa.string())),
            ("row_count", pa.uint32()),
            ("rows", pa.string()),
            ("plot", pa.string()),
            *_VERSIONED,
        ]
    ),
    "media": pa.schema(
        [
            *_KEYED,
            ("item", pa.uint32()),
            ("media_type", pa.string()),
            ("sha256", pa.string()),
            ("size_bytes", pa.uint64()),
            ("caption", pa.string()),
            ("metadata", pa.string()),
            *_VERSIONED,
        ]
    ),
    "files": pa.schema(
        [
            *_RUN,
            ("path", pa.string()),
            ("category", pa.string()),
            ("rank", pa.uint32()),
            ("media_type", pa.string()),
            ("sha256", pa.string()),
            ("size_bytes", pa.uint64()),
            *_VERSIONED,
        ]
    ),
    "console": pa.schema(
        [
            *_RUN,
            ("rank", pa.uint32()),
            ("output", pa.string()),
            ("writer", pa.string()),
            ("line", pa.uint64()),
            ("text", pa.string()),
            *_VERSIONED,
        ]
    ),
    "alerts": pa.schema(
        [
            *_RUN,
            ("writer", pa.string()),
            ("number", pa.uint64()),
            ("rank", pa.uint32()),
            ("level", pa.string()),
            ("title", pa.string()),
            ("text", pa.string()),
            *_VERSIONED,
        ]
    ),
    "rejects": pa.schema(
        [
            *_RUN,
            ("writer", pa.string()),
            ("batch", pa.uint64()),
            ("reason", pa.string()),
            ("points", pa.uint64()),
            ("detail", pa.string()),
            ("epoch", pa.uint64()),
            *_STORED,
        ]
    ),
    "replaced_points": pa.schema(
        [
            *_RUN,
            ("writer", pa.string()),
            ("batch", pa.uint64()),
            ("note", pa.uint64()),
            ("epoch", pa.uint64()),
            ("versions", pa.list_(pa.uint64())),
            ("hashes", pa.list_(pa.uint64())),
            *_STORED,
        ]
    ),
    "ledger": pa.schema(
        [
            *_RUN,
            ("writer", pa.string()),
            ("batch", pa.uint64()),
            ("rank", pa.uint32()),
            ("epoch", pa.uint64()),
            ("first_record", pa.uint64()),
            ("last_record", pa.uint64()),
            ("points", pa.uint64()),
            ("rejected", pa.uint64()),
            ("low_step", pa.int64()),
            ("high_step", pa.int64()),
            ("documents", pa.uint64()),
            ("proved", pa.uint8()),
            ("blocks", pa.list_(pa.uint64())),
            ("block_rows", pa.list_(pa.uint64())),
            ("block_digests", pa.list_(pa.uint64())),
            ("documents_proved", pa.uint8()),
            ("document_keys", pa.list_(pa.uint64())),
            ("document_hashes", pa.list_(pa.uint64())),
            ("checksum", pa.uint32()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("received", _TIME),
            *_STORED,
        ]
    ),
}
_PROOFS = ("replaced_points", "rejects", "ledger")
ORDER = (*(name for name in SCHEMAS if name not in _PROOFS), "rejects", "ledger")
"""The order of the tables after the points. The ledger comes last, so that everything that it names is stored."""


def to_table(name: str, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
