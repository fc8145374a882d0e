"""The counting argument: how many directions of a narrow network inside a wide one are flat."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.rng import torch_generator

__all__ = ["embedded_ranks"]


def embedded_ranks(width: int = 30, into: int = 100, inputs: int = 5, seed: int = 0) -> dict[str, tuple[int, int]]:
    r"""Rank of the gradients, and what is left flat, of a narrow tanh network inside a wide one without biases.

    With :math:`f(x) = \sum_k a_k \tanh(w_k \cdot x)`, surplus units of output weight :math:`a_k = 0` move the function
    by their :math:`a_k` alone, so the rank is :math:`30 (d+1) + 70`. Surplus units that repeat a unit
    (:math:`w_k = w_j`) add no direction to its :math:`d+1`, so the rank is :math:`30 (d+1)`. Units are generic, so
    their tangent functions are independent (Sussmann 1992). Ranks are of the gradients at 4 inputs a parameter, in
    double precision, with singular values relative to the largest below :math:`10^{-10}` counted as zero.

    >>> embedded_ranks(3, 5, inputs=2)  # 3 · 3 + 2, and 3 · 3, of 15 parameters
    {'surplus units with zero output weight': (11, 4), 'surplus units as duplicates': (9, 6)}
    """
    rng = torch_generator(seed, 0xC0DE)
    w = torch.randn((width, inputs), generator=rng, dtype=torch.float64)
    a = torch.randn(width, generator=rng, dtype=torch.float64)
    surplus = into - width
    fresh = torch.randn((surplus, inputs), generator=rng, dtype=torch.float64)
    copied = torch.arange(surplus) % width
    share = torch.bincount(copied, minlength=width).double() + 1.0
    x = torch.randn((4 * into * (inputs + 1), inputs), generator=rng, dtype=torch.float64)
    zero = (torch.cat([w, fresh]), torch.cat([a, torch.zeros(surplus, dtype=torch.float64)]))
    twice = (torch.cat([w, w[copied]]), torch.cat([a / share, (a / share)[copied]]))
    out: dict[str, tuple[int, int]] = {}
    for name, (weights, outs) in (
        ("surplus units with zero output weight", zero), ("surplus units as duplicates", twice),
    ):  # fmt: skip
        rank = _rank(weights, outs, x)
        out[name] = (rank, into * (inputs + 1) - rank)
    return out


def _rank(w: Tensor, a: Tensor, x: Tensor) -> int:
    h = torch.tanh(x @ w.T)
    slope = (1.0 - h * h) * a
    gradient = torch.cat([h, (slope.unsqueeze(2) * x.unsqueeze(1)).flatten(1)], 1)
    # The scale of a unit's columns says nothing of their independence.
    norm = gradient.norm(dim=0)
    singular = torch.linalg.svdvals(gradient[:, norm > 0] / norm[norm > 0])
    return int((singular > 1e-10 * singular[0]).sum())
