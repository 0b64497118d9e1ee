"""Named places in the code at which a fault can be made to happen, for the fault laboratory.

`RUNSTREAM_FAILPOINTS="writer.before_commit:kill:3,writer.insert_applied:error:1"`: at the third passage die by SIGKILL,
at the first raise. Without the variable a passage costs one look into an empty dict.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from runstream_common.config import ConfigError

_VARIABLE = "RUNSTREAM_FAILPOINTS"
_ACTIONS = ("kill", "error", "sleep")
SLEEP_S = 3.0


class InjectedFaultError(Exception):
    """What the action `error` raises: the place decides what it stands for."""


@dataclass(slots=True)
class _Failpoint:
    action: str
    passages_left: int


def _parse(text: str) -> dict[str, _Failpoint]:
    found: dict[str, _Failpoint] = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        action, _, passage = rest.partition(":")
        if action not in _ACTIONS or not (passage or "1").isdigit():
            raise ConfigError(f"{_VARIABLE} is {text!r}: give name:{'|'.join(_ACTIONS)}:passage[,...]")
        found[name] = _Failpoint(action, int(passage or "1"))
    return found


_ACTIVE = _parse(os.environ.get(_VARIABLE, ""))


def passage(name: str) -> None:
    """Die, raise InjectedFaultError, or sleep, where the environment says so; once."""
    point = _ACTIVE.get(name)
    if point is None:
        return
    point.passages_left -= 1
    if point.passages_left:
        return
    del _ACTIVE[name]
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "sleep":
        time.sleep(SLEEP_S)
    else:
        raise InjectedFaultError(name)
