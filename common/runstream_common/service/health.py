"""The port that each service opens for its operators: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from runstream_common.service.config import ConfigError, split_address
from runstream_common.service.http_edge import HEADERS_S, edge_protocol
from runstream_common.service.metrics import Metrics
from runstream_common.service.os_process import instance_headers

Check = Callable[[], str | None]
"""A check returns None when all is well, else one sentence about the fault."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class QuietServer(uvicorn.Server):
    """A uvicorn server inside a service's own event loop: the service handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # overrides a generator without types
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. A TLS handshake may take as long as headers: uvicorn has no option for it, and asyncio waits 60 s."""
        loop = asyncio.get_running_loop()
        create: Callable[..., Any] = loop.create_server

        def create_server(*arguments: Any, ssl: Any = None, **options: Any) -> Any:
            handshake = {} if ssl is None else {"ssl_handshake_timeout": HEADERS_S}
            return create(*arguments, ssl=ssl, **options, **handshake)

        loop.create_server = create_server  # type: ignore[method-assign]
        try:
            await super().startup(sockets)
        finally:
            vars(loop).pop("create_server", None)  # of two that start at once, the first takes away both


async def serve_app(app: object, address: str, **options: object) -> tuple[QuietServer, asyncio.Task[None], int]:
    """Serve an ASGI app. Return the server, its task and its port when it accepts connections.

    Raise OSError when it cannot bind.
    """
    host, port = split_address(address)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=host,
        port=port,
        http=edge_protocol(),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        **options,  # type: ignore[arg-type]
    )
    server = QuietServer(config)
    task = asyncio.create_task(_serve(server))
    while not server.started:
        if task.done():
            task.result()
            raise OSError(f"cannot listen on {address}: is the port taken?")
        await asyncio.sleep(0.01)
    return server, task, server.servers[0].sockets[0].getsockname()[1]


async def _serve(server: QuietServer) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn's way of saying that it cannot bind
        raise OSError("cannot listen") from error


class OpsServer:
    """Serve the ops port, on loopback. On any other address it needs a token, for `/metrics` and all details."""

    def __init__(
        self,
        address: str,
        metrics: Metrics,
        alive: Mapping[str, Check],
        ready: Mapping[str, Check],
        token: str = "",
    ) -> None:
        """Make a server. `alive`: does each loop still turn; `ready`: can it do its work. Raise ConfigError."""
        if split_address(address)[0] not in _LOOPBACK and not token:
            raise ConfigError(f"the ops port {address} is not loopback: set RUNSTREAM_OPS_TOKEN, or bind 127.0.0.1")
        self._address = address
        self._metrics = metrics
        self._alive = dict(alive)
        self._ready = dict(ready)
        self._token = token
        self._server: QuietServer | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        app = Starlette(
            routes=[
                Route("/healthz", lambda request: self._report(request, self._alive)),
                Route("/readyz", lambda request: self._report(request, {**self._alive, **self._ready})),
                Route("/metrics", self._show_metrics),
            ]
        )
        self._server, self._task, self.port = await serve_app(app, self._address)

    async def close(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    def _report(self, request: Request, checks: Mapping[str, Check]) -> Response:
        results = {name: check() for name, check in checks.items()}
        status = 503 if any(results.values()) else 200
        if not self._trusted(request):
            return PlainTextResponse("ok\n" if status == 200 else "not ok\n", status, instance_headers())
        return JSONResponse({name: problem or "ok" for name, problem in results.items()}, status, instance_headers())

    def _show_metrics(self, request: Request) -> Response:
        if not self._trusted(request):
            return PlainTextResponse("give the ops token: authorization: Bearer <token>\n", 401)
        return Response(generate_latest(self._metrics.registry), media_type="text/plain; version=0.0.4")

    def _trusted(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        return not self._token or hmac.compare_digest(given, self._token.encode())
