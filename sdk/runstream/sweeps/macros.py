"""The command of a trial, made from the sweep's `command:` and its macros, with the meanings that W&B gave them.

A macro is a list element of its own and becomes any number of arguments; only `${envvar:NAME}` also stands within an
element. Values are written as Python writes them: True, None, [1, 2], {'depth': 3}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from runstream.errors import UsageError

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
_VARIABLE = re.compile(r"\$\{envvar:([A-Za-z0-9_]*)\}")


def expand(
    command: Sequence[object] | str | None,
    program: str,
    parameters: Mapping[str, object],
    json_file: Path,
    interpreter: str,
    environment: Mapping[str, str],
) -> list[str]:
    """Return the arguments of the command; the first one is the program.

    `json_file` is written where `${args_json_file}` asks for it. Raises UsageError where the sweep names no program to
    start.
    """
    parts = [command] if isinstance(command, str) else list(command or DEFAULT_COMMAND)
    if "${program}" in parts and not program:
        raise UsageError(
            "the sweep names no program: give `program:` or `command:` in its configuration, "
            "or call runstream.agent(sweep, function)"
        )
    macros = {
        "${env}": lambda: ["/usr/bin/env"],
        "${interpreter}": lambda: [interpreter],
        "${program}": lambda: [program],
        "${args}": lambda: [f"--{name}={value}" for name, value in parameters.items()],
        "${args_no_equals}": lambda: [part for name, value in parameters.items() for part in (f"--{name}", str(value))],
        "${args_no_hyphens}": lambda: [f"{name}={value}" for name, value in parameters.items()],
        "${args_no_boolean_flags}": lambda: _without_false(parameters),
        "${args_json}": lambda: [json.dumps(parameters)],
        "${args_json_file}": lambda: [_written(json_file, parameters)],
    }
    arguments: list[str] = []
    for part in parts:
        text = _VARIABLE.sub(lambda found: environment.get(found[1], found[1]), str(part))
        arguments += macros[text]() if text in macros else [text]
    return arguments


def _without_false(parameters: Mapping[str, object]) -> list[str]:
    """Return the arguments with a true value as a bare flag, and without those that are false."""
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in parameters.items()
        if value is not False
    ]


def _written(path: Path, parameters: Mapping[str, object]) -> str:
    path.write_text(json.dumps(parameters), encoding="utf-8")
    return str(path)
