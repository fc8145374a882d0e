r"""Lanczos's method: extreme eigenvalues with error bounds, and quadratures of spectral sums.

``m`` steps from a start vector ``z`` give a tridiagonal matrix whose eigenvalues :math:`\theta_j` and first
eigenvector components :math:`\tau_j` are the nodes and weights of Gauss's rule for the spectrum as ``z`` sees it:

.. math:: z^\top f(A)\, z \approx |z|^2 \sum_j \tau_j^2 f(\theta_j)

(Golub and Meurant 2010, Matrices, Moments and Quadrature, chapter 6). Its mean over random ``z`` estimates
:math:`\mathrm{tr} f(A)` (Ubaru, Chen and Saad 2017, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature).
Every new vector is orthogonalised against all before it, twice, so that no eigenvalue is found a second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

__all__ = ["Quadrature", "TopPairs", "quadratures", "ritz_pairs", "top_pairs"]

Array = NDArray[np.float64]
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Quadrature:
    """Gauss's rule for the spectrum that one start vector sees.

    Attributes:
        nodes: Ritz values, increasing.
        weights: their weights, which sum to the squared length of the start vector.
        short_nodes, short_weights: the same after two thirds of the steps, to tell how far the rule has converged.
    """

    nodes: Array
    weights: Array
    short_nodes: Array
    short_weights: Array

    def integral(self, f: Callable[[Array], Array]) -> float:
        """``zᵀ f(A) z`` by the rule."""
        return float(self.weights @ f(self.nodes))

    def gap(self, f: Callable[[Array], Array]) -> float:
        """By how much the rule of two thirds of the steps gives another value."""
        return self.integral(f) - float(self.short_weights @ f(self.short_nodes))


def quadratures(product: Product, start: Tensor, steps: int) -> list[Quadrature]:
    """One rule for each of the start vectors ``(b, D)``, which take their steps together.

    A start vector whose Krylov space is exhausted before ``steps`` ends there; its rule is then exact.
    """
    steps = min(steps, start.shape[1])
    alpha, beta, _, length, ended = _tridiagonal(product, start, steps)
    return [
        _rule(alpha[i, :end], beta[i, :end], float(length[i]) ** 2, bool(end < steps)) for i, end in enumerate(ended)
    ]


def _tridiagonal(product: Product, start: Tensor, steps: int) -> tuple[Array, Array, Tensor, Tensor, NDArray[np.int64]]:
    """Diagonals and off-diagonals ``(b, steps)``, basis ``(steps, b, D)``, lengths, and where each start ended."""
    count, dim = start.shape
    length = torch.linalg.vector_norm(start.double(), dim=1).to(start.dtype)
    v = start / length.clamp_min(torch.finfo(start.dtype).tiny).unsqueeze(1)
    basis = start.new_zeros((steps, count, dim))
    alpha, beta = np.zeros((count, steps)), np.zeros((count, steps))
    ended = np.full(count, steps)
    ended[length.cpu().numpy() == 0] = 0
    tiny = 10.0 * torch.finfo(start.dtype).eps
    for j in range(steps):
        basis[j] = v
        w = product(v)
        a = (w * v).sum(1)
        alpha[:, j] = a.double().cpu().numpy()
        if j + 1 == steps:
            break
        for _ in range(2):
            overlap = torch.einsum("jbd,bd->jb", basis[: j + 1], w)
            w = w - torch.einsum("jb,jbd->bd", overlap, basis[: j + 1])
        b = torch.linalg.vector_norm(w, dim=1)
        beta[:, j] = b.double().cpu().numpy()
        scale = np.abs(alpha[:, : j + 1]).max(1) + beta[:, : j + 1].max(1)
        done = (beta[:, j] <= tiny * scale) & (ended == steps)
        ended[done] = j + 1
        alive = torch.as_tensor(ended == steps, device=w.device).unsqueeze(1)
        v = torch.where(alive, w / b.clamp_min(torch.finfo(w.dtype).tiny).unsqueeze(1), 0.0)
        if not bool(alive.any()):
            break
    return alpha, beta, basis, length, ended


def _rule(alpha: Array, beta: Array, squared: float, exhausted: bool) -> Quadrature:
    if alpha.size == 0:
        return Quadrature(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1))
    nodes, weights = _gauss(alpha, beta, squared)
    if exhausted or alpha.size < 3:
        return Quadrature(nodes, weights, nodes, weights)
    short = max(1, 2 * alpha.size // 3)
    return Quadrature(nodes, weights, *_gauss(alpha[:short], beta[:short], squared))


def _gauss(alpha: Array, beta: Array, squared: float) -> tuple[Array, Array]:
    nodes, vectors = eigh_tridiagonal(alpha, beta[: alpha.size - 1])
    return np.asarray(nodes, dtype=np.float64), squared * vectors[0] ** 2


def ritz_pairs(product: Product, start: Tensor, steps: int) -> tuple[Array, Tensor]:
    """Eigenvalues, increasing, and orthonormal eigenvectors as rows of the matrix on the Krylov space of ``start``.

    The outermost are close to the matrix's own; those inside stand for the rest as well as ``steps`` directions can
    (Halko, Martinsson and Tropp 2011, Finding structure with randomness, section 3.3).
    """
    alpha, beta, basis, _, ended = _tridiagonal(product, start.unsqueeze(0), min(steps, start.numel()))
    size = int(ended[0])
    values, vectors = eigh_tridiagonal(alpha[0, :size], beta[0, : size - 1])
    mixed = torch.as_tensor(np.ascontiguousarray(vectors.T)).to(start) @ basis[:size, 0]
    return np.asarray(values, dtype=np.float64), mixed


@dataclass(frozen=True, eq=False)
class TopPairs:
    """The largest eigenvalues and their vectors.

    Attributes:
        values: decreasing, ``(k,)``.
        vectors: orthonormal, ``(k, D)``.
        residuals: ``|A v − θ v|`` of each: an eigenvalue lies within that of θ (Parlett 1998, The Symmetric
            Eigenvalue Problem, theorem 4.5.1).
        rayleigh: ``Σ vᵀ A v``, the trace on the span of the vectors.
        converged: whether all that were asked for were found to the tolerance.
    """

    values: Array
    vectors: Tensor
    residuals: Array
    rayleigh: float
    converged: bool


def top_pairs(
    product: Product, dim: int, count: int, *, start: Tensor, tolerance: float, most_products: int | None = None
) -> TopPairs:
    """The ``count`` largest eigenvalues by implicitly restarted Lanczos (ARPACK), checked by their residuals.

    Args:
        product: the matrix times vectors ``(k, D)``.
        dim: D; above ``count``.
        count: how many.
        start: start vector ``(D,)``, which also gives format and device.
        tolerance: relative accuracy of the eigenvalues.
        most_products: where ARPACK stops.
    """

    def one(x: NDArray[Any]) -> Array:
        v = torch.as_tensor(np.asarray(x).reshape(1, -1)).to(start)
        return product(v)[0].double().cpu().numpy()

    size = min(dim, max(2 * count + 1, 20))
    rounds = 10 * dim if most_products is None else max(1, (most_products - size) // max(1, size - count))
    operator: Any = LinearOperator((dim, dim), matvec=one, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    converged = True
    try:
        values, vectors = eigsh(
            operator, k=count, which="LA", v0=start.double().cpu().numpy(), tol=tolerance, ncv=size, maxiter=rounds
        )
    except ArpackNoConvergence as error:
        values, vectors, converged = error.eigenvalues, error.eigenvectors, False
    order = np.argsort(values)[::-1]
    values = np.asarray(values, dtype=np.float64)[order]
    found = torch.as_tensor(np.ascontiguousarray(np.asarray(vectors, dtype=np.float64)[:, order].T))
    found = torch.linalg.qr(found.T).Q.T if len(values) else found.reshape(0, dim)
    v = found.to(start)
    image = (product(v) if len(values) else v).double().cpu()
    rayleigh = (image * found).sum(1).numpy()
    residuals = torch.linalg.vector_norm(image - torch.as_tensor(rayleigh).unsqueeze(1) * found, dim=1).numpy()
    return TopPairs(rayleigh, v, residuals, float(math.fsum(rayleigh)), converged)
