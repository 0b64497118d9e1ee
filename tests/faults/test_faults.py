"""A short selection of the fault laboratory, and of the laboratory's own test. All of it: `make faults`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.lab import DISK_LAB
from tests.faults.rounds import Labs, play
from tests.faults.workload import Workload
from tests.support.kafka.artifacts import MissingPartError

SELECTION = (
    ("kill sdk", 0),
    ("bytes flipped", 0),
    ("several at once", 0),
    ("kill writer", 1),
    ("disk full under clickhouse", DISK_LAB),
)


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    with Labs(tmp_path_factory.mktemp("labs")) as labs:
        yield labs


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "brokers"), SELECTION, ids=[name for name, _ in SELECTION])
def test_nothing_is_missing_doubled_or_wrong(labs: Labs, tmp_path: Path, name: str, brokers: int) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    try:
        lab = labs.lab(brokers)
    except (MissingPartError, RuntimeError) as error:  # no Maven; no small disks without root
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            raise
        pytest.skip(str(error))
    number = 1 + [one for one, _ in SELECTION].index(name)  # its runs are not those of the one before
    outcome = play(lab, fault, tmp_path, seed=20_261_123, number=number)
    assert outcome.problems == [] and outcome.findings.examples == []
    assert outcome.findings.clean and outcome.findings.points > 1000


@pytest.mark.timeout(300)
def test_the_checker_notices_what_was_taken_added_or_altered(labs: Labs, tmp_path: Path) -> None:
    lab = labs.lab(0)
    workload = Workload(tmp_path / "load", lab.nodes(), "tampered", "r", 1, seconds=2, runs=1)
    try:
        workload.start()
        assert workload.wait() == [] and workload.sync() == []
        lab.wait_settled(workload.project, workload.runs)
        assert lab.checker.compare(workload).clean
        where = "WHERE project = 'main/tampered' AND metric = 'metric 1' AND rank = 0"
        lab._client.command(f"DELETE FROM points {where} AND step = 100")
        taken = lab.checker.compare(workload)
        assert taken.missing == 1 and taken.wrong == 0

        def copy(step: int, changes: str) -> None:
            rows = f"(SELECT * FROM points FINAL {where} AND step = {step})"
            lab._client.command(f"INSERT INTO points SELECT * REPLACE ({changes}) FROM {rows}")

        copy(101, "step + 1000000 AS step, version + 1 AS version")
        added = lab.checker.compare(workload)
        assert added.wrong >= 1, "a point that nobody logged, and a series that does not know it"
        copy(102, "0.5 AS value, version + 1 AS version")
        assert lab.checker.compare(workload).wrong > added.wrong
    finally:
        workload.end()
