"""Rows of `runs`, `run_fields` and `last_values` into `Run` messages."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from runstream_proto.v1 import query_pb2 as pb
from runstream_query import definitions
from runstream_query.storage import Storage

STATES = {
    "running": pb.RUN_STATE_RUNNING,
    "finished": pb.RUN_STATE_FINISHED,
    "failed": pb.RUN_STATE_FAILED,
    "crashed": pb.RUN_STATE_CRASHED,
    "preempted": pb.RUN_STATE_PREEMPTED,
}
STATE_NAMES = {state: name for name, state in STATES.items()}
_SUMMARY_METRICS = 10_000
"""Of one run in a list; ListMetrics pages through all."""


async def make_runs(
    storage: Storage, project: str, rows: list[dict[str, Any]], *, environment: bool = False
) -> list[pb.Run]:
    """`Run` messages in the order of `rows`, with config and summary."""
    ids = [row["run"] for row in rows]
    if not ids:
        return []
    sections = ["run", "config", "summary", "definition", *(["environment"] if environment else [])]
    fields: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for field in await storage.rows("run_fields", project=project, runs=ids, sections=sections):
        fields[field["run"]][field["section"]][field["key"]] = _value(field["value"])
    summaries: dict[str, dict[str, Any]] = defaultdict(dict)
    for metric in await storage.rows(
        "last_values", project=project, runs=ids, search="", after="", limit=_SUMMARY_METRICS
    ):
        summaries[metric["run"]][metric["metric"]] = _plain(metric["last_value"])
    await definitions.apply(storage, project, {run: fields[run]["definition"] for run in ids}, summaries)
    return [_run(project, row, fields[row["run"]], summaries[row["run"]], environment) for row in rows]


def timestamp(microseconds: int) -> Timestamp | None:
    if microseconds <= 0:
        return None
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def _run(
    project: str, row: dict[str, Any], fields: dict[str, dict[str, Any]], summary: dict[str, Any], environment: bool
) -> pb.Run:
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
    )
    run.config.CopyFrom(_struct(fields["config"]))
    run.summary.CopyFrom(_struct({**summary, **fields["summary"]}))
    if environment:
        run.environment.CopyFrom(_struct(fields["environment"]))
    return run


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update({key: _plain(value) for key, value in values.items()})
    return struct


def _plain(value: Any) -> Any:
    """What a Struct can say: JSON, so NaN and infinities become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: Any) -> str:
    return "" if value is None else str(value)
