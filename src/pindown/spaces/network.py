"""The weights of a torch module under the distribution that they are initialised from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pindown.errors import CheckpointError, InputError
from pindown.spaces.box import normal_from_uniform, uniform_from_normal
from pindown.spaces.initialisation import Normal, Uniform
from pindown.spaces.matrix import Matrix
from pindown.spaces.smooth import SmoothSpace
from pindown.spaces.weight_priors import ParameterPrior, Prior, chosen_parameters, parameter_priors

__all__ = ["Normal", "ParameterPrior", "Prior", "Uniform", "Weights"]

_SQRT_HALF = math.sqrt(0.5)


class Weights(SmoothSpace):
    r"""All trainable parameters of a module as one flat vector, under their own initialisation.

    The coordinates are independent. With standard normals :math:`z`, a normal entry is
    :math:`\mu + \sigma z`, a uniform one on :math:`[a, b]` is :math:`a + (b - a)\,\Phi(z)`, computed from the
    middle as :math:`(a+b)/2 + \tfrac{1}{2}(b-a)\,\mathrm{erf}(z/\sqrt 2)`, so that small weights keep their full
    relative precision.

    Parameters that start from a constant (the scale and shift of norms, biases set to zero) have no spread of
    their own; they get ``Normal(constant, 1)`` unless ``prior`` says otherwise, and ``reference`` names this.
    Tied parameters count once; parameters with ``requires_grad=False``, those not included, and the padding row
    of an embedding are fixed. The module is read, never changed, and not kept.

    Args:
        model: the module.
        prior: one prior for all parameters, or ``{glob: prior}`` over fully qualified names, of which the first
            that matches counts. A prior is ``Normal(mean, std)``, ``Uniform(low, high)``, or a name:
            ``"he"`` is N(0, 2/fan_in), ``"lecun"`` N(0, 1/fan_in), ``"glorot"`` N(0, 2/(fan_in + fan_out)), where a
            bias takes the fans of its weight; ``"normal"`` is the normal with the mean and variance of the
            parameter's own initialisation, for training that leaves the support of a uniform one; ``"own"`` is that
            initialisation itself, as without a prior.
        include: globs of the parameters that move; all by default.
        exclude: globs of parameters that do not.
        dtype: floating-point format of the points; by default the widest among the parameters, at least float32.

    Attributes:
        dim: number of coordinates, D.
        parameters: one :class:`ParameterPrior` each, in the module's order.

    Raises:
        InputError: for a module without trainable parameters, a glob that matches nothing, or a parameter whose
            initialisation cannot be read and that has no override.

    Example:
        >>> import torch
        >>> from pindown import Weights
        >>> space = Weights(torch.nn.Linear(4, 2))
        >>> space.dim, space.names, space.reference
        (10, ('weight', 'bias'), 'Weights(10, own initialisation)')
        >>> x = space.sample(3, rng=torch.Generator().manual_seed(0))
        >>> space.unflatten(x)["weight"].shape
        torch.Size([3, 2, 4])
        >>> bool((x.abs() <= 0.5).all())
        True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        prior: Prior | Mapping[str, Prior] | None = None,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"a model of type {type(model).__name__}", "a torch.nn.Module")
        chosen = chosen_parameters(model, include, exclude)
        self.dtype = dtype if dtype is not None else _widest(chosen.values())
        if not self.dtype.is_floating_point:
            raise InputError(f"dtype {self.dtype}", "a floating-point format such as torch.float32")
        self.parameters = tuple(parameter_priors(model, chosen, prior))
        self.names: tuple[str, ...] = tuple(p.name for p in self.parameters)
        self.shapes: dict[str, tuple[int, ...]] = {p.name: p.shape for p in self.parameters}
        self.slices: dict[str, slice] = {}
        start = 0
        for p in self.parameters:
            self.slices[p.name] = slice(start, start + p.size)
            start += p.size
        self.dim = start
        self.matrices = _matrices(self.parameters, self.slices)
        self._segments = _segments(self.parameters, self.dtype)
        self._moved: dict[torch.device, list[_Segment]] = {}
        self.reference = f"Weights({self.dim}, {_prior_words(self.parameters, prior)})"

    def from_normal(self, z: Tensor) -> Tensor:
        """Standard normals ``(N, D)`` to weights ``(N, D)``, differentiably."""
        segments = self._on(z)
        if len(segments) == 1:
            return segments[0].forward(z)
        return torch.cat([s.forward(z[..., s.where]) for s in segments], dim=-1)

    def to_normal(self, x: Tensor) -> Tensor:
        """Weights ``(N, D)`` back to standard normals.

        Raises:
            InputError: for a weight outside the support of its prior.
        """
        if x.shape[-1] != self.dim:
            raise InputError(f"points of shape {tuple(x.shape)}", f"(N, {self.dim})")
        outside = ~self.inside(x)
        if bool(outside.any()):
            row, column = (int(i) for i in outside.reshape(-1, self.dim).nonzero()[0])
            p = next(p for p in self.parameters if self.slices[p.name].stop > column)
            raise InputError(
                f"point {row} has {p.name} at {float(x.reshape(-1, self.dim)[row, column]):g} "
                f"({int(outside.sum())} such weights)",
                f"weights within the prior {p.prior}",
                f'widen it, for example prior={{"{p.name}": "he"}}',
            )
        segments = self._on(x)
        return torch.cat([s.backward(x[..., s.where]) for s in segments], dim=-1)

    def inside(self, x: Tensor) -> Tensor:
        """Which entries of ``x``, shape ``(…, D)``, lie in the support of their prior, as a mask."""
        return torch.cat([s.inside(x[..., s.where]) for s in self._on(x)], dim=-1)

    def unflatten(self, x: Tensor) -> dict[str, Tensor]:
        """The parameters at points ``x``: shape ``(N, *shape)`` each for ``(N, D)``, ``shape`` for ``(D,)``.

        Views of ``x`` where the format is the parameter's own. Parameters that are not part of the space are
        not in it.

        Raises:
            InputError: if the last axis is not D long.
        """
        if x.shape[-1] != self.dim:
            raise InputError(f"points of shape {tuple(x.shape)}", f"(N, {self.dim})")
        lead = x.shape[:-1]
        out: dict[str, Tensor] = {}
        for p in self.parameters:
            part = x[..., self.slices[p.name]].to(p.dtype)
            if p.free is not None and p.base is not None:
                base = p.base.to(part).reshape(-1).expand(*lead, -1)
                part = base.index_copy(-1, p.free.to(part.device), part)
            out[p.name] = part.reshape((*lead, *p.shape))
        return out

    def flatten(self, state: Mapping[str, Tensor] | nn.Module) -> Tensor:
        """The point ``(D,)`` that a state dict, or a module's current weights, holds.

        Entries of the state that are not part of the space are ignored.

        Raises:
            CheckpointError: naming the parameters that are missing or have another shape.
        """
        if isinstance(state, nn.Module):
            state = dict(state.named_parameters())
        missing = [n for n in self.names if n not in state]
        shapes = [
            (n, tuple(state[n].shape)) for n in self.names if n in state and tuple(state[n].shape) != self.shapes[n]
        ]
        if missing or shapes:
            got = [f"missing {', '.join(missing)}"] if missing else []
            got += [f"{n} of shape {got_shape}, wanted {self.shapes[n]}" for n, got_shape in shapes]
            raise CheckpointError(
                f"weights that do not fit the space: {'; '.join(got)}", "one entry for each parameter"
            )
        parts: list[Tensor] = []
        for p in self.parameters:
            flat = state[p.name].detach().reshape(-1).to(self.dtype)
            parts.append(flat if p.free is None else flat[p.free.to(flat.device)])
        return torch.cat(parts)

    def describe(self) -> str:
        """One line a parameter: its name, shape, prior, and where the prior comes from."""
        rows = [(p.name, "×".join(map(str, p.shape)) or "1", repr(p.prior), p.source) for p in self.parameters]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join("  ".join(v.ljust(w) for v, w in zip(r, widths, strict=False)) + "  " + r[3] for r in rows)

    def _on(self, x: Tensor) -> list[_Segment]:
        if x.device not in self._moved:
            self._moved[x.device] = [s.to(x.device) for s in self._segments]
        return self._moved[x.device]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_moved": {}}


