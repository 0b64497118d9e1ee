"""Find logged tables and read them row by row, from ClickHouse or, if they are large, from object storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from runstream_common import text
from runstream_common.limits import MAX_STEP
from runstream_common.objects import MediaStore
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.rich.cells import Row
from runstream_query.rich.row_page import RowPage
from runstream_query.rich.rows import DamagedTableError, RowReader

MAX_PAGE = 10_000
MAX_PAGE_CHARACTERS = 32 << 20
"""A page of the largest cells still fits into one message."""
MAX_FILTERS, MAX_ORDER = 20, 8
MAX_CONTENT_BYTES = 1 << 30
"""The largest content that the gateway takes; it is read at some 30 MB/s, a piece at a time."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LoggedTable:
    """A table as logged at one step by one rank."""

    project: str
    rank: int
    step: int
    columns: list[str]
    rows: int
    plot: str
    version: int
    time_us: int
    text: str
    """The rows' JSON, or a reference to their content."""


class LoggedTables:
    """The tables of runs. All methods raise StorageError, MediaMissingError, QueryError."""

    def __init__(self, storage: Storage, media: MediaStore) -> None:
        self._storage = storage
        self._media = media
        self._reading = asyncio.Semaphore(4)
        """Limits how many tables are read at a time: each keeps a thread busy."""

    async def find(self, project: str, request: Any) -> LoggedTable | None:
        """Return the table of a request's run, key, step and rank; None if there is none.

        If no step is given, the newest counts; if no rank is given, the lowest that has the table.
        """
        step = request.step if request.HasField("step") else None
        rows = await self._storage.rows(
            "table_at",
            project=project,
            run=request.run,
            key=request.key,
            ranks=[request.rank] if request.HasField("rank") else [],
            min_step=max(step, -MAX_STEP) if step is not None else -MAX_STEP,
            max_step=min(step, MAX_STEP) if step is not None else MAX_STEP,
        )
        if not rows:
            return None
        row = rows[0]
        return LoggedTable(
            project,
            row["rank"],
            row["step"],
            list(row["columns"]),
            row["row_count"],
            row["plot"],
            row["version"],
            row["time_us"],
            row["rows"],
        )

    async def each(self, table: LoggedTable, take: Callable[[list[Row]], bool | None]) -> None:
        """Hand all rows to `take`, some at a time, in a thread, until it returns True.

        Raise InvalidRequestError if the content is not a table.
        """
        reader = RowReader()
        async with self._reading:
            try:
                pieces = self._pieces(table)
                async for data, last in pieces:
                    if await asyncio.to_thread(lambda d, end: take(list(reader.feed(d, last=end))), data, last):
                        break
            except DamagedTableError as error:
                raise InvalidRequestError(str(error)) from error

    async def _pieces(self, table: LoggedTable) -> AsyncIterator[tuple[bytes, bool]]:
        content = _content(table.text)
        if content is None:
            data = table.text.encode()
            for start in range(0, len(data), _PIECE_BYTES):
                yield data[start : start + _PIECE_BYTES], start + _PIECE_BYTES >= len(data)
            return
        size, parts = await self._media.get(table.project, content)
        if size > MAX_CONTENT_BYTES:
            raise InvalidRequestError(
                f"the table has {size} bytes: at most {MAX_CONTENT_BYTES} are read; download the file"
            )
        async for part in parts:
            for start in range(0, len(part), _PIECE_BYTES):
                yield part[start : start + _PIECE_BYTES], False
        yield b"", True


async def table_page(
    tables: LoggedTables, table: LoggedTable, request: pb.GetTableRequest, response: pb.GetTableResponse
) -> None:
    """Fill in a page of the table. Raise InvalidRequestError."""
    if len(request.filters) > MAX_FILTERS or len(request.order) > MAX_ORDER:
        raise InvalidRequestError(f"at most {MAX_FILTERS} filters and {MAX_ORDER} columns to order by")
    size = page_size(request.page_size, 100, MAX_PAGE)
    after = None
    place = read_token(request, (int, int, int, int))
    if place is not None:
        rank, step, version, number = place
        if (rank, step, version) != (table.rank, table.step, table.version):
            raise InvalidRequestError("the table was logged again since the last page: begin with the first page")
        after = (await _row(tables, table, number) if request.order else [], number)
    selection = RowPage(table.columns, list(request.filters), list(request.order), size, after)
    await tables.each(table, selection.take)
    page = selection.page()
    response.rows_json = dumps([row for _, row in page])
    if len(response.rows_json) > MAX_PAGE_CHARACTERS:
        raise InvalidRequestError(f"a page of {len(page)} rows is too large: request fewer with page_size")
    response.row_numbers.extend(number for number, _ in page)
    response.columns.extend(selection.columns())
    response.total_rows, response.matching_rows = selection.total, selection.matching
    if selection.more:
        response.next_page_token = make_token(request, [table.rank, table.step, table.version, page[-1][0]])


async def _row(tables: LoggedTables, table: LoggedTable, number: int) -> Row:
    """Return the row with this number. Raise InvalidRequestError if there is no such row."""
    seen = 0
    found: list[Row] = []

    def take(rows: list[Row]) -> bool:
        nonlocal seen
        if seen <= number < seen + len(rows):
            found.append(rows[number - seen])
        seen += len(rows)
        return bool(found)

    await tables.each(table, take)
    if not found:
        raise InvalidRequestError("page_token is not from this table: request the first page without one")
    width = len(table.columns)
    return (found[0] + [None] * width)[:width]


def _content(rows: str) -> str | None:
    """Return the SHA-256 of a large table's content; None if `rows` holds the rows themselves.

    Raise InvalidRequestError if the reference is damaged.
    """
    if not rows.startswith("{"):
        return None
    try:
        return str(json.loads(rows)["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidRequestError("the table's content is damaged: it is not a JSON array of rows") from error


def dumps(rows: list[Row]) -> str:
    """Return the rows as JSON that every reader accepts."""
    try:
        found = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        found.encode()  # raises UnicodeEncodeError, a ValueError, for half a surrogate pair from another client
        return found
    except ValueError:
        return json.dumps(text.plain(rows), ensure_ascii=False, separators=(",", ":"))
