"""Convex problems of cvxpy: what can be done, before anybody wants anything."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import InputError, PindownError
from pindown.resources.cvx_problems import check_problem, column_names, entry_names, load_cvxpy, slopes_at
from pindown.resources.wanted_constraints import Wanted

__all__ = ["ConvexProgram", "wanted_in_convex"]

Floats = NDArray[np.float64]
_STEP = 1e-3  # of the size of a side
_RESOLVED = 1e-7  # of the optimum: interior-point methods end at about 1e-8
_LEAST_SHARE = 0.05  # of the price found, that a relaxation has to bring for the price to be real


class ConvexProgram:
    r"""A convex problem of cvxpy: its constraints, whatever is wanted of its variables.

    .. math:: \min_x\ -r^\top x \quad\text{under}\quad g_i(x) \le e_i,\; h_j(x) = e_j, \qquad e = 0

    Objectives are linear in the entries of the variables. A constraint's price is its dual variable at e = 0, and
    counts only where relaxing the constraint brings it: e is raised by a thousandth of the constraint's size, or for an
    equation moved to either side, and the problem is solved again (Boyd and Vandenberghe 2004, Convex Optimization,
    section 5.6). A constraint's *stock* is the number on its other side; where both sides hold variables it has none,
    and so no value.

    Bounds that are attributes of variables hold, and are not measured; write those that should be as constraints.

    The problem's own rewards, for the family ``permuted``, are the slope of its objective at its optimum: on the same
    constraints, that linear objective has the same optimum.

    Args:
        problem: a ``cvxpy.Problem`` that follows the rules for convex problems, in real variables.
        units: units of constraints by name, and of the objective under ``"objective"``.
        name: for tables.

    Raises:
        InputError: for what is no such problem, or where cvxpy is not installed.
    """

    def __init__(self, problem: Any, *, units: Mapping[str, str] | None = None, name: str = "") -> None:
        check_problem(problem)
        cvxpy = load_cvxpy()
        self.problem = problem
        self.variables: list[Any] = list(problem.variables())
        self.columns = tuple(column_names(self.variables))
        self.name = name
        names = [entry for k, c in enumerate(problem.constraints) for entry in entry_names(c, k)]
        if not names:
            raise InputError("a problem without constraints", "at least one, for something to be scarce")
        if len(set(names)) != len(names):
            raise InputError("constraints of the same name", "a label of its own for each")
        self.rows = tuple(names)
        self.units = dict(units or {})
        unknown = set(self.units) - set(self.rows) - {"objective"}
        if unknown:
            raise InputError(f"a unit for {sorted(unknown)[0]!r}", "units of constraints, or of 'objective'")
        self._moved: list[Any] = []
        self._equal: list[bool] = []
        self._limits: list[Any] = []
        for c in problem.constraints:
            expression = -c.expr if type(c).__name__ == "NonNeg" else c.expr
            by = cvxpy.Parameter(c.expr.shape, value=np.zeros(c.expr.shape))
            equal = type(c).__name__ in ("Equality", "Zero")
            self._moved.append(by)
            self._equal.append(equal)
            self._limits.append(expression == by if equal else expression <= by)
        self.stock = np.concatenate([_stock(c) for c in problem.constraints])
        self._rewards = cvxpy.Parameter(len(self.columns), value=np.zeros(len(self.columns)))
        entries = cvxpy.hstack([cvxpy.vec(v, order="F") for v in self.variables])
        self._linear = cvxpy.Problem(cvxpy.Minimize(-self._rewards @ entries), self._limits)
        expression = problem.objective.expr
        self._down = -1.0 if type(problem.objective).__name__ == "Maximize" else 1.0
        self._own = cvxpy.Problem(cvxpy.Minimize(self._down * expression), self._limits)
        self._slope: Floats | None = None

    @property
    def own(self) -> Floats:
        """Rewards of the columns that have the problem's own optimum: minus the slope of what it minimises, there."""
        if self._slope is None:
            _, _, place = self._solve(self._own)
            slope, _ = slopes_at(self.problem.objective.expr, self.variables, place)
            found: Floats = -self._down * slope.toarray().reshape(-1)
            self._slope = found
            return found
        return self._slope

    def solved(self, rewards: Floats | None) -> tuple[str, float, Floats]:
        """Outcome, least cost, and the dual of each constraint, for rewards or for the problem's own objective."""
        if rewards is not None:
            self._rewards.value = rewards
        outcome, value, _ = self._solve(self._linear if rewards is not None else self._own)
        if outcome != "optimal":
            return outcome, math.nan, np.zeros(len(self.rows))
        duals = [np.asarray(c.dual_value, dtype=np.float64).reshape(-1, order="F") for c in self._limits]
        return outcome, value, np.concatenate(duals)

    def numbers(self) -> list[str]:
        """The own optimum and its prices to five digits: with the problem's text, they tell it from another."""
        _, least, duals = self.solved(None)
        return [f"{x:.4e}" for x in (least, *duals.tolist())]

    def step(self, row: int) -> float:
        """By how much a constraint is relaxed when its price is tried."""
        return _STEP * max(1.0, abs(float(np.nan_to_num(self.stock[row]))))

    def gain(self, rewards: Floats | None, row: int, least: float) -> float:
        """By how much the least cost of the last objective falls when one constraint is relaxed by its step."""
        by, k = self.step(row), 0
        while row >= self._moved[k].size:
            row -= self._moved[k].size
            k += 1
        parameter, best = self._moved[k], -math.inf
        still = parameter.value
        for side in (by, -by) if self._equal[k] else (by,):
            moved = np.zeros(parameter.size)
            moved[row] = side
            parameter.value = moved.reshape(parameter.shape, order="F")
            outcome, value, _ = self._solve(self._linear if rewards is not None else self._own)
            if outcome != "infeasible":
                best = max(best, math.inf if outcome == "unbounded" else least - value)
        parameter.value = still
        return best

    def _solve(self, problem: Any) -> tuple[str, float, list[Any]]:
        """Outcome, value and the variables' values there; their values before are put back."""
        before = [v.value for v in self.variables]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they would say is in the status, which is read below
            problem.solve()
        place = [v.value for v in self.variables]
        for v, x in zip(self.variables, before, strict=True):
            v.save_value(x)
        status = str(problem.status)
        if status == "optimal_inaccurate" or not status.startswith(("optimal", "infeasible", "unbounded")):
            raise PindownError(f"cvxpy's solver ended with {status!r}")
        if status == "infeasible_or_unbounded":
            raise PindownError("cvxpy's solver cannot tell infeasible from unbounded; bound the variables")
        return status.removesuffix("_inaccurate"), float(problem.value), place

    def __repr__(self) -> str:
        return f"ConvexProgram({len(self.rows)} constraints, {len(self.columns)} columns)"


