"""What a second `init()` means while a run is open: W&B's `reinit`, and what holds without it (decision 24)."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runstream._config import as_mapping, selected
from runstream.errors import UsageError
from runstream.notices import Notices
from runstream.plain import to_plain

if TYPE_CHECKING:
    from runstream._run import Run

RETURN, FINISH, CREATE = "return_previous", "finish_previous", "create_new"
_FACTS = {"project": "project", "entity": "entity", "id": "id", "name": "name", "notes": "notes", "tags": "tags"}
_FACTS |= {"group": "group", "job_type": "job_type", "rank": "rank", "world_size": "world_size"}
"""Arguments of `init()`, and the attributes of a run that say the same."""


def choose(run: Run, reinit: str | bool | None, arguments: Mapping[str, Any]) -> str:
    """Return RETURN, FINISH or CREATE for an `init()` that is called while `run` is open, and say what nobody chose.

    Without `reinit`: in a notebook the former run is finished, as W&B does. In a script a call that describes another
    run (another name, another value of the config, ...) finishes the former; one that says nothing else returns it.
    Raises UsageError when `reinit` is none of W&B's words.
    """
    if reinit is True:
        return FINISH
    if reinit is False:
        return RETURN
    if reinit in (RETURN, FINISH, CREATE):
        return reinit
    if reinit not in (None, "default"):
        raise UsageError(f"reinit is {reinit!r}: use default, {RETURN}, {FINISH} or {CREATE}")
    what = "this is a notebook" if _in_notebook() else difference(run, arguments)
    notices = Notices(run.settings.silent, strict=False)
    if what:
        notices.say(
            f"init(): run {run.name} ({run.path}) was open and is finished first: {what}. "
            f"Give reinit={RETURN!r} to go on with it, or {CREATE!r} to have both"
        )
        return FINISH
    notices.say(
        f"init(): run {run.name} ({run.path}) is open: it goes on, and this call begins no other. "
        f"Give reinit={FINISH!r} to begin one, or call finish() before"
    )
    return RETURN


def difference(run: Run, arguments: Mapping[str, Any]) -> str:
    """Return what `arguments` say of another run than `run`, in words; empty when they fit it."""
    for argument, attribute in _FACTS.items():
        given, held = arguments.get(argument), getattr(run, attribute)
        if argument == "tags" and given is not None:
            given = (given,) if isinstance(given, str) else tuple(map(str, given))
        if argument == "entity" and not held:
            continue  # the API key's default team, whose name is not known here
        if given is not None and given != held:
            return f"{argument} is {given!r} now, and was {held!r}"
    if arguments.get("mode") not in (
        None,
        run.settings.mode,
        {"online": "shared", "offline": "dryrun"}.get(run.settings.mode),
    ):
        return f"mode is {arguments['mode']!r} now, and was {run.settings.mode!r}"
    for key, value in _config(arguments).items():
        if key in run.config and to_plain(run.config[key]) != to_plain(value):
            return f"config.{key} is {_short(value)} now, and was {_short(run.config[key])}"
    return ""


def add_config(run: Run, arguments: Mapping[str, Any]) -> None:
    """Set the keys that a call which got the open run gives, and that the run does not have yet."""
    run.config.setdefaults(_config(arguments))


def _config(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    include: Iterable[str] | None = arguments.get("config_include_keys")
    try:
        return selected(as_mapping(arguments.get("config")), include, arguments.get("config_exclude_keys"))
    except Exception:  # noqa: BLE001  # who begins a run with it says what is wrong with it
        return {}


def _short(value: object) -> str:
    text = repr(to_plain(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _in_notebook() -> bool:
    """Whether a kernel runs this: IPython in a terminal is a script."""
    shell = getattr(builtins, "get_ipython", None)
    try:
        return callable(shell) and getattr(shell(), "kernel", None) is not None
    except Exception:  # noqa: BLE001  # whatever stands there under this name
        return False
