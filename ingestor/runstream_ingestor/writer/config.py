"""The writer's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from runstream_common.clickhouse.client import ClickHouseConfig
from runstream_common.service.config import Env
from runstream_ingestor.writer.limits import FlushLimits


@dataclass(frozen=True, slots=True)
class WriterConfig:
    clickhouse: ClickHouseConfig
    limits: FlushLimits = FlushLimits()
    tokens: bool = True
    """Insert with deduplication tokens: they save work when the same batches are delivered again."""
    ops_address: str = "127.0.0.1:7471"
    ops_token: str = ""

    @classmethod
    def from_env(cls, env: Env) -> WriterConfig:
        """Return the configuration. Raise ConfigError that names the variable."""
        default = FlushLimits()
        return cls(
            clickhouse=ClickHouseConfig.from_env(env),
            limits=FlushLimits(
                max_points=env.integer("RUNSTREAM_WRITER_MAX_POINTS", default.max_points, 1, 5_000_000),
                max_bytes=env.size_bytes("RUNSTREAM_WRITER_MAX_BYTES", default.max_bytes),
                max_age_s=env.seconds("RUNSTREAM_WRITER_MAX_AGE_S", default.max_age_s, 0.0, 60.0),
                ledger=env.flag("RUNSTREAM_WRITER_LEDGER", True),
            ),
            tokens=env.flag("RUNSTREAM_WRITER_DEDUP_TOKENS", True),
            ops_address=env.address("RUNSTREAM_WRITER_OPS", "127.0.0.1:7471"),
            ops_token=env.secret("RUNSTREAM_OPS_TOKEN") or "",
        )
