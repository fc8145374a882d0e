r"""Products of a loss's Hessian and Gauss–Newton matrix with vectors, without forming the matrix.

With :math:`g(w) = \nabla L(w)` the Hessian's product is :math:`Hv = \partial_w\,(g^\top v)`, a second pass of reverse
differentiation (Pearlmutter 1994, Fast exact multiplication by the Hessian). With outputs :math:`f(w)` of Jacobian
:math:`J` and the loss's Hessian in the outputs :math:`\Lambda`, the Gauss–Newton product is
:math:`J^\top \Lambda J v` (Schraudolph 2002, Fast curvature matrix-vector products), where :math:`Jv` is the
derivative of the linear map :math:`u \mapsto (J^\top u)^\top v`.

The graph of the first derivative is kept where it fits into memory, and several vectors go through it at once, so
that a product costs one backward pass and not a forward and two backward ones.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.network.data import Batches, Inputs
from pindown.network.forward import FORWARD_ERRORS, Forward, activation_bytes, plain_attention
from pindown.network.heads import CrossEntropy, SquaredError
from pindown.network.subject import Subject

__all__ = ["Coordinates", "Curvature", "Matrix"]

Matrix = Literal["hessian", "gauss-newton"]
Coordinates = Literal["weights", "normal"]
_GRAPH_BYTES = 1_000_000_000
_VECTOR_BYTES = 32_000_000  # vectors that go through together stay near the processor's cache
_MOST_VECTORS = 32
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _Graph:
    """What is kept of one batch: from a vector's point of view, the matrix."""

    product: Callable[[Tensor, bool], Tensor]
    value: Tensor
    gradient: Tensor


