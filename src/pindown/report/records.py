"""Audit records (``pindown/audit/1``) as typed views.

What may be missing is None or empty; what is damaged is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Status
from pindown.report.depth_records import Depth, read_depth
from pindown.report.reader import Reader

__all__ = ["AUDIT_SCHEMA", "Audit", "Comparison", "Curve", "Group", "Measurement", "Point", "Solution", "Subject"]
__all__ += ["TwoSided", "read_audit"]

AUDIT_SCHEMA = "pindown/audit/1"


@dataclass(frozen=True)
class Point:
    """What was measured at one tolerance."""

    tolerance: float
    bits: Estimate | None
    learning_coefficient: Estimate | None
    pinned_dimensions: Estimate | None
    free_dimensions: Estimate | None
    bits_per_label: Estimate | None

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The figures that were measured."""
        figures = (
            self.bits, self.learning_coefficient, self.pinned_dimensions, self.free_dimensions, self.bits_per_label,
        )  # fmt: skip
        return tuple(e for e in figures if e is not None)


@dataclass(frozen=True)
class Curve:
    """Bits against loss on a fine grid with its 95% band; all columns have one length, NaN where unknown."""

    loss: tuple[float, ...]
    bits: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class TwoSided:
    """Chains cooled from the prior against chains warmed up from known solutions."""

    meets: bool | None
    statement: str
    inverse_temperature: tuple[float, ...]
    from_prior: tuple[float, ...]
    from_prior_stderr: tuple[float, ...]
    from_known: tuple[float, ...]
    from_known_stderr: tuple[float, ...]
    bits_from_prior: Estimate | None
    bits_from_known: Estimate | None


@dataclass(frozen=True)
class Measurement:
    """One loss of one subject: its sweep of tolerances, its curve and how it was measured."""

    loss: str
    event: str
    primary: bool
    tolerance: float
    sweep: tuple[Point, ...]
    curve: Curve | None
    two_sided: TwoSided | None
    engine: str
    reference: str
    status: Status | None
    seed: float | None
    repeats: float | None
    evaluations: float | None
    gradient_evaluations: float | None
    seconds: float | None
    loss_floor: Estimate | None

    @property
    def statuses(self) -> tuple[Status, ...]:
        """How the run and each of its figures ended, each status once."""
        own = () if self.status is None else (self.status,)
        return tuple(dict.fromkeys([*own, *(e.status for p in self.sweep for e in p.estimates)]))

    @property
    def headline(self) -> Point | None:
        """The sweep point at the measurement's own tolerance, else the tightest one that was measured."""
        for point in self.sweep:
            if math.isclose(point.tolerance, self.tolerance, rel_tol=1e-6, abs_tol=1e-12):
                return point
        return min(self.sweep, key=lambda point: point.tolerance, default=None)


@dataclass(frozen=True)
class Solution:
    """One network that an optimiser found."""

    name: str
    seed: float | None
    optimiser: str
    steps: float | None
    train_loss: float | None
    train_error: float | None
    held_out_loss: float | None
    held_out_error: float | None
    depth: Estimate | None

    def held_out(self, quantity: str) -> float | None:
        """Its held-out error or loss, by the name that a comparison gives the quantity."""
        return self.held_out_error if quantity == "held-out error" else self.held_out_loss


@dataclass(frozen=True)
class Group:
    """One side of a comparison: its held-out figure and how many networks are behind it."""

    held_out: Estimate | None
    size: float | None
    ancestors: float | None


@dataclass(frozen=True)
class Comparison:
    """Random solutions against the optimiser's at one training loss."""

    at_loss: float | None
    quantity: str
    sgd: Group
    random: Group
    difference: Estimate | None

    @property
    def order(self) -> str:
        """Which side the difference is taken from, read off the three figures."""
        a, b = self.random.held_out, self.sgd.held_out
        if self.difference is None or a is None or b is None:
            return "difference"
        gap = a.value - b.value
        return "SGD − random" if abs(self.difference.value + gap) < abs(self.difference.value - gap) else "random − SGD"


@dataclass(frozen=True)
class Subject:
    """One model on its data."""

    name: str
    architecture: str
    parameters: float | None
    frozen: float | None
    prior: str
    task: str
    train_size: float | None
    held_out_size: float | None
    label_bits: Estimate | None
    solutions: tuple[Solution, ...]
    measurements: tuple[Measurement, ...]
    comparison: Comparison | None
    in_depth: Depth | None

    @property
    def primary(self) -> Measurement | None:
        """The measurement that carries the headline."""
        named = [m for m in self.measurements if m.primary]
        return (named or [*self.measurements, None])[0]


@dataclass(frozen=True)
class Audit:
    """A whole audit."""

    created: str
    version: str
    environment: dict[str, str]
    seed: float | None
    seconds: float | None
    full: bool
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    subjects: tuple[Subject, ...] = field(default=())


