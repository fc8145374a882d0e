"""The report of arrangements: their lines, where equivalence is rejected, exchange rates, where the claim fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.arrangement_records import Arrangements, Cell, Sweep, read_arrangements
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.page import render_page

__all__ = ["arrangement_sections", "write_arrangements_report"]

_SUBTITLE = "Does it matter who decides with the same answers, or only how much the answers tell?"
_MARKS = {"different": "square", "undecided": "diamond-open", "equivalent": "circle-open"}
_COLOURS = {"different": "@s2", "undecided": "@muted", "equivalent": "@s1"}
_CLAIMS: dict[str, tuple[Literal["good", "caution", "bad"], str]] = {
    "equivalent": ("good", "Equivalent"),
    "different": ("caution", "Not equivalent"),
    "undecided": ("caution", "Undecided"),
}


def write_arrangements_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of arrangements as one self-contained HTML file, whole or not at all.

    Args:
        record: what ``Arrangements.to_dict()`` gives.
        path: of the file.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    r = read_arrangements(record)
    facts = [
        ("pindown", r.version or "version not recorded"),
        ("Seed", notation.count(r.seed)),
        ("Time", notation.duration(r.seconds)),
        ("Episodes", notation.count(r.episodes)),
        ("Answers", r.transcript),
        ("Members of committees", notation.count(r.members)),
        ("Relative to", r.reference),
    ]
    title = f"Arrangements: {r.name}" if r.name else "Arrangements"
    write_atomically(path, render_page(title, arrangement_sections(record), facts=facts, subtitle=_SUBTITLE))


def arrangement_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of arrangements: lines, equivalence, exchange rates, regions, the counterexample.

    Args:
        record: what ``Arrangements.to_dict()`` gives, schema ``pindown/arrangements/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    r = read_arrangements(record)
    sections = [_lines(r), _equivalence(r), _exchange(r)]
    if r.sweeps or r.regions:
        sections.append(_regions(r))
    return [*sections, _counterexample(r)]


def _lines(r: Arrangements) -> Section:
    tone, title = _CLAIMS[r.claim]
    blocks: list[Block] = [
        Cards(
            [
                CardGroup(
                    "share of the variance", "of optimisation bits, over arrangements and amounts of information",
                    [
                        Card("information", r.information, percent=True),
                        Card("arrangement", r.arrangement, percent=True),
                        Card("both together", r.interaction, percent=True),
                    ],
                )
            ]
        ),
        Notice(tone, title, _claimed(r)),
    ]  # fmt: skip
    if r.control_seen is False:
        blocks.append(
            Notice(
                "bad", "The control was not told apart",
                "A filter that knows what is acceptable came out no better than the rest: this comparison could not "
                "have seen a difference.",
            )
        )  # fmt: skip
    blocks.append(_line_figure(r, "optimisation"))
    blocks.append(_line_figure(r, "acceptable"))
    method = (
        "Optimisation bits: −log2 of the share of plans that are at least as good under the true value, averaged over "
        f"{notation.count(r.episodes)} values drawn with their answers; every arrangement gets the same.",
        "Measured information: relative entropy of the posterior from the prior, and what the person's pick tells "
        "given the answers, which is less than log2 of how many plans were shown.",
        "Shares of the variance are corrected for what episodes vary by; errors are the jackknife's.",
    )
    limits = (
        "Optimisation bits and information bits are different kinds: a slope of 1 has no special meaning.",
        "The shares are those of these arrangements at these amounts of information; others have others.",
        *r.notes,
    )
    return Section("Optimisation against information", (r.verdict,), blocks, method, limits)


def _claimed(r: Arrangements) -> str:
    margin = f"{r.margin:g} bits"
    return {
        "equivalent": f"Every arrangement is within {margin} of the singleton at every amount of information.",
        "different": f"At least one arrangement is more than {margin} away from the singleton at the same information.",
        "undecided": f"Not every arrangement is shown to be within {margin} of the singleton, and none to be further.",
    }[r.claim]


def _line_figure(r: Arrangements, what: Literal["optimisation", "acceptable"]) -> Figure:
    percent = what == "acceptable"
    unit = "probability that the plan is acceptable" if percent else "optimisation bits"
    data: list[dict[str, Any]] = []
    rows: list[Row] = []
    for i, line in enumerate(r.lines):
        figures = [_figure(c, what) for c in line.cells]
        texts = [
            f"{line.name}, {c.answers} answers, {c.information.value:.2f} bits: {charts.figure_text(e, percent)}"
            for c, e in zip(line.cells, figures, strict=True)
        ]
        x = [c.information.value for c in line.cells]
        data += charts.estimates(x, figures, i, line.name, texts=texts, joined=True)
        rows += [[line.name, c.answers, c.information, c.told, e] for c, e in zip(line.cells, figures, strict=True)]
    if not percent:
        data = _margin(r) + data
    last = [(x.name, _figure(x.cells[-1], what)) for x in r.lines]
    told = "; ".join(f"{name} {notation.value_text(e, percent)}" for name, e in last)
    columns = [
        Column("arrangement"), Column("answers", digits=0), Column("measured information", estimate=True),
        Column("of it the person's pick", estimate=True), Column(unit, estimate=True, percent=percent),
    ]  # fmt: skip
    title = "Chance of an acceptable plan" if percent else "One line an arrangement"
    yaxis = charts.axis(unit, rangemode="tozero")
    if percent:
        yaxis |= {"tickformat": ".0%"}
    return Figure(
        title=title,
        spec={
            "data": data,
            "layout": {"xaxis": charts.axis("measured information, bits", rangemode="tozero"), "yaxis": yaxis},
        },
        summary=f"With the most answers: {told}.",
        table=Table(f"{title}: the figures", columns, rows),
        caption="" if percent else f"The band is the singleton's line ± {r.margin:g} bits, the margin of the test.",
        height=520,
    )


def _figure(c: Cell, what: str) -> Estimate:
    return c.optimisation if what == "optimisation" else c.acceptable


def _margin(r: Arrangements) -> list[charts.Trace]:
    cells = r.lines[0].cells
    x = [c.information.value for c in cells]
    y = [c.optimisation.value for c in cells]
    return charts.band(x, [v - r.margin for v in y], [v + r.margin for v in y], 0)


def _equivalence(r: Arrangements) -> Section:
    compared = [x for x in r.lines if x.role != "reference"]
    rows: list[Row] = [
        [x.name, c.answers, c.excess, c.outcome, c.p_equivalent, c.p_different] for x in compared for c in x.cells
    ]
    columns = [
        Column("arrangement"), Column("answers", digits=0), Column("bits above the singleton", estimate=True),
        Column("outcome"), Column("p of equivalence", digits=2), Column("p of a difference", digits=2),
    ]  # fmt: skip
    at = {n: str(n) for n in dict.fromkeys(c.answers for x in compared for c in x.cells)}
    data: list[dict[str, Any]] = []
    for outcome, mark in _MARKS.items():
        cells = [(x.name, c) for x in compared for c in x.cells if c.outcome == outcome]
        if not cells:
            continue
        data.append(
            {
                "type": "scatter", "mode": "markers+text", "name": outcome,
                "x": [at[c.answers] for _, c in cells], "y": [charts.plain(n, 34) for n, _ in cells],
                "text": [_short(c.excess.value) for _, c in cells], "textposition": "bottom center",
                "textfont": {"size": 10},
                "marker": {"symbol": mark, "size": 13, "color": _COLOURS[outcome], "line": {"width": 1.5}},
                "hovertext": [
                    charts.plain(f"{n}, {c.answers} answers: {charts.figure_text(c.excess)}, {outcome}", 160)
                    for n, c in cells
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )  # fmt: skip
    apart = [(x.name, c) for x in compared if x.role == "compared" for c in x.cells if c.outcome == "different"]
    where = _where(apart)
    figure = Figure(
        title="Where equivalence with the singleton is rejected",
        spec={
            "data": data,
            "layout": {
                "xaxis": charts.axis(
                    "answers", type="category", categoryorder="array", categoryarray=list(at.values())
                ),
                "yaxis": {
                    "autorange": "reversed", "type": "category", "categoryorder": "array",
                    "categoryarray": [charts.plain(x.name, 34) for x in compared],
                },
            },
        },
        summary=where,
        table=Table("Equivalence with the singleton at the same measured information", columns, rows),
        caption=f"Filled squares differ by more than {r.margin:g} bits; open circles are equivalent; diamonds "
        "are neither shown. Numbers are bits above the singleton's line at the same measured information.",
        height=160 + 46 * len(compared),
    )  # fmt: skip
    method = (
        f"Two one-sided tests with a margin of {r.margin:g} bits at {r.level:.0%}, fixed before; differences by Holm's "
        "correction over all cells that are compared. The base and the control are no part of the claim.",
    )
    return Section("Are they equivalent?", (where,), [figure], method)


def _short(x: float) -> str:
    text = f"{x:+.1f}".replace("-", "−")
    return "0" if text[1:] == "0.0" else text


def _where(apart: Sequence[tuple[str, Cell]]) -> str:
    if not apart:
        return "Equivalence is rejected nowhere."
    places: dict[str, list[str]] = {}
    for name, c in apart:
        places.setdefault(name, []).append(str(c.answers))
    told = "; ".join(f"{name} (answers: {', '.join(found)})" for name, found in places.items())
    return f"Equivalence is rejected for {told}."


def _exchange(r: Arrangements) -> Section:
    columns = [
        Column("arrangement"), Column("optimisation bits per bit of information", estimate=True),
        Column("worth in bits of information beside the singleton", estimate=True),
        Column("bits bought less those observed, at the most answers", estimate=True),
    ]  # fmt: skip
    rows: list[Row] = [
        [x.name, None if math.isnan(x.rate.value) else x.rate, x.worth, x.cells[-1].bought]
        for x in r.lines
        if x.role != "base"
    ]
    text = (
        "What an arrangement is worth is how many more bits of information the singleton would need to do as well "
        "(fewer, where it is negative)."
    )
    return Section("Exchange rates", (text,), [Table("Exchange rates", columns, rows)])


def _regions(r: Arrangements) -> Section:
    blocks: list[Block] = []
    if r.sweeps:
        blocks.append(_sweep_figure("This problem, one thing changed", r.sweeps, r.margin))
    if r.regions:
        blocks.append(_sweep_figure("Reference problems", r.regions, r.margin))
    failing = [s for s in r.regions if any(p.outcome == "different" for p in s.points)]
    text = (
        f"On {len(failing)} of {len(r.regions)} reference problems the claim that arrangement does not matter is "
        f"refuted: {', '.join(s.name for s in failing)}."
        if r.regions
        else "The reference problems that refute the claim were left out."
    )
    method = (
        "Error tails: members err by Student's t of the given degrees of freedom, with the same quartiles, and decide "
        "by their median. Sharing: share of the answers that reach every member of a committee that votes. Coupling: "
        "strength of the couplings among blocks whose agents move in turn. Minding: by what factor each of the blocks "
        "compared minds the others' parts. Shortlist: how many plans the person picks from.",
    )
    return Section("Where the claim fails", (text,), blocks, method)


def _sweep_figure(title: str, sweeps: Sequence[Sweep], margin: float) -> Figure:
    data: list[dict[str, Any]] = []
    rows: list[Row] = []
    labels: list[str] = []
    for i, s in enumerate(sweeps):
        places = [f"{s.name} {notation.number(p.setting)}" for p in s.points]
        labels += places
        texts = [
            f"{s.arrangement}, {at}: {charts.figure_text(p.excess)}" for at, p in zip(places, s.points, strict=True)
        ]
        data += _sideways(places, [p.excess for p in s.points], i, s.name, texts)
        rows += [[s.name, p.setting, s.problem, s.arrangement, p.excess, p.outcome] for p in s.points]
    told = "; ".join(f"{s.name} {notation.number(p.setting)}: {p.outcome}" for s in sweeps for p in s.points)
    columns = [
        Column("changed"), Column("setting"), Column("problem"), Column("arrangement"),
        Column("bits above the singleton", estimate=True), Column("outcome"),
    ]  # fmt: skip
    lines = [
        {
            "type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"color": "@muted", "width": 1, "dash": "dot"},
        }
        for x in (-margin, margin)
    ]  # fmt: skip
    return Figure(
        title=title,
        spec={
            "data": data,
            "layout": {
                "xaxis": charts.axis("bits above the singleton at the same information"),
                "yaxis": {
                    "autorange": "reversed", "type": "category", "categoryorder": "array", "categoryarray": labels,
                },
                "shapes": lines,
            },
        },
        summary=f"{told}.",
        table=Table(title, columns, rows),
        caption=f"Dotted lines are ± {margin:g} bits.",
        height=150 + 34 * len(labels),
    )  # fmt: skip


def _sideways(places: Sequence[str], figures: Sequence[Estimate], i: int, name: str, texts: Sequence[str]) -> list[Any]:
    """Estimates beside category names; bounds are open marks."""
    colour, symbol, _ = charts.series(i)
    ends = [e.interval() for e in figures]
    reach = [
        (b - e.value if math.isfinite(b) else 0.0, e.value - a if math.isfinite(a) else 0.0)
        for e, (a, b) in zip(figures, ends, strict=True)
    ]
    return [
        {
            "type": "scatter", "mode": "markers", "name": charts.plain(name), "y": list(places),
            "x": [e.value for e in figures],
            "error_x": {
                "type": "data", "symmetric": False, "array": [u for u, _ in reach], "arrayminus": [d for _, d in reach],
                "color": colour, "thickness": 1.5, "width": 4,
            },
            "marker": {
                "symbol": [f"{symbol}-open" if charts.is_bound(e) else symbol for e in figures], "size": 9,
                "color": colour,
            },
            "text": [charts.plain(t, 200) for t in texts], "hovertemplate": "%{text}<extra></extra>",
        }
    ]  # fmt: skip


def _counterexample(r: Arrangements) -> Section:
    s = r.counterexample
    text = (
        "“N observed bits buy at most N bits of optimisation” is false. A key of one bit opens a lock: with the right "
        "key a payload of sixteen bits comes to rest, with the wrong one it stays as random as it is. Seeing "
        f"the key lowers the uncertainty of what comes out by {s.sighted.value:.3f} bits, acting blind by "
        f"{s.blind.value:.3f}: {s.observed.value:.3f} observed bits buy {s.bought.value:.3f}."
    )
    columns = [Column("what"), Column("bits", estimate=True)]
    rows: list[Row] = [
        ["observed", s.observed], ["reduction, blind", s.blind], ["reduction, sighted", s.sighted], ["bought", s.bought]
    ]  # fmt: skip
    limits = (
        "The theorem of Touchette and Lloyd is not touched: its bound is over the best blind reduction from any "
        "distribution of states, here sixteen bits more.",
    )
    return Section("A key opens a lock", (text,), [Table("What one observed bit buys", columns, rows)], (), limits)
