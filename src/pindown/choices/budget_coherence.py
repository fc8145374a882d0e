"""Coherence of choices from budgets: axioms, indices, the certificate, and the pump with the greatest share lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from pindown.choices.axioms import Relation, harp
from pindown.choices.budget_indices import budget_indices
from pindown.choices.budget_utilities import utilities
from pindown.choices.cells import fractions_of
from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.coherence_result import Graph
from pindown.choices.drawn_graph import graph_to_draw
from pindown.choices.graphs import components, ranks, rows_of
from pindown.choices.indices import Axiom, unsupported
from pindown.choices.spending import Spending

__all__ = ["budget_certificate", "budget_pump", "parts_of_budgets"]

MOST_DENSE = 6000
"""Above this many observations only what needs no matrix of floats is computed."""
_MOST_FRACTIONS = 150
_BREAKS = 40


def parts_of_budgets(relation: Relation, seconds: float) -> dict[str, Any]:
    """Everything about budgets but the surprise."""
    n = len(relation.weak)
    garp = relation.garp()
    cycle = None if garp else relation.violating_cycle()
    parts: dict[str, Any] = {
        "coherent": bool(garp), "warp": relation.warp(), "sarp": relation.sarp(), "garp": garp, "notes": (),
        "certificate": budget_certificate(relation, cycle), "stochastic": (), "residuals": {}, "breaks": (),
        "ranks": len(relation.parts), "graph": _graph(relation),
    }  # fmt: skip
    if garp:
        parts["certificate"] = replace(parts["certificate"], utilities=utilities(relation))
    if n > MOST_DENSE:
        no = unsupported()
        names = ("ccei", "varian", "houtman_maks", "money_pump_index", "minimum_cost_index", "swaps")
        parts |= dict.fromkeys(names, no) | {"harp": Axiom(False, 0, False)}
        parts["notes"] = (f"Above {MOST_DENSE:,} observations the indices are left out.",)
        parts["pump"] = None if cycle is None else budget_pump(relation, cycle)
        return parts
    indices = budget_indices(relation, seconds)
    holds = harp(relation.spending)
    parts |= vars(indices) | {"harp": Axiom(holds, 0)}
    if cycle is not None:
        names = {name: i for i, name in enumerate(relation.spending.budgets.names)}
        richest = [names[name] for name in indices.money_pump_index.cycle]
        parts["pump"] = budget_pump(relation, richest or cycle)
        parts["breaks"] = _breaks(relation.spending, indices.ccei.value)
    else:
        parts["pump"] = None
    return parts


def budget_certificate(relation: Relation, cycle: Sequence[int] | None) -> Certificate:
    """Ranks of the strong components where GARP holds, else a violating cycle; checked again in fractions."""
    spending = relation.spending
    names = spending.budgets.names
    if cycle is None:
        rank = ranks(relation.parts, len(names))
        many = f"{len(relation.parts):,} ranks explain" if len(relation.parts) != 1 else "One rank explains"
        statement = (
            f"{many} the choices: nothing of a higher rank was affordable, and nothing of the same rank was cheaper, "
            "than what was bought."
        )
        return Certificate(
            "ranks", statement, dict(zip(names, map(float, rank), strict=True)), {}, (), _ranks_hold(spending, rank)
        )
    steps = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    signs = [_sign(spending, i, j) for i, j in steps]
    verified = all(s >= 0 for s in signs) and any(s > 0 for s in signs)
    shown = " over ".join(names[i] for i in [*cycle, cycle[0]])
    return Certificate(
        "cycle",
        f"Observations were chosen in a ring, {shown}: each was affordable where the one before was bought.",
        cycle=tuple(names[i] for i in cycle),
        verified=verified,
    )


def budget_pump(relation: Relation, cycle: Sequence[int]) -> Pump:
    """The way round a cycle of revealed preference: at the prices of each observation the next bundle is given for its
    own.

    The loss is ``Σ (E_ii − E_ij)`` (Echenique, Lee and Shum 2011).
    """
    spending = relation.spending
    names = spending.budgets.names
    steps: list[Step] = []
    lost, spent = Fraction(0), Fraction(0)
    for i, j in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        own, other = _cost(spending, i, i), _cost(spending, i, j)
        lost, spent = lost + own - other, spent + own
        because = f"at the prices of {names[i]}, {names[j]} costs {float(other):.4g} and {names[i]} {float(own):.4g}"
        steps.append(Step(names[j], names[i], float(own - other), own > other, because))
    verified = all(step.loss is not None and step.loss >= 0 for step in steps) and lost > 0
    steps.reverse()
    return Pump(
        tuple(step.start for step in steps), tuple(steps), float(lost), float(lost / spent),
        all(step.strict for step in steps), verified,
    )  # fmt: skip


def _cost(spending: Spending, i: int, j: int) -> Fraction:
    """``p_i · q_j`` in fractions, apart from :class:`Spending`'s own arithmetic."""
    p = fractions_of(spending.budgets.prices[i].tolist())
    q = fractions_of(spending.budgets.quantities[j].tolist())
    return sum((a * b for a, b in zip(p, q, strict=True)), Fraction(0))


def _sign(spending: Spending, i: int, j: int) -> int:
    difference = _cost(spending, i, i) - _cost(spending, i, j)
    return (difference > 0) - (difference < 0)


def _ranks_hold(spending: Spending, rank: Sequence[int]) -> bool:
    """Whether no bundle of a higher rank was affordable, and none of the same rank cheaper, anywhere.

    Up to 150 observations all products are fractions. Beyond, a second pass compares in floating point, and in
    fractions whatever lies within a proven bound of rounding.
    """
    n = len(rank)
    if n > _MOST_FRACTIONS:
        return spending.ranks_hold(rank)
    prices = [fractions_of(row) for row in spending.budgets.prices.tolist()]
    bundles = [fractions_of(row) for row in spending.budgets.quantities.tolist()]
    for i, p in enumerate(prices):
        whole = _as_whole(p)
        own = _dot(whole, bundles[i])
        for j, q in enumerate(bundles):
            if rank[j] >= rank[i] and i != j:
                cost = _dot(whole, q)
                if cost < own or (cost == own and rank[j] > rank[i]):
                    return False
    return True


def _as_whole(p: Sequence[Fraction]) -> list[int]:
    """The same prices in a unit in which all are whole."""
    scale = math.lcm(*(x.denominator for x in p))
    return [int(x * scale) for x in p]


def _dot(p: Sequence[int], q: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(p, q, strict=True)), Fraction(0))


def _graph(relation: Relation) -> Graph:
    names = relation.spending.budgets.names
    return graph_to_draw(names, relation.weak, relation.strict, relation.parts)


def _breaks(spending: Spending, ccei: float) -> tuple[tuple[float, float], ...]:
    """The share of observations in violating cycles when each counts a share ``e`` of its budget, from 1 down."""
    ratios = spending.ratios()
    np.fill_diagonal(ratios, np.inf)
    inner = np.unique(ratios[ratios < 1.0])
    if not inner.size:
        return ()
    grid = np.quantile(inner, np.linspace(1.0, 0.0, _BREAKS)).tolist()
    levels = sorted({1.0, ccei, *grid}, reverse=True)
    out: list[tuple[float, float]] = []
    for e in levels:
        caught = sum(len(c) for c in components(rows_of(ratios < e)) if len(c) > 1)
        out.append((float(e), caught / len(ratios)))
        if caught == 0:
            break
    return tuple(out)
