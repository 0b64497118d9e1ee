"""Turns rows of `runs`, `run_fields` and `last_values` into `Run` messages."""

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
from runstream_query.base.storage import ONE_THREAD, Storage
from runstream_query.runs import large_values as large
from runstream_query.runs import metric_definitions
from runstream_query.runs.field_choice import ALL, FieldChoice
from runstream_query.runs.large_values import LargeValue

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
"""Metrics of one run in a list. A run with more is marked as truncated; GetRun and ListMetrics return all."""
_ALL_METRICS = 1_000_000
_MOST_FIELDS = 1_000_000
"""Rows that `run_columns.sql` returns at most."""
_PAGE = {"max_result_rows": large.MOST_KEYS_IN_PAGE, "max_result_bytes": 4 * large.MOST_IN_PAGE}


@dataclass(slots=True)
class RunDocuments:
    """The documents and metrics of some runs."""

    fields: dict[str, dict[str, dict[str, Any]]]
    """run -> section -> key -> value"""
    summaries: dict[str, dict[str, Any]]
    """run -> metric, or `metric.max` and the like -> number"""
    truncated_summaries: set[str] = field(default_factory=set)
    """Runs whose summaries lack metrics or values."""
    truncated_configs: set[str] = field(default_factory=set)
    """Runs whose configs lack values."""
    large: dict[str, list[LargeValue]] = field(default_factory=lambda: defaultdict(list))
    """run -> values that are replaced by a note on their size"""

    def is_partial(self, run: str) -> bool:
        """Return True when a part of the run's documents was left out."""
        return run in self.truncated_summaries or run in self.truncated_configs or bool(self.large.get(run))

    def weight(self, run: str) -> tuple[int, int]:
        """Return how many keys, and about how many bytes, are shown of the run."""
        sections = [*self.fields[run].values(), self.summaries[run]]
        texts = (value for section in sections for value in section.values() if isinstance(value, str))
        keys = sum(map(len, sections))
        return keys, 32 * keys + sum(map(len, texts))

    def replace_run(self, run: str, other: RunDocuments) -> None:
        """Replace the data of one run by that in `other`."""
        self.fields[run], self.summaries[run] = other.fields[run], other.summaries[run]
        for own, found in (
            (self.truncated_summaries, other.truncated_summaries),
            (self.truncated_configs, other.truncated_configs),
        ):
            own.update({run} & found)
        if run in other.large:
            self.large[run] = other.large[run]

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
    parameters = {"project": project, "runs": list(runs), **columns.parameters}
    most = _SUMMARY_METRICS if len(runs) > 1 else _ALL_METRICS
    longest = large.LONGEST_IN_LIST if in_list else 0
    most_keys = large.MOST_KEYS_IN_LIST + 1 if in_list else _MOST_FIELDS
    limits = {"longest": longest, "most_keys": most_keys}
    settings = {**ONE_THREAD, **(_PAGE if bounded else {})}
    # Both queries run concurrently, so each gets one thread: dividing a page's rows among threads takes longer than
    # reading them.
    fields, metrics = await asyncio.gather(
        storage.rows("run_columns", settings=settings, sections=sections, **limits, **parameters),
        storage.rows("run_values", settings=settings, limit=most + 1, **parameters)
        if columns.wants_metrics
        else _no_rows(),
    )
    _add_fields(loaded, fields, (large.MOST_KEYS_IN_LIST, large.MOST_IN_LIST) if in_list else (1 << 62, 1 << 62))
    if len(fields) >= _MOST_FIELDS:
        raise TooExpensiveError("these runs have more than a million config and summary keys: request fewer at once")
    counts: dict[str, int] = defaultdict(int)
    for metric in metrics:
        counts[metric["run"]] += 1
        if counts[metric["run"]] > most:
            loaded.truncated_summaries.add(metric["run"])
            continue
        value = metric["last_value"]
        loaded.summaries[metric["run"]][metric["metric"]] = value if isfinite(value) else text.plain(value)
    defined = {run: loaded.fields[run]["definition"] for run in runs}
    await metric_definitions.apply(storage, project, defined, loaded.summaries)
    if columns.summary is not None:
        for run, summary in loaded.summaries.items():
            loaded.summaries[run] = {key: value for key, value in summary.items() if columns.has_summary(key)}
    return loaded


def _add_fields(loaded: RunDocuments, rows: list[dict[str, Any]], most: tuple[int, int]) -> None:
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
                (loaded.truncated_configs if section == "config" else loaded.truncated_summaries).add(run)
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
    rows: list[dict[str, Any]],
    *,
    environment: bool = False,
    columns: FieldChoice = ALL,
) -> list[pb.Run]:
    """Return `Run` messages in the order of `rows` (of runs.sql), with config and summary as a list shows them."""
    loaded = await load(storage, project, [row["run"] for row in rows], environment=environment, columns=columns)
    return [make_run(project, row, loaded, environment) for row in rows]


def timestamp(microseconds: int) -> Timestamp | None:
    if microseconds <= 0:
        return None
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def make_run(project: str, row: dict[str, Any], loaded: RunDocuments, environment: bool = False) -> pb.Run:
    """Return the message of a run.

    A run whose documents do not fit into a message stays in the list, and `unreadable` has the reason: no list
    fails because of one run.
    """
    try:
        return _make_run(project, row, loaded, environment)
    except Exception as error:  # noqa: BLE001  # its documents may hold anything
        LOG.warning("a run cannot be shown", project=project, run=row["run"], error=repr(error))
        team, _, name = project.partition("/")
        return pb.Run(
            team=team,
            project=name,
            id=row["run"],
            name=row["run"],
            state=STATES[row["state"]],
            created=timestamp(row["created_us"]),
            heartbeat=timestamp(row["seen_us"]),
            world_size=row["world_size"],
            unreadable=text.valid(f"{type(error).__name__}: {error}")[:1024],
        )


def _make_run(project: str, row: dict[str, Any], loaded: RunDocuments, environment: bool) -> pb.Run:
    fields = loaded.fields[row["run"]]
    team, _, name = project.partition("/")
    meta = fields["run"]
    ended = row["finished_us"] if row["state"] != "running" else 0
    tags = meta.get("tags") or []
    run = pb.Run(
        team=team,
        project=name,
        id=row["run"],
        name=_text(meta.get("name")) or row["run"],
        notes=_text(meta.get("notes")),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        group=_text(meta.get("group")),
        job_type=_text(meta.get("job_type")),
        user=row["user"],
        state=STATES[row["state"]],
        created=timestamp(row["created_us"]),
        heartbeat=timestamp(row["seen_us"]),
        finished=timestamp(ended),
        duration_s=max((ended or row["seen_us"]) - row["started_us"], 0) / 1e6,
        world_size=row["world_size"],
        sweep_id=_text(meta.get("sweep_id")),
        summary_truncated=row["run"] in loaded.truncated_summaries,
        config_truncated=row["run"] in loaded.truncated_configs,
        large=[
            pb.LargeValue(section=one.section, key=one.key, size_bytes=one.size_bytes)
            for one in loaded.large.get(row["run"], ())
        ],
    )
    run.config.CopyFrom(_struct(fields["config"]))
    run.summary.CopyFrom(_struct(loaded.summary(row["run"])))
    if environment:
        run.environment.CopyFrom(_struct(fields["environment"]))
    return run


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
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
    return struct


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def to_value(value: Any) -> Value:
    """Return a value as a message: NaN and infinities become their names, a value that is not JSON becomes text."""
    struct = Struct()
    struct.update({"": text.plain(value)})
    return struct.fields[""]
