"""Independent spaces side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import Space, is_smooth
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Product"]


class Product:
    """Independent draws from several spaces, their coordinates laid end to end.

    The product is smooth where all of its parts are.

    Args:
        *spaces: the parts, in order.

    Raises:
        InputError: without parts, or if a part is not a space.

    Example:
        >>> import torch
        >>> from pindown import BitString, Box, Product
        >>> p = Product(Box(0, 1, dim=2), BitString(3))
        >>> p.dim, p.split(p.sample(4, rng=torch.Generator().manual_seed(0)))[1].shape
        (5, torch.Size([4, 3]))
    """

    dim: int
    reference: str

    def __new__(cls, *spaces: Space) -> Product:
        smooth = bool(spaces) and all(is_smooth(s) for s in spaces)
        return object.__new__(_SmoothProduct if smooth else Product)

    def __init__(self, *spaces: Space) -> None:
        if not spaces:
            raise InputError("a product of no spaces", "at least one space")
        for i, space in enumerate(spaces):
            if not isinstance(space, Space):
                raise InputError(f"part {i} of type {type(space).__name__}", "a space with dim, sample and propose")
        self.spaces = spaces
        self.dim = sum(s.dim for s in spaces)
        self.reference = "Product(" + ", ".join(s.reference for s in spaces) + ")"

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """The coordinates of each part, shapes ``(N, dim_i)``."""
        return x.split([s.dim for s in self.spaces], dim=-1)

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent draws, shape ``(n, dim)``."""
        return torch.cat([s.sample(n, rng=rng) for s in self.spaces], dim=-1)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """Each part's own move at once; reversible because the parts are independent."""
        parts = zip(self.spaces, self.split(x), strict=True)
        return torch.cat([s.propose(part, scale, rng=rng) for s, part in parts], dim=-1)

    def __repr__(self) -> str:
        return self.reference

    def __reduce__(self) -> tuple[type, tuple[Space, ...]]:
        return Product, self.spaces


class _SmoothProduct(Product, SmoothSpace):
    """A product whose parts are all smooth."""

    def __init__(self, *spaces: SmoothSpace) -> None:  # type: ignore[override]
        super().__init__(*spaces)
        self.smooth_spaces = spaces
        self.dtype = spaces[0].dtype
        for s in spaces[1:]:
            self.dtype = torch.promote_types(self.dtype, s.dtype)

    def from_normal(self, z: Tensor) -> Tensor:
        """Each part's map on its own coordinates."""
        parts = zip(self.smooth_spaces, self.split(z), strict=True)
        return torch.cat([s.from_normal(part) for s, part in parts], dim=-1)

    def to_normal(self, x: Tensor) -> Tensor:
        """Each part's inverse map on its own coordinates."""
        parts = zip(self.smooth_spaces, self.split(x), strict=True)
        return torch.cat([s.to_normal(part) for s, part in parts], dim=-1)
