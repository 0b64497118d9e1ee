"""Limit the rows that a query sees: the engine adds a filter to every read of a table, also in views and subqueries.

Every table of our database has such a filter: by team if the table has a column `project`, else one that no row passes.
So a table that a later migration adds without a filter shows nothing, rather than everything. `OF_THE_SERVERS`
names the one exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runstream_common.identity import check_name

NOTHING = "0"
OF_THE_SERVERS = frozenset({"listening"})
"""Tables without data of any team, which the views need unfiltered. `sql_guard` lets no user name them."""
_BARRIER = {
    "enable_analyzer": "1",
    # An expression of the query must never see a row that the filter takes out: it could fail on it, and tell by that
    # (toInt64(run): Cannot parse string 'their-run'). So the filter is neither merged with the query's own conditions,
    # nor overtaken by one that is moved into the reading. Conditions still choose what is read by the primary key.
    "query_plan_merge_filters": "0",
    "query_plan_optimize_prewhere": "0",
    "optimize_move_to_prewhere": "0",
    # These caches remember what a condition found for one caller and use it for the next.
    "use_query_condition_cache": "0",
    "use_query_cache": "0",
}


def row_filters(database: str, tables: Mapping[str, bool], teams: Iterable[str]) -> dict[str, str]:
    """Return settings that show only the rows of these teams. Raise InvalidNameError for an invalid name of a team.

    `tables` has every table of the database, and whether it has a column `project`.
    """
    prefixes = [literal(f"{check_name('team', team)}/") for team in sorted(teams)]
    condition = " OR ".join(f"startsWith(project, {prefix})" for prefix in prefixes) or NOTHING
    filters = {
        f"{database}.{table}": condition if with_project else NOTHING
        for table, with_project in tables.items()
        if table not in OF_THE_SERVERS
    }
    pairs = ", ".join(f"{literal(table)}: {literal(text)}" for table, text in sorted(filters.items()))
    return {**_BARRIER, "additional_table_filters": f"{{{pairs}}}"}


def literal(text: str) -> str:
    """Return the text as a string literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
