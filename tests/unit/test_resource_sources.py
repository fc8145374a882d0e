"""Programmes from SciPy, highspy and cvxpy; convex problems; work that was interrupted."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog
from typer.testing import CliRunner

from pindown import MDP, Chain, CheckpointError, ConvexProgram, InputError, LinearProgram, convergence
from pindown.cli.app import app
from pindown.resources.convex_program import wanted_in_convex
from pindown.resources.highs import make_solver
from pindown.resources.wanted_constraints import wanted_constraints

MPS = """NAME          farm
ROWS
 N  cost
 L  land
COLUMNS
    wheat  cost  -3.0  land  1.0
    rye    cost  -2.0  land  1.0
RHS
    RHS  land  4.0
ENDATA
"""


def farm() -> LinearProgram:
    return LinearProgram([3, 2], [[1, 1], [1, 0]], high=[4, 9], maximise=True, rows=["land", "seed"])


def best(problem: LinearProgram) -> float:
    return make_solver(problem).solve(problem.costs_of(problem.own[None])[0]).value


# --- SciPy ------------------------------------------------------------------------------------------------------------


def test_what_linprog_takes_has_the_optimum_that_linprog_finds(rng: np.random.Generator) -> None:
    c, a, e = rng.normal(size=5), rng.uniform(size=(3, 5)), rng.uniform(size=(1, 5))
    call = {"A_ub": a, "b_ub": [1, 2, 3], "A_eq": e, "b_eq": [0.5], "bounds": [(-1, 1)] * 4 + [(None, 2)]}
    problem = LinearProgram.from_linprog(c, **call)
    assert problem.rows == ("ub 0", "ub 1", "ub 2", "eq 0")
    assert problem.lower.tolist() == [-1] * 4 + [-math.inf]
    assert best(problem) == pytest.approx(linprog(c, **call).fun, abs=1e-8)
    assert abs(best(LinearProgram.from_linprog(c, **{**call, "b_eq": [0.6]})) - linprog(c, **call).fun) > 1e-3


@pytest.mark.parametrize("form", [list, np.array, sparse.csr_array, sparse.coo_matrix])
def test_tables_may_be_of_any_form(form: Any) -> None:
    table = form([[1.0, 1.0], [1.0, 0.0]])
    problem = LinearProgram.from_linprog([-3, -2], table, [4, 9])
    assert problem.matrix.toarray().tolist() == [[1, 1], [1, 0]]
    assert problem.lower.tolist() == [0, 0]  # as linprog has it
    assert best(problem) == pytest.approx(-12)


@pytest.mark.parametrize(
    ("bounds", "upper"),
    [(None, [math.inf] * 2), ((0, 3), [3, 3]), ([(0, 3)], [3, 3]), ([(0, 1), (0, None)], [1, math.inf]),
     (Bounds(0, [1, 2]), [1, 2])],
)  # fmt: skip
def test_bounds_are_read_as_linprog_reads_them(bounds: Any, upper: list[float]) -> None:
    assert LinearProgram.from_linprog([1, 1], [[1, 1]], [4], bounds=bounds).upper.tolist() == upper


def test_what_milp_takes() -> None:
    first, second = LinearConstraint([[1, 1]], ub=4), LinearConstraint(sparse.csr_array([[1, 0], [1, -1]]), -1, [9, 2])
    problem = LinearProgram.from_milp([-3, -2], constraints=[first, second], bounds=Bounds(0, 5), integrality=0)
    assert problem.rows == ("row 0", "row 1.0", "row 1.1")
    assert problem.low.tolist() == [-math.inf, -1, -1]
    assert problem.high.tolist() == [4, 9, 2]
    assert problem.upper.tolist() == [5, 5]
    for alone in (first, ([[1, 1]], -math.inf, 4), [([[1, 1]], -math.inf, 4)]):
        assert LinearProgram.from_milp([-3, -2], constraints=alone).high.tolist() == [4]
    assert best(LinearProgram.from_milp([-3, -2], constraints=first)) == pytest.approx(-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearProgram.from_linprog([1], [[1]]), "A_ub without b_ub"),
        (lambda: LinearProgram.from_linprog([1], b_eq=[1]), "b_eq without A_eq"),
        (lambda: LinearProgram.from_linprog([1], [[1, 2]], [1]), "A_ub of shape (1, 2)"),
        (lambda: LinearProgram.from_linprog([1], [[1], [2]], [1]), "with 1 numbers in b_ub"),
        (lambda: LinearProgram.from_linprog([1, 1], [[1, 1]], [1], bounds=[(0, 1)] * 3), "3 bounds"),
        (lambda: LinearProgram.from_milp([1, 1], integrality=[0, 1]), "column 1 has to be a whole number"),
        (lambda: LinearProgram.from_milp([1], constraints=3), "constraints of type int"),
        (lambda: LinearProgram.from_milp([1], bounds=3), "bounds of type int"),
        (lambda: LinearProgram.from_highs(3), "a int"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make()


# --- highspy ----------------------------------------------------------------------------------------------------------


def test_a_model_built_in_highspy() -> None:
    highspy = pytest.importorskip("highspy")
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    wheat, rye = model.addVariable(lb=0, ub=9), model.addVariable(lb=0)
    model.addConstr(wheat + rye <= 4)
    model.maximize(3 * wheat + 2 * rye)
    problem = LinearProgram.from_highs(model)
    assert problem.maximise
    assert problem.matrix.toarray().tolist() == [[1, 1]]
    assert problem.high.tolist() == [4]
    assert problem.upper.tolist() == [9, math.inf]
    assert convergence(problem, ["positive"], 20).of(problem.rows[0]).price.value == pytest.approx(3)
    model.addVariable(lb=0, ub=1, type=highspy.HighsVarType.kInteger)
    with pytest.raises(InputError, match="column 2 has to be a whole number"):
        LinearProgram.from_highs(model)


# --- cvxpy ------------------------------------------------------------------------------------------------------------


def test_without_cvxpy_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pindown.resources.cvx_problems.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pindown\[cvx\]"):
        LinearProgram.from_cvxpy(None)


def test_a_linear_problem_of_cvxpy_is_the_same_programme() -> None:
    cp = pytest.importorskip("cvxpy")
    x, y = cp.Variable((2, 2), nonneg=True, name="x"), cp.Variable(name="y", bounds=[-1, 2])
    x.save_value(np.full((2, 2), 7.0))
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    limits = [table @ x <= np.array([[1, 2], [3, 4]]), cp.sum(x) + y == 1, y >= -0.5]
    task = cp.Problem(cp.Maximize(x[0, 1] + 3 * x[1, 0] - y), limits)
    problem = LinearProgram.from_cvxpy(task)
    assert x.value.tolist() == [[7, 7], [7, 7]]  # as it was
    assert y.value is None
    assert problem.maximise
    assert problem.columns == ("x[0, 0]", "x[1, 0]", "x[0, 1]", "x[1, 1]", "y")
    assert problem.rows[:3] == ("constraint 0[0, 0]", "constraint 0[1, 0]", "constraint 0[0, 1]")
    assert problem.high[:4].tolist() == [1, 3, 2, 4]
    assert (problem.low[4], problem.high[4]) == (1, 1)
    assert problem.lower.tolist() == [0, 0, 0, 0, -1]
    task.solve(solver="SCIPY")
    assert -best(problem) == pytest.approx(task.value, abs=1e-8)


def test_what_is_not_linear_is_refused_by_its_place() -> None:
    cp = pytest.importorskip("cvxpy")
    x = cp.Variable(2, name="x")
    bowl, ball = cp.Problem(cp.Minimize(cp.sum_squares(x)), [x >= 1]), cp.Problem(
        cp.Minimize(cp.sum(x)), [x <= 3, cp.norm(x) <= 1]
    )  # fmt: skip
    for task, words in ((bowl, "the objective is not linear"), (ball, "constraint 1 is not linear")):
        with pytest.raises(InputError, match=words) as caught:
            LinearProgram.from_cvxpy(task)
        assert "ConvexProgram" in str(caught.value)
    whole = cp.Variable(integer=True, name="n")
    unset = cp.Parameter(name="p")
    for task, words in (
        (cp.Problem(cp.Minimize(whole), [whole >= 1]), "variable 'n' is integer"),
        (cp.Problem(cp.Maximize(cp.norm(x)), [x <= 1]), "DCP"),
        (cp.Problem(cp.Minimize(cp.sum(x)), [x >= unset]), "parameter 'p' has no value"),
        (cp.Problem(cp.Minimize(x[0]), [cp.SOC(x[0], x)]), "constraint 0 is a SOC"),
        (cp.Problem(cp.Minimize(cp.norm(x))), "without constraints"),
        (3, "a int"),
    ):
        with pytest.raises(InputError, match=words):
            ConvexProgram(task)


def test_prices_on_a_ball_are_its_radius_derivative() -> None:
    """max rᵀx on a ball of radius R is R·‖r‖: the price is ‖r‖ and the value price × R / optimum is 1."""
    cp = pytest.importorskip("cvxpy")
    x = cp.Variable(3, name="x")
    slack = cp.sum(x) <= 100
    problem = ConvexProgram(cp.Problem(cp.Minimize(cp.sum_squares(x - 5)), [cp.norm(x) <= 2, slack]))
    rewards = np.array([[1.0, 2.0, 2.0], [0.0, -3.0, 4.0]])
    found = wanted_in_convex(problem, rewards)
    assert found.wanted.tolist() == [[True, False]] * 2
    assert found.price[:, 0] == pytest.approx([3, 5], rel=1e-5)
    assert found.value[:, 0] == pytest.approx([1, 1], rel=1e-5)
    # Own objective: ‖x − 5·1‖² at x = R·1/√3, whose derivative by R is −2(5√3 − R); its slope there points along 1.
    own = wanted_in_convex(problem, None)
    assert own.price[0, 0] == pytest.approx(2 * (5 * math.sqrt(3) - 2), rel=1e-4)
    assert problem.own == pytest.approx(np.full(3, problem.own[0]), rel=1e-4)
    assert problem.own[0] > 0
    assert x.value is None  # as it was


def test_a_linear_problem_measured_as_a_convex_one_wants_the_same(rng: np.random.Generator) -> None:
    """Two ways to one answer: the simplex method with exact bases, and duals of an interior-point method."""
    cp = pytest.importorskip("cvxpy")
    a, x = rng.uniform(0.2, 1, size=(4, 3)), cp.Variable(3, nonneg=True, name="x")
    task = cp.Problem(cp.Maximize(cp.sum(x)), [a @ x <= 1, cp.sum(x[:2]) == 0.4, x[2] >= 0.1])
    rewards = rng.normal(size=(12, 3))
    convex = wanted_in_convex(ConvexProgram(task), rewards)
    linear = LinearProgram.from_cvxpy(task)
    exact = wanted_constraints(linear, linear.costs_of(rewards))
    assert convex.wanted.tolist() == exact.wanted[:, :6].tolist()
    assert convex.price == pytest.approx(exact.price[:, :6], abs=1e-5)
    assert convex.value == pytest.approx(exact.value[:, :6], abs=1e-4)
    assert exact.wanted[:, :6].any(axis=0).sum() >= 3  # a comparison of zeros would be none


def test_doubled_constraints_have_no_price() -> None:
    """Relaxing one of two equal constraints brings nothing, whatever their duals say."""
    cp = pytest.importorskip("cvxpy")
    x = cp.Variable(2, name="x")
    found = wanted_in_convex(
        ConvexProgram(cp.Problem(cp.Minimize(cp.sum(x)), [cp.norm(x) <= 1, cp.norm(x) <= 1])), np.array([[1.0, 1.0]])
    )
    assert found.tried == found.dropped == 2
    assert not found.wanted.any()


def test_a_convex_problem_through_the_front_door(tmp_path: Path) -> None:
    cp = pytest.importorskip("cvxpy")
    x = cp.Variable(2, nonneg=True, name="x")
    limits = [cp.sum_squares(x) <= 4, cp.sum(x) <= 50]
    problem = ConvexProgram(cp.Problem(cp.Maximize(cp.sum(cp.log(x + 1))), limits), name="orchard")
    found = convergence(problem, ["positive", "permuted", "single"], 8, checkpoint=tmp_path)
    assert (found.kind, found.problem, found.method) == ("convex problem", "orchard", "cvxpy")
    assert found.of("constraint 0").robustness.value == 1.0
    assert found.of("constraint 1").robustness.value == 0.0
    with pytest.raises(CheckpointError):
        convergence(
            ConvexProgram(cp.Problem(cp.Maximize(cp.sum(x)), limits)), ["positive"], 8, checkpoint=tmp_path
        )  # fmt: skip
    with pytest.raises(InputError, match="infeasible as it stands"):
        convergence(ConvexProgram(cp.Problem(cp.Minimize(cp.sum(x)), [cp.norm(x) <= -1])), ["positive"], 8)
    with pytest.raises(InputError, match="unbounded as it stands"):
        convergence(ConvexProgram(cp.Problem(cp.Maximize(cp.sum(x)), [cp.sum(x) >= 1])), ["positive"], 8)


# --- unfinished work --------------------------------------------------------------------------------------------------

PROBLEMS: dict[str, Any] = {
    "programme": farm,
    "environment": lambda: MDP([[1, 2], [1, -1], [2, -1]]),
    "chain": lambda: Chain([[0, 0, 1, 1]]),
}


class Stopped(Exception):
    pass


def stop_after(calls: int) -> Any:
    seen: list[float] = []

    def progress(share: float, text: str) -> None:
        seen.append(share)
        if len(seen) == calls:
            raise Stopped

    return progress


@pytest.mark.parametrize("kind", PROBLEMS)
def test_an_interrupted_run_goes_on_and_gives_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pindown.resources.answers.EVERY", 0.0)
    problem, families = PROBLEMS[kind](), ["positive", "normal"]
    whole = convergence(problem, families, 300).to_dict()
    with pytest.raises(Stopped):
        convergence(problem, families, 300, checkpoint=tmp_path, progress=stop_after(5))  # in the second family
    assert len(list(tmp_path.iterdir())) == 2
    told: list[float] = []
    again = convergence(problem, families, 300, checkpoint=tmp_path, progress=lambda s, _: told.append(s)).to_dict()
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    assert told[0] == 0.5  # the first family is read, not solved
    assert told[-1] == 1.0
    third = convergence(problem, families, 300, checkpoint=tmp_path).to_dict()  # all of it is there
    assert third["items"] == whole["items"]


def test_what_belongs_to_another_call_is_refused(tmp_path: Path) -> None:
    convergence(farm(), ["positive"], 20, checkpoint=tmp_path)
    other = LinearProgram([3, 2], [[1, 1], [1, 0]], high=[5, 9], maximise=True, rows=["land", "seed"])
    for problem, count, seed in ((farm(), 21, 0), (farm(), 20, 1), (other, 20, 0)):
        with pytest.raises(CheckpointError, match="belongs to another"):
            convergence(problem, ["positive"], count, seed, checkpoint=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is damaged"):
        convergence(farm(), ["positive"], 20, checkpoint=tmp_path)


@pytest.mark.usefixtures("own_folder")
def test_the_command_goes_on_where_it_was_stopped() -> None:
    Path("farm.mps").write_text(MPS, encoding="utf-8")
    arguments = ["resources", "farm.mps", "--objectives", "20", "--family", "positive", "--out", "here", "--quiet"]
    run = CliRunner()
    assert run.invoke(app, [*arguments, "--resume"]).exit_code == 4  # nothing there
    kept = ["--checkpoint", "kept"]
    assert run.invoke(app, [*arguments, *kept]).exit_code == 0
    first = Path("here/resources.json").read_text(encoding="utf-8")
    assert any(Path("kept").iterdir())  # a folder that the user named stays
    assert run.invoke(app, [*arguments, *kept]).exit_code == 4  # and is not gone on from unasked
    assert run.invoke(app, [*arguments, *kept, "--resume"]).exit_code == 0
    strip = re.compile(r'"seconds": [\d.e-]+')
    assert strip.sub("", Path("here/resources.json").read_text(encoding="utf-8")) == strip.sub("", first)
    assert run.invoke(app, [*arguments[:-1], "-q"]).exit_code == 0
    assert not Path("here/checkpoint").exists()
