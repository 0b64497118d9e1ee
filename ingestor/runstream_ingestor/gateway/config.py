"""The gateway's configuration and the limits of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runstream_common import limits
from runstream_common.objects import MediaConfig
from runstream_common.service.config import Env


@dataclass(frozen=True, slots=True)
class StreamLimits:
    max_batch_bytes: int = limits.MAX_BATCH_BYTES
    max_in_flight: int = 8
    """The batches of one stream between received and acked. More batches wait in gRPC's flow control."""
    hello_timeout_s: float = 10.0
    """A stream that sends no Hello within this time is closed."""
    idle_timeout_s: float = 120.0
    """A stream that sends nothing for this time is closed. The SDK's sender sends a heartbeat every 15 s."""
    upload_timeout_s: float = 600.0
    """The longest upload of one file."""
    recheck_key_s: float = 15.0
    """A key that is revoked, or a run that is deleted, ends its open stream after this time at the latest."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    address: str = "127.0.0.1:7460"
    ops_address: str = "127.0.0.1:7470"
    ops_token: str = ""
    control_url: str = ""
    media: MediaConfig = MediaConfig("file:///var/lib/runstream/media")
    max_media_bytes: int = limits.MAX_MEDIA_BYTES
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_streams: int = 20_000
    drain_s: float = 10.0
    """How long a shutdown waits for batches in flight."""
    stream: StreamLimits = StreamLimits()

    @classmethod
    def from_env(cls, env: Env) -> GatewayConfig:
        """Return the configuration. Raise ConfigError that names the variable."""
        default = cls()
        return cls(
            address=env.address("RUNSTREAM_GATEWAY_LISTEN", default.address),
            ops_address=env.address("RUNSTREAM_GATEWAY_OPS", default.ops_address),
            ops_token=env.secret("RUNSTREAM_OPS_TOKEN") or "",
            control_url=env.text("RUNSTREAM_CONTROL_URL", ""),
            media=MediaConfig.from_env(env),
            max_media_bytes=env.integer("RUNSTREAM_MAX_MEDIA_MB", limits.MAX_MEDIA_BYTES >> 20, 1, 1 << 20) << 20,
            tls_certificate=env.path("RUNSTREAM_TLS_CERTIFICATE"),
            tls_key=env.path("RUNSTREAM_TLS_KEY"),
            max_streams=env.integer("RUNSTREAM_GATEWAY_MAX_STREAMS", default.max_streams, 1, 1_000_000),
            drain_s=env.seconds("RUNSTREAM_GATEWAY_DRAIN_S", default.drain_s),
        )
