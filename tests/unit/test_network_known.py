"""Trained weights that leave the support of a uniform initialisation come back inside it, as good as they were."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pindown.network.known import inside_support
from pindown.network.subject import Subject
from pindown.spaces.network import Normal


def _subject(prior=None) -> Subject:
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    return Subject(model, "cross_entropy", (torch.randn((12, 4), generator=g), torch.arange(12) % 3), prior=prior)


def test_points_inside_stay_as_they_are() -> None:
    for prior in (None, Normal(0, 1)):
        subject = _subject(prior)
        points = subject.space().sample(3, rng=torch.Generator().manual_seed(1))
        out, moved = inside_support(subject.space(), subject.objective(), points)
        assert torch.equal(out, points)
        assert moved == 0


def test_points_outside_are_brought_in_with_their_loss() -> None:
    subject = _subject()
    space, loss = subject.space(), subject.objective()
    points = space.sample(3, rng=torch.Generator().manual_seed(1))
    points[1] *= 1.2
    leaf = points[1:2].clone().requires_grad_(True)
    for _ in range(5):  # some descent, so that the target is better than a random draw
        (g,) = torch.autograd.grad(loss(leaf).sum(), leaf)
        leaf = (leaf - 0.5 * g).detach().requires_grad_(True)
    points[1] = leaf.detach()[0]
    assert not bool(space.inside(points[1]).all())
    kept = points.clone()
    out, moved = inside_support(space, loss, points)
    assert moved == 1
    assert bool(space.inside(out).all())
    assert torch.equal(out[[0, 2]], points[[0, 2]])
    assert float(loss(out)[1]) <= float(loss(points)[1])
    assert torch.equal(points, kept)
    space.to_normal(out)


def test_what_cannot_be_reached_inside_comes_as_near_as_it_can() -> None:
    """Logits of hundreds give a loss of 0 in float32, which no weights within the initialisation's bounds have."""
    subject = _subject()
    space = subject.space()
    weights = space.unflatten(torch.zeros(space.dim))
    weights["2.bias"] = torch.tensor([500.0, 0.0, 0.0])
    only = Subject(
        nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)), "cross_entropy",
        (torch.zeros(5, 4), torch.zeros(5, dtype=torch.long)),
    )  # fmt: skip
    point = space.flatten(weights).unsqueeze(0)
    out, moved = inside_support(only.space(), only.objective(), point)
    assert moved == 1
    assert bool(only.space().inside(out).all())
    # The inputs are zero, and hidden units that start at zero stay there: the output biases at their ends, 0.25 and
    # -0.25 twice, are all that is left.
    assert float(only.losses(out)) == pytest.approx(math.log(1 + 2 * math.exp(-0.5)), abs=2e-3)
