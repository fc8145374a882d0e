r"""The loss around trained weights, and the posterior that is localised there.

At inverse temperature :math:`n\beta` the localised posterior of displacements :math:`u = w - w^*` is

.. math:: p(u) \propto \exp\!\big(-n\beta\,(L(w^* + u) - L(w^*)) - \tfrac{\gamma}{2} |u|^2\big)

(Lau, Furman, Wang, Murfet and Wei 2023, The local learning coefficient, eq. 14). Chains hold
:math:`z = \sqrt\gamma\,u`, in which the localisation is the standard normal prior of the engine's moves.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.errors import InputError
from pindown.network.forward import GenericNetwork
from pindown.network.linear_network import linear_network
from pindown.network.objective import Evaluator
from pindown.network.subject import Subject
from pindown.spaces.gaussian import Gaussian
from pindown.spaces.network import Weights
from pindown.spaces.weight_priors import chosen_parameters

__all__ = ["LocalLoss", "LocalPosterior", "fall_to_minimum", "moving_coordinates"]

_ROWS = 256  # points at a time where the evaluator does not cut them itself


class LocalLoss:
    """``L(w* + u) − L(w*)`` for displacements ``u`` of the coordinates that move; the others stay at ``w*``.

    Args:
        subject: the model with its loss and data.
        point: ``w*``, shape ``(D,)``.
        moving: indices of the coordinates that move, all where it is None.

    Attributes:
        dim: coordinates that move.
        terms: how many terms the mean loss averages: examples, entries of the outputs, or labels.
        at_point: the loss at ``w*``.
        path: how the loss is evaluated.
    """

    def __init__(self, subject: Subject, point: Tensor, moving: Tensor | None = None) -> None:
        self.subject, self.point, self.moving = subject, point.detach().clone(), moving
        self.dim = len(point) if moving is None else len(moving)
        self.terms = sum(subject.head.count(targets) for _, targets in subject.examples)
        linear = linear_network(subject)
        self.evaluator: Evaluator = subject.objective().evaluator if linear is None else linear
        self.path = subject.path if linear is None else "linear"
        self.differentiable = subject.objective().differentiable
        self.rows = max(1, min(_ROWS, self.evaluator.rows)) if isinstance(self.evaluator, GenericNetwork) else _ROWS
        self.at_point = float(self.evaluator.value_and_gradient(self.point.unsqueeze(0), gradient=False)[0])
        if not math.isfinite(self.at_point):
            raise InputError(f"weights whose loss is {self.at_point}", "a finite loss at the trained weights")

    def weights(self, u: Tensor, width: float = 1.0) -> Tensor:
        """Points ``(N, D)`` for displacements ``width · u``, u ``(N, dim)``."""
        if self.moving is None:
            return torch.add(self.point, u, alpha=width)
        return self.point.expand(len(u), -1).index_add(1, self.moving, u, alpha=width)

    def own_part(self, slope: Tensor) -> Tensor:
        """The entries of ``(N, D)`` that belong to coordinates that move."""
        return slope if self.moving is None else slope[:, self.moving]

    def excess(self, u: Tensor) -> Tensor:
        """``L(w* + u) − L(w*)`` in double precision, shape ``(N,)``."""
        return self.evaluator.value_and_gradient(self.weights(u), gradient=False)[0].double() - self.at_point

    def excess_and_gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The same with its gradient ``(N, dim)``."""
        value, slope = self.evaluator.value_and_gradient(self.weights(u))
        assert slope is not None
        return value.double() - self.at_point, self.own_part(slope)


def fall_to_minimum(local: LocalLoss, most: int) -> float:
    """By how much a descent from ``w*`` lowers the loss: L-BFGS (Liu and Nocedal 1989), at most ``most`` gradients.

    The least that was met counts, so that a descent that fails gives too little and never less than zero.
    """
    lowest = 0.0
    scale = max(abs(local.at_point), 1e-12)

    def value_and_slope(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal lowest
        at = torch.as_tensor(u, dtype=local.point.dtype, device=local.point.device).unsqueeze(0)
        value, slope = local.excess_and_gradient(at)
        if not math.isfinite(float(value)):
            return math.inf, np.zeros_like(u)
        lowest = min(lowest, float(value))
        return float(value) / scale, slope[0].double().cpu().numpy() / scale

    minimize(value_and_slope, np.zeros(local.dim), jac=True, method="L-BFGS-B", options={"maxfun": most})
    return -lowest


class LocalPosterior(Objective):
    """The localised loss on ``z = √γ (w − w*)``, as the engine's moves want it.

    Attributes:
        gamma: localisation γ.
    """

    def __init__(self, local: LocalLoss, gamma: float) -> None:
        self.local, self.gamma, self._width = local, gamma, 1.0 / math.sqrt(gamma)
        super().__init__(Gaussian(local.dim, dtype=local.point.dtype), self._excess, local.point.device)
        self.rows = local.rows

    def _excess(self, z: Tensor) -> Tensor:
        return self.local.excess(z * self._width)

    def losses_and_gradients(self, z: Tensor, *, look: bool = True) -> tuple[Tensor, Tensor]:
        """Excess losses ``(N,)`` and gradients ``(N, dim)`` in ``z``; rows that are not finite get +inf and zeros."""
        del look
        parts = [self.local.excess_and_gradient(part * self._width) for part in z.split(self.rows)]
        loss, slope = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]) * self._width
        self.evaluations += len(z)
        self.gradient_evaluations += len(z)
        if not bool(torch.isfinite(loss.sum() + slope.sum())):
            bad = ~(torch.isfinite(loss) & torch.isfinite(slope).all(-1))
            self.non_finite += int(bad.sum())
            loss, slope = loss.masked_fill(bad, torch.inf), slope.masked_fill(bad.unsqueeze(-1), 0.0)
        return loss, slope


def moving_coordinates(subject: Subject, patterns: str | None) -> Tensor | None:
    """Coordinates of the parameters whose fully qualified names match a glob; None for all.

    Raises:
        InputError: for a glob that matches no parameter that moves.
    """
    if patterns is None:
        return None
    space: Weights = subject.space()
    chosen = [n for n in chosen_parameters(subject.module, patterns, None) if n in space.slices]
    if not chosen:
        raise InputError(
            f"group {patterns!r}, which matches no parameter that moves", "a glob over the names of parameters",
            f"names: {', '.join(space.names[:8])}",
        )  # fmt: skip
    return torch.cat([torch.arange(space.slices[n].start, space.slices[n].stop) for n in chosen])
