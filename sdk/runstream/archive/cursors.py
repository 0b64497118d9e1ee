"""Read an export run by run: files are sorted by run, so that each is read once, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runstream.api.frames import need

_ROWS_AT_ONCE = 2048
_POINTS_AT_ONCE = 65_536


class RunRows:
    """The rows of one table. Call `of(run)` for each run, in ascending order."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises MissingExtraError, OSError."""
        parquet = need("pyarrow.parquet")
        self._file = parquet.ParquetFile(path)
        self._rows = _rows(self._file)
        self._next = next(self._rows, None)

    def of(self, run: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a run as dicts, with times in microseconds since 1970."""
        while self._next is not None and self._next["run"] < run:
            self._next = next(self._rows, None)
        while self._next is not None and self._next["run"] == run:
            yield self._next
            self._next = next(self._rows, None)

    def close(self) -> None:
        self._file.close()


def point_batches(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a run's points as columns of numpy arrays, up to 65,536 points at a time.

    The columns are `metric` (numbers into `names`), `rank`, `step`, `value`, `time` (microseconds since 1970) and
    `epoch`.
    """
    pa, parquet = need("pyarrow"), need("pyarrow.parquet")
    with parquet.ParquetFile(path, read_dictionary=["metric"]) as file:
        for batch in file.iter_batches(_POINTS_AT_ONCE, columns=["metric", "rank", "step", "value", "time", "epoch"]):
            metric = batch.column("metric")
            columns = {
                name: batch.column(name).to_numpy(zero_copy_only=False) for name in ("rank", "step", "value", "epoch")
            }
            yield {
                **columns,
                "time": batch.column("time").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(),
                "metric": metric.indices.to_numpy(zero_copy_only=False),
                "names": metric.dictionary.to_pylist(),
            }


def _rows(file: Any) -> Iterator[dict[str, Any]]:
    pa = need("pyarrow")
    for batch in file.iter_batches(_ROWS_AT_ONCE):
        columns = {}
        for name in batch.schema.names:
            column = batch.column(name)
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            columns[name] = column.to_pylist()
        names = list(columns)
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(names, row, strict=True))
