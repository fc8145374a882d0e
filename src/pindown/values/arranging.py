r"""Arrangements: functions of posterior views and a human channel that give a distribution over plans.

Anything that is called with :class:`~pindown.values.views.Views` and :class:`~pindown.values.views.Human` and returns
``(plans,)`` probabilities is one; those here are classes so that they carry a name and their settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pindown.errors import InputError
from pindown.spaces.base import check_count
from pindown.values.views import Human, Views, evenly

__all__ = [
    "Arrangement", "Base", "BestOf", "Committee", "Leak", "Oracle", "Quantiliser", "Singleton", "Thompson", "Tool",
    "check_arrangement", "decide", "name_of", "standard",
]  # fmt: skip

Array = NDArray[np.float64]
Arrangement = Callable[[Views, Human], Any]
"""``(views, human) -> (plans,)`` probabilities."""


@dataclass(frozen=True)
class Base:
    """No optimisation: the base measure."""

    name: str = "base"

    def __call__(self, views: Views, human: Human) -> Array:
        return views.shared.base


@dataclass(frozen=True)
class Singleton:
    """One agent with all answers takes the plan of highest posterior mean value."""

    name: str = "singleton"

    def __call__(self, views: Views, human: Human) -> Array:
        return views.shared.best()


@dataclass(frozen=True)
class Tool:
    """A shortlist of the k best plans, from which somebody who knows no more takes one by the base measure."""

    k: int = 5
    name: str = "tool"

    def __post_init__(self) -> None:
        check_count(self.k, "k of a tool")

    def __call__(self, views: Views, human: Human) -> Array:
        shortlist = views.shared.top(self.k)
        out = np.zeros_like(views.shared.base)
        out[shortlist] = views.shared.base[shortlist]
        total = out.sum()
        if total > 0.0:
            return out / total
        out[shortlist] = 1.0 / len(shortlist)  # a base that excludes the whole shortlist says nothing about it
        return out


@dataclass(frozen=True)
class Oracle:
    """The k best plans are shown to the person, whose pick is taken. What the pick tells is counted as information."""

    k: int = 5
    name: str = "oracle"

    def __post_init__(self) -> None:
        check_count(self.k, "k of an oracle")

    def __call__(self, views: Views, human: Human) -> Array:
        shortlist = views.shared.top(self.k)
        out = np.zeros_like(views.shared.base)
        out[shortlist] = human.pick(shortlist)
        return out


@dataclass(frozen=True)
class Quantiliser:
    """A draw from the best share q of the base by posterior mean value (Taylor 2016); q = 1 is the base."""

    q: float = 0.1
    name: str = "quantiliser"

    def __post_init__(self) -> None:
        if not (isinstance(self.q, int | float) and 0.0 < self.q <= 1.0):
            raise InputError(f"q={self.q!r} of a quantiliser", "a share above 0, at most 1")

    def __call__(self, views: Views, human: Human) -> Array:
        return share_of_best(views.shared.mean, views.shared.base, self.q)


@dataclass(frozen=True)
class Thompson:
    """The best plan of a value that is drawn from the posterior (Thompson 1933)."""

    name: str = "Thompson draw"

    def __call__(self, views: Views, human: Human) -> Array:
        return views.shared.sampled()


@dataclass(frozen=True)
class BestOf:
    """The best by posterior mean value of plans drawn from the base; in ``rounds`` the winners compete once more.

    One round of k·m draws and a final among the winners of k rounds of m are the same: :math:`(F^m)^k = F^{km}`.
    """

    n: int = 16
    rounds: int = 1
    name: str = "best of n"

    def __post_init__(self) -> None:
        check_count(self.n, "n of a best of n")
        check_count(self.rounds, "rounds of a best of n")

    def __call__(self, views: Views, human: Human) -> Array:
        winners = best_of(views.shared.mean, views.shared.base, self.n)
        return winners if self.rounds == 1 else best_of(views.shared.mean, winners, self.rounds)


@dataclass(frozen=True)
class Committee:
    """Members agree on a plan, by the mean or median of what they take plans to be worth, or by a vote.

    Args:
        by: how they agree; a vote is for each member's best plan, ties among plans being broken evenly.
        information: ``"split"``: each has its own answers and those that are shared; ``"shared"``: all have all.
        name: for the report.
    """

    by: Literal["mean", "median", "vote"] = "vote"
    information: Literal["split", "shared"] = "split"
    name: str = ""

    def __post_init__(self) -> None:
        if self.by not in ("mean", "median", "vote") or self.information not in ("split", "shared"):
            raise InputError(
                f"a committee by {self.by!r} of {self.information!r} information",
                "'mean', 'median' or 'vote'; 'split' or 'shared'",
            )
        object.__setattr__(self, "name", self.name or f"committee, {self.information}, by {self.by}")

    def __call__(self, views: Views, human: Human) -> Array:
        members = views.own if self.information == "shared" else views.members
        if self.by == "vote":
            votes = np.sum([m.best() for m in members], axis=0)
            return evenly(votes >= votes.max() - 1e-9)
        worth = np.array([m.mean for m in members])
        # One opinion held by all stays what it is, to the last digit.
        same = bool((worth == worth[0]).all())
        agreed = worth[0] if same else worth.mean(axis=0) if self.by == "mean" else np.median(worth, axis=0)
        return evenly(agreed >= agreed.max() - 1e-12 * float(np.abs(agreed).max()))


@dataclass(frozen=True)
class Leak:
    """The control: an oracle whose filter knows which plans are acceptable, which no answer has told it.

    It has to come out above what the measured information allows; where it does not, the comparison could not have seen
    a difference.
    """

    k: int = 5
    name: str = "control: a filter that knows"

    def __call__(self, views: Views, human: Human) -> Array:
        ranked = views.shared.top(len(views.shared.base))
        known = ranked[human.reveal()[ranked]][: self.k]
        shortlist = known if len(known) else ranked[: self.k]
        out = np.zeros_like(views.shared.base)
        out[shortlist] = human.pick(shortlist)
        return out


def standard() -> tuple[Arrangement, ...]:
    """The arrangements that need nothing but the problem."""
    return (
        Singleton(), Tool(), Oracle(), Quantiliser(), BestOf(), Thompson(), Committee("vote", "shared"),
        Committee("mean"), Committee("vote"),
    )  # fmt: skip


def best_of(score: Array, base: Array, n: int) -> Array:
    """Distribution of the plan of highest score among n draws; plans of one score share by the base."""
    order = np.argsort(score, kind="stable")
    group = np.cumsum(np.r_[0, np.diff(score[order]) > 1e-12 * float(np.abs(score).max())])
    mass = np.bincount(group, base[order])
    below = np.minimum(np.cumsum(mass), 1.0)
    below[-1] = 1.0
    won = np.diff(np.concatenate([[0.0], below**n]))
    out = np.zeros(len(score))
    with np.errstate(invalid="ignore"):
        out[order] = np.where(mass[group] > 0.0, base[order] / mass[group] * won[group], 0.0)
    return out / out.sum()


def share_of_best(score: Array, base: Array, q: float) -> Array:
    """The best share q of the base, as a distribution; plans of one score share by the base."""
    order = np.argsort(-score, kind="stable")
    group = np.cumsum(np.r_[0, np.diff(-score[order]) > 1e-12 * float(np.abs(score).max())])
    mass = np.bincount(group, base[order])
    above = np.concatenate([[0.0], np.cumsum(mass)[:-1]])
    kept = np.clip(q - above, 0.0, mass)
    out = np.zeros(len(score))
    with np.errstate(invalid="ignore"):
        out[order] = np.where(mass[group] > 0.0, base[order] / mass[group] * kept[group], 0.0)
    return out / out.sum()


def decide(arrangement: Arrangement, views: Views, human: Human) -> Array:
    """What an arrangement does in an episode, checked.

    Raises:
        InputError: where it is no distribution over the plans.
    """
    n = len(views.shared.base)
    out = np.asarray(arrangement(views, human), dtype=np.float64)
    if out.shape != (n,):
        raise InputError(f"arrangement {name_of(arrangement)!r} returned shape {out.shape}", f"({n},) for {n} plans")
    if not np.isfinite(out).all() or float(out.min()) < -1e-12 or abs(float(out.sum()) - 1.0) > 1e-6:
        raise InputError(
            f"arrangement {name_of(arrangement)!r} returned numbers from {out.min():g} that add up to {out.sum():.6g}",
            "probabilities of the plans, which add up to 1",
        )
    return np.maximum(out, 0.0)


def name_of(arrangement: Arrangement) -> str:
    """The name that an arrangement carries, or that of the function."""
    return str(getattr(arrangement, "name", "") or getattr(arrangement, "__name__", type(arrangement).__name__))


def check_arrangement(arrangement: Any) -> None:
    """Refuse what cannot be an arrangement, before any work.

    Raises:
        InputError: where it cannot be called with two arguments.
    """
    if not callable(arrangement):
        raise InputError(f"an arrangement of type {type(arrangement).__name__}", "a function of (views, human)")
    try:
        inspect.signature(arrangement).bind(None, None)
    except TypeError as error:
        raise InputError(
            f"arrangement {name_of(arrangement)!r} does not take two arguments ({error})",
            "a function of (views, human)",
        ) from error
    except ValueError:  # some built-in functions have no signature to look at; the call itself will tell
        return
