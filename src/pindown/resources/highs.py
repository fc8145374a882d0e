"""Linear programmes solved again and again: by highspy from the last solution, or by SciPy from the start."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from pindown.errors import DataError, InputError, PindownError
from pindown.resources.linear_program import LinearProgram

__all__ = ["Outcome", "Solver", "make_solver", "read_model"]

Floats = NDArray[np.float64]
Outcome = Literal["optimal", "unbounded", "infeasible"]
_AT_BOUND = 1e-9
_FEASIBLE = 1e-9
_OPTIONS = {
    "output_flag": False, "log_to_console": False, "threads": 1, "presolve": "off", "solver": "simplex",
    "primal_feasibility_tolerance": _FEASIBLE, "dual_feasibility_tolerance": _FEASIBLE,
    "small_matrix_value": 1e-12,  # by default 1e-9, and entries below it count as nothing
}  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """One solution.

    Attributes:
        outcome: how it ended.
        value: least cost.
        x: columns ``(n,)``.
        row_prices: change of the least cost per unit by which each row's side is moved up, ``(m,)``.
        column_prices: the same for columns at a bound, ``(n,)``.
        degenerate: whether another set of prices may belong to the same solution.
    """

    outcome: Outcome
    value: float
    x: Floats
    row_prices: Floats
    column_prices: Floats
    degenerate: bool


class Solver(Protocol):
    """Solves one programme for many costs."""

    name: str

    def solve(self, costs: Floats) -> Solution: ...

    def relaxed(self, row: int | None, column: int | None, by: float) -> float:
        """Least cost for the last costs with one constraint relaxed by so much; the constraint is put back."""
        ...


def make_solver(problem: LinearProgram, name: str = "auto") -> Solver:
    """A solver: ``"highspy"``, ``"scipy"``, or ``"auto"`` for the first that is installed.

    Raises:
        InputError: for another name, or where it is not installed.
    """
    if name not in ("auto", "highspy", "scipy"):
        raise InputError(f"solver {name!r}", "auto, highspy or scipy")
    there = find_spec("highspy") is not None
    if name == "highspy" and not there:
        raise InputError("highspy is not installed", "it for warm starts", "pip install 'pindown[resources]'")
    return _Highspy(problem) if there and name != "scipy" else _Scipy(problem)


def read_model(path: str | Path) -> Any:
    """A model file in any format that HiGHS reads.

    Raises:
        InputError: where highspy is not installed.
        DataError: where HiGHS cannot read it.
    """
    if find_spec("highspy") is None:
        raise InputError("highspy is not installed", "it to read LP files", "pip install 'pindown[resources]'")
    highspy: Any = import_module("highspy")

    model = _quiet_model()
    if not Path(path).is_file() or model.readModel(str(path)) == highspy.HighsStatus.kError:
        raise DataError(f"{path} cannot be read", "a model in LP or MPS format")
    return model


def _quiet_model() -> Any:
    """A model that says nothing.

    From 1.16 on its constructor writes a banner to file descriptor 1 before it can be told not to, and standard output
    may carry a record; so that descriptor leads nowhere for as long as the constructor runs.
    """
    highspy: Any = import_module("highspy")

    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        model: Any = highspy.Highs()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
    model.setOptionValue("output_flag", False)
    return model


class _Highspy:
    """The simplex method, from the last basis: after a change of costs that basis is still feasible."""

    name = "highspy, warm starts"

    def __init__(self, problem: LinearProgram) -> None:
        highspy: Any = import_module("highspy")

        self._highspy: Any = highspy
        self.problem = problem
        lp: Any = highspy.HighsLp()
        matrix = sparse.csc_array(problem.matrix)
        lp.num_row_, lp.num_col_ = matrix.shape
        lp.col_cost_ = np.zeros(matrix.shape[1])
        lp.col_lower_, lp.col_upper_ = problem.lower, problem.upper
        lp.row_lower_, lp.row_upper_ = problem.low, problem.high
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
        lp.a_matrix_.value_ = matrix.data
        self.model: Any = _quiet_model()
        for option, value in _OPTIONS.items():
            self.model.setOptionValue(option, value)
        self.model.passModel(lp)
        self.every = np.arange(matrix.shape[1], dtype=np.int32)

    def solve(self, costs: Floats) -> Solution:
        self.model.setOptionValue("simplex_strategy", 4)  # primal: the last basis is feasible
        self.model.changeColsCost(len(costs), self.every, np.ascontiguousarray(costs))
        outcome = self._run()
        found: Any = self.model.getSolution()
        x = np.array(found.col_value)
        return Solution(
            outcome=outcome,
            value=float(self.model.getObjectiveValue()),
            x=x,
            row_prices=np.array(found.row_dual),
            column_prices=np.array(found.col_dual),
            degenerate=outcome == "optimal" and self._degenerate(x, np.array(found.row_value)),
        )

    def relaxed(self, row: int | None, column: int | None, by: float) -> float:
        self.model.setOptionValue("simplex_strategy", 1)  # dual: the last basis has the right prices
        p = self.problem
        if row is not None:
            low, high = float(p.low[row]), float(p.high[row])
            self.model.changeRowBounds(row, low - by, high + by)
        else:
            assert column is not None
            low, high = float(p.lower[column]), float(p.upper[column])
            self.model.changeColBounds(column, low, high + by)
        basis = self.model.getBasis()
        outcome = self._run()
        value = float(self.model.getObjectiveValue()) if outcome == "optimal" else -math.inf
        if row is not None:
            self.model.changeRowBounds(row, low, high)
        else:
            self.model.changeColBounds(column, low, high)
        self.model.setBasis(basis)
        return value

    def _run(self) -> Outcome:
        self.model.run()
        status: Any = self.model.getModelStatus()
        known: Any = self._highspy.HighsModelStatus
        if status == known.kUnboundedOrInfeasible:
            self.model.setOptionValue("simplex_strategy", 4)
            self.model.run()
            status = self.model.getModelStatus()
        outcomes: dict[Any, Outcome] = {
            known.kOptimal: "optimal", known.kUnbounded: "unbounded", known.kInfeasible: "infeasible"
        }  # fmt: skip
        if status not in outcomes:
            raise PindownError(f"HiGHS ended with {self.model.modelStatusToString(status)}")
        return outcomes[status]

    def _degenerate(self, x: Floats, activity: Floats) -> bool:
        """Whether a basic variable stands at one of its bounds."""
        status, basic = self.model.getBasicVariables()  # columns as they are counted, row i as −1 − i
        if status != self._highspy.HighsStatus.kOk:
            raise PindownError("HiGHS has an optimum without a basis")
        numbers = np.asarray(basic)
        columns, rows, p = numbers[numbers >= 0], -1 - numbers[numbers < 0], self.problem
        return bool(
            _at_bound(x[columns], p.lower[columns], p.upper[columns]).any()
            or _at_bound(activity[rows], p.low[rows], p.high[rows]).any()
        )


class _Scipy:
    """Each programme from the start, by SciPy's copy of HiGHS."""

    name = "scipy, cold starts"

    def __init__(self, problem: LinearProgram) -> None:
        self.problem = problem
        self.costs: Floats = np.zeros(len(problem.columns))

    def solve(self, costs: Floats) -> Solution:
        self.costs = costs
        p = self.problem
        outcome, found, sides = self._run(p.low, p.high, p.upper)
        m, n = p.matrix.shape
        if outcome != "optimal":
            nan = np.full(n, math.nan)
            return Solution(outcome, math.nan, nan, np.full(m, math.nan), nan, False)
        prices = np.zeros(m)
        equal, above, below = sides
        if equal.any():
            prices[equal] = found.eqlin.marginals
        k = int(above.sum())
        if above.any() or below.any():
            prices[above] += found.ineqlin.marginals[:k]
            prices[below] -= found.ineqlin.marginals[k:]
        x = np.asarray(found.x)
        # SciPy tells no basis, so every solution counts as degenerate and every price is tried.
        return Solution(outcome, float(found.fun), x, prices, found.upper.marginals + found.lower.marginals, True)

    def relaxed(self, row: int | None, column: int | None, by: float) -> float:
        p = self.problem
        low, high, upper = p.low.copy(), p.high.copy(), p.upper.copy()
        if row is not None:
            low[row] -= by
            high[row] += by
        else:
            upper[column] += by
        outcome, found, _ = self._run(low, high, upper)
        return float(found.fun) if outcome == "optimal" else -math.inf

    def _run(self, low: Floats, high: Floats, upper: Floats) -> tuple[Outcome, Any, tuple[Any, Any, Any]]:
        a = self.problem.matrix
        equal = low == high
        above, below = ~equal & np.isfinite(high), ~equal & np.isfinite(low)
        some = bool(above.any() or below.any())
        solve: Any = linprog  # its stubs know no sparse tables
        found: Any = solve(
            self.costs,
            A_ub=sparse.vstack([a[above], -a[below]]) if some else None,
            b_ub=np.concatenate([high[above], -low[below]]) if some else None,
            A_eq=a[equal] if equal.any() else None,
            b_eq=low[equal] if equal.any() else None,
            bounds=list(zip(self.problem.lower.tolist(), upper.tolist(), strict=True)),
            method="highs",
            options={"primal_feasibility_tolerance": _FEASIBLE, "dual_feasibility_tolerance": _FEASIBLE},
        )
        outcomes: dict[int, Outcome] = {0: "optimal", 2: "infeasible", 3: "unbounded"}
        if found.status == 4:  # HiGHS says "unbounded or infeasible": without presolve it tells which
            found = self._again(low, high, upper)
        if found.status not in outcomes:
            raise PindownError(f"SciPy's linprog ended with: {found.message}")
        return outcomes[int(found.status)], found, (equal, above, below)

    def _again(self, low: Floats, high: Floats, upper: Floats) -> Any:
        a = self.problem.matrix
        solve: Any = linprog  # its stubs know no sparse tables
        return solve(
            self.costs,
            A_ub=sparse.vstack([a, -a])[np.concatenate([np.isfinite(high), np.isfinite(low)])],
            b_ub=np.concatenate([high[np.isfinite(high)], -low[np.isfinite(low)]]),
            bounds=list(zip(self.problem.lower.tolist(), upper.tolist(), strict=True)),
            method="highs",
            options={
                "presolve": False,
                "primal_feasibility_tolerance": _FEASIBLE,
                "dual_feasibility_tolerance": _FEASIBLE,
            },
        )


def _at_bound(x: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    near = np.zeros(len(x), dtype=bool)
    for end in (low, high):
        finite = np.isfinite(end)
        near[finite] |= np.abs(x[finite] - end[finite]) <= _AT_BOUND * np.maximum(1.0, np.abs(end[finite]))
    return near
