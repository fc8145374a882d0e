r"""The axioms of revealed preference on budgets, each decided exactly.

WARP (Samuelson 1938): no two different bundles are each directly revealed preferred to the other. SARP (Houthakker
1950): no two different bundles each through a chain. GARP (Varian 1982): what is revealed preferred through a chain is
not strictly directly revealed preferred the other way, which is that no strong component of the relation holds a strict
edge. HARP (Varian 1983): no cycle of :math:`E_{ij}/E_{ii}` has a product below 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pindown.choices.budgets import Budgets
from pindown.choices.graphs import components, some_cycle
from pindown.choices.indices import Axiom
from pindown.choices.spending import Spending

__all__ = ["Relation", "garp", "harp"]

_BLOCK = 2048
_FEW_NODES = 12


class Relation:
    """Direct revealed preference among budgets, and what follows from it.

    Attributes:
        spending: the exact comparisons.
        weak, strict: edges as bit sets; one and the same list where no two costs are equal.
        parts: the strong components, from those that are preferred down.
    """

    def __init__(self, budgets: Budgets) -> None:
        self.spending = Spending(budgets)
        self.weak, self.strict = self.spending.graph()
        self.parts = components(self.weak)

    def violating_cycle(self) -> list[int] | None:
        """A short cycle with a strict edge, which is its first; None where GARP holds."""
        return some_cycle(self.weak, self.strict)

    def garp(self) -> Axiom:
        """GARP, and the number of strict edges that violate it."""
        count = 0
        for members in self.parts:
            if len(members) > 1:
                inside = sum(1 << i for i in members)
                count += sum((self.strict[i] & inside).bit_count() for i in members)
        return Axiom(count == 0, count)

    def sarp(self) -> Axiom:
        """SARP, and the number of pairs of different bundles in one component."""
        count = 0
        for members in self.parts:
            if len(members) > 1:
                count += math.comb(len(members), 2) - self._same(members)
        return Axiom(count == 0, count)

    def warp(self) -> Axiom:
        """WARP, and the number of pairs that violate it."""
        count = _mutual(self.weak) - self._same(range(len(self.weak)))
        return Axiom(count == 0, count)

    def _same(self, rows: Sequence[int]) -> int:
        """How many pairs of these observations have one and the same bundle."""
        quantities = self.spending.budgets.quantities + 0.0  # no negative zeros
        counts = Counter(quantities[i].tobytes() for i in rows)
        return sum(math.comb(c, 2) for c in counts.values())


def garp(budgets: Budgets) -> bool:
    """Whether the budgets satisfy GARP.

    Time is that of the ``n²`` costs; memory is ``n²/8`` bytes.

    Example:
        >>> from pindown import Budgets
        >>> garp(Budgets([[1, 1], [2, 1]], [[2, 2], [3, 0]]))
        False
    """
    return bool(Relation(budgets).garp())


def harp(spending: Spending) -> bool:
    """Whether the budgets satisfy HARP.

    In floating point the least weight ``Σ ln E_ij/E_ii`` of a cycle through each observation decides (Floyd 1962,
    Warshall 1962); where it is within rounding of 0, products of fractions on the edges that could matter do.
    """
    n = len(spending)
    if n == 1:
        return True
    weights = np.log(spending.ratios())
    doubt = 64 * n * float(np.finfo(float).eps) * max(1.0, float(np.abs(weights).max()))
    least = weights.copy()
    np.fill_diagonal(least, np.inf)
    if float((least + least.T).min()) < -doubt:
        return False
    for k in range(n):
        np.minimum(least, least[:, k, None] + least[None, k, :], out=least)
        if least[k, k] < -doubt:
            return False
    lowest = float(np.diagonal(least).min())
    return lowest > doubt or (lowest >= -doubt and _exact_cycle(spending, weights, doubt) is None)


def _exact_cycle(spending: Spending, weights: NDArray[np.float64], doubt: float) -> list[int] | None:
    """A cycle whose product of fractions is below 1; None where there is none.

    With potentials from shortest paths every edge has a reduced weight of at least about 0, so that only edges of about
    0 lie on a cycle that could be below; few remain, and Bellman and Ford's recursion runs on them in fractions.
    """
    n = len(spending)
    potential = np.zeros(n)
    w = weights.copy()
    np.fill_diagonal(w, np.inf)
    for _ in range(n):
        potential = np.minimum(potential, (potential[:, None] + w).min(axis=0))
    reduced = w + potential[:, None] - potential[None, :]
    tight = reduced <= 4 * n * doubt
    rows = [sum(1 << int(j) for j in np.flatnonzero(row)) for row in tight]
    for members in components(rows):
        if len(members) < 2:
            continue
        edges = [
            (i, j, spending.cost(i, j) / spending.cost(i, i))
            for i in members
            for j in members
            if i != j and tight[i, j]
        ]
        found = _falling_cycle(members, edges)
        if found is not None:
            return found
    return None


def _falling_cycle(members: Sequence[int], edges: Sequence[tuple[int, int, Fraction]]) -> list[int] | None:
    """A cycle with a product below 1, by Bellman and Ford's recursion on products."""
    least = dict.fromkeys(members, Fraction(1))
    before: dict[int, int] = {}
    last = -1
    for _ in members:
        last = -1
        for i, j, ratio in edges:
            if least[i] * ratio < least[j]:
                least[j], before[j], last = least[i] * ratio, i, j
        if last < 0:
            return None
    for _ in members:
        last = before[last]
    cycle = [last]
    while before[cycle[-1]] != last:
        cycle.append(before[cycle[-1]])
    return cycle[::-1]


def _mutual(rows: Sequence[int]) -> int:
    """How many pairs have edges both ways."""
    n = len(rows)
    if n <= _FEW_NODES:
        return sum(rows[i] >> j & rows[j] >> i & 1 for i in range(n) for j in range(i))
    size = -(-n // 8)
    packed = np.frombuffer(b"".join(row.to_bytes(size, "little") for row in rows), dtype=np.uint8).reshape(n, size)
    count = 0
    for a in range(0, n, _BLOCK):
        for b in range(0, a + 1, _BLOCK):
            one, other = _square(packed, a, b), _square(packed, b, a)
            both = int((one & other.T).sum())
            count += both if a != b else both // 2
    return count


def _square(packed: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    n = len(packed)
    part = packed[row : row + _BLOCK, column // 8 : (column + _BLOCK) // 8]
    return np.unpackbits(part, axis=1, bitorder="little")[:, : min(_BLOCK, n - column)]
