r"""The noise at which the mean loss has risen by ε: common random numbers, a bracket, and its standard error.

Draw k is a pair :math:`\pm\xi_k` of standard normal vectors, the same at every σ, so that the mean rise

.. math:: R(\sigma) = \frac1K \sum_k r_k(\sigma), \qquad
    r_k(\sigma) = \tfrac12 \big[L(w + \sigma s \xi_k) + L(w - \sigma s \xi_k)\big] - L(w)

is a smooth function of σ with a zero of its own, and the part of the rise that is odd in ξ, such as that of a gradient
that has not vanished, cancels in every draw (antithetic variates; Hammersley and Morton 1956). To second order
:math:`r_k = \tfrac12 \sigma^2 \xi_k^\top S H S \xi_k`, whose mean is :math:`\tfrac12 \sigma^2 \operatorname{tr} SHS`.

:math:`\hat\sigma` solves :math:`R(\hat\sigma) = \varepsilon`. As the zero of a mean over draws it has, by the delta
method (van der Vaart 1998, Asymptotic statistics, ch. 5), the standard error

.. math:: \operatorname{se}(\ln \hat\sigma) = \frac{s_r / \sqrt K}{\mathrm dR / \mathrm d\ln\sigma}.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.estimate import Status
from pindown.network.kept import Kept

__all__ = ["FIRST", "LOWEST", "TOP", "Crossing", "Rises", "crossing"]

FIRST = 16  # pairs with which a crossing is found before it is known how many it takes
LOWEST, TOP = -30, 6  # octaves of σ that are searched
_BELOW = 3  # octaves below the crossing at which the rise is looked at as well
_STEP = 0.1  # of ln σ, for the slope
_STEPS = 40
_FEWEST = 6.0  # effective draws below which the mean is that of a few large rises

Pairs = Callable[[float, int, int], Tensor]


class Rises:
    """Rises ``r_k(σ)`` of one kind of noise, each evaluated once.

    Args:
        pairs: ``pairs(σ, start, stop)`` gives the rises of these pairs ``(stop − start,)``.
        kept: where they are kept.
        name: of the noise, under which they are kept.
    """

    def __init__(self, pairs: Pairs, kept: Kept, name: str) -> None:
        self._pairs, self._kept, self._name = pairs, kept, name
        self.seen: set[float] = set()

    def at(self, sigma: float, count: int) -> Tensor:
        """The first ``count`` rises; a loss that is not a number is an infinite one."""
        self.seen.add(sigma)
        key = f"{self._name} {sigma.hex()}"
        return self._kept.rows(key, count, lambda start, stop: self._pairs(sigma, start, stop))

    def mean(self, sigma: float, count: int) -> float:
        """Their mean."""
        return float(self.at(sigma, count).mean())


@dataclass(frozen=True)
class Crossing:
    """Where the mean rise reaches ε.

    Attributes:
        sigma: there; at the end of the range where it does not.
        log_error: standard error of ln σ; NaN where it is a bound.
        side: ``""``, or ``"above"`` or ``"below"`` the range.
        status: how it ended.
        draws: pairs behind it.
        influence: of each draw on ln σ̂, mean 0: ``log_error`` is their spread over the root of their number.
        falls: σ above which the measured mean rise falls again below ε; empty where it was not seen to.
    """

    sigma: float
    log_error: float
    side: str
    status: Status
    draws: int
    influence: tuple[float, ...]
    falls: tuple[float, ...]


def crossing(rises: Rises, epsilon: float, *, accuracy: float, most: int) -> Crossing:
    """The smallest σ, among octaves near it, at which the mean rise reaches ``epsilon``.

    Args:
        rises: the noise.
        epsilon: the rise, above zero.
        accuracy: standard error of ln σ to reach.
        most: pairs at most.
    """
    first = min(FIRST, most)
    low, high = _bracket(rises, epsilon, first)
    if low is None or high is None:
        return _outside(low, first)
    sigma = _solve(rises, epsilon, low, high, first, 0.05 * accuracy)
    error, influence = _error(rises, epsilon, sigma, first)
    count = first
    while not error <= accuracy and count < most:  # also where it is not a number
        ratio = (error / accuracy) ** 2 if math.isfinite(error) else math.inf
        count = most if ratio * count >= most else max(math.ceil(1.1 * ratio * count), 2 * count)
        count = min(count, most)
        low, high = _around(rises, epsilon, sigma, count)
        if low is None or high is None:
            return _outside(low, count)
        sigma = _solve(rises, epsilon, low, high, count, 0.05 * accuracy)
        error, influence = _error(rises, epsilon, sigma, count)
    falls = tuple(s for s in sorted(rises.seen) if s > 1.05 * sigma and rises.mean(s, first) < epsilon)
    status = Status.REACHED
    if not math.isfinite(error) or _effective(rises.at(sigma, count)) < min(_FEWEST, 0.5 * count):
        status = Status.NOT_CONVERGED
    return Crossing(sigma, error, "", status, count, tuple(float(v) for v in influence), falls)


def _outside(low: float | None, count: int) -> Crossing:
    """What is said where there is no crossing in the range: below it where not even its lower end is below ε."""
    end, side = (2.0**LOWEST, "below") if low is None else (2.0**TOP, "above")
    return Crossing(end, math.nan, side, Status.OUT_OF_RANGE, count, (), ())


def _bracket(rises: Rises, epsilon: float, count: int) -> tuple[float | None, float | None]:
    """Two neighbouring octaves around the lowest crossing that was seen; None at an end of the range."""

    def above(j: int) -> bool:
        return rises.mean(2.0**j, count) >= epsilon

    j = _start(rises, epsilon, count)
    if above(j):
        while j > LOWEST and above(j - 1):
            j -= 1
        high = j
    else:
        while j < TOP and not above(j + 1):
            j += 1
        high = j + 1
    if high > TOP:
        return 2.0**TOP, None
    if high <= LOWEST:
        return None, 2.0**LOWEST
    # The rise need not grow with σ: an earlier crossing counts.
    for below in range(high - 2, max(high - 2 - _BELOW, LOWEST - 1), -1):
        if above(below):
            high = below
            while high > LOWEST and above(high - 1):
                high -= 1
    return (None, 2.0**LOWEST) if high <= LOWEST else (2.0 ** (high - 1), 2.0**high)


def _start(rises: Rises, epsilon: float, count: int) -> int:
    """The octave where a rise that is quadratic in σ would reach ε, from two looks."""
    j = -4
    for _ in range(2):
        rise = rises.mean(2.0**j, count)
        if not math.isfinite(rise):
            j = max(LOWEST, j - 4)
        elif rise > 1e-3 * epsilon:
            j = min(max(j + math.floor(0.5 * math.log2(epsilon / rise)), LOWEST), TOP)
        else:
            j = min(j + 4, TOP)
    return j


def _around(rises: Rises, epsilon: float, sigma: float, count: int) -> tuple[float | None, float | None]:
    """A bracket of more draws' own crossing, near that of the first ones."""
    low, high = sigma / 1.1, sigma * 1.1
    while rises.mean(low, count) >= epsilon:
        high, low = low, low / 1.5
        if low < 2.0**LOWEST:
            return None, high
    while rises.mean(high, count) < epsilon:
        low, high = high, high * 1.5
        if high > 2.0**TOP:
            return low, None
    return low, high


