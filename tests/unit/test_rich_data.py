"""Histograms merged, tables filtered and sorted, plots drawn: each against plain Python."""

from __future__ import annotations

import json
import math
import random
import time
from functools import cmp_to_key
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, f1_score, precision_recall_curve, roc_curve

from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.rich import heatmap, plots
from runstream_query.rich.merging import MergedBins, merge, spread, usable
from runstream_query.rich.row_page import RowPage
from runstream_query.rich.rows import DamagedTableError, RowReader

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def histograms(draw: Any) -> MergedBins:
    edges = sorted(draw(st.lists(NUMBERS, min_size=2, max_size=12)))
    counts = draw(st.lists(st.integers(0, 10**6), min_size=len(edges) - 1, max_size=len(edges) - 1))
    return MergedBins(np.array(edges), np.array(counts, dtype=float))


def slowly_spread(edges: list[float], counts: list[float], target: list[float]) -> list[float]:
    """Bin by bin, overlap by overlap."""
    result = [0.0] * (len(target) - 1)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        for place in range(len(result)):
            start, end = target[place], target[place + 1]
            if low == high:
                last = place == len(result) - 1
                if start <= low < end or (last and low == end):
                    result[place] += count
                    break
            else:
                result[place] += count * max(min(high, end) - max(low, start), 0.0) / (high - low)
    return result


@given(st.lists(histograms(), min_size=1, max_size=6), st.integers(1, 20))
@settings(max_examples=200)
def test_merged_histograms_hold_every_count_where_plain_python_puts_it(found: list[MergedBins], bins: int) -> None:
    merged = merge(found, bins)
    assert 1 <= len(merged.counts) <= bins or merged.exact
    assert (np.diff(merged.edges) >= 0).all()
    total = sum(float(one.counts.sum()) for one in found)
    assert merged.counts.sum() == pytest.approx(total, rel=1e-9, abs=1e-6)
    assert (merged.edges[0], merged.edges[-1]) == (
        min(one.edges[0] for one in found),
        max(one.edges[-1] for one in found),
    )
    if not merged.exact and merged.edges[0] < merged.edges[-1]:
        expected = np.sum(
            [slowly_spread(one.edges.tolist(), one.counts.tolist(), merged.edges.tolist()) for one in found], axis=0
        )
        assert merged.counts == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_equal_edges_are_added_exactly_and_nothing_is_reduced_without_need() -> None:
    edges = np.array([0.0, 0.1, 0.7, 3.0])
    merged = merge([MergedBins(edges, np.array([1.0, 2.0, 3.0])), MergedBins(edges, np.array([10.0, 0.0, 0.5]))], 3)
    assert merged.exact
    assert merged.edges.tolist() == edges.tolist()
    assert merged.counts.tolist() == [11.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("edges", "counts", "good"),
    [
        ([0, 1], [1], True),
        ([1, 1], [5], True),
        ([0, math.nan], [1], False),
        ([0, 1], [math.inf], False),
        ([1, 0], [1], False),
        ([0, 1, 2], [1], False),
        ([0], [], False),
    ],
)
def test_histograms_that_cannot_be_merged_are_told(edges: list[float], counts: list[float], good: bool) -> None:
    assert usable(np.array(edges, dtype=float), np.array(counts, dtype=float)) is good


def test_the_largest_doubles_do_not_overflow() -> None:
    widest = MergedBins(np.array([-1.7e308, 1.7e308]), np.array([8.0]))
    halves = spread(widest, np.array([-1.7e308, 0.0, 1.7e308]))
    assert halves.tolist() == [4.0, 4.0]
    assert merge([widest, MergedBins(np.array([0.0, 0.0]), np.array([2.0]))], 4).counts.sum() == 10.0


def test_a_heat_map_has_too_many_bins_only_with_a_word() -> None:
    sheet = heatmap.HeatMapBuilder(1000, each_rank=True)
    many = [heatmap.LoggedHistogram(rank, 0, 0, MergedBins(np.arange(1001.0), np.ones(1000))) for rank in range(5000)]
    with pytest.raises(InvalidRequestError, match="fewer columns"):
        sheet.add(many)


