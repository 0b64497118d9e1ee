"""List the views, functions, table functions and formats that users' SQL may name. All others are refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def _names_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = frozenset(
    {
        "alerts_now",
        "config_now",
        "console_now",
        "files_now",
        "histograms_now",
        "ledger_now",
        "media_now",
        "metrics_now",
        "points_now",
        "rejects_now",
        "runs_now",
        "series_now",
        "streams_now",
        "strings_now",
        "summary_now",
        "tables_now",
    }
)
READABLE = VIEWS
"""The views of our database that users may read; its tables are refused.

Functions on LowCardinality columns of tables are computed on whole dictionaries, which hold values of other teams'
rows; views have no such columns.
"""
TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generateseries", "generate_series"}
)
"""In lower case. These generate rows; others read files, hosts, other tables, or the server's internals."""
FORMATS = _names_in("""
    Arrow ArrowStream CSV CSVWithNames CSVWithNamesAndTypes JSON JSONColumns JSONColumnsWithMetadata JSONCompact
    JSONCompactColumns JSONCompactEachRow JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes
    JSONCompactStrings JSONEachRow JSONLines JSONStrings JSONStringsEachRow Markdown NDJSON Native Null Parquet Pretty
    PrettyCompact PrettyCompactMonoBlock PrettyMonoBlock PrettyNoEscapes PrettySpace RowBinary RowBinaryWithNames
    RowBinaryWithNamesAndTypes TSKV TSV TSVRaw TSVWithNames TSVWithNamesAndTypes TabSeparated TabSeparatedRaw
    TabSeparatedWithNames TabSeparatedWithNamesAndTypes Values Vertical XML
    """)
"""The formats that need no file of the server's (a schema, a template)."""
NODES = _names_in("""
    ArrayJoin Asterisk ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher ColumnsReplaceTransformer
    ColumnsReplaceTransformer::Replacement ColumnsTransformerList ExpressionList Function Identifier InterpolateElement
    Literal OrderByElement QualifiedAsterisk QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher SampleRatio
    SelectIntersectExceptQuery SelectQuery SelectWithUnionQuery Subquery TableExpression TableIdentifier TableJoin
    TablesInSelectQuery TablesInSelectQueryElement WindowDefinition WindowListElement WithElement
    """)
"""The kinds of nodes that a syntax tree may have.

All of these show everything below them; ColumnsApplyTransformer, for example, hides the function that it applies.
"""
_SUFFIXES = (
    "if",
    "array",
    "map",
    "simplestate",
    "state",
    "mergestate",
    "merge",
    "foreach",
    "distinct",
    "ordefault",
    "ornull",
    "resample",
    "argmin",
    "argmax",
    "null",
)
"""Suffixes that make another aggregate function of one, in lower case."""


@cache
def _functions() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of all functions, and of those that aggregate, in lower case."""
    lines = (Path(__file__).parent / "functions.txt").read_text(encoding="utf-8").lower().splitlines()
    entries = [line.split() for line in lines if line]
    return frozenset(one[0] for one in entries), frozenset(one[0] for one in entries if len(one) > 1)


def is_harmless(function: str) -> bool:
    """Return whether SQL may call the function: it computes from its arguments and does nothing else."""
    names, aggregates = _functions()
    name = function.lower()
    if name in names:
        return True
    for suffix in _SUFFIXES:
        base = name.removesuffix(suffix)
        if base != name and (base in aggregates or _is_aggregate(base)):
            return True
    return False


def _is_aggregate(name: str) -> bool:
    """Return whether the name is an aggregate function, with any suffixes of its own, as in sumIfOrNull."""
    _, aggregates = _functions()
    return name in aggregates or any(
        base != name and _is_aggregate(base) for base in (name.removesuffix(suffix) for suffix in _SUFFIXES)
    )
