"""Records of arrangements, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = ["Arrangements", "Cell", "Line", "Sweep", "read_arrangements"]


@dataclass(frozen=True)
class Cell:
    """One arrangement at one amount of information."""

    answers: int
    information: Estimate
    told: Estimate
    capacity: float
    optimisation: Estimate
    acceptable: Estimate
    regret: Estimate
    excess: Estimate
    outcome: str
    p_equivalent: float
    p_different: float
    bought: Estimate


@dataclass(frozen=True)
class Line:
    """One arrangement."""

    name: str
    role: str
    cells: tuple[Cell, ...]
    rate: Estimate
    worth: Estimate


@dataclass(frozen=True)
class SweepPoint:
    """One setting of a sweep."""

    setting: float
    excess: Estimate
    outcome: str


@dataclass(frozen=True)
class Sweep:
    """One arrangement beside the singleton while one thing is changed."""

    name: str
    problem: str
    arrangement: str
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True)
class Steering:
    """What seeing buys in a finite system."""

    observed: Estimate
    blind: Estimate
    sighted: Estimate
    bought: Estimate
    holds: bool


@dataclass(frozen=True)
class Arrangements:
    """A record of arrangements."""

    SCHEMA: ClassVar[str] = "pindown/arrangements/1"
    verdict: str
    lines: tuple[Line, ...]
    information: Estimate
    arrangement: Estimate
    interaction: Estimate
    not_information: Estimate
    sweeps: tuple[Sweep, ...]
    regions: tuple[Sweep, ...]
    counterexample: Steering
    claim: str
    irrelevant: bool | None
    control_seen: bool | None
    margin: float
    level: float
    episodes: int
    members: int
    transcript: str
    reference: str
    name: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


def read_arrangements(record: Mapping[str, Any]) -> Arrangements:
    """Read a record of arrangements.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    return read_as(Arrangements, Reader(record, "record"))
