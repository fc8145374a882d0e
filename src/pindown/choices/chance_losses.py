"""How incoherent many random choosers are at once: the losses that the engine measures with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.choices.cycles import least_bottleneck
from pindown.choices.graphs import peeled
from pindown.choices.orders import best_orders_of_many
from pindown.choices.policy_relation import PolicyRelation
from pindown.choices.spending import Spending

__all__ = ["BudgetLoss", "MenuLoss", "PolicyLoss"]

Array = NDArray[np.float64]
_SWAP_ITEMS = 7
_WORD = 62


class BudgetLoss:
    """``1 − CCEI`` of bundles that random shares of the budgets buy.

    Args:
        spending: the observed choices, for prices and what was spent.
    """

    def __init__(self, spending: Spending) -> None:
        prices = spending.budgets.prices
        self._own_first = (
            prices / spending.own[:, None]
        )  # budget shares at any prices: what share j costs, of i's budget
        self._n, self._goods = prices.shape
        self.preferred_rows = max(16, 2**22 // (8 * self._n**2))

    def __call__(self, x: Any) -> Array:
        """For shares ``(N, observations · goods)`` of the budgets."""
        shares = np.asarray(x, dtype=np.float64).reshape(-1, self._n, self._goods)
        # E_ij / E_ii = Σ_k p_ik q_jk / m_i with q_jk = share_jk m_j / p_jk.
        bundles = shares / self._own_first[None]
        ratios = np.einsum("ik,njk->nij", self._own_first, bundles, optimize=True)
        diagonal = np.arange(self._n)
        ratios[:, diagonal, diagonal] = np.inf
        both = np.maximum(ratios, ratios.swapaxes(1, 2))
        best = np.minimum(1.0, both.reshape(len(both), -1).min(axis=1))
        longer = self._has_cycle(ratios < best[:, None, None])
        for k in np.flatnonzero(longer):
            best[k] = least_bottleneck(ratios[k], float(best[k]))[0]
        return 1.0 - best

    def _has_cycle(self, edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which graphs have a cycle: what is left when nodes without an edge ahead are taken away in turn."""
        if self._n <= _WORD:
            packed = np.zeros((len(edges), self._n, 8), dtype=np.uint8)
            bits = np.packbits(edges, axis=2, bitorder="little")
            packed[:, :, : bits.shape[2]] = bits
            return peeled(packed.view(np.int64)[:, :, 0]) != 0
        left = np.ones(edges.shape[:2], dtype=bool)
        while True:
            following = left & (edges & left[:, None, :]).any(axis=2)
            if np.array_equal(following, left):
                return np.asarray(left.any(axis=1))
            left = following


class MenuLoss:
    """How incoherent picks from menus are.

    With at most seven items the swaps index; with more, the number of cycles of two and three items plus, below 1, the
    share of items from which a cycle can be reached, which is 0 exactly where one order explains all.

    Args:
        offered: the item numbers of each menu.
        items: how many items there are, at most 62.

    Attributes:
        measure: what is measured, in words.
        counts_swaps: whether that is the swaps index.
    """

    def __init__(self, offered: Sequence[Sequence[int]], items: int) -> None:
        # For each menu and each pick: the item that is preferred (its row) and those it is preferred to.
        self._edges = [
            [(pick, [other for other in menu if other != pick]) for pick in menu] for menu in offered
        ]  # fmt: skip
        self._prepare(items)

    def _prepare(self, items: int) -> None:
        self._items = items
        self.counts_swaps = items <= _SWAP_ITEMS
        self.measure = "swaps" if self.counts_swaps else "cycles of two and three items"
        most = max(map(len, self._edges), default=1)
        tables = np.zeros((len(self._edges), most, items, items), dtype=np.float32)
        for m, picks in enumerate(self._edges):
            for c, (item, others) in enumerate(picks):
                tables[m, c, item, others] = 1.0
        self._tables = tables
        self.preferred_rows = max(16, 2**22 // (8 * max(items**2, items << items if self.counts_swaps else 1)))

    @classmethod
    def of_offers(cls, offers: Sequence[tuple[int, int]], items: int) -> MenuLoss:
        """For offers ``(have, offered)`` that are refused (0) or accepted (1)."""
        loss = cls.__new__(cls)
        loss._edges = [[(a, []), (b, [a])] for a, b in offers]
        loss._prepare(items)
        return loss

    def __call__(self, x: Any) -> Array:
        """For picks ``(N, menus)``, each the place of an item in its menu."""
        picks = np.asarray(x).astype(np.intp)
        many, (menus, most) = len(picks), self._tables.shape[:2]
        chosen = (picks[:, :, None] == np.arange(most)).reshape(many, menus * most).astype(np.float32)
        weights = (chosen @ self._tables.reshape(menus * most, -1)).reshape(many, self._items, self._items)
        if self.counts_swaps:
            return best_orders_of_many(weights.astype(np.float64))
        edges = (weights > 0).astype(np.float32)
        square = edges @ edges
        two = np.trace(square, axis1=1, axis2=2) / 2.0
        three = np.einsum("nij,nji->n", square, edges) / 3.0
        bits = (np.int64(1) << np.arange(self._items, dtype=np.int64))[None, None, :]
        rows = np.where(weights > 0, bits, 0).sum(axis=2)
        left = np.bitwise_count(peeled(rows)) / (self._items + 1.0)
        return (two + three + left).astype(np.float64)


class PolicyLoss:
    """How many states lie on or above a cycle of preferences, for actions in the states that have a choice.

    Args:
        relation: the policy's process.
        choosing: the states with more than one action.
    """

    def __init__(self, relation: PolicyRelation, choosing: Sequence[int]) -> None:
        self._relation, self._choosing = relation, list(choosing)
        self._ways = [np.array(list(relation.policy.options[s].values())) for s in choosing]
        self._base = np.array(relation.following)
        self.preferred_rows = max(16, 2**18 // len(self._base))

    def __call__(self, x: Any) -> Array:
        """For action numbers ``(N, choosing states)``."""
        picks = np.asarray(x).astype(np.intp)
        following = np.tile(self._base, (len(picks), 1))
        for k, (s, ways) in enumerate(zip(self._choosing, self._ways, strict=True)):
            following[:, s] = ways[picks[:, k]]
        return self._relation.contradictions(following).astype(np.float64)