def _solve(rises: Rises, epsilon: float, low: float, high: float, count: int, tolerance: float) -> float:
    """The crossing between ``low`` and ``high``, by steps that are exact where the rise is quadratic, or halving."""
    below, over = rises.mean(low, count), rises.mean(high, count)
    for step in range(_STEPS):
        width = math.log(high / low)
        if width <= tolerance:
            break
        square = math.sqrt(low * high) ** 2
        if math.isfinite(over) and step % 3 != 2:
            square = low**2 + (high**2 - low**2) * (epsilon - below) / (over - below)
        inset = 1e-3 * width
        middle = min(max(math.sqrt(square), low * math.exp(inset)), high * math.exp(-inset))
        value = rises.mean(middle, count)
        # The slope of ln R in ln σ is near 2, so that this is the distance in ln σ.
        if math.isfinite(value) and abs(value - epsilon) <= 2.0 * tolerance * epsilon:
            return middle
        if value >= epsilon:
            high, over = middle, value
        else:
            low, below = middle, value
    return math.sqrt(low * high)


def _error(rises: Rises, epsilon: float, sigma: float, count: int) -> tuple[float, Tensor]:
    """The standard error of ln σ̂ and each draw's influence on it."""
    first = min(count, FIRST)
    up, down = (rises.mean(sigma * math.exp(s), first) for s in (_STEP, -_STEP))
    slope = (up - down) / (2.0 * _STEP)
    own = rises.at(sigma, count)
    if not math.isfinite(slope) or slope <= 0.0 or not bool(torch.isfinite(own).all()) or count < 2:
        return math.nan, torch.zeros(0)
    influence = -(own - own.mean()) / slope
    return float(influence.std()) / math.sqrt(count), influence


def _effective(values: Tensor) -> float:
    """Kish's effective number of draws behind a mean, ``(Σ|r|)² / Σr²``."""
    if not bool(torch.isfinite(values).all()):
        return 0.0
    return float(values.abs().sum() ** 2 / values.square().sum().clamp_min(1e-300))
