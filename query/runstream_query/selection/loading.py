"""Columns of a project's runs, read from ClickHouse: of all its runs, or of some again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_query.selection.column import Column, places_of, scattered
from runstream_query.states import FACTS
from runstream_query.storage import Storage

_ALL_RUNS = 1_000_000_000
_NUMBERS = ("created_us", "started_us", "seen_us", "finished_us", *FACTS)
FIELDS, SERIES, POINTS, STREAMS = "run_fields", "series", "points", "streams"


@dataclass(frozen=True, slots=True)
class Source:
    """What one column is read from."""

    table: str
    name: str
    """The metric, or the key"""
    section: str = ""
    """Of a document; 'definition': what holds of the metric's summary"""
    patterns: tuple[str, ...] = ()
    """Of a definition: names that match, the one that counts first"""
    slot: int = 0
    """Of POINTS: minimum, maximum, mean, first"""


@dataclass(frozen=True)
class Base:
    """Every run of a project, in the order of their ids; each array (N,)."""

    runs: pa.Array
    users: pa.Array
    hosts: pa.Array
    """JSON"""
    numbers: dict[str, NDArray[np.int64]]
    """By column of `runs.sql`"""

    @property
    def bytes(self) -> int:
        arrays = (self.runs, self.users, self.hosts)
        return int(sum(a.nbytes for a in arrays) + sum(column.nbytes for column in self.numbers.values()))

    def updated(self, touched: Sequence[str], now: Base) -> Base:
        """With `now` in the place of the touched ones."""
        old = places_of(self.runs, pa.array(touched, pa.string())) < 0
        runs = pa.concat_arrays([self.runs.filter(pa.array(old)), now.runs])
        order = np.argsort(np.array(runs.to_pylist(), object), kind="stable")
        return Base(
            runs.take(pa.array(order)),
            pa.concat_arrays([self.users.filter(pa.array(old)), now.users]).take(pa.array(order)),
            pa.concat_arrays([self.hosts.filter(pa.array(old)), now.hosts]).take(pa.array(order)),
            {name: np.concatenate([column[old], now.numbers[name]])[order] for name, column in self.numbers.items()},
        )


async def load_base(storage: Storage, project: str, runs: Sequence[str]) -> Base:
    """Of these, or all where none is named."""
    table = await storage.table("runs", project=project, runs=list(runs), limit=_ALL_RUNS)
    table = table.take(pa.array(np.argsort(np.array(table["run"].to_pylist(), object), kind="stable")))
    return Base(
        _array(table["run"]),
        _array(table["user"]),
        _array(table["hosts"]),
        {name: table[name].to_numpy().astype(np.int64) for name in _NUMBERS},
    )


async def load_columns(
    storage: Storage, project: str, sources: Sequence[Source], base: Base, runs: Sequence[str]
) -> dict[Source, Column]:
    """A question a kind of source, side by side. Runs that are not of `base` are left out."""
    question = {"project": project, "runs": list(runs)}
    documents = [one for one in sources if one.table == FIELDS and one.section != "definition"]
    metrics = [one for one in sources if one.table == SERIES]
    definitions = [one for one in sources if one.section == "definition"]
    extremes = list(dict.fromkeys(one.name for one in sources if one.table == POINTS))
    work: list[Any] = []
    if documents:
        sections, keys = [one.section for one in documents], [one.name for one in documents]
        work.append(_read(storage, base, documents, "select_fields", **question, sections=sections, keys=keys))
    if metrics:
        work.append(_read(storage, base, metrics, "select_metrics", **question, metrics=[one.name for one in metrics]))
    if definitions:
        pairs = [(name, slot) for slot, one in enumerate(definitions) for name in one.patterns]
        names, slots = [name for name, _ in pairs], [slot for _, slot in pairs]
        work.append(_read(storage, base, definitions, "select_definitions", **question, names=names, slots=slots))
    if extremes:
        of_slots = [Source(POINTS, name, slot=slot) for name in extremes for slot in range(4)]
        work.append(_read(storage, base, of_slots, "select_extremes", **question, metrics=extremes))
    return {source: column for part in await asyncio.gather(*work) for source, column in part.items()}


async def _read(
    storage: Storage, base: Base, sources: Sequence[Source], name: str, **question: Any
) -> dict[Source, Column]:
    table = await storage.table(name, **question)
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
