r"""Utilities of budgets that satisfy GARP, beside their ranks.

Afriat (1967): numbers :math:`U_i` and :math:`\lambda_i > 0` with :math:`U_j \le U_i + \lambda_i (E_{ij} - E_{ii})`
exist exactly where GARP holds, and :math:`\min_i U_i + \lambda_i (p_i x - E_{ii})` is then a concave utility that gives
the choices. His recursion multiplies marginal utilities :math:`\lambda` from one observation to the next, which leaves
the floats at some hundred observations. So there are two ways here:

- Up to sixty observations a linear programme finds the least ratio of the greatest marginal utility of money to the
  smallest, and a second one utilities with room in every inequality at a ratio hardly above it. A ratio of 1 is a
  quasilinear utility (Brown and Calsamiglia 2007).
- Beyond, and where the ratio is too large for floating point, utilities are :math:`-2^{e}` and marginal utilities
  :math:`2^{k}` with whole :math:`e`, :math:`k`, chosen from the highest rank down: only exponents are ever held.

Both are checked again, every inequality, in fractions, or in exponents that bound them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from pindown.choices.axioms import Relation
from pindown.choices.cells import as_fraction, fractions_of
from pindown.choices.certificates import Utilities
from pindown.choices.spending import Spending
from pindown.estimate import Estimate, Status

__all__ = ["afriat_holds", "utilities"]

Array = NDArray[np.float64]
Exponents = NDArray[np.int64]
_MOST_SOLVED, _MOST_FRACTIONS, _MOST = 60, 150, 3000
_LARGEST_RATIO = 1e8
_ROOM = 1.0 / 64.0
_NONE = -(2**40)


def utilities(relation: Relation) -> Utilities | None:
    """Utilities of the observed bundles with marginal utilities of money, re-checked; None for more than 3000 of them.

    Args:
        relation: budgets that satisfy GARP.
    """
    n = len(relation.spending)
    if n > _MOST:
        return None
    found = _solved(relation) if n <= _MOST_SOLVED else None
    return found or _exponents(relation)


def afriat_holds(spending: Spending, utility: Sequence[Fraction], marginal: Sequence[Fraction]) -> bool:
    """Whether every one of Afriat's inequalities holds, in fractions."""
    if not all(m > 0 for m in marginal):
        return False
    bundles, unit = _whole(spending.budgets.quantities)
    for i, row in enumerate(spending.budgets.prices):
        (prices,), scale = _whole(row[None])
        costs = [sum(p * q for p, q in zip(prices, bundle, strict=True)) for bundle in bundles]
        # U_j − U_i ≤ λ_i (E_ij − E_ii), in units in which costs are whole.
        price = marginal[i] / (scale * unit)
        if any(utility[j] - utility[i] > price * (cost - costs[i]) for j, cost in enumerate(costs)):
            return False
    return True


def _whole(values: Array) -> tuple[list[list[int]], int]:
    """Numbers as whole multiples of one unit, and how many of it make 1."""
    exact = [fractions_of(row) for row in values.tolist()]
    unit = math.lcm(*(x.denominator for row in exact for x in row))
    return [[int(x * unit) for x in row] for row in exact], unit


def _solved(relation: Relation) -> Utilities | None:
    """By linear programmes; None where floating point did not do."""
    spending = relation.spending
    n, part = len(spending), _parts(relation)
    gaps = spending.differences()[0] / float(spending.own.mean())
    i, j = (part[:, None] != part[None, :]).nonzero()
    classes, rows = len(relation.parts), np.arange(len(i))
    # Variables: a utility for each rank, a marginal utility for each observation, and the ratio or the room.
    shape = (len(i), classes + n + 1)
    one = np.ones(len(i))
    cells = np.r_[rows, rows, rows], np.r_[part[j], part[i], classes + i]
    # Sparse matrices and the fields of results are not known to the annotations of linprog.
    matrix: Any = sparse.csr_array((np.r_[one, -one, -gaps[i, j]], cells), shape=shape)
    each, ratio_column = np.arange(n), np.full(n, classes + n)
    cells = np.r_[each, each], np.r_[classes + each, ratio_column]
    below: Any = sparse.csr_array((np.r_[np.ones(n), -np.ones(n)], cells), shape=(n, shape[1]))
    last = np.zeros(shape[1])
    last[-1] = 1.0
    free, at_least_one = [(None, None)] * classes, [(1.0, None)] * n
    both: Any = sparse.vstack([matrix, below])
    first: Any = linprog(
        last, both, np.zeros(len(i) + n), bounds=[*free, *at_least_one, (1.0, None)],
        method="highs",
    )  # fmt: skip
    if first.x is None or not first.x[-1] < _LARGEST_RATIO:
        return None
    most = float(first.x[-1]) * (1.0 + _ROOM)
    room: Any = sparse.csr_array((one, (rows, np.full(len(i), classes + n))), shape=shape)
    second: Any = linprog(
        -last, matrix + room, np.zeros(len(i)), bounds=[*free, *[(1.0, most)] * n, (0.0, 1.0)], method="highs"
    )  # fmt: skip
    if second.x is None:
        return None
    level = second.x[:classes] - second.x[:classes].min()
    scale = 1.0 / float(spending.own.mean())
    utility, marginal = level[part].tolist(), (second.x[classes : classes + n] * scale).tolist()
    if not afriat_holds(spending, [as_fraction(u) for u in utility], [as_fraction(m) for m in marginal]):
        return None
    ratio = Estimate(max(marginal) / min(marginal), 0.0, "1", "upper_bound", Status.REACHED)
    return Utilities(_named(spending, utility), _named(spending, marginal), ratio, logarithmic=False, verified=True)


