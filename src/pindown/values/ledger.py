"""The front door: how many bits about values are needed, what the sources supply, what is missing, what to ask next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pindown import __version__
from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.rng import child_seed
from pindown.values.belief import Belief
from pindown.values.earned import Earned, Prequential
from pindown.values.information import Asked, Supply, information_chain
from pindown.values.ledger_kept import KeptLedger
from pindown.values.ledger_result import Ledger, SourceLine
from pindown.values.population import Population
from pindown.values.problem import Answer, ValueProblem
from pindown.values.questions import best_question, score_source
from pindown.values.requirement import bound_bits, required_bits

__all__ = ["ledger", "posterior_gap", "spent_questions"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Progress = Callable[[float, str], None]
_EXPECTED = 5


def ledger(
    problem: ValueProblem,
    answers: Any = None,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Ledger:
    r"""The account of a value problem in bits: needed, supplied by each source, missing, and the next question.

    *Target bits* are −log2 of the share of plans that will do. *Needed bits* are the bound :math:`d_2(1-\delta \,\|\,
    \max_x P(x\ \text{acceptable}))` on what has to be known about the value (:mod:`~pindown.values.requirement`).
    *Supplied bits* of a source are :math:`I(V; Y_s \mid Y_{<s}, \Pi)`, those of the sources before it being known
    (:mod:`~pindown.values.information`); realised ones are :math:`E[\log_2 p(y_s \mid v) / p(y_s \mid y_{<s})]` over
    the final posterior, which add up over the sources to its relative entropy from the prior. *Missing bits* are the
    needed ones after the answers.

    Args:
        problem: what is to be decided.
        answers: recorded answers: :class:`~pindown.values.problem.Answer` objects, or (source, question, answer). They
            are taken in source by source.
        seed: everything random follows from it.
        progress: called with the share done and a text.
        checkpoint: a folder; the same call with the same folder goes on from what is there.

    Returns:
        The ledger. Figures of finite hypotheses are exact where the answers can be enumerated.

    Raises:
        InputError: for parts that do not fit, or where no plan is ever acceptable.
        DataError: for answers that contradict each other; the first contradiction is named.
        CheckpointError: where the folder holds work of another problem, other answers or another seed.

    Example:
        >>> import numpy as np
        >>> from pindown import ValueProblem, ledger
        >>> from pindown.values.reading_sources import Channel
        >>> halves = Channel([[1, 1], [1, 0], [0, 1], [0, 0]], name="halves")
        >>> found = ledger(ValueProblem(4, np.eye(4), "same", [halves], success=1.0))
        >>> print(found.needed, found.supplied["halves"])
        ≥ 2 bits 2 bits
        >>> print(ledger(ValueProblem(4, np.eye(4), "same", [halves]), [("halves", 0, "yes")]).missing)
        ≥ 0.713603 bits
    """
    began = time.perf_counter()
    if not isinstance(problem, ValueProblem):
        raise InputError(f"a problem of type {type(problem).__name__}", "a ValueProblem")
    child_seed(seed)  # refuses what is no seed before any work
    told = progress or _silent
    order = {name: i for i, name in enumerate(problem.sources)}
    given = sorted(problem.answers(answers), key=lambda a: order[a.source])
    prior, weights = problem.population(seed)
    kept = KeptLedger(checkpoint, problem, given, seed)
    reference = f"{problem.prior.reference}; {problem.plans.reference}"
    size = math.inf if problem.prior.finite else 1.0 / float(np.square(weights).sum())

    told(0.05, "target and needed bits")
    shares = prior.shares()
    unmet = float(weights[shares <= 0.0].sum())
    reachable = 1.0 - unmet >= problem.success - 1e-12
    top = float(prior.chances(weights).max())
    needed = _bound(problem.success, top, size, reference, reachable)
    required = kept.required(lambda: required_bits(prior, weights, problem.success, reference))
    target, quartiles = _target(problem, prior, weights, shares, reference)

    told(0.2, "expected bits of the sources")
    asked = [Asked(s, _questions(name, s.questions, given)) for name, s in problem.sources.items()]
    expected = kept.supplies(lambda: information_chain(prior, weights, asked, child_seed(seed, _EXPECTED)))

    told(0.6, "answers")
    belief, prequential = Belief(problem, seed), Prequential()
    cuts = _take_in(belief, prequential, given, kept, lambda x: told(0.6 + 0.2 * x, "answers"))
    realised = _realised(problem, prior, weights, belief, given, cuts, reference)

    told(0.85, "the next question")
    missing, chance, best = posterior_gap(belief, reachable)
    lines = _lines(problem, belief, asked, expected, realised, missing)
    open_ = bool(problem.sources) and missing.value > 0.0 and reachable
    spent = spent_questions(problem, given)
    evidence = Estimate(
        0.0 - bits(belief.log_evidence), bits(math.sqrt(belief.evidence_variance)), "bits",
        "exact" if problem.prior.finite else "estimate", Status.REACHED, reference,
    )  # fmt: skip
    earned = prequential.verdict(reference)
    told(1.0, "done")
    return Ledger(
        target=target, target_quartiles=quartiles, needed=needed, required=required, sources=lines, missing=missing,
        chance=chance, best_plan=problem.plans.names[best], earned=earned,
        effective_size=Estimate(belief.effective_size, 0.0, "1", "exact", Status.REACHED, "particles"),
        evidence=evidence,
        next_question=best_question(belief, "decision", spent) if open_ else None,
        next_by_total=best_question(belief, "total", spent) if open_ else None,
        success=problem.success, answers=len(given), plans=len(problem.plans), reference=reference, name=problem.name,
        seed=seed, seconds=time.perf_counter() - began, version=__version__,
        notes=_notes(problem, unmet, earned, required, belief),
    )  # fmt: skip


def posterior_gap(belief: Belief, reachable: bool = True) -> tuple[Estimate, Estimate, int]:
    """Missing bits, the largest chance of a plan, and that plan."""
    problem = belief.problem
    chances = belief.population.chances(belief.weights)
    best = int(chances.argmax())
    p = min(1.0, float(chances[best]))
    size = math.inf if problem.prior.finite else belief.effective_size
    reference = f"{problem.prior.reference}; {problem.plans.reference}; after {len(belief.history)} answers"
    missing = _bound(problem.success, p, size, reference, reachable)
    kind = "exact" if problem.prior.finite else "estimate"
    error = 0.0 if problem.prior.finite else math.sqrt(p * (1.0 - p) / size)
    return missing, Estimate(p, error, "1", kind, Status.REACHED, reference, support=(0.0, 1.0)), best


def spent_questions(problem: ValueProblem, given: list[Answer]) -> set[tuple[str, int]]:
    """Questions to noiseless sources that have been answered: asking again tells nothing."""
    return {(a.source, a.question) for a in given if problem.sources[a.source].noise == "noiseless"}


def _bound(success: float, chance: float, size: float, reference: str, reachable: bool) -> Estimate:
    if not reachable:
        return Estimate(math.inf, 0.0, "bits", "lower_bound", Status.REACHED, reference)
    return bound_bits(success, min(chance, 1.0), size, reference)


def _target(
    problem: ValueProblem, prior: Population, weights: Array, shares: Array, reference: str
) -> tuple[Estimate, tuple[float, float, float]]:
    """Mean and quartiles of −log2 of the acceptable share, over the values that accept any plan."""
    some = (shares > 0.0) & (weights > 0.0)
    x, w = -np.log2(shares[some]), weights[some] / weights[some].sum()
    mean = float(w @ x)
    variance = 0.0 if problem.prior.finite else float(w @ np.square(x - mean)) * float(np.square(w).sum())
    if problem.plans.drawn:  # a share s of n drawn plans has the variance s(1 − s)/n, and errors shared by all values
        slope = (1.0 - shares[some]) / shares[some] / len(problem.plans) / math.log(2.0) ** 2
        variance += float(w @ slope)
    order = np.argsort(x)
    reached = np.cumsum(w[order])
    at = [float(x[order][min(int(np.searchsorted(reached, q)), len(x) - 1)]) for q in (0.25, 0.5, 0.75)]
    exact = problem.prior.finite and not problem.plans.drawn
    kind = "exact" if exact else "estimate"
    figure = Estimate(0.0 + mean, math.sqrt(variance), "bits", kind, Status.REACHED, reference)
    return figure, (at[0], at[1], at[2])


def _questions(name: str, questions: int, given: list[Answer]) -> IntArray:
    if given:
        return np.array([a.question for a in given if a.source == name], dtype=np.int64)
    return np.arange(questions, dtype=np.int64)


def _take_in(
    belief: Belief, prequential: Prequential, given: list[Answer], kept: KeptLedger, told: Callable[[float], None]
) -> dict[str, tuple[float, float]]:
    """All answers, source by source: what each source adds to the log-evidence, and the variance of that."""
    cuts = kept.resume(belief, prequential, given)
    for answer in given[len(belief.history) :]:
        before = belief.log_evidence, belief.evidence_variance
        prequential.update(belief, answer)
        so_far = cuts.get(answer.source, (0.0, 0.0))
        cuts[answer.source] = (
            so_far[0] + belief.log_evidence - before[0], so_far[1] + belief.evidence_variance - before[1]
        )  # fmt: skip
        kept.answered(belief, prequential, cuts, final=len(belief.history) == len(given))
        told(len(belief.history) / len(given))
    return cuts


def _realised(
    problem: ValueProblem, prior: Population, weights: Array, belief: Belief, given: list[Answer],
    cuts: dict[str, tuple[float, float]], reference: str,
) -> dict[str, tuple[Estimate, Estimate]]:  # fmt: skip
    """Supplied and usable bits that the answers of each source gave."""
    value, code = prior.labels()
    if value is None and code is None:
        return {name: (e, e) for name, e in _pointwise(problem, belief, given, cuts, reference).items()}
    out: dict[str, tuple[Estimate, Estimate]] = {}
    with np.errstate(divide="ignore"):
        joint = np.log(weights)
    stages = [(name, [a for a in given if a.source == name]) for name in cuts]
    tables: list[tuple[str, Array]] = []
    for name, part in stages:
        source, total = problem.sources[name], np.zeros(len(prior))
        for a in part:
            total = total + source.log_chances(prior, np.array([a.question]))[:, 0, a.answer]
        tables.append((name, total))
    final = np.exp(_normal(joint + sum(t for _, t in tables)))
    for name, total in tables:
        after = _normal(joint + total)
        both: list[float] = []
        for known in (True, False):
            # With a known encoding: p(v | y, code); else p(v | y).
            with np.errstate(invalid="ignore"):  # what is impossible before and after has no part in the mean
                gained = _marginal(after, value, code, known) - _marginal(joint, value, code, known)
                both.append(bits(float(np.sum(np.where(final > 0.0, final * gained, 0.0)))))
        joint = after
        figures = [Estimate(x, 0.0, "bits", "exact", Status.REACHED, reference) for x in both]
        out[name] = (figures[0], figures[1])
    return out


def _marginal(log_p: Array, value: IntArray | None, code: IntArray | None, known: bool) -> Array:
    """For each hypothesis ln p(value), or ln p(value | encoding)."""
    n = len(log_p)
    v = np.arange(n) if value is None else value
    if not known or code is None:
        return log_p if value is None else _grouped(log_p, v)
    return log_p - _grouped(log_p, code)


def _grouped(log_p: Array, labels: IntArray) -> Array:
    top = float(log_p.max())
    with np.errstate(divide="ignore"):
        return np.log(np.bincount(labels, np.exp(log_p - top))[labels]) + top


def _normal(log_p: Array) -> Array:
    return log_p - float(logsumexp(log_p))


def _pointwise(
    problem: ValueProblem, belief: Belief, given: list[Answer], cuts: dict[str, tuple[float, float]], reference: str
) -> dict[str, Estimate]:  # fmt: skip
    out: dict[str, Estimate] = {}
    alive = np.flatnonzero(belief.weights > 0.0)
    population, w = belief.population.take(alive), belief.weights[alive]
    for name, (log_evidence, variance) in cuts.items():
        part = [a for a in given if a.source == name]
        source, total = problem.sources[name], np.zeros(len(w))
        for a in part:
            total = total + source.log_chances(population, np.array([a.question]))[:, 0, a.answer]
        mean = float(w @ total)
        spread = float(w @ np.square(total - mean)) / belief.effective_size
        error = 0.0 if problem.prior.finite else bits(math.sqrt(spread + variance))
        kind = "exact" if problem.prior.finite else "estimate"
        out[name] = Estimate(bits(mean - log_evidence), error, "bits", kind, Status.REACHED, reference)
    return out


def _lines(
    problem: ValueProblem, belief: Belief, asked: list[Asked], expected: list[Supply],
    realised: dict[str, tuple[Estimate, Estimate]], missing: Estimate,
) -> tuple[SourceLine, ...]:  # fmt: skip
    out: list[SourceLine] = []
    for a, supply in zip(asked, expected, strict=True):
        none = Estimate(math.nan, math.nan, "bits", "estimate", Status.UNSUPPORTED, supply.supplied.reference)
        told, usable = realised.get(a.source.name, (none, supply.usable))
        lost = supply.lost
        if a.source.name in realised:
            lost = Estimate(max(0.0, told.value - usable.value), 0.0, "bits", told.kind, told.status, told.reference)
        most = float(score_source(belief.population, belief.weights, a.source).total.max())
        if missing.value == 0.0:
            least = 0.0
        else:
            least = math.inf if most <= 1e-12 or math.isinf(missing.value) else missing.value / most
        needed = Estimate(least, 0.0, "answers", "lower_bound", Status.REACHED, supply.supplied.reference)
        out.append(
            SourceLine(
                a.source.name,
                a.source.kind,
                a.source.noise,
                a.source.price,
                len(a.questions),
                supply.supplied,
                told,
                usable,
                lost,
                needed,
            )
        )
    return tuple(out)


def _notes(problem: ValueProblem, unmet: float, earned: Earned, required: Estimate, belief: Belief) -> tuple[str, ...]:
    notes: list[str] = []
    if unmet > 0.0:
        notes.append(f"Values of probability {unmet:.3g} accept no plan; target bits leave them out.")
    if earned.earned is False:
        notes.append(
            "Not earned: the answers are predicted worse than the sources' noise says, so that the posterior is too "
            "narrow and its bits are false. Raise flip= or lower rationality=."
        )
    if required.status is Status.UNSUPPORTED:
        notes.append("The true requirement was not computed: values times plans exceed four million.")
    elif not problem.prior.finite:
        notes.append("The requirement is that of the particles, which are finitely many.")
    if problem.plans.drawn:
        notes.append("Plans were drawn: chances and maxima are over these draws.")
    if not problem.prior.finite and belief.effective_size < 100:
        notes.append("The posterior rests on fewer than 100 effective particles: raise particles=.")
    return tuple(notes)


def _silent(share: float, text: str) -> None:
    return
