"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.spaces.base import check_count
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Gaussian"]


class Gaussian(SmoothSpace):
    """Independent standard normal coordinates, N(0, I).

    Args:
        dim: number of coordinates.
        dtype: floating-point format.

    Raises:
        InputError: if ``dim`` is not a positive whole number.

    Example:
        >>> import torch
        >>> from pindown import Gaussian
        >>> Gaussian(3).sample(5, rng=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 3])
    """

    def __init__(self, dim: int, *, dtype: torch.dtype = torch.float64) -> None:
        self.dim = check_count(dim, "dim")
        self.dtype = dtype
        self.reference = f"Gaussian({dim})"

    def from_normal(self, z: Tensor) -> Tensor:
        """The identity."""
        return z

    def to_normal(self, x: Tensor) -> Tensor:
        """The identity."""
        return x
