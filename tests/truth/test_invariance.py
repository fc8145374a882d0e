"""The same event under another name has the same bits."""

from __future__ import annotations

import losses
import pytest
import references

import pindown
from pindown import Gaussian

DIM, BITS, SEED = 20, 40.0, 7
LOSS = losses.SquaredNorm(scale=float(DIM))
T = references.ball_tolerance(DIM, BITS) / DIM


@pytest.fixture(scope="module")
def results():
    out = {}
    for how in ("identity", "log", "cube", "saturating"):
        loss = losses.Relabelled(LOSS, how)
        out[how] = pindown.measure(Gaussian(DIM), loss, tolerance=loss.tolerance(T), seed=SEED).bits()
    return out


@pytest.mark.parametrize("how", ["identity", "log", "cube", "saturating"])
def test_relabelled_losses_give_the_exact_bits(results, how):
    e = results[how]
    assert e.kind == "estimate"
    assert e.status.ok
    assert abs(e.value - BITS) < 1.5
    assert e.stderr < 0.6
    low, high = e.interval(0.995)
    assert low <= BITS <= high


@pytest.mark.parametrize("how", ["log", "cube", "saturating"])
def test_relabelled_losses_agree_with_each_other(results, how):
    a, b = results["identity"], results[how]
    # Each interval is at 95%; two of them, each with a few degrees of freedom, must overlap.
    (low_a, high_a), (low_b, high_b) = a.interval(), b.interval()
    assert low_a <= high_b
    assert low_b <= high_a


@pytest.mark.slow
def test_a_loss_that_rounds_to_one_nearly_everywhere_is_right_or_refused():
    # 1 − e^{−‖x‖²} in 60 dimensions is exactly 1.0 for nearly every prior draw.
    loss = losses.Relabelled(losses.SquaredNorm(), "saturating")
    t = references.ball_tolerance(60, 150.0)
    e = pindown.measure(Gaussian(60), loss, tolerance=loss.tolerance(t), seed=SEED).bits()
    if e.kind == "estimate" and e.status.ok:
        low, high = e.interval(0.995)
        assert low <= 150.0 <= high
        assert e.stderr < 5.0
    else:
        assert e.kind in ("lower_bound", "estimate")
        assert e.kind != "lower_bound" or e.value <= 151.0


def test_scale_and_shift_of_the_loss_change_nothing():
    class Affine:
        def __call__(self, x):
            return 1e6 * LOSS(x) - 3.0

    a = pindown.measure(Gaussian(DIM), LOSS, tolerance=T, seed=SEED).bits()
    b = pindown.measure(Gaussian(DIM), Affine(), tolerance=1e6 * T - 3.0, seed=SEED, jobs=1).bits()
    assert abs(a.value - b.value) < 4 * (a.stderr + b.stderr) + 1e-6
