"""Records of Fermi estimates, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = ["Curve", "Fermi", "Outcome", "Sensitivity", "Swing", "read_fermi"]


@dataclass(frozen=True)
class Percentile:
    """One point of a distribution."""

    percent: float
    estimate: Estimate


@dataclass(frozen=True)
class Density:
    """A histogram, on a logarithmic axis or not."""

    edges: tuple[float, ...]
    heights: tuple[float, ...]
    log: bool


@dataclass(frozen=True)
class Outcome:
    """One quantity on the answer's axis."""

    name: str
    bound: str
    percentiles: tuple[Percentile, ...]
    density: Density | None
    source: str

    @property
    def points(self) -> tuple[Estimate, ...]:
        """Its percentiles, lowest first."""
        return tuple(p.estimate for p in sorted(self.percentiles, key=lambda p: p.percent))


@dataclass(frozen=True)
class Sensitivity:
    """Sobol' indices of an input or a group."""

    name: str
    members: tuple[str, ...]
    first: Estimate
    total: Estimate


@dataclass(frozen=True)
class Swing:
    """One bar of the tornado."""

    name: str
    unit: str
    input_low: float
    input_high: float
    low: float
    high: float
    middle: float


@dataclass(frozen=True)
class Curve:
    """The answer given one input."""

    name: str
    unit: str
    at: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Node:
    """One quantity in its own unit."""

    name: str
    unit: str
    bound: str
    how: str
    source: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Fermi:
    """An estimate."""

    SCHEMA: ClassVar[str] = "pindown/fermi/1"
    MADE_BY: ClassVar[str] = "pindown fermi"
    verdict: str
    title: str
    answer: Outcome
    unit: str
    dominant: str
    sensitivity: tuple[Sensitivity, ...]
    swings: tuple[Swing, ...]
    curves: tuple[Curve, ...]
    routes: tuple[Outcome, ...]
    combined: tuple[Outcome, ...]
    contradiction: Estimate | None
    beside: tuple[Outcome, ...]
    nodes: tuple[Node, ...]
    log: bool
    samples: int
    runs: int
    evaluations: int
    seed: int
    seconds: float | None
    version: str
    notes: tuple[str, ...]


def read_fermi(record: Mapping[str, Any]) -> Fermi:
    """The record of an estimate, checked.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    read = read_as(Fermi, Reader(record, "record"))
    for outcome in (read.answer, *read.routes, *read.combined, *read.beside):
        if not outcome.percentiles:
            raise CheckpointError(
                f"record: {outcome.name!r} without percentiles", "one or more", "the record is damaged: run it again"
            )
        d = outcome.density
        if d is not None and len(d.edges) != len(d.heights) + 1:
            raise CheckpointError(
                f"record: a density with {len(d.edges)} edges and {len(d.heights)} heights", "one edge more",
                "the record is damaged: run it again",
            )  # fmt: skip
    for curve in read.curves:
        if len({len(curve.at), len(curve.low), len(curve.middle), len(curve.high)}) != 1:
            raise CheckpointError(
                f"record: the curve of {curve.name!r} has gaps", "as many values of each kind",
                "the record is damaged: run it again",
            )  # fmt: skip
    return read
