"""Defines the headers of every response, and the response for an error."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from runstream_query.base.errors import status_of

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
"""Headers of data: no cache keeps it, and no browser shows it as a page."""


def failure(error: Exception) -> Response:
    status, message = status_of(error)
    headers = {**HEADERS, "retry-after": str(error.retry_after_s)} if hasattr(error, "retry_after_s") else HEADERS
    return JSONResponse({"error": {"code": status.grpc.name, "message": message}}, status.http, headers=headers)
