"""Hold all parameters of a sweep, with their order, conditions and constraints, and build configurations.

A configuration is flat here, `{"optimizer.name": "sgd", "lr": 0.1}`, and has the active parameters only; `nest` returns
the nested form that the training program gets.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from runstream_query.base.names import nearest
from runstream_query.sweeps import definition_fields, expressions, parameters
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.expressions import Expression
from runstream_query.sweeps.limits import MAX_CONSTRAINTS, MAX_NESTING, MAX_NODES, MAX_PARAMETERS
from runstream_query.sweeps.parameters import SearchParameter

_NAME = re.compile(r"(?=.{1,128}\Z)(?:\+\+?|~)?[A-Za-z_][A-Za-z0-9_.@/:\[\]-]*")
"""The names include Hydra's overrides: `+experiment`, `model/encoder`, `optimizer@model.opt`, `layers[0]`."""


@dataclass(frozen=True)
class SearchSpace:
    parameters: tuple[SearchParameter, ...]
    """The parameters in the definition's order, but each after those that its condition names."""
    constraints: tuple[Expression, ...] = ()

    @property
    def conditional(self) -> bool:
        return any(parameter.when is not None for parameter in self.parameters)

    @property
    def count(self) -> int | None:
        """The number of configurations, before conditions and constraints; None for infinitely many."""
        counts = [parameter.distribution.count for parameter in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def assemble(self, pick: Callable[[SearchParameter], object]) -> dict[str, object]:
        """Return a configuration with values from `pick`, which is called for active parameters only, in order."""
        chosen: dict[str, object] = {}
        for parameter in self.parameters:
            if is_active(parameter, chosen):
                chosen[parameter.name] = pick(parameter)
        return chosen

    def violated(self, chosen: Mapping[str, object]) -> Expression | None:
        """Return the first constraint that does not hold, or None.

        A constraint that names an inactive parameter holds.
        """
        for constraint in self.constraints:
            if constraint.names <= chosen.keys() and not constraint.holds(chosen):
                return constraint
        return None

    def nest(self, chosen: Mapping[str, object]) -> dict[str, object]:
        nested: dict[str, object] = {}
        for parameter in self.parameters:
            if parameter.name not in chosen:
                continue
            place = nested
            for key in parameter.keys[:-1]:
                inner = place.setdefault(key, {})
                assert isinstance(inner, dict)
                place = inner
            place[parameter.keys[-1]] = chosen[parameter.name]
        return nested

    def flatten(self, nested: Mapping[str, object]) -> dict[str, object]:
        """Return the parameters of this space that a nested configuration has; it may come from elsewhere."""
        chosen: dict[str, object] = {}
        for parameter in self.parameters:
            place: object = nested
            for key in parameter.keys:
                place = place.get(key, _ABSENT) if isinstance(place, dict) else _ABSENT
            if place is not _ABSENT:
                chosen[parameter.name] = place
        return chosen


_ABSENT = object()
_COMPACT, _SORTED = (json.JSONEncoder(separators=(",", ":"), sort_keys=ordered) for ordered in (False, True))
"""Made once, because `json.dumps` makes an encoder for each call."""


def is_active(parameter: SearchParameter, chosen: Mapping[str, object]) -> bool:
    """Return whether the parameter's condition holds; a condition that names an inactive parameter does not."""
    return parameter.when is None or (parameter.when.names <= chosen.keys() and parameter.when.holds(chosen))


def as_json(configuration: Mapping[str, object]) -> str:
    return _COMPACT.encode(configuration)


def digest(configuration: Mapping[str, object]) -> str:
    """Return 32 hex digits that are the same for equal configurations."""
    return hashlib.blake2b(_SORTED.encode(configuration).encode(), digest_size=16).hexdigest()


def read(definition: Mapping[str, object]) -> SearchSpace:
    """Read the space from `parameters` and `constraints`. Raise DefinitionError."""
    config = definition.get("parameters")
    if config is None:
        refuse("parameters", "is missing: name at least one parameter")
    found = list(_walk("parameters", config, (), 1))
    if len(found) > MAX_PARAMETERS:
        refuse("parameters", f"has {len(found)} parameters: at most {MAX_PARAMETERS}")
    by_name: dict[str, SearchParameter] = {}
    for parameter, _ in found:
        other = by_name.setdefault(parameter.name, parameter)
        if other is not parameter:
            refuse(parameter.path, f"has the same name as {other.path}: rename one")
    with_conditions = [
        replace(parameter, when=_condition(f"{parameter.path}.when", when, by_name)) if when is not None else parameter
        for parameter, when in found
    ]
    space = SearchSpace(tuple(_in_order(with_conditions)), tuple(_constraints(definition.get("constraints"), by_name)))
    conditions = [parameter.when for parameter in space.parameters if parameter.when is not None]
    nodes = sum(expression.nodes for expression in (*conditions, *space.constraints))
    if nodes > MAX_NODES:
        refuse("constraints", f"have {nodes} parts with the conditions: at most {MAX_NODES}; simplify them")
    return space


def _walk(path: str, config: object, keys: tuple[str, ...], level: int) -> Iterator[tuple[SearchParameter, object]]:
    """Yield each parameter with its `when`; a `when` of a group applies to each parameter of the group."""
    if not isinstance(config, dict) or not config:
        refuse(path, f"is {definition_fields.shown(config)}: name at least one parameter")
    if level > MAX_NESTING:
        refuse(path, f"is nested too deep: at most {MAX_NESTING} levels")
    for name, entry in config.items():
        where = f"{path}.{name}"
        if not _NAME.fullmatch(name):
            refuse(
                where,
                "is not a valid name: use a letter or _ (after '+', '++' or '~'), then letters, digits, _.-@/:[]",
            )
        if not isinstance(entry, dict):
            refuse(
                where,
                f"is {definition_fields.shown(entry)}: give value: {definition_fields.shown(entry)} for a constant",
            )
        if "parameters" in entry:
            definition_fields.only(where, entry, ("parameters", "when"))
            for parameter, when in _walk(f"{where}.parameters", entry["parameters"], (*keys, name), level + 1):
                yield parameter, _both(entry.get("when"), when)
            continue
        distribution = parameters.read(where, entry)
        yield SearchParameter(".".join((*keys, name)), (*keys, name), where, distribution), entry.get("when")


def _both(outer: object, inner: object) -> object:
    if outer is None or inner is None:
        return outer if inner is None else inner
    return [outer, inner] if not isinstance(outer, list) else [*outer, inner]


def _condition(path: str, when: object, known: Mapping[str, SearchParameter]) -> Expression:
    """Parse a condition. Raise DefinitionError.

    It is a text; a mapping of names to a value or a list of values; or a list of these, which must all hold.
    """
    parts = [_condition_text(path, part) for part in (when if isinstance(when, list) else [when])]
    if not parts:
        refuse(path, "is an empty list: leave it out")
    joined = parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
    expression = expressions.parse(path, joined)
    _check_names(path, expression, known)
    if not expression.names:
        refuse(path, f"{expression.text!r} names no parameter: its value never changes")
    return expression


def _condition_text(path: str, when: object) -> str:
    if not isinstance(when, dict):
        return str(expressions.parse(path, when).text)
    if not when:
        refuse(path, "is empty: leave it out")
    clauses = []
    for name, wanted in when.items():
        operator = "in" if isinstance(wanted, list) else "=="
        clauses.append(f"params[{name!r}] {operator} {wanted!r}")
    return " and ".join(clauses)


def _constraints(config: object, known: Mapping[str, SearchParameter]) -> Iterator[Expression]:
    if config is None:
        return
    if not isinstance(config, list) or len(config) > MAX_CONSTRAINTS:
        refuse(
            "constraints", f"is {definition_fields.shown(config)}: give a list of at most {MAX_CONSTRAINTS} expressions"
        )
    for index, text in enumerate(config):
        path = f"constraints[{index}]"
        expression = expressions.parse(path, text)
        _check_names(path, expression, known)
        if not expression.names:
            refuse(path, f"{expression.text!r} names no parameter: its value never changes")
        yield expression


def _check_names(path: str, expression: Expression, known: Mapping[str, SearchParameter]) -> None:
    for name in sorted(expression.names):
        if name not in known:
            refuse(path, f"there is no parameter {name!r}{nearest(name, known)}; text needs quotes: '{name}'")


def _in_order(found: list[SearchParameter]) -> list[SearchParameter]:
    """Return each parameter after those that its condition names, otherwise in their order.

    Raise DefinitionError for a circle.
    """
    left = {parameter.name: parameter for parameter in found}
    done: list[SearchParameter] = []
    while left:
        ready = next((p for p in left.values() if p.when is None or not p.when.names & left.keys()), None)
        if ready is None:
            circle = _circle(left)
            refuse(left[circle[0]].path + ".when", f"closes a circle: {' needs '.join(circle)}; remove one condition")
        done.append(left.pop(ready.name))
    return done


def _circle(left: Mapping[str, SearchParameter]) -> list[str]:
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:
        when = left[path[-1]].when
        assert when is not None
        path.append(min(when.names & left.keys()))
    return path[path.index(path[-1]) :]
