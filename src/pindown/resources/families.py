"""Families of objectives: what to draw them from, where nobody is there to have one."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pindown.errors import InputError
from pindown.rng import child_seed

__all__ = ["FAMILIES", "Family", "draw_objectives", "read_families"]

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, Floats], Floats]


@dataclass(frozen=True)
class Family:
    """A prior over objectives.

    Attributes:
        name: a word for tables.
        description: what is drawn, in words.
        draw: takes a generator, how many, and the problem's own objective ``(k,)``, and gives rewards ``(n, k)``:
            higher is better, whatever the sense of the problem.

    Example:
        >>> import numpy as np
        >>> from pindown.resources.families import Family
        >>> last = Family("last", "only the last one counts", lambda rng, n, own: np.eye(len(own))[[-1] * n])
        >>> last.draw(np.random.default_rng(0), 2, np.zeros(3)).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """

    name: str
    description: str
    draw: Draw


def _permuted(rng: np.random.Generator, n: int, own: Floats) -> Floats:
    return rng.permuted(np.tile(own, (n, 1)), axis=1)


def _negative(rng: np.random.Generator, n: int, own: Floats) -> Floats:
    return -rng.uniform(size=(n, len(own)))


def _one(rng: np.random.Generator, n: int, own: Floats) -> Floats:
    return np.eye(len(own))[rng.integers(0, len(own), n)]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "positive", "independent rewards, uniform from 0 to 1", lambda rng, n, own: rng.uniform(size=(n, len(own)))
        ),
        Family(
            "negative",
            "independent rewards, uniform from −1 to 0",
            _negative,
        ),
        Family("normal", "independent standard normals", lambda rng, n, own: rng.standard_normal((n, len(own)))),
        Family("permuted", "the problem's own objective, its entries permuted", _permuted),
        Family("single", "one entry alone is rewarded", _one),
    )
}
"""The families that every problem has, by name."""


def read_families(families: Sequence[str | Family] | None) -> tuple[Family, ...]:
    """Families by name or as they are; all of :data:`FAMILIES` for None.

    Raises:
        InputError: for none at all, an unknown name, or two of one name.
    """
    if families is None:
        return tuple(FAMILIES.values())
    if isinstance(families, str) or not families:
        raise InputError(f"families = {families!r}", "at least one family", f"choose among {', '.join(FAMILIES)}")
    found: list[Family] = []
    for family in families:
        if isinstance(family, str) and family not in FAMILIES:
            raise InputError(f"no family {family!r}", f"one of {', '.join(FAMILIES)}, or a Family of your own")
        found.append(FAMILIES[family] if isinstance(family, str) else family)
    if len({f.name for f in found}) != len(found):
        raise InputError(f"families named {', '.join(f.name for f in found)}", "a name of its own for each")
    return tuple(found)


def draw_objectives(family: Family, count: int, own: Floats, seed: int) -> Floats:
    """Rewards ``(count, k)`` of one family; its stream depends on the seed and its own name alone.

    Raises:
        InputError: where a family of the user's gives another shape or numbers that are not finite.
    """
    rng = np.random.default_rng(child_seed(seed, zlib.crc32(family.name.encode())))
    drawn = np.asarray(family.draw(rng, count, own), dtype=np.float64)
    if drawn.shape != (count, len(own)) or not np.isfinite(drawn).all():
        raise InputError(
            f"family {family.name!r} drew rewards of shape {drawn.shape}", f"finite numbers ({count}, {len(own)})"
        )
    return drawn
