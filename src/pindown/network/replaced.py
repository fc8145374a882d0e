"""The weight tensors of a network one by one, and its loss with some of them replaced."""

from __future__ import annotations

import fnmatch
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.data import Inputs
from pindown.network.forward import FORWARD_ERRORS, full_precision, plain_attention
from pindown.network.subject import Subject

__all__ = ["ReplacedLoss", "WeightTensor", "weight_tensors"]

_MEMORY = 1_500_000_000
_TOGETHER = 1_000_000  # numbers replaced: products with many large weights are slower side by side than in turn
_HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class WeightTensor:
    """One tensor of weights.

    Attributes:
        name: fully qualified; of a tied tensor the first name.
        aliases: its other names.
        layer: type of the module that holds it.
        shape, dtype: as the module has it.
        value: its entries; None where it cannot be measured.
        reason: why it cannot be measured; empty where it can.
    """

    name: str
    aliases: tuple[str, ...]
    layer: str
    shape: tuple[int, ...]
    dtype: str
    value: Tensor | None
    reason: str = ""

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(torch.Size(self.shape).numel())


def weight_tensors(
    module: nn.Module, *, include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[WeightTensor]:
    """Every tensor of weights in the module's own order, tied ones once, frozen ones too.

    Parameters that are empty, not dense real floating-point numbers, without data, or of a tensor class of their own
    (quantised weights) are listed with the reason why they cannot be measured, and so are integer buffers with two
    axes or more, which is where quantised modules keep their weights, and packed parameters.

    Args:
        module: read, not changed.
        include: globs over the fully qualified names; of a tied tensor any name counts.
        exclude: globs of tensors that are left out.

    Raises:
        InputError: for a glob that matches nothing, or where nothing is left.
    """
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, p in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
        tensors[id(p)] = p
    found = [_described(module, names[key], tensors[key]) for key in tensors]
    found += [
        _unmeasured(module, name, b, f"a buffer of {_short(b.dtype)} with weights that are quantised already")
        for name, b in module.named_buffers()
        if not b.is_floating_point() and not b.is_complex() and b.dtype != torch.bool and b.ndim >= 2
    ]
    for path, m in module.named_modules():
        if hasattr(m, "_packed_params") and not isinstance(m._packed_params, nn.Module):
            name = f"{path}._packed_params".removeprefix(".")
            reason = "packed parameters, which are quantised already"
            found.append(WeightTensor(name, (), type(m).__name__, (), "packed", None, reason))
    if not found:
        raise InputError("a model without weights", "a module with at least one parameter")
    wanted, unwanted = _globs(include, found, "include"), _globs(exclude, found, "exclude")
    kept = [w for w in found if (include is None or _matches(w, wanted)) and not _matches(w, unwanted)]
    if not kept:
        raise InputError("include and exclude that leave no tensor", f"some of {', '.join(w.name for w in found)}")
    return kept


class ReplacedLoss:
    """Mean losses of one network with some of its tensors replaced, everything else as it is.

    Nothing is written into the network: tensors are swapped for the time of a call. Several replacements of the same
    tensors go through together by ``vmap`` where it can follow the network; layers before the first replaced tensor
    are then computed once for all of them.

    Args:
        subject: the network, its loss and its data.
        held_out: the loss on the held-out data in place of the training data.
        memory: bytes that replacements and activations of one pass may take.

    Attributes:
        path: ``"vmap"``, or ``"loop"`` where it cannot follow the network.
        evaluations: losses computed so far, each over all the data.
        examples: how many examples a loss is a mean over.
    """

    def __init__(self, subject: Subject, *, held_out: bool = False, memory: int = _MEMORY) -> None:
        forward = subject.forward
        self._module, self._custom = forward.module, forward.custom
        self._head, self._batches = subject.head, subject.batches(held_out=held_out)
        self.path, self._together = forward.path, dict[str, bool]()
        self._state = {n: p.detach() for n, p in self._module.named_parameters()}
        self._state |= {n: b.detach() for n, b in self._module.named_buffers()}
        self._memory = memory
        self._count = sum(self._head.count(y) for _, y in self._batches)
        self.activation_bytes = self._measure_activations()
        self.evaluations = 0
        self.examples = self._batches.size

    def __call__(self, replaced: Mapping[str, Tensor]) -> list[float]:
        """Losses with N replacements of each of the named tensors.

        Args:
            replaced: tensors ``(N, *shape)`` by name, N the same for all.

        Returns:
            N losses; one that is not a finite number is returned as it is.
        """
        n = len(next(iter(replaced.values())))
        out: list[float] = []
        with torch.no_grad():
            rows = self.rows({k: v[0] for k, v in replaced.items()})
            rows = rows if n > 1 and rows > 1 and self._goes_together(replaced) else 1
            for start in range(0, n, rows):
                out += self._several({k: v[start : start + rows] for k, v in replaced.items()})
        self.evaluations += n
        return out

    def plain(self) -> float:
        """The loss of the network as it is."""
        self.evaluations += 1
        with torch.no_grad():
            total = sum(self._sums(self._call({}, x).unsqueeze(0), y) for x, y in self._batches)
        return float(self._head.value(torch.as_tensor(total), self._count)[0])

    def rows(self, one: Mapping[str, Tensor]) -> int:
        """How many replacements of these tensors go through together."""
        if sum(t.numel() for t in one.values()) > _TOGETHER:
            return 1
        size = 3 * sum(t.numel() * t.element_size() for t in one.values()) + self.activation_bytes
        return max(1, self._memory // max(1, size))

    def _goes_together(self, replaced: Mapping[str, Tensor]) -> bool:
        """Whether ``vmap`` follows the network with these tensors replaced: tried at their first use, on two of them.

        That it follows with all weights replaced, as the subject has found, does not tell: operations meet other
        mixtures of batched and single tensors here.
        """
        key = next(iter(replaced)) if len(replaced) == 1 else ""
        if self.path == "vmap" and key not in self._together:
            two = {k: v[:2] for k, v in replaced.items()}
            self.evaluations += 1
            alone = self._several({k: v[1:] for k, v in two.items()})[0]
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("error", category=UserWarning)
                    both = self._several(two)[1]
            except (*FORWARD_ERRORS, UserWarning):
                both = math.nan if math.isfinite(alone) else 0.0
            same = both == alone or abs(both - alone) <= 1e-3 * abs(alone) + 1e-6
            self._together[key] = same or not (math.isfinite(both) or math.isfinite(alone))
        return self.path == "vmap" and self._together[key]

    def _several(self, replaced: Mapping[str, Tensor]) -> list[float]:
        like = next(iter(replaced.values()))
        total: Any = 0.0
        for inputs, targets in self._batches:
            with full_precision(like):
                if len(like) > 1:
                    with plain_attention():
                        outputs = torch.func.vmap(lambda w, x=inputs: self._call(w, x))(dict(replaced))
                else:
                    outputs = self._call({k: v[0] for k, v in replaced.items()}, inputs).unsqueeze(0)
            total = total + self._sums(outputs, targets)
        return [float(v) for v in self._head.value(total, self._count)]

    def _call(self, replaced: Mapping[str, Tensor], inputs: Inputs) -> Tensor:
        state = {**self._state, **replaced}

        def call(*args: Any, **kwargs: Any) -> Any:
            return torch.func.functional_call(self._module, state, args, kwargs, tie_weights=True, strict=True)

        if self._custom is not None:
            return self._custom(call, inputs)
        return call(*inputs) if isinstance(inputs, tuple) else call(inputs)

    def _sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        # A half-precision sum over the examples would round away the rise that is looked for.
        outputs = outputs.float() if outputs.dtype in _HALVES else outputs
        return self._head.sums(outputs, targets).double()

    def _measure_activations(self) -> int:
        """Bytes of the outputs of all leaf modules on the largest batch: more than what is held at a time."""
        inputs, _ = max(self._batches, key=lambda b: len(b[1]))
        seen = 0

        def count(_module: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal seen
            for t in output if isinstance(output, tuple | list) else (output,):
                seen += t.numel() * t.element_size() if isinstance(t, Tensor) else 0

        hooks = [m.register_forward_hook(count) for m in self._module.modules() if not list(m.children())]
        try:
            with torch.no_grad():
                self._call({}, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def _described(module: nn.Module, names: list[str], p: Tensor) -> WeightTensor:
    reason = ""
    if type(p) not in (Tensor, nn.Parameter):
        reason = f"a {type(p).__name__}, which is no plain tensor"
    elif p.is_meta:
        reason = "no data: it is on the meta device"
    elif p.layout != torch.strided:
        reason = f"a {p.layout} tensor"
    elif p.is_complex() or not p.is_floating_point():
        reason = f"of type {_short(p.dtype)}, which has no floating-point planes"
    elif p.dtype.itemsize < 2:
        reason = f"of type {_short(p.dtype)}, in which no arithmetic is done"
    elif not p.numel():
        reason = "empty"
    if reason:
        return _unmeasured(module, names[0], p, reason, tuple(names[1:]))
    kind = _holder(module, names[0])
    return WeightTensor(names[0], tuple(names[1:]), kind, tuple(p.shape), _short(p.dtype), p.detach())


def _unmeasured(module: nn.Module, name: str, t: Tensor, reason: str, aliases: tuple[str, ...] = ()) -> WeightTensor:
    return WeightTensor(name, aliases, _holder(module, name), tuple(t.shape), _short(t.dtype), None, reason)


def _holder(module: nn.Module, name: str) -> str:
    return type(module.get_submodule(name.rpartition(".")[0])).__name__


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _globs(globs: str | Iterable[str] | None, tensors: list[WeightTensor], what: str) -> list[str]:
    patterns = [globs] if isinstance(globs, str) else list(globs or ())
    for pattern in patterns:
        if not any(_matches(w, [pattern]) for w in tensors):
            known = ", ".join(w.name for w in tensors)
            raise InputError(f"{what} pattern {pattern!r}, which matches no tensor", f"some of {known}")
    return patterns


def _matches(w: WeightTensor, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for name in (w.name, *w.aliases) for p in patterns)
