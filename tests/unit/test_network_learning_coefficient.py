"""The parts of the learning coefficient: losses, minibatches, groups, records, resuming, refusals, checkpoints."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from network_zoo import ZOO, Case
from torch import Tensor, nn

from pindown import (
    CheckpointError,
    Estimate,
    EstimationError,
    InputError,
    LearningCoefficient,
    LearningCurve,
    Status,
    Subject,
    learning_coefficient,
    learning_coefficient_over_training,
)
from pindown.engine.moves import Chains
from pindown.network.convergence import Agreement, burn_in
from pindown.network.learning_coefficient import METHODS
from pindown.network.learning_coefficient_result import SelfCheck
from pindown.network.linear_check import localised_linear
from pindown.network.localised import LocalLoss, LocalPosterior, moving_coordinates
from pindown.network.localised_runs import localise, plan_run
from pindown.network.minibatches import Minibatches
from pindown.network.over_training import checkpoint_files
from pindown.network.posterior_chains import Hamiltonian, Langevin
from pindown.network.posterior_runs import ChainRun

QUICK = {"self_check": False, "precision": 0.2, "localisation": 1.0, "nbeta": [10.0, 40.0]}


def small(dim: int = 3, n: int = 200) -> Subject:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, dim, generator=g)
    model = nn.Linear(dim, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.ones(1, dim))
        y = model(x)
    return Subject(model, "mse", (x, y), name="small")


@pytest.fixture(scope="module")
def found() -> LearningCoefficient:
    return learning_coefficient(small(), groups={"all": "*"}, precision=0.1, nbeta=[10.0, 40.0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", [[4, 2], [4, 3, 5, 2]])
def test_sufficient_statistics_are_the_networks_own_loss(bias: bool, widths: list[int]) -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=g).double(), torch.randn(60, 2, generator=g).double()
    layers = [nn.Linear(a, b, bias=bias, dtype=torch.float64) for a, b in itertools.pairwise(widths)]
    subject = Subject(nn.Sequential(*layers), "mse", (x, y), batch_size=25)
    local = LocalLoss(subject, subject.solutions[0].point)
    assert local.path == "linear"
    points = subject.space().sample(5, rng=g)
    value, slope = local.evaluator.value_and_gradient(points)
    wanted, wanted_slope = subject.objective().value_and_gradient(points)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(slope, wanted_slope)
    with_relu = Subject(nn.Sequential(layers[0], nn.ReLU(), nn.Linear(widths[1], 2).double()), "mse", (x, y))
    assert LocalLoss(with_relu, with_relu.solutions[0].point).path == "layered"


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_minibatches_are_the_models_own_loss_on_their_examples(case: Case) -> None:
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), prior=case.prior, batch_size=5)
    point = subject.solutions[0].point
    local = LocalLoss(subject, point)
    batches = Minibatches(local, 4)
    rng = torch.Generator().manual_seed(1)
    batch = next(batches.draw(3, rng))
    rows, u = batch.rows, 0.1 * torch.randn(3, local.dim, generator=rng)
    value, slope = batches.excess_and_gradient(u, batch)
    for i in range(3):
        own = Subject(model, "cross_entropy", (x[rows[i]], y[rows[i]]), prior=case.prior)
        both, wanted = own.objective().value_and_gradient(torch.stack([point + u[i], point]))
        torch.testing.assert_close(value[i], (both[0] - both[1]).double(), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(slope[i], wanted[0], rtol=1e-3, atol=2e-4 * float(wanted[0].abs().max()))
    zero, _ = batches.excess_and_gradient(torch.zeros(3, local.dim), batch)
    assert float(zero.abs().max()) < 1e-6  # paired: at the weights themselves every minibatch says nothing
    batches.rows = 2  # chains in two groups
    for whole, apart in zip((value, slope), batches.excess_and_gradient(u, batch), strict=True):
        torch.testing.assert_close(whole, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [64_000_000, 1, 700], ids=["all at once", "one by one", "two by two"])
def test_minibatches_of_many_steps_are_drawn_together_where_they_fit(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pindown.network.minibatches._BYTES", memory)
    subject = small()
    local = LocalLoss(subject, subject.solutions[0].point)
    batches = Minibatches(local, 8)
    steps = list(batches.draw(2, torch.Generator().manual_seed(0), 5))
    assert len(steps) == 5
    x, y = subject.examples.items[0]
    assert isinstance(x, Tensor)
    for step in steps:
        assert isinstance(step.inputs, Tensor)
        assert torch.equal(step.inputs, x[step.rows])
        assert torch.equal(step.targets, y[step.rows])
    assert len({tuple(r.tolist()) for step in steps for r in step.rows}) == 10  # each its own


def test_minibatches_of_chains_differ_and_their_mean_is_the_loss() -> None:
    subject = small()
    local = LocalLoss(subject, subject.solutions[0].point)
    batches = Minibatches(local, 8)
    batch = next(batches.draw(4000, torch.Generator().manual_seed(0)))
    assert len({tuple(r.tolist()) for r in batch.rows[:50]}) == 50
    u = torch.full((1, 3), 0.3)
    value, _ = batches.excess_and_gradient(u.expand(4000, -1), batch)
    wanted = float(local.excess(u))
    assert abs(float(value.mean()) - wanted) < 4 * float(value.std()) / math.sqrt(4000)


def test_only_a_groups_coordinates_move() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    subject = Subject(model, "mse", (x, model(x).detach()))
    moving = moving_coordinates(subject, "2.*")
    local = LocalLoss(subject, subject.solutions[0].point, moving)
    assert local.dim == 3
    points = local.weights(torch.ones(2, 3))
    assert torch.equal(points[:, :8], subject.solutions[0].point[:8].expand(2, -1))
    assert torch.allclose(points[:, 8:], subject.solutions[0].point[8:] + 1.0)
    with pytest.raises(InputError, match="matches no parameter"):
        moving_coordinates(subject, "9.*")
    named = learning_coefficient(subject, groups="layers", budget=5_000, **QUICK).groups
    assert list(named) == ["0", "2"]
    assert [g.dim for g in named.values()] == [8, 3]


@pytest.mark.parametrize("kind", ["hamiltonian", "mala", "sgld"])
def test_samplers_leave_a_gaussian_as_it_is(kind: str) -> None:
    """Without a loss the posterior is the localisation itself: unit variance, whatever was started from."""
    subject = small()
    local = LocalLoss(subject, subject.solutions[0].point)
    posterior = LocalPosterior(local, 4.0)
    beta = torch.full((2,), 1e-9, dtype=torch.float64)
    if kind == "hamiltonian":
        sampler: Hamiltonian | Langevin = Hamiltonian(posterior, beta, tested=0)
    else:
        sampler = Langevin(posterior, beta, rejects=kind == "mala", preconditioned=False)
    run = ChainRun(sampler, 16, 30, torch.Generator().manual_seed(0))
    run.warm_up(lambda share: None)
    run.record(100, lambda share: None)
    squared = run.traces.distance.numpy()  # |w − w*|² has mean 3/γ
    assert abs(squared.mean() - 0.75) < 0.08
    assert run.sweeps == 100


def test_a_run_goes_on_from_its_state() -> None:
    def fresh() -> ChainRun:
        subject = small()
        local = LocalLoss(subject, subject.solutions[0].point)
        beta = torch.tensor([5.0, 5.0], dtype=torch.float64)
        sampler = Hamiltonian(LocalPosterior(local, 1.0), beta, tested=0)
        return ChainRun(sampler, 4, 20, torch.Generator().manual_seed(3))

    whole = fresh()
    whole.warm_up(lambda share: None)
    whole.record(10, lambda share: None)
    state = whole.state()
    whole.record(10, lambda share: None)
    half = fresh()
    half.restore(state)
    half.record(10, lambda share: None)
    assert torch.equal(whole.traces.excess, half.traces.excess)
    assert isinstance(half.chains, Chains)


def test_the_self_check_knows_what_the_localisation_makes() -> None:
    """At γ = nβh half of every direction's ½ is left: λ̂ = d/4 on inputs whose second moments are one."""
    x = torch.linalg.qr(torch.randn(64, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0] * 8.0
    model = nn.Linear(5, 1, bias=False, dtype=torch.float64)
    subject = Subject(model, "mse", (x, model(x).detach()))
    assert localised_linear(subject, 30.0, 60.0) == pytest.approx(1.25, rel=1e-6)
    assert localised_linear(subject, 1e6, 1.0) == pytest.approx(2.5, rel=1e-5)
    half = SelfCheck(2.5, Estimate(1.3, 0.1, "1", reference="linear model"), -1.2, 1.25)
    assert "where the localisation alone makes -50.0%" in str(half)
    assert "localisation" not in str(SelfCheck(2.5, half.estimate, -1.2, 2.49))
    assert SelfCheck.from_dict({k: v for k, v in half.to_dict().items() if k != "localised"}).localised is None


def test_the_record_comes_back(found: LearningCoefficient) -> None:
    text = json.dumps(found.to_dict(), allow_nan=False)
    again = LearningCoefficient.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert again.value == found.value
    assert again.interval() == found.interval()
    assert "self-check" in found.summary()
    assert found.self_check is not None
    assert abs(found.self_check.error) < 0.2 * found.self_check.truth
    assert set(found.to_dataframe()["group"]) == {"small", "all"}
    assert "small" in found._repr_html_()
    assert found.choices["method"]
    assert found.burn_in > 0
    with pytest.raises(CheckpointError, match="schema"):
        LearningCoefficient.from_dict({"schema": "pindown/audit/1"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        LearningCoefficient.from_dict({"schema": "pindown/learning-coefficient/1"})


def test_same_seed_same_answer_and_no_trace() -> None:
    subject = small()
    before = torch.get_rng_state()
    weights = subject.module.weight.detach().clone()
    first, second = (learning_coefficient(subject, seed=3, **QUICK) for _ in range(2))
    assert first.value == second.value
    assert learning_coefficient(subject, seed=4, **QUICK).value != first.value
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(subject.module.weight, weights)


def test_it_resumes_and_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    subject = small()
    plain = learning_coefficient(subject, **QUICK)
    kept = learning_coefficient(subject, checkpoint=tmp_path, **QUICK)
    again = learning_coefficient(subject, checkpoint=tmp_path, **QUICK)
    assert plain.value == kept.value == again.value
    with pytest.raises(CheckpointError, match="another measurement"):
        learning_coefficient(subject, seed=1, checkpoint=tmp_path, **QUICK)
    (tmp_path / "all.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        learning_coefficient(subject, checkpoint=tmp_path, **QUICK)


def test_an_interrupted_run_gives_the_same_answer(tmp_path: Path) -> None:
    subject = small()
    options = {**QUICK, "precision": 0.04, "nbeta": 20.0}

    def stop(share: float, text: str) -> None:
        if text.endswith("sampling") and share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learning_coefficient(subject, checkpoint=tmp_path, progress=stop, **options)
    assert (tmp_path / "all.pt").exists()
    resumed = learning_coefficient(subject, checkpoint=tmp_path, **options)
    assert resumed.value == learning_coefficient(subject, **options).value
    assert resumed.evaluations > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gibbs"}, "one of auto"),
        ({"chains": 6}, "multiple of four"),
        ({"precision": 0.0}, "between 0 and 1"),
        ({"budget": 0}, "1 or more"),
        ({"localisation": -1.0}, "above 0"),
        ({"nbeta": [0.0]}, "above 0"),
        ({"groups": "nothing.*"}, "matches no parameter"),
        ({"point": torch.zeros(2)}, "wanted"),
        ({"point": torch.full((3,), math.nan)}, "finite"),
    ],
)
def test_bad_input_is_refused_before_any_work(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        learning_coefficient(small(), **options)
    with pytest.raises(InputError, match=r"wanted a pindown\.Subject"):
        learning_coefficient(nn.Linear(2, 1))  # type: ignore[arg-type]
    assert "hamiltonian" in METHODS


def test_a_loss_that_breaks_is_no_figure_and_never_nan() -> None:
    """Finite at the weights, infinite around them: a lower bound of zero with its status."""

    def loss(out: Tensor, targets: Tensor) -> Tensor:
        return torch.where(out.abs().sum() > calm, torch.full_like(out[0, 0], torch.inf), (out**2).mean())

    calm = math.inf
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    subject = Subject(model, loss, (torch.ones(4, 2), torch.zeros(4, 1)), prior="lecun")
    calm = 1e-12
    found = learning_coefficient(subject, budget=500, **QUICK)
    assert not found.status.ok
    assert math.isfinite(found.value)
    with pytest.raises(EstimationError):
        learning_coefficient(subject, budget=500, strict=True, **QUICK)


def test_the_burn_in_follows_the_drift() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=400)
    assert burn_in(flat) == 0
    assert burn_in(flat + 30 * np.exp(-np.arange(400) / 20)) > 0
    assert Agreement.of(flat[:8], flat[8:16], 1.0, paired=False).agrees
    assert not Agreement.of(flat[:8], flat[8:16] + 30, 1.0, paired=False).agrees


def test_checkpoints_of_a_training_run(tmp_path: Path) -> None:
    subject = small()
    for step, scale in ((100, 0.5), (20, 0.2), (3, 0.0)):
        torch.save({"state_dict": {"weight": torch.full((1, 3), scale)}}, tmp_path / f"step-{step}.pt")
    assert [f.stem for f in checkpoint_files(tmp_path)] == ["step-3", "step-20", "step-100"]
    curve = learning_coefficient_over_training(subject, tmp_path, **QUICK)
    assert curve.steps == (3, 20, 100)
    assert [p.loss_at_weights for p in curve.points] == sorted((p.loss_at_weights for p in curve.points), reverse=True)
    text = json.dumps(curve.to_dict(), allow_nan=False)
    assert json.dumps(LearningCurve.from_dict(json.loads(text)).to_dict()) == text
    assert len(curve.to_dataframe()) == 3
    assert "step-20" in curve.summary()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no checkpoint in"):
        learning_coefficient_over_training(subject, tmp_path / "empty", **QUICK)
    (tmp_path / "step-5.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="cannot be read"):
        learning_coefficient_over_training(subject, tmp_path, **QUICK)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        (torch.full((1, 3), math.nan), "a loss that is not finite at step-7"),
        (torch.ones(1, 4), r"step-7: weights that do not fit the space: weight of shape \(1, 4\)"),
    ],
)
def test_a_checkpoint_that_cannot_be_measured_is_named_before_any_sampling(weights: Tensor, named: str) -> None:
    states = {"step-1": {"weight": torch.ones(1, 3)}, "step-7": {"weight": weights}}
    told: list[str] = []
    with pytest.raises(CheckpointError, match=named):
        learning_coefficient_over_training(small(), states, progress=lambda share, text: told.append(text), **QUICK)
    assert not told
    with pytest.raises(InputError, match=r"step-7: a point of shape \(2,\)"):
        learning_coefficient_over_training(small(), {"step-7": torch.ones(2)}, **QUICK)


def test_the_engine_agrees_on_a_small_model() -> None:
    found = learning_coefficient(small(2), "engine", localisation=1.0, self_check=False, nbeta=[40.0])
    assert found.method == "engine"
    assert found.status in (Status.REACHED, Status.WIDENED)
    assert abs(found.value - 1.0) < 0.2


def test_a_budget_that_minibatches_cannot_equilibrate_on_asks_for_a_tighter_localisation() -> None:
    """Ten directions that matter, in no axis's, and fifty that only γ holds: these are what takes long."""
    g = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(60, 60, generator=g))[0][:, :10]
    x = torch.randn(1000, 10, generator=g) @ basis.T
    model = nn.Linear(60, 1, bias=False)
    local = LocalLoss(subject := Subject(model, "mse", (x, model(x).detach())), subject.solutions[0].point)

    def chosen(budget: int, batch: int | None) -> tuple[float, str, int]:
        plan = plan_run(
            local, "auto", [9.0, 36.0, 145.0], chains=8, batch_size=batch, precision=0.02, budget=budget, searches=True
        )
        return localise(local, plan, 0)

    short, words, spent = chosen(20_000, 32)
    assert short > 1.0
    assert "γ = 1 would take a budget of" in words
    assert spent <= 0.25 * 20_000
    assert chosen(1_000_000, 32)[0] == 1.0
    assert chosen(20_000, None)[0] == 1.0  # trajectories forget sooner


def test_a_budget_in_which_trajectories_cannot_agree_asks_for_a_tighter_localisation() -> None:
    """Twenty directions in no axis's, of variances from 1 to 10⁻⁶: steps for the first cross the last by thousands."""
    g = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 20, generator=g))[0]
    x = torch.randn(1000, 20, generator=g) * torch.logspace(0, -3, 20) @ basis.T
    model = nn.Linear(20, 1, bias=False)
    local = LocalLoss(subject := Subject(model, "mse", (x, model(x).detach())), subject.solutions[0].point)

    def chosen(budget: int) -> tuple[float, str, int]:
        nbeta = [9e4, 3.6e5, 1.45e6]
        plan = plan_run(
            local, "auto", nbeta, chains=8, batch_size=None, precision=0.02, budget=budget, searches=True
        )  # fmt: skip
        return localise(local, plan, 0)

    short, words, spent = chosen(20_000)
    assert short > 1.0
    assert "γ = 1 would take a budget of" in words
    assert spent <= 0.25 * 20_000
    assert chosen(2_000_000)[0] == 1.0
