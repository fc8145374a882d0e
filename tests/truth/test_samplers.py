"""Distributions of functions with known answers: angles, exact differences of mass, a sampler against itself."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from pindown import compare_samplers
from pindown.engine.settings import Settings
from pindown.errors import CheckpointError, InputError
from pindown.network import function_statistics as stats
from pindown.network.ensemble_training import EnsembleOptimiser, train_ensemble
from pindown.network.function_sample import FunctionSample
from pindown.network.perceptrons import PerceptronPrior
from pindown.network.random_solutions import random_solutions

LINE = PerceptronPrior((2, 1), bias_std=0.0)


def fan(angles: list[float]) -> torch.Tensor:
    return torch.tensor([[math.cos(a), math.sin(a)] for a in angles])


def boolean(m: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All inputs, the target 0011…, and a random training set of ``m`` inputs."""
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=7)))
    return x, (x[:, 5] > 0.5).long(), torch.randperm(128, generator=torch.Generator().manual_seed(seed))[:m]


@pytest.mark.parametrize(("angle", "law"), [(0.4, "normal"), (1.3, "normal"), (2.6, "normal")])
def test_a_perceptron_in_the_plane_has_its_angle_over_two_pi(angle: float, law: str) -> None:
    found = random_solutions(LINE, fan([0.0, angle]), torch.tensor([1, 1]), count=60_000, seed=1)
    exact = -math.log2((math.pi - angle) / (2 * math.pi))
    assert found.bits.stderr < 0.02
    assert abs(found.bits.value - exact) < 4 * found.bits.stderr


def test_functions_of_a_perceptron_have_the_angles_between_their_boundaries() -> None:
    """On n directions a line has 2n functions, each with the angle between neighbouring boundaries over 2π."""
    angles = [0.0, 0.5, 1.7]
    draws = LINE.labels(LINE.sample(200_000, rng=torch.Generator().manual_seed(2)), fan(angles))
    codes = (draws * torch.tensor([4, 2, 1])).sum(1).bincount(minlength=8) / len(draws)
    gaps = [0.5, 1.2, math.pi - 1.7]
    want = sorted([g / (2 * math.pi) for g in gaps] * 2)
    assert sorted(v for v in codes.tolist() if v) == pytest.approx(want, abs=0.004)


def test_hidden_layers_that_are_shared_bias_nothing() -> None:
    """Pairs of shared layers against one draw at a time, on an event of 4.6 bits."""
    prior = PerceptronPrior((7, 6, 4, 1), activation="tanh")
    x, y, train = boolean(6, seed=3)
    found = random_solutions(prior, x[train], y[train], count=40_000, seed=3)
    apart = prior.sample(60_000, rng=torch.Generator().manual_seed(4))
    share = float((prior.margins(apart, x[train], y[train]).amin(1) > 0).double().mean())
    error = math.sqrt((1 - share) / share / 60_000) / math.log(2)
    assert found.bits.stderr < 0.1
    assert abs(found.bits.value + math.log2(share)) < 4 * math.hypot(found.bits.stderr, error)
    assert bool((prior.margins(found.points, x[train], y[train]).amin(1) > 0).all())


def test_the_error_of_shared_layers_is_that_of_blocks() -> None:
    """Over seeds the bits spread as the stated error says; an error over pairs would be far too small."""
    prior = PerceptronPrior((7, 6, 1))
    x, y, train = boolean(8, seed=5)
    runs = [random_solutions(prior, x[train], y[train], count=10**9, draws=2**19, seed=s) for s in range(24)]
    spread = np.std([r.bits.value for r in runs], ddof=1)
    stated = np.mean([r.bits.stderr for r in runs])
    naive = np.mean([math.sqrt(1 / len(r)) / math.log(2) for r in runs])
    assert 0.6 < spread / stated < 1.6  # 95% of a ratio with 23 degrees of freedom, and the error of the error
    assert spread > 2 * naive


