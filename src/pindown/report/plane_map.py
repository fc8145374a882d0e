"""The heat map of bit planes: one row a tensor, one column a bit, the colour the rise of the loss relative to ε."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Table
from pindown.report.weight_records import BitPlanes, Bracket, Level

__all__ = ["plane_map", "row_label"]

_REACH = 2.0  # decades of the colour scale on either side of ε
_TOGETHER = "all at once"
# Blue to red through yellow, which no common colour blindness confuses (ColorBrewer, RdYlBu).
_SCALE = ((0.0, "#2c7bb6"), (0.25, "#abd9e9"), (0.5, "#ffffbf"), (0.75, "#fdae61"), (1.0, "#d7191c"))
_MARGIN_BELOW, _MARGIN_ABOVE = 88, 44


def row_label(name: str, longest: int = 20) -> str:
    """A qualified name for an axis; of a long one its end, which tells more.

    >>> row_label("model.layers.10.self_attn.q_proj.weight")
    '…ttn.q_proj.weight'
    """
    name = " ".join(name.split())
    short = name if len(name) <= longest else "…" + name[-(longest - 3) :].lstrip(".")
    return charts.plain(short)


def plane_map(i: int, name: str, planes: BitPlanes, *, half: bool) -> Figure:
    """Where the loss notices random bits.

    The cell of plane p tells the rise with planes 0 to p random. The outline holds the planes that may be random.

    Args:
        i: the series, whose colour the outlines have.
        name: of the subject.
        planes: what to draw.
        half: whether another map stands beside it.
    """
    rows = _rows(planes)
    bits = planes.bits
    heat: list[list[float]] = []
    texts: list[list[str]] = []
    dots: list[tuple[int, int]] = []
    crosses: list[tuple[int, int, str]] = []
    for y, (label, bracket) in enumerate(rows):
        found = {v.planes - 1: v for v in (bracket.levels if bracket else ()) if 1 <= v.planes <= bits}
        heat.append([_shade(found[p], planes.epsilon) if p in found else math.nan for p in range(bits)])
        texts.append([charts.plain(_told(label, p, found.get(p), planes), 200) for p in range(bits)])
        dots += [(p, y) for p in range(bits) if p not in found and bracket is not None]
        crosses += [(p, y, texts[-1][p]) for p, v in found.items() if v.nonfinite]
    traces: list[charts.Trace] = [_cells(bits, heat, texts), *_outlines(i, rows, bits)]
    traces.append(_marks(dots, "not measured", "circle", 2, "@muted"))
    if crosses:
        traces.append(_marks([(p, y) for p, y, _ in crosses], "loss not finite", "x-thin-open", 7, "@ink"))
    return Figure(
        title=f"Bit planes of {name} ({planes.format})",
        spec={"data": traces, "layout": _layout(planes, [label for label, _ in rows])},
        summary=_summary(name, planes),
        table=_table(name, planes),
        caption=_caption(planes, bool(crosses)),
        height=_MARGIN_ABOVE + _MARGIN_BELOW + max(16, 32 - len(rows) // 4) * len(rows) + 14,
        half=half,
    )


def _rows(planes: BitPlanes) -> list[tuple[str, Bracket | None]]:
    """Tensors in the model's own order, then all of them at once."""
    rows = [(t.name, t.bracket) for t in planes.tensors]
    return [*rows, (_TOGETHER, planes.joint)] if planes.joint is not None else rows


def _shade(level: Level, epsilon: float) -> float:
    """The rise in decades relative to ε, cut off at both ends; a fall of the loss is at the lower end."""
    if level.nonfinite or not math.isfinite(level.rise.value):
        return _REACH
    if level.rise.value <= 0 or not epsilon > 0:
        return -_REACH
    return max(-_REACH, min(_REACH, math.log10(level.rise.value / epsilon)))


def _cells(bits: int, heat: list[list[float]], texts: list[list[str]]) -> charts.Trace:
    ticks = ("≤ ε/100", "ε/10", "ε", "10 ε", "≥ 100 ε")
    return {
        "type": "heatmap",
        "x": list(range(bits)),
        "y": list(range(len(heat))),
        "z": heat,
        "zmin": -_REACH,
        "zmax": _REACH,
        "xgap": 1,
        "ygap": 3,
        "colorscale": [list(stop) for stop in _SCALE],
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": True,
        "colorbar": {
            "orientation": "h",
            "thickness": 10,
            "len": 0.9,
            "x": 0.5,
            "xanchor": "center",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "tickmode": "array",
            "tickvals": [-2, -1, 0, 1, 2],
            "ticktext": list(ticks),
            "tickfont": {"color": "@muted", "size": 11},
        },
    }


def _outlines(i: int, rows: Sequence[tuple[str, Bracket | None]], bits: int) -> list[charts.Trace]:
    """What may be random: for certain in full lines, up to what is not excluded in dotted ones."""
    sure: tuple[list[float | None], list[float | None]] = ([], [])
    open_: tuple[list[float | None], list[float | None]] = ([], [])
    for y, (_, bracket) in enumerate(rows):
        if bracket is None:
            continue
        for (xs, ys), end, drawn in ((sure, bracket.low, True), (open_, bracket.high, bracket.high > bracket.low)):
            if drawn:
                left = min(end, bits) - 0.5
                xs += [-0.5, left, left, -0.5, -0.5, None]
                ys += [y - 0.44, y - 0.44, y + 0.44, y + 0.44, y - 0.44, None]
    out = [_line(*sure, "may be random", "solid", 2.5, charts.series(i)[0])]
    if open_[0]:
        out.insert(0, _line(*open_, "undecided up to here", "dot", 1.5, "@ink"))
    return out


