"""The report of a compression study: one section for each question."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Column, Figure, Notice, Row, Section, Table
from pindown.report.page import render_page
from pindown.report.reader import Reader, read_as
from pindown.report.study_records import Answer, Curve, Lane, Named, Study

__all__ = ["comparison_blocks", "study_sections", "write_study_report"]

_TONES: Mapping[str, Literal["good", "caution", "bad"]] = {
    "supported": "good", "refuted": "bad", "undecided": "caution",
}  # fmt: skip
_LONG = 12  # rows of a table that is not open from the start
_AMONG = {
    "all": "all random solutions",
    "margins as large": "those of margins as large",
    "the same margins": "of the same margins",
    "the same margins for their size": "of the same margins for their size",
}


def study_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a study's report.

    Args:
        record: what ``CompressionStudy.to_dict()`` gives, schema ``pindown/compression-study/2``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    return [_section(a) for a in _read(record).answers]


def write_study_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of one study as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    found = _read(record)
    facts = [
        ("pindown", found.version or "version not recorded"),
        ("Made", found.created),
        ("Seed", notation.count(found.seed)),
        ("Time of this call", notation.duration(found.seconds)),
        ("Processor time", notation.duration(sum(a.seconds for a in found.answers))),
        ("Sizes", "full" if found.full else "default"),
        *((k, v) for k, v in found.environment.items()),
    ]
    sections = [_section(a) for a in found.answers]
    subtitle = f"Does optimisation compress by default? Measured on {found.subject}."
    write_atomically(path, render_page("The compression study", sections, facts=facts, subtitle=subtitle))


def _read(record: Mapping[str, Any]) -> Study:
    schema = record.get("schema") if isinstance(record, Mapping) else None  # JSON may hold a list
    if schema != Study.SCHEMA:
        raise CheckpointError(
            f"a record of schema {schema!r}", repr(Study.SCHEMA), "hand over what `pindown study --json` wrote"
        )
    found = read_as(Study, Reader(record, "record"))
    if not found.answers:
        raise CheckpointError("record.answers is empty", "at least one answer")
    return found


def _section(a: Answer) -> Section:
    blocks: list[Block] = [
        Notice(_TONES.get(v.outcome, "caution"), f"{v.outcome.capitalize()}: {v.claim}", v.because) for v in a.verdicts
    ]
    lanes_of: dict[str, list[Lane]] = {}
    for lane in a.lanes:
        lanes_of.setdefault(lane.chart, []).append(lane)
    blocks += [_lanes(title, lanes) for title, lanes in lanes_of.items()]
    blocks += comparison_blocks(a.comparisons)
    charts_of: dict[str, list[Curve]] = {}
    for curve in a.curves:
        charts_of.setdefault(curve.chart, []).append(curve)
    blocks += [_curves(title, curves) for title, curves in charts_of.items()]
    if a.figures:
        rows: list[Row] = [[f.group, f.name, f.value, f.value.unit if f.value.unit != "1" else ""] for f in a.figures]
        blocks.append(
            Table(
                "Figures",
                [Column("of"), Column("what"), Column("value", estimate=True), Column("unit")],
                rows,
                folded=len(rows) > _LONG,
            )
        )
    counted = {o: sum(v.outcome == o for v in a.verdicts) for o in _TONES}
    said = ", ".join(f"{n} {o}" for o, n in counted.items() if n)
    return Section(
        f"Question {a.question}. {a.title}",
        [f"Of {len(a.verdicts)} claims: {said}."] if a.verdicts else [],
        blocks,
        method=[f"{v.claim} {v.rule}" for v in a.verdicts],
        limits=list(a.notes),
    )


def comparison_blocks(compared: Sequence[Named]) -> list[Block]:
    """Charts and table of optimisers against random solutions; nothing where none was compared."""
    if not compared:
        return []
    tasks = _tasks(compared)
    charted = [_distances([c for c in compared if c.task == t], t if len(tasks) > 1 else "") for t in tasks]
    return [*charted, _scatter(compared), _table(compared)]


def _distances(compared: Sequence[Named], task: str) -> Figure:
    """Total variation on held-out draws of each optimiser, by which random solutions it is compared with."""
    names = list(dict.fromkeys(c.name for c in compared))
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    present = [w for w in _AMONG if any(c.among == w for c in compared)]
    for i, among in enumerate(present):
        own = {c.name: c.comparison for c in compared if c.among == among}
        values = [own[n].held_out_total_variation if n in own else None for n in names]
        offset = 0.6 / max(len(present), 3) * (i - (len(present) - 1) / 2)
        traces += charts.estimates(
            [y + offset for y in range(len(names))], values, i, _AMONG[among],
            texts=[f"{n}, {among}: {charts.figure_text(v)}" for n, v in zip(names, values, strict=True)],
            sideways=True, stem=0.02,
        )  # fmt: skip
        rows += [[n, among, v] for n, v in zip(names, values, strict=True) if v is not None]
    title = "How far optimisers are from random solutions" + (f": {task}" if task else "")
    return Figure(
        title=title,
        spec={
            "data": traces,
            "layout": {
                "showlegend": True,
                "xaxis": charts.axis("total variation on held-out draws"),
                "yaxis": {
                    "tickvals": list(range(len(names))), "ticktext": [_broken(n) for n in names],
                    "range": [len(names) - 0.5, -0.5], "automargin": True,
                },
            },
        },
        summary="; ".join(f"{r[0]}, {r[1]}: {charts.figure_text(r[2])}" for r in rows if isinstance(r[2], Estimate)),
        table=Table(
            title, [Column("optimiser"), Column("random solutions"), Column("total variation", estimate=True)], rows
        ),
        caption="Measured on draws that had no part in choosing where the samplers differ: 0 in the mean for one "
        "sampler against itself, and no more than the total variation. Bars: 95% intervals.",
        height=120 + max(46, 16 * len(present)) * len(names),
    )  # fmt: skip


def _broken(label: str) -> str:
    """A label of a row in lines that leave room for the chart on a phone."""
    return "<br>".join(charts.plain(line, 40) for line in textwrap.wrap(label, 22)[:4])


def _lanes(title: str, lanes: Sequence[Lane]) -> Figure:
    """Several measures on one axis: a row each, a mark for each of what is compared."""
    rows = list(dict.fromkeys(lane.row for lane in lanes))
    names = list(dict.fromkeys(lane.series for lane in lanes))
    values = [lane.value.value for lane in lanes if math.isfinite(lane.value.value)]
    unit = lanes[0].unit
    # Codes of one network differ by orders of magnitude; changes go both ways from 0.
    axis = charts.axis(unit) if unit == "octaves" else charts.numeric_axis(unit, values)
    bounds = [lane.value.value for lane in lanes if charts.is_bound(lane.value)]
    stem = 0.3 * min(bounds) if axis.get("type") == "log" and bounds else 0.05 * charts.span(values)
    traces: list[charts.Trace] = []
    for i, name in enumerate(names):
        own = {lane.row: lane.value for lane in lanes if lane.series == name}
        offset = 0.6 / max(len(names), 3) * (i - (len(names) - 1) / 2)
        traces += charts.estimates(
            [y + offset for y in range(len(rows))], [own.get(r) for r in rows], i, name,
            texts=[f"{name}, {r}: {charts.figure_text(own.get(r))}" for r in rows], sideways=True,
            stem=stem,
        )  # fmt: skip
    table: list[Row] = [[lane.series, lane.row, lane.value] for lane in lanes]
    return Figure(
        title=title,
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(names) > 1,
                "xaxis": axis,
                "yaxis": {
                    "tickvals": list(range(len(rows))), "ticktext": [_broken(r) for r in rows],
                    "autorange": "reversed", "automargin": True,
                },
            },
        },
        summary="; ".join(f"{lane.series}, {lane.row}: {charts.figure_text(lane.value)}" for lane in lanes),
        table=Table(title, [Column("of"), Column("what"), Column(unit, estimate=True)], table),
        caption="Bars: 95% intervals. Open marks with an arrow are bounds."
        + (" 1 octave is a factor of 2; 0 is no change." if unit == "octaves" else ""),
        height=140 + max(46, 16 * len(names)) * len(rows),
    )  # fmt: skip


def _tasks(compared: Sequence[Named]) -> list[str]:
    return list(dict.fromkeys(c.task for c in compared))


def _scatter(compared: Sequence[Named]) -> Figure:
    """Shares of single functions for the first fit of the first optimiser, and for the farthest."""
    whole = [c for c in compared if c.among == "all"] or list(compared)
    farthest = max(whole, key=lambda c: c.comparison.held_out_total_variation.value)
    shown = list({id(c): c for c in (whole[0], farthest)}.values())
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    least = 1.0
    for i, c in enumerate(shown):
        both = [f for f in c.comparison.counts if f.optimiser and f.random]
        x = [f.random / c.comparison.random_draws for f in both]
        y = [f.optimiser / c.comparison.draws for f in both]
        least = min([least, *x, *y])
        colour, symbol, _ = charts.series(i)
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": x, "y": y, "name": charts.plain(c.name, 70),
                "marker": {"color": colour, "symbol": symbol, "size": 7},
                "text": [charts.plain(f"{f.function}: {f.optimiser} and {f.random} times", 200) for f in both],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )  # fmt: skip
        rows += [[c.name, f.function, f.optimiser, f.random] for f in c.comparison.counts]
    traces.append(
        {"type": "scatter", "mode": "lines", "x": [least, 1.0], "y": [least, 1.0], "name": "equal",
         "line": {"color": "@muted", "width": 1, "dash": "dot"}, "hoverinfo": "skip"}
    )  # fmt: skip
    title = "Functions that both have shown"
    axis_x, axis_y = (charts.numeric_axis(t, [least, 1.0]) for t in ("share of random solutions", "share of runs"))
    return Figure(
        title=title,
        spec={"data": traces, "layout": {"showlegend": True, "xaxis": axis_x, "yaxis": axis_y}},
        summary=" ".join(
            f"{c.name}: correlation of log counts {charts.figure_text(c.comparison.log_correlation)}, total variation "
            f"{charts.figure_text(c.comparison.total_variation)}." for c in shown
        ),
        table=Table(
            title, [Column("optimiser"), Column("function"), Column("runs", digits=0), Column("random", digits=0)], rows
        ),
        caption="Each mark is a function. Logarithms hide how much mass differs: a cloud along the line can hold half "
        "of it.",
        height=420,
    )  # fmt: skip


def _table(compared: Sequence[Named]) -> Table:
    several = len(_tasks(compared)) > 1
    columns = [
        *([Column("task")] if several else []), Column("optimiser"), Column("random solutions"),
        Column("runs that fit", estimate=True, percent=True), Column("runs compared", digits=0),
        Column("random draws", digits=0), Column("total variation", estimate=True), Column("null", estimate=True),
        Column("unseen merged", estimate=True), Column("held out", estimate=True),
        Column("relative entropy, bits", estimate=True), Column("entropy, runs", estimate=True),
        Column("entropy, random", estimate=True), Column("not seen, runs", estimate=True, percent=True),
        Column("not seen, random", estimate=True, percent=True), Column("rank correlation", estimate=True),
        Column("of log counts", estimate=True),
    ]  # fmt: skip
    rows: list[Row] = []
    for c in compared:
        s = c.comparison
        rows.append(
            [*([c.task] if several else []), c.name, c.among, s.reached, s.draws, s.random_draws, s.total_variation,
             s.null, s.corrected_total_variation, s.held_out_total_variation, s.relative_entropy,
             s.entropy_bits.optimiser, s.entropy_bits.random, s.unseen.optimiser, s.unseen.random, s.rank_correlation,
             s.log_correlation]
        )  # fmt: skip
    return Table("Optimisers against random solutions", columns, rows, folded=len(rows) > _LONG)


def _curves(title: str, curves: Sequence[Curve]) -> Figure:
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    everything = [p.y.value for c in curves for p in c.points]
    for i, c in enumerate(curves):
        x, y = [p.x for p in c.points], [p.y for p in c.points]
        texts = [f"{c.name}, {notation.number(p.x)}: {charts.figure_text(p.y)}" for p in c.points]
        traces += charts.estimates(x, y, i, c.name, texts=texts, joined=True, stem=0.05 * charts.span(everything))
        rows += [[c.name, p.x, p.y] for p in c.points]
    across = [p.x for c in curves for p in c.points if math.isfinite(p.x)]
    return Figure(
        title=title,
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(curves) > 1,
                "xaxis": charts.numeric_axis(curves[0].x, across),
                "yaxis": charts.axis(curves[0].y),
            },
        },
        summary="; ".join(f"{c.name}: {', '.join(charts.figure_text(p.y) for p in c.points[:12])}" for c in curves)
        + ".",
        table=Table(title, [Column("curve"), Column(curves[0].x), Column(curves[0].y, estimate=True)], rows),
        half=True,
    )
