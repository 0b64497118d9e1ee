"""Hold the runs of a project with the fields that a request names, each as a column."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.field_names import MAX_FIELDS, Field, Kind
from runstream_query.runs.run_states import NAMES, RunRow, state_codes
from runstream_query.runs.selection.field_column import FieldColumn, missing, of_codes, of_numbers
from runstream_query.runs.selection.loading import FIELDS, POINTS, SERIES, BaseColumns, Source
from runstream_query.runs.selection.run_tables import DefinitionNames, RunTables

_AGGREGATES = {"min": 0, "max": 1, "mean": 2, "first": 3, "best": -1}
_STATES = pa.array(["", *(f'"{name}"' for name in NAMES)])


async def read(
    tables: RunTables, project: str, silent_us: int, fields: Iterable[Field], more: Sequence[Source] = ()
) -> RunTable:
    """Read a table of the project's runs. Raise InvalidRequestError for too many fields, StorageError.

    `run_states.py` explains `silent_us`; `more` are columns that the table must hold beside the fields.
    """
    wanted = list(dict.fromkeys(fields))
    if len(wanted) > MAX_FIELDS:
        raise InvalidRequestError(f"{len(wanted)} different fields: at most {MAX_FIELDS} in one request")
    summary = [field.key for field in wanted if field.kind is Kind.SUMMARY]
    definitions, own_keys = await tables.keys(project, summary)
    sources_of = _FieldSources(definitions, own_keys)
    sources = list(dict.fromkeys([*(source for field in wanted for source in sources_of.of(field)), *more]))
    base, columns = await tables.columns(project, sources)
    return RunTable(base, columns, sources_of, silent_us)


class _FieldSources:
    """Tells from which sources a field is computed."""

    def __init__(self, definitions: DefinitionNames, own_keys: frozenset[str]) -> None:
        """Take the names of definitions and the own keys of a project.

        `own_keys` are the summary keys that some run may have set itself; all other summary keys are metrics only.
        """
        self._definitions = definitions
        self._own_keys = own_keys
        self._matching: dict[str, tuple[str, ...]] = {}

    def of(self, field: Field) -> list[Source]:
        match field.kind:
            case Kind.OWN | Kind.NAME:
                return [Source(FIELDS, field.key, "run")]
            case Kind.CONFIG:
                return [Source(FIELDS, key, "config") for key in config_keys(field.key)]
            case Kind.SUMMARY:
                base, aggregate = self.aggregate(field.key)
                found = [self.own(field.key), Source(SERIES, field.key), self.definition(field.key)]
                if aggregate:
                    found += [self.definition(base), *(Source(POINTS, base, slot=slot) for slot in range(4))]
                return [source for source in found if source is not None]
        return []

    def own(self, key: str) -> Source | None:
        return Source(FIELDS, key, "summary") if key in self._own_keys else None

    def aggregate(self, key: str) -> tuple[str, str]:
        """Split `metric.max` or the like into metric and aggregate; (key, '') if no definition can request it."""
        base, _, aggregate = key.rpartition(".")
        return (base, aggregate) if aggregate in _AGGREGATES and self.definition(base) else (key, "")

    def definition(self, metric: str) -> Source | None:
        """Return the source of the definitions whose names match the metric; the one that takes precedence comes first.

        See `metric_definitions.find`.
        """
        if metric not in self._matching:
            self._matching[metric] = self._definitions.matching(metric)
        names = self._matching[metric]
        return Source(FIELDS, metric, "definition", names) if names else None


class RunTable:
    """N runs, in the order of their ids. It is pure."""

    def __init__(
        self, base: BaseColumns, columns: dict[Source, FieldColumn], sources_of: _FieldSources, silent_us: int
    ) -> None:
        self._base = base
        self._columns = columns
        self._sources_of = sources_of
        self._states = state_codes(base.numbers, silent_us)
        self._made_columns: dict[Field, FieldColumn] = {}

    def __len__(self) -> int:
        return len(self._base.runs)

    @property
    def runs(self) -> pa.Array:
        """(N,): the ids of the runs."""
        return self._base.runs

    def with_text(self, text: str, others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return (N,): the runs whose id contains the text, in any case, and those at the places `others`."""
        found = pc.match_substring(self.runs, text, ignore_case=True).to_numpy(zero_copy_only=False).copy()
        found[others] = True
        return found  # type: ignore[no-any-return]

    def rows(self, places: Sequence[int]) -> list[RunRow]:
        """Return the rows that `runs.sql` gives for these runs, with their states."""
        at = np.asarray(places, np.int64)
        names = self.runs.take(pa.array(at)).to_pylist()
        users, hosts = (map(json.loads, column.texts_at(at)) for column in (self._base.users, self._base.hosts))
        rows: list[dict[str, object]] = []
        for place, run, user, on in zip(places, names, users, hosts, strict=True):
            row: dict[str, object] = {name: int(column[place]) for name, column in self._base.numbers.items()}
            row |= {"run": run, "user": user, "hosts": on}
            rows.append({**row, "state": NAMES[self._states[place]]})
        return cast("list[RunRow]", rows)

    def source(self, source: Source) -> FieldColumn:
        """Return the column of a source as it was read."""
        return self._columns[source]

    def column(self, field: Field) -> FieldColumn:
        """Return the column of a field; the table must have been read with this field."""
        if field not in self._made_columns:
            self._made_columns[field] = self._make(field)
        return self._made_columns[field]

    def _make(self, field: Field) -> FieldColumn:
        numbers = self._base.numbers
        match field.kind:
            case Kind.ID:
                return self._base.ids
            case Kind.STREAM:
                return self._stream(field.key)
            case Kind.TIME:
                return of_numbers(numbers["created_us" if field.key == "created_at" else "seen_us"] / 1e6)
            case Kind.NUMBER:
                ended = np.where(
                    (self._states != NAMES.index("running")) & (numbers["finished_us"] > 0),
                    numbers["finished_us"],
                    numbers["seen_us"],
                )
                return of_numbers(np.maximum(ended - numbers["started_us"], 0) / 1e6)
            case Kind.OWN | Kind.NAME:
                return self._document(field)
            case Kind.CONFIG:
                first, *others = (self._columns[source] for source in self._sources_of.of(field))
                for other in others:
                    first = first.replaced(~first.present, other)
                return first
            case Kind.SUMMARY:
                metric = self._metric(field.key)
                own = self._sources_of.own(field.key)
                return metric if own is None else metric.replaced(self._columns[own].present, self._columns[own])
        raise AssertionError(field)

    def _stream(self, key: str) -> FieldColumn:
        if key == "state":
            return of_codes((self._states + 1).astype(np.int32), _STATES)
        return (self._base.users if key == "user" else self._base.hosts).without_empty

    def _document(self, field: Field) -> FieldColumn:
        (source,) = self._sources_of.of(field)
        found = self._columns[source].without_empty
        if field.kind is not Kind.NAME:
            return found
        if found.numeric.any():
            found = of_codes(found.codes, found.texts) if found.codes is not None else missing(len(self))
        return found.replaced(~found.present, self._base.ids)

    def _metric(self, key: str) -> FieldColumn:
        """Return the metric's values for a summary key: the aggregate that define_metric requests, else the last value.

        A value that the user set takes precedence; the caller handles it.
        """
        last = self._columns[Source(SERIES, key)]
        definition = self._sources_of.definition(key)
        if definition is not None:
            last = last.replaced(self._requests(definition, "none"), missing(len(self)))
        base, aggregate = self._sources_of.aggregate(key)
        of_base = self._sources_of.definition(base) if aggregate else None
        if of_base is None:
            return last
        chosen = self._requests(of_base, aggregate) & ~self._requests(of_base, "none")
        if aggregate == "best":
            least = self._matches(of_base, lambda text: _goal(text) == "minimize")
            lows, highs = (self._columns[Source(POINTS, base, slot=slot)] for slot in (0, 1))
            value = highs.replaced(least, lows)
        else:
            value = self._columns[Source(POINTS, base, slot=_AGGREGATES[aggregate])]
        return last.replaced(chosen & value.numeric, value)

    def _requests(self, definition: Source, kind: str) -> NDArray[np.bool_]:
        return self._matches(definition, lambda text: kind in _kinds(text))

    def _matches(self, definition: Source, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Return (N,): the runs for whose definition `holds` is true."""
        column = self._columns[definition]
        if column.codes is None:
            return np.zeros(len(self), bool)
        return column.holds(np.array([holds(text) for text in column.texts.to_pylist()], bool))


def config_keys(key: str) -> list[str]:
    """Return the config keys to read for this key, itself first: W&B writes config.lr.value for config.lr."""
    bare = key.removesuffix(".value")
    return [key] if bare in (key, "") else [key, bare]


def _kinds(text: str) -> set[str]:
    return {part.strip() for part in str(_entry(text, "summary")).split(",")}


def _goal(text: str) -> str:
    return str(_entry(text, "goal"))


def _entry(text: str, name: str) -> object:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    found = document.get(name) if isinstance(document, dict) else ""
    return found if isinstance(found, str) else ""
