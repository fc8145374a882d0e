"""The record of a compression study, as the report reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pindown.estimate import Estimate

__all__ = [
    "Answer",
    "BothSamplers",
    "Curve",
    "Figure",
    "FunctionCount",
    "Lane",
    "Named",
    "Point",
    "Samplers",
    "Study",
    "Verdict",
]


@dataclass(frozen=True)
class Verdict:
    """See ``pindown.studies.results.Verdict``."""

    claim: str
    outcome: str
    rule: str
    because: str


@dataclass(frozen=True)
class Figure:
    """One figure of a question."""

    group: str
    name: str
    value: Estimate


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    x: float
    y: Estimate


@dataclass(frozen=True)
class Curve:
    """Figures along an axis."""

    chart: str
    name: str
    x: str
    y: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Lane:
    """One figure on a chart of several measures on one axis."""

    chart: str
    series: str
    row: str
    unit: str
    value: Estimate


@dataclass(frozen=True)
class BothSamplers:
    """One figure for each sampler."""

    optimiser: Estimate
    random: Estimate


@dataclass(frozen=True)
class FunctionCount:
    """How often each sampler found one function."""

    function: str
    optimiser: int
    random: int


@dataclass(frozen=True)
class Samplers:
    """What the report shows of a sampler comparison."""

    draws: int
    attempted: int
    random_draws: int
    reached: Estimate
    total_variation: Estimate
    null: Estimate
    corrected_total_variation: Estimate
    held_out_total_variation: Estimate
    relative_entropy: Estimate
    entropy_bits: BothSamplers
    unseen: BothSamplers
    rank_correlation: Estimate
    log_correlation: Estimate
    counts: tuple[FunctionCount, ...]


@dataclass(frozen=True)
class Named:
    """One optimiser against random solutions."""

    name: str
    task: str
    among: str
    comparison: Samplers


@dataclass(frozen=True)
class Answer:
    """One question answered."""

    question: int
    title: str
    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...]
    comparisons: tuple[Named, ...]
    notes: tuple[str, ...]
    seconds: float
    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Study:
    """The whole record."""

    SCHEMA: ClassVar[str] = "pindown/compression-study/2"

    subject: str
    answers: tuple[Answer, ...]
    seed: int
    full: bool
    seconds: float
    created: str
    version: str
    environment: Mapping[str, str]
