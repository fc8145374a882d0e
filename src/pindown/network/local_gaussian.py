r"""The loss around trained weights as a quadratic, and the Gaussians that the prior and a tether make of it.

In the prior's standard normal coordinates ``z``, with :math:`x = z - z^*`, the model of the loss is
:math:`Q = L^* + a^\top U x + \tfrac12 x^\top U^\top \mathrm{diag}(h)\, U x` on the ``k`` rows of ``U``, the directions
of largest positive curvature. With a tether of strength γ at :math:`z^*` and inverse temperature β,

.. math:: N(z; 0, I)\, e^{-\frac{\gamma}{2}|x|^2 - \beta Q}
          = Z\, N(x; d, P^{-1}),\qquad P = (1+\gamma) I + \beta\, U^\top \mathrm{diag}(h)\, U,\quad
          P d = \ell = -z^* - \beta U^\top a,

.. math:: \ln Z = -\tfrac12 |z^*|^2 - \beta L^* + \tfrac12 \ell^\top P^{-1} \ell - \tfrac12 \ln\det P.

``P`` is diagonal in ``U`` and a multiple of the identity off it, so that products with any power of it cost two
products with ``U``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor

from pindown.network.curvature import Curvature
from pindown.network.lanczos import ritz_pairs
from pindown.network.subject import Subject
from pindown.rng import torch_generator

__all__ = ["LocalGaussian", "Metric"]

Array = NDArray[np.float64]
DENSE = 2500
DIRECTIONS = 512  # of a model whose whole matrix is not formed


@dataclass(frozen=True, eq=False)
class LocalGaussian:
    """The quadratic model of a loss at a point.

    Attributes:
        centre: :math:`z^*`, ``(D,)``.
        loss: L*.
        directions: U, orthonormal rows ``(k, D)``.
        curvature: h above zero, ``(k,)`` float64.
        slope: a, ``(k,)`` float64.
    """

    centre: Tensor
    loss: float
    directions: Tensor
    curvature: Tensor
    slope: Tensor

    @classmethod
    def of(cls, subject: Subject, point: Tensor, seed: int) -> tuple[LocalGaussian, int]:
        """Fit it to the Hessian in the prior's coordinates at weights ``(D,)``; also the products that this took."""
        space = subject.space()
        whole = space.dim <= DENSE
        c = Curvature(subject, point, coordinates="normal", dtype=torch.float64 if whole else None)
        if whole:
            h, u = torch.linalg.eigh(c.dense().double())
            u = u.T
        else:
            start = torch.randn(c.dim, generator=torch_generator(seed, 0x10CA), dtype=torch.float64).to(c.point)
            values, vectors = ritz_pairs(c.product, start, DIRECTIONS)
            h, u = torch.as_tensor(values).to(vectors.device), vectors.double()
        keep = h > 1e-7 * h.abs().max().clamp_min(1e-300)
        u, h = u[keep], h[keep]
        centre = space.to_normal(point.unsqueeze(0).double())[0]
        slope = u @ c.gradient.double()
        return cls(centre.to(space.dtype), c.loss, u.to(space.dtype), h, slope), c.products

    @property
    def dim(self) -> int:
        """D."""
        return len(self.centre)

    def strongest(self, most: int) -> LocalGaussian:
        """The model on its ``most`` directions of largest curvature."""
        if len(self.curvature) <= most:
            return self
        pick = self.curvature.argsort(descending=True)[:most]
        return replace(self, directions=self.directions[pick], curvature=self.curvature[pick], slope=self.slope[pick])

    def at(self, tether: Any, beta: Any) -> Metric:
        """The Gaussian at each of the given γ and β, numbers or ``(N,)`` tensors."""
        g = torch.as_tensor(tether, dtype=torch.float64, device=self.centre.device).reshape(-1, 1)
        b = torch.as_tensor(beta, dtype=torch.float64, device=self.centre.device).reshape(-1, 1)
        off, on = 1.0 + g, 1.0 + g + b * self.curvature
        # ℓ in the two parts: −z* off U, and its coordinates on U.
        centre_on = self.directions.double() @ self.centre.double()
        l_on = -centre_on - b * self.slope
        return Metric(self, g, b, off, on, l_on, -centre_on)

    def model(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q ``(N,)`` in float64 at displacements ``x`` ``(N, D)``, and the coordinates ``U x`` ``(N, k)``."""
        on = (x @ self.directions.T).double()
        return self.quadratic(on), on

    def quadratic(self, on: Tensor) -> Tensor:
        """Q from coordinates ``U x``, ``(…, k)``."""
        return self.loss + (on * self.slope + 0.5 * self.curvature * on.square()).sum(-1)

    def beta_for(self, excess: float) -> float:
        """The β at which the model's mean loss, without a tether, lies ``excess`` above L*."""
        h = self.curvature.cpu().numpy()
        if not h.size:
            return 0.0
        c = (self.directions.double() @ self.centre.double()).cpu().numpy()
        a = self.slope.cpu().numpy()

        def mean(log_beta: float) -> float:
            b = math.exp(log_beta)
            d = (-c - b * a) / (1.0 + b * h)
            return float((a * d + 0.5 * h * (d**2 + 1.0 / (1.0 + b * h))).sum()) - excess

        low, high = -60.0, 80.0
        if mean(low) <= 0:
            return math.exp(low)
        if mean(high) > 0:
            return math.exp(high)
        return math.exp(float(brentq(mean, low, high)))


@dataclass(frozen=True, eq=False)
class Metric:
    """Gaussians ``N(z* + d, P⁻¹)``, one a row.

    Attributes:
        local: the model.
        tether, beta: γ and β, ``(N, 1)``.
        off, on: eigenvalues of P off and on ``U``, ``(N, 1)`` and ``(N, k)``.
        pull: ℓ on ``U``, ``(N, k)``; ``own`` the part of it that is −U z*, ``(k,)``.
    """

    local: LocalGaussian
    tether: Tensor
    beta: Tensor
    off: Tensor
    on: Tensor
    pull: Tensor
    own: Tensor

    def power(self, v: Tensor, exponent: float, rows: Any = slice(None)) -> Tensor:
        """``P^exponent`` times each row of ``v`` ``(N, D)``."""
        u = self.local.directions
        off, on = self.off[rows] ** exponent, self.on[rows] ** exponent
        inside = (on - off) * (v @ u.T).double()
        return off.to(v.dtype) * v + inside.to(v.dtype) @ u

    @property
    def shift(self) -> Tensor:
        """d, ``(N, D)``."""
        u, z = self.local.directions.double(), self.local.centre.double()
        return ((-z / self.off) + (self.pull / self.on - self.own / self.off) @ u).to(self.local.centre.dtype)

    @property
    def log_determinant(self) -> Tensor:
        """Ln det P, ``(N,)``."""
        return (self.local.dim - len(self.local.curvature)) * self.off[:, 0].log() + self.on.log().sum(1)

    @property
    def pull_energy(self) -> Tensor:
        """``ℓᵀP⁻¹ℓ``, ``(N,)``."""
        rest = self.local.centre.double().square().sum() - self.own.square().sum()
        return rest.clamp_min(0.0) / self.off[:, 0] + (self.pull.square() / self.on).sum(1)

    @property
    def log_normaliser(self) -> Tensor:
        """Ln Z, ``(N,)``."""
        own = self.local.centre.double().square().sum()
        return -0.5 * own - self.beta[:, 0] * self.local.loss + 0.5 * self.pull_energy - 0.5 * self.log_determinant

    def draw(self, rng: torch.Generator) -> Tensor:
        """One displacement ``x`` a row, ``(N, D)``."""
        like = self.local.centre
        xi = torch.randn((len(self.off), len(like)), generator=rng, device=like.device, dtype=torch.float32).to(like)
        return self.shift + self.power(xi, -0.5)
