"""Random solutions against an optimiser's: estimates of group means, and of their difference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pindown.errors import InputError
from pindown.estimate import Estimate

__all__ = ["clustered_mean", "difference"]


def clustered_mean(values: ArrayLike, clusters: ArrayLike | None, reference: str, unit: str = "1") -> Estimate:
    r"""The mean of values that come in clusters, with an error that counts clusters, not values.

    The variance of the mean is the cluster-robust one, :math:`\frac{m}{m-1} \sum_c (\sum_{i \in c} (x_i - \bar x))^2 /
    n^2` over m clusters (Liang and Zeger 1986, Longitudinal data analysis using generalized linear models, for the
    model of a common mean; the factor is the usual correction for few clusters), with m − 1 degrees of freedom.
    Without clusters every value is its own, and this is ``s/√n``.

    Args:
        values: one a draw.
        clusters: which cluster each belongs to; None where all are independent.
        reference: the measure that the draws come from.
        unit: of the values.

    Returns:
        The mean; its standard error is NaN for a single cluster.

    Raises:
        InputError: without values, or with clusters of another length.

    Example:
        >>> print(clustered_mean([1.0, 1.0, 3.0, 3.0], [0, 0, 1, 1], "two runs"))
        2.0 ± 1.0
    """
    x = np.asarray(values, dtype=np.float64)
    label = np.arange(x.size) if clusters is None else np.asarray(clusters)
    if x.ndim != 1 or x.size == 0 or label.shape != x.shape:
        raise InputError(f"{x.shape} values in clusters {label.shape}", "one value or more, and a cluster for each")
    _, where = np.unique(label, return_inverse=True)
    sums = np.bincount(where, weights=x - x.mean())
    m = sums.size
    stderr = math.sqrt(m / (m - 1) * float((sums**2).sum())) / x.size if m > 1 else math.nan
    return Estimate(float(x.mean()), stderr, unit, reference=reference, dof=float(max(m - 1, 1)))


def difference(a: Estimate, b: Estimate) -> Estimate:
    r"""``a − b`` for independent estimates, with Welch and Satterthwaite's degrees of freedom.

    :math:`\nu = (s_a^2 + s_b^2)^2 / (s_a^4/\nu_a + s_b^4/\nu_b)` (Welch 1947, The generalization of Student's
    problem). An exact figure adds no error; a bound on either side leaves the error unknown.

    Example:
        >>> d = difference(Estimate(5.0, 0.3, "bits", dof=3), Estimate(4.0, 0.4, "bits", dof=3))
        >>> print(d, round(d.dof, 1))
        1.00 ± 0.50 bits 5.6
    """
    if a.unit != b.unit:
        raise InputError(f"a difference between {a.unit} and {b.unit}", "one unit")
    bound = any(e.kind in ("lower_bound", "upper_bound") for e in (a, b))
    va, vb = a.stderr**2, b.stderr**2
    stderr = math.nan if bound else math.sqrt(va + vb)
    parts = [v**2 / e.dof for v, e in ((va, a), (vb, b)) if e.dof is not None and v > 0]
    dof = (va + vb) ** 2 / sum(parts) if parts and not math.isnan(stderr) else None
    status = next((e.status for e in (a, b) if not e.status.ok), a.status)
    reference = a.reference if a.reference == b.reference else f"{a.reference}; {b.reference}"
    return Estimate(a.value - b.value, stderr, a.unit, status=status, reference=reference, dof=dof)
