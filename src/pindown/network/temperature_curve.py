r"""λ at each inverse temperature, and the learning coefficient that the curve tends to.

With :math:`F(n\beta) = -\ln \int e^{-n\beta (L - L^*)} \varphi` the figure at one inverse temperature,
:math:`\hat\lambda(n\beta) = n\beta\, E[L - L^*]`, is :math:`dF / d \ln n\beta`. Watanabe's expansion
:math:`F = \lambda \ln n\beta - (m - 1) \ln \ln n\beta + O(1)` (2009, Algebraic Geometry and Statistical Learning
Theory, theorem 6.7; 2013, A widely applicable Bayesian information criterion, theorem 4) therefore gives

.. math:: \hat\lambda(n\beta) = \lambda - \frac{m - 1}{\ln n\beta + b} + \dots

with the multiplicity ``m`` and a constant ``b`` that the prior and the scale of the loss decide. A regular model of
curvatures :math:`h_i` under the localisation γ has :math:`\tfrac12 \sum_i n\beta h_i / (n\beta h_i + \gamma)` instead,
near λ (1 − c/nβ). Weights that lie above the lowest loss near them by Δ, as true weights do under noisy data, lower
it by nβΔ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from pindown.network.record import Part

__all__ = ["FEWEST", "CurveFit", "fit_curve"]

Array = NDArray[np.float64]
_MULTIPLICITIES = (2, 3, 4)
_FIRST = 1.5  # the least ln nβ + b at the lowest inverse temperature: below it the expansion means nothing
_CONSTANT = 3.0  # the largest b
_GRID = 40
FEWEST = 3  # inverse temperatures that tell forms of the curve apart
_SHIFTS = 21
_BEYOND = 1.1  # a descent may end a little above the lowest loss
_NO_SHIFT = 1e-3
_POWERS = (1.0, 0.5, 0.25, 0.125)
_MOST_BEND = 0.3


@dataclass(frozen=True)
class CurveFit(Part):
    """The average over forms of the curve, each weighted by how well it fits.

    Attributes:
        value: λ.
        stderr: its standard error, with the spread over the forms.
        multiplicity: probability of each multiplicity m, from 1.
        shift: mean of nβΔ at the highest inverse temperature: by how much λ̂ is lower there because the weights are
            not at the lowest loss near them.
        correction: λ minus λ̂ at the highest inverse temperature.
        p_value: chance of a fit at least as bad as the best.
    """

    value: float
    stderr: float
    multiplicity: tuple[float, ...]
    shift: float
    correction: float
    p_value: float

    @property
    def likely_multiplicity(self) -> int:
        """The multiplicity of the largest probability."""
        return 1 + int(np.argmax(self.multiplicity))


def fit_curve(
    nbeta: Sequence[float], value: Sequence[float], stderr: Sequence[float], *, most: float, shift: float
) -> CurveFit:
    r"""Average λ over the forms of the curve (Bayesian model averaging; Hoeting, Madigan, Raftery and Volinsky 1999).

    The forms are a constant, :math:`\lambda\,(1 - c\,(n\beta/n\beta_1)^{-\delta})` with δ = 1 (regular models), 1/2,
    1/4 and 1/8 (further poles of the zeta function, whose distances from the first are fractions with the order of the
    singularity below), and :math:`\lambda - (m-1)/(\ln n\beta + b)` for m = 2, 3, 4; each lowered by nβΔ.
    c, b and Δ lie on grids of equal prior weight. Forms have the prior weights √δ and
    :math:`2^{1-m}` beside the constant's 1, since the slower a correction the further it extrapolates; λ is flat up to
    ``most``, half the number of dimensions, which no learning coefficient exceeds. Two inverse temperatures say little
    about the form: all count equally then. Weights of δ left four linear layers of 10 units and rank 2, whose curve
    rises from 34.8 at n/(16 ln n) to 36.8 at 16 n/ln n and on to 38, at 36.8 ± 0.9; equal ones take others too far.

    Args:
        nbeta: inverse temperatures, increasing.
        value: λ̂ at each.
        stderr: standard errors.
        most: the largest λ there can be.
        shift: the largest nβΔ there can be at the highest inverse temperature; 0 for weights at the lowest loss.

    Example:
        >>> truth = [8 - 2 / math.log(b) for b in (100.0, 1e3, 1e4, 1e6)]
        >>> fit = fit_curve([100.0, 1e3, 1e4, 1e6], truth, [0.01] * 4, most=20.0, shift=0.0)
        >>> round(fit.value, 1), fit.likely_multiplicity
        (8.0, 3)
    """
    x, y, s = (np.asarray(v, dtype=np.float64) for v in (nbeta, value, stderr))
    weight = 1.0 / np.square(np.maximum(s, 1e-12))
    sigma = 1.0 / math.sqrt(float(weight.sum()))
    scale = max(float(y.max()), 1e-12)
    shifts = np.linspace(0.0, _BEYOND * shift, _SHIFTS) if shift > _NO_SHIFT * scale else np.zeros(1)
    forms: list[tuple[int, float, Array, Array]] = [(1, 1.0, np.ones((1, len(x))), np.zeros((1, len(x))))]
    share = np.linspace(0.0, _MOST_BEND, _GRID)[1:, None]
    for power in _POWERS:
        forms.append((1, math.sqrt(power), 1.0 - share * (x / x[0]) ** -power, np.zeros((len(share), len(x)))))
    first = np.linspace(_FIRST, math.log(x[0]) + _CONSTANT, _GRID)[:, None]
    for m in _MULTIPLICITIES:
        forms.append((m, 0.5 ** (m - 1), np.ones((_GRID, len(x))), -(m - 1) / (first + np.log(x / x[0]))))
    parts: list[tuple[Array, Array, Array, Array, Array]] = []
    few = len(x) < FEWEST
    for (m, favour, factor, offset), fall in product(forms, shifts):
        left = y + fall * x / x[-1] - offset
        lam = (weight * factor * left).sum(1) / (weight * factor * factor).sum(1)
        chi = (weight * np.square(left - factor * lam[:, None])).sum(1)
        allowed = np.where(lam <= most + 2.0 * sigma, (1.0 if few else favour) / len(lam), 0.0)
        parts.append((lam, chi, allowed, np.full(len(lam), m), np.full(len(lam), fall)))
    lam, chi, allowed, which, shift_of = (np.concatenate(p) for p in zip(*parts, strict=True))
    best = float(chi[allowed > 0].min()) if (allowed > 0).any() else math.inf
    chance = allowed * np.exp(-0.5 * np.maximum(chi - best, 0.0)) if math.isfinite(best) else np.ones(len(lam))
    total = float(chance.sum())
    chance = chance / total
    mean = float((chance * lam).sum())
    spread = float((chance * np.square(lam - mean)).sum())
    probability = tuple(float(chance[which == m].sum()) for m in (1, *_MULTIPLICITIES))
    p_value = float(chdtrc(max(1, len(x) - 1), best)) if math.isfinite(best) else 0.0
    shift_mean = float((chance * shift_of).sum())
    return CurveFit(mean, math.hypot(sigma, math.sqrt(spread)), probability, shift_mean, mean - float(y[-1]), p_value)
