r"""A market: blocks buy what their choices use at prices that clear, and nobody plans.

Divisible choices make the planner's problem a linear programme, :math:`\max \sum_{io} m_{io} z_{io}` with
:math:`\sum_o z_{io} = 1` and :math:`\sum_{io} u_{ior} z_{io} \le c_r`. Its dual gives prices at which each block's own
best choices clear the market and come to the planner's value (Koopmans and Beckmann 1957; Gale 1960, chapter 3).
Whole choices need not clear: then blocks that come first are served first, at the same prices.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pindown.errors import EstimationError, InputError
from pindown.values.coupling import Blocks, parts_of
from pindown.values.views import Human, Views, evenly

__all__ = ["Market", "Prices", "market_prices"]

Array = NDArray[np.float64]
_SLACK = 1e-6  # of the largest gain: rounding of the solver
_MOST_ORDERS = 24


@dataclass(frozen=True)
class Prices:
    """Prices that clear a market of divisible choices.

    Attributes:
        prices: of each resource ``(resources,)``, 0 or more.
        surplus: what each block has left at its best choices ``(blocks,)``.
        value: what all blocks have and all resources earn together.
        shares: how much each block takes of each choice ``(blocks, options)``.
    """

    prices: Array
    surplus: Array
    value: float
    shares: Array


def market_prices(gains: Any, use: Any, capacity: Any) -> Prices:
    """Clearing prices for divisible choices.

    Args:
        gains: ``(blocks, options)``, what each choice is worth to each block; −inf where it has no such choice.
        use: ``(blocks, options, resources)`` or ``(options, resources)``, what a choice uses.
        capacity: ``(resources,)``, what there is.

    Raises:
        InputError: for shapes that do not fit, or where not every block can have a choice.
        EstimationError: where the solver finds no prices though there are some.

    Example:
        >>> found = market_prices([[5.0, 4.0], [3.0, 0.0]], np.eye(2), [1, 1])  # two buyers, two things
        >>> found.value, found.shares.argmax(axis=1).tolist()
        (7.0, [1, 0])
    """
    m = np.asarray(gains, dtype=np.float64)
    if m.ndim != 2 or 0 in m.shape or np.isnan(m).any() or np.isposinf(m).any():
        raise InputError(f"gains of shape {m.shape}", "(blocks, options), finite or −inf")
    c = np.asarray(capacity, dtype=np.float64).ravel()
    u = np.asarray(use, dtype=np.float64)
    if u.shape not in ((m.shape[1], len(c)), (*m.shape, len(c))) or not np.isfinite(u).all():
        raise InputError(f"use of shape {u.shape}", f"{(*m.shape, len(c))} for (blocks, options, resources)")
    u = np.broadcast_to(u, (*m.shape, len(c)))
    blocks, options = m.shape
    usable = np.isfinite(m).ravel()
    whose = np.repeat(np.eye(blocks), options, axis=1)[:, usable]
    scale = float(np.abs(m.ravel()[usable]).max(initial=0.0)) or 1.0  # the solver's tolerances are absolute
    found = linprog(
        -m.ravel()[usable] / scale, A_ub=u.reshape(-1, len(c)).T[:, usable], b_ub=c, A_eq=whose, b_eq=np.ones(blocks),
        bounds=(0.0, None), method="highs",
    )  # fmt: skip
    if found.status == 2:
        raise InputError(
            "a market in which not every block can have a choice", "more capacity, or a choice that is free"
        )
    if found.status != 0 or found.x is None or found.fun is None:
        raise EstimationError(f"no clearing prices were found ({found.message})")
    prices = scale * np.maximum(-np.asarray(found.ineqlin.marginals, dtype=np.float64), 0.0)
    shares = np.zeros(blocks * options)
    shares[usable] = found.x
    surplus = np.max(m - u @ prices, axis=1)
    return Prices(prices, surplus, float(surplus.sum() + prices @ c), shares.reshape(blocks, options))


@dataclass(frozen=True)
class Market:
    """Blocks that buy their choices at clearing prices, each with the same answers and its own part of the value.

    Where whole choices do not clear the market, blocks are served one after the other at these prices, in every order
    (the first 24 of them), each taking the best that leaves something for the others.

    Args:
        blocks: the plans as choices of blocks; only what can be had is listed.
        use: ``(blocks, options, resources)`` or ``(options, resources)``.
        capacity: ``(resources,)``.
        owners: as for :class:`~pindown.values.coupling.CoupledBlocks`. What a block gains from a choice is its part's
            mean over the plans with that choice: what others do to it has no price.
        name: for the report.
    """

    blocks: Any
    use: Any
    capacity: Any
    owners: Any
    name: str = "market"

    def __post_init__(self) -> None:
        blocks = self.blocks if isinstance(self.blocks, Blocks) else Blocks(self.blocks)
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "owners", np.asarray(self.owners))
        capacity = np.asarray(self.capacity, dtype=np.float64).ravel()
        use = np.asarray(self.use, dtype=np.float64)
        options = int(blocks.table.max()) + 1
        if use.shape not in ((options, len(capacity)), (blocks.count, options, len(capacity))):
            raise InputError(f"use of shape {use.shape}", f"({blocks.count}, {options}, {len(capacity)})")
        use = np.broadcast_to(use, (blocks.count, options, len(capacity)))
        object.__setattr__(self, "use", use)
        object.__setattr__(self, "capacity", capacity)
        spent = sum(use[i, blocks.table[:, i]] for i in range(blocks.count))
        over = np.flatnonzero((spent > capacity + 1e-9).any(axis=1))
        if over.size:
            raise InputError(f"plan {over[0] + 1} uses more than there is", "only plans that can be had")

    def __call__(self, views: Views, human: Human) -> Array:
        view, table = views.shared, self.blocks.table
        if len(table) != len(view.mean):
            raise InputError(f"choices for {len(table)} plans", f"{len(view.mean)}, as the problem has")
        parts = parts_of(view, self.owners, self.blocks.count)
        if view.error is not None:
            parts = parts + view.error / self.blocks.count
        gains = self.gains(parts)
        found = market_prices(gains, self.use, self.capacity)
        left = gains - self.use @ found.prices
        each = np.stack([left[i, table[:, i]] for i in range(self.blocks.count)])
        slack = _SLACK * max(float(np.abs(gains[np.isfinite(gains)]).max()), 1e-300)
        content = (each >= found.surplus[:, None] - slack).all(axis=0)
        spent = sum(self.use[i, table[:, i]] for i in range(self.blocks.count))
        cleared = content & ((self.capacity - spent) @ found.prices <= slack)
        return evenly(cleared) if cleared.any() else self._served(each)

    def gains(self, parts: Array) -> Array:
        """What each choice is worth to each block ``(blocks, options)``; −inf where no plan has it."""
        options = self.use.shape[1]
        out = np.full((self.blocks.count, options), -np.inf)
        for i in range(self.blocks.count):
            choice = self.blocks.table[:, i]
            count = np.bincount(choice, minlength=options)
            total = np.bincount(choice, parts[i], options)
            out[i, count > 0] = total[count > 0] / count[count > 0]
        return out

    def _served(self, each: Array) -> Array:
        """Blocks take what is best for them of what is left, one after the other."""
        orders = itertools.islice(itertools.permutations(range(self.blocks.count)), _MOST_ORDERS)
        out, n = np.zeros(each.shape[1]), 0
        for order in orders:
            open_ = np.ones(each.shape[1], dtype=np.bool_)
            for i in order:
                best = float(each[i, open_].max())
                open_ &= each[i] >= best - _SLACK * max(1.0, abs(best))
            out += evenly(open_)
            n += 1
        return out / n
