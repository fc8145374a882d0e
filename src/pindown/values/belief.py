r"""What is believed of the value after some answers: weighted particles, moved where their weights degenerate.

Weights are multiplied by the likelihood of each answer. Where the effective sample size falls below half, particles
are resampled and moved by the space's own move, which is reversible with respect to the prior, accepted with the
ratio of likelihoods (Chopin 2002, A sequential particle filter method for static models; Del Moral, Doucet and Jasra
2006). Finite hypotheses are never moved: their sums are exact.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import logsumexp

from pindown.errors import DataError
from pindown.rng import child_seed, torch_generator
from pindown.stats import kish_size
from pindown.values.choice_sources import Comparisons
from pindown.values.population import Population
from pindown.values.priors import LinearValues
from pindown.values.problem import Answer, ValueProblem

__all__ = ["Belief"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_ROUNDS, _LEAST_ROUNDS = 30, 4
_MOVED = 0.6  # of twice the variance: how far particles go on average before the moves end
_AIM = 0.3
_MOVES, _RESAMPLING = 21, 22


class Belief:
    """A weighted population that answers update.

    Args:
        problem: what is asked about.
        seed: everything random follows from it.
        moves: whether particles are moved where their weights degenerate.

    Attributes:
        population: the particles.
        log_weights: their weights in nats, adding up to 1.
        history: the answers so far.
        log_evidence: ln of the probability that the prior gave to them.
        evidence_variance: variance of its estimate, to first order; 0 for finite hypotheses.
        rounds: how many moves there were.
        scale: of the next move.
    """

    def __init__(self, problem: ValueProblem, seed: int = 0, *, moves: bool = True) -> None:
        self.problem, self.seed, self.moves = problem, seed, moves
        self.population, weights = problem.population(seed)
        with np.errstate(divide="ignore"):
            self.log_weights: Array = np.log(weights)
        self._drop()
        self.history: list[Answer] = []
        self.log_evidence = self.evidence_variance = 0.0
        self.rounds = 0
        self.scale = 0.5

    @property
    def weights(self) -> Array:
        """Weights adding up to 1."""
        return np.exp(self.log_weights)

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size of the particles."""
        return kish_size(self.log_weights)

    def update(self, answer: Answer) -> float:
        """Take in one answer; gives ln of the probability that was predicted for it.

        Raises:
            DataError: where no value agrees with all answers: the answer that contradicts those before it is named.
        """
        source = self.problem.sources[answer.source]
        likelihood = source.log_chances(self.population, np.array([answer.question]))[:, 0, answer.answer]
        joint = self.log_weights + likelihood
        predicted = float(logsumexp(joint))
        self.history.append(answer)
        if not math.isfinite(predicted):
            self._refuse(answer)
        if not self.problem.prior.finite:
            squared = float(np.exp(logsumexp(self.log_weights + 2.0 * likelihood) - 2.0 * predicted))
            self.evidence_variance += max(0.0, squared - 1.0) / self.effective_size
        self.log_weights = joint - predicted
        self.log_evidence += predicted
        if self.problem.prior.finite:
            self._drop()
        elif self.moves and self.effective_size < 0.5 * len(self.population):
            self.rejuvenate()
        return predicted

    def rejuvenate(self) -> None:
        """Resample in proportion to the weights, then move."""
        step = len(self.history)
        rows = self._resample(np.random.default_rng(child_seed(self.seed, _RESAMPLING, step)))
        population = self.population.take(rows)
        n = len(rows)
        self.log_weights = np.full(n, -math.log(n))
        rng = torch_generator(self.seed, _MOVES, step)
        start = population.points
        now = self._likelihood(population)
        spread = float(start.std(axis=0).mean()) or 1.0
        for k in range(_MOST_ROUNDS):
            self.rounds += 1
            other = population.at(self.problem.prior.propose(population.points, self.scale, rng))
            there = self._likelihood(other)
            with np.errstate(invalid="ignore"):
                accept = torch.rand(n, generator=rng, dtype=torch.float64).numpy() < np.exp(
                    np.minimum(there - now, 0.0)
                )
            points = np.where(accept[:, None], other.points, population.points)
            population, now = population.at(points), np.where(accept, there, now)
            self.scale = float(np.clip(self.scale * math.exp(float(accept.mean()) - _AIM), 1e-4, 1.0))
            moved = float(np.square(points - start).mean()) / (2.0 * spread**2)
            if k + 1 >= _LEAST_ROUNDS and moved > _MOVED:
                break
        self.population = population

    def _likelihood(self, population: Population) -> Array:
        """Log-likelihood of all answers so far at each point."""
        total = np.zeros(len(population))
        for name, source in self.problem.sources.items():
            given = [(a.question, a.answer) for a in self.history if a.source == name]
            if not given:
                continue
            asked = np.array([q for q, _ in given])
            each = source.log_chances(population, asked)
            total += each[:, np.arange(len(given)), np.array([a for _, a in given])].sum(axis=1)
        return total

    def _resample(self, rng: np.random.Generator) -> IntArray:
        """Systematic resampling (Kitagawa 1996)."""
        n = len(self.log_weights)
        edges = np.cumsum(self.weights)
        return np.minimum(np.searchsorted(edges / edges[-1], (rng.random() + np.arange(n)) / n), n - 1).astype(np.int64)

    def _drop(self) -> None:
        """Leave out what has no weight."""
        alive = np.isfinite(self.log_weights)
        if not alive.all():
            self.population = self.population.take(np.flatnonzero(alive))
            self.log_weights = self.log_weights[alive]

    def _refuse(self, answer: Answer) -> None:
        source = self.problem.sources[answer.source]
        text = source.answer_texts(answer.question, self.problem.plans)[answer.answer]
        asked = source.question_text(answer.question, self.problem.plans)
        place = f"answer {len(self.history)} ({answer.source}: {asked} {text})"
        if self.problem.prior.finite or self._infeasible():
            raise DataError(
                f"{place} contradicts the answers before it: no value agrees with all of them",
                "answers that some value gives",
                "check this answer, or give the source its noise (flip=, rationality=)",
            )  # fmt: skip
        raise DataError(
            f"{place} leaves none of {len(self.population)} particles", "answers that some particle gives",
            "raise particles=, or give the source its noise (flip=, rationality=)",
        )  # fmt: skip

    def _infeasible(self) -> bool:
        """Whether noiseless comparisons contradict each other under linear values: a linear programme decides."""
        prior, rows = self.problem.prior, list[Array]()
        if not isinstance(prior, LinearValues):
            return False
        features = self.problem.plans.features
        for a in self.history:
            source = self.problem.sources[a.source]
            if isinstance(source, Comparisons) and math.isinf(source.rationality) and source.flip == 0.0:
                better, worse = source.options[a.question][[a.answer, 1 - a.answer]]
                rows.append(features[better] - features[worse])
        if not rows:
            return False
        cuts = np.array(rows)
        norms = np.linalg.norm(cuts, axis=1, keepdims=True)
        cuts = cuts / np.where(norms > 0, norms, 1.0)
        d = cuts.shape[1]
        # The largest margin m with cuts · w ≥ m and |w_i| ≤ 1: no w agrees with all of them where it is 0.
        best = linprog(
            np.append(np.zeros(d), -1.0), A_ub=np.hstack([-cuts, np.ones((len(cuts), 1))]), b_ub=np.zeros(len(cuts)),
            bounds=[*[(-1.0, 1.0)] * d, (None, 1.0)],
        )  # fmt: skip
        return bool(best.status == 0 and best.fun is not None and -best.fun < 1e-9)