# --------------------------------------------------------------------------------------------------- tables

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0.5, 1.5, -2.25, "NaN", "Infinity", "-Infinity", "", "a", "B", "ab", "\u00e4", "a\nb"]),
    st.lists(st.integers(0, 2), max_size=2),
)
ROWS = st.lists(st.tuples(CELLS, CELLS, st.integers(0, 3)).map(list), max_size=40)


def slow_number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, (int, float)):
        return cell
    return {"Infinity": math.inf, "-Infinity": -math.inf}.get(cell) if isinstance(cell, str) else None


def slow_compare(a: Any, b: Any, descending: bool) -> int:
    """-1, 0, 1, by the rules of `TableOrder`."""
    absent = [cell is None or cell == "NaN" for cell in (a, b)]
    if any(absent):
        return absent[0] - absent[1]

    def rank(cell: Any) -> int:
        return 0 if slow_number(cell) is not None else 1 if isinstance(cell, str) else 2

    def value(cell: Any) -> Any:
        return (slow_number(cell), cell, json.dumps(cell))[rank(cell)]

    result = rank(a) - rank(b) or ((value(a) > value(b)) - (value(a) < value(b)))
    return -result if descending else result


def slow_passes(cell: Any, operator: str, value: Any) -> bool:
    if operator == "MISSING":
        return cell is None or cell == "NaN"
    if operator == "IN":
        return any(slow_passes(cell, "EQ", one) for one in value)
    if operator == "NE":
        return not slow_passes(cell, "EQ", value)
    if operator == "CONTAINS":
        return isinstance(cell, str) and value.lower() in cell.lower()
    if isinstance(value, str):
        left = cell if isinstance(cell, str) and (operator == "EQ" or cell != "NaN") else None
    else:
        left = None if isinstance(cell, bool) else slow_number(cell)
    if left is None:
        return False
    return {
        "EQ": left == value, "LT": left < value, "LE": left <= value, "GT": left > value, "GE": left >= value
    }[operator]  # fmt: skip


FILTERS = st.one_of(
    st.tuples(
        st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE"]), st.sampled_from([0, 1, -2.25, 1.5, "a", "ab", "B"])
    ),
    st.tuples(st.just("IN"), st.lists(st.sampled_from([0, 1, "a", "\u00e4"]), max_size=3)),
    st.tuples(st.just("CONTAINS"), st.sampled_from(["A", "b", "\n"])),
    st.tuples(st.just("MISSING"), st.none()),
)


@given(
    ROWS,
    st.lists(st.tuples(st.sampled_from("xyz"), FILTERS), max_size=2),
    st.lists(st.tuples(st.sampled_from("xyz"), st.booleans()), max_size=3),
    st.integers(1, 15),
    st.integers(1, 9),
)
@settings(max_examples=300)
def test_all_pages_of_a_table_are_what_plain_python_filters_and_sorts(
    rows: list[list[Any]], filters: Any, order: Any, size: int, piece: int
) -> None:
    def holds(row: list[Any]) -> bool:
        return all(slow_passes(row["xyz".index(column)], *rest) for column, rest in filters)

    def compare(a: tuple[int, list[Any]], b: tuple[int, list[Any]]) -> int:
        for column, descending in order:
            found = slow_compare(a[1]["xyz".index(column)], b[1]["xyz".index(column)], descending)
            if found:
                return found
        return a[0] - b[0]

    expected = sorted([(n, row) for n, row in enumerate(rows) if holds(row)], key=cmp_to_key(compare))
    asked = [
        ParseDict({"column": column, "operator": f"OPERATOR_{name}", "value": value}, pb.TableFilter())
        for column, (name, value) in filters
    ]
    wanted = [pb.TableOrder(column=column, descending=descending) for column, descending in order]
    pages: list[tuple[int, list[Any]]] = []
    after = None
    while True:
        selection = RowPage("xyz", asked, wanted, size, after)
        for start in range(0, len(rows), piece):
            selection.take(rows[start : start + piece])
        page = selection.page()
        pages += page
        assert (selection.total, selection.matching) == (len(rows), len(expected))
        if not selection.more:
            break
        assert len(page) == size
        after = (page[-1][1], page[-1][0])
    assert pages == expected


