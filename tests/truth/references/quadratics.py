"""Positive quadratic forms Σ aᵢxᵢ² under N(0, I): the generalised χ² distribution in its small tail."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath as mp
import numpy as np
from scipy.optimize import brentq

from .gaussians import chi_square_cdf
from .value import DIGITS, Exact


def ellipsoid(scales: Sequence[float], t: float) -> Exact:
    r"""P(Σ aᵢxᵢ² ≤ t) by inverting the Laplace transform along a parabola through the saddle point.

    .. math:: P = \frac{1}{2\pi i}\int e^{st}\,\prod_i (1+2a_is)^{-1/2}\,\frac{ds}{s}

    All singularities lie on s ≤ 0, so the contour s = c(1 + iu)², with c the saddle on the positive axis, is
    allowed; on it the integrand is analytic in u and falls like exp(−ct u²), so the trapezoidal rule converges
    exponentially (Trefethen & Weideman 2014, The exponentially convergent trapezoidal rule, section 15). The step
    is halved until the result stands still to 1e-25. Rotating the axes changes nothing.
    """
    with mp.workdps(DIGITS):
        a = [mp.mpf(v) for v in scales]
        t = mp.mpf(t)
        c = _saddle(a, t)
        log_peak = _exponent(a, t, mp.mpc(c)).real

        def trapezoid(step: mp.mpf, power: int) -> mp.mpf:
            total, k = mp.mpf(0), 0
            while True:
                u = k * step
                s = c * (1 + mp.mpc(0, u)) ** 2
                value = mp.exp(_exponent(a, t, s) - log_peak) * s**power * (1 + mp.mpc(0, u))
                total += value.real if k == 0 else 2 * value.real
                if abs(value) < mp.mpf(10) ** (-DIGITS + 5):
                    return total * step * c / mp.pi
                k += 1

        def converged(power: int) -> mp.mpf:
            step = mp.mpf(1) / (4 * mp.sqrt(len(a)))
            coarse = trapezoid(step, power)
            while True:
                step /= 2
                fine = trapezoid(step, power)
                if abs(fine - coarse) < mp.mpf(10) ** -25 * abs(fine):
                    return fine
                coarse = fine

        p = converged(0) * mp.exp(log_peak)
        density = converged(1) * mp.exp(log_peak)
        return Exact.from_cdf(p, density, t)


def ellipsoid_by_mixture(scales: Sequence[float], t: float) -> float:
    """The bits of :func:`ellipsoid` by Ruben's (1962, Ann. Math. Statist. 33, 542) mixture of χ² distributions.

    P = Σ_k c_k P(χ²_{d+2k} ≤ t/β) with β = min aᵢ, c₀ = Π √(β/aᵢ), c_k = 1/(2k) Σ_{r<k} g_{k−r} c_r and
    g_m = Σ (1 − β/aᵢ)^m. All terms are positive.
    """
    with mp.workdps(DIGITS):
        a = [mp.mpf(v) for v in scales]
        d, beta = len(a), min(a)
        ratios = [1 - beta / v for v in a]
        coefficients = [mp.sqrt(mp.fprod(beta / v for v in a))]
        powers, sums = [mp.mpf(1)] * d, [mp.mpf(0)]
        total = coefficients[0] * chi_square_cdf(d, mp.mpf(t) / beta)
        k = 0
        while True:
            k += 1
            powers = [p * r for p, r in zip(powers, ratios, strict=True)]
            sums.append(mp.fsum(powers))
            coefficients.append(mp.fsum(sums[k - r] * coefficients[r] for r in range(k)) / (2 * k))
            term = coefficients[k] * chi_square_cdf(d + 2 * k, mp.mpf(t) / beta)
            total += term
            if k > 10 and term < total * mp.mpf(10) ** -30:
                return float(-mp.log(total, 2))


def displaced_ellipsoid(scales: Sequence[float], centre: Sequence[float], t: float) -> float:
    """Bits of Σ aᵢ(xᵢ − mᵢ)² ≤ t under N(0, I), in double precision and hundreds of dimensions at once.

    The transform of :func:`ellipsoid` times exp(−Σ s aᵢmᵢ²/(1 + 2aᵢs)) (Johnson, Kotz & Balakrishnan 1995, 29.2, one
    factor a coordinate), on the same contour. Everything is computed relative to the saddle, so that nothing overflows.
    """
    a, m = np.asarray(scales, dtype=float), np.asarray(centre, dtype=float)

    def exponent(s: np.ndarray) -> np.ndarray:
        s = s[..., None]
        return s[..., 0] * t - (0.5 * np.log1p(2 * a * s) + s * a * m**2 / (1 + 2 * a * s)).sum(-1) - np.log(s[..., 0])

    def slope(log_s: float) -> float:
        s = math.exp(log_s)
        q = 1 + 2 * a * s
        return s * t - (a * s / q + s * a * m**2 / q**2).sum() - 1

    high = math.log((a.size / 2 + (m**2).sum() + 1) / t) + 50
    c = math.exp(brentq(slope, high - 150, high, xtol=1e-14))
    peak = float(exponent(np.array([c + 0j]))[0].real)
    total, step = math.nan, 1.0 / (4 * math.sqrt(a.size))
    for _ in range(12):
        u = np.arange(0.0, 40.0 * math.sqrt(1.0 / (c * t)) + 40 * step, step)
        s = c * (1 + 1j * u) ** 2
        value = (np.exp(exponent(s) - peak) * (1 + 1j * u)).real
        new = (value[0] + 2 * value[1:].sum()) * step * c / math.pi
        if abs(new - total) < 1e-9 * abs(new):
            return -(peak + math.log(new)) / math.log(2)
        total, step = new, step / 2
    raise ArithmeticError("the trapezoidal rule has not settled")


def _exponent(a: Sequence[mp.mpf], t: mp.mpf, s: mp.mpc) -> mp.mpc:
    return s * t - mp.fsum(mp.log(1 + 2 * v * s) for v in a) / 2 - mp.log(s)


def _saddle(a: Sequence[mp.mpf], t: mp.mpf) -> mp.mpf:
    """The one root on s > 0 of the exponent's derivative, which increases there."""

    def slope(log_s: float) -> float:
        s = mp.exp(log_s)
        return float(s * t - mp.fsum(v * s / (1 + 2 * v * s) for v in a) - 1)

    high = float(mp.log((len(a) / 2 + 1) / t)) + 1e-9
    return mp.exp(brentq(slope, high - 60, high))
