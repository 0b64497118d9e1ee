"""Read columns of a project's runs from ClickHouse, for all runs or for some."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage
from runstream_query.runs.run_states import FACTS
from runstream_query.runs.selection.field_column import FieldColumn, of_strings, of_texts, places_of, scattered

_ALL_RUNS = 1_000_000_000
_TIMES = ("created_us", "started_us", "seen_us", "finished_us", "heard_us")
_COUNTS = tuple(name for name in FACTS if name not in _TIMES)
_ROWS_AT_ONCE = 2_000_000
"""Values that are read concurrently: so many rows take 200 MB while the columns are built."""
_THREAD_ABOVE_ROWS = 20_000
"""With more rows than this, the columns are built in a thread, so that other requests do not wait."""
_Item = TypeVar("_Item")
FIELDS, SERIES, POINTS, STREAMS = "run_fields", "series", "points", "streams"


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of one column."""

    table: str
    name: str
    """The metric, or the key."""
    section: str = ""
    """The section of a document; 'definition' for the definition of the metric's summary."""
    patterns: tuple[str, ...] = ()
    """For a definition: the names that match the metric; the one that takes precedence comes first."""
    slot: int = 0
    """For POINTS, the index of the aggregate: minimum, maximum, mean, first."""
    longest: int = 0
    """For FIELDS, at most this many bytes of a value; a mark of its size replaces a longer one. 0: no limit."""


