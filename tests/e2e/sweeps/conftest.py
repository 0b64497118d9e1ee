"""The services that all tests of sweeps share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import ServiceStack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceStack]:
    stack = ServiceStack(tmp_path_factory.mktemp("stack")).start()
    yield stack
    stack.stop()
