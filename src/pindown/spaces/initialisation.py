"""The distribution from which each parameter of a torch module starts, read from the module itself.

Modules of ``torch.nn`` are read analytically, from the documented formulas of their ``reset_parameters``. Any
other module that has a ``reset_parameters`` (or ``_reset_parameters``) is drawn repeatedly on a copy, and the
family is identified from the draws:

* a tensor whose entries never change is constant, each entry at its own value;
* otherwise the entries are pooled, and Kolmogorov's distance to the uniform and to the normal distribution of
  the same mean and standard deviation decides. The nearer family is taken if ``D·√n ≤ 1.95`` (the 0.1% point of
  Kolmogorov's law; the two families lie 0.057 apart, which is 25 in this unit at n = 200,000). Else the family
  is not identified and the parameter needs an override.

The relative standard error of a standard deviation read so is ``1/√(2n)`` for a normal, 0.16% at n = 200,000; the
half-width of a uniform comes from the largest deviation, with relative error ``1/n``. It is larger only for tensors
so small that :data:`MAX_DRAWS` resets give fewer than 200,000 values. Entries are taken to be independent.
"""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from pindown.errors import InputError

__all__ = ["MAX_DRAWS", "Initialisation", "Normal", "Uniform", "own_initialisation", "preserved_random_state"]

VALUES = 200_000
MIN_DRAWS = 16
MAX_DRAWS = 4096
_KOLMOGOROV_BOUND = 1.95


@dataclass(frozen=True, eq=False)
class Normal:
    """Independent normal entries.

    Args:
        mean: one number, or a tensor of the parameter's shape.
        std: likewise; above zero.

    Raises:
        InputError: if a value is not finite or ``std`` is not above zero.

    Example:
        >>> Normal(0.0, 2.0)
        Normal(0, 2)
    """

    mean: float | Tensor = 0.0
    std: float | Tensor = 1.0

    def __post_init__(self) -> None:
        mean, std = torch.as_tensor(self.mean), torch.as_tensor(self.std)
        if not bool(torch.isfinite(mean).all() and torch.isfinite(std).all() and (std > 0).all()):
            raise InputError(f"{self}", "a finite mean and a finite standard deviation above zero")

    def __repr__(self) -> str:
        return f"Normal({_short(self.mean)}, {_short(self.std)})"


@dataclass(frozen=True, eq=False)
class Uniform:
    """Independent uniform entries on ``[low, high]``.

    Args:
        low: one number, or a tensor of the parameter's shape.
        high: likewise; above ``low``.

    Raises:
        InputError: if an end is not finite or ``low ≥ high``.

    Example:
        >>> Uniform(-0.5, 0.5)
        Uniform(-0.5, 0.5)
    """

    low: float | Tensor
    high: float | Tensor

    def __post_init__(self) -> None:
        low, high = torch.as_tensor(self.low), torch.as_tensor(self.high)
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all() and (low < high).all()):
            raise InputError(f"{self}", "finite ends with low < high")

    def __repr__(self) -> str:
        return f"Uniform({_short(self.low)}, {_short(self.high)})"


@dataclass(frozen=True, eq=False)
class Initialisation:
    """How one parameter starts.

    Attributes:
        prior: its distribution; None where it is constant.
        source: where this was read, in words.
        constant: the constant it starts from, where ``prior`` is None.
        fixed: entries that never move, as a mask of the parameter's shape; they hold ``constant``.
        problem: why no distribution could be read; empty where one was.
    """

    prior: Normal | Uniform | None
    source: str
    constant: float | Tensor = 0.0
    fixed: Tensor | None = None
    problem: str = ""


