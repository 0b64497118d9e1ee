"""What people's SQL may cost, and that the tools it is for get on with it."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import grpc
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from runstream.api import Api, IncompleteResultError, InvalidRequestError, NotFoundError, TooExpensiveError
from runstream.cli import main
from runstream_control.control_store import ControlStore
from runstream_proto.v1 import query_pb2_grpc as rpc
from runstream_proto.v1 import sql_pb2 as pb
from tests.support.processes import wait_for
from tests.support.sql_front import Front


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1", "imeout"),
        ("SELECT groupArray(number) FROM numbers(1000000000)", "emory"),
        ("SELECT number FROM numbers(2000000)", "ows"),
        ("SELECT repeat('x', 100000) FROM numbers(5000)", ""),
        (
            "SELECT count() FROM numbers(100000) AS a CROSS JOIN numbers(100000) AS b CROSS JOIN numbers(100000) AS c",
            "",
        ),
    ],
    ids=["time", "memory", "rows", "bytes", "a huge join"],
)
def test_a_query_that_takes_too_much_is_ended_with_a_clear_line(front: Front, sql: str, words: str) -> None:
    started = time.monotonic()
    status, body, headers = front.post(sql, max_execution_time="20" if words == "emory" else "1")
    assert time.monotonic() - started < 30
    assert status in (400, 408, 500), body
    assert b"the query exceeds its limits" in body and words in body.decode()
    assert int(headers["x-clickhouse-exception-code"]) in (159, 160, 241, 396, 158, 307)
    request = pb.RunSqlRequest(sql=sql)
    if words == "emory":
        with grpc.insecure_channel(front.stack.address("grpc")) as channel, pytest.raises(grpc.RpcError) as refused:
            rpc.QueryServiceStub(channel).RunSql(request, metadata=(("authorization", f"Bearer {front.stack.key}"),))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


SLOW = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = {n:UInt64}"


def running(front: Front, mark: str) -> int:
    client = front.stack.clickhouse.client()
    try:
        found = client.query(
            "SELECT count() FROM system.processes WHERE query LIKE {q:String}", {"q": f"%sipHash64%{mark}%"}
        )
        return int(found.result_rows[0][0]) - 1  # less this one
    finally:
        client.close()


@pytest.mark.parametrize("how", ["protocol", "json", "grpc"])
def test_a_query_ends_when_its_client_goes(front: Front, how: str) -> None:
    mark = f"77700{len(how)}"
    sql = SLOW.replace("{n:UInt64}", mark)
    if how == "grpc":
        channel = grpc.insecure_channel(front.stack.address("grpc"))
        call = rpc.QueryServiceStub(channel).RunSql.future(
            pb.RunSqlRequest(sql=sql), metadata=(("authorization", f"Bearer {front.stack.key}"),), timeout=60
        )
        wait_for(lambda: running(front, mark) > 0, "it never ran")
        call.cancel()
        channel.close()
    else:
        import http.client

        connection = http.client.HTTPConnection(front.host, int(front.port), timeout=60)
        secret = base64.b64encode(f"x:{front.stack.key}".encode()).decode()
        if how == "json":
            headers = {"authorization": f"Bearer {front.stack.key}"}
            connection.request("POST", "/api/v1/RunSql", json.dumps({"sql": sql}), headers)
        else:
            connection.request("POST", "/clickhouse/", sql, {"authorization": f"Basic {secret}"})
        wait_for(lambda: running(front, mark) > 0, "it never ran")
        connection.close()
    gone = time.monotonic()
    wait_for(lambda: running(front, mark) == 0, "it runs on")
    assert time.monotonic() - gone < 10, "long before its time was up"


def test_a_member_with_many_keys_keeps_nobody_out(front: Front) -> None:
    """Sixteen heavy queries with three keys of one user: four run, the others wait, whoever else asks is answered."""
    mark = "888001"

    async def make() -> list[str]:
        store = ControlStore.open(front.stack.control_url)
        try:
            return [str(await store.create_api_key("many-keys", "main")) for _ in range(3)]
        finally:
            await store.close()

    keys = asyncio.run(make())
    seen: list[int] = []
    with ThreadPoolExecutor(16) as pool:
        sql = SLOW.replace("{n:UInt64}", mark)
        asked = [pool.submit(front.post, sql, keys[number % 3], max_execution_time="4") for number in range(16)]
        wait_for(lambda: running(front, mark) > 0, "the first")
        while not all(one.done() for one in asked[:4]):
            seen.append(running(front, mark))
            assert front.post("SELECT 1")[:2] == (200, b"1\n")
            assert running(front, mark) or any(one.done() for one in asked), "it was answered beside them"
        assert {one.result()[0] for one in asked} <= {408, 503}
    assert max(seen) <= 4


def test_a_revoked_key_and_a_key_of_no_team_read_nothing(front: Front) -> None:
    assert front.post("SELECT 1", key="")[0] == 401
    assert front.post("SELECT 1", key="rs_000000000000_" + "x" * 43)[0] == 401

    async def make() -> str:
        store = ControlStore.open(front.stack.control_url)
        try:
            key = str(await store.create_api_key("gone", "short-lived"))
            await store.revoke_api_key("_".join(key.split("_")[:2]))
            return key
        finally:
            await store.close()

    assert front.post("SELECT 1", key=asyncio.run(make()))[0] == 401


def test_every_way_to_name_a_key_works(front: Front) -> None:
    key = front.stack.key
    url = f"http://{front.host}:{front.port}/clickhouse"
    for path, headers in (
        (f"/?query=SELECT+1&user=x&password={key}", {}),
        ("/?query=SELECT+1", {"X-ClickHouse-User": "x", "X-ClickHouse-Key": key}),
        ("?query=SELECT+1", {"Authorization": f"Bearer {key}"}),
        ("/query?query=SELECT+1", {"X-ClickHouse-Key": key}),
    ):
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers), timeout=20) as answer:
            assert answer.read() == b"1\n"
    with urllib.request.urlopen(f"{url}/ping", timeout=20) as answer:
        assert answer.read() == b"Ok.\n"


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_clickhouse_connect_works_as_with_a_server(front: Front, compress: Any) -> None:
    client = front.client(compress=compress)
    try:
        result = client.query(
            "SELECT step, value, time FROM points_now WHERE project = {p:String} AND step < {n:UInt32} ORDER BY step",
            parameters={"p": "main/sql", "n": 3},
        )
        assert [row[:2] for row in result.result_rows] == [(0, 0.0), (1, 0.5), (2, 1.0)]
        frame = client.query_df("SELECT step, value FROM points_now WHERE project = 'main/sql'")
        assert (len(frame), float(frame.value.sum())) == (1000, 249750.0)
        table = client.query_arrow("SELECT step, metric FROM points_now WHERE project = 'main/sql' LIMIT 5")
        assert table.num_rows == 5
        assert client.command("SELECT count() FROM points_now WHERE project = 'main/sql'") == 1000
        assert client.ping()
        with pytest.raises(DatabaseError, match="only SELECT"):
            client.command("DROP TABLE points")
        with pytest.raises(DatabaseError):
            client.insert("points", [["main/x"]], column_names=["project"])
    finally:
        client.close()


async def test_the_asynchronous_client_works_too(front: Front) -> None:
    client = await clickhouse_connect.get_async_client(
        host=front.host, port=int(front.port), username="any", password=front.stack.key, proxy_path="clickhouse"
    )
    try:
        assert (await client.query("SELECT max(step) FROM points_now WHERE project = 'main/sql'")).result_rows == [
            (999,)
        ]
    finally:
        await client.close()


def test_clickhouse_go_works_as_with_a_server(front: Front) -> None:
    """The client that Grafana's data source is made of; tests/setup.sh compiles it."""
    client = Path(__file__).parents[2] / ".cache" / "clickhouse_go"
    if not client.exists():
        reason = "the client in Go is not compiled (see tests/setup.sh)"
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(reason)
        pytest.skip(reason)
    sql = (
        "SELECT number, toString(number) AS s, toLowCardinality('a') AS lc, now64(6) AS t, map('k', 1.5) AS m, "
        "[1, 2] AS a, NULL AS n, toNullable(1.5) AS f, (1, 'x') AS tu, "
        "[toLowCardinality('z')] AS al FROM numbers(100000)"
    )
    command = [client, f"{front.host}:{front.port}", front.stack.key, sql]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["100000", "100000"]


