"""Points whose singularity is known: normal crossings, powers, tied weights; what every sampler makes of them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from coefficients import LEVEL, complaints, of_weights
from torch import Tensor, nn

import pindown
from pindown import LearningCoefficient, Subject, learning_coefficient
from pindown.network.localised_engine import tempered_mean

SAMPLERS = ("hamiltonian", "mala", "sgld", "psgld", "engine")
NBETA = (1e2, 1e3, 1e4)


def crossing_at(nbeta: float, b: int) -> float:
    """E[nβ w₁² w₂ᵇ] under exp(−nβ w₁² w₂ᵇ − |w|²/2), with w₁ integrated by hand and ln |w₂| on a grid.

    ∫ exp(−(2a + 1) w²/2) dw = √(2π/(2a + 1)) with a = nβ w₂ᵇ, and the mean of a w₁² is a/(2a + 1).
    """
    w = np.exp(np.linspace(-40.0, 3.0, 400_001))
    a = nbeta * w**b
    weight = w * np.exp(-0.5 * w * w) / np.sqrt(1.0 + 2.0 * a)
    return float((weight * a / (1.0 + 2.0 * a)).sum() / weight.sum())


@cache
def crossing(b: int, method: str) -> LearningCoefficient:
    subject = of_weights(lambda w: w[:, 0].square() * w[:, 1].pow(b), 2)
    return learning_coefficient(
        subject, method, nbeta=NBETA, localisation=1.0, self_check=False, precision=0.08, budget=60_000
    )


def crossing_complaints(found: LearningCoefficient, b: int, truth: float) -> list[str]:
    """What is wrong with the curve, and with λ where there is one; empty where they are right."""
    out: list[str] = []
    for p in found.points:
        if not p.converged:
            continue
        exact, (low, high) = crossing_at(p.nbeta, b), p.estimate.interval(LEVEL)
        if not low <= exact <= high:
            out.append(f"{p.estimate} at nβ = {p.nbeta:g} where {exact:.4f} is exact")
        if not p.estimate.stderr < 0.25 * exact:
            out.append(f"standard error {p.estimate.stderr} at nβ = {p.nbeta:g}")
    if found.status.ok:
        low, high = found.interval(LEVEL)
        if not low <= truth <= high:
            out.append(f"{found} where {truth} is exact")
        if not found.stderr < 0.4 * truth:
            out.append(f"standard error {found.stderr}")
    return out


def test_the_curve_of_a_crossing_tends_to_its_coefficient_with_its_multiplicity() -> None:
    """w₁²w₂²: λ = 1/2 of multiplicity 2, so that λ̂ is short by 1/ln nβ; w₁²w₂⁴: λ = 1/4 of multiplicity 1."""
    assert crossing_at(1e10, 4) == pytest.approx(0.25, abs=1e-3)
    steps = [1.0 / (0.5 - crossing_at(x, 2)) for x in (1e8, 1e12)]
    assert (steps[1] - steps[0]) / math.log(1e4) == pytest.approx(1.0, abs=0.02)  # (m − 1)/(ln nβ + c) with m = 2


@pytest.mark.slow
def test_a_normal_crossing_of_multiplicity_two() -> None:
    found = crossing(2, "auto")
    assert found.status.ok
    assert crossing_complaints(found, 2, 0.5) == []


@pytest.mark.slow
def test_another_crossing_is_refused() -> None:
    """Control: the curve is told from that of w₁²w₂⁴, and λ from half the number of weights, which is 1."""
    found = crossing(2, "auto")
    assert crossing_complaints(found, 4, 0.25) != []
    low, high = found.interval()  # that of 99.9% from four repeats of the engine says little
    assert not low <= 1.0 <= high


@pytest.mark.slow
@pytest.mark.parametrize("method", SAMPLERS)
@pytest.mark.parametrize(("b", "truth"), [(2, 0.5), (4, 0.25)])
def test_normal_crossings_through_every_sampler(b: int, truth: float, method: str) -> None:
    assert crossing_complaints(crossing(b, method), b, truth) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", SAMPLERS)
@pytest.mark.parametrize("power", [2, 4, 6])
def test_powers_through_every_sampler(power: int, method: str) -> None:
    """Σ wᵢ^{2k} over 8 weights: λ = 8/2k at all inverse temperatures; the budget is small, and the interval says so."""
    subject = of_weights(lambda w: w.pow(power).sum(-1), 8)
    found = learning_coefficient(
        subject, method, nbeta=[3e3, 3e4, 3e5], localisation=1.0, self_check=False, precision=0.03, budget=60_000
    )
    truth, wrong = 8.0 / power, 4.0 if power > 2 else 2.0  # half the number of weights, for a bowl half of that
    assert found.evaluations <= 1.5 * 60_000
    if found.status.ok:
        low, high = found.interval(LEVEL)
        assert low <= truth <= high
        assert found.stderr < 0.2 * truth
    assert complaints(found, wrong) != []


@pytest.mark.slow
@pytest.mark.parametrize("power", [2, 4, 6])
def test_powers_by_the_automatic_choice_at_its_default_settings(power: int) -> None:
    found = learning_coefficient(
        of_weights(lambda w: w.pow(power).sum(-1), 8), nbeta=[3e3, 3e4, 3e5], localisation=1.0, self_check=False
    )
    assert complaints(found, 8.0 / power) == []


@pytest.mark.parametrize("b", [2, 4])
def test_the_tempered_mean_of_a_curve_is_that_of_chains(b: int) -> None:
    """λ̂ from the volume of w₁²w₂ᵇ under a normal, at a million points drawn from it, against quadrature."""
    w = torch.randn(1_000_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = np.sort((w[:, 0].square() * w[:, 1].pow(b)).numpy())
    volume = np.log(np.arange(1, loss.size + 1) / loss.size)
    for nbeta in NBETA:
        value, below = tempered_mean(loss[1000:], volume[1000:], nbeta)
        assert value == pytest.approx(crossing_at(nbeta, b), rel=0.01)
        assert below < 0.1
    x = np.geomspace(1e-3, 1.0, 4000)
    assert tempered_mean(x, 7.0 * np.log(x), 1e2)[0] == pytest.approx(7.0, rel=0.01)
    assert tempered_mean(x, 7.0 * np.log(x), 1e4)[1] > 0.1  # the curve ends above the mean: it is told


class Tied(nn.Module):
    """One weight vector applied to two inputs."""

    def __init__(self, dim: int, *, tied: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(dim, 1, bias=False), nn.Linear(dim, 1, bias=False)
        nn.init.ones_(self.a.weight), nn.init.ones_(self.b.weight)
        if tied:
            self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x[:, 0]) + self.b(x[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize(("tied", "truth"), [(True, 2.0), (False, 4.0)])
def test_tied_weights_count_once(tied: bool, truth: float) -> None:
    """Linear regression on u + v by one vector of 4 weights, or on (u, v) by two of them: λ is 2, or 4."""
    x = torch.randn(64, 2, 4, generator=torch.Generator().manual_seed(0))
    model = Tied(4, tied=tied)
    with torch.no_grad():
        subject = Subject(model, "mse", (x, model(x)))
    found = learning_coefficient(subject, nbeta=[100.0, 400.0], localisation=0.1, self_check=False, precision=0.05)
    assert found.dim == subject.space().dim == 2 * truth
    assert complaints(found, truth, within=0.1) == []
    assert complaints(found, 6.0 - truth, within=0.1) != []


def test_half_the_rank_of_tied_weights_counts_them_once() -> None:
    x = torch.randn(64, 2, 4, generator=torch.Generator().manual_seed(0))
    for tied, truth in ((True, 2.0), (False, 4.0)):
        model = Tied(4, tied=tied)
        with torch.no_grad():
            found = pindown.spectrum(Subject(model, "mse", (x, model(x))))
        assert found.laplace is not None
        assert found.laplace.value == truth
