"""Puts the HTTP application together."""

from __future__ import annotations

from starlette.applications import Starlette

from runstream_common.objects import MediaStore
from runstream_query.rpc import Desk
from runstream_query.sqlaccess.runner import SqlRunner
from runstream_query.web.api import api_routes
from runstream_query.web.assets import Assets
from runstream_query.web.guard import Guard
from runstream_query.web.logins import Logins


def make_app(desk: Desk, guard: Guard, media: MediaStore, sql: SqlRunner, logins: Logins) -> Starlette:
    app = Starlette(routes=[*api_routes(desk, guard, media, sql), *logins.routes()])
    app.router.default = Assets()
    return app
