"""A value problem: plans, a prior over value functions, what is acceptable, and the sources about values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pindown.errors import InputError
from pindown.values.plans import Plans
from pindown.values.population import Acceptable, Population, table_of
from pindown.values.priors import Hypotheses, Prior
from pindown.values.source import Source

__all__ = ["Answer", "ValueProblem"]


@dataclass(frozen=True)
class Answer:
    """One recorded answer: the source by name, the question and the answer by their numbers, from 0."""

    source: str
    question: int
    answer: int


class ValueProblem:
    r"""What is to be decided, and what can be asked about it.

    Args:
        plans: the plans, or their features.
        prior: :class:`~pindown.values.priors.Hypotheses`, :class:`~pindown.values.priors.LinearValues`,
            :class:`~pindown.values.priors.SpaceValues`, or a table of values ``(hypotheses, plans)``.
        acceptable: which plans will do under which values: a regret tolerance ``r`` (a plan will do where
            :math:`v(x) \ge \max_y v(y) - r`); a function of the plans' features ``(plans, features)`` and points of the
            prior ``(N, dim)`` to ``(N, plans)``; for hypotheses a table ``(hypotheses, plans)``, sparse where it is
            large, or ``"same"`` where plan i will do for hypothesis i alone.
        sources: the sources, in the order in which the ledger accounts for them.
        success: the probability 1 − δ with which the plan that is chosen has to be acceptable.
        name: a name to carry.

    Raises:
        InputError: for parts that do not fit, two sources of one name, or no plan that is ever acceptable.

    Example:
        >>> from pindown import ValueProblem
        >>> from pindown.values.choice_sources import Comparisons
        >>> from pindown.values.priors import LinearValues
        >>> ValueProblem([[1, 0], [0, 1]], LinearValues(2), acceptable=0.1, sources=[Comparisons(flip=0.1)])
        ValueProblem(2 plans, linear values, Gaussian of scale 1 in 2 dimensions, 1 source)
    """

    def __init__(
        self,
        plans: Plans | Any,
        prior: Prior | Any,
        acceptable: Acceptable,
        sources: Sequence[Source] = (),
        success: float = 0.95,
        *,
        name: str = "",
    ) -> None:
        self.plans = plans if isinstance(plans, Plans) else Plans(plans)
        self.prior: Prior = prior if hasattr(prior, "particles") else Hypotheses(prior)
        if not (isinstance(success, int | float) and 0.0 < success <= 1.0):
            raise InputError(f"success={success!r}", "a probability above 0, at most 1")
        self.success, self.name = float(success), name
        self.rule = table_of(acceptable, self.prior, self.plans)
        self.sources: dict[str, Source] = {}
        for source in [sources] if isinstance(sources, Source) else sources:
            if not isinstance(source, Source):
                raise InputError(f"a source of type {type(source).__name__}", "a source such as Comparisons(…)")
            if source.name in self.sources:
                raise InputError(f"two sources named {source.name!r}", "a name of its own for each", "give name=")
            source.prepare(self.plans)
            self.sources[source.name] = source

    def population(self, seed: int) -> tuple[Population, Any]:
        """The prior as a population with its weights.

        Raises:
            InputError: where no plan is acceptable under any value.
        """
        points, weights = self.prior.particles(seed)
        found = Population(self.prior, self.plans, self.rule, points)
        if not weights.all():
            found, weights = found.take(np.flatnonzero(weights)), weights[weights > 0.0]
        if not found.shares().max() > 0.0:
            raise InputError(
                "no plan is acceptable under any value, so that infinitely many bits would be needed",
                "a plan that some value accepts", "raise the regret tolerance, or add plans",
            )  # fmt: skip
        return found, weights

    def source(self, name: Any) -> Source:
        """A source by its name.

        Raises:
            InputError: where there is none.
        """
        if name not in self.sources:
            raise InputError(f"no source {name!r}", f"one of {', '.join(self.sources) or '(there are none)'}")
        return self.sources[name]

    def answers(self, answers: Any) -> tuple[Answer, ...]:
        """Recorded answers as they are used: checked, in order.

        Args:
            answers: :class:`Answer` objects, or (source, question, answer), or mappings with these keys; questions and
                answers by their numbers from 0, answers also by their text.

        Raises:
            InputError: for one that does not fit; its place is named.
        """
        return tuple(self._answer(a, i) for i, a in enumerate(answers or ()))

    def _answer(self, given: Any, i: int) -> Answer:
        if isinstance(given, Answer):
            name, question, answer = given.source, given.question, given.answer
        elif isinstance(given, Mapping):
            if set(given) != {"source", "question", "answer"}:
                raise InputError(f"answer {i + 1} has the keys {sorted(map(str, given))}", "source, question, answer")
            name, question, answer = given["source"], given["question"], given["answer"]
        else:
            try:
                name, question, answer = given
            except (TypeError, ValueError):
                raise InputError(f"answer {i + 1} is {given!r}", "(source, question, answer)") from None
        source = self.source(name)
        q = _number(question, source.questions, f"question of answer {i + 1}")
        if isinstance(answer, str):
            texts = list(source.answer_texts(q, self.plans))
            if answer not in texts:
                raise InputError(f"answer {i + 1} is {answer!r}", f"one of {', '.join(texts[:8])}")
            return Answer(source.name, q, texts.index(answer))
        return Answer(source.name, q, _number(answer, source.outcomes, f"answer {i + 1}"))

    def __repr__(self) -> str:
        n = len(self.sources)
        return f"ValueProblem({self.plans.reference}, {self.prior.reference}, {n} source{'s' * (n != 1)})"


def _number(x: Any, n: int, what: str) -> int:
    if isinstance(x, bool) or not isinstance(x, int | np.integer) or not 0 <= int(x) < n:
        raise InputError(f"{what} is {x!r}", f"a number from 0 to {n - 1}")
    return int(x)
