"""Pruning where the answer is known: planted sparse networks, exact saliencies, Dinh's rescaling, random weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rescaled import relu_network
from torch import Tensor, nn

import pindown
from pindown.estimate import Status
from pindown.network import pruning as module
from pindown.network.subject import Subject


def planted(weights: Tensor, examples: int = 200, noise: float = 0.0, seed: int = 0) -> Subject:
    """Linear regression onto its own weights with orthogonal inputs of mean square 1: losing weight i costs w_i²."""
    g = torch.Generator().manual_seed(seed)
    d = len(weights)
    x = torch.linalg.qr(torch.randn(examples, d, generator=g, dtype=torch.float64))[0] * math.sqrt(examples)
    model = nn.Linear(d, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weights)
    y = model(x).detach() + noise * torch.randn(examples, 1, generator=g, dtype=torch.float64)
    return Subject(model, "mse", (x, y), prior="lecun")


@pytest.mark.parametrize("order", ["magnitude", "saliency"])
@pytest.mark.parametrize(("k", "d"), [(1, 40), (7, 40), (40, 40), (13, 300)])
def test_planted_sparsity_is_found_exactly(order: str, k: int, d: int) -> None:
    """k weights of ±1 among d, the rest tiny: everything but k can go, at no cost, and not one more."""
    g = torch.Generator().manual_seed(k)
    w = 1e-4 * torch.randn(d, generator=g, dtype=torch.float64)
    w[torch.randperm(d, generator=g)[:k]] = 1.0
    found = pindown.pruning(planted(w, 2 * max(d, 100)), epsilon=0.5, order=order, draws=0)  # one of the k costs 1
    assert found.curve.pruned == d - k
    assert found.kept.value == pytest.approx(k / d)
    assert found.kept.stderr <= 0.5 / d
    if k < d:
        assert found.kept.status is Status.REACHED
        assert found.curve.at is not None
        assert found.curve.at.rise.value == pytest.approx(0.0, abs=1e-4)
    else:
        assert found.kept.status is Status.OUT_OF_RANGE
        assert found.kept.kind == "lower_bound"
    assert found.curve.falls == ()


def test_the_whole_curve_of_a_linear_map() -> None:
    """With orthonormal inputs the rise is the sum of the squares that are gone, for every share kept."""
    w = torch.linspace(0.1, 2.0, 50, dtype=torch.float64)
    found = pindown.pruning(planted(w), epsilon=3.0, draws=0)
    assert len(found.curve.points) > 15
    for p in found.curve.points:
        assert p.rise.value == pytest.approx(float(w[: p.pruned].square().sum()), rel=1e-6, abs=1e-9)
    exact = int((w.square().cumsum(0) <= 3.0).sum())
    assert found.curve.pruned == exact
    assert found.kept.value == pytest.approx(1 - exact / 50)


def test_saliency_sees_what_magnitude_does_not() -> None:
    """Inputs of unequal scale: ½ h w² orders by what a weight does, |w| by what it is. Ranked by hand."""
    g = torch.Generator().manual_seed(1)
    scale = torch.logspace(-2, 0, 30, dtype=torch.float64)
    x = torch.linalg.qr(torch.randn(100, 30, generator=g, dtype=torch.float64))[0] * 10.0 * scale
    model = nn.Linear(30, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(1.0 / scale.sqrt())  # large weights on small inputs
    subject = Subject(model, "mse", (x, model(x).detach()), prior="lecun")
    cost = (model.weight.detach().flatten().square() * scale.square()).numpy()  # each alone, and they add up
    budget = 0.3 * cost.sum()
    by_cost = int((np.cumsum(np.sort(cost)) <= budget).sum())
    by_size = int((np.cumsum(cost[::-1]) <= budget).sum())  # the smallest weights are the last ones
    assert by_cost > by_size + 5
    assert pindown.pruning(subject, epsilon=budget, order="saliency", draws=0).curve.pruned == by_cost
    assert pindown.pruning(subject, epsilon=budget, order="magnitude", draws=0).curve.pruned == by_size


def test_random_pruning_of_equal_weights_costs_its_share() -> None:
    """All weights equal: after m of d are gone the rise is m/d of the total whatever the order."""
    w = torch.ones(60, dtype=torch.float64)
    found = pindown.pruning(planted(w), epsilon=15.5, draws=6)
    assert found.control is not None
    assert found.advantage is not None
    assert found.kept.value == pytest.approx(0.75)
    assert found.control.kept.value == pytest.approx(0.75)
    assert abs(found.advantage.value) <= 1e-9


def test_order_beats_chance_where_sparsity_was_planted() -> None:
    w = 1e-3 * torch.ones(60, dtype=torch.float64)
    w[::10] = 1.0
    found = pindown.pruning(planted(w), epsilon=0.5, draws=8)
    assert found.advantage is not None
    low, high = found.advantage.interval(0.999)
    assert low > 0.3
    assert high - low < 1.0


def test_a_wrong_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: taking the largest first misses the planted step."""
    original = module._ranked
    monkeypatch.setattr(module, "_ranked", lambda *args: original(*args).flip(0))
    w = 1e-4 * torch.ones(40, dtype=torch.float64)
    w[:7] = 1.0
    assert pindown.pruning(planted(w), epsilon=0.5, draws=0).curve.pruned != 33


