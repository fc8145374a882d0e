"""Spaces that are a differentiable image of the standard normal distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pindown.spaces.base import scale_column
from pindown.spaces.matrix import Matrix

__all__ = ["SmoothSpace"]


class SmoothSpace(ABC):
    """A prior that is the image of N(0, I) under a differentiable map; sampling and moves follow from it.

    A subclass sets ``dim`` and ``reference`` and gives :meth:`from_normal` and :meth:`to_normal`.

    Attributes:
        dim: length of one point.
        reference: the short name that estimates carry.
        dtype: floating-point format of the points.
        matrices: coordinates that form matrices whose columns may be correlated under a loss, or none.
    """

    dim: int
    reference: str
    dtype: torch.dtype = torch.float64
    matrices: tuple[Matrix, ...] = ()

    @abstractmethod
    def from_normal(self, z: Tensor) -> Tensor:
        """Map standard normals ``z``, shape ``(N, dim)``, to points of the same shape, differentiably."""

    @abstractmethod
    def to_normal(self, x: Tensor) -> Tensor:
        """A ``z`` with ``from_normal(z) = x``.

        Raises:
            InputError: if a point lies outside the support.
        """

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent draws from the prior, shape ``(n, dim)``."""
        z = torch.randn((n, self.dim), generator=rng, device=rng.device, dtype=self.dtype)
        return self.from_normal(z)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        r"""The autoregressive move :math:`z' = \sqrt{1-s^2}\,z + s\,\xi` with :math:`\xi \sim N(0, I)`.

        Reversible with respect to the prior for every scale ``s`` in ``(0, 1]`` (Neal 1999, Regression and
        classification using Gaussian process priors, eq. 15).
        """
        z = self.to_normal(x)
        s = scale_column(scale, z)
        noise = torch.randn(z.shape, generator=rng, device=z.device, dtype=z.dtype)
        return self.from_normal((1.0 - s * s).clamp_min(0.0).sqrt() * z + s * noise)

    def __repr__(self) -> str:
        return self.reference
