r"""Outcomes of episodes as lines: optimisation bits against measured information, and what they show.

The *excess* of a cell is what it has above the singleton's line at the same measured information :math:`I_a`: with t
the place of :math:`I_a` between the two levels next to it, :math:`\Delta = B_a - (1-t) S_k - t S_{k+1}`. Each episode's
influence on Δ, that on t included, is one difference of the equivalence test, so that its standard error is that of the
infinitesimal jackknife (Efron 1982). Where nothing but the transcript is told, Δ is the paired difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.estimate import Estimate, Status, bits
from pindown.values.arrangement_result import ArrangementLine, Cell
from pindown.values.equivalence import Comparison, compare_with_margin, holm
from pindown.values.trials import Outcomes

__all__ = ["Excess", "excess_at", "lines_of"]

Array = NDArray[np.float64]
_SAME = 1e-9  # bits: information that is no more


@dataclass(frozen=True)
class Excess:
    """What one arrangement has above the singleton's line at one level, and its test."""

    figure: Estimate
    comparison: Comparison


@dataclass(frozen=True)
class Singletons:
    """The singleton's line: optimisation bits and information of each episode ``(levels, episodes)``."""

    optimisation: Array
    information: Array


def excess_at(optimisation: Array, told: Array, level: int, line: Singletons, margin: float, reference: str) -> Excess:
    """The excess of one cell.

    Args:
        optimisation: of the arrangement ``(episodes,)``.
        told: bits beyond the transcript ``(episodes,)``.
        level: the place of the transcript in the singleton's line.
        line: the singleton's line.
        margin: of the test in bits.
        reference: what the estimate is relative to.
    """
    s, known = line.optimisation, line.information.mean(axis=1)
    extra = float(told.mean())
    wanted, kind = known[level] + extra, "estimate"
    if extra <= _SAME:
        each = optimisation - s[level]
    else:
        k = level
        while k + 1 < len(known) and known[k + 1] <= wanted:
            k += 1
        if k + 1 == len(known) or known[k + 1] - known[k] <= _SAME:
            each, kind = optimisation - s[k], "upper_bound"  # beyond its line the singleton is no worse than at its end
        else:
            step = line.information[k + 1] - line.information[k]
            width = float(step.mean())
            t = (wanted - known[k]) / width
            place = line.information[level] + told - line.information[k]
            shift = (place - place.mean() - t * (step - width)) / width
            each = optimisation - (1.0 - t) * s[k] - t * s[k + 1] - float((s[k + 1] - s[k]).mean()) * shift
    found = compare_with_margin(each, margin)
    if kind == "upper_bound":  # nothing is shown but that it lies below
        below = found.difference < 0.0
        found = Comparison(found.difference, found.stderr, 1.0, found.p_different if below else 1.0)
    exact = kind == "estimate" and found.stderr == 0.0
    figure = Estimate(
        found.difference, found.stderr, "bits", "exact" if exact else kind, Status.REACHED, reference, dof=len(each) - 1
    )  # fmt: skip
    return Excess(figure, found)


def lines_of(
    names: list[str], roles: list[str], levels: tuple[int, ...], outcomes: Outcomes, line: Singletons, margin: float,
    level: float, reference: str,
) -> tuple[ArrangementLine, ...]:  # fmt: skip
    """Every arrangement's line.

    Args:
        names: of the arrangements.
        roles: theirs; see :class:`~pindown.values.arrangement_result.ArrangementLine`.
        levels: numbers of answers.
        outcomes: what they came to.
        line: the singleton's line, which may go on beyond the levels.
        margin: of the tests in bits.
        level: of significance.
        reference: what estimates are relative to.
    """
    excesses = [
        [
            excess_at(outcomes.optimisation[a, k], outcomes.told[a, k], k, line, margin, reference)
            for k in range(len(levels))
        ]
        for a in range(len(names))
    ]
    family = [(a, k) for a, role in enumerate(roles) if role == "compared" for k in range(len(levels))]
    adjusted = dict(zip(family, holm([excesses[a][k].comparison.p_different for a, k in family]), strict=True))
    out: list[ArrangementLine] = []
    for a, (name, role) in enumerate(zip(names, roles, strict=True)):
        cells = tuple(
            _cell(a, k, levels[k], role, outcomes, excesses[a][k], adjusted.get((a, k)), level, reference)
            for k in range(len(levels))
        )
        known = outcomes.information + outcomes.told[a]
        rate = _rate(known, outcomes.optimisation[a], reference)
        out.append(ArrangementLine(name, role, cells, rate, _worth(known, outcomes.optimisation[a], line, reference)))
    return tuple(out)


