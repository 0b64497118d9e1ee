"""Check whether a user may run a statement, by the output of the engine's own parser and analyser.

The functions are pure and work on the engine's output. `check_syntax` reads EXPLAIN AST, which names every table,
function and clause and runs nothing. Then `check_tables` reads EXPLAIN QUERY TREE, which resolves each name.
EXPLAIN QUERY TREE computes scalar subqueries, so it runs only for a statement that passed `check_syntax`, and with
the caller's rows only.

All functions raise InvalidRequestError with one sentence.
"""

from __future__ import annotations

import re

from runstream_query.base.errors import InvalidRequestError
from runstream_query.sqlaccess import catalogue

MAX_SQL_BYTES = 64 << 10
"""The largest SQL, as UTF-8. A long list of run ids takes 20 KB."""
_MAX_NODES = 20_000
_NODE = re.compile(r"( *)([A-Z]\w*(?:::\w+)?)(?: (.*?))?(?: \(children (\d+)\))?")
_ALIAS = re.compile(r"(.*?) \(alias .*\)")
_FORMAT = re.compile(r"(.*) FORMAT (\w+)", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_PREWHERE = re.compile(r"\bPREWHERE\b", re.IGNORECASE)
_VIRTUAL = re.compile(r"_(?:part|block|row|sample|disk|data|database|table|index|granule|distance)\w*")
"""Columns that the engine adds to every table: the position of a row reveals how many rows of others precede it."""
_OTHER_DATABASES = frozenset({"system", "information_schema"})
_TABLE = re.compile(r"TABLE id: \d+, (?:alias: .*?, )?(?:is_temporary: \d+, )?table_name: (\S+)(?:, .*)?")
_TABLE_FUNCTION = re.compile(r"TABLE_FUNCTION id: \d+, (?:alias: .*?, )?table_function_name: (\w+)(?:, .*)?")
IMPLICIT = "system.one"
"""The table that SELECT without FROM reads: it has one row with a zero."""


def check_text(sql: str) -> None:
    """Check what the parser need not see: empty text, NUL, and text that is too long."""
    if not sql.strip():
        raise InvalidRequestError("the SQL is empty: write SELECT ...")
    if "\0" in sql:
        raise InvalidRequestError("the SQL contains a NUL byte")
    if len(sql.encode("utf-8", "replace")) > MAX_SQL_BYTES:
        raise InvalidRequestError(
            f"the SQL is longer than {MAX_SQL_BYTES} bytes: pass lists as parameters, {{ids:Array(String)}}"
        )


def split_format(canonical: str) -> tuple[str, str]:
    """Split a statement in the engine's own writing into the statement and the format at its end ('' for none)."""
    found = _FORMAT.fullmatch(canonical)
    if not found or _open_quote(found[1]):
        return canonical, ""
    if found[2] not in catalogue.FORMATS:
        raise InvalidRequestError(f"FORMAT {found[2][:40]}: use one of {', '.join(sorted(catalogue.FORMATS))}")
    return found[1], found[2]


def check_syntax(canonical: str, tree: str, database: str) -> None:
    """Check the syntax of a statement.

    `canonical` is the statement as the engine writes it, `tree` its EXPLAIN AST, `database` the name of our database.
    """
    lines = tree.rstrip("\n").split("\n")
    if len(lines) > _MAX_NODES:
        raise InvalidRequestError("the SQL has too many parts: pass lists as parameters")
    if not lines[0].startswith(("SelectWithUnionQuery", "SelectQuery", "SelectIntersectExceptQuery")):
        raise InvalidRequestError("only SELECT is allowed here: SQL can change nothing")
    if not re.fullmatch(r"SelectWithUnionQuery \(children 1\)", lines[0]):
        raise InvalidRequestError("INTO OUTFILE, and SETTINGS behind FORMAT, are not allowed")
    if _PREWHERE.search(_QUOTED.sub("''", canonical)):
        raise InvalidRequestError("PREWHERE is not allowed: it would run before the filter by team; write WHERE")
    above = ""
    for line in lines:
        above = _check_node(line, above, database)


def _check_node(line: str, above: str, database: str) -> str:
    """Check one line of the tree, and return the kind of its node."""
    found = _NODE.fullmatch(line)
    kind = found[2] if found else ""
    if not found or kind not in catalogue.NODES:
        raise InvalidRequestError(_why_not(kind, line))
    text = found[3] or ""
    alias = _ALIAS.fullmatch(text)
    name = alias[1] if alias else text
    if kind == "Function":
        if above == "TableExpression":
            if name.lower() not in catalogue.TABLE_FUNCTIONS:
                raise InvalidRequestError(
                    f"the table function {name[:60]!r} is not allowed: read views, numbers(), values()"
                )
        elif not re.fullmatch(r"\w+", name) or not catalogue.is_harmless(name):
            raise InvalidRequestError(f"the function {name[:60]!r} is not allowed in SQL here")
    elif kind in ("TableIdentifier", "Identifier"):
        _check_name(name, kind == "TableIdentifier", database)
    return kind


def _check_name(name: str, is_table: bool, database: str) -> None:
    first, dot, rest = name.partition(".")
    if dot and first.lower() in _OTHER_DATABASES:
        raise InvalidRequestError(f"{name[:80]!r} cannot be read: only the views of docs/sql.md are readable")
    if not is_table and _VIRTUAL.fullmatch(name.rpartition(".")[2]):
        raise InvalidRequestError(
            f"the column {name[:80]!r} is internal to the engine: docs/sql.md lists the columns of the views"
        )
    if is_table and dot and (first != database or rest not in catalogue.READABLE):
        raise InvalidRequestError(f"there is no table {name[:80]!r}: see docs/sql.md for those that can be read")


def _why_not(kind: str, line: str) -> str:
    if kind == "Set":
        return "SETTINGS are not allowed in the SQL: the server chooses them"
    if kind == "ColumnsApplyTransformer":
        return "APPLY is not allowed: name the columns"
    return f"this part of the SQL is not allowed: {(kind or line.strip())[:60]}"


def check_tables(tree: str, database: str) -> None:
    """Check that every table which is read is in the catalogue. `tree` is the EXPLAIN QUERY TREE of the statement."""
    for line in tree.split("\n"):
        node = line.strip()
        if node.startswith("TABLE id:"):
            found = _TABLE.fullmatch(node)
            name = found[1] if found else ""
            if name == IMPLICIT:
                continue
            first, _, rest = name.partition(".")
            if rest.startswith("_tmp_"):
                raise InvalidRequestError("WITH RECURSIVE is not allowed: numbers(n) and arrayFold() count without it")
            if first != database or rest not in catalogue.READABLE:
                raise InvalidRequestError(
                    f"there is no table {(rest or name)[:80]!r} to read: see docs/sql.md for those that can be read"
                )
        elif node.startswith("TABLE_FUNCTION id:"):
            found = _TABLE_FUNCTION.fullmatch(node)
            if not found or found[1].lower() not in catalogue.TABLE_FUNCTIONS:
                raise InvalidRequestError("a table function of the SQL is not allowed")


def _open_quote(text: str) -> bool:
    return any(mark in _QUOTED.sub("", text) for mark in "'`\"")
