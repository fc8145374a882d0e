"""The study's parts: exhaustive enumeration, codes, steps, verdicts, records, command and report."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pindown.cli.app import app
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate
from pindown.network.ensemble_training import EnsembleOptimiser
from pindown.network.perceptrons import PerceptronPrior
from pindown.network.random_solutions import random_solutions
from pindown.network.sampler_results import BothSamplers, FunctionCount, SamplerComparison
from pindown.report.blocks import Figure as ReportFigure
from pindown.report.study import study_sections, write_study_report
from pindown.studies import question_1
from pindown.studies.bayes_code import bits_back_length
from pindown.studies.compression import QUESTIONS, compression
from pindown.studies.counting import embedded_ranks
from pindown.studies.exhaustive import exhaust, grid_levels
from pindown.studies.results import Answer, CompressionStudy, Curve, Figure, Lane, NamedComparison, Point, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.tasks import arc_cosine_kernel, boolean_task, random_labels
from pindown.studies.verdicts import alike, decide, gap_closed


def square(value: int) -> dict[str, int]:
    """A step of the tests."""
    CALLS.append(value)
    return {"square": value * value}


CALLS: list[int] = []


def test_enumeration_is_that_of_plain_loops() -> None:
    """P_B by looping over settings in Python, P_OPT by following every descent with its chances."""
    x = torch.tensor([[1.0, 0.2], [-0.3, 1.0], [0.7, -1.0], [0.4, 0.9]])
    y = torch.tensor([1, 0, 1, 0])
    prior = PerceptronPrior((2, 1), bias_std=0.0)
    found = exhaust(prior, 3, x, torch.tensor([0, 1]), y)
    values = (grid_levels(3, math.sqrt(3.0)) / math.sqrt(2.0)).tolist()

    def out(setting: tuple[int, ...]) -> list[float]:
        return [sum(values[s] * v for s, v in zip(setting, row, strict=True)) for row in x.tolist()]

    @cache
    def loss(setting: tuple[int, ...]) -> float:
        a, b = out(setting)[:2]
        return round((math.log1p(math.exp(-a)) + math.log1p(math.exp(b))) / 2, 12)

    settings = list(itertools.product(range(8), repeat=2))
    fits = [s for s in settings if out(s)[0] > 0 and out(s)[1] < 0]
    assert found.solution_probability == pytest.approx(len(fits) / 64)
    ends: dict[tuple[int, ...], float] = dict.fromkeys(settings, 0.0)

    def follow(setting: tuple[int, ...], chance: float) -> None:
        steps = [(i, setting[i] + d) for i in range(2) for d in (1, -1) if 0 <= setting[i] + d < 8]
        near = [(*setting[:i], to, *setting[i + 1 :]) for i, to in steps]
        lower = [n for n in near if loss(n) < loss(setting)]
        if not lower:
            ends[setting] += chance
        for n in lower:
            follow(n, chance / len(lower))

    for s in settings:
        follow(s, 1 / 64)
    want: dict[tuple[int, ...], float] = {}
    share: dict[tuple[int, ...], float] = {}
    for s in fits:
        code = tuple(int(v > 0) for v in out(s))
        want[code] = want.get(code, 0.0) + ends[s]
        share[code] = share.get(code, 0.0) + 1 / len(fits)
    total = sum(want.values())
    assert found.reached == pytest.approx(total)
    for row, p, q in zip(found.functions.tolist(), found.random, found.optimiser, strict=True):
        assert p == pytest.approx(share[tuple(row)])
        assert q == pytest.approx(want[tuple(row)] / total)
    assert found.residual.sum() == pytest.approx(0.0, abs=1e-12)
    assert found.total_variation > 0.01  # a descent is no random draw, and that is exact


def test_too_many_bits_are_refused() -> None:
    with pytest.raises(InputError, match="at most 24 bits"):
        exhaust(PerceptronPrior((7, 40, 1)), 1, torch.zeros(1, 7), torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize("std", [0.02, 0.1, 0.3])
def test_no_code_on_the_prior_beats_the_bayes_code(std: float) -> None:
    """KL(Q ‖ P) ≥ −log2 P(S): from fitting weights, whatever the width of the noise."""
    task = boolean_task(10)
    prior = PerceptronPrior((7, 4, 1))
    found = random_solutions(prior, task.train_x, task.train_y, count=2000, seed=1)
    for i in range(4):
        code = bits_back_length(prior, task.train_x, task.train_y, found.points[i], std, seed=i)
        assert code.value + 4 * code.stderr > found.bits.value - 4 * found.bits.stderr
    assert code.value > found.bits.value + 5  # one solution of many is far from the Bayes code


def test_the_code_of_the_whole_set_is_the_bayes_code() -> None:
    """Noise as wide as the prior around zero is the prior: KL of the prior given the fit is −log2 P(S)."""
    prior = PerceptronPrior((2, 1), bias_std=0.0)
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 1])
    code = bits_back_length(prior, x, y, torch.tensor([1e-6, 1e-6]), 1.0, draws=200_000)
    assert code.stderr < 0.02
    assert abs(code.value - 2.0) < 4 * code.stderr


def test_a_code_that_does_not_pay_for_the_fit_is_found_out() -> None:
    """Negative control of the inequality: the prior's own noise without the bits of the cut to the fit costs nothing.

    That is no code of the labels: the receiver could not tell which draws fit. With the cut it is the Bayes code.
    """
    prior = PerceptronPrior((2, 1), bias_std=0.0)
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 1])
    centre = torch.tensor([1e-6, 1e-6])
    whole = bits_back_length(prior, x, y, centre, 1.0, draws=20_000)
    points = prior.sample(20_000, rng=torch.Generator().manual_seed(1))
    cut = -math.log2(float((prior.margins(points, x, y).amin(1) > 0).double().mean()))
    assert whole.value - cut < 2.0 - 1.5  # a false code beats −log2 P(S) = 2 by far, and the test above would fail


def test_the_bits_of_all_labels_are_a_code() -> None:
    """Kraft with equality, exactly: the costs of all labels of n inputs are those of a complete code.

    So coins cost at least n bits in the mean (Gibbs), and labels that a network of the prior draws cost less.
    """
    prior, n = PerceptronPrior((2, 2, 1)), 4
    x = torch.tensor([[1.0, 0.2], [-0.3, 1.0], [0.7, -1.0], [-0.8, -0.4]])
    costs = []
    for labels in itertools.product((0, 1), repeat=n):
        try:
            found = exhaust(prior, 1, x, torch.arange(n), torch.tensor(labels))
        except InputError:  # no setting fits: no code word
            costs.append(math.inf)
        else:
            costs.append(-math.log2(found.solution_probability))
    assert sum(2.0**-c for c in costs) == pytest.approx(1.0)
    assert np.mean(costs) >= n
    assert sum(c * 2.0**-c for c in costs if c < math.inf) < n - 0.3


def test_the_kernel_is_the_covariance_of_wide_networks() -> None:
    task = boolean_task(6)
    prior = PerceptronPrior((7, 400, 1))
    points = prior.sample(4000, rng=torch.Generator().manual_seed(0))
    out = torch.cat([prior.outputs(p, task.train_x)[..., 0] for p in points.split(200)]).double()
    assert (out.T @ out / len(out) - arc_cosine_kernel(task.train_x)).abs().max() < 0.15  # entries near 1.8, error 0.04


def test_random_labels_cost_more() -> None:
    """Negative control: coins cost about a bit each, labels with a rule less."""
    task = boolean_task(12)
    prior = PerceptronPrior((7, 30, 1))
    rule = random_solutions(prior, task.train_x, task.train_y, count=500, engine="rejection")
    each = []
    for seed in range(3):
        coins = random_labels(task, seed)
        each.append(random_solutions(prior, coins.train_x, coins.train_y, count=100, draws=2**23, engine="rejection"))
    assert np.mean([e.bits.value for e in each]) > 12 - 2  # the mean over all labels is at least 12 (Gibbs)
    assert rule.bits.value < np.mean([e.bits.value for e in each]) - 1


def test_embedded_solutions_have_the_ranks_of_the_argument() -> None:
    """width 6 in width 10, three inputs: 6·4 + 4 = 28 and 6·4 = 24 of 40."""
    found = embedded_ranks(6, 10, inputs=3, seed=3)
    assert list(found.values()) == [(28, 12), (24, 16)]


@pytest.mark.slow
def test_the_ranks_of_thirty_in_a_hundred() -> None:
    assert list(embedded_ranks().values()) == [(250, 350), (180, 420)]


def test_steps_are_kept_and_go_on(tmp_path: Path) -> None:
    CALLS.clear()
    steps = [Step(f"s{i}", "squares", square, {"value": i}) for i in range(3)]
    assert Workshop(tmp_path, None, jobs=1).run(steps[:2])["s1"] == {"square": 1}
    seen: list[float] = []
    shop = Workshop(tmp_path, lambda share, text: seen.append(share), jobs=1)
    again = shop.run(steps)
    assert shop.seconds >= sum(json.loads(p.read_text())["seconds"] for p in tmp_path.glob("s[01].json")) > 0.0
    assert list(again) == ["s0", "s1", "s2"]
    assert CALLS == [0, 1, 2]  # the first two came from the folder
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_foreign_or_damaged_step_is_refused_by_name(tmp_path: Path) -> None:
    step = Step("s", "squares", square, {"value": 3})
    Workshop(tmp_path, None, jobs=1).run([step])
    with pytest.raises(CheckpointError, match="another study"):
        Workshop(tmp_path, None, jobs=1).run([replace(step, arguments={"value": 4})])
    whole = json.loads((tmp_path / "s.json").read_text())
    for part in ("result", "seconds"):
        (tmp_path / "s.json").write_text(json.dumps({k: v for k, v in whole.items() if k != part}))
        with pytest.raises(CheckpointError, match=r"s\.json is damaged"):
            Workshop(tmp_path, None, jobs=1).run([step])
    (tmp_path / "s.json").write_text('{"schema": "pindown')
    with pytest.raises(CheckpointError, match=r"s\.json is damaged"):
        Workshop(tmp_path, None, jobs=1).run([step])


def compared(held: float, error: float = 0.01, *, unseen: float = 0.05) -> SamplerComparison:
    def one(value: float, stderr: float = error, unit: str = "1") -> Estimate:
        return Estimate(value, stderr, unit)

    both = BothSamplers(one(3.0, 0.1, "bits"), one(4.0, 0.1, "bits"))
    counts = (FunctionCount("0f", 30, 20), FunctionCount("1f", 1, 0))
    return SamplerComparison(
        8, 400, 400, 900, 50, one(1.0, 0.002), (9, 20), one(held + 0.1), one(0.1), one(held), 0.01, one(held),
        one(held), one(0.5, 0.1, "bits"), both, BothSamplers(one(unseen), one(unseen)), one(0.7, 0.05),
        one(0.6, 0.05), counts, 0,
    )  # fmt: skip


def test_verdicts_have_three_outcomes() -> None:
    assert alike("c", [("a", compared(0.0)), ("b", compared(0.01))]).outcome == "supported"
    assert alike("c", [("a", compared(0.0)), ("b", compared(0.2))]).outcome == "refuted"
    assert alike("c", [("a", compared(0.05, 0.03))]).outcome == "undecided"
    assert alike("c", [("a", compared(0.0, unseen=0.5))]).outcome == "undecided"  # too little was seen to say so
    assert alike("c", []).outcome == "undecided"
    wide = compared(0.4)
    assert gap_closed("c", [("a", wide, compared(0.02))]).outcome == "supported"
    assert gap_closed("c", [("a", wide, compared(0.02)), ("b", wide, compared(0.35))]).outcome == "refuted"
    assert gap_closed("c", [("a", wide, compared(0.2, 0.05))]).outcome == "undecided"
    assert gap_closed("c", [("a", compared(0.01), compared(0.3))]).outcome == "undecided"  # there was no gap
    assert decide(True, True) == "undecided"


def a_study() -> CompressionStudy:
    def bits(value: float) -> Estimate:
        return Estimate(value, 0.1, "bits")

    figures = (Figure("SGD", "bits", bits(14.1)), Figure("SGD", "reach", Estimate(22.0, 0.0, "bits", "lower_bound")))
    curve = Curve("Bits", "normal", "width", "bits", (Point(3.0, bits(14.0)), Point(30.0, bits(14.2))))
    name = "SGD, rate <0.1>"
    answer = Answer(
        1, "Is it?", (Verdict("It is.", "refuted", "Refuted where it is not.", "It is not."),), figures, (curve,),
        (NamedComparison(name, "task", "all", compared(0.3)),
         NamedComparison(name, "task", "margins as large", compared(0.02))),
        ("A note.",), 12.0,
        (Lane("On one axis", "width <30>", "noise", "bits", bits(30.0)),
         Lane("On one axis", "width 100", "noise", "bits", Estimate(40.0, 0.0, "bits", "upper_bound"))),
    )  # fmt: skip
    made = "2026-01-01T00:00:00+00:00"
    return CompressionStudy("built-in tasks", (answer,), 3, False, 60.0, made, "0", {"python": "3"})


def test_a_record_comes_back() -> None:
    study = a_study()
    record = json.loads(json.dumps(study.to_dict(), allow_nan=False))
    assert CompressionStudy.from_dict(record) == study
    assert study[1].question == 1
    assert len(study.to_dataframe()) == 2
    assert "refuted: It is." in study.summary()
    with pytest.raises(CheckpointError, match="schema"):
        CompressionStudy.from_dict({**record, "schema": "pindown/audit/1"})


def test_the_report_reads_the_record_alone(tmp_path: Path) -> None:
    record = json.loads(json.dumps(a_study().to_dict()))
    (section,) = study_sections(record)
    assert section.title == "Question 1. Is it?"
    write_study_report(record, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Refuted: It is." in html
    assert "&lt;0.1&gt;" in html
    assert "On one axis" in html
    assert "width <30>" not in html
    assert "<0.1>" not in html
    with pytest.raises(CheckpointError, match="schema"):
        study_sections({"schema": "pindown/audit/1"})
    del record["answers"][0]["figures"][0]["value"]["value"]
    with pytest.raises(CheckpointError):
        study_sections(record)


def test_the_command_writes_record_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def stand_in(shop: Workshop, **options: object) -> Answer:
        asked.append(options)
        return a_study().answers[0]

    monkeypatch.setattr("pindown.studies.compression.QUESTIONS", {1: stand_in})
    out, file = tmp_path / "out", tmp_path / "record.json"
    words = [
        "study",
        "compression",
        "--question",
        "1",
        "--seed",
        "5",
        "--out",
        str(out),
        "--json",
        str(file),
        "--quiet",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert asked == [{"full": False, "seed": 5}]
    assert CompressionStudy.from_dict(json.loads(file.read_text(encoding="utf-8"))).seed == 5
    assert (out / "report.html").exists()
    assert (out / "study.json").exists()
    assert not (out / "checkpoint").exists()
    refused = CliRunner().invoke(app, [*words[:3], "9", *words[4:]])
    assert refused.exit_code == 2
    assert CliRunner().invoke(app, ["study", "alchemy"]).exit_code == 2


def test_a_question_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="one or more of"):
        compression(max(QUESTIONS) + 1)
    with pytest.raises(InputError, match="one or more of"):
        compression([])


def test_several_training_sets_are_told_apart_in_figures_verdicts_and_charts() -> None:
    sizes = question_1.Sizes(
        count=80, draws=2**24, margin_draws=2**20, split=(), runs=40, splits=5, train=((16, 2),),
        optimisers=(EnsembleOptimiser(rate=0.1),), pair_runs=30, pairs=((0, 1), (2, 3)), pair_widths=(2, 8),
    )  # fmt: skip
    found = compression(1, seed=3, jobs=1, sizes={1: sizes})
    names = [(f.group, f.name) for f in found[1].figures]
    assert len(set(names)) == len(names)
    assert all("training set" in group for group, name in names if name == "median margin")
    assert "training set" in found[1].verdicts[0].because
    (section,) = study_sections(found.to_dict())
    charts = [b.title for b in section.blocks if isinstance(b, ReportFigure) and b.title.startswith("How far")]
    assert [title.partition(": ")[2] for title in charts] == [
        f"0011… of seven bits, 16 to train on, training set {k}" for k in (1, 2)
    ]
