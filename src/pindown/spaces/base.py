"""What every space offers: a prior measure on points held as one ``(N, dim)`` tensor."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from pindown.errors import InputError

__all__ = ["FiniteSpace", "Space", "check_count", "is_finite_space", "is_smooth", "scale_column"]


@runtime_checkable
class Space(Protocol):
    """A prior measure on points.

    Attributes:
        dim: length of one point.
        reference: the short name that estimates carry, such as ``"Gaussian(1000)"``.
    """

    dim: int
    reference: str

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """``n`` independent draws from the prior, shape ``(n, dim)``."""
        ...

    def propose(self, x: Tensor, scale: float | Tensor, *, rng: torch.Generator) -> Tensor:
        """A move that is reversible with respect to the prior.

        Args:
            x: points, shape ``(N, dim)``.
            scale: size of the move in ``(0, 1]``, one for all or one a point, shape ``(N,)``.
            rng: the generator that all randomness is drawn from.
        """
        ...


@runtime_checkable
class FiniteSpace(Space, Protocol):
    """A space with finitely many points, all equally likely under the prior."""

    size: int

    def points(self, start: int, stop: int) -> Tensor:
        """The points numbered ``start`` to ``stop − 1`` in a fixed order, shape ``(stop − start, dim)``."""
        ...


def is_smooth(space: Any) -> bool:
    """Whether the space is a differentiable image of the standard normal."""
    return callable(getattr(space, "from_normal", None))


def is_finite_space(space: Any) -> TypeGuard[FiniteSpace]:
    """Whether the points of the space can be numbered."""
    return isinstance(space, FiniteSpace)


def check_count(value: Any, name: str, low: int = 1) -> int:
    """``value`` as an int of at least ``low``.

    Raises:
        InputError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{name} = {value!r}", f"a whole number of {low} or more")
    return value


def scale_column(scale: float | Tensor, x: Tensor) -> Tensor:
    """``scale`` as an ``(N, 1)`` or ``(1, 1)`` tensor that multiplies ``x``."""
    s = torch.as_tensor(scale, dtype=x.dtype, device=x.device)
    return s.reshape(-1, 1)
