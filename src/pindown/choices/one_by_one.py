r"""How rare one order is among random picks, estimated by picking from one menu after another.

A pick from a menu keeps what was picked before coherent exactly where nothing else on the menu is already above it.
Picking evenly among these, the mean of :math:`\prod_k a_k / s_k`, with :math:`a_k` such items of :math:`s_k`, is the
share of random patterns that one order explains (Knuth 1975, Estimating the efficiency of backtrack programs).
Choosers with small products are replaced by copies of others on the way, which leaves the mean as it is
(Del Moral, Doucet and Jasra 2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pindown.rng import child_seed

__all__ = ["MOST_ITEMS", "RUNS", "coherent_bits", "picks_of"]

Options = Sequence[tuple[int, Sequence[int]]]
"""What can be picked: an item, and the items that it is then preferred to."""

Words = NDArray[np.int64]
MOST_ITEMS = 62
RUNS = 8
_STREAM = 80


def picks_of(menu: Sequence[int]) -> list[tuple[int, list[int]]]:
    """The options of a menu: each item over all the others.

    >>> picks_of((0, 1))
    [(0, [1]), (1, [0])]
    """
    return [(item, [other for other in menu if other != item]) for item in menu]


def coherent_bits(
    options: Sequence[Options],
    items: int,
    seed: int,
    *,
    choosers: int = 2000,
    progress: Callable[[float], None] | None = None,
) -> tuple[float, float]:
    """``−log2`` of the share of random picks that one order explains, with its standard error.

    Args:
        options: of each menu, or offer, what can be picked. Something can always be picked: of a menu its highest item,
            of an offer the refusal.
        items: how many items there are, at most 62.
        seed: everything random follows from it.
        choosers: random choosers in each of eight independent runs.
        progress: called with the share done.

    Example:
        >>> bits, error = coherent_bits([picks_of(m) for m in [(0, 1), (1, 2), (0, 2)]], 3, 0)
        >>> abs(bits - math.log2(8 / 6)) < 4 * error + 1e-9, error < 0.02
        (True, True)
    """
    # Items join one after the other, so that each meets those before it in its own menus.
    ordered = sorted(options, key=lambda ways: sorted((i for way in ways for i in (way[0], *way[1])), reverse=True))
    logs: list[float] = []
    for run in range(RUNS):
        logs.append(_run(ordered, items, np.random.default_rng(child_seed(seed, _STREAM, run)), choosers))
        if progress is not None:
            progress((run + 1) / RUNS)
    top = max(logs)
    shares = np.exp(np.array(logs) - top)
    mean = float(shares.mean())
    error = float(shares.std(ddof=1)) / (mean * math.sqrt(RUNS)) / math.log(2)
    return max(0.0, -(top + math.log(mean)) / math.log(2)), error


def _run(options: Sequence[Options], items: int, rng: np.random.Generator, n: int) -> float:
    """``ln`` of the share that one run of ``n`` choosers finds."""
    below: Words = np.zeros((n, items), dtype=np.int64)  # as bit sets, what each item is above
    log_weight, log_share = np.zeros(n), 0.0
    bit = np.int64(1) << np.arange(items, dtype=np.int64)
    for ways in options:
        tops = np.array([top for top, _ in ways])
        under = [np.array(others, dtype=np.intp) for _, others in ways]
        # A way is barred where something that it puts below its item is already above that.
        fits = np.stack(
            [((below[:, others] & bit[top]) == 0).all(axis=1) for top, others in zip(tops, under, strict=True)], axis=1
        )
        free = fits.sum(axis=1)
        pick = (np.cumsum(fits, axis=1) > np.floor(rng.random(n) * free)[:, None]).argmax(axis=1)
        gained: Words = np.zeros(n, dtype=np.int64)
        for w, others in enumerate(under):
            taken = pick == w
            if len(others) and taken.any():
                gained[taken] = np.bitwise_or.reduce(below[taken][:, others] | bit[others], axis=1)
        above = ((below & bit[tops[pick]][:, None]) != 0) | (np.arange(items) == tops[pick][:, None])
        below |= np.where(above, gained[:, None], 0)
        log_weight += np.log(free / len(ways))
        weight = np.exp(log_weight - log_weight.max())
        if weight.sum() ** 2 < 0.5 * n * (weight**2).sum():
            log_share += float(log_weight.max()) + math.log(float(weight.mean()))
            marks = (rng.random() + np.arange(n)) / n
            chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), marks).clip(0, n - 1)
            below, log_weight = below[chosen], np.zeros(n)
    top = float(log_weight.max())
    return log_share + top + math.log(float(np.exp(log_weight - top).mean()))
