"""What water-filling found, as values: one :class:`WaterFilling`, to and from plain JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TensorRate", "WaterFilling"]


@dataclass(frozen=True)
class TensorRate:
    """The bits of one tensor at the joint water level.

    Attributes:
        name: fully qualified.
        weights: how many.
        bits: of all of them together.
        per_weight: their mean.
        above_water: share of the weights that get any bits.
        spread: standard deviation that a weight of the tensor is taken to have.
    """

    name: str
    weights: int
    bits: Estimate
    per_weight: Estimate
    above_water: Estimate
    spread: float


@dataclass(frozen=True)
class WaterFilling(Record, schema="pindown/water-filling/1"):
    """The fewest bits for the weights at a rise of the loss by ε, for a Gaussian source and a quadratic loss.

    Attributes:
        subject, architecture, loss, unit, examples: what was measured; ``unit`` is the loss's.
        matrix: whose diagonal the curvature is.
        source: which variance a weight is taken to have, ``"rms"`` or ``"prior"``.
        probes: behind the curvature; 0 where it is exact.
        epsilon: the rise, in the loss's unit.
        relative: what it was asked for as a share of the baseline; None where it was asked for as it is.
        weights: how many.
        bits: of all weights together.
        per_weight: their mean.
        level: the water level θ: the rise that each weight above it contributes.
        above_water: share of the weights that get any bits.
        tensors: bits of each tensor at the joint level.
        predicted_rise: measured with weights sent through the Gaussian test channel at these rates: ε where the model
            holds.
        measured: bits at the water level where that measured rise is ε.
        measured_per_weight: their mean.
        trace: sum of the diagonal.
        seed, evaluations, seconds, version: how it was made.
        notes: what the figures do not say.
    """

    subject: str
    architecture: str
    loss: str
    unit: str
    examples: int
    matrix: str
    source: str
    probes: int
    epsilon: float
    relative: float | None
    weights: int
    bits: Estimate
    per_weight: Estimate
    level: float
    above_water: Estimate
    tensors: tuple[TensorRate, ...]
    predicted_rise: Estimate
    measured: Estimate
    measured_per_weight: Estimate
    trace: Estimate
    seed: int
    evaluations: int
    seconds: float
    version: str
    notes: tuple[str, ...]

    def summary(self) -> str:
        """The bits as plain text."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        lines = [
            f"{self.subject} ({self.architecture}): bits for a rise of the {self.loss} by {self.epsilon:.4g}{unit}",
            f"  all tensors              {self.bits}, {self.per_weight} a weight, {self.above_water} of them above 0",
        ]
        lines += [f"  {t.name:<24} {t.bits}, {t.per_weight} a weight" for t in self.tensors]
        lines.append(f"  measured rise at these rates: {self.predicted_rise}")
        lines.append(
            f"  where the measured rise is {self.epsilon:.4g}: {self.measured}, {self.measured_per_weight} a weight"
        )
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each tensor."""
        import pandas as pd

        rows = [
            {
                "tensor": t.name, "weights": t.weights, "bits": t.bits.value, "stderr": t.bits.stderr,
                "bits_per_weight": t.per_weight.value, "above_water": t.above_water.value,
                "status": t.bits.status.value,
            }
            for t in self.tensors
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        title = html.escape(self.summary().split("\n", 1)[0])
        return f"<p>{title}</p>{self.to_dataframe().round(4).to_html(index=False)}"