@dataclass(frozen=True)
class BaseColumns:
    """Every run of a project, in the order of their ids; each array (N,)."""

    runs: pa.Array
    users: FieldColumn
    """JSON strings."""
    hosts: FieldColumn
    """JSON lists."""
    numbers: dict[str, NDArray[Any]]
    """By column of `runs.sql`: times in microseconds as int64, counts as uint32."""

    @property
    def bytes(self) -> int:
        held = self.__dict__.get("ids")
        columns = self.users.bytes + self.hosts.bytes + (held.bytes if held is not None else 0)
        return int(self.runs.nbytes + columns + sum(column.nbytes for column in self.numbers.values()))

    @cached_property
    def ids(self) -> FieldColumn:
        """The run ids as a column of strings."""
        return of_strings(self.runs)

    def updated(self, changed: Sequence[str], now: BaseColumns) -> BaseColumns:
        """Return the columns in which the rows of `now` replace those of the changed runs.

        If no run was added or removed, `runs` stays the same array.
        """
        places, fresh = None, places_of(self.runs, now.runs)
        runs, is_changed = self.runs, places_of(self.runs, pa.array(changed, pa.string())) >= 0
        if (fresh >= 0).sum() != len(now.runs) or (is_changed != (fresh >= 0)).any():
            runs = pa.concat_arrays([self.runs.filter(pa.array(~is_changed)), now.runs])
            order = pc.sort_indices(runs).to_numpy()
            runs, kept = runs.take(pa.array(order)), np.flatnonzero(~is_changed)
            places = np.append(kept, np.full(len(now.runs), -1))[order]
            fresh = np.append(np.full(len(kept), -1), np.arange(len(now.runs)))[order]
        is_fresh = fresh >= 0

        def put(old: FieldColumn, new: FieldColumn) -> FieldColumn:
            return (old if places is None else old.take(places)).replaced(is_fresh, new.take(fresh))

        def put_number(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            found = old.copy() if places is None else np.append(old, 0).astype(old.dtype)[places]
            found[is_fresh] = new[fresh[is_fresh]]
            return found

        numbers = {name: put_number(column, now.numbers[name]) for name, column in self.numbers.items()}
        return BaseColumns(runs, put(self.users, now.users), put(self.hosts, now.hosts), numbers)


async def load_base(storage: Storage, project: str, runs: Sequence[str]) -> BaseColumns:
    """Read these runs, or all runs of the project if none is named. Raise StorageError."""
    table = await storage.table("runs", project=project, runs=list(runs), limit=_ALL_RUNS)
    return await offload(len(table) > _THREAD_ABOVE_ROWS, _base, table)


def _base(table: pa.Table) -> BaseColumns:
    found = _array(table["run"])
    order = pc.sort_indices(found)
    places = order.to_numpy()
    return BaseColumns(
        found.take(order),
        of_strings(_array(table["user"]).take(order)),
        of_texts(_array(table["hosts"]).take(order)),
        {name: table[name].to_numpy().astype(np.int64)[places] for name in _TIMES}
        | {name: table[name].to_numpy().astype(np.uint32)[places] for name in _COUNTS},
    )


async def load_columns(
    storage: Storage, project: str, sources: Sequence[Source], base: BaseColumns, runs: Sequence[str]
) -> dict[Source, FieldColumn]:
    """Read the columns of these sources for these runs, or for all runs if none is named. Raise StorageError.

    One query reads all sources of one kind, and the queries run side by side. For very many runs each query reads a few
    sources, and the queries run one after the other. Runs that are not in `base` are left out.
    """
    count = max(len(runs) or len(base.runs), 1)
    reads = [
        partial(_read, storage, base, query, project=project, runs=list(runs))
        for query in _queries(sources, max(_ROWS_AT_ONCE // count, 1))
    ]
    if count * len(sources) <= _ROWS_AT_ONCE:
        answers = await asyncio.gather(*(read() for read in reads))
    else:
        answers = [await read() for read in reads]
        # The memory of reading is not needed again soon, and Arrow would keep it.
        pa.default_memory_pool().release_unused()
    return {source: column for part in answers for source, column in part.items()}


class _Query(NamedTuple):
    """One query for the columns of some sources of one kind."""

    name: str
    """The SQL file without its suffix."""
    sources: Sequence[Source]
    """The sources in the order of their slots."""
    parameters: dict[str, Any]


def _queries(sources: Sequence[Source], most: int) -> Iterator[_Query]:
    """Yield the queries for these sources; each reads at most `most` columns, or the four extremes of one metric."""
    yield from _field_queries([one for one in sources if one.table == FIELDS and one.section != "definition"], most)
    yield from _metric_queries([one for one in sources if one.table == SERIES], most)
    yield from _definition_queries([one for one in sources if one.section == "definition"], most)
    yield from _extreme_queries([one for one in sources if one.table == POINTS], most)


def _field_queries(sources: Sequence[Source], most: int) -> Iterator[_Query]:
    for longest in {one.longest for one in sources}:
        for some in _parts([one for one in sources if one.longest == longest], most):
            sections, keys = [one.section for one in some], [one.name for one in some]
            yield _Query("select_fields", some, {"sections": sections, "keys": keys, "longest": longest})


def _metric_queries(sources: Sequence[Source], most: int) -> Iterator[_Query]:
    for some in _parts(sources, most):
        yield _Query("select_metrics", some, {"metrics": [one.name for one in some]})


def _definition_queries(sources: Sequence[Source], most: int) -> Iterator[_Query]:
    for some in _parts(sources, most):
        pairs = [(name, slot) for slot, one in enumerate(some) for name in one.patterns]
        names, slots = [name for name, _ in pairs], [slot for _, slot in pairs]
        yield _Query("select_definitions", some, {"names": names, "slots": slots})


def _extreme_queries(sources: Sequence[Source], most: int) -> Iterator[_Query]:
    """Yield queries for the extremes of whole metrics: `select_extremes.sql` returns all four of each metric."""
    for metrics in _parts(list(dict.fromkeys(one.name for one in sources)), max(most // 4, 1)):
        four = [Source(POINTS, metric, slot=slot) for metric in metrics for slot in range(4)]
        yield _Query("select_extremes", four, {"metrics": list(metrics)})


def _parts(every: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (every[first : first + most] for first in range(0, len(every), most))


async def _read(
    storage: Storage, base: BaseColumns, query: _Query, *, project: str, runs: list[str]
) -> dict[Source, FieldColumn]:
    table = await storage.table(query.name, project=project, runs=runs, **query.parameters)
    return await offload(len(table) > _THREAD_ABOVE_ROWS, _columns, table, query.sources, base)


def _columns(table: pa.Table, sources: Sequence[Source], base: BaseColumns) -> dict[Source, FieldColumn]:
    slots = table["slot"].to_numpy()
    places = places_of(_array(table["run"]), base.runs)
    numbers = _array(table["number"]) if "number" in table.column_names else pa.nulls(len(slots), pa.float64())
    texts = _array(table["text"]) if "text" in table.column_names else None
    found = {}
    for slot, source in enumerate(sources):
        if len(sources) == 1:
            found[source] = scattered(len(base.runs), places, numbers, texts)
            continue
        at = np.flatnonzero(slots == slot)
        some = pa.array(at)
        found[source] = scattered(
            len(base.runs), places[at], numbers.take(some), None if texts is None else texts.take(some)
        )
    return found


def _array(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found.cast(pa.string()) if pa.types.is_binary(found.type) else found
