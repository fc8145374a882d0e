r"""Optimisation bits: the relative entropy of an optimised distribution over plans from the base it began with.

*Best of n* draws n plans from the base and keeps the one of highest score. Without ties its density relative to the
base is :math:`n F^{n-1}`, of relative entropy :math:`\ln n - (n-1)/n` nats; ties make it less (Beirami et al. 2024,
Theoretical guarantees on the best-of-n alignment policy, theorem 1). A *q-quantiliser* draws from the best share q of
the base: log2(1/q) bits, and a cost of 0 or more on average at most that of the base over q (Taylor 2016,
Quantilizers).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import xlogy

from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.spaces.base import check_count
from pindown.values.plans import normalised

__all__ = ["best_of_n_bits", "best_of_n_value", "quantiliser_bits", "quantiliser_cost"]

_GRID, _FAR = 500, 1e-13


def best_of_n_bits(n: int, outcomes: Any = None) -> Estimate:
    r"""Optimisation bits of the best of n draws.

    Args:
        n: how many plans are drawn.
        outcomes: how many equally likely outcomes of different score there are, or the probabilities of the outcomes
            from the lowest score up. None for a continuous score.

    Returns:
        :math:`(\ln n - (n-1)/n)/\ln 2`, an upper bound that is exact without ties; with ``outcomes`` the exact
        :math:`\sum_k p_k \log_2 (p_k / q_k)` with :math:`p_k = F_k^n - F_{k-1}^n`.

    Raises:
        InputError: where ``n`` is no whole number of 1 or more.

    Example:
        >>> print(best_of_n_bits(1024), best_of_n_bits(1024, outcomes=100))
        ≤ 8.55871 bits 6.6433 bits
    """
    n = check_count(n, "n")
    if outcomes is None:
        return Estimate(bits(math.log(n) - (n - 1) / n), 0.0, "bits", "upper_bound", Status.REACHED, "the base")
    if isinstance(outcomes, int):
        outcomes = np.ones(check_count(outcomes, "outcomes"))
    given = np.asarray(outcomes, dtype=np.float64)
    q = normalised(given, given.size, "probabilities of outcomes")
    below = np.minimum(np.cumsum(q), 1.0)
    p = np.diff(np.concatenate([[0.0], below**n]))
    value = float(np.sum(xlogy(p, p) - xlogy(p, np.where(p > 0, q, 1.0))))
    return Estimate(bits(max(value, 0.0)), 0.0, "bits", "exact", Status.REACHED, f"a base of {q.size} outcomes")


def quantiliser_bits(q: float) -> Estimate:
    """Optimisation bits of a q-quantiliser: log2(1/q).

    Raises:
        InputError: where ``q`` is no share above 0.

    Example:
        >>> print(quantiliser_bits(0.125))
        3 bits
    """
    if not (isinstance(q, int | float) and 0.0 < q <= 1.0):
        raise InputError(f"q={q!r}", "a share above 0, at most 1")
    return Estimate(0.0 - math.log2(q), 0.0, "bits", "exact", Status.REACHED, "the base")


def quantiliser_cost(base_cost: float, q: float) -> Estimate:
    """The most that a cost of 0 or more can come to on average under a q-quantiliser: the base's over q.

    Example:
        >>> print(quantiliser_cost(0.01, 0.125))
        ≤ 0.08
    """
    quantiliser_bits(q)
    if not (isinstance(base_cost, int | float) and 0.0 <= base_cost < math.inf):
        raise InputError(f"a cost of {base_cost!r}", "a finite number of 0 or more")
    return Estimate(base_cost / q, 0.0, "1", "upper_bound", Status.REACHED, "the base")


def best_of_n_value(n: int, value: Any = None, error: Any = None) -> Estimate:
    r"""True value of the plan whose proxy is best of n, where value and error are independent.

    With :math:`S = V + E` it is :math:`\int E[V \mid s]\, n F_S(s)^{n-1} f_S(s)\, ds`, by quadrature on a grid of
    values and of quantiles. For normal value and error of one size it is :math:`E[\max_n]/\sqrt 2`; where the error
    has a heavier tail than the value it falls back to the base's mean as n grows (Gao, Schulman and Hilton 2023; Kwa,
    Thomas and Garriga-Alonso 2024, Catastrophic Goodhart).

    Args:
        n: how many plans are drawn.
        value: a frozen distribution of SciPy; standard normal by default.
        error: the same.

    Example:
        >>> from scipy.stats import t
        >>> print(f"{best_of_n_value(256).value:.3f} {best_of_n_value(65536, error=t(3)).value:.2f}")
        1.999 0.09
    """
    n = check_count(n, "n")
    v_law, e_law = value or stats.norm(), error or stats.norm()
    if not all(hasattr(law, "sf") and hasattr(law, "isf") and hasattr(law, "ppf") for law in (v_law, e_law)):
        raise InputError("a distribution without sf, isf and ppf", "frozen distributions such as scipy.stats.t(3)")
    # The value on cells between normal scores of its quantiles.
    levels = stats.norm.cdf(np.linspace(-7.3, 7.3, 401))
    nodes = np.asarray(v_law.ppf(np.clip(levels, _FAR, 1.0 - _FAR)), dtype=np.float64)
    middle, mass = 0.5 * (nodes[1:] + nodes[:-1]), np.diff(levels) / np.diff(levels).sum()
    # The proxy at fine quantiles of either law far into both tails, and at coarse ones of their sum.
    fine, coarse = np.linspace(1e-3, 34.0, _GRID), np.linspace(1e-3, 34.0, 16)
    marks = [np.concatenate([law.ppf(np.exp(-fine) / 2.0), law.isf(np.exp(-fine) / 2.0)]) for law in (v_law, e_law)]
    both = [np.concatenate([law.ppf(np.exp(-coarse) / 2.0), law.isf(np.exp(-coarse) / 2.0)]) for law in (v_law, e_law)]
    s = np.unique(np.concatenate([*marks, np.add.outer(*both).ravel()]))
    above, gained = np.empty(len(s)), np.empty(len(s))
    for part in np.array_split(np.arange(len(s)), 1 + len(s) // 1000):
        beyond = np.asarray(e_law.sf(s[part][:, None] - middle))
        above[part], gained[part] = beyond @ mass, beyond @ (mass * middle)
    # With G(s) = P(S > s) and M(s) = E[V; S > s] the mean is −∫ n (1 − G)^(n−1) dM.
    weight = n * np.exp((n - 1) * np.log1p(-np.minimum(above, 1.0 - 1e-16)))
    total = -float(np.sum(0.5 * (weight[1:] + weight[:-1]) * np.diff(gained)))
    total += float(weight[0]) * (float(mass @ middle) - float(gained[0])) + float(weight[-1]) * float(gained[-1])
    return Estimate(total, 0.0, "1", "exact", Status.REACHED, "the laws of value and error")
