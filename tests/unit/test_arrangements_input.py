"""Arrangements: what is refused, kept work, a user's own arrangement, the command and its page."""

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
from pindown import Arrangements, CheckpointError, InputError, ValueProblem
from pindown.cli.app import app
from pindown.report.arrangements import arrangement_sections, write_arrangements_report
from pindown.values.arranging import BestOf, Committee, Oracle, Quantiliser, Singleton, Tool, standard
from pindown.values.choice_sources import Comparisons
from pindown.values.coupling import Blocks, CoupledBlocks, equilibria, price_of_anarchy
from pindown.values.equivalence import compare_with_margin
from pindown.values.market import Market, market_prices
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.steering import lock_and_key, steering_bits
from pindown.values.variance_shares import variance_shares

pytestmark = pytest.mark.usefixtures("own_folder")
QUICK: dict[str, Any] = {
    "levels": [0, 4], "episodes": 20, "sharing": (), "tails": (), "shortlists": (), "regions": False,
}  # fmt: skip


def problem(**options: Any) -> ValueProblem:
    table = np.random.default_rng(0).normal(size=(8, 2))
    return ValueProblem(table, LinearValues(2, particles=60), 0.2, [Comparisons(flip=0.1)], **options)


def arranged(compared: Any = None, **options: Any) -> Arrangements:
    return pindown.arrangements(problem(), compared, **{**QUICK, **options})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pindown.arrangements(3), "a problem of type int"),  # type: ignore[arg-type]
        (lambda: arranged(seed=-1), "seed -1"),
        (lambda: arranged(episodes=5), "20"),
        (lambda: arranged(margin=0), "margin=0"),
        (lambda: arranged(level=0.7), "level=0.7"),
        (lambda: arranged(rationality=-1.0), "rationality=-1.0"),
        (lambda: arranged(levels=[0]), "levels without answers"),
        (lambda: arranged(levels=[5], answers=[("comparisons", 0, 0)]), "levels up to 5 with 1 recorded"),
        (lambda: arranged(sharing=[2.0]), "sharing of 2.0"),
        (lambda: arranged(tails=[0.0]), "tails of 0.0"),
        (lambda: arranged(shortlists=[0]), "shortlists"),
        (lambda: arranged(minding=[float("nan")]), "minding of nan"),
        (lambda: arranged([Tool(), Tool()]), "two arrangements named 'tool'"),
        (lambda: arranged([3]), "an arrangement of type int"),
        (lambda: arranged([lambda views: views]), "does not take two arguments"),
        (lambda: arranged([lambda views, human: [1.0]]), "returned shape (1,)"),
        (lambda: arranged([lambda views, human: views.shared.base * 2]), "add up to 2"),
        (lambda: arranged([lambda views, human: human.pick([99])]), "shown to the person"),
        (lambda: pindown.arrangements(ValueProblem(2, np.eye(2), 0.0)), "without sources"),
        (
            lambda: pindown.arrangements(
                ValueProblem(2, Hypotheses(np.eye(2)), 0.0, [Comparisons()]),
                answers=[("comparisons", 0, 0), ("comparisons", 0, 1)],
            ),
            "no value agrees with",
        ),
        (lambda: Quantiliser(0.0), "q=0.0"),
        (lambda: Oracle(0), "k of an oracle"),
        (lambda: BestOf(0), "n of a best of n"),
        (lambda: Committee("shout"), "'shout'"),  # type: ignore[arg-type]
        (lambda: Blocks([[0.5]]), "choices of shape"),
        (lambda: Blocks([[1], [1]]), "two plans of the same choices"),
        (lambda: CoupledBlocks(Blocks.grid(2, 2), coupling=np.eye(2)), "without owners"),
        (lambda: CoupledBlocks(Blocks.grid(2, 2), [0, 1], np.eye(3)), "coupling matrix of shape (3, 3)"),
        (lambda: CoupledBlocks(Blocks.grid(2, 2), start=4), "start=4"),
        (lambda: arranged([CoupledBlocks(Blocks.grid(2, 2))]), "choices for 4 plans"),
        (lambda: arranged([CoupledBlocks(Blocks.grid(2, 2, 2), [0, 7])]), "owners [0, 7]"),
        (lambda: equilibria(Blocks.grid(2, 2), [[1, 2]]), "payoffs of shape (1, 2)"),
        (lambda: price_of_anarchy(Blocks.grid(2), [[-1, 2]]), "a cost of -1"),
        (lambda: Market(Blocks.grid(2, 2), np.eye(2), [1, 1], [0, 1]), "plan 1 uses more than there is"),
        (lambda: market_prices([[1.0]], [[2.0]], [1.0]), "not every block can have a choice"),
        (lambda: market_prices([1.0], [[2.0]], [1.0]), "gains of shape (1,)"),
        (lambda: compare_with_margin(np.ones(1), 0.5), "differences of shape (1,)"),
        (lambda: compare_with_margin(np.ones(5), 0.0), "margin of 0.0"),
        (lambda: variance_shares(np.ones((2, 2)), ""), "outcomes of shape (2, 2)"),
        (lambda: steering_bits([[0.5]]), "outcomes of shape"),
        (lambda: steering_bits(np.zeros((20, 4), dtype=int)), "4 actions for each of 20 observations"),
        (lambda: steering_bits([[0], [1]], [0]), "observations of shape (1,)"),
        (lambda: lock_and_key(9), "a key of 9 bits"),
    ],
)
def test_bad_input_says_what_is_wrong(make: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)


