"""Fermi estimates: small named graphs of quantities with units, distributions, and a word on what each one bounds.

Example:
    >>> from pindown import fermi
    >>> genome = fermi.constant(3e9, unit="base pair", name="genome", bound="upper")
    >>> share = fermi.interval(0.10, 0.15, name="functional share")
    >>> per_pair = fermi.constant(2, unit="bit / base pair")
    >>> found = fermi.estimate((genome * per_pair * share).named("functional genome"))
    >>> found.bound, found.dominant
    ('upper', 'functional share')
"""

from __future__ import annotations

from pindown.fermi.build import (
    absolute,
    beta,
    binary_entropy,
    constant,
    discrete,
    empirical,
    exp,
    interval,
    ln,
    log2,
    lognormal,
    maximum,
    minimum,
    mixture,
    normal,
    sin,
    sqrt,
    uniform,
)
from pindown.fermi.estimate import estimate
from pindown.fermi.human_values import human_values
from pindown.fermi.model import Model
from pindown.fermi.quantity import Quantity
from pindown.fermi.result import FermiResult
from pindown.fermi.toml_text import from_toml, read_toml, to_toml

__all__ = [
    "FermiResult",
    "Model",
    "Quantity",
    "absolute",
    "beta",
    "binary_entropy",
    "constant",
    "discrete",
    "empirical",
    "estimate",
    "exp",
    "from_toml",
    "human_values",
    "interval",
    "ln",
    "log2",
    "lognormal",
    "maximum",
    "minimum",
    "mixture",
    "normal",
    "read_toml",
    "sin",
    "sqrt",
    "to_toml",
    "uniform",
]
