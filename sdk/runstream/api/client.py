"""`Api`: what is stored, from a program. Imports gRPC with the first question, not before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from runstream.api import comparing, ranking
from runstream.api.comparing import Comparison, Group
from runstream.api.convert import split_path
from runstream.api.errors import AuthenticationError, InvalidRequestError, NotFoundError, translated
from runstream.api.projects import Project
from runstream.api.ranking import Importance, Objective, ParetoRun
from runstream.api.runs import STATES, Run
from runstream.credentials import Credentials
from runstream.settings import Settings

_MAX_MESSAGE_BYTES = 64 << 20


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
        self,
        path: str,
        metric: str,
        k: int = 10,
        goal: str = "maximize",
        by: str = "last",
        sweep: str = "",
        filters: Mapping[str, Any] | None = None,
        at: str = "",
        at_goal: str = "minimize",
    ) -> list[tuple[float, Run]]:
        """The best K runs of a project by a metric, with its value; NaN last, ties by run id. `goal`: maximize or
        minimize; `by`: last (mean over the ranks' last values), min, max or mean (over all ranks and steps); `at`: rank
        by the metric's value at the step where this one is lowest (or highest: `at_goal`); `filters` as in `runs`."""
        return ranking.rank(self, path, Objective(metric, goal, by, at, at_goal), k, filters, sweep)

    def pareto(self, path: str, objectives: Sequence[Objective | str], **options: Any) -> list[ParetoRun]:
        """The runs that no other beats in all objectives. Options: `layers` (what is left when they are taken away, and
        so on), `filters`, `sweep`."""
        return ranking.pareto(self, path, objectives, **options)

    def importance(self, path: str, objective: Objective | str, **options: Any) -> Importance:
        """Which config keys matter for a metric. Options: `parameters` (all that vary), `seed`, `filters`, `sweep`."""
        return ranking.importance(self, path, objective, **options)

    def compare(self, path: str, runs: Sequence[str], everything: bool = False) -> Comparison:
        """What differs between 2 to 20 runs of a project: config, summary, environment, code."""
        return comparing.compare(self, path, runs, everything)

    def groups(self, path: str, by: Sequence[str] | str = (), **options: Any) -> list[Group]:
        """How many runs there are for each value of some fields ("config.opt", "state"). Options: `metrics` (summary
        keys to aggregate), `filters`, `limit` (100 groups)."""
        return comparing.groups(self, path, by, **options)

    def fields(self, path: str, **options: Any) -> dict[str, int]:
        """The config and summary keys of a project and how many runs have them. Options: `glob`, `regex`, `search`."""
        return comparing.fields(self, path, **options)

    def ask(self, method: str, request: Any) -> Any:
        """Raises ApiError of the kind that fits."""
        import grpc

        try:
            return getattr(self._stub, method)(request, metadata=self._metadata, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise translated(error) from None

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
