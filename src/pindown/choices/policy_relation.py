"""What a policy prefers: where it ends, to every other final state that it could have ended in.

From each state the policy leads to one final state; every other final state that can be reached from there was given up
for it. A policy that is coherent over final states has no cycle among these preferences (after the account of coherent
policies by Ngo and Xu, 2024, Measuring coherence of policies in toy environments). A policy that goes round for ever
prefers each state of its round to the one before, wherever it could have stayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pindown.choices.graphs import bits_of, components, peeled, shortest_cycle
from pindown.choices.indices import Axiom
from pindown.choices.policy import Policy
from pindown.errors import InputError

__all__ = ["MOST_STATES", "PolicyRelation", "ends", "is_forest", "rounds"]

MOST_STATES = 5000
_WORD = 62


class PolicyRelation:
    """Preferences over states that a policy shows.

    Attributes:
        policy: the policy.
        final: the states to end in.
        following: for each state the one that the policy goes to.
        rows: edges from the preferred state, as bit sets.
        parts: the strong components among final and preferred states, from those that are preferred down.

    Raises:
        InputError: for more than 5000 states.
    """

    def __init__(self, policy: Policy) -> None:
        n = len(policy)
        if n > MOST_STATES:
            raise InputError(f"a policy on {n:,} states", f"at most {MOST_STATES:,}")
        self.policy = policy
        self.final = policy.final
        self._final = sum(1 << s for s in self.final)
        self._reach = [
            r & self._final for r in _reached([sum(1 << t for t in set(o.values())) for o in policy.options])
        ]
        self.following = [s if a is None else policy.options[s][a] for s, a in enumerate(policy.taken)]
        self.rows = self._rows(self.following)
        shown = self._final
        for i, row in enumerate(self.rows):
            shown |= row | (1 << i if row else 0)
        self.parts = [c for c in components(self.rows) if shown >> c[0] & 1]

    def _rows(self, following: Sequence[int]) -> list[int]:
        """The preferences of one policy."""
        rows = [0] * len(following)
        for s, end in enumerate(ends(following)):
            if following[end] == end:
                rows[end] |= self._reach[s] & ~(1 << end)
        for ring in rounds(following):
            if any(self._final >> s & 1 for s in ring):
                for s in ring:
                    rows[following[s]] |= 1 << s
        return rows

    def _many_rows(self, following: NDArray[np.intp]) -> NDArray[np.int64]:
        """The preferences of many policies, bit sets ``(policies, states)``, where a word holds the states."""
        many, n = following.shape
        reach = np.array(self._reach, dtype=np.int64)
        final = np.array([bool(self._final >> s & 1) for s in range(n)])
        end, ends_well = following, final[following] | final[None, :]
        for _ in range(max(1, n.bit_length())):
            ends_well = ends_well | np.take_along_axis(ends_well, end, axis=1)
            end = np.take_along_axis(end, end, axis=1)
        rests = np.take_along_axis(following, end, axis=1) == end
        rows = np.zeros((many, n), dtype=np.int64)
        each = np.arange(many)
        on_round = np.zeros((many, n), dtype=bool)
        for s in range(n):
            on_round[each, end[:, s]] = True
            given_up = reach[s] & ~(np.int64(1) << end[:, s].astype(np.int64))
            rows[each, end[:, s]] |= np.where(rests[:, s], given_up, 0)
        # On a round that never rests every state is left for the next one; some state of it must be one to rest in.
        for s in range(n):
            left = on_round[:, s] & (following[:, s] != s) & ends_well[:, s]
            rows[each, following[:, s]] |= np.where(left, np.int64(1) << s, 0)
        return rows

    def contradictions(self, following: NDArray[np.intp]) -> NDArray[np.int64]:
        """For many policies, how many states lie on or above a cycle of preferences: 0 where coherent.

        Args:
            following: ``(policies, states)``: the state that follows each.
        """
        if following.shape[1] <= _WORD:
            return np.bitwise_count(peeled(self._many_rows(following))).astype(np.int64)
        return np.array([_above_cycles(self._rows(f)) for f in following.tolist()], dtype=np.int64)

    def violating_cycle(self) -> list[int] | None:
        """The smallest contradiction: a shortest cycle of states each preferred to the next."""
        return shortest_cycle(self.rows)

    def warp(self) -> Axiom:
        """No two states each preferred to the other."""
        count = sum(self.rows[j] >> i & 1 for i, row in enumerate(self.rows) for j in bits_of(row) if i < j)
        return Axiom(count == 0, count)

    def sarp(self) -> Axiom:
        """No two states each preferred to the other through a chain."""
        count = sum(len(c) * (len(c) - 1) // 2 for c in self.parts)
        return Axiom(count == 0, count)


def ends(following: Sequence[int]) -> list[int]:
    """For each state one of those in which its way goes round for ever: where it rests, if it rests.

    >>> ends([1, 1, 3, 2])
    [1, 1, 2, 2]
    """
    end = [-1] * len(following)
    for start in range(len(following)):
        way: list[int] = []
        s = start
        while end[s] == -1:
            end[s] = -2
            way.append(s)
            s = following[s]
        to = s if end[s] == -2 else end[s]
        for t in way:
            end[t] = to
    return end


def rounds(following: Sequence[int]) -> list[list[int]]:
    """The rounds of two states or more, each in the order in which it is gone.

    >>> rounds([1, 1, 3, 2])
    [[2, 3]]
    """
    out: list[list[int]] = []
    for s in sorted(set(ends(following))):
        ring = [s]
        while following[ring[-1]] != s:
            ring.append(following[ring[-1]])
        if len(ring) > 1:
            out.append(ring)
    return out


def _reached(ways: Sequence[int]) -> list[int]:
    """The states that can be reached from each, itself among them, component by component."""
    out = [0] * len(ways)
    for members in reversed(components(ways)):
        inside = sum(1 << i for i in members)
        found = inside
        for i in members:
            for to in bits_of(ways[i] & ~inside):
                found |= out[to]
        for i in members:
            out[i] = found
    return out


def _above_cycles(rows: Sequence[int]) -> int:
    """How many nodes lead to a cycle, those on one among them."""
    found = 0
    for members in reversed(components(rows)):
        if len(members) > 1 or rows[members[0]] & found:
            found |= sum(1 << i for i in members)
    return found.bit_count()


def is_forest(policy: Policy) -> bool:
    """Whether the states make a tree or a forest: each entered from at most one other, and no way back.

    >>> is_forest(Policy({"a": {"l": "b", "r": "c"}}, {"a": "l"}))
    True
    """
    ways = [{t for t in o.values() if t != s} for s, o in enumerate(policy.options)]
    entered = Counter(t for w in ways for t in w)
    if max(entered.values(), default=0) > 1:
        return False
    return all(len(c) == 1 for c in components([sum(1 << t for t in w) for w in ways]))
