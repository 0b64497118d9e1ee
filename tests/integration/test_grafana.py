"""Every panel and every variable of the dashboards, run as Grafana's datasource runs it, through `/clickhouse/`."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from runstream_common.clickhouse.client import connect
from runstream_common.service.metrics import CATALOGUE
from tests.support.grafana import TimeRange, with_macros, with_variables
from tests.support.sql_front import Front
from tests.support.stack import ServiceStack

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "dashboards").glob("*"))}
CLICKHOUSE, PROMETHEUS = "grafana-clickhouse-datasource", "prometheus"
PANELS = [
    (name, panel["title"], panel, target)
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]
VARIABLES = [(name, one["name"]) for name, board in BOARDS.items() for one in board["templating"]["list"]]
NOW = int(time.time())
WHEN = TimeRange(NOW - 3600, NOW + 600)
_NUMBER = re.compile(r"(?:Nullable\()?(?:U?Int|B?Float|Decimal)\d*")


async def seed(stack: ServiceStack) -> None:
    """Two runs of a sweep with four ranks on two nodes, one rank slow, one that saw NaN, one run that crashed."""
    client = await connect(stack.clickhouse.config)
    month, began = date(2026, 11, 1), datetime.fromtimestamp(NOW - 1200, UTC)

    async def insert(table: str, columns: str, rows: list[list[Any]]) -> None:
        names = ["project", "run", *columns.split(), "run_month"]
        full = [["main/grafana", *row, month] for row in rows]
        await client.insert(table, full, column_names=names)

    def at(seconds: float) -> datetime:
        return began + timedelta(seconds=seconds)

    points: list[list[Any]] = []
    for number, run in enumerate(("alpha", "beta")):
        for rank in range(4):
            for step in range(100 - 20 * (rank == 3)):
                value = math.nan if (rank, step) == (2, 50) else 1 / (step + 1) + rank / 100 + number
                points.append([run, "loss", rank, step, value, at(step * (2 if rank == 3 else 1)), step + 1])
            if rank % 2 == 0:
                for tick in range(10):
                    second = NOW - 1200 + tick * 60
                    for name, value in (
                        ("cpu_percent", 50.0),
                        ("memory_percent", 40.0),
                        ("network_received_bytes_per_s", 1e6),
                        ("network_sent_bytes_per_s", 1e6),
                        ("disk_read_bytes_per_s", 1e5),
                        ("disk_written_bytes_per_s", 1e5),
                        ("process.cpu_percent", 99.0),
                        ("process.memory_rss_bytes", 1e9),
                        *((f"gpu.{gpu}.{what}", 10.0 * gpu + tick) for gpu in range(2) for what in GPU),
                    ):
                        points.append([run, f"system/{name}", rank, second, value, at(tick * 60), tick + 1])
    await insert("points", "metric rank step value time version", points)
    last: dict[tuple[str, str, int], list[Any]] = {}
    for row in points:
        last[row[0], row[1], row[2]] = row
    await insert("series", "metric rank last", [[*row[:3], (row[3], row[6], row[4], row[5])] for row in last.values()])
    streams = []
    for run in ("alpha", "beta"):
        for rank in range(4):
            writer = f"{run}-{rank}"
            common = [f"node-{rank // 2}", "tester", at(0)]
            streams.append([run, writer, "start", rank, 4, *common, "", at(0), at(0), 0])
            if run == "alpha":
                streams.append([run, writer, "finish", rank, 4, *common, "finished", at(200), at(200), rank])
    await insert(
        "streams", "writer event rank world_size host user run_created outcome time received dropped_points", streams
    )
    fields = []
    for number, run in enumerate(("alpha", "beta", "gamma", "delta")):
        fields += [[run, "run", "name", json.dumps(f"name of {run}")], [run, "run", "sweep_id", '"sweep1"']]
        fields += [[run, "run", "tags", '["a"]'], [run, "config", "lr", str(0.1 * (number + 1))]]
    await insert("run_fields", "section key value", fields)
    for run, rank in (("gamma", 0), ("delta", 0)):
        await insert("series", "metric rank last", [[run, "loss", rank, (5, 1, 0.5 + (run == "delta"), at(5))]])
        await insert(
            "streams",
            "writer event rank world_size host user run_created outcome time received dropped_points",
            [[run, run, "finish", 0, 1, "node-0", "tester", at(60), "finished", at(90), at(90), 0]],
        )
    await insert(
        "ledger",
        "writer batch rank points received written",
        [["alpha", "alpha-0", number, 0, 100, at(number), at(number + 0.5)] for number in range(100)],
    )
    await insert("rejects", "writer batch reason points written", [["alpha", "alpha-0", 1, "time", 2, at(9)]])
    await insert("alerts", "writer number rank level title text time", [["alpha", "w", 1, 0, "warn", "t", "x", at(5)]])
    await insert("console", "rank output writer line text time", [["alpha", 0, "stdout", "w", 1, "hello", at(5)]])
    await client.close()


GPU = ("utilization_percent", "memory_used_bytes", "power_watts", "temperature_celsius")


@pytest.fixture(scope="module")
def front(embedded: ServiceStack) -> Front:
    asyncio.run(seed(embedded))
    return Front(embedded)


def rows_of(front: Front, text: str, values: dict[str, list[str]]) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    sql = with_macros(with_variables(text, values), WHEN)
    status, body, _ = front.post(sql, default_format="JSONCompact", output_format_json_quote_denormals="1")
    assert status == 200, (sql, body.decode())
    found = json.loads(body)
    return [(column["name"], column["type"]) for column in found["meta"]], found["data"]


@cache
def chosen(front: Front, board: str, up_to: str = "") -> dict[str, list[str]]:
    """Each variable's values, found as a person would: from the left, project and run by name, else the first."""
    wanted = {
        "team": "main",
        "project": "grafana",
        "run": "alpha",
        "metric": "loss",
        "sweep": "sweep1",
        "parameter": "lr",
    }
    values: dict[str, list[str]] = {}
    for variable in BOARDS[board]["templating"]["list"]:
        if variable["name"] == up_to:
            break
        if variable["type"] == "custom":
            values[variable["name"]] = [variable["current"]["value"]]
            continue
        _, rows = rows_of(front, variable["query"], values)
        there = [str(row[0]) for row in rows]
        name = variable["name"]
        if name in wanted:
            assert wanted[name] in there, (board, name, there)
            values[name] = [wanted[name]]
        else:
            values[name] = there
    return values


