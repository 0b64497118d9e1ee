"""The reading half of ClickHouse's HTTP protocol: pure functions from bytes to a `Statement`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runstream_common.clickhouse.http_protocol import PROTOCOL_ONLY, BadRequestError
from runstream_deploy.embedded.config import MAX_QUERY_BYTES

_COMMENT = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_INSERT = re.compile(rf"{_COMMENT}INSERT\b", re.IGNORECASE | re.DOTALL)
_FORMAT_TAIL = re.compile(r"\bFORMAT\s+([A-Za-z0-9_]+)\s*;?\s*$", re.IGNORECASE)
_INSERT_FORMAT = re.compile(rb"\bFORMAT\s+([A-Za-z0-9_]+)[ \t]*(?:\r?\n|;|\Z| )", re.IGNORECASE)
_WITH_VALUES = re.compile(r"\b(VALUES|SELECT|WITH)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(INSERT|OUTFILE)\b", re.IGNORECASE)
"""A word that makes a statement with SELECT or WITH a write.

Where it stands in a string, it only prevents streaming.
"""
_READING = frozenset({"", "select", "with", "show", "describe", "desc", "explain", "exists"})
_SHUTDOWN = re.compile(rf"{_COMMENT}SYSTEM\s+(SHUTDOWN|KILL)\b", re.IGNORECASE | re.DOTALL)
_SETTING = re.compile(r"[a-z][a-z0-9_]*")
# Settings of progress headers have no meaning here. A read is always cancelled when its client goes.
_IGNORED = frozenset(
    {
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement to run."""

    sql: str
    data: bytes | None = None
    """The data to insert, or None where `sql` is complete."""
    data_format: str = ""
    output_format: str = "TabSeparated"
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    read_only: bool = False

    @property
    def _word(self) -> str:
        word = re.match(rf"{_COMMENT}(\w+)", self.sql, re.DOTALL)
        return word[1].lower() if word else ""

    @property
    def writes(self) -> bool:
        """Whether the statement makes parts. Freeing space, or changing a definition, makes none."""
        return self.data is not None or self._word in ("insert", "delete", "update", "optimize")

    @property
    def reads(self) -> bool:
        """Whether the statement only reads: it may end half-way when its client has gone."""
        return self.data is None and self._word in _READING

    @property
    def patient(self) -> bool:
        """Whether the statement gives way to others, because its `priority` is not the first.

        A write never gives way.
        """
        return self.reads and self.settings.get("priority", "0") not in ("0", "1")

    @property
    def streams(self) -> bool:
        """Whether the answer may be large, and is written to a pipe while it is made."""
        return self.reads and self._word in ("select", "with") and not _WRITES.search(self.sql)

    def into(self, path: str) -> str:
        """Return the statement with its answer written to an existing file. Only for a statement that `streams`."""
        tail = _FORMAT_TAIL.search(self.sql)
        head = (self.sql[: tail.start()] if tail else self.sql).rstrip().removesuffix(";")
        return f"{head}\nINTO OUTFILE '{path}' TRUNCATE COMPRESSION 'none' FORMAT {self.output_format}"

    @property
    def kind(self) -> str:
        name = self._word
        return name if name in ("select", "insert", "create", "alter", "system", "show", "with") else "other"


def parse_statement(query: Mapping[str, str], headers: Mapping[str, str], body: bytes, *, read_only: bool) -> Statement:
    """Return the statement: the URL's `query`, then the body.

    `query` has the URL parameters; `body` is unpacked. Raise BadRequestError.
    """
    text, data, data_format = _split(query.get("query", ""), body)
    if not text.strip():
        raise BadRequestError("Empty query", 62, "SYNTAX_ERROR")
    if _SHUTDOWN.match(text):
        raise BadRequestError("stop the process with SIGTERM instead", 344, "SUPPORT_IS_DISABLED")
    tail = _FORMAT_TAIL.search(text) if data is None else None
    default = query.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"
    if not re.fullmatch(r"\w{1,64}", default):
        raise BadRequestError("Unknown format", 73, "UNKNOWN_FORMAT", 404)
    return Statement(
        sql=text,
        data=data,
        data_format=data_format,
        output_format=tail[1] if tail else default,
        parameters={name[6:]: _unescape(value) for name, value in query.items() if name.startswith("param_")},
        settings=_settings(query),
        database=query.get("database") or headers.get("x-clickhouse-database") or "",
        read_only=read_only,
    )


def _split(url_query: str, body: bytes) -> tuple[str, bytes | None, str]:
    """Return the SQL text, the data and the data's format.

    The data of an insert may be any bytes; SQL is UTF-8.
    """
    if _INSERT.match(url_query):
        tail = _FORMAT_TAIL.search(url_query)
        if tail:
            return url_query[: tail.start()].rstrip(), body, tail[1]
        if body and not _WITH_VALUES.search(url_query):
            return url_query, body, "Values"
    head = url_query.encode() + (b"\n" if url_query and body else b"")
    start = (head + body[:4096]).decode("utf-8", "replace")
    if _INSERT.match(start):
        found = _INSERT_FORMAT.search(head + body[:MAX_QUERY_BYTES])
        if found and not _WITH_VALUES.search((head + body)[: found.start()].decode("utf-8", "replace")):
            whole = head + body if head else body
            sql = whole[: found.start()].decode("utf-8", "replace")
            return sql.rstrip(), whole[found.end() :], found[1].decode()
    if len(head) + len(body) > MAX_QUERY_BYTES:
        raise BadRequestError(f"the query is larger than {MAX_QUERY_BYTES} bytes", 62, "SYNTAX_ERROR")
    try:
        return (head + body).decode("utf-8"), None, ""
    except UnicodeDecodeError as error:
        raise BadRequestError("the query is not valid UTF-8", 62, "SYNTAX_ERROR") from error


def _settings(query: Mapping[str, str]) -> dict[str, str]:
    settings = {}
    for name, value in query.items():
        if name in PROTOCOL_ONLY or name in _IGNORED or name.startswith("param_"):
            continue
        if not _SETTING.fullmatch(name):
            raise BadRequestError(f"Unknown setting {name[:80]!r}", 115, "UNKNOWN_SETTING", 404)
        settings[name] = value
    return settings


def _unescape(value: str) -> str:
    """Return the value unchanged. Raise BadRequestError for NUL.

    Parameters come over HTTP with TSV escapes, and the engine takes the same escapes.
    """
    if "\0" in value:
        raise BadRequestError("a query parameter holds a NUL byte")
    return value
