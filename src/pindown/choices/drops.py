"""What has to be dropped from a relation until no cycle violates: observations, pairs, or shares of budgets.

The relation falls apart into strong components, each solved alone: small ones by dynamic programming over subsets
(:mod:`pindown.choices.orders`), larger ones by implicit hitting sets (:mod:`pindown.choices.covers`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.choices import orders
from pindown.choices.covers import Cover, cheapest_cover
from pindown.choices.graphs import bits_of, components, cycle_through, induced, matrix_of
from pindown.choices.watched import tell

__all__ = ["Dropped", "drop_nodes", "drop_pairs", "lower_levels", "short_cycles"]

Array = NDArray[np.float64]
Edge = tuple[int, int]
_DP_NODES = 12
_CYCLES_A_ROUND = 200


@dataclass(frozen=True)
class Dropped:
    """What was dropped, at what cost, and the bound below which no other way costs.

    Attributes:
        nodes, edges: what was dropped.
        levels: for each node the level to which it was lowered, 1 where it was not.
        cost: of that.
        bound: every other way costs at least this.
        optimal: whether the cost is proved to be the least.
    """

    nodes: tuple[int, ...]
    edges: tuple[Edge, ...]
    levels: tuple[float, ...]
    cost: float
    bound: float
    optimal: bool


def drop_nodes(weak: Sequence[int], strict: Sequence[int], seconds: float = 60.0) -> Dropped:
    """The fewest nodes without which no cycle holds a strict edge."""
    tell("fewest to drop")
    stop = time.monotonic() + seconds
    gone: list[int] = []
    bound, optimal = 0.0, True
    for members, w, s in _violating(weak, strict):
        if len(members) <= _DP_NODES and _ties_acyclic(w, s):
            kept = orders.largest_acyclic(w)
            out = sorted(set(range(len(members))) - set(kept))
            bound += len(out)
        else:
            cover = cheapest_cover(
                [1.0] * len(members), lambda x, w=w, s=s: _cycles(w, s, x), first=_pairs_of(w, s), whole=True,
                seconds=max(0.1, stop - time.monotonic()),
            )  # fmt: skip
            out, bound, optimal = sorted(cover.chosen), bound + cover.bound, optimal and cover.optimal
        gone += [members[k] for k in out]
    return Dropped(tuple(sorted(gone)), (), (), float(len(gone)), bound, optimal)


def drop_pairs(
    weak: Sequence[int], strict: Sequence[int], costs: Array | None = None, seconds: float = 60.0
) -> Dropped:  # fmt: skip
    """The pairs that cost least without which no cycle holds a strict edge; each costs 1 without ``costs``."""
    tell("cheapest pairs to give up")
    stop = time.monotonic() + seconds
    gone: list[Edge] = []
    cost, bound, optimal = 0.0, 0.0, True
    for members, w, s in _violating(weak, strict):
        k = len(members)
        price = np.ones((k, k)) if costs is None else costs[np.ix_(members, members)]
        if k <= _DP_NODES and _ties_acyclic(w, s):
            edges = _matrix(w)
            total, found = orders.best_orders(orders.additive(np.where(edges, price, 0.0))[None])
            place = {v: i for i, v in enumerate(found[0])}
            out = [(i, j) for i in range(k) for j in bits_of(w[i]) if place[j] < place[i]]
            cost, bound = cost + float(total[0]), bound + float(total[0])
        else:
            names = [(i, j) for i in range(k) for j in bits_of(w[i])]
            number = {edge: e for e, edge in enumerate(names)}
            cover = cheapest_cover(
                [float(price[e]) for e in names],
                lambda x, w=w, s=s, names=names, number=number: _edge_cycles(w, s, x, names, number),
                first=[[number[i, j], number[j, i]] for i, j in _mutual(w, s)],
                whole=costs is None,
                seconds=max(0.1, stop - time.monotonic()),
            )
            out = [names[e] for e in sorted(cover.chosen)]
            cost, bound, optimal = cost + cover.cost, bound + cover.bound, optimal and cover.optimal
        gone += [(members[i], members[j]) for i, j in out]
    return Dropped((), tuple(gone), (), cost, bound, optimal)


def lower_levels(strict: Sequence[int], ratios: Array, seconds: float = 60.0) -> Dropped:
    """The levels ``e_i ≤ 1`` with the greatest sum for which no cycle of edges with ``ratio_ij < e_i`` is left."""
    tell("least of the budgets to give up")
    stop = time.monotonic() + seconds
    level = [1.0] * len(strict)
    cost, bound, optimal = 0.0, 0.0, True
    for members, s, _ in _violating(strict, strict):
        k = len(members)
        part = ratios[np.ix_(members, members)]
        if k <= _DP_NODES:
            edges = _matrix(s)
            total, found = orders.best_orders(orders.greatest(np.where(edges, 1.0 - part, 0.0))[None])
            place = {v: i for i, v in enumerate(found[0])}
            for i in range(k):
                below = [float(part[i, j]) for j in bits_of(s[i]) if place[j] < place[i]]
                level[members[i]] = min(below, default=1.0)
            cost, bound = cost + float(total[0]), bound + float(total[0])
            continue
        cover, names = _levels_cover(s, part, max(0.1, stop - time.monotonic()))
        for e in cover.chosen:
            i, value = names[e]
            level[members[i]] = min(level[members[i]], value)
        cost += sum(1.0 - level[i] for i in members)
        bound, optimal = bound + cover.bound, optimal and cover.optimal
    return Dropped((), (), tuple(level), cost, min(cost, bound), optimal)


def _levels_cover(s: list[int], ratios: Array, seconds: float) -> tuple[Cover, list[tuple[int, float]]]:
    """Elements are steps of a node's level from one of its ratios to the next lower one."""
    names: list[tuple[int, float]] = []
    costs: list[float] = []
    before: list[tuple[int, int]] = []
    number: dict[Edge, int] = {}
    for i, row in enumerate(s):
        last, above = None, 1.0
        for value in sorted({float(ratios[i, j]) for j in bits_of(row)}, reverse=True):
            e = len(names)
            names.append((i, value))
            costs.append(above - value)
            if last is not None:
                before.append((last, e))
            last, above = e, value
            number |= {(i, j): e for j in bits_of(row) if float(ratios[i, j]) == value}

    def find(chosen: frozenset[int]) -> list[list[int]]:
        left = [sum(1 << j for j in bits_of(row) if number[i, j] not in chosen) for i, row in enumerate(s)]
        return [sorted({number[e] for e in _edges_of(c)}) for c in short_cycles(left, left)]

    first = [[number[i, j], number[j, i]] for i, j in _mutual(s, s)]
    return cheapest_cover(costs, find, first=first, before=before, seconds=seconds), names


