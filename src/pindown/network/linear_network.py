r"""Linear networks under squared error, on sufficient statistics in place of the examples.

A network of linear layers without activations sends inputs :math:`X` ``(n, p)`` to :math:`XW^T + 1b^T`. With
:math:`[X\,1] = QR` and :math:`T = Q^TY` its squared error is

.. math:: \|XW^T + 1b^T - Y\|_F^2 = \|R_X W^T + R_1 b^T - T\|_F^2 + \|Y - QT\|_F^2

exactly, for all weights: ``p + 1`` rows do for any number of examples, ``p`` where there are no biases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pindown.network.heads import SquaredError
from pindown.network.mlp import layered
from pindown.network.subject import Subject

__all__ = ["LinearNetwork", "linear_network"]


def linear_network(subject: Subject) -> LinearNetwork | None:
    """The subject's loss on sufficient statistics; None where it is not a linear network under squared error."""
    if subject.path != "layered" or not isinstance(subject.head, SquaredError):
        return None
    layers = layered(subject.module, subject.space())
    if layers is None or any(layer.activation is not None for layer in layers):
        return None
    shapes = [(layer.outputs, layer.inputs, layer.weight, layer.bias) for layer in layers]
    inputs: list[Tensor] = []
    targets: list[Tensor] = []
    for x, y in subject.examples:
        assert isinstance(x, Tensor)
        inputs.append(x.flatten(1))
        targets.append(y.flatten(1))
    return LinearNetwork(shapes, torch.cat(inputs), torch.cat(targets), subject.space().dtype)


class LinearNetwork:
    """Mean squared errors and gradients of many linear networks.

    Args:
        shapes: outputs, inputs, and where weight and bias lie in a point, a layer.
        inputs: ``(n, p)``.
        targets: ``(n, q)``.
        dtype: format of the points.
    """

    def __init__(
        self, shapes: list[tuple[int, int, slice, slice | None]], inputs: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> None:
        self.shapes = shapes
        self.count = targets.numel()
        # In double precision: the factor is computed once, and all later losses rest on it.
        table, wanted = inputs.double(), targets.double()
        p = table.shape[1]
        if any(bias is not None for _, _, _, bias in shapes):
            table = torch.cat([table, table.new_ones(len(table), 1)], 1)
        basis, factor = torch.linalg.qr(table)
        within = basis.T @ wanted
        self._floor = float((wanted - basis @ within).square().sum() / self.count)
        self._x = factor[:, :p].T.to(dtype).contiguous()
        self._one = factor[:, -1].to(dtype).contiguous()
        self._y = within.T.to(dtype).contiguous()

    def value_and_gradient(self, x: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor | None]:
        """Losses ``(N,)`` at ``x`` ``(N, D)``, and their gradients ``(N, D)`` where wanted."""
        n, rows = len(x), self._x.shape[1]
        weights = [x[:, w].view(n, out, into) for out, into, w, _ in self.shapes]
        h = self._x
        passed: list[Tensor] = []
        for i, (out, _, _, bias) in enumerate(self.shapes):
            h = (weights[0].reshape(n * out, -1) @ h).view(n, out, rows) if i == 0 else torch.bmm(weights[i], h)
            if bias is not None:
                h = h + x[:, bias].unsqueeze(-1) * self._one
            passed.append(h)
        error = h - self._y
        value = torch.linalg.vector_norm(error.view(n, -1), dim=1).square_() / self.count + self._floor
        if not gradient:
            return value, None
        slope = torch.empty_like(x)
        delta = error.mul_(2.0 / self.count)
        for i in range(len(self.shapes) - 1, -1, -1):
            out, into, where, bias = self.shapes[i]
            if bias is not None:
                slope[:, bias] = delta @ self._one
            if i == 0:
                slope[:, where] = (delta.reshape(n * out, rows) @ self._x.T).view(n, out * into)
            else:
                slope[:, where] = torch.bmm(delta, passed[i - 1].transpose(1, 2)).view(n, out * into)
                delta = torch.bmm(weights[i].transpose(1, 2), delta)
        return value, slope
