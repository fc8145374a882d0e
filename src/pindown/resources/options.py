"""Option counts: how much of an environment can still be reached from each state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pindown.resources.mdp import MDP

__all__ = ["option_counts"]


def option_counts(mdp: MDP) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many states, and how many closed classes of states, can be reached from each state.

    A closed class is a set of states each of which can be reached from each, and from which no action leads out: a
    place where things can end. Reachable means with some chance under some actions. Tarjan's strongly connected
    components, then one pass over their acyclic graph.

    Args:
        mdp: the environment.

    Returns:
        Two counts for each state, ``(S,)`` each.

    Example:
        >>> from pindown import MDP
        >>> reached, final = option_counts(MDP([[1, 2], [1, -1], [2, -1]]))
        >>> reached.tolist(), final.tolist()
        ([3, 1, 1], [2, 1, 1])
    """
    count, acts = mdp.available.shape
    flat = mdp.kernel.tocoo()
    moves = sparse.csr_array((np.ones(len(flat.row)), (flat.row // acts, flat.col)), shape=(count, count))
    classes, label = connected_components(moves, directed=True, connection="strong")
    members = np.bincount(label, minlength=classes)
    edges = sparse.coo_array(moves)
    start, end = label[edges.row], label[edges.col]
    between = np.unique(np.stack([start[start != end], end[start != end]], axis=1), axis=0)
    reach = np.eye(classes, dtype=bool)
    after: list[list[int]] = [[] for _ in range(classes)]
    for a, b in between.tolist():
        after[a].append(b)
    for c in _last_first(after):
        for b in after[c]:
            reach[c] |= reach[b]
    closed = np.array([not following for following in after])
    return (reach @ members)[label].astype(np.int64), (reach @ closed.astype(np.int64))[label].astype(np.int64)


def _last_first(after: list[list[int]]) -> list[int]:
    """Classes so that each comes after all that it leads to."""
    order: list[int] = []
    seen = [False] * len(after)
    for root in range(len(after)):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(after[root]))]
        while stack:
            node, following = stack[-1]
            step = next((b for b in following if not seen[b]), None)
            if step is None:
                order.append(node)
                stack.pop()
            else:
                seen[step] = True
                stack.append((step, iter(after[step])))
    return order
