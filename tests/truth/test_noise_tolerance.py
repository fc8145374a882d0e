"""Noise tolerance where it is known: linear regression, whose mean rise is ½σ² tr SHS and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rescaled import relu_network
from torch import Tensor, nn

import pindown
from pindown.estimate import Estimate, Status
from pindown.network import noise_search, noise_tolerance
from pindown.network.subject import Subject

EPSILON = 0.02


def regression(dim: int = 12, seed: int = 0, *, at_minimum: bool = True) -> tuple[Subject, Tensor, float]:
    """A linear regression in double precision, its weights, and the trace of its Hessian ``2 XᵀX/n``."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(40, dim, generator=g, dtype=torch.float64) * torch.linspace(0.2, 2.0, dim, dtype=torch.float64)
    y = torch.randn(40, 1, generator=g, dtype=torch.float64)
    model = nn.Linear(dim, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
        if not at_minimum:
            model.weight.add_(0.3)
    subject = Subject(model, "mse", (x, y), prior="lecun")
    return subject, model.weight.detach().flatten(), 2.0 * float(x.square().sum()) / len(x)


def holds(e: Estimate, exact: float, level: float = 0.995) -> bool:
    low, high = e.interval(level)
    return low <= exact <= high


@pytest.mark.parametrize("at_minimum", [True, False])
def test_linear_regression(at_minimum: bool) -> None:
    """R(σ) = ½σ² tr H with the same σ for all weights, so that σ = √(2ε/tr H); a gradient changes nothing."""
    subject, w, trace = regression(at_minimum=at_minimum)
    found = pindown.noise_tolerance(subject, epsilon=EPSILON, accuracy=0.02, draws=4096, seed=1)
    exact = math.sqrt(2.0 * EPSILON / trace)
    rms = float(w.square().mean().sqrt())
    assert found.absolute.absolute is not None
    for e, truth in (
        (found.absolute.absolute, exact),
        (found.absolute.sigma, exact / rms),
        (found.joint.sigma, exact / rms),  # one tensor: relative to its own root mean square is the same
        (found.absolute.bits, math.log2(rms / exact)),
    ):
        assert holds(e, truth)
        assert e.status is Status.REACHED
    assert found.joint.sigma.stderr <= 0.02 * found.joint.sigma.value
    assert found.joint.bits.stderr <= 0.03
    for point in found.curve:  # the curve is the parabola, at every point of it
        assert holds(point.rise, 0.5 * (point.sigma * rms) ** 2 * trace)
        assert point.rise.stderr < 0.15 * point.rise.value


def test_tensors_have_their_own_scale_and_the_joint_figure_adds_up() -> None:
    """Two tensors of a linear map whose rises add: 1/σ² joint = Σ 1/σ² single, each relative to its own rms."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(50, 6, generator=g, dtype=torch.float64)
    x -= x.mean(0)
    model = nn.Linear(6, 2, dtype=torch.float64)
    with torch.no_grad():
        model.weight.normal_(0.0, 3.0, generator=g)
        model.bias.normal_(0.0, 0.1, generator=g)
    subject = Subject(model, "mse", (x, model(x).detach()), prior="lecun")
    found = pindown.noise_tolerance(subject, epsilon=1e-3, accuracy=0.02, draws=4096)
    weight, bias = found.tensors
    # mean over 50·2 entries: H of a weight is 2·Σx²/100, of a bias 2·50/100
    curvature = {"weight": 2.0 * float(x.square().sum()) / 100 * 2, "bias": 2.0}
    for row in (weight, bias):
        exact = math.sqrt(2e-3 / curvature[row.name])
        assert row.absolute is not None
        assert holds(row.absolute, exact)
        assert row.rms is not None
        assert row.sigma.value * row.rms == pytest.approx(row.absolute.value)
    total = sum((row.rms or 0.0) ** 2 * curvature[row.name] for row in (weight, bias))
    assert holds(found.joint.sigma, math.sqrt(2e-3 / total))


def test_half_the_noise_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: draws of half the spread give twice the tolerance, far outside of the interval."""
    original = noise_tolerance._Run._noise
    monkeypatch.setattr(noise_tolerance._Run, "_noise", lambda *args: lambda k: 0.5 * original(*args)(k))
    subject, w, trace = regression()
    found = pindown.noise_tolerance(subject, epsilon=EPSILON, accuracy=0.02, draws=4096, seed=1)
    exact = math.sqrt(2.0 * EPSILON / trace) / float(w.square().mean().sqrt())
    assert not holds(found.joint.sigma, exact, 0.999999)


def test_without_the_other_sign_a_gradient_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Antithetic pairs matter: away from a minimum they cancel the linear term draw by draw."""
    subject, _, trace = regression(at_minimum=False)
    sigma = math.sqrt(2.0 * EPSILON / trace)
    point = subject.solutions[0].point
    xi = torch.randn(500, len(point), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    base = subject.losses(point.unsqueeze(0))
    one = subject.losses(point + sigma * xi) - base
    both = 0.5 * (one + subject.losses(point - sigma * xi) - base)
    assert float(both.std()) < 0.2 * float(one.std())
    assert float(both.mean()) == pytest.approx(EPSILON, rel=0.1)


@pytest.mark.slow
def test_coverage_of_the_intervals() -> None:
    """95% intervals over 120 seeds: at least 90% hold the exact value.

    About 93% do: the search stops where the error seems small enough, so that it is a little small.
    """
    subject, w, trace = regression(4)
    exact = math.log2(float(w.square().mean().sqrt()) / math.sqrt(2.0 * EPSILON / trace))
    held = [
        holds(pindown.noise_tolerance(subject, epsilon=EPSILON, seed=s, tensors=False).joint.bits, exact, 0.95)
        for s in range(120)
    ]
    assert np.mean(held) >= 0.9


def test_rescaling_moves_noise_tolerance_and_not_the_loss() -> None:
    """Dinh's rescaling: one factor for a layer moves the absolute tolerance and not that relative to each tensor's
    root mean square; a factor for each unit moves both. The loss stays."""
    plain, layer, units = (relu_network(s) for s in (1.0, 8.0, torch.logspace(-1.5, 1.5, 8, dtype=torch.float64)))
    found = [pindown.noise_tolerance(s, epsilon=0.1, tensors=False, seed=2) for s in (plain, layer, units)]
    for other in found[1:]:
        assert other.baseline.value == pytest.approx(found[0].baseline.value, rel=1e-9)
    assert found[1].joint.sigma.value == pytest.approx(found[0].joint.sigma.value, rel=1e-6)
    absolute = [f.absolute.absolute for f in found]
    assert absolute[0] is not None
    assert absolute[1] is not None
    assert abs(math.log(absolute[1].value / absolute[0].value)) > 0.7
    gap = abs(found[2].joint.bits.value - found[0].joint.bits.value)
    assert gap > 5 * math.hypot(found[2].joint.bits.stderr, found[0].joint.bits.stderr)
    assert all("rescaling the units" in " ".join(f.notes) for f in found)


def test_an_earlier_crossing_counts_where_the_rise_is_not_monotone() -> None:
    """r(σ) rises above ε, falls back below it, and rises again."""

    class Known:
        def rows(self, key, count, compute):
            return compute(0, count)

    def rise(sigma: float, start: int, stop: int) -> Tensor:
        bump = 2.0 * math.exp(-((math.log2(sigma) + 3.0) ** 2) / 0.5)
        return torch.full((stop - start,), bump + sigma**2, dtype=torch.float64) + 1e-3 * torch.arange(start, stop)

    found = noise_search.crossing(noise_search.Rises(rise, Known(), "x"), 1.0, accuracy=0.05, most=64)  # type: ignore[arg-type]
    assert found.sigma == pytest.approx(2.0**-3.6, rel=0.05)


@given(scale=st.floats(0.1, 10.0), epsilon=st.floats(1e-3, 1.0))
def test_the_unit_of_the_loss_does_not_matter(scale: float, epsilon: float) -> None:
    """A quadratic rise of any curvature is solved exactly: σ = √(ε/c)."""

    class Known:
        def rows(self, key, count, compute):
            return compute(0, count)

    def rise(sigma: float, start: int, stop: int) -> Tensor:
        return scale * sigma**2 * (1.0 + 0.01 * (-1.0) ** torch.arange(start, stop, dtype=torch.float64))

    found = noise_search.crossing(noise_search.Rises(rise, Known(), "x"), epsilon, accuracy=0.05, most=64)  # type: ignore[arg-type]
    assert found.sigma == pytest.approx(math.sqrt(epsilon / scale), rel=0.011)
