"""`Api`: read what is stored on the server from a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runstream.api import comparing, live, ranking
from runstream.api.comparing import Comparison, Group
from runstream.api.connection import Connection
from runstream.api.convert import split_path
from runstream.api.listing import StoredRuns
from runstream.api.projects import Project
from runstream.api.ranking import Importance, Objective, ParetoRun
from runstream.api.runs import StoredRun, read_run
from runstream.api.verdicts import verdicts
from runstream.errors import NotFoundError

if TYPE_CHECKING:
    from typing import Unpack

    from runstream.api.ask_tell import Sweep
    from runstream.api.comparing import FieldOptions, GroupOptions
    from runstream.api.ranking import ImportanceOptions, ParetoOptions


class Api(Connection):
    """A client that reads projects, runs and curves. Several threads may use it.

    `base_url` and `api_key` come from `RUNSTREAM_*` variables by default, then from the file of `login()`.
    """

    def projects(self, entity: str = "") -> list[Project]:
        """Return the projects of a team, or of all of your teams."""
        from runstream_proto.v1 import query_pb2 as pb

        response = self.ask("ListProjects", pb.ListProjectsRequest(team=entity))
        return [Project(self, found) for found in response.projects]

    def runs(
        self,
        path: str,
        filters: Mapping[str, object] | str | None = None,
        order: str | Sequence[str] = "+created_at",
        per_page: int = 50,
        *,
        state: str = "",
        search: str = "",
        fields: Sequence[str] = (),
    ) -> StoredRuns:
        """Return the runs of a project, oldest first. `path`: "project" or "team/project".

        `filters`: W&B's query language, `{"state": "finished", "config.lr": {"$lt": 0.01}}`, or its JSON; `order`: a
        field, or several, each with "+" or "-" before it. Both know state, tags, group, jobType, displayName,
        createdAt, duration, `config.KEY` and `summary_metrics.KEY`.
        `state`: running, finished, failed, crashed or preempted; `search`: part of an id, name, tag or group.
        `fields`: the config and summary columns to fetch, `config.KEY` or `summary.KEY` with * and ?; empty: all.
        """
        return StoredRuns(self, path, filters, order, per_page, state, search, fields)

    def project(self, path: str) -> Project:
        """Return the project at "project" or "team/project". Raises NotFoundError."""
        team, name = split_path(path, 2)
        found = self.projects(team)
        fits = [project for project in found if project.name == name]
        if not fits:
            raise NotFoundError(f"there is no project {path!r}")
        return fits[0]

    def run(self, path: str) -> StoredRun:
        """Return one run with everything about it. `path`: "project/run" or "team/project/run"."""
        return read_run(self, path)

    def verdicts(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the id of each run of a project with the value of its `StoredRun.completeness`.

        The server judges many runs in one request. `path`: "project" or "team/project".
        """
        return verdicts(self, path)

    def sweep(self, path: str) -> Sweep:
        """Return the sweep at "SWEEP", "project/SWEEP" or "team/project/SWEEP". Raises NotFoundError."""
        from runstream.api.ask_tell import Sweep
        from runstream.sweeps.client import Client

        return Sweep(path, client=Client(self._settings))

    def rank(
        self,
        path: str,
        metric: str,
        k: int = 10,
        goal: str = "maximize",
        by: str = "last",
        sweep: str = "",
        filters: Mapping[str, object] | None = None,
        at: str = "",
        at_goal: str = "minimize",
    ) -> list[tuple[float, StoredRun]]:
        """Return the best K runs of a project by a metric, each with its value. NaN sorts last, and ties by run id.

        `goal`: maximize or minimize; `by`: last (mean over the ranks' last values), min, max or mean (over all ranks
        and steps); `at`: rank by the metric's value at the step where the metric `at` is lowest (or highest:
        `at_goal`); `filters` as in `runs`.
        """
        return ranking.rank(self, path, Objective(metric, goal, by, at, at_goal), k, filters, sweep)

    def pareto(
        self, path: str, objectives: Sequence[Objective | str], **options: Unpack[ParetoOptions]
    ) -> list[ParetoRun]:
        """Return the runs that no other run beats in all objectives.

        Options: `layers` (how many fronts; each is computed from the runs that the fronts before it left), `filters`,
        `sweep`.
        """
        return ranking.pareto(self, path, objectives, **options)

    def importance(self, path: str, objective: Objective | str, **options: Unpack[ImportanceOptions]) -> Importance:
        """Return how much each config key matters for a metric.

        Options: `parameters` (default: all keys that vary), `seed`, `filters`, `sweep`.
        """
        return ranking.importance(self, path, objective, **options)

    def compare(self, path: str, runs: Sequence[str], everything: bool = False) -> Comparison:
        """Return the differences between 2 to 20 runs of a project: config, summary, environment, code."""
        return comparing.compare(self, path, runs, everything)

    def groups(self, path: str, by: Sequence[str] | str = (), **options: Unpack[GroupOptions]) -> list[Group]:
        """Return how many runs there are for each value of some fields ("config.opt", "state").

        Options: `metrics` (summary keys to aggregate), `filters`, `limit` (only the largest groups, this many). Without
        a limit all groups come, or IncompleteResultError is raised where there are more than 1000.
        """
        return comparing.groups(self, path, by, **options)

    def fields(self, path: str, **options: Unpack[FieldOptions]) -> dict[str, int]:
        """Return the config and summary keys of a project, and how many runs have each.

        Options: `glob`, `regex`, `search`.
        """
        return comparing.fields(self, path, **options)

    def sql(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        entity: str = "",
        max_rows: int = 0,
        format: str = "rows",
    ) -> Any:
        """Run a SELECT over the views of docs/sql.md, with the rows of your teams (`entity`: of one team).

        `parameters`: values for `{name:Type}` in the text, which are never read as SQL. `format`: "rows" (a list of
        dicts; at most 10,000), "pandas" (at most 10,000), or "arrow" (a pyarrow table; at most a million). The answer
        is complete, or IncompleteResultError is raised; with `max_rows` only that many first rows come. The server ends
        a query that takes too long.
        """
        from runstream.api.sql import whole

        return whole(self, sql, parameters, entity=entity, max_rows=max_rows, form=format)

    def watch(
        self,
        path: str,
        runs: Sequence[str] | str = (),
        metrics: Sequence[str] | str = (),
        ranks: Sequence[int] = (),
        console: bool = False,
        signs_of_life: bool = False,
    ) -> live.Watch:
        """Return an iterator over what arrives in a project from now on, until you close it.

        It yields `WatchRunsResponse` messages, at most about one each half second: points, fields, console lines and
        alerts of `runs`, and their states. Without `runs` it yields new runs and states of the whole project.

        `metrics`: names, or patterns with * and ?; `ranks`: the ranks whose points come, empty: all. After a lost
        connection the iteration goes on where it was. Where that is not possible, a response says so in `reset`: read
        the past again. With `signs_of_life`, responses without contents come too, every 5 s. Raises ApiError when the
        request is wrong.
        """
        return live.Watch(self, path, runs, metrics, ranks, console, signs_of_life)
