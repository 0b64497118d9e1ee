"""Puts the HTTP application together."""

from __future__ import annotations

from starlette.applications import Starlette

from runstream_common.objects import MediaStore
from runstream_query.sqlaccess.sql_runner import SqlRunner
from runstream_query.transport.dispatcher import Dispatcher
from runstream_query.transport.http.api import api_routes
from runstream_query.transport.http.assets import Assets
from runstream_query.transport.http.logins import Logins
from runstream_query.transport.http.request_credentials import SessionGuard


def make_app(
    dispatcher: Dispatcher, guard: SessionGuard, media: MediaStore, sql: SqlRunner, logins: Logins
) -> Starlette:
    app = Starlette(routes=[*api_routes(dispatcher, guard, media, sql), *logins.routes()])
    app.router.default = Assets()
    return app
