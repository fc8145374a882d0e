"""The sentences of an audit, each by a rule that can come out either way.

Every judgement compares a 95% interval with a stated value and has three outcomes: above, below, not resolved. A
figure that is a bound is called one, and is judged only where the bound decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from pindown.estimate import Estimate
from pindown.network.comparison import difference
from pindown.network.in_depth import InDepth
from pindown.network.results import Comparison, Measurement, SubjectAudit

__all__ = ["judge", "notes", "verdict"]

Outcome = Literal["above", "below", "not resolved"]


def judge(estimate: Estimate, value: float = 0.0) -> Outcome:
    """Where the 95% interval of an estimate lies relative to ``value``.

    >>> judge(Estimate(2.0, 0.5, "bits")), judge(Estimate(0.5, 0.5, "bits")), judge(Estimate(-2.0, 0.5, "bits"))
    ('above', 'not resolved', 'below')
    """
    low, high = estimate.interval(0.95)
    return "above" if low > value else "below" if high < value else "not resolved"


def verdict(subjects: Sequence[SubjectAudit]) -> list[str]:
    """All sentences on all subjects, and on each pair of neighbours."""
    out: list[str] = []
    for subject in subjects:
        out += _of_subject(subject)
    for narrow, wide in pairwise(subjects):
        out += _between(narrow, wide)
    return out


def notes(subjects: Sequence[SubjectAudit]) -> list[str]:
    """What the figures do not say."""
    out = [
        "Bits are relative to the prior that is named with them: under another initialisation they are others.",
        "A two-sided check that meets cannot rule out a set of good weights that neither side has visited.",
    ]
    if any(s.comparison is not None for s in subjects):
        out.append(
            "Intervals of held-out figures are over networks, on the given held-out examples; the choice of these "
            "examples is not in them."
        )
    if any(s.label_bits is not None for s in subjects):
        out.append(
            "Label bits count every labelling as equally likely. They bound what the labels can say, not what they "
            "do say about the weights."
        )
    return out


def _of_subject(subject: SubjectAudit) -> Iterator[str]:
    yield from (_pinned(subject, m) for m in subject.measurements)
    free = _free(subject)
    if free:
        yield free
    for m in subject.measurements:
        check = m.profile.two_sided
        if check is not None:
            yield f"{subject.name}, {m.loss}: {check.statement}"
        else:
            yield f"{subject.name}, {m.loss}: no two-sided check: the trained weights or the runs do not reach it."
    depth = _depth(subject)
    if depth:
        yield depth
    if subject.comparison is not None:
        yield _held_out(subject, subject.comparison)
    if subject.in_depth is not None:
        yield from _in_depth(f"{subject.name}, {subject.in_depth.solution}", subject.in_depth)


def _in_depth(who: str, deep: InDepth) -> Iterator[str]:
    found = deep.learning_coefficient
    if found is not None and found.status.ok:
        regular = 0.5 * found.dim
        side = {"above": "more", "below": "less", "not resolved": "neither more nor less"}[judge(found, regular)]
        yield (
            f"{who}: the local learning coefficient is {_with_interval(found.estimate)}, {side} than the "
            f"{regular:,.6g} of a regular model with {found.dim:,} weights."
        )
    elif found is not None:
        yield f"{who}: the local learning coefficient could not be measured ({found.status.message})"
    if deep.bitplanes is not None:
        yield f"{who}: {deep.bitplanes.recommendation}"


def _pinned(subject: SubjectAudit, m: Measurement) -> str:
    point = m.at_tolerance
    at = "no training error" if not m.primary and m.tolerance == 0 else f"{m.loss} ≤ {m.tolerance:.4g}"
    text = f"{subject.name}: weights with {at} are pinned down by {_with_interval(point.bits)}"
    labels = subject.label_bits
    if labels is None or not point.bits.status.ok:
        return text + f" ({point.bits.status})" * (not point.bits.status.ok) + "."
    side = {
        "above": "more than",
        "below": "fewer than",
        "not resolved": "not told apart from",
    }[judge(point.bits, labels.value)]
    each = _with_interval(point.bits_per_label)
    return f"{text}, {side} the {labels.value:.0f} bits that the training labels can hold ({each} a label)."


def _free(subject: SubjectAudit) -> str:
    point = subject.primary.at_tolerance
    pinned, free = point.pinned_dimensions, point.free_dimensions
    if pinned is None or free is None or pinned.kind != "estimate" or not math.isfinite(pinned.value):
        return ""
    if not math.isfinite(free.value):
        return (
            f"{subject.name}: at {subject.primary.loss} {point.tolerance:.4g} 2λ is {_with_interval(pinned)}, more "
            f"than the {subject.parameters:,} weights: that far out in the prior's tail no dimensions are counted."
        )
    share = free.value / subject.parameters
    return (
        f"{subject.name}: at {subject.primary.loss} {point.tolerance:.4g} the loss pins {_with_interval(pinned)} (2λ) "
        f"and leaves {free.value:,.0f} of {subject.parameters:,} dimensions free ({share:.0%})."
    )


def _depth(subject: SubjectAudit) -> str:
    """How deep the optimiser's solutions lie, from the shallowest to the deepest."""
    if not subject.solutions:
        return ""
    ordered = sorted(subject.solutions, key=lambda s: -s.train_loss)
    first, last = ordered[0], ordered[-1]
    if first is last or first.train_loss == last.train_loss:
        return (
            f"{subject.name}: the trained network, at training loss {first.train_loss:.4g}, lies "
            f"{_with_interval(first.depth)} deep."
        )
    return (
        f"{subject.name}: the {len(ordered)} trained networks have training losses from {last.train_loss:.4g} to "
        f"{first.train_loss:.4g}; they lie {_with_interval(first.depth)} to {_with_interval(last.depth)} deep."
    )


