"""Search block by block: each is made as good as it can be while the others stand still."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.landscapes.dependence import Blocks
from pindown.landscapes.searches import Climber
from pindown.landscapes.traces import Traces
from pindown.landscapes.variables import Variables

__all__ = ["decomposed_search", "looked_through"]

Progress = Callable[[float], None]
_MOST_BITS = 10  # of a block that is looked through whole
_CLIMB = 64  # evaluations a variable of a block, in the first pass
_GAIN = 1e-3  # of the way to the goal; a pass that gains less is stuck


def looked_through(variables: Variables, block: tuple[int, ...]) -> bool:
    """Whether every setting of a block is tried."""
    return len(block) <= _MOST_BITS and all(variables.is_bit[v] for v in block)


def decomposed_search(
    objective: Objective, variables: Variables, blocks: Blocks, start: Tensor, goal: float, budget: int,
    rng: torch.Generator, report: Progress | None = None,
) -> Traces:  # fmt: skip
    """Passes over the blocks in random order, each improved with the others as they are.

    A block of up to ten bits is looked through whole: :math:`2^b` points. Another is climbed in and drawn anew again
    and again, twice as long at each pass. Where blocks do not depend on each other one pass finds the best of all, at
    the sum of their costs instead of the product. After a pass that gained nothing the search starts anew.
    """
    out = Traces(len(start), budget, goal)
    x, loss = start.clone(), objective.losses(start)
    out.add(loss)
    climb = _CLIMB
    while out.active.any():
        before = loss
        for k in torch.randperm(len(blocks), generator=rng).tolist():
            if not out.active.any():
                break
            if looked_through(variables, blocks[k]):
                x, loss = _best_setting(objective, variables, blocks[k], x, loss, out, rng)
            else:
                x, loss = _best_climb(objective, variables, blocks[k], x, loss, out, climb * len(blocks[k]), rng)
            if report is not None:
                report(float(out.used.min()) / budget)
        climb *= 2
        stuck = before - loss <= _GAIN * (before - goal).abs()
        stuck &= torch.from_numpy(out.active)
        if bool(stuck.any()):
            fresh = objective.prior(len(x), rng)
            value = objective.losses(fresh)
            out.add(value, stuck.numpy())
            x, loss = torch.where(stuck.unsqueeze(-1), fresh, x), torch.where(stuck, value, loss)
    return out


def _best_setting(
    objective: Objective, variables: Variables, block: tuple[int, ...], x: Tensor, loss: Tensor, out: Traces,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """All other settings of a block of bits, in random order."""
    places = variables.mask(block).nonzero().flatten()
    count = 2 ** len(places)
    numbers = 1 + torch.randperm(count - 1, generator=rng)
    flips = torch.zeros((count - 1, x.shape[1]), dtype=x.dtype)
    flips[:, places] = ((numbers.unsqueeze(1) >> torch.arange(len(places))) & 1).to(x.dtype)
    tried = torch.where(flips > 0, 1.0 - x.unsqueeze(1), x.unsqueeze(1))
    value = objective.losses(tried.reshape(-1, x.shape[1])).reshape(len(x), -1)
    out.add(value)
    best, which = value.min(dim=1)
    better = best < loss
    chosen = tried[torch.arange(len(x)), which]
    return torch.where(better.unsqueeze(-1), chosen, x), torch.where(better, best, loss)


def _best_climb(
    objective: Objective, variables: Variables, block: tuple[int, ...], x: Tensor, loss: Tensor, out: Traces,
    evaluations: int, rng: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Climbs within a block, each from a fresh draw of it, the best kept."""
    climber = Climber(objective, variables, x, loss, block, rng)
    for _ in range(evaluations):
        if not np.any(out.active):
            break
        out.add(climber.step())
        better = climber.loss < loss
        x, loss = torch.where(better.unsqueeze(-1), climber.x, x), torch.where(better, climber.loss, loss)
    return x, loss