def test_bodies_come_packed_and_broken_ones_are_refused(front: Front) -> None:
    import gzip

    packed = gzip.compress(b"SELECT 1")
    assert front.post(packed, headers={"content-encoding": "gzip"})[1] == b"1\n"
    assert front.post(packed[:-3], headers={"content-encoding": "gzip"})[0] == 400
    assert front.post(gzip.compress(b"x" * (8 << 20)), headers={"content-encoding": "gzip"})[0] == 413
    assert front.post(b"\xff\xfe", headers={})[0] == 400
    status, body, headers = front.post(
        "SELECT * FROM numbers(1000)", headers={"accept-encoding": "gzip"}, enable_http_compression="1"
    )
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body).count(b"\n") == 1000


def test_tools_are_shown_the_schema_that_they_may_read(front: Front) -> None:
    assert front.post("SHOW DATABASES")[1] == b"default\n"
    tables = front.post('SHOW TABLES FROM "default"')[1].decode().split()
    assert "runs_now" in tables and "schema_migrations" not in tables
    described = front.post('DESC TABLE "default"."points_now"')[1].decode()
    assert "value\tFloat64" in described
    assert front.post('SHOW TABLES FROM "system"')[1] == b""


def test_run_sql_answers_rows_with_their_types(front: Front) -> None:
    with grpc.insecure_channel(front.stack.address("grpc")) as channel:
        ask = rpc.QueryServiceStub(channel).RunSql
        metadata = (("authorization", f"Bearer {front.stack.key}"),)
        request = pb.RunSqlRequest(
            sql="SELECT step, value, nan AS n, map('a', 1) AS m "
            "FROM points_now WHERE project = {p:String} ORDER BY step",
            parameters={"p": "main/sql"},
            max_rows=2,
        )
        response = ask(request, metadata=metadata, timeout=20)
        assert [(column.name, column.type) for column in response.columns][:2] == [
            ("step", "Int64"),
            ("value", "Float64"),
        ]
        assert [list(row)[:3] for row in response.rows] == [["0", 0.0, "nan"], ["1", 0.5, "nan"]]
        assert response.more
        request.format, request.max_rows = pb.SQL_FORMAT_ARROW, 1_000_000
        import pyarrow as pa

        table = pa.ipc.open_stream(ask(request, metadata=metadata, timeout=20).arrow).read_all()
        assert (table.num_rows, table.column_names) == (1000, ["step", "value", "n", "m"])


