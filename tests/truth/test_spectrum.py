"""Curvature whose eigenvalues are known: linear regressions from their design, symmetries counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pindown
from pindown.estimate import Estimate, Status
from pindown.network import spectrum as module
from pindown.network.subject import Solution
from pindown.spaces.network import Normal

SEED = 0


def regression(singular: np.ndarray, seed: int = 0) -> tuple[pindown.Subject, np.ndarray]:
    """Linear regression whose Hessian has the eigenvalues ``2 s²/n``, in a random basis.

    The loss is |Xw − y|²/n, so H = 2 XᵀX/n, with X = U diag(s) Vᵀ.
    """
    g = np.random.default_rng(seed)
    d, n = singular.size, singular.size + 5
    u, _ = np.linalg.qr(g.standard_normal((n, d)))
    v, _ = np.linalg.qr(g.standard_normal((d, d)))
    x = torch.as_tensor(u * singular @ v.T)
    model = nn.Linear(d, 1, bias=False, dtype=torch.float64)
    y = torch.as_tensor(g.standard_normal((n, 1)))
    with torch.no_grad():  # the minimum, so that nothing but the curvature is left
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return pindown.Subject(model, "mse", (x, y), prior="lecun"), np.sort(2.0 * singular**2 / n)[::-1]


def bowl(dim: int) -> tuple[pindown.Subject, np.ndarray]:
    """A few large eigenvalues above a bulk, as networks have them: condition 10⁴."""
    large = np.geomspace(100.0, 3.0, 12)
    return regression(np.sqrt(np.concatenate([large, np.geomspace(1.0, 0.01, dim - 12)]) * (dim + 5) / 2.0), seed=1)


def covers(e: Estimate, exact: float) -> bool:
    low, high = e.interval(0.95)
    return low <= exact <= high


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
def test_whole_matrix_gives_what_the_design_says(matrix):
    subject, h = bowl(60)
    found = pindown.spectrum(subject, matrix=matrix, shift=0.02, eigenvalues=60)
    assert [e.value for e in found.eigenvalues] == pytest.approx(h.tolist(), rel=1e-9)
    assert found.trace.value == pytest.approx(h.sum(), rel=1e-10)
    assert found.log_determinant.value == pytest.approx(np.log(h + 0.02).sum(), rel=1e-10)
    assert found.effective.value == pytest.approx(0.5 * (h / (h + 0.02)).sum(), rel=1e-10)
    assert found.trace.kind == found.log_determinant.kind == "exact"
    assert found.warnings == ()


def test_products_alone_give_the_same_within_their_errors():
    subject, h = bowl(300)
    found = pindown.spectrum(subject, dense=False, shift=0.02, seed=SEED)
    assert found.method == "lanczos"
    for e, exact in zip(found.eigenvalues, h, strict=False):
        assert abs(e.value - exact) <= max(e.stderr, 1e-9)  # the residual is a bound, not a standard error
        assert e.stderr < 1e-3 * exact
    assert abs(found.trace.value - h.sum()) < 3 * found.trace.stderr
    assert found.trace.stderr < 0.02 * h.sum()
    exact = np.log(h + 0.02).sum()
    assert abs(found.log_determinant.value - exact) < 3 * found.log_determinant.stderr
    assert found.log_determinant.stderr < 0.02 * abs(exact)
    exact = 0.5 * (h / (h + 0.02)).sum()
    assert abs(found.effective.value - exact) < 3 * found.effective.stderr
    assert found.effective.stderr < 0.05 * exact
    assert found.lowest.value >= h.min() * (1 - 1e-9)
    # The density holds all of the eigenvalues above any gap, counted exactly by the vectors that were split off.
    assert found.share_above(4.0) * 300 == pytest.approx((h > 4.0).sum(), abs=0.6)


def test_more_accuracy_takes_more_probes_and_keeps_the_truth():
    subject, h = bowl(300)
    found = pindown.spectrum(subject, dense=False, accuracy=0.002, seed=SEED)
    assert found.trace.stderr <= 0.002 * found.trace.value
    assert found.probes > 64
    assert covers(found.trace, h.sum())


def test_a_spent_budget_is_said():
    subject, h = bowl(300)
    found = pindown.spectrum(subject, dense=False, accuracy=1e-6, budget=2500, seed=SEED)
    assert found.trace.status is Status.BUDGET_SPENT
    assert any("budget" in w for w in found.warnings)
    assert found.products < 2600
    assert abs(found.trace.value - h.sum()) < 3 * found.trace.stderr


def test_repeated_calls_on_a_network_hold_the_truth():
    """A peer's trace of one network ran from 10.1 to 15.1 between calls, without an interval."""
    subject = perceptron(8, 40, 5)
    exact = pindown.spectrum(subject, shift=0.01)
    assert exact.method == "dense"
    found = [pindown.spectrum(subject, dense=False, shift=0.01, eigenvalues=5, seed=s) for s in range(5)]
    for f in found:
        assert abs(f.trace.value - exact.trace.value) < 3.5 * f.trace.stderr
        assert f.trace.stderr < 0.02 * exact.trace.value
        assert abs(f.log_determinant.value - exact.log_determinant.value) < 3.5 * f.log_determinant.stderr
        assert abs(f.effective.value - exact.effective.value) < 3.5 * f.effective.stderr
    assert sum(covers(f.trace, exact.trace.value) for f in found) >= 4


