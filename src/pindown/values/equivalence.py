r"""Whether a difference is small, large, or not known: two one-sided tests with a margin fixed before.

*Equivalent*: both :math:`\Delta \le -m` and :math:`\Delta \ge m` are rejected by Student's t (Schuirmann 1987). That
all of several differences are, is tested at the same level without a correction (intersection–union, Berger 1982).
*Different*: :math:`|\Delta| \le m` is rejected; of several tests by Holm's (1979) step-down correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from pindown.errors import InputError

__all__ = ["Comparison", "Outcome", "compare_with_margin", "holm"]

Array = NDArray[np.float64]
Outcome = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """One difference against a margin.

    Attributes:
        difference: the mean difference.
        stderr: its standard error.
        p_equivalent: p-value of the claim that it is within the margin: the larger of the two one-sided tests'.
        p_different: p-value of the claim that it is beyond the margin, either way.
    """

    difference: float
    stderr: float
    p_equivalent: float
    p_different: float

    def outcome(self, level: float, adjusted: float | None = None) -> Outcome:
        """What is shown at a level; ``adjusted`` stands for ``p_different`` where several are tested."""
        if (self.p_different if adjusted is None else adjusted) <= level:
            return "different"
        return "equivalent" if self.p_equivalent <= level else "undecided"


def compare_with_margin(differences: Array, margin: float) -> Comparison:
    """Two one-sided tests, and the two for the opposite claim, on independent differences.

    Args:
        differences: at least two, one an episode.
        margin: above 0, in their unit.

    Raises:
        InputError: for fewer than two differences, or a margin that is not above 0.

    Example:
        >>> import numpy as np
        >>> found = compare_with_margin(np.random.default_rng(0).normal(0.1, 1.0, 400), 0.5)
        >>> found.outcome(0.05)
        'equivalent'
    """
    x = np.asarray(differences, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise InputError(f"differences of shape {x.shape}", "at least two in one row")
    if not (isinstance(margin, int | float) and 0.0 < margin < math.inf):
        raise InputError(f"a margin of {margin!r}", "a number above 0")
    mean, stderr = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))
    if stderr <= 1e-15 * max(1.0, abs(mean)):  # the same in every episode
        within = abs(mean) < margin
        return Comparison(mean, 0.0, 0.0 if within else 1.0, 1.0 if abs(mean) <= margin else 0.0)
    beyond = -abs(mean)
    # The nearer edge decides: P(T ≥ (m − |Δ|)/s), and twice P(T ≥ (|Δ| − m)/s) for a difference either way.
    inside = float(stdtr(len(x) - 1, -(margin + beyond) / stderr))
    outside = float(stdtr(len(x) - 1, (margin + beyond) / stderr))
    return Comparison(mean, stderr, inside, min(1.0, 2.0 * outside))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(np.asarray(p, dtype=np.float64), kind="stable")
    out, highest = [0.0] * len(p), 0.0
    for rank, k in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p) - rank) * p[k]))
        out[k] = highest
    return out
