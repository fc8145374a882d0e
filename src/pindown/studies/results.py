"""The compression study as values: questions, figures, verdicts; to and from plain JSON."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.record import Record
from pindown.network.sampler_results import SamplerComparison

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "CompressionStudy", "Curve", "Figure", "Lane", "NamedComparison", "Point", "Verdict"]

_COLUMNS = 79  # narrower than a terminal, so that no line is broken twice


@dataclass(frozen=True)
class Verdict:
    """What the figures say of one claim.

    Attributes:
        claim: the claim.
        outcome: ``"supported"``, ``"refuted"`` or ``"undecided"``.
        rule: when it is which, stated before the figures were seen.
        because: the figures that decided.
    """

    claim: str
    outcome: str
    rule: str
    because: str


@dataclass(frozen=True)
class Figure:
    """One figure of a question.

    Attributes:
        group: what it belongs to, such as a network or an optimiser.
        name: what it is.
        value: the figure.
    """

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
    """Figures along an axis.

    Attributes:
        chart: the title of the chart that it belongs to; curves of one chart share their axes.
        name: of the curve.
        x, y: names of the axes.
        points: in the order of ``x``.
    """

    chart: str
    name: str
    x: str
    y: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Lane:
    """One figure on a chart of several measures on one axis.

    Attributes:
        chart: the title of the chart.
        series: what is compared, such as a width or a treatment; drawn with a mark of its own.
        row: the measure, a row of the chart.
        unit: of the axis.
        value: the figure.
    """

    chart: str
    series: str
    row: str
    unit: str
    value: Estimate


@dataclass(frozen=True)
class NamedComparison:
    """One optimiser against random solutions.

    Attributes:
        name: the optimiser and when its weights were taken.
        task: the labels and the network.
        among: which random solutions: all, or those of large margins.
        comparison: the comparison.
    """

    name: str
    task: str
    among: str
    comparison: SamplerComparison


@dataclass(frozen=True)
class Answer:
    """One question answered.

    Attributes:
        question: its number.
        title: the question.
        verdicts: one for each claim.
        figures, curves, comparisons: what was measured.
        notes: what the figures do not say, and what could not be measured.
        seconds: processor time, all workers together.
        lanes: figures of several measures on one axis.
    """

    question: int
    title: str
    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure, ...] = ()
    curves: tuple[Curve, ...] = ()
    comparisons: tuple[NamedComparison, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    lanes: tuple[Lane, ...] = ()


@dataclass(frozen=True)
class CompressionStudy(Record, schema="pindown/compression-study/2"):
    """The answers to one or more of the study's questions.

    Attributes:
        subject: what was studied: the built-in tasks, or the user's own.
        answers: one for each question.
        seed, full, seconds, created, version, environment: how it was made.
    """

    subject: str
    answers: tuple[Answer, ...]
    seed: int
    full: bool
    seconds: float
    created: str
    version: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def __getitem__(self, question: int) -> Answer:
        """The answer to one question.

        Raises:
            KeyError: where it was not asked.
        """
        for answer in self.answers:
            if answer.question == question:
                return answer
        raise KeyError(question)

    def summary(self) -> str:
        """Verdicts with what decided them, and notes, as plain text; figures are in :meth:`to_dataframe`."""
        blocks: list[str] = []
        for a in self.answers:
            lines = [f"Question {a.question}. {a.title}"]
            for v in a.verdicts:
                lines += [_filled(f"{v.outcome}: {v.claim}", 2), _filled(v.because, 6)]
            lines += [_filled(f"Note: {n}", 2) for n in a.notes]
            lines.append(
                f"  {len(a.figures)} figures, {len(a.comparisons)} comparisons; {a.seconds:.0f} processor seconds"
            )
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each figure."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for a in self.answers:
            for f in a.figures:
                low, high = f.value.interval()
                rows.append(
                    {
                        "question": a.question, "group": f.group, "figure": f.name, "value": f.value.value,
                        "low": low, "high": high, "unit": f.value.unit, "kind": f.value.kind,
                        "status": f.value.status.value,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def _filled(text: str, indent: int) -> str:
    """A paragraph that hangs by two more columns than its first line."""
    return textwrap.fill(
        text, _COLUMNS, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2), break_on_hyphens=False
    )
