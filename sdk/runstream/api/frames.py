"""Columns as rows, or as a frame of pandas, polars or Arrow. Each package is imported when it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runstream.errors import InvalidRequestError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow

FORMATS = ("default", "pandas", "polars", "arrow")
_PACKAGES = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow"}
"""Maps a package to the extra that brings it."""


def need(package: str) -> ModuleType:
    """Return the module of that name. Raises MissingExtraError, whose message says what to install."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        extra = _PACKAGES.get(package, package)
        raise MissingExtraError(f"{package} is not installed: pip install 'runstream[{extra}]'") from error


def check_format(name: str) -> str:
    """Return the name of a format when it is known. Raises InvalidRequestError."""
    if name not in FORMATS:
        raise InvalidRequestError(f"format is {name!r}: use one of {', '.join(FORMATS)}")
    return name


def build(columns: Mapping[str, Sequence[object]], kind: str) -> Any:
    """Return columns of equal length as a list of dicts ("default") or as a frame.

    A cell is None where a row has no value; the dicts leave it out. In pandas such a cell is NaN. In polars and Arrow
    it is null, so that a NaN that was logged can be distinguished from it.
    """
    if kind == "pandas":
        return need("pandas").DataFrame(dict(columns))
    if kind == "polars":
        return need("polars").DataFrame(dict(columns), strict=False)
    if kind == "arrow":
        return need("pyarrow").table(dict(columns))
    names = list(columns)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]


def from_arrow(reader: pyarrow.RecordBatchReader, kind: str) -> Any:
    """Return all rows that an Arrow reader still has, in one piece."""
    if kind == "polars":
        return need("polars").from_arrow(reader.read_all())
    table = reader.read_all()
    if kind == "pandas":
        need("pandas")
        return table.to_pandas()
    return table if kind == "arrow" else table.to_pylist()
