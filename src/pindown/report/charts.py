"""Plotly charts as plain values: lines with bands, estimates with 95% bars, bounds that look like bounds.

Colours are names that the page resolves for light, dark and print (see ``blocks.Figure``). No series differs from
another by colour alone: each has its own mark and dash.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import notation

__all__ = [
    "Trace",
    "axis",
    "band",
    "doubtful",
    "estimates",
    "figure_text",
    "is_bound",
    "legend_entry",
    "line",
    "numeric_axis",
    "plain",
    "series",
    "span",
    "tolerance_axis",
    "zero_note",
]

Trace = dict[str, Any]

_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def series(i: int) -> tuple[str, str, str]:
    """Colour name, marker symbol and dash of series ``i``; the marks are those of ``page.MARKS``.

    >>> series(0)
    ('@s1', 'circle', 'solid')
    """
    n = len(_SYMBOLS)
    return f"@s{i % n + 1}", _SYMBOLS[i % n], _DASHES[(i + i // n) % n]


def plain(text: str, longest: int = 48) -> str:
    """Text for a chart: Plotly reads a subset of HTML in labels, which foreign names must not write.

    >>> plain("<b>x</b> & y")
    '&lt;b&gt;x&lt;/b&gt; &amp; y'
    """
    text = " ".join(text.split())
    return html.escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def numeric_axis(title: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis where all finite values are positive and spread over a factor of 3, else a linear one."""
    finite = [v for v in values if math.isfinite(v)]
    log = bool(finite) and min(finite) > 0 and max(finite) > 3 * min(finite)
    return axis(title, **({"type": "log", **_log_ticks(min(finite), max(finite))} if log else {}), **more)


def tolerance_axis(title: str, values: Sequence[float]) -> tuple[dict[str, Any], Callable[[float], float]]:
    """A logarithmic axis that has a place for 0 at its left end, and the function that puts tolerances on it.

    Zero is a tolerance like any other (no training error), and a logarithmic axis has none. It stands a factor of 4
    below the least value that counts; values below 1e-9 of the largest count as 0.

    >>> axis, place = tolerance_axis("t", [0.0, 0.01, 1.0])
    >>> axis["type"], place(0.0), place(1.0)
    ('log', 0.0025, 1.0)
    """
    finite = [v for v in values if math.isfinite(v)]
    least = 1e-9 * max(finite, default=0.0)
    positive = [v for v in finite if v > least]
    if len(positive) == len(finite) or min(finite) < 0 or max(positive, default=0.0) <= 3 * min(positive, default=0.0):
        return numeric_axis(title, values), lambda t: t
    zero = min(positive) / 4
    out = numeric_axis(title, positive)
    ticks = [
        (0.0, "0"),
        *((v, t) for v, t in zip(out["tickvals"], out["ticktext"], strict=True) if v >= 0.8 * 4 * zero),
    ]
    out |= {"tickvals": [v or zero for v, _ in ticks], "ticktext": [t for _, t in ticks]}
    return out, lambda t: t if t > least or not math.isfinite(t) else zero


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title, escaped."""
    return {"title": {"text": plain(title, 90)}, **more}


def legend_entry(i: int, name: str) -> Trace:
    """What the legend shows of series ``i`` where its line and its marks are drawn apart."""
    colour, symbol, dash = series(i)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [None],
        "y": [None],
        "name": plain(name),
        "legendgroup": f"g{i}",
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"symbol": symbol, "size": 8, "color": colour},
    }


def line(x: Sequence[float], y: Sequence[float], i: int, *, texts: Sequence[str]) -> Trace:
    """The line of series ``i``, which the legend does not name."""
    colour, _, dash = series(i)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "showlegend": False,
        "line": {"color": colour, "width": 2, "dash": dash},
        "text": [plain(t, 200) for t in texts],
        "hovertemplate": "%{text}<extra></extra>",
    }


def band(x: Sequence[float], low: Sequence[float], high: Sequence[float], i: int) -> list[Trace]:
    """The 95% band of series ``i``, one filled patch for each stretch on which both ends are finite."""
    patches: list[Trace] = []
    start = 0
    for stop in range(len(x) + 1):
        if stop < len(x) and math.isfinite(low[stop]) and math.isfinite(high[stop]) and math.isfinite(x[stop]):
            continue
        if stop - start > 1:
            piece = slice(start, stop)
            patches.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [*x[piece], *reversed(x[piece])],
                    "y": [*high[piece], *reversed(low[piece])],
                    "fill": "toself",
                    "fillcolor": f"{series(i)[0]}/0.25",
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                    "showlegend": False,
                    "legendgroup": f"g{i}",
                }
            )
        start = stop + 1
    return patches


def estimates(
    x: Sequence[float],
    values: Sequence[Estimate | None],
    i: int,
    name: str,
    *,
    texts: Sequence[str],
    sideways: bool = False,
    joined: bool = False,
    legend: bool = True,
    symbol: str = "",
    colour: str = "",
    stem: float = 0.0,
) -> list[Trace]:
    """Figures with their 95% intervals as bars.

    Figures whose error is unknown or whose status is not good are open marks without a line; bounds are open marks
    with an arrow to the open side.

    Args:
        x: where each figure stands on the other axis.
        values: the figures; None leaves a gap.
        i: the series.
        name: for the legend.
        texts: what hovering over each figure tells.
        sideways: True puts the figures on the horizontal axis.
        joined: True joins the figures that can be used as they stand by the series' line.
        legend: whether the series is named in the legend.
        symbol: marker instead of the series' own.
        colour: colour instead of the series' own.
        stem: length of the arrow of a bound, in the unit of the figures.
    """
    own_colour, own_symbol, dash = series(i)
    colour, symbol = colour or own_colour, symbol or own_symbol
    hollow = symbol if symbol.endswith("-open") else f"{symbol}-open"
    main, cross = ("x", "y") if sideways else ("y", "x")
    placed = [
        (at, e, t)
        for at, e, t in zip(x, values, texts, strict=True)
        if e is not None and math.isfinite(e.value) and math.isfinite(at)
    ]
    traces: list[Trace] = []
    for bound in (False, True):
        for good in (True, False):
            kept = [p for p in placed if is_bound(p[1]) == bound and _usable(p[1]) == good]
            if not kept:
                continue
            solid = good and not bound
            trace: Trace = {
                "type": "scatter",
                "mode": "lines+markers" if joined and solid else "markers",
                cross: [at for at, _, _ in kept],
                main: [e.value for _, e, _ in kept],
                f"error_{main}": _bars([_arrow(e, stem) if bound else _reach(e) for _, e, _ in kept], colour, bound),
                "name": plain(name),
                "legendgroup": f"g{i}",
                "showlegend": legend and not traces,
                "line": {"color": colour, "width": 1.5, "dash": dash},
                "marker": {"symbol": symbol if solid else hollow, "size": 8, "color": colour},
                "text": [plain(t, 200) for _, _, t in kept],
                "hovertemplate": "%{text}<extra></extra>",
            }
            traces.append(trace)
            if bound:
                traces.append(_arrowheads(trace, [e for _, e, _ in kept], stem, main))
    return traces


def zero_note(axis: dict[str, Any]) -> str:
    """What to say of an axis on which :func:`tolerance_axis` made a place for 0."""
    return " The logarithmic axis has a place for 0 at its left end." if "0" in axis.get("ticktext", ()) else ""


def is_bound(e: Estimate | None) -> bool:
    """Whether a figure is a bound.

    >>> is_bound(Estimate(3.0, 0.0, "bits", kind="lower_bound"))
    True
    """
    return e is not None and e.kind in ("lower_bound", "upper_bound")


def doubtful(e: Estimate | None) -> bool:
    """Whether a figure is drawn as an open mark because it cannot be used as it stands, though it is no bound.

    >>> doubtful(Estimate(3.0, float("nan"), "bits"))
    True
    """
    return e is not None and not is_bound(e) and not _usable(e)


def span(values: Sequence[float]) -> float:
    """Largest minus smallest finite value; the value itself where there is one, 1 where there is none.

    >>> span([1.0, 4.0, float("nan")]), span([]), span([5.0])
    (3.0, 1.0, 5.0)
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 1.0
    return (max(finite) - min(finite)) or abs(finite[0]) or 1.0


