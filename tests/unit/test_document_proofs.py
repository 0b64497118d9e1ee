"""Hashes of rows that are no points, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runstream_common.document_proofs import NAMES, TABLES, entries, table_of
from runstream_ingestor.writer.arrow_schemas import SCHEMAS

ROW: dict[str, Any] = {
    "key": "note",
    "rank": 0,
    "step": 3,
    "value": "text",
    "time": datetime(2026, 1, 1, tzinfo=UTC),
    "version": 1 << 40 | 7,
}


def test_every_column_but_the_place_is_hashed() -> None:
    """A column that is added to a table is hashed too, or left out on purpose."""
    place = {"project", "run", "run_month", "time", "version"}
    on_purpose = {"streams": {"run_created", "received"}, "rejects": {"detail", "written"}}
    for table, (key, values) in TABLES.items():
        assert {*key, *values} == set(SCHEMAS[table].names) - place - on_purpose.get(table, set()), table
    assert set(NAMES) == set(SCHEMAS) - {"ledger", "replaced_points"} and len(NAMES) <= 16


def test_of_rows_with_one_key_the_last_counts() -> None:
    newer = {**ROW, "value": "other", "version": ROW["version"] + 1}
    assert entries({"strings": [ROW, newer]}) == entries({"strings": [newer]}) != entries({"strings": [ROW]})


@pytest.mark.parametrize("change", [{"value": "texT"}, {"version": 1}, {"time": datetime(2026, 1, 2, tzinfo=UTC)}])
def test_each_change_changes_the_hash_and_not_the_key(change: dict[str, Any]) -> None:
    (was,) = entries({"strings": [ROW]}).items()
    (now,) = entries({"strings": [{**ROW, **change}]}).items()
    assert was[0] == now[0] and was[1] != now[1]


def test_the_key_names_its_table() -> None:
    for table in ("strings", "histograms"):
        row = {**ROW, "edges": [0.0], "counts": []}
        assert [table_of(key) for key in entries({table: [row]})] == [table]
