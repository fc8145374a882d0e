"""A graph of preferences as a chart: ranks from the top down, cycles as rings, the pump in bold with arrows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.estimate import counted
from pindown.report import charts
from pindown.report.blocks import Column, Figure, Table
from pindown.report.choice_records import Edge, Graph

__all__ = ["lattice_figure", "preference_figure"]

_MOST_NAMED = 40
_MANY_EDGES, _FAINT, _FAINTEST = 80, 0.6, 0.2


def preference_figure(graph: Graph, cycle: Sequence[str], noun: str) -> Figure:
    """What is preferred to what, with the cycle of the pump drawn.

    Args:
        graph: the preferences.
        cycle: names, each preferred to the next; empty where the choices are coherent.
        noun: what one node is.
    """
    x, y = _places(graph)
    on = {name: k for k, name in enumerate(graph.nodes)}
    ring = [on[name] for name in cycle if name in on]
    steps = set(zip(ring, [*ring[1:], *ring[:1]], strict=True)) if len(ring) == len(cycle) > 1 else set()
    faint = [(a, b, s) for a, b, s in graph.edges if (a, b) not in steps]
    traces = [
        _edges(faint, x, y, _FAINTEST if len(faint) > _MANY_EDGES else _FAINT),
        _nodes(graph, [k for k in range(len(x)) if k not in ring], x, y, "circle", "@s1"),
    ]
    if ring:
        traces.append(_nodes(graph, ring, x, y, "square", "@s2"))
    arrows = [_arrow(x[a], y[a], x[b], y[b]) for a, b in sorted(steps)]
    what = f"The ring {' over '.join([*cycle, cycle[0]])} is drawn with arrows." if steps else "There is no ring."
    left = counted(graph.left_out, f"more {noun}")
    more = f" {left} {'is' if graph.left_out == 1 else 'are'} not drawn." if graph.left_out else ""
    rows = [[graph.nodes[k], graph.ranks[k], sum(a == k for a, _, _ in graph.edges)] for k in range(len(x))]
    return Figure(
        title="Preferences",
        spec={
            "data": [t for t in traces if t["x"]],
            "layout": {
                "showlegend": False,
                "xaxis": _blank([min(x, default=0.0) - 0.6, max(x, default=0.0) + 0.6]),
                "yaxis": _blank(),
                "annotations": arrows,
            },
        },
        summary=f"{counted(len(x), noun)}, {counted(len(graph.edges), 'preference')}. {what}{more}",
        table=Table(
            f"Ranks of the {noun}s", [Column(noun), Column("rank", digits=0), Column("preferred to", digits=0)], rows
        ),
        caption=f"A line is a preference, for the higher end; what stands in a ring cannot be ranked. {what}{more}",
        height=460,
    )


def lattice_figure(orders: Sequence[Sequence[str]]) -> Figure:
    """What every member of a committee agrees on, as a lattice: lines go down from an item to those just below it."""
    items = list(orders[0])
    place = [{name: k for k, name in enumerate(order)} for order in orders]
    above = [[all(p[a] < p[b] for p in place) for b in items] for a in items]
    n = len(items)
    cover = [
        (i, j, True)
        for i in range(n)
        for j in range(n)
        if above[i][j] and not any(above[i][k] and above[k][j] for k in range(n))
    ]
    depth = [0] * n
    for name in orders[0]:
        i = items.index(name)
        depth[i] = max((depth[j] + 1 for j in range(n) if above[j][i]), default=0)
    levels: dict[int, list[int]] = {}
    for i, d in enumerate(depth):
        levels.setdefault(d, []).append(i)
    x, y = [0.0] * n, [-float(d) for d in depth]
    for members in levels.values():
        for k, i in enumerate(members):
            x[i] = k - (len(members) - 1) / 2.0
    graph = Graph(tuple(items), tuple(-float(d) for d in depth), tuple(cover), 0)
    agreed = sum(map(sum, above))
    return Figure(
        title="What all members agree on",
        spec={
            "data": [
                t for t in (_edges(cover, x, y, _FAINT), _nodes(graph, range(n), x, y, "circle", "@s1")) if t["x"]
            ],
            "layout": {
                "showlegend": False,
                "xaxis": _blank([min(x) - 0.7, max(x) + 0.7]),
                "yaxis": _blank(),
            },
        },
        summary=f"{counted(n, 'item')}; the members agree on {agreed} of {counted(n * (n - 1) // 2, 'pair')}.",
        table=Table(
            "Places in each member’s order",
            [Column("item"), *(Column(f"member {m + 1}", digits=0) for m in range(len(orders)))],
            [[name, *(p[name] + 1 for p in place)] for name in items],
        ),
        caption="A trade along a line upwards is accepted; between items that no path joins, some member refuses.",
        height=420,
    )


def _blank(span: Sequence[float] | None = None) -> dict[str, Any]:
    """An axis that says nothing: only the places of the nodes to each other count."""
    axis: dict[str, Any] = {"showgrid": False, "showline": False, "ticks": "", "tickvals": [0.0], "ticktext": [" "]}
    return axis if span is None else {**axis, "range": list(span)}


def _places(graph: Graph) -> tuple[list[float], list[float]]:
    """Where nodes stand: single ranks in a zigzag, those of one cycle on a ring."""
    ranks: dict[float, list[int]] = {}
    for k, r in enumerate(graph.ranks):
        ranks.setdefault(r, []).append(k)
    x, y = [0.0] * len(graph.ranks), [0.0] * len(graph.ranks)
    top = 0.0
    for count, r in enumerate(sorted(ranks, reverse=True)):
        members = ranks[r]
        if len(members) == 1:
            x[members[0]], y[members[0]] = (count % 3 - 1) * 0.5, -top
            top += 0.6
            continue
        radius = max(0.6, 0.22 * len(members))
        top += radius
        for k, i in enumerate(members):
            angle = math.tau * k / len(members)
            x[i], y[i] = 1.6 * radius * math.sin(angle), -top + radius * math.cos(angle)
        top += radius + 0.6
    return x, y


def _edges(edges: Sequence[Edge], x: Sequence[float], y: Sequence[float], opacity: float) -> charts.Trace:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for a, b, _ in edges:
        xs += [x[a], x[b], None]
        ys += [y[a], y[b], None]
    return {
        "type": "scatter", "mode": "lines", "x": xs, "y": ys, "hoverinfo": "skip",
        "line": {"width": 1, "color": f"@muted/{opacity}"},
    }  # fmt: skip


def _nodes(
    graph: Graph, which: Sequence[int], x: Sequence[float], y: Sequence[float], symbol: str, colour: str
) -> charts.Trace:
    named = len(graph.nodes) <= _MOST_NAMED
    return {
        "type": "scatter",
        "mode": "markers+text" if named else "markers",
        "x": [x[k] for k in which],
        "y": [y[k] for k in which],
        "text": [charts.plain(graph.nodes[k], 24) for k in which],
        "textposition": "middle right",
        "marker": {"symbol": symbol, "size": 11, "color": colour},
        "hovertemplate": "%{text}<extra></extra>",
    }


def _arrow(x: float, y: float, to_x: float, to_y: float) -> dict[str, object]:
    """An arrow from what is preferred to what it is preferred to."""
    return {
        "x": to_x, "y": to_y, "ax": x, "ay": y, "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "",
        "showarrow": True, "arrowhead": 2, "arrowsize": 1.2, "arrowwidth": 2.5, "arrowcolor": "@s2", "standoff": 8,
        "startstandoff": 8,
    }  # fmt: skip
