"""Histograms, tables, plots, media, files, texts, alerts and the console, from the real SDK to the answers."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runstream.api import Api, NotFoundError, Run
from runstream.errors import RunstreamError
from tests.e2e import log_rich
from tests.integration.test_query_service import call
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack, clean_environment

SCRIPT = Path(log_rich.__file__)


@pytest.fixture(scope="module")
def logged(embedded: ServiceStack, tmp_path_factory: pytest.TempPathFactory) -> ServiceStack:
    """One run of two ranks, which log at once."""
    folder = tmp_path_factory.mktemp("rich")
    environment = {**clean_environment(), **embedded.sdk_environment(folder / "spool"), "RUNSTREAM_CONSOLE": "auto"}
    environment["PYTHONPATH"] = str(SCRIPT.parents[2])
    ranks = [
        subprocess.Popen([sys.executable, str(SCRIPT), str(rank), str(folder)], env=environment) for rank in range(2)
    ]
    for rank in ranks:
        assert rank.wait(60) == 0
    return embedded


@pytest.fixture(scope="module")
def run(logged: ServiceStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in logged.sdk_environment(tmp_path_factory.mktemp("asking")).items():
            patch.setenv(name, value)
        found = Api().run("rich/rich")
        wait_for(lambda: len(list(found.console())) == 102, "the console of both ranks")
        yield found


def ask(stack: ServiceStack, method: str, status: int = 200, **fields: Any) -> Any:
    got, answer = call(
        stack, method, {"project": "rich", **({} if "runs" in fields else {"run": "rich"}), **fields}, stack.key
    )
    assert got == status, answer
    return answer


def test_every_key_is_listed_with_its_kind(run: Run) -> None:
    found = {key["key"]: key for key in run.keys("")}  # no dict
    assert {name: key["kind"] for name, key in found.items()} == {
        "weights": "histogram",
        "note": "text",
        "val/picture": "media",
        "val/small": "table",
        "big": "table",
        "line": "plot",
        "matrix": "plot",
        "pr": "plot",
        "roc": "plot",
    }
    weights = found["weights"]
    assert (weights["first_step"], weights["last_step"], weights["count"], weights["ranks"]) == (0, 11, 24, [0, 1])
    assert found["matrix"]["types"] == ["confusion_matrix"]
    assert found["val/picture"]["types"] == ["image/png"]
    assert [key["key"] for key in run.keys("media")] == ["val/picture"]


def test_histograms_come_as_logged_where_nothing_has_to_be_merged(run: Run) -> None:
    for rank in (0, 1):
        found = run.histograms("weights", rank=rank)
        assert [one.first_step for one in found] == list(range(log_rich.STEPS))
        for one in found:
            counts, edges = log_rich.histogram(rank, one.first_step)
            assert (one.counts, one.edges, one.exact, one.rank) == (counts, edges, True, rank)
    raw = run.histograms("weights", raw=True, min_step=5, max_step=5)
    assert [(one.first_step, one.rank, one.counts) for one in raw] == [
        (5, rank, log_rich.histogram(rank, 5)[0]) for rank in (0, 1)
    ]


@pytest.mark.parametrize(("columns", "bins"), [(200, 64), (4, 64), (5, 3), (1, 1), (12, 8)])
def test_heat_maps_conserve_every_count(run: Run, columns: int, bins: int) -> None:
    found = run.histograms("weights", columns=columns, bins=bins)
    assert len(found) <= columns
    assert all(len(one.counts) <= bins for one in found)
    assert [one.first_step for one in found][0] == 0
    assert all(b.first_step == a.last_step + 1 for a, b in pairwise(found))
    for one in found:
        expected = sum(
            sum(log_rich.histogram(rank, step)[0])
            for rank in (0, 1)
            for step in range(one.first_step, one.last_step + 1)
        )
        assert sum(one.counts) == pytest.approx(expected, rel=1e-12)


def test_ranks_of_the_same_edges_are_added_exactly(logged: ServiceStack, run: Run) -> None:
    for one in run.histograms("weights"):
        expected = np.sum([log_rich.histogram(rank, one.first_step)[0] for rank in (0, 1)], axis=0)
        assert one.exact
        assert one.counts == expected.tolist()
    answer = ask(logged, "GetHistograms", key="weights", columns=3, each_rank=True)
    assert [heat_map["rank"] for heat_map in answer["heat_maps"]] == [0, 1]
    assert answer["heat_maps"][0]["lowest"] == -8.0
    assert answer["steps"] == [str(step) for step in range(log_rich.STEPS)]


def same(rows: list[list[Any]]) -> str:
    """NaN is itself here."""
    return json.dumps(rows)


def test_a_table_is_the_newest_unless_a_step_is_named(run: Run) -> None:
    newest = run.table("val/small")
    assert (newest.step, newest.types, newest.total_rows) == (8, ["number", "text", "number"], 20)
    assert same(newest.rows) == same(log_rich.small_table(8))
    assert same(run.table("val/small", step=4).rows) == same(log_rich.small_table(4))


def test_tables_are_filtered_and_sorted(run: Run) -> None:
    rows = log_rich.small_table(8)
    found = run.table("val/small", where=[("value", ">", 0), ("word", "regex", "Row [0-9]$")], order=["-value", "n"])
    expected = [row for row in rows if isinstance(row[2], (int, float)) and row[2] > 0 and int(str(row[0])) < 10]
    expected.sort(key=lambda row: (-float(str(row[2])), row[0]))
    assert found.rows == expected
    assert found.matching_rows == len(expected)
    missing = run.table("val/small", where=[("value", "missing")])
    assert [row[0] for row in missing.rows] == [
        row[0] for row in rows if row[2] is None or (isinstance(row[2], float) and math.isnan(row[2]))
    ]


def test_a_large_table_is_read_from_object_storage_page_by_page(logged: ServiceStack, run: Run) -> None:
    found = run.table("big", where=[("rest", "in", [2, 5])], order=["-n"], limit=25)
    expected = [number for number in range(29_999, -1, -1) if number % 7 in (2, 5)]
    assert [row[0] for row in found.rows] == expected[:25]
    assert (found.total_rows, found.matching_rows, found.types[3]) == (30_000, len(expected), "list")
    numbers: list[int] = []
    token = ""
    while True:
        question = {
            "key": "big",
            "page_size": 4000,
            "page_token": token,
            "order": [{"column": "n", "descending": True}],
        }
        page = ask(logged, "GetTable", **question, filters=[{"column": "rest", "operator": "OPERATOR_GE", "value": 3}])
        numbers += page["row_numbers"]
        token = page["next_page_token"]
        if not token:
            break
    assert numbers == [number for number in range(29_999, -1, -1) if number % 7 >= 3]


def test_plots_come_as_what_they_draw(run: Run) -> None:
    line = run.plot("line", step=4)
    assert [(one["name"], one["x"], one["y"]) for one in line["series"]] == [
        ("a", [0, 1, 2], [4, 1, 2]),
        ("b", [0, 1, 2], [3, 4, 5]),
    ]
    matrix = run.plot("matrix")["confusion"]
    assert matrix["classes"] == ["a", "b", "c"]
    assert (matrix["total"], sum(matrix["counts"])) == (60, 60)
    assert matrix["accuracy"] == sum(matrix["counts"][place * 4] for place in range(3)) / 60
    for key in ("pr", "roc"):
        series = run.plot(key)["series"]
        assert [one["name"] for one in series] == ["a", "b", "c"]
        assert all(0.5 < one["area"] <= 1.0 for one in series)


def test_media_are_found_by_step_and_read(logged: ServiceStack, run: Run, tmp_path: Path) -> None:
    found = list(run.media("val/"))
    assert [(one.step, one.caption) for one in found] == [(0, "step 0"), (4, "step 4"), (8, "step 8")]
    assert found[0].metadata["boxes"]["guess"]["box_data"][0]["class_id"] == 1
    assert found[0].metadata["masks"]["truth"]["class_labels"] == {"1": "cat"}
    assert found[0].read().startswith(b"\x89PNG")
    assert found[1].download(tmp_path / "a.png").stat().st_size == found[1].size_bytes
    assert [one.step for one in run.media("val/", at_step=7)] == [4]
    assert list(run.media("val/", at_step=-1)) == []
    assert list(run.media(type="audio/")) == []
    answer = ask(logged, "ListMedia", prefix="val/", page_size=2)
    assert answer["steps"] == ["0", "4", "8"]
    rest = ask(logged, "ListMedia", prefix="val/", page_size=2, page_token=answer["next_page_token"])
    assert [item["step"] for item in answer["items"] + rest["items"]] == ["0", "4", "8"]


def test_files_texts_and_alerts(logged: ServiceStack, run: Run) -> None:
    (kept,) = run.files()
    assert (kept.name.rsplit("/", 1)[-1], kept.category, kept.read()) == ("kept.txt", "file", b"kept")
    assert list(run.files(category="code")) == []
    texts = list(run.texts("note"))
    assert [(one["step"], one["rank"], one["text"]) for one in texts] == [
        (step, rank, f"rank {rank} step {step}") for step in range(log_rich.STEPS) for rank in (0, 1)
    ]
    newest = ask(logged, "GetTexts", keys=["note"], newest_first=True, page_size=3, ranks=[1])
    assert [one["step"] for one in newest["texts"]] == ["11", "10", "9"]
    further = ask(
        logged,
        "GetTexts",
        keys=["note"],
        newest_first=True,
        page_size=3,
        ranks=[1],
        page_token=newest["next_page_token"],
    )
    assert [one["step"] for one in further["texts"]] == ["8", "7", "6"]
    (alert,) = run.alerts()
    assert (alert["level"], alert["title"], alert["text"]) == ("warn", "too warm", "70 degrees")
    assert list(run.alerts("error")) == []
    assert [one["title"] for one in ask(logged, "ListAlerts", run="")["alerts"]] == ["too warm"]


def test_the_console_is_searched_and_paged_both_ways(logged: ServiceStack, run: Run) -> None:
    lines = list(run.console())
    assert [line["time_us"] for line in lines] == sorted(line["time_us"] for line in lines)
    first = [line["text"] for line in lines if line["rank"] == 0 and line["output"] == "stdout"]
    assert first == [f"\x1b[31mrank 0 line {number}\x1b[0m" for number in range(50)]
    assert [line["rank"] for line in run.console(search="TROUBLE")] in ([0, 1], [1, 0])
    assert list(run.console(search="TROUBLE", match_case=True)) == []
    assert [line["text"] for line in run.console(search=r"line [12]?3\x1b", regex=True, rank=1)] == [
        f"\x1b[32mrank 1 line {number}\x1b[0m" for number in (3, 13, 23)
    ]
    assert list(run.console(newest=7)) == lines[-7:]
    for forward in (True, False):
        pages: list[dict[str, Any]] = []
        token = ""
        while True:
            page = ask(logged, "GetConsole", page_size=17, forward=forward, page_token=token)
            pages = pages + page["lines"] if forward else page["lines"] + pages
            assert int(page["matching"]) == (0 if token else 102)
            token = page["next_page_token"]
            if not token:
                break
        assert [line["text"] for line in pages] == [line["text"] for line in lines]
    middle = pages[40]
    after = ask(logged, "GetConsole", from_line=middle["place"], forward=True, page_size=1)["lines"]
    before = ask(logged, "GetConsole", from_line=middle["place"], page_size=1)["lines"]
    assert (before, after) == ([pages[39]], [pages[41]])


@pytest.mark.parametrize(
    ("method", "fields", "status", "words"),
    [
        ("GetHistograms", {"key": "weigths"}, 404, "near it: weights"),
        ("GetHistograms", {"key": "weights", "columns": 1001}, 400, "at most 1000 and 1000"),
        ("GetHistograms", {"key": "weights", "min_step": 5, "max_step": 1}, 400, "swap them"),
        ("GetTable", {"key": "val/smal"}, 404, "near it: val/small"),
        ("GetTable", {"key": "val/small", "step": 5}, 404, "newest steps are 0, 4, 8"),
        ("GetTable", {"key": "val/small", "page_size": 10_001}, 400, "at most 10000"),
        ("GetTable", {"key": "val/small", "filters": [{"column": "x", "value": 1}]}, 400, "the table has n, word"),
        ("GetTable", {"key": "val/small", "page_token": "bm8="}, 400, "page_token"),
        ("GetPlot", {"key": "val/small"}, 400, "read it with GetTable"),
        ("GetPlot", {"run": "nope", "key": "line"}, 404, "no run 'nope'"),
        ("GetConsole", {"search": "(a", "regex": True}, 400, "not an RE2 expression"),
        ("GetConsole", {"search": "a" * 1001}, 400, "at most 1000"),
        ("GetConsole", {"output": "printer"}, 400, "stdout, stderr"),
        ("GetConsole", {"from_line": "[1]"}, 400, "from_line"),
        ("GetTexts", {"keys": []}, 400, "keys: give 1 to 100"),
        ("GetTexts", {"keys": ["notes"]}, 404, "near it: note"),
        ("ListAlerts", {"levels": ["fatal"]}, 400, "info, warn, error"),
        ("ListKeys", {"kinds": ["KEY_KIND_UNSPECIFIED"]}, 400, "kinds: give any of"),
        ("ListMedia", {"run": "rihc"}, 404, "near it: rich"),
        ("WatchRuns", {"runs": [f"r{n}" for n in range(101)]}, 400, "at most 100"),
        ("WatchRuns", {"runs": [], "metrics": ["a"]}, 400, "name the runs"),
        ("WatchRuns", {"runs": ["rihc"]}, 404, "near it: rich"),
    ],
)
def test_bad_questions_are_told_what_to_do(
    logged: ServiceStack, run: Run, method: str, fields: dict[str, Any], status: int, words: str
) -> None:
    assert words in ask(logged, method, status, **fields)["error"]["message"]


def test_the_sdk_tells_what_is_wrong(run: Run) -> None:
    with pytest.raises(NotFoundError, match="near it"):
        run.table("val/smal")
    with pytest.raises(RunstreamError, match="contains"):
        run.table("val/small", where=[("n", "~", 1)])
    assert os.environ["RUNSTREAM_API_KEY"]
