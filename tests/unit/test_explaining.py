"""Fronts, importances, kinds of axes, globs, differences: pure parts of the questions about many runs."""

from __future__ import annotations

import fnmatch
import math
import re

import numpy as np
import pytest

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.analysis import importance, pareto
from runstream_query.analysis.parameter_columns import make_column
from runstream_query.runs.differences import MAX_COMPARED_LINES, differences, git_diff
from runstream_query.runs.field_choice import glob_regex, parse_columns


@pytest.mark.parametrize("objectives", [2, 3, 5])
@pytest.mark.parametrize("levels", [4, 1000])
def test_layers_are_what_no_point_beats_once_the_layers_before_are_gone(objectives: int, levels: int) -> None:
    generator = np.random.default_rng(objectives)
    costs = generator.integers(0, levels, (200, objectives)).astype(float)
    found = pareto.layers(costs, 3)
    left = set(range(200))
    for layer in (1, 2, 3):
        front = {a for a in left if not any((costs[b] <= costs[a]).all() and (costs[b] < costs[a]).any() for b in left)}
        assert set(np.flatnonzero(found == layer)) == front
        left -= front
    assert set(np.flatnonzero(found == 0)) == left


def test_a_front_of_infinities_and_of_one_point() -> None:
    assert pareto.layers(np.array([[math.inf, -math.inf], [0.0, 0.0], [1.0, 1.0]]), 5).tolist() == [1, 1, 2]
    assert pareto.layers(np.empty((0, 2)), 1).tolist() == []


def forest_of(seed: int = 3) -> tuple[list[importance.ParameterImportance], float]:
    generator = np.random.default_rng(0)
    count = 120
    lr = 10 ** generator.uniform(-5, -1, count)
    opt = generator.choice(["adam", "sgd", "lion"], count)
    depth = generator.integers(1, 9, count)
    noise = generator.normal(size=count)
    target = np.log10(lr) + 3.0 * (opt == "sgd") + 0.02 * noise
    columns = [
        make_column("noise", generator.normal(size=count).tolist()),
        make_column("lr", lr.tolist()),
        make_column("opt", opt.tolist()),
        make_column("depth", [int(d) if i % 3 else None for i, d in enumerate(depth)]),
    ]
    return importance.explain(columns, target, seed)


def test_importance_finds_what_matters_and_is_the_same_each_time() -> None:
    ranked, score = forest_of()
    names = [one.column.name for one in ranked]
    assert set(names[:2]) == {"lr", "opt"} and score > 0.8
    assert sum(one.share for one in ranked) == pytest.approx(1.0)
    assert ranked[2].share < 0.05
    of = {one.column.name: one for one in ranked}
    assert of["lr"].column.kind == pb.AXIS_KIND_LOG and of["lr"].pearson is not None and of["lr"].pearson > 0.3
    assert of["opt"].pearson is None
    assert [(one.column.name, one.share, one.std) for one in forest_of()[0]] == [
        (one.column.name, one.share, one.std) for one in ranked
    ]


def test_correlations_are_those_of_the_definition() -> None:
    column = make_column("x", [1, 2, 3, 4, None, 6])
    target = np.array([2.0, 1.0, 4.0, 3.0, 100.0, 40.0])
    (found,), _ = importance.explain([column], target, 0)
    assert found.spearman == pytest.approx(0.8)
    assert found.pearson == pytest.approx(float(np.corrcoef([1, 2, 3, 4, 6], [2, 1, 4, 3, 40])[0, 1]))


@pytest.mark.parametrize(
    ("values", "kind", "distinct"),
    [
        ([1, 2, None], pb.AXIS_KIND_NUMBER, 2),
        ([1e-5, 1e-2, 0.5], pb.AXIS_KIND_LOG, 3),
        ([0, 1e-5, 1e5], pb.AXIS_KIND_NUMBER, 3),
        ([True, False, None], pb.AXIS_KIND_CATEGORY, 2),
        ([1, "1"], pb.AXIS_KIND_CATEGORY, 1),
        ([[1], "a", 2], pb.AXIS_KIND_CATEGORY, 3),
        ([math.nan, math.inf], pb.AXIS_KIND_NUMBER, 0),
        ([None], pb.AXIS_KIND_NUMBER, 0),
    ],
)
def test_columns_know_their_kind(values: list[object], kind: int, distinct: int) -> None:
    column = make_column("c", values)
    assert (column.kind, column.distinct) == (kind, distinct)


@pytest.mark.parametrize("glob", ["a*", "*/b", "a?c", "[ab]c", "[!a]*", "a.b", "(x)+", "a[", "é*", "**", ""])
def test_globs_mean_what_they_mean_elsewhere(glob: str) -> None:
    for name in ["a", "abc", "ac", "bc", "x/b", "a.b", "axb", "(x)+", "a[", "éa", ""]:
        found = re.search(glob_regex(glob), name, re.DOTALL) is not None
        assert found == fnmatch.fnmatchcase(name, glob), (glob, name)


def test_columns_ask_also_for_the_metric_behind_an_aggregate() -> None:
    wanted = parse_columns(["summary.acc.max", "config.a?"])
    assert set(wanted.parameters["metric_names"]) == {"acc.max", "acc"}
    assert wanted.has_config("ab") and not wanted.has_config("abc") and not wanted.has_summary("acc")


def test_differences_tell_added_removed_and_changed() -> None:
    found = differences(
        [{"a": 1, "b": 1, "c": 1.0, "e": math.nan}, {"b": True, "c": 1, "d": [1], "e": math.nan}], False
    )
    change = pb.Difference.Change.Name
    assert {one.key: change(one.change) for one in found} == {
        "a": "CHANGE_REMOVED",
        "b": "CHANGE_CHANGED",
        "d": "CHANGE_ADDED",
    }
    assert len(differences([{"a": 1}, {"a": 1}], True)) == 1


def test_a_huge_git_diff_is_cut_and_says_so() -> None:
    first = {"git_diff": "\n".join(f"line {n}" for n in range(MAX_COMPARED_LINES + 10))}
    found = git_diff("b", first, {"git_diff": "other"})
    assert found is not None and found.truncated
    assert git_diff("b", first, first) is None
    small = git_diff("b", {"git_diff": "x\ny"}, {"git_diff": "x\nz"})
    assert small is not None and "-y" in small.unified_diff and "+z" in small.unified_diff and not small.truncated
