"""What searches from several starts have seen after how many evaluations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pindown.estimate import Estimate, Status, bits

__all__ = ["LOG2_EVALUATIONS", "Traces", "expected_evaluations"]

Floats = NDArray[np.float64]
LOG2_EVALUATIONS = "log2 evaluations"


class Traces:
    """Losses in the order in which each start's search met them.

    Args:
        starts: how many searches.
        budget: most evaluations of each.
        goal: the loss at which a search has arrived.

    Attributes:
        used: evaluations of each search, until it arrived.
        arrived: whether it did.
    """

    def __init__(self, starts: int, budget: int, goal: float) -> None:
        self.budget, self.goal = budget, goal
        self.losses = np.full((starts, budget), math.inf)
        self.used = np.zeros(starts, dtype=np.int64)
        self.arrived = np.zeros(starts, dtype=np.bool_)

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which searches go on."""
        return ~self.arrived & (self.used < self.budget)

    def add(self, found: Tensor, where: NDArray[np.bool_] | None = None) -> None:
        """The next evaluations ``(starts,)`` or ``(starts, m)``, in order; searches that have ended take none.

        Args:
            found: losses, a row a start.
            where: starts that made them; all by default.
        """
        rows = found.cpu().numpy()
        rows = rows[:, None] if rows.ndim == 1 else rows
        going = self.active if where is None else self.active & where
        for i in np.flatnonzero(going) if rows.shape[1] > 1 else ():
            part = rows[i, : self.budget - self.used[i]]
            hit = np.flatnonzero(part <= self.goal)
            part = part[: hit[0] + 1] if hit.size else part
            self.losses[i, self.used[i] : self.used[i] + len(part)] = part
            self.used[i] += len(part)
            self.arrived[i] = bool(hit.size)
        if rows.shape[1] == 1:
            which = np.flatnonzero(going)
            self.losses[which, self.used[which]] = rows[which, 0]
            self.used[which] += 1
            self.arrived[which] = rows[which, 0] <= self.goal

    def best(self) -> Floats:
        """The lowest loss that each search saw."""
        return self.losses.min(axis=1)

    def best_after(self, evaluations: int) -> Floats:
        """The lowest loss that each search had seen after so many evaluations."""
        return self.losses[:, :evaluations].min(axis=1)

    def part(self, rows: slice) -> Traces:
        """Those of some starts."""
        out = Traces(0, self.budget, self.goal)
        out.losses, out.used, out.arrived = self.losses[rows], self.used[rows], self.arrived[rows]
        return out


def expected_evaluations(traces: Traces, reference: str) -> Estimate:
    r"""Base-2 logarithm of the expected running time of independent restarts.

    .. math:: \mathrm{ERT} = \sum_i e_i \Big/ \sum_i s_i

    over searches of :math:`e_i` evaluations of which those with :math:`s_i = 1` arrived (Hansen, Auger, Ros, Mersmann,
    Tušar and Brockhoff 2021, COCO: a platform for comparing continuous optimizers, section 4), with the standard error
    of a ratio estimator. Where none arrived, a lower bound at 95%: three times fewer than were spent in all.
    """
    spent, solved = traces.used.astype(np.float64), traces.arrived.astype(np.float64)
    n, k = len(spent), float(solved.sum())
    if not k:
        bound = math.log2(max(1.0, float(spent.sum()) / 3.0))
        return Estimate(bound, 0.0, LOG2_EVALUATIONS, "lower_bound", Status.BUDGET_SPENT, reference)
    ratio = float(spent.sum()) / k
    stderr = math.nan
    if n > 1:
        stderr = bits(float(np.std(spent - ratio * solved, ddof=1)) / math.sqrt(n) / float(spent.mean()))
    return Estimate(math.log2(ratio), stderr, LOG2_EVALUATIONS, reference=reference, dof=max(1.0, n - 1.0))
