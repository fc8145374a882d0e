"""Which parameters of a module are coordinates, and under which prior each one is."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from pindown.errors import InputError
from pindown.spaces.initialisation import Initialisation, Normal, Uniform, fans, own_initialisation

__all__ = ["ParameterPrior", "Prior", "chosen_parameters", "matching_names", "parameter_priors"]

Prior = Normal | Uniform | str
_NAMED = {"he": lambda i, o: 2.0 / i, "lecun": lambda i, o: 1.0 / i, "glorot": lambda i, o: 2.0 / (i + o)}


@dataclass(frozen=True, eq=False)
class ParameterPrior:
    """One parameter of a :class:`Weights` space.

    Attributes:
        name: fully qualified name in the module.
        shape: its shape there.
        dtype: its floating-point format there.
        prior: the distribution of its entries.
        source: where the distribution comes from, in words.
        free: flat indices of the entries that are coordinates; None where all are.
        base: values of the entries that are not; None where all are coordinates.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    prior: Normal | Uniform
    source: str
    free: Tensor | None = None
    base: Tensor | None = None

    @property
    def size(self) -> int:
        """How many coordinates it has."""
        return math.prod(self.shape) if self.free is None else len(self.free)


def chosen_parameters(
    model: nn.Module, include: str | Iterable[str] | None, exclude: str | Iterable[str] | None
) -> dict[str, nn.Parameter]:
    """The trainable parameters that the globs leave, tied ones once, by their fully qualified names.

    Raises:
        InputError: where none is left, a glob matches nothing, or one has no shape or no real numbers.
    """
    everything = dict(model.named_parameters())  # tied parameters appear once
    lazy = [n for n, p in everything.items() if isinstance(p, UninitializedParameter)]
    if lazy:
        raise InputError(
            f"a model whose parameters {', '.join(lazy)} have no shape yet", "a model that has run once",
            "call it on one batch first",
        )  # fmt: skip
    if not everything:
        raise InputError("a model without parameters", "a module with at least one trainable parameter")
    trainable = {n: p for n, p in everything.items() if p.requires_grad and p.numel()}
    if not trainable:
        raise InputError(
            "a model whose parameters are all frozen", "at least one trainable parameter",
            "set requires_grad=True on those that may move",
        )  # fmt: skip
    wanted = _patterns(include, trainable, "include")
    unwanted = _patterns(exclude, trainable, "exclude")
    chosen = {
        n: p for n, p in trainable.items() if (include is None or _matches(n, wanted)) and not _matches(n, unwanted)
    }
    if not chosen:
        raise InputError("include and exclude that leave no parameter", f"some of {', '.join(trainable)}")
    for n, p in chosen.items():
        if not p.is_floating_point():
            raise InputError(f"parameter {n} of type {p.dtype}", "real floating-point parameters", "exclude it")
    return chosen


def matching_names(
    names: Sequence[str], include: str | Iterable[str] | None, exclude: str | Iterable[str] | None
) -> list[str]:
    """Those of ``names`` that the globs leave, in order.

    Raises:
        InputError: where none is left or a glob matches nothing.

    >>> matching_names(["a.weight", "a.bias"], "*", "*.bias")
    ['a.weight']
    """
    known = dict.fromkeys(names)
    wanted, unwanted = _patterns(include, known, "include"), _patterns(exclude, known, "exclude")
    left = [n for n in names if (include is None or _matches(n, wanted)) and not _matches(n, unwanted)]
    if not left:
        raise InputError("include and exclude that leave no parameter", f"some of {', '.join(names)}")
    return left


