"""The sentences of the bit planes, each by a rule that can come out either way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pindown.estimate import Estimate

if TYPE_CHECKING:
    from pindown.network.plane_results import BitPlanes, Bracket, Level, TensorPlanes

__all__ = ["recommendation", "summary"]

_NAMES = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8_e4m3": "fp8 e4m3 a channel",
    "fp8_e5m2": "fp8 e5m2 a channel",
    "int8": "int8 a channel",
    "int4": "int4 in groups",
    "own": "their own format",
}


def recommendation(planes: BitPlanes) -> str:
    """What is safe to quantise to what, with its joint check."""
    choice = planes.choice
    counts = Counter(choice.target.values())
    left = len(planes.tensors) - len(choice.target)
    tail = f" {left} {'tensor was' if left == 1 else 'tensors were'} not measured and not touched." if left else ""
    unit = _unit(choice.verified)
    bound = f"{planes.epsilon:.4g}{unit}"
    if set(counts) <= {"own"}:
        return f"No tensor can be rounded to a smaller format within a rise of {bound}, all rounded together.{tail}"
    share = {
        name: sum(t.size for t in planes.measured if choice.target[t.name] == name) for name in _NAMES if counts[name]
    }
    whole = sum(share.values())
    parts = [
        f"{_NAMES[n]} for {counts[n]} {'tensor' if counts[n] == 1 else 'tensors'} "
        f"({100 * s / whole:.3g}% of the weights)"
        for n, s in share.items()
    ]
    return (
        f"Safe within a rise of {bound}: {_listed(parts)}, {choice.bits_per_weight:.3g} bits a weight. All rounded "
        f"together the loss goes from {planes.baseline.value:.4g} to "
        f"{planes.baseline.value + choice.verified.value:.4g}, a change of {choice.verified.value:+.2g}{unit} "
        f"(single tensors add up to {choice.predicted.value:.2g}), measured on {planes.examples:,} examples of the "
        f"{planes.data}.{tail}"
    )


def summary(planes: BitPlanes) -> str:
    """The recommendation, the joint figures and one line a tensor."""
    unit = _unit(planes.baseline)
    lines = [
        f"{planes.subject} ({planes.architecture}): {planes.loss} {planes.baseline.value:.6g}{unit} on "
        f"{planes.examples:,} examples of the {planes.data}; {planes.format}, rise at most {planes.epsilon:.4g}{unit}",
        planes.recommendation,
        _allocated(planes),
        f"The same in all tensors at once: {_tolerated(planes, planes.joint)}.",
        _together(planes, planes.together),
        "",
    ]
    width = max(len(t.name) for t in planes.tensors)
    lines += [f"  {t.name.ljust(width)}  {_line(planes, t)}" for t in planes.tensors]
    return "\n".join([*lines, "", *(f"Note: {n}" for n in planes.notes)])


def _allocated(planes: BitPlanes) -> str:
    a = planes.allocation
    size = sum(t.size for t in planes.measured)
    mean = a.bits / size
    if not a.status.ok:
        return (
            f"No allocation was verified: {planes.format} itself, with no plane random, changes the loss by "
            f"{a.verified.rise}."
        )
    rounded = f"; rounded to the same planes {a.rounded.value:+.2g}" if a.rounded is not None else ""
    return (
        f"Allocated jointly, {mean:.3g} of {planes.bits} bits a weight are kept: random bits in the rest raise the "
        f"loss by {a.verified.rise} (predicted {a.predicted.value:.2g}{rounded})."
    )


def _together(planes: BitPlanes, level: Level) -> str:
    if level.nonfinite:
        return (
            f"Every tensor's own answer at once: the loss is not finite in {level.nonfinite} of {level.draws} draws. "
            "The answers of single tensors must not be used together."
        )
    times = level.rise.value / planes.epsilon
    words = {
        "tolerated": "within ε here",
        "not tolerated": "the answers of single tensors must not be used together",
        "undecided": "not resolved against ε",
    }[level.decision]
    return f"Every tensor's own answer at once raises the loss by {level.rise}, {times:.2g} times ε: {words}."


def _line(planes: BitPlanes, t: TensorPlanes) -> str:
    if t.bracket is None:
        return f"unsupported: {t.unsupported}"
    alone, kept = _tolerated(planes, t.bracket), planes.allocation.kept[t.name]
    return f"{alone}; kept jointly {kept}; {_NAMES[planes.choice.target[t.name]].replace('their', 'its')}"


def _tolerated(planes: BitPlanes, b: Bracket) -> str:
    if not b.fits:
        return f"rounding to {planes.format} alone exceeds ε ({b.levels[0].rise})"
    if b.low == b.high:
        return f"{b.low} of {planes.bits} low-order planes may be random"
    return f"{b.low} to {b.high} of {planes.bits} low-order planes may be random (not converged)"


def _unit(e: Estimate) -> str:
    return "" if e.unit in ("", "1") else f" {e.unit}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
