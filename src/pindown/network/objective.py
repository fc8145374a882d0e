"""A network's loss as a function of its weights: what :func:`pindown.measure` is given."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pindown.engine.objective import Evaluation
from pindown.engine.rotation import Rotation
from pindown.errors import InputError
from pindown.network.mlp import LayeredNetwork, linear_maps
from pindown.spaces.network import Weights
from pindown.spaces.smooth import SmoothSpace

__all__ = ["Evaluator", "NetworkLoss"]


class Evaluator(Protocol):
    """Mean losses and gradients of many networks in one pass."""

    def value_and_gradient(self, x: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor | None]:
        """Losses ``(N,)`` and gradients ``(N, D)``, or None where no gradient is wanted."""
        ...


class NetworkLoss:
    """Weights ``(N, D)`` to losses ``(N,)``, differentiable once.

    The gradient is computed in the same pass as the value, batch by batch.

    Attributes:
        name: the loss, such as ``"cross-entropy"``.
        event: what ``loss ≤ t`` means, in words.
        differentiable: whether the network has a gradient at all.
        preferred_rows: how many points to hand over at once.
    """

    def __init__(
        self, evaluator: Evaluator, dim: int, *, name: str, event: str, differentiable: bool, preferred_rows: int
    ) -> None:
        self.evaluator, self.dim, self.name, self.event = evaluator, dim, name, event
        self.differentiable, self.preferred_rows = differentiable, preferred_rows

    def __call__(self, x: Tensor) -> Tensor:
        """Losses at ``x``.

        Raises:
            InputError: unless ``x`` has shape ``(N, D)``.
        """
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InputError(f"points of shape {tuple(x.shape)}", f"(N, {self.dim})")
        if self.differentiable and x.requires_grad and torch.is_grad_enabled():
            return _ValueWithGradient.apply(x, self.evaluator)  # type: ignore[no-any-return]
        return self.evaluator.value_and_gradient(x, gradient=False)[0]

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``(N,)`` and gradients ``(N, D)`` without automatic differentiation around them."""
        value, slope = self.evaluator.value_and_gradient(x, gradient=True)
        assert slope is not None
        return value, slope

    def in_normal(self, space: SmoothSpace, rotation: Rotation | None) -> Evaluation | None:
        """Losses and gradients as a function of the standard normals of ``space``, held in a basis, in one pass.

        None where the weights are not a linear function of them, or the network is not a plain perceptron.
        """
        if not isinstance(space, Weights) or not isinstance(self.evaluator, LayeredNetwork):
            return None
        maps = linear_maps(self.evaluator.layers, space, rotation)
        if maps is None:
            return None
        other = copy.copy(self)
        other.evaluator = self.evaluator.composed(maps)
        return other.value_and_gradient

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, dim={self.dim})"


class _ValueWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, evaluator: Evaluator) -> Tensor:  # type: ignore[override]
        value, slope = evaluator.value_and_gradient(x, gradient=True)
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return slope * above.unsqueeze(1), None
