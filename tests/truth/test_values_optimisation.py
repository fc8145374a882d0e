"""Known answers about optimisation bits, over-optimisation, tails and fits."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import pindown
from pindown import Overoptimisation
from pindown.estimate import Estimate, Status
from pindown.values import best_of_n_bits, best_of_n_value, quantiliser_bits, quantiliser_cost
from pindown.values.overoptimisation_forms import fit_curve, fit_overoptimisation
from pindown.values.overoptimisation_result import Curve, OptimisedPoint
from pindown.values.tails import tail_of


def test_best_of_1024_is_8_559_bits_without_ties_and_6_643_over_100_outcomes() -> None:
    free, tied = best_of_n_bits(1024), best_of_n_bits(1024, outcomes=100)
    assert free.value == pytest.approx((math.log(1024) - 1023 / 1024) / math.log(2), abs=1e-12)
    assert free.value == pytest.approx(8.559, abs=1e-3)
    assert free.kind == "upper_bound"
    # The best of 1024 is the top outcome but for a chance of 0.99^1024 = 3.4e-5: all but log2 100.
    assert tied.value == pytest.approx(6.643, abs=1e-3)
    assert tied.value < math.log2(100)
    assert tied.kind == "exact"


def test_with_ever_more_outcomes_the_bits_come_up_to_the_bound() -> None:
    gaps = [best_of_n_bits(16).value - best_of_n_bits(16, outcomes=k).value for k in (10, 100, 1000, 10_000)]
    assert all(g > 0 for g in gaps)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.01


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=12), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_ties_never_give_more_bits(weights: list[float], n: int) -> None:
    tied = best_of_n_bits(n, weights).value
    assert -1e-12 <= tied <= best_of_n_bits(n).value + 1e-9
    q = np.array(weights) / np.sum(weights)
    assert tied <= -math.log2(q[-1]) + 1e-9  # no more than the certain best


@pytest.mark.parametrize("q", [1.0, 0.5, 0.1, 2.0**-20])
def test_a_quantiliser_takes_log2_of_its_inverse(q: float) -> None:
    assert quantiliser_bits(q).value == pytest.approx(math.log2(1 / q), abs=1e-12)
    assert quantiliser_bits(q).kind == "exact"


def test_a_quantilisers_cost_stays_below_its_bound_and_best_of_n_has_none() -> None:
    """A cost that sits on the best thousandth: the quantiliser pays at most base/q, the hard maximum pays it all."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=50_000)
    cost = (score > np.quantile(score, 0.999)).astype(float)
    found = pindown.overoptimisation(cost, score, n=[1, 8, 64, 1000])
    curves = {c.method: c for c in found.curves}
    for point in curves["quantiliser"].points:
        bound = quantiliser_cost(float(cost.mean()), point.parameter)
        assert point.true.value <= bound.value + 1e-9
    assert curves["hard maximum"].points[0].true.value == 1.0
    tight = curves["quantiliser"].points[2]  # the costly ones are among the best 64th: the bound is reached
    assert tight.true.value == pytest.approx(quantiliser_cost(float(cost.mean()), tight.parameter).value, rel=1e-9)


def test_normal_value_and_error_give_the_expected_maximum_over_root_two() -> None:
    """E[max of 256] by its integral ∫ x n φ Φ^(n−1) dx = 2.827; over √2: 1.999."""
    x = np.linspace(-8, 8, 20_001)
    density = 256 * stats.norm.pdf(x) * stats.norm.cdf(x) ** 255
    maximum = float(np.sum(x * density) * (x[1] - x[0]))
    assert maximum / math.sqrt(2) == pytest.approx(1.999, abs=1e-3)
    assert best_of_n_value(256).value == pytest.approx(maximum / math.sqrt(2), abs=2e-3)
    assert best_of_n_value(1).value == pytest.approx(0.0, abs=1e-9)
    rng = np.random.default_rng(1)
    value = rng.normal(size=60_000)
    found = pindown.overoptimisation(value, value + rng.normal(size=60_000), n=[1, 16, 256])
    last = found.curves[0].points[-1]
    assert last.true.stderr < 0.07
    assert last.true.value == pytest.approx(1.999, abs=4 * last.true.stderr)
    assert last.bits.value == pytest.approx(best_of_n_bits(256).value, abs=1e-12)
    assert found.tail.heavy is False
    assert "No over-optimisation" in found.verdict


