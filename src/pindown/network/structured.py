"""Whole channels of a module and what hangs on them, removed from a copy by torch-pruning's dependency graph.

A channel is removed, not zeroed: where a normalisation runs over channels the two are not the same.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.data import Inputs
from pindown.network.examples import Evaluation, Examples
from pindown.network.forward import FORWARD_ERRORS
from pindown.network.subject import Subject
from pindown.spaces.initialisation import preserved_random_state

__all__ = ["ChannelPath", "Channels"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_ROOTS = [nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, nn.Linear]
_FEW = 2  # examples with which the dependency graph is traced


@dataclass(frozen=True)
class _Layer:
    """A layer whose outputs can go, one by one, with all that is coupled to them.

    Attributes:
        name: of its module.
        channels: how many there are.
        first: number of its first channel among all.
    """

    name: str
    channels: int
    first: int


class Channels:
    """The channels of a subject's module that can go.

    Args:
        subject: the network.
        point: its weights ``(D,)``.
        names: tensors whose layers may lose channels.

    Attributes:
        units: how many can go; one of each layer stays.
        parameters: of the module, in all.
        unsupported: layers that cannot be pruned so, with the reason.

    Raises:
        InputError: without torch-pruning, or where it cannot trace the module.
    """

    def __init__(self, subject: Subject, point: Tensor, names: Sequence[str]) -> None:
        self._tp = _torch_pruning()
        self.subject, self.names = subject, names
        self._module = _with_weights(subject, point)
        self.parameters = sum(p.numel() for p in self._module.parameters())
        self.unsupported: list[str] = []
        inputs, _ = subject.batches().head(_FEW)
        self._example: Inputs = inputs
        self._wanted = self._outputs(self._module).shape
        self._layers = self._prunable()
        self.units = sum(layer.channels - 1 for layer in self._layers)

    def scores(self, weights: Tensor) -> Tensor:
        """The mean over each channel's weights of ``weights`` ``(D,)``, one score a channel."""
        space = self.subject.space()
        by_name = space.unflatten(weights)
        module, graph = self._traced()
        named = {id(p): by_name[n] for n, p in module.named_parameters() if n in by_name}
        out: list[Tensor] = []
        for layer in self._layers:
            target = module.get_submodule(layer.name)
            total, count = torch.zeros(layer.channels, dtype=torch.float64), torch.zeros(layer.channels)
            for c in range(layer.channels):
                for part in self._parts(self._group(graph, target, [c]), named):
                    total[c] += float(part.double().sum())
                    count[c] += part.numel()
            out.append(total / count.clamp_min(1))
        return torch.cat(out) if out else torch.zeros(0)

    def ranked(self, scores: Tensor, scope: str) -> Tensor:
        """All channels that can go, in order of their score; the best of each layer stays."""
        keys, keep = scores.double().clone(), torch.zeros(len(scores), dtype=torch.bool)
        for layer in self._layers:
            own = slice(layer.first, layer.first + layer.channels)
            keep[layer.first + int(scores[own].argmax())] = True
            if scope == "tensor":
                keys[own] = scores[own].argsort(stable=True).argsort(stable=True).double() / layer.channels
        order = keys.argsort(stable=True)
        return order[~keep[order]]

    def without(self, gone: Sequence[int]) -> nn.Module:
        """A copy of the module without these channels."""
        if not gone:
            return self._module
        module, graph = self._traced()
        for layer in self._layers:
            own = [c - layer.first for c in gone if layer.first <= c < layer.first + layer.channels]
            if own:
                self._group(graph, module.get_submodule(layer.name), own).prune()
        return module

    def left(self, gone: Tensor) -> list[tuple[str, int, float]]:
        """For each layer its name, channels and the share that is left."""
        out: list[tuple[str, int, float]] = []
        for layer in self._layers:
            lost = int(((gone >= layer.first) & (gone < layer.first + layer.channels)).sum())
            out.append((f"{layer.name} (channels)", layer.channels, 1.0 - lost / layer.channels))
        return out

    def outputs(self, module: nn.Module, inputs: Inputs) -> Tensor:
        """What a pruned copy says."""
        call = self.subject.forward.custom
        if call is not None:
            return call(module, inputs)
        return module(*inputs) if isinstance(inputs, tuple) else module(inputs)

    def _outputs(self, module: nn.Module) -> Tensor:
        with torch.no_grad():
            return self.outputs(module, self._example)

    def _traced(self) -> tuple[nn.Module, Any]:
        module = copy.deepcopy(self._module)
        try:
            with preserved_random_state(), warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")  # about parameters that it leaves alone
                graph = self._tp.DependencyGraph().build_dependency(
                    module, self._example, forward_fn=self.outputs, verbose=False
                )
        except FORWARD_ERRORS as error:
            raise InputError(
                f"a module that torch-pruning cannot trace ({type(error).__name__}: {error})",
                "a dependency graph", "prune single weights: structured=False",
            ) from error  # fmt: skip
        return module, graph

    def _group(self, graph: Any, target: nn.Module, channels: list[int]) -> Any:
        return graph.get_pruning_group(target, graph.get_pruner_of_module(target).prune_out_channels, idxs=channels)

    def _prunable(self) -> list[_Layer]:
        """Layers of which a channel can go and the outputs keep their shape."""
        module, graph = self._traced()
        names = {id(m): n for n, m in module.named_modules()}
        chosen = {n.rpartition(".")[0] for n in self.names}
        layers: list[_Layer] = []
        first = 0
        for group in list(graph.get_all_groups(root_module_types=_ROOTS)):
            target = group[0].dep.target.module
            name, channels = names.get(id(target), ""), len(group[0].idxs)
            if not name or name not in chosen or channels < 2:
                continue
            problem = self._problem(name)
            if problem:
                if problem != "outputs":
                    self.unsupported.append(f"{name}: {problem}")
                continue
            layers.append(_Layer(name, channels, first))
            first += channels
        return layers

    def _problem(self, name: str) -> str:
        """Why no channel of a layer can go; empty where one can. The layer that makes the outputs keeps all."""
        module, graph = self._traced()
        try:
            group = self._group(graph, module.get_submodule(name), [0])
            if not graph.check_pruning_group(group):
                return "no channel can go without emptying a layer"
            group.prune()
            shape = self._outputs(module).shape
        except FORWARD_ERRORS as error:
            return f"the module fails without one of its channels ({str(error).splitlines()[0]})"
        return "" if shape == self._wanted else "outputs"

    def _parts(self, group: Any, scores: dict[int, Tensor]) -> list[Tensor]:
        """Scores of the weights that go with a group."""
        out: list[Tensor] = []
        for dependency, idxs in group:
            module, handler = dependency.target.module, dependency.handler.__name__
            if isinstance(module, nn.Parameter):
                continue
            inward = "in_channels" in handler
            weight = getattr(module, "weight", None)
            if not isinstance(weight, Tensor):
                continue
            axis = 1 if inward and weight.ndim > 1 else 0
            if isinstance(module, _TRANSPOSED):
                axis = 1 - axis
            for p, along in ((weight, axis), (getattr(module, "bias", None), None if inward else 0)):
                if isinstance(p, Tensor) and id(p) in scores and along is not None and max(idxs) < p.shape[along]:
                    out.append(scores[id(p)].index_select(along, torch.as_tensor(idxs, device=p.device)))
        return out


