r"""Free energies and the depth curve from samples at many stages.

With samples from :math:`K` tempered densities that differ only through :math:`\beta_k h(L)`, the maximum
likelihood estimate of the free energies :math:`f_k = -\ln Z_k` solves

.. math:: f_k = -\ln \sum_n \frac{e^{-\beta_k h_n}}{\sum_j N_j e^{f_j - \beta_j h_n}}

(Bennett 1976 for two stages; Shirts and Chodera 2008, eq. 11, for many), and every sample carries the weight
:math:`w_n = 1/\sum_j N_j e^{f_j-\beta_j h_n}` under the prior, so that
:math:`V(t) = P(L \le t) = \sum_{n: L_n \le t} w_n`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp
from torch import Tensor

from pindown.engine.controls import controlled
from pindown.engine.warp import LEAST_SIZE, Curve, Warp

__all__ = ["Recorded", "Weighted", "free_energies", "thermodynamic_integral", "weigh"]

Array = NDArray[np.float64]
_MOST_CELLS = 4_000_000
_GROUPS = 64
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class Recorded:
    """What ``T`` sweeps of ``n`` chains at ``K + 1`` stages saw.

    Attributes:
        loss: ``(T, K + 1, n)``.
        h: the same, warped.
        steady: the same with most of the noise taken out; see :mod:`pindown.engine.controls`.
        beta: inverse temperatures, ``(K + 1,)``, increasing, the first the prior's.
        sums: virial sums, ``(T, K + 1, n, 2)``.
    """

    loss: Array
    h: Array
    steady: Array
    beta: Array
    sums: Array

    @classmethod
    def of(cls, loss: Array, sums: Array, warp: Warp, beta: Tensor) -> Recorded:
        """From losses and virial sums."""
        h = warp.value_and_slope(torch.as_tensor(loss, device=beta.device))[0].clamp_max(1e300).cpu().numpy()
        return cls(loss, h, controlled(h, sums), beta.cpu().numpy(), sums)

    def weigh(self) -> tuple[Weighted, bool]:
        """Weights of all samples under the prior, and whether the equations of the free energies were solved.

        The equations leave out what the controls know: the difference that they make to the thermodynamic integral
        of the same samples, in which its discretisation cancels, is added to their solution.
        """
        f, solved = free_energies(self.h, self.beta)
        f += thermodynamic_integral(self.steady, self.beta) - thermodynamic_integral(self.h, self.beta)
        return weigh(self.loss, self.h, self.beta, f), solved


@dataclass(frozen=True)
class Weighted:
    """Samples of all stages with their weights under the prior, sorted by loss.

    Attributes:
        loss: increasing, ``(N,)``.
        log_weight: ``ln w``, same order; ``exp`` of them sums to one up to the overlap with the prior stage.
        log_volume: ``ln P(L ≤ loss_n)``, the running sum.
        order: where each sorted sample stood before.
    """

    loss: Array
    log_weight: Array
    log_volume: Array
    order: NDArray[np.int64]

    def log_volume_at(self, t: float) -> float:
        """``ln P(L ≤ t)``; −inf below the lowest sample."""
        i = int(np.searchsorted(self.loss, t, side="right"))
        return float(self.log_volume[i - 1]) if i else -np.inf

    def curve(self, step: float) -> Curve | None:
        """The curve through points ``step`` nats apart that rest on enough samples; None with fewer than three."""
        enough = np.flatnonzero((self.sizes >= LEAST_SIZE) & np.isfinite(self.loss))
        if not enough.size:
            return None
        volume = self.log_volume[enough]
        picked = np.unique(np.searchsorted(volume, np.arange(-step, volume[0], -step)))
        points = enough[picked[picked < enough.size]][::-1]
        return Curve.empty().upon(self.loss[points], -self.log_volume[points]) if points.size else None

    def smoothed(self, depth: Array, at: Array, bandwidth: float) -> tuple[Array, Array]:
        r"""``ln P(L ≤ loss)`` with the noise of single samples smoothed out, and Kish's effective number of samples.

        Write :math:`s_n` for an approximate depth of sample ``n``. Flattened weights :math:`w_n e^{s_n}` have a density
        over depth that hardly varies; a Gaussian kernel of width ``b`` on it gives

        .. math:: V(a) = \sum_n w_n e^{s_n} \int_a^\infty e^{-s} N(s; s_n, b^2)\, ds
                  = \sum_n w_n e^{b^2/2}\, \Phi\Big(\frac{s_n - a}{b} - b\Big).

        Without it ``V`` would rest on the samples within about one nat of ``a``, of a stage that is many nats wide.

        Args:
            depth: of each sample, not increasing, ``(N,)``.
            at: depths to read the volume at.
            bandwidth: ``b`` in nats, above 0.
        """
        # Samples within a twentieth of the kernel's width stand together.
        cell = np.floor((depth[0] - depth) / (0.05 * bandwidth))
        first = np.flatnonzero(np.diff(cell, prepend=-1.0))
        top = np.maximum.reduceat(self.log_weight, first)
        counts = np.diff(np.append(first, depth.size))
        share = np.exp(self.log_weight - np.repeat(top, counts))
        weight = top + np.log(np.add.reduceat(share, first))
        squares = 2.0 * top + np.log(np.add.reduceat(share**2, first))
        middle = np.add.reduceat(depth, first) / counts
        volume, size = np.empty(at.size), np.empty(at.size)
        for i, a in enumerate(at):
            kernel = log_ndtr((middle - a) / bandwidth - bandwidth)
            volume[i] = logsumexp(weight + kernel)
            size[i] = np.exp(2.0 * volume[i] - logsumexp(squares + 2.0 * kernel))
        return volume + 0.5 * bandwidth**2, size

    @property
    def sizes(self) -> Array:
        """Kish's effective number of samples up to each loss, ``(N,)``."""
        return np.exp(2.0 * self.log_volume - np.logaddexp.accumulate(2.0 * self.log_weight))


