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

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from pindown.errors import InputError

__all__ = ["Curve", "Schedule", "Warp"]

Array = NDArray[np.float64]
_BEYOND = 4.0  # standard deviations for which a curve is continued
_RECENT = 2.0  # standard deviations over which the trend of its slope is read off


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


@dataclass(frozen=True)
class Curve:
    """A curve of depths.

    Attributes:
        loss: decreasing.
        depth: ``−ln P(L ≤ loss)`` in nats, increasing.
        slope: ``−d depth/d loss``.
    """

    loss: Array
    depth: Array
    slope: Array

    def below(self, loss: Array, depth: Array, slope: Array, factor: Array, width: float) -> Curve:
        """The curve with what was measured further down put in the place of what it had from there on.

        Args:
            loss: where it was measured.
            depth: of the old curve there.
            slope: of the old curve there.
            factor: true slope over the old one, an average over the width of a stage.
            width: of a stage, nats. A knot nearer than that to the last one takes up the factor in part only: the other
                part of the stage still sees the old slope, and would ask for the same factor once more.
        """
        order = np.argsort(-loss, kind="stable")
        kept = max(1, int((self.loss > loss[order[0]]).sum()))
        at, to, rate = list(self.loss[:kept]), list(self.depth[:kept]), list(self.slope[:kept])
        last, ratio = to[-1], 1.0
        for i in order:
            share = min(1.0, max(0.0, depth[i] - last) / width)
            here = float(factor[i]) ** share
            # In terms of the old depth, so that it does not matter how the loss is labelled.
            deeper = to[-1] + 0.5 * (ratio + here) * (depth[i] - last)
            if loss[i] < at[-1] and deeper > to[-1]:
                at.append(loss[i])
                to.append(deeper)
                rate.append(here * slope[i])
                last, ratio = depth[i], here
        return Curve(np.asarray(at), np.asarray(to), np.asarray(rate))

    def continued(self, schedule: Schedule) -> Curve:
        """The curve some standard deviations further down, its slope going on as it did over the last few."""
        end = float(self.depth[-1])
        deviation = math.sqrt(float(schedule.variance(end)))
        first = min(int(np.searchsorted(self.depth, end - _RECENT * deviation)), max(0, len(self.depth) - 4))
        gain = deviation * np.linspace(0.0, _BEYOND, 1 + 2 * int(_BEYOND))
        depth, slope = self.depth[first:], np.log(self.slope[first:])
        several = len(depth) > 1
        if end > 5.0 * deviation:
            # V is a power of the loss, so that the slope is exponential in the depth.
            trend = float(np.polyfit(depth, slope, 1)[0]) if several else 0.0
            slope = self.slope[-1] * np.exp(min(max(trend, 0.0), 2.0 / deviation**2) * gain)
        else:
            # Near the prior the loss has a Gaussian tail, and the slope is a power of the depth.
            trend = float(np.polyfit(np.log(depth), slope, 1)[0]) if several else 0.0
            slope = self.slope[-1] * (1.0 + gain / end) ** min(max(trend, 0.0), 2.0 * end / deviation**2)
        fall = np.cumsum(np.diff(gain) / _logarithmic_mean(slope[1:], slope[:-1]))
        loss = self.loss[-1] - fall
        return Curve(
            np.append(self.loss, loss), np.append(self.depth, end + gain[1:]), np.append(self.slope, slope[1:])
        )


