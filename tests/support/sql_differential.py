"""Does any function that people's SQL may call betray a row that the filter by team takes out?

python -m tests.support.sql_differential        (about two minutes; for a new engine)

Each is called in several forms on a view of a table whose one part two teams share, and on one where all rows are the
caller's. It betrays something where its error has the other team's text, or where it fails on the first only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runstream_query.sqlaccess import catalogue, tenancy

FORMS = (
    "{f}({c})",
    "{f}({c}, 1)",
    "{f}({c}, 'a')",
    "{f}('a', {c})",
    "{f}(1, {c})",
    "{f}({c}, 1, 1)",
    "{f}('a', {c}, 'b')",
    "{f}({c}, {c})",
    "{f}([{c}])",
    "{f}({c}, 'a', 'b')",
)
_MINE, _THEIRS = "15", "their-secret-"


def main() -> int:
    import chdb

    connection = chdb.connect(":memory:")

    def run(sql: str) -> tuple[bool, str]:
        try:
            return True, bytes(connection.query(sql, "TSV").bytes() or b"").decode()
        except RuntimeError as error:
            return False, str(error)

    for table, projects in (("shared", "['main/p', 'rivals/p']"), ("own", "['main/p', 'main/p']")):
        columns = "project LowCardinality(String), run LowCardinality(String)"
        run(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY project")
        run(
            f"INSERT INTO {table} SELECT {projects}[number % 2 + 1] AS p, "
            f"if(p = 'main/p', '{_MINE}', '{_THEIRS}' || toString(number)) FROM numbers(200)"
        )
        run(f"OPTIMIZE TABLE {table} FINAL")
        casts = "CAST(project AS String) AS project, CAST(run AS String) AS run"
        run(f"CREATE VIEW {table}_now AS SELECT {casts} FROM {table}")
    filters = tenancy.row_filters("default", {"shared": True, "own": True}, ["main"])
    settings = ", ".join(f"{name} = {tenancy.literal(value)}" for name, value in filters.items())
    run(f"SET {settings}, max_execution_time = 5, max_memory_usage = 300000000")
    lines = (Path(catalogue.__file__).parent / "functions.txt").read_text(encoding="utf-8").splitlines()
    found = [tale for line in lines if len(line.split()) == 1 for tale in _tales(line, run)]
    for tale in found:
        sys.stdout.write(tale + "\n")
    sys.stdout.write(f"{len(lines)} functions, {len(found)} betray something\n")
    return 1 if found else 0


def _tales(function: str, run: Callable[[str], tuple[bool, str]]) -> list[str]:
    found = []
    for form in FORMS:
        call: Any = form.format(f=function, c="run")
        fine, words = run(f"SELECT ignore({call}) FROM shared_now")
        if not fine and (_THEIRS in words or run(f"SELECT ignore({call}) FROM own_now")[0]):
            found.append(f"{call}: {words[:200]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
