"""What people's SQL may not do: all but reading one's own rows is refused, and what is the server's nobody chooses."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.support.sql_front import Front

ATTACKS = {
    "system tables": "SELECT * FROM system.tables",
    "quoted": "SELECT * FROM `system`.`tables`",
    "double quotes": 'SELECT * FROM "system"."tables"',
    "commented": "SELECT * FROM/**/system /* . */ . /**/ tables -- x",
    "information schema": "SELECT * FROM information_schema.tables",
    "INFORMATION_SCHEMA": "SELECT * FROM INFORMATION_SCHEMA.TABLES",
    "another database": "SELECT * FROM other.points",
    "a table of ours": "SELECT * FROM points",
    "a table of ours, qualified": "SELECT * FROM default.run_fields FINAL",
    "migrations": "SELECT * FROM schema_migrations",
    "tombstones": "SELECT * FROM tombstones",
    "migrations, qualified": "SELECT * FROM default.schema_migrations",
    "in a system table": "SELECT 1 IN system.one",
    "in a table of ours": "SELECT 1 IN schema_migrations",
    "file": "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "file, as a function": "SELECT file('/etc/passwd')",
    "file, in a lambda": "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    "file, applied": "SELECT run APPLY file FROM points_now",
    "file, applied in a lambda": "SELECT * APPLY(x -> file('/etc/passwd')) FROM (SELECT 1)",
    "file, in WITH": "WITH file('/etc/passwd') AS x SELECT x",
    "file, in a parameter": "SELECT quantile(file('/etc/passwd'))(1)",
    "url": "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "s3": "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "remote": "SELECT * FROM remote('127.0.0.1', default.points)",
    "cluster": "SELECT * FROM cluster('default', default.points)",
    "clusterAllReplicas": "SELECT * FROM clusterAllReplicas('default', system.one)",
    "merge": "SELECT * FROM merge('default', '.*')",
    "merge, as text": "SELECT * FROM `merge`('default', '.*')",
    "executable": "SELECT * FROM executable('x.sh', TSV, 'a String')",
    "python": "SELECT * FROM python('x')",
    "view": "SELECT * FROM view(SELECT * FROM points)",
    "loop": "SELECT * FROM loop(points) LIMIT 1",
    "index": "SELECT * FROM mergeTreeIndex('default', 'points')",
    "dictionary": "SELECT * FROM dictionary('d')",
    "dictGet": "SELECT dictGet('d', 'a', 1)",
    "joinGet": "SELECT joinGet('points', 'run', 1)",
    "mysql": "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "sqlite": "SELECT * FROM sqlite('/tmp/x', 'y')",
    "settings": "SELECT getSetting('additional_table_filters')",
    "host": "SELECT hostName()",
    "user": "SELECT currentUser()",
    "server setting": "SELECT getServerSetting('path')",
    "sleep": "SELECT sleep(3)",
    "columns of a table": "SELECT hasColumnInTable('default', 'schema_migrations', 'name')",
    "disk": "SELECT filesystemAvailable()",
    "header": "SELECT getClientHTTPHeader('authorization')",
    "ai": "SELECT aiGenerate('x')",
    "where a row lies": "SELECT _part_offset FROM points_now",
    "where a row lies, qualified": "SELECT p._part FROM points_now AS p",
    "a dictionary's values": "SELECT lowCardinalityKeys(run) FROM points_now",
    "throwIf": "SELECT throwIf(1)",
    "a function of tomorrow": "SELECT functionOfTomorrow(1)",
    "a clause of settings": "SELECT 1 SETTINGS additional_table_filters = {}",
    "settings in a subquery": "SELECT * FROM (SELECT 1 SETTINGS max_threads = 1)",
    "settings in a union": "SELECT 1 UNION ALL SELECT 2 SETTINGS readonly = 0",
    "settings behind a format": "SELECT 1 FORMAT TSV SETTINGS readonly = 0",
    "set": "SET readonly = 0",
    "prewhere": "SELECT count() FROM points PREWHERE intDiv(1, run != 'x') = 1",
    "prewhere in a subquery": "SELECT * FROM (SELECT count() FROM points FINAL /**/ prewhere 1)",
    "into a file": "SELECT 1 INTO OUTFILE '/tmp/runstream-attack'",
    "a format with a file": "SELECT 1 FORMAT Template",
    "two statements": "SELECT 1; SELECT 2",
    "two statements, hidden": "SELECT 1 /* ; */ ; DROP TABLE points",
    "in parallel": "SELECT 1 PARALLEL WITH SELECT 2",
    "insert": "INSERT INTO points SELECT * FROM points",
    "alter": "ALTER TABLE points DELETE WHERE 1",
    "delete": "DELETE FROM points WHERE 1",
    "create": "CREATE TABLE x (a Int8) ENGINE = Memory",
    "create a view": "CREATE VIEW x AS SELECT 1",
    "create a function": "CREATE FUNCTION f AS x -> x",
    "drop": "DROP TABLE points",
    "truncate": "TRUNCATE TABLE points",
    "attach": "ATTACH TABLE points",
    "detach": "DETACH TABLE points",
    "rename": "RENAME TABLE points TO x",
    "exchange": "EXCHANGE TABLES points AND series",
    "optimize": "OPTIMIZE TABLE points FINAL",
    "kill": "KILL QUERY WHERE 1",
    "system": "SYSTEM FLUSH LOGS",
    "grant": "GRANT ALL ON *.* TO default",
    "backup": "BACKUP TABLE points TO File('/tmp/x')",
    "use": "USE system",
    "explain": "EXPLAIN SELECT 1",
    "explain, as a subquery": "SELECT * FROM (EXPLAIN SELECT 1)",
    "describe a system table": "DESCRIBE TABLE system.tables",
    "describe a function": "DESCRIBE TABLE file('/etc/passwd')",
    "show create": "SHOW CREATE TABLE points",
    "show processes": "SHOW PROCESSLIST",
    "check": "CHECK TABLE points",
    "exists": "EXISTS TABLE system.tables",
    "recursion": "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT sum(n) FROM r",
    "NUL": "SELECT 1 \0 FROM system.one",
    "right to left": "SELECT * FROM \u202esystem.tables",
    "full-width": "SELECT * FROM system\uff0etables",
    "no-break space": "SELECT * FROM system\u00a0.\u00a0tables",
    "newline in a name": "SELECT `a\nTableIdentifier points` FROM system.tables",
    "a CTE that shadows": "WITH points_now AS (SELECT * FROM system.tables) SELECT * FROM points_now",
    "a CTE around": "WITH a AS (SELECT * FROM schema_migrations), b AS (SELECT * FROM a) SELECT * FROM b",
    "a subquery in SELECT": "SELECT (SELECT count() FROM schema_migrations)",
    "a subquery in ORDER BY": "SELECT 1 ORDER BY (SELECT count() FROM schema_migrations)",
    "a subquery in LIMIT": "SELECT 1 LIMIT (SELECT count() FROM schema_migrations)",
    "a subquery in ARRAY JOIN": "SELECT 1 ARRAY JOIN (SELECT groupArray(name) FROM schema_migrations) AS x",
    "a subquery in EXISTS": "SELECT EXISTS(SELECT 1 FROM schema_migrations)",
    "a subquery in a table function": "SELECT * FROM numbers((SELECT count() FROM schema_migrations))",
    "a union": "SELECT 'a' UNION ALL SELECT name FROM schema_migrations",
    "a join": "SELECT 1 FROM points_now JOIN schema_migrations ON 1 = 1",
    "no SQL": "hello",
    "empty": "   ",
    "only a comment": "-- nothing",
    "deep": "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "long": "SELECT '" + "x" * 70_000 + "'",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_one_line_and_does_nothing(front: Front, name: str) -> None:
    status, body, headers = front.post(ATTACKS[name])
    text = body.decode()
    assert status in (400, 403, 404), (status, text[:300])
    assert text.startswith("Code: ") and text.count("\n") == 1 and len(text) < 1500
    assert int(headers["x-clickhouse-exception-code"]) > 0
    assert "root:" not in text


def test_after_all_attacks_everything_is_still_there(front: Front) -> None:
    assert front.post("SELECT count() FROM points_now WHERE project = 'main/sql'")[:2] == (200, b"1000\n")
    assert front.post("SHOW TABLES")[1].decode().split().count("points_now") == 1


@pytest.mark.parametrize("name", ["system tables", "file", "two statements", "a clause of settings", "prewhere", "NUL"])
def test_run_sql_refuses_the_same(front: Front, name: str) -> None:
    data = json.dumps({"sql": ATTACKS[name]}).encode()
    request = urllib.request.Request(f"http://{front.stack.address('http')}/api/v1/RunSql", data)
    request.add_header("authorization", f"Bearer {front.stack.key}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    assert caught.value.code == 400
    assert "DB::Exception" not in caught.value.read().decode()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM {t:Identifier}",
        "SELECT {t:Identifier} FROM points_now",
        "SELECT * FROM numbers(1) WHERE 1 IN {t:Identifier}",
    ],
)
@pytest.mark.parametrize(
    "value", ["system.tables", "schema_migrations", "`system`.`tables`", "points; DROP TABLE points"]
)
def test_a_parameter_that_is_a_name_is_judged_like_a_name(front: Front, sql: str, value: str) -> None:
    assert front.post(sql, param_t=value)[0] in (400, 403, 404)
    assert (
        front.post("SELECT count() FROM {t:Identifier} WHERE project = 'main/sql'", param_t="points_now")[1]
        == b"1000\n"
    )


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE points; --", "a\\'b", "\u202e", "{t:String}", "/* */", "\\N", "x" * 5000]
)
def test_a_parameter_is_a_value_and_never_sql(front: Front, value: str) -> None:
    escaped = value.replace("\\", "\\\\")
    status, body, _ = front.post("SELECT {t:String} AS t FORMAT JSONCompact", param_t=escaped)
    assert (status, json.loads(body)["data"]) == (200, [[value]])


@pytest.mark.parametrize(
    "query",
    [
        {"additional_table_filters": "{}"},
        {"readonly": "0", "allow_ddl": "1"},
        {"max_memory_usage": "1", "enable_analyzer": "0"},
        {"use_query_cache": "1"},
        {"query_plan_merge_filters": "1"},
        {"optimize_move_to_prewhere": "1"},
        {"format_schema": "/etc/passwd"},
        {"role": "admin", "custom_x": "1"},
        {"database": "system"},
        {"default_format": "Template"},
        {"compress": "1"},
    ],
)
def test_a_client_cannot_choose_what_is_the_servers(front: Front, query: dict[str, str]) -> None:
    status, body, _ = front.post("SELECT count() FROM points_now", **query)
    assert status in (400, 403, 404, 501) and body.startswith(b"Code: ")


def test_what_a_client_may_choose_has_its_effect(front: Front) -> None:
    assert front.post("SELECT number FROM numbers(10)", limit="2")[1] == b"0\n1\n"
    assert front.post("SELECT number FROM numbers(10)", max_result_rows="3")[0] == 400
    body = front.post(
        "SELECT toUInt64(1) AS a", default_format="JSONEachRow", output_format_json_quote_64bit_integers="1"
    )[1]
    assert json.loads(body) == {"a": "1"}
    assert front.post("SELECT 1", max_threads="64", send_progress_in_http_headers="1", session_id="s")[0] == 200
