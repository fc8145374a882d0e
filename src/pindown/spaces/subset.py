"""Subsets of fixed size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import check_count

__all__ = ["Subset"]


class Subset:
    """Subsets of ``k`` out of ``n`` items, uniform, held as 0.0/1.0 membership vectors of length ``n``.

    Args:
        n: number of items.
        k: size of a subset, from 0 to ``n``.
        dtype: floating-point format of the zeros and ones.

    Raises:
        InputError: if ``k`` is not between 0 and ``n``.

    Example:
        >>> from pindown import Subset
        >>> Subset(3, 2).points(0, 3).tolist()
        [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """

    def __init__(self, n: int, k: int, *, dtype: torch.dtype = torch.float64) -> None:
        self.dim = check_count(n, "n")
        self.k = check_count(k, "k", low=0)
        if k > n:
            raise InputError(f"subsets of {k} out of {n} items", "k of at most n")
        self.dtype = dtype
        self.size = math.comb(n, k)
        self.reference = f"Subset({n}, {k})"

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent subsets, shape ``(n, dim)``."""
        order = torch.rand((n, self.dim), generator=rng, device=rng.device).argsort(-1)
        return torch.zeros((n, self.dim), dtype=self.dtype, device=rng.device).scatter(1, order[:, : self.k], 1.0)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """Exchange ``m`` members for ``m`` outsiders, ``m = 1 + Binomial(min(k, n−k) − 1, scale)``.

        ``m`` does not depend on the subset, so the move is symmetric, hence reversible with respect to the
        uniform prior.
        """
        most = min(self.k, self.dim - self.k)
        if most == 0:
            return x.clone()
        s = torch.as_tensor(scale, dtype=torch.float64, device=x.device).reshape(-1, 1)
        m = 1 + (torch.rand((len(x), most - 1), generator=rng, device=x.device, dtype=torch.float64) < s).sum(
            -1, keepdim=True
        )
        u = torch.rand(x.shape, generator=rng, device=x.device)
        inside = (u + (1.0 - x)).argsort(-1).argsort(-1)  # members come first, in random order
        outside = (u + x).argsort(-1).argsort(-1)
        swapped = ((inside < m) & (x == 1.0)) | ((outside < m) & (x == 0.0))
        return torch.where(swapped, 1.0 - x, x)

    def points(self, start: int, stop: int) -> Tensor:
        """Subsets number ``start`` to ``stop − 1`` in lexicographic order of their members."""
        out = torch.zeros((stop - start, self.dim), dtype=self.dtype)
        for row, number in enumerate(range(start, stop)):
            rest, left = number, self.k
            for item in range(self.dim):
                if left == 0:
                    break
                with_item = math.comb(self.dim - item - 1, left - 1)
                if rest < with_item:
                    out[row, item] = 1.0
                    left -= 1
                else:
                    rest -= with_item
        return out

    def __repr__(self) -> str:
        return self.reference