@pytest.mark.slow
def test_splitting_agrees_with_rejection() -> None:
    prior = PerceptronPrior((7, 4, 1))
    x, y, train = boolean(10, seed=6)
    one = random_solutions(prior, x[train], y[train], count=4000, seed=7, engine="rejection")
    other = random_solutions(prior, x[train], y[train], count=100, seed=7, engine="splitting")
    assert other.engine == "splitting"
    assert other.bits.stderr < 0.3
    assert abs(one.bits.value - other.bits.value) < 4 * math.hypot(one.bits.stderr, other.bits.stderr)
    assert bool((prior.margins(other.points, x[train], y[train]).amin(1) > 0).all())


@pytest.mark.parametrize("engine", ["rejection", "splitting"])
def test_large_margins_of_a_perceptron_have_their_normal_tail(engine: str) -> None:
    """Inputs e1 and e2 see one weight each, N(0, ½): P(both margins > γ) = Q(γ√2)², 9.2 bits at γ = 1.2."""
    gamma = 1.2
    exact = -2 * math.log2(0.5 * math.erfc(gamma))
    found = random_solutions(
        LINE, torch.eye(2), torch.tensor([1, 1]), count=600, draws=2**22, margin=gamma, engine=engine, repeats=8,
        settings=Settings(splitting_particles=300), seed=3,
    )  # fmt: skip
    assert found.engine == engine
    assert found.bits.stderr < 0.15
    assert abs(found.bits.value - exact) < 4 * found.bits.stderr
    assert float(found.margins.min()) >= gamma - 1e-6
    assert len(found.groups.unique()) >= 4
    beyond = -2 * math.log2(0.5 * math.erfc(gamma + 0.1))
    assert abs(found.bits.value - beyond) > 4 * found.bits.stderr  # the control: a tenth more would be seen


def clustered(groups: int, each: int, seed: int) -> FunctionSample:
    """Draws in groups that agree among themselves: each group shows its own function nine times of ten."""
    rng = np.random.default_rng(seed)
    own = rng.geometric(0.15, groups)
    codes = np.where(rng.random((groups, each)) < 0.9, own[:, None], rng.geometric(0.15, (groups, each))).ravel()
    labels = (codes[:, None] >> np.arange(12)) & 1
    return FunctionSample(labels.astype(np.int64), np.repeat(np.arange(groups), each), groups * each)


def test_the_error_of_grouped_draws_is_that_of_groups() -> None:
    """Over seeds the separation spreads as its error says; an error over draws would be several times too small."""
    inputs = torch.eye(12)
    rng = np.random.default_rng(11)
    values, errors, naive = [], [], []
    for s in range(40):
        runs = torch.as_tensor((rng.geometric(0.3, 400)[:, None] >> np.arange(12)) & 1)
        found = compare_samplers(runs, clustered(16, 40, s), inputs, splits=30, seed=s).held_out_total_variation
        share = (1 + found.value) / 2
        values.append(found.value)
        errors.append(found.stderr)
        naive.append(math.sqrt(share * (1 - share) * (1 / 400 + 1 / 640)))
        assert found.dof == 15
    spread = float(np.std(values, ddof=1))
    assert 0.6 < np.mean(errors) / spread < 1.6  # 39 degrees of freedom, and the error's own error
    assert np.mean(naive) < 0.5 * spread


def geometric(n: int, p: float, seed: int) -> torch.Tensor:
    """Draws of a geometric distribution over functions of 16 inputs: many are rare."""
    k = np.random.default_rng(seed).geometric(p, n)
    return torch.as_tensor((k[:, None] >> np.arange(16)) & 1)


