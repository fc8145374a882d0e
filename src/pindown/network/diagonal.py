r"""The diagonal of a loss's Gauss–Newton matrix or Hessian, estimated without forming the matrix, with its error.

**Gauss–Newton**, :math:`G = \frac1n \sum_i J_i^\top \Lambda_i J_i` with J the Jacobian of an example's outputs and Λ
the loss's Hessian in them, :math:`\Lambda = SS^\top` (squared error: :math:`S = \sqrt2 I`; cross-entropy:
:math:`\Lambda = \operatorname{diag} p - pp^\top`, :math:`S = \operatorname{diag}\sqrt p - p\sqrt p^\top`). With
independent random signs :math:`z_i`, also independent between examples, one backward pass over a chunk c of the
examples gives :math:`g_c = \sum_{i \in c} J_i^\top S_i z_i`, and

.. math:: \operatorname{E} \sum_c g_c \circ g_c = n \operatorname{diag} G

since all cross terms have mean zero. The estimate is never negative, and its relative variance at each weight is about
2 over the number of probes and chunks, whatever the rest of the matrix is. For these losses G is the Fisher information
of the model's own predictions (Martens 2020, New insights and perspectives on the natural gradient method, sec. 9), and
this is its Monte Carlo diagonal (Dangel, Kunstner and Hennig 2020, BackPACK). Without probes the columns of S are taken
one by one, which is exact.

**Hessian**: :math:`\operatorname{E}\, v \circ Hv = \operatorname{diag} H` for random signs v (Bekas, Kokiopoulou and
Saad 2007, An estimator for the diagonal of a matrix), with variance :math:`\sum_{j \ne i} H_{ij}^2` at each weight and
probe.

Probes come in blocks, so that what is computed from the diagonal has a jackknife error and bias.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.network.data import Inputs
from pindown.network.forward import FORWARD_ERRORS
from pindown.network.heads import CrossEntropy, SquaredError
from pindown.network.progress import Progress
from pindown.network.subject import Subject
from pindown.rng import torch_generator

__all__ = ["BLOCKS", "Diagonal", "curvature_diagonal"]

BLOCKS = 8
_CHUNK = 16  # examples that share a backward pass
_SLOPE_BYTES = 32_000_000  # gradients that are held at once stay near the processor's cache
DiagonalMatrix = Literal["gauss-newton", "hessian"]


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The diagonal at one point.

    Attributes:
        matrix: ``"gauss-newton"`` or ``"hessian"``.
        blocks: independent estimates of it ``(B, D)``; one row where it is exact.
        exact: whether it has no sampling error.
        passes: forward and backward passes over all examples that it took.
    """

    matrix: str
    blocks: Tensor
    exact: bool
    passes: int

    @property
    def values(self) -> Tensor:
        """The estimate ``(D,)``, in double precision."""
        return self.blocks.double().mean(0)

    @property
    def stderr(self) -> Tensor:
        """The standard error of each entry ``(D,)``, from the spread of the blocks; zero where it is exact."""
        if self.exact:
            return torch.zeros_like(self.values)
        return self.blocks.double().std(0) / math.sqrt(len(self.blocks))

    def leaving_out(self, block: int) -> Tensor:
        """The estimate from all other blocks."""
        b = len(self.blocks)
        return (b * self.values - self.blocks[block].double()) / (b - 1)


