"""What every source of information about values has: questions, answers with chances, a price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pindown.errors import DataError, InputError
from pindown.values.plans import Plans
from pindown.values.population import Population

__all__ = ["Source", "check_range", "check_table"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Source(ABC):
    r"""One source: given a value, each question has answers with chances :math:`p(a \mid v, q)` that add up to 1.

    Answers to different questions are independent given the value (and the encoding, where that is unknown).

    Attributes:
        kind: the kind in words.
        name: its name, unique in a problem.
        price: what one answer costs, in any unit; above 0.
        questions: how many different questions can be asked.
        outcomes: how many answers each question has.
        noise: its noise in words.
    """

    kind: ClassVar[str] = "source"

    def __init__(self, name: str, price: float, questions: int, outcomes: int, noise: str) -> None:
        self.name = name or self.kind
        if not (isinstance(price, int | float) and 0.0 < price < float("inf")):
            raise InputError(f"a price of {price!r} for source {self.name!r}", "a number above 0")
        if questions < 1:
            raise InputError(f"source {self.name!r} without questions", "at least one")
        self.price, self.questions, self.outcomes, self.noise = float(price), int(questions), int(outcomes), noise

    def prepare(self, plans: Plans) -> None:
        """Resolve names of plans, and refuse those that do not exist; called once by the problem."""
        return

    @abstractmethod
    def log_chances(self, population: Population, questions: IntArray) -> Array:
        r"""``(N, questions, answers)``: :math:`\ln p(a \mid v, q)` in nats, −∞ for what cannot happen."""

    @abstractmethod
    def question_text(self, question: int, plans: Plans) -> str:
        """A question as one asks it."""

    @abstractmethod
    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        """What can be answered, in the order of the answers' numbers."""

    def __len__(self) -> int:
        return self.questions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.questions} questions, {self.noise}, price {self.price:g})"


def check_range(chances: Array, name: str) -> None:
    """Refuse chances outside 0 to 1, ``(N, questions, answers)``.

    Raises:
        DataError: the first such place is named.
    """
    bad = np.argwhere(~np.isfinite(chances) | (chances < 0.0) | (chances > 1.0 + 1e-9))
    if len(bad):
        n, q, a = (int(k) for k in bad[0])
        raise DataError(
            f"source {name!r}: the likelihood of answer {a + 1} to question {q + 1} under value {n + 1} is "
            f"{chances[n, q, a]:g}", "a number from 0 to 1",
        )  # fmt: skip


def check_table(chances: Array, name: str) -> None:
    """Refuse chances that are none: outside 0 to 1, or that do not add up to 1 over the answers.

    Raises:
        DataError: the first such place is named.
    """
    check_range(chances, name)
    total = chances.sum(axis=-1)
    off = np.argwhere(np.abs(total - 1.0) > 1e-6)
    if len(off):
        n, q = (int(k) for k in off[0])
        raise DataError(
            f"source {name!r}: the likelihoods of the answers to question {q + 1} under value {n + 1} add up to "
            f"{total[n, q]:.6g}", "1",
        )  # fmt: skip
