"""Large answers of the embedded ClickHouse: a piece at a time, and an end when nobody wants them any more."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import signal
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.frame
import psutil
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import ClickHouseError

from runstream_common.clickhouse.client import connect
from tests.support.clickhouse import PASSWORD, EmbeddedClickHouse

HEADERS = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    server = EmbeddedClickHouse(tmp_path_factory.mktemp("streaming")).start()
    yield server
    assert server.service.stop() == 0


@contextlib.contextmanager
def post(
    server: EmbeddedClickHouse, sql: str, headers: dict[str, str] | None = None, **query: str
) -> Iterator[http.client.HTTPResponse]:
    """The response, its body not yet read; leaving closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", f"/?{urllib.parse.urlencode(query)}", sql.encode(), {**HEADERS, **(headers or {})})
    with contextlib.closing(connection), connection.getresponse() as response:
        yield response


def ask(server: EmbeddedClickHouse, sql: str) -> bytes:
    with post(server, sql) as response:
        return response.read()


def running(server: EmbeddedClickHouse, word: str) -> int:
    """Queries that hold the word, but this one."""
    return int(ask(server, f"SELECT countIf(position(query, '{word}') > 0) - 1 FROM system.processes"))


def wait_until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("encoding", "unpack"),
    [
        ("", bytes),
        ("gzip", gzip.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        ("lz4", lz4.frame.decompress),
    ],
)
def test_a_large_answer_is_whole_in_every_encoding(
    server: EmbeddedClickHouse, encoding: str, unpack: Callable[[bytes], bytes]
) -> None:
    asked = {"enable_http_compression": "1"} if encoding else {}
    with post(server, "SELECT number FROM numbers(400000)", {"Accept-Encoding": encoding}, **asked) as response:
        assert response.getheader("transfer-encoding") == "chunked"
        assert response.getheader("content-encoding") == (encoding or None)
        assert unpack(response.read()) == b"".join(b"%d\n" % number for number in range(400_000))


@pytest.mark.parametrize(
    "tail", ["FORMAT ArrowStream", "FORMAT ArrowStream;", "FORMAT ArrowStream SETTINGS max_threads = 1"]
)
def test_the_parts_of_an_answer_are_one_document(server: EmbeddedClickHouse, tail: str) -> None:
    answer = ask(server, f"SELECT number, toString(number % 7)::LowCardinality(String) FROM numbers(300000) {tail}")
    assert pa.ipc.open_stream(answer).read_all().column("number").to_pylist() == list(range(300_000))


def test_what_writes_is_not_mistaken_for_what_reads(server: EmbeddedClickHouse) -> None:
    assert ask(server, "CREATE TABLE IF NOT EXISTS w (a UInt64) ENGINE = Memory") == b""
    assert ask(server, "WITH t AS (SELECT 1 AS a) SELECT 'INSERT', a FROM t") == b"INSERT\t1\n"
    assert ask(server, "SELECT 1 -- a comment at the end") == b"1\n"
    assert sorted(ask(server, "(SELECT 1) UNION ALL (SELECT 2)").split()) == [b"1", b"2"]


def test_an_error_before_the_first_byte_is_a_status(server: EmbeddedClickHouse) -> None:
    with post(server, "SELECT throwIf(number = 100000) FROM numbers(200000)") as response:
        assert response.status == 400 and b"Code: 395" in response.read()


async def test_an_error_in_mid_stream_breaks_the_answer_off_and_says_why(server: EmbeddedClickHouse) -> None:
    query = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)"
    with post(server, query) as response:
        assert response.status == 200
        tag = response.getheader("x-clickhouse-exception-tag")
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
    assert f"__exception__\r\n{tag}\r\nCode: 395".encode() in broken.value.partial[-2000:]
    client = await connect(server.config)
    with pytest.raises(ClickHouseError, match="395|Stream failed"):  # whether it reads the last words is chance
        await client.query(query)
    await client.close()


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT uniqExact(cityHash64(number)) FROM numbers(100000000000) -- silent", "silent"),
        ("SELECT number FROM numbers(100000000000) -- talkative", "talkative"),
        ("(SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)) -- buffered", "buffered"),
    ],
)
def test_a_client_that_goes_ends_its_query(server: EmbeddedClickHouse, sql: str, word: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(sql)}\r\n\r\n{sql}".encode())
        wait_until(lambda: running(server, word) == 1)
    wait_until(lambda: running(server, word) == 0, 3.0)


def test_a_write_whose_client_goes_is_written(server: EmbeddedClickHouse) -> None:
    ask(server, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    sql = "INSERT INTO kept SELECT number + sleepEachRow(0.1) FROM numbers(5) SETTINGS max_block_size = 1"
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/", sql.encode(), HEADERS)
    wait_until(lambda: running(server, "sleepEachRow") == 1)
    connection.close()
    wait_until(lambda: ask(server, "SELECT count() FROM kept") == b"5\n")


def test_a_slow_reader_holds_the_engine_back_and_costs_no_memory(server: EmbeddedClickHouse) -> None:
    process = psutil.Process(server.service.pid)
    ask(server, "SELECT number FROM numbers(400000)")
    before = process.memory_info().rss
    with post(server, "SELECT number, toString(number) FROM numbers(50000000) -- slow") as response:
        taken, most = 0, 0
        while taken < 200 << 20:
            taken += len(response.read(8 << 20))
            most = max(most, process.memory_info().rss)
        assert running(server, "slow") == 1
    wait_until(lambda: running(server, "slow") == 0, 3.0)
    assert most - before < 100 << 20


def test_the_engine_ends_in_order_while_answers_are_under_way(tmp_path: Path) -> None:
    server = EmbeddedClickHouse(tmp_path, None, "--drain", "1").start()
    ask(server, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    ask(server, "INSERT INTO t SELECT number FROM numbers(10)")
    with contextlib.ExitStack() as streams:
        for _ in range(3):
            streams.enter_context(post(server, "SELECT number FROM numbers(100000000000)"))
        server.service.signal(signal.SIGTERM)
        assert server.service.wait_ended(20.0) == 0
    server.start()
    assert ask(server, "SELECT count() FROM t") == b"10\n"
    assert server.service.stop() == 0