class ChannelPath:
    """Channels in the order in which they are removed; see :class:`pindown.network.pruning_search.Path`."""

    def __init__(
        self, channels: Channels, name: str, orders: Sequence[Tensor], examples: Examples, held_out: Examples | None
    ) -> None:
        self.channels, self.name, self.orders = channels, name, orders
        self.size, self.draws = len(orders[0]), len(orders)
        self._examples, self._held_out = examples, held_out
        self._left: dict[tuple[int, int], int] = {}

    def kept(self, m: int) -> float:
        """Share of all parameters that is left, on average over draws."""
        left = [self._count(m, k) for k in range(self.draws)]
        return sum(left) / len(left) / self.channels.parameters

    def evaluate(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[Evaluation, Evaluation | None]]:
        """Training and held-out examples for each pair of (m, draw)."""
        out: list[tuple[Evaluation, Evaluation | None]] = []
        for m, k in wanted:
            module = self._pruned(m, k)

            def outputs(inputs: Inputs, module: nn.Module = module) -> Tensor:
                return self.channels.outputs(module, inputs)

            held = None if self._held_out is None else self._held_out.of(outputs)
            out.append((self._examples.of(outputs), held))
        return out

    def _pruned(self, m: int, k: int) -> nn.Module:
        module = self.channels.without(self.orders[k][:m].tolist())
        self._left[m, k] = sum(p.numel() for p in module.parameters())
        return module

    def _count(self, m: int, k: int) -> int:
        if (m, k) not in self._left:
            self._pruned(m, k)
        return self._left[m, k]


def _torch_pruning() -> Any:
    try:
        with preserved_random_state():
            return import_module("torch_pruning")
    except ImportError as error:
        raise InputError(
            "structured pruning without torch-pruning", "the package torch-pruning", "pip install 'pindown[prune]'"
        ) from error


def _with_weights(subject: Subject, point: Tensor) -> nn.Module:
    """A copy of the subject's module, in evaluation mode, with these weights."""
    module = copy.deepcopy(subject.module)
    named = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in subject.space().unflatten(point).items():
            named[name].copy_(value)
    return module
