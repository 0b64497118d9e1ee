"""Pages, filters, orders, groups and searches of runs equal a slow reference in plain Python, on random documents with
missing keys, mixed types, NaN, lists, superseded and deleted values, everything stored twice."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from tests.integration.many_runs import KEYS, METRICS, PROJECT, RUNS, VALUES, Asked
from tests.integration.reference import OWN, group_key, matches, ordered, value_of

FIELDS = [
    "id", "name", "state", "user", "host", "duration", *OWN, *(f"config.{key}" for key in KEYS), "config.lr.value",
    "config.missing", "summary.loss", "summary.acc", "summary.acc.max", "summary.acc.min", "summary.acc.best",
    "summary.acc.mean", "summary.acc.first", "summary.mine", "summary.é/m",
]  # fmt: skip


def random_operand(pick: random.Random, field: str) -> Any:
    if pick.random() < 0.6:
        known = [value_of(run, field) for run in RUNS.runs]
        known = [value for value in known if isinstance(value, (str, int, float, list, type(None)))]
        if known:
            value = pick.choice(known)
            return pick.choice(value) if isinstance(value, list) and value and pick.random() < 0.7 else value
    return pick.choice([value for value in VALUES if not isinstance(value, dict)])


def random_test(pick: random.Random) -> dict[str, Any]:
    field = pick.choice(FIELDS)
    operator = pick.choice(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex", "$not", ""])
    operand = random_operand(pick, field)
    if operator in ("$gt", "$gte", "$lt", "$lte") and (isinstance(operand, (bool, list)) or operand is None):
        operand = pick.choice([0.5, "b"])
    match operator:
        case "":
            return {field: operand}
        case "$in" | "$nin":
            return {field: {operator: [random_operand(pick, field) for _ in range(pick.randrange(4))]}}
        case "$exists":
            return {field: {operator: pick.random() < 0.5}}
        case "$regex":
            return {field: {operator: pick.choice(["a", "^a.*", "(?i)ADAM", "[0-9]+", "o$", "e/s", ".", "^$", "x|y"])}}
        case "$not":
            return {field: {"$not": {"$in": [operand]}}}
    return {field: {operator: operand}}


def random_filter(pick: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and pick.random() < 0.35:
        word = pick.choice(["$and", "$or", "$nor", "$not"])
        if word == "$not":
            return {word: random_filter(pick, depth + 1)}
        return {word: [random_filter(pick, depth + 1) for _ in range(pick.randrange(1, 4))]}
    return {**random_test(pick), **(random_test(pick) if pick.random() < 0.2 else {})}


@pytest.mark.parametrize("seed", range(50))
async def test_filters_find_what_the_reference_finds(asked: Asked, seed: int) -> None:
    pick = random.Random(seed)
    condition = random_filter(pick)
    expected = [run["id"] for run in RUNS.runs if matches(run, condition)]
    assert sorted(await asked.ids(condition)) == expected, json.dumps(condition)


@pytest.mark.parametrize("seed", range(16))
async def test_pages_in_any_order_are_the_reference_cut_in_pieces(asked: Asked, seed: int) -> None:
    pick = random.Random(seed)
    order = [pick.choice(["", "+", "-"]) + field for field in pick.sample(FIELDS, pick.randrange(3))]
    condition = random_filter(pick) if pick.random() < 0.3 else {}
    expected = [run["id"] for run in ordered([run for run in RUNS.runs if matches(run, condition)], order)]
    runs, totals = await asked.pages(19, filter=json.dumps(condition), order=order, fields=["none"])
    assert [run.id for run in runs] == expected, (order, condition)
    assert set(totals) == {len(expected)}


@pytest.mark.parametrize("field", FIELDS)
async def test_every_field_sorts_both_ways_with_the_missing_last(asked: Asked, field: str) -> None:
    for sign in "+-":
        assert await asked.ids(order=[sign + field]) == [run["id"] for run in ordered(RUNS.runs, [sign + field])]


@pytest.mark.parametrize(
    "by", [["config.opt"], ["state", "tags"], ["config.lr", "summary.mine"], ["host"], ["group"], []]
)
async def test_groups_count_and_aggregate_what_the_reference_does(asked: Asked, by: list[str]) -> None:
    condition = {"state": {"$ne": "preempted"}}
    request = pb.CountRunsRequest(
        project=PROJECT, filter=json.dumps(condition), by=by, metrics=["loss", "acc.max"], limit=1000
    )
    response = await asked.answers.listing.CountRuns(asked.principal, request)
    groups: dict[Any, list[dict[str, Any]]] = {}
    chosen = [run for run in RUNS.runs if matches(run, condition)]
    for run in chosen:
        groups.setdefault(group_key(run, by), []).append(run)
    expected = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    assert [group.runs for group in response.groups] == [len(members) for _, members in expected]
    assert (response.total, response.group_count) == (len(chosen), len(groups))
    for group, (_, members) in zip(response.groups, expected, strict=True):
        for found, metric in zip(group.metrics, ("loss", "acc.max"), strict=True):
            values = [run[f"summary.{metric}"] for run in members if f"summary.{metric}" in run]
            numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
            finite = [value for value in numbers if math.isfinite(value)]
            assert (found.runs, found.not_finite) == (len(finite), len(numbers) - len(finite))
            if finite:
                mean = sum(finite) / len(finite)
                spread = math.sqrt(sum((v - mean) ** 2 for v in finite) / max(len(finite) - 1, 1))
                assert found.mean == pytest.approx(mean) and found.std == pytest.approx(
                    spread, abs=1e-6 * abs(mean) + 1e-9
                )
                assert (found.min, found.max) == (min(finite), max(finite))
            else:
                assert math.isnan(found.mean) and math.isnan(found.min)


async def test_what_is_shown_is_what_filters_and_orders_see(asked: Asked) -> None:
    from google.protobuf.json_format import MessageToDict

    runs, _ = await asked.pages(1000)
    shown = {run.id: run for run in runs}
    assert sorted(shown) == [run["id"] for run in RUNS.runs], "a run of helpers alone is none"
    for run in RUNS.runs:
        found = shown[run["id"]]
        assert {name for name in run if name.startswith("config.")} == {f"config.{key}" for key in found.config}
        summary = MessageToDict(found.summary)
        expected = {key.removeprefix("summary."): value for key, value in run.items() if key.startswith("summary.")}
        assert set(summary) == set(expected)
        for key, value in expected.items():
            if isinstance(value, float) and math.isfinite(value):
                assert summary[key] == pytest.approx(value)


@pytest.mark.parametrize(
    "fields",
    [
        ["config.lr", "summary.acc"],
        ["config.opt*"],
        ["summary.acc.*"],
        ["summary.*max"],
        ["summary.acc.max", "config.x y"],
        [
            "config.lr",
            "config.opt",
            "config.opt.value",
            "config.flag",
            "summary.mine",
            "summary.loss",
            "summary.acc.best",
        ],
        ["none"],
        ["state"],
    ],
    ids=str,
)
async def test_runs_carry_only_the_columns_that_are_asked_for(asked: Asked, fields: list[str]) -> None:
    def wanted(section: str, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if any(fnmatchcase(f"{section}.{key}", field) for field in fields)}

    fresh = (await asked.pages(1000, fields=fields))[0]
    runs, _ = await asked.pages(1000, fields=fields)
    assert runs == fresh, "the second page comes from memory"
    whole = {run.id: run for run in (await asked.pages(1000))[0]}
    for run in runs:
        assert set(run.config) == wanted("config", whole[run.id].config)
        assert set(run.summary) == wanted("summary", whole[run.id].summary)
        for key in run.summary:
            assert run.summary.fields[key] == whole[run.id].summary.fields[key]


@pytest.mark.parametrize("text", ["ADAM", "run-01", "node", "a/b", "second", "note", "uo\\te", "É", "zzz", "true"])
async def test_search_looks_in_names_tags_notes_and_config(asked: Asked, text: str) -> None:
    def found(run: dict[str, Any]) -> bool:
        values = [run["id"], *(run.get(key) for key in ("tags", "group", "notes"))]
        values += [
            run["name"] if run["name"] != run["id"] else "",
            *(v for k, v in run.items() if k.startswith("config.")),
        ]
        texts = [
            v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, separators=(",", ":"))
            for v in values
            if v is not None
        ]
        return any(text.lower() in one.lower() for one in texts)

    assert sorted(await asked.ids(search=text)) == [run["id"] for run in RUNS.runs if found(run)]


async def test_a_token_of_another_order_is_refused(asked: Asked) -> None:
    request = pb.ListRunsRequest(project=PROJECT, page_size=2, order=["config.lr"])
    request.page_token = (await asked.answers.listing.ListRuns(asked.principal, request)).next_page_token
    request.order[:] = ["-config.lr"]
    with pytest.raises(InvalidRequestError, match="page_token"):
        await asked.answers.listing.ListRuns(asked.principal, request)


async def test_fields_are_listed_with_their_kinds_and_counts(asked: Asked) -> None:
    request = pb.ListFieldsRequest(project=PROJECT, page_size=2)
    found: dict[str, pb.FieldInfo] = {}
    while True:
        response = await asked.answers.fields.ListFields(asked.principal, request)
        found.update({field.field: field for field in response.fields})
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    names = [name for name in found if name.startswith("config.")]
    assert names == sorted((f"config.{key}" for key in KEYS), key=str.encode)
    assert {f"summary.{metric}" for metric in METRICS} <= set(found)
    for name in names:
        values = [run[name] for run in RUNS.runs if name in run]
        assert found[name].runs == len(values)
        assert ("number" in found[name].kinds) == any(type(v) in (int, float) for v in values)
        finite = [float(v) for v in values if type(v) in (int, float) and math.isfinite(v)]
        assert (found[name].min, found[name].max) == (min(finite), max(finite))
    assert found["summary.loss"].metric and not found["summary.mine"].metric


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ({"regex": "^acc"}, ["acc", "acc.max"]),
        ({"glob": "acc*"}, ["acc", "acc.max"]),
        ({"glob": "acc"}, ["acc"]),
        ({"glob": "*[lm]*"}, ["acc.max", "loss", "é/m"]),
        ({"search": "OSS"}, ["loss"]),
        ({"regex": "nothing"}, []),
        ({}, sorted(METRICS, key=str.encode)),
    ],
)
async def test_metrics_are_found_by_regex_and_glob_in_runs_and_projects(
    asked: Asked, question: dict[str, Any], names: list[str]
) -> None:
    for runs in ([], [run["id"] for run in RUNS.runs]):
        request = pb.ListMetricsRequest(project=PROJECT, runs=runs, **question)
        response = await asked.answers.fields.ListMetrics(asked.principal, request)
        assert [metric.name for metric in response.metrics] == names
        for metric in response.metrics:
            assert metric.runs == sum(metric.name in points for points in RUNS.points.values())