@pytest.mark.parametrize(("board", "name"), VARIABLES, ids=lambda one: str(one))
def test_a_variable_finds_its_values(front: Front, board: str, name: str) -> None:
    variable = next(one for one in BOARDS[board]["templating"]["list"] if one["name"] == name)
    if variable["type"] == "custom":
        assert variable["query"].split(",")[0] == variable["current"]["value"]
        return
    columns, rows = rows_of(front, variable["query"], chosen(front, board, name))
    assert rows and 1 <= len(columns) <= 2
    assert all(isinstance(cell, str) and cell for row in rows for cell in row)


SQL_PANELS = [(name, title) for name, title, panel, target in PANELS if "rawSql" in target]


@pytest.mark.parametrize(("board", "title"), SQL_PANELS, ids=lambda one: str(one))
def test_a_panel_draws_something_of_the_right_types(front: Front, board: str, title: str) -> None:
    panel, target = next((p, t) for n, tt, p, t in PANELS if (n, tt) == (board, title) and "rawSql" in t)
    columns, rows = rows_of(front, target["rawSql"], chosen(front, board))
    assert rows, "an empty frame"
    kinds = [kind for _, kind in columns]
    numbers = [bool(_NUMBER.match(kind)) for kind in kinds]
    match panel["type"]:
        case "timeseries":
            assert target["format"] == 0 and kinds[0].startswith("DateTime")
            assert any(numbers) and [row[0] for row in rows] == sorted(row[0] for row in rows)
        case "trend":
            assert columns[0][0] == "step" and numbers[0] and numbers[-1]
            if panel["transformations"]:
                assert [name for name, _ in columns] == ["step", "series", "value"]
            else:
                assert all(numbers) and len({row[0] for row in rows}) == len(rows)
        case "stat":
            assert (len(rows), len(columns), numbers) == (1, 1, [True])
        case "barchart" | "piechart":
            assert "String" in kinds[0] and numbers[1:] == [True]
        case "xychart":
            assert numbers == [True, True]
        case "table":
            assert target["format"] == 1
        case other:
            pytest.fail(f"a panel of an unknown type: {other}")


@pytest.mark.parametrize(
    ("board", "title"), [("ranks", "First NaN or infinity, by rank"), ("ranks", "Steps behind the foremost rank")]
)
def test_the_rank_that_is_at_fault_comes_first(front: Front, board: str, title: str) -> None:
    target = next(t for n, tt, _, t in PANELS if (n, tt) == (board, title))
    _, rows = rows_of(front, target["rawSql"], chosen(front, board))
    assert rows[0][0] == (2 if title.startswith("First") else "rank 3")


