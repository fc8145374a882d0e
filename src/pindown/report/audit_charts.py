"""An audit's charts over the tolerance: bits, the learning coefficient, and the dimensions that stay free."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Table
from pindown.report.records import Measurement, Point, Solution, Subject

__all__ = ["Drawn", "bits_figure", "dimension_figures"]

Drawn = tuple[int, Subject, Measurement]
"""One line of a chart: its series, its subject and its measurement."""

Place = Callable[[float], float]
"""Where a tolerance stands on the axis."""

_Found = tuple[int, Subject, Measurement, list[Solution]]
"""The same with the solutions that have a place on the bits chart."""


def _marks_note(values: Iterable[Estimate | None]) -> str:
    """What open marks mean, where there are any."""
    known = list(values)
    bounds = " Open marks with an arrow are bounds." if any(map(charts.is_bound, known)) else ""
    doubtful = " Open marks without one are figures whose error is unknown or whose status is not good."
    return bounds + (doubtful if any(map(charts.doubtful, known)) else "")


def bits_figure(loss: str, drawn: Sequence[Drawn]) -> Figure:
    """Bits against log tolerance with bands, SGD's own solutions on it, the labels' bits as a reference line."""
    found = [(i, s, m, _placed(s) if m.primary else []) for i, s, m in drawn]
    tolerances, heights = _extent(found)
    x_axis, place = charts.tolerance_axis(f"tolerance t on the {loss}", tolerances)
    stem = 0.09 * charts.span([*heights, 0.0])
    if any(map(charts.is_bound, _bits_shown(found))):
        heights.append(max(h for h in heights if math.isfinite(h)) + stem)  # room for the arrows
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    for i, s, m, _ in found:
        traces += _curve(i, s, m, stem, place)
        rows += [[s.name, "sweep", p.tolerance, p.bits] for p in m.sweep]
    if any(placed for *_, placed in found):
        traces.append(_solutions_entry())
    for i, s, _, placed in found:
        traces += _solutions(i, s, placed, stem, place)
        rows += [[s.name, x.name or "SGD", x.train_loss, x.depth] for x in placed]
    labels = {s.label_bits.value for _, s, _ in drawn if s.label_bits is not None and math.isfinite(s.label_bits.value)}
    top = max([*(h for h in heights if math.isfinite(h)), *labels, 1.0])
    layout = {
        "showlegend": len(drawn) > 1 or any(placed for *_, placed in found),
        "xaxis": x_axis,
        "yaxis": charts.axis("bits pinned down", range=[0, 1.08 * top], tickformat=",d"),
        "shapes": [_level(value) for value in labels],
        "annotations": [_level_name(value) for value in labels],
    }
    return Figure(
        title=f"Bits pinned down against tolerance on the {loss}",
        spec={"data": traces, "layout": layout},
        summary=_told((s, m, lambda p: charts.figure_text(p.bits)) for _, s, m in drawn),
        table=Table(
            f"Bits pinned down on the {loss}",
            [Column("subject"), Column("what"), Column("t or training loss"), Column("bits", estimate=True)],
            rows,
        ),
        caption=_bits_caption(found) + charts.zero_note(x_axis),
        height=440,
    )


def dimension_figures(loss: str, drawn: Sequence[Drawn]) -> list[Figure]:
    """λ against tolerance, and free dimensions as a share of all; none where the record has neither."""
    shares = "free dimensions (share of all)"
    figures = [
        _over_tolerance(f"Learning coefficient λ on the {loss}", "λ", loss, drawn, lambda p, _: p.learning_coefficient),
        _over_tolerance(f"Free dimensions on the {loss}", shares, loss, drawn, _free_share, percent=True),
    ]
    return [f for f in figures if f is not None]


def _over_tolerance(
    title: str,
    unit: str,
    loss: str,
    drawn: Sequence[Drawn],
    pick: Callable[[Point, Subject], Estimate | None],
    percent: bool = False,
) -> Figure | None:
    values = [pick(p, s) for _, s, m in drawn for p in m.sweep]
    known = [e.value for e in values if e is not None and math.isfinite(e.value)]
    if not known:
        return None
    shown = [p.tolerance for _, s, m in drawn for p in m.sweep if pick(p, s) is not None]
    x_axis, place = charts.tolerance_axis(f"tolerance t on the {loss}", shown)
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    for i, s, m in drawn:
        picked = [pick(p, s) for p in m.sweep]
        traces += charts.estimates(
            [place(p.tolerance) for p in m.sweep],
            picked,
            i,
            s.name,
            texts=[_hover(s, p, e, percent) for p, e in zip(m.sweep, picked, strict=True)],
            joined=True,
            stem=0.12 * charts.span([*known, 0.0]),
        )
        rows += [[s.name, p.tolerance, e] for p, e in zip(m.sweep, picked, strict=True)]
    y_axis = charts.axis(unit, rangemode="tozero", **({"tickformat": ".0%", "range": [0, 1.04]} if percent else {}))

    def teller(s: Subject) -> Callable[[Point], str]:
        return lambda p: charts.figure_text(pick(p, s), percent)

    return Figure(
        title=title,
        spec={"data": traces, "layout": {"showlegend": len(drawn) > 1, "xaxis": x_axis, "yaxis": y_axis}},
        summary=_told((s, m, teller(s)) for _, s, m in drawn),
        table=Table(title, [Column("subject"), Column("t"), Column(unit, estimate=True, percent=percent)], rows),
        caption="Bars: 95% intervals." + _marks_note(values) + charts.zero_note(x_axis),
        height=330,
        half=True,
    )


def _placed(s: Subject) -> list[Solution]:
    """The solutions that have a place on the bits chart."""
    return [x for x in s.solutions if x.depth is not None and x.train_loss is not None]


def _extent(
    found: Iterable[_Found],
) -> tuple[list[float], list[float]]:
    tolerances: list[float] = []
    heights: list[float] = []
    for _, _, m, placed in found:
        tolerances += [p.tolerance for p in m.sweep if p.bits is not None]
        heights += [p.bits.value for p in m.sweep if p.bits is not None]
        tolerances += [x.train_loss for x in placed if x.train_loss is not None]
        heights += [x.depth.value for x in placed if x.depth is not None]
        if m.curve:
            tolerances += m.curve.loss
            heights += m.curve.bits
    return tolerances, heights


def _curve(i: int, s: Subject, m: Measurement, stem: float, place: Place) -> list[charts.Trace]:
    traces: list[charts.Trace] = []
    if m.curve:
        c = m.curve
        texts = [
            f"{s.name}: {notation.number(b)} bits at t = {notation.number(t)} "
            f"(95%: {notation.number(low)} to {notation.number(high)})"
            for t, b, low, high in zip(c.loss, c.bits, c.low, c.high, strict=True)
        ]
        x = [place(t) for t in c.loss]
        traces += charts.band(x, c.low, c.high, i)
        traces += [charts.line(x, c.bits, i, texts=texts), charts.legend_entry(i, s.name)]
    traces += charts.estimates(
        [place(p.tolerance) for p in m.sweep],
        [p.bits for p in m.sweep],
        i,
        s.name,
        texts=[_hover(s, p, p.bits) for p in m.sweep],
        joined=m.curve is None,
        legend=m.curve is None,
        stem=stem,
    )
    return traces


def _solutions(i: int, s: Subject, placed: Sequence[Solution], stem: float, place: Place) -> list[charts.Trace]:
    marks = charts.estimates(
        [place(x.train_loss) if x.train_loss is not None else math.nan for x in placed],
        [x.depth for x in placed],
        i,
        s.name,
        texts=[
            f"{s.name}, {x.name or 'SGD'}, loss {notation.number(x.train_loss or 0.0)}: {charts.figure_text(x.depth)}"
            for x in placed
        ],
        legend=False,
        symbol="x-thin-open",
        stem=stem,
    )
    for mark in marks:
        mark["marker"]["line"] = {"color": charts.series(i)[0], "width": 2}
    return marks


def _solutions_entry() -> charts.Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "name": "SGD’s solutions, each at its training loss",
        "marker": {"symbol": "x-thin-open", "size": 8, "color": "@ink", "line": {"color": "@ink", "width": 2}},
    }


def _bits_shown(found: Iterable[_Found]) -> list[Estimate | None]:
    return [e for _, _, m, placed in found for e in [*(p.bits for p in m.sweep), *(x.depth for x in placed)]]


def _bits_caption(found: Sequence[_Found]) -> str:
    figures = _bits_shown(found)
    widths: list[float] = []
    for _, _, m, _ in found:
        if m.curve:
            widths += [h - b for b, h in zip(m.curve.bits, m.curve.high, strict=True) if math.isfinite(h - b)]
    caption = "Stricter tolerances are on the left. Bars: 95% intervals."
    if widths:
        caption = (
            "Stricter tolerances are on the left. Shaded band and bars: 95% intervals; the band is "
            f"± {notation.number(max(widths), 2)} bits at its widest."
        )
    return caption + _marks_note(figures)


def _level(value: float) -> dict[str, object]:
    style = {"color": "@muted", "width": 1.2, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": style}


def _level_name(value: float) -> dict[str, object]:
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": value,
        "yanchor": "bottom",
        "text": f"{notation.number(value)} bits: all that the training labels hold",
        "showarrow": False,
        "font": {"color": "@muted", "size": 12},
    }


def _free_share(p: Point, s: Subject) -> Estimate | None:
    if not s.parameters or p.free_dimensions is None:
        return None
    return notation.scaled(p.free_dimensions, 1 / s.parameters, "1")


def _hover(s: Subject, p: Point, e: Estimate | None, percent: bool = False) -> str:
    return f"{s.name}, t = {notation.number(p.tolerance)}: {charts.figure_text(e, percent)}"


def _told(lines: Iterable[tuple[Subject, Measurement, Callable[[Point], str]]]) -> str:
    """Both ends of each line in words, for readers who do not see the chart."""
    parts: list[str] = []
    for s, m, text in lines:
        ends = [m.sweep[-1], m.sweep[0]] if len(m.sweep) > 1 else list(m.sweep)
        said = ", ".join(f"{text(p)} at t = {notation.number(p.tolerance)}" for p in ends)
        parts.append(f"{s.name}: {said or 'no tolerance was measured'}")
    return "; ".join(parts) + "."
