"""Problems of cvxpy: what is linear in them as a table, and names for their variables and constraints."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pindown.errors import InputError
from pindown.resources.model_sources import Rows

__all__ = ["affine_parts", "check_problem", "column_names", "entry_names", "linear_rows", "load_cvxpy"]

Floats = NDArray[np.float64]
_ONE_SIDED = ("Inequality", "NonPos", "NonNeg")
_EQUAL = ("Equality", "Zero")
_KEPT = ("nonneg", "nonpos", "pos", "neg", "bounds")  # attributes of variables that are bounds


def load_cvxpy() -> Any:
    """The package.

    Raises:
        InputError: where it is not installed.
    """
    if find_spec("cvxpy") is None:
        raise InputError("cvxpy is not installed", "it for convex problems", "pip install 'pindown[cvx]'")
    return import_module("cvxpy")


def check_problem(problem: Any) -> None:
    """Refuse what is no convex problem in real variables, or whose constraints are not entry by entry.

    Raises:
        InputError: saying what it is.
    """
    cvxpy = load_cvxpy()
    if not isinstance(problem, cvxpy.Problem):
        raise InputError(f"a {type(problem).__name__}", "a cvxpy.Problem")
    if not problem.is_dcp():
        raise InputError("a problem that does not follow cvxpy's rules for convex problems (DCP)", "one that does")
    empty = [p.name() for p in problem.parameters() if p.value is None]
    if empty:
        raise InputError(f"parameter {empty[0]!r} has no value", "a value for each parameter")
    if not problem.variables():
        raise InputError("a problem without variables", "at least one")
    for variable in problem.variables():
        odd = [k for k, v in variable.attributes.items() if _is_set(v) and k not in _KEPT]
        if odd:
            raise InputError(
                f"variable {variable.name()!r} is {odd[0]}", "real variables, which may have bounds",
                "write what else it obeys as constraints",
            )  # fmt: skip
    for k, constraint in enumerate(problem.constraints):
        kind = type(constraint).__name__
        if kind not in (*_ONE_SIDED, *_EQUAL):
            raise InputError(
                f"constraint {k} is a {kind}", "inequalities and equations, each with a number on its other side",
                "write a cone as an inequality, such as cvxpy.norm(x) <= t",
            )  # fmt: skip


def linear_rows(problem: Any) -> tuple[Floats, Rows, bool]:
    """Costs, rows and whether costs are maximised, of a problem in which all is linear.

    Raises:
        InputError: naming what is not linear.
    """
    check_problem(problem)
    remedy = "measure it with pindown.ConvexProgram"
    if not problem.objective.expr.is_affine():
        raise InputError("the objective is not linear", "a linear programme", remedy)
    costs, _ = affine_parts(problem.objective.expr, problem.variables())
    tables: list[Any] = []
    low: list[Floats] = []
    high: list[Floats] = []
    names: list[str] = []
    for k, constraint in enumerate(problem.constraints):
        if not constraint.expr.is_affine():
            raise InputError(f"constraint {k} is not linear: {constraint}", "a linear programme", remedy)
        table, constant = affine_parts(constraint.expr, problem.variables())
        kind, none = type(constraint).__name__, np.full(len(constant), math.inf)
        tables.append(table)
        low.append(-constant if kind in (*_EQUAL, "NonNeg") else -none)
        high.append(-constant if kind != "NonNeg" else none)
        names += entry_names(constraint, k)
    lower, upper = _bounds(problem.variables())
    width = len(lower)
    matrix = sparse.vstack(tables) if tables else sparse.csr_array((0, width))
    joined = [np.concatenate(x) if x else np.zeros(0) for x in (low, high)]
    maximise = type(problem.objective).__name__ == "Maximize"
    return costs.toarray().reshape(-1), Rows(matrix, joined[0], joined[1], lower, upper, tuple(names)), maximise


def affine_parts(expression: Any, variables: list[Any]) -> tuple[Any, Floats]:
    """Slope ``(m, n)`` and constant ``(m,)`` of an affine expression, entries column by column as cvxpy counts them.

    The variables' own values are put back.
    """
    return slopes_at(expression, variables, [np.zeros(v.shape) for v in variables])


def slopes_at(expression: Any, variables: list[Any], place: list[Any]) -> tuple[Any, Floats]:
    """Slope ``(m, n)`` and value ``(m,)`` of an expression where the variables have the given values.

    Raises:
        InputError: where it has no slope there.
    """
    before = [v.value for v in variables]
    try:
        for v, x in zip(variables, place, strict=True):
            v.save_value(x)
        slopes: Any = expression.grad
        value = np.asarray(_dense(expression.value), dtype=np.float64).reshape(-1, order="F")
    finally:
        for v, x in zip(variables, before, strict=True):
            v.save_value(x)
    parts: list[Any] = []
    for v in variables:
        slope: Any = slopes.get(v, np.zeros((v.size, expression.size)))
        if slope is None:
            raise InputError(f"{expression} has no slope at its optimum", "one that can be differentiated there")
        parts.append(sparse.csr_array(np.asarray(_dense(slope), dtype=np.float64).reshape(v.size, expression.size)).T)
    return sparse.hstack(parts).tocsr(), value


def entry_names(constraint: Any, k: int) -> list[str]:
    """A name for each entry of a constraint: its label where it has one."""
    label = getattr(constraint, "label", None) or f"constraint {k}"
    return _entries(str(label), constraint.expr.shape)


def column_names(variables: list[Any]) -> list[str]:
    """A name for each entry of each variable."""
    return [name for v in variables for name in _entries(v.name(), v.shape)]


def _entries(name: str, shape: tuple[int, ...]) -> list[str]:
    size = int(np.prod(shape, dtype=int))
    if size == 1:
        return [name]
    places = np.array(np.unravel_index(np.arange(size), shape, order="F")).T.tolist()
    return [f"{name}[{', '.join(map(str, place))}]" for place in places]


def _bounds(variables: list[Any]) -> tuple[Floats, Floats]:
    lower: list[Floats] = []
    upper: list[Floats] = []
    for v in variables:
        low, high = np.full(v.shape, -math.inf), np.full(v.shape, math.inf)
        given = v.attributes.get("bounds")
        if _is_set(given):
            low = np.maximum(low, -math.inf if given[0] is None else np.asarray(_value(given[0]), dtype=np.float64))
            high = np.minimum(high, math.inf if given[1] is None else np.asarray(_value(given[1]), dtype=np.float64))
        if v.attributes.get("nonneg") or v.attributes.get("pos"):
            low = np.maximum(low, 0.0)
        if v.attributes.get("nonpos") or v.attributes.get("neg"):
            high = np.minimum(high, 0.0)
        lower.append(low.reshape(-1, order="F"))
        upper.append(high.reshape(-1, order="F"))
    return np.concatenate(lower), np.concatenate(upper)


def _is_set(attribute: Any) -> bool:
    return attribute is not None and attribute is not False


def _value(x: Any) -> Any:
    return x.value if hasattr(x, "value") else x


def _dense(x: Any) -> Any:
    kept: Any = x
    return kept.toarray() if sparse.issparse(x) else kept