@pytest.mark.parametrize(("goal", "best"), [("minimize", "alpha"), ("maximize", "delta")])
def test_the_best_run_of_a_sweep_comes_first(front: Front, goal: str, best: str) -> None:
    target = next(t for n, tt, _, t in PANELS if (n, tt) == ("sweep", "Best runs"))
    columns, rows = rows_of(front, target["rawSql"], {**chosen(front, "sweep"), "goal": [goal]})
    place = [name for name, _ in columns].index("run")
    assert rows[0][place] == best and len(rows) == 4


def test_another_key_finds_no_project(front: Front) -> None:
    from runstream_control.control_store import ControlStore

    async def make() -> str:
        store = ControlStore.open(front.stack.control_url)
        try:
            return str(await store.create_api_key("grafana", "empty-team"))
        finally:
            await store.close()

    status, body, _ = front.post(BOARDS["project"]["templating"]["list"][0]["query"], key=asyncio.run(make()))
    assert (status, body) == (200, b"")


@pytest.mark.parametrize("board", BOARDS)
def test_a_dashboard_fits_grafanas_model(board: str) -> None:
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, VariableModel

    made = BOARDS[board]
    assert made.keys() <= as_plain(Dashboard.from_json(made)).keys(), "a key that Grafana's model has not"
    for panel in made["panels"]:
        assert panel.keys() <= as_plain(Panel.from_json(panel)).keys()
        assert panel["type"] and panel["title"] and panel["targets"]
        assert {"defaults", "overrides"} == panel["fieldConfig"].keys()
        for target in panel["targets"]:
            assert target["refId"] and target["datasource"]["uid"] in ("runstream-clickhouse", "runstream-prometheus")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for variable in made["templating"]["list"]:
        assert variable.keys() <= as_plain(VariableModel.from_json(variable)).keys() | {"definition"}
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    assert len({panel["title"] for panel in made["panels"]}) == len(made["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} overlaps"
        taken |= cells


def as_plain(model: Any) -> dict[str, Any]:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    made: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(model))
    return made


def test_uids_are_unique_and_links_between_dashboards_work() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 6
    for name, board in BOARDS.items():
        assert board["uid"] == f"runstream-{name}" and len(board["uid"]) <= 40
        assert board["links"][0]["tags"][0] in board["tags"]


def test_the_committed_dashboards_are_what_the_builder_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FOLDER / "build_dashboards.py"), str(tmp_path)], check=True, timeout=60)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / "dashboards").iterdir()}


PROMQL = [target["expr"].replace("$__rate_interval", "5m") for *_, target in PANELS if "expr" in target]


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    known = {spec.name + suffix: spec for spec in CATALOGUE for suffix in suffixes[spec.kind]}
    assert PROMQL
    for expression in PROMQL:
        names = re.findall(r"runstream_\w+", expression)
        assert names and set(names) <= known.keys(), expression
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            wanted = {label.strip() for label in labels.split(",")} - {"le"}
            assert wanted <= set(known[names[0]].labels), expression


def test_every_promql_expression_parses(tmp_path: Path) -> None:
    unpacked = Path(__file__).parents[2] / ".cache" / "prometheus" / "usr" / "bin" / "promtool"
    promtool = shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)
    if promtool is None:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail("there is no promtool: sh tests/setup.sh")
        pytest.skip("there is no promtool: sh tests/setup.sh")
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(PROMQL)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_provisioning_names_what_the_dashboards_use() -> None:
    made = yaml.safe_load((FOLDER / "provisioning/datasources/runstream.yaml").read_text(encoding="utf-8"))
    by_uid = {one["uid"]: one for one in made["datasources"]}
    assert {uid: one["type"] for uid, one in by_uid.items()} == {
        "runstream-clickhouse": CLICKHOUSE,
        "runstream-prometheus": PROMETHEUS,
    }
    source = by_uid["runstream-clickhouse"]
    assert source["jsonData"]["protocol"] == "http" and source["jsonData"]["path"] == "/clickhouse/"
    assert source["secureJsonData"] == {"password": "${RUNSTREAM_API_KEY}"}
    assert yaml.safe_load((FOLDER / "provisioning/dashboards/runstream.yaml").read_text(encoding="utf-8"))["providers"]
