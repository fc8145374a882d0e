"""Everything asked of one trained network: what is asked, what comes back, what cannot be asked."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from pindown.engine.settings import Settings
from pindown.errors import CheckpointError, InputError
from pindown.network.audit import audit
from pindown.network.in_depth import QUESTIONS, InDepth, in_depth, read_questions
from pindown.network.results import Audit
from pindown.network.subject import Subject

QUICK = {"bitplanes": {"draws": 16}, "pruning": {"draws": 2}, "noise_tolerance": {"accuracy": 0.3, "tensors": False}}
CHEAP = ("spectrum", "bitplanes", "pruning", "noise_tolerance", "concentration", "water_filling")


def data():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(40, 3, generator=g)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(40, 1, generator=g)


def line() -> Subject:
    """Least squares, solved exactly."""
    x, y = data()
    model = nn.Linear(3, 1)
    design = torch.cat([x, torch.ones(40, 1)], 1)
    best = torch.linalg.lstsq(design, y).solution.flatten()
    with torch.no_grad():
        model.weight.copy_(best[None, :3])
        model.bias.copy_(best[3:])
    return Subject(model, "mse", (x, y), name="line")


@pytest.fixture(scope="module")
def answers() -> InDepth:
    return in_depth(line(), questions=CHEAP, seed=3, options=QUICK)


def test_every_question_asked_has_an_answer_and_no_other(answers):
    assert answers.unmeasured == {}
    for name in QUESTIONS:
        assert (getattr(answers, name) is not None) == (name in CHEAP)
    assert answers.solution == "weights as given"
    for name in CHEAP:
        assert getattr(answers, name).summary() in answers.summary()


def test_the_curvature_is_that_of_least_squares(answers):
    x, _ = data()
    design = torch.cat([x, torch.ones(40, 1)], 1).double()
    trace = float(2.0 / 40 * design.square().sum())
    assert answers.spectrum.trace.value == pytest.approx(trace, rel=1e-5)


def test_the_record_comes_back(answers):
    record = json.loads(json.dumps(answers.to_dict(), allow_nan=False))
    assert InDepth.from_dict(record).to_dict() == answers.to_dict()


@pytest.mark.parametrize("broken", [{"schema": "else/1"}, {"schema": "pindown/in-depth/1"}])
def test_another_record_is_refused(broken):
    with pytest.raises(CheckpointError):
        InDepth.from_dict(broken)


def test_questions_are_read():
    assert read_questions(True) == QUESTIONS
    assert read_questions(False) == ()
    assert read_questions(["spectrum", "basin"]) == ("basin", "spectrum")
    assert read_questions("spectrum") == ("spectrum",)
    with pytest.raises(InputError, match="the questions charm"):
        read_questions(["spectrum", "charm"])


def test_bad_arguments_are_refused_before_any_work():
    with pytest.raises(InputError, match="solution 3"):
        in_depth(line(), solution=3)
    with pytest.raises(InputError, match="epsilon"):
        in_depth(line(), epsilon=0.0)


def test_what_cannot_be_asked_is_listed_and_stops_nothing_else():
    x, y = data()
    stepwise = Subject(nn.Linear(3, 1), lambda out, target: ((out > 0) != (target > 0)).float().mean(), (x, y))
    found = in_depth(stepwise, questions=["spectrum", "concentration"])
    assert found.spectrum is None
    assert "gradient" in found.unmeasured["spectrum"]
    assert found.concentration is not None


def test_a_solution_becomes_the_weights_given():
    subject = line()
    other = nn.Linear(3, 1)
    both = subject.with_solutions([*subject.solutions, other])
    moved = both.at(1)
    assert torch.equal(moved.module.weight, other.weight)
    assert torch.equal(moved.solutions[0].point, both.solutions[1].point)
    assert torch.equal(subject.module.weight.flatten(), subject.solutions[0].point[:3])


def test_an_audit_asks_its_best_network_and_keeps_the_answers():
    subject = line()
    worse = nn.Linear(3, 1)
    with torch.no_grad():
        for mine, best in zip(worse.parameters(), subject.module.parameters(), strict=True):
            mine.copy_(best + 0.01)
    both = subject.with_solutions([worse, *subject.solutions])
    sizes = Settings(particles=16, chains=2, burn_in=4, sweeps=8, doublings=0, warm_moves=2, warm_sweeps=4)
    found = audit(both, tolerances=[2.0], repeats=2, jobs=1, settings=sizes, in_depth=["concentration"])
    deep = found.subjects[0].in_depth
    assert deep is not None
    assert deep.solution == "weights as given"
    assert deep.concentration is not None
    assert deep.spectrum is None
    again = Audit.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again.subjects[0].in_depth.to_dict() == deep.to_dict()


def test_a_training_run_is_followed(tmp_path):
    subject = line()
    for step, scale in ((1, 2.0), (2, 1.0)):
        state = {n: scale * p for n, p in subject.module.state_dict().items()}
        torch.save(state, tmp_path / f"step-{step}.pt")
    options = {"learning_coefficient": {"precision": 0.2, "self_check": False}}
    found = in_depth(subject, questions=False, checkpoints=tmp_path, options=options, seed=1)
    assert found.learning_coefficient is None
    assert found.over_training is not None
    assert len(found.over_training.points) == 2
    assert found.over_training.points[1].value == pytest.approx(2.0, abs=0.4)  # four weights, regular: λ = 2


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda folder: None, InputError),
        (lambda folder: folder.mkdir(), InputError),
        (
            lambda folder: (folder.mkdir(), torch.save({"weight": torch.ones(1, 9)}, folder / "step-1.pt")),
            CheckpointError,
        ),
    ],
)
def test_checkpoints_that_cannot_be_used_end_an_audit_before_it_begins(tmp_path, make, error):
    make(tmp_path / "run")
    told = []
    with pytest.raises(error):
        audit(line(), checkpoints=tmp_path / "run", progress=lambda share, text: told.append(text))
    assert not told
