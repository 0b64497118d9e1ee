"""`runstream.agent()`: find the sweep, and run its trials with a function or with the sweep's own program."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from runstream.api.errors import NotFoundError
from runstream.base.notices import Notices
from runstream.errors import RunstreamError, UsageError
from runstream.sweeps.agent_session import AgentSession
from runstream.sweeps.client import Client
from runstream.sweeps.sweep_info import SweepInfo, parse_path


class AgentStoppedError(RunstreamError):
    """The server stopped this agent, because its trials fail one after the other."""


def run_agent(
    sweep_id: str,
    function: Callable[[], object] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
) -> None:
    """See `runstream.agent`."""
    if count is not None and (not isinstance(count, int) or count < 1):
        raise UsageError(f"count is {count!r}: give how many trials to run, 1 or more, or leave it out")
    if function is not None and not callable(function):
        raise UsageError(f"the agent's function is {function!r}: give what can be called without arguments")
    session = open_session(sweep_id, entity, project)
    try:
        if function is not None:
            from runstream.sweeps.function_agent import FunctionAgent

            FunctionAgent(session, function, count).run()
        else:
            from runstream.sweeps.command_agent import CommandAgent

            number = CommandAgent(session, count=count).run()
            if number:
                raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
    finally:
        session.close()


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


def shown(parameters: dict[str, object], width: int = 100, digits: int = 6) -> str:
    """Return parameters in one line of at most `width` characters."""
    text = " ".join(f"{name}={number(value, digits)}" for name, value in parameters.items())
    return text if len(text) <= width else text[: width - 1] + "…"


def number(value: object, digits: int = 6) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # people read the exception of their function
