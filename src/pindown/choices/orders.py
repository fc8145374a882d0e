r"""Best linear orders of few items, by dynamic programming over subsets.

Items are placed from the top down. An item :math:`v` that is placed when the set :math:`S` is above it costs
:math:`f(v, S)`, and the least total over all orders follows from :math:`c(S \cup v) = \min_v c(S) + f(v, S)` (Held and
Karp 1962; for linear orders Remage and Thompson 1966). With :math:`k` items that is :math:`k\,2^k` steps, all subsets
of one size at once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_ITEMS", "additive", "best_orders", "best_orders_of_many", "greatest", "largest_acyclic", "members_of"]

Array = NDArray[np.float64]
MOST_ITEMS = 14


@lru_cache(maxsize=16)
def _layers(k: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """For each size the subsets, their members, and each subset without the member."""
    subsets = np.arange(1 << k)
    member = (subsets[:, None] >> np.arange(k)) & 1
    size = member.sum(axis=1)
    out: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]] = []
    for m in range(1, k + 1):
        chosen = subsets[size == m]
        inside = np.nonzero(member[chosen])[1].reshape(len(chosen), m)
        out.append((chosen, inside, chosen[:, None] ^ (1 << inside)))
    return out


def additive(costs: Array) -> Array:
    """``f(v, S) = Σ_{u ∈ S} costs[v, u]`` for all subsets, shape ``(2^k, k)``."""
    table = np.zeros((1, len(costs)))
    for column in costs.T:
        table = np.concatenate([table, table + column])
    return table


def greatest(costs: Array) -> Array:
    """``f(v, S) = max_{u ∈ S} costs[v, u]``, 0 for the empty set, shape ``(2^k, k)``."""
    table = np.zeros((1, len(costs)))
    for column in costs.T:
        table = np.concatenate([table, np.maximum(table, column)])
    return table


def best_orders(tables: Array) -> tuple[Array, list[list[int]]]:
    """The least total cost for each table of ``f``, shape ``(tables, 2^k, k)``, and an order from the top that has it.

    >>> cost, orders = best_orders(additive(np.array([[0.0, 2.0], [1.0, 0.0]]))[None])
    >>> cost.tolist(), orders
    ([1.0], [[0, 1]])
    """
    k = tables.shape[2]
    total = np.zeros(tables.shape[:2])
    for chosen, inside, without in _layers(k):
        total[:, chosen] = (total[:, without] + tables[:, without, inside]).min(axis=2)
    orders: list[list[int]] = []
    for costs, sums in zip(tables, total, strict=True):
        left, order = (1 << k) - 1, []
        while left:
            inside = members_of(left)
            last = min(inside, key=lambda v: sums[left ^ (1 << v)] + costs[left ^ (1 << v), v])
            order.append(last)
            left ^= 1 << last
        orders.append(order[::-1])
    return total[:, -1], orders


def best_orders_of_many(weights: Array) -> Array:
    """For many tables ``(N, k, k)`` of costs, the least ``Σ weights[v, u]`` over pairs with ``u`` above ``v``,
    ``(N,)``.

    >>> best_orders_of_many(np.array([[[0.0, 2.0], [1.0, 0.0]]])).tolist()
    [1.0]
    """
    many, k, _ = weights.shape
    table = np.zeros((many, 1, k))
    for u in range(k):
        table = np.concatenate([table, table + weights[:, None, :, u]], axis=1)
    total = np.zeros((many, 1 << k))
    for chosen, inside, without in _layers(k):
        total[:, chosen] = (total[:, without] + table[:, without, inside]).min(axis=2)
    return total[:, -1]


def largest_acyclic(rows: list[int]) -> list[int]:
    """A largest set of nodes without a cycle among them.

    >>> largest_acyclic([0b010, 0b101, 0b001])
    [0, 2]
    """
    k = len(rows)
    acyclic = np.zeros(1 << k, dtype=bool)
    acyclic[0] = True
    edges = np.array(rows)
    best = 0
    for chosen, inside, without in _layers(k):
        acyclic[chosen] = (acyclic[without] & ((edges[inside] & chosen[:, None]) == 0)).any(axis=1)
        found = chosen[acyclic[chosen]]
        if not found.size:
            break
        best = int(found[0])
    return members_of(best)


def members_of(mask: int) -> list[int]:
    """The numbers of the set bits.

    >>> members_of(5)
    [0, 2]
    """
    return [i for i in range(mask.bit_length()) if mask >> i & 1]
