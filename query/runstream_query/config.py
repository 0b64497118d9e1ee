"""The query service's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runstream_common.clickhouse import ClickHouseConfig
from runstream_common.config import Env
from runstream_common.objects import MediaConfig


@dataclass(frozen=True, slots=True)
class QueryConfig:
    clickhouse: ClickHouseConfig
    media: MediaConfig
    http: str = "127.0.0.1:7461"
    grpc: str = "127.0.0.1:7462"
    ops: str = "127.0.0.1:7472"
    ops_token: str = ""
    control_url: str = ""
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @classmethod
    def from_env(cls, env: Env) -> QueryConfig:
        """Raises ConfigError naming the variable."""
        return cls(
            clickhouse=ClickHouseConfig.from_env(env),
            media=MediaConfig.from_env(env),
            http=env.address("RUNSTREAM_QUERY_HTTP", "127.0.0.1:7461"),
            grpc=env.address("RUNSTREAM_QUERY_GRPC", "127.0.0.1:7462"),
            ops=env.address("RUNSTREAM_QUERY_OPS", "127.0.0.1:7472"),
            ops_token=env.secret("RUNSTREAM_OPS_TOKEN") or "",
            control_url=env.text("RUNSTREAM_CONTROL_URL", ""),
            tls_certificate=env.path("RUNSTREAM_TLS_CERTIFICATE"),
            tls_key=env.path("RUNSTREAM_TLS_KEY"),
        )