def test_an_error_of_heavy_tail_brings_the_value_back_to_nothing() -> None:
    """t with 3 degrees of freedom: a tenth at n = 65,536, from a peak that is far above.

    In the far tail E[V | s] = −d ln f_E/ds = 4/s, with P(E > s) = (2√3/π) s⁻³; the largest of n is Fréchet of scale
    s_n = (2√3 n/π)^(1/3), so that E[V] tends to 4 E[1/s] = 4 Γ(4/3)/s_n.
    """
    law = stats.t(3)
    limit = 4 * math.gamma(4 / 3) / (2 * math.sqrt(3) * 65_536 / math.pi) ** (1 / 3)
    curve = [best_of_n_value(n, error=law).value for n in (4, 16, 64, 1024, 65_536)]
    assert curve[-1] == pytest.approx(limit, rel=0.01)
    assert limit == pytest.approx(0.086, abs=1e-3)
    assert max(curve) > 4 * curve[-1]
    rng = np.random.default_rng(2)
    value = rng.normal(size=60_000)
    found = pindown.overoptimisation(value, value + rng.standard_t(3, size=60_000), n=[1, 4, 16, 64, 1024])
    for point in found.curves[0].points:
        truth = best_of_n_value(int(point.parameter), error=law).value
        assert point.true.value == pytest.approx(truth, abs=4 * point.true.stderr + 2e-3)
    assert found.tail.heavy is True
    assert found.tail.gamma.value == pytest.approx(1 / 3, abs=4 * found.tail.gamma.stderr)
    assert found.tail.gamma.stderr < 0.06
    assert found.verdict.startswith("Over-optimised")
    assert "heavy tail" in found.verdict


def test_light_tails_are_not_called_heavy() -> None:
    rng = np.random.default_rng(3)
    for errors in (rng.normal(size=20_000), rng.uniform(size=20_000)):
        assert tail_of(errors, "").heavy is False
    assert tail_of(rng.pareto(2.0, size=20_000), "").heavy is True
    assert tail_of(rng.normal(size=50), "").heavy is None


def curve(method: str, gains: np.ndarray, d: np.ndarray) -> Curve:
    def figure(x: float, unit: str = "1") -> Estimate:
        return Estimate(float(x), 0.0, unit, "exact", Status.REACHED)

    points = [
        OptimisedPoint(0.0, figure(x**2 / math.log(2), "bits"), figure(3.0 + g), figure(0.0))
        for x, g in zip(d, gains, strict=True)
    ]
    return Curve(method, tuple(points))


def test_the_two_forms_are_found_again() -> None:
    d = np.linspace(0.3, 3.0, 9)
    square = fit_curve(curve("best of n", d * (1.2 - 0.3 * d), d), 3.0, "d(α − βd)")
    assert square is not None
    assert (square.alpha.value, square.beta.value) == pytest.approx((1.2, 0.3), abs=1e-9)
    assert square.peak == pytest.approx(4.0 / math.log(2), rel=1e-9)  # d = α/2β = 2, KL = 4 nats
    log = fit_curve(curve("KL-regularised", d * (1.2 - 0.9 * np.log(d)), d), 3.0, "d(α − β ln d)")
    assert log is not None
    assert (log.alpha.value, log.beta.value) == pytest.approx((1.2, 0.9), abs=1e-9)
    assert log.peak == pytest.approx(math.exp(2 * (1.2 / 0.9 - 1)) / math.log(2), rel=1e-9)
    wrong = fit_curve(curve("best of n", d * (1.2 - 0.9 * np.log(d)), d), 3.0, "d(α − βd)")
    assert wrong is not None
    assert wrong.unexplained > 1e-4  # the control: the other form leaves something over


