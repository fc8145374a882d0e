"""The section on what the weights tolerate: pruning, noise, how they are spread, and bits a weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report import depth_text as told
from pindown.report.blocks import Block, Column, Figure, Notice, Row, Section, Table
from pindown.report.depth_noise import (
    FLOOR,
    bounds_note,
    epsilon_line,
    epsilon_name,
    names_axis,
    noise_figure,
    rise_axis,
    tensor_figures,
)
from pindown.report.depth_records import Depth
from pindown.report.weight_records import Pruning, PruningCurve

__all__ = ["Deep", "pruning_section"]

Deep = tuple[int, str, Depth]
"""Its series, its subject's name, what was asked of it."""


def pruning_section(several: Sequence[Deep], notices: Sequence[Notice] = ()) -> Section:
    """What pruning, noise and rates say of one or more networks."""
    half = len(several) > 1
    pruned = [(i, name, d.pruning) for i, name, d in several if d.pruning is not None]
    noisy = [(i, name, d.noise_tolerance) for i, name, d in several if d.noise_tolerance is not None]
    blocks: list[Block] = [*notices, *_gaps(several), *_bits(several)]
    blocks += [_pruning(i, name, p, half=half) for i, name, p in pruned]
    if any(n.curve for _, _, n in noisy):
        blocks.append(noise_figure(noisy))
    blocks += [f for item in several for f in tensor_figures(*item, half=half)]
    blocks += [*_thresholds(pruned), *_tensors(several)]
    notes = [
        (name, [n for r in (d.pruning, d.noise_tolerance, d.concentration, d.water_filling) if r for n in r.notes])
        for _, name, d in several
    ]
    return Section(
        "Pruning, noise and bits a weight",
        [s for item in several for s in _said(*item, named=half)],
        blocks,
        method=told.PRUNING_METHOD,
        limits=[*told.PRUNING_LIMITS, *told.noted(notes)],
    )


def _said(_: int, name: str, d: Depth, *, named: bool) -> list[str]:
    parts: list[str] = []
    p, n, w = d.pruning, d.noise_tolerance, d.water_filling
    if p is not None and p.curve.kept is not None:
        what = "channels" if p.structured else "weights"
        said = f"{p.curve.order} pruning keeps {_figure(p.curve.kept, True)} of the {what}"
        if p.control is not None and p.control.kept is not None:
            said += f", random pruning {_figure(p.control.kept, True)}"
        parts.append(said)
    if n is not None and n.joint is not None and n.joint.bits is not None:
        parts.append(f"noise on all tensors leaves {_figure(n.joint.bits)} of each weight")
    if w is not None and w.measured_per_weight is not None:
        parts.append(f"ideal codes would need {_figure(w.measured_per_weight)} a weight")
    if not parts:
        return []
    epsilon = "" if d.epsilon is None else f"within a rise of ε = {notation.number(d.epsilon)}, "
    text = epsilon + "; ".join(parts) + "."
    return [f"{name}: {text}" if named else text[:1].upper() + text[1:]]


def _figure(e: Estimate, percent: bool = False) -> str:
    said = notation.with_error(e, percent)
    said = said.replace("≥", "at least").replace("≤", "at most")
    interval = notation.labelled_interval(e, percent)
    said = f"{said} ({interval})" if e.kind == "estimate" and interval else said
    return said if e.status.ok else f"{said} ({notation.status_words(e.status)})"


def _gaps(several: Sequence[Deep]) -> list[Notice]:
    """Parts that could not be pruned, and figures whose status is not good."""
    out = [
        Notice("caution", f"{name}: not pruned.", u)
        for _, name, d in several
        if d.pruning is not None
        for u in d.pruning.unsupported
    ]
    found: dict[Any, list[str]] = {}
    for _, name, d in several:
        p, n, w = d.pruning, d.noise_tolerance, d.water_filling
        figures: list[tuple[str, Estimate | None]] = []
        if p is not None:
            figures += [(f"pruning, {c.order}", c.kept) for c in (p.curve, p.control) if c is not None]
        if n is not None:
            figures += [(f"noise, {r.name}", r.bits) for r in (n.joint, n.absolute, *n.tensors) if r is not None]
        if w is not None:
            figures.append(("water-filling", w.measured_per_weight))
        for what, e in figures:
            if e is not None and not e.status.ok:
                found.setdefault(e.status, []).append(f"{name} ({what})")
    for status, places in found.items():
        words = notation.status_words(status)
        shown = places if len(places) <= 6 else [*places[:5], f"{len(places) - 5} more"]
        out.append(Notice("caution", f"{words[:1].upper()}{words[1:]}: {', '.join(shown)}.", status.message))
    return out