def test_a_sampler_against_itself_is_its_null() -> None:
    inputs = torch.eye(16)
    outcomes = [
        compare_samplers(geometric(400, 0.01, 2 * s), geometric(1200, 0.01, 2 * s + 1), inputs, splits=40, seed=s)
        for s in range(12)
    ]
    excess = np.asarray([o.excess.value for o in outcomes])
    assert abs(excess.mean()) < 4 * excess.std(ddof=1) / math.sqrt(12) + 0.005
    assert np.mean([o.null.value for o in outcomes]) > 0.2  # the uncorrected figure alone would look like a difference
    held = np.asarray([o.held_out_total_variation.value for o in outcomes])
    assert abs(held.mean()) < 0.03
    assert np.mean([o.corrected_total_variation.value for o in outcomes]) < np.mean(
        [o.total_variation.value for o in outcomes]
    )
    assert np.mean([o.p_value < 0.05 for o in outcomes]) <= 0.25  # fewer than 1 of 12 expected


def test_two_geometric_samplers_differ_by_what_they_differ() -> None:
    inputs = torch.eye(16)
    p, q = 0.02, 0.01
    k = np.arange(1, 20_000)
    a, b = p * (1 - p) ** (k - 1), q * (1 - q) ** (k - 1)
    exact = 0.5 * np.abs(a - b).sum()
    found = compare_samplers(geometric(3000, p, 1), geometric(6000, q, 2), inputs, splits=60)
    assert found.held_out_total_variation.value < exact + 3 * found.held_out_total_variation.stderr
    assert found.held_out_total_variation.value > 0.6 * exact
    assert found.total_variation.value > exact - 0.02
    assert abs(found.corrected_total_variation.value - exact) < 0.06
    assert found.p_value < 0.02
    entropy = -(a * np.log2(a)).sum()
    assert abs(found.entropy_bits.optimiser.value - entropy) < 4 * found.entropy_bits.optimiser.stderr + 0.05
    assert found.entropy_bits.optimiser.stderr < 0.1
    divergence = (a * np.log2(a / b)).sum()
    assert found.relative_entropy.value < divergence + 0.1
    assert found.relative_entropy.value > 0.5 * divergence


def test_mass_on_many_rare_functions_is_held_out_too() -> None:
    """A fifth of the runs' mass lies on 4,000 functions of which hardly any is seen twice; the other has it at one."""
    rng = np.random.default_rng(5)
    codes = np.where(rng.random(500) < 0.8, 0, rng.integers(1, 4001, 500))
    runs = torch.as_tensor((codes[:, None] >> np.arange(12)) & 1)
    found = compare_samplers(runs, torch.zeros((2000, 12), dtype=torch.long), torch.eye(12), splits=40)
    held = found.held_out_total_variation
    assert held.stderr < 0.03
    assert abs(held.value - 0.2) < 4 * held.stderr  # functions that were seen before alone would give about nothing


def test_samples_of_unequal_size_do_not_look_different() -> None:
    """One heavy-tailed distribution, 80 halves of 250 and 1250 draws: unseen mass by itself depends on the size."""
    rng = np.random.default_rng(0)
    p = np.r_[0.417, np.full(3000, 0.583 / 3000)]
    found = []
    for _ in range(80):
        a, b, a_held, b_held = (rng.multinomial(n, p).astype(float) for n in (250, 1250, 250, 1250))
        found.append(stats.held_out_separation(stats.preferred(a, b), a_held, b_held))
    assert abs(np.mean(found)) < 4 * np.std(found, ddof=1) / math.sqrt(80)
    assert np.std(found, ddof=1) / math.sqrt(80) < 0.005