def wanted_in_convex(problem: ConvexProgram, rewards: Floats | None) -> Wanted:
    """Solve for each row of ``rewards`` ``(N, n)``, or for the problem's own objective, and tell which constraints it
    pays to relax. A price whose relaxation brings less than the solver resolves counts as none.
    """
    n, m = 1 if rewards is None else len(rewards), len(problem.rows)
    finite, price, value = np.zeros(n, dtype=bool), np.zeros((n, m)), np.full((n, m), math.nan)
    unbounded = infeasible = tried = dropped = 0
    for i in range(n):
        mine = None if rewards is None else rewards[i]
        outcome, least, raw = problem.solved(mine)
        if outcome != "optimal":
            unbounded += outcome == "unbounded"
            infeasible += outcome == "infeasible"
            continue
        finite[i] = True
        resolved = _RESOLVED * (1.0 + abs(least))
        for j in range(m):
            by = problem.step(j)
            if abs(raw[j]) * by <= resolved:
                raw[j] = 0.0
                continue
            tried += 1
            if problem.gain(mine, j, least) < max(_LEAST_SHARE * abs(raw[j]) * by, resolved):
                dropped += 1
                raw[j] = 0.0
        price[i] = np.abs(raw)
        if abs(least) > resolved:
            value[i] = np.where(raw == 0.0, 0.0, -raw * problem.stock / least)
    return Wanted(finite, unbounded, infeasible, price > 0, price, value, tried, dropped)


def _stock(constraint: Any) -> Floats:
    """The number on a constraint's other side, with a minus where that is the left one; NaN where there is none."""
    fixed = [i for i, a in enumerate(constraint.args) if a.is_constant()]
    if len(constraint.args) != 2 or len(fixed) != 1:
        return np.full(constraint.expr.size, math.nan)
    number = np.asarray(constraint.args[fixed[0]].value, dtype=np.float64)
    return (1.0 if fixed[0] else -1.0) * np.broadcast_to(number, constraint.expr.shape).reshape(-1, order="F")