def _bits(several: Sequence[Deep]) -> list[Figure]:
    """Bits a weight, by each way of asking."""
    ways: list[tuple[str, Callable[[Depth], Estimate | None]]] = [
        ("bit planes, jointly", _planes_bits),
        ("formats chosen", _format_bits),
        ("water-filling", lambda d: d.water_filling and d.water_filling.measured_per_weight),
        (
            "noise, log2(rms/σ)",
            lambda d: d.noise_tolerance and d.noise_tolerance.joint and d.noise_tolerance.joint.bits,
        ),
    ]
    ways = [(what, way) for what, way in ways if any(way(d) is not None for _, _, d in several)]
    if not ways:
        return []
    values = [way(d) for _, way in ways for _, _, d in several]
    stem = 0.08 * charts.span([*(e.value for e in values if e is not None), 0.0])
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    gap = 0.26 if len(several) > 1 else 0.0
    for k, (i, name, d) in enumerate(several):
        picked = [way(d) for _, way in ways]
        offset = gap * (k - (len(several) - 1) / 2) * min(1.0, 3.0 / len(several))
        traces += charts.estimates(
            [y + offset for y in range(len(ways))], picked, i, name,
            texts=[f"{name}, {what}: {charts.figure_text(e)}" for (what, _), e in zip(ways, picked, strict=True)],
            sideways=True, stem=stem,
        )  # fmt: skip
        rows += [[name, what, e] for (what, _), e in zip(ways, picked, strict=True)]
    epsilons = {d.epsilon for _, _, d in several if d.epsilon is not None}
    title = "Bits a weight" + (f" within a rise of {notation.number(epsilons.pop())}" if len(epsilons) == 1 else "")
    return [
        Figure(
            title=title,
            spec={
                "data": traces,
                "layout": {
                    "showlegend": len(several) > 1,
                    "xaxis": charts.axis("bits a weight", rangemode="tozero"),
                    "yaxis": names_axis([what for what, _ in ways]),
                },
            },
            summary="; ".join(f"{r[0]}, {r[1]}: {charts.figure_text(r[2])}" for r in rows if isinstance(r[2], Estimate))
            + ".",
            table=Table(title, [Column("subject"), Column("by"), Column("bits a weight", estimate=True)], rows),
            caption="Each row asks another question of the same weights; they are not to be added. Planes and formats "
            "count sign and exponent. Bars: 95% intervals." + bounds_note(values),
            height=90 + 44 * len(ways) + (26 if len(several) > 1 else 0),
        )
    ]


def _planes_bits(d: Depth) -> Estimate | None:
    p = d.bitplanes
    if p is None or p.allocation is None or p.allocation.bits is None or not p.measured_weights:
        return None
    e = p.allocation.verified.rise
    kind: Any = "upper_bound"  # an allocation within ε that was found: there may be a cheaper one
    return Estimate(p.allocation.bits / p.measured_weights, 0.0, "bits", kind, e.status, e.reference)


def _format_bits(d: Depth) -> Estimate | None:
    p = d.bitplanes
    if p is None or p.choice is None or p.choice.bits_per_weight is None or p.choice.verified is None:
        return None
    e = p.choice.verified
    return Estimate(p.choice.bits_per_weight, 0.0, "bits", "upper_bound", e.status, e.reference)


def _pruning(i: int, name: str, p: Pruning, *, half: bool) -> Figure:
    """Rise against the share kept: the order that was asked for and random orders, with their thresholds."""
    floor = p.epsilon / FLOOR
    what = "channels" if p.structured else "weights"
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    tops = [p.epsilon * 10]
    for curve, series, colour, dash, symbol in (
        (p.curve, i, charts.series(i)[0], "solid", charts.series(i)[1]),
        (p.control, i + 1, "@ink", "dot", "square"),
    ):
        if curve is None:
            continue
        tops += [q.rise.value for q in curve.points if math.isfinite(q.rise.value)]
        traces += _curve(curve, series, colour, dash, floor)
        rows += [[curve.order, q.kept, q.rise, q.rise.value / p.epsilon] for q in curve.points]
        for trace in charts.estimates(
            [p.epsilon], [curve.kept], series, f"{curve.order}: the threshold",
            texts=[f"{name}, {curve.order}: {charts.figure_text(curve.kept, True)} kept at ε"],
            sideways=True, symbol=symbol, colour=colour, legend=False, stem=0.06,
        ):  # fmt: skip
            trace["marker"]["size"] = 10
            traces.append(trace)
    said = [f"{c.order} {charts.figure_text(c.kept, True)}" for c in (p.curve, p.control) if c is not None]
    return Figure(
        title=f"Pruning {name}",
        spec={
            "data": traces,
            "layout": {
                "showlegend": True,
                "xaxis": charts.axis(f"share of the {what} kept", range=[1.02, -0.02], tickformat=".0%"),
                "yaxis": rise_axis(f"rise of the {p.loss}", floor, max(tops)),
                "shapes": [epsilon_line(p.epsilon)],
                "annotations": [epsilon_name(p.epsilon)],
            },
        },
        summary=f"{name}, share of the {what} kept where the rise crosses ε: {', '.join(said)}.",
        table=Table(
            f"Pruning {name}",
            [
                Column("order"),
                Column("share kept", percent=True),
                Column("rise", estimate=True),
                Column("rise / ε", digits=2),
            ],
            rows,
        ),
        caption="Shaded: 95% intervals. Marks on the line at ε: the share kept at the first crossing, with its "
        f"interval. Rises below ε/{FLOOR:.0f}, and falls, stand at the foot of the logarithmic axis.",
        height=400,
        half=half,
    )


