"""`runstream.agent()`: find the sweep, and run its trials with a function or with the sweep's own program."""

from __future__ import annotations

import signal
from collections.abc import Callable

from runstream.errors import UsageError
from runstream.sweeps.registration import open_session


def run_agent(
    sweep_id: str,
    function: Callable[[], object] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    *,
    after_trial: Callable[[], None],
) -> None:
    """See `runstream.agent`. Call `after_trial` when the runs of a function's trial are finished."""
    if count is not None and (not isinstance(count, int) or count < 1):
        raise UsageError(f"count is {count!r}: give how many trials to run, 1 or more, or leave it out")
    if function is not None and not callable(function):
        raise UsageError(f"the agent's function is {function!r}: give what can be called without arguments")
    session = open_session(sweep_id, entity, project)
    try:
        if function is not None:
            from runstream.sweeps.function_agent import FunctionAgent

            FunctionAgent(session, function, count, after_trial).run()
        else:
            from runstream.sweeps.command_agent import CommandAgent

            number = CommandAgent(session, count=count).run()
            if number:
                raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
    finally:
        session.close()