class Curvature:
    r"""The Hessian or Gauss–Newton matrix of a subject's training loss at one point.

    Args:
        subject: the model, its loss and its data.
        point: weights ``(D,)``, by default the first of the subject's solutions.
        matrix: ``"hessian"`` or ``"gauss-newton"``. The latter needs cross-entropy or squared error.
        coordinates: ``"weights"`` differentiates by the weights themselves, ``"normal"`` by the standard normals that
            the prior maps to them.
        dtype: format to compute in, by default the model's own. Wider ones work on a copy of the model.

    Attributes:
        dim: D, tied weights once and frozen ones left out.
        loss: mean training loss at the point.
        gradient: of the loss, ``(D,)``.
        products: how many products with one vector were made so far.

    Raises:
        InputError: for a loss without second derivatives, a Gauss–Newton matrix of another loss, or a model that
            cannot run in ``dtype``.

    Example:
        >>> import torch
        >>> from pindown import Subject
        >>> x = torch.diag(torch.tensor([1.0, 2.0]))
        >>> line = Subject(torch.nn.Linear(2, 1, bias=False), "mse", (x, torch.zeros(2, 1)))
        >>> Curvature(line).dense().round()  # the loss is (w₁² + 4 w₂²)/2
        tensor([[1., 0.],
                [0., 4.]])
    """

    def __init__(
        self,
        subject: Subject,
        point: Tensor | None = None,
        *,
        matrix: Matrix = "hessian",
        coordinates: Coordinates = "weights",
        dtype: torch.dtype | None = None,
    ) -> None:
        if matrix not in ("hessian", "gauss-newton"):
            raise InputError(f"matrix {matrix!r}", '"hessian" or "gauss-newton"')
        self.subject, self.matrix, self.coordinates = subject, matrix, coordinates
        self._head = subject.head
        if matrix == "gauss-newton" and not isinstance(self._head, CrossEntropy | SquaredError):
            raise InputError(
                f"the Gauss–Newton matrix of loss {self._head.name}", "cross-entropy or squared error",
                'use matrix="hessian"',
            )  # fmt: skip
        if self._head.parts != 1:
            raise InputError(f"the curvature of loss {self._head.name}", "a loss that is a mean over examples")
        self.space = subject.space()
        self.dim = self.space.dim
        own = next(p.dtype for p in subject.module.parameters())
        self.dtype = dtype or torch.promote_types(own, torch.float32)
        x = subject.solutions[0].point if point is None else point
        if tuple(x.shape) != (self.dim,):
            raise InputError(f"a point of shape {tuple(x.shape)}", f"({self.dim},)")
        x = x.detach().to(subject.device)
        self.point = (x if coordinates == "weights" else self.space.to_normal(x.unsqueeze(0).double())[0]).to(
            self.dtype
        )
        self._forward, self._batches = _in_format(subject, self.dtype)
        self.count = sum(self._head.count(y) for _, y in self._batches)
        own_point = x.to(self.space.dtype)
        sizes = [activation_bytes(subject.forward, own_point, a, len(b)) for a, b in subject.batches()]
        scale = 4 if self.dtype == torch.float64 else 2  # graphs of first and second derivatives
        self._keep = scale * sum(sizes) <= _GRAPH_BYTES
        self.block = int(max(1, min(_MOST_VECTORS, _VECTOR_BYTES // max(sizes))))
        self._kept: list[_Graph] | None = None
        self._together = True
        self.products = 0
        self.loss, self.gradient = self._first()

    def product(self, vectors: Tensor) -> Tensor:
        """The matrix times each of ``vectors`` ``(k, D)``, as ``(k, D)`` in :attr:`dtype`."""
        v = vectors.to(self.point)
        if v.ndim != 2 or v.shape[1] != self.dim:
            raise InputError(f"vectors of shape {tuple(v.shape)}", f"(k, {self.dim})")
        out = torch.zeros_like(v)
        for graph in self._graphs():
            for start in range(0, len(v), self.block):
                part = v[start : start + self.block]
                out[start : start + self.block] += self._times(graph, part)
        self.products += len(v)
        return out

    def dense(self) -> Tensor:
        """The whole matrix, ``(D, D)``, made symmetric."""
        rows = self.product(torch.eye(self.dim, dtype=self.dtype, device=self.point.device))
        return 0.5 * (rows + rows.T)

    def _times(self, graph: _Graph, v: Tensor) -> Tensor:
        with _double_backward():
            if self._together and len(v) > 1:
                try:
                    with warnings.catch_warnings():
                        # vmap's own fallback loops over single operations, slower than the loop over vectors.
                        warnings.filterwarnings("error", message="There is a performance drop")
                        return graph.product(v, True)
                except (*FORWARD_ERRORS, UserWarning):
                    self._together = False  # one after another serves any model; an error there is raised
            return torch.stack([graph.product(row, False) for row in v])

    def _first(self) -> tuple[float, Tensor]:
        value, gradient = torch.zeros((), dtype=torch.float64), torch.zeros_like(self.point)
        try:
            for graph in self._graphs():
                value += graph.value.double().cpu()
                gradient += graph.gradient
            self.product(torch.zeros_like(self.point).unsqueeze(0))
            self.products = 0
        except FORWARD_ERRORS as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"second derivatives that this model cannot give ({reason})",
                "a loss that is twice differentiable by autograd",
                "leave out what is not, with include= or exclude=",
            ) from error
        return float(value), gradient

    def _graphs(self) -> Iterable[_Graph]:
        if self._kept is not None:
            return self._kept
        if self._keep:
            self._kept = [self._graph(x, y) for x, y in self._batches]
            return self._kept
        return (self._graph(x, y) for x, y in self._batches)

    def _weights(self, leaf: Tensor) -> Tensor:
        return leaf if self.coordinates == "weights" else self.space.from_normal(leaf.unsqueeze(0))[0]

    def _graph(self, inputs: Inputs, targets: Tensor) -> _Graph:
        leaf = self.point.clone().requires_grad_(True)
        with torch.enable_grad(), _double_backward():
            outputs = self._forward.one(_named(self._forward, self._weights(leaf)), inputs)
            value = self._head.sums(outputs.unsqueeze(0), targets)[0] / self.count
            hessian = self.matrix == "hessian"
            if not value.requires_grad:
                raise RuntimeError("the loss has no gradient in the weights")
            (gradient,) = torch.autograd.grad(
                value, leaf, create_graph=hessian, retain_graph=True, materialize_grads=True
            )
            _check_twice_differentiable(gradient if hessian else outputs)
            product = self._hessian(leaf, gradient) if hessian else self._gauss_newton(leaf, outputs)
        return _Graph(product, value.detach(), gradient.detach())

    def _hessian(self, leaf: Tensor, gradient: Tensor) -> Callable[[Tensor, bool], Tensor]:
        def product(v: Tensor, batched: bool) -> Tensor:
            if not gradient.requires_grad:  # a loss that is linear in the weights
                return torch.zeros_like(v)
            return _pullback(gradient, leaf, v, batched)

        return product

    def _gauss_newton(self, leaf: Tensor, outputs: Tensor) -> Callable[[Tensor, bool], Tensor]:
        u = torch.zeros_like(outputs, requires_grad=True)
        (back,) = torch.autograd.grad(outputs, leaf, u, create_graph=True, materialize_grads=True)
        kept = outputs.detach()

        def product(v: Tensor, batched: bool) -> Tensor:
            forward = _pullback(back, u, v, batched)
            return _pullback(outputs, leaf, self._in_outputs(kept, forward), batched)

        return product

    def _in_outputs(self, outputs: Tensor, x: Tensor) -> Tensor:
        """The loss's Hessian in the outputs ``(B, C, …)`` times ``x``, ``(B, C, …)`` or ``(k, B, C, …)``."""
        if isinstance(self._head, SquaredError):
            return 2.0 / self.count * x
        p, classes = outputs.softmax(1), x.ndim - outputs.ndim + 1
        weighted = p * x
        return (weighted - p * weighted.sum(classes, keepdim=True)) / self.count


def _check_twice_differentiable(result: Tensor) -> None:
    """Look for operations without a second derivative: autograd leaves out what goes through them and says nothing."""
    seen: set[Any] = set()
    waiting: list[Any] = [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if "Error" in node.name() or "NotImplemented" in node.name():
            raise RuntimeError("an operation can be differentiated only once")
        waiting += [earlier for earlier, _ in node.next_functions]


def _pullback(of: Tensor, by: Tensor, v: Tensor, batched: bool) -> Tensor:
    # What is not connected raises: an operation without a second derivative cuts the graph.
    (out,) = torch.autograd.grad(of, by, v, retain_graph=True, is_grads_batched=batched)
    return out


@contextlib.contextmanager
def _double_backward() -> Generator[None]:
    """Keep to kernels that have a second derivative: fused attention and recurrent layers have none."""
    with plain_attention(), torch.backends.cudnn.flags(enabled=False):
        yield


def _named(forward: Forward, weights: Tensor) -> dict[str, Tensor]:
    """Parameters by name for weights ``(D,)``, in the format of the weights rather than the model's."""
    space, out = forward.space, dict[str, Tensor]()
    for p in space.parameters:
        part = weights[space.slices[p.name]]
        if p.free is not None and p.base is not None:
            base = p.base.to(part).reshape(-1)
            part = base.index_copy(0, p.free.to(part.device), part)
        out[p.name] = part.reshape(p.shape)
    return out


def _in_format(subject: Subject, dtype: torch.dtype) -> tuple[Forward, Batches]:
    """The subject's module and data in ``dtype``."""
    own = next(p.dtype for p in subject.module.parameters())
    if own == dtype:
        return subject.forward, subject.batches()
    module = copy.deepcopy(subject.module).to(dtype)
    forward = Forward(module, subject.space(), subject.forward.custom)
    items = tuple((_cast(x, dtype), _cast(y, dtype)) for x, y in subject.batches())
    return forward, Batches(items, subject.batches().size)


def _cast(x: Any, dtype: torch.dtype) -> Any:
    if isinstance(x, tuple):
        return tuple(_cast(t, dtype) for t in x)
    return x.to(dtype) if x.is_floating_point() else x
