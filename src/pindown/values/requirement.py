r"""How much information a success rate requires: a bound that always holds, and the requirement itself where it is
finite.

Whoever chooses a plan :math:`X` from data :math:`Y` about the value :math:`V` is right with a probability of at most
:math:`m = \max_x P(x\ \text{acceptable})` without data, so that by the data-processing inequality for the relative
entropy (Cover and Thomas 2006, chapter 2; Fano's inequality is the case of one acceptable plan)

.. math:: I(V; Y) \ge I(V; X) \ge d_2(1-\delta \,\|\, m), \quad
          d_2(a \| b) = a \log_2 \tfrac{a}{b} + (1-a) \log_2 \tfrac{1-a}{1-b}.

The least :math:`I(V; X)` is a rate–distortion function with the distortion "not acceptable" (Shannon 1959), found by
the recursion of Blahut (1972) and Arimoto (1972).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from pindown.estimate import Estimate, Status, bits
from pindown.values.population import Population

__all__ = ["binary_relative_entropy", "bound_bits", "required_bits"]

Array = NDArray[np.float64]
_MOST_CELLS = 4_000_000
_ROUNDS, _BISECTIONS = 400, 40
_CLOSE = 1e-6  # nats between the two bounds


def binary_relative_entropy(a: float, b: float) -> float:
    """Bits that it takes at least to raise a chance from ``b`` to ``a``; 0 where ``b`` is as high already.

    >>> binary_relative_entropy(1.0, 0.25)
    2.0
    >>> binary_relative_entropy(0.9, 0.95)
    0.0
    """
    if b >= a:
        return 0.0
    if b <= 0.0:
        return math.inf
    rest = 0.0 if a >= 1.0 else (1.0 - a) * math.log2((1.0 - a) / (1.0 - b))
    return a * math.log2(a / b) + rest


def bound_bits(success: float, chance: float, size: float, reference: str) -> Estimate:
    """The bound above as an estimate.

    Args:
        success: 1 − δ.
        chance: the largest chance of any one plan to be acceptable.
        size: effective sample size behind ``chance``; infinite where it is exact.
        reference: what it is relative to.
    """
    value = binary_relative_entropy(success, chance)
    if not math.isfinite(value):
        return Estimate(value, 0.0, "bits", "lower_bound", Status.REACHED, reference)
    slope = 0.0 if value == 0.0 else abs(-success / chance + (1.0 - success) / (1.0 - chance)) / math.log(2.0)
    stderr = slope * math.sqrt(chance * (1.0 - chance) / size) if math.isfinite(size) else 0.0
    return Estimate(value, stderr, "bits", "lower_bound", Status.REACHED, reference)


def required_bits(population: Population, weights: Array, success: float, reference: str) -> Estimate:
    """The least information with which some choice of plans is acceptable with probability ``success``.

    Args:
        population: finitely many values.
        weights: theirs.
        success: 1 − δ.
        reference: what it is relative to.
    """
    found = _table(population, weights)
    if found is None:
        status = Status.UNSUPPORTED
        return Estimate(math.nan, math.nan, "bits", "estimate", status, reference)
    w, table = found
    any_plan = float(w[table.any(axis=1)].sum())
    if any_plan < success - 1e-12:
        return Estimate(math.inf, 0.0, "bits", "exact", Status.REACHED, reference)
    low, high = rate(w, table, 1.0 - success)
    value, half = bits(low + high) / 2.0, max(0.0, bits(high - low) / 2.0)
    if half <= 1e-6:
        return Estimate(max(0.0, value), 0.0, "bits", "exact", Status.REACHED, reference)
    return Estimate(value, half, "bits", "estimate", Status.WIDENED, reference)


def rate(weights: Array, acceptable: NDArray[np.bool_], miss: float) -> tuple[float, float]:
    """Lower and upper bound in nats on the rate at a chance ``miss`` of a plan that is not acceptable."""
    chances = weights @ acceptable
    if float(chances.max()) >= 1.0 - miss:
        return 0.0, 0.0
    if miss <= 0.0:
        low, high, _, _ = _recursion(weights, acceptable.astype(np.float64), 0.0, 0.0, None)
        return low, high
    best_low, best_high = 0.0, math.inf
    left, right = 0.0, 40.0
    start = None
    for _ in range(_BISECTIONS):
        slope = (left + right) / 2.0
        kernel = np.where(acceptable, 1.0, math.exp(-slope))
        low, high, missed, start = _recursion(weights, kernel, slope, miss, start)
        best_low = max(best_low, low)
        if missed <= miss:
            best_high, right = min(best_high, high), slope
        else:
            left = slope
        if best_high - best_low < _CLOSE:
            break
    return best_low, max(best_low, best_high)


def _recursion(
    weights: Array, kernel: Array, slope: float, miss: float, start: Array | None
) -> tuple[float, float, float, Array]:
    """Blahut's recursion at one slope: his lower bound at ``miss``, the channel's rate, miss and output."""
    kept = kernel.max(axis=1) > 0.0
    w, kernel = weights[kept] / weights[kept].sum(), kernel[kept]
    r = np.full(kernel.shape[1], 1.0 / kernel.shape[1])
    if start is not None:  # a little of every plan, so that none is lost for good
        r = 0.999 * start + 0.001 * r
    low = -math.inf
    z, c = kernel @ r, np.ones(kernel.shape[1])
    for _ in range(_ROUNDS):
        c = (w / z) @ kernel
        low = max(low, -slope * miss - float(w @ np.log(z)) - math.log(float(c.max())))
        if float(c.max()) < 1.0 + 1e-8:
            break
        r = r * c
        z = kernel @ r
    own = kernel * r / z[:, None]
    missed = float(w @ (own * (kernel < 1.0)).sum(axis=1)) if slope else 0.0
    return low, float(w @ _divergences(own, w @ own)), missed, r


def _divergences(own: Array, mean: Array) -> Array:
    """Relative entropy of each row from ``mean``, in nats."""
    return np.sum(xlogy(own, own) - xlogy(own, mean), axis=1)


def _table(population: Population, weights: Array) -> tuple[Array, NDArray[np.bool_]] | None:
    """Weights and acceptable plans of the distinct values; None where there are too many."""
    value, _ = population.labels()
    table: Any = population.acceptable()
    w: Array = weights
    if value is not None:
        distinct, first, place = np.unique(value, return_index=True, return_inverse=True)
        w, table = np.bincount(place.ravel(), weights, len(distinct)).astype(np.float64), table[first]
    if table.shape[0] * table.shape[1] > _MOST_CELLS:
        return None
    dense = table if isinstance(table, np.ndarray) else table.toarray() > 0
    alive = w > 0
    rows, place = np.unique(np.packbits(dense[alive], axis=1), axis=0, return_inverse=True)
    merged = np.bincount(place.ravel(), w[alive], len(rows)).astype(np.float64)
    return merged, np.unpackbits(rows, axis=1, count=dense.shape[1]).astype(np.bool_)