def test_a_curve_of_ones_own_is_fitted_and_its_form_told() -> None:
    """Points with noise, KL in nats as runs of reinforcement learning report it."""
    kl = np.linspace(0.2, 30.0, 40)
    d, noise = np.sqrt(kl), 0.02 * np.random.default_rng(0).normal(size=40)
    truth = {"d(α − βd)": d * (1.1 - 0.12 * d), "d(α − β ln d)": d * (0.9 - 0.4 * np.log(d))}
    for form, gain in truth.items():
        fits = {f.form: f for f in fit_overoptimisation(kl / math.log(2), 5.0 + gain + noise, base=5.0)}
        right, wrong = fits[form], next(f for f in fits.values() if f.form != form)
        alpha, beta = (1.1, 0.12) if form == "d(α − βd)" else (0.9, 0.4)
        for found, exact in ((right.alpha, alpha), (right.beta, beta)):
            assert found.stderr < 0.02
            assert found.value == pytest.approx(exact, abs=4 * found.stderr)
        assert wrong.unexplained > 4 * right.unexplained
    at_zero = fit_overoptimisation([0.0, *kl / math.log(2)], [5.0, *(5.0 + truth["d(α − βd)"])])[0]
    assert at_zero.alpha.value == pytest.approx(1.1, abs=1e-9)


@pytest.mark.parametrize(
    ("amount", "value", "base", "words"),
    [
        ([1, 2, 3], [1, 2], 0.0, "3 amounts and 2 values"),
        ([1, 2, 3, 4], [1, 2, 3, 4], None, "no point at 0 bits"),
        ([0, 1, 2, 3], [1, 2, 3, 4], None, "3 points above 0 bits"),
        ([-1, 1, 2, 3, 4], [1, 2, 3, 4, 5], 0.0, "point 1 has -1 bits"),
        ([1, 2, 3, math.nan], [1, 2, 3, 4], 0.0, "amount: point 4 is nan"),
        ([2, 2, 2, 2], [1, 2, 3, 4], 0.0, "all at one number of bits"),
        ([1, 2, 3, 4], [1, 2, 3, 4], math.inf, "base=inf"),
        ("abcd", [1, 2, 3, 4], 0.0, "no list of numbers"),
    ],
)
def test_a_curve_that_cannot_be_fitted_is_refused(amount: Any, value: Any, base: Any, words: str) -> None:
    with pytest.raises(pindown.InputError, match=words):
        fit_overoptimisation(amount, value, base)


def test_tied_scores_share_their_value_whatever_their_order() -> None:
    rng = np.random.default_rng(4)
    score = rng.integers(0, 5, size=400).astype(float)
    value = rng.normal(size=400)
    one = pindown.overoptimisation(value, score, n=[1, 4, 16])
    shuffle = rng.permutation(400)
    two = pindown.overoptimisation(value[shuffle], score[shuffle], n=[1, 4, 16])
    for a, b in zip(one.curves, two.curves, strict=True):
        assert [p.true.value for p in a.points] == pytest.approx([p.true.value for p in b.points], abs=1e-9)
    assert one.curves[0].points[2].bits.value < best_of_n_bits(16).value


def test_the_record_is_plain_and_comes_back() -> None:
    rng = np.random.default_rng(5)
    value = rng.normal(size=300)
    found = pindown.overoptimisation(value, value + rng.normal(size=300))
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Overoptimisation.from_dict(record).to_dict() == found.to_dict()
    assert len(found.to_dataframe()) == sum(len(c.points) for c in found.curves)
    assert "<table" in found._repr_html_()
    assert "best of n" in found.summary()
    with pytest.raises(pindown.CheckpointError, match="schema"):
        Overoptimisation.from_dict({**record, "schema": "pindown/other/1"})
    with pytest.raises(pindown.CheckpointError, match="cannot be read"):
        Overoptimisation.from_dict({**record, "curves": 3})
