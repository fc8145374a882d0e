r"""How surprising coherence is, in bits: :math:`-\log_2` of the share of random choosers at least this coherent.

Random choosers spend uniformly random shares on each budget (Bronars 1987), take a uniformly random item of each menu,
toss a coin for each pair or each offer, or take a random action in each state. Each is a space, and the share is
measured by the project's engine: by looking at every pattern where there are few, by multilevel splitting where there
are many. Shares of a few per cent and more need no engine: so many random choosers are drawn that the error is small.
Coherent choices from menus and pairs of up to twelve items are counted exactly, those of more items estimated by
picking from one menu after the other (:mod:`pindown.choices.one_by_one`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.choices.chance_losses import BudgetLoss, MenuLoss, PolicyLoss
from pindown.choices.counting import MOST_COUNTED, coherent_patterns
from pindown.choices.graphs import some_cycle
from pindown.choices.menus import Menus
from pindown.choices.one_by_one import MOST_ITEMS, RUNS, coherent_bits, picks_of
from pindown.choices.pairs import Pairs
from pindown.choices.policy_relation import PolicyRelation, is_forest
from pindown.choices.spending import Spending
from pindown.choices.trades import Trades
from pindown.estimate import Estimate, Status
from pindown.rng import torch_generator

__all__ = [
    "MOST_BUDGETS", "Chance", "certain", "measured", "of_budgets", "of_menus", "of_pairs", "of_policy", "of_trades",
    "unmeasured",
]  # fmt: skip

Progress = Callable[[float, str], None]
Array = NDArray[np.float64]
_DRAWS = 1000
_PARTICLES, _REPEATS = 400, 4
_DRAWN, _COUNTED = 77, 78
_COMMON, _MOST_DRAWN, _BLOCK = 0.04, 2**14, 1024
_MOST_MENUS, _MOST_STATES, _CHOOSERS = 2000, 300, 2000
_MOST_CELLS = 2**26
MOST_BUDGETS = 1000


@dataclass(frozen=True)
class Chance:
    """How coherent random choosers are.

    Attributes:
        surprise: bits of being at least as coherent as observed.
        vacuous: whether any choices at all would pass.
        measure: what "coherent" is measured by, in words.
        observed: its value for the choices observed.
        drawn: its values for random choosers, sorted.
        method: how the bits were found.
    """

    surprise: Estimate
    vacuous: bool
    measure: str
    observed: float
    drawn: tuple[float, ...]
    method: str


def unmeasured(reference: str, why: str) -> Chance:
    """Where there are no random choosers to compare with."""
    nothing = Estimate(math.nan, math.nan, "bits", "estimate", Status.UNSUPPORTED, reference)
    return Chance(nothing, False, "", math.nan, (), why)


def of_budgets(spending: Spending, ccei: float, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """Random shares of each budget, compared by Afriat's index."""
    from pindown.spaces.copies import Copies
    from pindown.spaces.simplex import Simplex

    n, goods = spending.budgets.prices.shape
    reference = "uniformly random budget shares"
    what = "1 − CCEI"
    if n > MOST_BUDGETS:
        return unmeasured(reference, f"more than {MOST_BUDGETS:,} budgets are not drawn at random")
    if n == 1 or goods == 1 or _nested(spending):
        return certain(reference, what, 1.0 - ccei, "no two budgets cross: whatever is bought is coherent")
    space = Copies(Simplex(goods), n)
    return measured(space, BudgetLoss(spending), 1.0 - ccei, what, reference, seed, progress, sizes)


