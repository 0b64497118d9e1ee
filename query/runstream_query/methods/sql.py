"""Answers SQL of people and programs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pyarrow
from google.protobuf import json_format

from runstream_control.principal import Principal
from runstream_proto.v1 import sql_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.lookup import Lookup
from runstream_query.sqlaccess.sql_runner import SqlRequest, SqlRunner, escaped

_MOST = {pb.SQL_FORMAT_ROWS: (1000, 10_000), pb.SQL_FORMAT_ARROW: (100_000, 1_000_000)}
_SHAPE = {
    "output_format_json_quote_64bit_integers": "1",
    "output_format_json_quote_denormals": "1",
    "output_format_json_named_tuples_as_objects": "0",
    "output_format_arrow_string_as_string": "1",
}
_MAX_ROWS_BYTES = 24 << 20
_MAX_ARROW_BYTES = 60 << 20
"""Bytes of one answer: a gRPC message has 64 MiB at most, and rows take more space as values than as text."""


class SqlMethods:
    def __init__(self, lookup: Lookup, runner: SqlRunner | None) -> None:
        self._lookup = lookup
        self._runner = runner

    async def RunSql(self, principal: Principal, request: pb.RunSqlRequest) -> pb.RunSqlResponse:
        started = time.perf_counter()
        if self._runner is None:
            raise InvalidRequestError("SQL is not answered by this server")
        teams = {self._lookup.team(principal, request.team)} if request.team else set(principal.roles)
        form = request.format or pb.SQL_FORMAT_ROWS
        if form not in _MOST:
            raise InvalidRequestError(f"format {form}: use SQL_FORMAT_ROWS or SQL_FORMAT_ARROW")
        default, most = _MOST[form]
        if request.max_rows > most:
            raise InvalidRequestError(f"max_rows is {request.max_rows}: at most {most}")
        rows = request.max_rows or default
        as_rows = form == pb.SQL_FORMAT_ROWS
        question = SqlRequest(
            sql=request.sql,
            parameters={name: _travelling(request.sql, name, value) for name, value in request.parameters.items()},
            teams=frozenset(teams),
            output_format="JSONCompact" if as_rows else "ArrowStream",
            settings={**_SHAPE, "limit": str(rows + 1)},
        )
        async with self._runner.run(principal, question) as answer:
            if answer.headers.get("x-clickhouse-format", question.output_format) != question.output_format:
                raise InvalidRequestError("FORMAT is not allowed here: `format` says how the answer comes")
            parts: list[bytes] = []
            size = 0
            async for part in answer.parts:
                parts.append(part)
                size += len(part)
                if size > (_MAX_ROWS_BYTES if as_rows else _MAX_ARROW_BYTES):
                    raise InvalidRequestError("the answer is too large for one message: ask for fewer rows or columns")
        data = b"".join(parts)
        response = _rows(json.loads(data), rows) if as_rows else await asyncio.to_thread(_arrow, data, rows)
        response.elapsed_s = time.perf_counter() - started
        return response


def _travelling(sql: str, name: str, value: str) -> str:
    """Return a parameter's value in the form that ClickHouse takes over HTTP.

    It is escaped as in TSV, unless its type has elements: strings among elements are quoted by the caller.
    """
    has_elements = re.search(rf"\{{\s*{re.escape(name)}\s*:\s*(?:Array|Map|Tuple)\b", sql)
    return value if has_elements else escaped(value)


def _arrow(data: bytes, most: int) -> pb.RunSqlResponse:
    with pyarrow.ipc.open_stream(data) as reader:
        table = reader.read_all()
    if table.num_rows <= most:
        return pb.RunSqlResponse(arrow=data)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.slice(0, most))
    return pb.RunSqlResponse(arrow=sink.getvalue().to_pybytes(), more=True)


def _rows(found: dict[str, Any], most: int) -> pb.RunSqlResponse:
    response = pb.RunSqlResponse(more=len(found["data"]) > most)
    for column in found["meta"]:
        response.columns.add(name=column["name"], type=column["type"])
    for row in found["data"][:most]:
        json_format.ParseDict(row, response.rows.add())
    return response
