"""Losses that are functions of the weights alone, and what counts as a right learning coefficient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pindown import LearningCoefficient, Subject
from pindown.spaces.network import Normal

LEVEL = 0.999
"""Level of the interval that one fixed-seed run must be consistent with; coverage at 95% is tested over 40 seeds."""


class Scalar(nn.Module):
    """A loss that is a function of the weights alone, around the origin."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x), -1)


def of_weights(loss: Callable[[Tensor], Tensor], dim: int) -> Subject:
    """A subject whose loss is ``loss(w)`` on every example."""
    return Subject(Scalar(dim), lambda out, _: loss(out), (torch.zeros(4, 1), torch.zeros(4)), prior=Normal(0.0, 1.0))


def complaints(found: LearningCoefficient, truth: float, *, within: float = 0.05) -> list[str]:
    """What is wrong with an answer; empty where it is right."""
    low, high = found.interval(LEVEL)
    out = [] if found.status.ok and found.kind == "estimate" else [f"no estimate: {found}"]
    if not abs(found.value - truth) <= within * truth:
        out.append(f"{found} where {truth} is exact")
    if not found.stderr <= 0.06 * truth:
        out.append(f"standard error {found.stderr}")
    return out + ([] if low <= truth <= high else [f"{found} is not consistent with {truth}"])
