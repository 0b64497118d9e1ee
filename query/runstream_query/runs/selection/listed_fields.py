"""Load the shown fields of listed runs from a table in memory, where a request names the columns.

A page requests them each time that it is sorted, filtered or scrolled. Where a request does not name the columns,
`documents.load` reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_common.text import parsed
from runstream_query.runs import large_values
from runstream_query.runs.documents import RunDocuments
from runstream_query.runs.field_choice import FieldChoice
from runstream_query.runs.field_names import Field, Kind
from runstream_query.runs.large_values import LargeValue
from runstream_query.runs.selection.field_column import FieldColumn
from runstream_query.runs.selection.loading import FIELDS, Source
from runstream_query.runs.selection.run_table import RunTable

MAX_RUNS = 20_000
"""How many runs a project may have so that all that is shown of them is held."""
_OWN = tuple(
    Source(FIELDS, key, "run", longest=large_values.LONGEST_IN_LIST)
    for key in ("name", "tags", "group", "job_type", "notes", "sweep_id")
)


class ListedFields:
    """What named columns show of runs. The table must be read with `fields` and `sources`."""

    def __init__(self, named: Sequence[Field]) -> None:
        self.fields = [field for field in named if field.kind is Kind.SUMMARY]
        keys = [field.key for field in named if field.kind is Kind.CONFIG]
        self._config = [Source(FIELDS, key, "config", longest=large_values.LONGEST_IN_LIST) for key in keys]
        self.sources = [*_OWN, *self._config]

    @classmethod
    def of(cls, columns: FieldChoice, runs: int) -> ListedFields | None:
        """Return what these columns show of a project with so many held runs; None if ClickHouse must be asked."""
        named = columns.named
        return cls(named) if named is not None and 0 < runs <= MAX_RUNS else None

    def load(self, table: RunTable, places: Sequence[int]) -> tuple[RunDocuments, int]:
        """Return the same as `documents.load` for the first runs at these places, and how many one answer carries."""
        loaded = RunDocuments(defaultdict(lambda: defaultdict(dict)), defaultdict(dict))
        columns = [(source.section, source.name, table.source(source)) for source in self.sources]
        columns += [("summary", field.key, table.column(field)) for field in self.fields]
        at = np.asarray(places, np.int64)
        carried = _fitting(columns, at)
        at = at[:carried]
        runs = table.runs.take(pa.array(at)).to_pylist()
        for section, key, column in columns:
            found = loaded.summaries if section == "summary" else None
            for run, value in zip(runs, _values(section, key, column, at), strict=True):
                if value is _NOTHING:
                    continue
                if isinstance(value, LargeValue):
                    loaded.large[run].append(value)
                    value = value.shown()
                (loaded.fields[run][section] if found is None else found[run])[key] = value
        return loaded, carried


_NOTHING = object()
_Named = tuple[str, str, FieldColumn]
"""Section, key, and the column of all runs."""


def _fitting(columns: Sequence[_Named], places: NDArray[np.int64]) -> int:
    """Return how many of the runs at these places one page carries with these columns."""
    keys, sizes = np.zeros(len(places), np.int64), np.zeros(len(places), np.int64)
    for _, key, column in columns:
        lengths = column.lengths_at(places)
        keys += column.numeric[places] | (lengths > 0)
        sizes += np.where(lengths > large_values.LONGEST_IN_LIST, len(key), lengths)
    return large_values.fitting(zip(keys.tolist(), (sizes + 32 * keys).tolist(), strict=True))


def _values(section: str, key: str, column: FieldColumn, places: NDArray[np.int64]) -> list[Any]:
    lengths = column.lengths_at(places)
    texts = column.texts_at(places, longest=large_values.LONGEST_IN_LIST)
    numbers = zip(
        texts, lengths.tolist(), column.numeric[places].tolist(), column.numbers[places].tolist(), strict=True
    )
    return [_value(section, key, *one) for one in numbers]


def _value(section: str, key: str, text: str, length: int, is_number: bool, number: float) -> Any:
    """Return the value, _NOTHING, or a LargeValue in its place."""
    if text:
        value = parsed(text)
        return LargeValue.of(section, key, value) or value
    if length:
        return LargeValue(section, key, "", 0, length)
    return number if is_number else _NOTHING
