"""What :func:`pindown.ledger` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate
from pindown.values.earned import Earned
from pindown.values.questions import Question

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ledger", "SourceLine"]

SCHEMA = "pindown/ledger/1"
_FIGURES = ("target", "needed", "required", "missing", "chance", "effective_size", "evidence")


@dataclass(frozen=True)
class SourceLine:
    """One source in the ledger.

    Attributes:
        name, kind, noise, price: what it is.
        asked: how many questions are accounted for: those that were answered where there are answers, else all.
        expected: bits that these questions supply on average before they are answered, conditional on the sources
            above, the encoding being known.
        realised: bits that the answers supplied; unsupported without answers.
        usable: bits about the value where the encoding is unknown: realised where there are answers, else expected.
        lost: translation loss: supplied less usable.
        answers_needed: the least number of its answers that could close the gap: missing bits over the most bits that
            any one of its questions can tell.
    """

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

    @property
    def supplied(self) -> Estimate:
        """Realised bits where there are answers, else expected ones."""
        return self.expected if math.isnan(self.realised.value) else self.realised

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {k: v.to_dict() if isinstance(v, Estimate) else v for k, v in self.__dict__.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SourceLine:
        """Read back what :meth:`to_dict` wrote."""
        figures = {
            k: Estimate.from_dict(record[k]) for k in ("expected", "realised", "usable", "lost", "answers_needed")
        }
        return cls(
            str(record["name"]), str(record["kind"]), str(record["noise"]), float(record["price"]),
            int(record["asked"]), **figures,
        )  # fmt: skip


@dataclass(frozen=True)
class Ledger:
    """How many bits about values are needed, supplied and missing. The kinds are never added together.

    Attributes:
        target: target bits: −log2 of the acceptable share of plans, averaged over the values that accept any.
        target_quartiles: the same at the quartiles over values.
        needed: information bits that choosing well takes at least, before any answer: the bound d₂.
        required: the least information that suffices for finitely many values (Blahut–Arimoto).
        sources: one line a source, in the order of the chain rule.
        missing: the bound d₂ after the answers; 0 once one plan is acceptable with the success rate.
        chance: the largest posterior probability of any one plan to be acceptable.
        best_plan: that plan.
        earned: whether the claimed bits are earned by prediction.
        effective_size: effective sample size of the posterior particles.
        evidence: −log2 of the probability that the prior gave to all answers.
        next_question: what to ask next for the decision; None where the gap is closed, or there is no source.
        next_by_total: the question of most total information per price.
        success, answers, seed, seconds, version, name, reference: how it was made.
        notes: what to know about the figures.
    """

    target: Estimate
    target_quartiles: tuple[float, float, float]
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
    notes: tuple[str, ...] = ()

    @property
    def supplied(self) -> dict[str, Estimate]:
        """Bits of each source, conditional on those before it: realised where there are answers, else expected."""
        return {s.name: s.supplied for s in self.sources}

    @property
    def usable(self) -> dict[str, Estimate]:
        """Bits of each source about the value alone, the encoding being unknown."""
        return {s.name: s.usable for s in self.sources}

    @property
    def closed(self) -> bool:
        """Whether some plan is acceptable with the success rate."""
        return self.missing.value == 0.0

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        if math.isinf(self.missing.value):
            return (
                f"Infinitely many bits are missing: values of probability above {1 - self.success:.3g} accept no plan, "
                f"so that a success rate of {self.success:g} cannot be reached by information."
            )
        if self.closed:
            when = "after the answers" if self.answers else "without asking"
            first = (
                f"The gap is closed {when}: {self.best_plan} is acceptable with probability {self.chance.value:.3g}."
            )
        else:
            first = (
                f"At least {self.missing.value:.3g} of the {self.needed.value:.3g} bits needed are missing: the best "
                f"plan so far, {self.best_plan}, is acceptable with probability {self.chance.value:.3g}, for "
                f"{self.success:g} asked."
            )
        stamp = " These bits are NOT EARNED: the answers are noisier than the sources say." if self._false else ""
        return first + stamp

    @property
    def _false(self) -> bool:
        return self.earned.earned is False

    def summary(self) -> str:
        """The verdict and the figures as plain text."""
        lines = [self.verdict, ""]
        lines += [f"  {'target':<22} {self.target} (quartiles {', '.join(f'{q:.3g}' for q in self.target_quartiles)})"]
        lines += [f"  {'needed':<22} {self.needed}", f"  {'required':<22} {self.required}"]
        for s in self.sources:
            lines.append(f"  {s.name[:20]:<22} {_supply(s, bool(self.answers))}")
        lines += [f"  {'missing':<22} {self.missing}", f"  {'earned':<22} {self.earned}"]
        lines += [f"  {'effective sample size':<22} {self.effective_size} of the posterior"]
        if self.next_question is not None:
            q = self.next_question
            lines.append(
                f"  {'next question':<22} {q.source}: {q.text} ({q.decision} about the decision, {q.total} in all)"
            )
        if (
            self.next_by_total is not None
            and self.next_by_total.text != (self.next_question or self.next_by_total).text
        ):
            q = self.next_by_total
            lines.append(f"  {'by total information':<22} {q.source}: {q.text} ({q.total})")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/ledger/1``."""
        out: dict[str, Any] = {"schema": SCHEMA, "verdict": self.verdict}
        for key, value in self.__dict__.items():
            out[key] = value.to_dict() if hasattr(value, "to_dict") else value
        out["sources"] = [s.to_dict() for s in self.sources]
        out["target_quartiles"] = list(self.target_quartiles)
        out["notes"] = list(self.notes)
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Ledger:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA, "hand over what Ledger.to_dict() gave")
        try:
            parts: dict[str, Any] = {name: record[name] for name in cls.__dataclass_fields__}
            for name in _FIGURES:
                parts[name] = Estimate.from_dict(record[name])
            parts["sources"] = tuple(SourceLine.from_dict(s) for s in record["sources"])
            parts["earned"] = Earned.from_dict(record["earned"])
            for name in ("next_question", "next_by_total"):
                parts[name] = None if record[name] is None else Question.from_dict(record[name])
            low, middle, high = map(float, record["target_quartiles"])
            parts["target_quartiles"] = (low, middle, high)
            parts["notes"] = tuple(map(str, record["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise CheckpointError(
                f"a ledger record that cannot be read ({type(error).__name__}: {error})", SCHEMA
            ) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a figure: ``figure``, ``source``, ``value``, ``stderr``, ``unit``, ``kind``, ``status``."""
        import pandas as pd

        rows = [(n, "", getattr(self, n)) for n in _FIGURES]
        rows += [(n, s.name, getattr(s, n)) for s in self.sources for n in ("expected", "realised", "usable", "lost")]
        table = [(n, s, e.value, e.stderr, e.unit, e.kind, e.status.value) for n, s, e in rows]
        return pd.DataFrame(table, columns=["figure", "source", "value", "stderr", "unit", "kind", "status"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def _supply(s: SourceLine, answered: bool) -> str:
    """What a source supplies, how often it was asked or can be, and at what price."""
    if answered and not s.asked:
        return f"no answer yet (price {s.price:g})"
    realised = "" if math.isnan(s.realised.value) else f", realised {s.realised}"
    usable = f", usable {s.usable}" if s.lost.value > 0 else ""
    noun = "answer" if answered else "question"
    count = f"{s.asked} {noun}{'s' * (s.asked != 1)}"
    return f"expected {s.expected}{realised}{usable} ({count}, price {s.price:g} each)"
