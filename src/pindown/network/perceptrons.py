"""Many small perceptrons at once: their prior, and their outputs at stacked weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.spaces.initialisation import Normal, Uniform

__all__ = ["PerceptronPrior"]

_LAWS = ("normal", "uniform")


@dataclass(frozen=True)
class PerceptronPrior:
    r"""Perceptrons with independent random weights, as points ``(N, D)``.

    A weight of a layer with :math:`n` inputs has mean 0 and standard deviation
    :math:`\sigma_w/\sqrt n`; a bias has :math:`\sigma_b` (Neal 1996, Bayesian learning for neural networks, ch. 2).
    ``law="uniform"`` draws both from uniform distributions with the same variances. Points are laid out weight, bias,
    weight, bias, …, as :class:`pindown.Weights` lays out the module that :meth:`module` makes.

    Args:
        widths: inputs, hidden widths, outputs.
        activation: ``"relu"`` or ``"tanh"``, after every layer but the last.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`; 0 leaves the biases out.
        law: ``"normal"`` or ``"uniform"``.

    Raises:
        InputError: for widths, scales or names that are no network.

    Example:
        >>> import torch
        >>> prior = PerceptronPrior((2, 3, 1))
        >>> points = prior.sample(5, rng=torch.Generator().manual_seed(0))
        >>> prior.dim, points.shape, prior.outputs(points, torch.eye(2)).shape
        (13, torch.Size([5, 13]), torch.Size([5, 2, 1]))
    """

    widths: tuple[int, ...]
    activation: Literal["relu", "tanh"] = "relu"
    weight_std: float = 1.0
    bias_std: float = 1.0
    law: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in self.widths):
            raise InputError(f"widths {self.widths}", "two or more whole numbers of 1 or more, inputs first")
        if self.activation not in ("relu", "tanh"):
            raise InputError(f"activation {self.activation!r}", '"relu" or "tanh"')
        if self.law not in _LAWS:
            raise InputError(f"law {self.law!r}", '"normal" or "uniform"')
        if not 0.0 < self.weight_std < math.inf or not 0.0 <= self.bias_std < math.inf:
            raise InputError(
                f"standard deviations {self.weight_std} and {self.bias_std}", "one above zero, and zero or more"
            )

    @property
    def bias(self) -> bool:
        """Whether the layers have biases."""
        return self.bias_std > 0.0

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return list(pairwise(self.widths))

    @property
    def dim(self) -> int:
        """Number of weights and biases, D."""
        return sum(b * (a + self.bias) for a, b in self.layers)

    @property
    def reference(self) -> str:
        """The prior in words."""
        law = "N(0, {})" if self.law == "normal" else "uniform with variance {}"
        words = "weights " + law.format(f"{self.weight_std**2:g}/fan_in")
        return f"{words}, biases {law.format(f'{self.bias_std**2:g}')}" if self.bias else f"{words}, no biases"

    @property
    def architecture(self) -> str:
        """Widths and activation in words."""
        return "-".join(map(str, self.widths)) + (f", {self.activation}" if len(self.widths) > 2 else "")

    def scales(self) -> Tensor:
        """Standard deviation of every coordinate, ``(D,)``."""
        parts: list[Tensor] = []
        for a, b in self.layers:
            parts.append(torch.full((a * b,), self.weight_std / math.sqrt(a)))
            if self.bias:
                parts.append(torch.full((b,), self.bias_std))
        return torch.cat(parts)

    def unit(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        """Independent draws of mean 0 and variance 1 by the prior's law."""
        if self.law == "normal":
            return torch.randn(shape, generator=rng)
        return (2.0 * torch.rand(shape, generator=rng) - 1.0) * math.sqrt(3.0)

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        """Draws of the prior, ``(n, D)``."""
        return self.unit((n, self.dim), rng) * self.scales()

    def from_normal(self, z: Tensor) -> Tensor:
        """Standard normals ``(N, D)`` to weights ``(N, D)``."""
        if self.law == "uniform":
            z = torch.erf(z / math.sqrt(2.0)) * math.sqrt(3.0)
        return z * self.scales().to(z)

    def split(self, points: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Weights ``(N, out, in)`` and biases ``(N, out)`` of each layer, as views of ``points``.

        Raises:
            InputError: unless ``points`` has shape ``(N, D)``.
        """
        if points.ndim != 2 or points.shape[1] != self.dim:
            raise InputError(f"points of shape {tuple(points.shape)}", f"(N, {self.dim})")
        out: list[tuple[Tensor, Tensor | None]] = []
        start = 0
        for a, b in self.layers:
            weight = points[:, start : start + a * b].view(-1, b, a)
            start += a * b
            bias = points[:, start : start + b] if self.bias else None
            start += b if self.bias else 0
            out.append((weight, bias))
        return out

    def outputs(self, points: Tensor, x: Tensor) -> Tensor:
        """Outputs ``(N, n, outputs)`` on inputs ``x`` ``(n, inputs)``."""
        if x.ndim != 2 or x.shape[1] != self.widths[0]:
            raise InputError(f"inputs of shape {tuple(x.shape)}", f"(n, {self.widths[0]})")
        layers = self.split(points)
        h = x.to(points).T.expand(len(points), -1, -1)
        for i, (weight, bias) in enumerate(layers):
            h = torch.bmm(weight, h) if bias is None else torch.baddbmm(bias.unsqueeze(-1), weight, h)
            if i < len(layers) - 1:
                h = torch.relu(h) if self.activation == "relu" else torch.tanh(h)
        return h.transpose(1, 2)

    def labels(self, points: Tensor, x: Tensor, *, rows: int = 512) -> Tensor:
        """Labels ``(N, n)`` as bytes: the sign of one output (1 above 0), or the largest of several."""
        parts: list[Tensor] = []
        for start in range(0, len(points), rows):
            out = self.outputs(points[start : start + rows], x)
            parts.append((out[..., 0] > 0).to(torch.uint8) if out.shape[-1] == 1 else out.argmax(-1).to(torch.uint8))
        return torch.cat(parts) if parts else torch.empty((0, len(x)), dtype=torch.uint8)

    def margins(self, points: Tensor, x: Tensor, y: Tensor, *, rows: int = 512) -> Tensor:
        r"""Signed outputs :math:`\pm f(x_i)`, ``(N, n)``: above 0 where the label ``y`` (0 or 1) is met.

        Raises:
            InputError: unless there is one output.
        """
        if self.widths[-1] != 1:
            raise InputError(f"{self.widths[-1]} outputs", "one output, whose sign is the label")
        signs = signs_of(y).to(points)
        parts = [self.outputs(points[i : i + rows], x)[..., 0] * signs for i in range(0, len(points), rows)]
        return torch.cat(parts) if parts else points.new_empty((0, len(x)))

    def module(self, point: Tensor | None = None) -> nn.Sequential:
        """The network as a module, with the weights of ``point`` ``(D,)`` where it is given, else zeros."""
        act = nn.ReLU if self.activation == "relu" else nn.Tanh
        parts: list[nn.Module] = []
        for i, (a, b) in enumerate(self.layers):
            linear = nn.utils.skip_init(nn.Linear, a, b, bias=self.bias)
            parts += [linear, act()] if i < len(self.layers) - 1 else [linear]
        model = nn.Sequential(*parts)
        whole = torch.zeros(self.dim) if point is None else point.detach().float()
        linears = [m for m in parts if isinstance(m, nn.Linear)]
        with torch.no_grad():
            for linear, (weight, bias) in zip(linears, self.split(whole.unsqueeze(0)), strict=True):
                linear.weight.copy_(weight[0])
                if bias is not None:
                    linear.bias.copy_(bias[0])
        return model

    def weight_priors(self) -> dict[str, Normal | Uniform]:
        """The same prior for :class:`pindown.Weights` of :meth:`module`."""
        out: dict[str, Normal | Uniform] = {}
        for i, (a, _) in enumerate(self.layers):
            for name, std in (("weight", self.weight_std / math.sqrt(a)), ("bias", self.bias_std)):
                if name == "bias" and not self.bias:
                    continue
                ends = math.sqrt(3.0) * std
                out[f"{2 * i}.{name}"] = Normal(0.0, std) if self.law == "normal" else Uniform(-ends, ends)
        return out


def signs_of(y: Tensor) -> Tensor:
    """Labels 0 and 1 as −1 and 1.

    Raises:
        InputError: for other labels.
    """
    values = y.detach().to(torch.int64)
    if y.ndim != 1 or bool(((values != 0) & (values != 1)).any()):
        raise InputError(f"labels of shape {tuple(y.shape)}", "one label of 0 or 1 for each input")
    return (2 * values - 1).float()
