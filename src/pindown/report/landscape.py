"""The report of a search landscape: bits against evaluations, what constraints add, what depends on what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Row, Section, Table
from pindown.report.landscape_records import Constraint, Landscape, Mode, read_landscape
from pindown.report.page import render_page

__all__ = ["landscape_sections", "write_landscape_report"]

_BARS = 30
_NAMED, _DRAWN = 64, 400  # variables that get names; variables that are drawn one by one
_LIMITS = (
    "Dependences are looked for at a few points: what shows only rarely can be missed.",
    "A search that does not arrive within its budget may arrive later; its figure is a bound.",
    "Local search and steepest descent are plain ones: others of their kind may do better.",
)


def write_landscape_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of a landscape record as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    r = read_landscape(record)
    facts = [
        ("pindown", r.version or "version not recorded"),
        ("Seed", notation.count(r.seed)),
        ("Time", notation.duration(r.seconds)),
        ("Prior", r.space),
        ("Searches", f"{notation.count(r.starts)} held-out starts, {notation.count(r.budget)} evaluations each"),
    ]
    subtitle = "What makes a search hard, and what helps."
    write_atomically(
        path, render_page(f"Landscape: {r.problem}", landscape_sections(record), facts=facts, subtitle=subtitle)
    )


def landscape_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a report on a landscape.

    Args:
        record: what ``Landscape.to_dict()`` gives, schema ``pindown/landscape/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    r = read_landscape(record)
    cards = [Card("bits of the target", r.target)]
    if r.free_dimensions.status.ok and r.free_dimensions.value == r.free_dimensions.value:
        cards += [Card("free dimensions", r.free_dimensions, of=f"of {r.dim}"), Card("λ", r.learning_coefficient)]
    if r.constraints:
        cards.append(Card("interaction of the constraints", r.interaction))
    search: list[Block] = [Cards([CardGroup("The target", r.method, cards)]), _searches(r), _modes(r)]
    out = [
        Section(
            "Searches", (r.verdict,), search,
            [
                f"Bits of the target: {r.method}. Every loss that a search reaches is put on the same curve of bits.",
                "Expected evaluations are those spent at all starts over the number of starts that arrived. "
                "Predictions come from the bits, the sizes of the blocks or training starts, as the table says.",
            ],
            [*r.notes, *_LIMITS[1:]],
        )
    ]  # fmt: skip
    if r.constraints:
        out.append(_constraint_section(r))
    out.append(_dependence_section(r))
    out.append(Section("A random direction", (), [_direction(r)]))
    return out


def _searches(r: Landscape) -> Figure:
    used = [m for m in r.modes if m.evaluations]
    most = max((math.log2(m.evaluations[-1]) for m in used), default=1.0)
    top = r.target.value if math.isfinite(r.target.value) else most
    end = min(max(most, 1.0), top) if top > 0 else most
    traces: list[charts.Trace] = [
        {
            "type": "scatter", "mode": "lines", "x": [0.0, end], "y": [0.0, end], "name": "2^bits: blind search",
            "line": {"color": "@muted", "width": 1.5, "dash": "dot"}, "hoverinfo": "skip",
        }
    ]  # fmt: skip
    rows: list[Row] = []
    for i, m in enumerate(used):
        x = [math.log2(n) for n in m.evaluations]
        ends = [b.interval() for b in m.bits]
        traces += charts.band(x, [max(0.0, low) for low, _ in ends], [high for _, high in ends], i)
        texts = [
            f"{m.name}, {notation.count(int(n))} evaluations: {charts.figure_text(b)}"
            for n, b in zip(m.evaluations, m.bits, strict=True)
        ]
        traces.append(charts.legend_entry(i, m.name))
        traces.append(charts.line(x, [b.value for b in m.bits], i, texts=texts))
        rows += [[m.name, int(n), b] for n, b in zip(m.evaluations, m.bits, strict=True)]
    layout = {
        "xaxis": charts.axis("evaluations, log2"),
        "yaxis": charts.axis("bits reached", rangemode="tozero"),
        "shapes": [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": top, "y1": top,
             "line": {"color": "@ink", "width": 1, "dash": "dash"}}
        ],
    }  # fmt: skip
    arrived = ", ".join(f"{m.name} {m.solved} of {m.starts}" for m in used)
    return Figure(
        title="Bits reached",
        spec={"data": traces, "layout": layout},
        summary=f"The target lies at {notation.number(top)} bits. Starts that arrived: {arrived}.",
        table=Table(
            "Bits reached after so many evaluations",
            [Column("search"), Column("evaluations", digits=0), Column("bits", estimate=True)], rows,
        ),
        caption="Means over the held-out starts with 95% bands. On the dotted diagonal n evaluations give log2 n bits, "
        "as blind search does; above it a search uses structure. The dashed line is the target.",
        height=420,
    )  # fmt: skip


def _modes(r: Landscape) -> Table:
    def shown(m: Mode, e: Estimate) -> Estimate | None:
        return None if m.why_not else e

    rows: list[Row] = [
        [m.name, shown(m, m.predicted), m.why_not or m.prediction, shown(m, m.achieved),
         f"{m.solved} of {m.starts}" if not m.why_not else "–", shown(m, m.bits_per_evaluation)]
        for m in r.modes
    ]  # fmt: skip
    columns = [Column("search"), Column("predicted", estimate=True), Column("predicted from")]
    columns += [Column("achieved", estimate=True), Column("arrived"), Column("bits per evaluation", estimate=True)]
    note = f"Finding and choosing the blocks took {notation.count(r.decomposition.evaluations)} evaluations more."
    return Table("Evaluations to the target, log2", columns, rows, note=note)


def _constraint_section(r: Landscape) -> Section:
    known = sorted((c for c in r.constraints if c.adds.value == c.adds.value), key=lambda c: -c.adds.value)
    slack = sum(c.verdict == "slack" for c in r.constraints)
    sentence = f"{len(r.constraints)} constraints; {slack} of them are slack. "
    if r.interaction.value == r.interaction.value:
        sentence += f"Together they pin down {notation.with_error(r.target)}, which is {_more(r.interaction)}."
    blocks: list[Block] = [_bars(known)] if known else []
    rows: list[Row] = [[c.name, c.adds, c.alone, c.interaction, c.verdict] for c in r.constraints]
    columns = [Column("constraint"), *(Column(n, estimate=True) for n in ("adds", "alone", "interaction"))]
    blocks.append(Table("Bits of each constraint", [*columns, Column("verdict")], rows))
    method = [
        "A constraint adds as many bits as the target loses when it is left out: 0 where it is slack. Its interaction "
        "is that less what it pins down alone: below 0 where the others imply it in part, above 0 where they are in "
        "its way."
    ]
    return Section("Constraints", (sentence,), blocks, method)


def _more(e: Estimate) -> str:
    if e.value == 0:
        return "the sum of what they pin down alone"
    return f"{notation.with_error(e)} beside the sum of what they pin down alone"


def _bars(known: Sequence[Constraint]) -> Figure:
    shown = list(known[:_BARS])[::-1]
    at = list(range(len(shown)))
    texts = [charts.plain(f"{c.name} adds {charts.figure_text(c.adds)}", 160) for c in shown]
    bars: charts.Trace = {
        "type": "bar", "orientation": "h", "x": [c.adds.value for c in shown], "y": at, "width": 0.7, "name": "adds",
        "marker": {"color": "@s1"}, "text": texts, "textposition": "none", "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    reach = [(c.adds.value, *c.adds.interval()) for c in shown]
    if any(c.adds.kind == "estimate" for c in shown):
        bars["error_x"] = {
            "type": "data", "symmetric": False, "color": "@ink", "thickness": 1.5,
            "array": [high - v if math.isfinite(high) else 0.0 for v, _, high in reach],
            "arrayminus": [v - low if math.isfinite(low) else 0.0 for v, low, _ in reach],
        }  # fmt: skip
    marks = charts.estimates(
        at, [c.interaction for c in shown], 1, "interaction",
        texts=[f"{c.name}, interaction: {charts.figure_text(c.interaction)}" for c in shown], sideways=True,
        symbol="diamond",
    )  # fmt: skip
    layout = {
        "xaxis": charts.axis("bits", zeroline=True),
        "yaxis": charts.axis("", tickvals=at, ticktext=[charts.plain(c.name, 26) for c in shown], showgrid=False),
        "margin": {"l": 170},
    }
    left = f" The {_BARS} of {len(known)} that add most." if len(known) > _BARS else ""
    return Figure(
        title="What each constraint adds",
        spec={"data": [bars, *marks], "layout": layout},
        summary=f"The most is added by {known[0].name}: {charts.figure_text(known[0].adds)}.",
        table=Table(
            "Bits added and interaction",
            [Column("constraint"), Column("adds", estimate=True), Column("interaction", estimate=True)],
            [[c.name, c.adds, c.interaction] for c in known],
        ),
        caption=f"Bars: bits added when all others hold. Diamonds: interaction with the others.{left}",
        height=120 + 24 * len(shown),
    )


def _dependence_section(r: Landscape) -> Section:
    d = r.decomposition
    blocks: list[Block] = []
    if d.edges or len(d.blocks) > 1:
        blocks.append(_graph(r))
    rows: list[Row] = [
        [k + 1, len(b.variables), ", ".join(d.variables[int(v)] for v in b.variables)] for k, b in enumerate(d.blocks)
    ]
    columns = [Column("block", digits=0), Column("variables", digits=0), Column("names")]
    note = "" if len(d.blocks) == 1 else f"{d.cut:.0%} of the strength of all dependences lies across blocks."
    blocks.append(Table("Suggested factorisation", columns, rows, note=note))
    method = [
        "Two variables are independent where changing both changes the loss by the sum of what changing each does. The "
        "blocks are the parts that share no dependence, or cuts of the tree of average linkage, chosen on training "
        "starts. They count where their search beats local search at held-out starts, and, where a cut leaves "
        "dependences, blocks of shuffled variables as well (sign tests, p < 0.05)."
    ]
    verdict = d.why[:1].upper() + d.why[1:]
    return Section("Blocks of variables", (f"{d.verdict.capitalize()}. {verdict}",), blocks, method, [_LIMITS[0]])


def _graph(r: Landscape) -> Figure:
    """Variables on a ring, block by block, and what joins them; whole blocks where there are too many."""
    d = r.decomposition
    order = [int(v) for b in d.blocks for v in b.variables]
    block_of = {int(v): k for k, b in enumerate(d.blocks) for v in b.variables}
    n, gap = len(order), 0.6 if len(d.blocks) > 1 else 0.0
    places: dict[int, tuple[float, float]] = {}
    turn = math.tau / (n + gap * len(d.blocks))
    for i, v in enumerate(order):
        angle = turn * (i + gap * block_of[v])
        places[v] = (math.sin(angle), math.cos(angle))
    strongest = sorted(d.edges, key=lambda e: -e.strength)[: 4 * _DRAWN]
    inside = [(e.first, e.second) for e in strongest if block_of[e.first] == block_of[e.second]]
    across = [(e.first, e.second) for e in strongest if block_of[e.first] != block_of[e.second]]
    traces = [
        _lines(across, places, "across blocks", {"width": 1, "color": "@muted/0.4", "dash": "dot"}),
        _lines(inside, places, "inside a block", {"width": 1.5, "color": "@s1/0.7"}),
    ]
    for k, b in enumerate(d.blocks):
        colour, symbol, _ = charts.series(k)
        members = [int(v) for v in b.variables]
        traces.append(
            {
                "type": "scatter", "mode": "markers+text" if n <= _NAMED else "markers", "showlegend": False,
                "x": [places[v][0] for v in members], "y": [places[v][1] for v in members],
                "text": [charts.plain(d.variables[v], 14) for v in members],
                "textposition": [_side(places[v]) for v in members],
                "marker": {"symbol": symbol, "size": 11 if n <= _DRAWN else 5, "color": colour},
                "hovertext": [charts.plain(f"{d.variables[v]}, block {k + 1}", 60) for v in members],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )  # fmt: skip
    blank = {
        "showgrid": False,
        "showline": False,
        "ticks": "",
        "tickvals": [0.0],
        "ticktext": [" "],
        "range": [-1.3, 1.3],
    }
    rows: list[Row] = [
        [d.variables[e.first], d.variables[e.second], e.strength,
         "no" if block_of[e.first] != block_of[e.second] else "yes"]
        for e in strongest
    ]  # fmt: skip
    return Figure(
        title="What depends on what",
        spec={
            "data": [t for t in traces if t["x"]],
            "layout": {"xaxis": blank, "yaxis": {**blank, "scaleanchor": "x"}},
        },
        summary=f"{n} variables in {len(d.blocks)} blocks, {len(d.edges)} dependences, {len(across)} of the "
        f"{len(strongest)} drawn across blocks.",
        table=Table(
            "Dependences",
            [Column("variable"), Column("and"), Column("strength"), Column("same block")],
            rows or [["none", "", None, ""]],
            note="Strength: the mean mixed difference as a share of the loss's standard deviation.",
        ),
        caption="Variables on a ring, block by block, each block with its mark. Solid: inside a block. Dotted: across.",
        height=520,
    )


def _lines(
    pairs: Sequence[tuple[int, int]], places: Mapping[int, tuple[float, float]], name: str, line: dict[str, Any]
) -> charts.Trace:
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in pairs:
        x += [places[a][0], places[b][0], None]
        y += [places[a][1], places[b][1], None]
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "hoverinfo": "skip", "line": line}


def _side(place: tuple[float, float]) -> str:
    vertical = "top" if place[1] > 0.3 else "bottom" if place[1] < -0.3 else "middle"
    return f"{vertical} {'right' if place[0] >= 0 else 'left'}"


def _direction(r: Landscape) -> Table:
    d = r.direction
    rows: list[Row] = [
        ["E[cos²] = 1/n", d.mean_square, d.seen_square if d.seen_square.status.ok else None],
        ["E|cos| ≈ √(2/πn)", d.mean_absolute, d.seen_absolute if d.seen_absolute.status.ok else None],
    ]
    fold = d.mean_absolute.value / d.mean_square.value
    note = (
        f"In n = {notation.count(d.dim)} dimensions they differ {fold:.3g}-fold. The second is the share of the "
        "gradient’s slope that a random step finds."
    )
    columns = [Column("cosine with the gradient"), Column("expected", estimate=True), Column("seen", estimate=True)]
    return Table("How far a random direction goes along the gradient", columns, rows, note=note)
