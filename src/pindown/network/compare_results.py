"""A comparison of trained networks, as values: one :class:`NetworkComparison`, to and from plain JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ComparedMeasure", "ComparedNetwork", "Difference", "NetworkComparison"]


@dataclass(frozen=True)
class ComparedNetwork:
    """One network, or several training runs of it.

    Attributes:
        name, architecture, parameters: what it is.
        runs: names of its trained weights; a figure is their mean where there are several.
    """

    name: str
    architecture: str
    parameters: int
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """One network against another in one measure.

    Attributes:
        network, against: their names.
        difference: the first minus the second.
        paired: what it is paired over: ``"runs"``, ``"examples"``, ``"draws"``, or ``""``.
        outcome: ``"above"`` or ``"below"`` where the interval at the simultaneous level leaves out zero, else
            ``"not resolved"``.
    """

    network: str
    against: str
    difference: Estimate
    paired: str
    outcome: str


@dataclass(frozen=True)
class ComparedMeasure:
    """One measure of all networks.

    Attributes:
        name, words: of the measure.
        level: ``"function"``, ``"weights"``, or ``"unknown"`` for a measure of one's own.
        figures: one for each network.
        single: for each network those of its runs.
        differences: of each network to the one that all are compared with.
    """

    name: str
    words: str
    level: str
    figures: tuple[Estimate, ...]
    single: tuple[tuple[Estimate, ...], ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class NetworkComparison(Record, schema="pindown/network-comparison/1"):
    """Two or more trained networks side by side.

    Attributes:
        networks: what is compared; the first is what the others are compared with.
        measures: one row each.
        skipped: measures that do not apply, with the reason.
        epsilon: the rise of the loss that several measures are about.
        level: of the intervals behind the outcomes, so that all hold together with 95%.
        seed, seconds, version: how it was made.
        notes: what the figures do not say.
    """

    networks: tuple[ComparedNetwork, ...]
    measures: tuple[ComparedMeasure, ...]
    skipped: tuple[str, ...]
    epsilon: float
    level: float
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]

    def measure(self, name: str) -> ComparedMeasure:
        """The row of a measure."""
        return next(m for m in self.measures if m.name == name)

    def summary(self) -> str:
        """All figures and differences as plain text."""
        lines = [f"{n.name}: {n.architecture}, {n.parameters:,} parameters, {_runs(n)}" for n in self.networks]
        for m in self.measures:
            lines += ["", f"{m.words} ({m.name})"]
            lines += [f"  {n.name:<24} {e}" for n, e in zip(self.networks, m.figures, strict=True)]
            for d in m.differences:
                over = f", paired over {d.paired}" if d.paired else ""
                lines.append(f"  {d.network} minus {d.against}: {d.difference}{over}: {d.outcome}")
        lines += ["", *(f"Left out: {s}" for s in self.skipped), *(f"Note: {n}" for n in self.notes)]
        return "\n".join(lines).rstrip()

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each measure and network; differences beside those that are compared."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for m in self.measures:
            by_name = {d.network: d for d in m.differences}
            for n, e in zip(self.networks, m.figures, strict=True):
                low, high = e.interval()
                d = by_name.get(n.name)
                rows.append(
                    {
                        "measure": m.name, "network": n.name, "value": e.value, "low": low, "high": high,
                        "unit": e.unit, "kind": e.kind, "status": e.status.value, "level": m.level,
                        "difference": None if d is None else d.difference.value,
                        "difference_stderr": None if d is None else d.difference.stderr,
                        "paired": None if d is None else d.paired, "outcome": None if d is None else d.outcome,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        title = html.escape(" against ".join(n.name for n in self.networks))
        return f"<p>{title}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def _runs(network: ComparedNetwork) -> str:
    return "one network" if len(network.runs) == 1 else f"{len(network.runs)} training runs"
