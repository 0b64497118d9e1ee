"""`runstream writer`: take batches from Kafka, and store them in ClickHouse. Run as many as there are partitions."""

from __future__ import annotations

import sys

import structlog

from runstream_common.bus.kafka import KafkaConsumer
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.service.config import Env
from runstream_common.service.health import OpsServer
from runstream_common.service.lifecycle import run_service, until_end_or_failure
from runstream_common.service.metrics import Metrics
from runstream_ingestor.writer.config import WriterConfig
from runstream_ingestor.writer.writer_service import WriterService

LOG = structlog.get_logger()
_DRAIN_S = 15.0


def main(argv: list[str] | None = None) -> int:
    return run_service("writer", __doc__, argv, _serve)


async def _serve(env: Env) -> None:
    config = WriterConfig.from_env(env)
    consumer = KafkaConsumer(KafkaConfig.from_env(env))
    metrics = Metrics(["writer"])
    writer = WriterService(config, consumer, metrics)
    ops = OpsServer(config.ops_address, metrics, {"writer": writer.alive}, {"bus": writer.ready}, config.ops_token)
    await consumer.start()
    try:
        await writer.start()
        await ops.start()
        LOG.info("ready", ops_port=ops.port)
        await until_end_or_failure(writer.ended())
    finally:
        await writer.close(_DRAIN_S)
        await consumer.close()
        await ops.close()


if __name__ == "__main__":
    sys.exit(main())
