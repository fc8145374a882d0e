"""The sentences follow from intervals, and each judgement can come out either way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pindown.estimate import Estimate, Status
from pindown.network.comparison import difference
from pindown.network.results import Comparison, Measurement, SolutionAudit, SubjectAudit, SweepPoint
from pindown.network.verdict import judge, notes, verdict


def est(value: float, stderr: float = 1.0, unit: str = "bits", **more: Any) -> Estimate:
    return Estimate(value, stderr, unit, reference="prior", dof=30, **more)


def subject(name: str = "A", bits: Estimate | None = None, gap: float = 0.02, meets: Any = True) -> SubjectAudit:
    bits = bits or est(900)
    check = None if meets == "none" else SimpleNamespace(statement=f"meets: {meets}")
    profile: Any = SimpleNamespace(bits=lambda t: bits, two_sided=check)
    pinned = est(400, 5, "dimensions")
    point = SweepPoint(
        0.05, bits, est(200, 2, "1"), pinned, est(1600, 5, "dimensions"), est(bits.value / 500, bits.stderr / 500)
    )
    solutions = tuple(
        SolutionAudit(f"run {i}", i, "SGD", 10, 0.05 + 0.01 * i, 0.0, 0.2, 0.05, est(900 - 10 * i)) for i in range(3)
    )
    random, sgd = est(0.05 + gap, 0.004, "1"), est(0.05, 0.003, "1")
    return SubjectAudit(
        name, "64-30-10", 2000, 0, "prior", "classification", 500, 100, Estimate(1661.0, 0.0, "bits", "exact"),
        solutions, (Measurement("cross-entropy", "event", True, 0.05, (point,), profile),),
        Comparison("held_out_error", 0.05, sgd, 3, random, 200, 60, difference(random, sgd)),
    )  # fmt: skip


@given(value=st.floats(-10, 10), stderr=st.floats(0.01, 5), at=st.floats(-10, 10))
def test_a_judgement_is_where_the_interval_lies(value: float, stderr: float, at: float) -> None:
    low, high = est(value, stderr).interval(0.95)
    assert judge(est(value, stderr), at) == ("above" if low > at else "below" if high < at else "not resolved")


def test_bounds_are_judged_only_where_they_decide() -> None:
    low = Estimate(5.0, 0.0, "bits", "lower_bound")
    assert judge(low, 4.0) == "above"
    assert judge(low, 6.0) == "not resolved"


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (est(900, 3), "fewer bits than|fewer than the 1661 bits"),
        (est(1900, 3), "more than the 1661 bits"),
        (est(1660, 3), "not told apart from the 1661 bits"),
        (est(1500, 0, kind="lower_bound", status=Status.BUDGET_SPENT), r"at least 1,500 bits \(budget spent\)"),
    ],
)
def test_bits_against_the_labels(bits: Estimate, words: str) -> None:
    import re

    assert re.search(words, verdict([subject(bits=bits)])[0])


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (0.03, "worse than the optimiser's: their held-out error is higher by 3.0 points (95%: 2.0 to 4.0)"),
        (-0.03, "better than the optimiser's: their held-out error is lower by 3.0 points (95%: 2.0 to 4.0)"),
        (0.002, "not told apart from the optimiser's by their held-out error: the difference is 0.2 points"),
    ],
)
def test_random_against_trained_has_three_outcomes(gap: float, words: str) -> None:
    (sentence,) = [s for s in verdict([subject(gap=gap)]) if "random solutions" in s]
    assert words in sentence


@pytest.mark.parametrize(
    ("other", "words"),
    [(est(950), "pins more bits than A"), (est(850), "fewer bits than A"), (est(901), "as many bits as A within")],
)
def test_neighbours_are_compared_at_one_tolerance(other: Estimate, words: str) -> None:
    assert words in verdict([subject("A"), subject("B", other)])[-1]


def test_neighbours_are_not_compared_by_bounds() -> None:
    bound = est(950, 0, kind="lower_bound", status=Status.BUDGET_SPENT)
    assert not [s for s in verdict([subject("A"), subject("B", bound)]) if "pins" in s and "than A" in s]


def test_the_rest_is_told() -> None:
    sentences = " ".join(verdict([subject(meets=False)]))
    assert "A, cross-entropy: meets: False" in sentences
    assert "pins 400 dimensions (95%: 390 to 410) (2λ) and leaves 1,600 of 2,000 dimensions free (80%)" in sentences
    assert "from 0.05 to 0.07; they lie 880.0 bits" in sentences
    assert "no two-sided check" in " ".join(verdict([subject(meets="none")]))
    assert any("held-out examples" in n for n in notes([subject()]))
