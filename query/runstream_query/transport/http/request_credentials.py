"""Finds the credential of an HTTP request: an API key in a header, or a session in a cookie of this site only."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from runstream_query.base.errors import ForeignRequestError
from runstream_query.transport.credentials import Credential, bearer

PAGE_HEADER = "x-runstream-page"
"""Only a page of this origin can send this header: the server allows it to no other site (CORS)."""


class SessionGuard:
    def __init__(self, session_s: float) -> None:
        """Create the guard. `session_s`: seconds for which a browser keeps the cookie of a session."""
        self._session_s = session_s

    def credential(self, request: Request) -> Credential:
        """Return the credential of the caller; a key goes before a session. Raises ForeignRequestError."""
        if "authorization" in request.headers:
            return bearer(request.headers["authorization"])
        token = request.cookies.get(cookie_name(request), "")
        if token and request.method != "GET":
            self.check_own(request)
        return Credential("session", token)

    def check_own(self, request: Request) -> None:
        """Raise ForeignRequestError unless the request comes from a page of this server."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if (
            PAGE_HEADER not in request.headers
            or site != "same-origin"
            or (origin is not None and urlsplit(origin).netloc != request.headers.get("host"))
        ):
            raise ForeignRequestError

    def remember(self, request: Request, response: Response, token: str) -> None:
        """Set the cookie of a session.

        It is `SameSite=Strict`: the page itself needs no cookie, and the page's requests come from the same site.
        """
        response.set_cookie(
            cookie_name(request),
            token,
            max_age=int(self._session_s),
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )

    def forget(self, request: Request, response: Response) -> None:
        response.delete_cookie(
            cookie_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="strict"
        )


def cookie_name(request: Request) -> str:
    """Return the name of the cookie, which contains the port over plain HTTP.

    Browsers do not separate the cookies of two ports of one host, and a demo may run beside a server. `__Host-` makes
    the browser refuse a cookie that another (sub)domain or plain HTTP has set.
    """
    if _is_secure(request):
        return "__Host-runstream"
    return f"runstream-{request.url.port or 80}"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