@pytest.mark.parametrize("descending", [False, True])
def test_of_a_long_table_only_a_page_is_kept_in_memory(descending: bool) -> None:
    numbers = list(range(5000))
    random.Random(7).shuffle(numbers)
    order = [pb.TableOrder(column="n", descending=descending)]
    found, after = [], None
    for _ in range(4):
        selection = RowPage(["n"], [], order, 30, after)
        for start in range(0, 5000, 11):
            selection.take([[number] for number in numbers[start : start + 11]])
            assert len(selection._kept) < 100
        page = selection.page()
        found += [row[0] for _, row in page]
        after = (page[-1][1], page[-1][0])
    assert found == sorted(numbers, reverse=descending)[:120]


def test_columns_say_what_they_hold() -> None:
    selection = RowPage(["n", "t", "m", "b", "mixed", "void"])
    picture = {"_type": "media", "sha256": "0" * 64}
    selection.take([[1, "a", picture, True, 1, None], ["Infinity", "b", None, False, "x", "NaN"], [None, "c"]])
    found = {column.name: (column.type, column.missing) for column in selection.columns()}
    assert found == {
        "n": ("number", 1),
        "t": ("text", 0),
        "m": ("media", 2),
        "b": ("boolean", 1),
        "mixed": ("mixed", 1),
        "void": ("missing", 3),
    }


