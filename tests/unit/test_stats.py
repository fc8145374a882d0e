"""Small statistics against closed forms, each with a control that a wrong version would fail."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter

from pindown.errors import InputError
from pindown.stats import (
    effective_sample_size,
    kish_size,
    logmeanexp,
    mean_and_stderr,
    r_hat,
    wilson_interval,
)

Array = NDArray[np.float64]
log_weights = st.lists(st.floats(-700.0, 700.0), min_size=1, max_size=30)


def autoregression(phi: float, chains: int, draws: int, rng: np.random.Generator) -> Array:
    """x_t = φ x_{t−1} + e_t, started in its stationary law; autocorrelation time (1+φ)/(1−φ)."""
    noise = rng.standard_normal((chains, draws))
    noise[:, 0] /= math.sqrt(1.0 - phi * phi)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1))


# ---------------------------------------------------------------- effective sample size


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_autoregression(phi: float, rng: np.random.Generator) -> None:
    # One run's relative error is about √(2(2M+1)/N) (Madras and Sokal 1988) with the window M near 5τ: 16% for
    # φ = 0.9 and N = 16,000, so 3.5% for the mean of 20 runs. 12% is above three such errors and the window's bias.
    chains, draws, runs = 4, 4000, 20
    truth = chains * draws * (1.0 - phi) / (1.0 + phi)
    measured = [effective_sample_size(autoregression(phi, chains, draws, rng)) for _ in range(runs)]
    assert np.mean(measured) == pytest.approx(truth, rel=0.12)


def test_effective_sample_size_predicts_the_error_of_the_mean(rng: np.random.Generator) -> None:
    # By definition var(mean) = σ²/ESS. 4000 chains give the left side to √(2/4000) = 2.2%.
    draws, phi = 800, 0.8
    chains = autoregression(phi, 4000, draws, rng)
    variance_of_mean = chains.mean(axis=1).var()
    sizes = [effective_sample_size(chains[i : i + 8]) / 8 for i in range(0, 800, 8)]
    assert (chains.var() / variance_of_mean) == pytest.approx(np.mean(sizes), rel=0.12)


def test_shuffled_draws_are_worth_their_number(rng: np.random.Generator) -> None:
    # The control: the same values without their order lose the correlation, so the order was what was measured. They
    # are shuffled over all chains: within each, the chains' means would still stand too far apart.
    chains = autoregression(0.9, 4, 4000, rng)
    shuffled = rng.permutation(chains.ravel()).reshape(chains.shape)
    assert effective_sample_size(chains) < 0.1 * chains.size
    assert effective_sample_size(shuffled) > 0.8 * chains.size


def test_antithetic_draws_are_worth_more_than_their_number(rng: np.random.Generator) -> None:
    chains = autoregression(-0.5, 4, 4000, rng)
    assert effective_sample_size(chains) == pytest.approx(3.0 * chains.size, rel=0.2)


def test_chains_that_stand_apart_are_worth_little(rng: np.random.Generator) -> None:
    chains = rng.standard_normal((4, 1000))
    assert effective_sample_size(chains) > 3000
    assert effective_sample_size(chains + np.array([[0.0], [0.0], [0.0], [10.0]])) < 10


def test_constant_chains_have_no_error() -> None:
    assert effective_sample_size(np.ones((2, 10))) == 20.0


# ---------------------------------------------------------------- R-hat


def test_r_hat_by_hand() -> None:
    # Halves 0,1 | 0,1 | 0,1 | 2,3: W = 1/2, means ½ ½ ½ 2½ so B = 2 · var = 2 · 1; R² = (½ · ½ + ½ · 2) / ½ = 5/2.
    assert r_hat([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]]) == pytest.approx(math.sqrt(2.5), rel=1e-12)


def test_r_hat_is_near_one_only_where_chains_agree(rng: np.random.Generator) -> None:
    chains = rng.standard_normal((4, 2000))
    assert r_hat(chains) == pytest.approx(1.0, abs=0.005)
    assert r_hat(chains + np.array([[0.0], [0.0], [0.0], [1.0]])) > 1.05
    assert r_hat(chains + np.linspace(0.0, 2.0, 2000)) > 1.05, "a common drift shows because each chain is split"


def test_r_hat_of_constant_chains() -> None:
    assert r_hat(np.ones((2, 8))) == 1.0
    assert r_hat(np.array([[1.0] * 8, [2.0] * 8])) == math.inf


@pytest.mark.parametrize("statistic", [effective_sample_size, r_hat])
@pytest.mark.parametrize("shape", [(8,), (2, 3), (2, 4, 1)])
def test_chains_of_the_wrong_shape_are_refused(statistic, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"wanted \(chains, draws\)"):
        statistic(np.zeros(shape))


# ---------------------------------------------------------------- weights


@given(log_weights, st.floats(-100.0, 100.0))
def test_kish_size_lies_between_one_and_n_and_ignores_scale(weights: list[float], shift: float) -> None:
    size = kish_size(weights)
    assert 1.0 - 1e-9 <= size <= len(weights) * (1.0 + 1e-9)
    assert kish_size(np.array(weights) + shift) == pytest.approx(size, rel=1e-9)


def test_kish_size_by_hand() -> None:
    assert kish_size(np.log([1.0, 1.0, 2.0])) == pytest.approx(16.0 / 6.0, rel=1e-12)
    assert kish_size([0.0, -1e4, -1e4]) == 1.0
    assert kish_size([0.0, -math.inf]) == 1.0


@given(log_weights)
def test_logmeanexp_against_many_digits(values: list[float]) -> None:
    with mpmath.workdps(60):
        truth = float(mpmath.log(mpmath.fsum(mpmath.exp(v) for v in values) / len(values)))
    assert float(logmeanexp(values)) == pytest.approx(truth, rel=1e-13, abs=1e-13)


def test_logmeanexp_along_an_axis() -> None:
    table = np.array([[0.0, 0.0], [-1e5, 1e5], [-math.inf, -math.inf]])
    assert np.asarray(logmeanexp(table, axis=1)) == pytest.approx([0.0, 1e5 - math.log(2.0), -math.inf])


# ---------------------------------------------------------------- means and shares


def test_mean_and_stderr_by_hand() -> None:
    assert mean_and_stderr([1.0, 3.0]) == (2.0, 1.0)
    mean, stderr = mean_and_stderr([5.0])
    assert mean == 5.0
    assert math.isnan(stderr)
    assert all(math.isnan(x) for x in mean_and_stderr([]))


@given(st.integers(1, 1000), st.floats(0.0, 1.0), st.floats(0.5, 0.999))
def test_wilsons_interval_solves_its_quadratic(trials: int, share: float, level: float) -> None:
    # Its ends are the p at which (p̂ − p)² = z² p(1 − p)/n, where they are not cut at 0 and 1.
    from scipy.special import ndtri

    successes = round(share * trials)
    z = float(ndtri(0.5 + level / 2.0))
    for p in wilson_interval(successes, trials, level):
        assert 0.0 <= p <= 1.0
        gap = (successes / trials - p) ** 2 - z * z * p * (1.0 - p) / trials
        assert gap == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_shares_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(InputError, match="successes"):
        wilson_interval(successes, trials)
