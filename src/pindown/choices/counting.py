r"""How many patterns of choices one order explains, counted exactly.

Items that are taken from every menu that holds them are *tops*. For a set :math:`S` of items and the menus inside it, a
coherent pattern has a top, and given that all of :math:`I` are tops, which two items of one menu cannot both be, what
is left is a coherent pattern of the menus inside :math:`S \setminus I`. By inclusion and exclusion

.. math:: f(S) = \sum_{\emptyset \ne I \subseteq S} (-1)^{|I|+1} f(S \setminus I)

over sets :math:`I` of which no menu inside :math:`S` holds two. With menus of two this counts the acyclic orientations
of a graph (Stanley 1973; the recursion of Robinson 1973 for directed acyclic graphs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pindown.choices.graphs import bits_of

__all__ = ["MOST_COUNTED", "coherent_patterns"]

MOST_COUNTED = 12


def coherent_patterns(menus: Iterable[Sequence[int]], items: int) -> int:
    """The number of choice patterns on these menus that some linear order explains; equal menus count once.

    Args:
        menus: the numbers of the items of each menu.
        items: how many items there are; at most :data:`MOST_COUNTED`.

    Example:
        >>> coherent_patterns([(0, 1), (1, 2), (0, 2)], 3)
        6
    """
    masks = sorted({sum(1 << i for i in set(m)) for m in menus if len(set(m)) > 1})
    counts = {0: 1}
    for s in range(1, 1 << items):
        inside = [m for m in masks if m & ~s == 0]
        if not inside:
            counts[s] = 1
            continue
        touched = 0
        for m in inside:
            touched |= m
        if touched != s:  # items of no menu are free of all
            counts[s] = counts[touched]
            continue
        rivals = dict.fromkeys(bits_of(s), 0)
        for m in inside:
            for i in bits_of(m):
                rivals[i] |= m
        counts[s] = _sum(s, list(bits_of(s)), rivals, counts)
    return counts[(1 << items) - 1]


def _sum(s: int, members: list[int], rivals: dict[int, int], counts: dict[int, int]) -> int:
    """The alternating sum over non-empty sets of members of which no two are rivals."""
    total = 0
    stack = [(0, 0, 0, -1)]  # next member, chosen, ruled out, sign
    while stack:
        k, chosen, out, sign = stack.pop()
        for at in range(k, len(members)):
            i = members[at]
            if out >> i & 1:
                continue
            now = chosen | 1 << i
            total += -sign * counts[s ^ now]
            stack.append((at + 1, now, out | rivals[i], -sign))
    return total