@pytest.mark.parametrize(
    ("filters", "order", "words"),
    [
        ([{"column": "nope", "value": 1}], [], "no column 'nope'"),
        ([], ["nope"], "no column 'nope'"),
        ([{"column": "x"}], [], "has no value"),
        ([{"column": "x", "operator": "OPERATOR_IN", "value": 1}], [], "give a list"),
        ([{"column": "x", "operator": "OPERATOR_LT", "value": None}], [], "a number or a text"),
        ([{"column": "x", "operator": "OPERATOR_REGEX", "value": "(a"}], [], "not an RE2 expression"),
        ([{"column": "x", "operator": "OPERATOR_REGEX", "value": "a" * 2000}], [], "1 to 1000"),
        ([{"column": "x", "value": {"a": 1}}], [], "a number, a text"),
    ],
)
def test_filters_that_cannot_be_are_told(filters: list[Any], order: list[str], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        RowPage(
            ["x"],
            [ParseDict(one, pb.TableFilter()) for one in filters],
            [pb.TableOrder(column=column) for column in order],
        )


def test_a_regex_that_explodes_elsewhere_is_answered_at_once() -> None:
    asked = ParseDict({"column": "x", "operator": "OPERATOR_REGEX", "value": "(a+)+$"}, pb.TableFilter())
    selection = RowPage(["x"], [asked])
    started = time.monotonic()
    selection.take([["a" * 50_000 + "b"], ["a" * 10], [7], [None]])
    assert time.monotonic() - started < 2.0
    assert [number for number, _ in selection.page()] == [1]


@given(ROWS, st.lists(st.integers(1, 30), min_size=1, max_size=30), st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_rows_are_read_whatever_the_pieces(rows: list[list[Any]], sizes: list[int], indent: int | None) -> None:
    data = json.dumps(rows, ensure_ascii=False, indent=indent).encode()
    reader, found, place = RowReader(), [], 0
    generator = random.Random(len(data))
    while place < len(data):
        size = generator.choice(sizes)
        found += list(reader.feed(data[place : place + size], last=place + size >= len(data)))
        place += size
    assert found == rows


@pytest.mark.parametrize("text", ["{}", "[[1, 2]", "[[1, 2], 3]", "[[1,,]]", "", "[" * 5000, "null"])
def test_a_damaged_table_is_told(text: str) -> None:
    with pytest.raises(DamagedTableError):
        list(RowReader().feed(text.encode(), last=True))


# --------------------------------------------------------------------------------------------------- plots


def drawn(spec: dict[str, Any], columns: list[str], rows: list[list[Any]]) -> pb.GetPlotResponse:
    response = pb.GetPlotResponse()
    drawing = plots.begin(json.dumps(spec), columns, response)
    for start in range(0, len(rows), 7):
        drawing.take(rows[start : start + 7])
    drawing.finish(response)
    return response


def test_a_confusion_matrix_is_scored_as_scikit_learn_scores_it() -> None:
    generator = np.random.default_rng(5)
    truth, said = generator.integers(0, 4, 300), generator.integers(0, 3, 300)
    names = ["cat", "dog", "cow", "owl"]
    rows = [[names[a], names[b], int(((truth == a) & (said == b)).sum())] for a in range(4) for b in range(4)]
    spec = {"type": "confusion_matrix", "actual": "A", "predicted": "P", "count": "n"}
    found = drawn(spec, ["A", "P", "n"], rows).confusion
    assert found.total == 300
    assert found.accuracy == pytest.approx((truth == said).mean())
    expected = f1_score(truth, said, average=None, labels=range(4), zero_division=0)
    assert [score.f1 for score in found.scores] == pytest.approx(expected)
    owl = found.scores[3]
    assert math.isnan(owl.precision), "it was never said"
    assert owl.recall == 0.0


def test_areas_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(6)
    truth = generator.integers(0, 2, 400)
    scores = np.round(truth * 0.4 + generator.random(400), 2)
    precision, recall, _ = precision_recall_curve(truth, scores)
    false_rate, true_rate, _ = roc_curve(truth, scores)
    rows = [["a", float(x), float(y)] for x, y in zip(recall, precision, strict=True)]
    pr = drawn({"type": "pr_curve", "x": "x", "y": "y", "stroke": "c"}, ["c", "x", "y"], rows)
    assert pr.series[0].area == pytest.approx(average_precision_score(truth, scores))
    rows = [["a", float(x), float(y)] for x, y in zip(false_rate, true_rate, strict=True)]
    roc = drawn({"type": "roc_curve", "x": "x", "y": "y", "stroke": "c"}, ["c", "x", "y"], rows)
    assert roc.series[0].area == pytest.approx(auc(false_rate, true_rate))


def test_lines_are_thinned_only_where_no_screen_could_show_them() -> None:
    spec = {"type": "line", "x": "x", "y": "y", "stroke": "s"}
    rows: list[list[Any]] = [[x, "NaN" if x == 3 else x * 2, "ab"[x % 2]] for x in range(100)]
    found = drawn(spec, ["x", "y", "s"], rows)
    assert not found.thinned
    assert [(one.name, len(one.xs)) for one in found.series] == [("a", 50), ("b", 50)]
    assert math.isnan(found.series[1].ys[1])
    long = drawn(spec, ["x", "y", "s"], [[x, x, "a"] for x in range(50_000)])
    assert long.thinned
    assert len(long.series[0].xs) <= plots.MAX_POINTS
    assert (long.series[0].xs[0], long.series[0].xs[-1]) == (0, 49_999)


def test_bars_have_their_labels_and_histograms_their_bins() -> None:
    bars = drawn({"type": "bar", "label": "l", "value": "v"}, ["l", "v"], [["one", 1], ["two", None]])
    assert list(bars.series[0].labels) == ["one", "two"]
    bins = drawn({"type": "histogram", "value": "v"}, ["v"], [[x] for x in [*range(64), None, "Infinity"]]).bins
    assert (sum(bins.counts), bins.left_out) == (64, 2)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "has no plot"),
        ({"type": "spiral"}, "is unknown"),
        ({"type": "line", "x": "x"}, "does not name 'y'"),
        ({"type": "line", "x": "x", "y": "nope"}, "no column 'nope'"),
    ],
)
def test_plots_that_cannot_be_drawn_are_told(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        drawn(spec, ["x", "y"], [])
