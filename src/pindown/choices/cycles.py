r"""Cycles that attain an index: the least bottleneck, and the greatest ratio.

For weights on the edges of a graph, the *bottleneck* of a cycle is its largest weight; Afriat's index is the least
bottleneck of any cycle. The greatest ratio of gains to costs round a cycle is found by Newton's method on the ratio
(Dinkelbach 1967) with longest paths (Bellman 1958): the money pump index of Echenique, Lee and Shum (2011) in the form
of Smeulders, Cherchye, De Rock and Spieksma (2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pindown.choices.graphs import rows_of, some_cycle

__all__ = ["least_bottleneck", "richest_cycle"]

Array = NDArray[np.float64]
_FEW = 64


def least_bottleneck(weights: Array, ceiling: float) -> tuple[float, list[int]]:
    """The least, over all cycles, of the largest weight on the cycle, and a cycle that has it.

    Cycles of two give a first answer, which is nearly always the last; whatever cycle lies wholly below it is searched
    for by bisection over the weights that are left.

    Args:
        weights: ``(n, n)``; the diagonal is not looked at.
        ceiling: answers from here on are not searched for: it is handed back with no cycle.

    >>> least_bottleneck(np.array([[0, 0.5, 2], [2, 0, 0.6], [0.7, 2, 0]]), 1.0)
    (0.7, [0, 1, 2])
    """
    n = len(weights)
    w = weights.copy()
    np.fill_diagonal(w, np.inf)
    both = np.maximum(w, w.T)
    at = int(both.argmin())
    best, cycle = float(both.flat[at]), [at // n, at % n]
    if best >= ceiling:
        best, cycle = ceiling, []
    while True:
        found = some_cycle(rows_of(w < best)) if n > 2 else None
        if found is None:
            return best, cycle
        best, cycle = _largest_on(w, found), found
        low = -np.inf
        while True:
            inner = w[(w > low) & (w < best)]
            if inner.size < _FEW:
                break
            middle = float(np.partition(inner, inner.size // 2)[inner.size // 2])
            found = some_cycle(rows_of(w < middle))
            if found is None:
                low = middle if low < middle else np.inf
            else:
                best, cycle = _largest_on(w, found), found


def _largest_on(w: Array, cycle: Sequence[int]) -> float:
    return float(max(w[i, j] for i, j in zip(cycle, [*cycle[1:], cycle[0]], strict=True)))


def richest_cycle(gains: Array, costs: Array) -> tuple[float, list[int]]:
    """The greatest ratio ``Σ gains / Σ costs`` round a cycle, and a cycle that has it.

    Args:
        gains: ``(n, n)``, −∞ where there is no edge; every node lies on a cycle.
        costs: ``(n,)``, above 0: what a step from each node costs.

    >>> richest_cycle(np.array([[-np.inf, 1.0], [2.0, -np.inf]]), np.array([4.0, 2.0]))
    (0.5, [0, 1])
    """
    n = len(costs)
    nodes = np.arange(n)
    scale = float(np.abs(gains[np.isfinite(gains)]).max(initial=0.0)) + float(costs.max())
    least = 16.0 * n * float(np.finfo(float).eps) * scale
    best, cycle = max((_ratio(c, gains, costs), c) for c in _cycles_of((gains / costs[:, None]).argmax(axis=1)))
    while True:
        better = _richer(gains - best * costs[:, None], nodes, least, gains, costs, best)
        if better is None:
            turn = cycle.index(min(cycle))
            return float(best), cycle[turn:] + cycle[:turn]
        best, cycle = better


def _richer(
    weights: Array, nodes: NDArray[np.intp], least: float, gains: Array, costs: Array, best: float
) -> tuple[float, list[int]] | None:  # fmt: skip
    """A cycle of a greater ratio than ``best``: one of positive weight; None where there is none.

    Values of the longest paths grow for ever just where there is such a cycle, and the steps that made them grow then
    hold one.
    """
    value, choice = np.zeros(len(nodes)), nodes.copy()
    while True:
        onward = weights + value[None, :]
        to = onward.argmax(axis=1)
        grown = onward[nodes, to] - value
        moved = grown > least
        if not moved.any():
            return None
        choice = np.where(moved, to, choice)
        value = np.where(moved, value + grown, value)
        found = [c for c in _cycles_of(choice) if len(c) > 1]
        if found:
            ratio, cycle = max((_ratio(c, gains, costs), c) for c in found)
            if ratio > best:
                return ratio, cycle


def _ratio(cycle: list[int], gains: Array, costs: Array) -> float:
    pairs = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    return float(sum(gains[i, j] for i, j in pairs) / sum(costs[i] for i in cycle))


def _cycles_of(choice: NDArray[np.intp]) -> list[list[int]]:
    """The cycles of a map from nodes to nodes."""
    to, state, found = choice.tolist(), [0] * len(choice), []
    for start in range(len(to)):
        way: list[int] = []
        node = start
        while state[node] == 0:
            state[node] = 1
            way.append(node)
            node = to[node]
        if state[node] == 1:
            found.append(way[way.index(node) :])
        for seen in way:
            state[seen] = 2
    return found
