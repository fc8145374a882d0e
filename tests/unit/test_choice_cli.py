"""The commands coherence and subagents, and the pages that they write."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pindown
from pindown import CheckpointError, Coherence
from pindown.choices.panel import Panel, coherence_panel
from pindown.cli.app import app
from pindown.report.choices import write_choices_report
from pindown.report.coherence import coherence_sections
from pindown.report.committee import committee_sections

pytestmark = pytest.mark.usefixtures("own_folder")

MENUS = "menu,choice\nA B,B\nB C,C\nC A,A\n"
PEOPLE = "who,menu,choice\nann,A B,B\nann,B C,C\nann,C A,A\nbob,A B,A\nbob,B C,B\n"
TRADES = "have,offered,accepted\ncheese,ham,yes\ncheese,olives,yes\nham,olives,no\nolives,ham,no\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def data(page: str) -> list[Any]:
    """The charts of a page, as the browser reads them."""
    html = Path(page).read_text(encoding="utf-8")
    return [json.loads(spec) for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)]


def test_coherence_says_the_pump_and_writes_the_page() -> None:
    done = run("coherence", write("choices.csv", MENUS), "--out", "here", "--json", "record.json")
    assert done.exit_code == 0, done.output
    assert "to go from A to B to C to A" in " ".join(done.output.split())
    record = json.loads(Path("record.json").read_text(encoding="utf-8"))
    assert record == json.loads(Path("here/coherence.json").read_text(encoding="utf-8"))
    assert record["schema"] == "pindown/coherence/1"
    assert not Coherence.from_dict(record).coherent
    page = Path("here/report.html").read_text(encoding="utf-8")
    assert "A over C over B over A" in page
    charts = data("here/report.html")
    arrows = [a for chart in charts for a in chart["layout"].get("annotations", []) if a.get("showarrow")]
    assert len(arrows) == 3


def test_the_record_alone_goes_to_standard_output() -> None:
    done = run("coherence", write("choices.csv", MENUS), "--json", "-", "--quiet")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["coherent"] is False


def test_many_subjects_and_one_of_them() -> None:
    file = write("people.csv", PEOPLE)
    done = run("coherence", file, "--by", "who", "--out", "all")
    assert done.exit_code == 0, done.output
    assert "1 of 2 subjects are coherent" in done.output
    record = json.loads(Path("all/coherence.json").read_text(encoding="utf-8"))
    assert Panel.from_dict(record).to_dict() == record
    assert run("coherence", file, "--by", "who", "--subject", "bob", "--out", "bob").exit_code == 0
    assert json.loads(Path("bob/coherence.json").read_text(encoding="utf-8"))["subject"] == "bob"
    wrong = run("coherence", file, "--by", "who", "--subject", "eve")
    assert wrong.exit_code == 2
    assert "no subject 'eve'" in wrong.output
    assert run("coherence", file, "--subject", "bob").exit_code == 2


def test_subagents_shows_the_members_and_the_lattice() -> None:
    done = run("subagents", write("trades.csv", TRADES), "--out", "here")
    assert done.exit_code == 0, done.output
    assert "2 members explain every choice" in done.output
    assert "ham > olives > cheese" in done.output
    assert "What all members agree on" in Path("here/report.html").read_text(encoding="utf-8")
    none = run("subagents", write("ring.csv", "have,offered,accepted\na,b,1\nb,a,1\n"), "--out", "none")
    assert none.exit_code == 0
    assert "the ring a → b → a" in " ".join(none.output.split())
    people = write("people.csv", PEOPLE)
    assert run("subagents", people, "--by", "who", "--subject", "ann", "--out", "ann").exit_code == 0
    assert run("subagents", people, "--by", "who").exit_code == 2


def test_lotteries_say_what_is_swapped_and_draw_the_weights() -> None:
    rows = ["observation,lottery,outcome,probability,chosen"]
    rows += ["1,1A,1M,1,yes", "1,1B,1M,0.89,no", "1,1B,5M,0.1,no", "1,1B,nothing,0.01,no"]
    rows += ["2,2A,1M,0.11,no", "2,2A,nothing,0.89,no", "2,2B,5M,0.1,yes", "2,2B,nothing,0.9,yes"]
    done = run("coherence", write("allais.csv", "\n".join(rows) + "\n"), "--out", "here")
    assert done.exit_code == 0, done.output
    assert "branch by branch: 1B for 1A, 2A for 2B" in " ".join(done.output.split())
    (bars,) = [c for c in data("here/report.html") if c["data"][0].get("orientation") == "h"]
    assert bars["data"][0]["x"] == [0.5, 0.5]


@pytest.mark.parametrize("command", ["coherence", "subagents"])
def test_bad_files_end_with_their_code(command: str) -> None:
    assert run(command, "nowhere.csv").exit_code == 2
    bad = run(command, write("bad.csv", "menu,choice\na b,z\n"))
    assert bad.exit_code == 3
    assert "row 1, column 'choice' is 'z'" in " ".join(bad.output.split())
    Path("a file").write_text("", encoding="utf-8")
    assert run(command, write("choices.csv", MENUS), "--out", "a file/here").exit_code == 5


RECORDS = {
    "budgets": lambda: pindown.Budgets([[1, 1], [2, 1], [1, 3]], [[2, 2], [3, 0], [1, 1]]),
    "menus": lambda: pindown.Menus([["a", "b"], ["b", "c"]], ["a", "b"]),
    "pairs": lambda: pindown.Pairs(["a", "b", "c"], ["b", "c", "a"], [9, 8, 7], [1, 2, 3]),
    "bets": lambda: pindown.Bets.quotes([["r"], ["s"]], [0.6, 0.6], ["r", "s"]),
    "lotteries": lambda: pindown.Lotteries(
        [{"a": {"x": 1}, "b": {"y": 0.5, "z": 0.5}}, {"c": {"x": "1/2", "y": "1/2"}, "d": {"y": 0.75, "z": 0.25}}],
        ["a", "d"],
    ),
    "trades": lambda: pindown.Trades(["a", "b"], ["b", "c"], [True, False]),
    "policy": lambda: pindown.Policy({s: ["x", "y"] for s in "xy"}, {"x": "x", "y": "x"}),
    "value cache": lambda: pindown.ValueCache({0: 0, 1: 1, 2: 5}, {2: [0, 1]}),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_every_kind_has_its_page(kind: str) -> None:
    found = pindown.coherence(RECORDS[kind](), particles=50, repeats=2)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    write_choices_report(record, "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "The verdict" in page
    assert len(found.to_dataframe()) >= 0
    assert "<table" in found._repr_html_()
    assert found.verdict.split(".")[0] in found.summary()


def test_names_are_shown_as_they_are_and_damage_is_refused() -> None:
    table = pindown.Menus([["<b>x</b>", "y"], ["y", "<b>x</b>"]], ["<b>x</b>", "y"])
    record = pindown.coherence(table).to_dict()
    write_choices_report(record, "page.html")
    assert "<b>x</b>" not in Path("page.html").read_text(encoding="utf-8").replace("\\u003c", "")
    with pytest.raises(CheckpointError):
        Coherence.from_dict({**record, "certificate": {**record["certificate"], "kind": "other"}})
    for damage in ({"schema": "other/1"}, {"graph": {}}, {"certificate": 3}, {"ccei": None}, {"breaks": [[1]]}):
        with pytest.raises(CheckpointError):
            coherence_sections({**record, **damage})
        with pytest.raises(CheckpointError):
            Coherence.from_dict({**record, **damage})
    with pytest.raises(CheckpointError):
        committee_sections(record)
    with pytest.raises(CheckpointError):
        write_choices_report({"schema": "pindown/coherence-panel/1"}, "page.html")


def test_a_panel_without_subjects_is_refused() -> None:
    with pytest.raises(pindown.InputError, match="at least one"):
        coherence_panel({})