def test_an_untrained_network_is_flat() -> None:
    """Random weights hold nothing: taking all of them away does not raise the loss by ε, in any order."""
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g))
    x, y = torch.randn(90, 6, generator=g), torch.randint(0, 3, (90,), generator=g)
    found = pindown.pruning(Subject(model, "cross_entropy", (x, y), prior="he"), epsilon=0.1, seed=1)
    assert found.kept.kind == "upper_bound"
    assert found.kept.value == 0.0
    assert found.kept.status is Status.OUT_OF_RANGE
    assert found.control is not None
    assert found.control.kept.kind == "upper_bound"


def test_a_curve_that_falls_is_said_to() -> None:
    """Two weights that cancel: without the smaller one the output is wrong, without both it is right again."""
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -1.1, 5.0]]))
    g = torch.Generator().manual_seed(0)
    u = torch.randn(100, 1, generator=g, dtype=torch.float64)
    v = torch.randn(100, 1, generator=g, dtype=torch.float64)
    x = torch.cat([u, u, v], 1)
    found = pindown.pruning(Subject(model, "mse", (x, model(x).detach()), prior="lecun"), epsilon=0.2, draws=0)
    assert found.curve.pruned == 0
    assert len(found.curve.falls) == 1
    assert (found.curve.falls[0].from_kept, found.curve.falls[0].to_kept) == pytest.approx((2 / 3, 1 / 3))
    assert found.curve.below_again == pytest.approx((1 / 3,))
    assert "not monotone" in " ".join(found.notes)


def test_rescaling_moves_magnitude_and_not_saliency() -> None:
    scale = torch.logspace(-1.5, 1.5, 12, dtype=torch.float64)
    plain, moved = (relu_network(s, hidden=12, examples=150) for s in (1.0, scale))
    magnitude = [pindown.pruning(s, epsilon=0.2, draws=0, seed=4) for s in (plain, moved)]
    saliency = [pindown.pruning(s, epsilon=0.2, order="saliency", draws=0, seed=4) for s in (plain, moved)]
    assert magnitude[0].baseline.value == pytest.approx(magnitude[1].baseline.value, rel=1e-9)
    assert abs(magnitude[0].curve.pruned - magnitude[1].curve.pruned) >= 5
    assert saliency[0].curve.pruned == saliency[1].curve.pruned
    assert saliency[0].kept.value == pytest.approx(saliency[1].kept.value)
    assert "rescaling the units" in " ".join(magnitude[0].notes)
    assert "rescaling the units" not in " ".join(saliency[0].notes)


@pytest.mark.slow
def test_coverage_of_the_threshold_over_samples() -> None:
    """Examples drawn anew: the interval of the share kept holds that of the population at least 90% of 40 times.

    With inputs of covariance I the population's rise is the sum of the squares that are gone, plus nothing.
    """
    w = torch.linspace(0.02, 1.0, 400, dtype=torch.float64)
    exact = 1.0 - float((w.square().cumsum(0) <= 4.0).sum()) / 400
    held = 0
    for seed in range(40):
        g = torch.Generator().manual_seed(1000 + seed)
        x = torch.randn(300, 400, generator=g, dtype=torch.float64)
        model = nn.Linear(400, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            model.weight.copy_(w)
        subject = Subject(model, "mse", (x, model(x).detach()), prior="lecun")
        low, high = pindown.pruning(subject, epsilon=4.0, draws=0, seed=seed).kept.interval(0.95)
        held += low - 1 / 400 <= exact <= high + 1 / 400
    assert held >= 36
