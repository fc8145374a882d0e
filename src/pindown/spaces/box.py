"""The uniform prior on a box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.spaces.base import check_count
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Box", "normal_from_uniform", "uniform_from_normal"]

_SQRT_HALF = math.sqrt(0.5)


def uniform_from_normal(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Map standard normals to uniforms on ``[low, high]``.

    ``low + (high − low)·Φ(z)``, written from the nearest of the two ends and the middle, so that the
    distance to each of those three keeps its full relative precision.
    """
    width = high - low
    below = low + width * torch.special.ndtr(z.clamp_max(-1.0))
    above = high - width * torch.special.ndtr(-z.clamp_min(1.0))
    middle = 0.5 * (low + high) + 0.5 * width * torch.erf(z.clamp(-1.0, 1.0) * _SQRT_HALF)
    return torch.where(z < -1.0, below, torch.where(z > 1.0, above, middle))


def normal_from_uniform(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The inverse of :func:`uniform_from_normal`; points on an end map to a far but finite normal."""
    width = high - low
    tiny = torch.finfo(x.dtype).tiny
    below = torch.special.ndtri(((x - low) / width).clamp(tiny, 0.5))
    above = -torch.special.ndtri(((high - x) / width).clamp(tiny, 0.5))
    centred = (2.0 * x - low - high) / width
    middle = torch.erfinv(centred.clamp(-0.7, 0.7)) / _SQRT_HALF
    return torch.where(centred < -0.68, below, torch.where(centred > 0.68, above, middle))


class Box(SmoothSpace):
    """Independent uniform coordinates on ``[low, high]``.

    Args:
        low: lower end, one number or one a coordinate.
        high: upper end, likewise.
        dim: number of coordinates; may be left out where ``low`` or ``high`` is a sequence.
        dtype: floating-point format.

    Raises:
        InputError: if the ends are not finite, not in order, or do not fit ``dim``.

    Example:
        >>> import torch
        >>> from pindown import Box
        >>> x = Box(-1, 1, dim=4).sample(1000, rng=torch.Generator().manual_seed(0))
        >>> bool((x.abs() <= 1).all())
        True
    """

    def __init__(
        self,
        low: float | Sequence[float] | Tensor,
        high: float | Sequence[float] | Tensor,
        dim: int | None = None,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        lo, hi = (torch.as_tensor(v, dtype=dtype).detach() for v in (low, high))
        if lo.ndim > 1 or hi.ndim > 1:
            raise InputError(f"ends of shapes {tuple(lo.shape)} and {tuple(hi.shape)}", "numbers or flat sequences")
        lengths = {v.numel() for v in (lo, hi) if v.ndim == 1}
        if dim is not None:
            lengths.add(check_count(dim, "dim"))
        elif not lengths:
            lengths.add(1)
        if len(lengths) != 1:
            raise InputError(f"box ends and dim of lengths {sorted(lengths)}", "one length")
        self.dim = check_count(lengths.pop(), "the number of coordinates")
        self.low, self.high = lo.expand(self.dim).clone(), hi.expand(self.dim).clone()
        bad = ~(torch.isfinite(self.low) & torch.isfinite(self.high) & (self.low < self.high))
        if bad.any():
            i = int(bad.nonzero()[0])
            raise InputError(
                f"box coordinate {i} from {float(self.low[i])} to {float(self.high[i])}", "finite ends with low < high"
            )
        self.dtype = dtype
        same = bool((self.low == self.low[0]).all() and (self.high == self.high[0]).all())
        ends = f"{float(self.low[0]):g}, {float(self.high[0]):g}" if same else "per-coordinate ends"
        self.reference = f"Box({ends}, dim={self.dim})"

    def from_normal(self, z: Tensor) -> Tensor:
        """``low + (high − low)·Φ(z)``, precise at both ends and in the middle."""
        return uniform_from_normal(z, self.low.to(z), self.high.to(z))

    def to_normal(self, x: Tensor) -> Tensor:
        """The normal quantile of each coordinate's place in its interval.

        Raises:
            InputError: if a coordinate lies outside the box.
        """
        low, high = self.low.to(x), self.high.to(x)
        outside = ((x < low) | (x > high)).nonzero()
        if len(outside):
            row, column = (int(i) for i in outside[0])
            raise InputError(
                f"point {row} has coordinate {column} = {float(x[row, column]):g}",
                f"a value in [{float(low[column]):g}, {float(high[column]):g}]",
            )
        return normal_from_uniform(x, low, high)
