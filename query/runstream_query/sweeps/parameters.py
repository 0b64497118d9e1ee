"""Read one parameter of a definition as a distribution, by W&B's rules, with errors that say what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runstream_query.base.names import nearest
from runstream_query.sweeps import definition_fields
from runstream_query.sweeps.distributions import Beta, Choice, Continuous, Distribution, Normal, Quantised, Steps
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.expressions import Expression
from runstream_query.sweeps.limits import MAX_STEPS, MAX_VALUES

_LARGEST_EXPONENT = 700.0
"""exp() of a larger number is no double."""
Config = Mapping[str, Any]


@dataclass(frozen=True)
class SearchParameter:
    name: str
    """The flat name: `optimizer.lr` if it is nested."""
    keys: tuple[str, ...]
    """Its place in a trial's configuration."""
    path: str
    """Its place in the definition, for messages."""
    distribution: Distribution
    when: Expression | None = None

    @property
    def free(self) -> bool:
        """Whether it has more than one value to search."""
        return self.distribution.count != 1


def read(path: str, config: Config) -> Distribution:
    """Read the distribution of a parameter. Raise DefinitionError."""
    kind = config.get("distribution")
    if kind is None:
        kind = _default(path, config)
    elif not isinstance(kind, str) or kind not in _READERS:
        near = nearest(kind, _READERS) if isinstance(kind, str) else ""
        refuse(f"{path}.distribution", f"is {definition_fields.shown(kind)}{near}: use one of {', '.join(_READERS)}")
    reader, needed, optional = _READERS[kind]
    for key in needed:
        if key not in config:
            refuse(f"{path}.{key}", f"is missing: {kind} needs {', '.join(needed)}")
    definition_fields.only(path, config, (*needed, *optional, "distribution", "when"))
    law = reader(path, config)
    _check_values(path, law)
    return law


def _check_values(path: str, law: Distribution) -> None:
    """Raise DefinitionError for numbers that no double can hold.

    Without this check they would fail only in some later trial.
    """
    if isinstance(law, Choice):
        return
    try:
        fits = all(math.isfinite(law.at(u)) for u in (0.0, 0.5, 1 - 2**-53))
        fits = fits and (not isinstance(law, Steps | Quantised) or (law.count or 0) <= MAX_STEPS + 1 or _whole(law))
    except (ArithmeticError, ValueError):
        fits = False
    if not fits:
        refuse(path, "has values that a 64-bit float cannot hold, or too many of them: narrow it, or take larger steps")


def _whole(law: Steps | Quantised) -> bool:
    return isinstance(law.at(0.5), int)


def _default(path: str, config: Config) -> str:
    if "values" in config:
        return "categorical"
    if "value" in config:
        return "constant"
    if "min" in config or "max" in config:
        for key in ("min", "max"):
            if key not in config:
                refuse(f"{path}.{key}", "is missing: a range needs min and max")
        if "q" in config:
            refuse(f"{path}.q", "needs a quantised distribution: add `distribution: q_uniform`, or use step")
        bounds = [definition_fields.number(f"{path}.{key}", config[key]) for key in ("min", "max")]
        return "int_uniform" if all(isinstance(bound, int) for bound in bounds) else "uniform"
    return refuse(
        path, "does not say which values it may have: give value, values, min and max, distribution, or parameters"
    )


def _constant(path: str, config: Config) -> Distribution:
    return Choice((_plain(f"{path}.value", config["value"]),))


def _categorical(path: str, config: Config) -> Distribution:
    values = config["values"]
    if not isinstance(values, list) or not values:
        refuse(f"{path}.values", f"is {definition_fields.shown(values)}: give a list of at least one value")
    if len(values) > MAX_VALUES:
        refuse(f"{path}.values", f"has {len(values)} values: at most {MAX_VALUES}; use min, max and step")
    checked = [_plain(f"{path}.values[{index}]", value) for index, value in enumerate(values)]
    seen: dict[str, int] = {}
    for index, value in enumerate(checked):
        first = seen.setdefault(json.dumps(value, sort_keys=True), index)
        if first != index:
            refuse(
                f"{path}.values[{index}]", f"is {definition_fields.shown(value)}, as is values[{first}]: give it once"
            )
    ordered = len(checked) > 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in checked)
    ordered = ordered and (sorted(checked) == checked or sorted(checked, reverse=True) == checked)
    return Choice(tuple(checked), _probabilities(path, config, len(checked)), ordered)


def _probabilities(path: str, config: Config, count: int) -> tuple[float, ...] | None:
    given = config.get("probabilities")
    where = f"{path}.probabilities"
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != count:
        refuse(where, f"is {definition_fields.shown(given)}: give one number for each of the {count} values")
    numbers = [float(definition_fields.number(f"{where}[{index}]", value)) for index, value in enumerate(given)]
    if min(numbers) < 0:
        refuse(f"{where}[{numbers.index(min(numbers))}]", f"is {min(numbers)}: a probability is at least 0")
    if abs(math.fsum(numbers) - 1) > 1e-6:
        refuse(where, f"add up to {math.fsum(numbers):.6g}: they must add up to 1")
    return tuple(numbers)


def _range(path: str, config: Config) -> tuple[int | float, int | float]:
    low, high = (definition_fields.number(f"{path}.{key}", config[key]) for key in ("min", "max"))
    if low > high:
        refuse(f"{path}.min", f"is {low}, above max ({high}): swap them")
    return low, high


