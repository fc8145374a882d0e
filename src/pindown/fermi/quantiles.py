"""Percentiles with errors from independent scramblings, and densities on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.estimate import Estimate, Kind, Status
from pindown.fermi.bounds import Bound

__all__ = ["PERCENTS", "Density", "density", "kind_of", "percentiles", "points"]

Array = NDArray[np.float64]
PERCENTS = (5, 25, 50, 75, 95)
_BINS = 64


@dataclass(frozen=True)
class Density:
    """A histogram: ``heights[i]`` is the share of draws between ``edges[i]`` and ``edges[i + 1]``, per unit.

    Attributes:
        edges: ends of the bins, in the quantity's unit; equal steps of log10 where ``log``, else of the value.
        heights: share per decade where ``log``, else per unit.
        log: which axis.
    """

    edges: tuple[float, ...]
    heights: tuple[float, ...]
    log: bool


def kind_of(bound: Bound) -> Kind:
    """What a figure about a quantity is."""
    kinds: dict[Bound, Kind] = {"exact": "exact", "upper": "upper_bound", "lower": "lower_bound"}
    return kinds.get(bound, "estimate")


def percentiles(
    runs: Array, percents: Sequence[float], unit: str, bound: Bound, reference: str
) -> Mapping[float, Estimate]:
    r"""Percentiles of a quantity from ``(runs, draws)``, runs being independent scramblings of one design.

    Each is the mean of the runs' percentiles, with standard error :math:`s/\sqrt R` and R − 1 degrees of freedom
    (L'Ecuyer 2018, Randomized quasi-Monte Carlo). Where U is an upper bound of a quantity, the quantity is at most U's
    p-th percentile with chance p or more: the figure is an upper bound of the p-th percentile.
    """
    kind = kind_of(bound)
    unknown = bound == "neither"
    finite = bool(np.isfinite(runs).all())
    status = Status.NON_FINITE if not finite else Status.UNSUPPORTED if unknown else Status.REACHED
    if not status.ok:
        return {p: Estimate(math.nan, math.nan, unit, status=status, reference=reference) for p in percents}
    ordered = np.sort(runs, axis=1)
    shares = np.array(percents, dtype=np.float64) / 100.0
    low, high = float(ordered[:, 0].min()), float(ordered[:, -1].max())
    out: dict[float, Estimate] = {}
    for p, each in zip(percents, points(ordered, shares, offset=0.5).T, strict=True):
        error = float(each.std(ddof=1) / math.sqrt(len(each)))
        constant = low == high
        error = 0.0 if kind == "exact" or constant else error
        value = low if constant else float(each.mean())
        exact = kind == "estimate" and constant
        dof = None if constant or kind != "estimate" else len(each) - 1.0
        out[p] = Estimate(value, error, unit, kind="exact" if exact else kind, reference=reference, dof=dof)
    return out


def points(ordered: Array, shares: Sequence[float] | Array, offset: float = 0.0) -> Array:
    """Quantiles ``(…, shares)`` of values in order along the last axis, by straight lines between them.

    The i-th of n stands at :math:`(i - 1)/(n - 1)`, or with ``offset`` 1/2 at :math:`(i - 1/2)/n` (Hazen).

    >>> points(np.array([0.0, 1.0, 3.0]), [0.25, 0.5]).tolist(), points(np.array([0.0, 1.0]), [0.5], 0.5).tolist()
    ([0.5, 1.0], [0.5])
    """
    n = ordered.shape[-1]
    at = np.clip(np.asarray(shares) * (n - 1.0 + 2.0 * offset) - offset, 0.0, n - 1.0)
    below = np.minimum(at.astype(np.int64), max(n - 2, 0))
    above = np.minimum(below + 1, n - 1)
    return ordered[..., below] + (at - below) * (ordered[..., above] - ordered[..., below])


def density(draws: Array, log: bool) -> Density | None:
    """The histogram of one quantity; None where it has one value only, or values that the axis cannot hold."""
    x = draws[np.isfinite(draws)]
    if x.size < draws.size or x.size == 0 or x.min() == x.max() or (log and x.min() <= 0):
        return None
    at = np.log10(x) if log else x
    low, high = np.quantile(at, [0.0005, 0.9995])
    if not low < high:
        return None
    counts, edges = np.histogram(at, bins=_BINS, range=(low, high))
    heights = counts / (x.size * np.diff(edges))
    ends = 10.0**edges if log else edges
    return Density(tuple(map(float, ends)), tuple(map(float, heights)), log)
