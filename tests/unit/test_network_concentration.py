"""Concentration of vectors that are known, and of networks; invariances; Dinh's rescaling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import pindown
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Status
from pindown.network.concentration import gini, participation
from pindown.network.subject import Subject

POSITIVE = st.lists(st.floats(0.0, 1e6).map(lambda v: 0.0 if v < 1e-6 else v), min_size=1, max_size=40).filter(any)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_one_hot_and_uniform(n: int) -> None:
    """One weight: 1 − 1/n and 1. Equal weights: 0 and n."""
    hot = torch.zeros(n)
    hot[n // 2] = 3.0
    assert gini(hot) == pytest.approx(1.0 - 1.0 / n, abs=1e-12)
    assert participation(hot) == pytest.approx(1.0)
    assert gini(torch.full((n,), 0.2)) == pytest.approx(0.0, abs=1e-12)
    assert participation(torch.full((n,), 0.2)) == pytest.approx(n)


def test_k_equal_weights_of_n() -> None:
    """k of n: Gini 1 − k/n, and k of them count."""
    x = torch.zeros(50)
    x[:13] = 2.0
    assert gini(x) == pytest.approx(1 - 13 / 50)
    assert participation(x) == pytest.approx(13)


@pytest.mark.parametrize(
    ("draw", "exact_gini", "exact_share"),
    [
        # w² of a standard normal is χ²₁: E|X − Y|/2E X = 2/π, and E[w²]²/E[w⁴] = 1/3
        (lambda g: torch.randn(400_000, generator=g, dtype=torch.float64), 2 / math.pi, 1 / 3),
        # U^p has Lorenz curve u^(p+1), so that Gini is p/(p + 2); (1/3)²/(1/5) = 5/9
        (lambda g: torch.rand(400_000, generator=g, dtype=torch.float64), 1 / 2, 5 / 9),
    ],
)
def test_laws_with_known_concentration(draw, exact_gini: float, exact_share: float) -> None:
    x = draw(torch.Generator().manual_seed(0)).square()
    assert gini(x) == pytest.approx(exact_gini, abs=3e-3)
    assert participation(x) / len(x) == pytest.approx(exact_share, abs=3e-3)


@given(POSITIVE, st.floats(1e-3, 1e3), st.randoms(use_true_random=False))
def test_scale_order_and_copies_do_not_matter(values: list[float], factor: float, random) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    order = list(range(len(values)))
    random.shuffle(order)
    assert gini(factor * x[order]) == pytest.approx(gini(x), abs=1e-9)
    assert participation(factor * x[order]) == pytest.approx(participation(x), rel=1e-9)
    assert gini(torch.cat([x, x])) == pytest.approx(gini(x), abs=1e-9)
    assert participation(torch.cat([x, x])) == pytest.approx(2 * participation(x), rel=1e-9)
    assert -1e-12 <= gini(x) <= 1 - 1 / len(x) + 1e-9
    assert 1 - 1e-9 <= participation(x) <= len(x) + 1e-9


@given(POSITIVE)
def test_gini_is_half_the_mean_absolute_difference(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    mean_difference = float((x[:, None] - x[None, :]).abs().mean())
    assert gini(x) == pytest.approx(mean_difference / (2 * float(x.mean())), abs=1e-9)


@given(POSITIVE.filter(lambda v: len(v) > 1))
def test_a_transfer_to_the_richer_concentrates(values: list[float]) -> None:
    """The Pigou–Dalton principle: what it measures."""
    x = torch.tensor(sorted(values), dtype=torch.float64)
    y = x.clone()
    y[-1] += 0.5 * y[0]
    y[0] *= 0.5
    assert gini(y) >= gini(x) - 1e-9
    assert participation(y) <= participation(x) + 1e-9


def network(scale: torch.Tensor | float = 1.0) -> Subject:
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
        s = torch.as_tensor(scale).expand(40)
        model[0].weight.mul_(s[:, None])
        model[0].bias.mul_(s)
        model[2].weight.div_(s)
    x = torch.randn(30, 6, generator=g)
    return Subject(model, "cross_entropy", (x, torch.arange(30) % 3), prior="he")


def test_of_a_network() -> None:
    found = pindown.concentration(network(), draws=8)
    assert found.whole.weights == 6 * 40 + 40 + 120 + 3 == sum(t.weights for t in found.tensors)
    assert found.whole.gini.kind == "exact"
    assert found.whole.share.value == pytest.approx(found.whole.participation.value / found.whole.weights)
    w = network().solutions[0].point
    assert found.whole.gini.value == pytest.approx(gini(w.square()))
    first = found.tensors[0]
    low, high = first.prior_gini.interval(0.999)
    assert low < 2 / math.pi < high  # normal weights under the prior, and 240 of them have little bias
    assert first.prior_gini.stderr < 0.02
    assert pindown.Concentration.from_dict(found.to_dict()) == found
    with pytest.raises(CheckpointError, match="schema"):
        pindown.Concentration.from_dict({"schema": "pindown/pruning/1"})


def test_rescaling_units_moves_it_and_rescaling_a_layer_does_not_within_tensors() -> None:
    """Dinh et al. 2017: the same function, other figures; said in the notes."""
    plain, layer, units = (
        pindown.concentration(network(s), draws=2) for s in (1.0, 5.0, torch.logspace(-1.5, 1.5, 40))
    )
    for a, b in zip(plain.tensors, layer.tensors, strict=True):
        assert a.gini.value == pytest.approx(b.gini.value, abs=1e-6)
    assert abs(layer.whole.gini.value - plain.whole.gini.value) > 0.05
    assert units.tensors[0].gini.value > plain.tensors[0].gini.value + 0.1
    assert "rescaling the units" in " ".join(plain.notes)


def test_zeros_are_unsupported_and_bad_input_is_refused() -> None:
    model = nn.Linear(3, 1)
    nn.init.zeros_(model.bias)
    subject = Subject(model, "mse", (torch.eye(3), torch.zeros(3, 1)))
    row = pindown.concentration(subject).tensors[1]
    assert row.gini.status is Status.UNSUPPORTED
    assert math.isnan(row.participation.value)
    with pytest.raises(InputError, match="draws 1"):
        pindown.concentration(subject, draws=1)
    with pytest.raises(InputError, match="solution -1"):
        pindown.concentration(subject, solution=-1)
