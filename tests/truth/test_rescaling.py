"""Dinh's rescaling of a ReLU layer: figures of the function stay, figures of the weights move, and it is said which.

Noise tolerance, pruning, water-filling, spectra and comparisons have their own test of it beside their other ones.
"""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from coefficients import LEVEL
from rescaled import relu_network
from torch import nn

import pindown
from pindown import LearningCoefficient, Subject, learning_coefficient
from pindown.report.depth_text import COEFFICIENT_LIMITS, SPECTRUM_LIMITS

UNITS = torch.tensor([4.0, 0.25], dtype=torch.float64)


@cache
def small(moved: bool) -> Subject:
    """A 2-2-1 ReLU network that fits its data exactly, both of its units live, as it is or with its units rescaled.

    It has 9 weights. Outputs do not change along the two directions that rescale a unit, and near generic weights
    along no other, so that its zero-loss set is a surface of dimension 2: λ = (9 − 2)/2.
    """
    g = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.4], [-0.5, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.2, 0.1]))
        model[2].weight.copy_(torch.tensor([[1.0, -0.8]]))
        model[2].bias.zero_()
        x = torch.randn(200, 2, generator=g, dtype=torch.float64)
        y = model(x)
        if moved:
            model[0].weight.mul_(UNITS[:, None])
            model[0].bias.mul_(UNITS)
            model[2].weight.div_(UNITS)
    return Subject(model, "mse", (x, y), prior="he")


@cache
def coefficient(moved: bool) -> LearningCoefficient:
    # Inverse temperatures at which the quadratic part of the loss fills the localisation's ball in all 7 directions.
    return learning_coefficient(
        small(moved), nbeta=[2e4, 8e4, 3.2e5], localisation=1.0, self_check=False, precision=0.02
    )


def test_loss_errors_and_held_out_loss_stay() -> None:
    scale = torch.logspace(-1.5, 1.5, 8, dtype=torch.float64)
    one, other = relu_network(1.0), relu_network(scale)
    for figure in (Subject.losses, Subject.errors):
        a, b = (figure(s, s.solutions[0].point.unsqueeze(0)) for s in (one, other))
        assert float(b) == pytest.approx(float(a), rel=1e-9, abs=1e-12)
    # Control: without its counterpart in the next layer the function is another one.
    half = one.solutions[0].point.clone()
    half[one.space().slices["0.weight"]] *= 2.0
    assert float(one.losses(half.unsqueeze(0))) != pytest.approx(
        float(one.losses(one.solutions[0].point[None])), rel=1e-3
    )


@pytest.mark.slow
def test_the_learning_coefficient_stays_and_the_trace_moves() -> None:
    a, b = coefficient(False), coefficient(True)
    for found in (a, b):
        low, high = found.interval(LEVEL)
        assert found.status.ok
        assert low <= 3.5 <= high
        assert abs(found.value - 3.5) < 0.35  # control: half the number of weights is 4.5
        assert found.stderr < 0.3
    for p, q in zip(a.points, b.points, strict=True):
        assert abs(p.estimate.value - 3.5) < 0.35
        assert abs(q.estimate.value - 3.5) < 0.35
        assert abs(p.estimate.value - q.estimate.value) < 4.0 * math.hypot(p.estimate.stderr, q.estimate.stderr)
    traces = [pindown.spectrum(small(moved)).trace.value for moved in (False, True)]
    assert max(traces) > 2.0 * min(traces)


def test_half_the_rank_stays_and_the_trace_moves() -> None:
    """At weights of exactly zero loss the Hessian is that of Gauss and Newton: two flat directions, and λ = 7/2."""
    a, b = (pindown.spectrum(small(moved)) for moved in (False, True))
    for found in (a, b):
        assert found.zero_directions is not None
        assert found.laplace is not None
        assert (found.zero_directions.value, found.laplace.value) == (2, 3.5)
    assert max(a.trace.value, b.trace.value) > 2.0 * min(a.trace.value, b.trace.value)


def test_joint_rise_of_planes_stays_under_powers_of_two() -> None:
    """Random mantissa bits change a weight by a share of itself, and a power of two is in the exponent alone."""
    powers = 2.0 ** torch.tensor([3, -2, 1, 0, 5, -4, 2, -1], dtype=torch.float64)
    one, other = (
        pindown.bitplanes(_single(relu_network(s)), epsilon=0.05, format="fp32", seed=1) for s in (1.0, powers)
    )
    for a, b in (
        (one.joint, other.joint),
        *((x.bracket, y.bracket) for x, y in zip(one.tensors, other.tensors, strict=True)),
    ):
        assert a is not None
        assert b is not None
        assert (a.low, a.high) == (b.low, b.high)
        shared = {v.planes: v for v in a.levels if v.kind == "mantissa"}
        for v in b.levels:
            if v.planes in shared and v.draws == shared[v.planes].draws:
                assert v.rise.value == pytest.approx(shared[v.planes].rise.value, rel=1e-3, abs=1e-5)
    # Fixed point is relative to each tensor's root mean square, and moves where units are rescaled one by one.
    fixed = [pindown.bitplanes(_single(relu_network(s)), epsilon=0.05, format="fixed16", seed=1) for s in (1.0, powers)]
    assert fixed[0].joint.low > fixed[1].joint.high
    assert any("not of the function" in n for n in fixed[0].notes)


def test_rescaled_weights_are_said_to_be_the_same_function() -> None:
    """The sections of the report name what moves and what stays."""
    assert any("figures of the weights, not of the function" in t for t in SPECTRUM_LIMITS)
    assert any("figures of the function" in t for t in COEFFICIENT_LIMITS)
    assert any("rescaling the units" in n for n in pindown.concentration(relu_network(2.0), draws=2).notes)


def _single(subject: Subject) -> Subject:
    """The same in single precision."""
    x, y = subject.batches().items[0]
    return Subject(subject.module.float(), "cross_entropy", (x.float(), y), prior="he")
