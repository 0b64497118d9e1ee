"""The meaning of a second `init()` while a run is open: W&B's `reinit`, and the rule without it (decision 24)."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runstream.base.notices import Notices
from runstream.base.plain import to_plain
from runstream.errors import UsageError
from runstream.runs.config import as_mapping, selected

if TYPE_CHECKING:
    from runstream.runs.run import Run

RETURN, FINISH, CREATE = "return_previous", "finish_previous", "create_new"
_FACTS = {"project": "project", "entity": "entity", "id": "id", "name": "name", "notes": "notes", "tags": "tags"}
_FACTS |= {"group": "group", "job_type": "job_type", "rank": "rank", "world_size": "world_size"}
"""Maps arguments of `init()` to the attributes of a run with the same meaning."""


def choose(run: Run, reinit: str | bool | None, arguments: Mapping[str, object]) -> str:
    """Return RETURN, FINISH or CREATE for an `init()` while `run` is open, and report a choice that nobody made.

    Without `reinit`: in a notebook the former run is finished, as W&B does. In a script a call that describes another
    run (another name, another value of the config, ...) finishes the former run; any other call returns it.
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
    """Return in words how `arguments` describe another run than `run`; return an empty text when they fit it."""
    for argument, attribute in _FACTS.items():
        given, held = arguments.get(argument), getattr(run, attribute)
        if argument == "tags" and given is not None:
            given = (given,) if isinstance(given, str) else tuple(map(str, given))
        if argument == "entity" and not held:
            continue  # the run has the API key's default team, whose name is not known here
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


def add_config(run: Run, arguments: Mapping[str, object]) -> None:
    """Set the config keys of a call that got the open run back, where the run does not have them yet."""
    run.config.setdefaults(_config(arguments))


def _config(arguments: Mapping[str, Any]) -> Mapping[str, object]:
    include: Iterable[str] | None = arguments.get("config_include_keys")
    try:
        return selected(as_mapping(arguments.get("config")), include, arguments.get("config_exclude_keys"))
    except Exception:  # noqa: BLE001  # the start of a run with this config reports what is wrong with it
        return {}


def _short(value: object) -> str:
    text = repr(to_plain(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _in_notebook() -> bool:
    """Return whether a kernel runs this: IPython in a terminal counts as a script."""
    shell = getattr(builtins, "get_ipython", None)
    try:
        return callable(shell) and getattr(shell(), "kernel", None) is not None
    except Exception:  # noqa: BLE001  # the object of this name may be anything
        return False
