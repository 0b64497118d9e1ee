"""The settings with which Kafka is reached, and the properties that the topic must have."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from runstream_common.limits import MAX_BATCH_BYTES
from runstream_common.service.config import ConfigError, Env

TOPIC = "runstream.batches.v1"
MAX_MESSAGE_BYTES = MAX_BATCH_BYTES + (64 << 10)
"""The largest message: a batch, its key and its headers."""
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    bootstrap: str
    topic: str = TOPIC
    group: str = "runstream-writer"
    instance_id: str = ""
    """The name of a static member of the group: a restart within the session timeout moves no partitions."""
    partitions: int = 12
    """The partitions of a topic that this program makes. No more writers than this can share the work."""
    replication: int = 1
    min_insync_replicas: int = 1
    retention_hours: float = 0.0
    """The retention of a topic that this program makes: how far back everything can be replayed.

    0 keeps the broker's setting.
    """
    session_timeout_s: float = 10.0
    """A writer that is silent for this long loses its partitions to the others."""
    dead_letters_per_minute: int = 60
    """The writer stops above this rate: a bad release must not drain the topic into the dead letters."""
    compression: str = "lz4"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: str = ""
    ssl_ca_file: Path | None = None

    @classmethod
    def from_env(cls, env: Env, bootstrap: str = "") -> KafkaConfig:
        """Return the configuration. Raise ConfigError that names the variable."""
        default = cls("")
        config = cls(
            bootstrap=bootstrap or env.text("RUNSTREAM_KAFKA_BOOTSTRAP", ""),
            topic=env.text("RUNSTREAM_KAFKA_TOPIC", default.topic),
            group=env.text("RUNSTREAM_KAFKA_GROUP", default.group),
            instance_id=env.text("RUNSTREAM_KAFKA_INSTANCE_ID", ""),
            partitions=env.integer("RUNSTREAM_KAFKA_PARTITIONS", default.partitions, 1, 10_000),
            replication=env.integer("RUNSTREAM_KAFKA_REPLICATION", default.replication, 1, 32),
            min_insync_replicas=env.integer("RUNSTREAM_KAFKA_MIN_ISR", default.min_insync_replicas, 1, 32),
            retention_hours=env.seconds("RUNSTREAM_KAFKA_RETENTION_HOURS", 0.0, 0.0, 1e6),
            session_timeout_s=env.seconds("RUNSTREAM_KAFKA_SESSION_TIMEOUT_S", default.session_timeout_s, 1.0, 3600.0),
            dead_letters_per_minute=env.integer(
                "RUNSTREAM_DEAD_LETTERS_PER_MINUTE", default.dead_letters_per_minute, 0, 1_000_000
            ),
            compression=env.text("RUNSTREAM_KAFKA_COMPRESSION", default.compression, ("lz4", "zstd", "gzip", "none")),
            security_protocol=env.text("RUNSTREAM_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", _PROTOCOLS),
            sasl_mechanism=env.text("RUNSTREAM_KAFKA_SASL_MECHANISM", default.sasl_mechanism, _MECHANISMS),
            sasl_username=env.text("RUNSTREAM_KAFKA_SASL_USERNAME", ""),
            sasl_password=env.secret("RUNSTREAM_KAFKA_SASL_PASSWORD") or "",
            ssl_ca_file=env.path("RUNSTREAM_KAFKA_SSL_CAFILE"),
        )
        if not config.bootstrap:
            raise ConfigError("no Kafka: set RUNSTREAM_KAFKA_BOOTSTRAP to host:port[,host:port...]")
        return config

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.topic}.dead"

    def client(self) -> dict[str, object]:
        """Return the arguments that producer, consumer and admin client share."""
        arguments: dict[str, object] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": 20_000,
            "retry_backoff_ms": 200,
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.ssl_ca_file)
        return arguments
