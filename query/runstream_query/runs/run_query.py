"""Select runs by a request's filter, search and fields, and convert the selected values to Python's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_common.text import parsed
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.storage import Storage
from runstream_query.runs.field_names import Field, parse_field
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.selection.field_column import BOOLEAN, LIST, MISSING, NUMBER, TEXT, places_of
from runstream_query.runs.selection.filters import BAD_REGEX, AllOf, Condition, FieldTest, comparisons, parse_filter
from runstream_query.runs.selection.loading import Source
from runstream_query.runs.selection.run_table import RunTable, read
from runstream_query.runs.selection.select import RunSelection

_REGEX_REFUSED = 427
_MANY = 20_000
"""With more runs than this, the search runs in a thread, so that other requests do not wait."""


async def select(
    storage: Storage,
    lookup: Lookup,
    project: str,
    *,
    filter: str = "",
    search: str = "",
    state: str = "",
    sweep: str = "",
    fields: Iterable[Field] = (),
    sources: Sequence[Source] = (),
) -> RunSelection:
    """Return the runs of a project that meet all given conditions. Raise InvalidRequestError, StorageError.

    `fields` are those that the caller will show, group or order by; `sources` are further columns that the table must
    hold.
    """
    parts: list[Condition] = [parse_filter(filter)]
    if state:
        parts.append(FieldTest(parse_field("state"), "$in", (state,)))
    if sweep:
        parts.append(FieldTest(parse_field("sweep_id"), "$in", (sweep,)))
    condition = parts[0] if len(parts) == 1 else AllOf(tuple(parts))
    wanted = [*(comparison.field for comparison in comparisons(condition)), *fields]
    table = await read(lookup.tables, project, await lookup.silent_us(), wanted, sources)
    found = await _search(storage, project, table, search) if search else None
    if len(table) > _MANY:
        return await asyncio.to_thread(RunSelection, table, condition, found)
    return RunSelection(table, condition, found)


async def _search(storage: Storage, project: str, table: RunTable, search: str) -> Any:
    """Return (N,): which runs have the text in their id, name, tags, group, notes, or in a value of their config."""
    rows = await storage.table("select_found", project=project, search=search)
    places = places_of(rows["run"].cast(pa.string()), table.runs)
    return table.with_text(search, places[places >= 0])


def refused(error: StorageRefusedError) -> Exception:
    """Return InvalidRequestError if ClickHouse refused the caller's regular expression; else the error itself."""
    if error.code != _REGEX_REFUSED:
        return error
    return InvalidRequestError(BAD_REGEX)


def value_of(kind: int, number: float, text: str) -> Any:
    """Return the value that a class, number and text represent; None if it is missing."""
    if kind == MISSING:
        return None
    if kind == TEXT:
        return text
    if kind in (BOOLEAN, LIST):
        return parsed(text)
    return number if kind == NUMBER else math.nan


def parse_fields(names: Sequence[str], what: str, most: int) -> list[Field]:
    """Parse the names of at most `most` fields. Raise InvalidRequestError, in which `what` names the parameter."""
    if len(names) > most:
        raise InvalidRequestError(f"{what}: at most {most}, not {len(names)}")
    return [parse_field(name) for name in names]
