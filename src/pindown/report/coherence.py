"""The report of one coherence record: the verdict and its certificate, the preferences, how far, how surprising."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pindown.report import charts
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.choice_distance import INDICES, how_far, how_surprising, stated
from pindown.report.choice_records import Plain, Utilities, read_coherence
from pindown.report.preference_graph import preference_figure

__all__ = ["coherence_sections"]

_NODES = {"budgets": "budget", "policy": "state"}
_MOST_ROWS = 2000
_MOST_BARS = 40
_SAME = 1e-9
_WEIGHED = {"utilities": ("Utilities", "outcome", "utility"), "compound": ("The weights", "choice", "weight")}


def coherence_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a coherence report.

    Args:
        record: what ``Coherence.to_dict()`` gives, schema ``pindown/coherence/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    c = read_coherence(record)
    p = c.plain
    blocks: list[Block] = [_cards(p)]
    if not p.certificate.verified:
        blocks.append(Notice("bad", "Not verified", "The certificate did not pass its own check."))
    if p.vacuous:
        text = f"Whatever had been chosen would have passed, which says nothing: {p.method}."
        blocks.append(Notice("caution", "Vacuous", text))
    ring = p.pump.cycle[::-1] if p.pump is not None and p.pump.cycle else p.certificate.cycle
    if p.pump is not None:
        blocks.append(_pump_table(p) if p.certificate.kind != "book" else _book(p))
    if p.certificate.kind in _WEIGHED:
        blocks.append(_weighed(p))
    if p.certificate.utilities is not None:
        blocks.append(_utilities(p.certificate.utilities))
    if c.graph.edges:
        blocks.append(preference_figure(c.graph, ring if not p.coherent else (), _NODES.get(p.kind, "item")))
    if p.residuals:
        blocks.append(_residuals(p))
    checked = "The certificate was checked again in exact arithmetic."
    sections = [
        Section("The verdict", (p.verdict,), blocks, (p.certificate.statement, checked), p.notes),
    ]
    sections += how_far(c)
    return sections if p.vacuous else [*sections, how_surprising(p)]


def _cards(p: Plain) -> Cards:
    cards = [] if math.isnan(p.surprise.value) else [Card("bits of surprise", p.surprise)]
    cards += [Card(words, getattr(p, name).estimate) for name, words in INDICES[:4] if stated(getattr(p, name))]
    return Cards([CardGroup("coherent" if p.coherent else "incoherent", p.counted, cards)])


def _book(p: Plain) -> Table:
    """The bets that lose together, how often to make each, and what each nets."""
    assert p.pump is not None
    rows: list[Row] = [
        [name, times, step.because]
        for (name, times), step in zip(p.certificate.exact.items(), p.pump.steps, strict=False)
    ]
    columns = [Column("bet"), Column("how often"), Column("what it pays each time")]
    return Table("The Dutch book", columns, rows, note=f"The chooser {p.pump.sentence}.")


def _pump_table(p: Plain) -> Table:
    assert p.pump is not None
    priced = any(s.loss is not None for s in p.pump.steps)
    rows: list[Row] = [
        [s.start, s.end, *([s.loss] if priced else []), "strictly" if s.strict else "just as good", s.because]
        for s in p.pump.steps
    ]
    kind = "Forcing" if p.pump.forcing else "Not forcing: it leans on steps that are just as good"
    return Table(
        "The pump, step by step",
        [Column("from"), Column("to"), *([Column("pays")] if priced else []), Column("preferred"), Column("because")],
        rows,
        note=f"The chooser {p.pump.sentence}. {kind}.",
    )


def _weighed(p: Plain) -> Figure:
    """The utilities of outcomes, or the weights of the choices that cancel, as bars."""
    title, what, number = _WEIGHED[p.certificate.kind]
    ordered = sorted(p.certificate.numbers.items(), key=lambda item: item[1])[-_MOST_BARS:]
    rows: list[Row] = [[name, x, p.certificate.exact.get(name)] for name, x in reversed(ordered)]
    return Figure(
        title=title,
        spec={
            "data": [
                {
                    "type": "bar", "orientation": "h", "x": [x for _, x in ordered],
                    "y": [charts.plain(name, 40) for name, _ in ordered],
                    "marker": {"color": "@s1"}, "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
                }
            ],
            "layout": {
                "xaxis": charts.axis(number, rangemode="tozero"),
                "yaxis": {"showgrid": False, "ticks": "", "type": "category"},
                "showlegend": False,
            },
        },
        summary="; ".join(f"{name}: {x:.4g}" for name, x in reversed(ordered)) + ".",
        table=Table(title, [Column(what), Column(number), Column("exactly")], rows),
        height=120 + 26 * len(ordered),
    )  # fmt: skip


def _utilities(u: Utilities) -> Table:
    ordered = sorted(u.utility, key=lambda name: u.utility[name], reverse=not u.logarithmic)
    sign = -1.0 if u.logarithmic else 1.0
    rows: list[Row] = [[name, sign * u.utility[name], u.marginal[name]] for name in ordered[:_MOST_ROWS]]
    names = ("−log2 of minus the utility", "log2 of that of money") if u.logarithmic else ("utility", "that of money")
    checked = "checked in exact arithmetic" if u.verified else "not verified"
    r = u.ratio.value
    ratio = f" Money is worth up to {r:.4g} times as much in one observation as in another."
    ratio = " Money is worth the same in all of them." if r <= 1.0 + _SAME else "" if math.isnan(r) else ratio
    return Table(
        "A utility of the bundles", [Column("observation"), Column(names[0]), Column(names[1])],
        rows, note=f"Every bundle that cost no more is worth no more: {checked}.{ratio}",
    )  # fmt: skip


def _residuals(p: Plain) -> Table:
    rows: list[Row] = [[s, r] for s, r in sorted(p.residuals.items(), key=lambda item: -abs(item[1]))]
    return Table("Residuals of the entries", [Column("entry"), Column("claimed less backed up")], rows[:_MOST_ROWS])
