"""A quantity of an estimate: a distribution, or what is computed from other quantities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from pindown.errors import InputError
from pindown.fermi import units
from pindown.fermi.bounds import BOUNDS, Bound, Support, declared
from pindown.fermi.distributions import Constant, Distribution, Truncated
from pindown.fermi.operations import Operation, operation

__all__ = ["Number", "Quantity", "as_quantity", "computed", "is_random", "leaf"]

Number = int | float
_SERIAL = itertools.count()


class Quantity:
    """One node of an estimate. It is sampled once, wherever it is used: ``x - x`` is 0.

    Quantities are made by :func:`pindown.fermi.interval` and its siblings and by the operators ``+ - * / **``. They do
    not change; :meth:`named` and :meth:`truncated` give new ones.

    Attributes:
        name: its name; unique in an estimate, empty for steps in between.
        unit: in pint's words, ``"1"`` for a pure number.
        bound: what is known of it: ``exact``, ``guess``, ``upper`` (the true value is at most this), ``lower``, or
            ``neither``, where upper and lower bounds met.
        source: where it comes from.
        support: the lowest and highest value that it can have.

    Example:
        >>> from pindown import fermi
        >>> genome = fermi.constant(3e9, unit="base pair", name="genome", bound="upper")
        >>> bits = genome * fermi.constant(2, unit="bit / base pair")
        >>> bits.unit, bits.bound
        ('bit', 'upper')
    """

    def __init__(
        self, *, name: str, unit: str, bound: Bound, source: str, support: Support,
        distribution: Distribution | None = None, step: Operation | None = None, parts: Sequence[Quantity] = (),
        serial: int | None = None,
    ) -> None:  # fmt: skip
        self.name, self.unit, self.source, self.support = name, unit, source, support
        self.bound: Bound = bound
        self.distribution, self.step, self.parts = distribution, step, tuple(parts)
        self.serial = next(_SERIAL) if serial is None else serial

    def named(self, name: str, *, bound: str | None = None, source: str = "", unit: str = "") -> Quantity:
        """The same quantity under a name.

        Args:
            name: the name.
            bound: what is known of it, where that is less than what follows from its parts.
            source: where it comes from.
            unit: another unit to state it in.

        Raises:
            InputError: for a bound that claims more than the parts allow, and a unit that does not fit.
        """
        known = self.bound if bound is None else declared(bound, self.bound)
        _check_name(name)
        to = units.parse_unit(unit) if unit else self.unit
        factor = units.conversion(self.unit, to)
        more: dict[str, Any] = {"name": name, "unit": to, "bound": known, "source": source or self.source}
        if factor != 1.0 or self.name:
            scaled = (self.support[0] * factor, self.support[1] * factor)
            step = Operation("same", (factor,))
            return Quantity(**more, support=scaled, step=step, parts=(self,))
        return Quantity(
            **more, support=self.support, distribution=self.distribution, step=self.step, parts=self.parts,
            serial=self.serial,
        )  # fmt: skip

    def truncated(self, low: float = -math.inf, high: float = math.inf) -> Quantity:
        """The quantity given that it lies between ``low`` and ``high``, in its unit.

        Raises:
            InputError: for what is computed or has no density, and where nothing is left.
        """
        if self.distribution is None:
            raise InputError("a truncation of what is computed", "a distribution", "truncate the parts")
        cut = Truncated(self.distribution, float(low), float(high))
        return leaf(cut, self.unit, self.name, self.bound, self.source)

    def __add__(self, other: Quantity | Number) -> Quantity:
        return computed("add", self, other)

    def __radd__(self, other: Number) -> Quantity:
        return computed("add", other, self)

    def __sub__(self, other: Quantity | Number) -> Quantity:
        return computed("subtract", self, other)

    def __rsub__(self, other: Number) -> Quantity:
        return computed("subtract", other, self)

    def __mul__(self, other: Quantity | Number) -> Quantity:
        return computed("multiply", self, other)

    def __rmul__(self, other: Number) -> Quantity:
        return computed("multiply", other, self)

    def __truediv__(self, other: Quantity | Number) -> Quantity:
        return computed("divide", self, other)

    def __rtruediv__(self, other: Number) -> Quantity:
        return computed("divide", other, self)

    def __pow__(self, exponent: Number) -> Quantity:
        if isinstance(exponent, bool) or not isinstance(exponent, (int, float)) or not math.isfinite(exponent):
            raise InputError(f"the exponent {exponent!r}", "a finite number")
        return computed("power", self, number=float(exponent))

    def __neg__(self) -> Quantity:
        return computed("multiply", -1.0, self)

    def __repr__(self) -> str:
        what = self.distribution.kind if self.distribution is not None else f"{self.step.kind if self.step else '?'}"
        return f"<{self.name or 'unnamed'}: {what}, {units.shown(self.unit)}, {self.bound}>"


def as_quantity(x: Quantity | Number) -> Quantity:
    """A number as a pure constant; a quantity as it is."""
    if isinstance(x, Quantity):
        return x
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        raise InputError(f"{type(x).__name__} {x!r} in an estimate", "a quantity or a number")
    return leaf(Constant(float(x)), units.PURE, "", "exact", "")


def leaf(distribution: Distribution, unit: str, name: str, bound: str, source: str) -> Quantity:
    """A quantity with a distribution."""
    if bound not in BOUNDS:
        raise InputError(f"the bound {bound!r}", f"one of {', '.join(BOUNDS)}")
    if bound == "exact" and not isinstance(distribution, Constant):
        raise InputError(f"a {distribution.kind} distribution called exact", "guess, upper or lower")
    if name:
        _check_name(name)
    return Quantity(
        name=name, unit=units.parse_unit(unit), bound=bound, source=source, support=distribution.support,
        distribution=distribution,
    )  # fmt: skip


def computed(
    kind: str, *parts: Quantity | Number, number: float = 0.0, weights: Sequence[float] = (), name: str = "",
    source: str = "",
) -> Quantity:  # fmt: skip
    """A quantity that is computed from others."""
    made = [as_quantity(p) for p in parts]
    step, unit, support, bound = operation(kind, [(p.unit, p.support, p.bound) for p in made], number, weights)
    if name:
        _check_name(name)
    return Quantity(name=name, unit=unit, bound=bound, source=source, support=support, step=step, parts=made)


def is_random(q: Quantity) -> bool:
    """Whether a quantity takes a uniform number of its own: a distribution that is no constant, or a mixture."""
    if q.distribution is not None:
        return not isinstance(q.distribution, Constant)
    return q.step is not None and q.step.kind == "mixture"


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip() or name != name.strip() or "\n" in name:
        raise InputError(f"the name {name!r}", "a line of text")
