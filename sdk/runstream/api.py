"""`runstream.Api()`: what is stored, from a program. Imports gRPC with the first question, not before."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runstream.credentials import Credentials
from runstream.errors import RunstreamError
from runstream.settings import Settings

if TYPE_CHECKING:
    from runstream_proto.v1 import query_pb2 as pb

_MAX_MESSAGE_BYTES = 64 << 20
_STATES = {"running": 1, "finished": 2, "failed": 3, "crashed": 4, "preempted": 5}
_AGGREGATES = {"last": 1, "min": 2, "max": 3, "mean": 4}


class ApiError(RunstreamError):
    """The server did not answer the question; the message says why and what to do."""


class AuthenticationError(ApiError):
    """The API key is missing or not valid."""


class NotFoundError(ApiError):
    """No such project, run or metric that this key may see; the message has the nearest names."""


class PermissionDeniedError(ApiError):
    """The API key is good, the right is missing."""


class InvalidRequestError(ApiError):
    """An argument cannot be used."""


class UnavailableError(ApiError):
    """The server cannot be reached, or cannot answer now: try again."""


class Api:
    """Reads projects, runs and curves. May be used from several threads.

    `base_url`, `api_key`: default from `RUNSTREAM_*` variables, then from what `login()` stored.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None, timeout_s: float = 60.0) -> None:
        """Asks nothing yet. Raises AuthenticationError when no key is known."""
        self._settings = Settings.from_environment(None, base_url=base_url, api_key=api_key)
        key = self._settings.api_key or Credentials(self._settings.root).find(self._settings.base_url)
        if not key:
            raise AuthenticationError(
                f"no API key for {self._settings.base_url}: run `runstream login`, or set RUNSTREAM_API_KEY"
            )
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._timeout_s = timeout_s

    def projects(self, entity: str = "") -> list[Project]:
        """Projects of a team, or of all of your teams."""
        from runstream_proto.v1 import query_pb2 as pb

        response = self._ask("ListProjects", pb.ListProjectsRequest(team=entity))
        return [Project(self, found) for found in response.projects]

    def runs(self, path: str, state: str = "", search: str = "", per_page: int = 50) -> Iterator[Run]:
        """Runs of a project, newest first, page by page. `path`: "project" or "team/project".
        `state`: running, finished, failed, crashed or preempted; `search`: part of an id, name, tag or group."""
        from runstream_proto.v1 import query_pb2 as pb

        if state and state not in _STATES:
            raise InvalidRequestError(f"state is {state!r}: use one of {', '.join(_STATES)}")
        team, project = _split(path, 2)
        request = pb.ListRunsRequest(
            team=team,
            project=project,
            state=_STATES.get(state, 0),  # type: ignore[arg-type]  # the enum's numbers
            search=search,
            page_size=per_page,
        )
        while True:
            response = self._ask("ListRuns", request)
            yield from (Run(self, found) for found in response.runs)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def project(self, path: str) -> Project:
        """A project by "project" or "team/project". Raises NotFoundError."""
        team, name = _split(path, 2)
        found = self.projects(team)
        fits = [project for project in found if project.name == name]
        if not fits:
            raise NotFoundError(f"there is no project {path!r}")
        return fits[0]

    def run(self, path: str) -> Run:
        """One run with everything about it. `path`: "project/run" or "team/project/run"."""
        from runstream_proto.v1 import query_pb2 as pb

        team, project, run = _split(path, 3)
        return Run(self, self._ask("GetRun", pb.GetRunRequest(team=team, project=project, run=run)))

    def rank(
        self, path: str, metric: str, k: int = 10, goal: str = "maximize", by: str = "last", sweep: str = ""
    ) -> list[tuple[float, Run]]:
        """The best K runs of a project by a metric, with its value; NaN last. `goal`: maximize or minimize;
        `by`: last (mean over the ranks' last values), min, max or mean (over all ranks and steps)."""
        from runstream_proto.v1 import query_pb2 as pb

        if goal not in ("maximize", "minimize") or by not in _AGGREGATES:
            raise InvalidRequestError(
                f"goal is {goal!r} and by is {by!r}: maximize or minimize; last, min, max or mean"
            )
        team, project = _split(path, 2)
        request = pb.RankRunsRequest(
            team=team,
            project=project,
            metric=metric,
            aggregate=_AGGREGATES[by],  # type: ignore[arg-type]  # the enum's numbers
            ascending=goal == "minimize",
            limit=k,
            sweep_id=sweep,
        )
        return [(found.value, Run(self, found.run)) for found in self._ask("RankRuns", request).runs]

    def _ask(self, method: str, request: Any) -> Any:
        """Raises ApiError of the kind that fits."""
        import grpc

        try:
            return getattr(self._stub, method)(request, metadata=self._metadata, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise _translated(error) from None

    @cached_property
    def _stub(self) -> Any:
        import grpc

        from runstream_proto.v1 import query_pb2_grpc as rpc

        options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]
        address = self._settings.query_address
        if self._settings.tls:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=options)
        else:
            channel = grpc.insecure_channel(address, options=options)
        return rpc.QueryServiceStub(channel)


