"""Many values as one parameter: one statement, written and compiled once, for any number of them.

A list in `IN (...)`, or a row a parameter set, costs a statement of its own for each length, or an execution a row:
with two hundred at a time most of a transaction. PostgreSQL takes arrays, SQLite reads JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, FromClause, any_, bindparam, func, select

SQLITE = "sqlite"


def among(dialect: str, column: Column[Any], name: str) -> ColumnElement[bool]:
    """Whether a column's value is one of the parameter `name`: give it as `values(...)`."""
    if dialect == SQLITE:
        each = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def values(dialect: str, given: Sequence[Any]) -> Any:
    """A parameter of `among`: numbers, or texts without NUL."""
    return json.dumps(given) if dialect == SQLITE else given


def rows(dialect: str, columns: Sequence[Column[Any]], name: str) -> FromClause:
    """A table of these columns, which `row_values(...)` gives."""
    if dialect == SQLITE:
        each = func.json_each(bindparam(name)).table_valued("value")
        found = (func.json_extract(each.c.value, f"$[{place}]").label(one.name) for place, one in enumerate(columns))
        return select(*found).select_from(each).subquery(name)
    arrays = (bindparam(f"{name}_{one.name}", type_=ARRAY(one.type)) for one in columns)
    return func.unnest(*arrays).table_valued(*(one.name for one in columns), name=name).render_derived()


def row_values(
    dialect: str, columns: Sequence[Column[Any]], name: str, given: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Parameters of `rows`: at least one row, each with the columns' values in their order."""
    if dialect == SQLITE:
        return {name: json.dumps(given)}
    by_column = map(list, zip(*given, strict=True))
    return {f"{name}_{one.name}": column for one, column in zip(columns, by_column, strict=True)}
