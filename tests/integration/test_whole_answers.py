"""An answer is whole, or says that it is not: runs, projects and sweeps with more names than any page has."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psutil
import pyarrow.parquet
import pytest

from runstream.api import Api, IncompleteResultError, NotFoundError, Objective
from runstream_common.clickhouse.client import connect
from runstream_control.control_store import ControlStore, Resume
from runstream_proto.v1 import query_pb2 as query
from runstream_proto.v1 import rich_pb2 as rich
from runstream_proto.v1 import sweep_pb2 as pb
from tests.support.stack import ServiceStack, clean_environment
from tests.support.sweeps import SweepClient, refused

METRICS = 50_000
KEYS = 12_000
FRONT = 10_050
LARGE_RUNS = 500
_STREAM = "INSERT INTO streams (project, run, writer, event, epoch, world_size, outcome, time, version, run_month) "
_FIELD = "INSERT INTO run_fields (project, run, section, key, value, time, version, run_month) "
_POINT = "INSERT INTO points (project, run, metric, rank, step, value, time, version, run_month) "
_SERIES = "INSERT INTO series (project, run, metric, rank, last, run_month) "
_NOW = "now64(6), 1, '2026-11-01'"
_LAST = "tuple(1, 1, toFloat64({value}), now64(6)), '2026-11-01'"


def _streams(project: str, name: str, count: int) -> list[str]:
    return [
        f"{_STREAM} SELECT 'main/{project}', {name}, concat('w', {name}), '{event}', 1, 1, '{outcome}', {_NOW} "
        f"FROM numbers({count})"
        for event, outcome in (("start", ""), ("finish", "finished"))
    ]


def _statements() -> list[str]:
    metric = "concat('m', leftPad(toString(number), 5, '0'))"
    wide = [
        f"{_SERIES} SELECT 'main/wide', run, {metric}, 0, {_LAST.format(value='number')} "
        f"FROM numbers({METRICS}) ARRAY JOIN ['r0', 'r1'] AS run",
        f"{_POINT} SELECT 'main/wide', run, {metric}, 0, 1, number, {_NOW} "
        f"FROM numbers({METRICS}) ARRAY JOIN ['r0', 'r1'] AS run",
        f"INSERT INTO strings (project, run, key, rank, step, value, time, version, run_month) "
        f"SELECT 'main/wide', 'r0', concat('t', leftPad(toString(number), 5, '0')), 0, 1, 'said', {_NOW} "
        f"FROM numbers({KEYS})",
    ]
    of_each = "concat('a', toString(number), '/', toString(key))"
    keyed = [
        f"{_FIELD} SELECT 'main/keyed', concat('r', toString(number)), 'config', {of_each}, '1', {_NOW} "
        f"FROM numbers(8) ARRAY JOIN range({KEYS // 8}) AS key",
        f"{_FIELD} SELECT 'main/keyed', concat('r', toString(number)), 'config', 'zz/lr', toString(number), {_NOW} "
        "FROM numbers(8)",
        f"{_SERIES} SELECT 'main/keyed', concat('r', toString(number)), 'loss', 0, {_LAST.format(value='number')} "
        "FROM numbers(8)",
    ]
    front = [
        f"{_SERIES} SELECT 'main/fronts', concat('r', toString(number)), axis, 0, "
        f"{_LAST.format(value='if(axis = ' + repr('x') + ', number, -number)')} "
        f"FROM numbers({FRONT}) ARRAY JOIN ['x', 'y'] AS axis"
    ]
    large = [
        f"{_FIELD} SELECT 'main/large', concat('r', leftPad(toString(number), 3, '0')), 'config', key, "
        f"concat('\"', repeat('x', 1000000), toString(number), '\"'), {_NOW} "
        f"FROM numbers({LARGE_RUNS}) ARRAY JOIN ['one'] AS key SETTINGS max_block_size = 50",
        f"{_FIELD} SELECT 'main/large', concat('r', leftPad(toString(number), 3, '0')), 'config', 'less', "
        f"concat('\"', repeat('x', 60000), toString(number), '\"'), {_NOW} FROM numbers({LARGE_RUNS})",
    ]
    plain, padded = "concat('r', toString(number))", "concat('r', leftPad(toString(number), 3, '0'))"
    return [
        *_streams("wide", plain, 2),
        *wide,
        *_streams("keyed", plain, 8),
        *keyed,
        *_streams("fronts", plain, FRONT),
        *front,
        *_streams("large", padded, LARGE_RUNS),
        *large,
    ]


@pytest.fixture(scope="module")
def seeded(embedded: ServiceStack) -> ServiceStack:
    async def store() -> None:
        client = await connect(embedded.clickhouse.config)
        for statement in _statements():
            await client.command(statement)
        await client.close()
        control = ControlStore.open(embedded.control_url)
        who = await control.authenticate(embedded.key)
        for project in ("wide", "keyed", "fronts", "large"):
            await control.bind_stream(
                who, team="", project=project, run="r0", writer_id=f"writer-{project}", rank=0, resume=Resume.ALLOW
            )
        await control.close()

    asyncio.run(store())
    return embedded


@pytest.fixture
def api(seeded: ServiceStack, monkeypatch: pytest.MonkeyPatch) -> Api:
    for name, value in seeded.sdk_environment(seeded.folder / "whole-spool").items():
        monkeypatch.setenv(name, value)
    return Api()


def test_a_summary_of_50_000_keys_is_whole_wherever_it_is_read(api: Api, tmp_path: Path) -> None:
    wanted = {f"m{number:05}": float(number) for number in range(METRICS)}
    assert api.run("wide/r0").summary == wanted
    assert all(run.summary == wanted for run in api.runs("wide")), "in a list, too"
    assert [run.message.summary_truncated for run in api.runs("wide")] == [True, True], "which says that it cut"
    assert api.run("wide/r0").metrics() == sorted(wanted)
    run = api.run("wide/r0")
    run.export(tmp_path / "one.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "one.csv").read_text())))
    assert {row["metric"]: float(row["value"]) for row in rows} == wanted
    run.export(tmp_path / "one.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "one.parquet")
    assert dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True)) == wanted
    command = [sys.executable, "-m", "runstream.cli", "export", "main/wide", str(tmp_path / "all")]
    done = subprocess.run(command, env=_of(api), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "2 runs, 100,000 points" in done.stdout
    (last,) = (tmp_path / "all").rglob("series.parquet")
    with (tmp_path / "all" / "runs.jsonl").open() as file:
        assert all(json.loads(line)["summary"] == wanted for line in file)
    assert len(pyarrow.parquet.read_table(last)) == 2 * METRICS


def _of(api: Api) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name.startswith("RUNSTREAM_")}
    return {**clean_environment(), **own}


def test_the_last_of_many_names_is_known(api: Api) -> None:
    """An empty range is no error, and no name is unknown because thousands of others come before it."""
    last = f"m{METRICS - 1:05}"
    curves = query.GetCurvesRequest(project="wide", runs=["r0"], metrics=[last], min_step=10)
    assert len(api.ask("GetCurves", curves).curves) == 0
    with pytest.raises(NotFoundError, match="there is no metric 'm5' in r0"):
        api.ask("GetCurves", query.GetCurvesRequest(project="wide", runs=["r0"], metrics=[last, "m5"], min_step=10))
    ranked = api.rank("wide", last, filters={"state": "failed"})
    assert ranked == []
    with pytest.raises(NotFoundError, match="no run of main/wide has the metric 'm5'"):
        api.rank("wide", "m5")
    texts = rich.GetTextsRequest(project="wide", run="r0", keys=[f"t{KEYS - 1:05}"], min_step=10)
    assert len(api.ask("GetTexts", texts).texts) == 0
    with pytest.raises(NotFoundError, match="there is no text 't5'"):
        api.ask("GetTexts", rich.GetTextsRequest(project="wide", run="r0", keys=["t5"]))


def test_importance_takes_the_keys_that_most_runs_have(api: Api) -> None:
    found = api.importance("keyed", "loss")
    assert found.parameters[0].key == "zz/lr", [one.key for one in found.parameters][:5]


def test_a_front_of_too_many_runs_says_so(api: Api) -> None:
    with pytest.raises(IncompleteResultError, match=r"10,050 runs are on these layers, and one answer holds 10,000"):
        api.pareto("fronts", [Objective("x"), Objective("y")])
    assert len(api.pareto("fronts", [Objective("x"), Objective("y", goal="maximize")])) == 1


def test_a_front_of_more_trials_than_a_page_comes_in_pages(seeded: ServiceStack, api: Api) -> None:
    from runstream import Sweep

    client = SweepClient(seeded.address("grpc"), seeded.key)
    metrics = [{"name": "loss"}, {"name": "size"}]
    sweep = client.create({"method": "random", "metrics": metrics, "parameters": {"x": {"min": 0, "max": 9999}}}).id
    for start in (0, 800, 1600):
        request = pb.AddTrialsRequest(sweep=sweep, request_id=f"from {start}")
        for number in range(start, start + 800):
            request.trials.add(parameters_json=f'{{"x": {number}}}', values=[number, -number])
        client.call("AddTrials", request)
    page = client.call("GetBestTrials", pb.GetBestTrialsRequest(sweep=sweep))
    assert len(page.trials) == 1000 and page.next_page_token
    assert [one.number for one in Sweep(sweep).best_trials()] == list(range(1, 2401))
    best = Sweep(sweep).best()
    assert best is not None and best.number == 1
    command = [sys.executable, "-m", "runstream.cli", "sweep", "best", sweep, "--json"]
    done = subprocess.run(command, env=_of(api), capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.count('"x"') == 2400, done.stderr
    began = time.monotonic()
    refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        "numbers: not with ORDER_VALUE",
        client.call,
        "ListTrials",
        pb.ListTrialsRequest(sweep=sweep, order=pb.ListTrialsRequest.ORDER_VALUE, numbers=[1], objective=7),
    )
    assert time.monotonic() - began < 5
    client.close()


def test_a_page_of_named_columns_ends_by_weight(seeded: ServiceStack, api: Api) -> None:
    """500 runs, of each a value of 1 MB, which a list shows as its size, and one of 60 kB, which it shows."""
    query_service = psutil.Process(seeded.services["query"].pid)
    before = query_service.memory_info().rss
    found: dict[str, str] = {}
    token, pages, most = "", 0, 0
    while True:
        request = query.ListRunsRequest(
            project="large", fields=["config.one", "config.less"], page_size=1000, page_token=token
        )
        answer = api.ask("ListRuns", request)
        for run in answer.runs:
            found[run.id] = run.config.fields["less"].string_value
            assert [(one.key, one.size_bytes) for one in run.large] == [("one", 1_000_002 + len(str(int(run.id[1:]))))]
        pages, most, token = pages + 1, max(most, answer.ByteSize()), answer.next_page_token
        if not token:
            break
    taken = query_service.memory_info().rss - before
    assert taken < 400 << 20, f"{taken >> 20} MiB"
    runs = [f"r{number:03}" for number in range(LARGE_RUNS)]
    assert sorted(name for name in found if name != "r0") == runs
    assert all(found[run] == "x" * 60_000 + str(int(run[1:])) for run in runs)
    assert most < 10 << 20 and pages >= 3
    one = next(run for run in api.runs("large", fields=["config.one"]) if run.id == "r007")
    assert one.config["one"] == "x" * 1_000_000 + "7", "the run alone has it"
