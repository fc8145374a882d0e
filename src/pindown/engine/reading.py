r"""What the recorded sweeps of one run say: the curve, the learning coefficients, the stored points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.controls import controlled
from pindown.engine.polish import Polish
from pindown.engine.record import value_at
from pindown.engine.reweight import Recorded, Weighted
from pindown.engine.warp import Warp

__all__ = ["Reading", "learning_coefficients", "local_slopes", "read_curve", "stored", "weights_at"]

Array = NDArray[np.float64]
_CURVE_POINTS = 512
_DISTINCT = 0.98  # share of losses that differ from all others, above which a curve counts as smooth
_BANDWIDTH = 0.25  # of the curve's smoothing, in standard deviations of a stage's depth
_PLAIN = 1.0  # nats of depth down to which the curve is not smoothed
_TREND_STAGES = 5
_ENOUGH = 5  # samples; what they leave open is part of the error


def learning_coefficients(recorded: Recorded, warp: Warp) -> tuple[Array, Array, Array]:
    r"""λ at each stage below which all losses are positive.

    By partial integration :math:`\Lambda = E[\beta h'(L) L]` is the mean over the stage of
    :math:`1 + d \ln p/d \ln L`, ``p`` the prior density of the loss, and since :math:`p = \lambda V/L`

    .. math:: \lambda = \Lambda - \frac{d \ln \lambda}{d \ln L},

    which is Λ itself where V is a power of the loss.

    Returns:
        The stage's geometric mean loss, λ there, and by how much λ changes up to its mean loss: the part of λ's error
        that comes from a stage's having a width.
    """
    inner = recorded.loss[:, 1:]
    positive = (inner > 0).all((0, 2))  # a power of the loss has a meaning only there
    inner, beta = inner[:, positive], recorded.beta[1:][positive]
    if not beta.size:
        return np.empty(0), np.empty(0), np.empty(0)
    slope = warp.arrays(inner)[1]
    value = controlled(beta[None, :, None] * slope * inner, recorded.sums[:, 1:][:, positive]).mean((0, 2))
    mean, log_mean = inner.mean((0, 2)), np.log(inner).mean((0, 2))
    trend = _trend(log_mean, value)
    return np.exp(log_mean), value - trend / np.maximum(value, 1e-300), np.abs(trend * (np.log(mean) - log_mean))


def _trend(x: Array, y: Array) -> Array:
    """``dy/dx`` at each point by a straight line through it and its nearest neighbours."""
    out, half = np.zeros_like(y), _TREND_STAGES // 2
    for i in range(y.size):
        first = min(max(0, i - half), max(0, y.size - _TREND_STAGES))
        near = slice(first, first + _TREND_STAGES)
        if y[near].size >= 3 and np.ptp(x[near]) > 0.0:
            out[i] = np.polyfit(x[near], y[near], 1)[0]
    return out


@dataclass(frozen=True)
class Reading:
    """The curve of one run.

    Attributes:
        loss, log_volume: about a thousand points, losses increasing.
        size: effective number of samples that each point rests on.
        reach: the lowest loss at which five effective samples carry the curve and five samples lie below; +inf if none.
        smooth: whether the curve goes on between its points, or jumps at them.
    """

    loss: Array
    log_volume: Array
    size: Array
    reach: float
    smooth: bool

    def at(self, values: Array, t: float, below: float) -> float:
        """One of the columns at loss ``t``, or ``below`` the curve."""
        return value_at(self.loss, values, t, smooth=self.smooth, below=below)


def read_curve(w: Weighted, seen: Array, warp: Warp, tolerance: float) -> Reading:
    """Points of the curve, evenly spaced in depth.

    Losses that repeat, as on a plateau, would be smeared by smoothing; such a curve stays as it is.
    """
    distinct = np.append(np.flatnonzero(np.diff(w.loss)), w.loss.size - 1)
    distinct = distinct[np.isfinite(w.log_volume[distinct]) & np.isfinite(w.loss[distinct])]
    sizes = w.sizes
    loss, volume, size = w.loss[distinct], w.log_volume[distinct], sizes[distinct]
    finite = np.isfinite(w.loss)
    # Chains that stay where they were repeat their loss from sweep to sweep, so only those of one sweep count.
    smooth = bool(np.mean([np.unique(sweep).size / sweep.size for sweep in seen]) > _DISTINCT)
    if loss.size > _CURVE_POINTS:
        target = np.linspace(volume[0], volume[-1], _CURVE_POINTS)
        pick = np.unique(np.searchsorted(volume, target).clip(0, loss.size - 1))
        loss, volume, size = loss[pick], volume[pick], size[pick]
    if smooth:
        if loss[0] <= tolerance <= loss[-1]:
            loss = np.unique(np.append(loss, tolerance))
        depth = warp.depths(np.append(w.loss[finite], loss))
        bandwidth = _BANDWIDTH * math.sqrt(float(warp.schedule.variance(warp.depths(np.array([tolerance]))[0])))
        whole = replace(w, loss=w.loss[finite], log_weight=w.log_weight[finite])
        smoothed, smoothed_size = whole.smoothed(depth[: finite.sum()], depth[finite.sum() :], bandwidth)
        # Near the prior the kernel would reach over the end of the curve, and plain sums rest on plenty.
        last = np.searchsorted(w.loss, loss, side="right") - 1
        plain = w.log_volume[last] > -_PLAIN
        volume = np.where(plain, w.log_volume[last], smoothed)
        size = np.where(plain, sizes[last], smoothed_size)
    below = np.searchsorted(w.loss, loss, side="right")
    enough = np.flatnonzero((size >= _ENOUGH) & (below >= _ENOUGH))
    reach = float(loss[enough[0]]) if enough.size else math.inf
    return Reading(loss, np.minimum(np.maximum.accumulate(volume), 0.0), size, reach, smooth)


def weights_at(w: Weighted, loss: Array) -> Array:
    """Weights of stored points, each that of the recorded sample with the same loss."""
    return w.log_weight[np.searchsorted(w.loss, loss).clip(0, w.loss.size - 1)]


def stored(polish: Polish) -> tuple[Tensor, Array, NDArray[np.int64]]:
    """Stored points, their losses and their origins."""
    if not polish.snapshots:
        polish.keep(2**27)
    z, loss, origin = zip(*polish.snapshots, strict=True)
    return torch.cat(z), np.concatenate(loss), np.concatenate(origin)


def local_slopes(loss: Array, volume: Array) -> tuple[Array, Array, Array]:
    """``d ln V / d ln t`` by least squares over windows of 1.5 nats of depth, at positive losses; no spread."""
    positive = loss > 0
    x, y = np.log(loss[positive]), volume[positive]
    at, value = [], []
    for i in np.unique(np.linspace(0, max(0, x.size - 1), 64).astype(int)) if x.size else []:
        inside = slice(i, int(np.searchsorted(y, y[i] + 1.5, side="right")))
        if x[inside].size >= 5 and np.ptp(x[inside]) > 0:
            at.append(float(np.exp(x[i])))
            value.append(float(np.polyfit(x[inside], y[inside], 1)[0]))
    return np.asarray(at), np.asarray(value), np.zeros(len(at))
