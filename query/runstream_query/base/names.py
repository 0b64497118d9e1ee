"""Checks names in requests, fills in defaults, and suggests similar names for unknown ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from runstream_common.identity import InvalidNameError, check_name, full_project
from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.storage import Storage

_SUGGESTED_FROM = 10_000
"""Metrics among which a name similar to an unknown one is searched."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a clause that suggests similar names; it is empty when no name is similar."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; near it: {', '.join(found)}" if found else ""


async def unknown_metric(
    storage: Storage, project: str, runs: Sequence[str], metrics: Sequence[str]
) -> tuple[str, str] | None:
    """Return the first of these metrics that none of the runs has, with a clause that suggests similar names.

    No runs: all of the project. None where all are known: each name is asked for, however many metrics the runs have.
    """
    question: dict[str, Any] = {"project": project, "runs": list(runs)}
    wanted = list(dict.fromkeys(metrics))
    rows = await storage.rows("known_metrics", metrics=wanted, limit=len(wanted), **question) if wanted else []
    known = {row["metric"] for row in rows}
    name = next((metric for metric in wanted if metric not in known), None)
    if name is None:
        return None
    others = await storage.rows("known_metrics", metrics=[], limit=_SUGGESTED_FROM, **question)
    return name, nearest(name, (row["metric"] for row in others))


class Names:
    """Resolves team and project for a caller.

    A team that the caller may not read gets the same answer as a team that does not exist.
    """

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    def team(self, principal: Principal, team: str) -> str:
        """Return the team, or the caller's default team. Raises InvalidRequestError, UnknownNameError."""
        team = team or principal.default_team
        check("team", team)
        if not principal.can_read(team):
            raise UnknownNameError(f"there is no team {team!r} that you can read{nearest(team, principal.roles)}")
        return team

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """Return `team/project` of a project that exists. Raises InvalidRequestError, UnknownNameError."""
        team = self.team(principal, team)
        check("project", project)
        known = [row.project for row in await self._store.projects(principal, team)]
        if project not in known:
            raise UnknownNameError(f"there is no project {project!r} in {team}{nearest(project, known)}")
        return full_project(team, project)


def check(what: str, name: str) -> None:
    """Raise InvalidRequestError where `name` cannot name a team, project or run."""
    try:
        check_name(what, name)
    except InvalidNameError as error:
        raise InvalidRequestError(str(error)) from error
