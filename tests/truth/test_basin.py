"""Basins whose prior mass is known: ellipsoids, one of two balls, powers, and what a wrong estimator would say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from torch import Tensor, nn

import pindown
from pindown.engine.objective import Objective
from pindown.estimate import Status
from pindown.network import bridge, radial
from pindown.network.bridge import BridgeSettings
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.subject import Solution, Subject
from pindown.spaces.network import Normal, Uniform

SEED = 0
QUICK = BridgeSettings(burn_in=24, sweeps=48, doublings=1)


def ellipsoid(scales: np.ndarray, centre: np.ndarray | None = None) -> Subject:
    """A linear regression with loss Σ aᵢ(wᵢ − mᵢ)² under w ~ N(0, I), its weights at the minimum."""
    d = scales.size
    m = torch.zeros(d, dtype=torch.float64) if centre is None else torch.as_tensor(centre)
    model = nn.Linear(d, 1, bias=False, dtype=torch.float64)
    x = torch.diag(torch.as_tensor(np.sqrt(d * scales)))
    with torch.no_grad():
        model.weight.copy_(m.unsqueeze(0))
    return Subject(model, "mse", (x, (x @ m).unsqueeze(1)), prior=Normal(0.0, 1.0))


def on_weights(loss, start: Tensor, prior=Normal(0.0, 1.0)) -> Subject:  # noqa: B008
    """A subject whose loss is any function of its weights."""
    model = nn.Linear(1, len(start), bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(start.unsqueeze(1))
    data = (torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    return Subject(model, loss, data, prior=prior)


def covers(e: pindown.Estimate, exact: float, slack: float = 0.0) -> bool:
    low, high = e.interval(0.95)
    return low - slack <= exact <= high + slack


CONDITIONED = np.geomspace(1.0, 1e4, 20)
ASIDE = np.where(np.arange(20) % 2, 0.4, -0.3)


@pytest.mark.parametrize(
    ("dim", "condition", "deep"),
    [
        (20, 1.0, 1e-3),
        (100, 1e4, 1e-3),
        (400, 1e4, 0.1),
        pytest.param(2000, 1e4, 1e-3, marks=pytest.mark.slow),
        pytest.param(2000, 1e4, 0.1, marks=pytest.mark.slow),
    ],
)
def test_rays_know_an_ellipsoid_at_any_condition(dim, condition, deep):
    """A peer's rays were thousands of bits short here. The Gaussian of the rays has to follow prior and loss alike."""
    a = np.geomspace(1.0, condition, dim)
    t = deep * float(a.sum())
    exact = references.displaced_ellipsoid(a, np.zeros(dim), t)
    point = pindown.basin(ellipsoid(a), cutoff=t, cutoffs=[], method="radial", rays=32, seed=SEED).at_cutoff
    assert point.radial is not None
    assert point.radial_spread is not None
    assert point.radial_mean is not None
    assert point.radial_spread < 1.5
    # The mean of 32 rays of 1.5 bits' spread, skewed: well within a bit. The bound costs log2(80)/8 bits more at least.
    assert abs(point.radial_mean - exact) < 0.6
    assert point.radial.kind == "upper_bound"
    assert exact - 0.01 <= point.radial.value < exact + 2.5


def test_rays_from_weights_far_from_the_priors_middle():
    a, m = CONDITIONED, 2.0 * ASIDE
    t = 30.0
    exact = references.displaced_ellipsoid(a, m, t)
    point = pindown.basin(ellipsoid(a, m), cutoff=t, cutoffs=[], method="radial", rays=128, seed=SEED).at_cutoff
    assert point.radial is not None
    assert point.radial_mean == pytest.approx(exact, abs=0.6)
    assert point.radial.value >= exact


def flat_model(subject: Subject) -> LocalGaussian:
    """What an estimator without preconditioning believes: no curvature anywhere."""
    d = subject.space().dim
    none = torch.zeros(0, dtype=torch.float64)
    return LocalGaussian(subject.solutions[0].point, 0.0, torch.zeros((0, d), dtype=torch.float64), none, none)


def test_control_plain_directions_miss_thousands_of_bits_but_stay_a_bound():
    a = np.geomspace(1.0, 1e4, 2000)
    t = 1e-3 * float(a.sum())
    exact = references.displaced_ellipsoid(a, np.zeros(2000), t)
    subject = ellipsoid(a)
    objective = Objective(subject.space(), subject.objective())
    found = radial.shoot(objective, flat_model(subject), t, 16, SEED, pilot=False)
    assert found.bits > exact + 1000.0
    assert found.bound > exact
    assert found.spread > 50.0  # and the spread tells


