"""Single levels, the bracket between them, and what one tensor tolerates, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pindown.estimate import Estimate, Status

__all__ = ["Bracket", "Decision", "Level", "TensorPlanes", "own_fields"]

Decision = Literal["tolerated", "not tolerated", "undecided"]


@dataclass(frozen=True)
class Level:
    """The loss with some of the low-order planes random.

    Attributes:
        planes: how many are random; -1 where each tensor has a number of its own.
        kind: what the highest of them is part of: ``"mantissa"``, ``"exponent"``, ``"sign"``; empty at 0 and -1.
        draws: how many were made.
        nonfinite: in how many of them the loss was NaN or infinite; any makes the level one that is not tolerated.
        rise: mean rise of the loss over the baseline.
        decision: whether it is at most ε, with the stated confidence.
    """

    planes: int
    kind: str
    draws: int
    nonfinite: int
    rise: Estimate
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """The level as plain JSON values."""
        return {**vars(self), "rise": self.rise.to_dict()}

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Level:
        """Read back what :meth:`to_dict` wrote."""
        return cls(**own_fields(cls, r, rise=Estimate.from_dict(r["rise"])))


@dataclass(frozen=True)
class Bracket:
    """How many low-order planes may be random.

    Attributes:
        low: the most that are tolerated with confidence.
        high: the most that may be: one more is not tolerated with confidence. Equal to ``low`` where it is decided.
        fits: whether rounding to the format alone is tolerated.
        levels: what was measured, from few planes to many.
        non_monotone: levels that speak against a rise that grows with the planes: tolerated above the bracket, or
            undecided below it. A level that is not tolerated is never below the answer.
        confidence: of each decision.
    """

    low: int
    high: int
    fits: bool
    levels: tuple[Level, ...]
    non_monotone: tuple[int, ...]
    confidence: float

    @property
    def tolerated(self) -> Estimate:
        """The number of planes: an estimate where it is decided, else a lower bound."""
        reference = f"decided at {self.confidence:.0%} confidence a level"
        if self.low == self.high:
            return Estimate(float(self.low), 0.0, "bits", "estimate", Status.REACHED, reference)
        return Estimate(float(self.low), 0.0, "bits", "lower_bound", Status.NOT_CONVERGED, reference)

    @property
    def draws(self) -> int:
        """Losses that were computed for it."""
        return sum(v.draws for v in self.levels)

    def to_dict(self) -> dict[str, Any]:
        """The bracket as plain JSON values."""
        return {
            **vars(self),
            "levels": [v.to_dict() for v in self.levels],
            "non_monotone": list(self.non_monotone),
            "tolerated": self.tolerated.to_dict(),
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Bracket:
        """Read back what :meth:`to_dict` wrote."""
        levels = tuple(Level.from_dict(v) for v in r["levels"])
        return cls(**own_fields(cls, r, levels=levels, non_monotone=tuple(r["non_monotone"])))


@dataclass(frozen=True)
class TensorPlanes:
    """One tensor of weights.

    Attributes:
        name, aliases: fully qualified; of a tied tensor also its other names.
        layer: type of the module that holds it.
        shape, size, dtype: as the module has it.
        bracket: how many planes may be random; None where it cannot be measured.
        saturated: entries beyond the format's range.
        unsupported: why it cannot be measured; empty where it can.
    """

    name: str
    aliases: tuple[str, ...]
    layer: str
    shape: tuple[int, ...]
    size: int
    dtype: str
    bracket: Bracket | None
    saturated: int
    unsupported: str

    @property
    def tolerated(self) -> Estimate:
        """How many low-order planes may be random in this tensor alone."""
        if self.bracket is None:
            return Estimate(math.nan, math.nan, "bits", "estimate", Status.UNSUPPORTED, self.unsupported)
        return self.bracket.tolerated

    def to_dict(self) -> dict[str, Any]:
        """The tensor as plain JSON values."""
        return {
            **vars(self),
            "aliases": list(self.aliases),
            "shape": list(self.shape),
            "bracket": None if self.bracket is None else self.bracket.to_dict(),
            "tolerated": self.tolerated.to_dict(),
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> TensorPlanes:
        """Read back what :meth:`to_dict` wrote."""
        inner = None if r["bracket"] is None else Bracket.from_dict(r["bracket"])
        names = {"aliases": tuple(r["aliases"]), "shape": tuple(r["shape"])}
        return cls(**own_fields(cls, r, bracket=inner, **names))


def own_fields(cls: type[Any], r: Mapping[str, Any], **read: Any) -> dict[str, Any]:
    """Of a record what ``cls`` has fields for, with those that were read already in place of their records."""
    return {f.name: read.get(f.name, r[f.name]) for f in fields(cls)}
