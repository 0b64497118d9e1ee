"""Many values as one parameter: one statement, written and compiled once, for any number of values.

A list in `IN (...)` needs a statement of its own for each length, and one parameter set a row needs an execution for
each row. With two hundred values at a time this is most of the time of a transaction. PostgreSQL takes arrays; SQLite
reads JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, FromClause, any_, bindparam, func, select

SQLITE = "sqlite"


def among(dialect: str, column: Column[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column's value is one of the parameter `name`, given as `values(...)`."""
    if dialect == SQLITE:
        each = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def values(dialect: str, given: Sequence[str] | Sequence[int]) -> object:
    """Return the parameter of `among` for numbers, or for texts without NUL."""
    return json.dumps(given) if dialect == SQLITE else given


def rows(dialect: str, columns: Sequence[Column[Any]], name: str) -> FromClause:
    """Return a table of these columns whose rows `row_values(...)` gives."""
    if dialect == SQLITE:
        each = func.json_each(bindparam(name)).table_valued("value")
        found = (func.json_extract(each.c.value, f"$[{place}]").label(one.name) for place, one in enumerate(columns))
        return select(*found).select_from(each).subquery(name)
    arrays = (bindparam(f"{name}_{one.name}", type_=ARRAY(one.type)) for one in columns)
    return func.unnest(*arrays).table_valued(*(one.name for one in columns), name=name).render_derived()


def row_values(
    dialect: str, columns: Sequence[Column[Any]], name: str, given: Sequence[Sequence[object]]
) -> dict[str, object]:
    """Return the parameters of `rows`: at least one row, each with the columns' values in their order."""
    if dialect == SQLITE:
        return {name: json.dumps(given)}
    by_column = map(list, zip(*given, strict=True))
    return {f"{name}_{one.name}": column for one, column in zip(columns, by_column, strict=True)}
