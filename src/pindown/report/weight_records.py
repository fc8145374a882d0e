"""What was found about the weights of one trained network, as typed views: planes, pruning, noise, spread, rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate

__all__ = ["Allocation", "BitPlanes", "Bracket", "Concentration", "FormatChoice", "FormatRise", "Level", "Noise"]
__all__ += [
    "NoisePoint",
    "NoiseRow",
    "PlaneTensor",
    "Pruning",
    "PruningCurve",
    "PruningPoint",
    "RateRow",
    "Spread",
    "TensorShare",
]
__all__ += ["WaterFilling"]


_MOST_BITS = 64


@dataclass(frozen=True)
class Level:
    """The loss with some of the low-order planes random; ``planes`` is -1 where each tensor has its own number."""

    planes: int
    draws: float | None
    nonfinite: float | None
    rise: Estimate
    decision: str


@dataclass(frozen=True)
class Bracket:
    """How many planes may be random: ``low`` for certain, ``high`` at most."""

    low: int
    high: int
    fits: bool
    levels: tuple[Level, ...]
    tolerated: Estimate


@dataclass(frozen=True)
class PlaneTensor:
    """One tensor of weights; without a bracket where it cannot be measured."""

    name: str
    layer: str
    size: float | None
    bracket: Bracket | None
    saturated: float | None
    unsupported: str
    tolerated: Estimate | None


@dataclass(frozen=True)
class Allocation:
    """Planes kept in each tensor, within ε together."""

    kept: Mapping[str, float]
    predicted: Estimate | None
    verified: Level
    rounded: Estimate | None
    bits: float | None


@dataclass(frozen=True)
class FormatRise:
    """All tensors rounded to one format."""

    target: str
    together: Estimate | None
    bits_per_weight: float | None


@dataclass(frozen=True)
class FormatChoice:
    """A format for each tensor, within ε together."""

    target: Mapping[str, str]
    predicted: Estimate | None
    verified: Estimate | None
    exported: Estimate | None
    bits_per_weight: float | None


@dataclass(frozen=True)
class BitPlanes:
    """How many low-order bits carry nothing."""

    SCHEMA: ClassVar[str] = "pindown/bitplanes/1"
    POSITIVE: ClassVar[tuple[str, ...]] = ("epsilon", "bits")
    subject: str
    architecture: str
    loss: str
    data: str
    examples: float | None
    baseline: Estimate | None
    format: str
    bits: int
    mantissa: int
    exponent: int
    epsilon: float
    tensors: tuple[PlaneTensor, ...]
    joint: Bracket | None
    together: Level | None
    allocation: Allocation | None
    formats: tuple[FormatRise, ...]
    choice: FormatChoice | None
    seed: float | None
    confidence: float | None
    evaluations: float | None
    seconds: float | None
    version: str
    notes: tuple[str, ...]
    recommendation: str

    def __post_init__(self) -> None:
        parts = self.mantissa + self.exponent + 1
        if self.bits > _MOST_BITS or min(self.mantissa, self.exponent) < 0 or parts != self.bits:
            raise CheckpointError(
                f"a format of {self.bits} bits, {self.mantissa} of them mantissa and {self.exponent} exponent",
                f"a sign and these to add up, to at most {_MOST_BITS}",
                "the record is damaged: run it again",
            )

    @property
    def measured_weights(self) -> float:
        """How many weights the measured tensors hold."""
        return sum(t.size or 0.0 for t in self.tensors if t.bracket is not None)


@dataclass(frozen=True)
class PruningPoint:
    """One point of a pruning curve."""

    kept: float
    rise: Estimate


@dataclass(frozen=True)
class PruningCurve:
    """One order of pruning, and the share kept where its rise first crosses ε."""

    order: str
    draws: float | None
    kept: Estimate | None
    points: tuple[PruningPoint, ...]


@dataclass(frozen=True)
class TensorShare:
    """What is left of one tensor at the threshold."""

    name: str
    weights: float | None
    kept: float | None


@dataclass(frozen=True)
class Pruning:
    """How much can go."""

    SCHEMA: ClassVar[str] = "pindown/pruning/1"
    POSITIVE: ClassVar[tuple[str, ...]] = ("epsilon",)
    loss: str
    epsilon: float
    structured: bool
    scope: str
    examples: float | None
    weights: float | None
    curve: PruningCurve
    control: PruningCurve | None
    advantage: Estimate | None
    tensors: tuple[TensorShare, ...]
    unsupported: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NoisePoint:
    """The rise at one standard deviation of the noise, in root mean squares of each tensor."""

    sigma: float
    rise: Estimate


@dataclass(frozen=True)
class NoiseRow:
    """The noise that one tensor, or all of them, tolerates; ``bits`` is log2 of root mean square over σ."""

    name: str
    weights: float | None
    sigma: Estimate | None
    bits: Estimate | None
    draws: float | None


@dataclass(frozen=True)
class Noise:
    """How much Gaussian noise the weights tolerate."""

    SCHEMA: ClassVar[str] = "pindown/noise-tolerance/1"
    POSITIVE: ClassVar[tuple[str, ...]] = ("epsilon",)
    loss: str
    epsilon: float
    joint: NoiseRow | None
    absolute: NoiseRow | None
    tensors: tuple[NoiseRow, ...]
    curve: tuple[NoisePoint, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """How unevenly squared weights are spread in one tensor, or in all, and at initialisation."""

    name: str
    weights: float | None
    gini: Estimate | None
    participation: Estimate | None
    share: Estimate | None
    prior_gini: Estimate | None
    prior_share: Estimate | None


@dataclass(frozen=True)
class Concentration:
    """How unevenly the squared weights are spread."""

    SCHEMA: ClassVar[str] = "pindown/concentration/1"
    whole: Spread | None
    tensors: tuple[Spread, ...]
    draws: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RateRow:
    """The bits of one tensor at the joint water level."""

    name: str
    weights: float | None
    bits: Estimate | None
    per_weight: Estimate | None
    above_water: Estimate | None


@dataclass(frozen=True)
class WaterFilling:
    """The fewest bits at a rise of ε, for a Gaussian source and a quadratic loss."""

    SCHEMA: ClassVar[str] = "pindown/water-filling/1"
    POSITIVE: ClassVar[tuple[str, ...]] = ("epsilon",)
    loss: str
    epsilon: float
    source: str
    weights: float | None
    bits: Estimate | None
    per_weight: Estimate | None
    above_water: Estimate | None
    tensors: tuple[RateRow, ...]
    predicted_rise: Estimate | None
    measured: Estimate | None
    measured_per_weight: Estimate | None
    notes: tuple[str, ...]
