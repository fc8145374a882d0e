"""The preferences that a report draws: ranks, and as many nodes and edges as a person can look at."""

from __future__ import annotations

from collections.abc import Sequence

from pindown.choices.coherence_result import Graph
from pindown.choices.graphs import bits_of, ranks

__all__ = ["graph_to_draw"]

_MOST_DRAWN = 60


def graph_to_draw(
    names: Sequence[str], weak: Sequence[int], strict: Sequence[int], parts: Sequence[Sequence[int]]
) -> Graph:
    """Up to sixty nodes, those of the largest cycles first, with the edges between them."""
    shown = [i for part in sorted(parts, key=len, reverse=True) for i in part][:_MOST_DRAWN]
    shown.sort()
    place = {i: k for k, i in enumerate(shown)}
    inside = sum(1 << i for i in shown)
    rank = ranks(parts, len(weak))
    edges = tuple(
        (place[i], place[j], bool(strict[i] >> j & 1)) for i in shown for j in bits_of(weak[i] & inside)
    )  # fmt: skip
    return Graph(
        tuple(names[i] for i in shown), tuple(rank[i] for i in shown), edges, len(names) - len(shown)
    )  # fmt: skip