def test_radius_is_where_the_loss_crosses_the_cutoff():
    """A peer's search was off by up to a factor of 2, which is D bits."""
    a = np.geomspace(0.1, 10.0, 50)
    subject = ellipsoid(a)
    objective = Objective(subject.space(), subject.objective())
    g = torch.Generator().manual_seed(0)
    theta = torch.randn((40, 50), generator=g, dtype=torch.float64)
    theta /= torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    exact = np.sqrt(0.3 / (theta.square() @ torch.as_tensor(a)).numpy())
    for factor in (1e-3, 0.5, 3.0, 40.0):  # wherever the search begins
        found = radial.first_exit(
            objective, torch.zeros(50, dtype=torch.float64), theta, 0.3, factor * exact, np.full(40, 1e3), 1e-6
        )
        assert (found <= exact).all()
        assert found == pytest.approx(exact, rel=2e-6)


def test_the_first_exit_counts_not_a_later_return():
    """Shells at |w| in [0, 1] and [3, 4] lie below the cutoff; the basin of the origin is the inner one."""
    subject = on_weights(shells, torch.full((5,), 1e-3, dtype=torch.float64))
    objective = Objective(subject.space(), subject.objective())
    theta = torch.eye(5, dtype=torch.float64)
    found = radial.first_exit(
        objective, torch.zeros(5, dtype=torch.float64), theta, 0.5, np.full(5, 0.01), np.full(5, 9.0), 1e-6
    )
    assert found == pytest.approx(np.full(5, 0.75), rel=1e-5)


def shells(outputs: Tensor, targets: Tensor) -> Tensor:
    """sin²(2π|w|/3)-like bumps: below one half for |w| < 3/4, and again around 3."""
    del targets
    return torch.sin(math.pi * torch.linalg.vector_norm(outputs, dim=1) / 3.0).square().mean()


def test_bounds_hold_as_often_as_they_say_where_the_mean_does_not():
    """Plain directions on an ellipsoid of condition 100, heavy-tailed: of 60 means nearly all lie on one side."""
    a = np.geomspace(1.0, 100.0, 12)
    subject = ellipsoid(a)
    t = 0.05
    exact = references.displaced_ellipsoid(a, np.zeros(12), t)
    objective = Objective(subject.space(), subject.objective())
    found = [radial.shoot(objective, flat_model(subject), t, 16, 1000 + s, pilot=False) for s in range(60)]
    assert sum(f.bound >= exact for f in found) >= 57
    assert sum(f.bits >= exact for f in found) < 57  # the control: without the margin it would be no bound


@pytest.mark.parametrize("where", ["middle", "aside"])
def test_the_bridge_knows_an_ellipsoid(where):
    m = np.zeros(20) if where == "middle" else ASIDE
    cutoffs = [3.0, 30.0, 300.0]
    found = pindown.basin(
        ellipsoid(CONDITIONED, m), cutoff=30.0, cutoffs=cutoffs, method="bridge", settings=QUICK, seed=SEED
    )
    assert [p.cutoff for p in found.curve] == cutoffs[::-1]
    for p in found.curve:
        exact = references.displaced_ellipsoid(CONDITIONED, m, p.cutoff)
        assert p.bits is not None
        assert p.bits.kind == "estimate"
        assert p.bits.status.ok
        assert p.bits.stderr < 0.6
        assert abs(p.bits.value - exact) < 4 * p.bits.stderr + 0.1
    assert found.acceptance > 0.99  # the Gaussian part is solved exactly


APART = torch.zeros(20, dtype=torch.float64).index_fill_(0, torch.tensor(0), 2.0)


def two_balls(outputs: Tensor, targets: Tensor) -> Tensor:
    del targets
    here, there = ((outputs - s * APART).square().sum(1) for s in (1.0, -1.0))
    return torch.minimum(here, there).mean()


def test_the_basin_is_the_one_that_the_weights_lie_in():
    """Two equal balls: the whole event is one bit less deep than either basin."""
    subject = on_weights(two_balls, APART)
    found = pindown.basin(subject, cutoff=0.5, cutoffs=[1.5], settings=QUICK, rays=64, seed=SEED)
    for p in found.curve:
        exact = float(-np.log2(float(references.displaced_ball(20, 2.0, p.cutoff))))
        assert p.bits is not None
        assert p.radial is not None
        assert p.bits.stderr < 0.35
        assert abs(p.bits.value - exact) < 0.8
        assert p.bits.interval()[0] > exact - 1.0  # not both basins
        assert p.radial_mean == pytest.approx(exact, abs=0.3)
        assert p.radial.value >= exact


def fourth_power(outputs: Tensor, targets: Tensor) -> Tensor:
    del targets
    return outputs.pow(4).sum(1).mean()


