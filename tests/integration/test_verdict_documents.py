"""What a run has beside points, as an adversary would treat it, on the real engine: rows of every table are removed,
changed and added behind the product's back, and the verdict names it. What users do stays complete."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runstream_common.clickhouse import tombstones
from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.tombstones import Tombstone
from runstream_common.document_proofs import NAMES
from runstream_proto.v1 import ingest_pb2 as pb
from tests.integration.test_verdict_adversary import Case
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack

CHANGED = {
    "run_fields": "'\"never set\"' AS value",
    "streams": "exit_code + 1 AS exit_code",
    "strings": "concat(value, '.') AS value",
    "histograms": "arrayMap(x -> x + 1, counts) AS counts",
    "tables": "'[]' AS rows",
    "media": "size_bytes + 1 AS size_bytes",
    "files": "size_bytes + 1 AS size_bytes",
    "console": "upper(text) AS text",
    "alerts": "'info' AS level",
    "rejects": "points + 1 AS points",
}
"""What is written over a column, under the row's own version."""
ADDED = {
    "run_fields": "'config' AS section, 'planted' AS key",
    "streams": "'writer-0009' AS writer",
    "console": "line + 1000 AS line",
    "files": "'planted' AS path",
    "alerts": "number + 1000 AS number",
}
"""The key of a row that no batch has; else another step."""


@pytest.fixture
async def case(embedded: ServiceStack) -> AsyncIterator[Case]:
    client = await connect(embedded.clickhouse.config)
    yield Case(client)
    await client.close()


def one_of_each(attempt: Attempt, step: int = 3, last: bool = True) -> list[Any]:
    """A batch of one record of each kind, and the finish where `last`."""
    records: dict[str, dict[str, Any]] = {
        "field": {"section": pb.SECTION_CONFIG, "key": "lr", "value_json": json.dumps({"peak": 0.1, "ü\n": ["x"]})},
        "definition": {"name": "loss", "goal": "minimize", "unit": "nats"},
        "text": {"key": "note", "step": step, "value": "ünï → \u0000 text"},
        "histogram": {"key": "grad", "step": step, "edges": [-0.0, 1.5, float("inf")], "counts": [1.0, float("nan")]},
        "table": {"key": "rows", "step": step, "columns": ["a", "b"], "rows": 1, "rows_json": "[[1,2]]"},
        "media": {"key": "image", "step": step, "media_type": "image/png", "sha256": "0a" * 32, "size_bytes": 7},
        "file": {"path": "code/train.py", "media_type": "text/x-python", "sha256": "b1" * 32, "size_bytes": 9},
        "console": {"line": step, "text": "epoch 1", "output": pb.ConsoleLine.OUTPUT_STDERR},
        "alert": {"title": "diverged", "text": "NaN", "level": pb.Alert.LEVEL_ERROR},
        "heartbeat": {},
    }

    def fill(kind: str, values: dict[str, Any]) -> Any:
        return lambda record: getattr(record, kind).CopyFrom(type(getattr(record, kind))(**values))

    made = attempt.document(*(fill(kind, values) for kind, values in records.items()))
    if not last:
        return [made]
    return [made, attempt.document(fill("finish", {"outcome": 1, "records": attempt.records}))]


async def log(case: Case) -> None:
    attempt = case.attempt()
    await put(case.client, attempt.start(), *one_of_each(attempt))
    verdict, found = await case.verdict()
    assert verdict == "complete" and not found.findings, found
    assert found.documents_counted == found.documents_proved == 12, found


def _row(table: str) -> str:
    """Which one of the table's rows is harmed."""
    return {"streams": " AND event = 'finish'", "run_fields": " AND section = 'config'"}.get(table, "")


TABLES = [name for name in NAMES if name != "rejects"]


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_that_is_changed_added_or_removed_is_named(case: Case, table: str) -> None:
    await log(case)
    harms = {
        "was changed": f"INSERT INTO {table} SELECT * REPLACE ({CHANGED[table]}) FROM {table} FINAL WHERE MINE",
        "is surplus": f"INSERT INTO {table} SELECT * REPLACE ({ADDED.get(table, 'step + 7 AS step')}) FROM {table} "
        "FINAL WHERE MINE",
        "is missing": f"DELETE FROM {table} WHERE MINE",
    }
    for named, statement in harms.items():
        await case.do(statement + _row(table))
        verdict, found = await case.verdict()
        assert verdict == "damaged", found
        assert any(one.startswith(f"a row of {table} {named}") for one in found.findings), (table, named, found)
        print(f"{table} {named} -> {verdict}: {found.findings[-1]}")


async def test_a_note_of_lost_records_cannot_be_taken_away(case: Case) -> None:
    attempt = case.attempt()

    def lose(record: Any) -> None:
        record.loss.cause = pb.SpoolLoss.CAUSE_DAMAGED

    await put(case.client, attempt.start(), attempt.document(lose), *one_of_each(attempt))
    assert (await case.verdict())[0] == "incomplete"
    await case.do("DELETE FROM rejects WHERE MINE")
    verdict, found = await case.verdict()
    assert verdict == "damaged" and "a row of rejects is missing" in found.findings[0], found


async def test_hashes_in_the_ledger_cannot_be_changed(case: Case) -> None:
    await log(case)
    await case.do(
        "INSERT INTO ledger SELECT * REPLACE (arrayMap(x -> x + 16, document_keys) AS document_keys) FROM ledger FINAL "
        "WHERE MINE AND batch = 2"
    )
    verdict, found = await case.verdict()
    assert verdict == "damaged" and len(found.findings) > 10, found


async def test_replays_resumed_attempts_edits_and_deletions_stay_complete(case: Case) -> None:
    first = case.attempt(1)
    logged = [first.start(), *one_of_each(first)]
    await put(case.client, *logged)
    second = case.attempt(2)
    again = [second.start(), *one_of_each(second, last=False), *one_of_each(second, 4)]
    await put(case.client, *again)
    await put(case.client, *reversed(logged))  # a replay of what was replaced
    verdict, found = await case.verdict()
    assert verdict == "complete" and not found.findings, found
    assert found.documents_proved == found.documents_counted > 12, found
    await case.do("OPTIMIZE TABLE strings FINAL")
    assert (await case.verdict())[0] == "complete"
    stone = [Tombstone(f"main/{case.project}", "run", 2, "note")]
    await tombstones.write(case.client, stone, "tester")
    await tombstones.purge(case.client, stone)
    verdict, found = await case.verdict()
    assert verdict == "complete" and "2 rows other than points were deleted with" in found.findings[0], found


async def test_rows_from_before_the_hashes_are_counted_and_said(case: Case) -> None:
    await log(case)
    await case.do(
        "INSERT INTO ledger SELECT * REPLACE (0 AS documents_proved, [] AS document_keys, [] AS document_hashes) FROM "
        "ledger FINAL WHERE MINE"
    )
    verdict, found = await case.verdict()
    assert verdict == "complete" and (found.documents_counted, found.documents_proved) == (12, 0), found
    assert "12 rows other than points have no hash" in found.findings[0], found
