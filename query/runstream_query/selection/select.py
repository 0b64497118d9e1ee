"""The statements: a page of runs in an order, all runs that match, groups, and columns of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from runstream_query.selection.conditions import NO_TEXT, Conditions
from runstream_query.selection.fields import Field
from runstream_query.selection.filters import Condition, tests
from runstream_query.selection.ordering import Key
from runstream_query.selection.sources import Sources
from runstream_query.storage import sql

Place = list[Any]
"""Of a row in an order: for each key its class, number and text; then the run."""


class Selection:
    """Runs of a project that meet a condition. Its methods give statements; `parameters` are those of all."""

    def __init__(self, sources: Sources, condition: Condition, search: str, fields: Iterable[Field]) -> None:
        """`search`: free text, empty for none; `fields`: what else will be asked for: keys, columns. Raises
        InvalidQuestionError."""
        sources.add([*(test.field for test in tests(condition)), *fields])
        self._sources = sources
        self._conditions = Conditions(sources)
        parts = [self._conditions.write(condition)]
        if search:
            sources.parameters["search"] = search
            parts.append(
                "(positionCaseInsensitiveUTF8(run, {search:String}) > 0 "  # noqa: S608  # constant text
                f"OR run IN ({sql('select_found')}))"
            )
        self._where = " AND ".join(part for part in parts if part != "1") or "1"

    @property
    def parameters(self) -> dict[str, Any]:
        return {**self._sources.parameters, **self._conditions.parameters}

    def all_runs(self) -> str:
        """A SELECT of `run`."""
        return f"SELECT run FROM ({self._sources.statement}) WHERE {self._where}"  # noqa: S608  # constant text

    def page(self, order: Sequence[Key], after: Place | None, limit: int) -> str:
        """A SELECT of run, total, and `key`: the row's place in the order."""
        columns = [column for key in order for column in _key_columns(*self._sources.columns(key.field))]
        names = [f"k{index}" for index in range(len(columns))]
        keys = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True))
        descending = [flag for key in order for flag in (False, key.descending, key.descending)]
        ranked = ", ".join(f"{name} {'DESC' if down else 'ASC'}" for name, down in zip(names, descending, strict=True))
        place = self._conditions.parameter("UInt32", limit)
        return (
            f"SELECT run, total, {', '.join(names)} FROM ("  # noqa: S608  # constant text and numbered names
            f"SELECT run, {keys}, count() OVER () AS total FROM ({self._sources.statement}) WHERE {self._where}) "
            f"WHERE {self._beyond(names, descending, after)} ORDER BY {ranked}, run LIMIT {place}"
        )

    def groups(self, by: Sequence[Field], metrics: Sequence[Field], limit: int) -> str:
        """A SELECT of, for each field, its class, number and text; runs, group_count, total; and for each metric
        runs, not_finite, mean, std, min, max."""
        columns = [column for field in by for column in _key_columns(*self._sources.columns(field))]
        names = [f"k{index}" for index in range(len(columns))]
        keys = [f"{column} AS {name}" for column, name in zip(columns, names, strict=True)]
        statistics = []
        for index, field in enumerate(metrics):
            number = self._sources.columns(field)[1]
            finite = f"ifNull(isFinite({number}), 0)"
            statistics += [
                f"countIf({finite}) AS m{index}_runs",
                f"countIf({number} IS NOT NULL) - m{index}_runs AS m{index}_odd",
                f"avgIf({number}, {finite}) AS m{index}_mean",
                f"stddevSampStableIf({number}, {finite}) AS m{index}_std",
                f"minIf({number}, {finite}) AS m{index}_min",
                f"maxIf({number}, {finite}) AS m{index}_max",
            ]
        selected = ", ".join([*keys, "count() AS runs", *statistics])
        grouped = f"GROUP BY {', '.join(names)}" if names else ""
        place = self._conditions.parameter("UInt32", limit)
        return (
            "SELECT *, count() OVER () AS group_count, sum(runs) OVER () AS total FROM ("  # noqa: S608  # constant text
            f"SELECT {selected} FROM ({self._sources.statement}) WHERE {self._where} {grouped}) "
            f"ORDER BY {', '.join(['runs DESC', *names])} LIMIT {place}"
        )

    def values(self, fields: Sequence[Field], order: Sequence[Key], limit: int) -> str:
        """A SELECT of run, total, and for each field `t0`, `n0`, ...: its text and number."""
        pairs = [self._sources.columns(field) for field in fields]
        shown = [f"{text} AS v{i}_text, {number} AS v{i}_number" for i, (text, number) in enumerate(pairs)]
        ranked = [
            f"{column} {'DESC' if key.descending and index else 'ASC'}"
            for key in order
            for index, column in enumerate(_key_columns(*self._sources.columns(key.field)))
        ]
        place = self._conditions.parameter("UInt32", limit)
        return (
            f"SELECT {', '.join(['run', 'count() OVER () AS total', *shown])} "  # noqa: S608  # constant text
            f"FROM ({self._sources.statement}) WHERE {self._where} ORDER BY {', '.join([*ranked, 'run'])} LIMIT {place}"
        )

    def _beyond(self, names: Sequence[str], descending: Sequence[bool], after: Place | None) -> str:
        """After a place in the order: greater in the first key, or the same there and greater in the next, ..."""
        if after is None:
            return "1"
        kinds = ["UInt8", "Float64", "String"] * (len(names) // 3)
        places = [self._conditions.parameter(kind, value) for kind, value in zip(kinds, after, strict=False)]
        steps = [
            (name, "<" if down else ">", place) for name, down, place in zip(names, descending, places, strict=True)
        ]
        steps.append(("run", ">", self._conditions.parameter("String", after[-1])))
        alternatives = []
        for index, (name, sign, place) in enumerate(steps):
            same = [f"{other} = {where}" for other, _, where in steps[:index]]
            alternatives.append(f"({' AND '.join([*same, f'{name} {sign} {place}'])})")
        return f"({' OR '.join(alternatives)})"


NUMBER, TEXT, BOOLEAN, LIST, NAN, MISSING = range(6)
"""Classes of values, in their order."""


def _key_columns(text: str, number: str) -> tuple[str, str, str]:
    """Class, number and text of a value, which together put any values in order."""
    if text == NO_TEXT:
        kind = f"multiIf({number} IS NULL, {MISSING}, isNaN({number}), {NAN}, {NUMBER})"
        return f"toUInt8({kind})", f"if(ifNull(isNaN({number}), 1), 0., assumeNotNull({number}) + 0.)", text
    string = f"startsWith({text}, '\"')"
    kind = (
        f"multiIf(ifNull(isNaN({number}), 0), {NAN}, {number} IS NOT NULL, {NUMBER}, {string}, {TEXT}, "
        f"{text} IN ('true', 'false'), {BOOLEAN}, {text} IN ('', 'null'), {MISSING}, {LIST})"
    )
    value = f"if(ifNull(isNaN({number}), 1), 0., assumeNotNull({number}) + 0.)"
    words = f"multiIf({number} IS NOT NULL OR {text} = 'null', '', {string}, JSONExtractString({text}), {text})"
    return f"toUInt8({kind})", value, words


def place_of(row: dict[str, Any], keys: int) -> Place:
    return [*(row[f"k{index}"] for index in range(3 * keys)), row["run"]]


def check_place(place: Any, keys: int) -> bool:
    """Whether a token's place is one of an order of so many keys."""
    kinds: list[Any] = [int, (float, int), str] * keys + [str]
    return (
        isinstance(place, list)
        and len(place) == len(kinds)
        and all(
            isinstance(value, kind) and not isinstance(value, bool) for value, kind in zip(place, kinds, strict=True)
        )
        and all(0 <= place[3 * key] <= MISSING and not math.isnan(place[3 * key + 1]) for key in range(keys))
    )
