"""Exact bits where a space is small enough to look at every point."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pindown.engine.objective import Objective
from pindown.spaces.base import FiniteSpace

__all__ = ["MOST_POINTS", "enumerate_losses"]

MOST_POINTS = 2**18
_BLOCK = 2**14


def enumerate_losses(objective: Objective, space: FiniteSpace) -> NDArray[np.float64]:
    """The loss of every point, in the space's own order."""
    parts = []
    for start in range(0, space.size, _BLOCK):
        x = space.points(start, min(start + _BLOCK, space.size)).to(objective.device)
        parts.append(objective.losses(x).cpu())
    return torch.cat(parts).numpy()
