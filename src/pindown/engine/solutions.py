"""Points below a loss, distributed as the prior is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.objective import Loss
from pindown.engine.record import Island
from pindown.errors import InputError
from pindown.rng import torch_generator
from pindown.spaces.base import Space
from pindown.stats import kish_size

__all__ = ["Draws", "Source", "draw"]

_MOVES = 12
_ACCEPTANCE = 0.4


@dataclass(frozen=True)
class Source:
    """What the closing moves need: the space and the loss of the measurement, and where its points are held."""

    space: Space
    loss: Loss
    device: torch.device | str = "cpu"


@dataclass(frozen=True)
class Draws:
    """Points with their provenance.

    Attributes:
        points: ``(n, dim)``.
        runs: the independent run each came from, ``(n,)``. Draws of one run are a cluster.
        ancestors: distinct prior draws that they descend from.
        effective_size: Kish's effective number of distinct stored points behind them, summed over runs.
    """

    points: Tensor
    runs: NDArray[np.int64]
    ancestors: int
    effective_size: float


def draw(islands: Sequence[Island], source: Source | None, t: float, n: int | None, seed: int) -> Draws:
    """Resample stored points below ``t`` by their weights, equally many from each run, then move them.

    The moves are the space's own, accepted where the loss stays at most ``t``; they leave the prior below ``t``
    invariant and part the copies of one point.

    Raises:
        InputError: if there is no stored point, or none with a loss of at most ``t``.
    """
    if source is None:
        raise InputError("a profile read from a file", "one that measure() returned", "measure again to draw solutions")
    usable = [(i, np.flatnonzero(i.point_loss <= t)) for i in islands]
    usable = [(i, below) for i, below in usable if below.size]
    if not usable:
        lowest = min((i.lowest for i in islands), default=math.inf)
        raise InputError(
            f"solutions with loss at most {t:g}, below what the runs reached", f"a loss above {lowest:g}",
            "measure again with a lower tolerance",
        )  # fmt: skip
    if n is not None and n < 1:
        raise InputError(f"n = {n}", "a whole number of 1 or more")
    rng = torch_generator(seed, 0x501, device=source.device)
    numpy_rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0x501,)))
    count = n if n is not None else 50 * len(usable)
    points, runs, ancestors, size = [], [], 0, 0.0
    for k, (island, below) in enumerate(usable):
        m = count // len(usable) + (k < count % len(usable))
        lw = island.point_log_weight[below]
        share = np.exp(lw - lw.max())
        size += kish_size(lw)
        # Systematic resampling in random order.
        places = (numpy_rng.random() + np.arange(m)) / max(m, 1)
        pick = below[np.searchsorted(np.cumsum(share) / share.sum(), places).clip(0, below.size - 1)]
        points.append(island.points[torch.as_tensor(pick)])
        runs.append(np.full(m, island.index))
        ancestors += len(np.unique(island.ancestor[pick]))
    x = _moved(torch.cat(points).to(source.device), source, t, rng)
    return Draws(x, np.concatenate(runs), ancestors, size)


def _moved(x: Tensor, source: Source, t: float, rng: torch.Generator) -> Tensor:
    scale = 0.1
    with torch.no_grad():
        for _ in range(_MOVES):
            proposal = source.space.propose(x, scale, rng=rng)
            value = source.loss(proposal) if not isinstance(x, np.ndarray) else None
            taken = torch.as_tensor(value, device=x.device).double() <= t
            x = torch.where(taken.unsqueeze(-1), proposal, x)
            scale = min(1.0, scale * math.exp(float(taken.double().mean()) - _ACCEPTANCE))
    return x
