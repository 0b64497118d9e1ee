"""Writes the list of functions that people's SQL may call, from the engine's own list, for a person to look over.

python -m tests.support.sql_functions > query/runstream_query/sqlaccess/functions.txt

What a later engine adds is refused until it is in the list.
"""

from __future__ import annotations

import re
import sys


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CATEGORIES = frozenset(
    {
        "Aggregate Functions",
        "Arithmetic",
        "Arrays",
        "Bit",
        "Bitmap",
        "Comparison",
        "Conditional",
        "Dates and Times",
        "Distance",
        "Encoding",
        "Financial",
        "Geo",
        "Geo Polygon",
        "Hash",
        "IP Address",
        "JSON",
        "Logical",
        "Map",
        "Mathematical",
        "Null",
        "Random Number",
        "Rounding",
        "String",
        "String Replacement",
        "String Search",
        "String Splitting",
        "Time Window",
        "Tuple",
        "Type Conversion",
        "URL",
        "UUID",
    }
)
"""Not: AI (sends data away), Dictionary, Embedded Dictionary and Machine Learning (the server's own data),
Introspection, Encryption, Internal, NumericIndexedVector, QBit, Time Series (state of the server's)."""
OTHERS = _words("""
    bar byteSize caseWithExpression colorOKLABToSRGB colorOKLCHToSRGB colorSRGBToOKLAB colorSRGBToOKLCH countDigits
    currentDatabase defaultValueOfArgumentType defaultValueOfTypeName displayName errorCodeToName finalizeAggregation
    formatReadableDecimalSize formatReadableQuantity formatReadableSize formatReadableTimeDelta identity
    initializeAggregation isConstant isDecimalOverflow materialize
    minSampleSizeContinuous minSampleSizeConversion parseISO8601Duration parseReadableSize parseReadableSizeOrNull
    parseReadableSizeOrZero parseTimeDelta revision rowNumberInAllBlocks rowNumberInBlock runningAccumulate
    runningDifference runningDifferenceStartingWithFirstValue seriesDecomposeSTL seriesOutliersDetectTukey toTypeName
    _CAST transform variantElement variantType version visibleWidth lambda ignore
    """)
"""Of the category Other, one by one. `displayName`, `version`, `revision`: what every client asks at first."""
NEVER = _words(
    """
    aggThrow chdb flameGraph generateSnowflakeID generateSerialID naiveBayesNgrams icebergHash
    lowCardinalityKeys lowCardinalityIndices estimateCompressionRatio byteSize getSubcolumn
    """
)
"""The last five look at how a column is held: a dictionary is of a whole part, with values of others' rows."""
NEVER_LIKE = re.compile(
    r"^__|dict|joinGet|^file|getSetting|[Uu]ser|host|FQDN|uuid\b|sleep|url$|remote|executable|cluster|settings",
)


def main() -> int:
    import chdb

    connection = chdb.connect(":memory:")
    text = bytes(
        connection.query("SELECT name, categories, alias_to FROM system.functions ORDER BY name", "TSV").bytes()
    ).decode()
    rows = [line.split("\t") for line in text.splitlines()]
    kinds = {name: category for name, category, _ in rows}
    chosen = {
        name
        for name, category, alias in rows
        if (kinds.get(alias or name, category) in CATEGORIES or (alias or name) in OTHERS)
        and (alias or name) not in NEVER
        and not NEVER_LIKE.search(alias or name)
    } | OTHERS
    aggregates = {name for name, _, alias in rows if kinds.get(alias or name) == "Aggregate Functions"}
    for name in sorted(chosen):
        sys.stdout.write(name + (" aggregate" if name in aggregates else "") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
