"""`runstream key create | list | revoke | link`: manage API keys, on the machine that has the control database."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

from runstream_common.service.config import ConfigError, Env
from runstream_common.times import from_us
from runstream_control.control_store import ControlStore
from runstream_control.errors import ControlError
from runstream_control.principal import Role
from runstream_control.sessions import LINK_LIFETIME_S, SessionStore, login_address


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except (ConfigError, ControlError) as error:
        print(f"runstream key: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    database = argparse.ArgumentParser(add_help=False)
    database.add_argument("--control-url", default=argparse.SUPPRESS, help="database; default: RUNSTREAM_CONTROL_URL")
    # The option may stand before and after the command: a default of the latter would override the former.
    parser = argparse.ArgumentParser(prog="runstream key", description=__doc__, parents=[database])
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, meaning: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=meaning, description=meaning, parents=[database])

    create = command("create", "make a key and print it, this once")
    create.add_argument("--team", required=True)
    create.add_argument("--user", default=getpass.getuser())
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.MEMBER.value)
    command("list", "all keys, without their secret part")
    revoke = command("revoke", "end a key; open streams end within seconds")
    revoke.add_argument("prefix", help="rs_<12 hex digits>")
    link = command("link", "print a link that logs a browser in, once, within the hour")
    link.add_argument("prefix", help="rs_<12 hex digits> of the key whose user it is for")
    link.add_argument("--base-url", help="of the page; default: RUNSTREAM_BASE_URL, or http://127.0.0.1:7461")
    return parser


async def _run(arguments: argparse.Namespace) -> int:
    url = getattr(arguments, "control_url", "") or Env().text("RUNSTREAM_CONTROL_URL", "")
    if not url:
        raise ConfigError("no control database: give --control-url or set RUNSTREAM_CONTROL_URL")
    store = ControlStore.open(url)
    try:
        await store.check_schema()
        if arguments.command == "create":
            print(await store.create_api_key(arguments.user, arguments.team, Role(arguments.role)))
        elif arguments.command == "revoke":
            await store.revoke_api_key(arguments.prefix)
            print(f"revoked {arguments.prefix}")
        elif arguments.command == "link":
            base = arguments.base_url or Env().text("RUNSTREAM_BASE_URL", "http://127.0.0.1:7461")
            token = await SessionStore.beside(store).create_link(arguments.prefix, LINK_LIFETIME_S)
            print(login_address(base, token))
        else:
            for row in await store.list_keys():
                state = "revoked" if row.revoked else "active"
                print(f"{row.prefix}  {state:8}  {row.user}  {row.default_team}  {from_us(row.created_us):%Y-%m-%d}")
    finally:
        await store.close()
    return 0
