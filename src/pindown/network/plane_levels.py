"""Single levels, the bracket between them, and what one tensor tolerates, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from pindown.estimate import Estimate, Status
from pindown.network.record import Part

__all__ = ["Bracket", "Decision", "Level", "TensorPlanes"]

Decision = Literal["tolerated", "not tolerated", "undecided"]


@dataclass(frozen=True)
class Level(Part):
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


@dataclass(frozen=True)
class Bracket(Part, also=("tolerated",)):
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
        r"""The number of planes: an estimate where it is decided, else a lower bound.

        It is a whole number, and each of the two decisions next to it, for which the rise has to be on the other side
        of ε, errs with a probability of at most (1 − c)/2 at the confidence c. So it is off by a plane or more with a
        probability of at most 1 − c, and the standard error is that of a normal variable with just these tails,

        .. math:: s = \frac{1}{\Phi^{-1}((1 + c)/2)},

        0.51 planes at 95%. Where not even rounding to the format is tolerated nothing random was decided: it is 0.
        """
        reference = f"decided at {self.confidence:.0%} confidence a level"
        if not self.fits:
            return Estimate(0.0, 0.0, "bits", "exact", Status.REACHED, "rounding to the format alone is too much")
        if self.low == self.high:
            error = 1.0 / NormalDist().inv_cdf(0.5 * (1.0 + self.confidence))
            return Estimate(float(self.low), error, "bits", "estimate", Status.REACHED, reference)
        return Estimate(float(self.low), 0.0, "bits", "lower_bound", Status.NOT_CONVERGED, reference)

    @property
    def draws(self) -> int:
        """Losses that were computed for it."""
        return sum(v.draws for v in self.levels)


@dataclass(frozen=True)
class TensorPlanes(Part, also=("tolerated",)):
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
