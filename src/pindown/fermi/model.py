"""An estimate as a whole: what is asked, the routes to it, what stands beside it, and what varies together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pindown.errors import InputError
from pindown.fermi import units
from pindown.fermi.quantity import Quantity, is_random

__all__ = ["Correlation", "Model", "name_of", "nodes_of"]

Correlation = tuple[str, str, float]


@dataclass(frozen=True)
class Model:
    """A named graph of quantities, and what is asked of it.

    Attributes:
        target: the quantity that is asked for.
        routes: independent ways to one quantity, in units that fit the target's; compared with each other.
        beside: further quantities for the same axis, which enter nothing.
        correlations: pairs of names with Spearman's rank correlation between them.
        title: what it is about.
        notes: what a reader has to know.

    Raises:
        InputError: for two different quantities of one name, for routes in a unit that does not fit, and for a
            correlation of what is no distribution.
    """

    target: Quantity
    routes: tuple[Quantity, ...] = ()
    beside: tuple[Quantity, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        names = self.names
        for kind, several in (("route", self.routes), ("quantity beside it", self.beside)):
            for q in several:
                if not q.name:
                    raise InputError(f"a {kind} without a name", "one that has a name", "give it with .named(…)")
                units.conversion(q.unit, self.target.unit)
        known = {name: q for q, name in names.items()}
        for a, b, rank in self.correlations:
            for name in (a, b):
                if name not in known or known[name].distribution is None or not is_random(known[name]):
                    raise InputError(f"a correlation of {name!r}", "the name of a distribution in the estimate")
            if a == b or not -1.0 < rank < 1.0:
                raise InputError(f"a rank correlation of {rank!r} between {a!r} and {b!r}", "two names, and −1 to 1")

    @property
    def nodes(self) -> list[Quantity]:
        """All quantities, each after its parts."""
        return nodes_of([*self.routes, *self.beside, self.target])

    @property
    def names(self) -> dict[Quantity, str]:
        """A name for each quantity; unnamed ones are numbered in the order in which they were made.

        Raises:
            InputError: where two different quantities have one name.
        """
        names: dict[Quantity, str] = {}
        taken: dict[str, Quantity] = {}
        nodes = self.nodes
        born: dict[int, Quantity] = {}
        for q in nodes:
            if is_random(q) and born.setdefault(q.serial, q) is not q:
                raise InputError(
                    f"{q.name or born[q.serial].name!r} used both before and after it was named", "one of the two",
                    "give the name where the quantity is made",
                )  # fmt: skip
            if q.name:
                if q.name in taken:
                    raise InputError(f"two different quantities named {q.name!r}", "one name for each", "rename one")
                taken[q.name] = q
                names[q] = q.name
        for kind, plain in (("input", True), ("step", False)):
            unnamed = sorted((q for q in nodes if not q.name and (q.distribution is not None) is plain), key=_age)
            for q in unnamed:
                number = 1
                while f"{kind} {number:03d}" in taken:
                    number += 1
                names[q] = f"{kind} {number:03d}"
                taken[names[q]] = q
        return names


def name_of(q: Quantity | str) -> str:
    """The name by which a correlation knows a quantity."""
    return q if isinstance(q, str) else q.name


def nodes_of(roots: Sequence[Quantity]) -> list[Quantity]:
    """The quantities that ``roots`` are computed from, and these, each after its parts and once."""
    found: dict[Quantity, None] = {}
    for root in roots:
        stack: list[tuple[Quantity, Iterator[Quantity]]] = [(root, iter(root.parts))]
        while stack:
            q, rest = stack[-1]
            part = next((p for p in rest if p not in found), None)
            if part is None:
                found.setdefault(q)
                stack.pop()
            else:
                stack.append((part, iter(part.parts)))
    return list(found)


def _age(q: Quantity) -> int:
    return q.serial
