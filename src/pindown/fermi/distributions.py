"""Distributions by their inverse cumulative function: one uniform number in, one value out.

Each distribution is a pure function of a uniform number, so that the same points serve quasi-Monte-Carlo, sensitivity
and one-at-a-time curves, and so that a quantity is sampled once wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pindown.errors import InputError

__all__ = [
    "Beta", "Constant", "Discrete", "Distribution", "Empirical", "LogNormal", "Normal", "Truncated", "Uniform",
    "from_interval",
]  # fmt: skip

Array = NDArray[np.float64]


class Distribution(Protocol):
    """What a distribution gives: its quantiles, its cumulative function, and its ends."""

    kind: ClassVar[str]

    def quantile(self, u: Array) -> Array: ...
    def cumulative(self, x: float) -> float: ...
    @property
    def support(self) -> tuple[float, float]: ...
    def record(self) -> dict[str, Any]: ...


def finite(what: str, *values: float) -> None:
    """Refuse what is no finite number."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            raise InputError(f"{what} {value!r}", "a finite number")


def _positive(what: str, *values: float) -> None:
    finite(what, *values)
    for value in values:
        if not value > 0:
            raise InputError(f"{what} {value!r}", "a number above 0")


@dataclass(frozen=True)
class Constant:
    """One value for certain."""

    kind: ClassVar[str] = "constant"
    value: float

    def __post_init__(self) -> None:
        finite("a constant", self.value)

    def quantile(self, u: Array) -> Array:
        return np.full(u.shape, float(self.value))

    def cumulative(self, x: float) -> float:
        return float(x >= self.value)

    @property
    def support(self) -> tuple[float, float]:
        return self.value, self.value

    def record(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True)
class Normal:
    """Normal with a mean and a standard deviation."""

    kind: ClassVar[str] = "normal"
    mean: float
    sd: float

    def __post_init__(self) -> None:
        finite("a mean of", self.mean)
        _positive("a standard deviation of", self.sd)

    def quantile(self, u: Array) -> Array:
        return self.mean + self.sd * special.ndtri(u)

    def cumulative(self, x: float) -> float:
        return float(special.ndtr((x - self.mean) / self.sd))

    @property
    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def record(self) -> dict[str, Any]:
        return {"mean": self.mean, "sd": self.sd}


@dataclass(frozen=True)
class LogNormal:
    """The logarithm is normal: median, and standard deviation of the natural logarithm."""

    kind: ClassVar[str] = "lognormal"
    median: float
    sigma: float

    def __post_init__(self) -> None:
        _positive("a median of", self.median)
        _positive("a standard deviation of the logarithm of", self.sigma)

    def quantile(self, u: Array) -> Array:
        return self.median * np.exp(self.sigma * special.ndtri(u))

    def cumulative(self, x: float) -> float:
        return 0.0 if x <= 0 else float(special.ndtr(math.log(x / self.median) / self.sigma))

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def record(self) -> dict[str, Any]:
        return {"median": self.median, "sigma": self.sigma}


@dataclass(frozen=True)
class Uniform:
    """Equally likely between two ends."""

    kind: ClassVar[str] = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        finite("an end of", self.low, self.high)
        if not self.low < self.high:
            raise InputError(f"a uniform distribution from {self.low:g} to {self.high:g}", "low below high")

    def quantile(self, u: Array) -> Array:
        return self.low + (self.high - self.low) * u

    def cumulative(self, x: float) -> float:
        return min(max((x - self.low) / (self.high - self.low), 0.0), 1.0)

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def record(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class Beta:
    """Beta on 0 to 1, as of a share of which ``a − 1`` yes and ``b − 1`` no were seen."""

    kind: ClassVar[str] = "beta"
    a: float
    b: float

    def __post_init__(self) -> None:
        _positive("a beta parameter of", self.a, self.b)

    def quantile(self, u: Array) -> Array:
        return special.betaincinv(self.a, self.b, u)

    def cumulative(self, x: float) -> float:
        return float(special.betainc(self.a, self.b, min(max(x, 0.0), 1.0)))

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, 1.0

    def record(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b}


@dataclass(frozen=True)
class Discrete:
    """A few values with their probabilities, in the order of the values."""

    kind: ClassVar[str] = "discrete"
    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.probabilities):
            raise InputError(
                f"{len(self.values)} values with {len(self.probabilities)} probabilities", "as many of each"
            )  # fmt: skip
        finite("a value", *self.values)
        finite("a probability of", *self.probabilities)
        total = math.fsum(self.probabilities)
        if min(self.probabilities) < 0 or abs(total - 1.0) > 1e-9:
            raise InputError(f"probabilities that sum to {total:g}", "none below 0 and a sum of 1")
        order = sorted(range(len(self.values)), key=lambda i: self.values[i])
        object.__setattr__(self, "values", tuple(float(self.values[i]) for i in order))
        object.__setattr__(self, "probabilities", tuple(float(self.probabilities[i]) for i in order))

    def quantile(self, u: Array) -> Array:
        edges = np.cumsum(self.probabilities)[:-1]
        return np.asarray(self.values)[np.searchsorted(edges, u, side="right")]

    def cumulative(self, x: float) -> float:
        return math.fsum(p for v, p in zip(self.values, self.probabilities, strict=True) if v <= x)

    @property
    def support(self) -> tuple[float, float]:
        return self.values[0], self.values[-1]

    def record(self) -> dict[str, Any]:
        return {"values": list(self.values), "probabilities": list(self.probabilities)}


