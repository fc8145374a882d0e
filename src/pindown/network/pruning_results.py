"""What pruning found, as values: one :class:`Pruning`, to and from plain JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fall", "Pruning", "PruningCurve", "PruningPoint", "TensorShare"]


@dataclass(frozen=True)
class PruningPoint:
    """One point of a curve.

    Attributes:
        pruned: units that are gone.
        kept: share of the weights that is left.
        rise: of the mean training loss, paired over examples.
        error: training error; None without classes.
        held_out_rise, held_out_error: the same on the held-out examples; None without them.
    """

    pruned: int
    kept: float
    rise: Estimate
    error: Estimate | None
    held_out_rise: Estimate | None
    held_out_error: Estimate | None


@dataclass(frozen=True)
class Fall:
    """A stretch along which the loss falls although more is pruned.

    Attributes:
        from_kept, to_kept: its ends.
        fall: by how much, paired over examples.
    """

    from_kept: float
    to_kept: float
    fall: Estimate


@dataclass(frozen=True)
class PruningCurve:
    """One order of pruning.

    Attributes:
        order: ``"magnitude"``, ``"saliency"`` or ``"random"``.
        draws: orders that it is a mean over; 1 unless random.
        units: weights, or channels, that can go.
        pruned: how many are gone at the threshold.
        kept: the threshold: the share of the weights kept at the first crossing of ε. An upper bound where everything
            can go, a lower bound of 1 where nothing can, both *out of range*; *unsupported* without anything to prune.
        at: the point at the threshold; None where there is none.
        points: the curve, from all kept to none.
        falls: where the curve is not monotone.
        below_again: shares kept beyond the threshold at which the rise is at most ε again.
        replicates: bootstrap replicates of ``kept``.
    """

    order: str
    draws: int
    units: int
    pruned: int
    kept: Estimate
    at: PruningPoint | None
    points: tuple[PruningPoint, ...]
    falls: tuple[Fall, ...]
    below_again: tuple[float, ...]
    replicates: tuple[float, ...]


@dataclass(frozen=True)
class TensorShare:
    """What is left of one tensor at the threshold.

    Attributes:
        name: fully qualified.
        weights: how many there are.
        kept: share that is left.
    """

    name: str
    weights: int
    kept: float


@dataclass(frozen=True)
class Pruning(Record, schema="pindown/pruning/1"):
    """How much of a network can go before its loss rises by ε.

    Attributes:
        subject, architecture, loss, unit, examples, held_out_examples: what was measured; ``unit`` is the loss's.
        structured: whether whole channels go, or single weights.
        scope: whether they are ranked over all tensors (``"global"``) or in each one (``"tensor"``).
        baseline: the training loss of the weights as given.
        epsilon: the rise that is asked about, in the loss's unit.
        relative: what it was asked for as a share of the baseline; None where it was asked for as it is.
        weights: how many weights the shares are of.
        curve: the order asked for.
        control: random orders; None where they were not asked for.
        advantage: share kept by random pruning minus that of the curve, resampled together; None without a control.
        tensors: what is left of each tensor at the threshold.
        unsupported: parts that cannot be pruned so, with the reason.
        seed, evaluations, seconds, version: how it was made.
        notes: what the figures do not say.
    """

    subject: str
    architecture: str
    loss: str
    unit: str
    examples: int
    held_out_examples: int
    structured: bool
    scope: str
    baseline: Estimate
    epsilon: float
    relative: float | None
    weights: int
    curve: PruningCurve
    control: PruningCurve | None
    advantage: Estimate | None
    tensors: tuple[TensorShare, ...]
    unsupported: tuple[str, ...]
    seed: int
    evaluations: int
    seconds: float
    version: str
    notes: tuple[str, ...]

    @property
    def kept(self) -> Estimate:
        """The threshold of the order asked for."""
        return self.curve.kept

    def summary(self) -> str:
        """The thresholds as plain text."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        what = "channels" if self.structured else "weights"
        lines = [
            f"{self.subject} ({self.architecture}): pruning {what} until the {self.loss} has risen by "
            f"{self.epsilon:.4g}{unit} from {self.baseline.value:.4g}",
        ]
        for curve in (self.curve, self.control):
            if curve is None:
                continue
            lines.append(f"  {curve.order:<10} share of {self.weights:,} weights kept: {curve.kept}")
            if curve.at is not None and curve.at.held_out_rise is not None:
                lines.append(f"             held-out loss rises there by {curve.at.held_out_rise}")
            if curve.falls:
                lines.append(f"             not monotone: the loss falls along {len(curve.falls)} of the steps")
        if self.advantage is not None:
            lines.append(f"  {self.curve.order} keeps less than random pruning by {self.advantage}")
        lines += [f"  unsupported: {u}" for u in self.unsupported]
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each point of each curve."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for curve in (self.curve, self.control):
            for p in () if curve is None else curve.points:
                low, high = p.rise.interval()
                named = {"error": p.error, "held_out_rise": p.held_out_rise, "held_out_error": p.held_out_error}
                assert curve is not None
                rows.append(
                    {"order": curve.order, "kept": p.kept, "rise": p.rise.value, "rise_low": low, "rise_high": high}
                    | {k: None if e is None else e.value for k, e in named.items()}
                )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        lines = html.escape(self.summary()).replace("\n", "<br>")
        return f"<p>{lines}</p>{self.to_dataframe().round(4).to_html(index=False)}"
