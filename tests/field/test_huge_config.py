"""A config of 63 MiB, embedded and over Kafka: it comes back whole, by `resume` and through an archive too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from runstream.api import Api
from runstream.archive.exporter import export_project
from runstream.archive.importer import import_project
from tests.conftest import started_kafka
from tests.field.user import play
from tests.support.long import long
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

HUGE = 'config = {"text": "é" * (30 << 20), "list": [[n, "x"] for n in range(200_000)], "lr": 0.1}'
SCRIPT = f"""
import runstream
{HUGE}
run = runstream.init(id="r", config=config)
for step in range(1000):
    run.log({{"loss": step}})
assert run.finish(timeout=300)
"""
RESUMED = f"""
import runstream
{HUGE}
run = runstream.init(id="r", resume="must")
assert run.config["text"] == config["text"] and run.config["list"] == config["list"] and run.step == 1000
run.log({{"loss": 1000}})
assert run.finish(timeout=300)
"""


def differing(config: Mapping[str, object], expected: Mapping[str, object]) -> list[str]:
    """Names alone: pytest would write the values out."""
    return [name for name in config.keys() | expected.keys() if config.get(name) != expected.get(name)]


def verdict(project: str) -> str:
    return str(Api().run(f"{project}/r").completeness["verdict"])


@pytest.fixture(params=["embedded", "kafka"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceStack]:
    kafka = started_kafka(tmp_path / "kafka") if request.param == "kafka" else None
    stack = ServiceStack(tmp_path / "stack", next(kafka).bootstrap if kafka else "").start()
    yield stack
    stack.stop()
    if kafka:
        kafka.close()


@long
@pytest.mark.timeout(1800)
def test_a_config_of_63_mebibytes_comes_back_whole(stack: ServiceStack, project: str, tmp_path: Path) -> None:
    started = {name: service.pid for name, service in stack.services.items()}
    played = play(SCRIPT, timeout_s=600)
    assert played.code == 0, played.err
    expected: dict[str, Any] = {}
    exec(HUGE, expected)  # the script's own line
    wait_for(lambda: verdict(project) == "complete", "the verdict `complete`", 300)
    run = Api().run(f"{project}/r")
    assert run.completeness["points_stored"] == 1000
    assert differing(run.config, expected["config"]) == []
    assert [one.id for one in Api().runs(project)] == ["r"]

    resumed = play(RESUMED, timeout_s=600, RUNSTREAM_RESUME_TIMEOUT_S="120")
    assert resumed.code == 0, resumed.err

    wait_for(lambda: verdict(project) == "complete", "the verdict `complete`", 300)
    export_project(Api(), project, tmp_path / "archive")
    import_project(Api(), tmp_path / "archive", f"{project}-again")
    again = Api().run(f"{project}-again/r")
    assert differing(again.config, expected["config"]) == []
    assert again.completeness["points_stored"] == 1001
    assert {name: service.pid for name, service in stack.services.items()} == started, "no service was started again"
    sizes = {name: psutil.Process(pid).memory_info().rss >> 20 for name, pid in started.items()}
    print("resident MiB at the end:", sizes)
