r"""Networks of so few weight bits that every setting is looked at: :math:`P_B`, :math:`P_\mathrm{OPT}` and their
difference without any error.

Every weight takes one of :math:`2^b` equally spaced values. The optimiser is a descent on that grid: from a uniformly
random setting it goes, with equal chances, to one of the neighbours (one weight one step up or down) of lower loss,
until there is none. Each step lowers the loss, so the walk is a directed graph without cycles, and the distribution of
where it ends follows by pushing the uniform distribution along it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.errors import InputError
from pindown.network.perceptrons import PerceptronPrior

__all__ = ["MOST_BITS", "Exhausted", "exhaust", "grid_levels"]

MOST_BITS = 24
_ROWS = 2**16
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Exhausted:
    """Exact distributions over functions.

    Attributes:
        settings: how many settings there are.
        functions: labels of each function that fits the training labels, ``(F, n)``.
        random: probability of each under uniform settings given that the labels are fitted.
        optimiser: probability of each among descents that end in a fit.
        solution_probability: share of settings that fit.
        reached: share of descents that end in a fit.
        longest: steps of the longest descent.
    """

    settings: int
    functions: NDArray[np.uint8]
    random: Array
    optimiser: Array
    solution_probability: float
    reached: float
    longest: int

    @property
    def residual(self) -> Array:
        """``P_OPT − P_B`` of each function."""
        return self.optimiser - self.random

    @property
    def total_variation(self) -> float:
        """Half the sum of the absolute residuals."""
        return 0.5 * float(np.abs(self.residual).sum())

    @property
    def relative_entropy(self) -> float:
        """``Σ P_OPT log2(P_OPT / P_B)`` in bits; finite, since every end of a descent is a setting."""
        used = self.optimiser > 0
        return float((self.optimiser[used] * np.log2(self.optimiser[used] / self.random[used])).sum())

    @property
    def entropies(self) -> tuple[float, float]:
        """Entropy of the optimiser's functions and of the random ones, in bits."""
        return _entropy(self.optimiser), _entropy(self.random)


def grid_levels(bits: int, largest: float = 1.0) -> Tensor:
    """``2**bits`` equally spaced values from ``−largest`` to ``largest``; none of them is zero.

    >>> grid_levels(2, 3.0).tolist()
    [-3.0, -1.0, 1.0, 3.0]
    """
    return torch.linspace(-largest, largest, 2**bits, dtype=torch.float64)


def exhaust(prior: PerceptronPrior, bits: int, x: Tensor, train: Tensor, y: Tensor) -> Exhausted:
    """Look at every setting of ``bits`` bits a weight.

    The loss is the mean logistic loss of the training labels. Settings whose output is exactly 0 on an input have the
    label 0 there, and do not fit a training label by a tie.

    Args:
        prior: gives the network; its scales are those of the grid's ends.
        bits: bits a weight, one to eight.
        x: all inputs ``(n, d)``.
        train: numbers of the training inputs.
        y: labels of all inputs, 0 or 1.

    Raises:
        InputError: for more than 24 bits in all, or labels that no setting fits.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [1.0, 1.0]])
        >>> found = exhaust(PerceptronPrior((2, 1), bias_std=0.0), 4, x, torch.tensor([0]), torch.tensor([1, 1, 1]))
        >>> found.settings, found.solution_probability, round(float(found.random.sum()), 12)
        (256, 0.5, 1.0)
    """
    total = bits * prior.dim
    if not 1 <= bits <= 8 or total > MOST_BITS:
        raise InputError(f"{bits} bits for each of {prior.dim} weights", f"at most {MOST_BITS} bits in all")
    if prior.widths[-1] != 1:
        raise InputError(f"{prior.widths[-1]} outputs", "one output, whose sign is the label")
    levels, dim = 2**bits, prior.dim
    settings = levels**dim
    values = grid_levels(bits, math.sqrt(3.0))
    place = levels ** np.arange(dim, dtype=np.int64)
    loss = np.empty(settings)
    labels = np.empty((settings, len(x)), dtype=np.uint8)
    fits = np.empty(settings, dtype=bool)
    signs = (2 * y[train] - 1).double()
    scales = prior.scales().double()
    for start in range(0, settings, _ROWS):
        number = np.arange(start, min(start + _ROWS, settings))
        digits = torch.as_tensor((number[:, None] // place) % levels)
        out = prior.outputs(values[digits] * scales, x.double())[..., 0]
        margin = out[:, train] * signs
        rows = slice(start, start + len(number))
        # Rounded, so that settings of equal loss are neighbours of equal loss whatever the order of a sum.
        loss[rows] = torch.nn.functional.softplus(-margin).mean(1).numpy().round(12)
        labels[rows] = (out > 0).numpy()
        fits[rows] = (margin > 0).all(1).numpy()
    if not fits.any():
        raise InputError("labels that no setting fits", "labels within the network's reach", "take more bits or units")
    ends, longest = _descend(loss, place, levels)
    found, which = np.unique(labels[fits], axis=0, return_inverse=True)
    which = which.reshape(-1)
    random = np.bincount(which, minlength=len(found)) / fits.sum()
    ended = np.bincount(which, weights=ends[fits], minlength=len(found))
    return Exhausted(settings, found, random, ended / ended.sum(), float(fits.mean()), float(ends[fits].sum()), longest)


def _descend(loss: Array, place: NDArray[np.int64], levels: int) -> tuple[Array, int]:
    """Where descents from uniform starts end, as a distribution over settings, and the longest one's steps."""
    settings = len(loss)
    down: list[tuple[int, NDArray[np.int64]]] = []  # for each direction its step, and from where it lowers the loss
    ways = np.zeros(settings, dtype=np.int16)
    for step, valid in _neighbours(settings, place, levels):
        lower = valid[loss[valid + step] < loss[valid]]
        ways[lower] += 1
        down.append((step, lower))
    mass = np.full(settings, 1.0 / settings)
    ended = np.where(ways == 0, mass, 0.0)
    mass[ways == 0] = 0.0
    longest = 0
    while mass.any():
        longest += 1
        each = np.divide(mass, ways, out=np.zeros(settings), where=ways > 0)
        mass = np.zeros(settings)
        for step, lower in down:
            mass[lower + step] += each[lower]
        stopped = ways == 0
        ended[stopped] += mass[stopped]
        mass[stopped] = 0.0
    return ended, longest


def _neighbours(settings: int, place: NDArray[np.int64], levels: int) -> list[tuple[int, NDArray[np.int64]]]:
    """For each direction its step in a setting's number, and the settings that have a neighbour there."""
    number = np.arange(settings)
    out: list[tuple[int, NDArray[np.int64]]] = []
    for p in place:
        digit = (number // p) % levels
        out += [(int(p), number[digit < levels - 1]), (-int(p), number[digit > 0])]
    return out


def _entropy(p: Array) -> float:
    q = p[p > 0]
    return float(-(q * np.log2(q)).sum()) + 0.0
