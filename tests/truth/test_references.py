"""Each exact answer against a second method: another formula, another quadrature, enumeration, or plain Monte Carlo."""

from __future__ import annotations

import itertools
import math

import cases
import losses
import mpmath as mp
import numpy as np
import pytest
import references
import torch
from references.discrete import BOOLEAN_FILE
from references.gaussians import chi_square_cdf
from scipy import stats


def share_below(space, loss, t: float, n: int, seed: int = 0) -> tuple[float, float]:
    """Plain Monte Carlo: bits of the share of prior draws at or below ``t``, and their standard error."""
    x = space.sample(n, rng=torch.Generator().manual_seed(seed))
    hits = int((loss(x) <= t).sum())
    p = hits / n
    return -math.log2(p), math.sqrt((1 - p) / hits) / math.log(2)


def agrees(space, loss, t: float, exact: references.Exact, n: int = 400_000) -> None:
    bits, stderr = share_below(space, loss, t, n)
    assert stderr < 0.05
    assert abs(bits - exact.bits) < 4 * stderr


@pytest.mark.parametrize("dim", [10, 100, 500, 1000])
def test_chi_square_against_scipy_where_it_does_not_underflow(dim):
    for quantile in (1e-200, 1e-30, 0.1, 0.9):
        t = float(stats.chi2.ppf(quantile, dim))
        assert references.ball(dim, t).bits == pytest.approx(-stats.chi2.logcdf(t, dim) / math.log(2), rel=1e-9)