def _held_out(subject: SubjectAudit, c: Comparison) -> str:
    percent = c.quantity == "held_out_error"
    what = "held-out error" if percent else "held-out loss"
    kind = {
        "above": f"worse than the optimiser's: their {what} is higher by",
        "below": f"better than the optimiser's: their {what} is lower by",
        "not resolved": f"not told apart from the optimiser's by their {what}: the difference is",
    }[judge(c.difference)]
    size = c.difference
    if judge(size) == "below":
        size = Estimate(-size.value, size.stderr, size.unit, reference=size.reference, dof=size.dof)
    return (
        f"{subject.name}: random solutions at training loss {c.at_loss:.4g} are {kind} "
        f"{_with_interval(size, percent=percent, points=True)} "
        f"({_with_interval(c.random, percent=percent)} over {c.draws} draws against "
        f"{_with_interval(c.sgd, percent=percent)} over {c.runs} runs)."
    )


def _between(a: SubjectAudit, b: SubjectAudit) -> Iterator[str]:
    """Two neighbouring subjects on the same labels, at the lowest tolerance that both were measured at."""
    if a.task != b.task or a.train_size != b.train_size:
        return
    for m in a.measurements:
        n = next((n for n in b.measurements if n.loss == m.loss), None)
        if n is None:
            continue
        t = max(m.tolerance, n.tolerance)
        one, two = m.profile.bits(t), n.profile.bits(t)
        if not (one.status.ok and two.status.ok and one.kind == two.kind == "estimate"):
            continue
        gap = difference(two, one)
        how = {
            "above": f"more bits than {a.name}",
            "below": f"fewer bits than {a.name}",
            "not resolved": f"as many bits as {a.name} within the error",
        }[judge(gap)]
        at = "no training error" if not m.primary and t == 0 else f"{m.loss} ≤ {t:.4g}"
        yield f"At {at}, {b.name} pins {how}: the difference is {_with_interval(gap)}."


def _with_interval(e: Estimate, *, percent: bool = False, points: bool = False) -> str:
    """An estimate with its 95% interval, or a bound as one.

    >>> _with_interval(Estimate(812.31, 1.9, "bits", dof=3))
    '812 bits (95%: 806 to 818)'
    """
    scale = 100.0 if percent else 1.0
    unit = (" points" if points else "%") if percent else "" if e.unit == "1" else f" {e.unit}"
    value = scale * e.value
    if e.kind in ("lower_bound", "upper_bound"):
        low = e.kind == "lower_bound"
        return f"{'at least' if low else 'at most'} {_outward(value, down=low):,.6g}{unit}"
    low, high = (scale * v for v in e.interval(0.95))
    if e.kind == "exact" or not math.isfinite(low):
        return f"{value:.6g}{unit}" + ("" if e.kind == "exact" else " (error unknown)")
    width = high - low
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 0 else 3
    return f"{value:,.{digits}f}{unit} (95%: {low:,.{digits}f} to {high:,.{digits}f})"


def _outward(value: float, *, down: bool) -> float:
    """Four digits of a bound, rounded so that it still holds.

    >>> _outward(336.3712, down=True), _outward(336.3712, down=False)
    (336.3, 336.4)
    """
    if value == 0.0 or not math.isfinite(value):
        return value
    places = 3 - math.floor(math.log10(abs(value)))
    scaled = value * 10.0**places
    return round((math.floor(scaled) if down else math.ceil(scaled)) / 10.0**places, max(0, places))
