r"""Sources in which somebody chooses among plans, by one model of choice.

With rationality :math:`\beta` an option of value :math:`v_a` is chosen with probability :math:`p_a \propto b_a
e^{\beta v_a}` (Luce 1959; Bradley and Terry 1952 for pairs), with :math:`b` the base measure of demonstrations and
the effort of corrections; β = ∞ chooses the best. With a flip rate :math:`\varepsilon` the answer that is given is
another one with probability ε, each other equally likely: :math:`(1-\varepsilon) p_a + \varepsilon (1-p_a)/(A-1)`.
All are choices that reveal what was chosen from (Jeon, Milli and Dragan 2020, Reward-rational implicit choice).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pindown.errors import InputError
from pindown.values.plans import Plans
from pindown.values.population import Population
from pindown.values.source import Source

__all__ = ["Comparisons", "Corrections", "Demonstrations", "ProxyRewards", "Slates"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


class _Choices(Source):
    """A choice among options, which are plans."""

    def __init__(
        self, name: str, price: float, options: Any, rationality: float, flip: float, *, outcomes: int, questions: int
    ) -> None:
        if not (isinstance(rationality, int | float) and rationality >= 0):
            raise InputError(f"rationality {rationality!r} of {name or self.kind}", "a number of 0 or more, or inf")
        if not (isinstance(flip, int | float) and 0.0 <= flip <= 1.0):
            raise InputError(f"flip {flip!r} of {name or self.kind}", "a probability")
        noise: list[str] = [] if math.isinf(rationality) else [f"rationality {rationality:g}"]
        noise += [f"flips {flip:.3g}"] if flip else []
        super().__init__(name, price, questions, outcomes, ", ".join(noise) or "noiseless")
        self.rationality, self.flip = float(rationality), float(flip)
        self._asked = options
        self.options: IntArray = np.zeros((0, outcomes), dtype=np.int64)

    def prepare(self, plans: Plans) -> None:
        rows = [
            [plans.number(x, f"question {i + 1} of source {self.name!r}") for x in row]
            for i, row in enumerate(self._asked)
        ]
        for i, row in enumerate(rows):
            if len(set(row)) != len(row):
                raise InputError(f"question {i + 1} of source {self.name!r} has a plan twice", "different plans")
        self.options = np.array(rows, dtype=np.int64)

    def tilt(self, plans: Plans, questions: IntArray) -> Array | None:
        """What is added to β times the values, ``(questions, answers)`` in nats."""
        return None

    def log_chances(self, population: Population, questions: IntArray) -> Array:
        options = self.options[questions]
        plans, place = np.unique(options, return_inverse=True)
        v = population.values(plans)[:, place.reshape(options.shape)]
        tilt = self.tilt(population.plans, questions)
        if math.isinf(self.rationality):
            if tilt is not None:  # what the base measure excludes is never chosen
                v = np.where(np.isfinite(tilt), v, -np.inf)
            best = v >= v.max(axis=-1, keepdims=True)
            with np.errstate(divide="ignore"):
                out = np.log(best / best.sum(axis=-1, keepdims=True))
        elif options.shape[1] == 2 and tilt is None:
            gap = self.rationality * (v[..., 0] - v[..., 1])
            out = -np.logaddexp(0.0, np.stack([-gap, gap], axis=-1))
        else:
            scores = self.rationality * v + (0.0 if tilt is None else tilt)
            out = scores - logsumexp(scores, axis=-1, keepdims=True)
        if self.flip == 0.0:
            return out
        p = np.exp(out)
        with np.errstate(divide="ignore"):
            return np.log((1.0 - self.flip) * p + self.flip * (1.0 - p) / (self.outcomes - 1))

    def question_text(self, question: int, plans: Plans) -> str:
        names = [plans.names[k] for k in self.options[question]]
        return f"Which is best: {', '.join(names[:-1])} or {names[-1]}?"

    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        return [plans.names[k] for k in self.options[question]]


class Comparisons(_Choices):
    """Pairwise comparisons: which of two plans is better.

    Args:
        pairs: ``(questions, 2)`` numbers or names of plans; by default every pair.
        rationality: β above; ``inf`` always answers with the better one.
        flip: probability that the answer is turned round.
        price: of one answer.
        name: of the source.

    Example:
        >>> from pindown.values.choice_sources import Comparisons
        >>> Comparisons([[0, 1]], flip=0.1, name="crowd")
        Comparisons('crowd', 1 questions, flips 0.1, price 1)
    """

    kind: ClassVar[str] = "comparisons"

    def __init__(
        self, pairs: Any = None, *, rationality: float = math.inf, flip: float = 0.0, price: float = 1.0, name: str = ""
    ) -> None:
        rows = None if pairs is None else _rows(pairs, "pairs", 2)
        super().__init__(name, price, rows, rationality, flip, outcomes=2, questions=1 if rows is None else len(rows))

    def prepare(self, plans: Plans) -> None:
        if self._asked is None:
            if len(plans) < 2:
                raise InputError(f"comparisons among {len(plans)} plan", "at least two plans")
            self._asked = list(combinations(range(len(plans)), 2))
            self.questions = len(self._asked)
        super().prepare(plans)

    def question_text(self, question: int, plans: Plans) -> str:
        a, b = (plans.names[k] for k in self.options[question])
        return f"Which is better: {a} or {b}?"


class Slates(_Choices):
    """Choices of the best from slates of several plans, all slates of one length; arguments as for comparisons."""

    kind: ClassVar[str] = "slates"

    def __init__(
        self, slates: Any, *, rationality: float = math.inf, flip: float = 0.0, price: float = 1.0, name: str = ""
    ) -> None:
        rows = _rows(slates, "slates", None)
        super().__init__(name, price, rows, rationality, flip, outcomes=len(rows[0]), questions=len(rows))


class Demonstrations(_Choices):
    """Demonstrations: a plan drawn with probability ∝ base measure · e^(β value) (Ziebart et al. 2008).

    Args:
        times: how many are given.
        rationality: β; ``inf`` always shows a best plan.
        flip: probability that another plan is shown instead.
        price: of one demonstration.
        name: of the source.
    """

    kind: ClassVar[str] = "demonstrations"

    def __init__(
        self, times: int = 1, *, rationality: float = 1.0, flip: float = 0.0, price: float = 1.0, name: str = ""
    ) -> None:
        super().__init__(name, price, None, rationality, flip, outcomes=2, questions=times)

    def prepare(self, plans: Plans) -> None:
        self.outcomes = len(plans)
        if self.outcomes < 2:
            raise InputError("demonstrations with one plan", "at least two plans")
        self.options = np.broadcast_to(np.arange(len(plans)), (self.questions, len(plans)))

    def tilt(self, plans: Plans, questions: IntArray) -> Array | None:
        with np.errstate(divide="ignore"):
            base = np.log(plans.weights)
        return np.broadcast_to(base, (len(questions), len(base)))

    def question_text(self, question: int, plans: Plans) -> str:
        return "Which plan would you carry out?"


class Corrections(_Choices):
    """Corrections: a plan is shown, and may be left or changed into a neighbour at an effort (Bajcsy et al. 2017).

    Args:
        shown: ``(questions, k)``: the plan that is shown, and what it can be changed into.
        effort: nats that a change costs for each unit of squared distance between features.
        rationality: β, as for comparisons.
        flip: as for comparisons.
        price: of one answer.
        name: of the source.
    """

    kind: ClassVar[str] = "corrections"

    def __init__(
        self,
        shown: Any,
        *,
        effort: float = 0.0,
        rationality: float = 1.0,
        flip: float = 0.0,
        price: float = 1.0,
        name: str = "",
    ) -> None:
        rows = _rows(shown, "corrections", None)
        super().__init__(name, price, rows, rationality, flip, outcomes=len(rows[0]), questions=len(rows))
        if not (isinstance(effort, int | float) and 0.0 <= effort < math.inf):
            raise InputError(f"effort {effort!r}", "a finite number of 0 or more")
        self.effort = float(effort)

    def tilt(self, plans: Plans, questions: IntArray) -> Array | None:
        if self.effort == 0.0:
            return None
        options = plans.features[self.options[questions]]
        return -self.effort * np.square(options - options[:, :1]).sum(axis=-1)

    def question_text(self, question: int, plans: Plans) -> str:
        shown, *others = (plans.names[k] for k in self.options[question])
        return f"Would you leave {shown}, or change it into {' or '.join(others)}?"


class ProxyRewards(_Choices):
    """A proxy reward that a designer wrote down, chosen among candidates for what it leads to.

    The designer picks proxy k with probability ∝ e^(β v(x_k)), x_k being the plan that is best by proxy k
    (Hadfield-Menell et al. 2017, Inverse reward design, eq. 1). Several proxies can lead to one plan.

    Args:
        proxies: ``(candidates, plans)``: what each candidate gives each plan.
        names: of the candidates.
        rationality: β, as for comparisons.
        flip: as for comparisons.
        price: of one answer.
        name: of the source.
    """

    kind: ClassVar[str] = "proxy rewards"

    def __init__(
        self,
        proxies: Any,
        *,
        names: Sequence[str] | None = None,
        rationality: float = 1.0,
        flip: float = 0.0,
        price: float = 1.0,
        name: str = "",
    ) -> None:
        self.proxies: Array = np.array(proxies, dtype=np.float64)
        if self.proxies.ndim != 2 or len(self.proxies) < 2 or not np.isfinite(self.proxies).all():
            raise InputError(
                f"proxies of shape {self.proxies.shape}", "finite numbers, (candidates, plans), at least 2"
            )
        k = len(self.proxies)
        self.proxy_names = tuple(map(str, names)) if names is not None else tuple(f"proxy {i + 1}" for i in range(k))
        super().__init__(name, price, None, rationality, flip, outcomes=k, questions=1)

    def prepare(self, plans: Plans) -> None:
        if self.proxies.shape[1] != len(plans):
            raise InputError(f"proxies of {self.proxies.shape[1]} plans", f"one number for each of {len(plans)} plans")
        self.options = self.proxies.argmax(axis=1)[None, :]

    def question_text(self, question: int, plans: Plans) -> str:
        return "Which reward function would you write down?"

    def answer_texts(self, question: int, plans: Plans) -> Sequence[str]:
        return self.proxy_names


def _rows(rows: Any, what: str, length: int | None) -> list[list[Any]]:
    try:
        out = [list(row) for row in rows]
    except TypeError as error:
        raise InputError(f"{what} that are no table ({error})", "one row of plans a question") from error
    if not out:
        raise InputError(f"no {what}", "at least one question")
    wanted = length or len(out[0])
    for i, row in enumerate(out):
        if len(row) != wanted or len(row) < 2:
            raise InputError(f"row {i + 1} of {what} has {len(row)} plans", f"{max(wanted, 2)}")
    return out
