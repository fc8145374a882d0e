"""Events under N(0, I): balls, shells, half-spaces, unions of balls, a funnel, a product of norms."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath as mp
from scipy.optimize import brentq

from .value import DIGITS, Exact


def chi_square_cdf(dof: float, x: mp.mpf) -> mp.mpf:
    """P(χ²_dof ≤ x) by Kummer's form of the lower incomplete gamma function.

    γ(a, y)/Γ(a) = y^a e^{−y} / Γ(a+1) · 1F1(1; a+1; y) with a = dof/2, y = x/2 (Abramowitz & Stegun 6.5.12). All
    terms of the series are positive, so nothing cancels however small the probability.
    """
    a, y = mp.mpf(dof) / 2, mp.mpf(x) / 2
    if y <= 0:
        return mp.mpf(0)
    return mp.exp(a * mp.log(y) - y - mp.loggamma(a + 1)) * mp.hyp1f1(1, a + 1, y)


def chi_square_pdf(dof: float, x: mp.mpf) -> mp.mpf:
    """Density of χ²_dof at x."""
    a, y = mp.mpf(dof) / 2, mp.mpf(x) / 2
    return mp.exp((a - 1) * mp.log(y) - y - mp.loggamma(a)) / 2


def ball(dim: int, t: float) -> Exact:
    """L = ‖x‖² ≤ t under N(0, I_dim): P = P(χ²_dim ≤ t)."""
    with mp.workdps(DIGITS):
        return Exact.from_cdf(chi_square_cdf(dim, mp.mpf(t)), chi_square_pdf(dim, mp.mpf(t)), t)


def ball_tolerance(dim: int, bits: float) -> float:
    """The t at which the ball of :func:`ball` holds ``bits`` bits, by bracketing in ln t."""

    def excess(log_t: float) -> float:
        return ball(dim, float(mp.exp(log_t))).bits - bits

    low = float(mp.log(dim) - 2 * mp.log(2) * bits / dim - 3)
    return float(mp.exp(brentq(excess, low, float(mp.log(4 * dim)), xtol=1e-14, rtol=1e-14)))


def half_space(sigmas: float) -> Exact:
    """x·u ≥ sigmas for a unit vector u: P = erfc(sigmas/√2)/2."""
    with mp.workdps(DIGITS):
        return Exact.from_cdf(mp.erfc(mp.mpf(sigmas) / mp.sqrt(2)) / 2)


def shell(dim: int, radius: float, width: float) -> Exact:
    """L = |‖x‖ − radius| ≤ width: P = F((r+w)²) − F((r−w)²) with F the χ²_dim distribution function."""
    with mp.workdps(2 * DIGITS):
        outer, inner = mp.mpf(radius) + mp.mpf(width), max(mp.mpf(radius) - mp.mpf(width), mp.mpf(0))
        p = chi_square_cdf(dim, outer**2) - chi_square_cdf(dim, inner**2)
        density = 2 * outer * chi_square_pdf(dim, outer**2)
        if inner > 0:
            density += 2 * inner * chi_square_pdf(dim, inner**2)
        return Exact.from_cdf(p, density, width)


def displaced_ball(dim: int, distance: float, radius_squared: float | mp.mpf) -> mp.mpf:
    """P(‖x − c‖² ≤ r²) for ‖c‖ = distance: the noncentral χ² as a Poisson mixture.

    Σ_j Poisson(j; ‖c‖²/2) P(χ²_{dim+2j} ≤ r²) (Johnson, Kotz & Balakrishnan 1995, Continuous Univariate
    Distributions 2, 29.2). The terms rise to one peak and then fall faster than geometrically.
    """
    with mp.workdps(DIGITS):
        half, r2 = mp.mpf(distance) ** 2 / 2, mp.mpf(radius_squared)
        if half == 0:
            return chi_square_cdf(dim, r2)
        total, j, last = mp.mpf(0), 0, mp.mpf(0)
        while True:
            weight = mp.exp(-half + j * mp.log(half) - mp.loggamma(j + 1))
            term = weight * chi_square_cdf(dim + 2 * j, r2)
            total += term
            if term < last and term < total * mp.mpf(10) ** (-DIGITS + 10):
                return total
            last, j = term, j + 1


def displaced_ball_by_slices(dim: int, distance: float, radius_squared: float) -> mp.mpf:
    """The same probability by slicing along c: ∫ φ(u) P(χ²_{dim−1} ≤ r² − (u − ‖c‖)²) du."""
    with mp.workdps(30):
        r = mp.sqrt(mp.mpf(radius_squared))
        c = mp.mpf(distance)

        def slice_at(u: mp.mpf) -> mp.mpf:
            return mp.npdf(u) * chi_square_cdf(dim - 1, r**2 - (u - c) ** 2)

        return mp.quad(slice_at, mp.linspace(c - r, c + r, 9))


def double_basin(dim: int, balls: Sequence[tuple[float, float]], gap: float) -> Exact:
    """Union of two balls on one line through the origin, disjoint: the sum of two noncentral χ² probabilities.

    Args:
        dim: dimension.
        balls: (distance of the centre from the origin, squared radius) of each.
        gap: distance between the centres; must exceed the sum of the radii.
    """
    with mp.workdps(DIGITS):
        if mp.sqrt(balls[0][1]) + mp.sqrt(balls[1][1]) >= gap:
            raise ValueError("the balls overlap, so the sum would count points twice")
        return Exact.from_cdf(mp.fsum(displaced_ball(dim, c, r2) for c, r2 in balls))


def funnel(dim: int, spread: float, t: float) -> Exact:
    """L = e^{−spread·x₀} Σ_{i≥1} x_i² ≤ t: after Neal (2003, Slice sampling, section 8), in standard normals.

    Given x₀ = z the sum is χ²_{dim−1}, so P = ∫ φ(z) P(χ²_{dim−1} ≤ t e^{spread·z}) dz.
    """
    with mp.workdps(30):
        t, s = mp.mpf(t), mp.mpf(spread)
        # The integrand is log-concave up to the saturation of the χ² factor; its mass lies where the small-ball
        # power law and the Gaussian balance, at most spread·(dim−1)/2.
        top = s * (dim - 1) / 2
        nodes = mp.linspace(-10, top + 10, 25)
        p = mp.quad(lambda z: mp.npdf(z) * chi_square_cdf(dim - 1, t * mp.exp(s * z)), nodes)
        f = mp.quad(lambda z: mp.npdf(z) * mp.exp(s * z) * chi_square_pdf(dim - 1, t * mp.exp(s * z)), nodes)
        return Exact.from_cdf(p, f, t)


def product_of_norms(left: int, right: int, t: float) -> Exact:
    """L = ‖a‖²‖b‖² ≤ t for standard normal a, b of lengths ``left`` and ``right``.

    This is ‖b aᵀ‖², reduced-rank regression of rank 1 with true rank 0. Given ‖a‖² = u the event is
    χ²_right ≤ t/u; the integral over u is taken in ln u.
    """
    with mp.workdps(30):
        t = mp.mpf(t)
        nodes = [mp.mpf(v) for v in mp.linspace(mp.log(t) - 10, 6, 41)]
        p = mp.quad(
            lambda v: mp.exp(v) * chi_square_pdf(left, mp.exp(v)) * chi_square_cdf(right, t * mp.exp(-v)), nodes
        )
        f = mp.quad(lambda v: chi_square_pdf(left, mp.exp(v)) * chi_square_pdf(right, t * mp.exp(-v)), nodes)
        p += chi_square_cdf(left, mp.exp(nodes[0]))  # below the first node the second factor is one to 1e-20
        return Exact.from_cdf(p, f, t)
