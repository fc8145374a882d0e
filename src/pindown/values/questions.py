r"""Which question is worth most: by total information, and by information about the decision.

For a question with answers :math:`A` the total information is :math:`I(V; A) = H(A) - E_v H(A \mid v)` (Lindley 1956;
Houlsby et al. 2011), that about the decision :math:`I(D; A) = H(A) - \sum_d P(d) H(A \mid d)` with :math:`D` the best
plan. The second is at most the first. A batch is chosen greedily by joint information, which is within 1 − 1/e of the
best batch since answers are independent given the value (Krause and Guestrin 2005), or as the best of all batches
where there are few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from pindown.errors import InputError
from pindown.estimate import Estimate, bits
from pindown.spaces.base import check_count
from pindown.values.belief import Belief
from pindown.values.population import Population
from pindown.values.problem import ValueProblem
from pindown.values.source import Source

__all__ = ["Criterion", "Question", "Scores", "best_batch", "best_question", "score_source"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Criterion = Literal["total", "decision"]
_BLOCK = 4_000_000
_MOST_BATCHES, _MOST_PATTERNS = 500, 4096
_TIES = 1e-9


@dataclass(frozen=True)
class Question:
    """A question that is worth asking.

    Attributes:
        source, question: whom to ask what, by name and number.
        text, answers: in words.
        total, decision: expected bits about the value, and about the decision.
        price: of the answer.
        by: the criterion by which it was chosen, per price.
    """

    source: str
    question: int
    text: str
    answers: tuple[str, ...]
    total: Estimate
    decision: Estimate
    price: float
    by: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **self.__dict__, "answers": list(self.answers), "total": self.total.to_dict(),
            "decision": self.decision.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Question:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            str(record["source"]), int(record["question"]), str(record["text"]), tuple(map(str, record["answers"])),
            Estimate.from_dict(record["total"]), Estimate.from_dict(record["decision"]), float(record["price"]),
            str(record["by"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Expected bits of every question of a source: about the value, and about the decision."""

    total: Array
    decision: Array


