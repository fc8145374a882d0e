"""Events under uniform priors on boxes and on the simplex."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath as mp

from .value import DIGITS, Exact


def corner_max(dim: int, t: float) -> Exact:
    """L = max xᵢ ≤ t on [0, 1]^dim: P = t^dim, λ = dim."""
    with mp.workdps(DIGITS):
        return Exact(float(-dim * mp.log(mp.mpf(t), 2)), float(dim))


def corner_sum(dim: int, t: float) -> Exact:
    """L = Σ xᵢ ≤ t ≤ 1 on [0, 1]^dim: the corner simplex, P = t^dim / dim!, λ = dim."""
    if not 0 < t <= 1:
        raise ValueError("the corner simplex lies inside the box only for t up to 1")
    with mp.workdps(DIGITS):
        return Exact(float(-dim * mp.log(mp.mpf(t), 2) + mp.loggamma(dim + 1) / mp.log(2)), float(dim))


def power_sum(count: int, power: float, t: float) -> Exact:
    """L = Σ_{i ≤ count} |wᵢ|^power ≤ t ≤ 1 on [−1, 1]^D, any D ≥ count.

    Dirichlet's integral: P = Γ(1 + 1/p)^count t^{count/p} / Γ(1 + count/p); λ = count/power, so that
    w^{2k} alone has λ = 1/2k and count squares have λ = count/2 (Whittaker & Watson 1927, 12.5).
    """
    if not 0 < t <= 1:
        raise ValueError("the power ball lies inside the box only for t up to 1")
    with mp.workdps(DIGITS):
        p = mp.mpf(power)
        log_p = count * mp.loggamma(1 + 1 / p) + count / p * mp.log(mp.mpf(t)) - mp.loggamma(1 + count / p)
        return Exact(float(-log_p / mp.log(2)), float(count / p))


def crossings(powers: Sequence[float], t: float) -> Exact:
    """L = Π |wᵢ|^{kᵢ} ≤ t on [−1, 1]^n, all kᵢ equal or all different.

    −ln|wᵢ| is a standard exponential Eᵢ, so V(t) = P(Σ kᵢEᵢ ≥ T), T = ln 1/t. Equal powers k give Erlang's tail
    e^{−T/k} Σ_{j<n} (T/k)^j / j!: λ = 1/k with multiplicity n. Different powers give the hypoexponential tail
    Σᵢ e^{−rᵢT} Π_{j≠i} rⱼ/(rⱼ − rᵢ), rᵢ = 1/kᵢ: λ = min rᵢ with multiplicity 1 (Watanabe 2009, Algebraic
    Geometry and Statistical Learning Theory, 4.3, for the poles of the zeta function).
    """
    with mp.workdps(DIGITS):
        rates = [1 / mp.mpf(k) for k in powers]
        big_t, n = -mp.log(mp.mpf(t)), len(rates)
        if all(r == rates[0] for r in rates):
            y = rates[0] * big_t
            v = mp.exp(-y) * mp.fsum(y**j / mp.factorial(j) for j in range(n))
            density = rates[0] * mp.exp(-y) * y ** (n - 1) / mp.factorial(n - 1)
        else:
            if len(set(rates)) != n:
                raise ValueError("powers must be all equal or all different; use crossings_phase_type")
            weights = [mp.fprod(s / (s - r) for j, s in enumerate(rates) if j != i) for i, r in enumerate(rates)]
            v = mp.fsum(w * mp.exp(-r * big_t) for w, r in zip(weights, rates, strict=True))
            density = mp.fsum(r * w * mp.exp(-r * big_t) for w, r in zip(weights, rates, strict=True))
        # dV/d ln t = −dV/dT = density, so λ(t) = density / V.
        return Exact(float(-mp.log(v, 2)), float(density / v))


def crossings_phase_type(powers: Sequence[float], t: float) -> float:
    """The bits of :func:`crossings` for any powers, as a phase-type tail e₁ᵀ exp(QT) 1 with Q bidiagonal."""
    with mp.workdps(DIGITS):
        n = len(powers)
        q = mp.matrix(n, n)
        for i, k in enumerate(powers):
            q[i, i] = -1 / mp.mpf(k)
            if i + 1 < n:
                q[i, i + 1] = 1 / mp.mpf(k)
        e = mp.expm(q * -mp.log(mp.mpf(t)))
        return float(-mp.log(mp.fsum(e[0, j] for j in range(n)), 2))


def simplex_vertex(dim: int, t: float) -> Exact:
    """L = 1 − x₀ ≤ t on the uniform simplex of ``dim`` entries: x₀ ~ Beta(1, dim − 1), P = t^{dim−1}."""
    with mp.workdps(DIGITS):
        return Exact(float(-(dim - 1) * mp.log(mp.mpf(t), 2)), float(dim - 1))


def simplex_centre(dim: int, t: float) -> Exact:
    """L = Σ (xᵢ − 1/dim)² ≤ t on the uniform simplex: a ball of m = dim − 1 dimensions over the simplex's volume.

    P = π^{m/2} t^{m/2} / Γ(1 + m/2) · m! / √dim, as long as √t is at most the inradius 1/√(dim(dim − 1)).
    """
    if t > 1 / (dim * (dim - 1)):
        raise ValueError("the ball reaches beyond the simplex")
    with mp.workdps(DIGITS):
        m = dim - 1
        log_p = mp.mpf(m) / 2 * (mp.log(mp.pi) + mp.log(mp.mpf(t))) - mp.loggamma(1 + mp.mpf(m) / 2)
        log_p += mp.loggamma(m + 1) - mp.log(dim) / 2
        return Exact(float(-log_p / mp.log(2)), m / 2)
