"""The shared part of the services' command lines: run parts until told to end, report errors in one line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

import structlog

from runstream_common.errors import ReportedError
from runstream_common.service.config import Env
from runstream_common.service.logging import configure_logging
from runstream_common.service.os_process import until_told_to_end

LOG = structlog.get_logger()


def run_service(
    name: str, description: str | None, argv: list[str] | None, serve: Callable[[Env], Awaitable[None]]
) -> int:
    """Parse the common options and run `serve`. Turn known errors into one line and exit status 1."""
    parser = argparse.ArgumentParser(
        prog=f"runstream {name}",
        description=description,
        epilog="Settings: RUNSTREAM_* variables, see docs/settings.md.",
    )
    parser.parse_args(argv)
    env = Env()
    try:
        configure_logging(name, env.text("RUNSTREAM_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")))
        _install_uvloop()
        asyncio.run(_main(serve, env))
    except (ReportedError, OSError) as error:
        print(f"runstream {name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _main(serve: Callable[[Env], Awaitable[None]], env: Env) -> None:
    await serve(env)


async def until_end_or_failure(*parts: Awaitable[None]) -> None:
    """Wait for a signal, or for a part to end by itself; then raise what it raised."""
    told = asyncio.ensure_future(until_told_to_end())
    tasks = [asyncio.ensure_future(part) for part in parts]
    done, pending = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        result = task.result()
        LOG.info("stopping", reason=result or "a part ended")


def _install_uvloop() -> None:
    import uvloop

    uvloop.install()
