"""What the guide says of the compression study is what the kept records hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pindown.studies.results import Answer, CompressionStudy

DOCS = Path(__file__).parents[2] / "docs"
BITS = ("noise", "pruning", "water-filling", "bit planes")
GUIDE = (DOCS / "compression.md").read_text(encoding="utf-8")


def kept(question: int, sizes: str = "") -> CompressionStudy:
    text = (DOCS / "results" / f"compression-question-{question}{sizes}.json").read_text(encoding="utf-8")
    return CompressionStudy.from_dict(json.loads(text))


def figure(answer: Answer, group: str, name: str, digits: int) -> str:
    (found,) = [f.value for f in answer.figures if f.group == group and f.name == name]
    return f"{found.value:,.{digits}f} ± {found.stderr:,.{digits}f}"


@pytest.mark.parametrize(("question", "sizes"), [(1, "-full"), (2, "-full"), (3, "-full"), (4, ""), (4, "-full")])
def test_each_question_has_its_record(question: int, sizes: str) -> None:
    study = kept(question, sizes)
    assert study.full is bool(sizes)
    assert [a.question for a in study.answers] == [question]
    assert study.seed == 0
    assert study[question].verdicts
    assert {"python", "torch", "machine", "cores"} <= set(study.environment)
    assert f"results/compression-question-{question}{sizes}.json" in GUIDE


def test_distances_of_the_first_question_are_those_of_the_record() -> None:
    rows = [line for line in GUIDE.splitlines() if line.startswith("|")]
    found = 0
    for c in kept(1, "-full")[1].comparisons:
        stop = c.name.rpartition("; ")[2]
        if c.among.startswith("all, ") or stop == "64 epochs later":
            continue
        e = c.comparison.held_out_total_variation
        said = f"{e.value:.2f} ± {e.stderr:.2f}"
        if c.task.endswith("training set 1"):
            assert any(said in row and stop in row for row in rows), f"{c.name}, {c.among}: {said}"
        elif stop == "first fit":
            inputs = "| 32 |" if "32 to train on" in c.task else "| 64 |"
            assert any(said in row and inputs in row for row in rows), f"{c.name}, {c.task}, {c.among}: {said}"
        else:
            continue
        found += 1
    assert found >= 90


def test_the_verdicts_that_the_guide_names_are_those_of_the_records() -> None:
    outcomes = {v.claim: v.outcome for q in (1, 2, 3, 4) for v in kept(q, "-full")[q].verdicts}

    def outcome(part: str) -> str:
        (found,) = {o for claim, o in outcomes.items() if part in claim}
        return found

    assert outcome("At the first fit, optimisers draw") == "refuted"
    assert outcome("margins at least as large") == "refuted"
    assert outcome("own margins are drawn") == "refuted"
    assert outcome("own margins, each over") == "refuted"
    assert outcome("width helps SGD") == "supported"
    assert outcome("leaves 70 dimensions free") == "refuted"
    assert outcome("training uses the low-order bits") == "refuted"
    bits = {claim: o for claim, o in outcomes.items() if "the bits in the weights stay" in claim}
    assert sorted(bits.values()) == ["supported"] * 5 + ["undecided"]
    assert outcome("Full batch: the bits") == "undecided"
    assert {o for claim, o in outcomes.items() if "distance to random solutions stays" in claim} == {"supported"}


def test_changes_under_treatments_are_those_of_the_record() -> None:
    answer = kept(4, "-full")[4]
    treatments = {f.group for f in answer.figures if f.name.startswith("change of ")}
    assert len(treatments) == 6
    for t in treatments:
        changes = [figure(answer, t, f"change of {m} against plain SGD", 3) for m in BITS]
        row = " | ".join([t, *changes, figure(answer, t, "total variation, held out", 3)])
        assert f"| {row} |".replace("-", "−") in GUIDE


def test_bits_in_the_weights_are_those_of_the_record() -> None:
    answer = kept(3, "-full")[3]
    groups = [f"{d}, width {w}, {n} runs" for d, n in (("teacher data", 20), ("digits", 10)) for w in (30, 100)]
    for name, digits in (*((n, 0) for n in BITS), ("leading bits of a weight", 2), ("weights that count", 1)):
        row = " | ".join(figure(answer, g, name, digits) for g in groups)
        assert f"| {name} | {row} |" in GUIDE
    volumes = [
        figure(answer, g, f"volume, −log2 P(loss ≤ {t:g})", 1)
        for g, t in zip(groups, (0.02, 0.02, 0.1, 0.1), strict=True)
    ]
    assert f"| volume | {' | '.join(volumes)} |" in GUIDE
    sent = [figure(answer, g, "prequential code of the labels", 0) for g in groups[2:]]
    assert f"| prequential code of the labels | | | {' | '.join(sent)} |" in GUIDE


def test_figures_in_the_text_are_those_of_the_records() -> None:
    first, second = kept(1, "-full")[1], kept(2, "-full")[2]
    task = "random solutions, 0011… of seven bits, 64 to train on, training set 1"
    assert f"({figure(first, task, '−log2 P(S)', 2)} bits)" in GUIDE
    for k in (1, 2):
        task = f"random solutions, 0011… of seven bits, 64 to train on, training set {k}"
        assert figure(first, task, "share with every label of the task", 3) in GUIDE
        assert figure(first, task, "mean error on the other inputs", 4) in GUIDE
    for name, digits in (("16 coins in their place", 2), ("16 labels of the task", 2)):
        assert figure(first, "control", f"bits a label, {name}", digits) in GUIDE
    for width in (3, 10, 30, 100, 300):
        for law in ("normal", "uniform"):
            assert figure(second, f"{law} weights, width {width}", "−log2 P(S)", 2) in GUIDE
    for data, losses in (
        ("teacher data", (0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005)),
        ("digits", (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)),
    ):
        for width in (30, 100):
            group = f"{data}, width {width}"
            row = " | ".join(figure(second, group, f"pinned dimensions at loss {t:g}", 1) for t in losses)
            assert f"| {row} |" in GUIDE


def test_the_own_model_of_the_guide_is_trained_by_every_treatment() -> None:
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if b.startswith("# my_module.py")]
    names: dict[str, Any] = {}
    exec(block, names)  # as code blocks of the guide are run everywhere
    own = names["make_study"]()
    for treatment in own.treatments:
        for width in own.widths:
            subject = own.trained(width, 1, treatment)
            assert float(subject.losses(subject.solutions[0].point.unsqueeze(0))) < 0.05, f"{treatment}, width {width}"