def own_initialisation(model: nn.Module, *, draw: bool = True) -> dict[str, Initialisation]:
    """The initialisation of every parameter that can be read, under its fully qualified name.

    A parent that resets its children's parameters (``nn.MultiheadAttention`` zeroes the bias of its output
    layer) has the last word, as it has in torch, where it is built after them. What is done to a model after
    its modules were built, such as ``model.apply(my_init)``, cannot be read back from it. A model of the package
    transformers, however, says so itself: what its ``_init_weights`` sets comes before anything else.

    The model and all random states are left as they were.

    Args:
        model: the module.
        draw: whether to read by drawing where there is no formula.
    """
    found = _transformers(model) if draw else {}
    for prefix, module in model.named_modules(remove_duplicate=True):
        for local, start in _read(module, draw).items():
            # named_modules goes from parents to children, so the first reading is the parent's.
            found.setdefault(f"{prefix}.{local}" if prefix else local, start)
    return found


@contextlib.contextmanager
def preserved_random_state() -> Generator[None]:
    """Put the global random states of torch (all devices), NumPy and Python back at the end."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    # NumPy's global state is the one that a user's own code may draw from.
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def fans(tensor: Tensor) -> tuple[int, int] | None:
    """``(fan_in, fan_out)`` of a weight by torch's convention; None below two axes."""
    if tensor.ndim < 2:
        return None
    field = math.prod(tensor.shape[2:])
    return int(tensor.shape[1]) * field, int(tensor.shape[0]) * field


def _symmetric(bound: float) -> Uniform:
    return Uniform(-bound, bound)


def _weight_and_bias(m: Any) -> dict[str, Initialisation]:
    # kaiming_uniform_(a=√5) has the bound gain·√(3/fan_in) = 1/√fan_in, the same as the bias.
    fan = fans(m.weight)
    assert fan is not None
    return _all(m, _symmetric(1.0 / math.sqrt(max(1, fan[0]))), ("weight", "bias"))


def _bilinear(m: Any) -> dict[str, Initialisation]:
    return _all(m, _symmetric(1.0 / math.sqrt(m.weight.shape[1])), ("weight", "bias"))


def _recurrent(m: Any) -> dict[str, Initialisation]:
    names = [name for name, _ in m.named_parameters(recurse=False)]
    return _all(m, _symmetric(1.0 / math.sqrt(m.hidden_size)), names)


def _embedding(m: Any) -> dict[str, Initialisation]:
    source = f"torch {type(m).__name__}"
    if m.padding_idx is None:
        return {"weight": Initialisation(Normal(), source)}
    fixed = torch.zeros(m.weight.shape, dtype=torch.bool)
    fixed[m.padding_idx] = True
    return {"weight": Initialisation(Normal(), f"{source}, padding row held at 0", 0.0, fixed)}


def _norm(m: Any) -> dict[str, Initialisation]:
    return {**_constants(m, 1.0, ("weight",)), **_constants(m, 0.0, ("bias",))}


def _attention(m: Any) -> dict[str, Initialisation]:
    out: dict[str, Initialisation] = {}
    for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
        if getattr(m, name) is not None:
            out |= _all(m, _glorot_uniform(getattr(m, name)), (name,))
    for name in ("bias_k", "bias_v"):
        value = getattr(m, name)
        if value is not None:
            fan = fans(value)
            assert fan is not None
            out |= _all(m, Normal(0.0, math.sqrt(2.0 / sum(fan))), (name,))
    if m.in_proj_bias is not None:
        out |= _constants(m, 0.0, ("in_proj_bias",))
        out["out_proj.bias"] = Initialisation(None, f"torch {type(m).__name__}", 0.0)
    return out


def _transformer(m: nn.Module) -> dict[str, Initialisation]:
    source = "torch Transformer"
    return {n: Initialisation(_glorot_uniform(p), source) for n, p in m.named_parameters() if p.ndim > 1}


def _glorot_uniform(weight: Tensor) -> Uniform:
    fan = fans(weight)
    assert fan is not None
    return _symmetric(math.sqrt(6.0 / sum(fan)))


