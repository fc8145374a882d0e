"""Bases for matrices of weights: what they leave alone, what they undo, and when there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pindown
from pindown import Subject, Weights
from pindown.engine.ladder import Ladder
from pindown.engine.objective import Objective
from pindown.engine.rotation import Rotation
from pindown.engine.settings import Settings
from pindown.network.digits import digits_data, digits_model
from pindown.spaces.matrix import Matrix


def correlated(rows: int, columns: int, n: int, seed: int, spread: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients ``(n, rows · columns)`` whose columns are mixed by an orthogonal matrix, and that matrix."""
    g = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(columns, columns, generator=g, dtype=torch.float64)).Q
    width = torch.logspace(0, np.log10(spread), columns, dtype=torch.float64)
    rough = torch.randn(n, rows, columns, generator=g, dtype=torch.float64) * width
    return (rough @ basis.T).flatten(1), basis


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 5), columns=st.integers(2, 6), lead=st.integers(0, 3), seed=st.integers(0, 99))
def test_there_and_back_is_nowhere_and_lengths_stay(rows, columns, lead, seed):
    gradient, _ = correlated(rows, columns, 64, seed)
    whole = torch.cat([torch.ones(64, lead, dtype=torch.float64), gradient], 1)
    turned = Rotation.from_gradients([Matrix(rows, (slice(lead, lead + rows * columns),))], whole)
    assert turned is not None
    z = torch.randn(7, lead + rows * columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = turned.forward(z)
    assert torch.allclose(turned.back(x), z, atol=1e-12)
    assert torch.equal(x[:, :lead], z[:, :lead])
    assert torch.allclose(x.square().sum(1), z.square().sum(1))
    assert not torch.allclose(x[:, lead:], z[:, lead:])


def test_in_the_basis_the_columns_are_no_longer_correlated():
    gradient, basis = correlated(4, 5, 2000, seed=0)
    turned = Rotation.from_gradients([Matrix(4, (slice(0, 20),))], gradient)
    columns = turned.back(gradient).unflatten(1, (4, 5)).flatten(0, 1)
    assert np.abs(np.corrcoef(columns.T) - np.eye(5)).max() < 0.05
    # The eigenvectors are those that the gradients were made with, up to their signs and noise.
    assert torch.allclose(
        (turned.bases[0].T @ basis).abs().max(0).values, torch.ones(5, dtype=torch.float64), atol=0.02
    )


def test_columns_that_are_not_correlated_and_single_columns_need_none():
    independent = torch.randn(500, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert Rotation.from_gradients([Matrix(3, (slice(0, 12),))], independent) is None
    assert Rotation.from_gradients([Matrix(12, (slice(0, 12),))], independent) is None
    assert Rotation.from_gradients([Matrix(3, (slice(0, 12),))], torch.zeros(5, 12)) is None
    assert Rotation.from_gradients([], independent) is None


def test_the_length_of_a_gradient_says_nothing():
    """So that relabelling the loss, which stretches its gradients, gives the same basis."""
    gradient, _ = correlated(4, 5, 200, seed=1)
    stretched = gradient * torch.logspace(-6, 6, 200, dtype=torch.float64).unsqueeze(1)
    at = [Matrix(4, (slice(0, 20),))]
    first, second = (Rotation.from_gradients(at, g) for g in (gradient, stretched))
    assert torch.allclose(first.bases[0], second.bases[0])


def test_weights_tell_their_matrices_with_the_bias_as_one_more_input():
    model = nn.Sequential(nn.Conv1d(3, 4, 2), nn.Flatten(), nn.Linear(8, 2, bias=False), nn.LayerNorm(2))
    first, second = Weights(model).matrices
    assert (first.rows, first.columns) == (4, 7)
    assert (second.rows, second.columns) == (2, 8)
    point = Weights(model).flatten(model).unsqueeze(0)
    expected = torch.cat([model[0].weight.flatten(1), model[0].bias.unsqueeze(1)], 1)
    assert torch.equal(first.of(point)[0], expected.detach())
    assert torch.equal(second.of(point)[0], model[2].weight.detach())
    assert Weights(model, exclude="0.bias").matrices[0].columns == 6


def test_the_loss_and_its_gradient_are_those_of_the_point_that_is_meant():
    (x, y), _ = digits_data()
    subject = Subject(digits_model(5), "cross_entropy", (x[:50], y[:50]), prior="he")
    plain, turned = (Objective(subject.space(), subject.objective()) for _ in range(2))
    z = torch.randn(6, subject.space().dim, generator=torch.Generator().manual_seed(0))
    turned.rotation = Rotation.from_gradients(subject.space().matrices, plain.losses_and_gradients(z)[1])
    held = turned.held(z)
    loss, gradient = plain.losses_and_gradients(z)
    again, along = turned.losses_and_gradients(held)
    assert torch.allclose(loss, again, rtol=1e-5)
    assert torch.allclose(turned.rotation.back(gradient), along, rtol=1e-3, atol=1e-5)
    assert torch.allclose(turned.points(held), plain.points(z), atol=1e-5)
    back = Rotation.from_state(turned.rotation.state())
    assert torch.equal(back.forward(held), turned.rotation.forward(held))


@pytest.mark.parametrize("seed", range(4))
def test_a_small_population_keeps_going_down(seed):
    """Particles may fall past the end of the curve, where the warp is level; the descent goes on from there."""
    (x, y), _ = digits_data()
    subject = Subject(digits_model(12), "cross_entropy", (x[:100], y[:100]), prior="he")
    sizes = Settings(particles=16, leaps=6, ladder_size=0.3, ladder_moves=2, stages=80).resolved(subject.space().dim)
    g = torch.Generator().manual_seed(seed)
    ladder = Ladder(Objective(subject.space(), subject.margin_objective()), 0.0, g, sizes)
    ladder.start()
    while ladder.status is None and len(ladder.rungs) < 80:
        ladder.advance()
    depths = [r.depth for r in ladder.rungs]
    assert ladder.status is pindown.Status.REACHED
    assert max(len(list(same)) for same in np.split(depths, np.flatnonzero(np.diff(depths)) + 1)) <= 3
