"""Which constraints of a linear programme many objectives want relaxed, and what they would pay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.resources.highs import Solution, Solver, make_solver
from pindown.resources.linear_program import LinearProgram

__all__ = ["Wanted", "constraint_names", "wanted_constraints"]

Floats = NDArray[np.float64]
_STEP = 1e-4  # of the size of a side: small beside what changes the basis, large beside the solver's tolerance of 1e-7
_LEAST_SHARE = 1e-2  # of the price found, that a relaxation has to bring for the price to be real
_PRICE = 1e-9


@dataclass(frozen=True)
class Wanted:
    """What one block of objectives wanted.

    Attributes:
        finite: whether each objective has a finite optimum, ``(N,)``.
        unbounded, infeasible: how many have none, and why.
        wanted: ``(N, k)``.
        price: what the objective gains per unit of relaxation, ``(N, k)``.
        value: price × stock / objective, ``(N, k)``; NaN where the objective is 0.
        tried: how many prices were tried by relaxing a constraint.
        dropped: how many of those did not hold.
    """

    finite: NDArray[np.bool_]
    unbounded: int
    infeasible: int
    wanted: NDArray[np.bool_]
    price: Floats
    value: Floats
    tried: int = 0
    dropped: int = 0


def constraint_names(problem: LinearProgram) -> tuple[list[str], NDArray[np.int64]]:
    """Rows, then columns with a finite upper bound, which is a constraint as well: names, and those columns."""
    bounded = np.flatnonzero(np.isfinite(problem.upper))
    return [*problem.rows, *(f"{problem.columns[j]} ≤ {problem.upper[j]:g}" for j in bounded)], bounded


def wanted_constraints(problem: LinearProgram, costs: Floats, solver: str = "auto") -> Wanted:
    r"""Solve for each row of ``costs`` ``(N, n)`` and tell which constraints it pays to relax.

    A price from a degenerate solution need not be one: the gain from relaxing constraint i is
    :math:`\min_{y \in Y} |y_i|` over all optimal prices Y, and solvers give any y. So each price above 0 of such a
    solution is tried: the constraint is relaxed by a ten-thousandth and the programme solved again. A price of 0 needs
    no trial, since the least is then 0 too (Gal 1986, Shadow prices and sensitivity analysis under degeneracy).
    """
    names, bounded = constraint_names(problem)
    engine = make_solver(problem, solver)
    n, k, m = len(costs), len(names), len(problem.rows)
    finite = np.zeros(n, dtype=bool)
    price, value = np.zeros((n, k)), np.full((n, k), math.nan)
    unbounded = infeasible = tried = dropped = 0
    for i, c in enumerate(costs):
        found = engine.solve(c)
        if found.outcome != "optimal":
            unbounded += found.outcome == "unbounded"
            infeasible += found.outcome == "infeasible"
            continue
        finite[i] = True
        raw = np.concatenate([found.row_prices, np.minimum(found.column_prices[bounded], 0.0)])
        size = float(np.abs(c).max(initial=0.0))
        raw[np.abs(raw) <= _PRICE * max(size, 1e-300)] = 0.0
        if found.degenerate:
            at = np.flatnonzero(raw)
            tried += len(at)
            for j in at:
                gain = _gain(engine, problem, found, int(j), m, bounded)
                real = gain >= _LEAST_SHARE * abs(raw[j])
                dropped += not real
                raw[j] = math.copysign(min(gain, abs(raw[j])), raw[j]) if real else 0.0
        price[i] = np.abs(raw)
        if abs(found.value) > 1e-9 * max(size, 1e-300):
            value[i] = raw * _stock(problem, raw[:m], bounded) / found.value
    return Wanted(finite, unbounded, infeasible, price > 0, price, value, tried, dropped)


def _gain(engine: Solver, problem: LinearProgram, found: Solution, j: int, m: int, bounded: NDArray[np.int64]) -> float:
    """What the objective gains per unit by which constraint j is relaxed."""
    if j < m:
        side = problem.low[j] if found.row_prices[j] > 0 else problem.high[j]
        by = _STEP * max(1.0, abs(float(side)))
        return (found.value - engine.relaxed(j, None, by)) / by
    column = int(bounded[j - m])
    by = _STEP * max(1.0, abs(float(problem.upper[column])))
    return (found.value - engine.relaxed(None, column, by)) / by


def _stock(problem: LinearProgram, prices: Floats, bounded: NDArray[np.int64]) -> Floats:
    """The side at which each constraint holds: the lower one where raising it would cost."""
    side = np.where(prices > 0, problem.low, problem.high)
    return np.concatenate([np.where(prices == 0, 0.0, np.where(np.isfinite(side), side, 0.0)), problem.upper[bounded]])
