r"""How many assignments satisfy a formula, exactly.

The search splits on a variable, simplifies, and counts parts that share no variable apart, each once (Bayardo and
Pehoushek 2000, Counting models using connected components; Sang et al. 2004, Combining component caching and clause
learning for effective model counting). It splits first on what a tree decomposition puts on top (Korhonen and Järvisalo
2021, Integrating tree decompositions into decision heuristics of propositional model counters), here the reverse of a
min-fill elimination order, so that a formula of width ``w`` takes at most about :math:`n\,2^w` steps (Darwiche 2001,
Recursive conditioning).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

__all__ = ["ModelCounter"]

Clause = tuple[int, ...]
_WIDE = 24  # from this width on, the variable in most clauses is split on first
_FILL_VARIABLES = 2000
_CACHE_CLAUSES = 4_000_000  # literals of all cached components together, about


class ModelCounter:
    """Counts for formulas over the same variables, which share what was counted before.

    Args:
        variables: how many there are.
        most_steps: after so many splits a count is given up.

    Attributes:
        steps: splits made so far.

    Example:
        >>> counter = ModelCounter(4)
        >>> counter.count([(1, 2), (-1, -2), (2, 3)])  # of 16 assignments
        6
    """

    def __init__(self, variables: int, most_steps: int = 20_000) -> None:
        self.variables, self.most_steps = variables, most_steps
        self.steps = 0
        self._cache: dict[frozenset[Clause], int] = {}
        self._held = 0
        self._place: dict[int, int] | None = None

    def count(self, clauses: Iterable[Clause], most_steps: int | None = None) -> int | None:
        """How many of the :math:`2^n` assignments satisfy all clauses; None where that took too many splits."""
        formula = list(dict.fromkeys(clauses))
        if self._place is None:
            self._place = _places(formula)
        limit = self.steps + (self.most_steps if most_steps is None else most_steps)
        depth = sys.getrecursionlimit()
        sys.setrecursionlimit(max(depth, 10 * self.variables + 1000))
        try:
            return self._whole(formula, self.variables, limit)
        except _TooMany:
            return None
        finally:
            sys.setrecursionlimit(depth)

    def _whole(self, formula: list[Clause], variables: int, limit: int) -> int:
        """Models of a formula over ``variables`` of which some may be in no clause."""
        simplified = _propagated(formula)
        if simplified is None:
            return 0
        rest, fixed = simplified
        total, named = 1, 0
        for part, size in _components(rest):
            named += size
            total *= self._component(part, size, limit)
            if not total:
                return 0
        return total << (variables - fixed - named)

    def _component(self, part: list[Clause], size: int, limit: int) -> int:
        key = frozenset(part)
        known = self._cache.get(key)
        if known is not None:
            return known
        if len(part) == 1:
            return (1 << size) - 1
        if self.steps >= limit:
            raise _TooMany
        self.steps += 1
        v = self._split(part)
        found = sum(self._whole([*part, (literal,)], size, limit) for literal in (v, -v))
        if self._held < _CACHE_CLAUSES:
            self._held += sum(map(len, part))
            self._cache[key] = found
        return found

    def _split(self, part: list[Clause]) -> int:
        score: dict[int, float] = {}
        for clause in part:
            for literal in clause:
                score[abs(literal)] = score.get(abs(literal), 0.0) + 2.0 ** -len(clause)
        place = self._place
        if place:
            return max(score, key=lambda v: (place.get(v, 0), score[v], -v))
        return max(score, key=lambda v: (score[v], -v))


class _TooMany(Exception):
    """More splits than were allowed."""


def _propagated(formula: list[Clause]) -> tuple[list[Clause], int] | None:
    """What stays after unit propagation and how many variables that fixed; None where a clause cannot hold."""
    true: set[int] = set()
    while True:
        units = {c[0] for c in formula if len(c) == 1}
        if not units:
            return formula, len(true)
        if any(-u in units for u in units):
            return None
        true |= units
        rest: list[Clause] = []
        for clause in formula:
            if any(v in units for v in clause):
                continue
            if any(-v in units for v in clause):
                clause = tuple(v for v in clause if -v not in units)
                if not clause:
                    return None
            rest.append(clause)
        formula = list(dict.fromkeys(rest))


def _components(formula: Sequence[Clause]) -> list[tuple[list[Clause], int]]:
    """Clauses that hang together by their variables, each with the number of those."""
    parent: dict[int, int] = {}

    def root(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    for clause in formula:
        for literal in clause:
            parent.setdefault(abs(literal), abs(literal))
        first = root(abs(clause[0]))
        for literal in clause[1:]:
            parent[root(abs(literal))] = first
    parts: dict[int, list[Clause]] = {}
    for clause in formula:
        parts.setdefault(root(abs(clause[0])), []).append(clause)
    sizes: dict[int, int] = dict.fromkeys(parts, 0)
    for v in parent:
        sizes[root(v)] += 1
    return [(part, sizes[r]) for r, part in parts.items()]


def _places(formula: Sequence[Clause]) -> dict[int, int]:
    """The order in which min-fill eliminates variables; empty where the formula is too wide for it to help."""
    neighbours: dict[int, set[int]] = {}
    for clause in formula:
        names = {abs(v) for v in clause}
        for v in names:
            neighbours.setdefault(v, set()).update(names - {v})
    if len(neighbours) > _FILL_VARIABLES:
        return {}
    place: dict[int, int] = {}
    fill = {v: _fill(neighbours, v) for v in neighbours}
    while neighbours:
        v = min(fill, key=lambda u: (fill[u], len(neighbours[u]), u))
        around = neighbours.pop(v)
        del fill[v]
        if len(around) > _WIDE:
            return {}
        place[v] = len(place)
        touched = set(around)
        for a in around:
            neighbours[a].discard(v)
            new = around - neighbours[a] - {a}
            if new:
                neighbours[a] |= new
                touched |= neighbours[a]
        for u in touched:
            fill[u] = _fill(neighbours, u)
    return place


def _fill(neighbours: dict[int, set[int]], v: int) -> int:
    """Twice the number of pairs of neighbours of ``v`` that are no neighbours yet."""
    around = neighbours[v]
    return sum(len(around) - 1 - len(around & neighbours[a]) for a in around)
