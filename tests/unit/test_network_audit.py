"""Audits of tiny subjects end to end: against known bits, through JSON, interrupted, and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from pindown.engine.settings import Settings
from pindown.errors import CheckpointError, InputError
from pindown.network.audit import audit, plan_audit
from pindown.network.results import Audit
from pindown.network.subject import Subject
from pindown.spaces.network import Normal

QUICK = Settings(particles=16, chains=4, burn_in=8, sweeps=16, doublings=1, warm_moves=4, warm_sweeps=8, leaps=6)
OPTIONS = {"repeats": 2, "jobs": 1, "settings": QUICK, "in_depth": False}
ROUGH_SIZES = Settings(
    particles=16, chains=2, burn_in=4, sweeps=8, doublings=0, warm_moves=2, warm_sweeps=4, leaps=4
)  # fmt: skip
ROUGH = {**OPTIONS, "settings": ROUGH_SIZES}


def ball(dim: int = 8, held_out: bool = False) -> Subject:
    """A linear layer whose mean squared error is |w|²/dim: the bits are those of a χ² ball."""
    model = nn.Linear(dim, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.05)
    data = (torch.eye(dim), torch.zeros(dim, 1))
    return Subject(model, "mse", data, held_out=data if held_out else None, prior=Normal(0, 1), name="ball")


def corners() -> tuple[Tensor, Tensor]:
    """Three points, one a class, three times each: many an untrained network has them all right."""
    return torch.eye(3).repeat(3, 1), torch.arange(9) % 3


def blobs(**options) -> Subject:
    """Three well separated classes in the plane, learned by a few steps of gradient descent."""
    g = torch.Generator().manual_seed(1)
    centres = 2.0 * torch.tensor([[0.0, 1.0], [0.9, -0.5], [-0.9, -0.5]])
    y = torch.arange(24) % 3
    x = centres[y] + 0.3 * torch.randn((24, 2), generator=g)

    def train(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(20):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[:15]), y[:15]).backward()
            optimiser.step()
        return model

    options = {"held_out": (x[15:], y[15:]), "prior": "normal", "name": "blobs", "train": train} | options
    return Subject(train(0), "cross_entropy", (x[:15], y[:15]), solutions=[train(1), train(2)], **options)


@pytest.fixture(scope="module")
def small() -> Audit:
    return audit(blobs(), seed=3, **OPTIONS)


def test_bits_of_a_ball_are_those_of_chi_square() -> None:
    """P(|w|²/8 ≤ t) for 8 independent standard normals; λ is 4 in the limit of small t."""
    result = audit(ball(held_out=True), seed=1, repeats=4, jobs=1, tolerances=[0.5, 0.1, 0.01], in_depth=False)
    measurement = result.subjects[0].primary
    for point in measurement.sweep:
        exact = -math.log2(chi2(8).cdf(8 * point.tolerance))
        low, high = point.bits.interval(0.999)
        assert low <= exact <= high
        assert point.bits.stderr < 0.6
    coefficient = measurement.at_tolerance.learning_coefficient
    assert coefficient is not None
    low, high = coefficient.interval(0.999)
    assert low <= 0.08 * chi2(8).pdf(0.08) / chi2(8).cdf(0.08) <= high  # d ln V / d ln t = x f(x) / F(x)
    assert result.subjects[0].label_bits is None
    assert len(result.subjects[0].measurements) == 1


def test_what_is_reported(small: Audit) -> None:
    (subject,) = small.subjects
    assert [m.loss for m in subject.measurements] == ["cross-entropy", "margin"]
    assert [m.primary for m in subject.measurements] == [True, False]
    assert subject.label_bits is not None
    assert subject.label_bits.value == pytest.approx(15 * math.log2(3))
    assert [s.name for s in subject.solutions] == ["weights as given", "run 1", "run 2"]
    assert all(s.train_error == 0 for s in subject.solutions)
    for m in subject.measurements:
        tolerances = [p.tolerance for p in m.sweep]
        assert tolerances == sorted(tolerances, reverse=True)
        assert tolerances[-1] == m.tolerance
        values = [p.bits.value for p in m.sweep if p.bits.kind == "estimate"]
        assert values == sorted(values)
        assert m.profile.two_sided is not None
    margin = subject.measurements[1]
    assert margin.tolerance == 0.0
    assert margin.at_tolerance.learning_coefficient is None
    # zero training error is implied by a small enough loss, so it cannot be rarer
    assert margin.at_tolerance.bits.value < subject.primary.at_tolerance.bits.value
    assert subject.primary.tolerance == pytest.approx(min(s.train_loss for s in subject.solutions), rel=1e-5)
    comparison = subject.comparison
    assert comparison is not None
    assert comparison.at_loss == pytest.approx(sum(s.train_loss for s in subject.solutions) / 3)
    assert comparison.difference.value == pytest.approx(comparison.random.value - comparison.sgd.value)
    assert small.verdict
    assert "blobs" in small.summary()


def test_zero_training_error_against_brute_force(small: Audit) -> None:
    """A million prior draws: about 2^-6 to 2^-10 of them have no training error."""
    subject = blobs()
    x = subject.space().sample(300_000, rng=torch.Generator().manual_seed(5))
    share = float(torch.cat([subject.errors(part) for part in x.split(50_000)]).eq(0).double().mean())
    bits, error = -math.log2(share), 1 / (math.log(2) * math.sqrt(share * len(x)))
    low, high = small.subjects[0].measurements[1].at_tolerance.bits.interval(0.999)
    assert low - 3 * error <= bits <= high + 3 * error


def test_the_record_is_plain_json_and_comes_back(small: Audit) -> None:
    record = small.to_dict()
    assert record["schema"] == "pindown/audit/1"
    text = json.dumps(record, allow_nan=False)
    again = Audit.from_dict(json.loads(text))
    assert again.to_dict() == record
    assert again.summary() == small.summary()
    frame = small.to_dataframe()
    assert len(frame) == sum(len(m.sweep) for m in small.subjects[0].measurements)
    assert "<table" in small._repr_html_()
    with pytest.raises(CheckpointError, match="schema"):
        Audit.from_dict({"schema": "other"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        Audit.from_dict({k: v for k, v in record.items() if k != "verdict"})


def test_the_report_reads_it(small: Audit) -> None:
    from pindown.report.records import read_audit

    view = read_audit(small.to_dict())
    assert view.subjects[0].comparison is not None
    assert len(view.subjects[0].measurements) == 2


def test_the_same_seed_gives_the_same_figures() -> None:
    a, b = (audit(ball(), seed=7, tolerances=[0.2], **ROUGH) for _ in range(2))
    assert a.subjects[0].primary.at_tolerance.bits == b.subjects[0].primary.at_tolerance.bits
    c = audit(ball(), seed=8, tolerances=[0.2], **ROUGH)
    assert c.subjects[0].primary.at_tolerance.bits.value != a.subjects[0].primary.at_tolerance.bits.value


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    calls = 0

    def stop(share: float, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt

    straight = audit(blobs(), seed=2, tolerances=[0.6], **ROUGH)
    with pytest.raises(KeyboardInterrupt):
        audit(blobs(), seed=2, checkpoint=tmp_path, progress=stop, tolerances=[0.6], **ROUGH)
    resumed = audit(blobs(), seed=2, checkpoint=tmp_path, tolerances=[0.6], **ROUGH)
    for one, two in zip(straight.subjects[0].measurements, resumed.subjects[0].measurements, strict=True):
        assert [p.bits for p in one.sweep] == [p.bits for p in two.sweep]


def test_progress_goes_up_to_one() -> None:
    seen: list[tuple[float, str]] = []
    audit(ball(), tolerances=[0.3], progress=lambda share, text: seen.append((share, text)), **ROUGH)
    shares = [s for s, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(text for _, text in seen)


def test_an_untrained_model_is_refused_or_trained_or_measured_where_told() -> None:
    data = corners()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    with pytest.raises(InputError, match="without a trained network"):
        audit(Subject(fresh, "cross_entropy", data), **ROUGH)
    result = audit(Subject(fresh, "cross_entropy", data), tolerances=[0.9], **ROUGH)
    assert result.subjects[0].solutions == ()
    assert result.subjects[0].primary.profile.two_sided is None
    assert "no two-sided check" in " ".join(result.verdict)


def test_where_no_prior_is_named_it_reaches_the_trained_weights() -> None:
    subject = blobs(prior=None)
    reaching, remark = subject.reaching()
    assert "as a normal" in {p.source.partition(", ")[2] for p in reaching.space().parameters}
    assert bool(reaching.space().inside(torch.stack([s.point for s in subject.solutions])).all())
    assert not bool(subject.space().inside(torch.stack([s.point for s in subject.solutions])).all())
    assert "beyond the ends" in remark
    assert [s.name for s in reaching.solutions] == [s.name for s in subject.solutions]
    assert blobs(prior="own").reaching()[1] == ""
    assert blobs(prior="he").reaching()[1] == ""
    assert reaching.reaching()[0] is reaching


def test_weights_outside_the_prior_are_brought_inside_and_told() -> None:
    result = audit(blobs(prior="own"), seed=1, tolerances=[0.6], **ROUGH)
    assert any("cannot produce" in n for n in result.notes)
    assert result.subjects[0].primary.profile.two_sided is not None


def test_the_model_comes_back_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 3))
    weights, state = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    audit(Subject(model, "cross_entropy", corners()), tolerances=[1.0], **ROUGH)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert model[1].training
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("bad", [[], [-1.0], [math.inf], [math.nan]])
def test_tolerances_that_are_none(bad: list[float]) -> None:
    with pytest.raises(InputError, match="tolerances"):
        audit(ball(), tolerances=bad)


def test_no_subject() -> None:
    for nothing in ([], [3], None):
        with pytest.raises(InputError, match=r"pindown\.Subject"):
            audit(nothing)  # type: ignore[arg-type]


def test_a_plan_counts_and_warns(tmp_path: Path) -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean()

    small = plan_audit(blobs(), repeats=3, jobs=1)
    assert small.workers == 1
    assert small.subjects[0].measurements == 2
    assert small.evaluations > 1000
    assert plan_audit(blobs(), repeats=6, jobs=1).evaluations == pytest.approx(2 * small.evaluations)
    assert "In all about" in str(small)
    json.dumps(small.to_dict(), allow_nan=False)
    for step in (1, 2, 3):
        torch.save(blobs().module.state_dict(), tmp_path / f"step-{step}.pt")
    along = plan_audit(blobs(), repeats=3, jobs=1, checkpoints=tmp_path)
    assert along.evaluations > small.evaluations
    assert "λ at 3 checkpoints" in str(along)
    big = nn.Sequential(nn.Linear(700, 700), nn.ReLU(), nn.Linear(700, 1))
    plan = plan_audit(Subject(big, loss, (torch.zeros(4, 700), torch.ones(4, 1))))
    assert plan.subjects[0].parameters == 491_401
    assert plan.memory > 4 * 491_401
    assert plan.subjects[0].advice == "" or "lower it with" in plan.subjects[0].advice
