"""Learning coefficients that are known: regular, deep linear, power, crossings; the bias of plain SGLD."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch
from coefficients import complaints, of_weights
from references.reduced_rank import reduced_rank_coefficient
from torch import Tensor, nn

from pindown import LearningCoefficient, Status, Subject, aoyagi, learning_coefficient
from pindown.network.convergence import read_point
from pindown.network.localised import LocalLoss, LocalPosterior
from pindown.network.minibatches import Minibatches
from pindown.network.posterior_chains import Langevin
from pindown.network.temperature_curve import fit_curve


def linear(dim: int = 20, noise: float = 0.0, seed: int = 0, n: int = 10_000, *, solved: bool = True) -> Subject:
    """Linear regression; its weights are the least-squares solution, or the true ones."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dim, generator=g)
    truth = torch.randn(1, dim, generator=g)
    y = x @ truth.T + noise * torch.randn(n, 1, generator=g)
    model = nn.Linear(dim, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T if solved else truth)
    return Subject(model, "mse", (x, y))


def deep_linear(widths: list[int], rank: int, noise: float = 0.0, n: int = 10_000, seed: int = 0) -> Subject:
    """A deep linear network at weights each of whose matrices has exactly the rank of the true map."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, widths[0], generator=g)
    bases = [torch.linalg.qr(torch.randn(w, w, generator=g))[0][:, :rank] for w in widths]
    model = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(widths)))
    with torch.no_grad():
        for i, layer in enumerate(model):
            layer.weight.copy_(bases[i + 1] @ bases[i].T)
        y = model(x)
    return Subject(model, "mse", (x, y + noise * torch.randn(y.shape, generator=g)))


@cache
def five_three_five() -> LearningCoefficient:
    return learning_coefficient(deep_linear([5, 3, 5], 0), self_check=False, precision=0.04)


def test_closed_form_is_the_two_layer_theorem() -> None:
    for m, h, n in product(range(1, 8), repeat=3):
        for r in range(min(m, h, n) + 1):
            assert aoyagi([m, h, n], r) == reduced_rank_coefficient(m, h, n, r)


@pytest.mark.parametrize(
    ("widths", "rank", "value", "multiplicity"),
    [
        ([16, 12, 12, 16], 3, 80, 3),
        ([10, 10, 10, 10], 3, 42, 3),
        ([20, 20, 20, 20], 5, Fraction(325, 2), 1),
        ([10, 10, 10, 10, 10], 2, 38, 1),
        ([5, 3, 5], 0, Fraction(13, 2), 2),
        ([20, 1], 1, 10, 1),
    ],
)
def test_closed_form_of_the_listed_networks(widths: list[int], rank: int, value: Fraction, multiplicity: int) -> None:
    assert aoyagi(widths, rank) == (value, multiplicity)


def test_closed_form_without_rank_does_not_know_the_order_of_layers() -> None:
    """At rank 0 the loss is the norm of a product, and inputs, outputs and hidden layers enter alike."""
    for widths in ([2, 5, 3, 7], [4, 4, 6, 9, 5]):
        assert len({aoyagi(list(p), 0) for p in permutations(widths)}) == 1


def test_closed_form_is_at_most_half_the_weights_and_grows_with_the_widths() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        widths = [int(w) for w in rng.integers(1, 9, size=rng.integers(2, 6))]
        rank = int(rng.integers(0, min(widths) + 1))
        value, _ = aoyagi(widths, rank)
        assert value <= Fraction(sum(a * b for a, b in pairwise(widths)), 2)
        wider = [w + 1 for w in widths]
        assert aoyagi(wider, rank)[0] >= value


@pytest.mark.parametrize("method", ["hamiltonian", "mala"])
def test_linear_regression_is_half_its_dimensions(method: str) -> None:
    found = learning_coefficient(linear(noise=0.7), method, precision=0.03, self_check=False)
    assert complaints(found, 10.0) == []
    assert complaints(found, 11.0) != []  # the negative control: a tenth off is seen


def test_true_weights_under_noise_lie_above_the_lowest_loss_and_the_curve_says_so() -> None:
    """λ̂ at n/ln n is off by nβΔ = χ²₂₀ σ²/ln n, about 11% here; the curve finds the shift."""
    subject = linear(noise=0.7, solved=False)
    found = learning_coefficient(subject, self_check=False, precision=0.015)
    assert complaints(found, 10.0) == []
    assert abs(found.points[-1].estimate.value - 10.0) > 0.5
    assert found.fit is not None
    assert found.fit.shift > 0.5


@pytest.mark.slow
def test_a_deep_linear_network_without_signal() -> None:
    assert complaints(five_three_five(), 6.5) == []


@pytest.mark.slow
def test_the_checks_refuse_the_regular_answer_for_a_singular_model() -> None:
    """The negative control: half the number of weights, which a Laplace approximation would say, is 15."""
    assert complaints(five_three_five(), 15.0) != []
    assert complaints(five_three_five(), 6.5 * 4 / 3) != []


@pytest.mark.parametrize("power", [2, 4])
def test_a_power_of_each_weight(power: int) -> None:
    """Σ wᵢ^{2k} over 8 weights: λ = 8/2k."""
    subject = of_weights(lambda w: w.pow(power).sum(-1), 8)
    found = learning_coefficient(
        subject, nbeta=[300.0, 1200.0, 4800.0], localisation=1.0, self_check=False, precision=0.015
    )
    assert complaints(found, 8.0 / power) == []


def test_dead_units_are_exact_zero_directions() -> None:
    """A hidden unit that no example reaches pins nothing: λ is that of the network without it."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(500, 2, generator=g)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.5], [0.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([1.0, -1e4]))
        model[2].weight.copy_(torch.ones(1, 2))
        y = model(x)
    found = learning_coefficient(
        Subject(model, "mse", (x, y), prior="normal"), groups={"dead out": "2.weight"}, localisation=1.0,
        self_check=False, precision=0.05, budget=60_000,
    )  # fmt: skip
    assert abs(found.groups["dead out"].value - 0.5) < 0.1  # of two weights out, one is not reached


