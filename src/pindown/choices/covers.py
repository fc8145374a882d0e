r"""Cheapest sets that meet every violation, with a proof of optimality or both bounds.

Dropping observations, pairs or budget shares until no violating cycle is left is a hitting-set problem with too many
cycles to list. Only those that the best set so far misses are added, until it misses none: then it is optimal (implicit
hitting sets, Moreno-Centeno and Karp 2013). Each round is a mixed-integer programme for HiGHS through SciPy. What a
round has learnt is kept where the caller named a folder: the violations, the best set and bound, and the time spent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from pindown.choices.unfinished import digest, kept
from pindown.choices.watched import tell_bounds

__all__ = ["Cover", "cheapest_cover"]

Find = Callable[[frozenset[int]], list[list[int]]]


@dataclass(frozen=True)
class Cover:
    """A set that meets every violation.

    Attributes:
        chosen: the elements.
        cost: what they cost.
        bound: no such set costs less.
        optimal: whether ``cost`` is proved to be the least.
    """

    chosen: frozenset[int]
    cost: float
    bound: float
    optimal: bool


def cheapest_cover(
    costs: Sequence[float],
    find: Find,
    *,
    first: Sequence[Sequence[int]] = (),
    before: Sequence[tuple[int, int]] = (),
    whole: bool = False,
    seconds: float = 60.0,
) -> Cover:
    """The cheapest set of elements that meets every violation.

    Args:
        costs: of each element, 0 or more.
        find: given a set, some violations that it does not meet, each a list of elements; none where there is none
            left.
        first: violations known from the start.
        before: pairs ``(a, b)``: ``b`` can only be chosen together with ``a``.
        whole: whether all costs are whole numbers, so that bounds can be rounded up.
        seconds: after this time the best set found and the best bound are given.
    """
    began = time.monotonic()
    known = [list(v) for v in first]
    weights = np.asarray(costs, dtype=np.float64)
    n, bound, spent = len(weights), 0.0, 0.0
    best: frozenset[int] | None = None
    memory = kept("cover", digest(list(costs), known, list(before), whole))
    before_this = None if memory is None else memory.load()
    if before_this is not None:
        known, bound, spent = before_this["known"], before_this["bound"], before_this["spent"]
        best = None if before_this["best"] is None else frozenset(before_this["best"])
        if before_this["optimal"] and best is not None:
            return Cover(best, bound, bound, True)
        if spent >= seconds and best is not None:
            cost = float(weights[list(best)].sum())
            return Cover(best, cost, min(cost, bound), False)
    stop = began + seconds - spent

    def learnt(found: frozenset[int] | None, lower: float, *, optimal: bool = False, final: bool = False) -> None:
        if memory is not None:
            state = {"known": known, "bound": lower, "best": None if found is None else sorted(found)}
            so_far = spent + time.monotonic() - began
            memory.save({**state, "spent": so_far, "optimal": optimal}, final=final and so_far > memory.every)

    while True:
        learnt(best, bound)
        left = stop - time.monotonic()
        chosen, lower, solved = _solve(weights, known, before, left) if known else (frozenset[int](), 0.0, True)
        bound = max(bound, math.ceil(lower - 1e-6) if whole else lower)
        new = find(chosen)
        if not new and solved:
            cost = float(weights[list(chosen)].sum())
            learnt(chosen, cost, optimal=True, final=True)
            return Cover(chosen, cost, cost, True)
        repaired = _repaired(chosen, find, weights, before, n)
        if best is None or weights[list(repaired)].sum() < weights[list(best)].sum():
            best = repaired
        cost = float(weights[list(best)].sum())
        tell_bounds(min(cost, bound), cost)
        if cost <= bound + (1e-9 if whole else 0.0):
            learnt(best, cost, optimal=True, final=True)
            return Cover(best, cost, cost, True)
        if time.monotonic() >= stop or not solved:
            learnt(best, bound, final=True)
            return Cover(best, cost, min(cost, bound), False)
        known += new


def _solve(
    weights: np.ndarray, known: list[list[int]], before: Sequence[tuple[int, int]], seconds: float
) -> tuple[frozenset[int], float, bool]:
    """The cheapest set that meets the violations that are known, a lower bound, and whether it is the cheapest."""
    used = sorted({e for v in known for e in v} | {e for pair in before for e in pair})
    place = {e: k for k, e in enumerate(used)}
    rows = [k for k, v in enumerate(known) for _ in v]
    columns = [place[e] for v in known for e in v]
    meets = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(known), len(used)))
    limits = [LinearConstraint(meets, 1.0, np.inf)]
    if before:
        k = np.arange(len(before))
        a, b = ([place[pair[i]] for pair in before] for i in (0, 1))
        order = sparse.csr_array(
            (np.repeat([1.0, -1.0], len(before)), (np.r_[k, k], [*a, *b])), shape=(len(before), len(used))
        )
        limits.append(LinearConstraint(order, 0.0, np.inf))
    found = milp(
        weights[used], constraints=limits, integrality=np.ones(len(used), dtype=np.int64), bounds=Bounds(0, 1),
        options={"time_limit": max(seconds, 0.05), "mip_rel_gap": 0.0},
    )  # fmt: skip
    lower = 0.0 if found.mip_dual_bound is None else float(found.mip_dual_bound)
    if found.x is None:
        return frozenset(used), max(0.0, lower), False
    chosen = frozenset(e for e, x in zip(used, found.x, strict=True) if x > 0.5)
    return chosen, max(0.0, lower), found.status == 0


def _repaired(
    chosen: frozenset[int], find: Find, weights: np.ndarray, before: Sequence[tuple[int, int]], n: int
) -> frozenset[int]:
    """A set that meets every violation, from one that meets some: cheap elements of what is missed are added."""
    parents: dict[int, int] = {b: a for a, b in before}
    out = set(chosen)
    while missed := find(frozenset(out)):
        for violation in missed:
            if out.isdisjoint(violation):
                element: int | None = min(violation, key=lambda e: float(weights[e]))
                while element is not None and element not in out:
                    out.add(element)
                    element = parents.get(element)
    return frozenset(out)
