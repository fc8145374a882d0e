r"""The smallest committee that accepts only what all of its members prefer.

Accepted offers are in every member's order; a refused one is against the order of at least one. Such a committee exists
exactly where the accepted trades have no cycle and no refused trade lies in their transitive closure, and the smallest
is the order dimension of a partial order that is known in part (Dushnik and Miller 1941); deciding whether :math:`k`
members are enough is NP-complete from three on (Yannakakis 1982). It is put to a SAT solver: one variable for each
member and pair, clauses for transitivity.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from threading import Timer
from typing import Any

from pindown.choices.graphs import bits_of, closure, components, path
from pindown.choices.unfinished import digest, kept
from pindown.choices.watched import tell, tell_bounds

__all__ = ["Orders", "check_orders", "smallest_committee", "solve_within"]

Edge = tuple[int, int]
_MOST_CLAUSES = 10**7


@dataclass(frozen=True)
class Orders:
    """Linear orders of the items, each from the top down.

    Attributes:
        orders: one a member.
        least: no committee with fewer members exists.
        witness: where no committee exists: a path of accepted trades, and whether it ends in a refused one or where it
            began.
        refused: whether the witness is a refused trade in the closure; False where it is an accepted cycle.
    """

    orders: tuple[tuple[int, ...], ...]
    least: int
    witness: tuple[int, ...] = ()
    refused: bool = False


def smallest_committee(items: int, accepted: Iterable[Edge], refused: Iterable[Edge], seconds: float = 60.0) -> Orders:
    """The fewest linear orders, or the witness that there are none.

    Args:
        items: how many items there are.
        accepted: trades ``(have, offered)`` that were made.
        refused: those that were not.
        seconds: after this time the committee found so far is given, with the bound that is proved; so it is where
            there are too many items for a solver. What was proved is kept where the caller named a folder.

    Example:
        >>> found = smallest_committee(3, [(0, 1), (1, 2)], [(0, 2)])
        >>> found.orders, found.witness
        ((), (0, 1, 2))
    """
    began = time.monotonic()
    up = [0] * items
    for a, b in accepted:
        up[a] |= 1 << b
    for members in components(up):
        if len(members) > 1:
            first = members[0]
            inside = sum(1 << i for i in members)
            to = next(bits_of(up[first] & inside))
            back = path(up, to, first, inside) or []
            return Orders((), 0, (first, *back[:-1]), False)
    above = closure(up)
    against: list[Edge] = []
    for a, b in sorted(set(refused)):
        if above[a] >> b & 1:
            return Orders((), 0, tuple(path(up, a, b) or ()), True)
        if not above[b] >> a & 1:  # all members prefer what is held: refused by itself
            against.append((a, b))
    found = _greedy(above, against)
    least, spent = 1 if len(found) == 1 else 2, 0.0
    memory = kept("committee", digest(items, above, against))
    before = None if memory is None else memory.load()
    if before is not None:
        least, spent = before["least"], before["spent"]
        found = [tuple(order) for order in before["found"]]
    tell("fewest members")
    while least < len(found):
        tell_bounds(least, len(found))
        answer = _solve(items, above, against, least, began + seconds - spent)
        if answer:
            found = answer
        elif answer is not None:
            least += 1
        if memory is not None:
            so_far = spent + time.monotonic() - began
            state = {"least": least, "found": [list(order) for order in found], "spent": so_far}
            memory.save(state, final=so_far > memory.every)
        if answer is None:  # out of time
            break
    return Orders(tuple(found), least)


def _greedy(above: Sequence[int], against: Sequence[Edge]) -> list[tuple[int, ...]]:
    """Orders that between them hold every refused trade back, each taking as many as it can."""
    left, out = list(against), list[tuple[int, ...]]()
    while left or not out:
        rows = list(above)
        missed: list[Edge] = []
        for a, b in left:
            # Holding a above b is an edge from b up to a; it fits unless b is already above a.
            if rows[a] >> b & 1:
                missed.append((a, b))
                continue
            gained = rows[a] | 1 << a
            rows = [row | gained if i == b or row >> b & 1 else row for i, row in enumerate(rows)]
        out.append(_top_down(rows))
        left = missed
    return out


def _top_down(above: Sequence[int]) -> tuple[int, ...]:
    """A linear extension, from the top."""
    return tuple(c[0] for c in reversed(components(above)))


def _solve(
    items: int, above: Sequence[int], against: Sequence[Edge], k: int, stop: float
) -> list[tuple[int, ...]] | None:  # fmt: skip
    """``k`` orders; an empty list where there are none, None where time ran out or there are too many clauses."""
    if k * items**3 // 3 > _MOST_CLAUSES:
        return None
    from pysat.solvers import Glucose4

    def over(m: int, i: int, j: int) -> int:
        """The literal that member ``m`` holds ``i`` above ``j``."""
        a, b = min(i, j), max(i, j)
        number = 1 + m * (items * (items - 1) // 2) + a * (2 * items - a - 1) // 2 + (b - a - 1)
        return number if i < j else -number

    with Glucose4() as solver:
        for m in range(k):
            for i, row in enumerate(above):
                for j in bits_of(row):
                    solver.add_clause([over(m, j, i)])
            for i, j, h in permutations(range(items), 3):
                if i < j and i < h:  # each ring of three once, in both directions
                    solver.add_clause([-over(m, i, j), -over(m, j, h), -over(m, h, i)])
        for a, b in against:
            solver.add_clause([over(m, a, b) for m in range(k)])
        for m, pair in enumerate(_apart(above, against)[:k]):
            solver.add_clause([over(m, *pair)])  # members are interchangeable
        answer = solve_within(solver, stop)  # the time that the clauses took counts
        if not answer:
            return None if answer is None else []
        true: set[int] = set(solver.get_model() or [])
    out: list[tuple[int, ...]] = []
    for m in range(k):
        wins = [sum(over(m, i, j) in true for j in range(items) if j != i) for i in range(items)]
        out.append(tuple(sorted(range(items), key=lambda i: -wins[i])))
    return out


def _apart(above: Sequence[int], against: Sequence[Edge]) -> list[Edge]:
    """Refused trades of which no two can be held back by one member, found greedily: each needs a member of its own."""
    out: list[Edge] = []
    for pair in against:
        if all(_clash(above, pair, other) for other in out):
            out.append(pair)
    return out


def _clash(above: Sequence[int], one: Edge, other: Edge) -> bool:
    """Whether holding ``a`` over ``b`` and ``c`` over ``d`` makes a ring with what all members hold."""
    (a, b), (c, d) = one, other
    return bool((a == d or above[a] >> d & 1) and (c == b or above[c] >> b & 1))


def solve_within(solver: Any, stop: float) -> bool | None:
    """Whether there is a solution; None where time ran out."""
    if time.monotonic() >= stop:
        return None
    timer = Timer(stop - time.monotonic(), solver.interrupt)
    timer.start()
    try:
        return solver.solve_limited(expect_interrupt=True)
    finally:
        timer.cancel()
        solver.clear_interrupt()


def check_orders(orders: Sequence[Sequence[int]], accepted: Iterable[Edge], refused: Iterable[Edge]) -> bool:
    """Whether these members accept and refuse just so."""
    place = [{item: k for k, item in enumerate(order)} for order in orders]
    agree = all(all(p[b] < p[a] for p in place) for a, b in accepted)
    return agree and not any(all(p[b] < p[a] for p in place) for a, b in refused)
