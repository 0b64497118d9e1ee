"""docs/sql.md describes what there is, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema.migrator import load
from runstream_query.sqlaccess import catalogue
from runstream_query.sqlaccess.tenancy import OF_THE_SERVERS
from tests.integration.test_sql_isolation import Teams
from tests.support.stack import ServiceStack
from tests.support.two_teams import TABLES

TEXT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
EXAMPLES = [sql.strip() for block in re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL) for sql in block.split(";")]


def documented() -> dict[str, list[tuple[str, str]]]:
    found = {}
    for name, body in re.findall(r"### `(\w+)`\n(.*?)(?=\n##|\Z)", TEXT, re.DOTALL):
        found[name] = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", body, re.MULTILINE)
    return found


async def test_every_view_is_described_with_all_its_columns(embedded: ServiceStack) -> None:
    client = await connect(embedded.clickhouse.config)
    try:
        there = {}
        for view in sorted(catalogue.VIEWS):
            rows = (await client.query(f"DESCRIBE TABLE {view}")).result_rows
            there[view] = [(row[0], row[1]) for row in rows]
    finally:
        await client.close()
    assert documented() == there
    for columns in there.values():
        assert [name for name, _ in columns][:3] == ["team", "project_name", "project"]
        assert not any("LowCardinality" in kind for _, kind in columns), "a dictionary holds values of others' rows"


def test_the_catalogue_is_what_the_migrations_make() -> None:
    text = "".join(migration.text for migration in load())
    assert set(re.findall(r"CREATE OR REPLACE VIEW (\w+)", text)) == catalogue.VIEWS
    assert set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", text)) >= TABLES
    listed = TEXT[TEXT.index("## Tables") :]
    assert all(f"`{table}`" in listed for table in TABLES)


@pytest.mark.parametrize("sql", [sql for sql in EXAMPLES if sql])
def test_examples_run(embedded: ServiceStack, sql: str) -> None:
    status, text = Teams(embedded, "").ask(sql)
    assert status == 200, text


def test_the_functions_that_may_be_called_reach_nothing() -> None:
    suspects = re.compile(
        r"dict|^file|url$|host|user|setting|sleep|filesystem|executable|^ai[A-Z]|addressTo|throw", re.I
    )
    names = (Path(catalogue.__file__).parent / "functions.txt").read_text(encoding="utf-8").split()
    assert len(names) > 1000
    assert [name for name in names if suspects.search(name)] == []
    assert not any(
        map(catalogue.is_harmless, ["file", "fileIf", "dictGet", "dictGetIf", "__getScalar", "sleepEachRow", ""])
    )
    assert all(map(catalogue.is_harmless, ["sumIf", "SUM", "countIfOrNull", "quantileExactIf", "argMaxIf", "avgMerge"]))


async def test_the_reader_of_a_cluster_has_policies_on_every_table_that_it_may_read(embedded: ServiceStack) -> None:
    text = (Path(__file__).parents[2] / "deploy" / "clickhouse" / "reader.sql").read_text(encoding="utf-8")
    policies = re.findall(r"ROW POLICY IF NOT EXISTS (\w+) ON default\.(\w+)", text)
    assert sorted(table for name, table in policies if name == "runstream_team") == sorted(TABLES)
    assert sorted(table for name, table in policies if name == "runstream_others") == sorted(TABLES)
    assert set(re.findall(r"GRANT SELECT ON default\.(\w+)", text)) == catalogue.READABLE | TABLES | OF_THE_SERVERS
    client = await connect(embedded.clickhouse.config)
    try:  # the engine's own parser: it has no users to make
        for statement in re.sub(r"^--.*$", "", text, flags=re.MULTILINE).split(";"):
            if statement.strip():
                await client.query("SELECT formatQuery({sql:String})", parameters={"sql": statement.strip()})
    finally:
        await client.close()
