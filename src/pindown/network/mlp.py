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
* Where the weights are a linear function of the coordinates that the engine holds, the first layer's part of it is
  applied to the examples once, in place of to the weights at every evaluation.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pindown.engine.rotation import Rotation
from pindown.network.data import Batches
from pindown.network.heads import Head
from pindown.spaces.network import Normal, Weights

__all__ = ["LayeredNetwork", "layered", "linear_maps"]

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


def linear_maps(layers: Sequence[_Layer], space: Weights, rotation: Rotation | None) -> list[Tensor] | None:
    """The maps of :meth:`LayeredNetwork.composed` from standard normals in a basis; None where there are none.

    There are where every prior is a normal of mean zero with one standard deviation, and the basis turns the columns
    of whole layers.
    """
    turned: dict[tuple[int, ...], Tensor] = {}
    if rotation is not None:
        turned = {_starts(m.parts): basis for m, basis in zip(rotation.matrices, rotation.bases, strict=True)}
    deviations: dict[int, float] = {}
    for p in space.parameters:
        law = p.prior
        if p.free is not None or not isinstance(law, Normal) or isinstance(law.mean, Tensor) or law.mean != 0.0:
            return None
        if isinstance(law.std, Tensor):
            return None
        deviations[space.slices[p.name].start] = law.std
    maps: list[Tensor] = []
    for layer in layers:
        parts = (layer.weight,) if layer.bias is None else (layer.weight, layer.bias)
        scale = torch.full((layer.inputs + len(parts) - 1,), deviations[layer.weight.start], dtype=torch.float64)
        if layer.bias is not None:
            scale[-1] = deviations[layer.bias.start]
        basis = turned.pop(_starts(parts), None)
        maps.append(scale if basis is None else basis.double().mT * scale.to(basis.device))
    return None if turned else maps


