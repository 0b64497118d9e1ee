"""A key's SQL sees its teams' rows and no others: in every table and view, in every clause, and in no error."""

from __future__ import annotations

import asyncio
import base64
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runstream_common.clickhouse.client import connect
from runstream_control.control_store import ControlStore
from runstream_query.sqlaccess import catalogue
from tests.support import two_teams
from tests.support.stack import ServiceStack


@dataclass(frozen=True)
class Teams:
    stack: ServiceStack
    theirs: str
    """A key of the other team."""

    def ask(self, sql: str, key: str = "", **query: str) -> tuple[int, str]:
        """Over ClickHouse's protocol: status and text."""
        url = f"http://{self.stack.address('http')}/clickhouse/?{urllib.parse.urlencode(query)}"
        secret = base64.b64encode(f"anybody:{key or self.stack.key}".encode()).decode()
        request = urllib.request.Request(
            url, sql.encode("utf-8", "surrogatepass"), {"authorization": f"Basic {secret}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    """On a stack of its own: what other tests leave there must not be told from what the other team has."""
    stack = ServiceStack(tmp_path_factory.mktemp("teams")).start()

    async def make() -> str:
        client = await connect(stack.clickhouse.config)
        store = ControlStore.open(stack.control_url)
        try:
            return await two_teams.seed(client, store)
        finally:
            await client.close()
            await store.close()

    try:
        yield Teams(stack, asyncio.run(make()))
    finally:
        stack.stop()


def forget_guard(text: str) -> bool:
    """Whether an answer tells anything of the other team."""
    return two_teams.SECRET in text or f"{two_teams.THEIRS}/" in text or "mainx/" in text or "aaa/" in text


@pytest.mark.parametrize("table", sorted(catalogue.READABLE))
def test_of_every_table_and_view_only_ones_own_rows_are_seen(teams: Teams, table: str) -> None:
    status, projects = teams.ask(f"SELECT DISTINCT toString(project) FROM {table} ORDER BY 1")
    assert status == 200, projects
    assert "main/two" in projects.split()
    assert all(project.startswith("main/") for project in projects.split())
    status, everything = teams.ask(f"SELECT * FROM {table}")
    assert status == 200 and not forget_guard(everything), everything[:300]
    status, others = teams.ask(f"SELECT DISTINCT toString(project) FROM {table}", teams.theirs)
    assert (status, others.split()) == (200, [f"{two_teams.THEIRS}/p"])


PRIES = [
    "SELECT count() FROM {t} WHERE project = 'rivals/p'",
    "SELECT count() FROM {t} WHERE NOT startsWith(project, 'main/')",
    "SELECT count() FROM {t} WHERE intDiv(1, project != 'rivals/p') = 2",
    "SELECT count() FROM {t} WHERE intDiv(1, NOT (run LIKE '%secret%')) = 2 AND 1",
    "SELECT count() FROM {t} WHERE intDiv(1, NOT (run LIKE '%secret%')) = 1 AND project = 'rivals/p'",
    "SELECT count() FROM {t} WHERE intDiv(1, project != 'rivals/p') = 2 OR run = 'x'",
    "SELECT count() FROM {t} WHERE toInt64(if(run LIKE 'their%', run, '1')) = 0",
    "SELECT count() FROM {t} WHERE arrayExists(x -> intDiv(1, project != 'rivals/p') = 2, [1])",
    "SELECT count() FROM {t} AS a JOIN {t} AS b ON a.project = b.project WHERE intDiv(1, b.project != 'rivals/p') = 2",
    "SELECT count() FROM {t} AS a LEFT JOIN {t} AS b ON a.run = b.run AND intDiv(1, b.project != 'rivals/p') = 2 "
    "WHERE b.run != ''",
    "SELECT count() FROM {t} AS a SEMI LEFT JOIN {t} AS b ON a.run = b.run AND intDiv(1, b.project != 'rivals/p') = 2",
    "SELECT count() FROM numbers(2) AS n CROSS JOIN {t} AS b WHERE intDiv(1, b.project != 'rivals/p') = 2",
    "SELECT count() FROM (SELECT * FROM {t}) WHERE intDiv(1, project != 'rivals/p') = 2",
    "WITH c AS (SELECT * FROM {t}) SELECT count() FROM c WHERE intDiv(1, project != 'rivals/p') = 2",
    "SELECT count() FROM (SELECT project FROM {t} UNION ALL SELECT project FROM {t}) "
    "WHERE intDiv(1, project != 'rivals/p') = 2",
    "SELECT count() FROM {t} ARRAY JOIN [1, 2] AS z WHERE intDiv(1, project != 'rivals/p') = 2",
    "SELECT sum(x) FROM {t} ARRAY JOIN [intDiv(1, project != 'rivals/p')] AS x WHERE x = 2",
    "SELECT run FROM {t} GROUP BY run HAVING any(intDiv(1, project != 'rivals/p')) = 2",
    "SELECT project FROM {t} WHERE run = 'zz' ORDER BY intDiv(1, project != 'rivals/p') LIMIT 1",
    "SELECT project FROM {t} QUALIFY row_number() OVER "
    "(PARTITION BY project ORDER BY intDiv(1, project != 'rivals/p')) = 0",
    "SELECT count() FROM {t} WHERE base58Decode(replaceRegexpAll(run, '[^t-]', 'a')) = 'x'",
    "SELECT count() FROM {t} WHERE javaHashUTF16LE(concat(run, if(length(run) % 2, 'x', ''))) = 7",
    "SELECT count() FROM {t} WHERE clamp('b', if(run LIKE 'their%', 'z', 'a'), 'c') = 'q'",
    "SELECT (SELECT max(project) FROM {t} WHERE project > 'mainy')",
    "SELECT max(project) FROM {t} WHERE project > 'mainy'",
    "SELECT count() FROM {t} WHERE ('rivals/p') IN (SELECT project FROM {t})",
    "SELECT count() FROM numbers(1) WHERE 'rivals/p' IN (SELECT toString(project) FROM {t})",
    "SELECT toString(project) FROM {t} EXCEPT SELECT toString(project) FROM {t}",
    "SELECT project FROM {t} WHERE project > 'n' LIMIT 1 BY project",
]
"""Whatever they answer, it tells nothing: no row of the other team's, and no error that such a row would cause."""


@pytest.mark.parametrize("table", ["points_now", "runs_now", "series_now", "config_now"])
@pytest.mark.parametrize("pry", PRIES, ids=range(len(PRIES)))
def test_no_clause_is_computed_on_others_rows(teams: Teams, table: str, pry: str) -> None:
    status, text = teams.ask(pry.replace("{t}", table))
    assert status == 200, text
    assert text.split() in ([], ["0"], ["\\N"]), text
    assert not forget_guard(text)


@pytest.mark.parametrize("output_format", ["Native", "Arrow", "ArrowStream", "Parquet", "RowBinary", "JSON", "XML"])
@pytest.mark.parametrize("table", ["points_now", "console_now"])
def test_no_format_writes_what_is_not_in_the_answer(teams: Teams, output_format: str, table: str) -> None:
    """Columns of few values are held as dictionaries, which belong to all rows of a part."""
    settings = {
        "output_format_arrow_low_cardinality_as_dictionary": "1",
        "output_format_arrow_use_signed_indexes_for_dictionary": "0",
        "output_format_arrow_compression_method": "none",
        "output_format_parquet_compression_method": "none",
        "output_format_write_statistics": "1",
        "client_protocol_version": "54460",
    }
    status, text = teams.ask(f"SELECT * FROM {table}", default_format=output_format, **settings)
    text = text.replace("\\/", "/")
    assert status == 200 and "main/two" in text
    assert not forget_guard(text) and "rows_read" not in text


async def test_every_table_has_a_filter_and_one_without_project_shows_nothing(teams: Teams) -> None:
    """A table that somebody adds tomorrow: nobody reads it, whatever it holds."""
    client = await connect(teams.stack.clickhouse.config)
    try:
        await client.command("CREATE OR REPLACE TABLE added_later (run String) ENGINE = MergeTree ORDER BY run")
        await client.command(f"INSERT INTO added_later VALUES ('{two_teams.SECRET}')")
        for sql in (
            "SELECT * FROM added_later",
            "SELECT (SELECT max(run) FROM added_later)",
            "SELECT intDiv(1, (SELECT max(run) FROM added_later) != 'their-secret')",
            "SELECT run FROM points_now WHERE run IN added_later",
        ):
            status, text = await asyncio.to_thread(teams.ask, sql)
            assert status == 403 and not forget_guard(text), text
    finally:
        await client.command("DROP TABLE IF EXISTS added_later")
        await client.close()


@pytest.mark.parametrize("sql", ["SELECT * FROM listening", "SELECT (SELECT max(until) FROM default.listening)"])
def test_when_the_servers_listened_is_seen_through_the_views_only(teams: Teams, sql: str) -> None:
    status, text = teams.ask(sql)
    assert status == 403, text


def test_what_was_asked_with_one_key_is_not_remembered_for_another(teams: Teams) -> None:
    sql = "SELECT count() FROM points_now WHERE value >= 0 AND run LIKE '%secret%'"
    assert teams.ask(sql) == (200, "0\n")
    assert teams.ask(sql, teams.theirs) == (200, f"{two_teams.ROWS}\n")
    assert teams.ask(sql) == (200, "0\n")
