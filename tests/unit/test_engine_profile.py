"""How a profile puts its runs and the two directions of the check together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pindown.engine.profile import Profile
from pindown.engine.record import Island
from pindown.engine.two_sided import compare_sides
from pindown.estimate import Status

TOLERANCE = 0.1
EMPTY = np.empty(0)


def island(index: int, cold: float, warm: float, status: Status = Status.REACHED, reach: float = 0.05) -> Island:
    """A run with a straight curve that has ``cold`` bits at the tolerance and ``warm`` from the known side."""
    loss = np.array([0.05, 0.1, 1.0])
    volume = np.array([-1.1 * cold, -cold, 0.0]) * math.log(2.0)
    return Island(
        index, status, loss, volume, reach, EMPTY, EMPTY, EMPTY, 0.0, 1.0, 0.04, torch.empty(0), EMPTY, EMPTY,
        np.empty(0, np.int64), np.array([0.1]), np.array([0.1]), -warm * math.log(2.0), np.array([2.0]), 10, 10, 0, 1.0,
        smooth=True,
    )  # fmt: skip


def profile(cold: list[float], warm: list[float], status: Status = Status.REACHED, reach: float = 0.05) -> Profile:
    islands = tuple(island(i, c, w, status, reach) for i, (c, w) in enumerate(zip(cold, warm, strict=True)))
    return Profile(
        TOLERANCE, 100, "Gaussian(100)", "ladder", 0, status, islands, 1.0,
        two_sided=compare_sides(islands, TOLERANCE, "Gaussian(100)"),
    )  # fmt: skip


def test_sides_that_agree_leave_what_the_check_could_not_see():
    sure = profile([500.0, 501.0, 499.0, 500.0], [500.2, 500.9, 499.1, 499.8]).bits()
    unsure = profile([500.0, 501.0, 499.0, 500.0], [490.0, 512.0, 488.0, 510.0]).bits()
    assert sure.value == pytest.approx(500.0)
    assert unsure.value == pytest.approx(500.0)
    assert sure.status is unsure.status is Status.REACHED
    assert sure.stderr < 1.0 < unsure.stderr


@pytest.mark.parametrize("apart", [-60.0, -20.0, 20.0, 60.0])
def test_the_middle_lies_between_the_sides_whichever_is_the_higher(apart):
    two = profile([500.0, 501.0, 499.0, 500.0], [500.0 + apart, 501.0 + apart, 499.0 + apart, 500.0 + apart])
    found = two.bits()
    assert found.value == pytest.approx(500.0 + 0.5 * apart)
    assert found.status is Status.WIDENED
    low, high = found.interval()
    assert low < min(500.0, 500.0 + apart)
    assert high > max(500.0, 500.0 + apart)
    assert two.two_sided.meets is False
    crossed = apart > 0
    assert two.two_sided.bits_from_prior.kind == ("estimate" if crossed else "upper_bound")
    assert two.two_sided.bits_from_known.kind == ("estimate" if crossed else "lower_bound")
    assert ("neither bounds" in two.two_sided.statement) is crossed


@pytest.mark.parametrize(("lost", "meets"), [(1, None), (4, False)])
def test_runs_whose_known_chains_ended_above_the_tolerance_are_told(lost, meets):
    warm = [math.inf] * lost + [500.0] * (4 - lost)
    two = profile([500.0, 501.0, 499.0, 500.0], warm)
    check = two.two_sided
    assert check.meets is meets
    assert f"in {lost} of 4 runs" in check.statement
    assert "inf" not in check.statement
    assert "nan" not in check.statement
    assert math.isnan(check.bits_from_known.value)
    assert not check.bits_from_known.status.ok
    assert two.bits().status.ok is (meets is None)


def test_a_wide_bracket_is_an_upper_bound_only_where_the_prior_has_more_bits():
    below = profile([500.0, 501.0, 499.0, 500.0], [300.0, 301.0, 299.0, 300.0]).bits()
    above = profile([500.0, 501.0, 499.0, 500.0], [700.0, 701.0, 699.0, 700.0]).bits()
    assert (below.kind, below.status) == ("upper_bound", Status.NOT_CONVERGED)
    assert (above.kind, above.status) == ("estimate", Status.NOT_CONVERGED)
    assert above.stderr >= 200.0


def test_a_lower_bound_is_not_above_what_the_known_side_found():
    """The prior's chains did not get down, and lag besides: the other side's figure bounds."""
    found = profile([500.0] * 4, [300.0, 303.0, 297.0, 300.0], Status.NOT_CONVERGED, reach=0.2).bits()
    assert found.kind == "lower_bound"
    assert 280.0 < found.value < 300.0
    alone = profile([500.0] * 4, [math.nan] * 4, Status.NOT_CONVERGED, reach=0.2).bits()
    assert alone.kind == "lower_bound"
    assert alone.value > 400.0
