"""Every axiom and index of budgets by looking at everything, in fractions. It shares no code with pindown."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def weak_orders(n: int) -> np.ndarray:
    """All ways to rank ``n`` things with ties: rank numbers without gaps."""
    return np.array([r for r in itertools.product(range(n), repeat=n) if set(r) == set(range(max(r) + 1))])


@lru_cache(maxsize=8)
def cycles(n: int) -> list[tuple[int, ...]]:
    """All simple cycles on ``n`` nodes, each once."""
    found = itertools.chain.from_iterable(itertools.permutations(range(n), k) for k in range(2, n + 1))
    return [c for c in found if c[0] == min(c)]


def steps(c: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(c, c[1:] + c[:1], strict=True))


def reachable(edges: list[list[bool]], inside: list[int]) -> dict[tuple[int, int], bool]:
    r = {(i, j): edges[i][j] for i in inside for j in inside}
    for k, i, j in itertools.product(inside, repeat=3):
        r[i, j] = r[i, j] or (r[i, k] and r[k, j])
    return r


def everything(prices: np.ndarray, quantities: np.ndarray) -> dict[str, Fraction | bool | int]:
    """Axioms and indices; numbers are the decimals that they print as."""
    n = len(prices)
    p = [[Fraction(repr(float(x))) for x in row] for row in prices]
    q = [[Fraction(repr(float(x))) for x in row] for row in quantities]
    cost = [[sum(a * b for a, b in zip(p[i], q[j], strict=True)) for j in range(n)] for i in range(n)]
    own = [cost[i][i] for i in range(n)]
    weak = [[i != j and own[i] >= cost[i][j] for j in range(n)] for i in range(n)]
    strict = [[i != j and own[i] > cost[i][j] for j in range(n)] for i in range(n)]
    ratio = [[cost[i][j] / own[i] for j in range(n)] for i in range(n)]
    everyone = list(range(n))

    def satisfies_garp(inside: list[int]) -> bool:
        r = reachable(weak, inside)
        return not any(r[i, j] and strict[j][i] for i in inside for j in inside)

    r = reachable(weak, everyone)
    different = [(i, j) for i in everyone for j in everyone if q[i] != q[j]]
    out: dict[str, Fraction | bool | int] = {
        "garp": satisfies_garp(everyone),
        "warp": not any(weak[i][j] and weak[j][i] for i, j in different),
        "sarp": not any(r[i, j] and r[j, i] for i, j in different),
        "harp": not any(math.prod(ratio[i][j] for i, j in steps(c)) < 1 for c in cycles(n)),
        "ccei": min([Fraction(1), *(max(ratio[i][j] for i, j in steps(c)) for c in cycles(n))]),
        "money_pump_index": max(
            [
                Fraction(0),
                *(
                    sum(own[i] - cost[i][j] for i, j in steps(c)) / sum(own[i] for i in c)
                    for c in cycles(n)
                    if all(weak[i][j] for i, j in steps(c))
                ),
            ]
        ),
    }
    subsets = itertools.chain.from_iterable(itertools.combinations(everyone, k) for k in range(n, 0, -1))
    out["houtman_maks"] = Fraction(next(len(s) for s in subsets if satisfies_garp(list(s))), n)
    lost, waste = [], []
    for order in itertools.permutations(everyone):
        place = {v: k for k, v in enumerate(order)}
        back = [(i, j) for i in everyone for j in everyone if strict[i][j] and place[j] < place[i]]
        lost.append(sum((own[i] - cost[i][j] for i, j in back), Fraction(0)))
        waste.append(sum((1 - min((ratio[a][j] for a, j in back if a == i), default=1) for i in everyone), Fraction(0)))
    out["minimum_cost_index"] = min(lost) / sum(own)
    out["varian"] = 1 - min(waste) / n
    ranks = weak_orders(n)
    higher = ranks[:, :, None] < ranks[:, None, :]
    at_least = ranks[:, :, None] <= ranks[:, None, :]
    given_up = (np.array(weak) & ~at_least) | (np.array(strict) & ~higher)
    out["swaps"] = int(given_up.sum(axis=(1, 2)).min())
    return out