@dataclass(frozen=True, eq=False)
class _Segment:
    """A run of coordinates of one family: ``first + second·z`` or uniform on ``[first, second]``."""

    kind: str
    where: slice
    first: Tensor
    second: Tensor

    def forward(self, z: Tensor) -> Tensor:
        a, b = self.first.to(z.dtype), self.second.to(z.dtype)
        if self.kind == "normal":
            return torch.addcmul(a, b, z)
        if self.kind == "centred":
            return torch.addcmul(0.5 * (a + b), 0.5 * (b - a), torch.erf(z * _SQRT_HALF))
        return uniform_from_normal(z, a, b)

    def backward(self, x: Tensor) -> Tensor:
        a, b = self.first.to(x.dtype), self.second.to(x.dtype)
        return (x - a) / b if self.kind == "normal" else normal_from_uniform(x, a, b)

    def inside(self, x: Tensor) -> Tensor:
        if self.kind == "normal":
            return torch.isfinite(x)
        a, b = self.first.to(x.dtype), self.second.to(x.dtype)
        slack = 4.0 * torch.finfo(x.dtype).eps * (b - a)  # the map itself may round past an end
        return (x >= a - slack) & (x <= b + slack)

    def to(self, device: torch.device) -> _Segment:
        return _Segment(self.kind, self.where, self.first.to(device), self.second.to(device))


