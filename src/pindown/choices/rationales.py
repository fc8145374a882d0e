r"""The fewest agents between whom all choices can be divided, each coherent by itself.

For menus these are the rationales of Kalai, Rubinstein and Spiegler (2002, Rationalizing choice functions by multiple
rationales), for budgets the types of Crawford and Pendakur (2013, How many types are there?). Choices that contradict
each other cannot all go to one agent: a colouring of a hypergraph whose edges are violating cycles. A SAT solver
colours those that are known; cycles that a colouring leaves whole are added until none is left, and what was learnt is
kept where the caller named a folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pindown.choices.order_dimension import solve_within
from pindown.choices.unfinished import digest, kept
from pindown.choices.watched import tell, tell_bounds

__all__ = ["Division", "coherent", "fewest_agents"]

Conflicts = Callable[[Sequence[int]], Iterable[list[int]]]


@dataclass(frozen=True)
class Division:
    """Choices divided between agents.

    Attributes:
        groups: the choices of each agent.
        least: no division between fewer agents exists.
    """

    groups: tuple[tuple[int, ...], ...]
    least: int


def fewest_agents(n: int, conflicts: Conflicts, seconds: float = 60.0) -> Division:
    """Divide ``n`` choices between as few agents as can be.

    Args:
        n: how many choices there are.
        conflicts: for some choices, sets of them that no agent can have made, none where the choices are coherent.
            They are looked at one by one, so that a generator spares the search for more than is asked for.
        seconds: after this time the best division so far is given with the bound that is proved.

    Example:
        >>> clash = lambda group: [[0, 1]] if {0, 1} <= set(group) else []
        >>> fewest_agents(3, clash)
        Division(groups=((0, 2), (1,)), least=2)
    """
    began = time.monotonic()
    tell("fewest agents")
    best, known, least, spent = _first_fit(n, conflicts), list[list[int]](), 1, 0.0
    memory = kept("division", digest(n, best))
    before = None if memory is None else memory.load()
    if before is not None:
        best, known, least, spent = (before[name] for name in ("best", "known", "least", "spent"))
    least = max(least, 1 if len(best) == 1 else 2)
    stop = began + seconds - spent

    def learnt(*, final: bool = False) -> None:
        if memory is not None:
            so_far = spent + time.monotonic() - began
            state = {"best": best, "known": known, "least": least, "spent": so_far}
            memory.save(state, final=final and so_far > memory.every)

    while least < len(best):
        learnt()
        tell_bounds(least, len(best))
        groups = _coloured(n, least, known, stop)
        if groups is None:
            break
        if not groups:
            least += 1
            continue
        new = [c for group in groups for c in conflicts(group)]
        known += new
        if not new:
            best = groups
    learnt(final=True)
    return Division(tuple(tuple(g) for g in best if g), least)


def coherent(conflicts: Conflicts, chosen: Sequence[int]) -> bool:
    """Whether one agent can have made these choices.

    >>> coherent(lambda group: [group] if len(group) > 2 else [], [0, 1])
    True
    """
    return next(iter(conflicts(chosen)), None) is None


def _first_fit(n: int, conflicts: Conflicts) -> list[list[int]]:
    groups: list[list[int]] = []
    for i in range(n):
        for group in groups:
            if coherent(conflicts, [*group, i]):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _coloured(n: int, k: int, known: list[list[int]], stop: float) -> list[list[int]] | None:
    """A division between ``k`` without a known conflict; empty where there is none, None where time ran out.

    A new solver each time gives the same answer whether or not the search was interrupted in between.
    """
    from pysat.solvers import Glucose4

    def has(i: int, m: int) -> int:
        return 1 + i * k + m

    with Glucose4() as solver:
        for i in range(n):
            solver.add_clause([has(i, m) for m in range(k)])
            # Agents are interchangeable: agent m comes in only after m choices.
            for m in range(i + 1, k):
                solver.add_clause([-has(i, m)])
        for conflict in known:
            for m in range(k):
                solver.add_clause([-has(i, m) for i in conflict])
        answer = solve_within(solver, stop)
        if not answer:
            return None if answer is None else []
        true: set[int] = set(solver.get_model() or [])
    groups: list[list[int]] = [[] for _ in range(k)]
    for i in range(n):
        groups[next(m for m in range(k) if has(i, m) in true)].append(i)
    return groups