def _step(path: str, config: Config, low: int | float, high: int | float) -> Steps:
    return Steps.between(low, high, definition_fields.positive(f"{path}.step", config["step"]))


def _int_uniform(path: str, config: Config) -> Distribution:
    low, high = _range(path, config)
    for key in ("min", "max"):
        if isinstance(config[key], float) and not config[key].is_integer():
            refuse(f"{path}.{key}", f"is {config[key]}: int_uniform needs whole numbers; use uniform or q_uniform")
    if "step" in config:
        return _step(path, config, low, high)
    return Steps(int(low), 1, int(high) - int(low) + 1)


def _uniform(path: str, config: Config) -> Distribution:
    low, high = _range(path, config)
    if "step" in config:
        return _step(path, config, low, high)
    return Continuous("uniform", float(low), float(high), (float(low), float(high)))


def _plain_range(path: str, config: Config) -> Continuous:
    low, high = _range(path, config)
    return Continuous("uniform", float(low), float(high))


def _log(law: str, values: bool) -> Callable[[str, Config], Continuous]:
    def read_log(path: str, config: Config) -> Continuous:
        low, high = _range(path, config)
        if not values:
            for key in ("min", "max"):
                if abs(config[key]) > _LARGEST_EXPONENT:
                    refuse(
                        f"{path}.{key}",
                        f"is {config[key]}: these bounds are exponents of e, within {_LARGEST_EXPONENT:g}; "
                        f"use {law_name}_values to give the values themselves",
                    )
            return Continuous(law, float(low), float(high))
        if low <= 0:
            refuse(f"{path}.min", f"is {low}: values of a logarithm are above 0")
        ends = (float(low), float(high))
        if law == "log":
            return Continuous(law, math.log(low), math.log(high), ends)
        return Continuous(law, -math.log(high), -math.log(low), ends)

    law_name = "log_uniform" if law == "log" else "inv_log_uniform"
    return read_log


def _normal(log: bool) -> Callable[[str, Config], Normal]:
    def read_normal(path: str, config: Config) -> Normal:
        mu = float(definition_fields.number(f"{path}.mu", config.get("mu", 0.0)))
        sigma = float(definition_fields.number(f"{path}.sigma", config.get("sigma", 1.0)))
        if sigma < 0:
            refuse(f"{path}.sigma", f"is {sigma}: a standard deviation is at least 0")
        if log and abs(mu) > _LARGEST_EXPONENT:
            refuse(f"{path}.mu", f"is {mu}: mu is of the logarithm, within {_LARGEST_EXPONENT:g}")
        return Normal(mu, sigma, log)

    return read_normal


def _beta(path: str, config: Config) -> Beta:
    a, b = (float(definition_fields.positive(f"{path}.{key}", config.get(key, 1.0))) for key in ("a", "b"))
    return Beta(a, b)


def _quantised(reader: Callable[[str, Config], Continuous | Normal | Beta]) -> Callable[[str, Config], Distribution]:
    def read_quantised(path: str, config: Config) -> Distribution:
        quantum = definition_fields.positive(f"{path}.q", config.get("q", 1))
        return Quantised(reader(path, config), quantum)

    return read_quantised


def _plain(path: str, value: Any) -> Any:
    """Return a value that JSON can hold. Raise DefinitionError for NaN and infinities.

    JSON has no form for them, and nothing could be compared with NaN.
    """
    if isinstance(value, float) and not math.isfinite(value):
        refuse(path, f"is {value}: a configuration holds finite numbers; write it as text")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _plain(f"{path}[{key!r}]", item)
    return value


_BOUNDS = ("min", "max")
_LOG, _LOG_VALUES = _log("log", False), _log("log", True)
_READERS: dict[str, tuple[Callable[[str, Config], Distribution], tuple[str, ...], tuple[str, ...]]] = {
    "constant": (_constant, ("value",), ()),
    "categorical": (_categorical, ("values",), ("probabilities",)),
    "categorical_w_probabilities": (_categorical, ("values", "probabilities"), ()),
    "int_uniform": (_int_uniform, _BOUNDS, ("step",)),
    "uniform": (_uniform, _BOUNDS, ("step",)),
    "q_uniform": (
        _quantised(_plain_range),
        _BOUNDS,
        ("q",),
    ),
    "log_uniform": (_LOG, _BOUNDS, ()),
    "log_uniform_values": (_LOG_VALUES, _BOUNDS, ()),
    "q_log_uniform": (_quantised(_LOG), _BOUNDS, ("q",)),
    "q_log_uniform_values": (_quantised(_LOG_VALUES), _BOUNDS, ("q",)),
    "inv_log_uniform": (_log("inverse_log", False), _BOUNDS, ()),
    "inv_log_uniform_values": (_log("inverse_log", True), _BOUNDS, ()),
    "normal": (_normal(False), (), ("mu", "sigma")),
    "q_normal": (_quantised(_normal(False)), (), ("mu", "sigma", "q")),
    "log_normal": (_normal(True), (), ("mu", "sigma")),
    "q_log_normal": (_quantised(_normal(True)), (), ("mu", "sigma", "q")),
    "beta": (_beta, (), ("a", "b")),
    "q_beta": (_quantised(_beta), (), ("a", "b", "q")),
}
