"""An audit's charts of comparisons: random against SGD solutions, and the two-sided check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Table
from pindown.report.records import Comparison, Subject, TwoSided

__all__ = ["MEETS", "Compared", "comparison_figures", "difference", "is_share", "outcome", "two_sided_figure"]

Compared = tuple[int, Subject, Comparison]
"""One comparison of a chart: its series, its subject, the comparison."""

MEETS = {True: "they meet", False: "they do not meet", None: "undecided"}

_ROW = 3.2  # height of one subject's rows: its name, the random solutions, SGD's
_RANDOM, _SGD = 1.0, 2.0


def is_share(subject: Subject, comparison: Comparison) -> bool:
    """Whether the held-out figures are shares of wrong answers, to be shown in percent."""
    return comparison.quantity == "held-out error" and subject.task in ("classification", "")


def difference(comparison: Comparison, percent: bool) -> Estimate | None:
    """The difference, in percentage points where the two sides are shares."""
    e = comparison.difference
    return notation.scaled(e, 100.0, "percentage points") if e is not None and percent else e


def outcome(check: TwoSided) -> str:
    """The check's statement without the outcome that it opens with, for places that have said it already."""
    head, colon, rest = check.statement.partition(": ")
    if not colon or head.casefold() != MEETS[check.meets]:
        return check.statement
    return rest[:1].upper() + rest[1:]


def comparison_figures(compared: Sequence[Compared]) -> list[Figure]:
    """Held-out figures of random and SGD solutions at one training loss, and their difference, row by row.

    All comparisons must be of one quantity and one unit.
    """
    percent = is_share(compared[0][1], compared[0][2])
    quantity = compared[0][2].quantity
    height = 110 + 82 * len(compared)
    figures = [_both_sides(compared, quantity, percent, height)]
    if any(c.difference is not None for _, _, c in compared):
        figures.append(_differences(compared, quantity, percent, height))
    return figures


def two_sided_figure(i: int, name: str, loss: str, check: TwoSided, *, half: bool = True) -> Figure:
    """Mean loss against inverse temperature from both sides, and below it their difference in units of its error.

    Args:
        i: the series.
        name: what the figure is about, such as the subject and its loss.
        loss: name of the loss.
        check: what to draw.
        half: whether another figure stands beside it.
    """
    keep = [k for k, b in enumerate(check.inverse_temperature) if math.isfinite(b) and b > 0]
    beta = [check.inverse_temperature[k] for k in keep]
    down = [_mean(check.from_prior[k], check.from_prior_stderr[k]) for k in keep]
    up = [_mean(check.from_known[k], check.from_known_stderr[k]) for k in keep]
    gaps = [_gap(a, b) for a, b in zip(down, up, strict=True)]
    traces: list[charts.Trace] = []
    for label, side, colour, symbol, dash, size in (
        ("cooled from the prior", down, charts.series(i)[0], "circle", "solid", 7),
        ("warmed up from known solutions", up, "@ink", "square-open", "dot", 11),
    ):
        texts = [f"{label}, β = {notation.number(b)}: {charts.figure_text(e)}" for b, e in zip(beta, side, strict=True)]
        for trace in charts.estimates(beta, side, i, label, texts=texts, joined=True, symbol=symbol, colour=colour):
            trace["line"]["dash"], trace["marker"]["size"] = dash, size
            trace["legendgroup"] = label
            traces.append(trace)
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": beta,
            "y": gaps,
            "xaxis": "x",
            "yaxis": "y2",
            "marker": {"symbol": "circle", "size": 6, "color": charts.series(i)[0]},
            "text": [
                f"β = {notation.number(b)}: {notation.number(g, 2)} standard errors"
                for b, g in zip(beta, gaps, strict=True)
            ],
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        }
    )
    reach = max([3.0, *(1.15 * abs(g) for g in gaps if math.isfinite(g))])
    inside = {
        "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": -2, "y1": 2,
        "fillcolor": "@muted/0.14", "line": {"width": 0}, "layer": "below",
    }  # fmt: skip
    losses = [e.value for e in [*down, *up] if e is not None]
    layout: dict[str, Any] = {
        "xaxis": charts.numeric_axis("inverse temperature β", beta, anchor="y2"),
        "yaxis": charts.numeric_axis(loss if loss.startswith("mean") else f"mean {loss}", losses, domain=[0.4, 1]),
        "yaxis2": charts.axis("gap / its error", domain=[0, 0.3], range=[-reach, reach], nticks=5),
        "shapes": [inside],
    }
    return Figure(
        title=f"Mean loss from both sides: {name}",
        spec={"data": traces, "layout": layout},
        summary=check.statement or f"{name}: {MEETS[check.meets]}.",
        table=Table(
            f"Loss against inverse temperature, {name}",
            [
                Column("β"),
                Column("from the prior", estimate=True),
                Column("from known solutions", estimate=True),
                Column("gap in standard errors", digits=2),
            ],
            [[b, d, u, g] for b, d, u, g in zip(beta, down, up, gaps, strict=True)],
        ),
        caption="Above, bars: 95%, that is ± 1.96 standard errors. Below: the gap between the two sides divided by its "
        "standard error; about 19 of 20 should lie in the shaded strip from −2 to 2 where they meet.",
        height=460,
        half=half,
    )


