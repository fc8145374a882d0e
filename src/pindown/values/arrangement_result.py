"""What :func:`pindown.arrangements` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate
from pindown.values.steering import Steering

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ArrangementLine", "Arrangements", "Cell", "Sweep", "SweepPoint", "counted"]

SCHEMA = "pindown/arrangements/1"
IRRELEVANT = 0.1
"""Arrangement counts as mostly irrelevant where its share of the variance, with the interaction, is below this."""

_FIGURES = ("information", "told", "optimisation", "acceptable", "regret", "excess", "bought")


@dataclass(frozen=True)
class Cell:
    """One arrangement at one amount of information.

    Attributes:
        answers: length of the transcript.
        information: measured bits of the transcript about the value, and of the person's pick given it.
        told: the second of these.
        capacity: log2 of how many plans the person was shown: what the pick could have told at most.
        optimisation: optimisation bits of the plan under the true value.
        acceptable: probability that it is acceptable.
        regret: value lost against the best plan, in the values' own unit.
        excess: optimisation bits above the singleton's at the same measured information.
        outcome: of the equivalence test of ``excess``: equivalent, different, undecided, or reference.
        p_equivalent, p_different: p-values of the two claims; the second by Holm's correction over all cells.
        bought: optimisation bits above those of the same arrangement without answers, less measured information.
    """

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

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**self.__dict__, **{k: getattr(self, k).to_dict() for k in _FIGURES}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Cell:
        """Read back what :meth:`to_dict` wrote."""
        figures = {k: Estimate.from_dict(record[k]) for k in _FIGURES}
        return cls(
            answers=int(record["answers"]), capacity=float(record["capacity"]), outcome=str(record["outcome"]),
            p_equivalent=float(record["p_equivalent"]), p_different=float(record["p_different"]), **figures,
        )  # fmt: skip


@dataclass(frozen=True)
class ArrangementLine:
    """One arrangement: its cells, one a level, and its exchange rates.

    Attributes:
        name: of the arrangement.
        role: ``"reference"`` (the singleton), ``"compared"``, ``"base"`` or ``"control"``.
        cells: from the fewest answers on.
        rate: optimisation bits per bit of measured information: the slope of the line.
        worth: information bits that the arrangement is worth beside the singleton, on average over levels: how many
            more (or fewer) the singleton would need to do as well. A bound where its line does not go so far.
    """

    name: str
    role: str
    cells: tuple[Cell, ...]
    rate: Estimate
    worth: Estimate

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name, "role": self.role, "cells": [c.to_dict() for c in self.cells],
            "rate": self.rate.to_dict(), "worth": self.worth.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ArrangementLine:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            str(record["name"]), str(record["role"]), tuple(Cell.from_dict(c) for c in record["cells"]),
            Estimate.from_dict(record["rate"]), Estimate.from_dict(record["worth"]),
        )  # fmt: skip


@dataclass(frozen=True)
class SweepPoint:
    """One setting of a sweep: how much better than the singleton, and whether that is equivalent."""

    setting: float
    excess: Estimate
    outcome: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        setting = self.setting if math.isfinite(self.setting) else str(self.setting)
        return {"setting": setting, "excess": self.excess.to_dict(), "outcome": self.outcome}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SweepPoint:
        """Read back what :meth:`to_dict` wrote."""
        return cls(float(record["setting"]), Estimate.from_dict(record["excess"]), str(record["outcome"]))


@dataclass(frozen=True)
class Sweep:
    """One arrangement beside the singleton at the most information, while one thing is changed.

    Attributes:
        name: what is changed.
        problem: the problem, or the reference problem that ships with the claim.
        arrangement: what is compared.
        points: one a setting; at the first the claim is expected to hold.
    """

    name: str
    problem: str
    arrangement: str
    points: tuple[SweepPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**self.__dict__, "points": [p.to_dict() for p in self.points]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Sweep:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            str(record["name"]), str(record["problem"]), str(record["arrangement"]),
            tuple(SweepPoint.from_dict(p) for p in record["points"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Arrangements:
    """Different arrangements of the same problem with the same answers.

    Attributes:
        lines: one an arrangement; the singleton first, then those compared, the base and the control.
        information: share of the variance of optimisation bits over compared arrangements and levels (the singleton
            among them) that is due to the amount of information.
        arrangement: due to the arrangement.
        interaction: due to both together.
        not_information: the last two together.
        sweeps: of this problem.
        regions: reference problems that refute the claim, each beside a setting that does not.
        counterexample: to "N observed bits buy at most N bits of optimisation".
        claim: of "all arrangements are equivalent": equivalent, different, or undecided.
        irrelevant: whether arrangement is mostly irrelevant; None where the interval does not tell.
        control_seen: whether the control came out above; None where it was left out.
        margin: of the test in bits, and ``level`` its significance; both are fixed before.
        transcript: whether answers were drawn for every episode, or recorded.
        episodes, members, reference, name, seed, seconds, version: how it was made.
        notes: what to know about the figures.
    """

    lines: tuple[ArrangementLine, ...]
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
    notes: tuple[str, ...] = ()

    def line(self, name: str) -> ArrangementLine:
        """The line of an arrangement by its name.

        Raises:
            InputError: where there is none.
        """
        for line in self.lines:
            if line.name == name:
                return line
        raise InputError(f"no arrangement {name!r}", f"one of {', '.join(x.name for x in self.lines)}")

    @property
    def compared(self) -> tuple[ArrangementLine, ...]:
        """The lines that are compared with the singleton."""
        return tuple(x for x in self.lines if x.role == "compared")

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        cells = [(x.name, c) for x in self.compared for c in x.cells]
        apart = [(n, c) for n, c in cells if c.outcome == "different"]
        same = sum(c.outcome == "equivalent" for _, c in cells)
        if not cells:
            first = "Nothing was compared with the singleton."
        elif self.claim == "equivalent":
            first = f"All {len(cells)} cells are equivalent to the singleton within {self.margin:g} bits."
        elif self.claim == "different":
            worst_name, worst = max(apart, key=lambda nc: abs(nc[1].excess.value))
            first = (
                f"The arrangements are not equivalent: {len(apart)} of {len(cells)} cells differ from the singleton by "
                f"more than {self.margin:g} bits ({same} are equivalent). The largest difference is that of "
                f"{worst_name} after {counted(worst.answers)}, {_signed(worst.excess.value)} bits."
            )
        else:
            first = (
                f"Undecided: {same} of {len(cells)} cells are equivalent to the singleton within {self.margin:g} bits, "
                "none is shown to differ by more."
            )
        parts = [first]
        if math.isfinite(self.information.value):
            words = {
                True: "arrangement is mostly irrelevant here",
                False: "“arrangement is mostly irrelevant” does not hold here",
                None: "whether arrangement is mostly irrelevant is not decided",
            }
            parts.append(
                f"Information makes {_percent(self.information)} of the variance, arrangement "
                f"{_percent(self.arrangement)}, the two together {_percent(self.interaction)}: "
                f"{words[self.irrelevant]}."
            )
        if self.control_seen is False:
            parts.append("The control was not told apart, so that equivalence here shows nothing.")
        return " ".join(parts)

    def summary(self) -> str:
        """The verdict and the lines as plain text."""
        lines = [self.verdict, ""]
        for x in self.lines:
            last = x.cells[-1]
            lines.append(
                f"  {x.name:<28} {last.optimisation} for {last.information.value:.2f} observed; acceptable "
                f"{last.acceptable.value:.0%}; {last.outcome}"
            )
        for region in self.regions:
            told = ", ".join(f"{_setting(p.setting)}: {p.outcome}" for p in region.points)
            lines.append(f"  {region.name:<28} {told}")
        lines.append(f"  {'a key opens a lock':<28} {self.counterexample}")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/arrangements/1``."""
        shares = ("information", "arrangement", "interaction", "not_information")
        return {
            "schema": SCHEMA, "verdict": self.verdict, **self.__dict__,
            "lines": [x.to_dict() for x in self.lines], **{k: getattr(self, k).to_dict() for k in shares},
            "sweeps": [s.to_dict() for s in self.sweeps], "regions": [s.to_dict() for s in self.regions],
            "counterexample": self.counterexample.to_dict(), "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Arrangements:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(
                f"a record of schema {schema!r}", SCHEMA, "hand over what Arrangements.to_dict() gave"
            )
        try:
            parts: dict[str, Any] = {name: record[name] for name in cls.__dataclass_fields__}
            for name in ("information", "arrangement", "interaction", "not_information"):
                parts[name] = Estimate.from_dict(record[name])
            parts["lines"] = tuple(ArrangementLine.from_dict(x) for x in record["lines"])
            parts["sweeps"] = tuple(Sweep.from_dict(s) for s in record["sweeps"])
            parts["regions"] = tuple(Sweep.from_dict(s) for s in record["regions"])
            parts["counterexample"] = Steering.from_dict(record["counterexample"])
            parts["notes"] = tuple(map(str, record["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise CheckpointError(
                f"an arrangements record that cannot be read ({type(error).__name__}: {error})", SCHEMA
            ) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cell: ``arrangement``, ``role``, ``answers``, the figures with their errors, and ``outcome``."""
        import pandas as pd

        rows: list[Sequence[Any]] = []
        for x in self.lines:
            for c in x.cells:
                figures = [v for k in _FIGURES for v in (getattr(c, k).value, getattr(c, k).stderr)]
                rows.append([x.name, x.role, c.answers, *figures, c.outcome])
        columns = [name for k in _FIGURES for name in (k, f"{k}_stderr")]
        return pd.DataFrame(rows, columns=["arrangement", "role", "answers", *columns, "outcome"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{self.to_dataframe().round(3).to_html(index=False)}"


def counted(answers: int) -> str:
    """So many answers, in words.

    >>> counted(1), counted(4)
    ('1 answer', '4 answers')
    """
    return f"{answers} answer{'s' * (answers != 1)}"


def _signed(x: float) -> str:
    return f"{x:+.2f}".replace("-", "−")


def _percent(e: Estimate) -> str:
    low, high = e.interval()
    return f"{e.value:.0%} ({low:.0%} to {high:.0%})"


def _setting(x: float) -> str:
    return "∞" if math.isinf(x) else f"{x:g}"
