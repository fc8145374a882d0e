"""Reverse water-filling and the curvature under it, where both are known in closed form."""

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
from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network import diagonal as module
from pindown.network.diagonal import curvature_diagonal
from pindown.network.subject import Subject
from pindown.network.water_filling import reverse_water_filling


def holds(e: Estimate, exact: float, level: float = 0.995) -> bool:
    low, high = e.interval(level)
    return low <= exact <= high


def regression(scales: Tensor, weights: Tensor, examples: int = 400) -> Subject:
    """Squared error with orthogonal inputs: the Hessian is 2·diag(scales²), in double precision."""
    g = torch.Generator().manual_seed(0)
    x = torch.linalg.qr(torch.randn(examples, len(scales), generator=g, dtype=torch.float64))[0]
    x = x * math.sqrt(examples) * scales
    model = nn.Linear(len(scales), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weights)
    return Subject(model, "mse", (x, model(x).detach()), prior="lecun")


@given(
    logs=st.lists(st.floats(-12.0, 8.0), min_size=1, max_size=30),
    share=st.floats(1e-6, 0.999),
)
def test_water_filling_meets_its_distortion_and_is_optimal(logs: list[float], share: float) -> None:
    """Σ min(θ, σ²) = D, and no other split of D gets by with fewer bits (Cover and Thomas 2006, 10.3.3)."""
    v = torch.tensor(logs, dtype=torch.float64).exp()
    distortion = share * float(v.sum())
    theta, rates = reverse_water_filling(v, distortion)
    assert float(v.clamp_max(theta).sum()) == pytest.approx(distortion, rel=1e-9)
    expected = 0.5 * torch.log2(v / theta).clamp_min(0.0)
    torch.testing.assert_close(rates, expected)
    g = torch.Generator().manual_seed(0)
    other = v.clamp_max(theta) * torch.rand(len(v), generator=g, dtype=torch.float64).add(0.5)
    other = torch.minimum(other * (distortion / other.sum()), v)  # uses at most D
    assert float((0.5 * torch.log2(v / other)).sum()) >= float(rates.sum()) - 1e-9


def test_equal_variances_and_the_end_of_the_curve() -> None:
    """n equal components: n/2 log2(n σ²/D) bits; from D = Σσ² on nothing; bad input is refused."""
    theta, rates = reverse_water_filling(torch.full((10,), 4.0), 5.0)
    assert theta == pytest.approx(0.5)
    assert float(rates.sum()) == pytest.approx(10 * 0.5 * math.log2(8.0))
    assert float(reverse_water_filling(torch.tensor([1.0, 2.0]), 3.0)[1].sum()) == 0.0
    for v, d in ((torch.ones(2), 0.0), (torch.ones(2), math.nan), (torch.tensor([-1.0, 1.0]), 0.5)):
        with pytest.raises(InputError):
            reverse_water_filling(v, d)


@pytest.mark.parametrize("matrix", ["gauss-newton", "hessian"])
def test_linear_regression_in_closed_form(matrix: str) -> None:
    """σ_i² = scales_i² · rms²: bits, water level and trace by hand, and the measured rise at these rates is ε."""
    scales = torch.logspace(-2, 1, 200, dtype=torch.float64)
    g = torch.Generator().manual_seed(5)
    w = torch.randn(200, generator=g, dtype=torch.float64)
    rms = float(w.square().mean())
    variances = (scales.square() * rms).numpy()
    epsilon = 0.05 * variances.sum()
    # by bisection on the level, not by the code under test
    low, high = 0.0, variances.max()
    for _ in range(200):
        theta = 0.5 * (low + high)
        low, high = (theta, high) if np.minimum(theta, variances).sum() < epsilon else (low, theta)
    exact = np.maximum(0.0, 0.5 * np.log2(variances / theta)).sum()
    found = pindown.water_filling(regression(scales, w), epsilon=float(epsilon), matrix=matrix, probes=64, seed=2)
    if matrix == "hessian":  # it is diagonal, so that random signs give it without error
        assert found.bits.value == pytest.approx(exact, rel=1e-6)
    else:
        # one seed, and eight blocks: coverage at 95% is tested over many seeds
        assert holds(found.bits, exact, 0.999)
        assert holds(found.trace, 2.0 * float(scales.square().sum()), 0.999)
    assert abs(found.bits.value - exact) < 0.01 * exact
    assert found.bits.stderr < 0.01 * exact
    assert found.trace.value == pytest.approx(2.0 * float(scales.square().sum()), rel=0.1)
    assert found.level == pytest.approx(theta, rel=0.05)
    # Weights below the water are lost: w² in place of s² for each, which 200 weights average out to some percent.
    assert found.predicted_rise.value == pytest.approx(epsilon, rel=0.25)
    assert found.measured.value == pytest.approx(exact, rel=0.15)
    assert sum(t.bits.value for t in found.tensors) == pytest.approx(found.bits.value, rel=1e-9)


