"""Run users' SQL: the engine rewrites it, the guard checks it, and it runs on the caller's rows within the limits."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.clickhouse.raw import RawAnswer, RawClickHouse
from runstream_control.principal import Principal
from runstream_query.base.errors import EXPENSIVE_CODES, InvalidRequestError, SqlError, TooExpensiveError
from runstream_query.base.fair_queue import FairQueue
from runstream_query.sqlaccess import sql_guard, tenancy, tool_queries
from runstream_query.sqlaccess.limits import SqlLimits

MAX_PARAMETERS = 200
_PARAMETER = re.compile(r"[A-Za-z_]\w{0,63}")
_PREFIX = re.compile(r"^(?:Code: \d+\. DB::Exception: )+")
_TAIL = re.compile(r"(?:: In scope SELECT formatQuerySingleLine\(.*)?(?:\. )?\(\w+\)(?: \(version .*\))?$", re.DOTALL)
_FAULTS = frozenset({49, 74, 75, 76, 84, 173, 1000, 1001, 1002})
"""Error codes that are the server's own fault."""
_PREPARING_S = "10"


@dataclass(frozen=True, slots=True)
class SqlRequest:
    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values by name, escaped as in TSV, which is how ClickHouse takes them over HTTP."""
    teams: frozenset[str] = frozenset()
    """The teams whose rows the query reads."""
    output_format: str = "TabSeparated"
    """The format of the answer, unless the SQL ends with FORMAT."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings chosen by the caller, checked already; the limits override them."""
    protocol: Mapping[str, str] = field(default_factory=dict)
    accept_encoding: str = "identity"
    seconds: float | None = None


class SqlRunner:
    def __init__(self, clickhouse: RawClickHouse, limits: SqlLimits, queue: FairQueue | None = None) -> None:
        """Run SQL through this queue; None makes a queue by the limits."""
        self._clickhouse = clickhouse
        self._limits = limits
        self._queue = queue or FairQueue(limits.shares, "sql")
        self.database = clickhouse.database

    @contextlib.asynccontextmanager
    async def run(self, principal: Principal, request: SqlRequest) -> AsyncIterator[RawAnswer]:
        """Give the answer, which must be read within the context; leaving it early ends the query.

        Raise InvalidRequestError (SqlError if the engine refused the statement), TooExpensiveError, StorageError.
        """
        sql_guard.check_text(request.sql)
        _check_parameters(request.parameters)
        async with self._queue.of(principal.user, principal.default_team):
            with _translated():
                sql, output_format, settings = await self._prepare(request)
                async with self._clickhouse.ask(
                    sql,
                    output_format=output_format or request.output_format,
                    parameters=request.parameters,
                    settings=settings,
                    protocol={"wait_end_of_query": "1", **request.protocol},
                    accept_encoding=request.accept_encoding,
                ) as answer:
                    yield answer

    async def _prepare(self, request: SqlRequest) -> tuple[str, str, dict[str, str]]:
        """Return the statement to run, the format that it names, and the settings to run it with."""
        row = json.loads(await self._read(_statement(), {"sql": escaped(request.sql)}, {}, "JSONCompactEachRow"))
        written, output_format = sql_guard.split_format(row[0])
        limits = self._limits.settings(request.seconds)
        ours = tool_queries.replacement(written, self.database)
        if ours is not None:
            return ours, output_format, limits
        tables = {str(name): bool(with_project) for name, with_project in row[1]}
        filters = tenancy.row_filters(self.database, tables, request.teams)
        tree = await self._read(f"EXPLAIN AST {written}", request.parameters, filters, "TSVRaw")
        sql_guard.check_syntax(written, tree, self.database)
        resolved = await self._read(f"EXPLAIN QUERY TREE {written}", request.parameters, filters, "TSVRaw")
        sql_guard.check_tables(resolved, self.database)
        return written, output_format, {**request.settings, **limits, **filters, **_capped(request, self._limits)}

    async def _read(
        self, sql: str, parameters: Mapping[str, str], settings: Mapping[str, str], output_format: str
    ) -> str:
        limits = {**self._limits.settings(), "max_execution_time": _PREPARING_S}
        async with self._clickhouse.ask(
            sql, output_format=output_format, parameters=parameters, settings={**limits, **settings}
        ) as answer:
            return (await answer.read()).decode("utf-8", "replace")


def escaped(value: str) -> str:
    """Return a parameter's text as it is sent: escaped as in TSV."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def short_message(message: str) -> str:
    """Return the engine's message in one line, without code, exception name and version."""
    return " ".join(_TAIL.sub("", _PREFIX.sub("", message.strip())).split())[:1000]


def _capped(request: SqlRequest, limits: SqlLimits) -> dict[str, str]:
    limit = request.settings.get("max_result_rows", "0")
    return {"max_result_rows": limit} if limit.isdecimal() and 0 < int(limit) < limits.rows else {}


def _check_parameters(parameters: Mapping[str, str]) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise InvalidRequestError(f"{len(parameters)} parameters: at most {MAX_PARAMETERS}; pass lists as Array(...)")
    for name, value in parameters.items():
        if not _PARAMETER.fullmatch(name) or "\0" in value:
            raise InvalidRequestError(
                f"the parameter {name[:60]!r} cannot be used: a name of letters, no NUL in its value"
            )


@contextlib.contextmanager
def _translated():  # type: ignore[no-untyped-def]
    try:
        yield
    except StorageRefusedError as error:
        message = short_message(str(error))
        if error.code in EXPENSIVE_CODES:
            raise TooExpensiveError(f"the query exceeds its limits: {message}", error.code) from error
        if error.code in _FAULTS:
            raise
        raise SqlError(message, error.code) from error


@cache
def _statement() -> str:
    return (Path(__file__).parent / "statement.sql").read_text(encoding="utf-8")
