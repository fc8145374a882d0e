"""What noise tolerance is, as values: one :class:`NoiseTolerance`, to and from plain JSON."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NoisePoint", "NoiseTolerance", "TensorTolerance"]


@dataclass(frozen=True)
class NoisePoint:
    """One point of the rise curve.

    Attributes:
        sigma: standard deviation of the noise, in root mean squares of each tensor.
        rise: of the mean training loss, its error over draws.
        held_out: rise of the mean held-out loss, its error over draws and examples; None without held-out data.
    """

    sigma: float
    rise: Estimate
    held_out: Estimate | None


@dataclass(frozen=True)
class TensorTolerance:
    """The noise that one tensor, or all of them, tolerates.

    Attributes:
        name: fully qualified, ``"all tensors"`` or ``"all weights"``.
        weights: how many.
        rms: root mean square of the weights; None for noise relative to each tensor's own.
        sigma: standard deviation of the noise, in root mean squares.
        absolute: the same in the weights' own unit; None where each tensor has its own.
        bits: log2 of rms/σ: how many leading bits count.
        draws: pairs of draws behind it.
    """

    name: str
    weights: int
    rms: float | None
    sigma: Estimate
    absolute: Estimate | None
    bits: Estimate
    draws: int


@dataclass(frozen=True)
class NoiseTolerance(Record, schema="pindown/noise-tolerance/1"):
    """How much Gaussian noise the weights of a network tolerate.

    Attributes:
        subject, architecture, loss, unit, examples, held_out_examples: what was measured; ``unit`` is the loss's.
        baseline: the training loss of the weights as given.
        epsilon: the rise that is asked about, in the loss's unit.
        relative: what it was asked for as a share of the baseline; None where it was asked for as it is.
        joint: noise on all tensors, each relative to its root mean square.
        absolute: the same noise on all weights; ``sigma`` is then in root mean squares of all of them.
        tensors: noise on one tensor at a time, in the module's order.
        curve: the rise around the joint crossing.
        held_out_rise: of the held-out loss at the joint crossing; None without held-out data.
        influence: of each draw on ln of the joint σ, for paired comparisons.
        falls: larger σ at which the measured rise is below ε again, where there were some: the rise does not only grow.
        seed, accuracy, evaluations, seconds, version: how it was made.
        notes: what the figures do not say.
    """

    subject: str
    architecture: str
    loss: str
    unit: str
    examples: int
    held_out_examples: int
    baseline: Estimate
    epsilon: float
    relative: float | None
    joint: TensorTolerance
    absolute: TensorTolerance
    tensors: tuple[TensorTolerance, ...]
    curve: tuple[NoisePoint, ...]
    held_out_rise: Estimate | None
    influence: tuple[float, ...]
    falls: tuple[float, ...]
    seed: int
    accuracy: float
    evaluations: int
    seconds: float
    version: str
    notes: tuple[str, ...]

    def summary(self) -> str:
        """The tolerances as plain text."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        lines = [
            f"{self.subject} ({self.architecture}): noise at which the {self.loss} has risen by "
            f"{self.epsilon:.4g}{unit} from {self.baseline.value:.4g}",
        ]
        for row in (self.joint, self.absolute, *self.tensors):
            alone = "" if row.absolute is None else f", {row.absolute} absolute"
            lines.append(f"  {row.name:<24} σ = {row.sigma}{alone}; log2(rms/σ) = {row.bits}")
        if self.held_out_rise is not None:
            lines.append(f"  held-out loss rises there by {self.held_out_rise}")
        if self.falls:
            lines.append(f"  not monotone: below ε again at σ = {', '.join(f'{s:.3g}' for s in self.falls)}")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each kind of noise."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for row in (self.joint, self.absolute, *self.tensors):
            low, high = row.sigma.interval()
            absolute = math.nan if row.absolute is None else row.absolute.value
            rows.append(
                {
                    "tensor": row.name, "weights": row.weights, "sigma": row.sigma.value, "sigma_low": low,
                    "sigma_high": high, "absolute": absolute, "bits": row.bits.value, "kind": row.sigma.kind,
                    "status": row.sigma.status.value, "draws": row.draws,
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        title = html.escape(self.summary().split("\n", 1)[0])
        return f"<p>{title}</p>{self.to_dataframe().round(4).to_html(index=False)}"
