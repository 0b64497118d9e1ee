"""A client that connects to a TLS port and says nothing has as long as one that sends no headers."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from runstream_common.service import health, tls


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", str(made)]
    subprocess.run([*command, "-keyout", str(key)], check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_client_that_says_nothing_to_a_tls_port_is_cut_off(
    loop: object, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEADERS_S", 1.0)
    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        waited, answer = runner.run(_play(certificate))
    assert 0.8 < waited < 8.0
    assert answer.startswith(b"HTTP/1.1 200")


async def _play(certificate: tuple[Path, Path]) -> tuple[float, bytes]:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    server, task, port = await health.serve_app(app, "127.0.0.1:0", **tls.http_options(*certificate))
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    except TimeoutError:
        pass
    except ConnectionResetError:
        pass
    waited = time.monotonic() - began
    writer.close()
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    server.should_exit = True
    await task
    return waited, answer
