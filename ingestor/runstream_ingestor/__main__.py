"""`runstream ingest`: run gateway and writer in one process without Kafka.

An ack means that ClickHouse has the batch.
"""

from __future__ import annotations

import sys

import structlog

from runstream_common.bus.local import LocalBus
from runstream_common.service.config import Env
from runstream_common.service.health import OpsServer
from runstream_common.service.lifecycle import run_service, until_end_or_failure
from runstream_common.service.metrics import Metrics
from runstream_ingestor.gateway.config import GatewayConfig
from runstream_ingestor.gateway.gateway_service import GatewayService
from runstream_ingestor.writer.config import WriterConfig
from runstream_ingestor.writer.writer_service import WriterService

LOG = structlog.get_logger()


def main(argv: list[str] | None = None) -> int:
    return run_service("ingest", __doc__, argv, _serve)


async def _serve(env: Env) -> None:
    config, writer_config = GatewayConfig.from_env(env), WriterConfig.from_env(env)
    bus = LocalBus()
    metrics = Metrics(["gateway", "writer"])
    gateway, writer = GatewayService(config, bus, metrics), WriterService(writer_config, bus, metrics)
    ops = OpsServer(config.ops_address, metrics, {"writer": writer.alive}, {"bus": gateway.ready}, config.ops_token)
    try:
        await writer.start()
        port = await gateway.start()
        await ops.start()
        LOG.info("ready", port=port, ops_port=ops.port)
        await until_end_or_failure(writer.ended())
    finally:
        # The gateway closes first, while the writer still confirms batches in flight.
        await gateway.close()
        await writer.close(config.drain_s)
        await bus.close()
        await ops.close()


if __name__ == "__main__":
    sys.exit(main())
