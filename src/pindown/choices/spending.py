r"""What each budget could have bought: revealed preference from prices and quantities, decided exactly.

With :math:`E_{ij} = p_i \cdot q_j`, observation :math:`i` is directly revealed preferred to :math:`j` where
:math:`E_{ii} \ge E_{ij}`, strictly where :math:`E_{ii} > E_{ij}` (Afriat 1967; Varian 1982, The nonparametric approach
to demand analysis). Numbers are taken as the decimals that they print as. Differences too small for floating point are
decided in integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pindown.choices.budgets import Budgets
from pindown.choices.cells import as_fraction
from pindown.choices.graphs import packed_rows

__all__ = ["Spending"]

Array = NDArray[np.float64]
_BLOCK_BYTES = 32 * 2**20
_LARGEST_EXACT = 2.0**53
_MOST_DECIMALS = 12


class Spending:
    """The comparisons of one table of budgets.

    Attributes:
        budgets: the table.
        own: what was spent in each observation, ``E_ii``.
    """

    def __init__(self, budgets: Budgets) -> None:
        self.budgets = budgets
        p, q = _as_integers(budgets.prices), _as_integers(budgets.quantities)
        largest = 0.0 if p is None or q is None else float(p.max()) * float(q.sum(axis=1).max())
        self._exact = p is not None and q is not None and largest < _LARGEST_EXACT
        self._p: Array = p if self._exact and p is not None else budgets.prices
        self._q: Array = q if self._exact and q is not None else budgets.quantities
        self._own: Array = np.einsum("ij,ij->i", self._p, self._q)
        self.own: Array = np.einsum("ij,ij->i", budgets.prices, budgets.quantities)

    def __len__(self) -> int:
        return len(self.budgets)

    def cost(self, i: int, j: int) -> Fraction:
        """``p_i · q_j``, exactly."""
        p = [as_fraction(x) for x in self.budgets.prices[i].tolist()]
        q = [as_fraction(x) for x in self.budgets.quantities[j].tolist()]
        return sum((a * b for a, b in zip(p, q, strict=True)), Fraction(0))

    def sign(self, i: int, j: int) -> int:
        """1 where observation ``i`` is strictly revealed preferred to ``j``, 0 where just, −1 where not."""
        difference = self.cost(i, i) - self.cost(i, j)
        return (difference > 0) - (difference < 0)

    def ratios(self, rows: NDArray[np.intp] | None = None) -> Array:
        """``E_ij / E_ii``, among these observations where they are given."""
        pick = slice(None) if rows is None else rows
        p, q = self.budgets.prices[pick], self.budgets.quantities[pick]
        return (p @ q.T) / self.own[pick, None]

    def differences(self) -> tuple[Array, Array]:
        """``E_ij − E_ii``, and how far each may be off in floating point."""
        p, q = self.budgets.prices, self.budgets.quantities
        cost, own = p @ q.T, self.own[:, None]
        return cost - own, self._doubt() * np.maximum(cost, own)

    def graph(self) -> tuple[list[int], list[int]]:
        """Edges of direct and of strict direct revealed preference as bit sets; one and the same list without ties."""
        n = len(self)
        packed = np.empty((n, -(-n // 8)), dtype=np.uint8)
        tied: list[tuple[int, int]] = []
        size = max(1, min(n, _BLOCK_BYTES // (8 * n)))
        for start in range(0, n, size):
            rows = np.arange(start, min(n, start + size))
            weak, ties = self._weak(rows)
            tied += [(i, j) for i, j in ties if i != j]
            weak[np.arange(len(rows)), rows] = False
            packed[rows] = np.packbits(weak, axis=1, bitorder="little")
        weak_rows = packed_rows(packed)
        if not tied:
            return weak_rows, weak_rows
        strict = list(weak_rows)
        for i, j in tied:
            strict[i] &= ~(1 << j)
        return weak_rows, strict

    def ranks_hold(self, rank: Sequence[int]) -> bool:
        """Whether no bundle of a higher rank was affordable, and none of the same rank cheaper, anywhere.

        Costs of bundles of lower ranks are not looked at.
        """
        ranks = np.array(rank)
        order = np.argsort(-ranks, kind="stable")
        falling, n = -ranks[order], len(order)
        size = max(1, min(n, _BLOCK_BYTES // (8 * n)))
        for start in range(0, n, size):
            rows = order[start : start + size]
            columns = order[: np.searchsorted(falling, falling[min(n, start + size) - 1], side="right")]
            weak, ties = self._weak(rows, columns)
            tied = set(ties)
            for r, c in np.argwhere(weak).tolist():
                i, j = int(rows[r]), int(columns[c])
                if i != j and (rank[j] > rank[i] or (rank[j] == rank[i] and (i, j) not in tied)):
                    return False
        return True

    def _weak(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.bool_], list[tuple[int, int]]]:
        """Whether ``E_ii ≥ E_ij`` for these ``i`` and ``j``, and where the two are equal."""
        q = self._q if columns is None else self._q[columns]
        cost, own = self._p[rows] @ q.T, self._own[rows, None]
        column = np.arange(len(self)) if columns is None else columns
        if self._exact:
            return cost <= own, [(int(rows[r]), int(column[c])) for r, c in np.argwhere(cost == own)]
        slack = self._doubt() * own
        weak, surely = cost <= own + slack, cost < own - slack
        ties: list[tuple[int, int]] = []
        for r, c in np.argwhere(weak != surely):
            i, j = int(rows[r]), int(column[c])
            sign = 0 if i == j else self.sign(i, j)
            weak[r, c] = sign >= 0
            if sign == 0:
                ties.append((i, j))
        return weak, ties

    def _doubt(self) -> float:
        """Relative difference below which floating point does not tell the larger of two costs.

        Each product has three roundings (two conversions and itself), and each sum one a good.
        """
        return 2.5 * (self._p.shape[1] + 4) * float(np.finfo(float).eps)


def _as_integers(values: Array) -> Array | None:
    """The values times the power of ten that makes all of them whole; None where there is none of use."""
    scale, first = 1.0, values.reshape(-1)[:4]
    finest = np.rint(first * 10.0**_MOST_DECIMALS)
    if float(finest.max()) < _LARGEST_EXACT and not np.array_equal(finest / 10.0**_MOST_DECIMALS, first):
        return None  # a look at a few tells most that have no short decimals
    for _ in range(_MOST_DECIMALS + 1):
        whole = np.rint(values * scale)
        if float(np.abs(whole).max()) >= _LARGEST_EXACT:
            return None
        # whole / scale is the float nearest to that decimal, as reading the decimal is.
        if np.array_equal(whole / scale, values):
            return whole
        scale *= 10.0
    return None
