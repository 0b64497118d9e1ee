"""Sentences about trials, for people."""

from __future__ import annotations

import sys

from runstream.runs.active_trial import StopOrder
from runstream.sweeps import agent_session as outcomes
from runstream.sweeps.agent_session import AgentReply


def ending(outcome: str, answer: AgentReply, message: str, order: StopOrder | None) -> str:
    """Describe how a trial ended, for people."""
    if answer.untold:
        return "is over here; the server could not be told: the lease runs out by itself"
    if not answer.accepted:
        return "was another agent's by then: what it did here does not count"
    state = answer.trial.state if answer.trial is not None else outcome.lower()
    text = "goes back to the pool" if state == "queued" and outcome != outcomes.FAILED else state
    if outcome == outcomes.FAILED:
        text = f"failed{', and will be tried again' if state == 'queued' else ''}: {message}"
    elif order is not None:
        text += f": {order.reason}"
    values = answer.trial.values if answer.trial is not None else ()
    return text + (f" ({', '.join(f'{value:.6g}' for value in values)})" if values else "")


def shown(parameters: dict[str, object], width: int = 100, digits: int = 6) -> str:
    """Return parameters in one line of at most `width` characters."""
    text = " ".join(f"{name}={number(value, digits)}" for name, value in parameters.items())
    return text if len(text) <= width else text[: width - 1] + "…"


def number(value: object, digits: int = 6) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # people read the exception of their function
