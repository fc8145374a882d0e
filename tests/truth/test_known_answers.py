"""The engine against exact answers."""

from __future__ import annotations

import math

import cases
import losses
import pytest
import references
from checks import coefficient_complaints, complaints, covers, measured

import pindown
from pindown import Box, Gaussian, Status
from pindown.engine.settings import Settings

SEED = 20
# Where a second basin or a narrowing neck can split the runs, saying so is right too.
MAY_DISAGREE = {"double-basin", "late-basin", "funnel"}
FAST = [case for case in cases.EVENTS if not case.deep]
# Forty repeats of these take some minutes; of all cases, hours.
ONE_A_KIND = {"ball-10-50", "half-space-8-sigma", "power-2", "crossing-equal", "all-ones"}
# A third of the usual size: intervals have to hold there too, and chains are further from settled.
SMALL_RUNS = Settings(particles=32, chains=8, burn_in=12, sweeps=16, doublings=1, splitting_particles=400)
# So few particles lose a shell a thousandth wide in fifty dimensions: most runs are extinct, with a bound that holds.
USUAL_RUNS = {"shell"}
COVERED = [
    pytest.param(case, marks=pytest.mark.slow if case.name in ONE_A_KIND else pytest.mark.long, id=case.name)
    for case in cases.EVENTS
]


def check(case: cases.Case) -> None:
    profile = measured(case.name, SEED)
    if case.name in MAY_DISAGREE and profile.status is Status.NOT_CONVERGED:
        assert not profile.bits().status.ok
        return
    assert complaints(case, profile) == []
    if math.isfinite(case.exact.learning_coefficient):
        assert coefficient_complaints(case, profile) == []


@pytest.mark.parametrize("case", FAST, ids=str)
def test_bits_and_learning_coefficient(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in cases.EVENTS if c.deep], ids=str)
def test_deep(case):
    check(case)