class Project:
    """A project of a team."""

    def __init__(self, api: Api, found: pb.Project) -> None:
        self._api = api
        self.entity = found.team
        self.name = found.name
        self.run_count = found.runs

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.name}"

    def runs(self, **options: Any) -> Iterator[Run]:
        """See `Api.runs`."""
        return self._api.runs(self.path, **options)

    def delete(self) -> int:
        """Delete the project with all its runs, for good; returns how many runs. Needs an admin of the team."""
        from runstream_proto.v1 import query_pb2 as pb

        return self._api._ask("DeleteProject", pb.DeleteProjectRequest(team=self.entity, project=self.name)).runs  # type: ignore[no-any-return]

    def set_retention(self, days: int) -> int:
        """Let the server delete runs of which nothing was heard for so many days; 0 keeps them for ever. Returns what
        it was. Needs an admin of the team."""
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.SetRetentionRequest(team=self.entity, project=self.name, days=days)
        return self._api._ask("SetRetention", request).days  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Project({self.path!r}, runs={self.run_count})"


class Run:
    """A stored run."""

    def __init__(self, api: Api, found: pb.Run) -> None:
        self._api = api
        self._found = found
        self.id = found.id
        self.entity = found.team
        self.project = found.project
        self.name = found.name
        self.notes = found.notes
        self.tags = tuple(found.tags)
        self.group = found.group
        self.job_type = found.job_type
        self.user = found.user
        self.world_size = found.world_size
        self.sweep_id = found.sweep_id
        self.duration_s = found.duration_s

    @property
    def state(self) -> str:
        """running, finished, failed, crashed or preempted."""
        return next((name for name, number in _STATES.items() if number == self._found.state), "unknown")

    @property
    def created_at(self) -> datetime:
        from datetime import UTC

        return self._found.created.ToDatetime(tzinfo=UTC)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Dotted keys to values."""
        return _plain(self._found.config)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Each metric's last value (mean over ranks), overlaid by what was set."""
        return _plain(self._found.summary, whole_numbers=False)

    @property
    def path(self) -> list[str]:
        return [self.entity, self.project, self.id]

    @property
    def completeness(self) -> dict[str, Any]:
        """What the processes said that they logged, against what is stored; asks the server anew.

        Keys: verdict (complete, incomplete or open), points_logged, points_received, points_stored,
        points_rejected, points_dropped, missing (gaps of record numbers).
        """
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.GetRunRequest(team=self.entity, project=self.project, run=self.id)
        found = self._api._ask("GetRun", request).completeness
        names = ("logged", "received", "stored", "rejected", "dropped")
        return {
            "verdict": pb.Completeness.Verdict.Name(found.verdict).removeprefix("VERDICT_").lower(),
            **{f"points_{name}": getattr(found, f"points_{name}") for name in names},
            "missing": [
                {"writer": gap.writer_id, "rank": gap.rank, "first": gap.first_record, "last": gap.last_record}
                for gap in found.missing
            ],
        }

    def delete(self) -> None:
        """Delete the run with everything it logged, for good. A process that still writes to it is sent away."""
        from runstream_proto.v1 import query_pb2 as pb

        self._api._ask("DeleteRuns", pb.DeleteRunsRequest(team=self.entity, project=self.project, runs=[self.id]))

    def delete_metric(self, key: str) -> None:
        """Delete a metric, for good: also what the run's present processes still log under this name."""
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.DeleteMetricRequest(team=self.entity, project=self.project, run=self.id, metric=key)
        self._api._ask("DeleteMetric", request)

    def metrics(self, search: str = "") -> list[str]:
        """Names of the run's metrics, in order."""
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.ListMetricsRequest(
            team=self.entity, project=self.project, run=self.id, search=search, page_size=10_000
        )
        names: list[str] = []
        while True:
            response = self._api._ask("ListMetrics", request)
            names += [metric.name for metric in response.metrics]
            if not response.next_page_token:
                return names
            request.page_token = response.next_page_token

    def history(
        self,
        keys: Sequence[str] | str | None = None,
        samples: int = 500,
        pandas: bool = True,
        rank: int | str = "mean",
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Any:
        """Curves in at most `samples` buckets of steps; a run of fewer steps comes whole.

        Returns a pandas frame with a row a bucket: `_step` (its first), and for each key its mean under the key, and
        `key.min`, `key.max`, `key.first`, `key.last`, `key.count`; without pandas (or `pandas=False`) a list of such
        dicts. `rank`: "mean" over ranks, or one rank.
        """
        from runstream_proto.v1 import query_pb2 as pb

        names = self.metrics() if keys is None else _names(keys)
        if not names:
            return _frame([], pandas)
        rows: dict[int, dict[str, Any]] = {}
        for start in range(0, len(names), 100):
            request = pb.GetCurvesRequest(
                team=self.entity,
                project=self.project,
                runs=[self.id],
                metrics=names[start : start + 100],
                buckets=samples,
                selection=pb.RANK_SELECTION_MEAN if rank == "mean" else pb.RANK_SELECTION_ONE,
                rank=0 if isinstance(rank, str) else rank,
                min_step=min_step,
                max_step=max_step,
            )
            for curve in self._api._ask("GetCurves", request).curves:
                for index, step in enumerate(curve.first_steps):
                    row = rows.setdefault(step, {"_step": step})
                    single = curve.counts[index] == 1 or curve.first_steps[index] == curve.last_steps[index]
                    row[curve.metric] = curve.firsts[index] if single else curve.means[index]
                    for name in ("min", "max", "first", "last", "count"):
                        row[f"{curve.metric}.{name}"] = getattr(curve, f"{name}s")[index]
        return _frame([rows[step] for step in sorted(rows)], pandas)

    def scan_history(
        self,
        keys: Sequence[str] | str | None = None,
        page_size: int = 100_000,
        min_step: int | None = None,
        max_step: int | None = None,
        rank: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Every row as logged, in order of rank and step: `_step`, `_rank`, and those of `keys` that it has."""
        by_rank: dict[int, dict[int, dict[str, Any]]] = {}
        for series in self.series(keys, page_size=page_size, min_step=min_step, max_step=max_step, rank=rank):
            rows = by_rank.setdefault(series.rank, {})
            for step, value in zip(series.steps, series.values, strict=True):
                rows.setdefault(step, {"_step": step, "_rank": series.rank})[series.metric] = value
        for number in sorted(by_rank):
            for step in sorted(by_rank[number]):
                yield by_rank[number][step]

    def series(
        self,
        keys: Sequence[str] | str | None = None,
        page_size: int = 100_000,
        min_step: int | None = None,
        max_step: int | None = None,
        rank: int | None = None,
    ) -> Iterator[Series]:
        """Raw points as columns, a piece at a time: a long series comes in several pieces, in order."""
        from runstream_proto.v1 import query_pb2 as pb

        names = self.metrics() if keys is None else _names(keys)
        for start in range(0, len(names), 1000):
            request = pb.GetHistoryRequest(
                team=self.entity,
                project=self.project,
                run=self.id,
                metrics=names[start : start + 1000],
                ranks=[] if rank is None else [rank],
                min_step=min_step,
                max_step=max_step,
                page_size=page_size,
            )
            while True:
                response = self._api._ask("GetHistory", request)
                yield from (Series(found) for found in response.series)
                if not response.next_page_token:
                    break
                request.page_token = response.next_page_token

    def __repr__(self) -> str:
        return f"Run({'/'.join(self.path)!r}, {self.name!r}, {self.state})"


class Series:
    """Columns of equal length: steps (int64), values (float64), times (int64, microseconds since 1970)."""

    __slots__ = ("metric", "rank", "steps", "times_us", "values")

    def __init__(self, found: pb.Series) -> None:
        self.metric = found.metric
        self.rank = found.rank
        self.steps = array("q", found.steps)
        self.values = array("d", found.values)
        self.times_us = array("q", found.times_us)

    def __len__(self) -> int:
        return len(self.steps)


def _translated(error: Any) -> ApiError:
    import grpc

    kinds = {
        grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
        grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
        grpc.StatusCode.NOT_FOUND: NotFoundError,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
        grpc.StatusCode.UNAVAILABLE: UnavailableError,
        grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    }
    return kinds.get(error.code(), ApiError)(error.details() or error.code().name.lower())


def _split(path: str, parts: int) -> list[str]:
    """The parts of a path, the team empty where it is left out. Raises InvalidRequestError."""
    found = path.split("/")
    if len(found) == parts - 1:
        found = ["", *found]
    if len(found) != parts or not all(found[1:]):
        form = "project or team/project" if parts == 2 else "project/run or team/project/run"
        raise InvalidRequestError(f"the path {path!r} cannot be read: give {form}")
    return found


def _names(keys: Sequence[str] | str) -> list[str]:
    return [keys] if isinstance(keys, str) else list(keys)


def _frame(rows: list[dict[str, Any]], pandas: bool) -> Any:
    if pandas:
        try:
            import pandas as pd
        except ImportError:
            return rows
        return pd.DataFrame(rows)
    return rows


_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _plain(struct: Any, whole_numbers: bool = True) -> dict[str, Any]:
    """A Struct as a dict. Its numbers are all doubles: whole ones become int again where that is wanted."""
    from google.protobuf.json_format import MessageToDict

    def restore(value: Any) -> Any:
        if isinstance(value, float) and whole_numbers and value.is_integer():
            return int(value)
        if isinstance(value, str):
            return _SPECIAL.get(value, value)
        if isinstance(value, list):
            return [restore(item) for item in value]
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        return value

    return {key: restore(value) for key, value in MessageToDict(struct).items()}
