"""A short selection of the fault laboratory, and of the laboratory's own test. All of it: `make faults`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import stored
from tests.faults.codes import DISK_LAB
from tests.faults.faults import FAULTS
from tests.faults.lab import Lab
from tests.faults.rounds import Labs, play
from tests.faults.workload import Workload
from tests.support.kafka.artifacts import MissingPartError
from tests.support.long import long

SELECTION = (
    ("kill sdk", 0),
    ("bytes flipped", 0),
    ("several at once", 0),
    ("kill writer", 1),
    ("disk full under clickhouse", DISK_LAB),
)
_LONG = ("kill sdk", "disk full under clickhouse")


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    with Labs(tmp_path_factory.mktemp("labs")) as labs:
        yield labs


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "brokers"),
    [pytest.param(*one, id=one[0], marks=[long] if one[0] in _LONG else []) for one in SELECTION],
)
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
        _alter_documents(lab, workload)
    finally:
        workload.end()


ALTERED = {
    "histograms": "[] AS counts",
    "tables": "'[]' AS rows",
    "media": "1 AS size_bytes",
    "fields": "'1' AS value",
    "alerts": "'' AS text",
    "files": "1 AS size_bytes",
    "console": "'' AS text",
    "ends": "1 AS points",
}


def _alter_documents(lab: Lab, workload: Workload) -> None:
    """Of each kind of document one is taken away, another one is altered, and a content is overwritten."""
    before = lab.checker.compare(workload).kinds
    writers = {stream.attempts[0].writer_id for stream in workload.streams}
    for kind, change in ALTERED.items():
        keys = [key for key, _ in stored.rows(lab.checker.ask, kind, workload.project, workload.runs)]
        keys = [key for key in keys if kind != "ends" or key[2] in writers]
        for key, statement in (
            (keys[0], "DELETE FROM {table} WHERE {where}"),
            (
                keys[-1],
                "INSERT INTO {table} SELECT * REPLACE ({change}) FROM (SELECT * FROM {table} FINAL WHERE {where})",
            ),
        ):
            named = zip(stored.key_columns(kind), key[1:], strict=True)
            where = " AND ".join(
                [f"project = 'main/{workload.project}'", *(f"{column} = {value!r}" for column, value in named)]
            )
            where += " AND event = 'finish'" if kind == "ends" else ""
            changes = f"{change}, version + 1 AS version"
            lab._client.command(statement.format(table=stored.table_of(kind), where=where, change=changes))
    after = lab.checker.compare(workload).kinds - before
    assert {kind for what, kind in after if what == "missing"} == set(ALTERED)
    assert {kind for what, kind in after if what == "wrong"} == set(ALTERED)
    _, (digest, _, _) = next(stored.rows(lab.checker.ask, "media", workload.project, workload.runs))
    content = next(path for path in (lab.folder / "media").rglob("*") if path.is_file() and digest in str(path))
    content.write_bytes(b"another content")
    assert (lab.checker.compare(workload).kinds - before - after).total() >= 1
