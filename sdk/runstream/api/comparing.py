"""How runs differ, and how many runs there are in each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from runstream.api.convert import split_path
from runstream.api.ranking import filter_text
from runstream.errors import IncompleteResultError

if TYPE_CHECKING:
    from runstream.api.connection import Connection

_PARTS = ("metadata", "config", "summary", "environment", "packages", "variables", "git")
_MAX_GROUPS = 1000
"""The most groups in one answer."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences of runs. Each part maps a key to its values, one for each run in the order of `runs`.

    A value is None where a run lacks the key.
    """

    runs: list[str]
    metadata: dict[str, list[Any]]
    config: dict[str, list[Any]]
    summary: dict[str, list[Any]]
    environment: dict[str, list[Any]]
    packages: dict[str, list[Any]]
    variables: dict[str, list[Any]]
    git: dict[str, list[Any]]
    git_diffs: dict[str, str]
    """Maps a run to the unified diff from the first run's uncommitted changes to its own, where they differ."""


@dataclass(frozen=True, slots=True)
class Group:
    values: dict[str, Any]
    """Maps a field to its value, which is None where the runs lack the field."""
    runs: int
    metrics: dict[str, dict[str, float]]
    """Maps a summary key to runs, mean, std, min and max of the finite values."""


class GroupOptions(TypedDict, total=False):
    """The options of `Api.groups`."""

    metrics: Sequence[str]
    filters: Mapping[str, object] | None
    limit: int | None


class FieldOptions(TypedDict, total=False):
    """The options of `Api.fields`."""

    glob: str
    regex: str
    search: str


def compare(api: Connection, path: str, runs: Sequence[str], everything: bool = False) -> Comparison:
    """See `Api.compare`."""
    from google.protobuf.json_format import MessageToDict

    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    found = api.ask("CompareRuns", pb.CompareRunsRequest(team=team, project=project, runs=runs, all=everything))
    parts = {
        name: {one.key: [MessageToDict(value) for value in one.values] for one in getattr(found, name)}
        for name in _PARTS
    }
    return Comparison(list(found.runs), **parts, git_diffs={one.run: one.unified_diff for one in found.git_diffs})


def groups(
    api: Connection,
    path: str,
    by: Sequence[str] | str = (),
    metrics: Sequence[str] = (),
    filters: Mapping[str, object] | None = None,
    limit: int | None = None,
) -> list[Group]:
    """See `Api.groups`."""
    from google.protobuf.json_format import MessageToDict

    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    fields = [by] if isinstance(by, str) else list(by)
    request = pb.CountRunsRequest(
        team=team, project=project, filter=filter_text(filters), by=fields, metrics=metrics, limit=limit or _MAX_GROUPS
    )
    response = api.ask("CountRuns", request)
    if limit is None and response.group_count > len(response.groups):
        raise IncompleteResultError(
            f"there are {response.group_count} groups, and one answer holds {len(response.groups)}: filter the runs, "
            "group by less, or give a limit"
        )
    return [
        Group(
            {field: MessageToDict(value) for field, value in zip(fields, group.values, strict=True)},
            group.runs,
            {
                one.metric: {"runs": one.runs, "mean": one.mean, "std": one.std, "min": one.min, "max": one.max}
                for one in group.metrics
            },
        )
        for group in response.groups
    ]


def fields(api: Connection, path: str, glob: str = "", regex: str = "", search: str = "") -> dict[str, int]:
    """See `Api.fields`."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    request = pb.ListFieldsRequest(team=team, project=project, glob=glob, regex=regex, search=search, page_size=10_000)
    found: dict[str, int] = {}
    while True:
        response = api.ask("ListFields", request)
        found.update({one.field: one.runs for one in response.fields})
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token
