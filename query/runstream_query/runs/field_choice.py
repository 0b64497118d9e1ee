"""Decide which config and summary keys a run is shown with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.field_names import Field, Kind, parse_field

MAX_COLUMNS = 1000
MAX_NAMED = 40
_AGGREGATES = (".min", ".max", ".mean", ".best", ".first")


@dataclass(frozen=True)
class FieldChoice:
    """Names of keys, with * and ? as wildcards; None means all keys."""

    config: tuple[str, ...] | None = None
    summary: tuple[str, ...] | None = None

    def has_config(self, key: str) -> bool:
        return self.config is None or bool(self._config_pattern.fullmatch(key))

    def has_summary(self, key: str) -> bool:
        return self.summary is None or bool(self._summary_pattern.fullmatch(key))

    @property
    def named(self) -> list[Field] | None:
        """The fields, if each is named without wildcards and they are few enough for a table of runs; else None."""
        config, summary = self.config, self.summary
        if config is None or summary is None or len(config) + len(summary) > MAX_NAMED:
            return None
        if any(_wildcard(name) for name in (*config, *summary)):
            return None
        return [*(Field(Kind.CONFIG, key) for key in config), *(Field(Kind.SUMMARY, key) for key in summary)]

    @property
    def wants_metrics(self) -> bool:
        return self.summary is None or bool(self.summary)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `run_columns.sql` and `run_values.sql`: names, and one pattern for names with wildcards.

        They include the metrics whose `metric.max` or the like is wanted, since define_metric is applied to the rows
        found.
        """
        config, summary = self.config, self.summary
        metrics = None if summary is None else tuple(dict.fromkeys([*summary, *_bases(summary)]))
        return {
            **_wanted("config", config),
            **_wanted("summary", summary),
            **_wanted("metric", metrics),
        }

    @cached_property
    def _config_pattern(self) -> re.Pattern[str]:
        return re.compile(_pattern(self.config or ()), re.DOTALL)

    @cached_property
    def _summary_pattern(self) -> re.Pattern[str]:
        return re.compile(_pattern(self.summary or ()), re.DOTALL)


ALL = FieldChoice()


def parse_columns(names: Sequence[str]) -> FieldChoice:
    """Parse the names of fields into the keys to show. Raise InvalidRequestError for an unknown or too many names."""
    if not names:
        return ALL
    if len(names) > MAX_COLUMNS:
        raise InvalidRequestError(f"fields: at most {MAX_COLUMNS}, not {len(names)}")
    found: dict[Kind, list[str]] = {Kind.CONFIG: [], Kind.SUMMARY: []}
    for name in names:
        if name == "none":
            continue
        field = parse_field(name)
        if field.kind in found:
            found[field.kind].append(field.key)
    return FieldChoice(tuple(found[Kind.CONFIG]), tuple(found[Kind.SUMMARY]))


def glob_regex(glob: str) -> str:
    """Return a glob with * ? [...] as a regular expression for the whole text; RE2 and Python read it the same way."""
    parts, place = [], 0
    while place < len(glob):
        letter = glob[place]
        end = glob.find("]", place + 2) if letter == "[" else -1
        if letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif end > 0:
            inside = glob[place + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]")
            place = end
        else:
            parts.append(re.escape(letter) if letter.isascii() else letter)
        place += 1
    return f"^(?:{''.join(parts)})$"


def _wildcard(name: str) -> bool:
    return "*" in name or "?" in name


def _pattern(names: Iterable[str]) -> str:
    """Return a pattern that matches each of the names. Only * and ? are wildcards, since keys may hold brackets."""
    parts = [re.escape(name).replace(r"\*", ".*").replace(r"\?", ".") for name in names]
    return f"(?s)^(?:{'|'.join(parts)})$" if parts else ""


def _wanted(what: str, names: Sequence[str] | None) -> dict[str, Any]:
    return {
        f"{what}_names": [name for name in names or () if not _wildcard(name)],
        f"{what}_pattern": "" if names is None else _pattern(name for name in names if _wildcard(name)),
        f"all_{what}": int(names is None),
    }


def _bases(names: Iterable[str]) -> Iterable[str]:
    """Yield the names of metrics for which `define_metric` may have made a key with one of these names."""
    for name in names:
        for aggregate in _AGGREGATES:
            if name.endswith(aggregate):
                yield name.removesuffix(aggregate)
            head, star, tail = name.rpartition("*")
            if star and aggregate.endswith(tail):
                yield head + star
        if name.endswith(".*"):
            yield name.removesuffix(".*")
