"""Reads the configuration of the query service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runstream_common.clickhouse.client import ClickHouseConfig
from runstream_common.objects import MediaConfig
from runstream_common.service.config import Env
from runstream_query.runs.selection.run_tables import MAX_BYTES
from runstream_query.sqlaccess.limits import SqlLimits
from runstream_query.transport.request_queues import RequestLimits


@dataclass(frozen=True, slots=True)
class QueryConfig:
    clickhouse: ClickHouseConfig
    media: MediaConfig
    http: str = "127.0.0.1:7461"
    grpc: str = "127.0.0.1:7462"
    ops: str = "127.0.0.1:7472"
    ops_token: str = ""
    control_url: str = ""
    crash_after_s: float = 300.0
    """A run that did not finish and was silent for so many seconds counts as crashed. Senders report every 15 s."""
    janitor_s: float = 600.0
    """Seconds between runs of the retention janitor; 0: never, by this instance."""
    rollups_s: float = 5.0
    """Seconds between searches for new parts of `points` with long series to roll up; 0: never, by this instance."""
    tables_bytes: int = MAX_BYTES
    """Bytes of memory for the runs of recently queried projects."""
    sql: SqlLimits = SqlLimits()
    requests: RequestLimits = RequestLimits()
    session_s: float = 30 * 86_400.0
    """Seconds for which a browser stays logged in."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @classmethod
    def from_env(cls, env: Env) -> QueryConfig:
        """Read the configuration from the environment. Raises ConfigError, which names the variable."""
        per_key = env.integer("RUNSTREAM_SQL_PER_KEY", 4, 1, 1000)  # the name from before limits counted by user
        return cls(
            clickhouse=ClickHouseConfig.from_env(env),
            media=MediaConfig.from_env(env),
            http=env.address("RUNSTREAM_QUERY_HTTP", "127.0.0.1:7461"),
            grpc=env.address("RUNSTREAM_QUERY_GRPC", "127.0.0.1:7462"),
            ops=env.address("RUNSTREAM_QUERY_OPS", "127.0.0.1:7472"),
            ops_token=env.secret("RUNSTREAM_OPS_TOKEN") or "",
            control_url=env.text("RUNSTREAM_CONTROL_URL", ""),
            crash_after_s=env.seconds("RUNSTREAM_CRASH_AFTER_S", 300.0, 1.0, 30 * 86_400.0),
            janitor_s=env.seconds("RUNSTREAM_JANITOR_S", 600.0),
            rollups_s=env.seconds("RUNSTREAM_ROLLUPS_S", 5.0),
            tables_bytes=env.size_bytes("RUNSTREAM_TABLES_MEMORY", MAX_BYTES),
            sql=SqlLimits(
                seconds=env.seconds("RUNSTREAM_SQL_SECONDS", 30.0, 1.0, 3600.0),
                memory_bytes=env.size_bytes("RUNSTREAM_SQL_MEMORY", 1 << 30),
                per_user=env.integer("RUNSTREAM_SQL_PER_USER", per_key, 1, 1000),
                per_team=env.integer("RUNSTREAM_SQL_PER_TEAM", max(6, per_key), 1, 1000),
                in_all=env.integer("RUNSTREAM_SQL_IN_ALL", 16, 1, 1000),
            ),
            requests=_request_limits(env),
            session_s=env.seconds("RUNSTREAM_SESSION_S", 30 * 86_400.0, 60.0, 366 * 86_400.0),
            tls_certificate=env.path("RUNSTREAM_TLS_CERTIFICATE"),
            tls_key=env.path("RUNSTREAM_TLS_KEY"),
        )


def _request_limits(env: Env) -> RequestLimits:
    usual = RequestLimits()
    return RequestLimits(
        per_user=env.integer("RUNSTREAM_QUERY_PER_USER", usual.per_user, 1, 1000),
        per_team=env.integer("RUNSTREAM_QUERY_PER_TEAM", usual.per_team, 1, 1000),
        in_all=env.integer("RUNSTREAM_QUERY_IN_ALL", usual.in_all, 1, 1000),
        waiting=env.integer("RUNSTREAM_QUERY_WAITING", usual.waiting, 1, 100_000),
        wait_s=env.seconds("RUNSTREAM_QUERY_WAIT_S", usual.wait_s, 1.0, 3600.0),
        engine=env.integer("RUNSTREAM_QUERY_ENGINE", usual.engine, 1, 64),
    )