def test_the_sdk_gives_python_values(front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = api_of(front, monkeypatch, tmp_path)
    rows = api.sql(
        "SELECT step, value, time, {when:DateTime64(6)} AS t, {names:Array(String)} AS names, nan AS n, NULL AS o "
        "FROM points_now WHERE project = {p:String} AND step IN {steps:Array(Int64)} ORDER BY step",
        {"p": "main/sql", "steps": [1, 2], "names": ["a'b", "c\\d"], "when": datetime(2026, 1, 2, 3, 4, 5, 6, UTC)},
    )
    assert [(row["step"], row["value"]) for row in rows] == [(1, 0.5), (2, 1.0)]
    assert rows[0]["time"] == datetime.fromtimestamp(1790000001, UTC)
    assert rows[0]["t"] == datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    assert rows[0]["names"] == ["a'b", "c\\d"] and math.isnan(rows[0]["n"]) and rows[0]["o"] is None
    assert len(api.sql("SELECT * FROM points_now WHERE project = 'main/sql'", format="pandas", max_rows=20)) == 20
    assert api.sql("SELECT step FROM points_now WHERE project = 'main/sql'", format="arrow").num_rows == 1000
    with pytest.raises(InvalidRequestError, match="no table 'schema_migrations'"):
        api.sql("SELECT * FROM schema_migrations")
    with pytest.raises(NotFoundError):
        api.sql("SELECT 1", entity="rivals-of-nobody")


def test_an_answer_is_whole_or_says_that_it_is_not(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through the SDK in each form, and over gRPC."""
    api = api_of(front, monkeypatch, tmp_path)
    many = "SELECT arrayJoin(range({n:UInt64})) AS i"
    assert len(api.sql(many, {"n": 5000})) == 5000
    assert api.sql(many, {"n": 300_000}, format="arrow").num_rows == 300_000
    for form in ("rows", "pandas"):
        with pytest.raises(IncompleteResultError, match="more than 10,000 rows"):
            api.sql(many, {"n": 10_001}, format=form)
    assert len(api.sql(many, {"n": 10_000})) == 10_000
    assert len(api.sql(many, {"n": 10_001}, max_rows=10)) == 10
    with pytest.raises((IncompleteResultError, TooExpensiveError)):
        api.sql(many, {"n": 1_000_001}, format="arrow")
    with grpc.insecure_channel(front.stack.address("grpc")) as channel:
        request = pb.RunSqlRequest(sql=many, parameters={"n": "8"}, max_rows=7, format=pb.SQL_FORMAT_ARROW)
        metadata = (("authorization", f"Bearer {front.stack.key}"),)
        response = rpc.QueryServiceStub(channel).RunSql(request, metadata=metadata, timeout=20)
        import pyarrow as pa

        assert response.more and pa.ipc.open_stream(response.arrow).read_all().num_rows == 7
        request.max_rows = 8
        assert not rpc.QueryServiceStub(channel).RunSql(request, metadata=metadata, timeout=20).more


def test_the_command_line_prints_a_table(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    api_of(front, monkeypatch, tmp_path)
    sql = "SELECT step, value, 'ä' AS text FROM points_now WHERE project = {p:String} ORDER BY step"
    assert main(["sql", sql, "--param", "p=main/sql", "--max-rows", "2"]) == 0
    out = capsys.readouterr()
    assert out.out.splitlines() == ["step  value  text", "----  -----  ----", "   0    0.0  ä", "   1    0.5  ä"]
    assert "there are more" in out.err
    assert main(["sql", sql, "--param", "p=main/sql", "--max-rows", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"step": 0, "value": 0.0, "text": "ä"}
    assert main(["sql", "SELECT 1 AS a", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "a\n1\n"
    assert main(["sql", "SELECT step FROM points_now WHERE project = 'main/sql'", "--format", "csv"]) == 3
    assert "there are more than 100 rows" in capsys.readouterr().err, "what is cut without being asked says so"
    assert main(["sql", "DROP TABLE points"]) == 1
    assert "only SELECT" in capsys.readouterr().err


def api_of(front: Front, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Api:
    for name, value in front.stack.sdk_environment(folder).items():
        monkeypatch.setenv(name, value)
    return Api()


def test_requests_are_counted_like_other_methods(front: Front) -> None:
    front.post("SELECT 1")
    with urllib.request.urlopen(f"http://{front.stack.address('query_ops')}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert 'runstream_query_requests_total{method="ClickHouse",status="ok"}' in text
    assert 'method="ClickHouse",status="invalid_argument"' in text