def _prelu(m: Any) -> dict[str, Initialisation]:
    return _constants(m, float(m.init), ("weight",))


def _all(m: nn.Module, prior: Normal | Uniform, names: Any) -> dict[str, Initialisation]:
    source = f"torch {type(m).__name__}"
    return {n: Initialisation(prior, source) for n in names if getattr(m, n, None) is not None}


def _constants(m: nn.Module, value: float, names: Any) -> dict[str, Initialisation]:
    source = f"torch {type(m).__name__}"
    return {n: Initialisation(None, source, value) for n in names if getattr(m, n, None) is not None}


_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
_READERS: list[tuple[tuple[type[nn.Module], ...], Callable[[Any], dict[str, Initialisation]]]] = [
    ((nn.Linear, *_CONV), _weight_and_bias),
    ((nn.Bilinear,), _bilinear),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    ((nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell), _recurrent),
    ((nn.MultiheadAttention,), _attention),
    (_NORMS, _norm),
    ((nn.PReLU,), _prelu),
    ((nn.Transformer,), _transformer),
]
_RESETS = ("reset_parameters", "_reset_parameters")


def _read(module: nn.Module, draw: bool) -> dict[str, Initialisation]:
    for kinds, reader in _READERS:
        for kind in kinds:
            if isinstance(module, kind) and _same_reset(type(module), kind):
                return reader(module)
    has_reset = any(hasattr(module, r) for r in _RESETS)
    if not draw or not has_reset or type(module).__module__.startswith("torch.nn.modules."):
        return {}
    return _drawn(module)


def _same_reset(kind: type[nn.Module], base: type[nn.Module]) -> bool:
    """Whether a subclass starts its parameters as its torch base class does."""
    return all(getattr(kind, r, None) is getattr(base, r, None) for r in _RESETS)


def _transformers(model: nn.Module) -> dict[str, Initialisation]:
    """What the models of the package transformers inside ``model`` set when they are initialised.

    Their ``_init_weights(module)`` is called on every module, children before parents; a model inside another one calls
    its own. It is known by this method and its ``config``, so that the package itself is not needed.
    """
    found: dict[str, Initialisation] = {}
    owners: dict[str, Any] = {}
    for prefix, module in model.named_modules(remove_duplicate=True):
        above = prefix.rpartition(".")[0]
        is_owner = callable(getattr(module, "_init_weights", None)) and hasattr(module, "config")
        owner = module if is_owner else owners.get(above) if prefix else None
        if owner is None:
            continue
        owners[prefix] = owner
        padding = getattr(module, "padding_idx", None) if isinstance(module, nn.Embedding) else None
        initialise: Any = owner._init_weights
        for local, start in _drawn(module, initialise, padding).items():
            found.setdefault(f"{prefix}.{local}" if prefix else local, start)
    return found


