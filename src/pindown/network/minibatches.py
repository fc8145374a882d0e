r"""Losses and gradients on minibatches, every chain with a minibatch of its own, paired with the trained weights.

The excess :math:`L_B(w) - L_B(w^*)` takes both losses on the same examples: what the examples of a minibatch share is
the same at both points and drops out. The losses of all examples at :math:`w^*` are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pindown.errors import InputError
from pindown.network.data import Inputs
from pindown.network.heads import CrossEntropy, Custom, SquaredError
from pindown.network.localised import LocalLoss
from pindown.network.mlp import layered

__all__ = ["Minibatch", "Minibatches"]

_BYTES = 64_000_000  # activations of one group of chains, and examples gathered at once


@dataclass(frozen=True)
class Minibatch:
    """The examples of ``N`` chains, B for each.

    Attributes:
        rows: their numbers, ``(N, B)``.
        inputs: ``(N, B, …)``.
        targets: ``(N, B, …)``.
        at_point: summed loss terms of each chain's examples at the trained weights, ``(N,)``.
    """

    rows: Tensor
    inputs: Inputs
    targets: Tensor
    at_point: Tensor

    def split(self, chains: int) -> list[Minibatch]:
        """Parts of at most ``chains`` chains, in order."""
        several = isinstance(self.inputs, tuple)
        inputs = zip(*(t.split(chains) for t in _parts(self.inputs)), strict=True)
        others = (t.split(chains) for t in (self.rows, self.targets, self.at_point))
        return [
            Minibatch(rows, x if several else x[0], targets, at)
            for x, rows, targets, at in zip(inputs, *others, strict=True)
        ]


class Minibatches:
    """Examples drawn with replacement, independently for each chain.

    Args:
        local: the loss around the trained weights.
        size: examples a minibatch, B.

    Raises:
        InputError: where the batches of the data have different shapes, so that examples cannot be drawn singly.
    """

    def __init__(self, local: LocalLoss, size: int) -> None:
        self.local, self.size = local, size
        subject = local.subject
        batches = list(subject.examples)
        shapes = {(tuple(t.shape[1:] for t in _parts(x)), tuple(y.shape[1:])) for x, y in batches}
        if len(shapes) > 1:
            raise InputError(
                f"minibatches of data whose batches have {len(shapes)} different shapes", "examples of one shape",
                'pad them, or use method="hamiltonian" or "mala"',
            )  # fmt: skip
        count = len(_parts(batches[0][0]))
        joined = tuple(torch.cat([_parts(x)[i] for x, _ in batches]) for i in range(count))
        self.inputs: Inputs = joined if isinstance(batches[0][0], tuple) else joined[0]
        self.targets = torch.cat([y for _, y in batches])
        self.examples = len(self.targets)
        self.terms = local.terms / self.examples  # loss terms an example
        self.head = subject.head
        self._layers = layered(subject.module, subject.space()) if subject.path == "layered" else None
        if self._layers is not None and isinstance(self.inputs, Tensor):
            self.inputs = self.inputs.flatten(1).to(local.point.dtype)
            parts = sorted(subject.space().slices.values(), key=lambda part: part.start)
            self._starts = [part.start for part in parts]
            self._sizes = [part.stop - part.start for part in parts]
        self._whole = not isinstance(self.head, Custom) or self.head.vectorised
        self.at_point = self._at_point()
        self._columns = (self.at_point, self.targets, *_parts(self.inputs))
        self._bytes = sum(t[:1].numel() * t.element_size() for t in self._columns)
        each = subject.objective().preferred_rows if self._layers is None else 0
        largest = max(len(y) for _, y in batches)
        self.rows = max(1, each * largest // size) if each else self._rows()

    def draw(self, chains: int, rng: torch.Generator, steps: int = 1) -> Iterator[Minibatch]:
        """A minibatch of its own for each chain, at each of ``steps`` steps; as many at once as memory allows."""
        together = max(1, _BYTES // (chains * self.size * self._bytes))
        for first in range(0, steps, together):
            count = min(together, steps - first)
            shape = (count * chains, self.size)
            rows = torch.randint(self.examples, shape, generator=rng, device=self.targets.device)
            chosen = [t.index_select(0, rows.flatten()).unflatten(0, shape) for t in self._columns]
            at_point, targets, *inputs = chosen
            x = tuple(inputs) if isinstance(self.inputs, tuple) else inputs[0]
            yield from Minibatch(rows, x, targets, at_point.sum(1)).split(chains)

    def excess_and_gradient(self, z: Tensor, batch: Minibatch, width: float = 1.0) -> tuple[Tensor, Tensor]:
        """``L_B(w* + width · z) − L_B(w*)`` ``(N,)`` and its gradient in z ``(N, dim)``, on a minibatch of each."""
        sums, slope = self.sums_and_gradient(z, batch, width)
        return self.excess(sums, batch.at_point), slope

    def excess(self, sums: Tensor, at_point: Tensor) -> Tensor:
        """Mean losses less those at the trained weights, from summed loss terms of minibatches."""
        return (sums - at_point).div_(self.size * self.terms)

    def sums_and_gradient(self, z: Tensor, batch: Minibatch, width: float = 1.0) -> tuple[Tensor, Tensor]:
        """Summed loss terms at ``w* + width · z`` ``(N,)``, and the gradient of their mean in z ``(N, dim)``."""
        if len(z) <= self.rows:
            return self._part(z, batch, width)
        pairs = zip(z.split(self.rows), batch.split(self.rows), strict=True)
        parts = [self._part(*pair, width) for pair in pairs]
        return torch.cat([sums for sums, _ in parts]), torch.cat([slope for _, slope in parts])

    def _part(self, z: Tensor, batch: Minibatch, width: float) -> tuple[Tensor, Tensor]:
        way = self._layered if self._layers else self._generic
        sums, slope = way(self.local.weights(z, width), batch, width / (self.size * self.terms))
        return sums, self.local.own_part(slope)

    def _at_point(self) -> Tensor:
        """The summed loss terms of each example at the trained weights, ``(n,)`` in double precision."""
        out: list[Tensor] = []
        forward, point = self.local.subject.forward, self.local.point.unsqueeze(0)
        with torch.no_grad():
            for inputs, targets in self.local.subject.examples:
                outputs = forward(point, inputs)[0]
                out.append(self._sums(outputs.unsqueeze(1), targets.unsqueeze(1)).double())
        return torch.cat(out)

    def _sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed losses ``(N,)`` for outputs ``(N, B, …)`` and targets ``(N, B, …)``, each network its own."""
        if isinstance(self.head, SquaredError):
            return (outputs - targets).square().flatten(1).sum(1)

        def one(o: Tensor, t: Tensor) -> Tensor:
            return self.head.sums(o.unsqueeze(0), t)[0]

        if self._whole:
            return torch.func.vmap(one)(outputs, targets)
        return torch.stack([one(o, t) for o, t in zip(outputs, targets, strict=True)])

    def _generic(self, x: Tensor, batch: Minibatch, scale: float) -> tuple[Tensor, Tensor]:
        """Summed losses ``(N,)``, and ``scale`` times their gradients."""
        with torch.enable_grad(), self.local.subject.forward.kernels(x):
            leaf = x.detach().requires_grad_(True)
            sums = self._sums(self.local.subject.forward.paired(leaf, batch.inputs), batch.targets)
            (slope,) = torch.autograd.grad(sums.sum(), leaf)
        return sums.detach(), slope.mul_(scale)

    def _layered(self, x: Tensor, batch: Minibatch, scale: float) -> tuple[Tensor, Tensor]:
        """The same for perceptrons by batched products, activations as ``(N, B, width)``."""
        assert self._layers is not None
        assert isinstance(batch.inputs, Tensor)
        n, layers, h = len(x), self._layers, batch.inputs
        flat = dict(zip(self._starts, x.split(self._sizes, 1), strict=True))
        entered: list[Tensor] = []
        saved: list[Tensor] = []
        weights: list[Tensor] = []
        for layer in layers:
            weight = flat[layer.weight.start].view(n, layer.outputs, layer.inputs)
            entered.append(h)
            weights.append(weight)
            bias = None if layer.bias is None else flat[layer.bias.start].unsqueeze(1)
            h = torch.bmm(h, weight.mT) if bias is None else torch.baddbmm(bias, h, weight.mT)
            kept = h
            if layer.activation is not None:
                kept = h.clone() if layer.activation.saves_input else h
                layer.activation.forward(h)
            saved.append(kept)
        sums, delta = self._loss_rows(h, batch.targets, scale)
        slopes: dict[int, Tensor] = {}  # by where the parameter starts
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            if layer.bias is not None:
                slopes[layer.bias.start] = delta.sum(1)
            slopes[layer.weight.start] = torch.bmm(delta.mT, entered[i]).view(n, -1)
            if i:
                delta = torch.bmm(delta, weights[i])
                below = layers[i - 1].activation
                if below is not None:
                    below.backward(delta, saved[i - 1])
        return sums, torch.cat([slopes[start] for start in self._starts], 1)

    def _loss_rows(self, outputs: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Summed losses ``(N,)`` and ``scale`` times their gradient for outputs ``(N, B, C)``."""
        if isinstance(self.head, SquaredError):
            error = outputs - targets
            return error.square().sum((1, 2)), error.mul_(2.0 * scale)
        if isinstance(self.head, CrossEntropy):
            logp = functional.log_softmax(outputs, dim=-1)
            labels = targets.unsqueeze(-1)
            sums = -logp.gather(-1, labels).sum((1, 2))
            slope = logp.exp_()
            return sums, slope.scatter_add_(-1, labels, slope.new_full(labels.shape, -1.0)).mul_(scale)
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_(True)
            sums = self._sums(leaf, targets)
            (slope,) = torch.autograd.grad(sums.sum(), leaf)
        return sums.detach(), slope.mul_(scale)

    def _rows(self) -> int:
        assert self._layers is not None
        widths = self._layers[0].inputs + 2 * sum(layer.outputs for layer in self._layers)
        return max(1, _BYTES // (4 * widths * self.size))


def _parts(x: Inputs) -> tuple[Tensor, ...]:
    return x if isinstance(x, tuple) else (x,)
