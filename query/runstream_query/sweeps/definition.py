"""Read and check a sweep's definition: W&B's configuration, and what runstream adds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runstream_query.base.names import nearest
from runstream_query.sweeps import definition_fields
from runstream_query.sweeps import search_space as space
from runstream_query.sweeps.distributions import Continuous
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.limits import MAX_COMMAND, MAX_DESCRIPTION, MAX_NAME, MAX_OBJECTIVES
from runstream_query.sweeps.search_space import SearchSpace

METHODS = ("grid", "random", "bayes", "tpe")
SUMMARIES = ("last", "min", "max", "mean", "best", "first")
MACROS = (
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_json",
    "args_json_file",
)
_KEYS = (
    "method", "parameters", "metric", "metrics", "name", "description", "program", "command", "run_cap",
    "early_terminate", "project", "entity", "constraints", "max_parallel", "retries", "budget", "seed",
    "apiVersion", "kind", "controller",
)  # fmt: skip
_MACRO = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class ObjectiveSpec:
    metric: str
    maximize: bool = False
    target: float | None = None
    summary: str = ""
    """One of SUMMARIES; empty means the run's summary value."""


@dataclass(frozen=True)
class Hyperband:
    """`brackets` are numbers of logs at which a trial must be among the best 1/eta, in ascending order."""

    brackets: tuple[int, ...]
    eta: float
    strict: bool


@dataclass(frozen=True)
class Budget:
    """The limits of a sweep as a whole; None means no limit."""

    wall_time_s: float | None = None
    """Seconds since the first lease."""
    trial_time_s: float | None = None
    """The sum over the trials, in seconds."""
    cost: float | None = None
    """The sum of the costs that the trials report."""


@dataclass(frozen=True)
class SweepDefinition:
    config: Mapping[str, object]
    """The configuration as it was given."""
    method: str
    space: SearchSpace
    objectives: tuple[ObjectiveSpec, ...]
    hyperband: Hyperband | None = None
    run_cap: int | None = None
    max_parallel: int | None = None
    retries: int = 0
    budget: Budget = field(default_factory=Budget)
    seed: int | None = None
    name: str = ""
    description: str = ""
    team: str = ""
    project: str = ""
    notes: tuple[str, ...] = ()


def parse(text: str) -> SweepDefinition:
    """Parse a definition from its JSON text. Raise DefinitionError."""
    try:
        config = json.loads(text, object_pairs_hook=_once)
        return read(config)
    except ValueError as error:
        refuse("", f"the definition is not valid JSON: {error}")
    except RecursionError:
        refuse("", "the definition is nested too deep")


