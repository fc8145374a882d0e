"""What is known of a quantity: its value, a guess, or only a bound; and what follows for what is computed from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pindown.errors import InputError

__all__ = ["BOUNDS", "Bound", "Support", "corners", "declared", "follows", "sign"]

Bound = Literal["exact", "guess", "upper", "lower", "neither"]
BOUNDS: tuple[Bound, ...] = ("exact", "guess", "upper", "lower")
"""What may be declared. ``neither`` is what is left where upper and lower bounds meet."""

Support = tuple[float, float]
_OTHER: dict[Bound, Bound] = {"upper": "lower", "lower": "upper"}


def sign(support: Support) -> int:
    """1 for values that are never negative, −1 for never positive, 0 where both occur.

    >>> sign((0.0, 2.0)), sign((-1.0, 1.0))
    (1, 0)
    """
    if support[0] >= 0:
        return 1
    return -1 if support[1] <= 0 else 0


def follows(bounds: Sequence[Bound], directions: Sequence[int]) -> Bound:
    """What is known of a function of quantities.

    The function grows with an argument (direction 1), falls with it (−1), or neither is known (0). An upper bound of
    what the function falls with is a lower bound of the function; a guess times an upper bound is an upper bound, given
    the guess; an upper and a lower bound together leave nothing. Directions
    of products take a quantity to have the sign of its bound.

    >>> follows(["upper", "guess"], [1, 1]), follows(["exact", "upper"], [1, -1]), follows(["upper", "lower"], [1, 1])
    ('upper', 'lower', 'neither')
    """
    seen: set[Bound] = set()
    for bound, direction in zip(bounds, directions, strict=True):
        if bound in _OTHER and direction == 0:
            return "neither"
        seen.add(_OTHER[bound] if bound in _OTHER and direction < 0 else bound)
    if "neither" in seen or {"upper", "lower"} <= seen:
        return "neither"
    order: tuple[Bound, ...] = ("upper", "lower", "guess")
    for bound in order:
        if bound in seen:
            return bound
    return "exact"


def declared(bound: str, derived: Bound) -> Bound:
    """A declared bound, checked against what follows from the parts.

    Raises:
        InputError: for an unknown word, and where a bound is declared to be more than that.
    """
    if bound not in BOUNDS:
        raise InputError(f"the bound {bound!r}", f"one of {', '.join(BOUNDS)}")
    if derived in ("upper", "lower", "neither") and bound != derived:
        known = "neither bound" if derived == "neither" else f"{derived} bounds"
        raise InputError(
            f"{bound!r} declared for what is computed from {known} only", f"{derived!r}",
            "say bound='guess' of those parts of which you have one",
        )  # fmt: skip
    if derived == "guess" and bound == "exact":
        raise InputError("'exact' declared for what is computed from guesses", "guess, upper or lower")
    return bound


def corners(a: Support, b: Support) -> Support:
    """The ends of a product of two ranges; nothing times the infinite is nothing, as for densities."""
    found = [0.0 if 0.0 in (x, y) else x * y for x in a for y in b]
    return min(found), max(found)
