"""SQL from a program: turn parameters into ClickHouse's text, and answers into Python's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from runstream.api.frames import need
from runstream.errors import IncompleteResultError, InvalidRequestError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from runstream.api.connection import Connection

_FORMATS = ("rows", "pandas", "arrow")
MOST_ROWS, MOST_ARROW_ROWS = 10_000, 1_000_000
_WRAPPED = re.compile(r"(?:LowCardinality|Nullable)\((.*)\)", re.DOTALL)
_ARRAY = re.compile(r"Array\((.*)\)", re.DOTALL)
_WHOLE = re.compile(r"U?Int\d+")
_NUMBER = re.compile(r"B?Float\d+")


def run_sql(
    api: Connection, sql: str, parameters: Mapping[str, object] | None, *, entity: str, max_rows: int, form: str
) -> tuple[Any, bool]:
    """Return the rows in the form that is wanted, and whether there are more. See `Api.sql`."""
    from runstream_proto.v1 import sql_pb2 as pb

    if form not in _FORMATS:
        raise InvalidRequestError(f"format is {form!r}: use one of {', '.join(_FORMATS)}")
    request = pb.RunSqlRequest(
        team=entity,
        sql=sql,
        parameters={name: as_text(value) for name, value in (parameters or {}).items()},
        max_rows=max_rows,
        format=pb.SQL_FORMAT_ARROW if form == "arrow" else pb.SQL_FORMAT_ROWS,
    )
    response = api.ask("RunSql", request)
    if form == "arrow":
        return _arrow(response.arrow), response.more
    readers = [(column.name, _reader(column.type)) for column in response.columns]
    rows = [
        {name: read(value) for (name, read), value in zip(readers, row, strict=True)}
        for row in map(_plain, response.rows)
    ]
    return need("pandas").DataFrame(rows) if form == "pandas" else rows, response.more


def whole(
    api: Connection, sql: str, parameters: Mapping[str, object] | None, *, entity: str, max_rows: int, form: str
) -> Any:
    """Return all rows, or with `max_rows` only that many first ones.

    Raises IncompleteResultError where not all rows could come.
    """
    most = MOST_ARROW_ROWS if form == "arrow" else MOST_ROWS
    rows, more = run_sql(api, sql, parameters, entity=entity, max_rows=max_rows or most, form=form)
    if more and not max_rows:
        wider = "" if form == "arrow" else f', take format="arrow" (up to {MOST_ARROW_ROWS:,} rows)'
        raise IncompleteResultError(
            f"the answer has more than {most:,} rows: narrow the question{wider}, or give max_rows for the first ones"
        )
    return rows


def as_text(value: object, quoted: bool = False) -> str:
    """Return a parameter's value as ClickHouse writes it; `quoted`: inside an array or a map.

    Raises InvalidRequestError.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        value = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    elif isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if quoted else value
    if isinstance(value, list | tuple | set):
        return f"[{', '.join(as_text(item, True) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{as_text(key, True)}: {as_text(item, True)}' for key, item in value.items())}}}"
    raise InvalidRequestError(
        f"a parameter is of type {type(value).__name__}: give text, numbers, times, lists or dicts"
    )


def _plain(row: Message) -> list[Any]:
    from google.protobuf.json_format import MessageToDict

    return list(MessageToDict(row))


def _reader(kind: str) -> Callable[[Any], Any]:
    """Return the function that makes Python's value of a type from its JSON value.

    A value of a type without a counterpart in Python stays as it came.
    """
    while found := _WRAPPED.fullmatch(kind):
        kind = found[1]
    if found := _ARRAY.fullmatch(kind):
        item = _reader(found[1])
        return lambda value: None if value is None else [item(one) for one in value]
    read: Callable[[Any], Any] | None = None
    if _WHOLE.fullmatch(kind):
        read = int
    elif _NUMBER.fullmatch(kind):
        read = float
    elif kind.startswith("DateTime"):
        read = _time
    elif kind in ("Date", "Date32"):
        read = date.fromisoformat
    if read is None:
        return lambda value: value
    return lambda value: None if value is None else read(value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _arrow(data: bytes) -> Any:
    return need("pyarrow").ipc.open_stream(data).read_all()
