"""Coherence of choices between lotteries: a utility, or the compound lottery that is swapped for itself at a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.chance import Chance, certain, measured, unmeasured
from pindown.choices.coherence_result import INDICES, Graph
from pindown.choices.expected_utility import Explained, explained, fewest_dropped, is_compound, is_utility
from pindown.choices.indices import Axiom, Index, bounded, exact, unsupported
from pindown.choices.lotteries import Comparison, Lotteries
from pindown.choices.lottery_patterns import DropLoss, all_patterns, descents
from pindown.estimate import Estimate, Status
from pindown.rng import child_seed, torch_generator

__all__ = ["of_lotteries", "parts_of_lotteries"]

Progress = Callable[[float, str], None]
_MOST_PROGRAMMES = 2500
_DESCENTS, _DESCENDED = 60, 78
_DRAWS, _DRAWN = 1000, 79
_MOST_LISTED = 8


def parts_of_lotteries(table: Lotteries, seconds: float) -> dict[str, Any]:
    """Everything about lotteries but the surprise."""
    comparisons = table.comparisons()
    found = explained(comparisons, len(table.outcomes))
    no, axiom = unsupported(), Axiom(False, 0, False)
    parts: dict[str, Any] = dict.fromkeys(INDICES, no) | dict.fromkeys(("warp", "sarp", "garp", "harp"), axiom)
    parts |= {
        "coherent": found.utility is not None, "certificate": _certificate(table, comparisons, found),
        "pump": None if found.utility is not None else _pump(table, comparisons, found), "stochastic": (),
        "residuals": {}, "breaks": (), "graph": Graph((), (), ()), "ranks": 0, "notes": (),
        "houtman_maks": exact(1.0), "swaps": exact(0.0, "pairs"),
    }  # fmt: skip
    if found.utility is not None:
        parts["ranks"] = len(set(found.utility))
        return parts
    used = list(found.weights)
    pairs = fewest_dropped(
        comparisons, len(table.outcomes), list(range(len(comparisons))), seconds, first=used
    )  # fmt: skip
    dropped = tuple(
        (table.label(c.observation, table.taken[c.observation]), table.label(c.observation, c.other))
        for k, c in enumerate(comparisons)
        if k in pairs.chosen
    )
    parts["swaps"] = (
        exact(pairs.cost, "pairs", dropped=dropped)
        if pairs.optimal
        else bounded(pairs.cost, pairs.bound, "pairs", dropped=dropped)
    )
    parts["houtman_maks"] = _kept(table, comparisons, used, seconds)
    return parts


def _kept(table: Lotteries, comparisons: Sequence[Comparison], used: Sequence[int], seconds: float) -> Index:
    """The largest share of observations that some utility gives, and which they are."""
    groups = [c.observation for c in comparisons]
    found = fewest_dropped(comparisons, len(table.outcomes), groups, seconds, first=[groups[k] for k in used])
    n = len(table)
    kept = tuple(name for i, name in enumerate(table.names) if i not in found.chosen)
    share = (n - found.cost) / n
    return exact(share, kept=kept) if found.optimal else bounded(share, (n - found.bound) / n, kept=kept)


def _certificate(table: Lotteries, comparisons: Sequence[Comparison], found: Explained) -> Certificate:
    if found.utility is not None:
        named = dict(zip(table.outcomes, found.utility, strict=True))
        listed = ", ".join(f"{o} {_short(u)}" for o, u in sorted(named.items(), key=lambda item: -item[1]))
        more = f": {listed}" if len(named) <= _MOST_LISTED else ""
        return Certificate(
            "utilities", f"The choices are those of an expected utility{more}.",
            {o: float(u) for o, u in named.items()}, {o: str(u) for o, u in named.items()}, (),
            is_utility(found.utility, comparisons),
        )  # fmt: skip
    named = {_name(table, comparisons[k]): w for k, w in found.weights.items()}
    compound = [Fraction(0)] * len(table.outcomes)
    for k, w in found.weights.items():
        c = comparisons[k]
        for s, p in enumerate(table.chances[c.observation][c.other]):
            compound[s] += w * p
    shown = ", ".join(f"{o} {_short(p)}" for o, p in zip(table.outcomes, compound, strict=True) if p)
    more = f" ({shown})" if sum(p > 0 for p in compound) <= _MOST_LISTED else ""
    return Certificate(
        "compound",
        "No expected utility gives the choices: mixed with these weights, what was taken and what was refused are one "
        f"and the same lottery{more}.",
        {n: float(w) for n, w in named.items()}, {n: str(w) for n, w in named.items()}, (),
        is_compound(found.weights, comparisons),
    )  # fmt: skip


def _pump(table: Lotteries, comparisons: Sequence[Comparison], found: Explained) -> Pump:
    """Each branch of the compound lottery of what was refused, swapped for what was taken there."""
    steps: list[Step] = []
    for k, w in found.weights.items():
        c = comparisons[k]
        taken, other = table.label(c.observation, table.taken[c.observation]), table.label(c.observation, c.other)
        because = f"observation {table.names[c.observation]}: {taken} taken, {other} refused; with chance {w}"
        steps.append(Step(other, taken, None, c.strict, because))
    pays = sum((w for k, w in found.weights.items() if comparisons[k].strict), Fraction(0))
    return Pump((), tuple(steps), None, float(pays), pays == 1, is_compound(found.weights, comparisons))


def _name(table: Lotteries, c: Comparison) -> str:
    taken, other = table.label(c.observation, table.taken[c.observation]), table.label(c.observation, c.other)
    return f"{table.names[c.observation]}: {taken} over {other}"


def _short(x: Fraction) -> str:
    return str(x) if x.denominator < 1000 else f"{float(x):.4g}"


def of_lotteries(table: Lotteries, coherent: bool, seed: int, progress: Progress | None = None, **sizes: Any) -> Chance:
    """A random lottery of each menu, compared by the fewest choices to drop.

    The patterns that some utility gives are listed where there are few enough. Beyond, random descents estimate how
    many there are, which tells how surprising coherent choices are and nothing of others.
    """
    reference, what = "uniformly random lotteries of each menu", DropLoss.measure
    if not any(c.strict for c in table.comparisons()):
        return certain(reference, what, 0.0, "nothing was strictly preferred: indifference explains every choice")
    menus = [len(m) for m in table.offered]
    total = math.prod(menus)
    patterns = all_patterns(table, _MOST_PROGRAMMES)
    loss = None if patterns is None or not all(table.strict) else DropLoss(patterns, menus)
    if coherent and patterns is not None:
        if len(patterns) == total:
            return certain(reference, what, 0.0, "some expected utility gives every pattern of choices")
        bits = sum(map(math.log2, menus)) - math.log2(len(patterns))
        found = Estimate(bits, 0.0, "bits", "exact", Status.REACHED, reference)
        drawn = () if loss is None else _drawn(loss, menus, seed)
        of = f"{total:,}" if total < 10**15 else f"2^{sum(map(math.log2, menus)):.1f}"
        return Chance(found, False, what, 0.0, drawn, f"{len(patterns):,} of {of} patterns, counted")
    if loss is not None:
        from pindown.spaces.patterns import Patterns

        observed = float(loss(np.array([table.taken]))[0])
        return measured(Patterns(menus), loss, observed, what, reference, seed, progress, sizes)
    if coherent:
        log, error = descents(table, _DESCENTS, np.random.default_rng(child_seed(seed, _DESCENDED)), progress)
        bits = Estimate(sum(map(math.log2, menus)) - log, error, "bits", "estimate", Status.REACHED, reference)
        return Chance(bits, False, what, 0.0, (), f"{_DESCENTS} random descents")
    if patterns is None:
        return unmeasured(reference, "there are too many patterns to list for choices that are not coherent")
    return unmeasured(reference, "incoherent choices of which some may be indifferent are not compared")


def _drawn(loss: DropLoss, menus: Sequence[int], seed: int) -> tuple[float, ...]:
    from pindown.spaces.patterns import Patterns

    points = Patterns(menus).sample(_DRAWS, rng=torch_generator(seed, _DRAWN)).numpy()
    return tuple(sorted(float(v) for v in loss(points)))
