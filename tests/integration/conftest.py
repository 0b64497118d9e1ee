"""Stacks of real processes that several integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.many_runs import asked
from tests.integration.world import world
from tests.support.stack import ServiceStack

__all__ = ["asked", "world"]


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    """ClickHouse, ingest (LocalBus) and query as processes of their own."""
    stack = ServiceStack(tmp_path_factory.mktemp("embedded")).start()
    yield stack
    stack.stop()
