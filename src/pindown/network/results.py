"""What an audit found, as values: one :class:`Audit` of one or more subjects, to and from plain JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.engine.profile import Profile
from pindown.engine.two_sided import TwoSided
from pindown.estimate import Estimate
from pindown.network.in_depth import InDepth
from pindown.network.record import Part, read_fields, reading

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audit", "Comparison", "Measurement", "SolutionAudit", "SubjectAudit", "SweepPoint"]

SCHEMA = "pindown/audit/1"


@dataclass(frozen=True)
class SweepPoint(Part):
    """What was measured at one tolerance; None where the figure has no meaning there.

    Attributes:
        tolerance: t in ``loss ≤ t``.
        bits: how rare such weights are under the prior.
        learning_coefficient: λ(t) = d ln V / d ln t.
        pinned_dimensions, free_dimensions: 2λ, and the rest.
        bits_per_label: bits over the number of training labels.
    """

    tolerance: float
    bits: Estimate
    learning_coefficient: Estimate | None
    pinned_dimensions: Estimate | None
    free_dimensions: Estimate | None
    bits_per_label: Estimate


@dataclass(frozen=True)
class Measurement(Part, also=("two_sided",)):
    """One loss of one subject.

    Attributes:
        loss: its name.
        event: what ``loss ≤ t`` means, in words.
        primary: whether it is the training loss itself.
        tolerance: the lowest tolerance asked for.
        sweep: from the highest tolerance to the lowest.
        profile: the whole curve, with the two-sided check in ``profile.two_sided``.
    """

    loss: str
    event: str
    primary: bool
    tolerance: float
    sweep: tuple[SweepPoint, ...]
    profile: Profile

    @property
    def two_sided(self) -> TwoSided | None:
        """The check against known solutions, where there were any."""
        return self.profile.two_sided

    @property
    def at_tolerance(self) -> SweepPoint:
        """The sweep's point at :attr:`tolerance`."""
        return min(self.sweep, key=lambda p: abs(p.tolerance - self.tolerance))


@dataclass(frozen=True)
class SolutionAudit(Part):
    """One trained network.

    Attributes:
        name, seed, optimiser, steps: where it comes from.
        train_loss, train_error, held_out_loss, held_out_error: how good it is; None where there is no such figure.
        depth: bits at its own training loss: how rare weights are that are at least as good.
    """

    name: str
    seed: int | None
    optimiser: str
    steps: int | None
    train_loss: float
    train_error: float | None
    held_out_loss: float | None
    held_out_error: float | None
    depth: Estimate