@pytest.mark.slow
def test_intervals_cover_over_forty_seeds():
    subject, h = bowl(300)
    exact = {
        "trace": h.sum(), "log_determinant": np.log(h + 0.02).sum(), "effective": 0.5 * (h / (h + 0.02)).sum()
    }  # fmt: skip
    hits = dict.fromkeys(exact, 0)
    for seed in range(40):
        found = pindown.spectrum(subject, dense=False, shift=0.02, seed=100 + seed)
        for name, value in exact.items():
            hits[name] += covers(getattr(found, name), value)
    assert min(hits.values()) >= 36, hits


def test_control_probes_that_are_not_independent_signs_miss(monkeypatch):
    """The same intervals from probes of one sign: their mean of zᵀHz is no trace."""
    subject, h = bowl(300)
    monkeypatch.setattr(module._Job, "_signs", lambda self, i: torch.ones(1, 300, dtype=torch.float64) * (1 + 1e-3 * i))
    found = pindown.spectrum(subject, dense=False, shift=0.02, seed=SEED)
    assert not covers(found.trace, h.sum())


def test_control_too_few_steps_are_seen():
    """Four Lanczos steps cannot resolve the logarithm: the figure is off by more than its probes tell, and says so."""
    subject, h = bowl(300)
    exact = np.log(h + 1e-3).sum()
    coarse = pindown.spectrum(subject, dense=False, shift=1e-3, steps=4, eigenvalues=1, seed=SEED)
    assert coarse.log_determinant.status is Status.WIDENED
    assert covers(coarse.log_determinant, exact)


def test_linear_regression_has_half_its_dimensions():
    subject, _ = regression(np.linspace(1.0, 3.0, 20))
    found = pindown.spectrum(subject)
    assert found.laplace is not None
    assert (found.laplace.value, found.laplace.kind, found.laplace.status) == (10.0, "exact", Status.REACHED)
    assert found.zero_directions is not None
    assert found.zero_directions.value == 0


