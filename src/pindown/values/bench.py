r"""Episodes on which arrangements are compared: a value, its transcript of answers, and the posterior at each amount.

A value is drawn from the prior and answers questions, drawn without replacement as long as there are any left; each
level is the posterior after so many answers. All arrangements see the same episodes. Where answers were recorded, they
are the transcript, and the values are drawn from the posterior after all of them.

*Measured information* is the relative entropy of the posterior from the prior, whose mean over transcripts is
:math:`I(V; Y)`. *Optimisation bits* of a plan are :math:`-\log_2` of the share of the base measure that is at least as
good under the true value (Yudkowsky 2008, Measuring optimization power).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri, stdtrit

from pindown.errors import InputError
from pindown.rng import child_seed
from pindown.stats import kish_size
from pindown.values.priors import Hypotheses
from pindown.values.problem import Answer, ValueProblem
from pindown.values.views import View

__all__ = ["Bench", "Settings", "surprisal"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_CELLS, _BLOCK, _MOST_KEPT = 20_000_000, 4_000_000, 20_000_000
_TRUTH, _TRANSCRIPT, _ERROR = 51, 52, 53
_TIE = 1e-12


@dataclass(frozen=True)
class Settings:
    """How episodes are made.

    Attributes:
        levels: numbers of answers.
        members: of committees.
        sharing: share of the answers that reach every member.
        error: scale of the error in what members take plans to be worth, in standard deviations of the values.
        tail: degrees of freedom of Student's t of that error; infinite for a normal one.
    """

    levels: tuple[int, ...]
    members: int
    sharing: float = 0.0
    error: float = 0.0
    tail: float = math.inf


class Bench:
    """A problem ready to have episodes drawn.

    Args:
        problem: what is to be decided.
        answers: the recorded transcript; empty where transcripts are to be drawn.
        seed: everything random follows from it.

    Raises:
        InputError: where values times plans are too many to hold.
    """

    def __init__(self, problem: ValueProblem, answers: Sequence[Answer], seed: int) -> None:
        self.problem, self.answers, self.seed = problem, tuple(answers), seed
        self.population, self.prior = problem.population(seed)
        if len(self.population) * len(problem.plans) > _MOST_CELLS:
            raise InputError(
                f"{len(self.population):,} values of {len(problem.plans):,} plans",
                f"at most {_MOST_CELLS:,} cells", "take fewer particles, hypotheses or plans",
            )  # fmt: skip
        table = self.population.acceptable()
        self.accepted: Array = np.asarray(table if isinstance(table, np.ndarray) else table.toarray(), dtype=np.float64)
        without = isinstance(problem.prior, Hypotheses) and problem.prior.table is None
        self.values: Array = self.accepted if without else self.population.values()
        self.base = problem.plans.weights
        self.spread = float(np.sqrt(self.prior @ self.values.var(axis=1)))
        labels, _ = self.population.labels()
        self.labels = labels
        self.pool = [(name, q) for name, s in problem.sources.items() for q in range(s.questions)]
        self._kept: dict[tuple[str, int], Array] = {}
        self._room = _MOST_KEPT
        self.truth = self.prior
        if self.answers:
            joint = self.log_prior() + sum(self._log_chance(a) for a in self.answers)
            top = float(logsumexp(joint))
            if not math.isfinite(top):
                raise InputError("recorded answers that no value agrees with", "answers that some value gives")
            self.truth = np.exp(joint - top)

    @property
    def truth_size(self) -> float:
        """Effective sample size of the values that episodes are drawn from."""
        with np.errstate(divide="ignore"):
            return kish_size(np.log(self.truth))

    def rows(self, episodes: Sequence[int]) -> IntArray:
        """The true value of each episode, by its number in the population."""
        edges = np.cumsum(self.truth)
        u = [np.random.default_rng(child_seed(self.seed, _TRUTH, e)).random() for e in episodes]
        found = np.searchsorted(edges, np.array(u) * edges[-1], side="right")
        last = int(np.flatnonzero(self.truth)[-1])
        return np.minimum(found, last).astype(np.int64)

    def transcripts(self, episodes: Sequence[int], rows: IntArray, length: int) -> list[list[Answer]]:
        """The answers of each episode, in order."""
        if self.answers:
            return [list(self.answers[:length])] * len(episodes)
        out: list[list[Answer]] = []
        asked: list[tuple[list[tuple[str, int]], Array]] = []
        for e in episodes:
            rng = np.random.default_rng(child_seed(self.seed, _TRANSCRIPT, e))
            order: list[int] = []
            while len(order) < length:
                order += rng.permutation(len(self.pool)).tolist()
            coins = np.random.default_rng(child_seed(self.seed, _TRANSCRIPT, e, 1))  # so that longer ones begin alike
            asked.append(([self.pool[k] for k in order[:length]], coins.random(length)))
        needed = sorted({q for questions, _ in asked for q in questions})
        known = self._tables(needed, rows)
        for i, (questions, coins) in enumerate(asked):
            told: list[Answer] = []
            for (name, q), u in zip(questions, coins, strict=True):
                edges = np.cumsum(np.exp(known[name, q][:, i]))
                told.append(Answer(name, q, min(int(np.searchsorted(edges, u * edges[-1], "right")), len(edges) - 1)))
            out.append(told)
        return out

    def likelihoods(self, transcripts: Sequence[Sequence[Answer]], start: int, stop: int) -> list[list[Array]]:
        """For each episode ln p(answer | value) ``(N,)`` of its answers from ``start`` to ``stop``."""
        wanted = sorted({(a.source, a.question) for t in transcripts for a in t[start:stop]})
        tables = self._tables(wanted)
        return [[tables[a.source, a.question][a.answer] for a in t[start:stop]] for t in transcripts]

    def errors(self, episode: int, settings: Settings) -> Array | None:
        """The error of each member ``(members, plans)``, of the same quartiles whatever its tail."""
        if settings.error == 0.0:
            return None
        rng = np.random.default_rng(child_seed(self.seed, _ERROR, episode))
        u = rng.random((settings.members, len(self.base)))
        u, normal = np.clip(u, 1e-12, 1.0 - 1e-12), math.isinf(settings.tail)
        drawn = np.asarray(ndtri(u) if normal else stdtrit(settings.tail, u), dtype=np.float64)
        quartile = float(ndtri(0.75)) / float(ndtri(0.75) if normal else stdtrit(settings.tail, 0.75))
        return settings.error * self.spread * quartile * drawn

    def view(self, log_weights: Array) -> View:
        """The view of whoever believes these weights, given in nats up to a constant."""
        weights = np.exp(_normal(log_weights))
        return View(weights, weights @ self.values, None, self.values, self.accepted, self.base, self.population)

    def information(self, log_weights: Array, row: int) -> tuple[float, float]:
        """Nats of a posterior about the value, and by how much particles make it low on the transcript's own value."""
        lp = _normal(log_weights)
        prior = self.log_prior()
        if self.labels is not None:
            with np.errstate(divide="ignore"):
                lp = np.log(np.bincount(self.labels, np.exp(lp)))
                prior = np.log(np.bincount(self.labels, np.exp(prior)))
        p = np.exp(lp)
        some = p > 0.0
        gained = max(0.0, float(p[some] @ (lp[some] - prior[some])))
        if self.problem.prior.finite:
            return gained, 0.0
        # What the value itself adds to the average over particles that stand for a continuous prior.
        own, before = float(p[row]), float(np.exp(prior[row]))
        return gained, math.inf if own >= 1.0 else max(0.0, math.log1p(-before) - math.log1p(-own))

    def log_prior(self) -> Array:
        """Ln of the prior weights of the particles."""
        with np.errstate(divide="ignore"):
            return np.log(self.prior)

    def _tables(self, wanted: Sequence[tuple[str, int]], rows: IntArray | None = None) -> dict[tuple[str, int], Array]:
        """Ln chances of the answers to questions ``(answers, values)``; kept while there is room for all."""
        out: dict[tuple[str, int], Array] = {}
        for name, source in self.problem.sources.items():
            mine = [q for n, q in wanted if n == name and (n, q) not in self._kept]
            room = self._room >= len(mine) * len(self.population) * source.outcomes
            who = self.population if rows is None or room else self.population.take(rows)
            step = max(1, _BLOCK // (len(who) * source.outcomes))
            for at in range(0, len(mine), step):
                block = source.log_chances(who, np.array(mine[at : at + step], dtype=np.int64))
                found = np.ascontiguousarray(block.transpose(1, 2, 0))
                for q, table in zip(mine[at : at + step], found, strict=True):
                    if room:
                        self._kept[name, q] = table
                        self._room -= table.size
                    else:
                        out[name, q] = table
        kept = {key: self._kept[key] for key in wanted if key in self._kept}
        return out | (kept if rows is None else {key: table[:, rows] for key, table in kept.items()})

    def _log_chance(self, a: Answer) -> Array:
        source = self.problem.sources[a.source]
        return source.log_chances(self.population, np.array([a.question]))[:, 0, a.answer]


def _normal(log_weights: Array) -> Array:
    """Log weights that add up to 1."""
    shifted = log_weights - log_weights.max()
    return shifted - math.log(float(np.exp(shifted).sum()))


def surprisal(values: Array, base: Array) -> Array:
    """Optimisation bits of each plan: −log2 of the share of the base that is at least as good.

    Args:
        values: of the plans under one value ``(plans,)``.
        base: the base measure, adding up to 1.

    >>> surprisal(np.array([3.0, 1.0, 2.0, 2.0]), np.full(4, 0.25)).round(3).tolist()
    [2.0, 0.0, 0.415, 0.415]
    """
    order = np.argsort(-values, kind="stable")
    ranked, reached = values[order], np.cumsum(base[order])
    last = np.append(np.diff(ranked) < -_TIE * max(float(np.abs(values).max()), 1e-300), True)
    ends = np.flatnonzero(last)
    share = reached[ends][np.searchsorted(ends, np.arange(len(values)))]
    out = np.empty(len(values))
    with np.errstate(divide="ignore"):
        out[order] = np.maximum(-np.log2(np.minimum(share, 1.0)), 0.0)
    return out
