r"""Several agents, each with its own block of the plan: coupled blocks, their equilibria, and what they cost.

A plan is a choice for each block. Agent i takes the choice for its block that is best for :math:`U_i(x) = \sum_j C_{ij}
v_j(x)` with the others' as they are: the coupling matrix C says how much it minds what happens to block j, whose part
of the value is :math:`v_j`. Agents move in turn until none gains (Nash 1951); the ratio of the worst equilibrium's
cost to the least is the price of anarchy (Koutsoupias and Papadimitriou 1999).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.values.plans import Plans
from pindown.values.priors import LinearValues
from pindown.values.views import Human, View, Views

__all__ = ["Blocks", "CoupledBlocks", "equilibria", "price_of_anarchy"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_TURNS = 100
_GAIN = 1e-9  # of the largest payoff: less is no reason to move


@dataclass(frozen=True)
class Blocks:
    """Plans as choices of blocks.

    Args:
        choices: ``(plans, blocks)``, what each plan chooses for each block. Plans that are not listed cannot be had.

    Raises:
        InputError: for another shape, or two plans of the same choices.
    """

    choices: Any
    table: IntArray = field(init=False, repr=False)
    rivals: tuple[IntArray, ...] = field(init=False, repr=False)
    """For each block ``(plans, most)``: the plans that differ in this block at most; the last repeats."""

    def __post_init__(self) -> None:
        table = np.asarray(self.choices)
        if table.ndim != 2 or 0 in table.shape or not np.issubdtype(table.dtype, np.integer):
            raise InputError(f"choices of shape {table.shape} and type {table.dtype}", "whole numbers (plans, blocks)")
        table = table.astype(np.int64)
        if len(np.unique(table, axis=0)) != len(table):
            raise InputError("two plans of the same choices", "different choices for every plan")
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "rivals", tuple(_rivals(table, i) for i in range(table.shape[1])))

    @classmethod
    def grid(cls, *sizes: int) -> Blocks:
        """Every combination of so many choices for each block.

        >>> Blocks.grid(2, 3).table.tolist()[:4]
        [[0, 0], [0, 1], [0, 2], [1, 0]]
        """
        return cls(np.indices(sizes).reshape(len(sizes), -1).T)

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self.table.shape[1]

    def settle(self, payoffs: Array) -> IntArray:
        """Where each plan ends when the blocks move in turn, each to the choice that is best for it.

        Args:
            payoffs: ``(blocks, plans)``. A block that would gain nothing stays; after 100 rounds all stay.
        """
        turn = np.arange(len(self.table))
        for i, rivals in enumerate(self.rivals):
            turn = _answers(payoffs[i], rivals)[turn]
        state = turn
        for _ in range(_MOST_TURNS):
            further = turn[state]
            if np.array_equal(further, state):
                break
            state = further
        return state


@dataclass(frozen=True)
class CoupledBlocks:
    """One agent a block, all with the same answers; each moves for what it minds, from a plan drawn from the base.

    Args:
        blocks: the plans as choices of blocks, or the table itself.
        owners: ``(features,)``: the block that each feature of linear values belongs to; or for hypotheses
            ``(blocks, hypotheses, plans)``, each block's part of the value. None where all mind the whole value.
        coupling: ``(blocks, blocks)`` C above; by default the identity: each minds its own part alone.
        start: number of the plan to move from; by default the base measure.
        name: for the report.
    """

    blocks: Any
    owners: Any = None
    coupling: Any = None
    start: int | None = None
    name: str = "coupled blocks"

    def __post_init__(self) -> None:
        blocks = self.blocks if isinstance(self.blocks, Blocks) else Blocks(self.blocks)
        object.__setattr__(self, "blocks", blocks)
        n = blocks.count
        if self.coupling is not None:
            if self.owners is None:
                raise InputError("a coupling matrix without owners", "owners=, which say whose part each feature is")
            matrix = np.asarray(self.coupling, dtype=np.float64)
            if matrix.shape != (n, n) or not np.isfinite(matrix).all():
                raise InputError(f"a coupling matrix of shape {matrix.shape}", f"finite numbers, ({n}, {n})")
            object.__setattr__(self, "coupling", matrix)
        if self.owners is not None:
            object.__setattr__(self, "owners", np.asarray(self.owners))
        if self.start is not None and not 0 <= self.start < len(blocks.table):
            raise InputError(f"start={self.start}", f"a plan's number from 0 to {len(blocks.table) - 1}")

    def __call__(self, views: Views, human: Human) -> Array:
        view = views.shared
        ends = self.blocks.settle(self.payoffs(view))
        start = view.base if self.start is None else np.eye(1, len(view.base), self.start)[0]
        return np.bincount(ends, start, len(view.base)).astype(np.float64)

    def payoffs(self, view: View) -> Array:
        """What each block minds of each plan ``(blocks, plans)``, as it believes."""
        n = self.blocks.count
        if len(self.blocks.table) != len(view.mean):
            raise InputError(f"choices for {len(self.blocks.table)} plans", f"{len(view.mean)}, as the problem has")
        if self.owners is None:
            return np.broadcast_to(view.mean, (n, len(view.mean)))
        parts = parts_of(view, self.owners, n)
        matrix = np.eye(n) if self.coupling is None else self.coupling
        if view.error is not None:
            parts = parts + view.error / n
        return matrix @ parts


def parts_of(view: View, owners: NDArray[Any], blocks: int) -> Array:
    """Posterior mean of each block's part of the value of each plan ``(blocks, plans)``.

    Raises:
        InputError: where the owners do not fit the prior.
    """
    prior, plans = view.population.prior, view.population.plans
    if owners.ndim == 3:
        rows = view.population.points[:, 0].astype(np.int64)
        if owners.shape[0] != blocks or owners.shape[1] <= int(rows.max()) or owners.shape[2] != len(plans):
            raise InputError(f"parts of shape {owners.shape}", f"({blocks}, hypotheses, {len(plans)})")
        return np.asarray(np.einsum("n,bnp->bp", view.weights, owners[:, rows]), dtype=np.float64)
    if not isinstance(prior, LinearValues):
        raise InputError("owners of features with a prior that is not linear", "parts (blocks, hypotheses, plans)")
    if owners.shape != (plans.features.shape[1],) or owners.min() < 0 or owners.max() >= blocks:
        raise InputError(f"owners {owners.tolist()[:8]}", "the number of a block for each of the features, from 0")
    mean = view.weights @ prior.weights_of(view.population.points)
    return np.stack([_worth(plans, mean, owners == j) for j in range(blocks)])


def equilibria(blocks: Blocks, payoffs: Any) -> IntArray:
    """The plans from which no block gains by moving alone, by their numbers.

    Args:
        blocks: the plans.
        payoffs: ``(blocks, plans)``, what each block minds.

    Example:
        >>> equilibria(Blocks.grid(2, 2), [[3, 0, 5, 1], [3, 5, 0, 1]]).tolist()  # the prisoners' dilemma
        [3]
    """
    table = _payoffs(blocks, payoffs)
    still = np.ones(len(blocks.table), dtype=np.bool_)
    for i, rivals in enumerate(blocks.rivals):
        still &= _answers(table[i], rivals) == np.arange(len(still))
    return np.flatnonzero(still)


def price_of_anarchy(blocks: Blocks, costs: Any) -> Estimate:
    """Total cost of the worst equilibrium over the least total cost, exactly; infinite where the least is 0.

    Args:
        blocks: the plans.
        costs: ``(blocks, plans)`` of 0 or more; each block minds its own.

    Returns:
        The ratio; *unsupported* where there is no equilibrium.

    Example:
        >>> cars = Blocks.grid(*[2] * 4)  # Pigou (1920): a road of cost 1, and one that costs the share that takes it
        >>> share = cars.table.mean(axis=1)
        >>> print(f"{price_of_anarchy(cars, np.where(cars.table.T == 1, share, 1.0)).value:.4f}")
        1.3333
    """
    table = _payoffs(blocks, costs)
    if table.min() < 0.0:
        raise InputError(f"a cost of {table.min():g}", "costs of 0 or more")
    found, total = equilibria(blocks, -table), table.sum(axis=0)
    reference = f"{len(blocks.table):,} plans of {blocks.count} blocks"
    if len(found) == 0:
        return Estimate(float("nan"), float("nan"), "1", "estimate", Status.UNSUPPORTED, reference)
    least, worst = float(total.min()), float(total[found].max())
    ratio = worst / least if least > 0.0 else (1.0 if worst == 0.0 else float("inf"))
    return Estimate(ratio, 0.0, "1", "exact", Status.REACHED, reference)


def _payoffs(blocks: Blocks, payoffs: Any) -> Array:
    table = np.asarray(payoffs, dtype=np.float64)
    wanted = (blocks.count, len(blocks.table))
    if table.shape != wanted or not np.isfinite(table).all():
        raise InputError(f"payoffs of shape {table.shape}", f"finite numbers {wanted} for (blocks, plans)")
    return table


def _answers(payoff: Array, rivals: IntArray) -> IntArray:
    """For each plan the one that a block moves to; itself where it would gain nothing."""
    offered = payoff[rivals]
    best = offered.argmax(axis=1)
    rows = np.arange(len(rivals))
    gains = offered[rows, best] > payoff + _GAIN * float(np.abs(payoff).max(initial=0.0))
    return np.where(gains, rivals[rows, best], rows)


def _rivals(table: IntArray, block: int) -> IntArray:
    others = np.delete(table, block, axis=1)
    group = np.unique(others, axis=0, return_inverse=True)[1].ravel() if others.shape[1] else np.zeros(len(table), int)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    width = np.arange(int(sizes.max()))
    places = starts[group][:, None] + np.minimum(width, sizes[group][:, None] - 1)
    return order[places].astype(np.int64)


def _worth(plans: Plans, weights: Array, mine: NDArray[np.bool_]) -> Array:
    return plans.features[:, mine] @ weights[mine]
