"""Fixtures that several kinds of test share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.kafka import KafkaCluster
from tests.support.kafka.artifacts import MissingPartError
from tests.support.long import LONG

hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
"""How long an example takes says how busy the machine is, and nothing of the code."""

os.environ.setdefault("RUNSTREAM_CONSOLE", "off")
os.environ.setdefault("RUNSTREAM_SYSTEM_METRICS", "false")
"""Tests count points and records: those that want consoles and system metrics switch them on."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.support.schedule import LongestFirst

    return LongestFirst(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make long` plays."""
    if not LONG:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A real Kafka of one broker, for the whole session: use a topic of your own."""
    yield from started_kafka(tmp_path_factory.mktemp("kafka"))


def started_kafka(folder: Path) -> Iterator[KafkaCluster]:
    try:
        cluster = KafkaCluster(folder)
    except MissingPartError as error:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with cluster:
        yield cluster
