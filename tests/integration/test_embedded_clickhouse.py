"""Embedded ClickHouse as a client sees it: curl, clickhouse-connect (sync and async), and the kernel's SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import lz4.frame
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError

from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema import migrator
from tests.support.clickhouse import PASSWORD, EmbeddedClickHouse
from tests.support.disks import small_disk, unmount


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    server = EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")).start()
    yield server
    assert server.service.stop() == 0


def ask(
    server: EmbeddedClickHouse,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
    method: str = "POST",
    **query: str,
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a plain HTTP request."""
    url = f"{server.url}/?{urllib.parse.urlencode(query)}"
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data if method == "POST" else None, method=method)
    for name, value in {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD, **(headers or {})}.items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read(), {k.lower(): v for k, v in response.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {k.lower(): v for k, v in error.headers.items()}


def test_curl_asks_and_is_answered(server: EmbeddedClickHouse) -> None:
    assert shutil.which("curl"), "curl is part of every machine that this is for"
    command = [
        "curl",
        "-sS",
        "-u",
        f"default:{PASSWORD}",
        server.url,
        "-d",
        "SELECT 40 + 2 AS answer FORMAT JSONEachRow",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"answer": 42}
    ping = subprocess.run(["curl", "-sS", f"{server.url}/ping"], capture_output=True, text=True, check=True)
    assert ping.stdout == "Ok.\n"


def test_the_sync_driver_works(server: EmbeddedClickHouse) -> None:
    client = server.client()
    client.command(
        "CREATE TABLE sync_t (a Int64, b LowCardinality(String), c Array(Float64)) ENGINE = MergeTree ORDER BY a"
    )
    client.insert("sync_t", [[1, "x", [1.5]], [2, "y", []]], column_names=["a", "b", "c"])
    client.insert_arrow("sync_t", pa.table({"a": [3], "b": ["z"], "c": [[2.5, 3.5]]}))
    rows = client.query("SELECT * FROM sync_t WHERE a >= {least:Int64} ORDER BY a", parameters={"least": 2}).result_rows
    assert rows == [(2, "y", []), (3, "z", [2.5, 3.5])]
    assert client.query_arrow("SELECT sum(a) AS s FROM sync_t").to_pylist() == [{"s": 6}]
    assert client.command("SELECT version()").startswith("2")
    client.command("DROP TABLE sync_t")


async def test_the_async_driver_works(server: EmbeddedClickHouse) -> None:
    client = await connect(server.config)
    await client.command("CREATE TABLE async_t (a Int64) ENGINE = MergeTree ORDER BY a")
    await asyncio.gather(*(client.insert("async_t", [[n]], column_names=["a"]) for n in range(20)))
    assert (await client.query("SELECT count(), sum(a) FROM async_t")).result_rows == [(20, 190)]
    await client.command("DROP TABLE async_t")
    await client.close()


def test_queries_run_side_by_side(server: EmbeddedClickHouse) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(*(asyncio.to_thread(ask, server, "SELECT sleep(1)") for _ in range(4)))
        return loop.time() - started

    assert asyncio.run(run()) < 3.5  # one after the other would be four seconds; no figure, an order


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"SELECT 1", mtime=0)),
        ("zstd", zstandard.compress(b"SELECT 1")),
        ("lz4", lz4.frame.compress(b"SELECT 1")),
    ],
)
def test_packed_requests_are_unpacked(server: EmbeddedClickHouse, encoding: str, packed: bytes) -> None:
    assert ask(server, packed, {"Content-Encoding": encoding})[:2] == (200, b"1\n")
    status, body, _ = ask(server, packed[:-4], {"Content-Encoding": encoding})
    assert status == 400, body


def test_answers_are_packed_as_asked(server: EmbeddedClickHouse) -> None:
    query = "SELECT number FROM numbers(10000)"
    _, plain, _ = ask(server, query)
    for encoding, unpack in (
        ("gzip", gzip.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompress(data)),
        ("lz4", lz4.frame.decompress),
    ):
        _, body, headers = ask(server, query, {"Accept-Encoding": encoding}, enable_http_compression="1")
        assert headers["content-encoding"] == encoding
        assert unpack(body) == plain


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("SELECT nope", 400, 47),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT 1 FORMAT Nope", 404, 73),
        ("", 400, 62),
        ("SELECT throwIf(1)", 400, 395),
        ("SYSTEM SHUTDOWN", 400, 344),
        (b"SELECT '\xff\xfe'", 400, 62),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, 400, 306),
        (b"x" * (5 << 20), 400, 62),
    ],
)
def test_errors_have_clickhouses_status_number_and_words(
    server: EmbeddedClickHouse, query: bytes | str, status: int, code: int
) -> None:
    got, body, headers = ask(server, query)
    assert (got, headers["x-clickhouse-exception-code"]) == (status, str(code)), body
    assert body.startswith(f"Code: {code}. DB::Exception".encode())