def curvature_diagonal(
    subject: Subject,
    point: Tensor,
    *,
    matrix: DiagonalMatrix | None = None,
    probes: int | None = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagonal:
    """Estimate the diagonal at weights ``(D,)``, from the training examples.

    Args:
        subject: the network with its loss and data.
        point: the weights.
        matrix: by default Gauss–Newton for cross-entropy and squared error, else the Hessian.
        probes: random sign vectors, rounded up to a multiple of 8; None for the exact Gauss–Newton diagonal.
        seed: of the signs.
        progress: called with the share done and a text.

    Raises:
        InputError: for a loss that has no such matrix, a network without the derivatives, or a number of probes below
        8.

    Example:
        >>> import torch
        >>> from pindown import Subject
        >>> x = torch.diag(torch.tensor([1.0, 2.0]))
        >>> line = Subject(torch.nn.Linear(2, 1, bias=False), "mse", (x, torch.zeros(2, 1)))
        >>> curvature_diagonal(line, torch.ones(2), probes=None).values.round()  # the loss is (w₁² + 4 w₂²)/2
        tensor([1., 4.], dtype=torch.float64)
    """
    head = subject.head
    known = isinstance(head, CrossEntropy | SquaredError)
    kind = matrix or ("gauss-newton" if known else "hessian")
    if kind not in ("gauss-newton", "hessian"):
        raise InputError(f"matrix {matrix!r}", '"gauss-newton" or "hessian"')
    if kind == "gauss-newton" and not known:
        raise InputError(
            f"the Gauss–Newton diagonal of loss {head.name}", "cross-entropy or squared error", 'use matrix="hessian"'
        )
    if probes is None and kind == "hessian":
        raise InputError("the exact diagonal of a Hessian", "a number of probes", "use probes=64")
    if probes is not None and (isinstance(probes, bool) or probes < BLOCKS):
        raise InputError(f"{probes!r} probes", f"{BLOCKS} or more")
    if not subject.differentiable:
        raise InputError("curvature of a loss that has no gradient", "a network that can be differentiated")
    tell = progress or (lambda share, text: None)
    x = point.detach().to(subject.device, subject.space().dtype)
    try:
        with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers have a gradient in training mode only
            if kind == "hessian":
                assert probes is not None
                return _hessian(subject, x, _rounded(probes), seed, tell)
            return _exact(subject, x, tell) if probes is None else _sampled(subject, x, _rounded(probes), seed, tell)
    except FORWARD_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"a network whose {kind} diagonal cannot be taken ({type(error).__name__}: {error})",
            "one that torch can differentiate" + (" twice" if kind == "hessian" else ""),
        ) from error


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _rounded(probes: int) -> int:
    return -(-probes // BLOCKS) * BLOCKS


def _sampled(subject: Subject, x: Tensor, probes: int, seed: int, tell: Progress) -> Diagonal:
    blocks = torch.zeros((BLOCKS, len(x)), dtype=_wide(x), device=x.device)
    chunks, slopes = list(_chunks(subject, _CHUNK)), _SquaredSlopes()
    count = sum(subject.head.count(y) for _, y in chunks)
    for j, (inputs, targets) in enumerate(chunks):
        tell(j / len(chunks), "curvature")
        leaf, outputs = _graph(subject, x, inputs)
        factor = _root(subject, outputs.detach(), targets)
        g = torch_generator(seed, 0xD1A6, j)
        signs = torch.randint(0, 2, (probes, *outputs.shape), generator=g).to(outputs) * 2 - 1
        slopes.add(outputs, leaf, torch.stack([factor(z) for z in signs]), blocks)
    return Diagonal("gauss-newton", blocks * (BLOCKS / probes / count), False, probes)


def _exact(subject: Subject, x: Tensor, tell: Progress) -> Diagonal:
    total = torch.zeros((1, len(x)), dtype=torch.float64, device=x.device)
    chunks, slopes = list(_chunks(subject, 1)), _SquaredSlopes()
    count = sum(subject.head.count(y) for _, y in chunks)
    width = 0
    for j, (inputs, targets) in enumerate(chunks):
        if j % 64 == 0:
            tell(j / len(chunks), "curvature")
        leaf, outputs = _graph(subject, x, inputs)
        factor = _root(subject, outputs.detach(), targets)
        width = outputs.numel()
        basis = torch.eye(width, dtype=outputs.dtype, device=outputs.device).view(width, *outputs.shape)
        slopes.add(outputs, leaf, torch.stack([factor(column) for column in basis]), total)
    return Diagonal("gauss-newton", total / count, True, width)


class _SquaredSlopes:
    """Squares of the gradients along many directions of the outputs, several in one backward pass where torch can."""

    def __init__(self) -> None:
        self._together = True

    def add(self, outputs: Tensor, leaf: Tensor, directions: Tensor, into: Tensor) -> None:
        """Add the square for direction k to row ``k mod rows`` of ``into``."""
        rows = max(1, _SLOPE_BYTES // (leaf.numel() * leaf.element_size()))
        start = 0
        for part in directions.split(rows):
            slope = self._slopes(outputs, leaf, part)[:, 0].to(into).square()
            where = torch.arange(start, start + len(part), device=into.device) % len(into)
            into.index_add_(0, where, slope)
            start += len(part)

    def _slopes(self, outputs: Tensor, leaf: Tensor, directions: Tensor) -> Tensor:
        if self._together and len(directions) > 1:
            try:
                with warnings.catch_warnings():
                    # vmap's own fallback is slower than the loop.
                    warnings.filterwarnings("error", message="There is a performance drop")
                    return torch.autograd.grad(outputs, leaf, directions, retain_graph=True, is_grads_batched=True)[0]
            except (RuntimeError, UserWarning):
                self._together = False  # it has no rule for one of the operations
        each = [torch.autograd.grad(outputs, leaf, d, retain_graph=True)[0] for d in directions]
        return torch.stack(each)


def _hessian(subject: Subject, x: Tensor, probes: int, seed: int, tell: Progress) -> Diagonal:
    blocks = torch.zeros((BLOCKS, len(x)), dtype=_wide(x), device=x.device)
    batches = list(subject.batches())
    count = sum(subject.head.count(y) for _, y in batches)
    for j, (inputs, targets) in enumerate(batches):
        leaf, outputs = _graph(subject, x, inputs)
        with torch.enable_grad():
            value = subject.head.sums(outputs, targets).sum() / count
            (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        for k in range(probes):
            tell((j + k / probes) / len(batches), "curvature")
            signs = torch.randint(0, 2, (len(x),), generator=torch_generator(seed, 0xD1A7, k)).to(x) * 2 - 1
            if slope.requires_grad:  # otherwise the loss is linear in the weights
                (product,) = torch.autograd.grad(slope, leaf, signs.unsqueeze(0), retain_graph=True)
                blocks[k % BLOCKS] += (signs * product[0]).to(blocks)
    return Diagonal("hessian", blocks * (BLOCKS / probes), False, 2 * probes)


def _graph(subject: Subject, x: Tensor, inputs: Inputs) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = x.unsqueeze(0).clone().requires_grad_(True)
        return leaf, subject.forward(leaf, inputs)


def _chunks(subject: Subject, size: int) -> Iterator[tuple[Inputs, Tensor]]:
    for inputs, targets in subject.batches():
        for start in range(0, len(targets), size):
            cut = slice(start, start + size)
            yield (tuple(t[cut] for t in inputs) if isinstance(inputs, tuple) else inputs[cut]), targets[cut]


def _root(subject: Subject, outputs: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """``z ↦ Sz`` with S Sᵀ the Hessian of the summed loss in the outputs ``(1, B, C, …)``."""
    del targets  # neither matrix depends on them
    if isinstance(subject.head, SquaredError):
        return lambda z: math.sqrt(2.0) * z
    p = torch.softmax(outputs, dim=2)
    root = p.sqrt()
    return lambda z: root * z - p * (root * z).sum(2, keepdim=True)
