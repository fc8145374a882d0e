"""How much more can be reached when a constraint is relaxed by one unit, in bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.measure import measure
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.resources.highs import make_solver
from pindown.resources.linear_program import LinearProgram
from pindown.spaces.box import Box

__all__ = ["volume_gains"]

Progress = Callable[[float, str], None]


def volume_gains(
    problem: LinearProgram, *, repeats: int = 4, seed: int = 0, progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> dict[str, Estimate]:  # fmt: skip
    r"""Bits of reachable volume gained when a row is relaxed by one of its units.

    .. math:: \log_2 V(b_i + 1) - \log_2 V(b)

    Both volumes are measured by the engine under the uniform prior on the box of the columns' bounds, with the largest
    violation of any row as the loss. A column that has no bound of its own gets the one that the rows imply where each
    of them is relaxed by a unit, from a linear programme.

    Args:
        problem: a programme whose columns are bounded, by themselves or by the rows, without equations.
        repeats: runs of each measurement.
        seed: everything random follows from it.
        progress: called with the share done and a text.
        checkpoint: folder for unfinished work, one inside for each measurement.

    Returns:
        The gain of each row in bits.

    Raises:
        InputError: for a column that nothing bounds, or an equation, which leaves no volume.

    Example:
        >>> from pindown import LinearProgram
        >>> gain = volume_gains(LinearProgram([1, 1], [[1, 1]], high=1, upper=2))["row 0"]
        >>> abs(gain.value - 2) < 0.3  # from a triangle of area 1/2 to one of area 2
        True
    """
    equal = np.flatnonzero(problem.low == problem.high)
    if equal.size:
        raise InputError(f"row {problem.rows[int(equal[0])]!r} is an equation", "rows that leave some volume")
    lower, upper = _bounds(problem)
    space = Box(torch.from_numpy(lower), torch.from_numpy(upper))
    names = list(problem.rows)
    found: list[Estimate] = []
    for i in range(-1, len(names)):
        by = np.zeros(len(names))
        if i >= 0:
            by[i] = 1.0
        loss = _Violation(problem, by)
        profile = measure(
            space, loss, tolerance=0.0, engine="splitting", repeats=repeats, seed=seed, jobs=1,
            checkpoint=None if checkpoint is None else Path(checkpoint) / str(i + 1),
        )  # fmt: skip
        found.append(profile.bits())
        if progress is not None:
            progress((i + 2) / (len(names) + 1), "volume" if i < 0 else f"volume without a unit of {names[i]}")
    base = found[0]
    gains: dict[str, Estimate] = {}
    for name, after in zip(names, found[1:], strict=True):
        status = after.status if base.status.ok else base.status
        gains[name] = Estimate(
            base.value - after.value, math.hypot(base.stderr, after.stderr), "bits", status=status,
            reference=space.reference, dof=base.dof,
        )  # fmt: skip
    return gains


def _bounds(problem: LinearProgram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the columns, those that are missing from the rows."""
    n = len(problem.columns)
    wider = LinearProgram(
        np.zeros(n), problem.matrix, problem.low - 1.0, problem.high + 1.0, lower=problem.lower, upper=problem.upper
    )
    solver, ends = make_solver(wider), (problem.lower.copy(), problem.upper.copy())
    for sign, side in zip((1.0, -1.0), ends, strict=True):
        for j in np.flatnonzero(~np.isfinite(side)):
            found = solver.solve(sign * np.eye(n)[j])
            if found.outcome != "optimal":
                raise InputError(f"column {problem.columns[int(j)]!r} is not bounded", "bounds for every column")
            side[j] = sign * found.value
    return ends


class _Violation:
    """The largest amount by which a point violates a row."""

    def __init__(self, problem: LinearProgram, by: NDArray[np.float64]) -> None:
        self.matrix = torch.from_numpy(problem.matrix.toarray())
        self.low, self.high = torch.from_numpy(problem.low - by), torch.from_numpy(problem.high + by)

    def __call__(self, x: Tensor) -> Tensor:
        activity = x.to(self.matrix.dtype) @ self.matrix.T
        return torch.maximum(activity - self.high, self.low - activity).clamp_min(0.0).amax(dim=1)
