"""Charts of what the weights tolerate: noise on all tensors and on each, and the axes that pruning shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Table
from pindown.report.depth_records import Depth
from pindown.report.plane_map import row_label
from pindown.report.weight_records import Noise

__all__ = ["FLOOR", "bounds_note", "epsilon_line", "epsilon_name", "names_axis", "noise_figure", "rise_axis"]
__all__ += ["tensor_figures"]

FLOOR = 30.0
"""Rises below ε over this, and falls, stand at the foot of a logarithmic axis."""


def noise_figure(noisy: Sequence[tuple[int, str, Noise]]) -> Figure:
    """Rise against the bits that noise leaves, and the bits at which it is ε."""
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    tops: list[float] = []
    floor = min(n.epsilon for _, _, n in noisy) / FLOOR
    for i, name, n in noisy:
        points = sorted((q for q in n.curve if q.sigma > 0), key=lambda q: q.sigma)
        x = [-math.log2(q.sigma) for q in points]
        ends = [q.rise.interval() for q in points]
        tops += [high for _, high in ends if math.isfinite(high)]
        traces += charts.band(x, [max(floor, low) for low, _ in ends], [max(floor, high) for _, high in ends], i)
        traces.append(
            charts.line(
                x, [max(floor, q.rise.value) for q in points], i,
                texts=[f"{name}, σ = {notation.number(q.sigma, 3)} rms: {charts.figure_text(q.rise)}" for q in points],
            )
        )  # fmt: skip
        bits = n.joint.bits if n.joint is not None else None
        traces += [charts.legend_entry(i, name)]
        traces += charts.estimates(
            [n.epsilon], [bits], i, name, texts=[f"{name}, at ε: {charts.figure_text(bits)}"], sideways=True,
            legend=False, stem=0.3,
        )  # fmt: skip
        rows += [[name, q.sigma, -math.log2(q.sigma), q.rise, q.rise.value / n.epsilon] for q in points]
    losses = sorted({n.loss for _, _, n in noisy})
    epsilons = sorted({n.epsilon for _, _, n in noisy})
    return Figure(
        title="Noise on all tensors: rise of the loss against the bits that it leaves",
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(noisy) > 1,
                "xaxis": charts.axis("leading bits left of each weight, log2(rms/σ)"),
                "yaxis": rise_axis(
                    f"rise of the {losses[0] if len(losses) == 1 else 'loss'}", floor, max(tops, default=1.0)
                ),
                "shapes": [epsilon_line(e) for e in epsilons],
                "annotations": [epsilon_name(e) for e in epsilons],
            },
        },
        summary="; ".join(
            f"{name}: {charts.figure_text(n.joint.bits if n.joint else None)} where the rise is ε"
            for _, name, n in noisy
        )
        + ".",
        table=Table(
            "Rise of the loss under noise on all tensors",
            [
                Column("subject"),
                Column("σ / rms", digits=3),
                Column("bits left", digits=3),
                Column("rise", estimate=True),
                Column("rise / ε", digits=2),
            ],
            rows,
        ),
        caption="Shaded: 95% intervals. Marks on the line at ε: the bits at the crossing, with their interval.",
        height=360,
    )


def tensor_figures(i: int, name: str, d: Depth, *, half: bool) -> list[Figure]:
    """Bits of each tensor: what noise on it alone leaves, and its share of ideal codes."""
    noise = {r.name: r.bits for r in d.noise_tolerance.tensors} if d.noise_tolerance else {}
    rates = {r.name: r.per_weight for r in d.water_filling.tensors} if d.water_filling else {}
    names = list(dict.fromkeys([*noise, *rates]))
    if not names:
        return []
    values = [*noise.values(), *rates.values()]
    stem = 0.08 * charts.span([*(e.value for e in values if e is not None), 0.0])
    traces: list[charts.Trace] = []
    for label, found, colour, symbol, offset in (
        ("noise on it alone", noise, charts.series(i)[0], charts.series(i)[1], -0.14),
        ("water-filling of a quadratic loss, all together", rates, "@ink", "x", 0.14),
    ):
        if not found:
            continue
        picked = [found.get(n) for n in names]
        for trace in charts.estimates(
            [y + offset for y in range(len(names))], picked, i, label,
            texts=[f"{n}, {label}: {charts.figure_text(e)}" for n, e in zip(names, picked, strict=True)],
            sideways=True, colour=colour, symbol=symbol, stem=stem,
        ):  # fmt: skip
            traces.append(trace | {"legendgroup": label})
    zero = {
        "type": "line",
        "yref": "paper",
        "x0": 0,
        "x1": 0,
        "y0": 0,
        "y1": 1,
        "line": {"color": "@muted", "width": 1},
    }
    return [
        Figure(
            title=f"Bits a weight in each tensor of {name}",
            spec={
                "data": traces,
                "layout": {
                    "showlegend": True,
                    "xaxis": charts.axis("bits a weight", rangemode="tozero"),
                    "yaxis": names_axis(names),
                    "shapes": [zero],
                },
            },
            summary=f"{name}: "
            + "; ".join(f"{n} {charts.figure_text(noise.get(n, rates.get(n)))}" for n in names)
            + ".",
            table=Table(
                f"Bits a weight in each tensor, {name}",
                [
                    Column("tensor"),
                    Column("log2(rms/σ) under noise on it alone", estimate=True),
                    Column("water-filling of a quadratic loss", estimate=True),
                ],
                [[n, noise.get(n), rates.get(n)] for n in names],
            ),
            caption="Below 0: the tensor tolerates noise larger than its weights. Bars: 95% intervals."
            + bounds_note(values),
            height=100 + max(18, 32 - len(names) // 4) * len(names),
            half=half,
        )
    ]


def rise_axis(title: str, floor: float, top: float) -> dict[str, Any]:
    out = charts.numeric_axis(title, [floor, top])
    if "tickvals" not in out:
        return out
    kept = [(v, t) for v, t in zip(out["tickvals"], out["ticktext"], strict=True) if v > 1.6 * floor]
    out |= {"tickvals": [floor, *(v for v, _ in kept)], "ticktext": ["or less", *(t for _, t in kept)]}
    return {**out, "range": [math.log10(0.75 * floor), math.log10(1.6 * top)]}


def names_axis(names: Sequence[str]) -> dict[str, Any]:
    return {
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
        "ticks": "",
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [row_label(n) for n in names],
    }


def bounds_note(values: Sequence[Estimate | None]) -> str:
    return " Open marks with an arrow are bounds." if any(map(charts.is_bound, values)) else ""


def epsilon_line(epsilon: float) -> dict[str, Any]:
    style = {"color": "@muted", "width": 1.2, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": epsilon, "y1": epsilon, "line": style}


def epsilon_name(epsilon: float) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": math.log10(epsilon),
        "yanchor": "top",
        "text": f"ε = {notation.number(epsilon)}",
        "showarrow": False,
        "font": {"color": "@muted", "size": 12},
    }