def _exponents(relation: Relation) -> Utilities:
    """By powers of two, from the highest rank down."""
    spending = relation.spending
    part = _parts(relation)
    above, below, negative = _logarithms(spending)
    e, k = np.zeros(len(part), dtype=np.int64), np.zeros(len(part), dtype=np.int64)
    seen = np.zeros(len(part), dtype=bool)
    for members in relation.parts:
        rows = np.array(members)
        if seen.any():
            higher = np.flatnonzero(seen)
            block = np.ix_(higher, rows)
            least = np.where(negative[block], k[higher, None] + above[block], _NONE)
            e[rows] = 1 + max(int(e[higher].max()), int(least.max()))
            k[rows] = e[rows] - below[np.ix_(rows, higher)].min(axis=1)
        seen[rows] = True
    if len(part) <= _MOST_FRACTIONS:
        two = Fraction(2)
        exact = [-(two ** int(x)) for x in e], [two ** int(x) for x in k]
        verified = afriat_holds(spending, *exact)
    else:
        verified = _exponents_hold(part, e, k, above, below, negative)
    spread = int(k.max() - k.min())
    ratio = (
        Estimate(2.0**spread, 0.0, "1", "upper_bound", Status.REACHED)
        if spread < 1000
        else Estimate(math.nan, math.nan, "1", "estimate", Status.UNSUPPORTED)
    )
    return Utilities(
        _named(spending, e.tolist()), _named(spending, k.tolist()), ratio, logarithmic=True, verified=verified
    )


def _exponents_hold(
    part: Exponents, e: Exponents, k: Exponents, above: Exponents, below: Exponents, negative: NDArray[np.bool_]
) -> bool:
    """Whether exponents prove every inequality between ranks; within one there is nothing cheaper to buy.

    With ``E_ij − E_ii`` negative, ``2^e_j ≥ 2^e_i + 2^k_i |E_ij − E_ii|`` follows from ``e_j`` above both exponents;
    with it positive and ``j`` the better, ``2^e_i − 2^e_j ≤ 2^k_i (E_ij − E_ii)`` from the right side being at least
    ``2^e_i``.
    """
    falls = (e[None, :] > e[:, None]) & (e[None, :] > k[:, None] + above)
    rises = (e[None, :] >= e[:, None]) | (k[:, None] + below >= e[:, None])
    same = part[:, None] == part[None, :]
    inside = ~negative & (e[:, None] == e[None, :])
    return bool(np.where(same, inside, np.where(negative, falls, rises)).all())


def _logarithms(spending: Spending) -> tuple[Exponents, Exponents, NDArray[np.bool_]]:
    """Whole numbers above and below ``log2 |E_ij − E_ii|``, and where that difference is negative."""
    gaps, doubt = spending.differences()
    size = np.abs(gaps)
    above = np.frexp(size + doubt)[1].astype(np.int64)
    below = np.frexp(np.maximum(size - doubt, 0.0))[1].astype(np.int64) - 1
    negative = gaps < 0
    unsure = size <= 2.0 * doubt
    np.fill_diagonal(unsure, False)
    for i, j in np.argwhere(unsure).tolist():
        exact = spending.cost(i, j) - spending.cost(i, i)
        negative[i, j] = exact < 0
        if exact:
            bits = abs(exact.numerator).bit_length() - exact.denominator.bit_length()
            above[i, j], below[i, j] = bits + 1, bits - 1
        else:
            above[i, j], below[i, j] = _NONE, _NONE
    np.fill_diagonal(negative, False)
    return above, below, negative


def _parts(relation: Relation) -> Exponents:
    part = np.zeros(len(relation.spending), dtype=np.int64)
    for number, members in enumerate(relation.parts):
        part[members] = number
    return part


def _named(spending: Spending, values: Sequence[float]) -> Mapping[str, float]:
    return dict(zip(spending.budgets.names, map(float, values), strict=True))
