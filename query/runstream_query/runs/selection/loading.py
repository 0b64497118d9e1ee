"""Read columns of a project's runs from ClickHouse: those of all its runs, or again those of some."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

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
"""How many values are read side by side: so many rows take 200 MB here while they are put into columns."""
_MANY = 20_000
"""From how many values on they are put into columns in a thread, so that other requests do not wait."""
_One = TypeVar("_One")
FIELDS, SERIES, POINTS, STREAMS = "run_fields", "series", "points", "streams"


@dataclass(frozen=True, slots=True)
class Source:
    """What one column is read from."""

    table: str
    name: str
    """The metric, or the key."""
    section: str = ""
    """The section of a document; 'definition' for the definition of the metric's summary."""
    patterns: tuple[str, ...] = ()
    """For a definition: the names that match the metric; the one that takes precedence comes first."""
    slot: int = 0
    """For POINTS, which value of the metric: minimum, maximum, mean or first."""
    longest: int = 0
    """For FIELDS, at most this many bytes of a value: a longer one comes as a mark of its size. 0: it comes whole."""


@dataclass(frozen=True)
class Base:
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

    def updated(self, touched: Sequence[str], now: Base) -> Base:
        """Return the base with the rows of `now` in the place of those of the touched runs.

        If no run has come or gone, `runs` stays the same array.
        """
        places, fresh = None, places_of(self.runs, now.runs)
        runs, of_touched = self.runs, places_of(self.runs, pa.array(touched, pa.string())) >= 0
        if (fresh >= 0).sum() != len(now.runs) or (of_touched != (fresh >= 0)).any():
            runs = pa.concat_arrays([self.runs.filter(pa.array(~of_touched)), now.runs])
            order = pc.sort_indices(runs).to_numpy()
            runs, kept = runs.take(pa.array(order)), np.flatnonzero(~of_touched)
            places = np.append(kept, np.full(len(now.runs), -1))[order]
            fresh = np.append(np.full(len(kept), -1), np.arange(len(now.runs)))[order]
        came = fresh >= 0

        def put(old: FieldColumn, new: FieldColumn) -> FieldColumn:
            return (old if places is None else old.take(places)).replaced(came, new.take(fresh))

        def put_number(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            found = old.copy() if places is None else np.append(old, 0).astype(old.dtype)[places]
            found[came] = new[fresh[came]]
            return found

        numbers = {name: put_number(column, now.numbers[name]) for name, column in self.numbers.items()}
        return Base(runs, put(self.users, now.users), put(self.hosts, now.hosts), numbers)


async def load_base(storage: Storage, project: str, runs: Sequence[str]) -> Base:
    """Read these runs, or all runs of the project if none is named. Raise StorageError."""
    table = await storage.table("runs", project=project, runs=list(runs), limit=_ALL_RUNS)
    return await offload(len(table) > _MANY, _base, table)


def _base(table: pa.Table) -> Base:
    found = _array(table["run"])
    order = pc.sort_indices(found)
    places = order.to_numpy()
    return Base(
        found.take(order),
        of_strings(_array(table["user"]).take(order)),
        of_texts(_array(table["hosts"]).take(order)),
        {name: table[name].to_numpy().astype(np.int64)[places] for name in _TIMES}
        | {name: table[name].to_numpy().astype(np.uint32)[places] for name in _COUNTS},
    )


async def load_columns(
    storage: Storage, project: str, sources: Sequence[Source], base: Base, runs: Sequence[str]
) -> dict[Source, FieldColumn]:
    """Read the columns of these sources for these runs, or for all runs if none is named. Raise StorageError.

    One query reads all sources of one kind, and the queries run side by side. For very many runs each query reads a few
    sources, and the queries run one after the other. Runs that are not in `base` are left out.
    """
    count = max(len(runs) or len(base.runs), 1)
    few = max(_ROWS_AT_ONCE // count, 1)
    question = {"project": project, "runs": list(runs)}
    asked = [
        partial(_read, storage, base, some, name, **question, **parameters)
        for name, some, parameters in _questions(sources, few)
    ]
    if count * len(sources) <= _ROWS_AT_ONCE:
        answers = await asyncio.gather(*(ask() for ask in asked))
    else:
        answers = [await ask() for ask in asked]
        # The memory of reading is not needed again soon, and Arrow would keep it.
        pa.default_memory_pool().release_unused()
    return {source: column for part in answers for source, column in part.items()}


def _questions(sources: Sequence[Source], few: int) -> Iterator[tuple[str, Sequence[Source], dict[str, Any]]]:
    """Yield for each query its SQL file, its sources in the order of their slots, and its parameters.

    A query has at most `few` sources; a query of extremes has four for each metric, and always at least one metric.
    """
    documents = [one for one in sources if one.table == FIELDS and one.section != "definition"]
    for longest in {one.longest for one in documents}:
        for some in _parts([one for one in documents if one.longest == longest], few):
            keys = {"sections": [one.section for one in some], "keys": [one.name for one in some]}
            yield "select_fields", some, {**keys, "longest": longest}
    for some in _parts([one for one in sources if one.table == SERIES], few):
        yield "select_metrics", some, {"metrics": [one.name for one in some]}
    for some in _parts([one for one in sources if one.section == "definition"], few):
        pairs = [(name, slot) for slot, one in enumerate(some) for name in one.patterns]
        names, slots = [name for name, _ in pairs], [slot for _, slot in pairs]
        yield "select_definitions", some, {"names": names, "slots": slots}
    extremes = list(dict.fromkeys(one.name for one in sources if one.table == POINTS))
    for metrics in _parts(extremes, max(few // 4, 1)):
        four = [Source(POINTS, metric, slot=slot) for metric in metrics for slot in range(4)]
        yield "select_extremes", four, {"metrics": list(metrics)}


def _parts(every: Sequence[_One], few: int) -> Iterator[Sequence[_One]]:
    return (every[first : first + few] for first in range(0, len(every), few))


async def _read(
    storage: Storage, base: Base, sources: Sequence[Source], name: str, **question: Any
) -> dict[Source, FieldColumn]:
    table = await storage.table(name, **question)
    return await offload(len(table) > _MANY, _columns, table, sources, base)


def _columns(table: pa.Table, sources: Sequence[Source], base: Base) -> dict[Source, FieldColumn]:
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
