"""Sweep definitions: W&B's are accepted, malformed ones are refused with their place and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runstream_query.sweeps import definition, expressions
from runstream_query.sweeps.errors import DefinitionError
from runstream_query.sweeps.search.choice import check_feasible, notes, uses_gaussian

LR = {"lr": {"min": 0.001, "max": 0.1}}
NAN, INF = float("nan"), float("inf")

ACCEPTED: dict[str, dict[str, Any]] = {
    "the first of the documentation": {
        "program": "train.py",
        "method": "bayes",
        "metric": {"name": "validation_loss", "goal": "minimize"},
        "parameters": {
            "learning_rate": {"min": 0.0001, "max": 0.1},
            "optimizer": {"values": ["adam", "sgd"]},
        },
    },
    "the tutorial's grid": {
        "method": "grid",
        "metric": {"goal": "maximize", "name": "accuracy"},
        "parameters": {"learning_rate": {"min": 0.001, "max": 0.1, "step": 0.001}},
    },
    "random with everything around": {
        "name": "sweepdemo",
        "description": "a demo",
        "project": "demo",
        "entity": "acme",
        "method": "random",
        "metric": {"goal": "minimize", "name": "loss", "target": 0.1},
        "run_cap": 20,
        "parameters": {
            "batch_size": {"values": [16, 32, 64]},
            "epochs": {"value": 1},
            "lr": {"distribution": "uniform", "min": 0, "max": 0.1},
            "fc": {"distribution": "q_log_uniform_values", "q": 8, "min": 32, "max": 256},
            "dropout": {"values": [0.3, 0.4, 0.5], "probabilities": [0.2, 0.3, 0.5]},
        },
    },
    "every distribution": {
        "method": "random",
        "parameters": {
            "a": {"distribution": "constant", "value": None},
            "b": {"distribution": "categorical", "values": [1, "x", [1, 2], {"k": 1}, True, None]},
            "c": {"distribution": "categorical_w_probabilities", "values": [1, 2], "probabilities": [0.1, 0.9]},
            "d": {"distribution": "int_uniform", "min": -5, "max": 5},
            "e": {"distribution": "uniform", "min": 0, "max": 1},
            "f": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 0.5},
            "g": {"distribution": "log_uniform", "min": -10, "max": 0},
            "h": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1},
            "i": {"distribution": "q_log_uniform", "min": 0, "max": 5, "q": 2},
            "j": {"distribution": "q_log_uniform_values", "min": 1, "max": 100},
            "k": {"distribution": "inv_log_uniform", "min": 0, "max": 5},
            "l": {"distribution": "inv_log_uniform_values", "min": 0.1, "max": 10},
            "m": {"distribution": "normal"},
            "n": {"distribution": "q_normal", "mu": 10, "sigma": 3, "q": 1},
            "o": {"distribution": "log_normal", "mu": 0, "sigma": 1},
            "p": {"distribution": "q_log_normal", "mu": 3, "sigma": 1},
            "q": {"distribution": "beta", "a": 2, "b": 5},
            "r": {"distribution": "q_beta", "a": 2, "b": 5, "q": 0.1},
        },
    },
    "nested": {
        "method": "grid",
        "parameters": {
            "optimizer": {
                "parameters": {"learning_rate": {"values": [0.01, 0.001]}, "momentum": {"value": 0.9}},
            },
            "seed": {"min": 1, "max": 3},
        },
    },
    "hyperband by min_iter": {
        "method": "random",
        "metric": {"name": "loss"},
        "early_terminate": {"type": "hyperband", "min_iter": 3},
        "parameters": LR,
    },
    "hyperband by max_iter": {
        "method": "random",
        "metric": {"name": "loss"},
        "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2, "eta": 3, "strict": True},
        "parameters": LR,
    },
    "command macros": {
        "program": "train.py",
        "method": "grid",
        "parameters": {"a": {"values": [1, 2]}},
        "command": [
            "${env}", "${interpreter}", "${program}", "--flag", "${args}", "${args_no_hyphens}",
            "${args_no_boolean_flags}", "${args_json}", "${args_json_file}", "${envvar:HOME}", "--n", 3,
        ],  # fmt: skip
    },
    "beyond W&B": {
        "method": "bayes",
        "metrics": [{"name": "loss"}, {"name": "latency", "goal": "minimize", "summary": "max"}],
        "parameters": {
            "optimizer": {"values": ["adam", "sgd"]},
            "momentum": {"min": 0.0, "max": 0.99, "when": "optimizer == 'sgd'"},
            "beta": {"min": 0.5, "max": 0.99, "when": {"optimizer": ["adam"]}},
            "layers": {"min": 1, "max": 8},
            "width": {"values": [64, 128, 256]},
        },
        "constraints": ["layers * width <= 1024", "optimizer != 'sgd' or momentum < 0.9"],
        "max_parallel": 8,
        "retries": 2,
        "seed": 7,
        "budget": {"wall_time": "12h", "trial_time": 3600, "cost": 100},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_configurations_of_the_documentation_are_accepted(name: str) -> None:
    found = definition.parse(json.dumps(ACCEPTED[name]))
    check_feasible(found)
    assert found.space.parameters


@pytest.mark.parametrize("name", ["+experiment", "++a.b", "~drop", "model/encoder", "optimizer@model.opt", "layers[0]"])
def test_overrides_of_hydra_are_names(name: str) -> None:
    config = {"method": "grid", "parameters": {name: {"values": [1, 2]}}}
    (parameter,) = definition.parse(json.dumps(config)).space.parameters
    assert parameter.name == name


def test_the_examples_of_the_page_are_accepted() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        check_feasible(definition.parse(example))


def one(**entry: Any) -> dict[str, Any]:
    return {"method": "random", "parameters": {"lr": entry}}


def with_keys(**keys: Any) -> dict[str, Any]:
    return {"method": "random", "metric": {"name": "loss"}, "parameters": LR, **keys}


DEEP = '{"a":' * 900 + "1" + "}" * 900
REFUSED: list[tuple[Any, str]] = [
    ([], "the definition: is []: give a mapping"),
    ({"parameters": LR}, "method: is missing: use one of grid, random, bayes, tpe"),
    ({"method": "gird", "parameters": LR}, "method: is 'gird'; near it: grid"),
    ({"method": 3, "parameters": LR}, "method: is 3"),
    ({"method": "custom", "parameters": LR}, "method: custom searches are not supported"),
    ({"method": "grid"}, "parameters: is missing"),
    ({"method": "grid", "parameters": {}}, "parameters: is {}"),
    ({"method": "grid", "parameters": [1]}, "parameters: is [1]"),
    ({"method": "random", "parameters": {"lr": 3}}, "parameters.lr: is 3: give value: 3"),
    ({"method": "random", "parameters": {"1x": {"value": 1}}}, "parameters.1x: is not a valid name"),
    ({"method": "random", "parameters": {"a b": {"value": 1}}}, "parameters.a b: is not a valid name"),
    ({"method": "random", "parameters": {"a=b": {"value": 1}}}, "parameters.a=b: is not a valid name"),
    ({"method": "random", "parameters": {"a" * 129: {"value": 1}}}, "parameters.aaaaaaaaaa"),
    ({"method": "random", "paramters": LR}, "paramters: there is no such key; near it: parameters"),
    (one(), "parameters.lr: does not say which values it may have"),
    (one(values=[]), "parameters.lr.values: is []: give a list of at least one value"),
    (one(values="abc"), "parameters.lr.values: is 'abc'"),
    (one(values=[1, 2, 1]), "parameters.lr.values[2]: is 1, as is values[0]"),
    (one(values=[1, NAN]), "parameters.lr.values[1]: is nan"),
    (one(values=list(range(10_001))), "parameters.lr.values: has 10001 values: at most 10000"),
    (one(values=[1, 2], probabilities=[0.5, 0.6]), "parameters.lr.probabilities: add up to 1.1"),
    (one(values=[1, 2], probabilities=[1.5, -0.5]), "parameters.lr.probabilities[1]: is -0.5"),
    (one(values=[1, 2], probabilities=[1]), "parameters.lr.probabilities: is [1]: give one number for each of the 2"),
    (one(min=0.1), "parameters.lr.max: is missing"),
    (one(max=0.1), "parameters.lr.min: is missing"),
    (one(min=2, max=1), "parameters.lr.min: is 2, above max (1): swap them"),
    (one(min="a", max=1), "parameters.lr.min: is 'a': give a number"),
    (one(min="1e-3", max=1), "parameters.lr.min: is the text '1e-3': write 0.001 (YAML reads 1e-3 as text"),
    (one(min=NAN, max=1), "parameters.lr.min: is nan: give a finite number"),
    (one(min=0, max=INF), "parameters.lr.max: is inf: give a finite number"),
    (one(min=True, max=1), "parameters.lr.min: is True: give a number"),
    (one(min=0, max=1 << 70), "parameters.lr.max: is 1180591620717411303424: integers end at"),
    (one(min=0, max=1, step=0), "parameters.lr.step: is 0: give a number above 0"),
    (one(min=0, max=1, step=-0.1), "parameters.lr.step: is -0.1"),
    (one(min=0, max=1, q=0.1), "parameters.lr.q: needs a quantised distribution"),
    (one(min=0, max=1, mim=2), "parameters.lr.mim: there is no such key; near it: min"),
    (one(distribution="unifrom", min=0, max=1), "parameters.lr.distribution: is 'unifrom'; near it: uniform"),
    (one(distribution=["uniform"], min=0, max=1), "parameters.lr.distribution: is ['uniform']"),
    (one(distribution="int_uniform", min=0.5, max=3), "parameters.lr.min: is 0.5: int_uniform needs whole numbers"),
    (one(distribution="q_uniform", min=0, max=1, q=0), "parameters.lr.q: is 0"),
    (one(distribution="log_uniform", min=0.1, max=1000), "parameters.lr.max: is 1000: these bounds are exponents"),
    (one(distribution="log_uniform_values", min=0, max=1), "parameters.lr.min: is 0: values of a logarithm"),
    (one(distribution="normal", sigma=-1), "parameters.lr.sigma: is -1.0"),
    (one(distribution="beta", a=0), "parameters.lr.a: is 0"),
    (one(distribution="uniform", values=[1]), "parameters.lr.min: is missing: uniform needs min, max"),
    (one(distribution="constant", value=1, when="lr > 2"), "parameters.lr.when: closes a circle: lr needs lr"),
    ({"method": "grid", "parameters": LR}, "parameters.lr: has infinitely many values, and a grid tries all: add step"),
    (
        {"method": "grid", "parameters": {"x": {"distribution": "normal"}}},
        "parameters.x: has infinitely many values, and a grid tries all: list values",
    ),
    (
        {"method": "random", "parameters": {"a": {"parameters": {"b": {"value": 1}}}, "a.b": {"value": 2}}},
        "parameters.a.b: has the same name as parameters.a.parameters.b",
    ),
    ({"method": "random", "parameters": {"a": {"parameters": {}}}}, "parameters.a.parameters: is {}"),
    (
        {
            "method": "random",
            "parameters": {"a": {"value": 1, "when": "b == 1"}, "b": {"value": 1, "when": "a == 1"}},
        },
        "parameters.a.when: closes a circle: a needs b needs a",
    ),
    (with_keys(metric={}), "metric.name: is missing"),
    (with_keys(metric={"name": ""}), "metric.name: is empty"),
    (with_keys(metric="loss"), "metric: is 'loss': give a mapping"),
    (with_keys(metric={"name": "loss", "goal": "min"}), "metric.goal: is 'min'"),
    (with_keys(metric={"name": "loss", "target": "low"}), "metric.target: is 'low'"),
    (with_keys(metric={"name": "loss", "summary": "median"}), "metric.summary: is 'median'"),
    (with_keys(metrics=[{"name": "a"}]), "metrics: is given together with metric"),
    (
        {"method": "random", "parameters": LR, "metrics": [{"name": "a"}, {"name": "a"}]},
        "metrics[1].name: repeats 'a'",
    ),
    ({"method": "random", "parameters": LR, "metrics": []}, "metrics: is []"),
    ({"method": "bayes", "parameters": LR}, "metric: is missing: bayes needs a metric"),
    (
        {"method": "random", "parameters": LR, "early_terminate": {"type": "hyperband", "min_iter": 3}},
        "metric: is missing: early_terminate compares trials by it",
    ),
    (with_keys(early_terminate={"type": "median"}), "early_terminate.type: is 'median'"),
    (with_keys(early_terminate={"type": "hyperband"}), "early_terminate: give either min_iter, or max_iter with s"),
    (
        with_keys(early_terminate={"type": "hyperband", "min_iter": 1, "max_iter": 9, "s": 2}),
        "early_terminate: give either",
    ),
    (with_keys(early_terminate={"type": "hyperband", "max_iter": 9}), "early_terminate.s: is missing"),
    (with_keys(early_terminate={"type": "hyperband", "max_iter": 2, "s": 1}), "early_terminate.max_iter: is 2, below"),
    (with_keys(early_terminate={"type": "hyperband", "min_iter": 0}), "early_terminate.min_iter: is 0"),
    (with_keys(early_terminate={"type": "hyperband", "min_iter": 1, "eta": 1}), "early_terminate.eta: is 1"),
    (with_keys(early_terminate={"type": "hyperband", "min_iter": 1, "strict": 1}), "early_terminate.strict: is 1"),
    (with_keys(early_terminate={"type": "hyperband", "miniter": 1}), "early_terminate.miniter: there is no such key"),
    (with_keys(run_cap=0), "run_cap: is 0: give a whole number of at least 1"),
    (with_keys(run_cap="ten"), "run_cap: is 'ten'"),
    (with_keys(run_cap=True), "run_cap: is True"),
    (with_keys(max_parallel=-1), "max_parallel: is -1"),
    (with_keys(retries=1.5), "retries: is 1.5"),
    (with_keys(seed=-1), "seed: is -1"),
    (with_keys(budget={"wall_time": "soon"}), "budget.wall_time: is 'soon'"),
    (with_keys(budget={"money": 3}), "budget.money: there is no such key"),
    (with_keys(budget={"cost": 0}), "budget.cost: is 0"),
    (with_keys(command="python train.py"), "command: is 'python train.py': give a list of strings"),
    (with_keys(command=["python", ["x"]]), "command[1]: is ['x']"),
    (with_keys(command=["${interpeter}"]), "command[0]: there is no macro ${interpeter}; near it: interpreter"),
    (with_keys(command=["${envvar:}"]), "command[0]: there is no macro ${envvar:}"),
    (with_keys(constraints="lr < 1"), "constraints: is 'lr < 1': give a list"),
    (with_keys(constraints=["lr <"]), "constraints[0]: 'lr <' cannot be read"),
    (with_keys(constraints=["lrr < 1"]), "constraints[0]: there is no parameter 'lrr'; near it: lr"),
    (with_keys(constraints=["1 < 2"]), "constraints[0]: '1 < 2' names no parameter"),
    (with_keys(constraints=[3]), "constraints[0]: is 3: give an expression"),
    (with_keys(job="x"), "job: belongs to W&B Launch"),
    (with_keys(controller={"type": "local"}), "controller.type: is local"),
    (with_keys(name=["x"]), "name: is ['x']"),
    (with_keys(name="\ud800"), "name: is '\\ud800'"),
    ({"method": "random", "parameters": {"\ud800": {"value": 1}}}, "parameters.\\ud800: is not a valid name"),
    (one(min=0, max=1, step=1e-300), "parameters.lr: has values that a 64-bit float cannot hold, or too many"),
    (
        one(distribution="q_uniform", min=0, max=1, q=1e-320),
        "parameters.lr: has values that a 64-bit float cannot hold",
    ),
    (one(distribution="q_normal", q=1e-320), "parameters.lr: has values that a 64-bit float cannot hold"),
    (one(min=-1.7e308, max=1.7e308), "parameters.lr: has values that a 64-bit float cannot hold"),
    (one(distribution="normal", mu=1.7e308, sigma=1e308), "parameters.lr: has values that a 64-bit float cannot hold"),
    (with_keys(constraints=["lr" + " + lr" * 40 + " > 0"] * 20), "constraints: have"),
]


@pytest.mark.parametrize(("config", "words"), REFUSED, ids=[words[:50] for _, words in REFUSED])
def test_malformed_configurations_are_refused_with_place_and_fix(config: Any, words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition.read(config)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"method": "grid", "method": "random"}', "nul\0", DEEP])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        definition.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "lr.__class__()", "(lambda: 1)()", "[x for x in lr]", "lr if lr else 1", "f'{lr}'",
        "lr[0]", "open(lr)", "abs(x=lr)", "abs()", "lr := 3", "*lr", "lr @ lr", "lr << 9", "{lr: 1}", "b'x' == lr",
        "lr" + "+1" * 300, "(" * 500 + "lr" + ")" * 500, "params[lr]", "params[3]", "lr is None", "await lr", "...",
    ],
)  # fmt: skip
def test_expressions_beyond_the_language_are_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        expressions.parse("when", text)


@pytest.mark.parametrize(
    ("text", "values", "truth"),
    [
        ("a < b <= 3", {"a": 1, "b": 3}, True),
        ("a in ['x', 'y'] and not b", {"a": "x", "b": False}, True),
        ("model.depth * 2 ** a == 16", {"model.depth": 2, "a": 3}, True),
        ("params['learning-rate'] < 0.1", {"learning-rate": 0.01}, True),
        ("log2(a) == 3 and min(a, b) == 2 and abs(-b) // 2 == 1", {"a": 8, "b": 2}, True),
        ("a / b > 1", {"a": 1, "b": 0}, False),
        ("a > 1", {"a": "text"}, False),
        ("9 ** 9 ** 9 ** a > 1", {"a": 9}, False),
        ("a * 1000000000 == 'x'", {"a": "x"}, False),
        ("sqrt(a) > 0", {"a": -1}, False),
    ],
)
def test_expressions_have_their_value_and_none_where_there_is_none(text: str, values: Any, truth: bool) -> None:
    expression = expressions.parse("when", text)
    assert expression.names == frozenset(values)
    assert expression.holds(values) is truth


@pytest.mark.parametrize(
    ("rule", "brackets"),
    [
        ({"min_iter": 3, "eta": 3}, (3, 9, 27, 81)),
        ({"min_iter": 3}, (3, 9, 27, 81)),
        ({"max_iter": 27, "s": 2, "eta": 3}, (3, 9)),
        ({"max_iter": 27, "s": 9, "eta": 3}, (1, 3, 9)),
        ({"max_iter": 5, "s": 2, "eta": 2}, (1, 2)),
    ],
)
def test_brackets_are_those_of_the_documentation(rule: dict[str, Any], brackets: tuple[int, ...]) -> None:
    found = definition.read(with_keys(early_terminate={"type": "hyperband", **rule}))
    assert found.hyperband is not None and found.hyperband.brackets[:4] == brackets


def test_unsatisfiable_constraints_are_refused() -> None:
    for method in ("random", "grid"):
        config = {"method": method, "parameters": {"a": {"min": 1, "max": 9}}, "constraints": ["a > 10"]}
        with pytest.raises(DefinitionError, match="constraints: "):
            check_feasible(definition.read(config))


def test_a_human_is_told_what_the_definition_does() -> None:
    config = {
        "method": "bayes",
        "metric": {"name": "loss"},
        "parameters": {
            "lr": {"distribution": "log_uniform", "min": 0.001, "max": 0.1},
            "x": {"values": ["a", "b"]},
            "y": {"min": 0.0, "max": 1.0, "when": "x == 'a'"},
        },
    }
    found = definition.read(config)
    assert not uses_gaussian(found)
    first, second, third = notes(found)
    assert "are exponents: it draws from 1.001 to 1.105" in first
    assert "TPE" in second and "never ends" in third
