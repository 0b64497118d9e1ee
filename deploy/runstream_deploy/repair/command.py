"""`runstream repair`: report what runs lack, and store again what the topic or the spool of this machine still holds.

The command works on the databases, beside the services. It takes RUNSTREAM_CLICKHOUSE_* and RUNSTREAM_KAFKA_* as the
services do, or the data folder of a running `runstream up`. Exit status 0: every run is complete, or open and nothing
of it waits here; 1: a run lacks something.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.protocol import BusError
from runstream_common.clickhouse.client import ClickHouseConfig, StorageError, connect
from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.clickhouse.schema.migrator import SchemaError, check_schema
from runstream_common.service.config import ConfigError, Env
from runstream_deploy.addresses import Addresses
from runstream_deploy.repair.broken_parts import BrokenPart, detach, find_broken
from runstream_deploy.repair.incomplete_runs import (
    IncompleteRun,
    Run,
    UnknownRunError,
    describe,
    find_in_spool,
    find_in_topic,
    find_incomplete_runs,
    parse_run_path,
    replay,
)
from runstream_ingestor.writer.batch_replay import BatchReplayer
from runstream_query.base.storage import Storage


@dataclass(slots=True)
class _Plan:
    runs: list[IncompleteRun]
    parts: list[BrokenPart]

    @property
    def broken(self) -> list[BrokenPart]:
        return [part for part in self.parts if not part.detached]

    @property
    def has_work(self) -> bool:
        return bool(self.broken or any(run.can_be_replayed for run in self.runs))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream repair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", help="team/project/run")
    parser.add_argument("--all", action="store_true", help="repair all runs")
    parser.add_argument("--dry-run", action="store_true", help="only list what is missing, and what can be replayed")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--data", type=Path, default=Path("runstream-data"), help="data folder of `runstream up`")
    parser.add_argument(
        "--spool", type=Path, default=_spool(), help="spool folder of this machine; default: %(default)s"
    )
    arguments = parser.parse_args(argv)
    if bool(arguments.run) == arguments.all:
        parser.error("give one run, or --all")
    try:
        return asyncio.run(_run(arguments))
    except (ConfigError, StorageError, SchemaError, BusError, UnknownRunError, OSError) as error:
        print(f"runstream repair: {error}", file=sys.stderr)
        return 1


async def _run(arguments: argparse.Namespace) -> int:
    env = Env()
    only = parse_run_path(arguments.run) if arguments.run else None
    kafka = KafkaConfig.from_env(env) if env.text("RUNSTREAM_KAFKA_BOOTSTRAP", "") else None
    client = await connect(_clickhouse(env, arguments.data))
    try:
        await check_schema(client)
        repair = _Repair(client, kafka, arguments.spool)
        plan = await repair.plan(only)
        if not plan.has_work or arguments.dry_run:
            print(_conclusion(plan))
            return 1 if plan.runs or plan.broken else 0
        if not arguments.yes and not _agreed():
            print("nothing was changed")
            return 1
        return await repair.carry_out(plan, only)
    finally:
        await client.close()


class _Repair:
    def __init__(self, client: ClickHouseClient, kafka: KafkaConfig | None, spool: Path) -> None:
        self._client = client
        self._storage = Storage(client)
        self._kafka = kafka
        self._spool = spool

    async def plan(self, only: Run | None) -> _Plan:
        """Find the broken parts and the incomplete runs, and print them."""
        parts = await find_broken(self._client)
        plan = _Plan(await self._find(only), parts)
        for part in parts:
            print(part)
        for run in plan.runs:
            print("\n".join(describe(run, self._kafka.topic if self._kafka else "", self._spool)))
        return plan

    async def _find(self, only: Run | None) -> list[IncompleteRun]:
        found = await find_incomplete_runs(self._storage, only)
        find_in_spool(self._spool, found)
        found = [run for run in found if run.spools or not run.is_open]
        lacking = [run for run in found if not run.is_open]
        if lacking and self._kafka:
            await find_in_topic(self._kafka, lacking)
        return found

    async def carry_out(self, plan: _Plan, only: Run | None) -> int:
        """Detach broken parts, replay, send the spool, and judge the runs again. Return the exit status.

        Raise StorageError or BusError.
        """
        columns = {row["table"]: row["columns"] for row in await self._storage.rows("tables_with_parts")}
        for part in plan.broken:
            copied, unreadable = await detach(self._client, part, columns[part.table])
            print(
                f"part {part.name} of {part.table} is detached, and its files stay in the folder `detached`: {copied} "
                f"rows were copied, {unreadable} groups of rows could not be read"
            )
        # A part has rows of other runs too: their lost rows must be replayed as well.
        incomplete = await self._find(None) if plan.broken else plan.runs
        if self._kafka and any(run.topic for run in incomplete):
            replayer = BatchReplayer(self._client)
            await replayer.start()
            count = await replay(self._kafka, replayer, [run for run in incomplete if run.topic])
            print(f"{count} batches were stored again from the topic {self._kafka.topic}")
        if any(run.spools for run in incomplete):
            self._send_spool()
        left = await self._find(None if plan.broken else only)
        repaired = {run.path for run in incomplete} - {run.path for run in left}
        for path in sorted(repaired):
            print(f"{path}: repaired")
        for run in left:
            print("\n".join(describe(run, self._kafka.topic if self._kafka else "", self._spool)))
        print(_conclusion(_Plan(left, [part for part in plan.parts if part.detached])))
        return 1 if left else 0

    def _send_spool(self) -> None:
        """Run the SDK's own command, which prints its progress."""
        subprocess.run([sys.executable, "-m", "runstream.cli", "sync", str(self._spool)], check=False)


def _conclusion(plan: _Plan) -> str:
    if not plan.runs:
        text = "no run is incomplete or damaged"
    else:
        able = sum(run.can_be_replayed for run in plan.runs)
        text = f"{len(plan.runs)} runs are incomplete or damaged; data of {able} of them can be replayed"
    if detached := [part for part in plan.parts if part.detached]:
        text += f"; {len(detached)} parts are detached: drop them when no run is incomplete or damaged"
        drop = f"ALTER TABLE {detached[0].table} DROP DETACHED PART '{detached[0].name}'"
        text += f" ({drop} SETTINGS allow_drop_detached = 1)"
    return text


def _clickhouse(env: Env, data: Path) -> ClickHouseConfig:
    """Return the environment's configuration, else that of the `up` with this data folder. Raise ConfigError."""
    addresses = Addresses.load(data)
    if env.text("RUNSTREAM_CLICKHOUSE_URL", "") or addresses is None or not addresses.embedded:
        return ClickHouseConfig.from_env(env)
    try:
        password = (data / "clickhouse-password").read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"cannot read the password in {data}: {error}") from error
    return ClickHouseConfig(f"http://{addresses.clickhouse}/default", password=password)


def _spool() -> Path:
    """Return the SDK's default spool folder."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(os.environ.get("RUNSTREAM_DIR") or Path(state) / "runstream").expanduser()


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask for confirmation: give --yes")
    return input("runstream: replay what can be replayed? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main())
