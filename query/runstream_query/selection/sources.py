"""Where the values come from: each source is a file of `sql/` whose rows are (run, slot, text, number), so that one
GROUP BY run makes any number of them into columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from runstream_query.errors import InvalidQuestionError
from runstream_query.selection.fields import CREATED, MAX_FIELDS, Field, Kind
from runstream_query.storage import sql

_STREAM_SLOTS = {"state": 1, "user": 2, "host": 3, "heartbeat_at": 4, "duration": 5}
_FIRST_FREE = 16
_AGGREGATES = {"min": 0, "max": 1, "mean": 2, "first": 3, "best": -1}
_ALL_RUNS = 1_000_000_000
_NO_NUMBER = "CAST(NULL, 'Nullable(Float64)')"
_ABSENT = "('', 'null', '\"\"', '[]')"


class Sources:
    """Gathers what is needed for some fields, then tells the statement, its parameters, and each field's columns."""

    def __init__(
        self, project: str, silent_us: int, definition_names: Sequence[str], summary_keys: Iterable[str]
    ) -> None:
        """`silent_us`: see runs.sql; `definition_names`: sorted, of any run of the project; `summary_keys`: those
        that some run may have set itself. The others are metrics alone, which makes the statement shorter: a third of
        the time of a question to ten thousand runs is its analysis."""
        self.parameters: dict[str, Any] = {"project": project, "silent_us": silent_us, "runs": [], "limit": _ALL_RUNS}
        self._definition_names = definition_names
        self._summary_keys = frozenset(summary_keys)
        self._columns: dict[Field, tuple[str, str]] = {}
        self._streams: dict[str, int] = {}
        self._documents: dict[tuple[str, str], int] = {}
        self._metrics: dict[str, int] = {}
        self._extremes: dict[str, int] = {}
        self._definitions: dict[str, int] = {}

    def add(self, fields: Iterable[Field]) -> None:
        """Call once, with all fields. Raises InvalidQuestionError for too many."""
        wanted = list(dict.fromkeys(fields))
        if len(wanted) > MAX_FIELDS:
            raise InvalidQuestionError(f"{len(wanted)} different fields: at most {MAX_FIELDS} in one question")
        for field in wanted:
            self._need(field)
        slot = _FIRST_FREE
        for table, width in ((self._documents, 1), (self._metrics, 1), (self._definitions, 1), (self._extremes, 4)):
            for name in table:
                table[name] = slot  # type: ignore[index]  # each table has its own kind of name
                slot += width
        for number, field in enumerate(wanted):
            self._columns[field] = ("''" if self.numeric(field) else f"t{number}", f"n{number}")
        self._text = self._compose()

    @property
    def statement(self) -> str:
        """A SELECT of `run` and, for each field, its columns: JSON text ('' where missing, or where it is a number
        that was no text), and the number, or NULL."""
        return self._text

    def columns(self, field: Field) -> tuple[str, str]:
        return self._columns[field]

    def numeric(self, field: Field) -> bool:
        """Whether it is a number or missing in all runs: its text is never there."""
        return field.kind in (Kind.TIME, Kind.NUMBER) or (
            field.kind is Kind.SUMMARY and field.key not in self._summary_keys
        )

    def _need(self, field: Field) -> None:
        match field.kind:
            case Kind.STREAM | Kind.TIME | Kind.NUMBER:
                if field != CREATED:
                    self._streams[field.key] = _STREAM_SLOTS[field.key]
            case Kind.OWN | Kind.NAME:
                self._documents["run", field.key] = 0
            case Kind.CONFIG:
                for key in _config_keys(field.key):
                    self._documents["config", key] = 0
            case Kind.SUMMARY:
                if field.key in self._summary_keys:
                    self._documents["summary", field.key] = 0
                self._metrics[field.key] = 0
                if self._matching(field.key):
                    self._definitions[field.key] = 0
                base, _, aggregate = field.key.rpartition(".")
                if aggregate in _AGGREGATES and self._matching(base):
                    self._definitions[base] = 0
                    self._extremes[base] = 0

    def _matching(self, metric: str) -> list[str]:
        """Names of definitions for a metric, the one that counts first: see `definitions.find`."""
        exact = [name for name in self._definition_names if name == metric]
        patterns = [name for name in self._definition_names if any(mark in name for mark in "*?[") and name != metric]
        return exact + [name for name in reversed(patterns) if fnmatchcase(metric, name)]

    def _compose(self) -> str:
        parts = [_streams_rows(self._streams) if self._streams else sql("select_ages")]
        if self._documents:
            sections, keys = zip(*self._documents, strict=True)
            parts.append(self._part("fields", self._documents, sections=list(sections), keys=list(keys)))
        if self._metrics:
            parts.append(self._part("metrics", self._metrics, metrics=list(self._metrics)))
        if self._definitions:
            pairs = [(name, slot) for metric, slot in self._definitions.items() for name in self._matching(metric)]
            self.parameters |= {"names": [name for name, _ in pairs], "slots": [slot for _, slot in pairs]}
            parts.append(sql("select_definitions"))
        if self._extremes:
            parts.append(self._part("extremes", self._extremes, metrics=list(self._extremes)))
        rows = "\nUNION ALL\n".join(parts)
        texts = [*self._documents.values(), *self._definitions.values(), *self._streams.values()]
        numbers = list(self._streams.values())
        numbers += [slot + offset for slot in self._extremes.values() for offset in range(4)]
        gathered = [f"anyIf(text, slot = {slot}) AS x{slot}" for slot in texts]
        gathered += [f"anyIf(number, slot = {slot}) AS y{slot}" for slot in numbers]
        gathered += [f"avgIf(number, slot = {slot}) AS y{slot}" for slot in self._metrics.values()]
        gathered.append("minIf(number, slot = 0) AS y0")
        values = [
            f"{expression} AS {column}"
            for field, names in self._columns.items()
            for column, expression in zip(names, self._expressions(field, names[0]), strict=True)
            if expression != "''"
        ]
        return (
            f"SELECT {', '.join(['run', *values])} FROM ("  # noqa: S608  # constant text and slot numbers
            f"SELECT run, {', '.join(gathered)} FROM ({rows}) "
            "GROUP BY run HAVING countIf(slot = 0) > 0)"
        )

    def _part(self, name: str, slots: dict[Any, int], **parameters: Any) -> str:
        """A file's text, its parameters renamed so that they are its own."""
        text = sql(f"select_{name}")
        for parameter, value in {"first": next(iter(slots.values())), **parameters}.items():
            text = text.replace(f"{{{parameter}:", f"{{{name}_{parameter}:")
            self.parameters[f"{name}_{parameter}"] = value
        return text

    def _expressions(self, field: Field, text: str) -> tuple[str, str]:
        """Of the text and of the number, which may use the text's column."""
        read = f"toFloat64OrNull({text})"
        match field.kind:
            case Kind.ID:
                return "toJSONString(run)", _NO_NUMBER
            case Kind.STREAM:
                return f"x{_STREAM_SLOTS[field.key]}", _NO_NUMBER
            case Kind.TIME | Kind.NUMBER:
                return "''", f"y{_STREAM_SLOTS.get(field.key, 0)}"
            case Kind.OWN:
                raw = f"x{self._documents['run', field.key]}"
                return f"if({raw} IN {_ABSENT}, '', {raw})", read
            case Kind.NAME:
                raw = f"x{self._documents['run', field.key]}"
                return f"if({raw} IN {_ABSENT}, toJSONString(run), {raw})", _NO_NUMBER
            case Kind.CONFIG:
                slots = [self._documents["config", key] for key in _config_keys(field.key)]
                raw = f"x{slots[0]}" if len(slots) == 1 else f"if(x{slots[0]} != '', x{slots[0]}, x{slots[1]})"
                return raw, read
            case Kind.SUMMARY:
                if field.key not in self._summary_keys:
                    return "''", self._metric(field)
                return f"x{self._documents['summary', field.key]}", f"if({text} != '', {read}, {self._metric(field)})"
        raise AssertionError(field)

    def _metric(self, field: Field) -> str:
        """The number of a summary key that the user did not set: what define_metric says, else the last value."""
        last = f"y{self._metrics[field.key]}"
        if field.key in self._definitions:
            last = f"if(has({self._kinds(field.key)}, 'none'), NULL, {last})"
        base, _, aggregate = field.key.rpartition(".")
        if base not in self._extremes or aggregate not in _AGGREGATES:
            return last
        kinds, slot = self._kinds(base), self._extremes[base]
        offset = _AGGREGATES[aggregate]
        value = f"y{slot + offset}"
        if aggregate == "best":
            goal = f"JSONExtractString(x{self._definitions[base]}, 'goal')"
            value = f"if({goal} = 'minimize', y{slot}, y{slot + 1})"
        chosen = f"has({kinds}, '{aggregate}') AND NOT has({kinds}, 'none')"
        return f"coalesce(if({chosen}, {value}, NULL), {last})"

    def _kinds(self, metric: str) -> str:
        summary = f"JSONExtractString(x{self._definitions[metric]}, 'summary')"
        return f"arrayMap(part -> trim(part), splitByChar(',', {summary}))"