def _both_sides(compared: Sequence[Compared], quantity: str, percent: bool, height: int) -> Figure:
    traces: list[charts.Trace] = []
    headings: list[dict[str, Any]] = []
    ticks: dict[float, str] = {}
    rows: list[Row] = []
    means = [g.held_out.value for _, _, c in compared for g in (c.random, c.sgd) if g.held_out is not None]
    stem = 0.2 * charts.span([*means, 0.0])
    for row, (i, s, c) in enumerate(compared):
        top = -_ROW * row
        for below, label, group, symbol in ((_RANDOM, "random", c.random, "diamond"), (_SGD, "SGD", c.sgd, "circle")):
            text = f"{s.name}, {label}: {charts.figure_text(group.held_out, percent)}"
            ticks[top - below] = label
            traces += charts.estimates(
                [top - below], [group.held_out], i, label, texts=[text], sideways=True, legend=False, symbol=symbol,
                stem=stem,
            )  # fmt: skip
            rows.append([s.name, label, group.size, group.ancestors, group.held_out])
        single = [(x, v) for x in s.solutions if (v := x.held_out(quantity)) is not None and math.isfinite(v)]
        texts = [
            f"{s.name}, {x.name or 'SGD'}: " + (f"{notation.number(100 * v, 3)}%" if percent else notation.number(v))
            for x, v in single
        ]
        traces.append(_dots(i, [v for _, v in single], top - _SGD, texts))
        rows += [[s.name, x.name or "SGD, one run", 1, None, v] for x, v in single]
        headings.append(
            {
                "xref": "paper",
                "x": 0.005,
                "xanchor": "left",
                "y": top - 0.2,
                "yanchor": "middle",
                "text": f"<b>{charts.plain(s.name, 36)}</b>",
                "showarrow": False,
            }
        )
    x_title = quantity + (", percent of held-out examples" if percent else "")
    layout = {
        "xaxis": charts.axis(x_title, **({"tickformat": ".1%"} if percent else {})),
        "yaxis": _rows_axis(len(compared), ticks),
        "annotations": headings,
    }
    told = "; ".join(
        f"{s.name}: random {charts.figure_text(c.random.held_out, percent)}, "
        f"SGD {charts.figure_text(c.sgd.held_out, percent)}"
        for _, s, c in compared
    )
    columns = [
        Column("subject"),
        Column("solutions"),
        Column("networks", digits=0),
        Column("distinct ancestors", digits=0),
        Column(quantity, estimate=True, percent=percent),
    ]
    return Figure(
        title=f"{quantity.capitalize()} at the same training loss",
        spec={"data": traces, "layout": layout},
        summary=f"{told}.",
        table=Table(quantity.capitalize(), columns, rows),
        caption="Filled marks with bars: means with 95% intervals. Small open circles: single SGD runs.",
        height=height,
        half=True,
    )


