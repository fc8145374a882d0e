"""Units, through pint: what may be added to what, and by which factor.

Pint counts a bit, a radian and a percentage all as dimensionless, so that it would add bits to a pure number. Here two
units fit where they have the same *root units*: those of a byte are bits, which are no pure number.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pindown.errors import InputError

if TYPE_CHECKING:
    from pint import UnitRegistry

__all__ = ["COUNTED", "conversion", "is_pure", "parse_unit", "power", "product", "quotient", "shown"]

COUNTED = (
    "base_pair = [] = _ = base", "gene = []", "synapse = []", "neuron = []", "generation = []", "mutation = []",
    "person = []", "comparison = []", "answer = []", "token = []", "parameter = []", "label = []",
)  # fmt: skip
"""Things that are counted, as units of their own: base pairs do not add to genes."""

PURE = "1"


@cache
def _registry() -> UnitRegistry[Any]:
    from pint import UnitRegistry

    registry: UnitRegistry[Any] = UnitRegistry(cache_folder=None, on_redefinition="raise")
    for line in COUNTED:
        registry.define(line)
    return registry


@cache
def parse_unit(text: str) -> str:
    """The unit in pint's own words, ``"1"`` for a pure number.

    Raises:
        InputError: where pint does not know it, or where it has an offset, such as degrees Celsius.

    >>> parse_unit("MB"), parse_unit("bits / base pair"), parse_unit("")
    ('megabyte', 'bit / base_pair', '1')
    """
    words = text.strip()
    if words in ("", PURE, "dimensionless"):
        return PURE
    registry = _registry()
    try:
        unit = registry.parse_units(words.replace("base pair", "base_pair"))
        offset = registry.Quantity(0.0, unit).to_root_units().magnitude != 0.0
    except Exception as error:  # pint's parser lets Python's own syntax and token errors through
        raise InputError(
            f"the unit {text!r}",
            "one that pint knows",
            f"counted things are {', '.join(c.split()[0] for c in COUNTED)}",
        ) from error
    if offset:
        raise InputError(f"the unit {text!r}, whose zero is not nothing", "a unit that can be multiplied", "use kelvin")
    return _text(unit)


@cache
def conversion(unit: str, to: str) -> float:
    """The factor from one unit to another.

    Raises:
        InputError: where they do not fit; both are named.

    >>> conversion("byte", "bit")
    8.0
    >>> conversion("bit", "second")
    Traceback (most recent call last):
    pindown.errors.InputError: bit and second do not fit together; wanted units that convert into each other.
    """
    if unit == to:
        return 1.0
    (a, root_a), (b, root_b) = _root(unit), _root(to)
    if root_a != root_b:
        raise InputError(f"{_name(unit)} and {_name(to)} do not fit together", "units that convert into each other")
    return a / b


def is_pure(unit: str) -> bool:
    """Whether a unit is a pure number or a multiple of one, such as a percentage.

    >>> is_pure("percent"), is_pure("bit")
    (True, False)
    """
    return _root(unit)[1] == PURE


@cache
def product(a: str, b: str) -> str:
    """The unit of a product.

    >>> product("base_pair", "bit / base_pair")
    'bit'
    """
    return _text(_unit(a) * _unit(b))


@cache
def quotient(a: str, b: str) -> str:
    """The unit of a quotient."""
    return _text(_unit(a) / _unit(b))


@cache
def power(a: str, exponent: float) -> str:
    """The unit of a power."""
    return PURE if a == PURE else _text(_unit(a) ** exponent)


def shown(unit: str) -> str:
    """The unit as an ``Estimate`` has it.

    >>> shown("bit"), shown("second")
    ('bits', 'second')
    """
    return {"bit": "bits", "byte": "bytes"}.get(unit, unit)


def _unit(text: str) -> Any:
    return _registry().Unit("dimensionless" if text == PURE else text)


def _root(unit: str) -> tuple[float, str]:
    factor, root = _registry().get_root_units(_unit(unit))
    return float(cast("float", factor)), _text(root)


def _text(unit: Any) -> str:
    return PURE if not dict(unit._units) else str(unit)


def _name(unit: str) -> str:
    return "a pure number" if unit == PURE else unit