@pytest.mark.parametrize(("dim", "bits"), [(10, 50), (100, 300), (1000, 2000), (500, 1000)])
def test_chi_square_far_in_the_tail_against_the_continued_product(dim, bits):
    # For even d, P(χ²_d ≤ x) = P(Poisson(x/2) ≥ d/2): a sum of positive terms with no gamma function in it.
    t = references.ball_tolerance(dim, bits)
    with mp.workdps(60):
        y = mp.mpf(t) / 2
        term = mp.exp(-y)
        for k in range(1, dim // 2 + 1):
            term *= y / k
        total, k = mp.mpf(0), dim // 2
        while term > mp.mpf(10) ** -55 * (total + term):
            total += term
            k += 1
            term *= y / k
        other = float(-mp.log(total, 2))
    assert other == pytest.approx(bits, abs=1e-9)
    step = 1e-5
    above, below = references.ball(dim, t * math.exp(step)).bits, references.ball(dim, t * math.exp(-step)).bits
    slope = (below - above) / (2 * step)
    assert references.ball(dim, t).learning_coefficient == pytest.approx(slope * math.log(2), rel=1e-5)


def test_half_space_against_the_normal_tail_of_scipy():
    for sigmas in (0.5, 3.0, 8.0, 30.0):
        assert references.half_space(sigmas).bits == pytest.approx(-stats.norm.logsf(sigmas) / math.log(2), rel=1e-12)


def test_shell_against_the_radial_integral():
    dim, radius = 50, 3.0
    norm = (1 - mp.mpf(dim) / 2) * mp.log(2) - mp.loggamma(mp.mpf(dim) / 2)
    for width in (1e-3, 0.5, 3.0):
        with mp.workdps(30):
            nodes = mp.linspace(radius - width, radius + width, 9)
            p = mp.quad(lambda r: mp.exp(norm + (dim - 1) * mp.log(r) - r**2 / 2), nodes)
        assert references.shell(dim, radius, width).bits == pytest.approx(float(-mp.log(p, 2)), abs=1e-9)
    assert references.shell(dim, radius, 1e-6).learning_coefficient == pytest.approx(1.0, abs=1e-6)


def test_ellipsoid_contour_against_the_chi_square_mixture_and_the_ball():
    case = cases.BY_NAME["ellipsoid"]
    mixture = references.ellipsoid_by_mixture(case.loss.scales, case.tolerance)
    assert mixture == pytest.approx(case.exact.bits, abs=1e-9)
    ball = references.ball(12, 0.3)
    contour = references.ellipsoid([1.0] * 12, 0.3)
    assert contour.bits == pytest.approx(ball.bits, abs=1e-10)
    assert contour.learning_coefficient == pytest.approx(ball.learning_coefficient, abs=1e-10)


@pytest.mark.parametrize("tolerance", [0.1, 100.0, 1e4])
def test_displaced_ellipsoid_against_the_one_in_the_middle_and_the_displaced_ball(tolerance):
    scales = np.geomspace(1.0, 1e4, 30)
    found = references.displaced_ellipsoid(scales, np.zeros(30), tolerance)
    assert found == pytest.approx(references.ellipsoid(scales.tolist(), tolerance).bits, abs=1e-6)
    aside = np.zeros(20)
    aside[3] = 3.0
    ball = references.displaced_ball(20, 3.0, 0.01 * tolerance)
    found = references.displaced_ellipsoid(np.ones(20), aside, 0.01 * tolerance)
    assert found == pytest.approx(float(-mp.log(ball, 2)), abs=1e-6)


def test_ellipsoid_where_plain_sampling_sees_it():
    scales = (1.0, 30.0, 1e3, 1e4)
    for rotated in (False, True):
        agrees(cases.Gaussian(4), losses.Quadratic(scales, rotated), 400.0, references.ellipsoid(scales, 400.0))


def test_displaced_ball_against_slices_and_scipy():
    for dim, distance, r2 in [(10, 2.5, 0.1), (60, 8.0, 12.0), (10, 2.5, 4.0)]:
        mixture = references.displaced_ball(dim, distance, r2)
        slices = references.displaced_ball_by_slices(dim, distance, r2)
        assert float(mp.log(mixture / slices)) == pytest.approx(0.0, abs=1e-10)
    assert float(references.displaced_ball(10, 2.5, 6.0)) == pytest.approx(stats.ncx2.cdf(6.0, 10, 6.25), rel=1e-9)


@pytest.mark.parametrize("loss", [cases.DOUBLE, cases.LATE], ids=["double", "late"])
def test_basins_where_plain_sampling_sees_them(loss):
    agrees(cases.Gaussian(10), loss, 3.0, references.double_basin(10, loss.balls(3.0), 5.0), n=2_000_000)


def test_overlapping_basins_are_refused():
    with pytest.raises(ValueError, match="overlap"):
        references.double_basin(10, cases.DOUBLE.balls(20.0), 5.0)


def test_narrow_basin_is_what_it_is_said_to_be():
    wide, narrow = cases.NARROW.balls(1.0)
    early = float(references.displaced_ball(60, *narrow) / references.displaced_ball(60, *wide))
    assert 2e-5 < early < 2e-4
    (c0, r0), (c1, r1) = cases.NARROW.balls(cases.NARROW_T)
    alone = float(-mp.log(references.displaced_ball(60, c0, r0), 2))
    both = references.double_basin(60, [(c0, r0), (c1, r1)], 8.0).bits
    assert 38 < alone - both < 45


def test_funnel_where_plain_sampling_sees_it_and_against_scipy():
    agrees(cases.Gaussian(20), losses.Funnel(2.0), 2.0, references.funnel(20, 2.0, 2.0))
    t = 1e-6
    z = np.linspace(-10, 40, 200_001)
    log_f = stats.norm.logpdf(z) + stats.chi2.logcdf(t * np.exp(2 * z), 19)
    bits = -(np.logaddexp.reduce(log_f) + math.log(z[1] - z[0])) / math.log(2)
    assert references.funnel(20, 2.0, t).bits == pytest.approx(bits, abs=1e-7)


def test_product_of_norms_where_plain_sampling_sees_it_and_its_limit():
    loss = losses.ReducedRank(3, 1, 5)
    agrees(cases.Gaussian(8), loss, 0.2, references.product_of_norms(3, 5, 0.2))
    # λ = min(3, 5)/2 with multiplicity 1; equal widths have multiplicity 2, so λ(t) comes down like 1/ln(1/t).
    assert references.product_of_norms(3, 5, 1e-14).learning_coefficient == pytest.approx(1.5, abs=1e-6)
    assert 1.9 < references.product_of_norms(4, 4, 1e-14).learning_coefficient < 2.0


@pytest.mark.parametrize(
    ("widths", "coefficient", "multiplicity"),
    [
        ((1, 1, 1), 0.5, 2),  # (ab)²: the normal crossing
        ((2, 1, 1), 0.5, 1),  # |a|²b²: 1/2 from b alone, 1 from the plane of a
        ((2, 1, 2), 1.0, 2),  # |a|²|b|² with two planes: both give 1
        ((3, 1, 5), 1.5, 1),  # likewise min(3, 5)/2
        ((2, 5, 2), 2.0, 1),  # so many hidden units that BA is a free 2 × 2 matrix: half of four equations
    ],
)
def test_reduced_rank_by_hand(widths, coefficient, multiplicity):
    assert references.reduced_rank_coefficient(*widths, 0) == (coefficient, multiplicity)


@pytest.mark.parametrize("widths", [(2, 1, 2), (3, 2, 2), (4, 3, 4), (5, 2, 3)])
def test_reduced_rank_at_full_rank_counts_equations(widths):
    m, h, n = widths
    # Matrices of rank h form a smooth manifold of dimension h(m + n − h), and such a truth is one of its points.
    assert references.reduced_rank_coefficient(m, h, n, min(widths))[0] * 2 == h * (m + n - h)


def test_reduced_rank_theorem_against_the_scaling_argument_everywhere():
    for m, h, n in itertools.product(range(1, 9), repeat=3):
        for rank in range(min(m, h, n) + 1):
            theorem = references.reduced_rank_coefficient(m, h, n, rank)
            assert theorem == references.reduced_rank_by_scaling(m, h, n, rank), (m, h, n, rank)


def test_reduced_rank_refuses_an_impossible_rank():
    with pytest.raises(ValueError, match="rank"):
        references.reduced_rank_coefficient(2, 2, 2, 3)


def test_box_events_where_plain_sampling_sees_them():
    agrees(cases.Box(0, 1, dim=4), losses.Largest(), 0.4, references.corner_max(4, 0.4))
    agrees(cases.Box(0, 1, dim=3), losses.Total(), 0.9, references.corner_sum(3, 0.9))
    agrees(cases.Box(-1, 1, dim=6), losses.PowerSum(3, 2.0), 0.3, references.power_sum(3, 2, 0.3))
    agrees(cases.Box(-1, 1, dim=3), losses.PowerSum(3, 4.0), 0.1, references.power_sum(3, 4, 0.1))
    for powers in ((2.0, 2.0), (2.0, 4.0), (2.0, 2.0, 2.0)):
        agrees(cases.Box(-1, 1, dim=len(powers)), losses.Monomial(powers), 1e-4, references.crossings(powers, 1e-4))


def test_thirty_squares_of_a_hundred_is_the_volume_of_a_ball():
    exact = references.power_sum(30, 2, 1e-4)
    volume = 15 * math.log(math.pi) - math.lgamma(16) + 30 * math.log(0.01) - 30 * math.log(2)
    assert exact.bits == pytest.approx(-volume / math.log(2), abs=1e-9)
    assert exact.bits == pytest.approx(244.79, abs=0.005)
    assert exact.learning_coefficient == 15.0


def test_crossings_against_the_phase_type_tail():
    for powers in ((2, 2), (2, 4), (2, 2, 2), (1, 2, 3)):
        tail = references.crossings_phase_type(powers, 1e-12)
        assert references.crossings(powers, 1e-12).bits == pytest.approx(tail, abs=1e-9)
    # −ln V = λ ln(1/t) − (m − 1) ln ln(1/t) + O(1): the second difference in ln t shows the multiplicity.
    t1, t2 = mp.mpf(10) ** -2000, mp.mpf(10) ** -4000
    for powers, multiplicity in (((2, 2), 2), ((2, 4), 1), ((2, 2, 2), 3)):
        a, b = (references.crossings(powers, t) for t in (t1, t2))
        rate = 1 / max(powers)
        excess = (b.bits - a.bits) * math.log(2) - rate * 2000 * math.log(10)
        assert -excess / math.log(2) == pytest.approx(multiplicity - 1, abs=0.01)


def test_simplex_events_where_plain_sampling_sees_them():
    agrees(cases.Simplex(4), losses.FromVertex(), 0.6, references.simplex_vertex(4, 0.6))
    agrees(cases.Simplex(4), losses.FromCentre(), 0.06, references.simplex_centre(4, 0.06))


def test_references_refuse_what_their_formula_does_not_cover():
    with pytest.raises(ValueError, match="up to 1"):
        references.corner_sum(3, 1.5)
    with pytest.raises(ValueError, match="up to 1"):
        references.power_sum(3, 2, 1.5)
    with pytest.raises(ValueError, match="beyond the simplex"):
        references.simplex_centre(4, 0.2)
    with pytest.raises(ValueError, match="all equal or all different"):
        references.crossings([1, 1, 2], 0.1)


def test_counts_against_enumeration():
    members = [set(s) for s in itertools.combinations(range(10), 4)]
    hits = sum(len(s & {0, 1, 2, 3}) >= 3 for s in members)
    assert references.overlap_at_least(10, 4, 3).bits == pytest.approx(-math.log2(hits / len(members)), abs=1e-12)
    few = sum(bin(i).count("0") - 1 + (10 - (len(bin(i)) - 2)) <= 2 for i in range(1 << 10))
    assert references.zeros_at_most(10, 2).bits == pytest.approx(-math.log2(few / 1024), abs=1e-12)
    assert references.zeros_at_most(32).bits == 32.0
    tail = -stats.hypergeom.logsf(13, 64, 16, 16) / math.log(2)
    assert references.overlap_at_least(64, 16, 14).bits == pytest.approx(tail, rel=1e-9)


def test_stored_boolean_counts_against_a_fresh_draw_of_the_loss_itself():
    assert BOOLEAN_FILE.exists(), "run benchmarks/boolean_brute_force.py"
    counts, networks = references.boolean_counts("all-standard-normal")
    assert sum(counts) == networks >= 30_000_000
    agrees(cases.Gaussian(31), losses.BooleanNetwork(cases.MAJORITY), 0.0, cases.BY_NAME["boolean-majority"].exact)
    # 2^-15: too rare for 400,000 draws to say much, but a wrong bit order would make it far more frequent or absent.
    x = cases.Gaussian(31).sample(400_000, rng=torch.Generator().manual_seed(3))
    expected = 400_000 * 2.0 ** -cases.BY_NAME["boolean-parity"].exact.bits
    hits = int((losses.BooleanNetwork(cases.PARITY)(x) <= 0).sum())
    assert stats.poisson.sf(hits - 1, expected) > 1e-4
    assert stats.poisson.cdf(hits, expected) > 1e-4


def test_equally_likely_functions_have_equal_counts():
    counts, _ = references.boolean_counts("all-standard-normal")
    for function in (cases.PARITY, cases.MAJORITY):
        members = [counts[f] for f in sorted(cases.orbit(function))]
        assert stats.chisquare(members).pvalue > 1e-4


def test_rotation_is_orthonormal():
    q = losses.rotation(50)
    assert torch.allclose(q.T @ q, torch.eye(50, dtype=torch.float64), atol=1e-12)
    u = losses.rotation(40, 5)
    assert u.shape == (40, 5)
    agrees(cases.Gaussian(40), losses.LowRankQuadratic(40, 5), 1.0, references.ball(5, 1.0))


def test_small_chi_square_values_are_monotone():
    with mp.workdps(30):
        values = [chi_square_cdf(7, mp.mpf(x)) for x in (0, 1e-6, 1e-3, 1, 10)]
    assert values == sorted(values)
    assert values[0] == 0
