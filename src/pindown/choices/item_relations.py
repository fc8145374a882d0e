"""Preference among named items: from menus, from majorities of comparisons, from trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pindown.choices import orders
from pindown.choices.drops import drop_pairs, short_cycles
from pindown.choices.graphs import bits_of, components, some_cycle
from pindown.choices.indices import Axiom, Index, bounded, exact
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs
from pindown.choices.trades import Trades
from pindown.choices.watched import tell

__all__ = [
    "ItemRelation",
    "menu_houtman_maks",
    "menu_swaps",
    "of_menus",
    "of_pairs",
    "of_trades",
    "pair_swaps",
    "trade_houtman_maks",
]

Edge = tuple[int, int]


@dataclass(frozen=True)
class ItemRelation:
    """Which item is preferred to which, and by which observations.

    Attributes:
        items: their names.
        rows: edges from the preferred item, as bit sets.
        sources: for each edge the observations that show it.
    """

    items: tuple[str, ...]
    rows: list[int]
    sources: dict[Edge, list[int]]

    @property
    def parts(self) -> list[list[int]]:
        """The strong components, from those that are preferred down."""
        return components(self.rows)

    def violating_cycle(self) -> list[int] | None:
        """A short cycle of items each preferred to the next; None where there is none."""
        return some_cycle(self.rows)

    def warp(self) -> Axiom:
        """No two items each preferred to the other."""
        count = sum(self.rows[j] >> i & 1 for i, row in enumerate(self.rows) for j in bits_of(row) if i < j)
        return Axiom(count == 0, count)

    def sarp(self) -> Axiom:
        """No two items each preferred to the other through a chain."""
        count = sum(len(c) * (len(c) - 1) // 2 for c in self.parts)
        return Axiom(count == 0, count)


def of_menus(menus: Menus) -> ItemRelation:
    """What was taken is preferred to everything else on the menu."""
    sources: dict[Edge, list[int]] = {}
    for k, (offered, taken) in enumerate(zip(menus.offered, menus.taken, strict=True)):
        for other in offered:
            if other != taken:
                sources.setdefault((taken, other), []).append(k)
    return _relation(menus.items, sources)


def of_pairs(pairs: Pairs) -> ItemRelation:
    """What won more often than it lost is preferred; even pairs and pairs never compared say nothing."""
    sources: dict[Edge, list[int]] = {}
    for k, (i, j) in enumerate(pairs.compared):
        difference = int(pairs.counts[i, j] - pairs.counts[j, i])
        if difference:
            sources[(i, j) if difference > 0 else (j, i)] = [k]
    return _relation(pairs.items, sources)


def of_trades(trades: Trades) -> ItemRelation:
    """What was accepted is preferred to what was given for it."""
    sources: dict[Edge, list[int]] = {}
    for k, (a, b, yes) in enumerate(zip(trades.have, trades.offered, trades.accepted, strict=True)):
        if yes:
            sources.setdefault((b, a), []).append(k)
    return _relation(trades.items, sources)


def _relation(items: tuple[str, ...], sources: dict[Edge, list[int]]) -> ItemRelation:
    rows = [0] * len(items)
    for i, j in sources:
        rows[i] |= 1 << j
    return ItemRelation(items, rows, sources)


def menu_houtman_maks(menus: Menus, relation: ItemRelation, seconds: float) -> Index:
    """The largest share of observations that one order explains, and which they are.

    An order explains an observation where the item taken is the highest of its menu; the best order is found by dynamic
    programming over subsets of the items.
    """
    tell("fewest to drop")
    groups = _grouped(menus)
    n = len(menus)
    gone: set[int] = set()
    bound, optimal = 0.0, True
    hard = [c for c in relation.parts if len(c) > 1]
    for members in hard:
        inside = set(members)
        local = {key: rows for key, rows in groups.items() if key[1] in inside and len(inside & set(key[0])) > 1}
        if len(members) <= orders.MOST_ITEMS:
            order = _best_top(members, {k: len(rows) for k, rows in local.items()})
            place = {v: i for i, v in enumerate(order)}
            lost = [
                rows for (offered, taken), rows in local.items()
                if any(place[x] < place[taken] for x in offered if x in inside and x != taken)
            ]  # fmt: skip
            bound += sum(map(len, lost))
        else:
            lost, lower, proved = _cover_groups(members, local, seconds)
            bound, optimal = bound + lower, optimal and proved
        gone |= {k for rows in lost for k in rows}
    share = (n - len(gone)) / n
    kept = tuple(name for k, name in enumerate(menus.names) if k not in gone) if gone else ()
    return exact(share, kept=kept) if optimal else bounded(share, (n - bound) / n, kept=kept)


def menu_swaps(menus: Menus, relation: ItemRelation, seconds: float) -> Index:
    """The fewest items that stand above what was taken, summed over the menus, for the best order.

    The swaps index of Apesteguia and Ballester (2015, A measure of rationality and welfare).
    """
    weights = np.zeros((len(menus.items), len(menus.items)))
    for offered, taken in zip(menus.offered, menus.taken, strict=True):
        for other in offered:
            weights[taken, other] += other != taken
    return _weighted_pairs(relation, weights, seconds, "swaps")


def pair_swaps(pairs: Pairs, relation: ItemRelation, seconds: float) -> Index:
    """The fewest comparisons that the best order contradicts beyond what any order must.

    Each pair contradicts at least the smaller of its two counts; counted is what an order adds to that (Kemeny 1959).
    """
    weights = np.maximum(pairs.counts - pairs.counts.T, 0).astype(np.float64)
    return _weighted_pairs(relation, weights, seconds, "comparisons")


def _weighted_pairs(relation: ItemRelation, weights: np.ndarray, seconds: float, unit: str) -> Index:
    found = drop_pairs(relation.rows, relation.rows, weights, seconds)
    dropped = tuple((relation.items[i], relation.items[j]) for i, j in found.edges)
    cost, bound = round(found.cost), float(np.ceil(found.bound - 1e-6))
    if found.optimal or bound >= cost:
        return exact(float(cost), unit, dropped=dropped)
    return bounded(float(cost), bound, unit, dropped=dropped)


def _grouped(menus: Menus) -> dict[tuple[tuple[int, ...], int], list[int]]:
    """Observations with one menu and one choice, together."""
    groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for k, (offered, taken) in enumerate(zip(menus.offered, menus.taken, strict=True)):
        groups.setdefault((tuple(sorted(offered)), taken), []).append(k)
    return groups


def _best_top(members: Sequence[int], counts: dict[tuple[tuple[int, ...], int], int]) -> list[int]:
    """The order of ``members`` from the top in which most observations take the highest of their menu."""
    k = len(members)
    place = {v: i for i, v in enumerate(members)}
    subsets = np.arange(1 << k)
    table = np.zeros((1 << k, k))
    for (offered, taken), count in counts.items():
        others = sum(1 << place[x] for x in offered if x in place and x != taken)
        table[:, place[taken]] += count * ((subsets & others) != 0)
    found = orders.best_orders(table[None])[1]
    return [members[i] for i in found[0]]


def _cover_groups(
    members: Sequence[int], groups: dict[tuple[tuple[int, ...], int], list[int]], seconds: float
) -> tuple[list[list[int]], float, bool]:
    """Many items: the groups of observations to drop, by implicit hitting sets over the cycles of the items."""
    from pindown.choices.covers import cheapest_cover

    keys = list(groups)
    place = {v: i for i, v in enumerate(members)}
    says = [[(place[taken], place[x]) for x in offered if x in place and x != taken] for offered, taken in keys]

    def find(chosen: frozenset[int]) -> list[list[int]]:
        shown: dict[Edge, list[int]] = {}
        for g, edges in enumerate(says):
            if g not in chosen:
                for edge in edges:
                    shown.setdefault(edge, []).append(g)
        rows = [0] * len(members)
        for i, j in shown:
            rows[i] |= 1 << j
        out: dict[frozenset[int], list[int]] = {}
        for cycle in short_cycles(rows, rows):
            by = [shown[edge] for edge in zip(cycle, [*cycle[1:], cycle[0]], strict=True)]
            # Every way to show the cycle is a violation; these name each group that has a part in it.
            for turn in range(max(map(len, by))):
                groups_of = frozenset(each[turn % len(each)] for each in by)
                out.setdefault(groups_of, sorted(groups_of))
        return list(out.values())

    cover = cheapest_cover([float(len(groups[k])) for k in keys], find, whole=True, seconds=seconds)
    return [groups[keys[g]] for g in cover.chosen], cover.bound, cover.optimal


def trade_houtman_maks(relation: ItemRelation, rows: int, seconds: float) -> Index:
    """The largest share of trades whose accepted ones make no cycle; trades of one pair go together."""
    weights = np.zeros((len(relation.items), len(relation.items)))
    for (i, j), seen in relation.sources.items():
        weights[i, j] = len(seen)
    found = drop_pairs(relation.rows, relation.rows, weights, seconds)
    value, other = 1.0 - round(found.cost) / rows, 1.0 - float(np.ceil(found.bound - 1e-6)) / rows
    gone = {k for edge in found.edges for k in relation.sources[edge]}
    kept = tuple(str(k + 1) for k in range(rows) if k not in gone)
    return exact(value, kept=kept) if found.optimal else bounded(value, other, kept=kept)