def thermodynamic_integral(h: Array, beta: Array) -> Array:
    r"""Free energies by :math:`f(\beta) = \int_0^\beta E_b[h]\,db`, trapezoid in β (Ogata 1989).

    Args:
        h: warped losses, ``(T, K, n)`` or ``(K, n)``.
        beta: inverse temperatures, increasing, ``(K,)``.

    Returns:
        ``f`` of each stage, the first 0.
    """
    mean = h.mean(axis=-1) if h.ndim == 2 else h.mean(axis=(0, 2))
    return np.concatenate([[0.0], np.cumsum(0.5 * (mean[1:] + mean[:-1]) * np.diff(beta))])


def free_energies(h: Array, beta: Array) -> tuple[Array, bool]:
    """Solve for the free energies of all stages by Newton's method.

    Args:
        h: warped losses ``(T, K, n)``: ``T`` sweeps of ``n`` chains at ``K`` stages.
        beta: inverse temperatures, increasing, the first the prior's.

    Returns:
        ``f`` with ``f[0] = 0``, and whether the equations were solved (they are not where neighbouring
        stages share no losses).
    """
    sweeps, stages, n = h.shape
    pooled = np.sort(h.reshape(-1))
    counts = np.full(stages, float(sweeps * n))
    # Neighbours in h stand for each other: 64 groups a stage give the same answer as all samples.
    return _newton(
        thermodynamic_integral(h, beta), *_grouped(pooled, max(1, pooled.size // (_GROUPS * stages))), beta, counts
    )


def _grouped(pooled: Array, group: int) -> tuple[Array, Array]:
    """Means of neighbours, and how many each stands for."""
    at = np.arange(0, pooled.size, group)
    mass = np.diff(np.append(at, pooled.size)).astype(np.float64)
    return np.add.reduceat(pooled, at) / mass, mass


def _newton(f: Array, x: Array, mass: Array, beta: Array, counts: Array) -> tuple[Array, bool]:
    energy = -np.outer(beta, x) + np.log(counts)[:, None]
    objective, p = _mixture(energy, f, mass, counts)
    for _ in range(_NEWTON_STEPS):
        gradient = p @ mass - counts
        if np.abs(gradient[1:]).max() < 1e-7 * counts[0]:
            return f, True
        weighted = p * mass
        hessian = np.diag(weighted.sum(1)) - weighted @ p.T
        scale = np.abs(np.diag(hessian)).max()
        try:
            step = np.linalg.solve(hessian[1:, 1:] + 1e-12 * scale * np.eye(len(f) - 1), gradient[1:])
        except np.linalg.LinAlgError:
            return f, False
        size = 1.0
        while True:
            trial = f.copy()
            trial[1:] -= size * step
            new_objective, new_p = _mixture(energy, trial, mass, counts)
            if new_objective <= objective + 1e-12 * abs(objective):
                break
            size *= 0.5
            if size < 1e-6:
                return f, bool(np.abs(gradient[1:]).max() < 1e-3 * counts[0])
        f, objective, p = trial, new_objective, new_p
    return f, False


def _mixture(energy: Array, f: Array, mass: Array, counts: Array) -> tuple[float, Array]:
    """The convex function whose minimum solves the equations, and each stage's share of each sample."""
    u = energy + f[:, None]
    top = u.max(0)
    p = np.exp(u - top)
    total = p.sum(0)
    p /= total
    return float(mass @ (top + np.log(total)) - counts @ f), p


def _log_sum_exp(u: Array) -> Array:
    """``ln Σ exp u`` down the columns; SciPy's general one is five times slower on large tables."""
    top = u.max(0)
    u -= top
    np.exp(u, out=u)
    return top + np.log(u.sum(0))


def weigh(loss: Array, h: Array, beta: Array, f: Array) -> Weighted:
    """Weights under the prior of all samples ``(T, K, n)`` given the free energies."""
    per_stage = h.shape[0] * h.shape[2]
    flat_h, flat_loss = h.reshape(-1), loss.reshape(-1)
    order = np.argsort(flat_loss, kind="stable")
    x = flat_h[order]
    log_weight = np.empty(x.size)
    block = max(1, _MOST_CELLS // len(beta))
    for a in range(0, x.size, block):
        log_weight[a : a + block] = -_log_sum_exp(f[:, None] - np.outer(beta, x[a : a + block]))
    log_weight -= np.log(per_stage)
    return Weighted(flat_loss[order], log_weight, np.logaddexp.accumulate(log_weight), order)
