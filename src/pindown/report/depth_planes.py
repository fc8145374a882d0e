"""The section on bit planes: where the bits sit, what is kept jointly, and what is safe to quantise to what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report import depth_text as told
from pindown.report.blocks import Block, Column, Figure, Notice, Row, Section, Table
from pindown.report.plane_map import plane_map, row_label
from pindown.report.weight_records import BitPlanes, PlaneTensor

__all__ = ["FORMAT_NAMES", "Planes", "planes_section"]

Planes = tuple[int, str, BitPlanes]
"""Its series, its subject's name, what was found."""

FORMAT_NAMES = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8_e4m3": "fp8 e4m3, one scale a channel",
    "fp8_e5m2": "fp8 e5m2, one scale a channel",
    "int8": "int8, one scale a channel",
    "int4": "int4 in groups",
    "own": "as it is",
}
_REACH = 10.0  # multiples of ε that the chart of joint rises shows


def planes_section(several: Sequence[Planes], notices: Sequence[Notice] = ()) -> Section:
    """What the bit planes of one or more networks show."""
    half = len(several) > 1
    blocks: list[Block] = [*notices, *_warnings(several)]
    blocks += [plane_map(i, name, p, half=half) for i, name, p in several]
    blocks += [_kept(i, name, p, half=half) for i, name, p in several if p.allocation is not None]
    if any(_joint(p) for _, _, p in several):
        blocks.append(_rises(several))
    blocks += [_tensors(several), *_formats(several)]
    verdict = [f"{name}: {p.recommendation}" if half else p.recommendation for _, name, p in several]
    return Section(
        "Where the bits sit: bit planes",
        [v for v, (_, _, p) in zip(verdict, several, strict=True) if p.recommendation],
        blocks,
        method=told.PLANES_METHOD,
        limits=[*told.PLANES_LIMITS, *told.noted([(name, p.notes) for _, name, p in several])],
    )


def _warnings(several: Sequence[Planes]) -> list[Notice]:
    """What must not be missed: single answers that fail together, an allocation that was not verified, gaps."""
    out: list[Notice] = []
    for _, name, p in several:
        if p.together is not None and p.together.decision == "not tolerated":
            text = "Use the joint allocation or the joint choice of formats, not the answers of single tensors."
            if p.together.nonfinite:
                share = f"{notation.count(p.together.nonfinite)} of {notation.count(p.together.draws)}"
                rise = f"the loss is not finite in {share} draws."
            else:
                rise = f"the loss rises by {_times(p.together.rise, p.epsilon)}."
            out.append(Notice("caution", f"{name}, every tensor's own answer at once: {rise}", text))
        if p.allocation is not None and p.allocation.verified.decision != "tolerated":
            rise = charts.figure_text(p.allocation.verified.rise)
            out.append(
                Notice("bad", f"{name}: no joint allocation was verified.", f"The rise measured last is {rise}.")
            )
        out += [
            Notice("caution", f"{name}, {t.name}: cannot be measured.", t.unsupported)
            for t in p.tensors
            if t.bracket is None
        ]
    return out


def _times(e: Estimate, epsilon: float) -> str:
    return f"{notation.value_text(notation.scaled(e, 1 / epsilon, '1'))} times ε"