@pytest.mark.slow
def test_a_flat_minimum_under_a_uniform_prior():
    """Σ w⁴ ≤ t on [−1, 1]^6: no curvature at the minimum, so the bridge starts at a tether (Dirichlet's integral)."""
    subject = on_weights(fourth_power, torch.zeros(6, dtype=torch.float64), Uniform(-1.0, 1.0))
    found = pindown.basin(subject, cutoff=1e-3, cutoffs=[1e-2], settings=QUICK, seed=SEED)
    for p in found.curve:
        exact = references.power_sum(6, 4, p.cutoff).bits
        assert p.bits is not None
        assert p.radial is not None
        assert p.bits.kind == "estimate"
        assert p.bits.stderr < 0.7
        assert abs(p.bits.value - exact) < 4 * p.bits.stderr + 0.1
        assert p.radial.value >= exact
    assert found.tether > 0  # there is no curvature to hold on to
    # V(t) ∝ t^(D/4): the curve has the slope λ = 1.5.
    high, low = (p.best.value for p in found.curve)
    assert (low - high) / math.log2(10.0) == pytest.approx(1.5, abs=0.2)


@pytest.mark.slow
def test_intervals_cover_over_forty_seeds():
    a, m = np.geomspace(1.0, 100.0, 8), ASIDE[:8]
    subject = ellipsoid(a, m)
    exact = references.displaced_ellipsoid(a, m, 0.2)
    small = BridgeSettings(particles=48, chains=8, burn_in=18, sweeps=24, doublings=1)
    hits, refused = 0, 0
    for seed in range(40):
        e = pindown.basin(
            subject, cutoff=0.2, cutoffs=[], method="bridge", repeats=4, settings=small, seed=200 + seed
        ).bits
        hits += covers(e, exact)
        refused += not e.status.ok
    assert hits >= 36
    assert refused <= 4


def test_control_a_wrong_integral_at_the_start_is_seen(monkeypatch):
    """The same bridge from a Gaussian whose determinant was forgotten."""
    a = CONDITIONED
    exact = references.displaced_ellipsoid(a, np.zeros(20), 30.0)
    kept = bridge._Bridge.log_mass
    subject = ellipsoid(a)

    def forgotten(self, stats):
        gamma, beta, _ = self.path[0]
        return kept(self, stats) + 0.5 * float(self.local.at(gamma, beta).log_determinant[0])

    monkeypatch.setattr(bridge._Bridge, "log_mass", forgotten)
    e = pindown.basin(subject, cutoff=30.0, cutoffs=[], method="bridge", repeats=2, settings=QUICK, seed=SEED).bits
    assert not covers(e, exact)


def test_control_chains_that_do_not_move_are_no_estimate(monkeypatch):
    subject = on_weights(fourth_power, torch.zeros(6, dtype=torch.float64), Uniform(-1.0, 1.0))
    monkeypatch.setattr(
        bridge, "trajectories", lambda o, model, stages, w, s, rng: torch.zeros(len(stages), dtype=torch.float64)
    )
    e = pindown.basin(
        subject, cutoff=1e-4, cutoffs=[], method="bridge", repeats=2, settings=BridgeSettings(sweeps=12, doublings=0)
    ).bits  # fmt: skip
    assert e.status is Status.NOT_CONVERGED
    assert e.kind == "upper_bound"


def relu_network() -> Subject:
    g = torch.Generator().manual_seed(5)
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.8 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    x = torch.randn((40, 2), generator=g, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
    return Subject(model, "mse", (x, y), prior=Normal(0.0, 1.0))


def rescaled(subject: Subject, factor: float) -> Solution:
    point = subject.solutions[0].point.clone()
    space = subject.space()
    for name, f in (("0.weight", factor), ("0.bias", factor), ("2.weight", 1.0 / factor)):
        point[space.slices[name]] *= f
    assert float(subject.losses(point.unsqueeze(0))) == pytest.approx(0.0, abs=1e-20)
    return Solution("rescaled", point)


def test_rescaling_a_relu_layer_moves_the_rays():
    """w₁ → 10 w₁, w₂ → w₂/10 is the same function; straight lines from there reach another part of its basin."""
    subject = relu_network()
    before, after = (
        pindown.basin(subject, solution=s, cutoff=0.02, cutoffs=[], method="radial", seed=SEED).at_cutoff
        for s in (0, rescaled(subject, 10.0))
    )
    assert before.radial is not None
    assert after.radial is not None
    assert after.radial.value > before.radial.value + 20.0


@pytest.mark.slow
def test_rescaling_a_relu_layer_does_not_move_the_basin():
    """The way back lies inside the basin (Dinh et al. 2017), and the chains find it."""
    subject = relu_network()
    before, after = (
        pindown.basin(subject, solution=s, cutoff=0.02, cutoffs=[], method="bridge", seed=SEED).bits
        for s in (0, rescaled(subject, 10.0))
    )
    assert before.status.ok
    assert after.status.ok
    assert max(before.stderr, after.stderr) < 1.0
    low, high = pindown.Estimate(
        after.value - before.value, math.hypot(before.stderr, after.stderr), "bits", dof=3
    ).interval(0.99)
    assert low <= 0.0 <= high
