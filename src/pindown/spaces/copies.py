"""Independent copies of one space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import Space, check_count, is_smooth
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Copies"]


class Copies:
    """``count`` independent draws from one space, their coordinates laid end to end.

    What :class:`~pindown.Product` gives for equal parts, in one call for all of them. It is smooth where the space is.

    Args:
        space: the space of each copy.
        count: how many.

    Raises:
        InputError: for something that is no space, or a count below 1.

    Example:
        >>> import torch
        >>> from pindown import Simplex
        >>> from pindown.spaces.copies import Copies
        >>> Copies(Simplex(2), 3).sample(5, rng=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 6])
    """

    dim: int
    reference: str

    def __new__(cls, space: Space, count: int) -> Copies:
        return object.__new__(_SmoothCopies if is_smooth(space) else Copies)

    def __init__(self, space: Space, count: int) -> None:
        if not isinstance(space, Space):
            raise InputError(f"copies of {type(space).__name__}", "a space with dim, sample and propose")
        self.space, self.count = space, check_count(count, "count")
        self.dim = space.dim * count
        self.reference = f"{space.reference}^{count}"

    def split(self, x: Tensor) -> Tensor:
        """The coordinates of each copy, ``(N, count, dim of the space)``."""
        return x.reshape(*x.shape[:-1], self.count, self.space.dim)

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent draws, shape ``(n, dim)``."""
        return self.space.sample(n * self.count, rng=rng).reshape(n, self.dim)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """The space's own move on each copy; reversible because the copies are independent."""
        size: Any = scale
        if isinstance(scale, Tensor) and scale.ndim > 0:
            size = scale.reshape(-1, 1).expand(len(x), self.count).reshape(-1)
        return self.space.propose(x.reshape(-1, self.space.dim), size, rng=rng).reshape(x.shape)

    def __repr__(self) -> str:
        return self.reference

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return Copies, (self.space, self.count)


class _SmoothCopies(Copies, SmoothSpace):
    """Copies of a smooth space."""

    def __init__(self, space: SmoothSpace, count: int) -> None:  # type: ignore[override]
        super().__init__(space, count)
        self.smooth_space = space
        self.dtype = space.dtype

    def from_normal(self, z: Tensor) -> Tensor:
        """The space's map on each copy."""
        return self.smooth_space.from_normal(self.split(z)).reshape(z.shape)

    def to_normal(self, x: Tensor) -> Tensor:
        """The space's inverse map on each copy."""
        return self.smooth_space.to_normal(x.reshape(-1, self.space.dim)).reshape(x.shape)
