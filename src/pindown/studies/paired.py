"""Differences between groups of runs, with intervals over runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pindown.estimate import Estimate, Status

__all__ = ["mean_of", "paired", "ratio", "usable"]


def usable(rows: Sequence[Estimate]) -> list[float]:
    """Values of the figures that can be used: no bounds, nothing that failed."""
    return [e.value for e in rows if e.kind in ("estimate", "exact") and e.status.ok and math.isfinite(e.value)]


def mean_of(rows: Sequence[Estimate], reference: str = "mean over runs") -> Estimate:
    """The mean over runs by Student's t; where a run has a bound or failed, the mean of the values and that status.

    >>> print(mean_of([Estimate(1.0, 0.1, "bits"), Estimate(3.0, 0.1, "bits")]))
    2.0 ± 1.0 bits
    """
    unit = rows[0].unit
    finite = [e.value for e in rows if math.isfinite(e.value)]
    doubtful = [e for e in rows if not e.status.ok] or [e for e in rows if e.kind.endswith("bound")]
    if not finite:
        return Estimate(math.nan, math.nan, unit, status=rows[0].status, reference=reference)
    mean = float(np.mean(finite))
    if doubtful:
        return Estimate(mean, 0.0, unit, doubtful[0].kind, doubtful[0].status, reference)
    return _t(finite, unit, reference)


def paired(treated: Sequence[Estimate], plain: Sequence[Estimate], reference: str = "paired by run") -> Estimate:
    """The mean difference over runs of the same seed; *unsupported* where fewer than two pairs can be used.

    >>> print(paired([Estimate(v, 0.0, "bits") for v in (2.0, 4.0)], [Estimate(v, 0.0, "bits") for v in (1.0, 2.0)]))
    1.50 ± 0.50 bits
    """
    unit = treated[0].unit if treated else "1"
    pairs = [
        a.value - b.value for a, b in zip(treated, plain, strict=True) if len(usable([a, b])) == 2
    ]  # fmt: skip
    if len(pairs) < 2:
        return Estimate(math.nan, math.nan, unit, status=Status.UNSUPPORTED, reference=reference)
    return _t(pairs, unit, reference)


def ratio(above: Sequence[Estimate], below: Sequence[Estimate], reference: str = "paired by run") -> Estimate:
    """``log2`` of the ratio, its mean over runs of the same seed."""
    pairs = [
        math.log2(a.value / b.value)
        for a, b in zip(above, below, strict=True)
        if len(usable([a, b])) == 2 and a.value > 0 and b.value > 0
    ]
    if len(pairs) < 2:
        return Estimate(math.nan, math.nan, "octaves", status=Status.UNSUPPORTED, reference=reference)
    return _t(pairs, "octaves", reference)


def _t(values: Sequence[float], unit: str, reference: str) -> Estimate:
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]), math.nan, unit, reference=reference)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(float(np.mean(values)), error, unit, reference=reference, dof=float(n - 1))