def _differences(compared: Sequence[Compared], quantity: str, percent: bool, height: int) -> Figure:
    shown = [(i, s, c, difference(c, percent)) for i, s, c in compared]
    stem = 0.3 * charts.span([*(e.value for *_, e in shown if e is not None), 0.0])
    traces: list[charts.Trace] = []
    ticks: dict[float, str] = {}
    for row, (i, s, c, e) in enumerate(shown):
        y = -_ROW * row - (_RANDOM + _SGD) / 2
        ticks[y] = charts.plain(s.name, 24)
        text = f"{s.name}, {c.order}: {charts.figure_text(e)}"
        traces += charts.estimates([y], [e], i, s.name, texts=[text], sideways=True, legend=False, stem=stem)
    orders = {c.order for _, _, c in compared}
    sides = orders.pop() if len(orders) == 1 else "difference"
    order = f"{sides} in {quantity}"
    style = {"color": "@muted", "width": 1.2}
    zero = {"type": "line", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": style}
    unit = f"{sides}, percentage points" if percent else order
    return Figure(
        title=f"Difference: {order}",
        spec={
            "data": traces,
            "layout": {
                "xaxis": charts.axis(unit, range=_around_zero([e for *_, e in shown if e is not None], stem)),
                "yaxis": _rows_axis(len(compared), ticks),
                "shapes": [zero],
            },
        },
        summary="; ".join(f"{s.name}: {charts.figure_text(e)}" for _, s, _, e in shown) + ".",
        table=Table(
            order,
            [Column("subject"), Column("order"), Column(unit, estimate=True)],
            [[s.name, c.order, e] for _, s, c, e in shown],
        ),
        caption="Bars: 95% intervals. An interval that crosses the line at 0 shows no difference.",
        height=height,
        half=True,
    )


def _rows_axis(rows: int, ticks: dict[float, str]) -> dict[str, Any]:
    return {
        "range": [-_ROW * rows + 0.4, 0.35],
        "showgrid": False,
        "ticks": "",
        "fixedrange": True,
        "tickmode": "array",
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
    }


def _around_zero(values: Sequence[Estimate], stem: float) -> list[float]:
    """A range that shows all intervals (arrows for bounds), the line at 0, and a margin on both sides."""
    ends = [0.0]
    for e in values:
        known = e.kind == "estimate" and math.isfinite(e.stderr)
        ends += e.interval() if known else (e.value - stem, e.value + stem)
    ends = [x for x in ends if math.isfinite(x)]
    margin = 0.08 * charts.span(ends)
    return [min(ends) - margin, max(ends) + margin]


def _dots(i: int, values: Sequence[float], y: float, texts: Sequence[str]) -> charts.Trace:
    """One open circle a run, in two files so that equal values stay visible."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(values),
        "y": [y + (0.32 if k % 2 else -0.32) for k in range(len(values))],
        "marker": {"symbol": "circle-open", "size": 6, "color": charts.series(i)[0]},
        "text": [charts.plain(t, 120) for t in texts],
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }


def _mean(value: float, stderr: float) -> Estimate | None:
    return Estimate(value, abs(stderr), "1") if math.isfinite(value) else None


def _gap(a: Estimate | None, b: Estimate | None) -> float:
    """Difference of two independent figures in units of its standard error; NaN where that is unknown."""
    if a is None or b is None:
        return math.nan
    error = math.hypot(a.stderr, b.stderr)
    return (a.value - b.value) / error if error > 0 and math.isfinite(error) else math.nan
