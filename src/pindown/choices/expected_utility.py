r"""Expected utility, or the compound lottery that pumps whoever has none, exactly.

The choices of lotteries :math:`p_k` over :math:`q_k` are those of some expected utility :math:`u` (von Neumann and
Morgenstern 1944) where :math:`(p_k - q_k) \cdot u \ge 0` for all and :math:`> 0` for the strict ones. By the theorem of
the alternative (Motzkin 1936; for lotteries Fishburn 1975, Separation theorems and expected utility) there is none
exactly where weights :math:`w \ge 0`, some on a strict comparison, have :math:`\sum_k w_k p_k = \sum_k w_k q_k`:
whoever holds the compound lottery of the refused and swaps each branch for what it prefers ends with the same chances.

Both come from one linear programme: the greatest margin :math:`v \le 1` with :math:`(p_k - q_k) \cdot u \ge v` for the
strict ones, :math:`0 \le u \le 1`; its dual is :math:`w`. It is solved in fractions, on the comparisons that the
utility so far violates until it violates none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pindown.choices.covers import Cover, cheapest_cover
from pindown.choices.exact_lp import maximise
from pindown.choices.lotteries import Comparison

__all__ = ["Explained", "explained", "fewest_dropped", "is_compound", "is_utility"]


@dataclass(frozen=True)
class Explained:
    """A utility, or weights of the comparisons that no utility agrees with.

    Attributes:
        utility: of each outcome, from 0 to 1; None where there is none.
        weights: of the comparisons, by number, adding up to 1; empty where there is a utility.
        binding: the comparisons that decided it.
    """

    utility: tuple[Fraction, ...] | None
    weights: dict[int, Fraction]
    binding: tuple[int, ...]


def explained(comparisons: Sequence[Comparison], outcomes: int, first: Sequence[int] = ()) -> Explained:
    """A utility that agrees with every comparison, or the proof that there is none.

    Args:
        comparisons: what was preferred to what.
        outcomes: how many outcomes there are.
        first: comparisons to look at first.

    Example:
        >>> from pindown.choices.lotteries import Comparison
        >>> up, down = Comparison(0, 0, (1, -1), True), Comparison(1, 0, (-1, 1), True)
        >>> explained([up], 2).utility
        (Fraction(1, 1), Fraction(0, 1))
        >>> explained([up, down], 2).weights
        {0: Fraction(1, 2), 1: Fraction(1, 2)}
    """
    zero, one = Fraction(0), Fraction(1)
    looked_at = list(first)
    at_most_one = [[*(one if s == k else zero for s in range(outcomes)), zero] for k in range(outcomes)]
    margin_cap = [*(zero for _ in range(outcomes)), one]
    while True:
        rows = [
            [*(Fraction(-d) for d in comparisons[k].difference), one if comparisons[k].strict else zero]
            for k in looked_at
        ]
        bounds = [zero] * len(rows) + [one] * (outcomes + 1)
        x, dual = maximise([*(zero for _ in range(outcomes)), one], [*rows, *at_most_one, margin_cap], bounds)
        margin = x[-1]
        if margin == 0:
            found = {k: y for k, y in zip(looked_at, dual, strict=False) if y > 0}
            total = sum(found.values(), zero)
            return Explained(None, {k: y / total for k, y in sorted(found.items())}, tuple(looked_at))
        gaps = [
            (_dot(c.difference, x) - (margin if c.strict else 0), k)
            for k, c in enumerate(comparisons)
        ]  # fmt: skip
        worst = sorted(g for g in gaps if g[0] < 0)[: outcomes + 1]
        if not worst:
            return Explained(_scaled(x[:-1]), {}, tuple(looked_at))
        looked_at += [k for _, k in worst]


def is_utility(utility: Sequence[Fraction], comparisons: Sequence[Comparison]) -> bool:
    """Whether every comparison agrees with the utility, in fractions."""
    gains = ((_dot(c.difference, utility), c.strict) for c in comparisons)
    return all(gain > 0 or (gain == 0 and not strict) for gain, strict in gains)


def is_compound(weights: dict[int, Fraction], comparisons: Sequence[Comparison]) -> bool:
    """Whether the weighted comparisons cancel, with some weight on a strict one, in fractions."""
    if not all(w > 0 for w in weights.values()) or not any(comparisons[k].strict for k in weights):
        return False
    columns = zip(*(comparisons[k].difference for k in weights), strict=True)
    return all(sum((w * d for w, d in zip(weights.values(), c, strict=True)), Fraction(0)) == 0 for c in columns)


def fewest_dropped(
    comparisons: Sequence[Comparison], outcomes: int, groups: Sequence[int], seconds: float, *,
    first: Sequence[int] = (),
) -> Cover:  # fmt: skip
    """The fewest groups of comparisons without which some utility agrees with the rest.

    Implicit hitting sets: every compound lottery that pumps is a set of groups of which one has to go.

    Args:
        comparisons: what was preferred to what.
        outcomes: how many outcomes there are.
        groups: the group of each comparison, numbered from 0.
        seconds: the longest that it may take.
        first: the groups of one pump that is known.
    """

    def missed(gone: frozenset[int]) -> list[list[int]]:
        left = [k for k, g in enumerate(groups) if g not in gone]
        out: list[list[int]] = []
        while True:
            found = explained([comparisons[k] for k in left], outcomes)
            if found.utility is not None:
                return out
            pump = sorted({groups[left[k]] for k in found.weights})
            out.append(pump)
            left = [k for k in left if groups[k] not in pump]

    known = [sorted(set(first))] if first else []
    return cheapest_cover([1.0] * (max(groups) + 1), missed, first=known, whole=True, seconds=seconds)


def _dot(difference: Sequence[int], utility: Sequence[Fraction]) -> Fraction:
    return sum((d * u for d, u in zip(difference, utility, strict=False) if d), Fraction(0))


def _scaled(utility: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The same utility with its worst outcome at 0 and its best at 1; a constant one at 0."""
    low, high = min(utility), max(utility)
    return tuple((u - low) / (high - low) if high > low else Fraction(0) for u in utility)