@pytest.mark.parametrize("case", COVERED)
def test_intervals_cover(case):
    repeats = 40
    settings = None if case.name in USUAL_RUNS else SMALL_RUNS
    found = [measured(case.name, seed, settings=settings).bits() for seed in range(1000, 1000 + repeats)]
    usable = [e for e in found if e.kind == "estimate" and e.status.ok]
    refused = repeats - len(usable)
    assert refused <= (repeats // 2 if case.name in MAY_DISAGREE else repeats // 10), f"{refused} of {repeats} refused"
    missed = [str(e) for e in usable if not covers(case, e)]
    assert len(missed) <= 0.1 * len(usable), f"{len(missed)} of {len(usable)} miss {case.exact.bits:.3f}: {missed}"
    mean = sum(e.value for e in usable) / len(usable)
    assert abs(mean - case.exact.bits) < case.most_stderr + 2 * case.exact_stderr


@pytest.mark.parametrize("case", cases.SMALL, ids=str)
def test_small_discrete_spaces_are_enumerated(case):
    profile = measured(case.name, SEED)
    e = profile.bits()
    assert profile.engine == "enumeration"
    assert e.kind == "exact"
    assert e.value == pytest.approx(case.exact.bits, abs=1e-12)
    assert profile.evaluations == case.space().size


@pytest.mark.parametrize("case", cases.SMALL, ids=str)
def test_splitting_agrees_with_enumeration(case):
    profile = measured(case.name, SEED, "splitting")
    assert profile.engine == "splitting"
    assert complaints(case, profile) == []


def test_splitting_on_a_smooth_space_agrees_with_the_ladder():
    case = cases.BY_NAME["ball-10-50"]
    assert complaints(case, measured(case.name, SEED, "splitting")) == []


@pytest.mark.parametrize("name", ["crossing-equal", "power-2"])
def test_few_dimensions_are_split(name):
    assert measured(name, SEED).engine == "splitting"


def test_where_the_runs_of_the_ladder_disagree_splitting_is_tried():
    case = cases.BY_NAME["late-basin"]
    profile = measured(case.name, SEED)
    if not profile.status.ok:
        pytest.fail(f"no engine converged: {profile.diagnostics['engine_reason']}")
    assert profile.engine == "splitting"
    assert "disagree" in profile.diagnostics["engine_reason"]
    assert profile.evaluations > sum(i.evaluations for i in profile.islands)
    assert complaints(case, profile) == []


def test_whole_curve_of_a_ball():
    case = cases.BY_NAME["ball-100-300"]
    profile = measured(case.name, SEED)
    for bits in (2.0, 20.0, 80.0, 150.0, 250.0):
        t = references.ball_tolerance(100, bits)
        e = profile.bits(t)
        assert e.kind == "estimate"
        assert abs(e.value - bits) < 2.0
        if bits >= 20.0:  # above, fewer than two stages bracket the loss
            exact = references.ball(100, t).learning_coefficient
            assert profile.learning_coefficient(t).value == pytest.approx(exact, rel=0.1)
    curve = profile.curve()
    assert all(a <= b for a, b in zip(curve["loss"], curve["loss"][1:], strict=False)) or all(
        a >= b for a, b in zip(curve["loss"], curve["loss"][1:], strict=False)
    )
    for t, low, high in zip(curve["loss"], curve["low"], curve["high"], strict=True):
        assert low - 1.5 <= references.ball(100, t).bits <= high + 1.5


def test_solutions_follow_the_prior_within_the_event():
    case = cases.BY_NAME["squares-30-of-100"]
    profile = measured(case.name, SEED)
    x = profile.solutions(n=2000)
    assert x.shape == (2000, 100)
    value = case.loss(x)
    assert (value <= case.tolerance).all()
    # Uniform in a 30-ball: (L/t)^15 is uniform, so its mean is 1/2, here to four standard errors of 60 independent
    # points; the 70 free coordinates are uniform on [−1, 1].
    assert float(((value / case.tolerance) ** 15).mean()) == pytest.approx(0.5, abs=4 * (12 * 60) ** -0.5)
    assert float(x[:, 30:].square().mean()) == pytest.approx(1 / 3, abs=0.02)
    assert float(x[:, 30:].mean()) == pytest.approx(0.0, abs=0.03)
    directions = x[:, :30].double() / value.double().sqrt().unsqueeze(1)
    # A coordinate of a direction in 30 dimensions has variance 1/30; four standard errors of 100 independent points.
    assert directions.mean(0).abs().max() < 4 * (30 * 100) ** -0.5


def test_reduced_rank_regression_has_the_learning_coefficient_of_the_theorem():
    loss = losses.ReducedRank(4, 2, 2, rank=1)
    coefficient, multiplicity = references.reduced_rank_coefficient(4, 2, 2, 1)
    assert (float(coefficient), multiplicity) == (3.0, 1)
    profile = pindown.measure(Gaussian(loss.dim), loss, tolerance=1e-7, seed=SEED)
    e = profile.learning_coefficient()
    assert e.status.ok
    # The next pole lies half a unit higher, so at this tolerance λ(t) is within 1e-3 of its limit.
    assert abs(e.value - 3.0) < 0.25
    assert 2 * e.value < loss.dim


def test_reduced_rank_regression_with_multiplicity_two():
    loss, t = losses.ReducedRank(2, 1, 2), 1e-9
    exact = references.product_of_norms(2, 2, t)
    profile = pindown.measure(Gaussian(4), loss, tolerance=t, seed=SEED)
    assert abs(profile.bits().value - exact.bits) < 1.0
    e = profile.learning_coefficient()
    assert abs(e.value - exact.learning_coefficient) < 0.1
    # λ(t) comes up to its limit of 1 only like 1/ln(1/t): the multiplicity shows at every finite tolerance.
    assert exact.learning_coefficient < 0.96


def test_shallow_event_is_measured_too():
    case_bits = references.half_space(0.5).bits
    e = pindown.measure(Gaussian(5), losses.Along(), tolerance=-0.5, seed=SEED).bits()
    assert abs(e.value - case_bits) < 0.3
    e = pindown.measure(Box(-1, 1, dim=3), losses.SquaredNorm(), tolerance=5.0, seed=SEED).bits()
    assert e.value == pytest.approx(0.0, abs=0.05)
