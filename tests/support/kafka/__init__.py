"""A real Apache Kafka, for tests and benchmarks: resolved by Maven, one broker or several, in KRaft mode."""

from tests.support.kafka.broker import KafkaCluster

__all__ = ["KafkaCluster"]
