"""The mass of the basin around trained weights, as values, to and from plain JSON."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.record import Part, Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Basin", "BasinPoint"]


@dataclass(frozen=True)
class BasinPoint(Part):
    """The basin at one cutoff.

    Attributes:
        cutoff: the loss.
        bits: −log2 of the prior mass of what can be reached from the weights below the cutoff, by the bridge; an upper
            bound where its runs did not converge. None where it was not asked for.
        radial: the bits that the basin does not exceed, at 95% confidence, from the star-shaped part of it.
        radial_mean: −log2 of the mean over rays, without the margin of the bound.
        radial_spread: standard deviation over rays of the bits of one ray. Above a few bits the mean rests on the
            luckiest rays, and the bound lies far above the truth.
        radial_size: Kish's effective number of rays.
        radius: median distance to the cutoff along a ray, in the prior's standard deviations.
    """

    cutoff: float
    bits: Estimate | None
    radial: Estimate | None
    radial_mean: float | None
    radial_spread: float | None
    radial_size: float | None
    radius: float | None

    @property
    def best(self) -> Estimate:
        """The bridge's figure where there is one, else the bound from rays."""
        found = self.bits if self.bits is not None else self.radial
        assert found is not None
        return found


@dataclass(frozen=True)
class Basin(Record, schema="pindown/basin/1"):
    """How much of the prior lies around trained weights below a loss.

    Attributes:
        subject, solution, loss: names.
        reference: the prior.
        parameters: D.
        loss_at_weights: mean training loss there.
        cutoff: the loss that was asked for.
        curve: from the highest cutoff to the lowest.
        directions: of the quadratic model.
        rays: of each bound; 0 where there is none.
        runs: independent runs of the bridge; 0 where there is none. The rest is the mean over them, or NaN:
        tether: strength of the tether at which the bridge begins.
        stages: of the path.
        acceptance, swaps: lowest over stages of the trajectories' and the exchanges' acceptance.
        distance: how far from the weights the chains get at the highest cutoff: root mean square per coordinate, in the
            prior's standard deviations. Two independent draws from the prior are √2 apart.
        evaluations: losses, ``radial_evaluations`` of them for the rays; ``products`` with the Hessian.
        moved: weights outside the prior's support that had to be moved inside.
        remarks: what is not as it may seem, in sentences.
        seed, seconds: how it was made.
    """

    subject: str
    solution: str
    loss: str
    reference: str
    parameters: int
    loss_at_weights: float
    cutoff: float
    curve: tuple[BasinPoint, ...]
    directions: int
    rays: int
    runs: int
    tether: float
    stages: float
    acceptance: float
    swaps: float
    distance: float
    evaluations: int
    radial_evaluations: int
    products: int
    moved: int
    remarks: tuple[str, ...]
    seed: int
    seconds: float

    @property
    def at_cutoff(self) -> BasinPoint:
        """The curve's point at :attr:`cutoff`."""
        return min(self.curve, key=lambda p: abs(p.cutoff - self.cutoff))

    @property
    def bits(self) -> Estimate:
        """Bits at :attr:`cutoff`: by the bridge, or else the bound from rays."""
        return self.at_cutoff.best

    def summary(self) -> str:
        """The curve and what it rests on as plain text."""
        lines = [
            f"{self.subject}, {self.solution}: basin of the {self.loss} ({self.parameters:,} parameters; "
            f"{self.reference})",
            f"  loss at the weights {self.loss_at_weights:.4g}",
        ]
        for p in self.curve:
            parts = [] if p.bits is None else [f"{p.bits}"]
            if p.radial is not None and p.radial_spread is not None and p.radial_mean is not None:
                parts.append(f"star-shaped {p.radial} (rays' mean {p.radial_mean:.1f}, spread {p.radial_spread:.2g})")
            lines.append(f"  loss ≤ {p.cutoff:<9.4g} {'; '.join(parts)}")
        if self.runs:
            lines.append(
                f"  {self.runs} runs of {self.stages:.0f} stages from a tether of {self.tether:.3g}, acceptance at "
                f"least {self.acceptance:.2f}, exchanges {self.swaps:.2f}; chains got {self.distance:.2f} prior "
                "deviations away"
            )
        return "\n".join([*lines, *(f"  Remark: {r}" for r in self.remarks)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cutoff."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for p in self.curve:
            low, high = p.best.interval()
            rows.append(
                {
                    "cutoff": p.cutoff,
                    "bits": p.best.value,
                    "low": low,
                    "high": high,
                    "kind": p.best.kind,
                    "status": p.best.status.value,
                    "radial_bound": math.nan if p.radial is None else p.radial.value,
                    "radial_mean": p.radial_mean,
                    "radial_spread": p.radial_spread,
                }
            )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        remarks = "".join(f"<li>{html.escape(r)}</li>" for r in self.remarks)
        return f"{self.to_dataframe().round(3).to_html(index=False)}<ul>{remarks}</ul>"
