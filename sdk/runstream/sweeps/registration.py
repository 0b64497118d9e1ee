"""The registration of an agent with its sweep."""

from __future__ import annotations

from runstream.base.notices import Notices
from runstream.errors import NotFoundError, RunstreamError
from runstream.sweeps.agent_session import AgentSession
from runstream.sweeps.client import Client
from runstream.sweeps.sweep_info import SweepInfo, parse_path


class AgentStoppedError(RunstreamError):
    """The server stopped this agent, because its trials fail one after the other."""


def open_session(
    path: str, entity: str | None = None, project: str | None = None, name: str = "", client: Client | None = None
) -> AgentSession:
    """Return the session of an agent that is registered with the sweep.

    Raises NotFoundError where the sweep is not in the path's team or project.
    """
    team, named, sweep = parse_path(path, entity, project)
    client = client or Client()
    notices = Notices(client.settings.silent, strict=False)
    session = AgentSession(client, sweep, name, say=lambda sentence: notices.say(f"agent: {sentence}"))
    check_place(session.open(), team, named)
    return session


def check_place(info: SweepInfo, team: str, project: str) -> None:
    """Check that the sweep is in this team and project. Raises NotFoundError."""
    if (team and team != info.team) or (project and project != info.project):
        raise NotFoundError(f"the sweep {info.id} is not in {team or info.team}/{project or info.project}: {info.path}")
