"""What a policy prefers: where it ends, to every other final state that it could have ended in.

From each state the policy leads to one final state; every other final state that can be reached from there was given up
for it. A policy that is coherent over final states has no cycle among these preferences (after the account of coherent
policies by Ngo and Xu, 2024, Measuring coherence of policies in toy environments). A policy that goes round for ever
prefers each state of its round to the one before, wherever it could have stayed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pindown.choices.graphs import bits_of, closure, components, peeled, shortest_cycle
from pindown.choices.indices import Axiom
from pindown.choices.policy import Policy
from pindown.errors import InputError

__all__ = ["MOST_STATES", "PolicyRelation", "is_forest"]

MOST_STATES = 62


class PolicyRelation:
    """Preferences over states that a policy shows.

    Attributes:
        policy: the policy.
        final: the states to end in.
        rows: edges from the preferred state, as bit sets.
        parts: the strong components among final and preferred states, from those that are preferred down.

    Raises:
        InputError: for more than 62 states.
    """

    def __init__(self, policy: Policy) -> None:
        n = len(policy)
        if n > MOST_STATES:
            raise InputError(f"a policy on {n} states", f"at most {MOST_STATES}")
        self.policy = policy
        self.final = policy.final
        ways = [sum(1 << t for t in set(o.values())) for o in policy.options]
        final = sum(1 << s for s in self.final)
        reach = [(r | 1 << s) & final for s, r in enumerate(closure(ways))]
        self._reach = np.array(reach, dtype=np.int64)
        self._final = np.array([bool(final >> s & 1) for s in range(n)])
        taken = [s if a is None else policy.options[s][a] for s, a in enumerate(policy.taken)]
        self.taken = taken
        self.rows = [int(r) for r in self.edges(np.array([taken]))[0]]
        shown = final | sum(1 << i for i, row in enumerate(self.rows) if row)
        shown |= sum(1 << j for j in {j for row in self.rows for j in bits_of(row)})
        self.parts = [c for c in components(self.rows) if shown >> c[0] & 1]

    def edges(self, following: NDArray[np.intp]) -> NDArray[np.int64]:
        """The preferences of many policies.

        Args:
            following: ``(policies, states)``: the state that follows each.

        Returns:
            ``(policies, states)`` bit sets.
        """
        many, n = following.shape
        end, ends_well = following, self._final[following] | self._final[None, :]
        for _ in range(max(1, n.bit_length())):
            ends_well = ends_well | np.take_along_axis(ends_well, end, axis=1)
            end = np.take_along_axis(end, end, axis=1)
        rests = np.take_along_axis(following, end, axis=1) == end
        rows = np.zeros((many, n), dtype=np.int64)
        each = np.arange(many)
        on_round = np.zeros((many, n), dtype=bool)
        for s in range(n):
            on_round[each, end[:, s]] = True
            given_up = self._reach[s] & ~(np.int64(1) << end[:, s].astype(np.int64))
            rows[each, end[:, s]] |= np.where(rests[:, s], given_up, 0)
        # On a round that never rests every state is left for the next one; some state of it must be one to rest in.
        for s in range(n):
            left = on_round[:, s] & (following[:, s] != s) & ends_well[:, s]
            rows[each, following[:, s]] |= np.where(left, np.int64(1) << s, 0)
        return rows

    def contradictions(self, following: NDArray[np.intp]) -> NDArray[np.int64]:
        """For many policies, how many states lie on or above a cycle of preferences: 0 where coherent."""
        return np.bitwise_count(peeled(self.edges(following))).astype(np.int64)

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


def is_forest(policy: Policy) -> bool:
    """Whether the states make a tree or a forest: each entered from at most one other, and no way back.

    >>> is_forest(Policy({"a": {"l": "b", "r": "c"}}, {"a": "l"}))
    True
    """
    ways = [{t for t in o.values() if t != s} for s, o in enumerate(policy.options)]
    entered = [sum(t in w for w in ways) for t in range(len(policy))]
    rows = [sum(1 << t for t in w) for w in ways]
    return max(entered) <= 1 and all(len(c) == 1 for c in components(rows))