def _cell(
    a: int, k: int, answers: int, role: str, outcomes: Outcomes, excess: Excess, adjusted: float | None, level: float,
    reference: str,
) -> Cell:  # fmt: skip
    told, known = outcomes.told[a, k], outcomes.information[k] + outcomes.told[a, k]
    tested = excess.comparison
    p = tested.p_different if adjusted is None else adjusted
    earlier = outcomes.information[0] + outcomes.told[a, 0]
    return Cell(
        answers=answers,
        information=_information(known, outcomes.bias[k], reference),
        told=_mean(told, "bits", reference),
        capacity=float(outcomes.capacity[a, k].mean()),
        optimisation=_mean(outcomes.optimisation[a, k], "bits", reference),
        acceptable=_mean(outcomes.acceptable[a, k], "1", reference, (0.0, 1.0)),
        regret=_mean(outcomes.regret[a, k], "1", reference),
        excess=excess.figure,
        outcome="reference" if role == "reference" else tested.outcome(level, p),
        p_equivalent=tested.p_equivalent,
        p_different=p,
        bought=_mean(
            outcomes.optimisation[a, k] - outcomes.optimisation[a, 0] - (known - earlier), "bits", reference
        ),
    )  # fmt: skip


def _mean(x: Array, unit: str, reference: str, support: tuple[float, float] | None = None) -> Estimate:
    n = len(x)
    stderr = float(x.std(ddof=1)) / math.sqrt(n)
    if stderr <= 1e-12 * max(1.0, abs(float(x.mean()))):  # the same in every episode
        stderr = 0.0
    kind = "exact" if stderr == 0.0 else "estimate"
    return Estimate(0.0 + float(x.mean()), stderr, unit, kind, Status.REACHED, reference, dof=n - 1, support=support)


def _information(known: Array, bias: Array, reference: str) -> Estimate:
    """Mean information; a bound where the particles that stand for a prior are told apart already."""
    found = _mean(known, "bits", reference)
    off = bits(float(bias.mean()))
    if off > 1.0:
        return Estimate(found.value, found.stderr, "bits", "lower_bound", Status.NOT_CONVERGED, reference, found.dof)
    if off <= found.stderr:
        return found
    stderr = math.hypot(found.stderr, off)
    return Estimate(found.value, stderr, "bits", "estimate", Status.WIDENED, reference, found.dof)


def _rate(known: Array, gained: Array, reference: str) -> Estimate:
    """Slope of mean optimisation bits over mean information, with the jackknife's error over episodes."""

    def slope(x: Array, y: Array) -> Array:
        dx = x - x.mean(axis=0)
        return (dx * y).sum(axis=0) / np.maximum(np.square(dx).sum(axis=0), 1e-300)

    x, y = known.mean(axis=1), gained.mean(axis=1)
    if len(x) < 2 or float(x.max() - x.min()) <= _SAME:
        return Estimate(math.nan, math.nan, "1", "estimate", Status.UNSUPPORTED, reference)
    each, value = slope(_without_each(known), _without_each(gained)), float(slope(x, y))
    if float(np.ptp(y)) <= _SAME:  # it makes nothing of information
        value, each = 0.0, np.zeros_like(each)
    stderr = _jackknife(each)
    kind = "exact" if stderr == 0.0 else "estimate"
    return Estimate(value, stderr, "1", kind, Status.REACHED, reference, known.shape[1] - 1)


def _worth(known: Array, gained: Array, line: Singletons, reference: str) -> Estimate:
    """How much more information the singleton would need to do as well, on average over levels."""
    x, y = line.information.mean(axis=1), np.maximum.accumulate(line.optimisation.mean(axis=1))
    own, got = known.mean(axis=1), gained.mean(axis=1)
    inside = np.flatnonzero((got >= y[0] - _SAME) & (got <= y[-1] + _SAME))
    if len(inside) == 0:
        above = got > y[-1]
        if above.any():
            low = float((x[-1] - own[above]).max())
            return Estimate(low, 0.0, "bits", "lower_bound", Status.REACHED, reference)
        return Estimate(float((x[0] - own).max()), 0.0, "bits", "upper_bound", Status.REACHED, reference)

    def mean(xs: Array, ys: Array, at: Array, bits_got: Array) -> float:
        return float((np.interp(bits_got, ys, xs) - at).mean())

    value = mean(x, y, own[inside], got[inside])
    xs, ys = _without_each(line.information), np.maximum.accumulate(_without_each(line.optimisation), axis=0)
    ats, gots = _without_each(known[inside]), _without_each(gained[inside])
    each = np.array([mean(xs[:, r], ys[:, r], ats[:, r], gots[:, r]) for r in range(xs.shape[1])])
    stderr = _jackknife(each)
    kind = "exact" if stderr == 0.0 and abs(value) <= _SAME else "estimate"
    return Estimate(value, stderr, "bits", kind, Status.REACHED, reference, known.shape[1] - 1)


def _without_each(x: Array) -> Array:
    """Means over the episodes but one ``(levels, episodes)``."""
    n = x.shape[1]
    return (x.sum(axis=1, keepdims=True) - x) / (n - 1)


def _jackknife(each: Array) -> float:
    n = len(each)
    return math.sqrt((n - 1) / n * float(np.square(each - each.mean()).sum()))
