"""Named places in the code at which a fault can be made to happen, for the fault laboratory.

`RUNSTREAM_FAILPOINTS="writer.before_commit:kill:3,writer.insert_applied:error:1"`: at the third passage die by SIGKILL,
at the first raise. `writer.prepare:MemoryError:@bad` raises a MemoryError at each passage of the run `bad`. Without the
variable a passage costs one look into an empty dict.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from asyncio import CancelledError
from dataclasses import dataclass

from runstream_common.service.config import ConfigError

_VARIABLE = "RUNSTREAM_FAILPOINTS"
_EXCEPTIONS: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        ArithmeticError, AssertionError, AttributeError, BufferError, CancelledError, EOFError, GeneratorExit,
        ImportError, IndexError, KeyError, LookupError, MemoryError, NotImplementedError, OSError, OverflowError,
        RecursionError, RuntimeError, StopAsyncIteration, StopIteration, SystemError, TimeoutError, TypeError,
        UnicodeError, ValueError, ZeroDivisionError,
    )
} | {"struct.error": struct.error}  # fmt: skip
_ACTIONS = ("kill", "error", "sleep", *_EXCEPTIONS)
SLEEP_S = 3.0


class InjectedFaultError(Exception):
    """The error that the action `error` raises. The code at the failpoint decides which real error it stands for."""


@dataclass(slots=True)
class _Failpoint:
    action: str
    passages_left: int
    subject: str = ""
    """The fault happens at each passage of this subject and no other; empty: at one passage, given by its number."""


def _parse(text: str) -> dict[str, list[_Failpoint]]:
    found: dict[str, list[_Failpoint]] = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        action, _, passage = rest.partition(":")
        subject = passage[1:] if passage.startswith("@") else ""
        if action not in _ACTIONS or not (subject or (passage or "1").isdigit()):
            raise ConfigError(f"{_VARIABLE} is {text!r}: give name:{'|'.join(_ACTIONS)}:passage or @subject[,...]")
        point = _Failpoint(action, 0 if subject else int(passage or "1"), subject)
        found.setdefault(name, []).append(point)
    return found


_ACTIVE = _parse(os.environ.get(_VARIABLE, ""))


def passage(name: str, subject: str = "") -> None:
    """Die, raise, or sleep where the environment asks for it.

    This happens at one passage, or at each passage of the `subject` that the environment names.
    """
    for point in list(_ACTIVE.get(name, ())):
        if point.subject:
            if point.subject == subject:
                _act(point.action, name)
            continue
        point.passages_left -= 1
        if not point.passages_left:
            _ACTIVE[name].remove(point)
            _act(point.action, name)


def _act(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "sleep":
        time.sleep(SLEEP_S)
    else:
        raise _EXCEPTIONS.get(action, InjectedFaultError)(name)
