r"""The monotone warp of the loss on which the engine tempers.

Write :math:`S(\ell) = -\ln P(L \le \ell)` for the depth of a loss value. Tempering the loss itself fails
where the depth is not a concave function of it: for a logarithm of a good loss the tempered density has no
peak at all. The engine therefore tempers :math:`h(L)` with

.. math:: h(\ell) = \int_{S(\ell)}^{S_\mathrm{end}} \frac{dS}{\beta(S)},

so that the density of the depth under :math:`e^{-\beta h}`, proportional to :math:`e^{-S - \beta h}`, peaks
exactly where :math:`\beta(S) = \beta`, with variance :math:`(d \ln \beta / dS)^{-1}`. Only ranks of the loss
enter, so any monotone relabelling of the loss gives the same family of densities. The idea of choosing the
path so that neighbouring densities are equally far apart is that of Gelman and Meng (1998), Simulating
normalizing constants, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

__all__ = ["Schedule", "Warp"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    r"""How wide, in nats of depth, the tempered density is at each depth.

    :math:`d \ln\beta/dS = 1/(2S+1) + 1/w(S)` with :math:`w(S) = \min(\max(a, cS), b)`. The first term is what
    a sum of many independent terms has near the prior; :math:`w` is the width squared deep down, where a
    regular loss with learning coefficient λ would have exactly λ.

    Attributes:
        floor: ``a``.
        growth: ``c``; 0 for a constant width ``a``.
        ceiling: ``b``.
    """

    floor: float
    growth: float = 0.0
    ceiling: float = np.inf

    def variance(self, depth: Array | float) -> Array:
        """Variance of the depth, nats², at a stage that sits at ``depth``."""
        s = np.maximum(np.asarray(depth, dtype=np.float64), 0.0)
        return 1.0 / (1.0 / (2.0 * s + 1.0) + 1.0 / self._wide(s))

    def log_beta(self, depth: Array | float) -> Array:
        """``ln β`` of the stage that sits at ``depth``."""
        s = np.maximum(np.asarray(depth, dtype=np.float64), 0.0)
        out = 0.5 * np.log1p(2.0 * s)
        if self.growth == 0.0 or self.floor >= self.ceiling:
            return out + s / min(self.floor, self.ceiling)
        first, last = self.floor / self.growth, self.ceiling / self.growth
        out = out + np.minimum(s, first) / self.floor
        out = out + np.log(np.clip(s, first, last) / first) / self.growth
        return out + np.maximum(s - last, 0.0) / self.ceiling if np.isfinite(last) else out

    def _wide(self, s: Array) -> Array:
        return np.minimum(np.maximum(self.floor, self.growth * s), self.ceiling)


class Warp:
    """A smooth increasing function ``h`` of the loss, built from a curve of depths.

    Args:
        loss: loss values, decreasing.
        depth: ``−ln P(L ≤ loss)`` in nats, increasing.
        schedule: the width at each depth.
        device: where the evaluations happen.
    """

    def __init__(self, loss: Array, depth: Array, schedule: Schedule, device: torch.device | str = "cpu") -> None:
        self.loss, self.depth = _strictly_monotone(loss, depth)
        self.schedule = schedule
        h = np.append(np.cumsum(self._pieces()[::-1])[::-1], 0.0)
        x, y = self.loss[::-1].copy(), h[::-1].copy()  # increasing loss, increasing h from 0
        spline = PchipInterpolator(x, y)
        cubic, square, slope, value = spline.c
        # Beyond the ends the warp goes on as a straight line.
        low_slope = (y[1] - y[0]) / (x[1] - x[0])
        high_slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        tables = (
            np.concatenate([[0.0], cubic, [0.0]]),
            np.concatenate([[0.0], square, [0.0]]),
            np.concatenate([[low_slope], slope, [high_slope]]),
            np.concatenate([[y[0]], value, [y[-1]]]),
            np.concatenate([[x[0]], x[:-1], [x[-1]]]),
        )
        self._knots = torch.as_tensor(x, device=device)
        self._table = torch.as_tensor(np.stack(tables, axis=1), device=device)

    def _pieces(self) -> Array:
        nodes, weights = np.polynomial.legendre.leggauss(8)
        width = np.diff(self.depth)
        s = self.depth[:-1, None] + 0.5 * width[:, None] * (nodes + 1.0)
        return 0.5 * width * (weights * np.exp(-self.schedule.log_beta(s))).sum(-1)

    def value_and_slope(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` and ``dh/dL`` at float64 losses of any shape; +inf maps to +inf with slope 0."""
        finite = torch.isfinite(loss)
        at = torch.where(finite, loss, self._knots[-1])
        a, b, c, d, x0 = self._table[torch.searchsorted(self._knots, at, right=True)].unbind(-1)
        u = at - x0
        value = ((a * u + b) * u + c) * u + d
        slope = (3.0 * a * u + 2.0 * b) * u + c
        return torch.where(finite, value, torch.inf), torch.where(finite, slope, 0.0)

    def state(self) -> tuple[Tensor, Tensor, float, float, float]:
        """The knots and the schedule as tensors and plain values."""
        s = self.schedule
        return torch.as_tensor(self.loss), torch.as_tensor(self.depth), s.floor, s.growth, s.ceiling

    @classmethod
    def from_state(cls, state: tuple[Tensor, Tensor, float, float, float], device: torch.device | str) -> Warp:
        """Read back what :meth:`state` made."""
        loss, depth, floor, growth, ceiling = state
        return cls(loss.numpy(), depth.numpy(), Schedule(floor, growth, ceiling), device)

    def depth_at(self, loss: float) -> float:
        """Depth at a loss by interpolation between the knots, held at the ends."""
        return float(np.interp(loss, self.loss[::-1], self.depth[::-1]))


def _strictly_monotone(loss: Array, depth: Array) -> tuple[Array, Array]:
    """Drop the points that break strict order, walking down from the top."""
    keep = [0]
    for i in range(1, len(loss)):
        if loss[i] < loss[keep[-1]] and depth[i] > depth[keep[-1]]:
            keep.append(i)
    return np.asarray(loss, dtype=np.float64)[keep], np.asarray(depth, dtype=np.float64)[keep]
