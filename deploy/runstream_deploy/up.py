"""`runstream up`: run all services on this machine with one command."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import re
import sys
from pathlib import Path

from runstream_common.clickhouse.client import StorageError
from runstream_common.clickhouse.schema.migrator import SchemaError
from runstream_common.service.config import ConfigError
from runstream_common.service.os_process import until_told_to_end
from runstream_control.errors import ControlError
from runstream_deploy.addresses import Addresses
from runstream_deploy.data_lock import OccupiedError, exclusive
from runstream_deploy.service_processes import ServiceProcessError
from runstream_deploy.stack import KEY_FILE, Stack, UpConfig, write_private

LINK_FILE = "login-link"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream up", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("runstream-data"), help="folder of all data (default: %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address that gateway and query listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--any-ports", action="store_true", help="use free ports instead of 7460 to 7472; DATA/up.json lists them"
    )
    parser.add_argument(
        "--ports",
        metavar="P,P,...",
        help="seven ports: gateway, HTTP, gRPC, ClickHouse, and the health ports of gateway, writer and query",
    )
    parser.add_argument(
        "--clickhouse", metavar="URL", default="", help="use this ClickHouse: http://host:8123/database"
    )
    parser.add_argument("--kafka", metavar="HOST:PORT", default="", help="use this Kafka between gateway and writer")
    parser.add_argument("--team", default="main", help="name of the first team (default: %(default)s)")
    parser.add_argument("--user", default=_user(), help="name of the first user (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        addresses = _addresses(arguments)
    except ConfigError as error:
        parser.error(str(error))
    config = UpConfig(arguments.data, addresses, arguments.team, arguments.user, arguments.clickhouse, arguments.kafka)
    try:
        os.umask(0o077)  # the services inherit it: only this user may read their files
        _make_private(config.data)
        with exclusive(config.data, addresses, config.listening, _say):
            return asyncio.run(_run(config))
    except (ServiceProcessError, OccupiedError, ConfigError, ControlError, StorageError, SchemaError, OSError) as error:
        print(f"runstream up: {error}", file=sys.stderr)
        return 1


def _addresses(arguments: argparse.Namespace) -> Addresses:
    """Return the addresses that the arguments ask for. Raise ConfigError."""
    if arguments.ports:
        return Addresses.on_ports(arguments.host, arguments.ports.split(","))
    return (Addresses.any_free if arguments.any_ports else Addresses.default)(arguments.host)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


async def _run(config: UpConfig) -> int:
    print(f"runstream up: the data folder is {config.data.absolute()}", flush=True)
    stack = Stack(config, _say)
    signalled = asyncio.ensure_future(until_told_to_end())
    starting = asyncio.ensure_future(stack.start())
    try:
        await asyncio.wait([signalled, starting], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return 130
        starting.result()
        _print_ready(config, await stack.login_link())
        failed = asyncio.ensure_future(stack.failed())
        copying = asyncio.ensure_future(stack.copy_control_regularly())
        await asyncio.wait([signalled, failed], return_when=asyncio.FIRST_COMPLETED)
        print("runstream up: stopping the services ...", flush=True)
        if failed.done():
            failed.result()
        failed.cancel()
        copying.cancel()
        return 0
    finally:
        signalled.cancel()
        await stack.stop()
        print("runstream up: stopped; everything acked is on disk", flush=True)


def _print_ready(config: UpConfig, link: str | None) -> None:
    if link:
        print("runstream is up. Open this link in a browser; it works once, within one hour:", flush=True)
        print(f"  {_shown(config, link)}", flush=True)
    else:
        print("runstream is up. Open this address in a browser:", flush=True)
        print(f"  http://{config.addresses.http}", flush=True)
    print("To log from this machine:", flush=True)
    base, gateway, grpc = f"http://{config.addresses.http}", config.addresses.gateway, config.addresses.grpc
    print(f"  export RUNSTREAM_BASE_URL={base}")
    if not (gateway.endswith(":7460") and grpc.endswith(":7462")):
        print(f"  export RUNSTREAM_GATEWAY={gateway} RUNSTREAM_QUERY_GRPC={grpc}")
    print(f"  export RUNSTREAM_API_KEY=$(cat {config.data.absolute() / KEY_FILE})")
    print("Press Ctrl-C to stop; the data are kept.", flush=True)


def _shown(config: UpConfig, link: str) -> str:
    """Return the link on a terminal, elsewhere the place of a private file that has it.

    The output of a service is kept in logs that others read.
    """
    if sys.stdout.isatty():
        return link
    path = config.data.absolute() / LINK_FILE
    write_private(path, link)
    return f"the link in {path}"


def _make_private(folder: Path) -> None:
    """Make the folder, and let only this user read it, also where it existed before. Raise OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
        _say(f"{folder} is readable by you only from now on: it holds keys, and the data that all users log")


def _user() -> str:
    try:
        return re.sub(r"[^A-Za-z0-9._-]", "-", getpass.getuser()) or "admin"
    except (KeyError, OSError):
        return "admin"


if __name__ == "__main__":
    sys.exit(main())
