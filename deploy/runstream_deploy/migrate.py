"""`runstream migrate`: bring ClickHouse and the control database to this version's schema."""

from __future__ import annotations

import argparse
import asyncio
import sys

from runstream_common.clickhouse.client import ClickHouseConfig, StorageError, connect
from runstream_common.clickhouse.schema.migrator import SchemaError, check_schema, migrate
from runstream_common.service.config import ConfigError, Env
from runstream_control.control_store import ControlStore
from runstream_control.errors import ControlError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream migrate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something is missing")
    parser.add_argument("--control-url", help="default: RUNSTREAM_CONTROL_URL")
    arguments = parser.parse_args(argv)
    try:
        asyncio.run(_run(arguments))
    except (ConfigError, ControlError, StorageError, SchemaError) as error:
        print(f"runstream migrate: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    env = Env()
    control_url = arguments.control_url or env.text("RUNSTREAM_CONTROL_URL", "")
    if not control_url:
        raise ConfigError("no control database: give --control-url or set RUNSTREAM_CONTROL_URL")
    config = ClickHouseConfig.from_env(env)
    client = await connect(config)
    store = ControlStore.open(control_url)
    try:
        if arguments.check:
            await check_schema(client)
            await store.check_schema()
            print("the schema is up to date")
            return
        applied = await migrate(client, config.cluster)
        before = await store.migrate()
        for migration in applied:
            print(f"ClickHouse: applied {migration.name}")
        print("control database: " + ("made" if before == 0 else "up to date"))
        if not applied:
            print("ClickHouse: up to date")
    finally:
        await client.close()
        await store.close()
