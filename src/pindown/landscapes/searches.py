"""Blind, local and gradient search from several starts at once; a search that is stuck starts anew."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.landscapes.traces import Traces
from pindown.landscapes.variables import Variables

__all__ = ["Climber", "blind_search", "gradient_search", "local_search"]

Progress = Callable[[float], None]
_CHUNK = 256
_GROW, _SHRINK = 1.5, 1.5**-0.25  # in balance where one move in five helps
_LEAST_SCALE = 1e-5  # of a standard normal
_PATIENCE = 6  # moves a coordinate without a lower loss
_LEAST_STEP = 1e-9


def blind_search(
    objective: Objective, starts: int, goal: float, budget: int, rng: torch.Generator, report: Progress | None = None
) -> Traces:
    """Draws from the prior, one after the other."""
    out = Traces(starts, budget, goal)
    for done in range(0, budget, _CHUNK):
        m = min(_CHUNK, budget - done)
        out.add(objective.losses(objective.prior(starts * m, rng)).reshape(starts, m))
        if report is not None:
            report(min(1.0, (done + m) / budget))
        if not out.active.any():
            break
    return out


class Climber:
    """Random moves of some variables that are taken where they do not make the loss higher.

    Bits are flipped one at a time, in an order of their own; where each flip makes the loss higher, or six a bit gave
    nothing lower, all are drawn anew. Real numbers take normal steps whose size grows by half where a move helps and
    shrinks by the fourth root of that where it does not (the one-fifth rule, Rechenberg 1973, Evolutionsstrategie),
    until it has become tiny.

    Args:
        objective: the loss.
        variables: of the space.
        x, loss: where the searches stand; one row a start.
        block: numbers of the variables to move.
        rng: of all moves.
    """

    def __init__(
        self, objective: Objective, variables: Variables, x: Tensor, loss: Tensor, block: tuple[int, ...],
        rng: torch.Generator,
    ) -> None:  # fmt: skip
        self.objective, self.variables, self.rng = objective, variables, rng
        self.x, self.loss = x.clone(), loss.clone()
        self.mask = variables.mask(block)
        self.choices = torch.stack([variables.mask((v,)) for v in block])
        self.is_bit = torch.tensor([variables.is_bit[v] for v in block])
        self.places = self.mask.nonzero().flatten()
        n = len(x)
        self.scale = torch.ones(n, dtype=torch.float64)
        self.failures = torch.zeros(n, dtype=torch.int64)
        self.worse = torch.zeros(n, dtype=torch.int64)  # flips in a row that made the loss higher
        self.stuck = torch.zeros(n, dtype=torch.bool)
        self.flips_only = bool(self.is_bit.all())
        self.order = torch.rand((n, len(block)), generator=rng).argsort(-1)
        self.turn = 0

    def step(self) -> Tensor:
        """One move of every row; returns the losses of the points that were looked at."""
        y = self._moved()
        if bool(self.stuck.any()):
            fresh = torch.where(self.mask, self.objective.prior(len(y), self.rng), self.x)
            y = torch.where(self.stuck.unsqueeze(-1), fresh, y)
        value = self.objective.losses(y)
        better = value < self.loss
        taken = (value <= self.loss) | self.stuck
        self.x = torch.where(taken.unsqueeze(-1), y, self.x)
        self.loss = torch.where(taken, value, self.loss)
        self.failures = torch.where(better | self.stuck, 0, self.failures + 1)
        self.scale = torch.where(better, self.scale * _GROW, self.scale * _SHRINK)
        self.scale = torch.where(self.stuck, 1.0, self.scale).clamp_max(1.0)
        self.worse = torch.where(taken, 0, self.worse + 1)
        self.turn += 1
        if self.variables.continuous:
            self.stuck = self.scale < _LEAST_SCALE
        else:
            self.stuck = self.failures >= max(24, _PATIENCE * len(self.places))
        if self.flips_only:
            self.stuck |= self.worse >= len(self.choices)
        return value

    def _moved(self) -> Tensor:
        n = len(self.x)
        if self.variables.continuous:
            noise = torch.randn((n, len(self.places)), generator=self.rng, dtype=self.x.dtype)
            y = self.x.clone()
            y[:, self.places] += self.scale.to(self.x.dtype).unsqueeze(-1) * noise
            return y
        if self.flips_only:
            turn = self.order[:, self.turn % len(self.choices)]
            return torch.where(self.choices[turn], 1.0 - self.x, self.x)
        one = torch.randint(0, len(self.choices), (n,), generator=self.rng)
        where, bit = self.choices[one], self.is_bit[one].unsqueeze(-1)
        other = self.objective.space.propose(self.x, self.scale.clamp_min(1e-9), rng=self.rng)
        return torch.where(where, torch.where(bit, 1.0 - self.x, other), self.x)


def local_search(
    objective: Objective, variables: Variables, start: Tensor, goal: float, budget: int, rng: torch.Generator,
    report: Progress | None = None,
) -> Traces:  # fmt: skip
    """Climbs of all variables together, one after the other."""
    out = Traces(len(start), budget, goal)
    loss = objective.losses(start)
    out.add(loss)
    climber = Climber(objective, variables, start, loss, tuple(range(len(variables))), rng)
    for done in range(1, budget):
        if not out.active.any():
            break
        out.add(climber.step())
        if report is not None and done % _CHUNK == 0:
            report(done / budget)
    return out


def gradient_search(
    objective: Objective, start: Tensor, goal: float, budget: int, rng: torch.Generator, report: Progress | None = None
) -> Traces:
    """Steepest descent in the standard normals, with a step that adapts.

    The step's length grows by half where the loss falls and is halved where it does not (Battiti 1989, Accelerated
    backpropagation learning: two optimization methods). One evaluation is a loss with its gradient.
    """
    out = Traces(len(start), budget, goal)
    z = start
    loss, slope = objective.losses_and_gradients(z)
    out.add(loss)
    step = torch.ones(len(z), dtype=torch.float64)
    for done in range(1, budget):
        if not out.active.any():
            break
        length = slope.norm(dim=-1)
        stuck = (step < _LEAST_STEP) | (length == 0)
        move = (step / length.clamp_min(1e-300)).to(z.dtype).unsqueeze(-1) * slope
        y = torch.where(stuck.unsqueeze(-1), objective.prior(len(z), rng), z - move)
        value, new_slope = objective.losses_and_gradients(y)
        out.add(value)
        better = (value < loss) | stuck
        z = torch.where(better.unsqueeze(-1), y, z)
        slope = torch.where(better.unsqueeze(-1), new_slope, slope)
        loss = torch.where(better, value, loss)
        step = torch.where(stuck, 1.0, torch.where(better, step * 1.5, step * 0.5))
        if report is not None and done % _CHUNK == 0:
            report(done / budget)
    return out
