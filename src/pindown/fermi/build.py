"""The quantities that a user writes down, each with its unit, what is known of it, and its source."""

from __future__ import annotations

from collections.abc import Sequence

from pindown.errors import InputError
from pindown.fermi import distributions as of
from pindown.fermi.quantity import Number, Quantity, computed, leaf

__all__ = [
    "absolute", "beta", "binary_entropy", "constant", "discrete", "empirical", "exp", "interval", "ln", "log2",
    "lognormal", "maximum", "minimum", "mixture", "normal", "sin", "sqrt", "uniform",
]  # fmt: skip


def interval(
    low: float, high: float, *, unit: str = "1", name: str = "", bound: str = "guess", source: str = "",
    mass: float = 0.9, shape: str = "auto",
) -> Quantity:  # fmt: skip
    r"""A quantity of which ``low`` to ``high`` holds ``mass``, by default 90%, half of the rest on either side.

    Log-normal where both ends are above 0, else normal:
    :math:`\ln x \sim N\big(\tfrac12 \ln(\text{low}\,\text{high}),\ (\ln(\text{high}/\text{low})/2q)^2\big)` with q the
    normal quantile of :math:`(1 + \text{mass})/2`.

    Args:
        low: the lower end, in ``unit``.
        high: the upper end.
        unit: any that pint knows, or base pair, gene, synapse, generation, …
        name: its name.
        bound: ``guess``; ``upper`` or ``lower`` where this describes a bound and not the quantity itself.
        source: where it comes from.
        mass: the share that the interval holds.
        shape: ``lognormal``, ``normal`` or ``auto``.

    Raises:
        InputError: where the ends are not in order, or are no finite numbers.

    Example:
        >>> from pindown import fermi
        >>> share = fermi.interval(0.10, 0.15, name="functional share")
        >>> round(share.distribution.median, 4)
        0.1225
        >>> fermi.interval(3, 1)
        Traceback (most recent call last):
        pindown.errors.InputError: an interval from 3 to 1; wanted low below high. For a mean and a standard deviation
        use fermi.normal(mean, sd); for one value fermi.constant.
    """
    return leaf(of.from_interval(low, high, mass, shape), unit, name, bound, source)


def constant(value: float, *, unit: str = "1", name: str = "", bound: str = "exact", source: str = "") -> Quantity:
    """One value for certain; with ``bound="upper"`` the quantity is certainly at most that."""
    return leaf(of.Constant(value), unit, name, bound, source)


def normal(
    mean: float, sd: float, *, unit: str = "1", name: str = "", bound: str = "guess", source: str = ""
) -> Quantity:
    """Normal with a mean and a standard deviation.

    Raises:
        InputError: for a standard deviation that is not above 0.
    """
    return leaf(of.Normal(mean, sd), unit, name, bound, source)


def lognormal(
    median: float, sigma: float, *, unit: str = "1", name: str = "", bound: str = "guess", source: str = ""
) -> Quantity:
    """Log-normal with a median and a standard deviation of the natural logarithm."""
    return leaf(of.LogNormal(median, sigma), unit, name, bound, source)


def uniform(
    low: float, high: float, *, unit: str = "1", name: str = "", bound: str = "guess", source: str = ""
) -> Quantity:
    """Equally likely from ``low`` to ``high``."""
    return leaf(of.Uniform(low, high), unit, name, bound, source)


def beta(a: float, b: float, *, name: str = "", bound: str = "guess", source: str = "") -> Quantity:
    """A share with density proportional to :math:`x^{a-1}(1-x)^{b-1}`."""
    return leaf(of.Beta(a, b), "1", name, bound, source)


def discrete(
    values: Sequence[float], probabilities: Sequence[float] | None = None, *, unit: str = "1", name: str = "",
    bound: str = "guess", source: str = "",
) -> Quantity:  # fmt: skip
    """One of a few values; all equally likely where no probabilities are given."""
    n = len(values)
    shares = tuple(probabilities) if probabilities is not None else (1.0 / n,) * n if n else ()
    return leaf(of.Discrete(tuple(values), shares), unit, name, bound, source)


def empirical(
    values: Sequence[float], *, unit: str = "1", name: str = "", bound: str = "guess", source: str = ""
) -> Quantity:
    """Like observed values, joined by straight lines between them."""
    return leaf(of.Empirical(of.as_floats(values)), unit, name, bound, source)


def mixture(
    parts: Sequence[Quantity | Number], weights: Sequence[float] | None = None, *, name: str = "", source: str = ""
) -> Quantity:
    r"""One of several quantities, the i-th with chance :math:`w_i`: the linear pool of several opinions.

    The parts are quantities like any other: one that is used elsewhere too is the same there. With several answers to
    one question this is how guesses combine (Stone 1961, The opinion pool, Ann. Math. Stat. 32:1339).

    Raises:
        InputError: for weights that are negative, not as many as the parts, or all 0.
    """
    if not parts:
        raise InputError("a mixture of nothing", "at least one quantity")
    w = [1.0] * len(parts) if weights is None else list(weights)
    of.finite("a weight of", *w)
    if len(w) != len(parts) or min(w) < 0 or not sum(w) > 0:
        raise InputError(f"the weights {w} for {len(parts)} parts", "one of 0 or more for each, not all 0")
    total = sum(w)
    return computed("mixture", *parts, weights=[x / total for x in w], name=name, source=source)


def minimum(*parts: Quantity | Number, name: str = "", source: str = "") -> Quantity:
    """The least of several quantities: of upper bounds on one thing, the tightest."""
    return _several("minimum", parts, name, source)


def maximum(*parts: Quantity | Number, name: str = "", source: str = "") -> Quantity:
    """The largest of several quantities: of lower bounds on one thing, the tightest."""
    return _several("maximum", parts, name, source)


def _several(kind: str, parts: Sequence[Quantity | Number], name: str, source: str) -> Quantity:
    if not parts:
        raise InputError(f"the {kind} of nothing", "at least one quantity")
    return computed(kind, *parts, name=name, source=source)


def log2(x: Quantity) -> Quantity:
    """Logarithm to base 2 of a pure number."""
    return computed("log2", x)


def ln(x: Quantity) -> Quantity:
    """Natural logarithm of a pure number."""
    return computed("ln", x)


def exp(x: Quantity) -> Quantity:
    """The exponential function of a pure number."""
    return computed("exp", x)


def sqrt(x: Quantity) -> Quantity:
    """The square root."""
    return computed("sqrt", x)


def sin(x: Quantity) -> Quantity:
    """The sine of a pure number or an angle in radians."""
    return computed("sin", x)


def absolute(x: Quantity) -> Quantity:
    """The value without its sign."""
    return computed("absolute", x)


def binary_entropy(x: Quantity) -> Quantity:
    r""":math:`h(\varepsilon) = -\varepsilon\log_2\varepsilon - (1-\varepsilon)\log_2(1-\varepsilon)` in bits.

    One answer to a yes-or-no question that is wrong with chance ε says at most 1 − h(ε) bits (Shannon 1948).

    >>> from pindown import fermi
    >>> fermi.binary_entropy(fermi.constant(0.5)).unit
    'bit'
    """
    return computed("binary_entropy", x)