def test_plain_sgld_has_its_known_bias() -> None:
    r"""λ̂ = ½ Σ (1 + ε(nβ)²hᵢ/4B) / (1 − ε nβ hᵢ/4) on linear regression.

    One step w' = (1 − ε nβ h/2) w + ε nβ g/2 + √ε ξ, with g the minibatch noise of variance C/B, has the stationary
    variance s² = (1 + ε (nβ)² C/4B) / (nβ h (1 − ε nβ h/4)); λ̂ is ½ nβ h s². Under L = (y − wx)² with noise of
    variance ½ the gradient's variance an example is C = 4 σ² E[x²] = h = 2.
    """
    dim, n, batch, nbeta = 10, 4000, 20, 400.0
    subject = linear(dim, noise=math.sqrt(0.5), n=n)
    local = LocalLoss(subject, subject.solutions[0].point)
    epsilon, gamma = 2.5e-4, 1e-3
    beta = torch.full((1,), nbeta, dtype=torch.float64)
    sampler = Langevin(
        LocalPosterior(local, gamma), beta, rejects=False, preconditioned=False, batches=Minibatches(local, batch)
    )
    sampler.steps.step = torch.full((1,), math.sqrt(epsilon * gamma), dtype=torch.float64)
    chains, rng = sampler.start(64), torch.Generator().manual_seed(0)
    rows = [sampler.sweep(chains, beta, rng).excess[0] for _ in range(250)]
    means = nbeta * torch.stack(rows[50:]).mean(0)
    found, error = float(means.mean()), float(means.std() / 8)
    x = subject.examples.items[0][0]
    assert isinstance(x, Tensor)
    h = torch.linalg.eigvalsh(2.0 * (x.T @ x).double() / n).numpy()
    wanted = 0.5 * float(((1 + epsilon * nbeta**2 * h / (4 * batch)) / (1 - epsilon * nbeta * h / 4)).sum())
    assert wanted > 1.5 * dim / 2  # the step is coarse: without the bias the answer would be 5
    assert error < 0.1
    assert abs(found - wanted) < 0.04 * wanted + 3 * error  # the minibatch's own curvature is not in the formula


