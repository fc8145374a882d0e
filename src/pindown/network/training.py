"""Training several perceptrons at once by minibatch gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from pindown.errors import EstimationError
from pindown.rng import torch_generator

__all__ = ["SGD", "Trained", "train_perceptrons"]


@dataclass(frozen=True)
class SGD:
    """Minibatch gradient descent with momentum, and when it stops.

    Attributes:
        rate: step size.
        momentum: heavy-ball momentum.
        batch: examples a step.
        target: training stops at the first epoch whose training error is zero and whose mean training
            cross-entropy, over all examples, is at most this.
        epochs: when it gives up.
    """

    rate: float = 0.01
    momentum: float = 0.9
    batch: int = 32
    target: float = 0.05
    epochs: int = 1000

    def __str__(self) -> str:
        return (
            f"SGD, rate {self.rate:g}, momentum {self.momentum:g}, batches of {self.batch}, stopped at the first epoch "
            f"with zero training error and a mean training loss of at most {self.target:g}"
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights ``(N, D)`` of the trained networks and the steps that each took."""

    points: Tensor
    steps: list[int]


def train_perceptrons(
    start: Tensor, widths: tuple[int, ...], x: Tensor, y: Tensor, seeds: list[int], how: SGD
) -> Trained:
    """Train ReLU perceptrons on the same examples, each in its own random order, until each one stops.

    Args:
        start: initial weights ``(N, D)``, laid out weight, bias, weight, bias, … as by :class:`pindown.Weights`.
        widths: inputs, hidden widths, outputs.
        x: inputs ``(n, widths[0])``.
        y: labels ``(n,)``.
        seeds: one for each network; its order of examples depends on nothing else.
        how: the optimiser.

    Raises:
        EstimationError: if a network has not stopped after ``how.epochs``.
    """
    point = start.clone().requires_grad_(True)
    velocity = torch.zeros_like(start)
    done = torch.zeros_like(start)
    steps = [0] * len(seeds)
    left = list(range(len(seeds)))
    orders = [torch_generator(seed, 0x5D) for seed in seeds]
    n, count = len(y), 0
    for _ in range(how.epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in orders])
        for i in range(0, n, how.batch):
            rows = order[:, i : i + how.batch]
            logits = _forward(point, widths, x[rows])
            loss = functional.cross_entropy(logits.flatten(0, 1), y[rows].flatten(), reduction="sum") / rows.shape[1]
            (slope,) = torch.autograd.grad(loss, point)
            velocity.mul_(how.momentum).add_(slope)
            with torch.no_grad():
                point.sub_(how.rate * velocity)
            count += 1
        with torch.no_grad():
            logits = _forward(point, widths, x.expand(len(seeds), -1, -1))
            labels = y.expand(len(seeds), -1)
            losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)
            wrong = (logits.argmax(-1) != labels).sum(1)
        for i in [i for i in left if wrong[i] == 0 and losses[i] <= how.target]:
            done[i], steps[i] = point.detach()[i], count
            left.remove(i)
        if not left:
            return Trained(done, steps)
    raise EstimationError(
        f"{len(left)} of {len(seeds)} networks did not reach zero training error and a loss of {how.target:g} in "
        f"{how.epochs} epochs. Raise epochs or lower rate."
    )


def _forward(point: Tensor, widths: tuple[int, ...], x: Tensor) -> Tensor:
    start, h = 0, x
    for i, (a, b) in enumerate(pairwise(widths)):
        weight = point[:, start : start + a * b].view(-1, b, a)
        bias = point[:, start + a * b : start + a * b + b].unsqueeze(1)
        start += a * b + b
        h = torch.baddbmm(bias, h, weight.transpose(1, 2))
        if i < len(widths) - 2:
            h = functional.relu(h)
    return h
