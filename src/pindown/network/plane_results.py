"""What the bit planes of a network are, as values: one :class:`BitPlanes`, to and from plain JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.plane_levels import Bracket, Level, TensorPlanes
from pindown.network.plane_words import recommendation, summary
from pindown.network.record import Part, Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Allocation", "BitPlanes", "FormatChoice", "FormatRise"]


@dataclass(frozen=True)
class Allocation(Part, also=("status",)):
    """Bits kept in each tensor so that the rise of all together stays within ε.

    Attributes:
        kept: planes that are kept, by name.
        predicted: the rise that the sensitivities add up to.
        verified: the rise with all of them applied at once, measured.
        rounded: the rise when every tensor is rounded to its kept planes instead, measured; None where more than the
            mantissa is random.
        bits: kept bits in all.
        bound: no allocation within the last budget keeps fewer by the same sensitivities.
        rounds: how many allocations were tried.
    """

    kept: Mapping[str, int]
    predicted: Estimate
    verified: Level
    rounded: Estimate | None
    bits: int
    bound: float
    rounds: int

    @property
    def status(self) -> Status:
        """``reached`` where the measured rise is within ε with confidence."""
        return Status.REACHED if self.verified.decision == "tolerated" else Status.NOT_CONVERGED


@dataclass(frozen=True)
class FormatRise(Part):
    """The loss with weights rounded to the nearest in a format that deployments use.

    Attributes:
        target: the format.
        together: the rise with every weight tensor rounded at once; one-axis tensors only by 16-bit formats.
        alone: the rise with one tensor rounded, by name, where it was asked.
        bits_per_weight: over all measured tensors, scales included.
    """

    target: str
    together: Estimate
    alone: Mapping[str, Estimate]
    bits_per_weight: float


@dataclass(frozen=True)
class FormatChoice(Part):
    """The cheapest format found for each tensor whose rises together stay within ε.

    Attributes:
        target: format by name of tensor; ``"own"`` where it stays as it is.
        predicted: the sum of the rises of single tensors.
        verified: the rise with all of them rounded at once: measured, and not random.
        exported: the same with the weights of ``nn.Linear`` in 8 bits or fewer alone: what quantisation packages do.
        bits_per_weight: over all measured tensors, scales included.
        rounds: how many choices were tried.
    """

    target: Mapping[str, str]
    predicted: Estimate
    verified: Estimate
    exported: Estimate
    bits_per_weight: float
    rounds: int


@dataclass(frozen=True)
class BitPlanes(Record, schema="pindown/bitplanes/1", also=("recommendation",)):
    """How many low-order bits of a network's weights carry nothing that the loss would miss.

    Attributes:
        subject, architecture, loss, data, examples: what was measured.
        baseline: the loss of the weights as they are.
        format, bits, mantissa, exponent: the number format and its planes, lowest first.
        epsilon: the largest rise of the mean loss that is tolerated, in the loss's own unit.
        relative: what it was asked for as a share of the baseline; None where it was asked for as it is.
        tensors: one :class:`TensorPlanes` each, in the module's order.
        joint: the same number of planes random in all tensors at once.
        together: every tensor's own answer applied at once: what adding up layerwise answers costs.
        allocation: bits kept in each tensor, within ε together.
        formats: rounding to the formats that deployments use.
        choice: the cheapest of those for each tensor, within ε together.
        seed, confidence, evaluations, seconds, version, notes: how it was made.
    """

    subject: str
    architecture: str
    loss: str
    data: str
    examples: int
    baseline: Estimate
    format: str
    bits: int
    mantissa: int
    exponent: int
    epsilon: float
    relative: float | None
    tensors: tuple[TensorPlanes, ...]
    joint: Bracket
    together: Level
    allocation: Allocation
    formats: tuple[FormatRise, ...]
    choice: FormatChoice
    seed: int
    confidence: float
    evaluations: int
    seconds: float
    version: str
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> TensorPlanes:
        """The tensor of a name, or of one of its other names.

        Raises:
            InputError: where there is none.
        """
        for t in self.tensors:
            if name in (t.name, *t.aliases):
                return t
        raise InputError(f"tensor {name!r}", f"one of {', '.join(t.name for t in self.tensors)}")

    @property
    def measured(self) -> tuple[TensorPlanes, ...]:
        """The tensors that could be measured."""
        return tuple(t for t in self.tensors if t.bracket is not None)

    def ranking(self) -> list[str]:
        """Names of the measured tensors, those that tolerate most first; what is unsupported has no rank."""
        order = {t.name: i for i, t in enumerate(self.tensors)}
        return [t.name for t in sorted(self.measured, key=lambda t: (-t.tolerated.value, order[t.name]))]

    @property
    def recommendation(self) -> str:
        """What is safe to quantise to what, in plain words, with its joint check."""
        return recommendation(self)

    def summary(self) -> str:
        """The recommendation, the joint figures and one line a tensor as plain text."""
        return summary(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a tensor: how many planes may be random, what is kept jointly, and the format chosen."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for t in self.tensors:
            b = t.bracket
            rows.append(
                {
                    "tensor": t.name,
                    "layer": t.layer,
                    "size": t.size,
                    "tolerated": math.nan if b is None else b.low,
                    "tolerated_high": math.nan if b is None else b.high,
                    "status": t.tolerated.status.value,
                    "kept_alone": math.nan if b is None else self.bits - b.low,
                    "kept_jointly": self.allocation.kept.get(t.name, math.nan),
                    "quantise_to": self.choice.target.get(t.name, ""),
                    "draws": 0 if b is None else b.draws,
                    "unsupported": t.unsupported,
                }
            )
        return pd.DataFrame(rows)

    def levels(self) -> pd.DataFrame:
        """One row for each tensor and level that was measured: what a heat map draws."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, b in (*((t.name, t.bracket) for t in self.tensors), ("all tensors", self.joint)):
            for v in () if b is None else b.levels:
                rows.append(
                    {
                        "tensor": name,
                        "planes": v.planes,
                        "kind": v.kind,
                        "rise": v.rise.value,
                        "stderr": v.rise.stderr,
                        "decision": v.decision,
                        "draws": v.draws,
                        "nonfinite": v.nonfinite,
                    }
                )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        table = self.to_dataframe().to_html(index=False)
        return f"<p>{html.escape(self.recommendation)}</p>{table}"
