"""The command values, its interactive session, and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_values_input import PROBLEM
from typer.testing import CliRunner, Result

import pindown
from pindown import CheckpointError, Ledger
from pindown.cli.app import app
from pindown.report.values import ledger_sections, overoptimisation_sections, write_values_report

pytestmark = pytest.mark.usefixtures("own_folder")


def run(*arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=said)


def data(page: str) -> list[Any]:
    html = Path(page).read_text(encoding="utf-8")
    return [json.loads(spec) for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)]


def write(text: str = PROBLEM) -> str:
    Path("p.toml").write_text(text, encoding="utf-8")
    return "p.toml"


def test_values_writes_the_record_and_the_page() -> None:
    done = run("values", write(), "--out", "here", "--json", "record.json")
    assert done.exit_code == 0, done.output
    record = json.loads(Path("record.json").read_text(encoding="utf-8"))
    assert record == json.loads(Path("here/values.json").read_text(encoding="utf-8"))
    found = Ledger.from_dict(record)
    assert found.answers == 1
    assert "The account" in Path("here/report.html").read_text(encoding="utf-8")
    (waterfall,) = data("here/report.html")
    drawn = {name: x for trace in waterfall["data"] for name, x in zip(trace["y"], trace["x"], strict=True)}
    assert drawn["needed"] == found.needed.value
    assert drawn["missing"] == found.missing.value
    assert drawn["expert"] == found.usable["expert"].value


def test_ask_asks_keeps_and_goes_on() -> None:
    strict = write(PROBLEM.replace("success = 0.9", "success = 0.999"))
    first = run("values", "ask", strict, "--out", "here", said="what\n2\nq\n")
    assert first.exit_code == 0, first.output
    assert "'what' is no answer" in first.output
    assert "Stopped. The answers are kept" in " ".join(first.output.split())
    assert len(json.loads(Path("here/answers.json").read_text(encoding="utf-8"))["answers"]) == 2
    second = run("values", "ask", "p.toml", "--out", "here", said="2\nq\n")
    assert second.exit_code == 0, second.output
    assert "Going on after 2 answers." in second.output
    assert json.loads(Path("here/values.json").read_text(encoding="utf-8"))["answers"] == 3
    third = run("values", "p.toml", "--answers", "here/answers.json", "--out", "there", "--json", "-", "--quiet")
    assert json.loads(third.stdout)["answers"] == 3
    other = run("values", "ask", "p.toml", "--out", "here", "--seed", "1", said="q\n")
    assert other.exit_code == 4


def test_bad_calls_end_with_their_code() -> None:
    assert run("values", "nowhere.toml").exit_code == 2
    assert run("values", write("= 3")).exit_code == 3
    assert run("values", "ask").exit_code == 2
    assert run("values", write(), "--by", "luck").exit_code == 2
    assert run("values", write(PROBLEM + '[[answers]]\nsource = "nobody"\nquestion = 0\nanswer = 0\n')).exit_code == 2
    Path("a file").write_text("", encoding="utf-8")
    assert run("values", write(), "--out", "a file/here").exit_code == 5


TABLED = """
acceptable = { regret = 0.0 }
[plans]
names = ["a", "b"]
[prior]
kind = "hypotheses"
values = [[1, 0], [0, 1]]
weights = [1, 1]
[[sources]]
kind = "channel"
name = "said"
chances = [[[0.9, 0.1]], [[0.2, 0.8]]]
[[sources]]
kind = "comparisons"
[[answers]]
source = "comparisons"
question = ["a", "b"]
answer = "a"
"""


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("[0.9, 0.1]", "[1.2, -0.2]", 3, "the likelihood of answer 1 to question 1 under value 1 is 1.2"),
        ("[0.9, 0.1]", "[0.9, 0.3]", 3, "under value 1 add up to 1.2"),
        ("weights = [1, 1]", "weights = [0, 0]", 3, "total mass 0"),
        ("{ regret = 0.0 }", "{ table = [[0, 0], [0, 0]] }", 2, "infinitely many bits would be needed"),
        (
            'answer = "a"', 'answer = "a"\n[[answers]]\nsource = "comparisons"\nquestion = 0\nanswer = 1', 3,
            "answer 2 (comparisons: Which is better: a or b? b) contradicts the answers before it",
        ),
        ('kind = "channel"', 'kind = "channel"\ncolour = 1', 2, "unknown key 'colour' in [[sources]] number 1"),
        ("[prior]", "[prior]\nmeasures = 1", 2, "unknown key 'measures' in [prior]"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_what_is_wrong(old: str, new: str, code: int, words: str) -> None:
    assert old in TABLED
    done = run("values", write(TABLED.replace(old, new, 1)), "--quiet")
    assert words in " ".join(done.output.split())
    assert done.exit_code == code
    assert not Path("pindown-values/values.json").exists()


def test_where_some_values_accept_nothing_the_missing_bits_are_infinite() -> None:
    done = run("values", write(TABLED.replace("{ regret = 0.0 }", "{ table = [[1, 0], [0, 0]] }")), "--json", "r.json")
    assert done.exit_code == 0, done.output
    assert "Infinitely many bits are missing" in " ".join(done.output.split())
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["needed"]["value"] == "inf"


def test_the_page_shows_lost_and_false_bits_and_the_curve() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=3000)
    curve = pindown.overoptimisation(value, value + rng.standard_t(2, size=3000)).to_dict()
    from pindown.values.priors import Hypotheses
    from pindown.values.reading_sources import Channel

    pad = Channel(np.eye(2)[[0, 1, 1, 0]][:, None, :], name="message")
    lost = pindown.ledger(pindown.ValueProblem(2, Hypotheses.encoded(2, 2), np.eye(2), [pad])).to_dict()
    write_values_report(lost, "page.html", curve)
    page = Path("page.html").read_text(encoding="utf-8")
    assert "message: lost in translation" in page
    assert "Heavy tail" in page
    assert "cannot tell a power from a lognormal" in page
    assert len(data("page.html")) == 2
    write_values_report(curve, "alone.html")
    assert "Over-optimisation" in Path("alone.html").read_text(encoding="utf-8")
    assert [s.title for s in ledger_sections(lost)] == ["The account", "The sources"]
    for read, record in ((ledger_sections, lost), (overoptimisation_sections, curve)):
        with pytest.raises(CheckpointError, match="schema"):
            read({**record, "schema": "pindown/other/1"})
    with pytest.raises(CheckpointError, match=r"record\.needed"):
        ledger_sections({**lost, "needed": 3})
