"""The commands that the server packages add to the `runstream` command line, as entry points."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

from runstream.errors import RunstreamError

_GROUP = "runstream.commands"


def server_command(command: str) -> Callable[[list[str]], int]:
    """Return the function of the server's packages for a command.

    Raises RunstreamError where they are not installed.
    """
    for entry in importlib.metadata.entry_points(group=_GROUP, name=command):
        try:
            return entry.load()  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            raise RunstreamError(f"needs the package {error.name}: pip install 'runstream[server]'") from error
    raise RunstreamError("there is no such command: see `runstream --help`")