def _kept(i: int, name: str, p: BitPlanes, *, half: bool) -> Figure:
    """Kept bits of each tensor as bars, with what each would keep alone."""
    assert p.allocation is not None
    measured = [t for t in p.tensors if t.name in p.allocation.kept]
    colour = charts.series(i)[0]
    at = list(range(len(measured)))
    alone = [_alone(t, p.bits) for t in measured]
    bars: charts.Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [p.allocation.kept[t.name] for t in measured],
        "y": at,
        "width": 0.7,
        "marker": {"color": colour},
        "name": "kept in the joint allocation",
        "text": [notation.count(p.allocation.kept[t.name]) for t in measured],
        "textposition": "inside",
        "insidetextanchor": "start",
        "textangle": 0,
        "hovertext": [
            charts.plain(f"{t.name}: {notation.count(p.allocation.kept[t.name])} of {p.bits} bits", 120)
            for t in measured
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "insidetextfont": {"color": "@paper", "size": 12},
    }
    marks = charts.estimates(
        at, alone, i, "kept where it is random alone",
        texts=[f"{t.name} alone: {charts.figure_text(e)}" for t, e in zip(measured, alone, strict=True)],
        sideways=True, symbol="diamond", colour="@ink", stem=1.2,
    )  # fmt: skip
    for trace in marks:
        trace["legendgroup"] = "alone"
        trace["marker"] |= (
            {"size": 10, "line": {"color": "@paper", "width": 1.5}} if trace["marker"]["symbol"] == "diamond" else {}
        )
    edges = [1, 1 + p.exponent] if p.exponent else [1]
    style = {"color": "@muted", "width": 1, "dash": "dot"}
    lines = [{"type": "line", "yref": "paper", "x0": e, "x1": e, "y0": 0, "y1": 1, "line": style} for e in edges]
    bits = "" if p.allocation.bits is None or not p.measured_weights else (
        f" {notation.number(p.allocation.bits / p.measured_weights, 3)} of {p.bits} bits a weight on average."
    )  # fmt: skip
    return Figure(
        title=f"Bits kept in each tensor of {name}",
        spec={
            "data": [bars, *marks],
            "layout": {
                "showlegend": True,
                "bargap": 0.2,
                "xaxis": charts.axis(f"bits kept of {p.bits}, sign first", range=[0, p.bits]),
                "yaxis": _names_axis([t.name for t in measured]),
                "shapes": lines,
            },
        },
        summary=f"{name}, kept jointly: "
        + ", ".join(f"{t.name} {notation.count(p.allocation.kept[t.name])}" for t in measured)
        + f".{bits}",
        table=Table(
            f"Bits kept in each tensor, {name}",
            [Column("tensor"), Column("weights", digits=0), Column("kept jointly", digits=0),
             Column("kept where it is random alone", estimate=True)],
            [[t.name, t.size, p.allocation.kept[t.name], e] for t, e in zip(measured, alone, strict=True)],
        ),
        caption=f"Bars: the joint allocation.{bits} Dotted lines: where "
        + ("the sign ends and the mantissa begins" if not p.exponent else "the exponent and the mantissa begin")
        + "."
        + (" Open marks with an arrow are bounds." if any(map(charts.is_bound, alone)) else ""),
        height=110 + max(16, 34 - len(measured) // 4) * len(measured),
        half=half,
    )  # fmt: skip


def _alone(t: PlaneTensor, bits: int) -> Estimate | None:
    """Bits that a tensor keeps where it alone is random: what is tolerated, turned around."""
    e = None if t.bracket is None else t.bracket.tolerated
    if e is None:
        return None
    kinds = {"lower_bound": "upper_bound", "upper_bound": "lower_bound"}
    kind: Any = kinds.get(e.kind, e.kind)
    return Estimate(bits - e.value, e.stderr, "bits", kind, e.status, e.reference, e.dof)


def _names_axis(names: Sequence[str]) -> dict[str, Any]:
    return {
        "range": [len(names) - 0.45, -0.55],
        "showgrid": False,
        "ticks": "",
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [row_label(n) for n in names],
    }


def _joint(p: BitPlanes) -> list[tuple[str, Estimate]]:
    """Rises with something done to all tensors at once, in the order that they are told."""
    out: list[tuple[str, Estimate | None]] = []
    if p.together is not None:
        out.append(("each tensor’s own answer", p.together.rise))
    if p.allocation is not None:
        out += [("allocation, predicted", p.allocation.predicted), ("allocation, verified", p.allocation.verified.rise)]
        out.append(("allocation, rounded", p.allocation.rounded))
    if p.choice is not None:
        out += [("formats, predicted", p.choice.predicted), ("formats, verified", p.choice.verified)]
    return [(what, e) for what, e in out if e is not None]


def _rises(several: Sequence[Planes]) -> Figure:
    """Everything that was applied to all tensors at once, in units of ε."""
    traces: list[charts.Trace] = []
    headings: list[dict[str, Any]] = []
    ticks: dict[float, str] = {}
    rows: list[Row] = []
    beyond: list[dict[str, Any]] = []
    y = 0.0
    for i, name, p in several:
        if len(several) > 1:
            headings.append(
                {"xref": "paper", "x": 0.005, "xanchor": "left", "y": y, "yanchor": "middle", "showarrow": False,
                 "text": f"<b>{charts.plain(name, 36)}</b>"}
            )  # fmt: skip
            y += 1
        for what, e in _joint(p):
            ticks[y] = what
            scaled = notation.scaled(e, 1 / p.epsilon, "ε")
            text = f"{name}, {what}: {charts.figure_text(scaled)}"
            if math.isfinite(scaled.value) and scaled.value <= _REACH:
                traces += charts.estimates([y], [scaled], i, name, texts=[text], sideways=True, legend=False)
            else:
                beyond.append(_beyond(i, y, text))
                said = notation.value_text(scaled) if math.isfinite(scaled.value) else "not finite"
                headings.append(
                    {"x": 0.955 * _REACH, "xanchor": "right", "y": y, "yanchor": "middle", "showarrow": False,
                     "text": f"{said} ε" if math.isfinite(scaled.value) else said}
                )  # fmt: skip
            rows.append([name, what, e, scaled.value])
            y += 1
    ends = [end for t in traces for v, up, down in _bars(t) for end in (v + up, v - down)]
    high = _REACH if beyond else max([1.5, *(1.08 * e for e in ends if e <= 1.3 * _REACH)])
    low = min([0.0, *ends])
    style = {"color": "@muted", "width": 1.4, "dash": "dot"}
    zero = {"color": "@muted", "width": 1.0}
    shapes = [
        {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}
        for x, line in ((1.0, style), (0.0, zero))
    ]
    return Figure(
        title="Applied to all tensors at once: the rise of the loss in units of ε",
        spec={
            "data": [*traces, *beyond],
            "layout": {
                "xaxis": charts.axis("rise of the loss / ε", range=[low - 0.03 * (high - low), high]),
                "yaxis": {
                    "range": [y - 0.4, -0.6],
                    "showgrid": False,
                    "ticks": "",
                    "tickmode": "array",
                    "tickvals": list(ticks),
                    "ticktext": list(ticks.values()),
                },
                "shapes": shapes,
                "annotations": headings,
            },
        },
        summary="; ".join(
            f"{name}: " + ", ".join(f"{what} {_times(e, p.epsilon)}" for what, e in _joint(p)) for _, name, p in several
        )
        + ".",
        table=Table(
            "Rises with all tensors changed at once",
            [Column("subject"), Column("what"), Column("rise", estimate=True), Column("rise / ε", digits=3)],
            rows,
        ),
        caption="Dotted line: ε. Bars: 95% intervals. Predicted: the rises of single tensors added up. Verified: "
        "measured with all of them changed together."
        + (
            " Open marks: the error is unknown."
            if any(charts.doubtful(e) for _, _, p in several for _, e in _joint(p))
            else ""
        ),
        height=int(96 + 27 * y),
    )


def _bars(trace: charts.Trace) -> list[tuple[float, float, float]]:
    bars = trace.get("error_x", {"array": [0.0] * len(trace["x"]), "arrayminus": [0.0] * len(trace["x"])})
    return list(zip(trace["x"], bars["array"], bars["arrayminus"], strict=True))


def _beyond(i: int, y: float, text: str) -> charts.Trace:
    """A rise that lies beyond the chart's edge."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [0.985 * _REACH],
        "y": [y],
        "marker": {"symbol": "triangle-right", "size": 10, "color": charts.series(i)[0]},
        "text": [charts.plain(text, 200)],
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }


def _tensors(several: Sequence[Planes]) -> Table:
    rows: list[Row] = []
    for _, name, p in several:
        kept = p.allocation.kept if p.allocation is not None else {}
        target = p.choice.target if p.choice is not None else {}
        for t in p.tensors:
            high = None if t.bracket is None else t.bracket.high
            form = target.get(t.name)
            rows.append(
                [name, t.name, t.layer or None, t.size, t.tolerated, high, kept.get(t.name),
                 None if form is None else FORMAT_NAMES.get(form, form)]
            )  # fmt: skip
    columns = [
        Column("subject"), Column("tensor"), Column("layer"), Column("weights", digits=0),
        Column("may be random alone", estimate=True), Column("not excluded up to", digits=0),
        Column("bits kept jointly", digits=0), Column("quantise to"),
    ]  # fmt: skip
    return Table("What each tensor tolerates, and what is safe together", columns, rows)


def _formats(several: Sequence[Planes]) -> list[Table]:
    rows: list[Row] = []
    for _, name, p in several:
        for f in p.formats:
            times = None if f.together is None else f.together.value / p.epsilon
            label = FORMAT_NAMES.get(f.target, f.target)
            rows.append([name, f"all in {label}", f.bits_per_weight, f.together, times])
        if p.choice is not None and p.choice.verified is not None:
            e = p.choice.verified
            rows.append([name, "the choice above", p.choice.bits_per_weight, e, e.value / p.epsilon])
        if p.choice is not None and p.choice.exported is not None:
            e = p.choice.exported
            rows.append([name, "its linear layers alone, as exported", None, e, e.value / p.epsilon])
    if not rows:
        return []
    columns = [
        Column("subject"), Column("rounded"), Column("bits a weight", digits=3),
        Column("rise of the loss", estimate=True), Column("rise / ε", digits=2),
    ]  # fmt: skip
    return [Table("Rounding to the formats that deployments use, all tensors together", columns, rows)]
