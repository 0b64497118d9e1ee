"""Names in requests: checked, defaulted, and, when unknown, answered with the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from runstream_common.control.store import ControlStore, Principal
from runstream_common.identity import InvalidNameError, check_name, full_project
from runstream_query.errors import InvalidQuestionError, UnknownNameError


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that names what was perhaps meant; empty when nothing is near."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; near it: {', '.join(found)}" if found else ""


class Names:
    """Resolves team and project for a caller. A team that the caller cannot read is as unknown as one that is not."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    def team(self, principal: Principal, team: str) -> str:
        """Raises InvalidQuestionError, UnknownNameError."""
        team = team or principal.default_team
        check("team", team)
        if not principal.can_read(team):
            raise UnknownNameError(f"there is no team {team!r} that you can read{nearest(team, principal.roles)}")
        return team

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """`team/project`, which exists. Raises InvalidQuestionError, UnknownNameError."""
        team = self.team(principal, team)
        check("project", project)
        known = [row.project for row in await self._store.projects(principal, team)]
        if project not in known:
            raise UnknownNameError(f"there is no project {project!r} in {team}{nearest(project, known)}")
        return full_project(team, project)


def check(what: str, name: str) -> None:
    """Raises InvalidQuestionError where `name` cannot name a team, project or run."""
    try:
        check_name(what, name)
    except InvalidNameError as error:
        raise InvalidQuestionError(str(error)) from error
