r"""A fast path for multilayer perceptrons: losses and gradients of many networks on the same examples.

The generic path maps one network over a batch of weights; its matrix products then run one network at a time and
automatic differentiation keeps every intermediate. For ``nn.Sequential`` of linear layers and activations this
module does better:

* The first layer of all networks is one product of the stacked weights ``(k·width, inputs + 1)`` with the
  transposed examples, to which a row of ones is added for the biases.
* Activations lie as ``(k, width, examples)``, so that every further layer is one batched product, activations work
  in place, and the gradient of the first layer is again one product.
* Value and gradient come from one pass. Networks go through in groups of ``k`` whose activations stay in the
  processor's cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pindown.network.data import Batches
from pindown.network.heads import Head
from pindown.spaces.network import Weights

__all__ = ["LayeredNetwork", "layered"]

_CACHE_BYTES = 1_600_000  # activations of one group: with their companions they stay in the second or third cache level
_DEVICE_BYTES = 256_000_000  # on an accelerator large groups pay
_aten: Any = torch.ops.aten


@dataclass(frozen=True)
class _Activation:
    """An elementwise function and its derivative, both written over the tensor that they are given."""

    forward: Callable[[Tensor], Any]
    backward: Callable[[Tensor, Tensor], Any]  # (gradient to overwrite, saved)
    saves_input: bool = False


@dataclass(frozen=True)
class _Layer:
    inputs: int
    outputs: int
    weight: slice
    bias: slice | None
    activation: _Activation | None


def layered(model: nn.Module, space: Weights) -> list[_Layer] | None:
    """The layers of a plain perceptron all of whose weights move; None for any other module."""
    modules = [m for m in _sequence(model) if not isinstance(m, nn.Identity | nn.Dropout | nn.AlphaDropout)]
    if modules and type(modules[0]) is nn.Flatten and (modules[0].start_dim, modules[0].end_dim) == (1, -1):
        modules = modules[1:]
    names = {id(p): n for n, p in model.named_parameters()}
    layers: list[_Layer] = []
    used: list[str] = []
    for m in modules:
        if type(m) is nn.Linear:
            own = [names[id(p)] for p in (m.weight, m.bias) if p is not None]
            if any(n not in space.slices for n in own):
                return None
            used += own
            bias = None if m.bias is None else space.slices[own[1]]
            layers.append(_Layer(m.in_features, m.out_features, space.slices[own[0]], bias, None))
        else:
            activation = _activation(m)
            if activation is None or not layers or layers[-1].activation is not None:
                return None
            layers[-1] = replace(layers[-1], activation=activation)
    if not layers or layers[-1].activation is not None or len(set(used)) != len(used) or len(used) != len(space.names):
        return None
    if any(_hooked(m) for m in model.modules()):
        return None
    return layers


class LayeredNetwork:
    """Losses and gradients of ``N`` perceptrons on fixed examples.

    Args:
        layers: from :func:`layered`.
        head: the loss.
        batches: the examples; inputs ``(B, …)`` are flattened to ``(B, inputs)``.
        dtype: format of the points.
    """

    def __init__(self, layers: list[_Layer], head: Head, batches: Batches, dtype: torch.dtype) -> None:
        self.layers, self.head, self.dtype = layers, head, dtype
        self.dim = sum(s.stop - s.start for layer in layers for s in (layer.weight, layer.bias) if s is not None)
        self.widest = max(layer.outputs for layer in layers)
        size = torch.finfo(dtype).bits // 8
        self._row_bytes = self.widest * size
        block = max(256, _CACHE_BYTES // (4 * self._row_bytes))
        self.count = 0
        self._blocks: list[tuple[Tensor, Tensor, Tensor]] = []
        classes = layers[-1].outputs
        for inputs, targets in batches:
            assert isinstance(inputs, Tensor)
            self.count += head.count(targets)
            flat = inputs.flatten(1).to(dtype)
            for x, y in zip(flat.split(block), targets.split(block), strict=True):
                augmented = torch.cat([x, x.new_ones(len(x), 1)], 1) if layers[0].bias is not None else x
                self._blocks.append((x.contiguous(), augmented.T.contiguous(), head.prepare(y, classes)))
        self._local = threading.local()
        self._placed: dict[torch.device, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_local", "_placed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._local, self._placed = threading.local(), {}

    @property
    def flops(self) -> int:
        """Floating-point operations in matrix products for one value and gradient of one network."""
        total = 0
        for i, layer in enumerate(self.layers):
            total += 2 * layer.inputs * layer.outputs * (2 if i == 0 else 3)
        return total * sum(len(x) for x, _, _ in self._blocks)

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Outputs ``(N, B, C)`` of networks ``x`` ``(N, D)`` on inputs ``(B, …)``."""
        x = x.detach().contiguous()
        flat = inputs.flatten(1).to(x.dtype)
        if self.layers[0].bias is not None:
            flat = torch.cat([flat, flat.new_ones(len(flat), 1)], 1)
        columns = flat.T.contiguous()
        rows = self._group(x, len(flat))
        parts = [self._forward(part, columns, save=False)[0].transpose(1, 2).clone() for part in x.split(rows)]
        return torch.cat(parts)

    def value_and_gradient(self, x: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor | None]:
        """Mean losses ``(N,)`` at ``x`` ``(N, D)``, and their gradients ``(N, D)`` where wanted."""
        x = x.detach().contiguous()
        blocks = self._placed.get(x.device)
        if blocks is None:
            blocks = [(a.to(x.device), b.to(x.device), c.to(x.device)) for a, b, c in self._blocks]
            self._placed[x.device] = blocks
        value = torch.empty(len(x), dtype=x.dtype, device=x.device)
        slope = torch.empty_like(x, memory_format=torch.contiguous_format) if gradient else None
        rows = self._group(x, max(len(b[0]) for b in blocks))
        head = self.head
        for start in range(0, len(x), rows):
            part = x[start : start + rows]
            into = None if slope is None else slope[start : start + rows]
            sums: list[Tensor] = []
            factors: Tensor | None = None
            if into is not None and head.parts > 1 and len(blocks) > 1:
                # The gradient of each block depends on the sums of all.
                for _, columns, prepared in blocks:
                    sums.append(head.columns(self._forward(part, columns, save=False)[0], prepared, None)[0])
                factors = torch.as_tensor(head.factors(torch.stack(sums).sum(0), self.count))
                sums.clear()
            scale = None if into is None else partial(self._scale, factors)
            for i, (examples, columns, prepared) in enumerate(blocks):
                out, saved = self._forward(part, columns, save=gradient)
                one, delta = head.columns(out, prepared, scale)
                sums.append(one)
                if into is not None and delta is not None:
                    self._backward(part, delta, saved, examples, into, add=i > 0)
            value[start : start + rows] = head.value(torch.stack(sums).sum(0), self.count)
        return value, slope

    def _scale(self, factors: Tensor | None, sums: Tensor) -> Tensor | float:
        return self.head.factors(sums, self.count) if factors is None else factors

    def _group(self, x: Tensor, examples: int) -> int:
        """How many networks go through together: as even as possible, within the cache."""
        limit = _CACHE_BYTES if x.device.type == "cpu" else _DEVICE_BYTES
        most = max(1, min(len(x), limit // (self._row_bytes * examples)))
        return -(-len(x) // -(-len(x) // most)) if len(x) else 1

    def _forward(self, x: Tensor, columns: Tensor, *, save: bool) -> tuple[Tensor, list[Tensor]]:
        k, examples = len(x), columns.shape[1]
        saved: list[Tensor] = []
        h = columns
        for i, layer in enumerate(self.layers):
            weight = x[:, layer.weight].view(k, layer.outputs, layer.inputs)
            out = self._buffer(f"h{i}", x, (k, layer.outputs, examples))
            if i == 0:
                stacked = weight
                if layer.bias is not None:
                    stacked = self._buffer("w", x, (k, layer.outputs, layer.inputs + 1))
                    stacked[:, :, : layer.inputs] = weight
                    stacked[:, :, layer.inputs] = x[:, layer.bias]
                torch.mm(stacked.reshape(k * layer.outputs, -1), columns, out=out.view(k * layer.outputs, examples))
            elif layer.bias is None:
                torch.bmm(weight, h, out=out)
            else:
                torch.baddbmm(x[:, layer.bias].unsqueeze(-1), weight, h, out=out)
            act = layer.activation
            if act is not None:
                if save and act.saves_input:
                    saved.append(self._buffer(f"p{i}", x, out.shape).copy_(out))
                act.forward(out)
                if not (save and act.saves_input):
                    saved.append(out)
            else:
                saved.append(out)
            h = out
        return h, saved

    def _backward(
        self, x: Tensor, delta: Tensor, saved: list[Tensor], examples: Tensor, into: Tensor, *, add: bool
    ) -> None:
        k = len(x)
        for i in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[i]
            if layer.bias is not None:
                _store(into[:, layer.bias], delta.sum(-1), add)
            place = into[:, layer.weight].view(k, layer.outputs, layer.inputs)
            if i == 0:
                product = self._buffer("g", x, (k * layer.outputs, layer.inputs))
                torch.mm(delta.view(k * layer.outputs, -1), examples, out=product)
                _store(place, product.view_as(place), add)
                return
            before = self.layers[i - 1]
            # The input of this layer is what the layer below put out, which is still in its buffer.
            h = self._buffer(f"h{i - 1}", x, (k, before.outputs, delta.shape[-1]))
            _store(place, torch.bmm(delta, h.transpose(1, 2)), add)
            weight = x[:, layer.weight].view(k, layer.outputs, layer.inputs)
            delta = torch.bmm(
                weight.transpose(1, 2), delta, out=self._buffer(f"d{i % 2}", x, (k, layer.inputs, delta.shape[-1]))
            )
            if before.activation is not None:
                before.activation.backward(delta, saved[i - 1])

    def _buffer(self, name: str, like: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
        """Scratch memory of this thread, kept between calls: fresh pages cost more than the arithmetic."""
        store: dict[Any, Tensor] = self._local.__dict__.setdefault("buffers", {})
        key = (name, tuple(shape), like.dtype, like.device)
        found = store.get(key)
        if found is None:
            if len(store) > 64:
                store.clear()  # the shapes have changed often; start afresh
            found = store[key] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return found


def _store(place: Tensor, value: Tensor, add: bool) -> None:
    if add:
        place.add_(value)
    else:
        place.copy_(value)


def _sequence(model: nn.Module) -> list[nn.Module]:
    if type(model) is nn.Sequential:
        return [inner for m in model for inner in _sequence(m)]
    return [model]


def _hooked(m: nn.Module) -> bool:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(m, name) for name in names)


def _activation(m: nn.Module) -> _Activation | None:
    if type(m) is nn.ReLU:
        return _Activation(torch.relu_, _relu_backward)
    if type(m) is nn.Tanh:
        return _Activation(torch.tanh_, _tanh_backward)
    if type(m) is nn.Sigmoid:
        return _Activation(torch.sigmoid_, _sigmoid_backward)
    if type(m) is nn.SiLU:
        return _Activation(partial(nn.functional.silu, inplace=True), _silu_backward, saves_input=True)
    if type(m) is nn.GELU:
        how = m.approximate
        return _Activation(partial(_gelu, how=how), partial(_gelu_backward, how=how), saves_input=True)
    if type(m) is nn.LeakyReLU and m.negative_slope > 0:
        slope = m.negative_slope
        return _Activation(partial(_leaky_relu, slope=slope), partial(_leaky_relu_backward, slope=slope))
    return None


def _relu_backward(g: Tensor, h: Tensor) -> None:
    _aten.threshold_backward.grad_input(g, h, 0, grad_input=g)


def _tanh_backward(g: Tensor, h: Tensor) -> None:
    _aten.tanh_backward.grad_input(g, h, grad_input=g)


def _sigmoid_backward(g: Tensor, h: Tensor) -> None:
    _aten.sigmoid_backward.grad_input(g, h, grad_input=g)


def _silu_backward(g: Tensor, p: Tensor) -> None:
    _aten.silu_backward.grad_input(g, p, grad_input=g)


def _gelu(p: Tensor, how: str) -> None:
    _aten.gelu_(p, approximate=how)


def _gelu_backward(g: Tensor, p: Tensor, how: str) -> None:
    _aten.gelu_backward.grad_input(g, p, approximate=how, grad_input=g)


def _leaky_relu(p: Tensor, slope: float) -> None:
    nn.functional.leaky_relu_(p, slope)


def _leaky_relu_backward(g: Tensor, h: Tensor, slope: float) -> None:
    _aten.leaky_relu_backward.grad_input(g, h, slope, True, grad_input=g)
