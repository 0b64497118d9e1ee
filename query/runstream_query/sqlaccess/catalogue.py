"""What people's SQL may name: views, functions, table functions, formats. What is not here is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def _words(text: str) -> frozenset[str]:
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
"""Of our database. Its tables are nobody's to read: functions on their LowCardinality columns are computed on whole
dictionaries, with the values of others' rows; in the views there are none."""
TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generateseries", "generate_series"}
)
"""Lower case. They make rows from nothing; all others reach files, hosts, other tables, or the server's inside."""
FORMATS = _words("""
    Arrow ArrowStream CSV CSVWithNames CSVWithNamesAndTypes JSON JSONColumns JSONColumnsWithMetadata JSONCompact
    JSONCompactColumns JSONCompactEachRow JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes
    JSONCompactStrings JSONEachRow JSONLines JSONStrings JSONStringsEachRow Markdown NDJSON Native Null Parquet Pretty
    PrettyCompact PrettyCompactMonoBlock PrettyMonoBlock PrettyNoEscapes PrettySpace RowBinary RowBinaryWithNames
    RowBinaryWithNamesAndTypes TSKV TSV TSVRaw TSVWithNames TSVWithNamesAndTypes TabSeparated TabSeparatedRaw
    TabSeparatedWithNames TabSeparatedWithNamesAndTypes Values Vertical XML
    """)
"""Those that need no file of the server's (a schema, a template)."""
NODES = _words("""
    ArrayJoin Asterisk ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher ColumnsReplaceTransformer
    ColumnsReplaceTransformer::Replacement ColumnsTransformerList ExpressionList Function Identifier InterpolateElement
    Literal OrderByElement QualifiedAsterisk QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher SampleRatio
    SelectIntersectExceptQuery SelectQuery SelectWithUnionQuery Subquery TableExpression TableIdentifier TableJoin
    TablesInSelectQuery TablesInSelectQueryElement WindowDefinition WindowListElement WithElement
    """)
"""What a syntax tree may be made of. All of these show everything below them; ColumnsApplyTransformer, for one, hides
the function that it applies."""
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
"""What makes another aggregate function of one, lower case."""


@cache
def _functions() -> tuple[frozenset[str], frozenset[str]]:
    """Names in lower case: all, and those of them that aggregate."""
    lines = (Path(__file__).parent / "functions.txt").read_text(encoding="utf-8").lower().splitlines()
    words = [line.split() for line in lines if line]
    return frozenset(word[0] for word in words), frozenset(word[0] for word in words if len(word) > 1)


def is_harmless(function: str) -> bool:
    """Whether SQL may call it: it computes from its arguments and nothing else."""
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
    """One with suffixes of its own, as in sumIfOrNull."""
    _, aggregates = _functions()
    return name in aggregates or any(
        base != name and _is_aggregate(base) for base in (name.removesuffix(suffix) for suffix in _SUFFIXES)
    )
