r"""The two forms of over-optimisation, fitted: to a curve that was computed here, or to one that a user measured.

Over best-of-n sampling the gain in true value is found to follow :math:`d(\alpha - \beta d)`, over reinforcement
learning :math:`d(\alpha - \beta \ln d)`, with :math:`d = \sqrt{\mathrm{KL}}` in nats (Gao, Schulman and Hilton 2023,
Scaling laws for reward model overoptimization, equation 1). Both are linear in α and β: least squares.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import DataError, InputError
from pindown.estimate import Estimate, Status, bits
from pindown.values.overoptimisation_result import Curve, Fit

__all__ = ["FORMS", "fit_curve", "fit_overoptimisation"]

Array = NDArray[np.float64]
FORMS = ("d(α − βd)", "d(α − β ln d)")
"""Of best of n, and of optimisation with a penalty on the divergence."""

_FEWEST = 4


def fit_overoptimisation(amount: Any, value: Any, base: float | None = None) -> tuple[Fit, Fit]:
    r"""Both forms, fitted to a curve of your own: true value against optimisation bits.

    Args:
        amount: optimisation bits of each point, the relative entropy from the base; nats over ln 2.
        value: true value of each point, on any scale.
        base: true value of the base; by default that of the points at 0 bits.

    Returns:
        The fits by :math:`d(\alpha - \beta d)` and by :math:`d(\alpha - \beta \ln d)`, in this order; ``unexplained``
        tells which of them is closer. Standard errors are those of least squares.

    Raises:
        InputError: for lengths that differ, fewer than four points above 0 bits, or no base.
        DataError: for numbers that are not finite, or negative bits.

    Example:
        >>> import numpy as np
        >>> kl = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])  # nats
        >>> d = np.sqrt(kl)
        >>> square, logarithmic = fit_overoptimisation(kl / np.log(2), 10.0 + d * (1.0 - 0.25 * d))
        >>> print(f"{square.alpha.value:.3f} {square.beta.value:.3f}, highest at {square.peak:.2f} bits")
        1.000 0.250, highest at 5.77 bits
        >>> square.unexplained < logarithmic.unexplained
        True
    """
    x, y = _column(amount, "amount"), _column(value, "value")
    if len(x) != len(y):
        raise InputError(f"{len(x)} amounts and {len(y)} values", "one of each for every point")
    if len(x) and x.min() < 0.0:
        raise DataError(f"amount: point {int(x.argmin()) + 1} has {x.min():g} bits", "bits of 0 or more")
    if (x > 0.0).sum() < _FEWEST:
        raise InputError(f"{int((x > 0.0).sum())} points above 0 bits", f"at least {_FEWEST}")
    if base is None:
        if not (x == 0.0).any():
            raise InputError("no point at 0 bits and no base", "the true value of the base", "give base=")
        base = float(y[x == 0.0].mean())
    elif isinstance(base, bool) or not isinstance(base, int | float) or not math.isfinite(base):
        raise InputError(f"base={base!r}", "a finite number")
    first, second = (_fit(x[x > 0.0], y[x > 0.0] - base, form) for form in FORMS)
    return first, second


def fit_curve(curve: Curve, base: float, form: str) -> Fit | None:
    """A curve's gain in true value over the base; None with fewer than four points above 0 bits."""
    points = [p for p in curve.points if p.bits.value > 0.0]
    if len(points) < _FEWEST:
        return None
    return _fit(np.array([p.bits.value for p in points]), np.array([p.true.value - base for p in points]), form)


def _fit(amount: Array, gain: Array, form: str) -> Fit:
    d = np.sqrt(amount * math.log(2.0))
    logarithmic = "ln" in form
    design = np.column_stack([d, -d * (np.log(d) if logarithmic else d)])
    found, _, rank, _ = np.linalg.lstsq(design, gain, rcond=None)
    if rank < 2:
        raise InputError("points that are all at one number of bits", "at least two")
    alpha, beta = (float(x) for x in found)
    left = gain - design @ found
    variance = float(left @ left) / (len(d) - 2)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)
    peak = math.inf
    if beta > 0.0 and (logarithmic or alpha > 0.0):
        top = math.exp(alpha / beta - 1.0) if logarithmic else alpha / (2.0 * beta)
        peak = bits(top**2)
    a, b = (
        Estimate(x, float(e), "1", "estimate", Status.REACHED, form) for x, e in zip((alpha, beta), errors, strict=True)
    )
    return Fit(form, a, b, peak, float(left @ left) / max(float(gain @ gain), 1e-300))


def _column(x: Any, what: str) -> Array:
    try:
        a = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} that is no list of numbers ({error})", "one number a point") from error
    if a.ndim != 1:
        raise InputError(f"{what} of shape {a.shape}", "one number a point, (N,)")
    bad = np.flatnonzero(~np.isfinite(a))
    if bad.size:
        raise DataError(f"{what}: point {bad[0] + 1} is {a[bad[0]]}", "finite numbers")
    return a
