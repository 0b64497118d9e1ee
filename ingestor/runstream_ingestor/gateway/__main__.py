"""`runstream gateway`: take batches in over gRPC, and put them on Kafka."""

from __future__ import annotations

import sys

import structlog

from runstream_common.bus.kafka import KafkaPublisher
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.service.config import Env
from runstream_common.service.health import OpsServer
from runstream_common.service.lifecycle import run_service, until_end_or_failure
from runstream_common.service.metrics import Metrics
from runstream_ingestor.gateway.config import GatewayConfig
from runstream_ingestor.gateway.gateway_service import GatewayService

LOG = structlog.get_logger()


def main(argv: list[str] | None = None) -> int:
    return run_service("gateway", __doc__, argv, _serve)


async def _serve(env: Env) -> None:
    config = GatewayConfig.from_env(env)
    publisher = KafkaPublisher(KafkaConfig.from_env(env))
    metrics = Metrics(["gateway"])
    gateway = GatewayService(config, publisher, metrics)
    ops = OpsServer(config.ops_address, metrics, {}, {"bus": gateway.ready}, config.ops_token)
    await publisher.start()
    try:
        port = await gateway.start()
        await ops.start()
        LOG.info("ready", port=port, ops_port=ops.port)
        await until_end_or_failure()
    finally:
        await gateway.close()
        await publisher.close()
        await ops.close()


if __name__ == "__main__":
    sys.exit(main())
