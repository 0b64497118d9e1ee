"""Say what a person can do about stored data that cannot be read."""

from __future__ import annotations

from runstream_common.clickhouse.client import StorageRefusedError

REMEDY = (
    "keep a copy of ClickHouse's data; `runstream doctor` says which parts, `runstream repair --all --dry-run` what "
    "the topic or a spool still holds of them"
)


def damage_message(error: StorageRefusedError) -> str:
    """Return the message that a person gets for such an error."""
    return f"stored data cannot be read (ClickHouse's code {error.code}): {REMEDY}"
