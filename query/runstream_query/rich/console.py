"""Read lines of the console by page, forwards and backwards, with search."""

from __future__ import annotations

import json
from typing import Any, TypedDict, cast

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage

MAX_PAGE = 10_000
"""The largest page, in lines of at most 8192 characters each."""
MAX_SEARCH = 1000
_PLACE = (int, int, str, str, int)
_BAD_PATTERN = 427
"""ClickHouse's error CANNOT_COMPILE_REGEXP."""


async def console_page(storage: Storage, project: str, request: pb.GetConsoleRequest) -> pb.GetConsoleResponse:
    """Return a page of the console's lines. Raise InvalidRequestError, StorageError."""
    size = page_size(request.page_size, 1000, MAX_PAGE)
    parameters = {"project": project, "run": request.run, **_filter(request)}
    place = read_token(request, _PLACE) or _begin(request.from_line)
    names = ("after_us", "after_rank", "after_output", "after_writer", "after_line")
    after = dict(zip(names, place or (-1, 0, "", "", 0), strict=True))
    try:
        name = "console" if request.forward else "console_back"
        rows = cast("list[ConsoleLine]", await storage.rows(name, **parameters, **after, limit=size + 1))
        first_page = not request.page_token
        count = await storage.rows("console_count", **parameters) if first_page else [{"lines": 0}]
    except StorageRefusedError as error:
        if error.code == _BAD_PATTERN:
            raise InvalidRequestError(f"{request.search[:100]!r} is not an RE2 expression") from error
        raise
    response = pb.GetConsoleResponse(matching=count[0]["lines"])
    if len(rows) > size:
        rows = rows[:size]
        response.next_page_token = make_token(request, list(_place(rows[-1])))
    for row in rows if request.forward else reversed(rows):
        response.lines.append(console_row(request.run, row))
    return response


class ConsoleLine(TypedDict):
    """A row of `console.sql`."""

    rank: int
    output: str
    writer: str
    line: int
    text: str
    time_us: int


def console_row(run: str, row: ConsoleLine) -> pb.ConsoleRow:
    return pb.ConsoleRow(
        run=run,
        rank=row["rank"],
        output=row["output"],
        writer_id=row["writer"],
        line=row["line"],
        text=row["text"],
        time_us=row["time_us"],
        place=json.dumps(_place(row), separators=(",", ":")),
    )


def _place(row: ConsoleLine) -> tuple[int, int, str, str, int]:
    return row["time_us"], row["rank"], row["output"], row["writer"], row["line"]


def _begin(text: str) -> list[Any] | None:
    if not text:
        return None
    try:
        place = json.loads(text)
        if tuple(type(part) for part in place) != _PLACE or place[1] not in range(1 << 32) or place[4] < 0:
            raise ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError("from_line is not the place of a ConsoleRow: give it unchanged") from error
    return list(place)


def _filter(request: pb.GetConsoleRequest) -> dict[str, Any]:
    if request.output not in ("", "stdout", "stderr"):
        raise InvalidRequestError(f"output is {request.output[:50]!r}: stdout, stderr, or empty for both")
    if len(request.search) > MAX_SEARCH:
        raise InvalidRequestError(f"search has {len(request.search)} characters: at most {MAX_SEARCH}")
    pattern = ""
    if request.regex and request.search:
        pattern = request.search if request.match_case else f"(?i){request.search}"
    return {
        "ranks": list(request.ranks),
        "output": request.output,
        "writer": request.writer_id,
        "search": "" if request.regex else request.search,
        "pattern": pattern,
        "match_case": int(request.match_case),
    }