def _starts(parts: Sequence[slice]) -> tuple[int, ...]:
    return tuple(p.start for p in parts)


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
                self._blocks.append((augmented.contiguous(), augmented.T.contiguous(), head.prepare(y, classes)))
        self._maps: list[Tensor | None] = [None] * len(layers)
        self._unseen = 0  # leading columns of the first layer on which every example is zero
        self._local = threading.local()
        self._placed: dict[torch.device, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_local", "_placed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._local, self._placed = threading.local(), {}

    def composed(self, maps: Sequence[Tensor]) -> LayeredNetwork:
        r"""The same losses as a function of coordinates that are linear in the weights.

        The matrix :math:`[W\; b]` of a layer, with the bias as a last column where there is one, is
        :math:`[U\; c]\,T`, or :math:`[U\; c]\,\mathrm{diag}(T)` for a vector ``T``, of the coordinates
        :math:`[U\; c]` that stand in its place.

        Args:
            maps: ``T`` of each layer, ``(inputs + 1, inputs + 1)`` or ``(inputs + 1,)``; without bias ``inputs``.
        """
        other = copy.copy(self)
        other._local, other._placed = threading.local(), {}
        other._maps = [None, *(m.to(self.dtype) for m in maps[1:])]
        turned = [_times(columns.T, maps[0].to(columns), transposed=True) for _, columns, _ in self._blocks]
        other._unseen = _leading_zeros(turned)
        other._blocks = []
        for rows, (_, _, prepared) in zip(turned, self._blocks, strict=True):
            seen = rows[:, other._unseen :]
            other._blocks.append((seen.contiguous(), seen.T.contiguous(), prepared))
        return other

    def _map(self, layer: int, device: torch.device) -> Tensor | None:
        mapped = self._maps[layer]
        if mapped is not None and mapped.device != device:
            mapped = self._maps[layer] = mapped.to(device)
        return mapped

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

    def _forward(self, x: Tensor, columns: Tensor, *, save: bool) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Outputs ``(k, C, B)``; and of each layer what its activation saves and what it puts out."""
        k, examples = len(x), columns.shape[1]
        saved: list[tuple[Tensor, Tensor]] = []
        h = columns
        for i, layer in enumerate(self.layers):
            out = self._buffer(f"h{i}", x, (k, layer.outputs, examples))
            if i == 0:
                stacked = self._stacked(x, layer, self._unseen)
                torch.mm(stacked.reshape(k * layer.outputs, -1), columns, out=out.view(k * layer.outputs, examples))
            else:
                weight, bias = self._weights(x, i)
                if bias is None:
                    torch.bmm(weight, h, out=out)
                else:
                    torch.baddbmm(bias.unsqueeze(-1), weight, h, out=out)
            act, kept = layer.activation, out
            if act is not None:
                if save and act.saves_input:
                    kept = self._buffer(f"p{i}", x, out.shape).copy_(out)
                act.forward(out)
            saved.append((kept, out))
            h = out
        return h, saved

    def _backward(
        self,
        x: Tensor,
        delta: Tensor,
        saved: Sequence[tuple[Tensor, Tensor]],
        examples: Tensor,
        into: Tensor,
        *,
        add: bool,
    ) -> None:
        k = len(x)
        for i in range(len(self.layers) - 1, -1, -1):
            layer, mapped = self.layers[i], self._map(i, x.device)
            columns = layer.inputs + (layer.bias is not None)
            if i == 0:
                columns -= self._unseen
                product = self._buffer("g", x, (k * layer.outputs, columns))
                torch.mm(delta.view(k * layer.outputs, -1), examples, out=product)
                self._put(product.view(k, layer.outputs, columns), layer, into, add, self._unseen)
                return
            before = self.layers[i - 1]
            kept, h = saved[i - 1]
            slope = self._buffer(f"g{i}", x, (k, layer.outputs, columns))
            torch.bmm(delta, h.transpose(1, 2), out=slope[:, :, : layer.inputs])
            if layer.bias is not None:
                torch.sum(delta, -1, out=slope[:, :, layer.inputs])
            self._put(slope if mapped is None else _times(slope, mapped, transposed=True), layer, into, add)
            weight = self._weights(x, i)[0]
            delta = torch.bmm(
                weight.transpose(1, 2), delta, out=self._buffer(f"d{i % 2}", x, (k, layer.inputs, delta.shape[-1]))
            )
            if before.activation is not None:
                before.activation.backward(delta, kept)

    def _stacked(self, x: Tensor, layer: _Layer, first: int = 0) -> Tensor:
        """The layer's matrices from column ``first`` on, with the biases as a last column."""
        weight = x[:, layer.weight].view(len(x), layer.outputs, layer.inputs)[:, :, first:]
        if layer.bias is None:
            return weight
        inputs = layer.inputs - first
        out = self._buffer(f"w{inputs}", x, (len(x), layer.outputs, inputs + 1))
        out[:, :, :inputs] = weight
        out[:, :, inputs] = x[:, layer.bias]
        return out

    def _weights(self, x: Tensor, i: int) -> tuple[Tensor, Tensor | None]:
        """Matrices ``(k, outputs, inputs)`` and biases ``(k, outputs)`` of a layer above the first."""
        layer, mapped = self.layers[i], self._map(i, x.device)
        if mapped is None:
            weight = x[:, layer.weight].view(len(x), layer.outputs, layer.inputs)
            return weight, None if layer.bias is None else x[:, layer.bias]
        whole = _times(self._stacked(x, layer), mapped)
        return whole[:, :, : layer.inputs], None if layer.bias is None else whole[:, :, layer.inputs]

    @staticmethod
    def _put(slope: Tensor, layer: _Layer, into: Tensor, add: bool, first: int = 0) -> None:
        """Write a layer's gradient from column ``first`` on, with the biases' as a last column, to its coordinates."""
        place, inputs = into[:, layer.weight].view(len(into), layer.outputs, layer.inputs), layer.inputs - first
        if first and not add:
            place[:, :, :first] = 0.0
        _store(place[:, :, first:], slope[:, :, :inputs], add)
        if layer.bias is not None:
            _store(into[:, layer.bias], slope[:, :, inputs], add)

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


def _leading_zeros(blocks: Sequence[Tensor]) -> int:
    """How many leading columns are zero to rounding in all blocks, so that a multiple of eight columns is left."""
    size = torch.stack([b.abs().amax(0) for b in blocks]).amax(0)
    zero = size <= 16.0 * torch.finfo(size.dtype).eps * size.max()
    leading = int(zero.long().cumprod(0).sum())
    # Matrix products are several tenths slower on a number of columns that does not fill the vector registers.
    left = max(8, -8 * (-(len(zero) - leading) // 8))
    return max(0, len(zero) - left)


def _times(matrices: Tensor, mapped: Tensor, *, transposed: bool = False) -> Tensor:
    """Times a matrix or its transpose; a vector is a diagonal one."""
    if mapped.ndim == 1:
        return matrices * mapped
    return torch.matmul(matrices, mapped.mT if transposed else mapped)


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