def _drawn(
    module: nn.Module, initialise: Callable[[nn.Module], object] | None = None, padding: int | None = None
) -> dict[str, Initialisation]:
    """Identify what a module's own reset, or ``initialise(module)``, draws, on a copy.

    Args:
        module: which.
        initialise: what sets its parameters, in place of its own reset.
        padding: the row of an embedding that stays at zero.
    """
    kind = type(module).__name__
    try:
        twin = copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"a {kind} that cannot be copied ({error})", "a module that copy.deepcopy accepts") from error
    if initialise is None:
        reset: Callable[[], object] = getattr(twin, next(r for r in _RESETS if hasattr(twin, r)))
        called = reset.__name__
    else:
        for part in (*twin.modules(), *twin.parameters()):
            vars(part).pop("_is_hf_initialized", None)  # it would be left alone
        reset, called = lambda: initialise(twin), "_init_weights"
    parameters = {n: p for n, p in twin.named_parameters() if p.is_floating_point() and p.numel()}
    with preserved_random_state(), torch.no_grad():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        for p in parameters.values():
            p.fill_(math.nan)
        try:
            reset()
        except (TypeError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{kind}.{called}() failed ({error})",
                "a reset that takes no argument",
                f"state the prior of its parameters: {', '.join(parameters) or 'none'}",
            ) from error
        set_here = {n: p for n, p in parameters.items() if not bool(torch.isnan(p).any())}
        if not set_here:
            return {}
        smallest = min(p.numel() for p in set_here.values())
        draws = min(MAX_DRAWS, max(2 if smallest >= VALUES else MIN_DRAWS, -(-VALUES // smallest)))
        keep = {n: _Pool(p, padding) for n, p in set_here.items()}
        for i in range(draws - 1):
            reset()
            for n, pool in keep.items():
                pool.add(set_here[n])
            if i + 2 == MIN_DRAWS and not any(bool(pool.changed.any()) for pool in keep.values()):
                break  # all constant
    return {n: _identify(pool, kind) for n, pool in keep.items()}


class _Pool:
    """The draws of one parameter: enough values to identify, and whether entries ever change."""

    def __init__(self, first: Tensor, padding: int | None = None) -> None:
        self.fixed = None
        if padding is not None and first.ndim == 2:
            self.fixed = torch.zeros(first.shape, dtype=torch.bool)
            self.fixed[padding] = True
        self.first = first.detach().cpu().double().clone()
        self.changed = torch.zeros_like(self.first, dtype=torch.bool)
        self.values: list[Tensor] = []
        self.size = self.draws = 0
        self.add(first)

    def add(self, value: Tensor) -> None:
        self.draws += 1
        x = value.detach().cpu().double()
        self.changed |= x != self.first
        if self.size < VALUES:
            own = x.flatten() if self.fixed is None else x[~self.fixed]
            # Of a large tensor every k-th entry is enough.
            self.values.append(own[:: max(1, own.numel() // VALUES)].clone())
            self.size += len(self.values[-1])


def _identify(pool: _Pool, kind: str) -> Initialisation:
    source = f"{kind}, {pool.draws} resets drawn"
    if not bool(pool.changed.any()):
        first = pool.first
        same = bool((first == first.flatten()[0]).all())
        return Initialisation(None, source, float(first.flatten()[0]) if same else first)
    x = np.sort(torch.cat(pool.values).numpy())
    n, mean, std = len(x), float(x.mean()), float(x.std())
    if abs(mean) < 4.0 * std / math.sqrt(n):
        mean = 0.0  # a mean that chance explains is taken for none
    normal = _kolmogorov(x, ndtr((x - mean) / std))
    half = max(abs(x[0] - mean), abs(x[-1] - mean)) * (n + 1) / n
    uniform = _kolmogorov(x, np.clip((x - mean + half) / (2.0 * half), 0.0, 1.0))
    if min(normal, uniform) > _KOLMOGOROV_BOUND:
        problem = f"the draws of {kind} are neither uniform (√n·D = {uniform:.1f}) nor normal ({normal:.1f})"
        return Initialisation(None, source, problem=problem)
    error = 1.0 / math.sqrt(2.0 * n) if normal <= uniform else 1.0 / n
    source += f", spread ± {100 * error:.1g}%"
    prior = Normal(mean, std) if normal <= uniform else Uniform(mean - half, mean + half)
    if pool.fixed is not None:
        source += ", padding row held at 0"
    return Initialisation(prior, source, 0.0, pool.fixed)


def _kolmogorov(x: np.ndarray[Any, Any], cdf: np.ndarray[Any, Any]) -> float:
    n = len(x)
    grid = np.arange(n + 1) / n
    return float(max((grid[1:] - cdf).max(), (cdf - grid[:-1]).max()) * math.sqrt(n))


def _short(value: float | Tensor) -> str:
    if isinstance(value, Tensor) and value.numel() > 1:
        return f"tensor{tuple(value.shape)}"
    return f"{float(value):.6g}"