def test_the_singleton_is_always_the_reference_and_one_of_ones_own_is_compared() -> None:
    def cautious(views: Any, human: Any) -> Any:
        return views.shared.chance == views.shared.chance.max()

    found = arranged([cautious, Singleton()])
    assert [(x.name, x.role) for x in found.lines] == [
        ("singleton", "reference"), ("cautious", "compared"), ("base", "base"),
        ("control: a filter that knows", "control"),
    ]  # fmt: skip
    assert found.line("cautious").cells[-1].acceptable.value > found.line("base").cells[-1].acceptable.value
    with pytest.raises(InputError, match="no arrangement 'other'"):
        found.line("other")
    assert len(arranged().compared) == len(standard()) - 1


def test_the_record_is_plain_and_comes_back() -> None:
    found = arranged(tails=[float("inf"), 1.0], shortlists=[2])
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Arrangements.from_dict(record).to_dict() == found.to_dict()
    assert len(found.to_dataframe()) == sum(len(x.cells) for x in found.lines)
    assert "<table" in found._repr_html_()
    assert "singleton" in found.summary()
    with pytest.raises(CheckpointError, match="schema"):
        Arrangements.from_dict({**record, "schema": "pindown/other/1"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        Arrangements.from_dict({**record, "lines": 3})


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    one, two, other = arranged(seed=3), arranged(seed=3), arranged(seed=4)
    assert one.to_dataframe().equals(two.to_dataframe())
    assert not one.to_dataframe().equals(other.to_dataframe())


def test_interrupted_work_goes_on_and_foreign_work_is_refused() -> None:
    whole = arranged(episodes=60)

    class Stop(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if text.startswith("episode 40"):
            raise Stop

    import pindown.engine.checkpoint as engine

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine.time, "monotonic", iter(range(0, 10**6, 10)).__next__)  # every save is due
        with pytest.raises(Stop):
            arranged(episodes=60, checkpoint="kept", progress=stop)
    seen: list[str] = []
    resumed = arranged(episodes=60, checkpoint="kept", progress=lambda share, text: seen.append(text))
    assert [t for t in seen if t.startswith("episode")] != []
    assert "episode 20 of 60" not in seen
    assert resumed.to_dataframe().equals(whole.to_dataframe())
    with pytest.raises(CheckpointError, match="another measurement"):
        arranged(episodes=80, checkpoint="kept")
    Path("kept/arrangements.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="damaged"):
        arranged(episodes=60, checkpoint="kept")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_writes_the_record_and_the_page() -> None:
    table = (
        '\n[arrangements]\nlevels = [1, 4]\nepisodes = 20\ntranscript = "drawn"\nmembers = 2\nsharing = [1.0, 0.0]\n'
        "tails = [inf, 1]\nshortlists = [2]\nregions = false\nchoices = [[0, 0], [0, 1], [1, 0]]\n"
    )
    plans = len(json.loads("[" + re.search(r"names = \[(.*?)\]", PROBLEM)[1] + "]"))  # type: ignore[index]
    table = table.replace("[[0, 0], [0, 1], [1, 0]]", str([[i] for i in range(plans)]))
    Path("p.toml").write_text(PROBLEM + table, encoding="utf-8")
    done = run("values", "arrangements", "p.toml", "--out", "here", "--json", "record.json", "--episodes", "24")
    assert done.exit_code == 0, done.output
    record = json.loads(Path("record.json").read_text(encoding="utf-8"))
    assert record == json.loads(Path("here/arrangements.json").read_text(encoding="utf-8"))
    found = Arrangements.from_dict(record)
    assert (found.episodes, found.members, found.transcript) == (24, 2, "drawn for every episode")
    assert found.line("coupled blocks").cells[-1].outcome == "equivalent"  # one block is the singleton
    html = Path("here/report.html").read_text(encoding="utf-8")
    charts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
    assert len(charts) == 4
    drawn = {t["name"]: t for t in json.loads(charts[0])["data"] if t.get("name")}
    assert drawn["singleton"]["y"] == [c.optimisation.value for c in found.lines[0].cells]
    marks = [x for t in json.loads(charts[2])["data"] for x in t["x"]]
    assert len(marks) == sum(len(x.cells) for x in found.lines[1:])
    assert "A key opens a lock" in html
    for extra, words in (("colour = 3\n", "unknown key 'colour'"), ('transcript = "mine"\n', "transcript")):
        text = table.replace('transcript = "drawn"\n', "") + extra
        Path("q.toml").write_text(PROBLEM + text, encoding="utf-8")
        refused = run("values", "arrangements", "q.toml")
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())
    assert run("values", "p.toml", "--episodes", "30").exit_code == 2
    assert run("values", "arrangements").exit_code == 2


def test_the_page_says_what_the_record_says() -> None:
    record = arranged([Committee("vote", "shared")], regions=False).to_dict()
    assert [s.title for s in arrangement_sections(record)] == [
        "Optimisation against information", "Are they equivalent?", "Exchange rates", "A key opens a lock",
    ]  # fmt: skip
    blind = {**record, "control_seen": False, "claim": "undecided"}
    write_arrangements_report(blind, "blind.html")
    page = Path("blind.html").read_text(encoding="utf-8")
    assert "The control was not told apart" in page
    assert "Undecided" in page
    with pytest.raises(CheckpointError, match="schema"):
        arrangement_sections({**record, "schema": "pindown/other/1"})
    with pytest.raises(CheckpointError, match=r"record\.lines\[0\]\.rate"):
        arrangement_sections({**record, "lines": [{**record["lines"][0], "rate": 3}]})