class Warp:
    """A smooth increasing function ``h`` of the loss, built from a curve of depths.

    Args:
        curve: the depths.
        schedule: the width at each depth.
        device: where the evaluations happen.
    """

    def __init__(self, curve: Curve, schedule: Schedule, device: torch.device | str = "cpu") -> None:
        self.curve = curve
        self.loss, self.depth = _strictly_monotone(curve.loss, curve.depth)
        if self.loss.size < 2:
            raise InputError(f"a curve with {self.loss.size} distinct losses", "at least two")
        self.schedule = schedule
        h = np.append(np.cumsum(self._pieces(self.depth)[::-1])[::-1], 0.0)
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

    def _pieces(self, depth: Array) -> Array:
        """``∫ dS/β(S)`` between neighbouring depths."""
        nodes, weights = np.polynomial.legendre.leggauss(8)
        width = np.diff(depth)
        s = depth[:-1, None] + 0.5 * width[:, None] * (nodes + 1.0)
        return 0.5 * width * (weights * np.exp(-self.schedule.log_beta(s))).sum(-1)

    @cached_property
    def _depths(self) -> tuple[Array, Array]:
        """Depths on a grid, and ``h`` there."""
        within = [np.linspace(a, b, 9)[:-1] for a, b in pairwise(self.depth)]
        grid = np.append(np.concatenate(within), self.depth[-1])
        return grid, np.append(np.cumsum(self._pieces(grid)[::-1])[::-1], 0.0)

    def depth_of(self, h: Array) -> Array:
        """The depth at which the warp takes the values ``h``, held at the ends."""
        grid, values = self._depths
        return np.interp(h, values[::-1], grid[::-1])

    def depths(self, loss: Array) -> Array:
        """Depths at losses by the warp's own curve, held at the ends."""
        return self.depth_of(self._numpy(loss)[0])

    def corrected(self, losses: list[Array], beta: Array) -> tuple[Array, Array, Array, Array]:
        r"""What samples of stages at inverse temperatures β say about the curve itself.

        With ``V`` the volume, partial integration over the tempered density gives
        :math:`E[\beta h'(L) / S'(L)] = 1` exactly, for any warp. A curve whose slope is ``c`` times that of this
        warp's therefore has :math:`c = E[\beta/\beta(S(L))]`, an average over all samples of a stage, where a
        slope read off ranks would rest on a few.

        Args:
            losses: finite losses of each stage, sorted.
            beta: of each stage.

        Returns:
            The median loss of each stage, the warp's depth and slope ``−dS/dL`` there, and ``c``.
        """
        at = np.array([sample[sample.size // 2] for sample in losses])
        h, slope = self._numpy(at)
        depth = self.depth_of(h)
        factor = [
            np.exp(math.log(b) - self.schedule.log_beta(self.depths(sample))).mean()
            for sample, b in zip(losses, beta, strict=True)
        ]
        return at, depth, slope * np.exp(self.schedule.log_beta(depth)), np.array(factor)

    def _numpy(self, loss: Array) -> tuple[Array, Array]:
        value, slope = self.value_and_slope(torch.as_tensor(loss, device=self._knots.device))
        return value.cpu().numpy(), slope.cpu().numpy()

    def value_and_slope(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` and ``dh/dL`` at float64 losses of any shape; +inf maps to +inf with slope 0."""
        finite = torch.isfinite(loss)
        at = torch.where(finite, loss, self._knots[-1]).contiguous()
        a, b, c, d, x0 = self._table[torch.searchsorted(self._knots, at, right=True)].unbind(-1)
        u = at - x0
        value = ((a * u + b) * u + c) * u + d
        slope = (3.0 * a * u + 2.0 * b) * u + c
        return torch.where(finite, value, torch.inf), torch.where(finite, slope, 0.0)

    def state(self) -> tuple[Tensor, Tensor, Tensor, float, float, float]:
        """The curve and the schedule as tensors and plain values."""
        s, c = self.schedule, self.curve
        loss, depth, slope = (torch.as_tensor(a) for a in (c.loss, c.depth, c.slope))
        return loss, depth, slope, s.floor, s.growth, s.ceiling

    @classmethod
    def from_state(cls, state: tuple[Tensor, Tensor, Tensor, float, float, float], device: torch.device | str) -> Warp:
        """Read back what :meth:`state` made."""
        curve = Curve(state[0].numpy(), state[1].numpy(), state[2].numpy())
        return cls(curve, Schedule(state[3], state[4], state[5]), device)


def _logarithmic_mean(a: Any, b: Any) -> Any:
    ratio = np.log(a / b)
    near = np.abs(ratio) < 1e-6
    return np.where(near, 0.5 * (a + b), (a - b) / np.where(near, 1.0, ratio))


def _strictly_monotone(loss: Array, depth: Array) -> tuple[Array, Array]:
    """Drop the points that break strict order, walking down from the top."""
    keep = [0]
    for i in range(1, len(loss)):
        if loss[i] < loss[keep[-1]] and depth[i] > depth[keep[-1]]:
            keep.append(i)
    return np.asarray(loss, dtype=np.float64)[keep], np.asarray(depth, dtype=np.float64)[keep]
