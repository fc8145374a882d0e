"""Input–output economies: what it takes of everything, and of what is not made, to make what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pindown.errors import InputError
from pindown.resources.highs import make_solver
from pindown.resources.linear_program import LinearProgram

__all__ = ["Economy"]

Floats = NDArray[np.float64]


class Economy:
    r"""Leontief's open economy: gross outputs x, of which :math:`(I - A)x` is left, made with factors that are not.

    Args:
        A: inputs of good i per unit of good j ``(n, n)``.
        labour: labour per unit of each good ``(n,)``.
        stock: how much labour there is.
        factors: further factors by name, as (need per unit of each good ``(n,)``, stock).
        goods: names.
        units: units of ``labour``, other factors and ``"objective"``.
        name: for tables.

    Raises:
        InputError: for shapes that do not fit, negative inputs, or an economy that cannot make more than it uses up
            (Hawkins and Simon 1949).

    Example:
        >>> from pindown import Economy
        >>> Economy([[0.2, 0.3], [0.4, 0.1]], [1.0, 2.0]).prices().round(6).tolist()
        [2.833333, 3.166667]
    """

    def __init__(
        self,
        A: ArrayLike,
        labour: ArrayLike,
        *,
        stock: float = 1.0,
        factors: Mapping[str, tuple[ArrayLike, float]] | None = None,
        goods: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        a = np.asarray(A, dtype=np.float64)
        if a.ndim != 2 or a.shape[0] != a.shape[1] or not np.isfinite(a).all() or (a < 0).any():
            raise InputError(f"A of shape {a.shape}", "a square table of inputs, 0 or more")
        n = len(a)
        radius = float(np.abs(np.linalg.eigvals(a)).max(initial=0.0))
        if radius >= 1.0:
            raise InputError(f"A with spectral radius {radius:.6g}", "below 1: more is made than is used up")
        self.inputs: Floats = a
        self.factors: dict[str, tuple[Floats, float]] = {}
        for key, (need, amount) in {"labour": (labour, stock), **(factors or {})}.items():
            needs = np.asarray(need, dtype=np.float64)
            if needs.shape != (n,) or not np.isfinite(needs).all() or (needs < 0).any():
                raise InputError(f"{key} of shape {needs.shape}", f"{n} finite numbers, 0 or more")
            if not 0 < amount < np.inf:
                raise InputError(f"a stock of {key} of {amount!r}", "a finite number above 0")
            self.factors[key] = (needs, float(amount))
        if not np.sum([need for need, _ in self.factors.values()], axis=0).all():
            raise InputError("a good that needs no factor", "some factor for each, or the economy is unbounded")
        self.goods = tuple(goods) if goods is not None else tuple(f"good {i}" for i in range(n))
        if len(self.goods) != n or len(set(self.goods)) != n or set(self.goods) & set(self.factors):
            raise InputError(f"{len(set(self.goods))} different names for goods", f"{n}, none of them a factor's")
        self.units, self.name = dict(units or {}), name

    def prices(self) -> Floats:
        r"""Labour that each good holds, directly and through its inputs: :math:`p = l\,(I - A)^{-1}`, ``(n,)``."""
        labour, _ = self.factors["labour"]
        return np.asarray(np.linalg.solve(np.eye(len(self.inputs)) - self.inputs.T, labour), dtype=np.float64)

    def prices_for(self, demand: ArrayLike, *, solver: str = "auto") -> Floats:
        """Shadow prices of the goods where ``demand`` ``(n,)`` is made with the least labour, by a linear programme.

        The theorem of Samuelson (1951) says that they do not depend on the demand where labour is the only factor.
        SciPy's own HiGHS takes inputs below 1e-9 for nothing; highspy's is told not to.

        Raises:
            InputError: for a demand that is negative or of another length.
        """
        wanted = np.asarray(demand, dtype=np.float64)
        n = len(self.inputs)
        if wanted.shape != (n,) or not np.isfinite(wanted).all() or (wanted < 0).any():
            raise InputError(f"demand of shape {wanted.shape}", f"{n} finite numbers, 0 or more")
        labour, _ = self.factors["labour"]
        problem = LinearProgram(labour, np.eye(n) - self.inputs, low=wanted, rows=self.goods)
        return make_solver(problem, solver).solve(problem.costs).row_prices

    def program(self) -> LinearProgram:
        """What can be made: gross outputs, then what is left of each good, which objectives value.

        The programme's own objective values each good by the labour it holds.
        """
        n, m = len(self.inputs), len(self.factors)
        needs = np.array([need for need, _ in self.factors.values()])
        net = np.eye(n) - self.inputs
        table = sparse.csr_array(np.block([[needs, np.zeros((m, n))], [-net, np.eye(n)]]))
        stocks = [amount for _, amount in self.factors.values()]
        return LinearProgram(
            np.concatenate([np.zeros(n), self.prices()]), table, high=[*stocks, *np.zeros(n)], maximise=True,
            rows=[*self.factors, *self.goods], columns=[*(f"make {g}" for g in self.goods), *self.goods],
            units=self.units, objectives=range(n, 2 * n), name=self.name or "economy",
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Economy({len(self.goods)} goods, {len(self.factors)} factors)"
