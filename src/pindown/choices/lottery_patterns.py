r"""Patterns of choices between lotteries that some expected utility gives: all of them, or an estimate of how many.

A pattern names one lottery of each observation. Those that a utility gives, observation by observation, make a tree: a
branch ends where no utility is left. There are few: with :math:`m` outcomes and :math:`n` pairs at most
:math:`2 \sum_{i \le m - 2} \binom{n - 1}{i}` (Schläfli's count of the regions of :math:`n` planes through one point,
here in :math:`m - 1` dimensions). Where the tree is too large to walk, random descents estimate the number of its
leaves without bias by the product of the numbers of branches on the way (Knuth 1975, Estimating the efficiency of
backtrack programs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pindown.choices.expected_utility import explained, is_utility
from pindown.choices.lotteries import Comparison, Lotteries

__all__ = ["DropLoss", "all_patterns", "descents"]

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]
_CHUNK_BYTES = 2**25


@dataclass(frozen=True)
class _Branch:
    """The start of a pattern, a utility that gives it, and the comparisons that bound that utility."""

    picks: tuple[int, ...]
    said: tuple[Comparison, ...]
    utility: tuple[Fraction, ...]
    binding: tuple[int, ...]


def _root(outcomes: int) -> _Branch:
    return _Branch((), (), (Fraction(0),) * outcomes, ())


def _branches(table: Lotteries, at: _Branch) -> tuple[list[_Branch], int]:
    """What can be taken in the next observation, and how many programmes were solved to know it."""
    i, out, solved = len(at.picks), list[_Branch](), 0
    for pick in range(len(table.offered[i])):
        new = table.differences(i, pick)
        said = (*at.said, *new)
        if is_utility(at.utility, new):
            out.append(_Branch((*at.picks, pick), said, at.utility, at.binding))
            continue
        solved += 1
        found = explained(said, len(table.outcomes), (*at.binding, *range(len(at.said), len(said))))
        if found.utility is not None:
            out.append(_Branch((*at.picks, pick), said, found.utility, found.binding[-len(table.outcomes) :]))
    return out, solved


def all_patterns(table: Lotteries, most: int) -> NDArray[np.int64] | None:
    """Every pattern that some utility gives, ``(patterns, observations)``; None where it takes too many programmes.

    Args:
        table: the menus; what was taken in them does not matter.
        most: how many linear programmes may be solved.
    """
    level, left = [_root(len(table.outcomes))], most
    for _ in range(len(table)):
        following: list[_Branch] = []
        for at in level:
            branches, solved = _branches(table, at)
            following += branches
            left -= solved
            if left < 0:
                return None
        level = following
    return np.array([b.picks for b in level], dtype=np.int64)


def descents(
    table: Lotteries, many: int, rng: np.random.Generator, progress: Progress | None = None
) -> tuple[float, float]:
    """The number of patterns that some utility gives, from random descents: its binary logarithm and the error of that.

    Args:
        table: the menus.
        many: how many descents.
        rng: their source.
        progress: called with the share done and a text.
    """
    logs: list[float] = []
    for k in range(many):
        at, log = _root(len(table.outcomes)), 0.0
        for _ in range(len(table)):
            branches, _solved = _branches(table, at)
            log += math.log2(len(branches))
            at = branches[int(rng.integers(len(branches)))]
        logs.append(log)
        if progress is not None:
            progress((k + 1) / many, "random descents")
    top = max(logs)
    sizes = np.exp2(np.array(logs) - top)
    mean = float(sizes.mean())
    error = float(sizes.std(ddof=1)) / math.sqrt(many) / mean / math.log(2)
    return top + math.log2(mean), error


class DropLoss:
    """How few observations have to go before some expected utility gives the rest, for many patterns at once.

    With strict choices a utility that gives a part can be moved a little until it prefers one lottery in every other
    menu too, so that the observations to drop are those in which a pattern differs from the nearest one that a utility
    gives.

    Args:
        patterns: all that some utility gives, ``(patterns, observations)``.
        sizes: how many lotteries each menu has.
    """

    measure = "choices to drop"

    def __init__(self, patterns: NDArray[np.int64], sizes: Sequence[int]) -> None:
        self._most = max(sizes)
        self._known = self._hot(patterns).T.copy()
        self.preferred_rows = max(16, _CHUNK_BYTES // (4 * max(1, len(patterns))))

    def _hot(self, picks: NDArray[np.int64]) -> NDArray[np.float32]:
        flags = picks[:, :, None] == np.arange(self._most)
        return flags.reshape(len(picks), -1).astype(np.float32)

    def __call__(self, x: object) -> Array:
        """For picks ``(N, observations)``, each the place of a lottery in its menu."""
        picks = np.asarray(x).astype(np.int64)
        out = np.empty(len(picks))
        for start in range(0, len(picks), self.preferred_rows):
            part = self._hot(picks[start : start + self.preferred_rows])
            out[start : start + len(part)] = picks.shape[1] - (part @ self._known).max(axis=1)
        return out
