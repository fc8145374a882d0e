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

__all__ = ["LEAST_SIZE", "Curve", "Schedule", "Warp", "trusted"]

Array = NDArray[np.float64]
_BEYOND = 4.0  # standard deviations for which a curve is continued
_RECENT = 3.0  # standard deviations over which the trend of its slope is read off
_TRUSTED = 2.0  # factor up to which a slope is corrected as a whole
LEAST_SIZE = 16.0  # effective samples on which a depth read off ranks rests at least
_UPPER = 0.9  # share of a stage's samples below the one from which depths are read off ranks
_RANK_STEP = 1.0  # nats
_MOST_BETWEEN = 32
_STEEPEST = 10.0  # most that the logarithm of the slope may go on growing by in one standard deviation


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

    @classmethod
    def empty(cls) -> Curve:
        """No points."""
        return cls(np.empty(0), np.empty(0), np.empty(0))

    @classmethod
    def through(cls, loss: Array, depth: Array) -> Curve:
        """The curve through three or more points: slopes are geometric means of the chords on both sides."""
        chord = np.log(np.diff(depth) / -np.diff(loss))
        inner = 0.5 * (chord[1:] + chord[:-1])
        half = 0.5 * (chord[-1] - chord[0]) / max(1, len(chord) - 1)
        first, last = chord[0] - half, chord[-1] + half
        return cls(loss, depth, np.exp(np.concatenate([[first], inner, [last]])))

    def below(self, loss: Array, slope: Array) -> Curve:
        """The curve with slopes measured further down put in the place of what it had from there on."""
        order = np.argsort(-loss, kind="stable")
        kept = max(1, int((self.loss > loss[order[0]]).sum()))
        at, depth, rate = list(self.loss[:kept]), list(self.depth[:kept]), list(self.slope[:kept])
        for x, s in zip(loss[order], slope[order], strict=True):
            if not (x < at[-1] and s > 0.0):
                continue
            deeper = depth[-1] + float(_slope_between(s, rate[-1])) * (at[-1] - x)
            if deeper > depth[-1]:
                at.append(x)
                depth.append(deeper)
                rate.append(s)
        return Curve(np.asarray(at), np.asarray(depth), np.asarray(rate))

    def upon(self, loss: Array, depth: Array) -> Curve | None:
        """The curve with points in the place of what it had from the first of them on; None if they are too few."""
        if not loss.size:
            return None
        kept = int(((self.loss > loss[0]) & (self.depth < depth[0])).sum())
        loss, depth = _strictly_monotone(np.append(self.loss[:kept], loss), np.append(self.depth[:kept], depth))
        if loss.size < kept + 2 or loss.size < 3:
            return None
        before = max(0, min(kept - 1, loss.size - 3))
        fresh = Curve.through(loss[before:], depth[before:])
        return Curve(loss, depth, np.append(self.slope[:kept], fresh.slope[kept - before :]))

    def within(self, depth: float, most: float) -> Curve:
        """The curve, its part beyond ``depth`` shrunk where it would go on for more than ``most``."""
        excess = (float(self.depth[-1]) - depth) / most
        if not excess > 1.0:
            return self
        beyond = self.depth > depth
        return Curve(
            self.loss,
            np.where(beyond, depth + (self.depth - depth) / excess, self.depth),
            np.where(beyond, self.slope / excess, self.slope),
        )

    def continued(self, schedule: Schedule, rise: float = 1.0) -> Curve:
        """The curve some standard deviations further down.

        Args:
            schedule: says how wide a standard deviation is.
            rise: share of its rise over the last few with which the slope's logarithm goes on.
        """
        end = float(self.depth[-1])
        deviation = math.sqrt(float(schedule.variance(end)))
        first = min(int(np.searchsorted(self.depth, end - _RECENT * deviation)), max(0, len(self.depth) - 4))
        gain = deviation * np.linspace(0.0, _BEYOND, 1 + 2 * int(_BEYOND))
        depth, slope = self.depth[first:], np.log(self.slope[first:])
        several = len(depth) > 1
        if end > 5.0 * deviation:
            # V is a power of the loss, so that the slope is exponential in the depth.
            trend = float(np.polyfit(depth, slope, 1)[0]) if several else 0.0
            slope = self.slope[-1] * np.exp(rise * min(max(trend, 0.0), _STEEPEST / deviation) * gain)
        else:
            # Near the prior the loss has a Gaussian tail, and the slope is a power of the depth.
            trend = float(np.polyfit(np.log(depth), slope, 1)[0]) if several else 0.0
            slope = self.slope[-1] * (1.0 + gain / end) ** (rise * min(max(trend, 0.0), _STEEPEST * end / deviation))
        fall = np.cumsum(np.diff(gain) / _slope_between(slope[1:], slope[:-1]))
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
        self.loss, self.depth = self._refined()
        h = np.append(np.cumsum(self._pieces(self.depth)[::-1])[::-1], 0.0)
        x, y = self.loss[::-1].copy(), h[::-1].copy()  # increasing loss, increasing h from 0
        spline = PchipInterpolator(x, y)
        cubic, square, slope, value = spline.c
        # Above its curve the warp goes on as a straight line. Below it is level: a slope that is not known would
        # make a well of what lies there.
        high_slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        tables = (
            np.concatenate([[0.0], cubic, [0.0]]),
            np.concatenate([[0.0], square, [0.0]]),
            np.concatenate([[0.0], slope, [high_slope]]),
            np.concatenate([[y[0]], value, [y[-1]]]),
            np.concatenate([[x[0]], x[:-1], [x[-1]]]),
        )
        self._knots = torch.as_tensor(x, device=device)
        self._table = torch.as_tensor(np.stack(tables, axis=1), device=device)

    def _refined(self) -> tuple[Array, Array]:
        """Points half a standard deviation apart or nearer: over more, ``h`` is no cubic of the loss."""
        if self.loss.size < 3:
            return self.loss, self.depth
        width = np.diff(self.depth)
        count = np.ceil(2.0 * width / np.sqrt(self.schedule.variance(self.depth[:-1]))).clip(1, _MOST_BETWEEN)
        within = [np.linspace(a, b, int(n) + 1)[:-1] for (a, b), n in zip(pairwise(self.depth), count, strict=True)]
        depth = np.append(np.concatenate(within), self.depth[-1])
        return _strictly_monotone(PchipInterpolator(self.depth, self.loss)(depth), depth)

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
        return self.depth_of(self.arrays(loss)[0])

    def extended(self, curve: Curve, sample: Array, beta: float) -> Curve:
        """The curve on whose continuation this warp rests, corrected where the samples of one stage stand.

        Args:
            curve: what is known so far.
            sample: finite losses of the stage, sorted.
            beta: of the stage.
        """
        at, slope, factor = self.corrected([sample], np.array([beta]))
        if trusted(factor):
            return curve.below(at, slope)
        # So wrong a slope is not as wrong all over the stage. Such a stage is narrow, and its ranks will do.
        weight = beta * self.arrays(sample)[0]
        share = np.logaddexp.accumulate(weight)
        size = np.exp(2.0 * share - np.logaddexp.accumulate(2.0 * weight))
        most = int(_UPPER * (sample.size - 1))
        first = min(most, int(np.searchsorted(sample, curve.loss[-1])))
        enough = np.flatnonzero(size[: first + 1] >= LEAST_SIZE)
        if enough.size:
            top = sample[first : first + 1]
            known = curve if top[0] >= curve.loss[-1] else curve.below(top, self._slopes(top) * factor)
            depth = float(np.interp(-top[0], -known.loss, known.depth)) + share[first] - share
            steps = np.arange(depth[first], depth[enough[0]], _RANK_STEP)
            picked = np.unique(first - np.searchsorted(depth[first::-1], steps))[::-1]
            ranked = curve.upon(sample[picked], depth[picked])
            if ranked is not None:
                return ranked
        return curve.below(at, slope / factor * np.clip(factor, 1.0 / _TRUSTED, _TRUSTED))

    def _slopes(self, loss: Array) -> Array:
        h, slope = self.arrays(loss)
        return slope * np.exp(self.schedule.log_beta(self.depth_of(h)))

    def corrected(self, losses: list[Array], beta: Array) -> tuple[Array, Array, Array]:
        r"""What samples of stages at inverse temperatures β say about the curve itself.

        With ``V`` the volume, partial integration over the tempered density gives
        :math:`E[\beta h'(L) / S'(L)] = 1` exactly, for any warp. A curve whose slope is ``c`` times that of this
        warp's therefore has :math:`c = E[\beta/\beta(S(L))]`, an average over all samples of a stage, where a
        slope read off ranks would rest on a few.

        Args:
            losses: finite losses of each stage, sorted.
            beta: of each stage.

        Returns:
            The median loss of each stage, the slope ``−dS/dL`` there, and ``c``.
        """
        at = np.array([sample[sample.size // 2] for sample in losses])
        factor = np.array(
            [
                np.exp(math.log(b) - self.schedule.log_beta(self.depths(sample))).mean()
                for sample, b in zip(losses, beta, strict=True)
            ]
        )
        return at, factor * self._slopes(at), factor

    def arrays(self, loss: Array) -> tuple[Array, Array]:
        """:meth:`value_and_slope` at losses on the processor, wherever the warp is."""
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


def trusted(factor: Array) -> bool:
    """Whether slopes are so near the truth that correcting them as a whole makes them right."""
    return bool(((factor > 1.0 / _TRUSTED) & (factor < _TRUSTED)).all())


def _slope_between(a: Any, b: Any) -> Any:
    """Slope of the chord between two points with slopes ``a`` and ``b``, exact where V is a power of the loss."""
    ratio = np.log(a / b)
    near = np.abs(ratio) < 1e-6
    return np.where(near, 0.5 * (a + b), a * b * ratio / np.where(near, 1.0, a - b))


def _strictly_monotone(loss: Array, depth: Array) -> tuple[Array, Array]:
    """Drop the points that break strict order, walking down from the top."""
    keep = [0]
    for i in range(1, len(loss)):
        if loss[i] < loss[keep[-1]] and depth[i] > depth[keep[-1]]:
            keep.append(i)
    return np.asarray(loss, dtype=np.float64)[keep], np.asarray(depth, dtype=np.float64)[keep]