def _widest(parameters: Iterable[Tensor]) -> torch.dtype:
    dtype = torch.float32
    for p in parameters:
        dtype = torch.promote_types(dtype, p.dtype)
    return dtype


def _matrices(parameters: Sequence[ParameterPrior], slices: Mapping[str, slice]) -> tuple[Matrix, ...]:
    """Each weight as a matrix of its outputs by its inputs, with the bias of the same module as one more input."""
    whole = {p.name: p for p in parameters if p.free is None}
    out: list[Matrix] = []
    for name, p in whole.items():
        if len(p.shape) < 2 or math.prod(p.shape[1:]) < 2:
            continue
        parts = [slices[name]]
        bias = whole.get(f"{name.removesuffix('weight')}bias") if name.endswith("weight") else None
        if bias is not None and bias.shape == p.shape[:1]:
            parts.append(slices[bias.name])
        out.append(Matrix(p.shape[0], tuple(parts)))
    return tuple(out)


def _segments(parameters: Sequence[ParameterPrior], dtype: torch.dtype) -> list[_Segment]:
    """Merge neighbouring parameters of one family into runs."""
    runs: list[tuple[str, list[Tensor], list[Tensor]]] = []
    for p in parameters:
        first, second = vars(p.prior).values()
        kind = "normal" if isinstance(p.prior, Normal) else _uniform_kind(first, second)
        if not runs or runs[-1][0] != kind:
            runs.append((kind, [], []))
        for value, into in ((first, runs[-1][1]), (second, runs[-1][2])):
            wide = value.detach().cpu() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
            full = wide.to(dtype).expand(p.shape).reshape(-1)
            into.append(full if p.free is None else full[p.free])
    out, start = [], 0
    for kind, firsts, seconds in runs:
        first, second = torch.cat(firsts), torch.cat(seconds)
        out.append(_Segment(kind, slice(start, start + len(first)), first, second))
        start += len(first)
    return out


def _uniform_kind(low: float | Tensor, high: float | Tensor) -> str:
    # From the middle, values near zero keep their relative precision only where zero is near the middle.
    a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (low, high))
    return "centred" if bool(((a + b).abs() <= 0.1 * (b - a)).all()) else "uniform"


def _prior_words(parameters: Sequence[ParameterPrior], prior: Prior | Mapping[str, Prior] | None) -> str:
    words = (
        "own initialisation"
        if prior is None
        else f"prior {prior}"
        if not isinstance(prior, Mapping)
        else "priors given"
    )
    if any(p.source.endswith("given spread 1") for p in parameters):
        words += ", constants as Normal(c, 1)"
    return words
