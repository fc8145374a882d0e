r"""An orthogonal basis for matrices of weights, in which their gradients are least correlated.

The gradient of a layer's weights is a sum of outer products of what comes back from above and what came in from
below, so that the columns of a matrix of weights are as correlated as the layer's inputs. A mass with one number a
coordinate cannot see that, and steps are as small as the largest common direction demands. The standard normal prior
looks the same in any orthogonal basis; in the eigenvectors of

.. math:: \sum_n G_n^\top G_n

over the gradients :math:`G_n` at some points the same mass fits much better. (The second moments of rows and columns
of a gradient as a preconditioner: Gupta, Koren and Singer 2018, Shampoo; one number a coordinate in their eigenbasis:
Vyas et al. 2024, SOAP.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pindown.spaces.matrix import Matrix

__all__ = ["Rotation", "correlated"]

_CORRELATED = 10.0  # condition number of the correlations from which on a basis of their own pays
_MOST_COLUMNS = 1024  # the basis itself, and the time of applying it, grow with their square


def correlated(products: Tensor) -> Tensor:
    """Whether a basis of its own would pay, for each matrix of mean products of forces ``(…, D, D)``."""
    squares = products.diagonal(dim1=-2, dim2=-1)
    width = squares.clamp_min(torch.finfo(squares.dtype).tiny).rsqrt()
    values = torch.linalg.eigvalsh(width.unsqueeze(-2) * products * width.unsqueeze(-1))
    return values[..., -1] > _CORRELATED * values[..., 0].clamp_min(0.0)


@dataclass(frozen=True)
class Rotation:
    """An orthonormal basis for the columns of some matrices; all other coordinates stay as they are.

    Attributes:
        matrices: which coordinates.
        bases: orthonormal columns, ``(columns, columns)`` each.
    """

    matrices: tuple[Matrix, ...]
    bases: tuple[Tensor, ...]

    @classmethod
    def from_gradients(cls, matrices: Sequence[Matrix], gradients: Tensor) -> Rotation | None:
        """The basis for gradients ``(N, D)``, each counted at the same length; None where it would not pay."""
        length = torch.linalg.vector_norm(gradients.double(), dim=1, keepdim=True)
        usable = torch.isfinite(length[:, 0]) & (length[:, 0] > 0.0)
        unit = gradients[usable].double() / length[usable]
        chosen, bases = [], []
        for matrix in matrices:
            if not 1 < matrix.columns <= _MOST_COLUMNS or not len(unit):
                continue
            rows = matrix.of(unit).flatten(0, 1)
            products = rows.mT @ rows
            values, basis = torch.linalg.eigh(products)
            if bool(values[-1] > 0.0) and bool(correlated(products)):
                chosen.append(matrix)
                bases.append(basis.to(gradients.dtype).contiguous())
        return cls(tuple(chosen), tuple(bases)) if chosen else None

    def forward(self, z: Tensor) -> Tensor:
        """From the basis to the coordinates themselves, ``(N, D)``, differentiably."""
        return _Turned.apply(z, self)  # type: ignore[no-any-return]

    def back(self, z: Tensor) -> Tensor:
        """From the coordinates themselves to the basis."""
        return self.turned(z, self.bases)

    def turned(self, z: Tensor, bases: Sequence[Tensor]) -> Tensor:
        """Points whose matrices are multiplied by ``bases`` from the right."""
        out = z.clone()
        for matrix, basis in zip(self.matrices, bases, strict=True):
            matrix.put(torch.matmul(matrix.of(z), basis.to(z)), out)
        return out

    def state(self) -> dict[str, Any]:
        """As tensors and plain values."""
        matrices = [(m.rows, [(p.start, p.stop) for p in m.parts]) for m in self.matrices]
        return {"matrices": matrices, "bases": list(self.bases)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Rotation:
        """Read back what :meth:`state` gave."""
        matrices = (Matrix(rows, tuple(slice(*p) for p in parts)) for rows, parts in state["matrices"])
        return cls(tuple(matrices), tuple(state["bases"]))


class _Turned(torch.autograd.Function):
    """The transpose is the gradient: one pass of products each way, which automatic differentiation would double."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rotation: Rotation) -> Tensor:  # type: ignore[override]
        ctx.rotation = rotation
        return rotation.turned(z, [b.mT for b in rotation.bases])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.rotation.back(gradient), None
