"""The report of many subjects: who is coherent, how far the others are from it, and the one who loses most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pindown.errors import CheckpointError
from pindown.report import charts
from pindown.report.blocks import Block, Column, Figure, Row, Section, Table
from pindown.report.choice_distance import INDICES, stated
from pindown.report.choice_records import Coherence, read_coherence
from pindown.report.coherence import coherence_sections

__all__ = ["PANEL", "panel_sections"]

PANEL = "pindown/coherence-panel/1"
_MOST_ROWS, _MOST_STEPS = 2000, 7
_LIMITS = (
    "Subjects whose choices would have passed whatever they were (vacuous) count as coherent: the share alone says "
    "little where there are many of them.",
    "The shares are those of these subjects. What their choices would be elsewhere is not measured.",
)


def panel_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a report on many subjects.

    Args:
        record: what ``Panel.to_dict()`` gives, schema ``pindown/coherence-panel/1``.

    Raises:
        CheckpointError: where the record is damaged; the place is named.
    """
    subjects = record.get("subjects")
    if not isinstance(subjects, Sequence) or isinstance(subjects, str) or not subjects:
        raise CheckpointError("a panel record without its subjects", PANEL, "the record is damaged: run it again")
    found = [read_coherence(s) for s in subjects]
    names = [(n, w) for n, w in INDICES if any(stated(getattr(c.plain, n)) for c in found)]
    rows: list[Row] = [
        [c.plain.subject, "yes" if c.plain.coherent else "no", *(getattr(c.plain, n).estimate.value for n, _ in names),
         _round(c)]
        for c in found[:_MOST_ROWS]
    ]  # fmt: skip
    columns = [Column("subject"), Column("coherent"), *(Column(w) for _, w in names), Column("way round")]
    note = f"The first {_MOST_ROWS:,} of {len(found):,}." if len(found) > _MOST_ROWS else ""
    blocks: list[Block] = []
    if any(stated(c.plain.ccei) for c in found):
        blocks.append(_spread(found))
    blocks.append(Table("Subjects", columns, rows, note=note))
    sections = [Section("The verdict", (str(record.get("verdict", "")),), blocks, limits=_LIMITS)]
    drawn = next((s for s, c in zip(subjects, found, strict=True) if c.graph.nodes), None)
    if drawn is not None:
        worst = coherence_sections(drawn)
        sections += [
            Section(f"{s.title}: {drawn.get('subject', '')}", s.verdict, s.blocks, s.method, s.limits) for s in worst
        ]
    return sections


def _round(c: Coherence) -> str | None:
    """The way round on which a subject loses, in a few words."""
    pump = c.plain.pump
    if pump is None:
        return None
    way = [*pump.cycle, *pump.cycle[:1]]
    shown = " → ".join(way if len(way) <= _MOST_STEPS else [*way[: _MOST_STEPS - 2], "…", way[-1]])
    return shown or pump.sentence


def _spread(found: Sequence[Coherence]) -> Figure:
    values = sorted(c.plain.ccei.estimate.value for c in found if stated(c.plain.ccei))
    n = len(values)
    shares = [100.0 * (k + 1) / n for k in range(n)]
    rows: list[Row] = [[values[min(n - 1, int(q * n))], q] for q in (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)]
    return Figure(
        title="CCEI of the subjects",
        spec={
            "data": [
                {
                    **charts.line(
                        values,
                        shares,
                        0,
                        texts=[f"{s:.3g}% up to {v:.4g}" for v, s in zip(values, shares, strict=True)],
                    ),
                    "line": {"color": "@s1", "width": 2, "shape": "hv"},
                }
            ],
            "layout": {
                "xaxis": charts.axis("CCEI"),
                "yaxis": charts.axis("subjects up to it, %", rangemode="tozero"),
                "showlegend": False,
            },
        },
        summary=f"The median CCEI of {n:,} subject{'s' * (n != 1)} is {values[n // 2]:.4g}, "
        f"the lowest {values[0]:.4g}.",
        table=Table(
            "CCEI at some shares of the subjects", [Column("CCEI"), Column("share of subjects", percent=True)], rows
        ),
        height=340,
    )
