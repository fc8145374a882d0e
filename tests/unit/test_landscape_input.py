"""What landscapes refuse, with the place; formulas that are read; records that come back; the command and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscape_cases import parity_chain, separable
from typer.testing import CliRunner

from pindown import (
    CNF,
    BitString,
    Box,
    CheckpointError,
    InputError,
    Landscape,
    Product,
    SearchProblem,
    Subset,
    landscape,
)
from pindown.cli.app import app
from pindown.errors import DataError
from pindown.landscapes.constraint_bits import drawn_bits, formula_bits
from pindown.landscapes.dimacs import parse_dimacs
from pindown.landscapes.model_count import ModelCounter
from pindown.landscapes.problem import Constraint
from pindown.landscapes.variables import Variables
from pindown.report.landscape import landscape_sections, write_landscape_report

FORMULA = """c three switches
p cnf 4 3
1 -2 0
2 3
 -4 0 -1 4 0
"""
PROBLEM = """
import pindown
problem = pindown.SearchProblem(pindown.BitString(6), lambda x: 6 - x.sum(-1), name="all ones")
def formula():
    return pindown.CNF([[1, 2], [-1, 3]])
number = 3
def broken():
    return 1 / 0
"""


@pytest.fixture(scope="module")
def found() -> Landscape:
    return landscape(CNF(parity_chain(4), name="parities"), starts=6, budget=256, repeats=2)


def write(text: str, name: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.usefixtures("own_folder")
def test_a_dimacs_file_is_read() -> None:
    cnf = CNF.from_dimacs(write(FORMULA, "switches.cnf"))
    assert (cnf.variables, cnf.name) == (4, "switches")
    assert cnf.clauses == ((1, -2), (2, 3, -4), (-1, 4))
    assert cnf.losses(torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]])).tolist() == [1.0, 0.0]


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("wrong", "right", "line", "what"),
    [
        ("p cnf 4 3", "p sat 4 3", 2, "p sat 4 3"),
        ("p cnf 4 3", "p cnf four 3", 2, "'four'"),
        ("p cnf 4 3", "p cnf 0 3", 2, "0 variables"),
        ("p cnf 4 3\n", "", 2, "'1'"),
        ("p cnf 4 3", "p cnf 4 3\np cnf 4 3", 3, "a second line"),
        ("p cnf 4 3", "p cnf 4 2", 5, "clause 3"),
        ("p cnf 4 3", "p cnf 4 4", 5, "3 clauses"),
        ("2 3\n", "2 5\n", 4, "variable 5"),
        ("2 3\n", "2 x\n", 4, "'x'"),
        ("2 3\n", "2 3.0\n", 4, "'3.0'"),
        (" -4 0 -1 4 0", " -4 0 -1 4", 5, "within a clause"),
        ("1 -2 0", "0", 3, "an empty clause"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(wrong: str, right: str, line: int, what: str) -> None:
    assert wrong in FORMULA
    with pytest.raises(DataError, match=re.escape(what)) as caught:
        CNF.from_dimacs(write(FORMULA.replace(wrong, right), "bad.cnf"))
    assert f"line {line}:" in str(caught.value)


@pytest.mark.usefixtures("own_folder")
def test_a_file_that_is_no_text_is_refused() -> None:
    Path("noise.cnf").write_bytes(bytes(range(128, 256)))
    for name in ("noise.cnf", "missing.cnf"):
        with pytest.raises(DataError, match="cannot be read"):
            CNF.from_dimacs(name)


@given(st.lists(st.text("pcnf 0123456789-+%x\t²", max_size=24), max_size=8))
def test_any_text_is_read_or_refused_with_its_line(lines: list[str]) -> None:
    try:
        variables, clauses = parse_dimacs(["p cnf 3 2", *lines], "text")
    except DataError as error:
        said = str(error)
    else:
        said = "text, line 0: "
        assert all(0 < abs(v) <= variables for c in clauses for v in c)
    assert re.search(r"^text, line \d+: ", said)


@given(st.lists(st.lists(st.integers(1, 30).flatmap(lambda v: st.sampled_from([v, -v])), min_size=1), min_size=1))
def test_what_is_written_is_read(clauses: list[list[int]]) -> None:
    text = f"p cnf 30 {len(clauses)}\n" + "\n".join(" ".join(map(str, [*c, 0])) for c in clauses)
    assert parse_dimacs(text.splitlines(), "text") == (30, [tuple(c) for c in clauses])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CNF([]), "a formula without clauses"),
        (lambda: CNF([[1, 0]]), "clause 0 is [1, 0]"),
        (lambda: CNF([[1, 5]], variables=3), "variable 5"),
        (lambda: landscape(CNF([[1], [-1]])), "has no solution"),
        (lambda: landscape(BitString(3), CNF([[1, 2]])), "a formula of 2 variables on BitString(3)"),
        (lambda: landscape(Box(0, 1, dim=2), lambda x: x.sum(-1)), "without a tolerance"),
        (lambda: landscape(Box(0, 1, dim=2), []), "no constraints"),
        (lambda: landscape(Box(0, 1, dim=2), 3), "a int"),
        (lambda: landscape("space", lambda x: x), "a space of type str"),
        (lambda: landscape(Box(0, 1, dim=2), {"a": 1}), "'a' is a int"),
        (lambda: landscape(Box(0, 1, dim=2), [lambda x: x]), "a constraint returned shape (64, 2)"),
        (lambda: landscape(Box(0, 1, dim=2), [lambda x: x.sum(-1)], tolerance=1.0), "tolerance = 1.0 with constraints"),
        (lambda: SearchProblem(BitString(2), [Constraint("a", len), Constraint("a", len)]), "two constraints of one"),
        (lambda: SearchProblem(BitString(2), len, variable_names=["a"]), "1 variable names"),
        (lambda: SearchProblem(CNF([[1]]), len), "a formula and a"),
        (lambda: landscape(BitString(2), lambda x: x.sum(-1), starts=2), "starts = 2"),
        (lambda: landscape(BitString(2), lambda x: x.sum(-1), budget=2), "budget = 2"),
        (lambda: landscape(BitString(2), lambda x: x.sum(-1), seed=-1), "seed -1"),
        (lambda: landscape(BitString(2), [lambda x: x[:, 0] > 0, lambda x: x[:, 0] < 1]), "no point meets the target"),
    ],
)
def test_bad_input_is_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make()


def test_constraints_may_take_arrays_or_tensors() -> None:
    tensors = landscape(BitString(4), {"a": lambda x: x[:, 0] > 0}, starts=6, budget=64)
    arrays = landscape(BitString(4), {"a": lambda x: np.asarray(x)[:, 0] > 0.5}, starts=6, budget=64)
    only = landscape(BitString(4), {"a": lambda x: np.less(0.5, _array(x)[:, 0])}, starts=6, budget=64)
    assert tensors.constraints == arrays.constraints == only.constraints


def _array(x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        raise TypeError("an array")
    return x


def test_variables_are_what_can_change_alone() -> None:
    mixed = Variables.of(Product(Subset(5, 2), BitString(2), Box(0, 1, dim=1)))
    assert mixed.coordinates == ((0, 1, 2, 3, 4), (5,), (6,), (7,))
    assert mixed.is_bit == (False, True, True, False)
    assert not mixed.continuous
    assert Variables.of(Box(0, 1, dim=3)).continuous


def test_a_space_in_one_piece_has_no_blocks() -> None:
    found = landscape(Subset(8, 3), lambda x: 3 - x[:, :3].sum(-1), starts=6, budget=512)
    assert found.target.value == pytest.approx(np.log2(56))
    assert found.decomposition.verdict == "unsupported"
    assert found.mode("decomposed").why_not == "no blocks"
    assert found.mode("local").solved == 6


def test_mixed_spaces_are_searched() -> None:
    space = Product(Subset(6, 2), BitString(3))
    found = landscape(
        space, lambda x: 5 - x[:, :2].sum(-1) - x[:, 6:].sum(-1), tolerance=0.0, starts=6, budget=512, repeats=3
    )
    assert found.mode("local").solved == 6
    truth = np.log2(15 * 8)
    assert abs(found.target.value - truth) < 5 * found.target.stderr + 0.1


def test_the_same_seed_gives_the_same_record(found: Landscape) -> None:
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = landscape(CNF(parity_chain(4), name="parities"), starts=6, budget=256, repeats=2)
    assert {**again.to_dict(), "seconds": 0} == {**found.to_dict(), "seconds": 0}
    other = landscape(CNF(parity_chain(4), name="parities"), seed=1, starts=6, budget=256, repeats=2)
    assert other.modes != found.modes
    assert torch.equal(state[0], torch.random.get_rng_state())
    assert (state[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_records_come_back(found: Landscape) -> None:
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Landscape.from_dict(record).to_dict() == record
    assert list(found.to_dataframe().columns) == ["mode", "evaluations", "bits", "stderr"]
    assert "The target holds 4 bits" in found._repr_html_()
    with pytest.raises(CheckpointError):
        Landscape.from_dict({**record, "schema": "pindown/landscape/0"})
    with pytest.raises(CheckpointError):
        Landscape.from_dict({k: v for k, v in record.items() if k != "modes"})


@pytest.mark.usefixtures("own_folder")
def test_a_page_is_written_and_damage_is_named(found: Landscape) -> None:
    record = found.to_dict()
    write_landscape_report(record, "page.html")
    assert "Bits reached" in Path("page.html").read_text(encoding="utf-8")
    assert next(s.title for s in landscape_sections(record)) == "Searches"
    damaged = json.loads(json.dumps(record))
    damaged["decomposition"]["blocks"] = damaged["decomposition"]["blocks"][1:]
    with pytest.raises(CheckpointError, match="each variable once"):
        landscape_sections(damaged)
    damaged = json.loads(json.dumps(record))
    damaged["modes"][0]["bits"] = []
    with pytest.raises(CheckpointError, match=r"modes\[0\]"):
        landscape_sections(damaged)
    with pytest.raises(CheckpointError, match="schema"):
        landscape_sections({})


def test_hostile_names_stay_text() -> None:
    evil = "<script>alert(1)</script>"
    problem = SearchProblem(BitString(3), {evil: lambda x: x[:, 0] > 0}, name=evil, variable_names=[evil, "b", "c"])
    sections = landscape_sections(landscape(problem, starts=6, budget=64).to_dict())
    figures = [b for s in sections for b in s.blocks if hasattr(b, "spec")]
    assert figures
    assert "<script>" not in json.dumps([f.spec for f in figures])


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    landscape(BitString(6), separable(6, 3), starts=6, budget=64, progress=lambda share, text: told.append(share))
    assert told[-1] == 1.0
    assert all(0 <= share <= 1 for share in told)


def test_what_points_nearby_say_agrees_with_the_count() -> None:
    """Constraints of a wide formula are told from points on which one clause may fail; here both ways are open."""
    rng = np.random.default_rng(3)
    clauses = [
        tuple(int(v) for v in rng.choice(np.arange(1, 13), 3, False) * rng.choice([-1, 1], 3)) for _ in range(24)
    ]
    cnf = CNF(clauses, 20)
    counter = ModelCounter(20)
    models = counter.count(cnf.clauses)
    assert models
    exact = formula_bits(cnf, counter, models)
    drawn = drawn_bits(cnf, 0, 4, None)
    apart = [(d.adds.value - e.adds.value) / d.adds.stderr for d, e in zip(drawn, exact, strict=True)]
    assert np.max(np.abs(apart)) < 4.5  # of 24
    assert np.mean([d.adds.stderr for d in drawn]) < 0.15
    assert np.ptp([e.adds.value for e in exact]) > 0.3  # they differ by more than the errors


@pytest.mark.usefixtures("own_folder")
def test_the_command() -> None:
    run = CliRunner().invoke
    write(FORMULA, "switches.cnf")
    small = ["--budget", "64", "--starts", "6", "--repeats", "2"]
    done = run(app, ["landscape", "switches.cnf", *small, "--out", "out", "--json", "-", "--quiet"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["schema"] == "pindown/landscape/1"
    assert {p.name for p in Path("out").iterdir()} == {"landscape.json", "report.html"}
    write(PROBLEM, "my_problem_module.py")
    for target, name in (("", "all ones"), (":formula", "BitString(3)")):
        done = run(app, ["landscape", f"my_problem_module.py{target}", *small, "--json", "-", "--seed", "1"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["problem"] == name


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("missing.cnf", "cannot be read"),
        ("notes.txt", "neither a formula nor a Python file"),
        ("missing.py", "no file at"),
        ("my_other_module.py:nothing", "nothing named 'nothing'"),
        ("my_other_module.py:number", "number in my_other_module.py is a int"),
        ("my_other_module.py:broken", "ZeroDivisionError"),
    ],
)
def test_the_command_refuses_in_words(target: str, words: str) -> None:
    write(PROBLEM, "my_other_module.py")
    done = CliRunner().invoke(app, ["landscape", target])
    assert done.exit_code in (2, 3)
    assert words in " ".join(done.output.split())
