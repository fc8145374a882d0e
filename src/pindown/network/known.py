"""Trained weights as starting points of the two-sided check."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.network.objective import NetworkLoss
from pindown.spaces.network import Weights

__all__ = ["inside_support"]

_EDGE = 2.5  # standard normals; beyond it a uniform weight lies in the outer 1.2% of its range
_RATE, _STEPS = 0.01, 2000


def inside_support(space: Weights, loss: NetworkLoss, points: Tensor) -> tuple[Tensor, int]:
    """Bring weights that the prior cannot produce into its support, and train them on there.

    A uniform initialisation has ends that training may cross. Weights beyond an end are moved inside it, and
    Adam (Kingma and Ba 2015) then lowers the loss in the prior's own normal coordinates, until it is as low as it
    was before or the steps are spent.

    Args:
        space: the prior.
        loss: what was trained.
        points: trained weights ``(m, D)``.

    Returns:
        Points inside the support, each the best that was met, and how many had to be moved. Points already inside
        come back unchanged; those outside are left out where the loss has no gradient.
    """
    outside = ~space.inside(points).all(-1)
    moved = int(outside.sum())
    if not moved:
        return points, 0
    if not loss.differentiable:
        return points[~outside], moved
    target = loss(points[outside]).detach()
    low = space.from_normal(torch.full((1, space.dim), -_EDGE, dtype=points.dtype, device=points.device))
    beyond = ~space.inside(points[outside])
    high = space.from_normal(torch.full_like(low, _EDGE))
    clipped = torch.where(beyond, torch.minimum(torch.maximum(points[outside], low), high), points[outside])
    z = space.to_normal(clipped).requires_grad_(True)
    optimiser = torch.optim.Adam([z], lr=_RATE)
    best, lowest = z.detach().clone(), torch.full_like(target, torch.inf)
    for _ in range(_STEPS):
        value = loss(space.from_normal(z))
        # One that has arrived stays as it is: the loss it had, not the lowest that there is.
        better = (value.detach() < lowest) & (lowest > target)
        best[better], lowest[better] = z.detach()[better], value.detach()[better]
        if bool((lowest <= target).all()):
            break
        optimiser.zero_grad()
        value.sum().backward()
        optimiser.step()
    out = points.clone()
    out[outside] = space.from_normal(best)
    return out, moved
