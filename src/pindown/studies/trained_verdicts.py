"""Verdicts on trained networks, by stated rules with three outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pindown.estimate import Estimate, Status
from pindown.studies.paired import mean_of, usable
from pindown.studies.results import Verdict
from pindown.studies.verdicts import decide

__all__ = ["MATERIAL_OCTAVES", "deep_bits", "found_as_planted", "same_volume", "share_kept", "shift", "unmoved"]

MATERIAL_OCTAVES = 0.25
"""A change by this many octaves (19%) counts."""
_DEEP = 8.0
_HALF = 0.5
_VOLUME = 0.1
_MANY = 6  # values that a verdict lists one by one


def shift(claim: str, first: Sequence[Estimate], second: Sequence[Estimate], said: str, *, falls: bool) -> Verdict:
    """Whether the first group's figure is below the second's (``falls``), or above it."""
    rule = (
        "Supported where the difference of the means over runs has the claimed sign with its 95% interval (Student's "
        "t, the smaller group's degrees of freedom), refuted where it has the other, else undecided."
    )
    a, b = mean_of(first), mean_of(second)
    if len(usable(first)) < 2 or len(usable(second)) < 2 or len(usable([a, b])) < 2:
        return Verdict(claim, "undecided", rule, f"{said}: {a} and {b}; fewer than two runs of each can be used.")
    dof = min(a.dof or math.inf, b.dof or math.inf)
    change = Estimate(a.value - b.value, math.hypot(a.stderr, b.stderr), a.unit, dof=dof)
    low, high = change.interval()
    down, up = high < 0, low > 0
    return Verdict(
        claim, decide(down if falls else up, up if falls else down), rule,
        f"{said[0].upper()}{said[1:]}: {a} and {b}, {len(usable(first))} runs each; difference {change}.",
    )  # fmt: skip


def same_volume(claim: str, wide: Estimate, narrow: Estimate) -> Verdict:
    """Whether two volumes are alike."""
    rule = (
        f"Supported where the bits differ by less than {_VOLUME:.0%} of the smaller with the 95% intervals, refuted "
        f"where by more with them, else undecided."
    )
    because = f"{wide} and {narrow}."
    if len(usable([wide, narrow])) < 2:
        return Verdict(claim, "undecided", rule, because)
    (low, high), (low_n, high_n) = wide.interval(), narrow.interval()
    half = math.hypot(high - low, high_n - low_n) / 2.0
    least = _VOLUME * min(wide.value, narrow.value)
    gap = abs(wide.value - narrow.value)
    return Verdict(claim, decide(gap + half < least, gap - half > least), rule, because)


def share_kept(claim: str, kept: Sequence[Estimate]) -> Verdict:
    """Whether fewer than half of the weights do."""
    rule = (
        "By pruning in order of magnitude at the rise ε. Supported where in every network less than half of the "
        "weights is left with the 95% interval, refuted where in every one it is more, else undecided."
    )
    ends = [_ends(e) for e in kept]
    because = f"Shares left: {_listed(kept)}."
    supported, refuted = all(h < _HALF for _, h in ends), all(low > _HALF for low, _ in ends)
    return Verdict(claim, decide(supported and bool(ends), refuted and bool(ends)), rule, because)


def deep_bits(claim: str, leading: Sequence[Estimate]) -> Verdict:
    """Whether more than eight leading bits of a weight count."""
    rule = (
        f"By the noise that all weights tolerate at the rise ε. Supported where in every network more than {_DEEP:g} "
        f"leading bits of a weight count with the 95% interval, refuted where in every one fewer do, else undecided."
    )
    ends = [_ends(e) for e in leading]
    because = f"Leading bits that count: {_listed(leading)}."
    supported, refuted = all(low > _DEEP for low, _ in ends), all(h < _DEEP for _, h in ends)
    return Verdict(claim, decide(supported and bool(ends), refuted and bool(ends)), rule, because)


def _listed(values: Sequence[Estimate]) -> str:
    """All of a few; of many the least and the most, and how many were not measured."""
    if len(values) <= _MANY:
        return ", ".join(str(e) for e in values)
    measured = sorted((e for e in values if math.isfinite(e.value)), key=lambda e: e.value)
    if not measured:
        return f"none of {len(values)} networks was measured"
    lost = len(values) - len(measured)
    said = f"from {measured[0]} to {measured[-1]} in {len(measured)} networks"
    return f"{said}; {lost} not measured" if lost else said


def found_as_planted(cases: Sequence[tuple[str, float, Estimate]]) -> Verdict:
    """Whether every planted answer was found."""
    rule = (
        "Supported where every planted figure is met: exactly by an exact figure or a bound, within four standard "
        "errors else; refuted where some is not; undecided where one could not be measured."
    )
    wrong: list[str] = []
    lost: list[str] = []
    for name, truth, found in cases:
        if not math.isfinite(found.value) or found.status not in (Status.REACHED, Status.WIDENED, Status.OUT_OF_RANGE):
            lost.append(name)
        elif abs(found.value - truth) > max(4.0 * (0.0 if math.isnan(found.stderr) else found.stderr), 1e-4):
            wrong.append(f"{name}: {found}, planted {truth:g}")
    because = "; ".join([*wrong, *(f"not measured: {n}" for n in lost)]) or f"All {len(cases)} were met."
    outcome = "refuted" if wrong else "undecided" if lost or not cases else "supported"
    return Verdict("Measurements find what was planted.", outcome, rule, because)


def unmoved(claim: str, changes: Sequence[tuple[str, Estimate]], tests: int, *, matched: bool, gap: str) -> Verdict:
    """Whether a treatment leaves figures as they were: changes in octaves, of ``tests`` intervals in all."""
    rule = (
        f"At training losses that match. Supported where every figure changes by less than {MATERIAL_OCTAVES:g} "
        "octaves with its interval, refuted where some changes by more with it, else undecided. Intervals are over "
        f"runs paired by seed, at 1 − 0.05/{tests} each, so that all hold at 95% together (Bonferroni)."
    )
    good = [(n, e) for n, e in changes if len(usable([e])) and not math.isnan(e.stderr)]
    said = "; ".join(f"{n} {e}" for n, e in changes)
    if not matched:
        return Verdict(claim, "undecided", rule, f"Training losses do not match: {gap}. {said}.")
    if not good:
        return Verdict(claim, "undecided", rule, f"Nothing could be compared. {said}")
    ends = [e.interval(1.0 - 0.05 / tests) for _, e in good]
    refuted = any(low > MATERIAL_OCTAVES or high < -MATERIAL_OCTAVES for low, high in ends)
    inside = all(low > -MATERIAL_OCTAVES and high < MATERIAL_OCTAVES for low, high in ends)
    return Verdict(
        claim,
        decide(inside and len(good) == len(changes), refuted),
        rule,
        f"Changes: {said}. {gap[0].upper()}{gap[1:]}.",
    )


def _ends(e: Estimate) -> tuple[float, float]:
    if math.isnan(e.value) or not (e.status.ok or e.kind.endswith("bound")):
        return -math.inf, math.inf
    return e.interval()