def score_source(population: Population, weights: Array, source: Source) -> Scores:
    """Both kinds of information for every question of a source, in bits.

    Args:
        population: the particles.
        weights: theirs, adding up to 1.
        source: whom to ask.
    """
    n = len(population)
    decision = population.decisions()
    order = np.argsort(decision, kind="stable")
    ordered = decision[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    mass = np.add.reduceat(weights[order], starts)
    value, code = population.labels()
    group = _labelled(value) if value is not None and code is not None else None
    out: list[tuple[Array, Array]] = []
    step = max(1, _BLOCK // (n * source.outcomes))
    for start in range(0, source.questions, step):
        which = np.arange(start, min(source.questions, start + step))
        log_p = source.log_chances(population, which)
        flat = np.exp(log_p).reshape(n, -1)
        shape = (len(which), source.outcomes)
        mean = _entropy((weights @ flat).reshape(shape))
        if group is None:
            # −Σ p ln p with the logarithms that are there already; where p is 0 the term is.
            own = -np.where(np.isneginf(log_p), 0.0, log_p).reshape(n, -1)
            own *= flat
            inner = (weights @ own).reshape(shape).sum(axis=-1)
        else:
            inner = _conditional(flat, weights, *group, shape)
        weighted = (weights[:, None] * flat)[order]
        by_plan = np.add.reduceat(weighted, starts, axis=0) / np.maximum(mass, 1e-300)[:, None]
        about = mean - mass @ _entropy(by_plan.reshape(len(starts), *shape))
        out.append((mean - inner, about))
    total = np.maximum(np.concatenate([a for a, _ in out]), 0.0)
    about = np.maximum(np.concatenate([b for _, b in out]), 0.0)
    return Scores(total / math.log(2.0), about / math.log(2.0))


def best_question(
    belief: Belief, by: Criterion = "decision", asked: set[tuple[str, int]] | None = None
) -> Question | None:  # fmt: skip
    """The question worth most per price; of those worth the same by the decision, the one with most information.

    Args:
        belief: what is believed now.
        by: ``"decision"`` or ``"total"``.
        asked: questions that are not asked again, such as to a noiseless source.

    Returns:
        The question; None where none tells anything.

    Raises:
        InputError: for a problem without sources.
    """
    check_criterion(by)
    best: tuple[float, float, str, int, Scores] | None = None
    for name, source in belief.problem.sources.items():
        scores = score_source(belief.population, belief.weights, source)
        main = scores.decision if by == "decision" else scores.total
        worth = main / source.price
        if asked:
            for q in range(source.questions):
                if (name, q) in asked:
                    worth[q] = -1.0
        top = float(worth.max())
        near = np.flatnonzero(worth >= top - _TIES)
        q = int(near[scores.total[near].argmax()])
        found = (top, float(scores.total[q]) / source.price, name, q, scores)
        if best is None or found[:2] > best[:2]:
            best = found
    if best is None:
        raise InputError("a problem without sources", "at least one source to ask")
    worth_it, _, name, q, scores = best
    if worth_it < 0.0 or float(scores.total[q]) <= _TIES:
        return None
    return describe(belief.problem, belief, name, q, float(scores.total[q]), float(scores.decision[q]), by)


def describe(
    problem: ValueProblem, belief: Belief, name: str, q: int, total: float, decision: float, by: str
) -> Question:
    """A question with its figures; particles give them the error of the effective sample."""
    source = problem.sources[name]
    finite = problem.prior.finite
    stderr = 0.0 if finite else bits(1.0) / math.sqrt(belief.effective_size) * math.sqrt(max(total, 1e-12))
    kind = "exact" if finite else "estimate"
    reference = problem.prior.reference

    def bits_of(x: float) -> Estimate:
        return Estimate(x, stderr, "bits", kind, reference=reference)

    return Question(
        name, q, source.question_text(q, problem.plans), tuple(source.answer_texts(q, problem.plans)), bits_of(total),
        bits_of(decision), source.price, by,
    )  # fmt: skip


def best_batch(belief: Belief, size: int, by: Criterion = "decision") -> list[Question]:
    """Questions to ask at once, by what their answers tell together per price.

    Args:
        belief: what is believed now.
        size: how many.
        by: ``"decision"`` or ``"total"``.

    Raises:
        InputError: where the answers have more than 4096 patterns together.
    """
    check_criterion(by)
    size = check_count(size, "size")
    every = [(name, q) for name, s in belief.problem.sources.items() for q in range(s.questions)]
    if not every:
        raise InputError("a problem without sources", "at least one source to ask")
    size = min(size, len(every))
    most = max(s.outcomes for s in belief.problem.sources.values()) ** size
    if most > _MOST_PATTERNS:
        raise InputError(f"a batch of {size} questions with {most} patterns of answers", f"at most {_MOST_PATTERNS}")
    prices = [belief.problem.sources[name].price for name, _ in every]
    if math.comb(len(every), size) <= _MOST_BATCHES:
        batches = list(combinations(range(len(every)), size))
        worth = [_joint(belief, [every[i] for i in b], by) / sum(prices[i] for i in b) for b in batches]
        chosen = list(batches[int(np.argmax(worth))])
    else:
        chosen = _greedy(belief, every, prices, size, by)
    out: list[Question] = []
    for i in chosen:
        name, q = every[i]
        source = belief.problem.sources[name]
        scores = score_source(belief.population, belief.weights, source)
        out.append(describe(belief.problem, belief, name, q, scores.total[q], scores.decision[q], by))
    return out


def _greedy(
    belief: Belief, every: Sequence[tuple[str, int]], prices: Sequence[float], size: int, by: Criterion
) -> list[int]:  # fmt: skip
    """Add what adds most per price; what a question adds only falls, so that most need not be looked at again."""
    bound = np.concatenate(
        [
            (s.decision if by == "decision" else s.total) / source.price
            for source in belief.problem.sources.values()
            for s in [score_source(belief.population, belief.weights, source)]
        ]
    )
    chosen: list[int] = []
    now = 0.0
    for _ in range(size):
        if by == "decision":  # information about the decision is not submodular: nothing bounds what is not looked at
            gains = bound.copy()
            for i in np.argsort(-bound)[: max(64, size)]:
                gains[i] = (_joint(belief, [every[j] for j in [*chosen, int(i)]], by) - now) / prices[i]
            rest = np.argsort(-bound)[max(64, size) :]
            gains[rest] = -1.0
            gains[chosen] = -2.0
            best = int(gains.argmax())
        else:
            best = _lazy(belief, every, prices, chosen, now, bound)
        chosen.append(best)
        bound[best] = -1.0
        now = _joint(belief, [every[j] for j in chosen], by)
    return chosen


def _lazy(
    belief: Belief, every: Sequence[tuple[str, int]], prices: Sequence[float], chosen: list[int], now: float,
    bound: Array,
) -> int:  # fmt: skip
    fresh: set[int] = set()
    while True:
        top = int(bound.argmax())
        if top in fresh:
            return top
        bound[top] = (_joint(belief, [every[j] for j in [*chosen, top]], "total") - now) / prices[top]
        fresh.add(top)


def _joint(belief: Belief, batch: Sequence[tuple[str, int]], by: Criterion) -> float:
    """Bits that the answers to a batch tell together."""
    n = len(belief.population)
    joint = np.ones((n, 1))
    inner = np.zeros(n)
    for name, q in batch:
        p = np.exp(belief.problem.sources[name].log_chances(belief.population, np.array([q])))[:, 0]
        inner += -xlogy(p, p).sum(axis=1)
        joint = (joint[:, :, None] * p[:, None, :]).reshape(n, -1)
    w = belief.weights
    whole = float(_entropy(w @ joint))
    if by == "total":
        return bits(whole - float(w @ inner))
    decision = belief.population.decisions()
    groups = np.unique(decision, return_inverse=True)[1].ravel()
    mass = np.bincount(groups, w)
    sums = np.zeros((len(mass), joint.shape[1]))
    np.add.at(sums, groups, w[:, None] * joint)
    about = float(mass @ _entropy(sums / np.maximum(mass, 1e-300)[:, None]))
    return bits(whole - about)


def check_criterion(by: Any) -> None:
    """Refuse what is no criterion."""
    if by not in ("decision", "total"):
        raise InputError(f"by={by!r}", "'decision' or 'total'")


def _entropy(p: Array) -> Array:
    """Nats of distributions over the last axis."""
    return -xlogy(p, p).sum(axis=-1)


def _labelled(labels: IntArray) -> tuple[IntArray, IntArray]:
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    return order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _conditional(flat: Array, weights: Array, order: IntArray, starts: IntArray, shape: tuple[int, int]) -> Array:
    """H(answer | value) where the encoding is unknown."""
    mass = np.add.reduceat(weights[order], starts)
    mean = np.add.reduceat((weights[:, None] * flat)[order], starts, axis=0) / np.maximum(mass, 1e-300)[:, None]
    return mass @ _entropy(mean.reshape(len(starts), *shape))