@dataclass(frozen=True)
class Empirical:
    """Observed values, joined by straight lines: Hazen's quantiles, the i-th of n at (i − 1/2)/n."""

    kind: ClassVar[str] = "empirical"
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise InputError(f"{len(self.values)} observed values", "two or more")
        finite("a value", *self.values)
        object.__setattr__(self, "values", tuple(sorted(map(float, self.values))))

    def _places(self) -> Array:
        n = len(self.values)
        return (np.arange(n) + 0.5) / n

    def quantile(self, u: Array) -> Array:
        return np.interp(u, self._places(), self.values)

    def cumulative(self, x: float) -> float:
        if x >= self.values[-1]:
            return 1.0
        return 0.0 if x < self.values[0] else float(np.interp(x, self.values, self._places()))

    @property
    def support(self) -> tuple[float, float]:
        return self.values[0], self.values[-1]

    def record(self) -> dict[str, Any]:
        return {"values": list(self.values)}


@dataclass(frozen=True)
class Truncated:
    """A distribution given that the value lies between two ends."""

    kind: ClassVar[str] = "truncated"
    inner: Distribution
    low: float
    high: float

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or not self.low < self.high:
            raise InputError(f"a truncation from {self.low:g} to {self.high:g}", "low below high")
        if isinstance(self.inner, (Discrete, Empirical, Constant)):
            raise InputError(
                f"a truncated {self.inner.kind} distribution", "one with a density", "leave out its values"
            )
        if not self._mass() > 1e-12:
            raise InputError(f"a truncation from {self.low:g} to {self.high:g} that leaves nothing", "some probability")

    def _mass(self) -> float:
        return self.inner.cumulative(self.high) - self.inner.cumulative(self.low)

    def quantile(self, u: Array) -> Array:
        inside = self.inner.quantile(self.inner.cumulative(self.low) + u * self._mass())
        return np.clip(inside, *self.support)

    def cumulative(self, x: float) -> float:
        share = (self.inner.cumulative(x) - self.inner.cumulative(self.low)) / self._mass()
        return min(max(share, 0.0), 1.0)

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.inner.support
        return max(low, self.low), min(high, self.high)

    def record(self) -> dict[str, Any]:
        ends = {"at_least": self.low, "at_most": self.high}
        return {**self.inner.record(), **{k: v for k, v in ends.items() if math.isfinite(v)}}


def from_interval(low: float, high: float, mass: float, shape: str) -> LogNormal | Normal:
    r"""The log-normal or normal distribution with ``mass`` between two ends, half of the rest on either side.

    With q the quantile of :math:`(1 + \text{mass})/2`: mean (low + high)/2 and standard deviation (high − low)/2q, on
    the logarithm for the log-normal.
    """
    finite("an end of", low, high)
    if not low < high:
        raise InputError(
            f"an interval from {low:g} to {high:g}", "low below high",
            "for a mean and a standard deviation use fermi.normal(mean, sd); for one value fermi.constant",
        )  # fmt: skip
    finite("a share of", mass)
    if not 0.0 < mass < 1.0:
        raise InputError(f"an interval that holds {mass!r}", "a share between 0 and 1, such as 0.9")
    if shape not in ("auto", "lognormal", "normal"):
        raise InputError(f"the shape {shape!r}", "lognormal, normal or auto")
    if shape == "lognormal" and low <= 0:
        raise InputError(f"a log-normal interval from {low:g}", "low above 0", "use shape='normal'")
    q = float(special.ndtri(0.5 + mass / 2.0))
    if shape == "normal" or low <= 0:
        return Normal((low + high) / 2.0, (high - low) / (2.0 * q))
    return LogNormal(math.sqrt(low) * math.sqrt(high), math.log(high / low) / (2.0 * q))


def as_floats(values: Sequence[float]) -> tuple[float, ...]:
    """Values as plain floats."""
    return tuple(float(v) for v in values)
