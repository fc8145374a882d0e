"""One choice from each of several lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import check_count, scale_column

__all__ = ["Patterns"]


class Patterns:
    """One number from each of several ranges, all patterns equally likely, held as floats 0, 1, …

    Args:
        sizes: how many numbers each range has.
        dtype: floating-point format of the numbers.

    Raises:
        InputError: without ranges, or where one has fewer than one number.

    Example:
        >>> from pindown.spaces.patterns import Patterns
        >>> Patterns([2, 3]).points(0, 4).tolist()
        [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [1.0, 0.0]]
    """

    def __init__(self, sizes: Sequence[int], *, dtype: torch.dtype = torch.float64) -> None:
        if not sizes:
            raise InputError("patterns without ranges", "at least one")
        self.sizes = tuple(check_count(s, "size") for s in sizes)
        self.dim = len(self.sizes)
        self.dtype = dtype
        self.size = math.prod(self.sizes)
        self.reference = f"Patterns({self.dim} of {min(self.sizes)} to {max(self.sizes)})"
        self._sizes = torch.tensor(self.sizes, dtype=torch.float64)

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent patterns, shape ``(n, dim)``."""
        return self._draw((n, self.dim), rng)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """Redraw each number with probability ``scale``; where none was redrawn, one at random.

        Which numbers are redrawn does not depend on the pattern, and a redrawn one is uniform, so that the move is
        symmetric, hence reversible with respect to the uniform prior.
        """
        chosen = torch.rand(x.shape, generator=rng, device=x.device) < scale_column(scale, x)
        one = torch.randint(0, self.dim, (len(x), 1), generator=rng, device=x.device)
        none = ~chosen.any(-1, keepdim=True)
        chosen = chosen | (none & torch.zeros_like(chosen).scatter(1, one, True))
        return torch.where(chosen, self._draw(tuple(x.shape), rng).to(x.dtype), x)

    def points(self, start: int, stop: int) -> Tensor:
        """The patterns number ``start`` to ``stop − 1``, the last range running fastest."""
        left = torch.arange(start, stop)
        columns: list[Tensor] = []
        for size in reversed(self.sizes):
            columns.append(left % size)
            left = left // size
        return torch.stack(columns[::-1], dim=1).to(self.dtype)

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        u = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
        sizes = self._sizes.to(rng.device)
        return torch.minimum((u * sizes).floor(), sizes - 1).to(self.dtype)

    def __repr__(self) -> str:
        return self.reference

    def __reduce__(self) -> tuple[type, tuple[Sequence[int]]]:
        return Patterns, (self.sizes,)
