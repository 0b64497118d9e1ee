"""Turns rows of `runs.sql`, `run_columns.sql` and `run_values.sql` into `Run` messages."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import structlog
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from runstream_common import text
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import TooExpensiveError
from runstream_query.base.offload import offload
from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.runs import large_values as large
from runstream_query.runs import metric_definitions
from runstream_query.runs.field_choice import ALL, FieldChoice
from runstream_query.runs.large_values import LargeValue
from runstream_query.runs.run_states import RunRow

LOG = structlog.get_logger()
STATES = {
    "running": pb.RUN_STATE_RUNNING,
    "finished": pb.RUN_STATE_FINISHED,
    "failed": pb.RUN_STATE_FAILED,
    "crashed": pb.RUN_STATE_CRASHED,
    "preempted": pb.RUN_STATE_PREEMPTED,
}
STATE_NAMES = {state: name for name, state in STATES.items()}
_SUMMARY_METRICS = 10_000
"""Metrics of one run in a list. A run with more is marked; GetRun and ListMetrics return all of them."""
_ALL_METRICS = 1_000_000
_MOST_FIELDS = 1_000_000
"""Rows that `run_columns.sql` returns at most."""
_MANY_FIELDS, _MANY_BYTES = 2000, 256 << 10
"""From so many rows or bytes on, documents are parsed in a thread."""
_PAGE = {"max_result_rows": large.MOST_KEYS_IN_PAGE, "max_result_bytes": 4 * large.MOST_IN_PAGE}


@dataclass(slots=True)
class RunDocuments:
    """The documents and metrics of some runs."""

    fields: dict[str, dict[str, dict[str, Any]]]
    """run -> section -> key -> value"""
    summaries: dict[str, dict[str, Any]]
    """run -> metric, or `metric.max` and the like -> number"""
    cut: set[str] = field(default_factory=set)
    """Runs whose summaries lack metrics or values."""
    cut_configs: set[str] = field(default_factory=set)
    """Runs whose configs lack values."""
    large: dict[str, list[LargeValue]] = field(default_factory=lambda: defaultdict(list))
    """run -> values that are replaced by a note on their size"""
    of_points: set[str] = field(default_factory=set)
    """Runs whose summaries have aggregates of points: they change with every point."""
    is_large: bool = False
    """Whether there is so much of the documents that it is handled in a thread."""

    def keys(self, run: str) -> int:
        """Return how many keys are shown of the run."""
        return sum(map(len, self.fields[run].values())) + len(self.summaries[run])

    def summary(self, run: str) -> dict[str, Any]:
        """Return the summary of a run. Values that the user set replace those of the metrics."""
        return {**self.summaries[run], **self.fields[run]["summary"]}


async def load(
    storage: Storage,
    project: str,
    runs: Sequence[str],
    *,
    environment: bool = False,
    columns: FieldChoice = ALL,
    in_list: bool = True,
    bounded: bool = False,
) -> RunDocuments:
    """Load the documents and metrics of runs. Raises StorageError.

    `in_list`: leave out values that are too large for one run of a list. `bounded`: let the engine refuse more than a
    page can carry.
    """
    loaded = RunDocuments(defaultdict(lambda: defaultdict(dict)), defaultdict(dict), set())
    if not runs:
        return loaded
    sections = ["run", "config", "summary", "definition", *(["environment"] if environment else [])]
    question = {"project": project, "runs": list(runs), **columns.parameters}
    most = _SUMMARY_METRICS if in_list else _ALL_METRICS
    longest = large.LONGEST_IN_LIST if in_list else 0
    most_keys = large.MOST_KEYS_IN_LIST + 1 if in_list else _MOST_FIELDS
    limits = {"longest": longest, "most_keys": most_keys}
    settings = {**ONE_THREAD, **(_PAGE if bounded else {})}
    # Both queries run side by side, so each gets one thread: dividing a page's rows among threads takes longer than
    # reading them.
    fields, metrics = await asyncio.gather(
        storage.rows("run_columns", settings=settings, sections=sections, **limits, **question),
        storage.rows("run_values", settings=settings, limit=most + 1, **question)
        if columns.wants_metrics
        else _no_rows(),
    )
    if len(fields) >= _MOST_FIELDS:
        raise TooExpensiveError("these runs have more than a million config and summary keys: ask for fewer at once")
    loaded.is_large = len(fields) > _MANY_FIELDS or sum(len(row["value"]) for row in fields) > _MANY_BYTES
    most_of_run = (large.MOST_KEYS_IN_LIST, large.MOST_IN_LIST) if in_list else (1 << 62, 1 << 62)
    await offload(loaded.is_large, _take_fields, loaded, fields, most_of_run)
    found: dict[str, int] = defaultdict(int)
    for metric in metrics:
        found[metric["run"]] += 1
        if found[metric["run"]] > most:
            loaded.cut.add(metric["run"])
            continue
        value = metric["last_value"]
        loaded.summaries[metric["run"]][metric["metric"]] = value if isfinite(value) else text.plain(value)
    defined = {run: loaded.fields[run]["definition"] for run in runs}
    loaded.of_points = await metric_definitions.apply(storage, project, defined, loaded.summaries)
    if columns.summary is not None:
        for run, summary in loaded.summaries.items():
            loaded.summaries[run] = {key: value for key, value in summary.items() if columns.has_summary(key)}
    return loaded


def _take_fields(loaded: RunDocuments, rows: list[dict[str, Any]], most: tuple[int, int]) -> None:
    """Put rows of `run_columns.sql` into `loaded`.

    `most`: limits on the keys of one section of a run, and on the bytes of all its config and summary values.
    """
    taken: dict[str, int] = defaultdict(int)
    most_keys, most_bytes = most
    for row in rows:
        run, section, key = row["run"], row["section"], row["key"]
        if section in ("config", "summary"):
            taken[run] += len(key) + len(row["value"])
            if taken[run] > most_bytes or len(loaded.fields[run][section]) >= most_keys:
                (loaded.cut_configs if section == "config" else loaded.cut).add(run)
                continue
        value = text.parsed(row["value"])
        if (found := LargeValue.of(section, key, value)) is not None:
            loaded.large[run].append(found)
            value = found.shown()
        loaded.fields[run][section][key] = value


async def _no_rows() -> list[dict[str, Any]]:
    return []


async def make_runs(
    storage: Storage,
    project: str,
    rows: Sequence[RunRow],
    *,
    environment: bool = False,
    columns: FieldChoice = ALL,
) -> list[pb.Run]:
    """Return `Run` messages in the order of `rows` (of runs.sql), with config and summary as a list shows them."""
    loaded = await load(storage, project, [row["run"] for row in rows], environment=environment, columns=columns)
    return [await offload(loaded.is_large, make_run, project, row, loaded, environment) for row in rows]


def timestamp(microseconds: int) -> Timestamp | None:
    if microseconds <= 0:
        return None
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def make_run(project: str, row: RunRow, loaded: RunDocuments, environment: bool = False) -> pb.Run:
    """Return the message of a run."""
    run = run_facts(project, row)
    run.MergeFrom(document_message(project, run.id, loaded, environment))
    return run


def run_facts(project: str, row: RunRow) -> pb.Run:
    """Return what the streams of a run tell of it, from a row of `runs.sql`."""
    team, _, name = project.partition("/")
    ended = row["finished_us"] if row["state"] != "running" else 0
    return pb.Run(
        team=team,
        project=name,
        id=row["run"],
        user=row["user"],
        state=STATES[row["state"]],
        created=timestamp(row["created_us"]),
        heartbeat=timestamp(row["seen_us"]),
        finished=timestamp(ended),
        duration_s=max((ended or row["seen_us"]) - row["started_us"], 0) / 1e6,
        world_size=row["world_size"],
    )


def document_message(project: str, run: str, loaded: RunDocuments, environment: bool = False) -> pb.Run:
    """Return what the documents of a run say.

    A run whose documents do not fit into a message says why in `unreadable` and keeps its place in a list: no list
    fails because of one run.
    """
    try:
        return _document_message(run, loaded, environment)
    except Exception as error:  # noqa: BLE001  # whatever it is that its documents hold
        return unreadable(project, run, error)


def unreadable(project: str, run: str, error: Exception) -> pb.Run:
    """Return the message of documents that cannot be shown."""
    LOG.warning("a run cannot be shown", project=project, run=run, error=repr(error))
    return pb.Run(name=run, unreadable=text.valid(f"{type(error).__name__}: {error}")[:1024])


def _document_message(run: str, loaded: RunDocuments, environment: bool) -> pb.Run:
    fields = loaded.fields[run]
    meta = fields["run"]
    tags = meta.get("tags") or []
    message = pb.Run(
        name=_text(meta.get("name")) or run,
        notes=_text(meta.get("notes")),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        group=_text(meta.get("group")),
        job_type=_text(meta.get("job_type")),
        sweep_id=_text(meta.get("sweep_id")),
        summary_truncated=run in loaded.cut,
        config_truncated=run in loaded.cut_configs,
        large=[
            pb.LargeValue(section=one.section, key=one.key, size_bytes=one.size_bytes)
            for one in loaded.large.get(run, ())
        ],
    )
    _fill(message.config, fields["config"])
    _fill(message.summary, loaded.summary(run))
    if environment:
        _fill(message.environment, fields["environment"])
    return message


def _fill(struct: Struct, values: dict[str, Any]) -> None:
    struct.SetInParent()  # an empty document is there, too
    fields = struct.fields
    rest: dict[str, Any] = {}
    for key, value in values.items():
        # Struct.update finds the type of each value itself, and takes three times as long.
        if type(value) is float and isfinite(value):
            fields[key].number_value = value
        elif type(value) is str:
            fields[key].string_value = value
        else:
            rest[key] = text.plain(value)
    struct.update(rest)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def to_value(value: object) -> Value:
    """Return a value as a message: NaN and infinities become their names, a value that is not JSON becomes text."""
    struct = Struct()
    struct.update({"": text.plain(value)})
    return struct.fields[""]
