r"""How incoherent choices from budgets are, by the indices of the literature.

- CCEI (Afriat 1973): the greatest :math:`e` for which no cycle has :math:`E_{ij} \le e E_{ii}` all round with one
  strict: the least bottleneck of :math:`E_{ij}/E_{ii}` over cycles.
- Varian (1990): the same with an :math:`e_i` for each budget, here the greatest mean of them.
- Houtman and Maks (1985): the largest share of observations that satisfies GARP.
- Money pump index (Echenique, Lee and Shum 2011; its maximum, Smeulders et al. 2013): the greatest share
  :math:`\sum (E_{ii} - E_{ij}) / \sum E_{ii}` of spending that is lost round a cycle.
- Minimum cost index (Dean and Martin 2016): the least :math:`\sum (E_{ii} - E_{ij}) / \sum_i E_{ii}` over the pairs
  that must be given up.
- Swaps: the fewest pairs that must be given up (in menus, Apesteguia and Ballester 2015).

Levels are suprema: pairs that cost exactly as much as what was bought can be given up for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pindown.choices.axioms import Relation
from pindown.choices.cycles import least_bottleneck, richest_cycle
from pindown.choices.drops import Dropped, drop_nodes, drop_pairs, lower_levels
from pindown.choices.graphs import components, matrix_of
from pindown.choices.indices import Index, bounded, exact

__all__ = ["BudgetIndices", "budget_indices", "ccei", "houtman_maks", "minimum_cost", "money_pump", "swaps", "varian"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BudgetIndices:
    """All indices of one table of budgets."""

    ccei: Index
    varian: Index
    houtman_maks: Index
    money_pump_index: Index
    minimum_cost_index: Index
    swaps: Index


def budget_indices(relation: Relation, seconds: float = 20.0) -> BudgetIndices:
    """All indices; those that are hard take at most ``seconds`` each, and then say so and give both bounds."""
    if not components_with(relation.strict):
        # Ties alone can still violate GARP: then only what counts pairs or observations sees it.
        names = relation.spending.budgets.names
        one = exact(1.0)
        return BudgetIndices(
            one, exact(1.0, levels=(1.0,) * len(names)), houtman_maks(relation, seconds), money_pump(relation),
            minimum_cost(relation, seconds), swaps(relation, seconds),
        )  # fmt: skip
    ratios = relation.spending.ratios()
    return BudgetIndices(
        ccei(relation, ratios),
        varian(relation, ratios, seconds),
        houtman_maks(relation, seconds),
        money_pump(relation),
        minimum_cost(relation, seconds),
        swaps(relation, seconds),
    )


def components_with(strict: Sequence[int]) -> list[list[int]]:
    """The strong components of more than one node."""
    return [c for c in components(strict) if len(c) > 1]


def ccei(relation: Relation, ratios: Array | None = None) -> Index:
    """Afriat's critical cost efficiency index, with the cycle at which it breaks."""
    spending = relation.spending
    names = spending.budgets.names
    best, cycle = 1.0, list[int]()
    for members in components_with(relation.strict):
        rows = np.array(members)
        part = spending.ratios(rows) if ratios is None else ratios[np.ix_(rows, rows)]
        value, found = least_bottleneck(part, best)
        if found:
            best, cycle = value, [members[k] for k in found]
    if not cycle:
        return exact(1.0)
    shares = [spending.cost(i, j) / spending.cost(i, i) for i, j in _steps(cycle)]
    return exact(float(max(shares)), cycle=tuple(names[i] for i in cycle))


def varian(relation: Relation, ratios: Array | None = None, seconds: float = 20.0) -> Index:
    """Varian's index: the greatest mean share of the budgets for which GARP holds, with each share."""
    spending = relation.spending
    ratios = spending.ratios() if ratios is None else ratios
    found = lower_levels(relation.strict, ratios, seconds)
    n = len(spending)
    if found.optimal:
        return exact(1.0 - found.cost / n, levels=found.levels)
    return bounded(1.0 - found.cost / n, 1.0 - found.bound / n, levels=found.levels)


def houtman_maks(relation: Relation, seconds: float = 20.0) -> Index:
    """The largest share of observations that satisfies GARP, and which they are."""
    names = relation.spending.budgets.names
    found, n = drop_nodes(relation.weak, relation.strict, seconds), len(names)
    gone = set(found.nodes)
    kept = tuple(name for i, name in enumerate(names) if i not in gone) if gone else ()
    share = (n - len(gone)) / n
    return exact(share, kept=kept) if found.optimal else bounded(share, (n - found.bound) / n, kept=kept)


def money_pump(relation: Relation) -> Index:
    """The greatest share of spending that is lost round a violating cycle, with that cycle."""
    spending, names = relation.spending, relation.spending.budgets.names
    best, cycle = Fraction(0), list[int]()
    for members in relation.parts:
        if len(members) < 2:
            continue
        rows = np.array(members)
        inside = sum(1 << j for j in members)
        if not any(relation.strict[i] & inside for i in members):
            continue
        edges = matrix_of(relation.weak, members)
        own = spending.own[rows]
        ratio = spending.ratios(rows)
        gains = np.where(edges, own[:, None] * (1.0 - ratio), -np.inf)
        found = [members[k] for k in richest_cycle(gains, own)[1]]
        share = _share_lost(relation, found)
        if share > best:
            best, cycle = share, found
    return exact(float(best), cycle=tuple(names[i] for i in cycle))


def minimum_cost(relation: Relation, seconds: float = 20.0) -> Index:
    """The least share of all spending that the pairs given up are worth."""
    spending = relation.spending
    if not components_with(relation.strict):
        return exact(0.0)
    costs = spending.own[:, None] * (1.0 - spending.ratios())
    found = drop_pairs(relation.strict, relation.strict, costs, seconds)
    total = float(spending.own.sum())
    return _pairs(relation, found, found.cost / total, found.bound / total)


def swaps(relation: Relation, seconds: float = 20.0) -> Index:
    """The fewest pairs of observations whose preference must be given up."""
    found = drop_pairs(relation.weak, relation.strict, None, seconds)
    return _pairs(relation, found, found.cost, found.bound, "pairs")


def _pairs(relation: Relation, found: Dropped, value: float, bound: float, unit: str = "1") -> Index:
    names = relation.spending.budgets.names
    dropped = tuple((names[i], names[j]) for i, j in found.edges)
    return exact(value, unit, dropped=dropped) if found.optimal else bounded(value, bound, unit, dropped=dropped)


def _share_lost(relation: Relation, cycle: Sequence[int]) -> Fraction:
    cost = relation.spending.cost
    lost = sum((cost(i, i) - cost(i, j) for i, j in _steps(cycle)), Fraction(0))
    return lost / sum((cost(i, i) for i in cycle), Fraction(0))


def _steps(cycle: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
