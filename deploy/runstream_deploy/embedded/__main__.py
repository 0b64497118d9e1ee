"""`runstream clickhouse`: run the embedded engine alone."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import structlog

from runstream_common.service.config import ConfigError, Env, split_address
from runstream_common.service.health import serve_app
from runstream_common.service.logging import configure_logging
from runstream_common.service.metrics import Metrics
from runstream_common.service.os_process import until_told_to_end
from runstream_deploy.embedded.clickhouse_app import ClickHouseApp
from runstream_deploy.embedded.config import KEEP_ALIVE_S, EmbeddedConfig
from runstream_deploy.embedded.engine import DataFolderError, Engine

LOG = structlog.get_logger()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--listen", default="127.0.0.1:7463", help="host:port to listen on; port 0 means any free port")
    parser.add_argument(
        "--password-file",
        type=Path,
        help="default: RUNSTREAM_CLICKHOUSE_PASSWORD, else no password",
    )
    parser.add_argument("--threads", type=int, default=8, help="number of queries that run at the same time")
    parser.add_argument("--drain", type=float, default=10.0, help="seconds that a shutdown waits for running requests")
    arguments = parser.parse_args(argv)
    configure_logging("clickhouse")
    try:
        config = _config(arguments)
        config.check()
        asyncio.run(_serve(config))
    except (ConfigError, DataFolderError, OSError) as error:
        print(f"runstream clickhouse: {error}", file=sys.stderr)
        return 1
    return 0


def _config(arguments: argparse.Namespace) -> EmbeddedConfig:
    env = Env()
    if arguments.password_file:
        password = arguments.password_file.read_text(encoding="utf-8").strip()
    else:
        password = env.secret("RUNSTREAM_CLICKHOUSE_PASSWORD") or ""
    address = Env({"--listen": arguments.listen}).address("--listen", "")
    if not 1 <= arguments.threads <= 256:
        raise ConfigError(f"--threads is {arguments.threads}: give 1 to 256")
    return EmbeddedConfig(
        arguments.data, address, password=password, threads=arguments.threads, drain_s=arguments.drain
    )


async def _serve(config: EmbeddedConfig) -> None:
    engine = await asyncio.to_thread(Engine, config.data, config.threads)
    app = ClickHouseApp(config, engine, Metrics(["clickhouse"]))
    try:
        server, task, port = await serve_app(
            app,
            config.address,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(config.drain_s),
        )
        host, _ = split_address(config.address)
        LOG.info("ready", url=f"http://{host}:{port}", data=str(config.data))
        signal_name = await until_told_to_end()
        LOG.info("stopping", signal=signal_name)
        server.should_exit = True
        await task
    finally:
        await engine.close()


if __name__ == "__main__":
    sys.exit(main())
