"""Which coordinates of a space can be changed on their own, and how."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.spaces.base import Space, is_smooth
from pindown.spaces.bitstring import BitString
from pindown.spaces.box import Box
from pindown.spaces.gaussian import Gaussian
from pindown.spaces.product import Product

__all__ = ["Variables"]


@dataclass(frozen=True)
class Variables:
    """The parts of a point that are independent under the prior.

    Points are held as the engine holds them, so the coordinates of a smooth space are standard normals.

    Attributes:
        coordinates: of each variable; more than one where they hang together, as the members of a subset do.
        is_bit: whether it is a single 0 or 1.
        continuous: whether it is a real number that the engine holds as a standard normal.
        dim: coordinates in all.
    """

    coordinates: tuple[tuple[int, ...], ...]
    is_bit: tuple[bool, ...]
    continuous: bool
    dim: int

    @classmethod
    def of(cls, space: Space) -> Variables:
        """Those of a space."""
        if is_smooth(space):
            return cls(tuple((i,) for i in range(space.dim)), (False,) * space.dim, True, space.dim)
        coordinates: list[tuple[int, ...]] = []
        is_bit: list[bool] = []
        start = 0
        for part in space.spaces if isinstance(space, Product) else (space,):
            loose = isinstance(part, (BitString, Box, Gaussian))
            places = range(start, start + part.dim)
            coordinates += [(i,) for i in places] if loose else [tuple(places)]
            is_bit += [isinstance(part, BitString)] * (part.dim if loose else 1)
            start += part.dim
        return cls(tuple(coordinates), tuple(is_bit), False, space.dim)

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def all_bits(self) -> bool:
        """Whether the space is a string of bits."""
        return all(self.is_bit)

    def mask(self, variables: tuple[int, ...]) -> Tensor:
        """The coordinates of some variables as ``(dim,)`` booleans."""
        out = torch.zeros(self.dim, dtype=torch.bool)
        for v in variables:
            out[list(self.coordinates[v])] = True
        return out

    def other_values(self, objective: Objective, x: Tensor, rng: torch.Generator) -> Tensor:
        """Points that differ from ``x`` in every bit, and in everything else as fresh draws do."""
        fresh = objective.prior(len(x), rng)
        bits = torch.tensor([v for v, bit in zip(self.coordinates, self.is_bit, strict=True) if bit]).flatten()
        if len(bits):
            fresh[:, bits] = 1.0 - x[:, bits]
        return fresh
