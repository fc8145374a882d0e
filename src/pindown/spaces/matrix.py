"""Coordinates of a space that belong together as a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Matrix"]


@dataclass(frozen=True)
class Matrix:
    """Coordinates that form a matrix.

    Attributes:
        rows: how many.
        parts: runs of coordinates, each ``rows`` by some columns in row-major order, side by side.
    """

    rows: int
    parts: tuple[slice, ...]

    @property
    def columns(self) -> int:
        """Columns of all parts together."""
        return sum(p.stop - p.start for p in self.parts) // self.rows

    def of(self, z: Tensor) -> Tensor:
        """The matrices ``(N, rows, columns)`` of points ``(N, D)``."""
        parts = [z[:, p].unflatten(1, (self.rows, -1)) for p in self.parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def put(self, matrices: Tensor, into: Tensor) -> None:
        """Write the matrices of points ``(N, D)`` where :meth:`of` found them."""
        at = 0
        for p in self.parts:
            place = into[:, p].unflatten(1, (self.rows, -1))
            place.copy_(matrices[..., at : at + place.shape[2]])
            at += place.shape[2]