def test_exact_curvature_gives_exact_bits() -> None:
    scales = torch.tensor([4.0, 2.0, 1.0, 0.1], dtype=torch.float64)
    w = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    found = pindown.water_filling(regression(scales, w), epsilon=1.51, probes=None)
    # σ² = 16, 4, 1, 0.01 and θ = 0.5: 3·0.5 + 0.01
    assert found.bits.kind == "exact"
    assert found.bits.value == pytest.approx(0.5 * (math.log2(32) + math.log2(8) + math.log2(2)), rel=1e-6)
    assert found.above_water.value == 0.75
    assert found.level == pytest.approx(0.5, rel=1e-6)


def test_no_bits_are_needed_for_a_large_rise() -> None:
    found = pindown.water_filling(
        regression(torch.ones(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)), epsilon=10.0
    )
    assert found.bits.value == 0.0
    assert found.bits.status is Status.OUT_OF_RANGE


def classifier(seed: int = 0, **options: bool) -> tuple[Subject, Tensor]:
    """A small perceptron with cross-entropy, and its Gauss–Newton or Hessian diagonal by dense differentiation."""
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
    x, y = torch.randn(20, 3, generator=g, dtype=torch.float64), torch.randint(0, 3, (20,), generator=g)
    subject = Subject(model, "cross_entropy", (x, y), prior="he", batch_size=7)
    space, point = subject.space(), subject.solutions[0].point

    def outputs(w: Tensor) -> Tensor:
        return torch.func.functional_call(model, space.unflatten(w), (x,))

    if options.get("hessian"):
        h = torch.func.jacrev(torch.func.jacrev(lambda w: nn.functional.cross_entropy(outputs(w), y)))(point)
        return subject, h.diagonal().detach()
    j = torch.func.jacrev(outputs)(point)  # (20, 3, D)
    p = torch.softmax(outputs(point), 1)
    inner = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    return subject, torch.einsum("nci,ncd,ndi->i", j, inner, j).detach() / 20


def test_gauss_newton_diagonal_against_dense() -> None:
    subject, dense = classifier()
    point = subject.solutions[0].point
    torch.testing.assert_close(curvature_diagonal(subject, point, probes=None).values, dense, rtol=1e-6, atol=1e-10)
    found = curvature_diagonal(subject, point, probes=512, seed=1)
    z = (found.values - dense) / found.stderr
    assert float(z.square().mean()) < 2.5  # t with 7 degrees of freedom has variance 1.4
    assert float((found.stderr / dense).max()) < 0.15
    assert bool((found.blocks >= 0).all())


def test_hessian_diagonal_against_dense() -> None:
    subject, dense = classifier(hessian=True)
    found = curvature_diagonal(subject, subject.solutions[0].point, matrix="hessian", probes=1024, seed=1)
    z = (found.values - dense) / found.stderr
    assert float(z.square().mean()) < 2.5
    assert float(found.stderr.max()) < 0.1 * float(dense.abs().max())


def test_signs_shared_between_examples_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without independent signs the cross terms stay, and the diagonal is another."""

    class Ones:
        def __getattr__(self, name: str):
            return getattr(torch, name)

        @staticmethod
        def randint(low: int, high: int, shape, generator):
            return torch.ones(shape, dtype=torch.long)

    subject, dense = classifier()
    monkeypatch.setattr(module, "torch", Ones())
    found = curvature_diagonal(subject, subject.solutions[0].point, probes=512, seed=1)
    assert float(((found.values - dense).abs() / dense).median()) > 0.3


def test_layer_rescaling_keeps_the_bits_and_unit_rescaling_moves_them() -> None:
    """One factor for a ReLU layer leaves ½ h s² as it is; a factor for each unit changes the root mean squares."""
    plain, layer, units = (
        pindown.water_filling(relu_network(s, hidden=12), epsilon=0.05, probes=None, accuracy=0.2).bits
        for s in (1.0, 7.0, torch.logspace(-1.5, 1.5, 12, dtype=torch.float64))
    )
    assert layer.value == pytest.approx(plain.value, rel=1e-6)
    assert abs(units.value - plain.value) > 0.1 * plain.value


@pytest.mark.slow
def test_coverage_of_the_bits() -> None:
    """95% intervals over 40 seeds of probes: at least 90% hold the figure of the exact curvature."""
    subject, _ = classifier()
    exact = pindown.water_filling(subject, epsilon=0.02, probes=None).bits.value
    found = [pindown.water_filling(subject, epsilon=0.02, probes=32, seed=s, accuracy=0.5).bits for s in range(40)]
    assert np.mean([holds(e, exact, 0.95) for e in found]) >= 0.9
    assert max(e.stderr for e in found) < 0.1 * exact
