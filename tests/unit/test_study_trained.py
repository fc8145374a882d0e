"""The study on trained networks: rules, pairing, rescaling, a user's own model, its command."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import pindown
from pindown.cli._target import load_study
from pindown.cli.app import app
from pindown.engine.settings import Settings
from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.ensemble_training import train_ensemble
from pindown.network.perceptrons import PerceptronPrior
from pindown.report.study import study_sections
from pindown.studies import panel, question_1, question_2, question_3, question_4
from pindown.studies.compression import compression
from pindown.studies.families import boolean_family, teacher_family
from pindown.studies.paired import mean_of, paired, ratio, usable
from pindown.studies.rescaling import rescaled
from pindown.studies.results import Answer, CompressionStudy
from pindown.studies.steps import Workshop
from pindown.studies.study_subject import StudySubject
from pindown.studies.trained_verdicts import deep_bits, found_as_planted, same_volume, share_kept, shift, unmoved


def bits(value: float, stderr: float = 0.01, **more: object) -> Estimate:
    return Estimate(value, stderr, "bits", **more)  # type: ignore[arg-type]


FAILED = Estimate(math.nan, math.nan, "bits", status=Status.NOT_CONVERGED)
BOUND = Estimate(3.0, 0.0, "bits", "lower_bound", Status.OUT_OF_RANGE)


def test_a_shift_has_three_outcomes() -> None:
    low, high, wide = [bits(v) for v in (1.0, 1.1, 0.9)], [bits(v) for v in (2.0, 2.1, 1.9)], [bits(0.0), bits(4.0)]
    assert shift("c", low, high, "a against b", falls=True).outcome == "supported"
    assert shift("c", low, high, "a against b", falls=False).outcome == "refuted"
    assert shift("c", low, wide, "a against b", falls=True).outcome == "undecided"
    assert shift("c", low[:1], high, "a against b", falls=True).outcome == "undecided"  # one run tells nothing
    assert shift("c", [*low, BOUND], high, "a against b", falls=True).outcome == "undecided"


def test_volumes_have_three_outcomes() -> None:
    assert same_volume("c", bits(100.0), bits(101.0)).outcome == "supported"
    assert same_volume("c", bits(100.0), bits(140.0)).outcome == "refuted"
    assert same_volume("c", bits(100.0, 20.0), bits(101.0)).outcome == "undecided"
    assert same_volume("c", BOUND, bits(101.0)).outcome == "undecided"


def test_shares_and_leading_bits_have_three_outcomes() -> None:
    few, many, either = Estimate(0.2, 0.01, "1"), Estimate(0.8, 0.01, "1"), Estimate(0.5, 0.1, "1")
    for rule, yes, no in ((share_kept, few, many), (deep_bits, bits(12.0), bits(3.0))):
        assert rule("c", [yes, yes]).outcome == "supported"
        assert rule("c", [no, no]).outcome == "refuted"
        assert rule("c", [yes, no]).outcome == "undecided"
        assert rule("c", [yes, FAILED]).outcome == "undecided"
        assert rule("c", []).outcome == "undecided"
    assert share_kept("c", [either]).outcome == "undecided"
    many_values = [bits(2.0 + 0.1 * k) for k in range(9)]
    said = deep_bits("c", [*many_values, FAILED]).because
    assert said == f"Leading bits that count: from {many_values[0]} to {many_values[-1]} in 9 networks; 1 not measured."
    assert deep_bits("c", [FAILED] * 7).because == "Leading bits that count: none of 7 networks was measured."
    assert deep_bits("c", many_values[:2]).because == f"Leading bits that count: {many_values[0]}, {many_values[1]}."
    everything_can_go = Estimate(0.0, 0.0, "1", "upper_bound", Status.OUT_OF_RANGE)
    assert share_kept("c", [everything_can_go]).outcome == "supported"


def test_a_treatment_has_three_outcomes_and_needs_a_matched_loss() -> None:
    still, moved = Estimate(0.01, 0.01, "octaves", dof=4.0), Estimate(2.0, 0.05, "octaves", dof=4.0)
    unsure = Estimate(0.1, 0.2, "octaves", dof=4.0)
    assert unmoved("c", [("a", still)], 8, matched=True, gap="g").outcome == "supported"
    assert unmoved("c", [("a", still), ("b", moved)], 8, matched=True, gap="g").outcome == "refuted"
    assert unmoved("c", [("a", still), ("b", unsure)], 8, matched=True, gap="g").outcome == "undecided"
    assert unmoved("c", [("a", still), ("b", FAILED)], 8, matched=True, gap="g").outcome == "undecided"
    assert unmoved("c", [("b", moved)], 8, matched=False, gap="g").outcome == "undecided"
    # Bonferroni: what one interval at 95% would settle, one of two hundred does not.
    near = Estimate(0.35, 0.02, "octaves", dof=4.0)
    assert unmoved("c", [("a", near)], 1, matched=True, gap="g").outcome == "refuted"
    assert unmoved("c", [("a", near)], 2000, matched=True, gap="g").outcome == "undecided"


def test_planted_answers_have_three_outcomes() -> None:
    right, wrong = ("a", 16.0, bits(16.02)), ("b", 16.0, bits(15.0))
    assert found_as_planted([right]).outcome == "supported"
    assert found_as_planted([right, wrong]).outcome == "refuted"
    assert found_as_planted([right, ("c", 1.0, FAILED)]).outcome == "undecided"


def test_pairs_are_by_run() -> None:
    """A spread over runs that both share drops out of the difference, and a pair with a bound is left out."""
    base = [bits(v) for v in (10.0, 20.0, 40.0)]
    other = [bits(v) for v in (11.0, 21.1, 40.9)]
    change = paired(other, base)
    assert change.value == pytest.approx(1.0)
    assert change.stderr == pytest.approx(0.1 / math.sqrt(3))
    assert change.dof == 2
    assert mean_of(base).stderr > 50 * change.stderr  # the control: unpaired, the difference could not be seen
    assert paired([*other, BOUND], [*base, bits(3.0)]).value == pytest.approx(1.0)
    assert paired(other[:1], base[:1]).status is Status.UNSUPPORTED
    assert ratio([bits(2.0), bits(4.0)], [bits(1.0), bits(2.0)]).value == pytest.approx(1.0)
    assert mean_of([*base, BOUND]).kind == "lower_bound"
    assert not usable([mean_of([*base, FAILED])])


def test_rescaling_keeps_outputs_and_other_networks_are_left_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    prior = PerceptronPrior((7, 9, 5, 2))
    net = prior.module(prior.sample(1, rng=rng)[0])
    x = torch.randn(50, 7, generator=rng)
    twin = rescaled(net, 3)
    assert twin is not None
    assert (net(x) - twin(x)).abs().max() <= 1e-5 * net(x).abs().max()
    assert (net[0].weight / twin[0].weight).log2().abs().max() >= 1  # it did move
    with torch.no_grad():
        twin[0].bias.add_(0.5)
    assert (net(x) - twin(x)).abs().max() > 1e-3  # the control: another network is not taken for the same
    assert rescaled(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)), 0) is None
    assert rescaled(nn.Linear(2, 2), 0) is None


def test_runs_at_a_level_end_below_it() -> None:
    x, y = torch.eye(4), torch.tensor([0, 1, 1, 0])
    prior = PerceptronPrior((4, 8, 1))
    plain = train_ensemble(prior, x, y, runs=20, seed=1)[0]
    level = train_ensemble(prior, x, y, runs=20, level=0.1, seed=1)[0]
    assert len(level) == 20
    assert float(level.losses.max()) <= 0.1 < float(plain.losses.max())
    assert bool((level.epochs >= plain.epochs).all())
    with pytest.raises(InputError, match="level"):
        train_ensemble(prior, x, y, level=0.0)


X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([0, 0, 1, 1])


def make(width: int) -> pindown.Subject:
    model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))
    held_out = (X[:, [1, 0]] + 0.3, Y)
    return pindown.Subject(model, "cross_entropy", (X, Y), held_out=held_out, name=f"tiny {width}", prior="he")


def train(width: int, seed: int, treatment: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))
        for p in model.parameters():
            nn.init.normal_(p, std=0.7)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    while True:
        loss = nn.functional.cross_entropy(model(X), Y)
        if float(loss.detach()) < 0.1:
            return model
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def tiny(**more: object) -> StudySubject:
    given = {"widths": (4, 8), "tolerances": (0.5, 0.3), "epsilon": 0.1, "inputs": 4, "name": "tiny"} | more
    return StudySubject(make, train, **given)  # type: ignore[arg-type]


class Owner:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __repr__(self) -> str:
        return f"Owner({self.seed})"

    def make(self, width: int) -> pindown.Subject:
        return make(width)


def test_a_subject_is_known_by_names_not_addresses() -> None:
    assert "0x" not in repr(tiny())
    assert repr(tiny()) == repr(tiny())
    assert repr(tiny()) != repr(tiny(epsilon=0.2))
    first, second = (StudySubject(Owner(s).make, train) for s in (1, 2))
    assert repr(first) != repr(second)
    assert "0x" not in repr(StudySubject(functools.partial(make), train))
    assert repr(teacher_family(0)) != repr(teacher_family(1))
    assert boolean_family(0).treatments[0] == "plain SGD"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"widths": (4,)}, "widths"),
        ({"widths": (8, 4)}, "rising"),
        ({"treatments": ()}, "treatments"),
        ({"treatments": ("a", "a")}, "each once"),
        ({"tolerances": (0.1, 0.5)}, "falling"),
        ({"epsilon": 0.0}, "epsilon"),
    ],
)
def test_what_cannot_be_studied_is_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        tiny(**wrong)


def test_make_has_to_return_a_subject() -> None:
    with pytest.raises(InputError, match="make"):
        StudySubject(3, train)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="returned Linear"):
        StudySubject(lambda width: nn.Linear(2, width), train).subject(3)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("question", [question_1, question_2, question_3, question_4])
def test_in_full_nothing_is_smaller_than_by_default(question: Any) -> None:
    full, plain = question.FULL, question.Sizes()
    grown = 0
    for f in dataclasses.fields(plain):
        more, less = getattr(full, f.name), getattr(plain, f.name)
        if f.name in ("planes", "settings", "curve"):
            continue
        if f.name == "accuracy":  # a standard error
            more, less = less, more
        sizes = (len(more), len(less)) if isinstance(more, tuple) else (more, less)
        assert sizes[0] >= sizes[1], f.name
        grown += sizes[0] > sizes[1]
    assert grown >= 2
    if question is question_2:  # it goes deeper, and through the losses of the default
        assert full.digits[: len(plain.digits)] == plain.digits
        assert full.teacher[: len(plain.teacher)] == plain.teacher


def small(question: int) -> object:
    curve = question_2.Sizes(repeats=2, settings=Settings(chains=4, burn_in=8, sweeps=8, doublings=0))
    return {
        1: 6,
        2: curve,
        3: question_3.Sizes(runs=2, planes=False, accuracy=0.2, curve=curve),
        4: question_4.Sizes(runs=2, accuracy=0.2, count=40, distance_runs=2, rescaled=1),
    }[question]


@pytest.mark.slow
def test_all_four_questions_of_an_own_model(tmp_path: Path) -> None:
    own = tiny(treatments=("plain", "the same again"))
    sizes = {q: small(q) for q in (1, 2, 3, 4)}
    found = compression(own=own, seed=1, jobs=1, sizes=sizes, checkpoint=tmp_path)
    assert [a.question for a in found.answers] == [1, 2, 3, 4]
    assert found.subject == "tiny"
    record = found.to_dict()
    assert CompressionStudy.from_dict(record).to_dict() == record
    assert len(study_sections(record)) == 4
    outcomes = {v.outcome for a in found.answers for v in a.verdicts}
    assert outcomes <= {"supported", "refuted", "undecided"}
    # The negative control of question 4: the same training under another name moves nothing, exactly.
    changes = [f.value for f in found[4].figures if f.group == "the same again" and f.name.startswith("change of")]
    assert changes
    assert all(e.value == 0.0 for e in changes if e.status.ok)
    moved = next(v for v in found[4].verdicts if "figures of the weights" in v.claim)
    kept = next(v for v in found[4].verdicts if "figures of the function" in v.claim)
    assert (kept.outcome, moved.outcome) == ("supported", "refuted")
    again = compression(own=own, seed=1, jobs=1, sizes=sizes, checkpoint=tmp_path)  # from the folder
    assert [a["figures"] for a in again.to_dict()["answers"]] == [a["figures"] for a in record["answers"]]


def test_functions_need_classes_and_held_out_inputs() -> None:
    def bare(width: int) -> pindown.Subject:
        return pindown.Subject(make(width).module, "cross_entropy", (X, Y), prior="he")

    found = compression(1, own=StudySubject(bare, train, widths=(4, 8), name="bare"), jobs=1, sizes={1: 2})
    assert found[1].verdicts[0].outcome == "undecided"
    assert any("held-out" in note for note in found[1].notes)


def test_the_command_takes_an_own_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def stand_in(shop: Workshop, own: StudySubject, **options: object) -> Answer:
        seen.append(own)
        return Answer(2, "How much?", ())

    monkeypatch.setattr("pindown.studies.compression.OWN_QUESTIONS", {2: stand_in})
    module = tmp_path / "own_study_module.py"
    module.write_text(
        "import pindown\n"
        "def make(width): ...\n"
        "def train(width, seed, treatment): ...\n"
        "def make_study(): return pindown.StudySubject(make, train, widths=(3, 6), name='mine')\n"
        "def wrong(): return 3\n",
        encoding="utf-8",
    )
    words = ["study", "compression", str(module), "--question", "2", "--out", str(tmp_path / "out"), "--quiet"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (own,) = seen
    assert isinstance(own, StudySubject)
    assert own.widths == (3, 6)
    assert "Measured on mine" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="returned int"):
        load_study(f"{module}:wrong")
    with pytest.raises(InputError, match="make_study"):
        load_study(str(tmp_path / "none.py"))


def test_the_axis_of_the_panel_holds_bits_alone() -> None:
    assert not set(panel.IN_BITS) & set(panel.PER_NETWORK)