def _usable(e: Estimate) -> bool:
    return e.status.ok and (e.kind != "estimate" or math.isfinite(e.stderr))


def _reach(e: Estimate) -> tuple[float, float]:
    """Lengths of the bar above and below."""
    low, high = e.interval()
    return (high - e.value, e.value - low) if math.isfinite(low) and math.isfinite(high) else (0.0, 0.0)


def _arrow(e: Estimate, stem: float) -> tuple[float, float]:
    return (stem, 0.0) if e.kind == "lower_bound" else (0.0, stem)


def _bars(reaches: Sequence[tuple[float, float]], colour: str, bound: bool) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [up for up, _ in reaches],
        "arrayminus": [down for _, down in reaches],
        "color": colour,
        "thickness": 1.5,
        "width": 0 if bound else 4,
    }


def _arrowheads(trace: Trace, bounds: Sequence[Estimate], stem: float, main: str) -> Trace:
    """The tips of the arrows of the bounds in ``trace``."""
    heads = ("triangle-right", "triangle-left") if main == "x" else ("triangle-up", "triangle-down")
    lower = [e.kind == "lower_bound" for e in bounds]
    return {
        **{k: v for k, v in trace.items() if not k.startswith("error_")},
        main: [e.value + (stem if up else -stem) for e, up in zip(bounds, lower, strict=True)],
        "marker": {**trace["marker"], "symbol": [heads[0 if up else 1] for up in lower], "size": 7},
        "showlegend": False,
    }


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks at 1, 2, 5 of each decade while they fit, then at the decades: Plotly's own leave out the zeros."""
    decades = math.log10(high) - math.log10(low)
    steps = (1.0, 2.0, 5.0) if decades <= 2.6 else (1.0,)
    stride = max(1, math.ceil(decades / 7))
    first, last = max(-307, math.floor(math.log10(low)) - 1), min(307, math.ceil(math.log10(high)) + 1)
    values = [m * 10.0**k for k in range(first, last + 1) if k % stride == 0 for m in steps]
    return {"tickmode": "array", "tickvals": values, "ticktext": [notation.number(v) for v in values]}


def figure_text(e: Estimate | None, percent: bool = False) -> str:
    """Value, error and 95% interval in one line, for hovering.

    >>> figure_text(Estimate(923.04, 2.13, "bits"))
    '923.0 ± 2.1 bits (95%: 918.9 to 927.2)'
    """
    if e is None:
        return "not measured"
    interval = notation.labelled_interval(e, percent)
    return notation.with_error(e, percent) + (f" ({interval})" if interval else "")