def _curve(curve: PruningCurve, series: int, colour: str, dash: str, floor: float) -> list[charts.Trace]:
    points = sorted(curve.points, key=lambda q: -q.kept)
    x = [q.kept for q in points]
    y = [max(floor, q.rise.value) for q in points]
    ends = [q.rise.interval() for q in points]
    patches = charts.band(x, [max(floor, low) for low, _ in ends], [max(floor, high) for _, high in ends], series)
    for patch in patches:
        patch["fillcolor"] = f"{colour}/0.22"
    line = charts.line(x, y, series, texts=[
        f"{curve.order}, {notation.number(100 * q.kept, 3)}% kept: {charts.figure_text(q.rise)}" for q in points
    ])  # fmt: skip
    draws = f", mean of {notation.count(curve.draws)} orders" if curve.draws and curve.draws > 1 else ""
    line |= {"name": charts.plain(f"{curve.order}{draws}"), "showlegend": True}
    line["line"] = {"color": colour, "width": 2, "dash": dash}
    return [*patches, line]


def _thresholds(pruned: Sequence[tuple[int, str, Pruning]]) -> list[Table]:
    rows: list[Row] = [
        [name, c.order, c.draws, c.kept, p.advantage if c is p.curve else None]
        for _, name, p in pruned
        for c in (p.curve, p.control)
        if c is not None
    ]
    columns = [
        Column("subject"), Column("order"), Column("orders drawn", digits=0),
        Column("share kept at ε", estimate=True, percent=True),
        Column("random minus this order", estimate=True, percent=True),
    ]  # fmt: skip
    return [Table("Where pruning crosses ε", columns, rows)] if rows else []


def _tensors(several: Sequence[Deep]) -> list[Table]:
    """Noise, water-filling, pruning and spread of each tensor in one table."""
    rows: list[Row] = []
    for _, name, d in several:
        noise = {r.name: r for r in d.noise_tolerance.tensors} if d.noise_tolerance else {}
        rates = {r.name: r for r in d.water_filling.tensors} if d.water_filling else {}
        spread = {r.name: r for r in d.concentration.tensors} if d.concentration else {}
        kept = {t.name: t.kept for t in d.pruning.tensors} if d.pruning else {}
        if d.noise_tolerance and d.noise_tolerance.joint:
            noise["all tensors"] = d.noise_tolerance.joint
        if d.concentration and d.concentration.whole:
            spread["all tensors"] = d.concentration.whole
        names = list(dict.fromkeys([*spread, *rates, *noise, *kept]))
        names = sorted(names, key=lambda n: n == "all tensors")
        for n in names:
            s, r, whole = spread.get(n), rates.get(n), n == "all tensors"
            bits = noise[n].bits if n in noise else None
            w = d.water_filling if whole else None
            sizes = [x.weights for x in (s, r, noise.get(n)) if x is not None and x.weights is not None]
            rows.append(
                [name, n, sizes[0] if sizes else None, bits, w.per_weight if w else r.per_weight if r else None,
                 w.measured_per_weight if w else None, w.above_water if w else r.above_water if r else None,
                 kept.get(n), s.gini if s else None, s.prior_gini if s else None, s.share if s else None,
                 s.prior_share if s else None]
            )  # fmt: skip
    columns = [
        Column("subject"),
        Column("tensor"),
        Column("weights", digits=0),
        Column("log2(rms/σ)", estimate=True),
        Column("water-filling of a quadratic loss, bits a weight", estimate=True),
        Column("water-filling at a measured rise of ε", estimate=True),
        Column("weights above water", estimate=True, percent=True),
        Column("left by pruning at ε", percent=True, digits=3),
        Column("Gini of w²", estimate=True),
        Column("Gini at initialisation", estimate=True),
        Column("share that counts", estimate=True, percent=True),
        Column("share at initialisation", estimate=True, percent=True),
    ]
    note = (
        "The share that counts is the participation ratio of the squared weights over their number. Water-filling at a "
        "measured rise of ε is known for all tensors together only: the water level is one. Where it differs from that "
        "of a quadratic loss, the loss is not quadratic that far out, and it is the one to use."
    )
    return [Table("Tensor by tensor: noise, rates, pruning, spread", columns, rows, note)] if rows else []