def test_correlated_counts_can_differ_by_half_their_mass() -> None:
    """A tilt keeps the ranks of all but the top function and moves half of the mass to it."""
    rng = np.random.default_rng(3)
    shares = np.arange(1, 41, dtype=float) ** -1.0
    shares /= shares.sum()
    tilted = 0.5 * shares
    tilted[0] += 0.5
    bits = (np.arange(40)[:, None] >> np.arange(6)) & 1
    a = torch.as_tensor(bits[rng.choice(40, 20_000, p=tilted)])
    b = torch.as_tensor(bits[rng.choice(40, 20_000, p=shares)])
    found = compare_samplers(a, b, torch.eye(6), splits=40)
    assert found.rank_correlation.value > 0.95
    assert abs(found.total_variation.value - 0.5 * (1 - shares[0])) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_good_turing_and_chao_shen_against_plain_shares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(400, 0.3))
    counts = rng.multinomial(500, p).astype(float)
    unseen = p[counts == 0].sum()
    assert abs(stats.good_turing(counts) - unseen) < 4 * math.sqrt(2 * unseen / 500)
    exact = -(p[p > 0] * np.log2(p[p > 0])).sum()
    plain = counts[counts > 0] / 500
    plug_in = -(plain * np.log2(plain)).sum()
    assert abs(stats.chao_shen_entropy(counts) - exact) < abs(plug_in - exact)
    assert plug_in < exact - 0.2  # what the correction is for


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 30, 50).astype(float), rng.integers(1, 30, 50).astype(float)
    assert stats.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_training_is_that_of_autograd() -> None:
    """One epoch at the full batch of plain gradient descent, with momentum and with Adam, against torch.optim."""
    prior = PerceptronPrior((7, 5, 3, 1), activation="tanh")
    x, y, train = boolean(20, seed=1)
    makers = {
        EnsembleOptimiser(rate=0.3, batch=20): lambda p: torch.optim.SGD(p, 0.3),
        EnsembleOptimiser(rate=0.1, batch=20, momentum=0.9): lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        EnsembleOptimiser("adam", rate=0.02, batch=20): lambda p: torch.optim.Adam(p, 0.02),
    }
    for how, make in makers.items():
        found = train_ensemble(prior, x[train], y[train], runs=2, how=how, epochs=400, seed=5)[0]
        from pindown.rng import torch_generator

        start = prior.sample(2, rng=torch_generator(5, 0x7A1, 0))
        run = int(found.groups[0])
        model = prior.module(start[run])
        optimiser = make(model.parameters())
        for _ in range(int(found.epochs[0])):
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x[train])[:, 0], y[train].float())
            loss.backward()
            optimiser.step()
        there = torch.cat([p.detach().flatten() for p in model.parameters()])
        torch.testing.assert_close(found.points[0], there, rtol=2e-3, atol=2e-3)


def test_what_no_comparison_can_use_is_refused() -> None:
    labels = torch.randint(0, 2, (40, 4), generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="at least 2"):
        compare_samplers(labels[:1], labels, torch.eye(4))
    with pytest.raises(InputError, match="whole numbers of shape"):
        compare_samplers(labels.float(), labels, torch.eye(4))
    with pytest.raises(InputError, match="whole numbers of shape"):
        compare_samplers(labels, labels, torch.eye(3))
    x, y, train = boolean(4, seed=1)
    one_block = random_solutions(PerceptronPrior((7, 1)), x[train], y[train], count=10)
    with pytest.raises(InputError, match="independent groups"):
        compare_samplers(labels[:, :4], one_block, x[:4])


def test_rejection_goes_on_to_the_same_answer(tmp_path: Path) -> None:
    prior = PerceptronPrior((7, 4, 1))
    x, y, train = boolean(8, seed=2)
    whole = random_solutions(prior, x[train], y[train], count=4000, seed=2)
    random_solutions(prior, x[train], y[train], count=50, seed=2, checkpoint=tmp_path)
    again = random_solutions(prior, x[train], y[train], count=4000, seed=2, checkpoint=tmp_path)
    assert again.bits == whole.bits
    assert torch.equal(again.points, whole.points)
    assert torch.equal(again.groups, whole.groups)
    with pytest.raises(CheckpointError, match="another measurement"):
        random_solutions(prior, x[train], y[train], count=50, seed=3, checkpoint=tmp_path)


def test_training_leaves_the_global_random_state_alone() -> None:
    x, y, train = boolean(6, seed=1)
    before = torch.get_rng_state()
    first = train_ensemble(PerceptronPrior((7, 4, 1)), x[train], y[train], runs=4, seed=1)[0]
    again = train_ensemble(PerceptronPrior((7, 4, 1)), x[train], y[train], runs=4, seed=1)[0]
    assert torch.equal(first.points, again.points)
    assert torch.equal(torch.get_rng_state(), before)
