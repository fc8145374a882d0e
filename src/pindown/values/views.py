r"""What an arrangement sees: posterior views of its members, and the channel to the person.

A view is what one member believes after the answers that reached it, and what it takes the plans to be worth. The
person knows the true value and answers through a channel of choice with noise (Luce 1959); what a pick tells is
measured, as :math:`I(V; C \mid y) = H(C \mid y) - E_{v \mid y} H(C \mid v)` for the very plans that were shown, and
not taken to be the capacity log2 k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from pindown.errors import InputError
from pindown.estimate import bits
from pindown.values.population import Population

__all__ = ["Human", "View", "Views", "evenly"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_TIE = 1e-12


@dataclass(frozen=True)
class View:
    """What one member believes in one episode.

    Attributes:
        weights: of the particles ``(N,)``, adding up to 1.
        mean: what it takes each plan to be worth ``(plans,)``: the posterior mean value, and its own error.
        error: the error in ``mean`` ``(plans,)``; None without one.
        values: value of each plan under each particle ``(N, plans)``.
        accepted: whether it is acceptable ``(N, plans)``, as 0 or 1.
        base: the plans' base measure ``(plans,)``.
        population: the particles themselves.
    """

    weights: Array
    mean: Array
    error: Array | None
    values: Array
    accepted: Array
    base: Array
    population: Population

    @property
    def chance(self) -> Array:
        """Posterior probability that each plan is acceptable ``(plans,)``."""
        return self.weights @ self.accepted

    def best(self) -> Array:
        """All weight on the plan of highest worth, shared out among ties."""
        return evenly(self.mean >= self.mean.max() - _slack(self.mean))

    def top(self, k: int) -> IntArray:
        """The k plans of highest worth; the first of those that tie."""
        return np.argsort(-self.mean, kind="stable")[:k].astype(np.int64)

    def sampled(self) -> Array:
        """The distribution of the best plan of a value that is drawn from the posterior."""
        seen = self.values if self.error is None else self.values + self.error
        alive = self.weights > 0.0
        seen, weights = seen[alive], self.weights[alive]
        best = seen >= seen.max(axis=1, keepdims=True) - _slack(seen)
        return weights @ (best / best.sum(axis=1, keepdims=True))


class Views:
    """The views of an arrangement in one episode.

    Args:
        shared: of whoever has all answers.
        own: one for each member where all have all answers, each with its own error.
        members: one for each member that has its own answers and those that are shared (see ``sharing=``), or a
            function that gives them once they are asked for.
    """

    def __init__(
        self, shared: View, own: tuple[View, ...], members: tuple[View, ...] | Callable[[], tuple[View, ...]]
    ) -> None:
        self.shared, self.own, self._members = shared, own, members

    @property
    def members(self) -> tuple[View, ...]:
        """One view for each member that has its own answers and those that are shared."""
        if callable(self._members):
            self._members = self._members()
        return self._members


class Human:
    """The person whose values are at stake, behind a channel of choice with noise.

    Args:
        values: true value of each plan ``(plans,)``.
        accepted: whether each is acceptable ``(plans,)``.
        view: what the arrangement believes, from which the information of a pick is counted.
        rationality: β of the choice; infinite for one that is always the best of those shown.

    Attributes:
        told: bits of the picks so far about the value, given the answers. For more than one pick they are added, which
            is an upper bound on what the picks tell together.
        shown: how many plans each pick was from.
    """

    def __init__(self, values: Array, accepted: Array, view: View, rationality: float) -> None:
        self._values, self._accepted, self._view, self.rationality = values, accepted, view, rationality
        self.told = 0.0
        self.shown: list[int] = []

    def pick(self, plans: Sequence[int] | IntArray) -> Array:
        """Show some plans; gives the probability that each of them is picked, in their order.

        Raises:
            InputError: for no plans, or plans that there are not.
        """
        shown = np.asarray(plans, dtype=np.int64).ravel()
        if len(shown) == 0 or shown.min() < 0 or shown.max() >= len(self._values):
            raise InputError(f"the plans {shown.tolist()[:8]} shown to the person", "numbers of plans, at least one")
        alive = self._view.weights > 0.0
        weights = self._view.weights[alive]
        chances = _choices(self._view.values[alive][:, shown], self.rationality)
        mean = weights @ chances
        told = -float(xlogy(mean, mean).sum()) + float(weights @ xlogy(chances, chances).sum(axis=1))
        self.told += bits(max(0.0, told))
        self.shown.append(len(shown))
        return _choices(self._values[None, shown], self.rationality)[0]

    def reveal(self) -> NDArray[np.bool_]:
        """Which plans are acceptable, in truth and free of charge: what no arrangement may use but a control."""
        return self._accepted > 0.0


def evenly(chosen: Any) -> Array:
    """The uniform distribution over the places that are true."""
    picked = np.asarray(chosen, dtype=np.float64)
    return picked / picked.sum()


def _choices(values: Array, rationality: float) -> Array:
    """Probabilities of each option by Luce's rule, ``(N, options)``."""
    best = values.max(axis=1, keepdims=True)
    if math.isinf(rationality):
        chosen = (values >= best - _slack(values)).astype(np.float64)
    else:
        chosen = np.exp(rationality * (values - best))
    return chosen / chosen.sum(axis=1, keepdims=True)


def _slack(values: Array) -> float:
    """What counts as a tie: rounding of sums of numbers of this size."""
    return _TIE * float(np.abs(values).max(initial=0.0))
