"""Small statistics shared by the engine and the domains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtri

from pindown.errors import InputError

__all__ = ["effective_sample_size", "kish_size", "logmeanexp", "mean_and_stderr", "r_hat", "wilson_interval"]


def logmeanexp(x: ArrayLike, axis: int | None = None) -> NDArray[np.float64] | float:
    """``ln (1/n Σ exp x_i)``, computed without overflow.

    >>> float(logmeanexp([0.0, 0.0]))
    0.0
    """
    a = np.asarray(x, dtype=np.float64)
    n = a.size if axis is None else a.shape[axis]
    return logsumexp(a, axis=axis) - math.log(n)


def kish_size(log_weights: ArrayLike) -> float:
    """Kish's effective sample size of weighted draws, ``(Σw)² / Σw²`` (Kish 1965, Survey Sampling).

    >>> kish_size([0.0, 0.0, 0.0, 0.0])
    4.0
    """
    lw = np.asarray(log_weights, dtype=np.float64)
    return float(np.exp(2.0 * logsumexp(lw) - logsumexp(2.0 * lw)))


def mean_and_stderr(x: ArrayLike) -> tuple[float, float]:
    """Mean of independent values and its standard error ``s/√n`` (NaN for fewer than two values)."""
    a = np.asarray(x, dtype=np.float64)
    if a.size == 0:
        return math.nan, math.nan
    return float(a.mean()), float(a.std(ddof=1) / math.sqrt(a.size)) if a.size > 1 else math.nan


def effective_sample_size(chains: ArrayLike) -> float:
    """Effective sample size of the mean over ``(chains, draws)`` by Geyer's initial monotone sequence.

    Autocovariances are pooled over chains with the between-chain variance (Gelman et al., Bayesian Data
    Analysis, 3rd ed., 11.5; Geyer 1992, Practical Markov chain Monte Carlo).

    Raises:
        InputError: unless ``chains`` has two axes and at least four draws a chain.
    """
    a = _as_chains(chains)
    m, n = a.shape
    centred = a - a.mean(axis=1, keepdims=True)
    size = 1 << (2 * n - 1).bit_length()
    f = np.fft.rfft(centred, size, axis=1)
    acov = np.fft.irfft(f * np.conj(f), size, axis=1)[:, :n].mean(axis=0) / n
    within = acov[0] * n / (n - 1)
    between = n * a.mean(axis=1).var(ddof=1) if m > 1 else 0.0
    total = within * (n - 1) / n + between / n
    if total == 0.0:
        return float(m * n)
    rho = 1.0 - (within - acov) / total
    pairs = rho[: 2 * (n // 2)].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0)
    if negative.size:
        pairs = pairs[: negative[0]]
    tau = max(2.0 * np.minimum.accumulate(pairs).sum() - 1.0, 1.0 / math.log10(max(m * n, 11)))
    return float(m * n / tau)


def r_hat(chains: ArrayLike) -> float:
    """Split R-hat over ``(chains, draws)``: √(total/within variance), near 1 where chains agree.

    Each chain is split in two halves first (Vehtari et al. 2021, Rank-normalization, folding, and
    localization, eq. 4; not rank-normalised here).

    Raises:
        InputError: unless ``chains`` has two axes and at least four draws a chain.
    """
    a = _as_chains(chains)
    half = a.shape[1] // 2
    a = np.concatenate([a[:, :half], a[:, -half:]])
    within = a.var(axis=1, ddof=1).mean()
    between = half * a.mean(axis=1).var(ddof=1)
    if within == 0.0:
        return 1.0 if between == 0.0 else math.inf
    return float(np.sqrt(((half - 1) / half * within + between / half) / within))


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    r"""Wilson's score interval for a share :math:`p` of :math:`n` trials, :math:`z` the normal quantile (Wilson 1927):

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    >>> low, high = wilson_interval(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise InputError(f"{successes} successes in {trials} trials", "0 ≤ successes ≤ trials, trials ≥ 1")
    z, p = float(ndtri(0.5 + level / 2.0)), successes / trials
    middle = p + z * z / (2.0 * trials)
    reach = z * math.sqrt(p * (1.0 - p) / trials + (z / (2.0 * trials)) ** 2)
    scale = 1.0 + z * z / trials
    low = 0.0 if successes == 0 else (middle - reach) / scale
    high = 1.0 if successes == trials else (middle + reach) / scale
    return low, high


def _as_chains(chains: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float64]:
    a = np.asarray(chains, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] < 4:
        raise InputError(f"chains of shape {a.shape}", "(chains, draws) with at least 4 draws")
    return a
