"""No number for an event that was not reached; and the limit that no sampler from the prior can see past."""

from __future__ import annotations

import math
from dataclasses import replace

import cases
import losses
import pytest
import references
import torch
from checks import measured

import pindown
from pindown import BitString, EstimationError, Gaussian, Status

SEED = 3


class Floored:
    """1 + ‖x‖²: nothing lies below 1."""

    def __call__(self, x):
        return 1.0 + x.square().sum(-1)


def test_unreachable_tolerance_gives_a_lower_bound():
    profile = pindown.measure(Gaussian(6), Floored(), tolerance=0.5, seed=SEED)
    e = profile.bits()
    assert e.kind == "lower_bound"
    assert not e.status.ok
    assert profile.status in (Status.EXTINCT, Status.BUDGET_SPENT, Status.PLATEAU, Status.NOT_CONVERGED)
    assert e.value > 10.0
    assert profile.loss_floor.value == pytest.approx(1.0, abs=0.05)
    assert profile.loss_floor.value >= 1.0


def test_strict_raises_with_the_partial_result():
    with pytest.raises(EstimationError) as caught:
        pindown.measure(Gaussian(4), Floored(), tolerance=0.5, seed=SEED, strict=True)
    assert caught.value.partial.bits().kind == "lower_bound"


def test_spent_budget_gives_a_lower_bound_that_holds():
    t = references.ball_tolerance(100, 300.0)
    profile = pindown.measure(Gaussian(100), losses.SquaredNorm(), tolerance=t, seed=SEED, budget=20_000)
    e = profile.bits()
    assert profile.status is Status.BUDGET_SPENT
    assert e.kind == "lower_bound"
    assert 0.0 < e.value <= 301.0
    assert profile.evaluations <= 40_000


@pytest.mark.parametrize(("budget", "reached"), [(2_000, False), (20_000, False), (200_000, True)])
def test_splitting_takes_no_more_than_its_budget(budget: int, reached: bool) -> None:
    t = references.ball_tolerance(3, 20.0)
    profile = pindown.measure(Gaussian(3), losses.SquaredNorm(), tolerance=t, seed=SEED, budget=budget)
    e = profile.bits()
    assert profile.engine == "splitting"
    assert profile.evaluations <= 1.05 * budget
    if reached:
        low, high = e.interval(0.999)
        assert low < 20.0 < high
        assert e.stderr < 0.5
    else:
        assert profile.status is Status.BUDGET_SPENT
        assert e.kind == "lower_bound"
        assert e.value < 20.0


def test_runs_that_disagree_give_neither_a_bound_nor_a_narrow_interval():
    profile = measured("ball-10-50", 20)
    first, *rest = profile.islands
    apart = replace(profile, islands=(replace(first, log_volume=first.log_volume - 10.0), *rest))
    e = apart.bits()
    assert e.status is Status.NOT_CONVERGED
    assert e.kind == "estimate"
    assert e.stderr >= 10.0 / math.log(2) - 1.0
    assert profile.bits().status.ok


def test_below_the_reach_is_a_lower_bound():
    t = references.ball_tolerance(10, 50.0)
    e = measured("ball-10-50", 20).bits(t * 1e-9)
    assert e.kind == "lower_bound"
    assert 45.0 < e.value < references.ball(10, t * 1e-9).bits


@pytest.mark.parametrize("engine", ["auto", "splitting"])
def test_a_rare_gate_is_called_a_plateau(engine):
    profile = pindown.measure(Gaussian(10), losses.Gate(8.0), tolerance=0.0, seed=SEED, engine=engine)
    e = profile.bits()
    assert profile.status is Status.PLATEAU
    assert e.kind == "lower_bound"
    assert e.value <= references.half_space(8.0).bits


def test_a_frequent_gate_is_measured():
    e = pindown.measure(Gaussian(10), losses.Gate(1.5), tolerance=0.0, seed=SEED).bits()
    assert e.kind == "estimate"
    assert abs(e.value - references.half_space(1.5).bits) < 0.4


def test_a_needle_is_refused_where_it_cannot_be_enumerated_and_exact_where_it_can():
    profile = pindown.measure(BitString(60), losses.Needle(), tolerance=0.0, seed=SEED)
    assert profile.bits().kind == "lower_bound"
    assert not profile.bits().status.ok
    assert profile.bits().value <= 60.0
    assert pindown.measure(BitString(12), losses.Needle(), tolerance=0.0, seed=SEED).bits().value == 12.0


@pytest.fixture(scope="module")
def narrow():
    """The narrow basin with a known point inside, and its exact bits with and without that basin."""
    known = torch.zeros(2, 60, dtype=torch.float64)
    known[:, 0] = 8.0
    known[1, 1] = 1e-3
    exact = references.double_basin(60, cases.NARROW.balls(cases.NARROW_T), 8.0).bits
    profile = pindown.measure(Gaussian(60), cases.NARROW, tolerance=cases.NARROW_T, seed=SEED, known=known)
    return profile, exact


def test_a_narrow_basin_is_missed_from_the_prior():
    """A documented limit: a basin with 10⁻⁴ of the early volume ends up with all of it, and no run sees it."""
    profile = pindown.measure(Gaussian(60), cases.NARROW, tolerance=cases.NARROW_T, seed=SEED)
    wide = references.ball(60, 60.0 * cases.NARROW_T).bits
    e = profile.bits()
    assert abs(e.value - wide) < 3.0
    assert profile.two_sided is None


def test_a_known_point_inside_exposes_the_narrow_basin(narrow):
    profile, exact = narrow
    two = profile.two_sided
    assert two is not None
    assert two.meets is False
    assert two.statement
    assert not profile.bits().status.ok or profile.bits().kind != "estimate"
    low, high = two.bits_from_known, two.bits_from_prior
    assert low.kind == "lower_bound"
    assert high.kind == "upper_bound"
    assert low.value - 1.0 <= exact <= high.value + 1.0


def test_both_sides_meet_where_there_is_one_basin():
    t = references.ball_tolerance(30, 80.0)
    known = 1e-2 * torch.ones(1, 30, dtype=torch.float64)
    profile = pindown.measure(Gaussian(30), losses.SquaredNorm(), tolerance=t, seed=SEED, known=known)
    two = profile.two_sided
    assert two is not None
    assert two.meets is True
    assert abs(two.bits_from_known.value - two.bits_from_prior.value) < 2.0
    assert abs(profile.bits().value - 80.0) < 1.5
