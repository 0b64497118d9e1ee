"""Logs browsers in and out.

`POST /api/session` takes a key or a one-time link, `DELETE /api/session` logs out, and `GET` says who is logged in.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from runstream_control.authenticator import CachedAuthenticator
from runstream_control.errors import AuthenticationError
from runstream_control.sessions import SessionStore
from runstream_query.base.errors import InvalidRequestError, TooManyAttemptsError
from runstream_query.transport.http.forms import fields
from runstream_query.transport.http.request_credentials import SessionGuard, cookie_name
from runstream_query.transport.http.response_headers import HEADERS, failure

_ATTEMPTS, _WINDOW_S = 20, 60.0
"""Failed attempts of one address, and seconds in which they count.

Keys cannot be guessed; the limit keeps a script from loading the control database.
"""
_MAX_ADDRESSES = 10_000
_MAX_LOGIN_BYTES = 4096
"""Bytes of the one body that is read of a caller who is not authenticated."""


class Logins:
    def __init__(
        self, sessions: SessionStore, known: CachedAuthenticator, guard: SessionGuard, session_s: float
    ) -> None:
        """Create the endpoints. `known` remembers sessions, and must forget a session that is logged out."""
        self._sessions = sessions
        self._known = known
        self._guard = guard
        self._session_s = session_s
        self._attempts = Attempts(_ATTEMPTS, _WINDOW_S)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/session", self._state, methods=["GET"]),
            Route("/api/session", self._login, methods=["POST"]),
            Route("/api/session", self._logout, methods=["DELETE"]),
        ]

    async def _state(self, request: Request) -> Response:
        """Return who is logged in. It is no error when nobody is, because the page asks when it starts."""
        try:
            who = await self._known.authenticate(request.cookies.get(cookie_name(request), ""))
        except AuthenticationError:
            return JSONResponse({"logged_in": False}, headers=HEADERS)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        user = {
            "user": who.user,
            "teams": sorted(who.roles),
            "default_team": who.default_team,
            "key_prefix": who.key_prefix,
        }
        return JSONResponse({"logged_in": True, "user": user}, headers=HEADERS)

    async def _login(self, request: Request) -> Response:
        try:
            self._guard.check_own(request)
            address = request.client.host if request.client else ""
            self._attempts.count(address)
            given = await fields(request, _MAX_LOGIN_BYTES)
            key, link = given.get("key"), given.get("link")
            if isinstance(link, str) and link:
                token = await self._sessions.open_by_link(link.strip(), self._session_s)
            elif isinstance(key, str) and key:
                token = await self._sessions.open_by_key(key.strip(), self._session_s)
            else:
                raise InvalidRequestError("give an API key as `key`, or the token of a one-time link as `link`")
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        self._attempts.forgive(address)
        response = JSONResponse({}, headers=HEADERS)
        self._guard.remember(request, response, token)
        return response

    async def _logout(self, request: Request) -> Response:
        try:
            self._guard.check_own(request)
            token = request.cookies.get(cookie_name(request), "")
            if token:
                self._known.forget(token)
                await self._sessions.end(token)
        except Exception as error:  # noqa: BLE001  # the boundary: everything becomes a status
            return failure(error)
        response = JSONResponse({}, headers=HEADERS)
        self._guard.forget(request, response)
        return response


class Attempts:
    """Allows `most` attempts of one name in `window_s` seconds, and remembers a bounded number of names."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, name: str) -> None:
        """Count an attempt. Raises TooManyAttemptsError."""
        now = time.monotonic()
        began, count = self._seen.get(name, (now, 0))
        if now - began >= self._window_s:
            began, count = now, 0
        if count >= self._most:
            raise TooManyAttemptsError(int(self._window_s - (now - began)) + 1)
        self._seen[name] = (began, count + 1)
        self._seen.move_to_end(name)
        while len(self._seen) > _MAX_ADDRESSES:
            self._seen.popitem(last=False)

    def forgive(self, name: str) -> None:
        """Take back the last attempt, because it succeeded: many people may share one address."""
        began, count = self._seen.get(name, (0.0, 0))
        if count:
            self._seen[name] = (began, count - 1)