def read_audit(record: Mapping[str, Any]) -> Audit:
    """Read an audit record.

    Raises:
        CheckpointError: where the record is of another schema, or a field holds what it cannot hold (the field is
            named).
    """
    schema = record.get("schema") if isinstance(record, Mapping) else None  # JSON may hold a list
    if schema != AUDIT_SCHEMA:
        raise CheckpointError(
            f"a record of schema {schema!r}", repr(AUDIT_SCHEMA), "hand over what `pindown audit --json` wrote"
        )
    r = Reader(record, "record")
    return Audit(
        created=r.text("created"),
        version=r.text("version"),
        environment={str(k): str(v) for k, v in r.child("environment").record.items() if v is not None},
        seed=r.number("seed"),
        seconds=r.number("seconds"),
        full=bool(record.get("full")),
        verdict=r.texts("verdict"),
        notes=r.texts("notes"),
        subjects=tuple(_subject(s) for s in r.children("subjects")),
    )


def _subject(r: Reader) -> Subject:
    return Subject(
        name=r.text("name") or "unnamed",
        architecture=r.text("architecture"),
        parameters=r.number("parameters"),
        frozen=r.number("frozen"),
        prior=r.text("prior"),
        task=r.text("task"),
        train_size=r.number("train_size"),
        held_out_size=r.number("held_out_size"),
        label_bits=r.estimate("label_bits"),
        solutions=tuple(_solution(s) for s in r.children("solutions")),
        measurements=tuple(_measurement(m) for m in r.children("measurements")),
        comparison=_comparison(r.child("comparison")) if r.record.get("comparison") is not None else None,
        in_depth=read_depth(r.child("in_depth")) if r.record.get("in_depth") is not None else None,
    )


def _solution(r: Reader) -> Solution:
    return Solution(
        name=r.text("name"),
        seed=r.number("seed"),
        optimiser=r.text("optimiser"),
        steps=r.number("steps"),
        train_loss=r.number("train_loss"),
        train_error=r.number("train_error"),
        held_out_loss=r.number("held_out_loss"),
        held_out_error=r.number("held_out_error"),
        depth=r.estimate("depth"),
    )


def _measurement(r: Reader) -> Measurement:
    profile = r.child("profile")
    two_sided = r if r.record.get("two_sided") is not None else profile
    status = profile.record.get("status")
    if status is not None and status not in {s.value for s in Status}:
        raise profile.refuse("status", status, "one of " + ", ".join(s.value for s in Status))
    tolerance = r.number("tolerance")
    return Measurement(
        loss=r.text("loss") or "loss",
        event=r.text("event"),
        primary=bool(r.record.get("primary")),
        tolerance=math.nan if tolerance is None else tolerance,
        sweep=tuple(sorted((_point(p) for p in r.children("sweep")), key=lambda p: p.tolerance)),
        curve=_curve(profile.child("curve")),
        two_sided=_two_sided(two_sided.child("two_sided")) if two_sided.record.get("two_sided") is not None else None,
        engine=profile.text("engine"),
        reference=profile.text("reference"),
        status=None if status is None else Status(status),
        seed=profile.number("seed"),
        repeats=profile.number("repeats"),
        evaluations=profile.number("evaluations"),
        gradient_evaluations=profile.number("gradient_evaluations"),
        seconds=profile.number("seconds"),
        loss_floor=profile.estimate("loss_floor"),
    )


def _point(r: Reader) -> Point:
    tolerance = r.number("tolerance")
    return Point(
        tolerance=math.nan if tolerance is None else tolerance,
        bits=r.estimate("bits"),
        learning_coefficient=r.estimate("learning_coefficient"),
        pinned_dimensions=r.estimate("pinned_dimensions"),
        free_dimensions=r.estimate("free_dimensions"),
        bits_per_label=r.estimate("bits_per_label"),
    )


def _curve(r: Reader) -> Curve | None:
    columns = [r.numbers(key) for key in ("loss", "bits", "low", "high")]
    if not columns[0]:
        return None
    if len({len(c) for c in columns}) > 1:
        raise CheckpointError(f"{r.where} has columns of {[len(c) for c in columns]} values", "columns of one length")
    return Curve(*columns)


def _two_sided(r: Reader) -> TwoSided:
    names = ("loss_from_prior", "loss_from_prior_stderr", "loss_from_known", "loss_from_known_stderr")
    columns = [r.numbers(key) for key in ("inverse_temperature", *names)]
    if len({len(c) for c in columns}) > 1:
        raise CheckpointError(f"{r.where} has columns of {[len(c) for c in columns]} values", "columns of one length")
    meets = r.record.get("meets")
    return TwoSided(
        None if meets is None else bool(meets),
        r.text("statement"),
        *columns,
        bits_from_prior=r.estimate("bits_from_prior"),
        bits_from_known=r.estimate("bits_from_known"),
    )


def _comparison(r: Reader) -> Comparison:
    """Held-out error where both sides have it, held-out loss otherwise."""
    sgd, random = r.child("sgd"), r.child("random")
    both = [k for k in ("held_out_error", "held_out_loss") if sgd.record.get(k) and random.record.get(k)]
    key = both[0] if both else "held_out_error"
    return Comparison(
        at_loss=r.number("at_loss"),
        quantity=key.replace("held_out_", "held-out "),
        sgd=Group(sgd.estimate(key), sgd.number("runs"), None),
        random=Group(random.estimate(key), random.number("draws"), random.number("ancestors")),
        difference=r.estimate("difference"),
    )
