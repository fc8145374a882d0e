"""What counts as a right answer, as sentences about what is wrong, so that broken engines can be shown to fail."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from cases import BY_NAME, Case

import pindown
from pindown.engine.settings import Settings

LEVEL = 0.995
"""Level of the interval that one fixed-seed run must be consistent with; coverage at 95% is tested over 40 runs."""


@cache
def measured(name: str, seed: int, engine: str = "auto", settings: Settings | None = None) -> Any:
    """The profile of a known case, measured once a process."""
    case = BY_NAME[name]
    options = case.options if settings is None else {"settings": settings} | case.options
    return pindown.measure(case.space(), case.loss, tolerance=case.tolerance, seed=seed, engine=engine, **options)


def complaints(case: Case, profile: Any) -> list[str]:
    """Everything that is wrong with the answer; empty where it is right."""
    e = profile.bits()
    out = []
    if e.unit != "bits" or e.reference != case.space().reference:
        out.append(f"unit {e.unit!r} relative to {e.reference!r}")
    if e.kind not in ("estimate", "exact") or not e.status.ok:
        return [*out, f"no estimate: {e}"]
    if abs(e.value - case.exact.bits) > case.accuracy:
        out.append(f"{e} where {case.exact.bits:.3f} is exact")
    if not e.stderr <= case.most_stderr:
        out.append(f"standard error {e.stderr:.3f} above {case.most_stderr}")
    if e.kind == "estimate" and not covers(case, e, LEVEL):
        out.append(f"{e} is not consistent with {case.exact.bits:.3f}")
    return out


def covers(case: Case, e: Any, level: float = 0.95) -> bool:
    """Whether the interval holds the exact value, widened by the reference's own error where it has one."""
    low, high = e.interval(level)
    slack = 2.0 * case.exact_stderr
    return low - slack <= case.exact.bits <= high + slack


def coefficient_complaints(case: Case, profile: Any) -> list[str]:
    """The same for λ, the pinned and the free dimensions."""
    exact = case.exact.learning_coefficient
    assert math.isfinite(exact)
    e = profile.learning_coefficient()
    out = []
    if e.kind != "estimate" or not e.status.ok:
        return [f"no learning coefficient: {e}"]
    if abs(e.value - exact) > max(0.12, 0.08 * exact):
        out.append(f"λ = {e} where {exact:.4f} is exact")
    if not e.stderr <= max(0.08, 0.05 * exact):
        out.append(f"standard error {e.stderr:.3f} of λ = {exact:.3f}")
    low, high = e.interval(LEVEL)
    if not low <= exact <= high:
        out.append(f"λ = {e} is not consistent with {exact:.4f}")
    pinned, free = profile.pinned_dimensions(), profile.free_dimensions()
    if pinned.value - 2 * pinned.stderr > profile.dim:
        follows = math.isnan(free.value) and not free.status.ok
    else:
        follows = abs(free.value - (profile.dim - pinned.value)) <= 1e-9
    if abs(pinned.value - 2 * e.value) > 1e-9 or not follows:
        out.append(f"pinned {pinned} and free {free} do not follow from λ = {e}")
    return out
