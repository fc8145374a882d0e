"""Records of coherence and of committees, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = ["Coherence", "Committee", "Edge", "Graph", "Index", "Member", "Pump", "read_coherence", "read_committee"]

Edge = tuple[int, int, bool]


@dataclass(frozen=True)
class Axiom:
    """Whether an axiom holds."""

    holds: bool
    violations: int
    stated: bool


@dataclass(frozen=True)
class Index:
    """One index, its proof, and the bound from the other side."""

    estimate: Estimate
    optimal: bool
    other: float | None
    cycle: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One step of a pump."""

    start: str
    end: str
    loss: float | None
    strict: bool
    because: str


@dataclass(frozen=True)
class Pump:
    """The way round on which the chooser loses."""

    cycle: tuple[str, ...]
    steps: tuple[Step, ...]
    forcing: bool
    verified: bool
    sentence: str


@dataclass(frozen=True)
class Utilities:
    """A utility at the bundles that were bought, and of money there."""

    utility: Mapping[str, float]
    marginal: Mapping[str, float]
    ratio: Estimate
    logarithmic: bool
    verified: bool


@dataclass(frozen=True)
class Certificate:
    """What a person can check."""

    kind: str
    statement: str
    numbers: Mapping[str, float]
    exact: Mapping[str, str]
    cycle: tuple[str, ...]
    verified: bool
    utilities: Utilities | None


@dataclass(frozen=True)
class NoisyTest:
    """A test of noisy choices."""

    name: str
    log_e: float | None
    rejected: bool
    p_value: float | None


@dataclass(frozen=True)
class Graph:
    """The preferences to draw."""

    nodes: tuple[str, ...]
    ranks: tuple[float, ...]
    edges: tuple[Edge, ...]
    left_out: int


@dataclass(frozen=True)
class Plain:
    """The parts of a coherence record that are read as they are declared."""

    SCHEMA: ClassVar[str] = "pindown/coherence/1"
    verdict: str
    kind: str
    counted: str
    subject: str
    observations: int
    coherent: bool
    vacuous: bool
    certificate: Certificate
    pump: Pump | None
    warp: Axiom
    sarp: Axiom
    garp: Axiom
    harp: Axiom
    ccei: Index
    varian: Index
    houtman_maks: Index
    money_pump_index: Index
    minimum_cost_index: Index
    swaps: Index
    surprise: Estimate
    measure: str
    observed: float | None
    drawn: tuple[float, ...]
    method: str
    stochastic: tuple[NoisyTest, ...]
    residuals: Mapping[str, float]
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Coherence:
    """A coherence record."""

    plain: Plain
    graph: Graph
    breaks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Member:
    """One member of a committee."""

    order: tuple[str, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Agreed:
    """A trade of a contract, and the share of its offers that are taken."""

    have: str
    offered: str
    taken: float


@dataclass(frozen=True)
class Committee:
    """A committee record."""

    SCHEMA: ClassVar[str] = "pindown/committee/1"
    verdict: str
    kind: str
    counted: str
    subject: str
    observations: int
    size: int
    optimal: bool
    least: int
    members: tuple[Member, ...]
    witness: str
    description_bits: Mapping[str, float]
    explanation: str
    contract_gain: Estimate
    contract: tuple[Agreed, ...]
    gains: tuple[float, ...]
    weights: tuple[float, ...]
    proof: float | None
    wording: Mapping[str, str]
    verified: bool
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


def read_coherence(record: Mapping[str, Any]) -> Coherence:
    """Read a coherence record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    plain = read_as(Plain, _reader(record, Plain.SCHEMA, "coherence"))
    try:
        g = record["graph"]
        edges = tuple((int(a), int(b), bool(s)) for a, b, s in g["edges"])
        nodes, ranks = tuple(map(str, g["nodes"])), tuple(map(float, g["ranks"]))
        if len(nodes) != len(ranks) or any(not 0 <= k < len(nodes) for a, b, _ in edges for k in (a, b)):
            raise ValueError("edges or ranks that fit no node")
        breaks = tuple((float(a), float(b)) for a, b in record["breaks"])
        return Coherence(plain, Graph(nodes, ranks, edges, int(g["left_out"])), breaks)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"record.graph or record.breaks cannot be read ({error})", "what `pindown coherence --json` wrote",
            "the record is damaged: run it again",
        ) from error  # fmt: skip


def read_committee(record: Mapping[str, Any]) -> Committee:
    """Read a committee record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    return read_as(Committee, _reader(record, Committee.SCHEMA, "subagents"))


def _reader(record: Any, schema: str, command: str) -> Reader:
    found = record.get("schema") if isinstance(record, Mapping) else None
    if found != schema:
        raise CheckpointError(
            f"a record of schema {found!r}", repr(schema), f"hand over what `pindown {command} --json` wrote"
        )
    return Reader(record, "record")
