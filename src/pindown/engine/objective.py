"""The user's loss as the engine sees it: checked once, counted, in chunks, with or without gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pindown.engine.rotation import Rotation
from pindown.errors import InputError
from pindown.rng import torch_generator
from pindown.spaces.base import Space, is_smooth

__all__ = ["Evaluation", "Loss", "Objective"]

Loss = Callable[[Any], Any]
Evaluation = Callable[[Tensor], tuple[Tensor, Tensor]]
_CHECK_POINTS = 64
_CHUNK_BYTES = 1 << 20  # one chain array of this size still fits a core's cache, with its companions
_LEAST_ROWS = 64  # a loss that multiplies by a large matrix reads it once a call


class Objective:
    """A loss on a space, called on chunks of points and counted.

    Points of a smooth space are held as standard normals ``z``, in a basis of their own once one is set; other spaces
    hold the points themselves.

    Args:
        space: the prior.
        loss: maps points ``(N, dim)`` to values ``(N,)``; takes torch tensors or NumPy arrays.
        device: where points are held.

    Attributes:
        evaluations: losses computed so far.
        gradient_evaluations: how many of them came with a gradient.
        non_finite: losses or gradients that were NaN or infinite.
    """

    def __init__(self, space: Space, loss: Loss, device: str | torch.device = "cpu") -> None:
        self.space, self.loss, self.device = space, loss, torch.device(device)
        self.smooth = is_smooth(space)
        self.dtype: torch.dtype = getattr(space, "dtype", torch.float64)
        self.evaluations = self.gradient_evaluations = self.non_finite = 0
        self.takes_numpy = False
        size = torch.finfo(self.dtype).bits // 8 if self.dtype.is_floating_point else 8
        rows = getattr(loss, "preferred_rows", None) or max(_LEAST_ROWS, _CHUNK_BYTES // (size * space.dim))
        self.rows = int(rows)
        self._in_normal: Evaluation | None = None
        self._rotation: Rotation | None = None
        self.rotation = None

    @property
    def rotation(self) -> Rotation | None:
        """The basis in which points are held, or None for the coordinates themselves."""
        return self._rotation

    @rotation.setter
    def rotation(self, rotation: Rotation | None) -> None:
        self._rotation = rotation
        # A loss may know a shorter way from standard normals to its gradient than through the points.
        direct = getattr(self.loss, "in_normal", None) if self.smooth else None
        self._in_normal = None if direct is None else direct(self.space, rotation)

    def points(self, z: Tensor) -> Tensor:
        """Points of the space for held coordinates."""
        if not self.smooth:
            return z
        return self.space.from_normal(z if self.rotation is None else self.rotation.forward(z))  # type: ignore[attr-defined]

    def held(self, z: Tensor) -> Tensor:
        """Standard normals as they are held."""
        return z if self.rotation is None else self.rotation.back(z)

    def prior(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` prior draws in held coordinates."""
        if self.smooth:
            return torch.randn((n, self.space.dim), generator=rng, device=self.device, dtype=self.dtype)
        return self.space.sample(n, rng=rng)

    def _call(self, x: Tensor) -> Tensor:
        if self.takes_numpy:
            return torch.as_tensor(np.asarray(self.loss(x.detach().cpu().numpy())), device=self.device)
        return self.loss(x)

    def losses(self, z: Tensor) -> Tensor:
        """Losses ``(N,)`` in float64; what is not finite becomes +inf and is counted."""
        out = []
        with torch.no_grad():
            for part in z.split(self.rows):
                out.append(self._call(self.points(part)).double())
        self.evaluations += len(z)
        loss = torch.cat(out) if out else torch.empty(0, dtype=torch.float64, device=self.device)
        bad = ~torch.isfinite(loss)
        if bad.any():
            self.non_finite += int(bad.sum())
            loss = torch.where(bad, torch.inf, loss)
        return loss

    def losses_and_gradients(self, z: Tensor, *, look: bool = True) -> tuple[Tensor, Tensor]:
        """Losses in float64 and their gradient with respect to ``z``; non-finite rows get +inf and zeros.

        Without ``look`` gradients are not looked at, which suits a trajectory: its energy becomes NaN with them.
        """
        if len(z) > self.rows:
            parts = [self.losses_and_gradients(part, look=look) for part in z.split(self.rows)]
            return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        if self._in_normal is not None:
            value, grad = self._in_normal(z)
        else:
            with torch.enable_grad():
                leaf = z.detach().requires_grad_(True)
                value = self._call(self.points(leaf))
                (grad,) = torch.autograd.grad(value.sum(), leaf)
        self.evaluations += len(z)
        self.gradient_evaluations += len(z)
        loss, grad = value.detach().double(), grad.contiguous()  # autograd may hand out an expanded view
        # One reduction sees NaN and infinity in both; the rows are looked for only then.
        if not bool(torch.isfinite(loss.sum() + grad.sum() if look else loss.sum())):
            bad = ~(torch.isfinite(loss) & torch.isfinite(grad).all(-1))
            if bad.any():
                self.non_finite += int(bad.sum())
                loss = torch.where(bad, torch.inf, loss)
                grad = torch.where(bad.unsqueeze(-1), 0.0, grad)
        return loss, grad

    def check(self, seed: int) -> bool:
        """Look at the loss on a few prior points before any sampling.

        Returns:
            Whether the loss has a usable gradient.

        Raises:
            InputError: for a wrong shape or type, values that are not finite, or values that differ
                between two calls on the same points.
        """
        rng = torch_generator(seed, 0xC0DE, device=self.device)
        z = self.prior(_CHECK_POINTS, rng)
        x = self.points(z)
        if tuple(x.shape) != (_CHECK_POINTS, self.space.dim):
            raise InputError(
                f"space {self.space.reference} drew points of shape {tuple(x.shape)}",
                f"({_CHECK_POINTS}, {self.space.dim})",
            )
        first = self._first_call(x)
        if tuple(first.shape) != (_CHECK_POINTS,):
            squeeze = first.numel() == _CHECK_POINTS and first.ndim == 2
            raise InputError(
                f"loss returned shape {tuple(first.shape)}",
                f"({_CHECK_POINTS},) for {_CHECK_POINTS} points",
                "squeeze the last axis" if squeeze else "return one value a point, such as loss(x).sum(-1)",
            )
        bad = (~torch.isfinite(first.double())).nonzero().flatten()
        if len(bad):
            row = int(bad[0])
            shown = ", ".join(f"{float(v):.4g}" for v in x[row, :4]) + (", …" if self.space.dim > 4 else "")
            raise InputError(
                f"loss was {float(first[row])} for {len(bad)} of {_CHECK_POINTS} prior points, first in row {row} "
                f"(x = [{shown}])",
                "finite values",
                "clip the loss to a large finite value there, or narrow the prior",
            )
        again = self._call(self.points(z)).detach().double()
        spread = float((again - first.double()).abs().max())
        if spread > 1e-4 * (float(first.double().abs().max()) + 1e-12):
            raise InputError(
                f"loss differed by {spread:.3g} between two calls on the same points",
                "the same value each time",
                "switch dropout and data shuffling off, or fix the random numbers inside the loss",
            )
        return self._has_gradient(z)

    def _first_call(self, x: Tensor) -> Tensor:
        try:
            value = self.loss(x)
        except TypeError as error:
            # NumPy functions refuse tensors that carry a gradient or live elsewhere with a TypeError.
            try:
                value = self.loss(x.detach().cpu().numpy())
            except TypeError:
                raise error from None
            self.takes_numpy = True
        if isinstance(value, np.ndarray | np.generic):
            self.takes_numpy = True
            value = torch.as_tensor(np.asarray(value))
        if not isinstance(value, Tensor):
            raise InputError(f"loss returned {type(value).__name__}", "a torch tensor or a NumPy array")
        if value.is_complex():
            raise InputError(f"loss returned {value.dtype}", "real numbers")
        return value.detach()

    def _has_gradient(self, z: Tensor) -> bool:
        if not self.smooth or self.takes_numpy:
            return False
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            value = self._call(self.points(leaf))
            if not value.requires_grad:
                return False
            (grad,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
        if grad is None:
            return False
        # A gradient that vanishes nearly everywhere (a 0/1 loss, a saturated one) cannot guide anything.
        moved = (grad != 0).any(-1) & torch.isfinite(grad).all(-1)
        return float(moved.double().mean()) > 0.5
