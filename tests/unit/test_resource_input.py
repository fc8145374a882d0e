"""What resources refuse, with the place; records that come back; the command and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pindown import MDP, Chain, CheckpointError, Convergence, Economy, InputError, LinearProgram, convergence, power
from pindown.cli.app import app
from pindown.errors import DataError
from pindown.report.resources import convergence_sections, write_resources_report
from pindown.resources.convergence_result import judge
from pindown.resources.empowerment import Empowerment, empowerment
from pindown.resources.options import option_counts
from pindown.resources.power import Power
from pindown.resources.shares import Share
from pindown.resources.units import price_unit

FARM = """NAME          farm
OBJSENSE
    MAX
ROWS
 N  profit
 L  land
 G  least
 E  same
COLUMNS
    wheat  profit  3.0  land  1.0
    wheat  least   1.0  same  1.0
    rye    profit  2.0  land  1.0
    rye    same   -1.0
RHS
    RHS  land  4.0  least  0.5
RANGES
    RNG  same  1.0
BOUNDS
 UP BND  wheat  9.0
ENDATA
"""


def farm() -> LinearProgram:
    return LinearProgram([3, 2], [[1, 1], [1, 0]], high=[4, 9], maximise=True, rows=["land", "seed"])


def write(text: str, name: str = "farm.mps") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_remarks_behind_a_name_are_not_the_name(tmp_path):
    path = tmp_path / "farm.mps"
    path.write_text(FARM.replace("farm", "farm   SIZE: N=3, M=2", 1))
    assert LinearProgram.from_mps(path).name == "farm"


@pytest.mark.usefixtures("own_folder")
def test_an_mps_file_is_read() -> None:
    problem = LinearProgram.from_mps(write(FARM))
    assert problem.maximise
    assert problem.rows == ("land", "least", "same")
    assert problem.matrix.toarray().tolist() == [[1, 1], [1, 0], [1, -1]]
    assert problem.low.tolist() == [-np.inf, 0.5, 0.0]
    assert problem.high.tolist() == [4.0, np.inf, 1.0]
    assert problem.upper.tolist() == [9.0, np.inf]


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("wrong", "right", "line", "what"),
    [
        (" L  land", " Q  land", 6, "row 'Q land'"),
        ("rye    same   -1.0", "rye    sane   -1.0", 13, "row 'sane'"),
        ("land  4.0", "land  four", 15, "'four'"),
        (" UP BND  wheat  9.0", " BV BND  wheat", 19, "bound 'BV'"),
        ("RANGES", "RANGED", 16, "section 'RANGED'"),
        ("ENDATA\n", "", 19, "the end of the file"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(wrong: str, right: str, line: int, what: str) -> None:
    with pytest.raises(DataError, match=re.escape(what)) as caught:
        LinearProgram.from_mps(write(FARM.replace(wrong, right)))
    assert f"line {line}:" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MDP([[[0.5, 0.4], [1, 0]], [[1, 0], [0, 1]]]), "state 0, action 0 sum to 0.9"),
        (lambda: MDP([[0, 2], [0, 1]]), "state 0, action 1 leads to 2"),
        (lambda: MDP([[0], [-1]]), "state 1 has no action"),
        (lambda: MDP([[0, 1], [0, 1]], start="there"), "no state 'there'"),
        (lambda: MDP([[0], [1]], rewards=[1.0]), "rewards of shape"),
        (lambda: LinearProgram([1], [[1, 2]]), "c of shape"),
        (lambda: LinearProgram([1], [[1]], low=2, high=1), "row 0 from 2 to 1"),
        (lambda: LinearProgram([1], [[1]], units={"water": "l"}), "a unit for 'water'"),
        (lambda: Economy([[1.1]], [1.0]), "spectral radius"),
        (lambda: Economy([[0.5]], [0.0]), "a good that needs no factor"),
        (lambda: Chain([[[0.5, 0.4]]]), "layer 0, row 0 sums to 0.9"),
        (lambda: Chain([]), "no layers"),
        (lambda: convergence(farm(), []), "at least one family"),
        (lambda: convergence(farm(), ["nice"]), "no family 'nice'"),
        (lambda: convergence(farm(), objectives=1), "at least 2"),
        (lambda: convergence(LinearProgram([1], [[1]], high=-1)), "infeasible as it stands"),
        (lambda: convergence(LinearProgram([-1], [[-1]], high=1)), "unbounded as it stands"),
        (lambda: power(MDP([[0]]), discount=1.0), "discount = 1.0"),
        (lambda: empowerment(MDP([[0]]), 0), "steps = 0"),
    ],
)
def test_bad_input_is_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make()


def test_records_come_back() -> None:
    found = convergence(farm(), objectives=20)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Convergence.from_dict(record).to_dict() == record
    assert len(found.to_dataframe()) == 2 * 5
    for problem in (MDP([[1, 2], [1, -1], [2, -1]]), Chain([[0, 0, 1, 1]])):
        record = json.loads(json.dumps(convergence(problem, ["positive"], 20).to_dict(), allow_nan=False))
        assert Convergence.from_dict(record).to_dict() == record
        assert record["layers"] or record["power"]
    strong = power(MDP([[1, 2], [1, -1], [2, -1]]), objectives=10)
    assert Power.from_dict(json.loads(json.dumps(strong.to_dict()))) == strong
    able = empowerment(MDP([[1, 2], [1, -1], [2, -1]]), 2)
    assert Empowerment.from_dict(json.loads(json.dumps(able.to_dict()))) == able
    for cls in (Convergence, Power, Empowerment):
        with pytest.raises(CheckpointError):
            cls.from_dict({"schema": "other/1"})


def test_the_same_seed_gives_the_same_whatever_else_is_asked() -> None:
    one, two = convergence(farm(), ["positive"], 30, seed=3), convergence(farm(), ["single", "positive"], 30, seed=3)
    assert one.of("land").value["positive"] == two.of("land").value["positive"]
    other = convergence(farm(), ["positive"], 30, seed=4)
    assert other.of("land").value != one.of("land").value or other.seed != one.seed


@given(st.integers(0, 50), st.integers(1, 50))
def test_shares_lie_in_their_intervals(count: int, more: int) -> None:
    share = Share(count, count + more)
    assert 0.0 <= share.low <= count / (count + more) <= share.high <= 1.0
    assert share.estimate.stderr > 0.0


def test_one_broken_stripe_is_no_resource() -> None:
    whole, broken, few = Share(990, 1000), Share(0, 1000), Share(3, 3)
    assert judge({"a": whole, "b": whole}, 0.8) == "resource"
    assert judge({"a": whole, "b": broken}, 0.8) == "under some priors"
    assert judge({"a": broken}, 0.8) == "not a resource"
    assert judge({"a": whole, "b": few}, 0.8) == "undecided"
    assert judge({"a": whole, "b": Share(0, 0)}, 0.8) == "undecided"


@given(st.permutations(range(5)))
def test_power_does_not_depend_on_the_order_of_actions(order: list[int]) -> None:
    table = np.array([[0, 1, 2, 3, 4]] + [[s] * 5 for s in range(1, 5)])
    assert power(MDP(table[:, order]), objectives=5).of(0) == power(MDP(table), objectives=5).of(0)


def test_option_counts_of_a_ring_with_a_way_out() -> None:
    reached, final = option_counts(MDP([[1, 2], [0, -1], [2, -1]]))
    assert reached.tolist() == [3, 3, 1]
    assert final.tolist() == [1, 1, 1]


def test_information_never_rises(rng: np.random.Generator) -> None:
    chain = Chain([rng.dirichlet(np.ones(6), size=5), rng.dirichlet(np.ones(4), size=6)])
    left = [e.value for e in chain.survives(rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5)))]
    assert left == sorted(left, reverse=True)
    assert left[-1] > 0
    found = convergence(chain, ["positive"], 50)
    assert [i.wanted["positive"].trials for i in found.items] == [50] * 11


def test_units() -> None:
    assert price_unit("land", {}) == "1"
    assert price_unit("land", {"land": "widget", "objective": "euro"}) == "euro / widget"
    with pytest.raises(InputError):
        price_unit("land", {"land": " "})


SHOP = """
import pindown
from pindown.resources.families import Family
problem = pindown.Economy([[0.2]], [1.0], goods=["corn"])
def chain():
    return pindown.Chain([[0, 0, 1, 1]], name="pairs")