@dataclass(frozen=True)
class Comparison:
    """Held-out quality of random solutions against that of the optimiser's, at one training loss.

    Attributes:
        quantity: ``"held_out_error"`` or ``"held_out_loss"``.
        at_loss: random solutions have at most this training loss.
        sgd: mean over the optimiser's solutions.
        runs: how many those are.
        random: mean over weights drawn from the prior given ``loss ≤ at_loss``.
        draws: how many were drawn.
        ancestors: how many independent ancestors they descend from.
        difference: random minus the optimiser's; above zero where random solutions are worse.
    """

    quantity: str
    at_loss: float
    sgd: Estimate
    runs: int
    random: Estimate
    draws: int
    ancestors: int | None
    difference: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain JSON values."""
        return {
            "at_loss": self.at_loss,
            "sgd": {self.quantity: self.sgd.to_dict(), "runs": self.runs},
            "random": {self.quantity: self.random.to_dict(), "draws": self.draws, "ancestors": self.ancestors},
            "difference": self.difference.to_dict(),
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Comparison:
        """Read back what :meth:`to_dict` wrote."""
        quantity = next(k for k in ("held_out_error", "held_out_loss") if k in r["sgd"])
        sgd, random = r["sgd"], r["random"]
        return cls(
            quantity,
            float(r["at_loss"]),
            Estimate.from_dict(sgd[quantity]),
            int(sgd["runs"]),
            Estimate.from_dict(random[quantity]),
            int(random["draws"]),
            None if random["ancestors"] is None else int(random["ancestors"]),
            Estimate.from_dict(r["difference"]),
        )


@dataclass(frozen=True)
class SubjectAudit(Part):
    """What was found about one model on its data.

    Attributes:
        name, architecture, task: what it is.
        parameters: coordinates that move, tied weights once; ``frozen`` those that do not.
        prior: the reference measure of all bits.
        train_size, held_out_size: numbers of examples.
        label_bits: what the training labels can hold; None without classes.
        solutions: the trained networks.
        measurements: one for each loss.
        comparison: None where there are no held-out data, no trained network or no random solutions.
        in_depth: what was asked of the trained network with the lowest training loss; None where nothing was.
    """

    name: str
    architecture: str
    parameters: int
    frozen: int
    prior: str
    task: str
    train_size: int
    held_out_size: int
    label_bits: Estimate | None
    solutions: tuple[SolutionAudit, ...]
    measurements: tuple[Measurement, ...]
    comparison: Comparison | None
    in_depth: InDepth | None = None

    @property
    def primary(self) -> Measurement:
        """The measurement of the training loss."""
        return next(m for m in self.measurements if m.primary)


@dataclass(frozen=True)
class Audit:
    """An audit of one or more subjects.

    Attributes:
        verdict: plain sentences with intervals, by the rules of :mod:`pindown.network.verdict`.
        notes: what the figures do not say.
        subjects: one :class:`SubjectAudit` each.
        seed, seconds, full, created, version, environment: how it was made.
    """

    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    subjects: tuple[SubjectAudit, ...]
    seed: int
    seconds: float
    full: bool
    created: str
    version: str
    environment: Mapping[str, str | int]

    def summary(self) -> str:
        """The verdict, the sweep of every measurement and the notes as plain text."""
        lines = list(self.verdict)
        for subject in self.subjects:
            lines += [
                "",
                f"{subject.name} ({subject.architecture}; {subject.parameters:,} parameters; {subject.prior})",
            ]
            for m in subject.measurements:
                lines.append(f"  {m.loss}: {m.event}")
                for p in m.sweep:
                    extra = "" if p.learning_coefficient is None else f", λ = {p.learning_coefficient}"
                    lines.append(f"    t = {p.tolerance:<8.4g} {p.bits}{extra}")
            for s in subject.solutions:
                lines.append(f"  {s.name}: training loss {s.train_loss:.4g}, depth {s.depth}")
        return "\n".join([*lines, "", *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain JSON values under the schema ``pindown/audit/1``."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "version": self.version,
            "environment": dict(self.environment),
            "seed": self.seed,
            "seconds": self.seconds,
            "full": self.full,
            "verdict": list(self.verdict),
            "notes": list(self.notes),
            "subjects": [s.to_dict() for s in self.subjects],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Audit:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        with reading(record, SCHEMA, cls.__name__):
            return cls(**read_fields(cls, record))

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each subject, loss and tolerance."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for subject in self.subjects:
            for m in subject.measurements:
                for p in m.sweep:
                    low, high = p.bits.interval()
                    coefficient = p.learning_coefficient
                    rows.append(
                        {
                            "subject": subject.name,
                            "parameters": subject.parameters,
                            "loss": m.loss,
                            "tolerance": p.tolerance,
                            "bits": p.bits.value,
                            "bits_low": low,
                            "bits_high": high,
                            "kind": p.bits.kind,
                            "status": p.bits.status.value,
                            "learning_coefficient": math.nan if coefficient is None else coefficient.value,
                            "bits_per_label": p.bits_per_label.value,
                        }
                    )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{html.escape(s)}</li>" for s in self.verdict)
        table = self.to_dataframe().round(3).to_html(index=False)
        return f"<ul>{sentences}</ul>{table}"
