r"""Information that answers give about a value: chain of sources, known or unknown encoding, bias checked.

For a value :math:`V`, an encoding :math:`\Pi` and answers :math:`Y`,

.. math:: I(V; Y \mid \Pi) = I(V; Y) + I(V; \Pi \mid Y)

where value and encoding are independent: what is supplied, what is usable, and what is lost in translation. Three
ways: by the pattern of answers where they are noiseless, by enumeration of all patterns where they are few, by nested
Monte Carlo otherwise. Particles that stand for a continuous prior bias the nested average down where the generating
particle is part of it and up where it is left out (Rainforth et al. 2018, On nesting Monte Carlo estimators; Foster
et al. 2020, A unified stochastic gradient approach to designing Bayesian-optimal experiments, eq. 8–9): both are
computed, the middle is given, half of what they differ by is part of the error, and a difference above one bit is
*not converged*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pindown.estimate import Estimate, Status, bits
from pindown.rng import child_seed
from pindown.values.population import Population
from pindown.values.source import Source

__all__ = ["Asked", "Supply", "information_chain"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_PATTERNS, _MOST_CELLS = 4096, 30_000_000
_OUTER, _BLOCK = 1000, 8_000_000
_FEW = 6  # answers up to which a product of matrices is quicker than picking
_DRAWS = 31


@dataclass(frozen=True)
class Asked:
    """Questions of one source, by number; one that is asked twice stands twice."""

    source: Source
    questions: IntArray


@dataclass(frozen=True)
class Supply:
    """What one source adds to those before it: with the encoding known, of the value alone, and the difference."""

    supplied: Estimate
    usable: Estimate
    lost: Estimate


@dataclass(frozen=True)
class _Stage:
    """Information up to a source in nats: with the encoding known, of the value alone; how far these are low."""

    known: float
    alone: float
    pointwise: tuple[Array, Array]
    bias: float = 0.0
    exact: bool = True


def information_chain(population: Population, weights: Array, asked: Sequence[Asked], seed: int) -> list[Supply]:
    """The expected information of each source, conditional on those before it.

    Args:
        population: the particles.
        weights: theirs, adding up to 1.
        asked: the sources in order.
        seed: everything random follows from it.

    Returns:
        One :class:`Supply` a source, exact where sums over a finite prior and all answers are.
    """
    finite = population.prior.finite
    if any(len(a.questions) == 0 for a in asked):
        kept = iter(information_chain(population, weights, [a for a in asked if len(a.questions)], seed))
        none = Estimate(0.0, 0.0, "bits", "exact", Status.REACHED, population.prior.reference)
        return [next(kept) if len(a.questions) else Supply(none, none, none) for a in asked]
    patterns = math.prod(a.source.outcomes ** min(len(a.questions), 64) for a in asked)
    stages = _by_pattern(population, weights, asked)
    if stages is None and patterns <= _MOST_PATTERNS and patterns * len(population) <= _MOST_CELLS:
        stages = _by_enumeration(population, weights, asked)
    if stages is None:
        stages = _by_nesting(population, weights, asked, np.random.default_rng(child_seed(seed, _DRAWS)))
    size = math.inf if finite else 1.0 / float(np.square(weights).sum())
    before, out = _Stage(0.0, 0.0, (np.zeros(1), np.zeros(1))), list[Supply]()
    for stage in stages:
        known = _increment(before, stage, 0, size, population.prior.reference)
        alone = _increment(before, stage, 1, size, population.prior.reference)
        lost = Estimate(
            max(0.0, known.value - alone.value), _difference(before, stage, size), "bits", known.kind,
            known.status, known.reference,
        )  # fmt: skip
        out.append(Supply(known, alone, lost))
        before = stage
    return out


def _increment(before: _Stage, stage: _Stage, which: int, size: float, reference: str) -> Estimate:
    value = (stage.known - before.known) if which == 0 else (stage.alone - before.alone)
    error = _spread(stage.pointwise[which] - before.pointwise[which], stage, size)
    if stage.exact and math.isinf(size):
        return Estimate(bits(max(0.0, value)), 0.0, "bits", "exact", Status.REACHED, reference)
    bias = stage.bias - before.bias if math.isfinite(stage.bias) else math.inf
    if bits(2.0 * max(abs(bias), stage.bias)) > 1.0:  # particles that are told apart already hide what is added
        status = Status.NOT_CONVERGED
        return Estimate(bits(max(0.0, value)), bits(error), "bits", "lower_bound", status, reference)
    status = Status.WIDENED if abs(bias) > error else Status.REACHED
    stderr = bits(math.hypot(error, bias))
    return Estimate(bits(max(0.0, value + bias)), stderr, "bits", "estimate", status, reference)


def _difference(before: _Stage, stage: _Stage, size: float) -> float:
    known, alone = (stage.pointwise[k] - before.pointwise[k] for k in (0, 1))
    return bits(_spread(known - alone, stage, size))


def _spread(x: Array, stage: _Stage, size: float) -> float:
    """Standard error of the mean of pointwise terms: of draws, or of particles that stand for a continuous prior."""
    if len(x) < 2 or (stage.exact and math.isinf(size)):
        return 0.0
    return float(x.std()) / math.sqrt(min(size, len(x)))


def _chances(population: Population, asked: Asked) -> Array:
    return asked.source.log_chances(population, asked.questions)


def _by_pattern(population: Population, weights: Array, asked: Sequence[Asked]) -> list[_Stage] | None:
    """Noiseless answers: the probability of each pattern is the weight of the values that give it."""
    n, stages = len(population), list[_Stage]()
    pattern = np.zeros(n, dtype=np.int64)
    value, code = population.labels()
    for a in asked:
        step = max(1, _BLOCK // (n * a.source.outcomes))
        for start in range(0, len(a.questions), step):
            block = a.source.log_chances(population, a.questions[start : start + step])
            if not np.all((block == 0.0) | np.isneginf(block)):
                return None
            for answer in block.argmax(axis=-1).T:
                pattern = np.unique(pattern * a.source.outcomes + answer, return_inverse=True)[1].ravel()
        lp = _log_share(pattern, weights)
        lp_code = lp if code is None else _log_share(_pair(code, pattern), weights) - _log_share(code, weights)
        lp_value = np.zeros(n)
        if value is not None:
            lp_value = _log_share(_pair(value, pattern), weights) - _log_share(value, weights)
        known, alone = -lp_code, lp_value - lp
        bias = 0.0
        if not population.prior.finite:  # Miller (1955): the entropy of K patterns among n draws is (K − 1)/2n too low
            bias = int(pattern.max()) / (2.0 * n)
        total = float(weights @ known), float(weights @ alone)
        stages.append(_Stage(*total, (known, alone), bias, exact=True))
    return stages


def _by_enumeration(population: Population, weights: Array, asked: Sequence[Asked]) -> list[_Stage]:
    """All patterns of answers with their probabilities."""
    n, stages = len(population), list[_Stage]()
    joint = np.zeros((n, 1))
    for a in asked:
        for one in np.moveaxis(_chances(population, a), 1, 0):
            joint = (joint[:, :, None] + one[:, None, :]).reshape(n, -1)
        known, alone = _terms(population, weights, joint)
        total = float(weights @ known), float(weights @ alone)
        bias = 0.0
        if not population.prior.finite:
            # Richardson: the plug-in value errs by c/n, so that halves err by twice as much.
            halves = [np.arange(k, n, 2) for k in (0, 1)]
            small = [
                [float(w @ t) for t in _terms(population.take(h), w, joint[h])]
                for h in halves
                for w in [weights[h] / weights[h].sum()]
            ]
            bias = total[0] - (small[0][0] + small[1][0]) / 2.0
        stages.append(_Stage(*total, (known, alone), bias, exact=True))
    return stages


def _terms(population: Population, weights: Array, joint: Array) -> tuple[Array, Array]:
    """For each particle the expectation over its answers of the two log-ratios."""
    p = np.exp(joint)
    value, code = population.labels()
    with np.errstate(divide="ignore", invalid="ignore"):
        lp = np.log(weights @ p)[None, :]
        lp_code = lp if code is None else np.log(_group_means(code, weights, p))
        lp_value = joint if value is None else np.log(_group_means(value, weights, p))
        known = np.where(p > 0, p * (joint - lp_code), 0.0).sum(axis=1)
        alone = np.where(p > 0, p * (lp_value - lp), 0.0).sum(axis=1)
    return known, alone


def _by_nesting(
    population: Population, weights: Array, asked: Sequence[Asked], rng: np.random.Generator
) -> list[_Stage]:
    """Draws of value and answers; the inner average runs over all particles."""
    n, finite = len(population), population.prior.finite
    outer = _OUTER if finite else min(_OUTER, n)
    drawn = rng.choice(n, outer, p=weights) if finite else rng.permutation(n)[:outer]
    value, code = population.labels()
    joint = np.zeros((outer, n))
    with np.errstate(divide="ignore"):
        log_w = np.log(weights)
    stages: list[_Stage] = []
    for a in asked:
        step = max(1, _BLOCK // (n * a.source.outcomes))
        for start in range(0, len(a.questions), step):
            ll = np.maximum(a.source.log_chances(population, a.questions[start : start + step]), -1e6)
            chosen = _draw(np.exp(ll[drawn]), rng)
            if a.source.outcomes <= _FEW:
                for answer in range(a.source.outcomes):
                    joint += (chosen == answer).astype(np.float64) @ ll[:, :, answer].T
            else:
                for k in range(ll.shape[1]):
                    joint += ll[:, k, :].T[chosen[:, k]]
        own = joint[np.arange(outer), drawn]
        terms = joint + log_w
        top = terms.max(axis=1, keepdims=True)
        powers = np.exp(terms - top)
        sums = powers.sum(axis=1)
        lp = np.log(sums) + top[:, 0]
        lp_code, lp_value = lp, own
        if code is not None:
            lp_code = _within(code, drawn, terms, log_w)
        if value is not None:
            lp_value = _within(value, drawn, terms, log_w)
        known, alone = own - lp_code, lp_value - lp
        bias = 0.0
        if not finite:
            rest = np.maximum(sums - powers[np.arange(outer), drawn], 0.0)
            with np.errstate(divide="ignore"):
                without = np.log(rest) + top[:, 0] - np.log1p(-weights[drawn])
            bias = max(0.0, float((lp - without).mean())) / 2.0
        stages.append(_Stage(float(known.mean()), float(alone.mean()), (known, alone), bias, exact=False))
    return stages


def _draw(p: Array, rng: np.random.Generator) -> IntArray:
    """One answer for each draw and question."""
    edges = np.cumsum(p, axis=-1)
    u = rng.random(p.shape[:-1])[..., None] * edges[..., -1:]
    return np.minimum((u > edges).sum(axis=-1), p.shape[-1] - 1).astype(np.int64)


def _within(labels: IntArray, drawn: IntArray, terms: Array, log_w: Array) -> Array:
    """For each draw ln p(answers | its label)."""
    out = np.empty(len(drawn))
    for label in np.unique(labels[drawn]):
        members, rows = np.flatnonzero(labels == label), np.flatnonzero(labels[drawn] == label)
        out[rows] = logsumexp(terms[np.ix_(rows, members)], axis=1) - logsumexp(log_w[members])
    return out


def _log_share(labels: IntArray, weights: Array) -> Array:
    """Ln of the total weight of each particle's group."""
    return np.log(np.bincount(labels, weights)[labels])


def _pair(a: IntArray, b: IntArray) -> IntArray:
    return np.unique(a * (int(b.max()) + 1) + b, return_inverse=True)[1].ravel()


def _group_means(labels: IntArray, weights: Array, p: Array) -> Array:
    """For each particle the weighted mean of ``p`` over its group, ``(N, patterns)``."""
    groups = int(labels.max()) + 1
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sums = np.zeros((groups, p.shape[1]))
    sums[ordered[starts]] = np.add.reduceat((weights[:, None] * p)[order], starts, axis=0)
    return sums[labels] / np.bincount(labels, weights, groups)[labels][:, None]
