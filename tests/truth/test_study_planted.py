"""Known answers of the study's panel: planted sets and networks, a quadratic loss in closed form, codes of coins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pindown.estimate import Estimate
from pindown.network.subject import Subject
from pindown.rng import torch_generator
from pindown.spaces.initialisation import Normal
from pindown.studies import panel
from pindown.studies.planted import CONCENTRATED, SPREAD, concentrated_or_spread, planted_answers
from pindown.studies.prequential import prequential_bits
from pindown.studies.study_subject import StudySubject
from pindown.studies.trained_verdicts import found_as_planted


def test_bits_in_one_weight_or_in_four_are_one_volume() -> None:
    """2⁻¹⁶ of the box either way; the steepest slopes are 2¹⁷ and 2⁵."""
    found = concentrated_or_spread(seed=5)
    volumes = {name: Estimate.from_dict(case["volume"]) for name, case in found.items()}
    for e in volumes.values():
        assert e.stderr < 0.25
        assert abs(e.value - 16.0) < 4 * e.stderr + 0.05
    assert found[CONCENTRATED]["slope"] == 2**17
    assert found[SPREAD]["slope"] == 2**5
    assert (found[CONCENTRATED]["weights"], found[SPREAD]["weights"]) == (1, 4)


def test_what_was_planted_is_found_and_the_rule_can_fail() -> None:
    cases = [
        (name, case["planted"], Estimate.from_dict(case["found"])) for name, case in planted_answers(seed=2).items()
    ]
    assert found_as_planted(cases).outcome == "supported"
    name, truth, found = cases[0]
    assert found_as_planted([(name, truth + 1 / 40, found)]).outcome == "refuted"  # one weight more


D, STD = 24, 0.5


def quadratic(curvature: Tensor, seed: int = 0) -> Subject:
    """Loss Σ c_i δ_i²: linear regression on its own weights with orthogonal inputs of mean squares c."""
    g = torch.Generator().manual_seed(seed)
    x = torch.linalg.qr(torch.randn(4 * D, D, generator=g, dtype=torch.float64))[0] * math.sqrt(4 * D)
    x = x * curvature.sqrt()
    model = nn.Linear(D, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.randn(D, generator=g, dtype=torch.float64))
    return Subject(model, "mse", (x, model(x).detach()), prior=Normal(0.0, STD))


def test_a_round_valley_has_the_figures_of_its_formulas() -> None:
    """The rise by noise σ·rms is σ² rms² D, so that σ² = ε/(D rms²); the Hessian is twice the unit matrix."""
    subject, epsilon = quadratic(torch.ones(D, dtype=torch.float64)), 0.3
    w = subject.solutions[0].point.double()
    variance = epsilon / D
    square = float(w.square().mean())
    found = panel.measure_panel(subject, epsilon, planes=False, accuracy=0.02)
    leading = 0.5 * math.log2(square / variance)
    capacity = 0.5 * D * math.log2(1 + square / variance)
    code = 0.5 * float(
        ((variance + w.square()) / STD**2 - 1 - math.log(variance / STD**2)).sum()
    ) / math.log(2)  # fmt: skip
    for name, truth in ((panel.LEADING, leading), (panel.NOISE, capacity), (panel.CODE, code)):
        e = found[name]
        assert abs(e.value - truth) < 4 * e.stderr
        assert e.stderr < 0.05 * truth
    assert found[panel.ETA].value == pytest.approx(2.0, rel=1e-3)
    # Where every direction is as sharp as the sharpest, the worst case is the mean case.
    assert found[panel.SHARP].value == pytest.approx(capacity, rel=1e-3)
    assert found[panel.SHARP].kind == "upper_bound"


def test_one_sharp_direction_parts_the_worst_case_from_the_mean_one() -> None:
    """Negative control of the equality above: the trace stays, one direction has 24 times the curvature."""
    curvature = torch.full((D,), 1e-3, dtype=torch.float64)
    curvature[0] = D - 1e-3 * (D - 1)
    found = panel.measure_panel(quadratic(curvature), 0.3, planes=False, accuracy=0.05)
    assert found[panel.SHARP].value > found[panel.NOISE].value + 0.4 * D * math.log2(D)


def test_the_code_of_a_uniform_prior_is_unsupported() -> None:
    model = nn.Linear(3, 1, bias=False)
    x = torch.eye(3)
    subject = Subject(model, "mse", (x, model(x).detach()))  # torch's own initialisation is uniform
    found = panel.measure_panel(subject, 0.1, planes=False, accuracy=0.2)
    assert found[panel.CODE].status.value == "unsupported"


def _line(coins: bool) -> tuple[Tensor, Tensor]:
    g = torch_generator(4, 0)
    x = torch.randn((320, 2), generator=g)
    y = torch.randint(0, 2, (320,), generator=g) if coins else (x[:, 0] > 0).long()
    return x, y


class Lines:
    """A linear classifier of two inputs, trained by a few Newton-like steps of L-BFGS."""

    def __init__(self, coins: bool) -> None:
        self.coins = coins

    def make(self, width: int) -> Subject:
        return Subject(nn.Linear(2, 2), "cross_entropy", _line(self.coins), prior="lecun")

    def train(self, width: int, seed: int, treatment: str) -> nn.Module:
        return self.train_on(width, seed, 320)

    def train_on(self, width: int, seed: int, examples: int) -> nn.Module:
        x, y = (t[:examples] for t in _line(self.coins))
        model = nn.Linear(2, 2)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        optimiser = torch.optim.LBFGS(model.parameters(), max_iter=20)

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y) + 1e-3 * model.weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        return model


def test_coins_cost_a_bit_each_and_a_rule_costs_less() -> None:
    """Negative control: no code of random labels beats one bit a label but by luck, 4 standard deviations at most."""
    bits = {}
    for coins in (True, False):
        own = Lines(coins)
        family = StudySubject(own.make, own.train, widths=(1, 2), train_on=own.train_on, name="lines")
        bits[coins] = Estimate.from_dict(prequential_bits(family=family, width=1, seed=0)).value
    assert 320 - 4 * math.sqrt(320) < bits[True] < 320 * 1.15
    assert 20 <= bits[False] < 160
