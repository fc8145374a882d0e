r"""Multilevel splitting: the engine that needs nothing but ranks.

The prior is cut by a falling sequence of levels so that each keeps about half of what the one before left;
the probability of the last is the product of the conditional ones (Kahn and Harris 1951; Au and Beck 2001).
A particle's key is its loss and, for equal losses, a uniform label that belongs to its state, so that ties
and plateaus split like everything else. A pilot finds the levels and the moves; independent runs with both
frozen then give unbiased probabilities (Cérou, Del Moral, Furon and Guyader 2012, section 3), which runs that
choose their own levels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.engine.settings import Settings
from pindown.estimate import Status

__all__ = ["Level", "Pilot", "SplittingRun", "run_levels", "run_pilot"]

Array = NDArray[np.float64]
_PLATEAU_LEVELS = 30
_ACCEPTANCE = 0.3
_SPREAD = 1.5  # in the logarithm of a move's size


@dataclass(frozen=True)
class Level:
    """One cut: particles with a key below ``(loss, label)`` go on; they then make ``moves`` moves.

    Attributes:
        loss: loss of the cut.
        label: label of the cut among equal losses; particles at the loss itself go on below it.
        scale: size of the moves.
        moves: number of moves.
    """

    loss: float
    label: float
    scale: float
    moves: int


@dataclass(frozen=True)
class Pilot:
    """The levels found, and how the search for them ended.

    Attributes:
        levels: the cuts.
        status: ``REACHED`` if the tolerance was reached.
        lowest: the lowest loss seen.
        tries: moves offered on the last plateau without finding a lower loss.
    """

    levels: tuple[Level, ...]
    status: Status
    lowest: float
    tries: int


@dataclass(frozen=True)
class SplittingRun:
    """One run through frozen levels.

    Attributes:
        loss: increasing losses at which the curve was read.
        log_volume: ``ln P(L ≤ loss)`` there.
        reached: whether particles came below the tolerance.
        points: the last particles in held coordinates, those at or below the tolerance.
        point_loss: their losses.
        ancestor: number of the first particle that each descends from.
        log_variance: variance of ``ln P`` that binomial cuts alone would have.
        lowest: the lowest loss seen.
    """

    loss: Array
    log_volume: Array
    reached: bool
    points: Tensor
    point_loss: Array
    ancestor: NDArray[np.int64]
    log_variance: float
    lowest: float


class _Population:
    """Particles with losses, labels and the moves that keep them above no cut."""

    def __init__(self, objective: Objective, n: int, rng: torch.Generator) -> None:
        self.objective, self.rng = objective, rng
        self.x = objective.prior(n, rng)
        self.loss = objective.losses(self.x)
        self.label = torch.rand(n, generator=rng, device=self.x.device, dtype=torch.float64)
        self.ancestor = torch.arange(n, device=self.x.device)

    def below(self, loss: float, label: float) -> Tensor:
        return (self.loss < loss) | ((self.loss == loss) & (self.label < label))

    def select(self, keep: Tensor) -> None:
        """Fill the places of the lost by copies of survivors, each survivor about equally often."""
        n, survivors = len(self.loss), keep.nonzero().flatten()
        order = torch.randperm(len(survivors), generator=self.rng, device=self.rng.device).to(self.x.device)
        pick = survivors[order].repeat(-(-n // len(survivors)))[:n]
        self.x, self.loss, self.label, self.ancestor = (
            t[pick].clone() for t in (self.x, self.loss, self.label, self.ancestor)
        )

    def move(self, loss: float, label: float, scale: float) -> float:
        """One move of every particle below the cut; returns the share that was accepted."""
        space, rng = self.objective.space, self.rng
        if self.objective.smooth:
            noise = torch.randn(self.x.shape, generator=rng, device=self.x.device, dtype=self.x.dtype)
            # Long and short moves in turn: where the set has thin arms, no one size suits it.
            spread = 2.0 * torch.rand((len(self.x), 1), generator=rng, device=self.x.device, dtype=self.x.dtype) - 1.0
            size = (scale * torch.exp(_SPREAD * spread)).clamp_max(1.0)
            proposal = (1.0 - size.square()).sqrt() * self.x + size * noise
        else:
            proposal = space.propose(self.x, scale, rng=rng)
        value = self.objective.losses(proposal)
        taken = (value < loss) | ((value == loss) & (self.label < label))
        self.x = torch.where(taken.unsqueeze(-1), proposal, self.x)
        self.loss = torch.where(taken, value, self.loss)
        # Given the point, the label is uniform below the cut's on the plateau and uniform elsewhere.
        fresh = torch.rand(len(value), generator=rng, device=value.device, dtype=torch.float64)
        self.label = torch.where(self.loss == loss, fresh * label, fresh)
        return float(taken.double().mean())

    def cut(self) -> tuple[float, float]:
        """The key of the particle in the middle."""
        order = np.lexsort((self.label.cpu().numpy(), self.loss.cpu().numpy()))
        middle = int(order[len(order) // 2])
        return float(self.loss[middle]), float(self.label[middle])


def run_pilot(
    objective: Objective, tolerance: float, settings: Settings, rng: torch.Generator, budget: int | None = None
) -> Pilot:
    """Find levels down to ``tolerance`` and moves that forget each of them.

    Moves at a level go on until the rank correlation of the losses before and after is below 0.1; their
    size is steered to an acceptance of about 0.3.
    """
    n = settings.pilot_particles
    crowd = _Population(objective, n, rng)
    levels: list[Level] = []
    scale, on_plateau, tries = 1.0, 0, 0
    lowest = float(crowd.loss.min())
    while True:
        if float((crowd.loss <= tolerance).double().mean()) >= 0.5:
            return Pilot(tuple(levels), Status.REACHED, lowest, 0)
        if len(levels) >= settings.stages:
            return Pilot(tuple(levels), Status.EXTINCT, lowest, tries)
        if budget is not None and objective.evaluations >= budget:
            return Pilot(tuple(levels), Status.BUDGET_SPENT, lowest, tries)
        loss, label = crowd.cut()
        if loss <= tolerance:
            loss, label = tolerance, 1.0
        if not math.isfinite(loss):
            return Pilot(tuple(levels), Status.NON_FINITE, lowest, tries)
        keep = crowd.below(loss, label)
        crowd.select(keep)
        start = rankdata(crowd.loss.cpu().numpy())
        moves = 0
        while moves < settings.splitting_moves:
            rate = crowd.move(loss, label, scale)
            moves += 1
            scale = min(1.0, max(1e-7, scale * math.exp((rate - _ACCEPTANCE) * (1.5 if moves < 8 else 0.5))))
            if moves >= 4 and abs(_correlation(start, rankdata(crowd.loss.cpu().numpy()))) < 0.1:
                break
        levels.append(Level(loss, label, scale, moves))
        best = float(crowd.loss.min())
        plateau = best >= loss and bool((crowd.loss == loss).all())
        on_plateau, tries = (on_plateau + 1, tries + moves * n) if plateau else (0, 0)
        lowest = min(lowest, best)
        if on_plateau >= _PLATEAU_LEVELS:
            status = Status.EXTINCT if loss <= tolerance else Status.PLATEAU
            return Pilot(tuple(levels[:-on_plateau]), status, lowest, tries)


def run_levels(
    objective: Objective,
    tolerance: float,
    levels: tuple[Level, ...],
    n: int,
    rng: torch.Generator,
    report: Callable[[float], None] | None = None,
) -> SplittingRun:
    """One run of ``n`` particles through frozen levels.

    The estimate of ``P(L ≤ t)`` is unbiased; its logarithm is low by half its variance.
    """
    crowd = _Population(objective, n, rng)
    log_p, log_variance = 0.0, 0.0
    loss_out: list[Array] = []
    volume_out: list[Array] = []
    ceiling = (math.inf, math.inf)
    lowest = math.inf
    for number, level in enumerate((*levels, None)):
        if report is not None:
            report(number / (len(levels) + 1))
        value = crowd.loss.cpu().numpy()
        lowest = min(lowest, float(value.min()))
        keep = None if level is None else crowd.below(level.loss, level.label)
        floor = -math.inf if level is None else level.loss
        # The curve is read where this population is full: below its own ceiling, above the next cut.
        distinct, count = np.unique(value, return_counts=True)
        share = np.cumsum(count) / n
        whole = (distinct >= floor) & ((distinct < ceiling[0]) | (ceiling[1] >= 1.0))
        loss_out.append(distinct[whole])
        volume_out.append(log_p + np.log(share[whole]))
        if level is None:
            break
        survivors = int(keep.sum()) if keep is not None else 0
        if survivors == 0:
            break
        p = survivors / n
        log_p += math.log(p)
        log_variance += (1.0 - p) / (p * n)
        crowd.select(keep)  # type: ignore[arg-type]
        for _ in range(level.moves):
            crowd.move(level.loss, level.label, level.scale)
        ceiling = (level.loss, level.label)
    inside = (crowd.loss <= tolerance).nonzero().flatten()
    share = len(inside) / n
    if share:
        log_variance += (1.0 - share) / (share * n)
    loss, volume = _merge(loss_out, volume_out)
    return SplittingRun(
        loss,
        volume,
        bool(len(inside)),
        crowd.x[inside],
        crowd.loss[inside].cpu().numpy(),
        crowd.ancestor[inside].cpu().numpy(),
        log_variance,
        lowest,
    )


def _merge(loss: list[Array], volume: list[Array]) -> tuple[Array, Array]:
    """One increasing curve from the pieces, each of which starts where the one below it ends."""
    x, y = np.concatenate(loss), np.concatenate(volume)
    order = np.lexsort((y, x))
    x, y = x[order], np.maximum.accumulate(y[order])
    last = np.append(x[1:] != x[:-1], True)
    return x[last], y[last]


def _correlation(a: Array, b: Array) -> float:
    if a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
