"""`Api`: what is stored, from a program. Imports gRPC with the first question, not before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from runstream.api import live
from runstream.api.convert import split_path
from runstream.api.errors import AuthenticationError, InvalidRequestError, NotFoundError, translated
from runstream.api.projects import Project
from runstream.api.runs import STATES, Run
from runstream.credentials import Credentials
from runstream.settings import Settings

_MAX_MESSAGE_BYTES = 64 << 20
_AGGREGATES = {"last": 1, "min": 2, "max": 3, "mean": 4}


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
        self.metadata = (("authorization", f"Bearer {key}"),)
        self.base_url = self._settings.base_url.rstrip("/")
        self._timeout_s = timeout_s

    def projects(self, entity: str = "") -> list[Project]:
        """Projects of a team, or of all of your teams."""
        from runstream_proto.v1 import query_pb2 as pb

        response = self.ask("ListProjects", pb.ListProjectsRequest(team=entity))
        return [Project(self, found) for found in response.projects]

    def runs(self, path: str, state: str = "", search: str = "", per_page: int = 50) -> Iterator[Run]:
        """Runs of a project, newest first, page by page. `path`: "project" or "team/project".
        `state`: running, finished, failed, crashed or preempted; `search`: part of an id, name, tag or group."""
        from runstream_proto.v1 import query_pb2 as pb

        if state and state not in STATES:
            raise InvalidRequestError(f"state is {state!r}: use one of {', '.join(STATES)}")
        team, project = split_path(path, 2)
        request = pb.ListRunsRequest(
            team=team,
            project=project,
            state=STATES.get(state, 0),  # type: ignore[arg-type]  # the enum's numbers
            search=search,
            page_size=per_page,
        )
        while True:
            response = self.ask("ListRuns", request)
            yield from (Run(self, found) for found in response.runs)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def project(self, path: str) -> Project:
        """A project by "project" or "team/project". Raises NotFoundError."""
        team, name = split_path(path, 2)
        found = self.projects(team)
        fits = [project for project in found if project.name == name]
        if not fits:
            raise NotFoundError(f"there is no project {path!r}")
        return fits[0]

    def run(self, path: str) -> Run:
        """One run with everything about it. `path`: "project/run" or "team/project/run"."""
        from runstream_proto.v1 import query_pb2 as pb

        team, project, run = split_path(path, 3)
        return Run(self, self.ask("GetRun", pb.GetRunRequest(team=team, project=project, run=run)))

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
        team, project = split_path(path, 2)
        request = pb.RankRunsRequest(
            team=team,
            project=project,
            metric=metric,
            aggregate=_AGGREGATES[by],  # type: ignore[arg-type]  # the enum's numbers
            ascending=goal == "minimize",
            limit=k,
            sweep_id=sweep,
        )
        return [(found.value, Run(self, found.run)) for found in self.ask("RankRuns", request).runs]

    def watch(
        self,
        path: str,
        runs: Sequence[str] | str = (),
        metrics: Sequence[str] | str = (),
        ranks: Sequence[int] = (),
        console: bool = False,
        signs_of_life: bool = False,
    ) -> live.Watch:
        """What arrives in a project from now on, until you close it: iterate over `WatchRunsResponse` messages, one
        about each half second that has something: points, fields, console lines and alerts of `runs`, and their
        states; without runs, new runs and states of the whole project.

        `metrics`: names, or patterns with * and ?; `ranks`: of points, none: all. After a lost connection it goes on
        where it was; where that is not possible, a response says so in `reset`: ask for the past anew. With
        `signs_of_life`, responses without contents too, every 5 s. Raises ApiError when the question is wrong.
        """
        return live.Watch(self, path, runs, metrics, ranks, console, signs_of_life)

    def stream(self, method: str, request: Any, timeout_s: float | None = None) -> Any:
        """A gRPC call whose responses are iterated over, and which `cancel()` ends."""
        return getattr(self._stub, method)(request, metadata=self.metadata, timeout=timeout_s)

    def ask(self, method: str, request: Any) -> Any:
        """Raises ApiError of the kind that fits."""
        import grpc

        try:
            return getattr(self._stub, method)(request, metadata=self.metadata, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from None

    @cached_property
    def _stub(self) -> Any:
        import grpc

        from runstream_proto.v1 import query_pb2_grpc as rpc

        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            # While something is asked or watched: a server that is gone without a word is noticed.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ]
        address = self._settings.query_address
        if self._settings.tls:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=options)
        else:
            channel = grpc.insecure_channel(address, options=options)
        return rpc.QueryServiceStub(channel)
