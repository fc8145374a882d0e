"""Records of search landscapes, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = ["Constraint", "Decomposition", "Landscape", "Mode", "read_landscape"]


@dataclass(frozen=True)
class Constraint:
    """What one constraint adds."""

    name: str
    alone: Estimate
    adds: Estimate
    interaction: Estimate
    verdict: str


@dataclass(frozen=True)
class Mode:
    """One way to search."""

    name: str
    predicted: Estimate
    prediction: str
    achieved: Estimate
    solved: int
    starts: int
    bits_per_evaluation: Estimate
    evaluations: tuple[float, ...]
    bits: tuple[Estimate, ...]
    why_not: str


@dataclass(frozen=True)
class Edge:
    """Two variables that depend on each other."""

    first: int
    second: int
    strength: float


@dataclass(frozen=True)
class VariableBlock:
    """Numbers of the variables of a block."""

    variables: tuple[float, ...]


@dataclass(frozen=True)
class Decomposition:
    """Dependences, blocks and their verdict."""

    variables: tuple[str, ...]
    edges: tuple[Edge, ...]
    blocks: tuple[VariableBlock, ...]
    exact: bool
    cut: float
    evaluations: int
    wins: int
    losses: int
    p: float
    control_wins: int
    control_losses: int
    control_p: float | None
    verdict: str
    why: str


@dataclass(frozen=True)
class Direction:
    """How a random direction goes with the gradient."""

    dim: int
    mean_square: Estimate
    mean_absolute: Estimate
    seen_square: Estimate
    seen_absolute: Estimate


@dataclass(frozen=True)
class Landscape:
    """A landscape record."""

    SCHEMA: ClassVar[str] = "pindown/landscape/1"
    MADE_BY: ClassVar[str] = "pindown landscape"
    verdict: str
    problem: str
    space: str
    dim: int
    tolerance: float
    target: Estimate
    method: str
    engine_target: Estimate
    learning_coefficient: Estimate
    free_dimensions: Estimate
    constraints: tuple[Constraint, ...]
    interaction: Estimate
    decomposition: Decomposition
    modes: tuple[Mode, ...]
    direction: Direction
    budget: int
    starts: int
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


def read_landscape(record: Mapping[str, Any]) -> Landscape:
    """Read a landscape record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    out = read_as(Landscape, Reader(record, "record"))
    n = len(out.decomposition.variables)
    for i, edge in enumerate(out.decomposition.edges):
        if not (0 <= edge.first < n and 0 <= edge.second < n):
            raise CheckpointError(
                f"record.decomposition.edges[{i}] joins {edge.first} and {edge.second}", f"0 to {n - 1}"
            )
    inside = [v for b in out.decomposition.blocks for v in b.variables]
    if sorted(inside) != list(range(n)):
        raise CheckpointError("record.decomposition.blocks do not hold each variable once", f"0 to {n - 1}")
    for i, mode in enumerate(out.modes):
        if len(mode.evaluations) != len(mode.bits):
            raise CheckpointError(f"record.modes[{i}].bits has {len(mode.bits)} entries", str(len(mode.evaluations)))
    return out
