"""ClickHouse's HTTP protocol, what both who serve it need: errors with its numbers, encodings, forms, credentials."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP

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
"""By format; others are plain text."""
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
"""URL parameters that are no settings."""


class BadRequestError(Exception):
    """The request cannot be answered. `code` and `name` are ClickHouse's."""

    def __init__(self, message: str, code: int = 36, name: str = "BAD_ARGUMENTS", status: int = 400) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")
        self.code = code
        self.status = status


def credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password: basic authentication, X-ClickHouse-User and -Key, or URL. Header names are lower-case."""
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


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a multipart form: how clickhouse-connect sends parameters that are too long for a URL.

    Raises BadRequestError.
    """
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    try:
        form = BytesParser(policy=HTTP).parsebytes(head + body)
        parts = [
            (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
            for part in (form.iter_parts() if form.is_multipart() else ())
        ]
    except Exception as error:  # noqa: BLE001  # the parser answers bad headers with whatever it stumbles over
        raise BadRequestError("the form cannot be read: give its parts a content-disposition with a name") from error
    fields: dict[str, str] = {}
    for name, payload in parts:
        if isinstance(name, str) and isinstance(payload, bytes):
            try:
                fields[name] = payload.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BadRequestError(f"the form field {name[:80]!r} is not valid UTF-8") from error
    if not fields:
        raise BadRequestError("the form has no fields")
    return fields


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a Content-Encoding. Raises BadRequestError for what is unknown, broken or too large unpacked."""
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return body
            case "gzip" | "x-gzip" | "deflate":
                return _inflate(body, max_bytes)
            case "zstd":
                return zstandard.ZstdDecompressor().decompress(body, max_output_size=max_bytes, allow_extra_data=False)
            case "lz4":
                return _unlz4(body, max_bytes)
            case other:
                raise BadRequestError(f"Unknown compression method {other[:20]!r}", 48, "NOT_IMPLEMENTED", 501)
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError, OSError) as error:
        raise BadRequestError(f"the body cannot be unpacked: {error}", 354, "INFLATE_FAILED") from error


def _inflate(body: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, told by the header
    data = inflater.decompress(body, max_bytes + 1)
    if len(data) > max_bytes:
        raise BadRequestError(f"the body unpacks to more than {max_bytes} bytes", 307, "TOO_MANY_BYTES", 413)
    if not inflater.eof:
        raise BadRequestError("the body ends too early", 3, "UNEXPECTED_END_OF_FILE")
    return data


def _unlz4(body: bytes, max_bytes: int) -> bytes:
    unpacker = lz4.frame.LZ4FrameDecompressor()
    data = unpacker.decompress(body, max_length=max_bytes + 1)
    if len(data) > max_bytes:
        raise BadRequestError(f"the body unpacks to more than {max_bytes} bytes", 307, "TOO_MANY_BYTES", 413)
    if not unpacker.eof:
        raise BadRequestError("the body ends too early", 3, "UNEXPECTED_END_OF_FILE")
    return bytes(data)
