"""The parts of ClickHouse's HTTP protocol that both servers of it share: errors, encodings, forms, credentials."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping

import lz4.frame
import zstandard

CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Parquet": "application/octet-stream",
    "Native": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
}
"""The content type of each format. Any other format is plain text."""
PROTOCOL_ONLY = frozenset(
    {
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "quota_key",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "enable_http_compression",
        "http_zlib_compression_level",
        "stacktrace",
        "buffer_size",
        "wait_end_of_query",
        "role",
        "client_protocol_version",
        "close_session",
    }
)
"""URL parameters that are not settings."""
_MAX_WINDOW_BYTES = 8 << 20
"""The largest window of zstd: as large as a browser accepts (RFC 9659).

A frame may ask for a larger one before a byte of it is unpacked.
"""


class BadRequestError(Exception):
    """The request cannot be answered. `code` and `name` are ClickHouse's."""

    def __init__(self, message: str, code: int = 36, name: str = "BAD_ARGUMENTS", status: int = 400) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")
        self.code = code
        self.status = status


def credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """Return user and password from basic authentication, X-ClickHouse-User and -Key, or the URL.

    The names of `headers` are lower-case.
    """
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "default", ""
        return name or "default", secret
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    return query.get("user", "default"), query.get("password", "")


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a Content-Encoding.

    Raise BadRequestError when the encoding is unknown, the body is broken, or unpacks to more than `max_bytes`.
    """
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return body
            case "gzip" | "x-gzip" | "deflate":
                return _inflate(body, max_bytes)
            case "zstd":
                return _unzstd(body, max_bytes)
            case "lz4":
                return _unlz4(body, max_bytes)
            case other:
                raise BadRequestError(f"Unknown compression method {other[:20]!r}", 48, "NOT_IMPLEMENTED", 501)
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError, OSError) as error:
        raise BadRequestError(f"the body cannot be unpacked: {error}", 354, "INFLATE_FAILED") from error


def _inflate(body: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits=47)  # the header says whether it is gzip or zlib
    data = inflater.decompress(body, max_bytes + 1)
    if len(data) > max_bytes:
        raise BadRequestError(f"the body unpacks to more than {max_bytes} bytes", 307, "TOO_MANY_BYTES", 413)
    if not inflater.eof:
        raise BadRequestError("the body ends too early", 3, "UNEXPECTED_END_OF_FILE")
    return data


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    # The library allocates the whole size that a frame declares, whatever `max_output_size` says.
    if zstandard.frame_content_size(body) > max_bytes:
        raise BadRequestError(f"the body unpacks to more than {max_bytes} bytes", 307, "TOO_MANY_BYTES", 413)
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    return unpacker.decompress(body, max_output_size=max_bytes, allow_extra_data=False)


def _unlz4(body: bytes, max_bytes: int) -> bytes:
    unpacker = lz4.frame.LZ4FrameDecompressor()
    data = unpacker.decompress(body, max_length=max_bytes + 1)
    if len(data) > max_bytes:
        raise BadRequestError(f"the body unpacks to more than {max_bytes} bytes", 307, "TOO_MANY_BYTES", 413)
    if not unpacker.eof:
        raise BadRequestError("the body ends too early", 3, "UNEXPECTED_END_OF_FILE")
    return bytes(data)