def test_unknown_settings_are_refused(server: EmbeddedClickHouse) -> None:
    assert ask(server, "SELECT 1", no_such_setting="1")[0] == 404
    assert ask(server, "SELECT 1", **{"bad name; DROP": "1"})[0] == 404
    assert ask(server, "SELECT getSetting('max_threads')", max_threads="3")[1] == b"3\n"
    assert ask(server, "SELECT getSetting('max_threads')")[1] != b"3\n", "a setting is its request's alone"
    assert ask(server, "SELECT 1", max_threads="1', readonly='0")[0] == 400


def test_parameters_cannot_become_sql(server: EmbeddedClickHouse) -> None:
    hostile = "'); DROP TABLE points; -- \u202e`{x:String}"
    assert ask(server, "SELECT {p:String}", param_p=hostile)[1].decode() == hostile.replace("'", "\\'") + "\n"
    assert ask(server, "SELECT {p:UInt8}", param_p="1 OR 1")[0] == 400


def test_parameters_too_long_for_a_url_come_as_a_form(server: EmbeddedClickHouse) -> None:
    names = [f"metric/{number:06d}/{'x' * 50}\n'`ä" for number in range(5000)]
    client = server.client()
    query = "SELECT length({names:Array(String)}), {names:Array(String)}[5000]"
    assert client.query(query, parameters={"names": names}).result_rows == [(5000, names[-1])]
    assert ask(server, b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"})[0] == 400


def test_a_form_that_cannot_be_read_is_refused(server: EmbeddedClickHouse) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    status, answer, _ = ask(server, b"--x\r\nContent Disposition: form-data\r\n\r\n1\r\n--x--\r\n", form)
    assert status == 400 and b"the form cannot be read" in answer


def test_get_reads_and_never_writes(server: EmbeddedClickHouse) -> None:
    assert ask(server, method="GET", query="SELECT 7")[:2] == (200, b"7\n")
    status, body, _ = ask(server, method="GET", query="CREATE TABLE got (a Int8) ENGINE = Memory")
    assert (status, b"READONLY" in body) == (403, True)


def test_access_needs_the_password(server: EmbeddedClickHouse) -> None:
    for headers in ({"X-ClickHouse-Key": ""}, {"X-ClickHouse-Key": "wrong"}, {"X-ClickHouse-User": "root"}):
        status, body, _ = ask(server, "SELECT 1", headers)
        assert status in (401, 403) and b"516" in body
    with pytest.raises(DatabaseError):
        clickhouse_connect.get_client(host="127.0.0.1", port=server.port, password="wrong")


def test_insert_of_garbage_is_refused_and_the_server_lives(server: EmbeddedClickHouse) -> None:
    ask(server, "CREATE TABLE garbage (a Int64) ENGINE = MergeTree ORDER BY a")
    for data_format in ("Native", "Arrow", "ArrowStream", "RowBinary", "JSONEachRow", "Parquet"):
        status, body, _ = ask(server, b"\xff\x00garbage" * 100, query=f"INSERT INTO garbage FORMAT {data_format}")
        assert status >= 400, (data_format, body)
    assert ask(server, "SELECT count() FROM garbage")[1] == b"0\n"


def test_slow_and_broken_connections_hold_nobody_up(server: EmbeddedClickHouse) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for number, connection in enumerate(idle):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nSEL"[: 10 + number])
    assert ask(server, "SELECT 1")[1] == b"1\n"
    for connection in idle:
        connection.close()
    assert ask(server, "SELECT 1")[1] == b"1\n"


def test_a_second_process_on_the_same_data_is_refused(server: EmbeddedClickHouse) -> None:
    command = [sys.executable, "-m", "runstream_deploy.embedded", "--data", str(server.data), "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert f"in use by process {server.service.pid}" in done.stderr and "Traceback" not in done.stderr


def test_without_a_password_only_loopback_is_served(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runstream_deploy.embedded", "--data", str(tmp_path), "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and "is not loopback" in done.stderr


def test_what_was_answered_survives_sigkill(tmp_path: Path) -> None:
    server = EmbeddedClickHouse(tmp_path).start()
    ask(server, "CREATE TABLE kept (a Int64, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY a")
    for number in range(20):
        assert ask(server, f"{number}\t1\n", query="INSERT INTO kept FORMAT TabSeparated")[0] == 200
    server.service.kill()
    server.start()
    assert ask(server, "SELECT count(), sum(a) FROM kept FINAL")[1] == b"20\t190\n"
    ask(server, "5\t2\n", query="INSERT INTO kept FORMAT TabSeparated")
    assert ask(server, "SELECT count(), max(v) FROM kept FINAL")[1] == b"20\t2\n"
    assert server.service.stop() == 0


async def test_migrations_apply_once_and_may_not_change(server: EmbeddedClickHouse) -> None:
    client = await connect(server.config)
    with pytest.raises(migrator.SchemaError, match="run `runstream migrate`"):
        await migrator.check_schema(client)
    assert [migration.number for migration in await migrator.migrate(client)] == [one.number for one in migrator.load()]
    assert await migrator.migrate(client) == []
    await migrator.check_schema(client)
    changed = [migrator.Migration(1, "0001_initial.sql", "SELECT 1\n;\n")]
    with pytest.raises(migrator.SchemaError, match="other contents"):
        await migrator.migrate(client, migrations=changed)
    await client.close()


async def test_a_curve_by_step_reads_in_key_order_without_hash_or_join(server: EmbeddedClickHouse) -> None:
    client = await connect(server.config)
    await migrator.migrate(client)
    await client.command(
        "INSERT INTO points SELECT 'team/project', 'r', if(number % 2, 'loss', 'acc'), 0, number, 0.5, now64(6), "
        "number, "
        "toDate('2026-11-01') FROM numbers(50000)"
    )
    query = (
        "EXPLAIN PIPELINE SELECT step, value FROM points FINAL "
        "WHERE project = 'team/project' AND run = 'r' AND metric = 'loss' ORDER BY step"
    )
    plan = "\n".join(row[0] for row in (await client.query(query)).result_rows)
    for word in ("Aggregat", "Join", "Hash"):
        assert word not in plan, plan
    indexes = await client.query(query.replace("PIPELINE", "indexes = 1"))
    text = "\n".join(row[0] for row in indexes.result_rows)
    assert "PrimaryKey" in text and "metric" in text
    await client.close()


def test_the_cluster_form_is_replicated() -> None:
    (first, *_) = migrator.load()[0].statements("prod")
    assert "ON CLUSTER 'prod'" in first
    assert (
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)" in first
    )
    assert "{{" not in "".join(migrator.load()[0].statements("prod")) + "".join(migrator.load()[0].statements())


def test_an_insert_that_finds_the_disk_full_is_no_success(tmp_path: Path) -> None:
    """The engine's streaming insert would answer well here, and store nothing."""
    try:
        disk = small_disk(tmp_path / "disk", 100)
    except RuntimeError as error:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    server = EmbeddedClickHouse(disk).start()
    ballast = disk / "ballast"
    try:
        ask(server, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        status, answer, _ = ask(server, b"1\n2\n", query="INSERT INTO t FORMAT CSV")
        assert status == 500 and b"NOT_ENOUGH_SPACE" in answer
        ballast.unlink()
        assert ask(server, b"1\n2\n", query="INSERT INTO t SETTINGS async_insert = 0 FORMAT CSV")[0] == 200
        assert ask(server, "SELECT count() FROM t")[1] == b"2\n"
    finally:
        server.service.kill()
        unmount(disk)


def test_a_disk_that_fills_up_during_inserts_and_merges_breaks_no_part(tmp_path: Path) -> None:
    """What the engine alone would do: answer well, and leave parts that are set aside at the next start."""
    try:
        disk = small_disk(tmp_path / "disk", 100)
    except RuntimeError as error:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    server = EmbeddedClickHouse(disk).start()
    generator = random.Random(7)
    stored = 0
    try:
        ask(server, "CREATE TABLE t (n UInt64, m String, v Float64) ENGINE = MergeTree ORDER BY (m, n)")
        for _ in range(40):
            filling = threading.Thread(target=_fill, args=(disk / "ballast", generator.uniform(0, 0.05)))
            filling.start()
            for _ in range(6):
                rows = "".join(f"{stored},m{n % 7},{n / 3}\n" for n in range(generator.randrange(50, 3000)))
                with contextlib.suppress(OSError):  # the server starts itself again where it must
                    status, _, _ = ask(server, rows.encode(), query="INSERT INTO t FORMAT CSV")
                    stored += status == 200
                with contextlib.suppress(OSError):
                    ask(server, "OPTIMIZE TABLE t FINAL")
            filling.join()
            (disk / "ballast").unlink()
            server.service.wait_answering(f"{server.url}/ping")
        assert stored > 40
        server.service.kill()
        server.start()
        broken = "SELECT count() FROM system.detached_parts WHERE reason LIKE 'broken%' AND table = 't'"
        assert int(ask(server, f"SELECT uniqExact(n) FROM t WHERE n < {stored}")[1]) == stored, ask(server, broken)
    finally:
        server.service.kill()
        unmount(disk)


def _fill(ballast: Path, after_s: float) -> None:
    time.sleep(after_s)
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
