"""Sources that tell something of one plan or of the value itself: labels, ratings, and any channel given as chances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from pindown.errors import InputError
from pindown.spaces.base import check_count
from pindown.values.plans import Plans
from pindown.values.population import Population
from pindown.values.source import Source, check_range, check_table

__all__ = ["Channel", "Labels", "Ratings"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


class _AboutPlans(Source):
    """One question a plan."""

    def __init__(self, plans: Any, name: str, price: float, outcomes: int, noise: str) -> None:
        self._asked = None if plans is None else list(plans)
        super().__init__(name, price, 1 if self._asked is None else len(self._asked), outcomes, noise)
        self.about: IntArray = np.zeros(0, dtype=np.int64)

    def prepare(self, plans: Plans) -> None:
        asked = range(len(plans)) if self._asked is None else self._asked
        where = f"a question of source {self.name!r}"
        self.about = np.array([plans.number(x, where) for x in asked], dtype=np.int64)
        self.questions = len(self.about)


class Labels(_AboutPlans):
    """Labels: whether a plan is acceptable, wrong with probability ``flip``.

    Args:
        plans: the plans that can be asked about; by default all.
        flip: probability of the wrong label.
        price: of one answer.
        name: of the source.
    """

    kind: ClassVar[str] = "labels"

    def __init__(self, plans: Any = None, *, flip: float = 0.0, price: float = 1.0, name: str = "") -> None:
        if not (isinstance(flip, int | float) and 0.0 <= flip <= 1.0):
            raise InputError(f"flip {flip!r} of labels", "a probability")
        super().__init__(plans, name, price, 2, f"flips {flip:.3g}" if flip else "noiseless")
        self.flip = float(flip)

    def log_chances(self, population: Population, questions: IntArray) -> Array:
        yes = population.acceptable_of(self.about[questions])
        p = np.where(yes, 1.0 - self.flip, self.flip)
        with np.errstate(divide="ignore"):
            return np.log(np.stack([1.0 - p, p], axis=-1))

    def question_text(self, question: int, plans: Plans) -> str:
        return f"Is {plans.names[self.about[question]]} acceptable?"

    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        return "no", "yes"


class Ratings(_AboutPlans):
    r"""Numerical ratings on a scale of ``levels`` steps: the value plus normal noise, rounded to the nearest step.

    :math:`p(k \mid v) = \Phi((e_{k+1} - v)/\sigma) - \Phi((e_k - v)/\sigma)`, with the outer edges at ±∞, so that the
    chances add up to 1.

    Args:
        sd: standard deviation σ of the noise, above 0.
        low: value of the lowest step.
        high: value of the highest step.
        levels: how many steps.
        plans: as for labels.
        price: of one answer.
        name: of the source.
    """

    kind: ClassVar[str] = "ratings"

    def __init__(
        self,
        sd: float,
        *,
        low: float,
        high: float,
        levels: int = 5,
        plans: Any = None,
        price: float = 1.0,
        name: str = "",
    ) -> None:
        if not (isinstance(sd, int | float) and 0.0 < sd < math.inf):
            raise InputError(f"a standard deviation of {sd!r}", "a number above 0")
        if not low < high:
            raise InputError(f"ratings from {low} to {high}", "a lowest below a highest value")
        n = check_count(levels, "levels", 2)
        super().__init__(plans, name, price, n, f"noise of standard deviation {sd:g}")
        self.sd, self.steps = float(sd), np.linspace(low, high, n)
        self.edges = np.concatenate([[-np.inf], (self.steps[1:] + self.steps[:-1]) / 2, [np.inf]])

    def log_chances(self, population: Population, questions: IntArray) -> Array:
        v = population.values(self.about[questions])
        z = (self.edges - v[..., None]) / self.sd
        # By the nearer tail, so that chances far from the value keep their digits.
        lower, upper = z[..., :-1], z[..., 1:]
        p = np.where(lower > 0, ndtr(-lower) - ndtr(-upper), ndtr(upper) - ndtr(lower))
        return np.log(np.maximum(p, np.finfo(np.float64).tiny))

    def question_text(self, question: int, plans: Plans) -> str:
        return f"How good is {plans.names[self.about[question]]}?"

    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        return [f"{s:g}" for s in self.steps]


class Channel(Source):
    """Any source: the chances of its answers given the value.

    Args:
        chances: ``(hypotheses, questions, answers)``, or with two axes the chances of "yes"; or a function of points
            ``(N, dim)`` (for hypotheses their numbers) and question numbers ``(q,)`` to ``(N, q, answers)``.
        questions: how many there are; needed where ``chances`` is a function.
        outcomes: how many answers a question has; needed where ``chances`` is a function.
        question_names: to ask by.
        answer_names: to ask by.
        price: of one answer.
        name: of the source.
        noise: in words.

    Raises:
        DataError: where a chance is above 1 or negative, or those of a question do not add up to 1.

    Example:
        >>> from pindown.values.reading_sources import Channel
        >>> Channel([[0.9], [0.1]], name="test").outcomes
        2
    """

    kind: ClassVar[str] = "channel"

    def __init__(
        self,
        chances: Any,
        *,
        questions: int | None = None,
        outcomes: int | None = None,
        question_names: Sequence[str] | None = None,
        answer_names: Sequence[str] | None = None,
        price: float = 1.0,
        name: str = "",
        noise: str = "as given",
    ) -> None:
        self.table: Array | None = None
        self.function: Callable[[Array, IntArray], Any] | None = None
        label = name or self.kind
        if callable(chances):
            if questions is None or outcomes is None:
                raise InputError("a channel as a function without its sizes", "questions= and outcomes=")
            self.function = chances
            sizes = check_count(questions, "questions"), check_count(outcomes, "outcomes", 2)
        else:
            table = np.array(chances, dtype=np.float64)
            if table.ndim == 2:
                check_range(table[:, :, None], label)
                table = np.stack([1.0 - table, table], axis=-1)
            if table.ndim != 3 or 0 in table.shape:
                raise InputError(f"chances of shape {table.shape}", "(hypotheses, questions, answers)")
            check_table(table, label)
            self.table, sizes = table, (table.shape[1], table.shape[2])
        super().__init__(label, price, *sizes, noise)
        self.question_names = tuple(map(str, question_names or ()))
        default = ("no", "yes") if self.outcomes == 2 else tuple(str(i + 1) for i in range(self.outcomes))
        self.answer_names = tuple(map(str, answer_names)) if answer_names is not None else default
        if len(self.answer_names) != self.outcomes or len(self.question_names) not in (0, self.questions):
            raise InputError(f"names that do not fit source {label!r}", "one a question, one an answer")

    def log_chances(self, population: Population, questions: IntArray) -> Array:
        if self.table is not None:
            rows = population.points[:, 0].astype(np.int64)
            if rows.max() >= len(self.table):
                raise InputError(
                    f"chances for {len(self.table)} hypotheses in source {self.name!r}", "one row for each"
                )
            p = self.table[np.ix_(rows, questions)]
        else:
            assert self.function is not None
            p = np.asarray(self.function(population.points, questions), dtype=np.float64)
            wanted = (len(population), len(questions), self.outcomes)
            if p.shape != wanted:
                raise InputError(f"source {self.name!r} returned chances of shape {p.shape}", str(wanted))
            check_table(p, self.name)
        with np.errstate(divide="ignore"):
            return np.log(p)

    def question_text(self, question: int, plans: Plans) -> str:
        return self.question_names[question] if self.question_names else f"Question {question + 1} of {self.name}?"

    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        return self.answer_names
