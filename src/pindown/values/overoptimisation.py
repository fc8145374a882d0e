"""True value against optimisation bits on a proxy: what is gained, and where it turns."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pindown import __version__
from pindown.errors import DataError, InputError
from pindown.estimate import Estimate, Status
from pindown.rng import child_seed
from pindown.spaces.base import check_count
from pindown.values.belief import Belief
from pindown.values.optimisation_bits import best_of_n_bits, quantiliser_bits
from pindown.values.overoptimisation_forms import FORMS, fit_curve
from pindown.values.overoptimisation_result import Curve, OptimisedPoint, Overoptimisation
from pindown.values.problem import ValueProblem
from pindown.values.tails import tail_of

__all__ = ["overoptimisation"]

Array = NDArray[np.float64]
_RESAMPLES, _BOOTSTRAP = 40, 41
_LEAST_SIZE = 30.0
_FORMS = dict(zip(("best of n", "KL-regularised"), FORMS, strict=True))


def overoptimisation(
    true: Any,
    proxy: Any,
    n: Sequence[int] | None = None,
    seed: int = 0,
    *,
    answers: Any = None,
    name: str = "",
) -> Overoptimisation:
    r"""True value against optimisation bits, for plans drawn from the base and scored by a proxy.

    Best of n takes the unbiased estimate over all subsets of n draws, :math:`\sum_i v_{(i)}
    \binom{i-1}{n-1}/\binom{N}{n}` with the draws sorted by proxy; a q-quantiliser the mean of the best share q = 1/n;
    KL-regularised optimisation the mean under weights :math:`\propto e^{\beta s}` (Gao, Schulman and Hilton 2023,
    Scaling laws for reward model overoptimization). Errors are a bootstrap over the draws.

    Args:
        true: true value of each draw from the base, ``(N,)``; or a value problem, whose plans are then the draws, with
            their posterior mean value.
        proxy: the proxy's score of each.
        n: numbers of draws that are compared; by default powers of 2 up to N/8.
        seed: everything random follows from it.
        answers: recorded answers, for a value problem.
        name: a name to carry.

    Raises:
        InputError: for lengths that differ or fewer than 16 draws.
        DataError: for numbers that are not finite.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> value = rng.normal(size=4000)
        >>> found = overoptimisation(value, value + rng.standard_t(2, size=4000), n=[1, 8, 64])
        >>> found.tail.heavy
        True
    """
    began = time.perf_counter()
    if isinstance(true, ValueProblem):
        true, name = _posterior_mean(true, answers, seed), name or true.name
    elif answers is not None:
        raise InputError("answers= without a value problem", "a ValueProblem as the first argument")
    v, s = _column(true, "true"), _column(proxy, "proxy")
    size = len(v)
    if len(s) != size or size < 16:
        raise InputError(f"{size} true values and {len(s)} scores", "one of each for at least 16 draws")
    if not s.max() > s.min():
        raise DataError("a proxy that gives every draw the same score", "scores that differ")
    steps = [2**k for k in range(int(math.log2(size / 8)) + 1)] if n is None else [check_count(k, "n") for k in n]
    if not steps or max(steps) > size:
        raise InputError(f"n={list(n or ())} with {size} draws", f"whole numbers from 1 to {size}")
    steps = sorted(set(steps))
    order = np.argsort(s, kind="stable")
    v, s = v[order], s[order]
    counts = np.random.default_rng(child_seed(seed, _BOOTSTRAP)).multinomial(size, np.full(size, 1 / size), _RESAMPLES)
    draws = _Draws(v, s, counts.astype(np.float64))
    curves = [
        Curve("best of n", tuple(draws.best_of(k) for k in steps)),
        Curve("quantiliser", tuple(draws.quantiliser(1.0 / k) for k in steps)),
        Curve("KL-regularised", draws.regularised([best_of_n_bits(k).value for k in steps])),
        Curve("hard maximum", (draws.hardest(),)),
    ]
    curves = [c for c in curves if c.points]
    slope, at = np.polyfit(v, s, 1) if v.max() > v.min() else (0.0, float(s.mean()))
    tail = tail_of(s - slope * v - at, draws.reference)
    fits = [
        f for c in curves if c.method in _FORMS and (f := fit_curve(c, draws.base.value, _FORMS[c.method])) is not None
    ]
    same = float(np.corrcoef(v, s)[0, 1]) if v.max() > v.min() else 0.0
    notes = () if tail.heavy is not None else ("The tail of the error was not judged: at least 200 draws are needed.",)
    return Overoptimisation(
        draws.base, tuple(curves), tail, tuple(fits), same, size, name, seed, time.perf_counter() - began, __version__,
        notes,
    )  # fmt: skip


class _Draws:
    """Draws in the order of their proxy, with bootstrap counts."""

    def __init__(self, v: Array, s: Array, counts: Array) -> None:
        self.v, self.s, self.counts, self.size = v, s, counts, len(v)
        self.reference = f"{self.size:,} draws from the base"
        self.groups = np.cumsum(np.r_[0, np.diff(s) > 0])  # draws of one score are equally good
        self.sizes = np.bincount(self.groups).astype(np.float64)
        self.below = np.cumsum(counts, axis=1) / self.size
        self.ties = len(self.sizes) < self.size
        self.base = self._figure(np.full(self.size, 1.0 / self.size), counts / self.size)[0]

    def best_of(self, n: int) -> OptimisedPoint:
        i = np.arange(1, self.size + 1)
        with np.errstate(invalid="ignore"):
            chosen = np.where(i >= n, gammaln(i) - gammaln(np.maximum(i - n + 1, 1)) - gammaln(n), -np.inf)
        total = gammaln(self.size + 1) - gammaln(self.size - n + 1) - gammaln(n + 1)
        resampled = np.diff(self.below**n, axis=1, prepend=0.0)
        told = best_of_n_bits(n, self.sizes if self.ties else None)
        amount = Estimate(told.value, 0.0, "bits", "exact", Status.REACHED, self.reference)
        return OptimisedPoint(float(n), amount, *self._figure(np.exp(chosen - total), resampled))

    def quantiliser(self, q: float) -> OptimisedPoint:
        def top(mass: Array) -> Array:
            above = np.cumsum(mass[..., ::-1], axis=-1)[..., ::-1]
            return np.clip(q - (above - mass), 0.0, mass) / q

        told = quantiliser_bits(q)
        amount = Estimate(told.value, 0.0, "bits", "exact", Status.REACHED, self.reference)
        return OptimisedPoint(
            q, amount, *self._figure(top(np.full(self.size, 1.0 / self.size)), top(self.counts / self.size))
        )

    def regularised(self, amounts: Sequence[float]) -> tuple[OptimisedPoint, ...]:
        """At strengths that take these bits, as far as thirty effective draws carry them."""
        x = (self.s - self.s.mean()) / self.s.std()

        def weights(beta: float) -> tuple[Array, float]:
            w = np.exp(beta * (x - x.max()))
            w /= w.sum()
            return w, float(np.sum(w * np.log2(np.maximum(w * self.size, 1e-300))))

        points: list[OptimisedPoint] = []
        for amount in amounts:
            low, high = 0.0, 1.0
            while weights(high)[1] < amount and high < 1e6:
                high *= 2.0
            for _ in range(60):
                beta = 0.5 * (low + high)
                low, high = (beta, high) if weights(beta)[1] < amount else (low, beta)
            w, reached = weights(high if amount > 0 else 0.0)
            if 1.0 / float(np.square(w).sum()) < _LEAST_SIZE or abs(reached - amount) > 0.01:
                break
            resampled = self.counts * w
            resampled /= resampled.sum(axis=1, keepdims=True)
            told = Estimate(max(reached, 0.0), 0.0, "bits", "exact", Status.REACHED, self.reference)
            points.append(
                OptimisedPoint((high if amount > 0 else 0.0) / float(self.s.std()), told, *self._figure(w, resampled))
            )
        return tuple(points)

    def hardest(self) -> OptimisedPoint:
        """The best draws of all: exact for these draws."""
        best = self.groups == self.groups[-1]
        amount = math.log2(self.size / float(best.sum()))
        figures = [
            Estimate(x, 0.0, unit, "exact", Status.REACHED, self.reference)
            for x, unit in ((amount, "bits"), (float(self.v[best].mean()), "1"), (float(self.s[-1]), "1"))
        ]
        return OptimisedPoint(float(self.size), *figures)

    def _figure(self, weights: Array, resampled: Array) -> tuple[Estimate, Estimate]:
        """True value and proxy under weights; draws of one score share theirs."""
        out: list[Estimate] = []
        for x in (self.v, self.s):
            if self.ties:
                x = (np.bincount(self.groups, x) / self.sizes)[self.groups]
            stderr = float((resampled @ x).std(ddof=1))
            out.append(Estimate(float(weights @ x), stderr, "1", "estimate", Status.REACHED, self.reference))
        return out[0], out[1]


def _posterior_mean(problem: ValueProblem, answers: Any, seed: int) -> Array:
    belief = Belief(problem, seed)
    for answer in problem.answers(answers):
        belief.update(answer)
    return belief.weights @ belief.population.values()


def _column(x: Any, what: str) -> Array:
    a = np.asarray(x, dtype=np.float64)
    if a.ndim != 1:
        raise InputError(f"{what} of shape {a.shape}", "one number a draw, (N,)")
    bad = np.flatnonzero(~np.isfinite(a))
    if bad.size:
        raise DataError(f"{what}: draw {bad[0] + 1} is {a[bad[0]]}", "finite numbers")
    return a
