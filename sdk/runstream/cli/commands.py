"""The commands of `runstream`, and the function of each. `server_commands.py` finds those of the server packages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from runstream.errors import RunstreamError
from runstream.version import VERSION

_OWN: dict[str, str] = {
    "login": "remember an API key for a server",
    "sync": "send what waits in a spool folder",
    "status": "what waits in the spool, and why",
    "spool": "streams that cannot be sent: list, set aside, restore; refused batches: list, send again",
    "sweep": "make a sweep from its configuration; show, best, list, pause, resume, stop, cancel",
    "agent": "run a sweep's trials on this machine",
    "doctor": "say what is wrong, when something is: of this machine, or of `up` with --data",
    "verify": "is everything stored that a run logged? complete, or what is missing",
    "export": "a project into a folder of Parquet files",
    "import": "such a folder into a project",
    "delete": "delete a run, a metric of it, or a project, for good",
    "sql": "ask with SELECT, print a table",
    "retention": "delete a project's runs by themselves after so many days",
}
_SERVER: dict[str, str] = {
    "up": "everything on this machine, in one command",
    "deadletter": "what could not be stored: list, show, replay",
    "control": "the control database of `up`: check, copy, restore a copy",
    "repair": "say what runs lack, and replay what the topic or a spool still holds",
    "key": "make, list and revoke API keys; links that log a browser in",
    "migrate": "bring the databases to this version's schema",
    "gateway": "gRPC in, Kafka out",
    "writer": "Kafka in, ClickHouse out",
    "ingest": "gateway and writer in one process, without Kafka",
    "query": "answer questions over gRPC and HTTP",
    "clickhouse": "the embedded ClickHouse alone",
}


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"runstream {VERSION}")
        return 0
    command, rest = arguments[0], arguments[1:]
    try:
        run = _find(command)
        return run(rest)
    except RunstreamError as error:
        print(f"runstream {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _help() -> str:
    lines = ["usage: runstream COMMAND [OPTION ...]", ""]
    for title, commands in (("Logging:", _OWN), ("Serving (pip install 'runstream[server]'):", _SERVER)):
        lines += [title, *(f"  {name:<12}{meaning}" for name, meaning in commands.items()), ""]
    return "\n".join([*lines, "runstream COMMAND --help says more."])


def _find(command: str) -> Callable[[list[str]], int]:
    own = {"login": _login, "sync": _sync, "status": _status}
    if command in own:
        return own[command]
    if command in ("sweep", "agent"):
        from runstream.cli import sweep_commands

        return getattr(sweep_commands, command)  # type: ignore[no-any-return]
    if command in ("verify", "delete", "retention"):
        from runstream.cli import stored_runs

        return getattr(stored_runs, command)  # type: ignore[no-any-return]
    if command == "spool":
        from runstream.cli.spool_command import main as spool

        return spool
    if command == "sql":
        from runstream.cli.sql_command import main as run_sql

        return run_sql
    if command in ("export", "import"):
        from runstream.cli import archive_commands

        return archive_commands.export if command == "export" else archive_commands.import_
    if command == "doctor":  # looks at a client, too, where no server is installed
        from runstream.cli.doctor import main as look

        return look
    from runstream.cli.server_commands import server_command

    return server_command(command)


def _login(argv: list[str]) -> int:
    from runstream.server.login import login

    parser = argparse.ArgumentParser(prog="runstream login", description=_OWN["login"])
    parser.add_argument("key", nargs="?", help="the key; asked for when it is left out")
    parser.add_argument("--host", help="the server's address, http://host:7461; default: RUNSTREAM_BASE_URL")
    parser.add_argument("--relogin", action="store_true", help="ask again although a key is known")
    arguments = parser.parse_args(argv)
    login(arguments.key, arguments.host, relogin=arguments.relogin)
    print("runstream: the key is stored")
    return 0


def _sync(argv: list[str]) -> int:
    from runstream.cli.sync import sync

    parser = argparse.ArgumentParser(prog="runstream sync", description=_OWN["sync"])
    parser.add_argument("dir", nargs="?", type=Path, help="spool folder; default: RUNSTREAM_DIR")
    parser.add_argument("--timeout", type=float, default=600.0, help="give up after so many seconds without progress")
    arguments = parser.parse_args(argv)
    return sync(arguments.dir, arguments.timeout)


def _status(argv: list[str]) -> int:
    from runstream.cli.sync import status

    parser = argparse.ArgumentParser(prog="runstream status", description=_OWN["status"])
    parser.add_argument("dir", nargs="?", type=Path, help="spool folder; default: RUNSTREAM_DIR")
    return status(parser.parse_args(argv).dir)
