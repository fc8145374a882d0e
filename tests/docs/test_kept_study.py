"""What the guide says of the compression study is what the kept records hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pindown.studies.results import Answer, CompressionStudy

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "compression.md").read_text(encoding="utf-8")


def kept(question: int) -> CompressionStudy:
    text = (DOCS / "results" / f"compression-question-{question}.json").read_text(encoding="utf-8")
    return CompressionStudy.from_dict(json.loads(text))


def figure(answer: Answer, group: str, name: str, digits: int) -> str:
    (found,) = [f.value for f in answer.figures if f.group == group and f.name == name]
    return f"{found.value:,.{digits}f} ± {found.stderr:,.{digits}f}"


@pytest.mark.parametrize("question", [1, 2, 3, 4])
def test_each_question_has_its_record(question: int) -> None:
    study = kept(question)
    assert [a.question for a in study.answers] == [question]
    assert study.seed == 0
    assert study[question].verdicts
    assert {"python", "torch", "machine", "cores"} <= set(study.environment)
    assert f"results/compression-question-{question}.json" in GUIDE


def test_distances_of_the_first_question_are_those_of_the_record() -> None:
    rows = [line for line in GUIDE.splitlines() if line.startswith("|")]
    found = 0
    for c in kept(1)[1].comparisons:
        stop = c.name.rpartition("; ")[2]
        if c.among.startswith("all, ") or stop == "64 epochs later":
            continue
        e = c.comparison.held_out_total_variation
        said = f"{e.value:.2f} ± {e.stderr:.2f}"
        assert any(said in row and stop in row for row in rows), f"{c.name}, {c.among}: {said}"
        found += 1
    assert found >= 24


def test_the_verdicts_that_the_guide_names_are_those_of_the_records() -> None:
    outcomes = {v.claim: v.outcome for q in (1, 2, 3, 4) for v in kept(q)[q].verdicts}

    def outcome(part: str) -> str:
        (found,) = {o for claim, o in outcomes.items() if part in claim}
        return found

    assert outcome("At the first fit, optimisers draw") == "refuted"
    assert outcome("margins at least as large") == "refuted"
    assert outcome("own margins are drawn") == "undecided"
    assert outcome("own margins, each over") == "refuted"
    assert outcome("width helps SGD") == "supported"
    assert outcome("leaves 70 dimensions free") == "refuted"
    assert outcome("training uses the low-order bits") == "refuted"
    assert outcome("the bits in the weights stay") == "undecided"
    distances = [o for claim, o in outcomes.items() if "distance to random solutions stays" in claim]
    assert sorted(distances) == ["supported"] * 5 + ["undecided"]


def test_figures_in_the_text_are_those_of_the_records() -> None:
    first, second = kept(1)[1], kept(2)[2]
    task = "random solutions, 0011… of seven bits, 64 to train on"
    assert f"({figure(first, task, '−log2 P(S)', 2)} bits)" in GUIDE
    assert figure(first, task, "share with every label of the task", 3) in GUIDE
    assert figure(first, task, "mean error on the other inputs", 4) in GUIDE
    for width in (3, 10, 30, 100, 300):
        for law in ("normal", "uniform"):
            assert figure(second, f"{law} weights, width {width}", "−log2 P(S)", 2) in GUIDE
