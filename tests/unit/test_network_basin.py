"""The basin and the spectrum as calls: arguments, records, checkpoints, and what the user's model goes through."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import pindown
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Status
from pindown.network import bridge, radial
from pindown.network.bridge import BridgeSettings, bennett
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.radial import Rays, log_radial_integral
from pindown.network.subject import Solution, Subject
from pindown.spaces.network import Normal, Uniform

TINY = BridgeSettings(particles=8, chains=2, moves=1, burn_in=9, sweeps=12, doublings=0, leaps=4)


def bowl(prior=Normal(0.0, 1.0), at: float = 0.3) -> Subject:  # noqa: B008
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.fill_(at)
    x = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    return Subject(model, "mse", (x, at * x.sum(1, keepdim=True)), prior=prior, name="bowl")


@pytest.fixture(scope="module")
def found() -> pindown.Basin:
    return pindown.basin(bowl(), cutoff=0.01, cutoffs=[0.1], rays=16, repeats=2, settings=TINY, seed=3)


def test_the_record_comes_back_the_same(found):
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = pindown.Basin.from_dict(json.loads(text))
    assert back == found
    assert back.bits == found.at_cutoff.bits
    assert "bowl" in back.summary()
    assert list(found.to_dataframe()["cutoff"]) == [0.1, 0.01]
    assert "<table" in found._repr_html_()
    with pytest.raises(CheckpointError, match="pindown/basin/1"):
        pindown.Basin.from_dict({"schema": "pindown/basin/0"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        pindown.Basin.from_dict({"schema": "pindown/basin/1", "curve": 3})


def test_a_spectrum_comes_back_the_same():
    s = pindown.spectrum(bowl())
    back = pindown.Spectrum.from_dict(json.loads(json.dumps(s.to_dict(), allow_nan=False)))
    assert back == s
    assert "eigenvalue 1" in set(s.to_dataframe()["figure"])
    assert "trace" in s.summary()
    assert "<table" in s._repr_html_()
    with pytest.raises(CheckpointError, match="pindown/spectrum/1"):
        pindown.Spectrum.from_dict({})
    with pytest.raises(CheckpointError, match="cannot be read"):
        pindown.Spectrum.from_dict({"schema": "pindown/spectrum/1"})


def test_the_same_seed_gives_the_same_figures(found):
    other = pindown.basin(bowl(), cutoff=0.01, cutoffs=[0.1], rays=16, repeats=2, settings=TINY, seed=4)
    assert other.curve != found.curve
    again = pindown.basin(bowl(), cutoff=0.01, cutoffs=[0.1], rays=16, repeats=2, settings=TINY, seed=3)
    assert again.curve == found.curve


@pytest.mark.slow
def test_runs_in_other_processes_are_the_same_runs(found):
    again = pindown.basin(bowl(), cutoff=0.01, cutoffs=[0.1], rays=16, repeats=2, settings=TINY, seed=3, jobs=2)
    assert [p.bits for p in again.curve] == [p.bits for p in found.curve]


class Stop(Exception):
    pass


@pytest.mark.parametrize("share", [0.7])
def test_an_interrupted_basin_resumes_to_the_same_answer(found, share, tmp_path, monkeypatch):
    monkeypatch.setattr("pindown.engine.checkpoint.Checkpoint.save", always(bridge.Checkpoint.save))
    ask = {"cutoff": 0.01, "cutoffs": [0.1], "rays": 16, "repeats": 2, "settings": TINY, "checkpoint": tmp_path}

    def stop(done: float, text: str) -> None:
        if done > share:
            raise Stop

    with pytest.raises(Stop):
        pindown.basin(bowl(), seed=3, progress=stop, **ask)
    assert list(tmp_path.iterdir())
    assert pindown.basin(bowl(), seed=3, **ask).curve == found.curve
    assert pindown.basin(bowl(), seed=3, **ask).curve == found.curve  # from finished runs alone
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.basin(bowl(), seed=4, **ask)
    (tmp_path / "basin-0.pt").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"basin-0\.pt is damaged"):
        pindown.basin(bowl(), seed=3, **ask)


def always(save):
    return lambda self, content, *, final=False: save(self, content, final=True)


def test_an_interrupted_spectrum_resumes_to_the_same_answer(tmp_path):
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    x = torch.randn((30, 5), generator=torch.Generator().manual_seed(9))
    subject = Subject(model, "mse", (x, x[:, :1]))
    ask = {"dense": False, "eigenvalues": 3, "steps": 8, "accuracy": 0.05}
    whole = pindown.spectrum(subject, **ask)

    def stop(done: float, text: str) -> None:
        if done > 0.3:
            raise Stop

    import pindown.engine.checkpoint as kept

    before = kept.Checkpoint.save
    kept.Checkpoint.save = always(before)
    try:
        with pytest.raises(Stop):
            pindown.spectrum(subject, checkpoint=tmp_path, progress=stop, **ask)
    finally:
        kept.Checkpoint.save = before
    again = pindown.spectrum(subject, checkpoint=tmp_path, **ask)
    assert again.trace == whole.trace
    assert again.log_determinant == whole.log_determinant
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.spectrum(subject, checkpoint=tmp_path, seed=1, **ask)


def test_the_model_and_the_random_state_stay_as_they_were():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).train()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    kept = {n: t.clone() for n, t in model.state_dict().items()}
    state = torch.get_rng_state()
    x = torch.eye(2)
    subject = Subject(model, "mse", (x, x[:, :1]), prior="normal")
    pindown.basin(subject, rays=16, repeats=2, settings=TINY)
    pindown.spectrum(subject)
    pindown.spectrum(subject, dense=False, steps=5)
    assert all(torch.equal(t, kept[n]) for n, t in model.state_dict().items())
    assert all(bool((p.grad == 1).all()) for p in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_a_uniform_prior_cannot_produce_are_brought_inside():
    outside = bowl(Uniform(-0.2, 0.5), at=0.3)
    point = outside.solutions[0].point.clone()
    point[0] = 0.55
    solution = Solution("crossed an end", point)
    found = pindown.basin(outside, solution=solution, cutoff=0.2, cutoffs=[], method="radial", rays=16)
    assert found.moved == 1
    assert any("outside the support" in r and "normal" in r for r in found.remarks)
    assert found.loss_at_weights <= float(outside.losses(point.unsqueeze(0))) + 1e-9


def test_a_spent_budget_leaves_a_bound():
    found = pindown.basin(bowl(), cutoff=0.01, cutoffs=[], rays=16, repeats=2, budget=1000)
    assert found.bits.status is Status.BUDGET_SPENT
    assert found.bits.kind == "upper_bound"
    assert found.at_cutoff.radial is not None
    assert found.bits.value == found.at_cutoff.radial.value
    assert any("budget" in r for r in found.remarks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cutoff": -1.0}, "above 0"),
        ({"cutoff": math.nan}, "finite losses"),
        ({"cutoffs": [0.0]}, "above 0"),
        ({"method": "both sides"}, "method"),
        ({"rays": 3}, "rays"),
        ({"repeats": 1}, "repeats"),
        ({"budget": 10}, "budget"),
        ({"jobs": 0}, "jobs"),
        ({"solution": 7}, "solution 7"),
    ],
)
def test_what_cannot_be_asked_of_a_basin_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        pindown.basin(bowl(), **({"cutoff": 0.1} | options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eigenvalues": 0}, "eigenvalues"),
        ({"accuracy": 0.0}, "accuracy"),
        ({"shift": -1.0}, "shift"),
        ({"probes": 2}, "probes"),
        ({"steps": 1}, "steps"),
        ({"budget": 1}, "budget"),
        ({"solution": -1}, "solution"),
    ],
)
def test_what_cannot_be_asked_of_a_spectrum_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        pindown.spectrum(bowl(), **options)


def test_settings_are_checked():
    with pytest.raises(InputError, match="burn_in = 2"):
        BridgeSettings(burn_in=2)


def step(outputs, targets):
    return (outputs > targets).double().mean(1)


def test_a_loss_without_a_gradient_is_refused():
    x = torch.eye(3)
    with pytest.raises(InputError, match="without a gradient"):
        pindown.basin(Subject(nn.Linear(3, 1), step, (x, x[:, :1])), cutoff=0.5)


@pytest.mark.parametrize(
    ("power", "a", "b", "radius"),
    [(0, 1.0, 0.0, 2.0), (0, 1.0, 3.0, np.inf), (9, 1.0, -2.0, 1.0), (1999, 1.0, 5.0, 30.0), (1999, 0.5, -40.0, np.inf),
     (5, 1e-3, 1e-6, np.inf), (3, 1.0, 0.0, 1e-5), (7509, 1.0, 60.0, 3.0)],
)  # fmt: skip
def test_radial_integral_against_multiprecision(power, a, b, radius):
    import mpmath as mp

    found = float(log_radial_integral(power, np.array([a]), np.array([b]), np.array([radius]))[0])
    with mp.workdps(40):
        peak = (-mp.mpf(b) + mp.sqrt(mp.mpf(b) ** 2 + 4 * mp.mpf(a) * power)) / (2 * mp.mpf(a))
        high = peak + 40 / mp.sqrt(a) if math.isinf(radius) else mp.mpf(radius)
        peak = max(min(peak, high), mp.mpf(10) ** -30)

        def log_f(r):
            return power * mp.log(r) - a * r * r / 2 - b * r

        top = log_f(peak)
        cuts = sorted({mp.mpf(10) ** -40, peak * 0.9, peak * 0.99, peak * 0.999, peak, min(peak + 1, high), high})
        exact = float(top + mp.log(mp.quad(lambda r: mp.exp(log_f(r) - top), cuts)))
    assert found == pytest.approx(exact, abs=1e-8)


def test_radial_integral_with_no_pull_is_the_incomplete_gamma_function():
    from scipy.special import gammainc, gammaln

    d, radius = 30, np.linspace(1.0, 9.0, 7)
    found = log_radial_integral(d - 1.0, np.ones(7), np.zeros(7), radius)
    exact = (d / 2 - 1) * math.log(2.0) + gammaln(d / 2) + np.log(gammainc(d / 2, radius**2 / 2))
    assert found == pytest.approx(exact, abs=1e-10)


def test_bound_of_few_rays_is_markovs():
    """One group only where there are too few rays for two: log2(4/0.05) below the mean."""
    rays = Rays(np.log(np.array([1.0, 3.0])) * np.ones(2), np.ones(2), 0.0, 1.0)
    assert rays.bits == pytest.approx(-1.0)
    assert rays.bound == pytest.approx(-1.0 + math.log2(4 / 0.05))
    lost = Rays(np.full(16, -np.inf), np.zeros(16), 0.0, 1.0)
    assert lost.bound == math.inf
    assert lost.size == 0.0
    assert radial.CONFIDENCE == 0.95


def test_bennetts_ratio_of_two_normals():
    """N(0,1) and N(0,4) unnormalised: the integrals differ by ln 2."""
    g = np.random.default_rng(0)
    a, b = g.standard_normal(200_000), 2.0 * g.standard_normal(200_000)
    difference = lambda x: x**2 / 8.0 - x**2 / 2.0  # noqa: E731
    # Both overlap well: the standard error is about 0.002.
    assert bennett(difference(a), difference(b)) == pytest.approx(-math.log(2.0), abs=0.01)
    assert abs(bennett(difference(a), difference(a)) + math.log(2.0)) > 0.1  # one side alone is no ratio


def test_local_gaussian_integrates_to_its_normaliser():
    """In two dimensions against a grid: with a tether, a slope, a centre aside, one direction curved."""
    u = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    local = LocalGaussian(
        torch.tensor([0.5, -1.0], dtype=torch.float64), 0.3, u, torch.tensor([2.0], dtype=torch.float64),
        torch.tensor([0.4], dtype=torch.float64),
    )  # fmt: skip
    gamma, beta = 0.7, 1.9
    axis = torch.linspace(-8.0, 8.0, 1601, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    x = z - local.centre
    q, _ = local.model(x)
    density = torch.exp(-0.5 * z.square().sum(1) - 0.5 * gamma * x.square().sum(1) - beta * q) / (2 * math.pi)
    metric = local.at(gamma, beta)
    total = float(density.sum()) * 0.01**2
    assert float(metric.log_normaliser[0]) == pytest.approx(math.log(total), abs=1e-9)
    mean = (density.unsqueeze(1) * x).sum(0) * 0.01**2 / total
    torch.testing.assert_close(metric.shift[0], mean, atol=1e-9, rtol=0.0)
    draws = local.at([gamma] * 100_000, [beta] * 100_000).draw(torch.Generator().manual_seed(0))
    p = torch.linalg.inv(torch.eye(2, dtype=torch.float64) * (1 + gamma) + beta * 2.0 * u.T @ u)
    torch.testing.assert_close(torch.cov(draws.T), p, atol=0.01, rtol=0.0)  # 3 standard errors of 100,000 draws
    v = torch.randn((4, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(metric.power(metric.power(v, 0.5), 0.5), v @ torch.linalg.inv(p))


def test_beta_puts_the_models_mean_loss_where_it_was_asked_for():
    h = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    local = LocalGaussian(
        torch.full((3,), 0.2, dtype=torch.float64), 0.5, torch.eye(3, dtype=torch.float64), h, 0.0 * h
    )
    beta = local.beta_for(0.3)
    x = local.at([0.0] * 200_000, [beta] * 200_000).draw(torch.Generator().manual_seed(0))
    assert float(local.model(x)[0].mean()) == pytest.approx(0.8, abs=0.005)
    assert len(local.strongest(2).curvature) == 2
    assert local.strongest(5) is local
