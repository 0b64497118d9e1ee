"""What is stored of a workload's documents, in the form of `documents.of_row`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from runstream.api import Api
from runstream.errors import ApiError
from tests.faults.documents import Key, sha256

Rows = Callable[..., list[tuple[Any, ...]]]
"""Ask ClickHouse: a statement, and its parameters."""

_WHERE = "FINAL WHERE project = {project:String} AND run IN {runs:Array(String)}"
_COLUMNS = {
    "histograms": "run, key, rank, step, edges, counts",
    "tables": "run, key, rank, step, columns, rows",
    "media": "run, key, rank, step, item, sha256, size_bytes, media_type",
    "fields": "run, section, key, value",
    "alerts": "run, writer, title, rank, level, text",
    "files": "run, path, sha256, size_bytes",
    "console": "run, rank, writer, line, text",
    "ends": "run, writer, outcome, points",
}
_KEY_LENGTH = {"histograms": 4, "tables": 4, "media": 5, "fields": 3, "alerts": 3, "files": 2, "console": 4, "ends": 2}
_TABLE = {"fields": "run_fields", "ends": "streams"}
_ONLY = {
    "fields": "AND section IN ('config', 'summary', 'run') AND key NOT IN ('name', 'group', 'job_type', 'sweep_id') "
    "AND deleted = 0",
    "console": "AND output = 'stdout'",
    "ends": "AND event = 'finish'",
}
KINDS = tuple(_COLUMNS)


def table_of(kind: str) -> str:
    return _TABLE.get(kind, kind)


def key_columns(kind: str) -> list[str]:
    """What names a row within the project."""
    return _COLUMNS[kind].split(", ")[: _KEY_LENGTH[kind]]


def rows(ask: Rows, kind: str, project: str, runs: list[str]) -> Iterator[tuple[Key, Any]]:
    """Every row of a kind that a reader sees, as key and value."""
    statement = f"SELECT {_COLUMNS[kind]} FROM {table_of(kind)} {_WHERE} {_ONLY.get(kind, '')}"
    length = _KEY_LENGTH[kind]
    for row in ask(statement, project=f"main/{project}", runs=runs):
        cells = [tuple(cell) if isinstance(cell, list) else _text(cell) for cell in row]
        value = tuple(cells[length:])
        yield (kind, *cells[:length]), value if len(value) > 1 else value[0]


def content_problem(api: Api, project: str, digest: str) -> str:
    """What is wrong with a content of object storage; empty when its bytes have the SHA-256 that names it."""
    try:
        found = sha256(b"".join(api.content("main", project, digest)))
    except ApiError as error:
        return str(error)
    return "" if found == digest else f"its bytes have the SHA-256 {found}"


def _text(cell: Any) -> Any:
    return cell.decode() if isinstance(cell, bytes) else cell