def _patterns(globs: str | Iterable[str] | None, names: Mapping[str, object], what: str) -> Sequence[str]:
    patterns = [globs] if isinstance(globs, str) else list(globs or ())
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(n, pattern) for n in names):
            raise InputError(f"{what} pattern {pattern!r}, which matches no parameter", f"some of {', '.join(names)}")
    return patterns


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def parameter_priors(
    model: nn.Module, chosen: Mapping[str, nn.Parameter], prior: Prior | Mapping[str, Prior] | None
) -> Iterable[ParameterPrior]:
    """The prior of each chosen parameter: the first override that matches, or its own initialisation.

    Raises:
        InputError: for an override that fits no parameter, or a parameter without either.
    """
    overrides: dict[str, Prior] = (
        {} if prior is None else {"*": prior} if not isinstance(prior, Mapping) else dict(prior)
    )
    _patterns(overrides, chosen, "prior")
    covered = all(_matches(n, list(overrides)) for n in chosen)
    # Reading may mean drawing; the only thing that a full override still needs is which entries are fixed.
    own = own_initialisation(model, draw=not covered or not {"normal", "own"}.isdisjoint(_names(overrides)))
    for name, p in chosen.items():
        start = own.get(name)
        override = next((v for glob, v in overrides.items() if fnmatch.fnmatchcase(name, glob)), None)
        law, source = _law(model, name, p, start, override)
        free = base = None
        if start is not None and start.fixed is not None:
            free = (~start.fixed).flatten().nonzero().flatten()
            base = torch.full(p.shape, float(torch.as_tensor(start.constant))).to(p.dtype)
        yield ParameterPrior(name, tuple(p.shape), p.dtype, law, source, free, base)


def _names(overrides: Mapping[str, Prior]) -> set[str]:
    return {p for p in overrides.values() if isinstance(p, str)}


def _law(
    model: nn.Module, name: str, p: Tensor, start: Initialisation | None, override: Prior | None
) -> tuple[Normal | Uniform, str]:
    if isinstance(override, str) and override not in ("normal", "own"):
        if override not in _NAMED:
            names = f"one of {', '.join(_NAMED)}, normal, own, or Normal(…) or Uniform(…)"
            raise InputError(f"prior {override!r} for {name}", names)
        fan = fans(p) or _sibling_fans(model, name)
        if fan is None:
            raise InputError(
                f'prior "{override}" for {name} of shape {tuple(p.shape)}, which has no fan-in',
                "a weight, or a bias beside one",
                f'give it one of its own first: prior={{"{name}": Normal(1, 1), "*": "{override}"}}',
            )
        return Normal(0.0, math.sqrt(_NAMED[override](*fan))), f'"{override}"'
    if isinstance(override, Normal | Uniform):
        for value in vars(override).values():
            if isinstance(value, Tensor) and value.numel() > 1 and value.shape != p.shape:
                raise InputError(f"prior {override} for {name}", f"one number or a tensor of shape {tuple(p.shape)}")
        return override, "given"
    if override not in (None, "normal", "own"):
        raise InputError(f"prior {override!r} for {name}", "Normal(mean, std), Uniform(low, high) or a name")
    if start is None or start.problem:
        owner = type(model.get_submodule(name.rpartition(".")[0])).__name__
        raise InputError(
            f"parameter {name} of {owner}, whose initialisation cannot be read"
            + (f" ({start.problem})" if start is not None else ""),
            "a torch layer or a module with reset_parameters()",
            f'state it: prior={{"{name}": Normal(0, 0.02)}}, or leave it fixed: exclude="{name}"',
        )
    if start.prior is None:
        return Normal(start.constant, 1.0), f"{start.source}: a constant, given spread 1"
    if override == "normal" and isinstance(start.prior, Uniform):
        low, high = start.prior.low, start.prior.high
        return Normal(0.5 * (low + high), (high - low) / math.sqrt(12.0)), f"{start.source}, as a normal"
    return start.prior, start.source


def _sibling_fans(model: nn.Module, name: str) -> tuple[int, int] | None:
    """The fans of the weight that a bias belongs to, such as ``weight_hh_l0`` for ``bias_hh_l0``."""
    path, _, local = name.rpartition(".")
    if "bias" not in local:
        return None
    weight = getattr(model.get_submodule(path), local.replace("bias", "weight"), None)
    return fans(weight) if isinstance(weight, Tensor) else None