def test_coarse_steps_are_refused() -> None:
    """The same chains, read as a measurement, are called not converged."""
    rng = np.random.default_rng(0)
    excess = rng.gamma(10.0, 0.1, size=(2, 8, 400))
    excess[0] *= 1.3  # the larger step's bias
    high, none = np.full((2, 400), 0.99), np.zeros((2, 400))
    distance = rng.gamma(10.0, 0.1, size=(2, 8, 400))
    fields = {"rejects": False, "halved": True, "minibatch": True, "step_size": 0.1, "leaps": 1, "reference": ""}
    point = read_point(10.0, excess, distance, high, none, none, **fields)
    assert not point.converged
    assert point.estimate.status is Status.NOT_CONVERGED
    excess[0] /= 1.3
    assert read_point(10.0, excess, distance, high, none, none, **fields).converged
    low = np.full((2, 400), 0.9)
    assert not read_point(10.0, excess, distance, low, none, none, **fields).converged
    assert not read_point(10.0, excess, distance, high, none, np.full((2, 400), 0.1), **fields).converged


def test_a_distance_that_does_not_mix_widens_what_goes_with_it() -> None:
    rng = np.random.default_rng(0)
    excess = rng.gamma(10.0, 0.1, size=(2, 8, 400))
    one, none = np.ones((2, 400)), np.zeros((2, 400))
    fields = {"rejects": True, "halved": False, "minibatch": False, "step_size": 0.1, "leaps": 1, "reference": ""}
    apart = np.linspace(0.0, 1.0, 16).reshape(2, 8, 1)  # each chain keeps to its own distance
    errors = [
        read_point(10.0, excess, distance, one, none, none, **fields).estimate.stderr
        for distance in (excess, excess + apart, rng.gamma(10.0, 0.1, size=excess.shape) + apart)
    ]
    assert errors[1] > 3.0 * errors[0]
    assert errors[2] < 1.5 * errors[0]  # control: a distance that says nothing of the loss


def test_curve_finds_the_multiplicity_of_normal_crossings() -> None:
    """E[nβL] of w₁²w₂² on [−1, 1]² by quadrature: λ = 1/2, m = 2."""
    nbeta = np.array([1e2, 1e3, 1e4, 1e6, 1e8])
    t = np.linspace(-80.0, 0.0, 200_001)  # ln L; the density of ln L is (−t) e^{t/2} up to a constant
    exact = []
    for b in nbeta:
        weight = -t * np.exp(0.5 * t - b * np.exp(t))
        exact.append(float((b * np.exp(t) * weight).sum() / weight.sum()))
    fit = fit_curve(nbeta, exact, [0.002] * 5, most=1.0, shift=0.0)
    assert abs(fit.value - 0.5) < 0.025
    assert fit.likely_multiplicity == 2
    assert abs(exact[1] - 0.5) > 0.05  # no single inverse temperature is within 5%


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "rank"),
    [([16, 12, 12, 16], 3), ([10, 10, 10, 10], 3), ([20, 20, 20, 20], 5), ([10, 10, 10, 10, 10], 2)],
    ids=lambda v: "-".join(map(str, v)) if isinstance(v, list) else str(v),
)
def test_deep_linear_networks(widths: list[int], rank: int) -> None:
    truth = float(aoyagi(widths, rank)[0])
    assert complaints(learning_coefficient(deep_linear(widths, rank), self_check=False), truth) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mala", "sgld", "psgld"])
def test_each_sampler_is_right_or_says_that_it_is_not(method: str) -> None:
    found = learning_coefficient(deep_linear([10, 10, 10, 10], 3), method, self_check=False, budget=200_000)
    assert found.status in (Status.NOT_CONVERGED, Status.NON_FINITE) or complaints(found, 42.0) == []


@pytest.mark.slow
def test_intervals_cover_on_linear_models() -> None:
    """At least 90% of 40 intervals of 95% hold the truth: 36 of 40."""
    covered = 0
    for seed in range(40):
        subject = linear(8, noise=0.5, seed=seed, n=2000)
        found = learning_coefficient(subject, seed=seed, self_check=False, precision=0.05)
        low, high = found.interval(0.95)
        covered += low <= 4.0 <= high
        assert found.stderr < 0.5
    assert covered >= 36
