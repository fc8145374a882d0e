"""Records of ledgers and of over-optimisation, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = [
    "Curve",
    "Fit",
    "Ledger",
    "Overoptimisation",
    "Question",
    "SourceLine",
    "read_ledger",
    "read_overoptimisation",
]


@dataclass(frozen=True)
class SourceLine:
    """One source."""

    name: str
    kind: str
    noise: str
    price: float
    asked: int
    expected: Estimate
    realised: Estimate
    usable: Estimate
    lost: Estimate
    answers_needed: Estimate


@dataclass(frozen=True)
class Question:
    """A question worth asking."""

    source: str
    text: str
    answers: tuple[str, ...]
    total: Estimate
    decision: Estimate
    price: float


@dataclass(frozen=True)
class Earned:
    """Predicted against claimed bits."""

    earned: bool | None
    predicted: Estimate
    claimed: Estimate
    z: float | None
    answers: int


@dataclass(frozen=True)
class Ledger:
    """A ledger record."""

    SCHEMA: ClassVar[str] = "pindown/ledger/1"
    verdict: str
    target: Estimate
    target_quartiles: tuple[float, ...]
    needed: Estimate
    required: Estimate
    sources: tuple[SourceLine, ...]
    missing: Estimate
    chance: Estimate
    best_plan: str
    earned: Earned
    effective_size: Estimate
    evidence: Estimate
    next_question: Question | None
    next_by_total: Question | None
    success: float
    answers: int
    plans: int
    reference: str
    name: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One strength of optimisation."""

    parameter: float
    bits: Estimate
    true: Estimate
    proxy: Estimate


@dataclass(frozen=True)
class Curve:
    """One way of optimising."""

    method: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Fit:
    """A fitted form."""

    form: str
    alpha: Estimate
    beta: Estimate
    peak: float
    unexplained: float


@dataclass(frozen=True)
class Tail:
    """The tail of the error."""

    gamma: Estimate
    index: float
    heavy: bool | None
    used: int


@dataclass(frozen=True)
class Overoptimisation:
    """An over-optimisation record."""

    SCHEMA: ClassVar[str] = "pindown/overoptimisation/1"
    verdict: str
    base: Estimate
    curves: tuple[Curve, ...]
    tail: Tail
    fits: tuple[Fit, ...]
    correlation: float
    draws: int
    name: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


def read_ledger(record: Mapping[str, Any]) -> Ledger:
    """Read a ledger record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    return read_as(Ledger, _reader(record, Ledger.SCHEMA))


def read_overoptimisation(record: Mapping[str, Any]) -> Overoptimisation:
    """Read an over-optimisation record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    return read_as(Overoptimisation, _reader(record, Overoptimisation.SCHEMA))


def _reader(record: Any, schema: str) -> Reader:
    found = record.get("schema") if isinstance(record, Mapping) else None
    if found != schema:
        raise CheckpointError(f"a record of schema {found!r}", repr(schema), "hand over what .to_dict() gave")
    return Reader(record, "record")
