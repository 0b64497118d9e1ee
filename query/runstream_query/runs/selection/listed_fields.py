"""Load the shown fields of listed runs from a table in memory, where a request names the columns.

A page requests them each time that it is sorted, filtered or scrolled. Where a request does not name
the columns, `documents.load` reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runstream_common.text import parsed
from runstream_query.runs.documents import RunDocuments
from runstream_query.runs.selection.field_choice import FieldChoice
from runstream_query.runs.selection.field_column import FieldColumn
from runstream_query.runs.selection.field_names import Field, Kind
from runstream_query.runs.selection.loading import FIELDS, Source
from runstream_query.runs.selection.run_table import RunTable

MAX_RUNS = 20_000
"""The largest number of runs in a project whose shown fields are held in memory."""
_OWN = tuple(Source(FIELDS, key, "run") for key in ("name", "tags", "group", "job_type", "notes", "sweep_id"))


class ListedFields:
    """The fields that named columns show. The table must be read with `fields` and `sources`."""

    def __init__(self, named: Sequence[Field]) -> None:
        self.fields = [field for field in named if field.kind is Kind.SUMMARY]
        self._config = [Source(FIELDS, field.key, "config") for field in named if field.kind is Kind.CONFIG]
        self.sources = [*_OWN, *self._config]

    @classmethod
    def of(cls, columns: FieldChoice, runs: int) -> ListedFields | None:
        """Return the fields of these columns for a project with so many runs; None if ClickHouse must be queried."""
        named = columns.named
        return cls(named) if named is not None and 0 < runs <= MAX_RUNS else None

    def load(self, table: RunTable, places: Sequence[int]) -> RunDocuments:
        """Return the same as `documents.load` for the runs at these places."""
        loaded = RunDocuments(defaultdict(lambda: defaultdict(dict)), defaultdict(dict))
        at = np.asarray(places, np.int64)
        runs = table.runs.take(pa.array(at)).to_pylist()
        for source in self.sources:
            for run, value in zip(runs, _values(table.source(source), at), strict=True):
                if value is not _NOTHING:
                    loaded.fields[run][source.section][source.name] = value
        for field in self.fields:
            for run, value in zip(runs, _values(table.column(field), at), strict=True):
                if value is not _NOTHING:
                    loaded.summaries[run][field.key] = value
        return loaded


_NOTHING = object()


def _values(column: FieldColumn, places: NDArray[np.int64]) -> list[Any]:
    texts, numeric, numbers = column.texts_at(places), column.numeric[places], column.numbers[places]
    return [
        parsed(text) if text else number if there else _NOTHING
        for text, there, number in zip(texts, numeric.tolist(), numbers.tolist(), strict=True)
    ]