def _line(
    xs: Sequence[float | None], ys: Sequence[float | None], name: str, dash: str, width: float, colour: str
) -> charts.Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(xs),
        "y": list(ys),
        "name": name,
        "line": {"color": colour, "width": width, "dash": dash},
        "hoverinfo": "skip",
    }


def _marks(at: Sequence[tuple[int, int]], name: str, symbol: str, size: float, colour: str) -> charts.Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [p for p, _ in at],
        "y": [y for _, y in at],
        "name": name,
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": colour,
            "line": {"color": colour, "width": 1.5 if symbol.startswith("x") else 0},
        },
        "hoverinfo": "skip",
    }


def _layout(planes: BitPlanes, labels: Sequence[str]) -> dict[str, Any]:
    bits, mantissa, exponent = planes.bits, planes.mantissa, planes.exponent
    parts = [(bits - 1, "±"), ((mantissa - 1) / 2, "mantissa")]
    if exponent:
        parts.insert(1, (mantissa + (exponent - 1) / 2, "exponent"))
    edges = sorted({mantissa - 0.5, mantissa + exponent - 0.5})
    style = {"color": "@ink", "width": 1.5}
    lines: list[dict[str, Any]] = [
        {"type": "line", "yref": "paper", "x0": e, "x1": e, "y0": 0, "y1": 1, "line": style} for e in edges
    ]
    if labels and labels[-1] == _TOGETHER and len(labels) > 1:
        y = len(labels) - 1.5
        muted = {"color": "@muted", "width": 1}
        lines.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": muted})
    return {
        "margin": {"t": _MARGIN_ABOVE, "b": _MARGIN_BELOW},
        "showlegend": True,
        "xaxis": charts.axis(
            f"bits of {planes.format}, highest on the left",
            range=[bits - 0.5, -0.5],
            showgrid=False,
            ticks="",
            tickmode="array",
            tickvals=[at for at, _ in parts],
            ticktext=[text for _, text in parts],
            tickangle=0,
        ),
        "yaxis": {
            "range": [len(labels) - 0.45, -0.55],
            "showgrid": False,
            "ticks": "",
            "tickmode": "array",
            "tickvals": list(range(len(labels))),
            "ticktext": [row_label(label) for label in labels],
        },
        "shapes": lines,
    }


def _part(planes: BitPlanes, plane: int) -> str:
    if plane == planes.bits - 1:
        return "sign"
    return "mantissa" if plane < planes.mantissa else "exponent"


def _told(label: str, plane: int, level: Level | None, planes: BitPlanes) -> str:
    where = f"{label}, bit {plane} ({_part(planes, plane)})"
    if level is None:
        return f"{where}: not measured"
    if level.nonfinite:
        share = f"{notation.count(level.nonfinite)} of {notation.count(level.draws)} draws"
        return f"{where} and all below random: loss not finite in {share}"
    times = level.rise.value / planes.epsilon
    return (
        f"{where} and all below random: {charts.figure_text(level.rise)}, {notation.number(times, 2)} ε, "
        f"{level.decision}"
    )


def _caption(planes: BitPlanes, crosses: bool) -> str:
    told = (
        "Each cell: the rise of the loss with this bit and all lower ones random, relative to ε = "
        f"{notation.number(planes.epsilon)}; yellow is a rise of ε. Inside the outline the bits may be random. "
        "±: the sign. Dots: levels that the search did not need."
    )
    if any(b is not None and b.high > b.low for _, b in _rows(planes)):
        told += " Dotted outlines: more may be, which the draws do not decide."
    return told + (" Crosses: the loss is not finite." if crosses else "")


def _summary(name: str, planes: BitPlanes) -> str:
    parts: list[str] = []
    for label, bracket in _rows(planes):
        if bracket is None:
            parts.append(f"{label} was not measured")
        elif not bracket.fits:
            parts.append(f"{label} does not tolerate {planes.format} itself")
        elif bracket.low == bracket.high:
            parts.append(f"{label} {bracket.low}")
        else:
            parts.append(f"{label} {bracket.low} to {bracket.high}")
    return f"{name}: of {planes.bits} low-order bits may be random: {', '.join(parts)}."


def _table(name: str, planes: BitPlanes) -> Table:
    rows: list[Row] = []
    for label, bracket in _rows(planes):
        for v in bracket.levels if bracket else ():
            part = _part(planes, v.planes - 1) if v.planes else "rounding alone"
            rows.append(
                [label, v.planes, part, v.rise, v.rise.value / planes.epsilon, v.decision, v.draws, v.nonfinite]
            )
    columns = [
        Column("tensor"), Column("random low-order planes", digits=0), Column("up to"), Column("rise", estimate=True),
        Column("rise / ε", digits=2), Column("decision"), Column("draws", digits=0), Column("not finite", digits=0),
    ]  # fmt: skip
    return Table(f"Every level that was measured, {name}", columns, rows)
