"""Linear programmes in the forms in which SciPy and cvxpy take them, as rows with two sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint

from pindown.errors import InputError

__all__ = ["Rows", "read_linprog", "read_milp"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """A linear programme's rows and bounds.

    Attributes:
        matrix: coefficients ``(m, n)``.
        low, high: sides of the rows ``(m,)``.
        lower, upper: bounds of the columns ``(n,)``.
        names: of the rows.
    """

    matrix: Any
    low: Floats
    high: Floats
    lower: Floats
    upper: Floats
    names: tuple[str, ...]


def read_linprog(c: Any, A_ub: Any, b_ub: Any, A_eq: Any, b_eq: Any, bounds: Any) -> Rows:
    """What :func:`scipy.optimize.linprog` takes: rows from above, equations, and bounds, 0 to ∞ where there are none.

    Raises:
        InputError: for a table without its side, or shapes that do not fit.
    """
    n = len(_flat(c, "c"))
    tables: list[Any] = []
    low: list[Floats] = []
    high: list[Floats] = []
    names: list[str] = []
    for a, b, what, side in ((A_ub, b_ub, "ub", -math.inf), (A_eq, b_eq, "eq", None)):
        if a is None and b is None:
            continue
        if a is None or b is None:
            missing, there = ("A_", "b_") if a is None else ("b_", "A_")
            raise InputError(f"{there}{what} without {missing}{what}", "both or neither")
        table, right = _table(a, f"A_{what}", n), _flat(b, f"b_{what}")
        if table.shape[0] != len(right):
            raise InputError(f"A_{what} of shape {table.shape} with {len(right)} numbers in b_{what}", "as many rows")
        tables.append(table)
        low.append(right if side is None else np.full(len(right), side))
        high.append(right)
        names += [f"{what} {i}" for i in range(len(right))]
    lower, upper = _linprog_bounds(bounds, n)
    matrix = sparse.vstack(tables) if tables else sparse.csr_array((0, n))
    return Rows(matrix, _joined(low), _joined(high), lower, upper, tuple(names))


def read_milp(c: Any, integrality: Any, bounds: Any, constraints: Any) -> Rows:
    """What :func:`scipy.optimize.milp` takes: constraints with two sides, as objects or as ``(A, low, high)``.

    Raises:
        InputError: for columns that have to be whole, or shapes that do not fit.
    """
    n = len(_flat(c, "c"))
    whole = np.zeros(n) if integrality is None else np.broadcast_to(np.asarray(integrality), (n,))
    if whole.any():
        j = int(np.flatnonzero(whole)[0])
        raise InputError(
            f"column {j} has to be a whole number", "a linear programme: a programme in whole numbers has no prices",
            "leave integrality out to measure its relaxation",
        )  # fmt: skip
    tables: list[Any] = []
    low: list[Floats] = []
    high: list[Floats] = []
    for k, one in enumerate(_constraints(constraints)):
        table = _table(one.A, f"constraint {k}", n)
        tables.append(table)
        low.append(_broadcast(one.lb, table.shape[0], f"the lower side of constraint {k}"))
        high.append(_broadcast(one.ub, table.shape[0], f"the upper side of constraint {k}"))
    names = [f"row {k}" if t.shape[0] == 1 else f"row {k}.{i}" for k, t in enumerate(tables) for i in range(t.shape[0])]
    lower, upper = (0.0, math.inf) if bounds is None else _ends(bounds)
    return Rows(
        sparse.vstack(tables) if tables else sparse.csr_array((0, n)), _joined(low), _joined(high),
        _broadcast(lower, n, "lower bounds"), _broadcast(upper, n, "upper bounds"), tuple(names),
    )  # fmt: skip


def _constraints(given: Any) -> list[LinearConstraint]:
    """One constraint or several, each an object or the arguments of one."""
    if given is None:
        return []
    if isinstance(given, LinearConstraint):
        return [given]
    if not isinstance(given, Sequence):
        raise InputError(f"constraints of type {type(given).__name__}", "LinearConstraint objects")
    items: list[Any] = list(given)
    if isinstance(given, tuple) and not all(isinstance(x, (LinearConstraint, tuple)) for x in items):
        items = [given]  # (A, low, high), which is one
    out: list[LinearConstraint] = []
    for k, one in enumerate(items):
        if isinstance(one, LinearConstraint):
            out.append(one)
        elif isinstance(one, Sequence) and 1 <= len(one) <= 3:
            out.append(LinearConstraint(*one))
        else:
            raise InputError(f"constraint {k} of type {type(one).__name__}", "a LinearConstraint, or (A, low, high)")
    return out


def _ends(bounds: Any) -> tuple[Any, Any]:
    if isinstance(bounds, Bounds):
        return bounds.lb, bounds.ub
    if isinstance(bounds, Sequence) and len(bounds) == 2:
        return bounds[0], bounds[1]
    raise InputError(f"bounds of type {type(bounds).__name__}", "scipy.optimize.Bounds, or (lower, upper)")


def _linprog_bounds(bounds: Any, n: int) -> tuple[Floats, Floats]:
    """One pair for each column or one for all; None stands for no bound."""
    if bounds is None:
        return np.zeros(n), np.full(n, math.inf)
    if isinstance(bounds, Bounds):
        return _broadcast(bounds.lb, n, "lower bounds"), _broadcast(bounds.ub, n, "upper bounds")
    pairs = list(bounds)
    if len(pairs) == 2 and all(p is None or np.ndim(p) == 0 for p in pairs):
        pairs = [tuple(pairs)]
    if len(pairs) == 1:
        pairs *= n
    if len(pairs) != n or any(np.ndim(p) != 1 or len(p) != 2 for p in pairs):
        raise InputError(f"{len(pairs)} bounds", f"{n} pairs (lower, upper), or one for all")
    lower = [-math.inf if p[0] is None else float(p[0]) for p in pairs]
    upper = [math.inf if p[1] is None else float(p[1]) for p in pairs]
    return np.array(lower), np.array(upper)


def _dense(x: Any) -> Any:
    kept: Any = x
    return kept.toarray() if sparse.issparse(x) else kept


def _table(a: Any, what: str, n: int) -> Any:
    table: Any = sparse.csr_array(np.atleast_2d(np.asarray(_dense(a), dtype=np.float64)))
    if table.ndim != 2 or table.shape[1] != n:
        raise InputError(f"{what} of shape {table.shape}", f"{n} columns, as many as c has")
    return table


def _flat(x: Any, what: str) -> Floats:
    out = np.atleast_1d(np.asarray(x, dtype=np.float64))
    out = out.reshape(-1) if out.size == max(out.shape) else out
    if out.ndim != 1:
        raise InputError(f"{what} of shape {out.shape}", "a list of numbers")
    return out


def _broadcast(x: Any, n: int, what: str) -> Floats:
    a = np.asarray(x, dtype=np.float64)
    if a.ndim > 1 or (a.ndim == 1 and len(a) not in (1, n)):
        raise InputError(f"{what} of shape {a.shape}", f"{n} numbers, or one for all")
    return np.array(np.broadcast_to(a, (n,)))


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)
