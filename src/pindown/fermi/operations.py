"""The operations of an estimate: how each is evaluated, and what it does to units, ranges and bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from pindown.errors import InputError
from pindown.fermi import units
from pindown.fermi.bounds import Bound, Support, corners, follows, sign

__all__ = ["FUNCTIONS", "Operation", "evaluate", "operation"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Operation:
    """One step of an estimate, applied to the values of its parts.

    Attributes:
        kind: its name.
        factors: what each part is multiplied by so that their units agree.
        number: the exponent of a power; 0 elsewhere.
        weights: of a mixture.
    """

    kind: str
    factors: tuple[float, ...] = ()
    number: float = 0.0
    weights: tuple[float, ...] = ()


def _binary_entropy(x: Array) -> Array:
    return (entr(x) + entr(1.0 - x)) / math.log(2.0)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "log2": np.log2, "ln": np.log, "exp": np.exp, "sqrt": np.sqrt, "sin": np.sin, "absolute": np.abs,
    "binary_entropy": _binary_entropy,
}  # fmt: skip
"""Functions of one quantity; all but sqrt and absolute take pure numbers."""

_GROWING = ("log2", "ln", "exp", "sqrt")
_UNIT_BOUND = (0.0, 1.0)


def operation(
    kind: str, parts: Sequence[tuple[str, Support, Bound]], number: float = 0.0, weights: Sequence[float] = ()
) -> tuple[Operation, str, Support, Bound]:
    """An operation on parts given as (unit, range, bound), with the unit, range and bound of what comes out.

    Raises:
        InputError: where the units do not fit; both are named.
    """
    of_units = [p[0] for p in parts]
    supports = [p[1] for p in parts]
    bounds: list[Bound] = [p[2] for p in parts]
    if kind in ("add", "subtract", "minimum", "maximum", "mixture"):
        unit = of_units[0]
        factors = tuple(units.conversion(u, unit) for u in of_units)
        scaled = [(s[0] * f, s[1] * f) for s, f in zip(supports, factors, strict=True)]
        directions = [1, -1] if kind == "subtract" else [1] * len(parts)
        support = _range(kind, scaled)
        known = follows(bounds, directions)
        if kind == "mixture" and known == "exact":
            known = "guess"
        return Operation(kind, factors, weights=tuple(weights)), unit, support, known
    if kind == "multiply":
        known = follows(bounds, [sign(supports[1]), sign(supports[0])])
        return Operation(kind), units.product(*of_units), corners(*supports), known
    if kind == "divide":
        low, high = supports[1]
        crosses = low < 0 < high
        inverse = (-math.inf, math.inf) if crosses else (_inverse(high, low < 0), _inverse(low, low < 0))
        known = follows(bounds, [sign(supports[1]), 0 if crosses else -sign(supports[0])])
        return Operation(kind), units.quotient(*of_units), corners(supports[0], inverse), known
    if kind == "power":
        return _power(parts[0], number)
    return _function(kind, parts[0])


def evaluate(op: Operation, values: Sequence[Array], chosen: Array | None = None) -> Array:
    """Apply an operation; ``chosen`` are the uniform numbers by which a mixture chooses."""
    if op.factors:
        values = [v if f == 1.0 else v * f for v, f in zip(values, op.factors, strict=True)]
    if op.kind == "mixture":
        assert chosen is not None
        which = np.searchsorted(np.cumsum(op.weights)[:-1], chosen, side="right")
        return np.stack(list(values))[which, np.arange(len(chosen))]
    if op.kind == "same":
        return values[0]
    if op.kind in FUNCTIONS:
        return FUNCTIONS[op.kind](values[0])
    if op.kind == "power":
        return values[0] ** op.number
    return _BINARY[op.kind](values)


_BINARY: dict[str, Callable[[Sequence[Array]], Array]] = {
    "add": lambda v: v[0] + v[1],
    "subtract": lambda v: v[0] - v[1],
    "multiply": lambda v: v[0] * v[1],
    "divide": lambda v: v[0] / v[1],
    "minimum": lambda v: np.min(np.stack(list(v)), axis=0),
    "maximum": lambda v: np.max(np.stack(list(v)), axis=0),
}


def _range(kind: str, s: Sequence[Support]) -> Support:
    lows, highs = [a for a, _ in s], [b for _, b in s]
    if kind == "add":
        return lows[0] + lows[1], highs[0] + highs[1]
    if kind == "subtract":
        return lows[0] - highs[1], highs[0] - lows[1]
    ends = {"minimum": (min, min), "maximum": (max, max), "mixture": (min, max)}[kind]
    return ends[0](lows), ends[1](highs)


def _inverse(x: float, negative: bool) -> float:
    if x == 0:
        return -math.inf if negative else math.inf
    return 1.0 / x


def _power(part: tuple[str, Support, Bound], exponent: float) -> tuple[Operation, str, Support, Bound]:
    unit, (low, high), bound = part
    op = Operation("power", number=exponent)
    whole = float(exponent).is_integer()
    if low < 0 and not whole:
        raise InputError(f"a quantity that can be negative to the power of {exponent:g}", "a whole exponent")
    new = units.power(unit, exponent)
    if low >= 0:
        ends = [_raise(low, exponent), _raise(high, exponent)]
        return op, new, (min(ends), max(ends)), follows([bound], [1 if exponent > 0 else -1])
    even = exponent % 2 == 0
    return op, new, (0.0 if even else -math.inf, math.inf), follows([bound], [1 if exponent > 0 and not even else 0])


def _raise(x: float, exponent: float) -> float:
    if x == 0:
        return math.inf if exponent < 0 else float(exponent == 0)
    if math.isinf(x):
        return 0.0 if exponent < 0 else math.inf
    try:
        return x**exponent
    except OverflowError:
        return math.inf


def _function(kind: str, part: tuple[str, Support, Bound]) -> tuple[Operation, str, Support, Bound]:
    unit, (low, high), bound = part
    if kind not in ("sqrt", "absolute") and not units.is_pure(unit):
        raise InputError(f"{kind} of a quantity in {unit}", "a pure number", "divide by a quantity of the same unit")
    if kind in ("log2", "ln", "sqrt") and low < 0:
        raise InputError(f"{kind} of a quantity that can be negative", "one that cannot", "truncate it")
    if kind == "binary_entropy" and (low < 0 or high > 1):
        raise InputError("the binary entropy of a quantity outside 0 to 1", "a share", "use fermi.beta, or truncate it")
    factor = () if kind in ("sqrt", "absolute") else (units.conversion(unit, units.PURE),)
    op = Operation(kind, factor)
    new = units.power(unit, 0.5) if kind == "sqrt" else unit if kind == "absolute" else units.PURE
    if kind in _GROWING:
        with np.errstate(all="ignore"):
            ends = float(FUNCTIONS[kind](np.float64(low))), float(FUNCTIONS[kind](np.float64(high)))
        return op, new, ends, follows([bound], [1])
    if kind == "binary_entropy":
        direction = 1 if high <= 0.5 else -1 if low >= 0.5 else 0
        return op, "bit", _UNIT_BOUND, follows([bound], [direction])
    if kind == "absolute":
        most = max(abs(low), abs(high))
        return op, new, (max(low, -high, 0.0), most), follows([bound], [sign((low, high))])
    return op, new, (-1.0, 1.0), follows([bound], [0])
