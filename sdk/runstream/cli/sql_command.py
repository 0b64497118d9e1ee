"""`runstream sql`: run a SELECT and print its rows as a table."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from datetime import date, datetime

from runstream.errors import InvalidRequestError

_WIDEST = 60
"""The most characters of a column in a table; `--format json` cuts nothing."""

_SHOWN = 100
_PART_OF_IT = 3


def main(argv: list[str]) -> int:
    """Run the query and print its rows; return the exit status.

    The status is 0 when every row was printed, or as many as --max-rows asked for. It is 3 when there are more rows.
    """
    parser = argparse.ArgumentParser(
        prog="runstream sql", description=__doc__, epilog="docs/sql.md has the views, with their columns and examples."
    )
    parser.add_argument("sql", help="SELECT ...; '-' reads it from standard input")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="value of {NAME:Type}")
    parser.add_argument("--entity", default="", help="rows of this team only")
    parser.add_argument("--max-rows", type=int, help=f"at most 10000; default: {_SHOWN}, and status 3 if more")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="json: an object a line")
    arguments = parser.parse_args(argv)
    from runstream.api import Api
    from runstream.api.sql import run_sql

    sql = sys.stdin.read() if arguments.sql == "-" else arguments.sql
    parameters = dict(_parameter(text) for text in arguments.param)
    most = _SHOWN if arguments.max_rows is None else max(arguments.max_rows, 1)
    rows, more = run_sql(Api(), sql, parameters, entity=arguments.entity, max_rows=most, form="rows")
    {"table": _table, "json": _json, "csv": _csv}[arguments.format](rows)
    if more:
        sys.stderr.write(f"there are more than {len(rows)} rows: raise --max-rows, or narrow the question\n")
    return _PART_OF_IT if more and arguments.max_rows is None else 0


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequestError(f"--param {text!r}: give NAME=VALUE")
    return name, value


def _table(rows: list[dict[str, object]]) -> None:
    if not rows:
        sys.stderr.write("no rows\n")
        return
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in [names, *cells]) for column in range(len(names))]
    right = [all(isinstance(row[name], int | float) for row in rows) for name in names]
    lines = [names, ["-" * width for width in widths], *cells]
    for number, line in enumerate(lines):
        padded = [
            cell.rjust(width) if to_right and number > 1 else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _cell(value: object) -> str:
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=_time)
    else:
        text = "" if value is None else str(value)
    # A value that runs logged may hold anything: no control character may reach the terminal.
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _json(rows: list[dict[str, object]]) -> None:
    for row in rows:
        sys.stdout.write(json.dumps(row, default=_time) + "\n")


def _csv(rows: list[dict[str, object]]) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _time(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