def of_menus(menus: Menus, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """A random item of each menu."""
    offered = [m for m in menus.offered if len(m) > 1]
    taken = [t for m, t in zip(menus.offered, menus.taken, strict=True) if len(m) > 1]
    reference = "uniformly random items of each menu"
    return _items(offered, taken, None, len(menus.items), reference, seed, progress, sizes)


def of_pairs(pairs: Pairs, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """A coin for the majority of each pair; pairs that are even, or were never compared, stay out."""
    decided = [(i, j) for i, j in pairs.compared if pairs.counts[i, j] != pairs.counts[j, i]]
    taken = [i if pairs.counts[i, j] > pairs.counts[j, i] else j for i, j in decided]
    reference = "a fair coin for the majority of each pair"
    return _items(decided, taken, None, len(pairs.items), reference, seed, progress, sizes)


def of_trades(trades: Trades, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """A coin for each pair of items for which an offer was made."""
    offers = sorted(trades.accepted_pairs | trades.refused_pairs)
    accepted = [int(pair in trades.accepted_pairs) for pair in offers]
    reference = "a fair coin for each offer"
    return _items(offers, accepted, offers, len(trades.items), reference, seed, progress, sizes)


def of_policy(relation: PolicyRelation, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """A random action in each state."""
    reference, what = "uniformly random actions", "states on or above a cycle of preferences"
    observed = float(relation.contradictions(np.array([relation.following]))[0])
    choosing = [s for s, ways in enumerate(relation.policy.options) if len(ways) > 1]
    if is_forest(relation.policy):
        return certain(reference, what, observed, "the states make a forest: every policy is coherent")
    if not choosing:
        return certain(reference, what, observed, "there is nothing to choose")
    if len(relation.following) > _MOST_STATES:
        return unmeasured(reference, f"policies on more than {_MOST_STATES:,} states are not drawn at random")
    from pindown.spaces.patterns import Patterns

    space = Patterns([len(relation.policy.options[s]) for s in choosing])
    loss = PolicyLoss(relation, choosing)
    return measured(space, loss, observed, what, reference, seed, progress, sizes)


def certain(reference: str, what: str, observed: float, why: str) -> Chance:
    """Where any choices at all would pass."""
    return Chance(Estimate(0.0, 0.0, "bits", "exact", Status.REACHED, reference), True, what, observed, (), why)


def _nested(spending: Spending) -> bool:
    """Whether of every two budgets one holds the other, so that none crosses another."""
    reach = spending.own[:, None] / spending.budgets.prices  # what the whole budget buys of each good
    order = np.lexsort(reach.T[::-1])
    return all(bool((reach[a] <= reach[b]).all()) for a, b in pairwise(order))


def _items(
    offered: Sequence[Sequence[int]], taken: Sequence[int], offers: Sequence[tuple[int, int]] | None, items: int,
    reference: str, seed: int, progress: Progress | None, sizes: dict[str, Any],
) -> Chance:  # fmt: skip
    """Menus, pairs and offers: one pattern of numbers each."""
    from pindown.engine.enumeration import MOST_POINTS
    from pindown.spaces.patterns import Patterns

    if not offered:
        return certain(reference, "swaps", 0.0, "there is nothing to choose")
    few = len(offered) <= _MOST_MENUS
    coherent = _one_order(offered, taken, items) if offers is None else _one_order(*_accepted(offers, taken), items)
    space = loss = None
    size = items**2 * sum(map(len, offered))
    if few and items <= MOST_ITEMS and size <= _MOST_CELLS:
        loss = MenuLoss(offered, items) if offers is None else MenuLoss.of_offers(offers, items)
        space = Patterns([2] * len(offers) if offers is not None else [len(m) for m in offered])
    drawn = () if loss is None else _drawn(space, loss, seed)
    what = "swaps" if loss is None else loss.measure
    if coherent and offers is None and items <= MOST_COUNTED:
        count = coherent_patterns({tuple(sorted(m)) for m in offered}, items)
        return _counted(offered, count, reference, what, drawn)
    if coherent and items <= MOST_ITEMS and (space is None or space.size > MOST_POINTS):
        found = _one_by_one(offered, offers, items, seed, progress)
        if found is not None:
            bits = Estimate(found[0], found[1], "bits", "estimate", Status.REACHED, reference)
            return Chance(bits, False, what, 0.0, drawn, found[2])
    if loss is None:
        why = f"choices among more than {MOST_ITEMS} items" if items > MOST_ITEMS else "so many long menus"
        why = why if few else f"more than {_MOST_MENUS:,} choices"
        return unmeasured(reference, f"{why} are not compared with random choosers")
    picks = taken if offers is not None else [tuple(m).index(t) for m, t in zip(offered, taken, strict=True)]
    observed = float(loss(np.array([picks], dtype=np.float64))[0])
    return measured(space, loss, observed, loss.measure, reference, seed, progress, sizes)


def _one_by_one(
    offered: Sequence[Sequence[int]], offers: Sequence[tuple[int, int]] | None, items: int, seed: int,
    progress: Progress | None,
) -> tuple[float, float, str] | None:  # fmt: skip
    """Bits of coherent picks with their error, and how they were found; None for too many different menus."""
    options: list[list[tuple[int, list[int]]]]
    if offers is not None:
        options = [[(have, []), (offered_for_it, [have])] for have, offered_for_it in offers]
    else:
        options = [picks_of(menu) for menu in {tuple(sorted(m)): m for m in offered}.values()]
    if len(options) > _MOST_MENUS:
        return None
    told: Callable[[float], None] | None = None
    if progress is not None:
        told = lambda share: progress(share, "random choosers, one menu after the other")  # noqa: E731
    bits, error = coherent_bits(options, items, seed, choosers=_CHOOSERS, progress=told)
    # A menu that comes again has to be answered as it was.
    again = sum(math.log2(len(m)) for m in offered) - sum(math.log2(len(ways)) for ways in options)
    return bits + again, error, f"{_CHOOSERS * RUNS:,} random choosers, one menu after the other"


def _accepted(offers: Sequence[tuple[int, int]], taken: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """The offers that were accepted as menus from which the offered item was taken."""
    made = [(have, offered) for (have, offered), yes in zip(offers, taken, strict=True) if yes]
    return made, [offered for _, offered in made]


def _one_order(offered: Sequence[Sequence[int]], taken: Sequence[int], items: int) -> bool:
    rows = [0] * items
    for menu, item in zip(offered, taken, strict=True):
        rows[item] |= sum(1 << other for other in menu if other != item)
    return some_cycle(rows) is None


def _counted(
    offered: Sequence[Sequence[int]], count: int, reference: str, what: str, drawn: tuple[float, ...]
) -> Chance:  # fmt: skip
    """The bits of being one of ``count`` patterns."""
    bits = sum(math.log2(len(m)) for m in offered) - math.log2(count)
    total = math.prod(len(m) for m in offered) if len(offered) <= _MOST_MENUS else 0
    if total == count:
        return certain(reference, what, 0.0, "one order explains every pattern of choices")
    of = f"{total:,}" if 0 < total < 10**15 else f"2^{bits + math.log2(count):.1f}"
    exact = Estimate(bits, 0.0, "bits", "exact", Status.REACHED, reference)
    return Chance(exact, False, what, 0.0, drawn, f"{count:,} of {of} patterns, counted")


def measured(
    space: Any, loss: Any, observed: float, what: str, reference: str, seed: int, progress: Progress | None,
    sizes: dict[str, Any],
) -> Chance:  # fmt: skip
    """The share of points of ``space`` at least as coherent as observed, by the engine."""
    from dataclasses import replace

    from pindown.engine.enumeration import MOST_POINTS
    from pindown.engine.measure import measure
    from pindown.spaces.base import is_finite_space

    slack = 1e-12 * max(1.0, abs(observed))
    drawn = _drawn(space, loss, seed)
    many = not (is_finite_space(space) and space.size <= MOST_POINTS)
    if many and np.mean(np.array(drawn) <= observed + slack) >= _COMMON:
        # Drawn anew: those that told how common it is would be too lucky.
        values = _losses(space, loss, _MOST_DRAWN, seed, _COUNTED)
        hits, n = int(np.count_nonzero(values <= observed + slack)), len(values)
        share = (hits + 0.5) / (n + 1.0)  # an error above 0 also where all of them pass
        error = math.sqrt((1.0 - share) / (share * n)) / math.log(2)
        bits = Estimate(-math.log2(share), error, "bits", "estimate", Status.REACHED, reference)
        return Chance(bits, False, what, observed, drawn, f"{n:,} random choosers")
    profile = measure(
        space, loss, tolerance=observed + slack, seed=seed, repeats=sizes.get("repeats", _REPEATS),
        particles=sizes.get("particles", _PARTICLES), jobs=1, progress=progress, checkpoint=sizes.get("checkpoint"),
    )  # fmt: skip
    bits = replace(profile.bits(), reference=reference)
    vacuous = bits.kind == "exact" and bits.value == 0.0 and float(profile.islands[0].loss[-1]) <= slack
    method = f"{profile.engine}, {profile.evaluations:,} random choosers" + (
        f", {profile.repeats} runs" if profile.engine != "enumeration" else ""
    )
    if vacuous:
        method = f"all {profile.evaluations:,} patterns pass"
    return Chance(bits, vacuous, what, observed, drawn, method)


def _drawn(space: Any, loss: Any, seed: int) -> tuple[float, ...]:
    return tuple(np.sort(_losses(space, loss, _DRAWS, seed, _DRAWN)).tolist())


def _losses(space: Any, loss: Any, many: int, seed: int, stream: int) -> Array:
    """How incoherent random choosers are, a few at a time: large tables of them would not fit."""
    points = space.sample(many, rng=torch_generator(seed, stream)).numpy()
    size = min(_BLOCK, int(getattr(loss, "preferred_rows", _BLOCK)))
    return np.concatenate([loss(points[k : k + size]) for k in range(0, many, size)])
