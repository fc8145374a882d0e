"""The learning coefficient of reduced-rank regression."""

from __future__ import annotations

from fractions import Fraction


def reduced_rank_coefficient(inputs: int, hidden: int, outputs: int, rank: int) -> tuple[Fraction, int]:
    """λ and its multiplicity m for L = ‖BA − B₀A₀‖², A hidden × inputs, B outputs × hidden, rank(B₀A₀) = rank.

    Main theorem of Aoyagi & Watanabe (2005), Stochastic complexities of reduced rank regression in Bayesian
    estimation, Neural Networks 18, 924–933, in its four cases; M inputs, H hidden, N outputs, r the rank.
    """
    m, h, n, r = inputs, hidden, outputs, rank
    if not 0 <= r <= min(m, h, n):
        raise ValueError("the rank lies between 0 and the smallest width")
    if m + h < n + r:
        return Fraction(h * m - h * r + n * r, 2), 1
    if n + h < m + r:
        return Fraction(h * n - h * r + m * r, 2), 1
    if m + n < h + r:
        return Fraction(m * n, 2), 1
    numerator = -((h + r) ** 2) - m**2 - n**2 + 2 * (h + r) * (m + n) + 2 * m * n
    if (m + h + n + r) % 2 == 0:
        return Fraction(numerator, 8), 1
    return Fraction(numerator + 1, 8), 2


def reduced_rank_by_scaling(inputs: int, hidden: int, outputs: int, rank: int) -> tuple[Fraction, int]:
    """The same by an independent route: split off the regular part, then balance singular values.

    Near a rank-r truth the model is a regular one of r(M + N − r) parameters, whose coefficient is half of that,
    times a rank-0 problem with widths M − r, H − r, N − r. For rank 0 let A have the singular values ε^{aᵢ}, aᵢ in
    [0, 1], p = min(H, M) of them and q the larger width. Their joint density (of a Gaussian matrix, or of any
    smooth positive prior near 0) costs ε to the power Σ (q − p + 1) aᵢ + 2 Σ_{i<j} min(aᵢ, aⱼ); given A, the event
    ‖BA‖ ≤ ε costs N Σ (1 − aᵢ). The sum is linear on each ordering of the aᵢ, so its minimum is at j ones and
    p − j zeros:

        2λ = min_j N(p − j) + j(q − p) + j².

    The minimised function is convex in j, so at most two neighbours tie; a tie makes a minimal edge and m = 2.
    """
    r = rank
    m, h, n = inputs - r, hidden - r, outputs - r
    p, q = min(h, m), max(h, m)
    costs = [n * (p - j) + j * (q - p) + j * j for j in range(p + 1)]
    least = min(costs)
    return Fraction(r * (inputs + outputs - r), 2) + Fraction(least, 2), costs.count(least)
