"""What somebody unknown may cost: nothing is read of what he sends, and no place is his for long (kind 11)."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import psutil
import pytest
import zstandard

from tests.support.stack import ServiceStack

HALF = (b"GET / HTTP/1.1\r\nX", b"", b"GET")


def said(stack: ServiceStack, path: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(f"http://{stack.address('http')}{path}", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def begun(stack: ServiceStack, head: bytes) -> socket.socket:
    """A connection on which the head of a request has come, and of its body nothing."""
    connection = socket.create_connection(("127.0.0.1", stack.ports["http"]), timeout=5)
    connection.sendall(head + b"Host: x\r\nContent-Length: 500000\r\n\r\n")
    return connection


@pytest.mark.parametrize(
    "path",
    [
        "/clickhouse/",
        "/api/v1/ListRuns",
        "/api/v1/SetSummary",
        "/api/v1/UpdateRuns",
        "/api/v1/WatchRuns",
        "/api/v1/export/points",
        "/api/v1/LeaseTrials",
        "/api/v1/WhoAmI",
    ],
)
def test_a_stranger_is_sent_away_before_his_body_has_come(stack: ServiceStack, path: str) -> None:
    for key in (b"", b"Authorization: Bearer rs_000000000000_nonsense\r\n"):
        with begun(stack, b"POST " + path.encode() + b" HTTP/1.1\r\n" + key) as connection:
            status = int(connection.recv(100).split()[1])
            assert status in (401, 404), f"{path}: {status}"  # 404: there is no such method


def test_a_frame_that_declares_gigabytes_takes_none(stack: ServiceStack) -> None:
    packer = zstandard.ZstdCompressor().compressobj(size=1 << 30)
    bomb = b"".join(packer.compress(bytes(16 << 20)) for _ in range(64)) + packer.flush()
    pid = stack.services["query"].pid
    before = psutil.Process(pid).memory_info().rss
    known = {"authorization": f"Bearer {stack.key}"}
    assert said(stack, "/clickhouse/", bomb, **{"content-encoding": "zstd"}) == 401
    assert said(stack, "/clickhouse/", bomb, **{"content-encoding": "zstd", **known}) == 413
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak - before < 300 << 20


def test_a_form_of_a_member_holds_nobody_up(stack: ServiceStack) -> None:
    hostile = b'--B\r\nContent-Disposition: form-data; name="a"' + b'; x="y' * 50_000 + b"\r\n\r\n1\r\n--B--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=B", "authorization": f"Bearer {stack.key}"}
    assert said(stack, "/clickhouse/", hostile, **headers) == 400


@pytest.mark.parametrize(
    "method",
    ["/runstream.v1.IngestService/Stream", "/runstream.v1.IngestService/FindMissingMedia"],
)
def test_the_gateway_reads_nothing_of_a_stranger(stack: ServiceStack, method: str) -> None:
    """No hello comes, and no message that could be read: who is not known is told so, not how long we wait."""
    with grpc.insecure_channel(stack.address("gateway")) as channel:
        call = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            next(call(iter([b"\xff nonsense"]), timeout=5, metadata=[("authorization", "Bearer nobody")]))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        call = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        known = [("authorization", f"Bearer {stack.key}")]
        with pytest.raises(grpc.RpcError) as refused:
            next(call(iter([b"\xff nonsense"]), timeout=5, metadata=known))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_the_query_service_reads_nothing_of_a_stranger(stack: ServiceStack) -> None:
    with grpc.insecure_channel(stack.address("grpc")) as channel:
        ask = channel.unary_unary(
            "/runstream.v1.QueryService/ListRuns", request_serializer=bytes, response_deserializer=bytes
        )
        with pytest.raises(grpc.RpcError) as refused:
            ask(b"\xff nonsense", timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        with pytest.raises(grpc.RpcError) as refused:
            ask(b"\xff nonsense", timeout=5, metadata=[("authorization", f"Bearer {stack.key}")])
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_headers_that_do_not_come_are_not_waited_for(stack: ServiceStack) -> None:
    """On every port; and of more than are granted a place at once, the oldest goes at once."""
    crowd = [opened(stack, "http", HALF[0]) for _ in range(700)]
    assert said(stack, "/api/v1/WhoAmI", b"{}", authorization=f"Bearer {stack.key}") == 200
    others = [opened(stack, port, first) for port in ("http", "query_ops", "grpc", "gateway") for first in HALF]
    deadline = time.monotonic() + 60
    standing = [*crowd, *others]
    while standing and time.monotonic() < deadline:
        time.sleep(0.2)
        standing = [one for one in standing if not closed(one)]
    assert not standing


def opened(stack: ServiceStack, port: str, first: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", stack.ports[port]), timeout=5)
    connection.sendall(first)
    connection.setblocking(False)
    return connection


def closed(connection: socket.socket) -> bool:
    try:
        gone = not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        gone = True
    if gone:
        connection.close()
    return gone
