"""What Grafana and its ClickHouse datasource make of a panel's SQL before they send it.

The macros are those of the datasource's backend, pkg/macros; variables are put in before, in the format that is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_MACRO = re.compile(r"\$__(\w+)(?:\(([^()]*)\))?")
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)")


@dataclass(frozen=True)
class TimeRange:
    """Seconds since 1970, and the panel's interval in seconds."""

    start: int
    end: int
    interval_s: int = 60


def with_variables(text: str, values: Mapping[str, Sequence[str]]) -> str:
    """Raises KeyError for a variable that the dashboard has not."""

    def put(found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2] or "raw"
        chosen = values[name]
        if form == "sqlstring":
            return ",".join("'" + value.replace("'", "''") + "'" for value in chosen)
        if form in ("csv", "raw"):
            return ",".join(chosen)
        raise ValueError(f"the format {form} is not used")

    return _VARIABLE.sub(put, text)


def with_macros(text: str, when: TimeRange) -> str:
    """Raises KeyError for a macro that the datasource has not."""

    def between(column: str) -> str:
        return f"{column} >= toDateTime({when.start}) AND {column} <= toDateTime({when.end})"

    macros: dict[str, Callable[[str], str]] = {
        "timeFilter": between,
        "fromTime": lambda _: f"toDateTime({when.start})",
        "toTime": lambda _: f"toDateTime({when.end})",
        "timeInterval": lambda column: f"toStartOfInterval(toDateTime({column}), INTERVAL {when.interval_s} second)",
        "interval_s": lambda _: str(when.interval_s),
    }
    return _MACRO.sub(lambda found: macros[found[1]](found[2] or ""), text)
