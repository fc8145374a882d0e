"""What is told of every table of choices: axioms that hold or not, and indices with their proof of optimality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Kind, Status, counted

__all__ = ["Axiom", "Index", "bounded", "exact", "unsupported"]


@dataclass(frozen=True)
class Axiom:
    """Whether an axiom of revealed preference holds. Truth value: whether it does.

    Attributes:
        holds: whether it does.
        violations: how many pairs violate it; 0 where longer cycles do and no pairs are counted.
        stated: whether it has a meaning for this kind of choices.
    """

    holds: bool
    violations: int
    stated: bool = True

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        if not self.stated:
            return "not defined"
        if self.holds:
            return "holds"
        return f"violated by {counted(self.violations, 'pair')}" if self.violations else "violated"

    def to_dict(self) -> dict[str, Any]:
        """The axiom as plain JSON values."""
        return {"holds": self.holds, "violations": self.violations, "stated": self.stated}

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Axiom:
        """Read back what :meth:`to_dict` wrote."""
        return cls(bool(r["holds"]), int(r["violations"]), bool(r["stated"]))


@dataclass(frozen=True)
class Index:
    """One measure of incoherence.

    Attributes:
        estimate: its value. Where it is not proved optimal this is the value of the best solution found, and a bound.
        optimal: whether the value is proved.
        other: the bound from the other side; the value itself where it is proved.
        cycle: the observations or items of the cycle that attains it, where one does.
        kept: the observations that stay, for Houtman and Maks; empty where all do.
        levels: for Varian's index the share of each budget that is kept.
        dropped: pairs that are given up, for swaps and the minimum cost index.
    """

    estimate: Estimate
    optimal: bool = True
    other: float = math.nan
    cycle: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()

    @property
    def value(self) -> float:
        """The figure."""
        return self.estimate.value

    @property
    def stated(self) -> bool:
        """Whether the index has a meaning for this kind of choices."""
        return self.estimate.status is not Status.UNSUPPORTED

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if not self.stated:
            return "not defined"
        if self.optimal:
            return self._shown(self.value)
        low, high = sorted((self.value, self.other))
        return f"between {self._shown(low)} and {self._shown(high)}"

    def _shown(self, value: float) -> str:
        """A count in full, a share in four digits."""
        return f"{value:.4g}" if self.estimate.unit == "1" else f"{value:,.0f}"

    def to_dict(self) -> dict[str, Any]:
        """The index as plain JSON values."""
        return {
            "estimate": self.estimate.to_dict(),
            "optimal": self.optimal,
            "other": None if math.isnan(self.other) else self.other,
            "cycle": list(self.cycle),
            "kept": list(self.kept),
            "levels": list(self.levels),
            "dropped": [list(pair) for pair in self.dropped],
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Index:
        """Read back what :meth:`to_dict` wrote."""
        dropped = tuple((str(a), str(b)) for a, b in r["dropped"])
        if not isinstance(r["estimate"], Mapping):
            raise CheckpointError("an index without its estimate", "an estimate record")
        return cls(
            Estimate.from_dict(r["estimate"]),
            bool(r["optimal"]),
            math.nan if r["other"] is None else float(r["other"]),
            tuple(map(str, r["cycle"])),
            tuple(map(str, r["kept"])),
            tuple(map(float, r["levels"])),
            dropped,
        )


def exact(value: float, unit: str = "1", **more: Any) -> Index:
    """An index that is proved."""
    return Index(Estimate(value, 0.0, unit, "exact"), True, value, **more)


def bounded(value: float, other: float, unit: str = "1", **more: Any) -> Index:
    """An index of which a solution and a bound are known: it lies between the two."""
    kind: Kind = "upper_bound" if other < value else "lower_bound"
    return Index(Estimate(value, 0.0, unit, kind, Status.BUDGET_SPENT), False, other, **more)


def unsupported() -> Index:
    """An index that has no meaning for this kind of choices.

    >>> str(unsupported()), str(exact(20243.0, "swaps"))
    ('not defined', '20,243')
    """
    return Index(Estimate(math.nan, math.nan, "1", "estimate", Status.UNSUPPORTED))
