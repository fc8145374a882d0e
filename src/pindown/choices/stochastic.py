r"""Tests of noisy choices: weak and strong stochastic transitivity, and random utility.

Each test is an e-value: the likelihood of the counts under a mixture that can take any form (a Beta(½, ½) for each
pair, Krichevsky and Trofimov 1981; a Dirichlet for each menu) over the greatest likelihood that the hypothesis allows.
Its mean is at most 1 under every law of the hypothesis, so that it exceeds :math:`1/\alpha` with a probability of at
most :math:`\alpha` at every sample size (Ville; Wasserman, Ramdas and Balakrishnan 2020, Universal inference). No
distribution of a likelihood ratio has to be known, which at the corners of these hypotheses is a mixture with unknown
weights. Pairs that were never compared take no part: they are not filled in with ½.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, xlogy

from pindown.choices.drops import drop_pairs
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs

__all__ = ["StochasticTest", "menu_tests", "pair_tests", "random_utility", "strong_transitivity", "weak_transitivity"]

Array = NDArray[np.float64]
_SST_ITEMS, _RUM_ITEMS = 6, 7
_STEPS = 2000
_GAP = 0.02  # nats of likelihood that the search for the best mixture may leave open; it is added


@dataclass(frozen=True)
class StochasticTest:
    """One test of a hypothesis about noisy choices.

    Attributes:
        name: of the hypothesis.
        log_e: natural logarithm of the e-value against it; NaN where there are too many items to test.
        level: the test rejects where the e-value is at least ``1/level``; it does so with a probability of at most
            ``level`` where the hypothesis is true.
    """

    name: str
    log_e: float
    level: float = 0.05

    @property
    def stated(self) -> bool:
        """Whether it was tested."""
        return not math.isnan(self.log_e)

    @property
    def rejected(self) -> bool:
        """Whether the hypothesis is rejected."""
        return self.stated and self.log_e >= -math.log(self.level)

    @property
    def p_value(self) -> float:
        """The smallest level at which it would be: ``min(1, 1/e)``."""
        return math.exp(-max(0.0, self.log_e)) if self.stated else math.nan

    def __str__(self) -> str:
        if not self.stated:
            return "not tested: too many items"
        words = "rejected" if self.rejected else "not rejected"
        e = f"{math.exp(self.log_e):.3g}" if self.log_e < 30 else f"10^{self.log_e / math.log(10):.0f}"
        return f"{words} (e = {e}, p ≤ {self.p_value:.2g})"

    def to_dict(self) -> dict[str, Any]:
        """The test as plain JSON values."""
        return {
            "name": self.name,
            "log_e": self.log_e if self.stated else None,
            "level": self.level,
            "rejected": self.rejected,
            "p_value": self.p_value if self.stated else None,
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> StochasticTest:
        """Read back what :meth:`to_dict` wrote."""
        return cls(str(r["name"]), math.nan if r["log_e"] is None else float(r["log_e"]), float(r["level"]))


def pair_tests(pairs: Pairs, level: float = 0.05) -> tuple[StochasticTest, ...]:
    """All three tests of comparisons."""
    return weak_transitivity(pairs, level), strong_transitivity(pairs, level), random_utility(pairs, level)


def menu_tests(menus: Menus, level: float = 0.05) -> tuple[StochasticTest, ...]:
    """Random utility, where some menu was offered more than once."""
    repeated = max(Counter(tuple(sorted(m)) for m in menus.offered).values())
    return (_menu_utility(menus, level),) if repeated > 1 else ()


def weak_transitivity(pairs: Pairs, level: float = 0.05) -> StochasticTest:
    """Weak stochastic transitivity: some order in which the higher of two is chosen at least half of the time.

    The greatest likelihood is that of the best order, with every pair that goes against it at ½ (Iverson and Falmagne
    1985; the best order is a linear ordering problem).

    Example:
        >>> from pindown import Pairs
        >>> weak_transitivity(Pairs(["a", "b", "c"], ["b", "c", "a"], [90, 90, 90], [10, 10, 10])).rejected
        True
    """
    n = pairs.counts.astype(np.float64)
    found = drop_pairs(*_majority(n), _half_costs(n))
    return StochasticTest("weak stochastic transitivity", _free(pairs) - (_best(pairs) - found.bound), level)


def strong_transitivity(pairs: Pairs, level: float = 0.05) -> StochasticTest:
    """Strong stochastic transitivity: in some order the chance grows with the distance on either side.

    Given an order the greatest likelihood is an isotonic regression on the pairs that were compared (Robertson, Wright
    and Dykstra 1988). Orders are tried from the best bound down, the bound being that of weak transitivity.
    """
    name, k = "strong stochastic transitivity", len(pairs.items)
    if k > _SST_ITEMS:
        return StochasticTest(name, math.nan, level)
    n = pairs.counts.astype(np.float64)
    orders = np.array(list(permutations(range(k))))
    place = np.argsort(orders, axis=1)
    costs = _half_costs(n)
    against = place[:, :, None] > place[:, None, :]
    bounds = _best(pairs) - (costs[None] * against).sum(axis=(1, 2))
    best = -math.inf
    for at in np.argsort(-bounds):
        if bounds[at] <= best + 1e-9:
            break
        best = max(best, _isotonic(n, orders[at].tolist()))
    return StochasticTest(name, _free(pairs) - best, level)


def random_utility(pairs: Pairs, level: float = 0.05) -> StochasticTest:
    """Random utility: a mixture of linear orders gives all chances (Block and Marschak 1960)."""
    name, k = "random utility", len(pairs.items)
    if k > _RUM_ITEMS:
        return StochasticTest(name, math.nan, level)
    cells = [(i, j) for i, j in pairs.compared] + [(j, i) for i, j in pairs.compared]
    counts = np.array([float(pairs.counts[i, j]) for i, j in cells])
    place = np.argsort(_orders(k), axis=1)
    takes = np.stack([place[:, i] < place[:, j] for i, j in cells], axis=1).astype(np.float64)
    return StochasticTest(name, _free(pairs) - _best_mixture(takes, counts), level)


def _menu_utility(menus: Menus, level: float) -> StochasticTest:
    name, k = "random utility", len(menus.items)
    if k > _RUM_ITEMS:
        return StochasticTest(name, math.nan, level)
    counts: dict[tuple[int, ...], Counter[int]] = {}
    for offered, taken in zip(menus.offered, menus.taken, strict=True):
        counts.setdefault(tuple(sorted(offered)), Counter())[taken] += 1
    place = np.argsort(_orders(k), axis=1)
    free, columns, numbers = 0.0, list[Array](), list[float]()
    for offered, taken in counts.items():
        c = np.array([float(taken[i]) for i in offered])
        a = np.full(len(c), 0.5)
        free += float(gammaln(a.sum()) - gammaln(a.sum() + c.sum()) + (gammaln(a + c) - gammaln(a)).sum())
        top = np.array(offered)[place[:, list(offered)].argmin(axis=1)]
        columns += [(top == i).astype(np.float64) for i in offered]
        numbers += c.tolist()
    return StochasticTest(name, free - _best_mixture(np.stack(columns, axis=1), np.array(numbers)), level)


@lru_cache(maxsize=4)
def _orders(k: int) -> NDArray[np.intp]:
    return np.array(list(permutations(range(k))))


def _best_mixture(takes: Array, counts: Array) -> float:
    """The greatest likelihood of a mixture of orders, plus what the search may have missed.

    Expectation and maximisation over the weights; since the likelihood is concave, the steepest slope bounds the rest.
    """
    seen = counts > 0
    takes, counts = takes[:, seen], counts[seen]
    takes = np.unique(takes, axis=0)
    weights = np.full(len(takes), 1.0 / len(takes))
    total = counts.sum()
    best = math.inf
    for _ in range(_STEPS):
        chance = weights @ takes
        slope = takes @ (counts / chance)
        likelihood = float((counts * np.log(chance)).sum())
        gap = float(slope.max() - total)
        best = min(best, likelihood + gap)
        if gap < _GAP:
            break
        weights = weights * slope / total
    return best


def _majority(n: Array) -> tuple[list[int], list[int]]:
    rows = [sum(1 << int(j) for j in np.flatnonzero(row)) for row in n > n.T]
    return rows, rows


def _half_costs(n: Array) -> Array:
    """What it costs in likelihood to hold the winner of each pair at ½ only."""
    both = n + n.T
    share = np.divide(n, both, out=np.full_like(n, 0.5), where=both > 0)
    cost = xlogy(n, share) + xlogy(n.T, 1.0 - share) - both * math.log(0.5)
    return np.where(n > n.T, cost, 0.0)


def _best(pairs: Pairs) -> float:
    """The greatest likelihood without any hypothesis."""
    n = pairs.counts.astype(np.float64)
    both = n + n.T
    share = np.divide(n, both, out=np.full_like(n, 0.5), where=both > 0)
    return float(xlogy(n, share).sum())


def _free(pairs: Pairs) -> float:
    """The likelihood under the mixture that can take any form."""
    return float(
        sum(betaln(pairs.counts[i, j] + 0.5, pairs.counts[j, i] + 0.5) - betaln(0.5, 0.5) for i, j in pairs.compared)
    )


def _isotonic(n: Array, order: list[int]) -> float:
    """The greatest likelihood of chances of at least ½ that grow with the distance in this order."""
    k = len(order)
    cells = [(a, b) for a in range(k) for b in range(a + 1, k) if n[order[a], order[b]] + n[order[b], order[a]] > 0]
    won = np.array([n[order[a], order[b]] for a, b in cells])
    lost = np.array([n[order[b], order[a]] for a, b in cells])
    rows: list[Array] = []
    for x, (a, b) in enumerate(cells):
        for y, (c, d) in enumerate(cells):
            if x != y and c <= a and d >= b:
                row = np.zeros(len(cells))
                row[y], row[x] = 1.0, -1.0
                rows.append(row)
    edge = 1e-9
    start = np.full(len(cells), 0.75)
    matrix = np.array(rows)
    constraints: list[Any] = [{"type": "ineq", "fun": lambda p: matrix @ p, "jac": lambda _: matrix}] if rows else []

    def cost(p: Array) -> tuple[float, Array]:
        return -float((xlogy(won, p) + xlogy(lost, 1.0 - p)).sum()), lost / (1.0 - p) - won / p

    found = minimize(
        cost, start, jac=True, bounds=[(0.5, 1.0 - edge)] * len(cells), constraints=constraints, method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 500},
    )  # fmt: skip
    return -float(found.fun) + 1e-6
