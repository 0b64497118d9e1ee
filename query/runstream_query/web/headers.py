"""Headers that every answer has, and the answer for what went wrong."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from runstream_query.errors import status_of

SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
HEADERS = {
    **SAFE,
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of data: never kept by a cache, never shown as a page."""


def failure(error: Exception) -> Response:
    status, words = status_of(error)
    headers = {**HEADERS, "retry-after": str(error.retry_after_s)} if hasattr(error, "retry_after_s") else HEADERS
    return JSONResponse({"error": {"code": status.grpc.name, "message": words}}, status.http, headers=headers)