def perceptron(inputs: int = 4, hidden: int = 5, classes: int = 3, *, dead: int = 0, n: int = 200) -> pindown.Subject:
    g = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
        model[0].bias[:dead] = -100.0
    x = torch.randn((n, inputs), generator=g, dtype=torch.float64)
    return pindown.Subject(model, "cross_entropy", (x, torch.randint(0, classes, (n,), generator=g)), prior="he")


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_symmetries_and_dead_units_are_exact_zero_directions(dead):
    """Zero directions of the Gauss–Newton matrix of a 4-5-3 ReLU network under softmax, by hand.

    Each live unit can be rescaled (1), a common shift of all logits changes no probability (one direction for each
    live unit's outgoing weights, and one for the biases), and every weight into or out of a dead unit is free.
    """
    found = pindown.spectrum(perceptron(dead=dead), matrix="gauss-newton")
    live = 5 - dead
    expected = live + (live + 1) + dead * (4 + 1 + 3)
    assert found.zero_directions is not None
    assert found.laplace is not None
    assert found.zero_directions.value == expected
    assert found.negative_directions.value == 0
    assert found.laplace.value == (43 - expected) / 2
    assert found.laplace.kind == "lower_bound"
    assert any("exactly flat" in w for w in found.warnings)


class Shared(nn.Module):
    """One weight in two places: w₁ acts twice, and w₂ only next to it, as w₂ + w₃."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight
        self.extra = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x))) + self.extra.sum()


def test_shared_weights_count_once_and_their_free_direction_is_found():
    g = torch.Generator().manual_seed(0)
    x = torch.randn((50, 2), generator=g)
    subject = pindown.Subject(
        Shared(), "mse", (x, torch.randn((50, 2), generator=g)), prior={"extra": Normal(0.0, 1.0)}
    )
    found = pindown.spectrum(subject, matrix="gauss-newton")
    assert found.parameters == 6
    assert found.zero_directions is not None
    assert found.zero_directions.value == 1  # extra₁ − extra₂


def test_rescaling_a_relu_layer_moves_weight_level_figures_only():
    """Dinh et al. 2017: w₁ → a w₁, w₂ → w₂/a is the same function with another Hessian."""
    subject = perceptron()
    scaled = subject.solutions[0].point.clone()
    space = subject.space()
    scaled[space.slices["0.weight"]] *= 4.0
    scaled[space.slices["0.bias"]] *= 4.0
    scaled[space.slices["2.weight"]] /= 4.0
    twin = Solution("rescaled", scaled)
    before, after = (
        pindown.spectrum(subject, solution=s, matrix="gauss-newton", shift=1e-3) for s in (subject.solutions[0], twin)
    )
    assert after.loss_value == pytest.approx(before.loss_value, rel=1e-12)
    assert after.laplace == before.laplace
    assert after.zero_directions == before.zero_directions
    # The blocks of the trace move by 1/16 and by 16.
    assert after.trace.value > 4.0 * before.trace.value
    assert after.log_determinant.value != pytest.approx(before.log_determinant.value, rel=1e-2)


def saddle(outputs: Tensor, targets: Tensor) -> Tensor:
    del targets
    return (outputs[:, 0].square() - outputs[:, 1].square() + 5.0).mean()


def test_a_saddle_is_no_place_for_laplace():
    model = nn.Linear(1, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.zero_()
    subject = pindown.Subject(model, saddle, (torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1)))
    found = pindown.spectrum(subject, shift=0.5)
    assert [e.value for e in found.eigenvalues] == [2.0, -2.0]
    assert found.negative_directions.value == 1
    assert found.laplace is not None
    assert found.laplace.status is Status.UNSUPPORTED
    assert found.log_determinant.value == pytest.approx(math.log(2.5) + math.log(0.5))
    assert any("negative curvature" in w for w in found.warnings)


def test_a_point_with_a_slope_is_named():
    """Moved off the minimum of a bowl by one in weight space, a Newton step would gain the whole excess."""
    subject, _ = regression(np.linspace(1.0, 3.0, 20))
    away = Solution("off", subject.solutions[0].point + 1.0)
    minimum = float(subject.losses(subject.solutions[0].point.unsqueeze(0)))
    found = pindown.spectrum(subject, solution=away, shift=1e-9)
    assert found.decrement == pytest.approx(found.loss_value - minimum, rel=1e-6)
    assert any("gradient is not zero" in w for w in found.warnings)