def _violating(weak: Sequence[int], strict: Sequence[int]) -> list[tuple[list[int], list[int], list[int]]]:
    """The strong components that hold a strict edge, with the two relations inside."""
    out: list[tuple[list[int], list[int], list[int]]] = []
    for members in components(weak):
        if len(members) > 1:
            s = induced(strict, members)
            if any(s):
                out.append((members, s if strict is weak else induced(weak, members), s))
    return out


def _ties_acyclic(weak: Sequence[int], strict: Sequence[int]) -> bool:
    """Whether every cycle holds a strict edge: whether ties alone make none."""
    if weak is strict or weak == strict:
        return True
    return all(len(c) == 1 for c in components([w & ~s for w, s in zip(weak, strict, strict=True)]))


def _matrix(rows: Sequence[int]) -> NDArray[np.bool_]:
    return matrix_of(rows, range(len(rows)))


def _mutual(weak: Sequence[int], strict: Sequence[int]) -> list[Edge]:
    """Pairs that are a violating cycle by themselves."""
    return [
        (i, j)
        for i, row in enumerate(weak)
        for j in bits_of(row)
        if i < j and weak[j] >> i & 1 and (strict[i] >> j & 1 or strict[j] >> i & 1)
    ]


def _pairs_of(weak: Sequence[int], strict: Sequence[int]) -> list[list[int]]:
    return [list(pair) for pair in _mutual(weak, strict)]


def short_cycles(weak: Sequence[int], strict: Sequence[int]) -> Iterator[list[int]]:
    """Short cycles through a strict edge, different ones, at most a few hundred; none where there is none.

    >>> list(short_cycles([0b010, 0b101, 0b001], [0b010, 0b101, 0b001]))
    [[0, 1], [2, 0, 1]]
    """
    found: set[frozenset[int]] = set()
    for members in components(weak):
        if len(members) < 2:
            continue
        inside = sum(1 << i for i in members)
        for i in members:
            best: list[int] | None = None
            for j in bits_of(strict[i] & inside):
                cycle = cycle_through(weak, i, j, inside)
                if cycle is not None and (best is None or len(cycle) < len(best)):
                    best = cycle
                    if len(best) <= 3:
                        break
            if best is not None and frozenset(best) not in found:
                found.add(frozenset(best))
                yield best
                if len(found) >= _CYCLES_A_ROUND:
                    return


def _cycles(weak: list[int], strict: list[int], gone: frozenset[int]) -> list[list[int]]:
    left = ~sum(1 << i for i in gone)
    w = [0 if i in gone else row & left for i, row in enumerate(weak)]
    s = [0 if i in gone else row & left for i, row in enumerate(strict)]
    return list(short_cycles(w, s))


def _edge_cycles(
    weak: list[int], strict: list[int], gone: frozenset[int], names: list[Edge], number: dict[Edge, int]
) -> list[list[int]]:
    w, s = list(weak), list(strict)
    for e in gone:
        i, j = names[e]
        w[i] &= ~(1 << j)
        s[i] &= ~(1 << j)
    return [[number[edge] for edge in _edges_of(cycle)] for cycle in short_cycles(w, s)]


def _edges_of(cycle: Sequence[int]) -> list[Edge]:
    return list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
