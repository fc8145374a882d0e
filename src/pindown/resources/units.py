"""Units of shadow prices: those of the objective over those of the constraint."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pindown.errors import InputError

__all__ = ["price_unit"]


def price_unit(row: str, units: Mapping[str, str]) -> str:
    """The unit of a price, such as ``"euro / hour"``; ``"1"`` where no units were given.

    With pint installed, units that it knows are checked and simplified; what it does not know stays as it was written.

    Raises:
        InputError: for a unit that is empty.

    Example:
        >>> price_unit("labour", {"labour": "hour", "objective": "euro"})
        'euro / hour'
    """
    if row not in units and "objective" not in units:
        return "1"
    top, bottom = units.get("objective", "1"), units.get(row, "1")
    if not top.strip() or not bottom.strip():
        raise InputError(f"an empty unit for {row!r} or the objective", "a unit, such as 'hour'")
    if bottom == "1":
        return top
    plain = f"{top} / {bottom}"
    if find_spec("pint") is None:
        return plain
    pint: Any = import_module("pint")

    registry = pint.UnitRegistry()
    try:
        return f"{(registry.Quantity(1.0, top) / registry.Quantity(1.0, bottom)).to_reduced_units().units:D}" or "1"
    except (pint.UndefinedUnitError, pint.DimensionalityError):
        return plain