def _config_keys(key: str) -> list[str]:
    """W&B writes config.lr.value for config.lr: the key itself comes first."""
    bare = key.removesuffix(".value")
    return [key] if bare in (key, "") else [key, bare]


def _streams_rows(wanted: Iterable[str]) -> str:
    """runs.sql, a row a run and slot: what is not wanted is not computed either."""
    ended = "if(state != 'running' AND finished_us > 0, finished_us, seen_us)"
    values = {
        "state": ("toJSONString(state)", _NO_NUMBER),
        "user": ("if(user = '', '', toJSONString(toString(user)))", _NO_NUMBER),
        "host": ("if(empty(hosts), '', toJSONString(hosts))", _NO_NUMBER),
        "heartbeat_at": ("''", "toNullable(seen_us / 1e6)"),
        "duration": ("''", f"toNullable(greatest({ended} - started_us, 0) / 1e6)"),
    }
    items = ["(toUInt16(0), '', toNullable(created_us / 1e6))"]
    items += [f"(toUInt16({_STREAM_SLOTS[name]}), {', '.join(values[name])})" for name in wanted]
    return (
        "SELECT run, tupleElement(item, 1) AS slot, tupleElement(item, 2) AS text, tupleElement(item, 3) AS number "  # noqa: S608
        f"FROM (SELECT run, arrayJoin([{', '.join(items)}]) AS item FROM ({sql('runs')}))"
    )
