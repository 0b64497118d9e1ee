"""Make curves of groups of runs, which show what runs of one configuration have in common and how far they differ."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runstream_proto.v1 import curves_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.storage import Storage
from runstream_query.curves.extents import extents, known_span
from runstream_query.curves.request_checks import bucket_count, check_list, step_range
from runstream_query.curves.smoothing import check_smoothing, smooth
from runstream_query.curves.spans import Span, clip
from runstream_query.curves.widths import GRID, width_for

MAX_RUNS, MAX_METRICS, MAX_FIELDS = 1000, 20, 4
_FIELD = re.compile(r"(config)\.(.+)|(name|notes|tags|group|job_type|sweep_id)|(user)", re.DOTALL)

GroupValues = tuple[str, ...]
"""The JSON of the value of each field; empty where the run has none."""


def check_fields(fields: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (section, key) of each field. Raises InvalidRequestError."""
    if len(fields) > MAX_FIELDS:
        raise InvalidRequestError(f"group_by: at most {MAX_FIELDS} fields, not {len(fields)}")
    named = []
    for field in fields:
        match = _FIELD.fullmatch(field)
        if match is None:
            raise InvalidRequestError(
                f"group_by: {field[:100]!r} is no field: give config.KEY, name, tags, group, job_type, sweep_id or user"
            )
        named.append(("config", match[2]) if match[1] else ("run", match[3]) if match[3] else ("user", ""))
    return named


@dataclass(frozen=True, slots=True)
class GroupQuery:
    """Hold a checked request for curves of groups."""

    runs: list[str]
    metrics: list[str]
    steps: Span
    buckets: int
    fields: list[tuple[str, str]]
    """The (section, key) of each field that makes groups."""
    smoothing: pb.Smoothing | None


def check_group_query(request: pb.GetGroupCurvesRequest) -> GroupQuery:
    """Check a request for curves of groups. Raises InvalidRequestError."""
    runs = check_list("runs", request.runs, MAX_RUNS)
    metrics = check_list("metrics", request.metrics, MAX_METRICS)
    steps, buckets = Span(*step_range(request)), bucket_count(request.buckets)
    smoothing = request.smoothing if request.smoothing.kind else None
    if smoothing is not None:
        check_smoothing(smoothing)
    return GroupQuery(runs, metrics, steps, buckets, check_fields(request.group_by), smoothing)


async def group_curves(
    storage: Storage, project: str, query: GroupQuery, users: Mapping[str, str]
) -> pb.GetGroupCurvesResponse:
    """Return the curves of groups. `users`: the user of each run. Raises StorageError."""
    groups = await _groups(storage, project, query.runs, query.fields, users)
    extent_rows = await extents(storage, project, query.runs, query.metrics)
    span = _hull(extent_rows, *query.steps)
    if span is None:
        return pb.GetGroupCurvesResponse()
    names = sorted(set(groups.values()))
    width = width_for(*span, query.buckets)
    columns = await storage.columns(
        "group_curves",
        project=project,
        runs=query.runs,
        groups=[names.index(groups[run]) for run in query.runs],
        metrics=query.metrics,
        min_step=query.steps.low,
        max_step=query.steps.high,
        width=width,
        grid=GRID,
    )
    members: dict[tuple[GroupValues, str], list[str]] = defaultdict(list)
    for row in extent_rows:
        members[groups[row["run"]], row["metric"]].append(row["run"])
    response = pb.GetGroupCurvesResponse()
    for number, metric, start, end in _pieces(columns):
        curve = response.curves.add(
            group=names[number], metric=metric, runs=members[names[number], metric], bucket_width=width
        )
        _encode(curve, {name: column[start:end] for name, column in columns.items()}, query.smoothing)
    return response


async def _groups(
    storage: Storage,
    project: str,
    runs: Sequence[str],
    fields: Sequence[tuple[str, str]],
    users: Mapping[str, str],
) -> dict[str, GroupValues]:
    """Return the group of each run."""
    sections = sorted({section for section, _ in fields if section != "user"})
    rows = await storage.rows("run_fields", project=project, runs=list(runs), sections=sections) if sections else []
    values = {(row["run"], row["section"], row["key"]): row["value"] for row in rows}

    def value(run: str, section: str, key: str) -> str:
        return f'"{users.get(run, "")}"' if section == "user" else values.get((run, section, key), "")

    return {run: tuple(value(run, section, key) for section, key in fields) for run in runs}


def _hull(extents: Sequence[Mapping[str, Any]], low: int, high: int) -> Span | None:
    """Return the range that covers all series within `low` to `high`.

    Where the beginning of one series is not known, the range begins at `low`.
    """
    if not extents:
        return None
    spans = [known_span(row) for row in extents]
    top = max(row["high_step"] for row in extents)
    if any(span is None for span in spans):
        return clip(Span(min(low, top), top), low, high)
    return clip(Span(min(span.low for span in spans if span), top), low, high)


def _pieces(columns: Mapping[str, Any]) -> list[tuple[int, str, int, int]]:
    """Return the group number, the metric, and the range of rows of each curve."""
    numbers, metrics = columns["number"].tolist(), columns["metric"].tolist()
    pieces: list[tuple[int, str, int, int]] = []
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or (numbers[index], metrics[index]) != (numbers[start], metrics[start]):
            pieces.append((numbers[start], metrics[start], start, index))
            start = index
    return pieces


def _encode(curve: pb.GroupCurve, columns: Mapping[str, Any], smoothing: pb.Smoothing | None) -> None:
    names = {
        "steps": "first_step",
        "means": "mean",
        "stds": "std",
        "mins": "minimum",
        "maxs": "maximum",
        "counts": "runs_here",
    }
    for field, column in names.items():
        getattr(curve, field).extend(columns[column].tolist())
    if smoothing is not None:
        curve.smoothed.extend(smooth(columns["mean"], smoothing).tolist())
