"""A user's side of a case: scripts that train, and what is stored of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runstream_common.clickhouse.client import connect
from tests.support.stack import ServiceStack


@dataclass(frozen=True, slots=True)
class Played:
    """What a script left on the terminal."""

    code: int
    out: str
    err: str


def play(script: str, *arguments: str | bytes, timeout_s: float = 60.0, **variables: str) -> Played:
    """Run `script` in a process of its own, with this process's variables and `variables`. Never raises for its exit
    code: the case asks for what it expects."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        env={**os.environ, **variables},
        timeout=timeout_s,
        check=False,
    )
    return Played(done.returncode, done.stdout, done.stderr)


def command(*arguments: str, timeout_s: float = 60.0, **variables: str) -> Played:
    """Run the `runstream` command."""
    return play(
        "import sys; from runstream.cli import main; sys.exit(main())", *arguments, timeout_s=timeout_s, **variables
    )


def rows(stack: ServiceStack, question: str, **parameters: Any) -> list[Sequence[Any]]:
    """Ask ClickHouse itself, past the query service."""

    async def ask() -> list[Sequence[Any]]:
        client = await connect(stack.clickhouse.config)
        try:
            return list((await client.query(question, parameters=parameters)).result_rows)
        finally:
            await client.close()

    return asyncio.run(ask())
