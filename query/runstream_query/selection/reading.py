"""Asking ClickHouse for a selection, and what its values are in Python."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from runstream_common.clickhouse import StorageRefusedError
from runstream_query.errors import InvalidQuestionError
from runstream_query.selection.fields import Field, Kind, parse_field
from runstream_query.selection.filters import All, Condition, Test, parse_filter, tests
from runstream_query.selection.select import BOOLEAN, LIST, MISSING, TEXT, Selection
from runstream_query.selection.sources import Sources
from runstream_query.storage import Storage

_BAD_REGEX = 427


async def select(
    storage: Storage,
    project: str,
    silent_us: int,
    *,
    filter: str = "",
    search: str = "",
    state: str = "",
    fields: Iterable[Field] = (),
) -> Selection:
    """The runs of a project that meet all that is given. `fields`: what the statement will be asked to show, group or
    order by. Raises InvalidQuestionError, StorageError."""
    parts: list[Condition] = [parse_filter(filter)]
    if state:
        parts.append(Test(parse_field("state"), "$in", (state,)))
    condition = parts[0] if len(parts) == 1 else All(tuple(parts))
    wanted = [*(test.field for test in tests(condition)), *fields]
    keys = sorted({field.key for field in wanted if field.kind is Kind.SUMMARY})
    known: dict[str, list[str]] = {"definition": [], "summary": []}
    if keys:
        for row in await storage.rows("summary_keys", project=project, keys=keys):
            known[row["section"]].append(row["key"])
    return Selection(Sources(project, silent_us, known["definition"], known["summary"]), condition, search, fields)


async def ask(storage: Storage, statement: str, selection: Selection, **more: Any) -> list[dict[str, Any]]:
    """Rows of one of its statements. Raises InvalidQuestionError for a regular expression that does not compile."""
    try:
        return await storage.ask(statement, **{**selection.parameters, **more})
    except StorageRefusedError as error:
        raise refused(error) from error


def refused(error: StorageRefusedError) -> Exception:
    """The caller's fault, where it is a regular expression."""
    if error.code != _BAD_REGEX:
        return error
    return InvalidQuestionError("the regular expression does not compile, or is too large: write it as RE2 has it")


def group_values(row: dict[str, Any], count: int) -> list[Any]:
    """The values of a group's fields; None where missing."""
    return [value_of(row[f"k{3 * i}"], row[f"k{3 * i + 1}"], row[f"k{3 * i + 2}"]) for i in range(count)]


def value_of(kind: int, number: float, text: str) -> Any:
    """What a class, number and text mean."""
    if kind == MISSING:
        return None
    if kind == TEXT:
        return text
    if kind in (BOOLEAN, LIST):
        return loads(text)
    return number if kind == 0 else math.nan


def loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_fields(names: Sequence[str], what: str, most: int) -> list[Field]:
    """Raises InvalidQuestionError."""
    if len(names) > most:
        raise InvalidQuestionError(f"{what}: at most {most}, not {len(names)}")
    return [parse_field(name) for name in names]