first = Family("first", "the first alone", lambda rng, n, own: [[1.0] + [0.0] * (len(own) - 1)] * n)
"""


@pytest.mark.usefixtures("own_folder")
def test_the_command_takes_problems_and_priors_in_python() -> None:
    write(SHOP, "my_shop_module.py")
    for target, kind, items in (("", "economy", {"corn", "labour"}), (":chain", "chain", {"layer 0, state 0"})):
        arguments = ["resources", f"my_shop_module.py{target}", "--objectives", "20", "--json", "-", "--quiet"]
        families = ["--family", "my_shop_module.py:first", "--family", "single"]
        done = CliRunner().invoke(app, [*arguments, *families, "--out", f"out{target[1:]}"])
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        assert record["kind"] == kind
        assert [f["name"] for f in record["families"]] == ["first", "single"]
        assert items <= {i["name"] for i in record["items"]}
        wanted = {i["name"]: i["wanted"]["first"]["count"] for i in record["items"]}
        assert wanted[sorted(items)[0]] == 20  # the one good, or one of the two states that lead to the first


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["my_hop_module.py"], "no file at my_hop_module.py"),
        (["my_bad_module.py:SHOP"], "nothing named 'SHOP'"),
        (["my_bad_module.py:first"], "first in my_bad_module.py is a Family"),
        (["my_bad_module.py", "--family", "my_bad_module.py:problem"], "problem in my_bad_module.py is a Economy"),
        (["my_bad_module.py", "--family", "nice"], "no family 'nice'"),
    ],
)
def test_the_command_refuses_other_python_in_words(arguments: list[str], words: str) -> None:
    write(SHOP, "my_bad_module.py")
    done = CliRunner().invoke(app, ["resources", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


@pytest.mark.usefixtures("own_folder")
def test_the_command_writes_its_record_and_its_page() -> None:
    arguments = ["resources", write(FARM), "--objectives", "20", "--family", "positive", "--out", "here", "--json", "-"]
    done = CliRunner().invoke(app, [*arguments, "--quiet"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads(Path("here/resources.json").read_text(encoding="utf-8"))
    assert "Who wants what" in Path("here/report.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["resources", write("ROWS\n X\n", "bad.mps")]).exit_code == 3
    assert CliRunner().invoke(app, ["resources", write("", "bad.txt")]).exit_code == 3
    assert CliRunner().invoke(app, ["resources", "NoSuchWorld-v0"]).exit_code == 2


def test_the_page_frames_whole_stripes_and_refuses_damage(tmp_path: Path) -> None:
    record = convergence(farm(), ["positive", "single"], 40).to_dict()
    write_resources_report(record, tmp_path / "page.html")
    (figure,) = [b for b in convergence_sections(record)[0].blocks if getattr(b, "title", "") == "Who wants what"]
    boxes = figure.spec["layout"]["shapes"]  # type: ignore[union-attr]
    assert len(boxes) == 1  # land, not seed
    for damage in ({"schema": "other/1"}, {"items": []}, {"items": [{"name": "x"}]}, {"families": 3}):
        with pytest.raises(CheckpointError):
            convergence_sections({**record, **damage})


def test_the_page_shows_what_states_leave_open_and_what_layers_can_see() -> None:
    record = convergence(MDP([[1, 2], [1, -1], [2, -1]]), ["positive", "single"], 20).to_dict()
    titles = [s.title for s in convergence_sections(record)]
    assert titles == ["What is wanted", "Values", "What each state leaves open", "The priors"]
    record["power"][1]["states"] = ["a", "b", "c"]
    with pytest.raises(CheckpointError, match=r"power\[1\] has other states"):
        convergence_sections(record)
    record["power"] = [{**record["power"][0], "final": [1]}]
    with pytest.raises(CheckpointError, match=r"power\[0\] has 3 states"):
        convergence_sections(record)
    chain = convergence(Chain([[0, 0, 1, 1]]), ["positive"], 20).to_dict()
    assert "What far objectives can see" in [s.title for s in convergence_sections(chain)]
