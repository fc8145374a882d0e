"""Linear programmes: what can be done, before anybody wants anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pindown.errors import DataError, InputError
from pindown.resources.model_sources import Rows, read_linprog, read_milp
from pindown.resources.mps import read_mps

__all__ = ["LinearProgram"]

Floats = NDArray[np.float64]


class LinearProgram:
    r"""Least cost :math:`c^\top x` under :math:`\mathrm{low} \le A x \le \mathrm{high}` and
    :math:`\mathrm{lower} \le x \le \mathrm{upper}`.

    **Signs.** A shadow price is how much better the best objective becomes, per unit by which a constraint is relaxed;
    it is 0 or more, whether costs are minimised or values maximised, and whether the constraint holds from above or
    below. An equation is relaxed to both sides.

    Args:
        c: costs ``(n,)``, or values where ``maximise`` is set.
        A: coefficients ``(m, n)``, dense or sparse.
        low: least activity of each row ``(m,)``, −∞ where there is none; one number for all.
        high: largest, ∞ where there is none.
        lower: least value of each column.
        upper: largest.
        maximise: whether ``c`` is to be as large as possible.
        rows: names of the constraints.
        columns: names of the columns.
        units: units of rows by name, such as ``{"labour": "hour"}``, and of the objective under ``"objective"``.
        objectives: the columns that random objectives reward; by default all.
        name: for tables.

    Raises:
        InputError: for shapes that do not fit, or bounds that contradict each other.

    Example:
        >>> from pindown import LinearProgram
        >>> LinearProgram([3, 2], [[1, 1], [1, 0]], high=[4, 2], maximise=True, rows=["land", "seed"])
        LinearProgram(2 rows, 2 columns)
    """

    def __init__(
        self,
        c: ArrayLike,
        A: Any,
        low: ArrayLike = -math.inf,
        high: ArrayLike = math.inf,
        *,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = math.inf,
        maximise: bool = False,
        rows: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        objectives: Sequence[int] | None = None,
        name: str = "",
    ) -> None:
        matrix: Any = sparse.csr_array(A, dtype=np.float64)
        if len(matrix.shape) != 2:
            raise InputError(f"A of shape {matrix.shape}", "(rows, columns)")
        m, n = matrix.shape
        if not np.isfinite(matrix.data).all():
            raise InputError("A with entries that are not finite", "finite numbers")
        self.matrix: sparse.csr_array = matrix
        self.costs: Floats = _vector(c, n, "c")
        if not np.isfinite(self.costs).all():
            raise InputError("c with entries that are not finite", "finite numbers")
        self.low, self.high = _vector(low, m, "low"), _vector(high, m, "high")
        self.lower, self.upper = _vector(lower, n, "lower"), _vector(upper, n, "upper")
        self.rows = _named(rows, m, "rows", "row")
        self.columns = _named(columns, n, "columns", "column")
        for low_, high_, names in ((self.low, self.high, self.rows), (self.lower, self.upper, self.columns)):
            bad = np.flatnonzero(~(low_ <= high_) | (low_ == math.inf) | (high_ == -math.inf))
            if bad.size:
                i = int(bad[0])
                raise InputError(f"{names[i]} from {low_[i]:g} to {high_[i]:g}", "a lower end not above the upper")
        self.maximise = bool(maximise)
        self.units = dict(units or {})
        unknown = set(self.units) - set(self.rows) - {"objective"}
        if unknown:
            raise InputError(f"a unit for {sorted(unknown)[0]!r}", "units of rows, or of 'objective'")
        self.objectives: NDArray[np.int64] = (
            np.arange(n) if objectives is None else np.asarray(objectives, dtype=np.int64)
        )
        if self.objectives.size == 0 or (self.objectives < 0).any() or (self.objectives >= n).any():
            raise InputError(f"objectives = {objectives!r}", f"numbers of columns from 0 to {n - 1}, at least one")
        self.name = name

    @property
    def own(self) -> Floats:
        """The programme's own objective as rewards of the columns that objectives reward: higher is better."""
        return (self.costs if self.maximise else -self.costs)[self.objectives]

    def costs_of(self, rewards: Floats) -> Floats:
        """Costs ``(N, n)`` to minimise for rewards ``(N, k)`` of the columns that objectives reward."""
        out = np.zeros((len(rewards), len(self.columns)))
        out[:, self.objectives] = -rewards
        return out

    @classmethod
    def from_mps(cls, path: str | Path, *, units: Mapping[str, str] | None = None) -> LinearProgram:
        """Read an MPS file.

        Raises:
            DataError: for a malformed file; the line is named.
        """
        found = read_mps(path)
        place = {row: i for i, row in enumerate(found.rows)}
        where = {column: j for j, column in enumerate(found.columns)}
        costs = np.zeros(len(where))
        at: list[tuple[int, int, float]] = []
        for (row, column), value in found.entries.items():
            if row == found.objective:
                costs[where[column]] = value
            else:
                at.append((place[row], where[column], value))
        i, j, v = [x[0] for x in at], [x[1] for x in at], [x[2] for x in at]
        sides = np.array([found.sides(row) for row in place]).reshape(len(place), 2)
        bounds = [(found.lower.get(c, 0.0), found.upper.get(c, math.inf)) for c in found.columns]
        try:
            shape = (len(place), len(where))
            table = sparse.csr_array((np.array(v), (np.array(i, dtype=int), np.array(j, dtype=int))), shape=shape)
            return cls(
                costs, table, sides[:, 0], sides[:, 1],
                lower=[b[0] for b in bounds], upper=[b[1] for b in bounds], maximise=found.maximise,
                rows=list(place), columns=found.columns, units=units, name=found.name or Path(path).stem,
            )  # fmt: skip
        except InputError as error:
            raise DataError(f"{path}: {error.got}", error.wanted, error.remedy) from error

    @classmethod
    def from_file(cls, path: str | Path) -> LinearProgram:
        """Read an MPS file, or one in LP format where highspy is installed.

        Raises:
            DataError: for a file that cannot be read.
        """
        if Path(path).suffix.lower() == ".lp":
            from pindown.resources.highs import read_model

            return cls.from_highs(read_model(path), name=Path(path).stem)
        return cls.from_mps(path)

    @classmethod
    def from_highs(cls, model: Any, *, units: Mapping[str, str] | None = None, name: str = "") -> LinearProgram:
        """Take over a model of highspy, a ``HighsLp`` or a ``Highs`` that holds one.

        Raises:
            InputError: for something else, columns that have to be whole, or a quadratic objective.
        """
        lp = model.getLp() if hasattr(model, "getLp") else model
        if not hasattr(lp, "a_matrix_"):
            raise InputError(f"a {type(model).__name__}", "a Highs or a HighsLp of highspy")
        if hasattr(model, "getModel") and int(model.getModel().hessian_.dim_):
            raise InputError("a model with a quadratic objective", "a linear programme")
        whole = [j for j, kind in enumerate(lp.integrality_) if "Continuous" not in str(kind)]
        if whole:
            raise InputError(
                f"column {whole[0]} has to be a whole number", "a linear programme", "measure its relaxation"
            )
        a = lp.a_matrix_
        shape = (int(lp.num_row_), int(lp.num_col_))
        parts = (np.asarray(a.value_), np.asarray(a.index_), np.asarray(a.start_))
        by_column = "Colwise" in str(a.format_)
        matrix = sparse.csc_array(parts, shape=shape) if by_column else sparse.csr_array(parts, shape=shape)
        rows, columns = list(lp.row_names_), list(lp.col_names_)
        return cls(
            np.asarray(lp.col_cost_), matrix, np.asarray(lp.row_lower_), np.asarray(lp.row_upper_),
            lower=np.asarray(lp.col_lower_), upper=np.asarray(lp.col_upper_), maximise="Max" in str(lp.sense_),
            rows=rows if all(rows) and rows else None, columns=columns if all(columns) and columns else None,
            units=units, name=name or str(lp.model_name_),
        )  # fmt: skip

    @classmethod
    def from_linprog(
        cls, c: ArrayLike, A_ub: Any = None, b_ub: Any = None, A_eq: Any = None, b_eq: Any = None, bounds: Any = None,
        **more: Any,
    ) -> LinearProgram:  # fmt: skip
        """Take what :func:`scipy.optimize.linprog` takes, in its order; rows are ``ub 0``, …, then ``eq 0``, ….

        Args:
            c: costs, which are minimised.
            A_ub: rows that hold from above.
            b_ub: their sides.
            A_eq: equations.
            b_eq: their sides.
            bounds: ``(lower, upper)`` of each column or one for all, None where there is none; (0, None) by default.
            more: names, units and the rest of what the class takes.

        Raises:
            InputError: for a table without its side, or shapes that do not fit.

        Example:
            >>> from pindown import LinearProgram
            >>> LinearProgram.from_linprog([-3, -2], [[1, 1]], [4], bounds=(0, 9)).upper.tolist()
            [9.0, 9.0]
        """
        return cls._of_rows(c, read_linprog(c, A_ub, b_ub, A_eq, b_eq, bounds), more)

    @classmethod
    def from_milp(
        cls, c: ArrayLike, *, integrality: Any = None, bounds: Any = None, constraints: Any = None, **more: Any
    ) -> LinearProgram:
        """Take what :func:`scipy.optimize.milp` takes, as long as no column has to be whole.

        Args:
            c: costs, which are minimised.
            integrality: zeros, or nothing.
            bounds: :class:`scipy.optimize.Bounds`; 0 to ∞ by default.
            constraints: a :class:`scipy.optimize.LinearConstraint` or several; rows are ``row 0``, ….
            more: names, units and the rest of what the class takes.

        Raises:
            InputError: for columns that have to be whole, or shapes that do not fit.

        Example:
            >>> from scipy.optimize import LinearConstraint
            >>> from pindown import LinearProgram
            >>> LinearProgram.from_milp([-3, -2], constraints=LinearConstraint([[1, 1]], ub=4)).high.tolist()
            [4.0]
        """
        return cls._of_rows(c, read_milp(c, integrality, bounds, constraints), more)

    @classmethod
    def from_cvxpy(cls, problem: Any, **more: Any) -> LinearProgram:
        """Take a problem of cvxpy in which all is linear. Columns are the entries of its variables, rows those of its
        constraints, called by their labels; a constant in the objective is left out.

        Args:
            problem: a ``cvxpy.Problem``.
            more: names, units and the rest of what the class takes.

        Raises:
            InputError: naming what is not linear; where cvxpy is not installed.
        """
        from pindown.resources.cvx_problems import column_names, linear_rows

        costs, rows, maximise = linear_rows(problem)
        more.setdefault("columns", column_names(problem.variables()))
        return cls._of_rows(costs, rows, {"maximise": maximise, **more})

    @classmethod
    def _of_rows(cls, c: Any, rows: Rows, more: Mapping[str, Any]) -> LinearProgram:
        given: dict[str, Any] = {"rows": rows.names, "lower": rows.lower, "upper": rows.upper, **more}
        return cls(np.reshape(np.asarray(c, dtype=np.float64), -1), rows.matrix, rows.low, rows.high, **given)

    def __repr__(self) -> str:
        return f"LinearProgram({len(self.rows)} rows, {len(self.columns)} columns)"


def _vector(x: ArrayLike, n: int, what: str) -> Floats:
    a = np.asarray(x, dtype=np.float64)
    if a.ndim > 1 or (a.ndim == 1 and len(a) != n) or np.isnan(a).any():
        raise InputError(f"{what} of shape {a.shape}", f"{n} numbers, or one for all")
    return np.array(np.broadcast_to(a, (n,)))


def _named(names: Sequence[str] | None, n: int, what: str, one: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{one} {i}" for i in range(n))
    out = tuple(str(x) for x in names)
    if len(out) != n or len(set(out)) != n:
        raise InputError(f"{len(set(out))} different names for {what}", f"{n}, one for each")
    return out
