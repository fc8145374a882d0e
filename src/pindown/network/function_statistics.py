r"""Two samples of functions compared: what was seen, and what was not.

Function :math:`f` was seen :math:`a_f` times in :math:`n` draws of one sampler and :math:`b_f` times in :math:`k` of
the other. Most functions are rare, so much of either distribution was not seen at all, and plain shares would
understate entropies and overstate differences.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "chao_shen_entropy",
    "coverage_total_variation",
    "good_turing",
    "held_out_separation",
    "log_count_correlation",
    "merged_relative_entropy",
    "plug_in_total_variation",
    "preferred",
    "rank_correlation",
]

Counts = NDArray[np.float64]


def good_turing(counts: Counts) -> float:
    """Mass of what was not seen: the share of draws whose function was seen once, ``f₁/n``.

    Good (1953), The population frequencies of species, eq. 9. Where all draws differ, ``(n−1)/n`` stands in for 1, so
    that something is left for what was seen (Chao and Shen 2003).

    >>> good_turing(np.array([3.0, 1.0, 1.0]))
    0.4
    """
    n = float(counts.sum())
    if n <= 0:
        return 1.0
    return min(float((np.abs(counts - 1.0) < 1e-9).sum()), n - 1.0) / n


def chao_shen_entropy(counts: Counts) -> float:
    r"""Entropy in bits, corrected for what was not seen.

    .. math:: -\sum_f \frac{C p_f \log_2 (C p_f)}{1 - (1 - C p_f)^n},\qquad C = 1 - f_1/n

    Chao and Shen (2003), Nonparametric estimation of Shannon's index of diversity when there are unseen species, eq. 8:
    shares shrunk to the coverage, each weighted by the inverse of the chance that it was seen.

    >>> round(chao_shen_entropy(np.full(8, 1000.0)), 3)
    3.0
    """
    seen = counts[counts > 0]
    n = float(seen.sum())
    if n <= 0:
        return math.nan
    p = (1.0 - good_turing(counts)) * seen / n
    p = p[p > 0]
    if not p.size:
        return math.nan
    inclusion = -np.expm1(n * np.log1p(-np.minimum(p, 1.0 - 1e-15)))
    return float(-(p * np.log2(p) / inclusion).sum()) + 0.0


def plug_in_total_variation(a: Counts, b: Counts) -> float:
    """``½ Σ |a_f/n − b_f/k|``; high where much was not seen: compare it with its null.

    >>> plug_in_total_variation(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    0.5
    """
    return 0.5 * float(np.abs(a / a.sum() - b / b.sum()).sum())


def coverage_total_variation(a: Counts, b: Counts) -> float:
    """Total variation after functions that one sampler has not shown are merged into one cell for each sampler.

    The mass of such a cell under the sampler that has not shown them is its Good–Turing mass, and what was seen in both
    is scaled to what is left. Merging cells never raises a total variation (data processing), so that of the true
    distributions is no lower but for noise.
    """
    p, q, (p_only, q_unseen), (p_unseen, q_only) = _cells(a, b)
    return 0.5 * (float(np.abs(p - q).sum()) + abs(p_only - q_unseen) + abs(p_unseen - q_only))


def merged_relative_entropy(a: Counts, b: Counts) -> float:
    """``Σ p log2(p/q)`` in bits over the cells of :func:`coverage_total_variation`: no more than that of the functions.

    Infinite where the first has mass on what the second has not shown and by Good–Turing does not have.
    """
    p, q, only_a, only_b = _cells(a, b)
    first = np.append(p, [only_a[0], only_b[0]])
    second = np.append(q, [only_a[1], only_b[1]])
    used = first > 0
    if bool((second[used] <= 0).any()):
        return math.inf
    return float((first[used] * np.log2(first[used] / second[used])).sum())


def _cells(a: Counts, b: Counts) -> tuple[Counts, Counts, tuple[float, float], tuple[float, float]]:
    """Shares of both on what both have shown, then (first, second) on what only one or the other has shown."""
    both = (a > 0) & (b > 0)
    p, q = a / a.sum(), b / b.sum()
    only_a, only_b = float(p[b == 0].sum()), float(q[a == 0].sum())
    unseen_a, unseen_b = min(good_turing(a), 1.0), min(good_turing(b), 1.0)
    p, q = p[both], q[both]
    if not p.size:
        # Nothing in common: each sampler's own cell, and what it has not shown of the other's.
        return p, q, (1.0 - unseen_a, unseen_b), (unseen_a, 1.0 - unseen_b)
    scale_p, scale_q = 1.0 - unseen_a, 1.0 - unseen_b
    return p * scale_p, q * scale_q, (only_a * scale_p, unseen_b), (unseen_a, only_b * scale_q)


def preferred(a: Counts, b: Counts) -> NDArray[np.bool_]:
    """Functions that the first sampler shows more often.

    Those that neither has shown count among them where more of its mass is there: a sampler may prefer many functions
    each of which is rare. That mass is the share of draws whose function no other draw of either sampler has shown,
    Good and Turing's estimate by leaving one out, which does not depend on how many draws there are of either.
    """
    more = a / a.sum() > b / b.sum()
    unseen_a, unseen_b = ((x == 1) & (y == 0) for x, y in ((a, b), (b, a)))
    return more | ((a + b == 0) & (unseen_a.sum() / a.sum() > unseen_b.sum() / b.sum()))


def held_out_separation(chosen: NDArray[np.bool_], a_held: Counts, b_held: Counts) -> float:
    """``P(A) − Q(A)`` on held-out draws for the set ``A`` of functions that were chosen on others.

    For any set that does not depend on the draws it is measured on, ``P(A) − Q(A)`` is at most the total variation and
    its estimate has no bias: this is below the total variation in the mean, and 0 for one sampler against itself.
    """
    return float(a_held[chosen].sum() / a_held.sum() - b_held[chosen].sum() / b_held.sum())


def rank_correlation(a: Counts, b: Counts) -> float:
    """Spearman's rank correlation of the counts of functions that both have shown; NaN below four of them."""
    from scipy.stats import rankdata

    both = (a > 0) & (b > 0)
    if both.sum() < 4:
        return math.nan
    return _pearson(rankdata(a[both]), rankdata(b[both]))


def log_count_correlation(a: Counts, b: Counts) -> float:
    """Pearson's correlation of log counts of functions that both have shown: what a log-log scatter shows."""
    both = (a > 0) & (b > 0)
    if both.sum() < 4:
        return math.nan
    return _pearson(np.log(a[both]), np.log(b[both]))


def _pearson(x: Counts, y: Counts) -> float:
    if x.std() == 0.0 or y.std() == 0.0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
