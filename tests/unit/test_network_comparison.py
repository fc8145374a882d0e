"""Group means and differences: coverage against simulated truth, and the identities they reduce to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.comparison import clustered_mean, difference


def test_without_clusters_it_is_the_usual_standard_error(rng: np.random.Generator) -> None:
    x = rng.normal(size=17)
    e = clustered_mean(x, None, "draws")
    assert e.value == pytest.approx(x.mean())
    assert e.stderr == pytest.approx(x.std(ddof=1) / math.sqrt(17))
    assert e.dof == 16
    assert e.interval(0.95) == pytest.approx(stats.t.interval(0.95, 16, x.mean(), stats.sem(x)))


def test_whole_clusters_of_one_value_count_once(rng: np.random.Generator) -> None:
    means = rng.normal(size=6)
    copies = clustered_mean(np.repeat(means, 50), np.repeat(np.arange(6), 50).tolist(), "runs")
    assert copies.stderr == pytest.approx(clustered_mean(means, None, "runs").stderr)
    assert copies.dof == 5


def test_intervals_cover_where_draws_come_in_clusters(rng: np.random.Generator) -> None:
    """Four runs of fifty draws, most of the spread between runs: 95% intervals hold the truth, naive ones do not.

    1000 repeats: the binomial 99.9% band about 950 is 926 to 971.
    """
    hits = naive = 0
    labels = np.repeat(np.arange(4), 50).tolist()
    for _ in range(1000):
        x = np.repeat(rng.normal(0, 1.0, 4), 50) + rng.normal(0, 0.5, 200)
        low, high = clustered_mean(x, labels, "runs").interval(0.95)
        hits += low <= 0 <= high
        low, high = clustered_mean(x, None, "runs").interval(0.95)
        naive += low <= 0 <= high
    assert 926 <= hits <= 971
    assert naive < 400


def test_a_single_cluster_has_no_error() -> None:
    e = clustered_mean([1.0, 2.0], [0, 0], "one run")
    assert math.isnan(e.stderr)
    assert e.interval() == (-math.inf, math.inf)


@pytest.mark.parametrize(("x", "c"), [([], None), ([1.0], [0, 1]), ([[1.0]], None)])
def test_refusals(x, c) -> None:
    with pytest.raises(InputError):
        clustered_mean(x, c, "nothing")


def test_difference_is_welchs(rng: np.random.Generator) -> None:
    a, b = rng.normal(1.0, 1.0, 5), rng.normal(0.0, 3.0, 9)
    d = difference(clustered_mean(a, None, "a"), clustered_mean(b, None, "b"))
    test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert d.interval(0.95) == pytest.approx((low, high))


def test_differences_of_exact_figures_and_bounds() -> None:
    x, exact = Estimate(3.0, 0.5, "bits", dof=3), Estimate(1.0, 0.0, "bits", "exact")
    d = difference(x, exact)
    assert (d.value, d.stderr, d.dof) == (2.0, 0.5, 3.0)
    bound = difference(x, Estimate(1.0, 0.0, "bits", "lower_bound", Status.BUDGET_SPENT))
    assert math.isnan(bound.stderr)
    assert bound.status is Status.BUDGET_SPENT
    with pytest.raises(InputError, match="difference between bits and 1"):
        difference(x, Estimate(1.0, 0.0, "1"))
