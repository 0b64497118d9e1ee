"""`Table`: rows of named columns, whose cells are plain values or media."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runstream.base.json_text import dumps
from runstream.data.loggable import Content, Loggable, Media, Outbox
from runstream.errors import UsageError

MAX_ROWS = 200_000
MAX_JSON_BYTES = 1 << 20
"""A larger table is kept in object storage, and fetched when somebody looks at it."""
LARGE_TABLE = "application/vnd.runstream.table+json"


class Table(Loggable):
    """Rows of named columns.

    `columns` are names, and `data` is a list of rows with one cell a column. Instead, `dataframe` takes a frame of
    pandas, polars or Arrow, and `data` takes a 2-d array. Cells are numbers, strings, booleans, None, lists, and Image,
    Audio, Video or Html.
    """

    MAX_ROWS = MAX_ROWS

    def __init__(
        self,
        columns: Sequence[object] | None = None,
        data: object = None,
        rows: object = None,
        dataframe: object = None,
        dtype: object = None,
        optional: object = True,
        allow_mixed_types: bool = True,
        **_: object,
    ) -> None:
        data = rows if data is None else data
        self.plot: dict[str, object] = {}
        self.data: list[list[Any]] = []
        self.columns: list[str] = []
        try:
            self._fill(columns, data, dataframe)
        except UsageError as error:
            self.problem = str(error)

    def add_data(self, *cells: object) -> None:
        """Append a row, which has as many cells as there are columns."""
        if len(cells) != len(self.columns):
            self.problem = self.problem or f"a row of {len(cells)} cells in a table of {len(self.columns)} columns"
            return
        self.data.append(list(cells))

    def add_column(self, name: str, data: Iterable[object]) -> None:
        """Append a column, which has as many cells as there are rows."""
        cells = list(data)
        if self.data and len(cells) != len(self.data):
            self.problem = (
                self.problem or f"the column {name!r} has {len(cells)} cells, the table {len(self.data)} rows"
            )
            return
        self.data = self.data or [[] for _ in cells]
        self.columns.append(str(name))
        for row, cell in zip(self.data, cells, strict=True):
            row.append(cell)

    def get_column(self, name: str) -> list[Any]:
        """Return the cells of a column. Raises ValueError when there is no column of that name."""
        place = self.columns.index(name)
        return [row[place] for row in self.data]

    def __len__(self) -> int:
        return len(self.data)

    def write(self, key: str, step: int, out: Outbox) -> None:
        if self.problem:
            raise UsageError(self.problem)
        if len(self.data) > MAX_ROWS:
            raise UsageError(f"a table of {len(self.data)} rows: at most {MAX_ROWS}; log files with save()")
        contents: list[Content] = []
        text = dumps([[_cell(cell, contents) for cell in row] for row in self.data])
        value: dict[str, object] = {"key": key, "step": step, "columns": self.columns, "rows": len(self.data)}
        if self.plot:
            value["plot_json"] = dumps(self.plot)
        if len(text) <= MAX_JSON_BYTES:
            value["rows_json"] = text
        else:
            large = Content.of_bytes(text.encode(), LARGE_TABLE)
            contents.append(large)
            value["rows_json"] = dumps(
                {"sha256": large.sha256, "media_type": LARGE_TABLE, "size_bytes": large.size_bytes}
            )
        out.record("table", value, contents)

    def _fill(self, columns: Iterable[object] | None, data: Any, frame: object) -> None:
        if frame is None and is_frame(data):
            frame, data = data, None
        if frame is not None:
            self.columns, self.data = _of_frame(frame)
            return
        self.data = [list(row) for row in (data.tolist() if hasattr(data, "tolist") else data or [])]
        width = len(self.data[0]) if self.data else 0
        names = list(columns) if columns is not None else [f"column {number}" for number in range(1, width + 1)]
        self.columns = [str(name) for name in names]
        for number, row in enumerate(self.data):
            if len(row) != len(self.columns):
                raise UsageError(
                    f"row {number} of the table has {len(row)} cells, there are {len(self.columns)} columns"
                )


def is_frame(value: object) -> bool:
    """Return whether the value is a DataFrame of pandas or polars, or a table of Arrow. Imports nothing."""
    kind = type(value)
    return any(hasattr(kind, name) for name in ("itertuples", "iter_rows", "to_pylist")) and (
        hasattr(kind, "columns") or hasattr(kind, "column_names")
    )


def _of_frame(frame: Any) -> tuple[list[str], list[list[Any]]]:
    """Return the column names and the rows of a frame."""
    if hasattr(frame, "to_pylist"):
        names = list(frame.column_names)
        return [str(name) for name in names], [[row[name] for name in names] for row in frame.to_pylist()]
    if hasattr(frame, "iter_rows"):
        return [str(name) for name in frame.columns], [list(row) for row in frame.iter_rows()]
    return [str(name) for name in frame.columns], [list(row) for row in frame.itertuples(index=False, name=None)]


def _cell(value: object, contents: list[Content]) -> object:
    if isinstance(value, Media):
        if value.problem:
            raise UsageError(value.problem)
        contents += value.contents
        return value.reference()
    if isinstance(value, Loggable):
        raise UsageError(f"a {type(value).__name__} cannot be a table's cell")
    return value
