"""Bit strings under fair coin flips."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.spaces.base import check_count, scale_column

__all__ = ["BitString"]


class BitString:
    """Strings of ``dim`` independent fair bits, held as 0.0 and 1.0.

    Args:
        dim: number of bits.
        dtype: floating-point format of the zeros and ones.

    Raises:
        InputError: if ``dim`` is not a positive whole number.

    Example:
        >>> from pindown import BitString
        >>> BitString(2).points(0, 4).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, dim: int, *, dtype: torch.dtype = torch.float64) -> None:
        self.dim = check_count(dim, "dim")
        self.dtype = dtype
        self.size = 2**self.dim
        self.reference = f"BitString({dim})"

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent strings, shape ``(n, dim)``."""
        return torch.randint(0, 2, (n, self.dim), generator=rng, device=rng.device).to(self.dtype)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """Redraw each bit with probability ``scale``; where nothing changed, flip one bit at random.

        The chance of a move depends only on which bits differ, so it is symmetric, hence reversible with
        respect to the uniform prior.
        """
        chosen = torch.rand(x.shape, generator=rng, device=x.device) < scale_column(scale, x)
        coins = torch.randint(0, 2, x.shape, generator=rng, device=x.device).to(x.dtype)
        y = torch.where(chosen, coins, x)
        one = torch.randint(0, self.dim, (len(x), 1), generator=rng, device=x.device)
        flipped = y.scatter(1, one, 1.0 - y.gather(1, one))
        return torch.where((y == x).all(-1, keepdim=True), flipped, y)

    def points(self, start: int, stop: int) -> Tensor:
        """The strings that write the numbers ``start`` to ``stop − 1``, most significant bit first."""
        numbers = torch.arange(start, stop).unsqueeze(1)
        shifts = torch.arange(self.dim - 1, -1, -1)
        return ((numbers >> shifts.clamp_max(62)) & 1).to(self.dtype)

    def __repr__(self) -> str:
        return self.reference
