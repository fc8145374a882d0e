"""The report of what many objectives want: stripes that go through every family stand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.options import layer_sections, state_sections
from pindown.report.page import render_page
from pindown.report.plane_map import row_label
from pindown.report.resource_records import Convergence, Item, read_convergence

__all__ = ["convergence_sections", "write_resources_report"]

_SHOWN = 40
# From pale to dark blue (ColorBrewer, Blues): told apart in grey as well.
_SCALE = ((0.0, "#f7fbff"), (0.25, "#c6dbef"), (0.5, "#6baed6"), (0.75, "#2171b5"), (1.0, "#08306b"))
_ALWAYS = "What is wanted here depends on the priors that were declared; another prior can break a stripe."


def write_resources_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of a convergence record as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    c = read_convergence(record)
    facts = [
        ("pindown", c.version or "version not recorded"),
        ("Seed", notation.count(c.seed)),
        ("Time", notation.duration(c.seconds)),
        ("Objectives", f"{notation.count(c.objectives)} from each of {len(c.families)} priors"),
    ]
    subtitle = "What nearly all objectives want of an environment, and under which priors."
    page = render_page(f"Resources: {c.problem}", convergence_sections(record), facts=facts, subtitle=subtitle)
    write_atomically(path, page)


def convergence_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a report on resources.

    Args:
        record: what ``Convergence.to_dict()`` gives, schema ``pindown/convergence/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    c = read_convergence(record)
    ranked = sorted(c.items, key=lambda i: (-_least(i), -_mean(i)))
    blocks: list[Block] = []
    stripes = [i for i in ranked if i.verdict == "resource"]
    if stripes:
        cards = [Card(i.name, i.robustness, of="least share", percent=True) for i in stripes[:4]]
        blocks.append(Cards([CardGroup("Wanted under every prior", f"{len(stripes)} in all", cards)]))
    elif any(i.verdict == "under some priors" for i in ranked):
        blocks.append(Notice("caution", "No stripe is whole", "What is wanted under one prior is not under another."))
    blocks += [_map(c, ranked), _frequency(c, ranked)]
    method = [f"Solved by {c.method}." + (f" Discount {c.discount:g}." if c.discount is not None else "")]
    method.append(f"A resource reaches {c.nearly_all:.0%} with its whole Wilson interval under every prior.")
    return [
        Section("What is wanted", (c.verdict,), blocks, method, [*c.notes, _ALWAYS]),
        _values(c, ranked),
        *state_sections(c),
        *layer_sections(c),
        Section("The priors", (), [_families(c), *_agreement(c)]),
    ]


def _least(item: Item) -> float:
    return min(s.value or 0.0 for s in item.wanted.values())


def _mean(item: Item) -> float:
    return sum(s.value or 0.0 for s in item.wanted.values()) / len(item.wanted)


def _map(c: Convergence, ranked: Sequence[Item]) -> Figure:
    shown = list(ranked[:_SHOWN])[::-1]
    names = [f.name for f in c.families]
    z = [[s.value for s in (i.wanted[n] for n in names)] for i in shown]
    texts = [
        [
            charts.plain(
                f"{i.name}, {n}: {i.wanted[n].count} of {i.wanted[n].trials} ({100 * i.wanted[n].low:.3g}% to "
                f"{100 * i.wanted[n].high:.3g}%)", 200,
            )
            for n in names
        ]
        for i in shown
    ]  # fmt: skip
    labels = [("▶ " if i.verdict == "resource" else "") + row_label(i.name, 26) for i in shown]
    left = 30 + 7 * min(23, max(map(len, labels)))
    boxes = [
        {"type": "rect", "x0": -0.5, "x1": len(names) - 0.5, "y0": y - 0.46, "y1": y + 0.46,
         "line": {"color": "@s2", "width": 3}}
        for y, i in enumerate(shown) if i.verdict == "resource"
    ]  # fmt: skip
    cells: charts.Trace = {
        "type": "heatmap", "x": list(range(len(names))), "y": list(range(len(shown))), "z": z, "zmin": 0.0, "zmax": 1.0,
        "xgap": 2, "ygap": 3, "colorscale": [list(stop) for stop in _SCALE], "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "colorbar": {
            "orientation": "h", "thickness": 12, "outlinewidth": 0,
            "tickformat": ".0%", "tickvals": [0, 0.5, 1], "tickangle": 0, "yref": "container", "y": 0,
            "yanchor": "bottom", "x": 0.5, "xanchor": "center", "len": 0.9,
        },
    }  # fmt: skip
    numbers = {
        "type": "scatter", "mode": "text", "hoverinfo": "skip", "showlegend": False,
        "x": [x for _ in shown for x in range(len(names))], "y": [y for y in range(len(shown)) for _ in names],
        "text": ["–" if v is None else f"{100 * v:.0f}%" for row in z for v in row],
        "textfont": {"size": 11, "color": [_ink(v) for row in z for v in row]},
    }  # fmt: skip
    layout = {
        "xaxis": charts.axis("", tickvals=list(range(len(names))), ticktext=[charts.plain(n, 20) for n in names],
                             side="top", showgrid=False, zeroline=False, range=[-0.5, len(names) - 0.5]),
        "yaxis": charts.axis("", tickvals=list(range(len(shown))), ticktext=labels, showgrid=False, zeroline=False,
                             range=[-0.5, len(shown) - 0.5]),
        "shapes": boxes, "showlegend": False, "margin": {"t": 40, "b": 70, "l": left},
    }  # fmt: skip
    rows: list[Row] = [[i.name, *(i.wanted[n].value for n in names), i.robustness, i.verdict] for i in ranked]
    columns = [Column("name"), *(Column(n, percent=True) for n in names), Column("least", estimate=True, percent=True)]
    some = ", ".join(i.name for i in ranked if i.verdict == "resource") or "none"
    rest = f" The {_SHOWN} of {len(ranked)} that are wanted most." if len(ranked) > _SHOWN else ""
    return Figure(
        title="Who wants what",
        spec={"data": [cells, numbers], "layout": layout},
        summary=f"Wanted under every prior: {some}.",
        table=Table("Shares of objectives", [*columns, Column("verdict")], rows),
        caption=f"Each cell: the share of a family's objectives that want it. Framed: wanted under every prior.{rest}",
        height=110 + 34 * len(shown),
    )


def _ink(share: float | None) -> str:
    """Black or white on a cell, whichever has the higher contrast there (WCAG 2.2): 4.5 at least."""
    return "#000000" if share is None or _luminance(share) > 0.179 else "#ffffff"


def _luminance(share: float) -> float:
    """Relative luminance of the cell of a share."""
    above = next(k for k in range(1, len(_SCALE)) if share <= _SCALE[k][0] or k == len(_SCALE) - 1)
    (low, pale), (high, dark) = _SCALE[above - 1], _SCALE[above]
    weight = min(max((share - low) / (high - low), 0.0), 1.0)
    out = 0.0
    for i, part in enumerate((0.2126, 0.7152, 0.0722)):
        a, b = (int(colour[2 * i + 1 : 2 * i + 3], 16) / 255 for colour in (pale, dark))
        v = a + weight * (b - a)
        out += part * (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)
    return out


def _frequency(c: Convergence, ranked: Sequence[Item]) -> Figure:
    """How often against how much, in the first family: the two need not agree."""
    family = c.families[0].name
    seen = [
        (i, w, v) for i in ranked
        if (w := i.wanted[family].value) is not None and (v := i.value[family].value) == v
    ]  # fmt: skip
    x, y = [100 * w for _, w, _ in seen], [100 * v for _, _, v in seen]
    texts = [charts.plain(f"{i.name}: wanted by {100 * w:.3g}%, {100 * v:.3g}%", 120) for i, w, v in seen]
    trace = {
        "type": "scatter", "mode": "markers", "x": x, "y": y, "text": texts, "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": "@s1", "size": 9},
    }  # fmt: skip
    layout = {
        "xaxis": charts.axis(f"wanted by, % of {family} objectives"),
        "yaxis": charts.axis("value, %"),
        "showlegend": False,
    }
    rows: list[Row] = [[i.name, w, i.value[family]] for i, w, _ in seen]
    columns = [Column("name"), Column("wanted by", percent=True), Column("value", estimate=True, percent=True)]
    return Figure(
        title=f"How often and how much, {family} objectives",
        spec={"data": [trace], "layout": layout},
        summary="How often something is wanted and how much of the value it carries are two questions.",
        table=Table("Frequency and value", columns, rows),
        caption=f"Value: {c.value_is}. What is wanted by nearly all may carry little.",
        height=340,
    )


def _values(c: Convergence, ranked: Sequence[Item]) -> Section:
    """Values, and of a programme prices; columns of what was not measured are left out."""
    priced = any(i.price.status.ok for i in ranked)
    opened = any(i.volume.status.ok for i in ranked)
    rows: list[Row] = []
    for i in ranked:
        row: list[Any] = [i.name, *((i.price if i.price.status.ok else None, i.price.unit) if priced else ())]
        row += [i.value[f.name] for f in c.families]
        rows.append([*row, *((i.volume if i.volume.status.ok else None,) if opened else ())])
    columns = [Column("name"), *((Column("shadow price", estimate=True), Column("unit")) if priced else ())]
    columns += [Column(f"value, {f.name}", estimate=True) for f in c.families]
    columns += [Column("bits per unit", estimate=True)] if opened else []
    method = [f"Value: {c.value_is}."]
    if priced:
        method.append(
            "The shadow price is how much better the problem’s own objective becomes per unit by which a constraint is "
            "relaxed. It is 0 or more, minimised or maximised, from above or below; an equation is relaxed to both "
            "sides."
        )
    if opened:
        method.append("Bits per unit: how much the volume of what can be done grows when a row is relaxed by one unit.")
    title = "Shadow prices and values" if priced else "Values"
    return Section("Prices and values" if priced else "Values", (), [Table(title, columns, rows)], method)


def _families(c: Convergence) -> Table:
    rows: list[Row] = [[f.name, f.description, f.objectives, f.unbounded.value, f.infeasible.value] for f in c.families]
    columns = [Column("prior"), Column("objectives drawn from"), Column("objectives", digits=0)]
    return Table("Priors", [*columns, Column("unbounded", percent=True), Column("infeasible", percent=True)], rows)


def _agreement(c: Convergence) -> list[Block]:
    if not c.agreement:
        return []
    rows: list[Row] = [[a.first, a.second, a.correlation] for a in c.agreement]
    note = "Near 1: both rank what is wanted alike. Near 0: what one wants says nothing of the other."
    columns = [Column("prior"), Column("and"), Column("rank correlation", digits=2)]
    return [Table("Do the priors agree?", columns, rows, note=note)]
