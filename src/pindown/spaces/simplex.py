"""The uniform prior on the probability simplex."""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import check_count, scale_column
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Simplex"]


class Simplex(SmoothSpace):
    """Probability vectors of length ``dim``, uniform: the Dirichlet(1, …, 1) distribution.

    A point is ``E / ΣE`` with independent exponentials ``E_i = −ln Φ(−z_i)`` (Devroye 1986, Non-Uniform
    Random Variate Generation, XI.4).

    Args:
        dim: number of entries, at least 2.
        dtype: floating-point format.

    Raises:
        InputError: if ``dim`` is below 2.

    Example:
        >>> import torch
        >>> from pindown import Simplex
        >>> x = Simplex(3).sample(2, rng=torch.Generator().manual_seed(0))
        >>> x.sum(-1).round(decimals=12).tolist()
        [1.0, 1.0]
    """

    def __init__(self, dim: int, *, dtype: torch.dtype = torch.float64) -> None:
        self.dim = check_count(dim, "dim", low=2)
        self.dtype = dtype
        self.reference = f"Simplex({dim})"

    def from_normal(self, z: Tensor) -> Tensor:
        """Exponentials from normals, normalised to sum one."""
        e = -torch.special.log_ndtr(-z)
        return e / e.sum(-1, keepdim=True)

    def to_normal(self, x: Tensor) -> Tensor:
        """One of the ``z`` that map to ``x``: the one whose exponentials sum to ``dim``, their mean.

        Raises:
            InputError: if an entry is negative or a row does not sum to one.
        """
        wrong = ((x < 0).any(-1) | ((x.sum(-1) - 1).abs() > 1e-6)).nonzero()
        if len(wrong):
            row = int(wrong[0])
            raise InputError(f"point {row} = {x[row].tolist()}", "entries of zero or more that sum to one")
        return self._normal_from_exponential(x * self.dim)

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """The autoregressive move on the normals, with the forgotten total ``ΣE`` redrawn first.

        The total is Gamma(dim, 1) and independent of the point, so drawing it anew leaves the pair in its
        joint distribution, and the move stays reversible for the point.
        """
        u = torch.rand(x.shape, generator=rng, device=x.device, dtype=x.dtype)
        total = -torch.log1p(-u).sum(-1, keepdim=True)
        z = self._normal_from_exponential(x * total)
        s = scale_column(scale, z)
        noise = torch.randn(z.shape, generator=rng, device=z.device, dtype=z.dtype)
        return self.from_normal((1.0 - s * s).clamp_min(0.0).sqrt() * z + s * noise)

    @staticmethod
    def _normal_from_exponential(e: Tensor) -> Tensor:
        # Φ(z) = 1 − exp(−e): the small one of the two tails keeps its relative precision.
        tiny = torch.finfo(e.dtype).tiny
        small = torch.special.ndtri((-torch.expm1(-e)).clamp(tiny, 0.5))
        large = -torch.special.ndtri(torch.exp(-e).clamp(tiny, 0.5))
        return torch.where(e < 0.6931471805599453, small, large)
