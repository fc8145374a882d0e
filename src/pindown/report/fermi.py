"""The report of a Fermi estimate: the answer, what decides it, the routes to it, and where every number comes from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.fermi_records import Curve, Fermi, Outcome, read_fermi
from pindown.report.page import render_page

__all__ = ["fermi_sections", "write_fermi_report"]

_MOST_BARS = 12
_MOST_DENSITIES = 6
_BELOW = 0.3
"""How far below its name a bar stands, in rows: names stand inside the chart, so that a phone has room for the bars."""
_KNOWN = {"upper": "an upper bound", "lower": "a lower bound", "guess": "a guess", "exact": "exact",
          "neither": "nothing: bounds of both kinds meet in it"}  # fmt: skip
_SUBTITLE = "A named graph of uncertain quantities: what follows, what decides it, and where each number comes from."


def write_fermi_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of an estimate as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    f = read_fermi(record)
    facts = [
        ("pindown", f.version or "version not recorded"),
        ("Seed", notation.count(f.seed)),
        ("Time", notation.duration(f.seconds)),
        ("Draws", f"{notation.count(f.samples)} in {f.runs} scramblings"),
    ]
    title = f.title or f"Estimate: {f.answer.name}"
    write_atomically(path, render_page(title, fermi_sections(record), facts=facts, subtitle=_SUBTITLE))


def fermi_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of the report of an estimate.

    Args:
        record: what ``FermiResult.to_dict()`` gives, schema ``pindown/fermi/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    f = read_fermi(record)
    sections = [_answer(f)]
    if f.routes or f.beside:
        sections.append(_routes(f))
    if f.swings:
        sections.append(_deciding(f))
    sections.append(_quantities(f))
    return sections


def _answer(f: Fermi) -> Section:
    a = f.answer
    points = {p.percent: p.estimate for p in a.percentiles}
    shown = [p for p in sorted(points) if p in (5, 50, 95)] or sorted(points)[:3]
    cards = [Card(f"{p:g}% point", _coarse(points[p]), f.unit if f.unit != "1" else "") for p in shown]
    blocks: list[Block] = [Cards([CardGroup(a.name, f"What is known: {_KNOWN.get(a.bound, a.bound)}.", cards)])]
    if a.bound in ("upper", "lower"):
        other = "lower" if a.bound == "upper" else "upper"
        blocks.append(
            Notice(
                "caution",
                "One side only",
                f"Only {a.bound} bounds are known. Nothing here gives a {other} bound, so that there is no two-sided "
                "interval; the spread shown is of the bound.",
            )
        )
    elif a.bound == "neither":
        blocks.append(Notice("bad", "No bound", "Upper and lower bounds are mixed in the answer."))
    if not points[shown[0]].status.ok:
        blocks.append(Notice("bad", "No figures", f.verdict))
    several = [a, *f.routes]
    drawn = [o for o in several if o.density is not None][:_MOST_DENSITIES]
    if drawn:
        blocks.append(_density_figure(f, drawn))
    method = (
        f"{notation.count(f.samples)} points in {f.runs} independent scramblings of a Sobol’ sequence, whose spread is "
        f"the standard error; {notation.count(f.evaluations)} evaluations in all.",
        "Every quantity was drawn once, wherever it stands.",
    )
    limits = (
        "The standard errors are of the computation alone. How wrong the inputs are is in the spread, if it is honest.",
        *f.notes,
    )
    return Section("The answer", (f.verdict,), blocks, method, limits)


def _coarse(e: Estimate) -> Estimate:
    """A bound to three digits, rounded to the side on which it stays one; other figures as they are."""
    if e.kind not in ("upper_bound", "lower_bound") or not math.isfinite(e.value) or e.value == 0:
        return e
    step = 10.0 ** (math.floor(math.log10(abs(e.value))) - 2)
    ratio = e.value / step
    whole = math.ceil(ratio - 1e-9) if e.kind == "upper_bound" else math.floor(ratio + 1e-9)
    return Estimate(whole * step, e.stderr, e.unit, e.kind, e.status, e.reference, e.dof, e.support)


def _density_figure(f: Fermi, drawn: Sequence[Outcome]) -> Figure:
    log = all(o.density is not None and o.density.log for o in drawn)
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    ends: list[float] = []
    for i, o in enumerate(drawn):
        assert o.density is not None
        edges, heights = o.density.edges, o.density.heights
        x = [math.sqrt(a * b) if log else (a + b) / 2.0 for a, b in itertools.pairwise(edges)]
        y = list(heights)
        texts = [f"{o.name}: {notation.number(v)} {f.unit}" for v in x]
        entry = {**charts.line(x, y, i, texts=texts), "name": charts.plain(o.name), "showlegend": True}
        if i == 0:
            entry |= {"fill": "tozeroy", "fillcolor": "@s1/0.15"}
        traces.append(entry)
        rows += [[o.name, a, b] for a, b in zip(x, y, strict=True)]
        ends += [edges[0], edges[-1]]
    per = "per decade" if log else f"per {f.unit}"
    title = f"{f.unit}, logarithmic" if log else f.unit
    return Figure(
        title="Where the answer lies",
        spec={
            "data": traces,
            "layout": {
                "xaxis": charts.numeric_axis(title, ends) if log else charts.axis(title),
                "yaxis": charts.axis(f"share of draws {per}", rangemode="tozero"),
            },
        },
        summary="; ".join(f"{o.name}: {_span(o, f.unit)}" for o in drawn) + ".",
        table=Table("Densities", [Column("quantity"), Column(f.unit), Column(f"share of draws {per}")], rows),
        caption=_of_bounds(drawn),
        height=420,
    )


def _of_bounds(drawn: Sequence[Outcome]) -> str:
    if all(o.bound == "upper" for o in drawn):
        return "Every curve is of an upper bound: the quantity itself lies anywhere to the left of it."
    if any(o.bound in ("upper", "lower") for o in drawn):
        told = [f"{o.name} ({_KNOWN[o.bound]})" for o in drawn if o.bound in ("upper", "lower")]
        return f"Curves of bounds, not of quantities: {', '.join(told)}."
    return ""


def _span(o: Outcome, unit: str) -> str:
    points = o.points
    if not points[0].status.ok:
        return str(points[0].status)
    low, high = notation.number(points[0].value, 3), notation.number(points[-1].value, 3)
    figure = f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
    return f"{figure}, {_KNOWN.get(o.bound, o.bound)}"


def _routes(f: Fermi) -> Section:
    groups = [("route", f.routes), ("combined", f.combined), ("the answer", (f.answer,)), ("beside it", f.beside)]
    lines = [(kind, o) for kind, several in groups for o in several if o.points[0].status.ok]
    if not lines:
        return Section("The routes, compared", ("No route has figures.",))
    labels = [charts.plain(o.name, 42) for _, o in lines]
    traces: list[charts.Trace] = []
    kinds = list(dict.fromkeys(kind for kind, _ in lines))
    for i, kind in enumerate(kinds):
        colour, symbol, _ = charts.series(i)
        chosen = [(k, o) for k, (g, o) in enumerate(lines) if g == kind]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for k, o in chosen:
            xs += [o.points[0].value, o.points[-1].value, None]
            ys += [k + _BELOW, k + _BELOW, None]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "showlegend": False,
                "hoverinfo": "skip",
                "line": {"color": colour, "width": 3},
            }
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [_middle(o).value for _, o in chosen],
                "y": [k + _BELOW for k, _ in chosen],
                "name": kind,
                "marker": {"symbol": [_symbol(o, symbol) for _, o in chosen], "size": 10, "color": colour},
                "text": [charts.plain(f"{o.name}: {_span(o, f.unit)}", 200) for _, o in chosen],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    values = [p.value for _, o in lines for p in (o.points[0], o.points[-1])]
    rows: list[Row] = [[o.name, kind, _KNOWN.get(o.bound, o.bound), o.points[0], _middle(o), o.points[-1]]
                       for kind, o in lines]  # fmt: skip
    low, high = _percents(f.answer)
    figure = Figure(
        title="On one axis",
        spec={
            "data": traces,
            "layout": {
                "xaxis": _padded(charts.numeric_axis(f.unit, values), values),
                "yaxis": {
                    "tickvals": [float(k) for k in range(len(lines))], "ticktext": labels, "autorange": "reversed",
                    "ticks": "", "showgrid": False, "ticklabelposition": "inside top",
                },
            },
        },
        summary="; ".join(f"{o.name} ({kind}): {_span(o, f.unit)}" for kind, o in lines) + ".",
        table=Table(
            "Routes, the answer, and what stands beside it",
            [Column("quantity"), Column("is"), Column("known"), Column(low, estimate=True),
             Column("50% point", estimate=True), Column(high, estimate=True)],
            rows,
        ),
        caption=f"Bars from the {low} to the {high}, marks at the middle; an arrow to the left is an upper bound, one "
        "to the right a lower bound.",
        height=max(320, 110 + 40 * len(lines)),
    )  # fmt: skip
    said: list[str] = []
    for o in (o for o in f.combined if o.points[0].status.ok):
        where = " and ".join(notation.number(p.value, 3) for p in (o.points[0], o.points[-1]))
        said.append(f"{o.name[0].upper()}{o.name[1:]} lies between {where} {f.unit} in the draws from {low} to {high}.")
    if f.contradiction is not None:
        c = notation.with_error(f.contradiction, percent=True)
        said.append(f"The combined lower bound exceeds the combined upper bound in {c} of the draws.")
    method = (
        "Upper bounds on one thing combine to the least of them, lower bounds to the largest, guesses to their pool.",
    )
    limits = ("Routes that share inputs are not independent of each other; their draws share them too.",)
    return Section("The routes, compared", said, [figure], method, limits)


def _padded(axis: dict[str, Any], values: Sequence[float]) -> dict[str, Any]:
    """An axis with room beside its outermost marks."""
    low, high = min(values), max(values)
    if axis.get("type") == "log":
        low, high = math.log10(low), math.log10(high)
    room = 0.04 * (high - low) or 0.5
    return {**axis, "range": [low - room, high + room]}


def _middle(o: Outcome) -> Estimate:
    return min(o.percentiles, key=lambda p: abs(p.percent - 50.0)).estimate


def _percents(o: Outcome) -> tuple[str, str]:
    percents = sorted(p.percent for p in o.percentiles)
    return f"{percents[0]:g}% point", f"{percents[-1]:g}% point"


def _symbol(o: Outcome, symbol: str) -> str:
    return {"upper": "triangle-left", "lower": "triangle-right"}.get(o.bound, symbol)


def _deciding(f: Fermi) -> Section:
    blocks: list[Block] = [_tornado(f)]
    if len(f.sensitivity) > 1:
        columns = [Column("input, or correlated group"), Column("total index", estimate=True),
                   Column("first-order index", estimate=True)]  # fmt: skip
        rows: list[Row] = [[s.name, s.total, s.first] for s in f.sensitivity]
        blocks.append(Table("Sobol’ indices", columns, rows))
    blocks += [_curve_figure(f, c) for c in f.curves]
    of = "the logarithm of the answer" if f.log else "the answer"
    said = [f"Of the variance of {of}, {s.name} accounts for {notation.value_text(s.total, True)} in all."
            for s in f.sensitivity[:1] if math.isfinite(s.total.value) and len(f.sensitivity) > 1]  # fmt: skip
    method = (
        f"Sobol’ indices are of the variance of {of}, by SALib, each with its own standard error.",
        "The total index of an input is the share of the variance that is left where all others are known, the "
        "first-order index the share that knowing it removes. Correlated inputs are judged together.",
    )
    limits = (
        "What decides the spread is not what is most likely wrong: an input that is stated too surely has a low index.",
    )
    return Section("What decides it", said, blocks, method, limits)


def _tornado(f: Fermi) -> Figure:
    bars = f.swings[:_MOST_BARS]
    middle = bars[0].middle
    values = [v for s in bars for v in (s.low, s.high)]
    log = min(values) > 0 and max(values) > 3 * min(values)
    labels = [charts.plain(s.name, 42) for s in bars]
    traces: list[charts.Trace] = []
    for i, (name, end, at) in enumerate((("input at its 5% point", "low", "input_low"),
                                         ("input at its 95% point", "high", "input_high"))):  # fmt: skip
        colour, symbol, _ = charts.series(i)
        xs: list[float | None] = []
        ys: list[float | None] = []
        for k, s in enumerate(bars):
            xs += [middle, getattr(s, end), None]
            ys += [k + _BELOW, k + _BELOW, None]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "showlegend": False,
                "hoverinfo": "skip",
                "line": {"color": colour, "width": 12},
            }
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [getattr(s, end) for s in bars],
                "y": [k + _BELOW for k in range(len(bars))],
                "name": name,
                "marker": {"symbol": symbol, "size": 9, "color": colour},
                "text": [
                    charts.plain(
                        f"{s.name} = {_with_unit(getattr(s, at), s.unit)}: {_with_unit(getattr(s, end), f.unit)}", 200
                    )
                    for s in bars
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    left = len(f.swings) - len(bars)
    rows: list[Row] = [[s.name, s.unit if s.unit != "1" else "", s.input_low, s.input_high, s.low, s.high]
                       for s in f.swings]  # fmt: skip
    axis = (
        charts.numeric_axis(f"{f.answer.name}, {f.unit}", values) if log else charts.axis(f"{f.answer.name}, {f.unit}")
    )
    return Figure(
        title="One input at a time",
        spec={
            "data": traces,
            "layout": {
                "xaxis": _padded(axis, values),
                "yaxis": {
                    "tickvals": [float(k) for k in range(len(bars))], "ticktext": labels, "autorange": "reversed",
                    "ticks": "", "showgrid": False, "ticklabelposition": "inside top",
                },
            },
        },
        summary=f"With every input at its median the answer is {_with_unit(middle, f.unit)}. The widest swing is that "
        f"of {bars[0].name}: from {_with_unit(bars[0].low, f.unit)} to {_with_unit(bars[0].high, f.unit)}.",
        table=Table(
            "The answer with one input moved",
            [Column("input"), Column("unit"), Column("its 5% point"), Column("its 95% point"), Column("answer there"),
             Column("answer at the other")],
            rows,
        ),
        caption="Each bar: one input moved from its 5% to its 95% point, all others at their medians."
        + (f" {left} narrower bars are in the table." if left > 0 else ""),
        height=max(300, 120 + 44 * len(bars)),
    )  # fmt: skip


def _curve_figure(f: Fermi, c: Curve) -> Figure:
    where = f"{c.name}, {c.unit}" if c.unit not in ("", "1") else c.name
    y = [*c.low, *c.high]
    texts = [f"{_with_unit(x, c.unit)}: {_with_unit(v, f.unit)}" for x, v in zip(c.at, c.middle, strict=True)]
    rows: list[Row] = [list(row) for row in zip(c.at, c.low, c.middle, c.high, strict=True)]
    return Figure(
        title=f"Given {c.name}",
        spec={
            "data": [*charts.band(c.at, c.low, c.high, 0), charts.line(c.at, c.middle, 0, texts=texts)],
            "layout": {
                "xaxis": charts.numeric_axis(where, c.at),
                "yaxis": charts.numeric_axis(f.unit, y),
                "showlegend": False,
            },
        },
        summary=f"{f.answer.name} given {c.name}: the middle goes from {_with_unit(c.middle[0], f.unit)} to "
        f"{_with_unit(c.middle[-1], f.unit)}.",
        table=Table(
            f"{f.answer.name} given {c.name}", [Column(where), Column("5%"), Column("50%"), Column("95%")], rows
        ),
        caption="Line: the median in slices of the input; band: 5% to 95%.",
        height=300,
        half=True,
    )


def _with_unit(x: float, unit: str) -> str:
    return notation.number(x, 3) + (f" {unit}" if unit not in ("", "1") else "")


def _quantities(f: Fermi) -> Section:
    columns = [Column("quantity"), Column("known"), Column("unit"), Column("5%"), Column("50%"), Column("95%"),
               Column("source"), Column("how")]  # fmt: skip
    rows: list[Row] = [
        [n.name, n.bound, "" if n.unit == "1" else n.unit, n.low, n.middle, n.high, n.source, n.how] for n in f.nodes
    ]
    unsourced = [n.name for n in f.nodes if not n.source and ":" in n.how]
    note = f"Without a source: {', '.join(unsourced)}." if unsourced else ""
    return Section("Every quantity and its source", (), [Table("Quantities", columns, rows, note=note)])
