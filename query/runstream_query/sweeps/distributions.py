"""Describe the values that one parameter may take: W&B's distributions, each as its quantile function.

Every value is drawn by a number `u` in [0, 1): `at(u)` is the value below which the share `u` of all draws lies. So a
random search needs uniform numbers only, and a model sees each parameter as its distribution sees it.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Protocol, TypeGuard


class Distribution(Protocol):
    """The values of a parameter and how likely they are.

    `count` is the number of values, None for infinitely many. `ordered` means that nearby values are alike.
    """

    @property
    def count(self) -> int | None: ...
    @property
    def ordered(self) -> bool: ...
    def at(self, u: float) -> Any:
        """Return the value at the quantile `u`."""

    def value(self, index: int) -> object:
        """Return the value of a grid at this index, from 0. Raise TypeError if `count` is None."""

    def unit(self, value: object) -> float | None:
        """Return the quantile of a value, as `at` takes it, clipped into [0, 1].

        For a discrete value it is the middle of its quantiles. It is None for a value that the parameter cannot have.
        """


@dataclass(frozen=True)
class Choice:
    """Some values, equally likely or with probabilities. One value is a constant."""

    values: Sequence[object]
    probabilities: Sequence[float] | None = None
    ordered: bool = False
    _edges: list[float] = field(init=False, repr=False, default_factory=list)
    """The cumulative sums of the probabilities."""

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            total = math.fsum(self.probabilities)
            self._edges.extend(edge / total for edge in itertools.accumulate(self.probabilities))

    @property
    def count(self) -> int:
        return len(self.values)

    def index(self, u: float) -> int:
        if self.probabilities is None:
            return min(int(u * len(self.values)), len(self.values) - 1)
        index = min(bisect.bisect_right(self._edges, u), len(self.values) - 1)
        while self.probabilities[index] == 0:  # only where u is at the very end
            index -= 1
        return index

    def at(self, u: float) -> object:
        return self.values[self.index(u)]

    def value(self, index: int) -> object:
        return self.values[index]

    def unit(self, value: object) -> float | None:
        for index, known in enumerate(self.values):
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                if self.probabilities is None:
                    return float(index + 0.5) / len(self.values)
                low = self._edges[index - 1] if index else 0.0
                return (low + self._edges[index]) / 2
        return None


@dataclass(frozen=True)
class Steps:
    """`count` equally likely values: first, first + step, ...

    They are exact in decimals: 0.003, not 0.0030000000000000005.
    """

    first: int | float
    step: int | float
    count: int
    ordered: bool = True

    @classmethod
    def between(cls, low: int | float, high: int | float, step: int | float) -> Steps:
        """Return the steps from `low` to `high`; `high` is included if it is a whole number of steps away."""
        count = (Fraction(_exact(high)) - Fraction(_exact(low))) // Fraction(_exact(step)) + 1
        return cls(low, step, count)

    def at(self, u: float) -> int | float:
        return self.value(min(int(u * self.count), self.count - 1))

    def value(self, index: int) -> int | float:
        if isinstance(self.first, int) and isinstance(self.step, int):
            return self.first + index * self.step
        return float(_exact(self.first) + index * _exact(self.step))

    def unit(self, value: object) -> float | None:
        if not _is_number(value):
            return None
        index = round((value - self.first) / self.step)
        return float(min(max(index, 0), self.count - 1) + 0.5) / self.count


@dataclass(frozen=True)
class Continuous:
    """X where `law`(X) is uniform between `low` and `high`; the law is uniform, log or inverse_log (log(1/X))."""

    law: str
    low: float
    high: float
    """The upper bound, like `low` in the units of the law: for log they are exponents of e."""
    clip: tuple[float, float] | None = None
    """The bounds as values, if the definition gave values: rounding must not exceed them."""
    count: None = None
    ordered: bool = True

    @property
    def bounds(self) -> tuple[float, float]:
        return self.at(0.0), self.at(1.0)

    def at(self, u: float) -> float:
        place = u if self.law != "inverse_log" else 1.0 - u
        x = self.low + place * (self.high - self.low)
        x = min(max(x, self.low), self.high)
        if self.law != "uniform":
            x = math.exp(x if self.law == "log" else -x)
        return x if self.clip is None else min(max(x, self.clip[0]), self.clip[1])

    def value(self, index: int) -> float:
        raise TypeError("the distribution has infinitely many values")

    def unit(self, value: object) -> float | None:
        if not _is_number(value) or (self.law != "uniform" and value <= 0):
            return None
        if self.high == self.low:
            return 0.5
        x = value if self.law == "uniform" else math.log(value)
        place = (
            (x - self.low) / (self.high - self.low)
            if self.law != "inverse_log"
            else (x + self.high) / (self.high - self.low)
        )
        return min(max(place, 0.0), 1.0)


@dataclass(frozen=True)
class Normal:
    """A normal distribution; with `log` the exponential of one."""

    mu: float
    sigma: float
    log: bool = False
    count: None = None
    ordered: bool = True
    bounds: None = None

    def at(self, u: float) -> float:
        u = min(max(u, 1e-12), 1 - 1e-12)
        x = NormalDist(self.mu, self.sigma).inv_cdf(u) if self.sigma > 0 else self.mu
        return math.exp(min(x, 700.0)) if self.log else x

    def value(self, index: int) -> float:
        raise TypeError("the distribution has infinitely many values")

    def unit(self, value: object) -> float | None:
        if not _is_number(value) or (self.log and value <= 0):
            return None
        if self.sigma == 0:
            return 0.5
        return NormalDist(self.mu, self.sigma).cdf(math.log(value) if self.log else value)


@dataclass(frozen=True)
class Beta:
    a: float
    b: float
    count: None = None
    ordered: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)

    def at(self, u: float) -> float:
        from scipy.special import betaincinv  # heavy to load, and rarely wanted

        return float(betaincinv(self.a, self.b, u))

    def value(self, index: int) -> float:
        raise TypeError("the distribution has infinitely many values")

    def unit(self, value: object) -> float | None:
        from scipy.special import betainc

        return float(betainc(self.a, self.b, min(max(value, 0.0), 1.0))) if _is_number(value) else None


@dataclass(frozen=True)
class Quantised:
    """A base distribution X rounded to multiples of q: round(X / q) * q, halves to the even multiple.

    The values are integers if q is one.
    """

    base: Continuous | Normal | Beta
    q: int | float
    ordered: bool = True

    @property
    def count(self) -> int | None:
        bounds = self.base.bounds
        return None if bounds is None else self._multiple(bounds[1]) - self._multiple(bounds[0]) + 1

    def at(self, u: float) -> int | float:
        return self._times(self._multiple(self.base.at(u)))

    def value(self, index: int) -> int | float:
        bounds = self.base.bounds
        if bounds is None:
            raise TypeError("the distribution has infinitely many values")
        return self._times(self._multiple(bounds[0]) + index)

    def unit(self, value: object) -> float | None:
        if _is_number(value) and isinstance(self.base, Continuous) and self.base.law != "uniform":
            value = max(value, self.base.bounds[0])  # 0 is a multiple of q and has no logarithm
        return self.base.unit(value)

    def _multiple(self, x: float) -> int:
        return round(x / self.q)

    def _times(self, multiple: int) -> int | float:
        return multiple * self.q if isinstance(self.q, int) else float(multiple * _exact(self.q))


def _exact(number: int | float) -> Decimal:
    """Return the decimal as it is written: 0.1 for 0.1, not the nearest double."""
    return Decimal(repr(number))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