def read(config: object) -> SweepDefinition:
    """Check a definition and return it parsed. Raise DefinitionError."""
    config = definition_fields.mapping("the definition", config)
    method = _method(config)
    _check_keys(config)
    found = space.read(config)
    objectives = _objectives(config)
    if method in ("bayes", "tpe") and not objectives:
        refuse(
            "metric", f"is missing: {method} needs a metric to improve, such as metric: {{name: loss, goal: minimize}}"
        )
    if method == "grid":
        _check_grid(found)
    _check_command(config.get("command"))
    return SweepDefinition(
        config=config,
        method=method,
        space=found,
        objectives=objectives,
        hyperband=_hyperband(config.get("early_terminate"), objectives),
        run_cap=definition_fields.integer("run_cap", config["run_cap"], 1) if "run_cap" in config else None,
        max_parallel=definition_fields.integer("max_parallel", config["max_parallel"], 1)
        if "max_parallel" in config
        else None,
        retries=definition_fields.integer("retries", config.get("retries", 0), 0, 100),
        budget=_budget(config.get("budget")),
        seed=definition_fields.integer("seed", config["seed"], 0) if "seed" in config else None,
        name=definition_fields.text("name", config.get("name") or "", MAX_NAME),
        description=definition_fields.text("description", config.get("description") or "", MAX_DESCRIPTION),
        team=definition_fields.text("entity", config.get("entity") or "", 64),
        project=definition_fields.text("project", config.get("project") or "", 128),
        notes=tuple(_notes(found)),
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            refuse(key, "occurs twice in one mapping: rename or remove one")
        found[key] = value
    return found


def _method(config: Mapping[str, object]) -> str:
    if "method" not in config:
        refuse("method", f"is missing: use one of {', '.join(METHODS)}")
    if config["method"] == "custom":
        refuse(
            "method",
            "custom searches are not supported: use grid, random, bayes or tpe, or choose trials yourself by ask/tell",
        )
    return definition_fields.one_of("method", config["method"], METHODS)


def _check_keys(config: Mapping[str, object]) -> None:
    for key in ("job", "image_uri", "scheduler"):
        if key in config:
            refuse(
                key,
                "belongs to W&B Launch, which runstream does not have: give program or command, and start the agents",
            )
    definition_fields.only("", config, _KEYS)
    controller = config.get("controller")
    if controller is not None and definition_fields.mapping("controller", controller).get("type", "cloud") != "cloud":
        refuse("controller.type", "is local, but only the server can run the search: leave it out")
    if "kind" in config:
        definition_fields.one_of("kind", config["kind"], ("sweep",))
    if "program" in config and config["program"] is not None:
        definition_fields.text("program", config["program"], 4096)


def _objectives(config: Mapping[str, object]) -> tuple[ObjectiveSpec, ...]:
    if "metrics" not in config:
        return (_objective("metric", config["metric"]),) if config.get("metric") is not None else ()
    if "metric" in config:
        refuse("metrics", "is given together with metric: use one of them")
    given = config["metrics"]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_OBJECTIVES:
        refuse("metrics", f"is {definition_fields.shown(given)}: give a list of 1 to {MAX_OBJECTIVES} metrics")
    found = [_objective(f"metrics[{index}]", entry) for index, entry in enumerate(given)]
    for index, objective in enumerate(found):
        if objective.metric in [other.metric for other in found[:index]]:
            refuse(f"metrics[{index}].name", f"repeats {objective.metric!r}: name each metric once")
    return tuple(found)


def _objective(path: str, config: object) -> ObjectiveSpec:
    config = definition_fields.mapping(path, config)
    if "name" not in config:
        refuse(f"{path}.name", "is missing: name the metric that the program logs")
    definition_fields.only(path, config, ("name", "goal", "target", "summary", "impute", "impute_while_running"))
    name = definition_fields.text(f"{path}.name", config["name"], 1024)
    if not name:
        refuse(f"{path}.name", "is empty: name the metric that the program logs")
    goal = definition_fields.one_of(f"{path}.goal", config.get("goal", "minimize"), ("minimize", "maximize"))
    target = config.get("target")
    summary = config.get("summary")
    return ObjectiveSpec(
        metric=name,
        maximize=goal == "maximize",
        target=None if target is None else float(definition_fields.number(f"{path}.target", target)),
        summary="" if summary is None else definition_fields.one_of(f"{path}.summary", summary, SUMMARIES),
    )


def _check_grid(found: SearchSpace) -> None:
    for parameter in found.parameters:
        if parameter.distribution.count is None:
            wide = isinstance(parameter.distribution, Continuous) and parameter.distribution.law == "uniform"
            fix = "add step, such as step: 0.01" if wide else "list values, or give min, max and step"
            refuse(parameter.path, f"has infinitely many values, and a grid tries all: {fix}; or use method: random")


def _hyperband(config: object, objectives: tuple[ObjectiveSpec, ...]) -> Hyperband | None:
    path = "early_terminate"
    if config is None:
        return None
    config = definition_fields.mapping(path, config)
    if not objectives:
        refuse("metric", "is missing: early_terminate compares trials by it")
    definition_fields.one_of(f"{path}.type", config.get("type"), ("hyperband",))
    definition_fields.only(path, config, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    eta = definition_fields.number(f"{path}.eta", config.get("eta", 3))
    if eta <= 1:
        refuse(f"{path}.eta", f"is {eta}: the best 1/eta go on, so give a number above 1")
    strict = definition_fields.truth(f"{path}.strict", config.get("strict", False))
    if "min_iter" in config and "max_iter" not in config:
        first = definition_fields.integer(f"{path}.min_iter", config["min_iter"], 1)
        brackets = [int(first * eta**power) for power in range(100) if first * eta**power < 2**53]
    elif "max_iter" in config and "min_iter" not in config:
        if "s" not in config:
            refuse(f"{path}.s", "is missing: with max_iter it gives the number of brackets")
        last = definition_fields.integer(f"{path}.max_iter", config["max_iter"], 1)
        count = definition_fields.integer(f"{path}.s", config["s"], 1, 100)
        brackets = [int(last / eta**power) for power in range(1, count + 1) if last / eta**power >= 1]
        if not brackets:
            refuse(
                f"{path}.max_iter", f"is {last}, below eta ({eta}): no bracket is left; give at least {int(eta) + 1}"
            )
    else:
        refuse(path, "give either min_iter, or max_iter with s")
    return Hyperband(tuple(sorted(set(brackets))), float(eta), strict)


def _budget(config: object) -> Budget:
    if config is None:
        return Budget()
    config = definition_fields.mapping("budget", config)
    definition_fields.only("budget", config, ("wall_time", "trial_time", "cost"))
    times = {
        key: definition_fields.duration_s(f"budget.{key}", config[key]) if key in config else None
        for key in ("wall_time", "trial_time")
    }
    cost = float(definition_fields.positive("budget.cost", config["cost"])) if "cost" in config else None
    return Budget(times["wall_time"], times["trial_time"], cost)


def _check_command(command: object) -> None:
    if command is None:
        return
    if not isinstance(command, list) or not 1 <= len(command) <= MAX_COMMAND:
        refuse(
            "command",
            f"is {definition_fields.shown(command)}: give a list of strings, such as [python, train.py, ${{args}}]",
        )
    for index, word in enumerate(command):
        path = f"command[{index}]"
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            refuse(path, f"is {definition_fields.shown(word)}: give a string or a number")
        for macro in _MACRO.findall(str(word)):
            name, colon, variable = macro.partition(":")
            if macro in MACROS or (name == "envvar" and colon and variable):
                continue
            known = (*MACROS, "envvar:NAME")
            refuse(path, f"there is no macro ${{{macro}}}{nearest(macro, known)}; macros: {', '.join(known)}")


def _notes(found: SearchSpace) -> list[str]:
    notes = []
    for parameter in found.parameters:
        law = parameter.distribution
        if isinstance(law, Continuous) and law.law == "log" and law.clip is None and law.low > 0:
            notes.append(
                f"{parameter.path}: the bounds of log_uniform are exponents: it draws from {law.at(0):.4g} to "
                f"{law.at(1):.4g}; log_uniform_values takes the values themselves"
            )
    return notes
