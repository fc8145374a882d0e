r"""How much of the variation in outcomes is due to information, to the arrangement, and to both together.

Means :math:`g_{al}` of arrangement a at level l split into :math:`\sum (g_{al} - \bar g)^2 = \sum (\bar g_l - \bar
g)^2 + \sum (\bar g_a - \bar g)^2 + \sum (g_{al} - \bar g_a - \bar g_l + \bar g)^2` (Scheffé 1959, The analysis of
variance, section 4.1). Episodes make each sum too large by the trace of its projection of their covariance over their
number, which is subtracted. Standard errors are the jackknife's over episodes (Efron and Stein 1981).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.errors import InputError
from pindown.estimate import Estimate, Status

__all__ = ["Shares", "variance_shares"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Shares of the variance of optimisation bits over arrangements and levels; they add up to 1."""

    information: Estimate
    arrangement: Estimate
    interaction: Estimate
    not_information: Estimate
    """Arrangement and interaction together."""


def variance_shares(outcomes: Array, reference: str) -> Shares:
    """Split the variance of cell means.

    Args:
        outcomes: ``(arrangements, levels, episodes)``, the same episodes in every cell.
        reference: what the estimates are relative to.

    Returns:
        Shares; *unsupported* where there is one arrangement or level, or no variance beyond that of episodes.

    Raises:
        InputError: for another shape, or fewer than three episodes.

    Example:
        >>> import numpy as np
        >>> levels = np.arange(4.0)[None, :, None] + np.random.default_rng(0).normal(size=(1, 1, 200))
        >>> found = variance_shares(levels + np.zeros((3, 1, 1)), "")
        >>> round(found.information.value, 6)
        1.0
    """
    x = np.asarray(outcomes, dtype=np.float64)
    if x.ndim != 3 or x.shape[2] < 3:
        raise InputError(f"outcomes of shape {x.shape}", "(arrangements, levels, episodes), at least three episodes")
    n = x.shape[2]
    parts = _parts(x)  # (3, arrangements, levels, episodes): linear, so that means of parts are parts of means
    means = parts.mean(axis=3)
    around = np.square(parts - means[..., None]).sum(axis=(1, 2))  # (3, episodes)
    sums = np.square(means).sum(axis=(1, 2)) - around.sum(axis=1) / (n * (n - 1))
    if x.shape[0] < 2 or x.shape[1] < 2 or not sums.sum() > 1e-12:
        none = Estimate(math.nan, math.nan, "1", "estimate", Status.UNSUPPORTED, reference)
        return Shares(none, none, none, none)
    left_out = (n * means[..., None] - parts) / (n - 1)  # means without each episode
    # Around the mean without it, the squares of the rest come to those of all less n/(n − 1) of its own.
    rest = around.sum(axis=1, keepdims=True) - around * n / (n - 1)
    jack = np.square(left_out).sum(axis=(1, 2)) - rest / ((n - 1) * (n - 2))
    found, each = _shares(sums), _shares(jack)
    errors = np.sqrt((n - 1) / n * np.square(each - each.mean(axis=1, keepdims=True)).sum(axis=1))
    figures = [
        Estimate(float(v), float(e), "1", "estimate", Status.REACHED, reference, dof=n - 1, support=(0.0, 1.0))
        for v, e in zip(found, errors, strict=True)
    ]
    return Shares(*figures)


def _parts(x: Array) -> Array:
    whole = x.mean(axis=(0, 1), keepdims=True)
    level = x.mean(axis=0, keepdims=True) - whole
    arrangement = x.mean(axis=1, keepdims=True) - whole
    rest = x - whole - level - arrangement
    shape = np.broadcast_shapes(level.shape, arrangement.shape, x.shape)
    return np.stack([np.broadcast_to(level, shape), np.broadcast_to(arrangement, shape), rest])


def _shares(sums: Array) -> Array:
    """Shares of sums of squares, none below 0, and those of arrangement and interaction together."""
    kept = np.maximum(sums, 0.0)
    shares = kept / np.maximum(kept.sum(axis=0), 1e-300)
    return np.concatenate([shares, shares[1:2] + shares[2:3]])
