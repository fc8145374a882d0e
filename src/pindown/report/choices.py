"""The report of one coherence record, of a panel of them, or of a committee, on a page of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Status
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.choice_records import Coherence, Committee, Index, Plain, Utilities, read_coherence, read_committee
from pindown.report.page import render_page
from pindown.report.preference_graph import lattice_figure, preference_figure

__all__ = ["coherence_sections", "committee_sections", "panel_sections", "write_choices_report"]

PANEL = "pindown/coherence-panel/1"
_INDICES = (
    ("ccei", "CCEI (Afriat)"),
    ("varian", "Varian’s index"),
    ("houtman_maks", "Houtman–Maks: share kept"),
    ("money_pump_index", "money pump index"),
    ("minimum_cost_index", "minimum cost index"),
    ("swaps", "swaps"),
)
_NODES = {"budgets": "budgets", "policy": "states"}
_PANEL_LIMITS = (
    "Subjects whose choices would have passed whatever they were (vacuous) count as coherent: the share alone says "
    "little where there are many of them.",
    "The shares are those of these subjects. What their choices would be elsewhere is not measured.",
)
_MOST_ROWS = 2000
_MOST_BARS = 40


def write_choices_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of a coherence, panel or committee record as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    schema = record.get("schema") if isinstance(record, Mapping) else None
    if schema == Committee.SCHEMA:
        committee = read_committee(record)
        sections, plain, title = committee_sections(record), committee, "Subagents"
    elif schema == PANEL:
        sections, plain, title = panel_sections(record), None, "Coherence of many subjects"
    else:
        sections, plain, title = coherence_sections(record), read_coherence(record).plain, "Coherence of choices"
    facts: list[tuple[str, str]] = []
    if plain is not None:
        facts = [
            ("pindown", plain.version or "version not recorded"),
            ("Seed", notation.count(plain.seed)),
            ("Time", notation.duration(plain.seconds)),
            ("Choices", f"{plain.kind}, {notation.count(plain.observations)}"),
        ]
        title = f"{title}: {plain.subject}" if plain.subject else title
    write_atomically(path, render_page(title, sections, facts=facts, subtitle=_SUBTITLES.get(str(schema), "")))


_SUBTITLES = {
    Plain.SCHEMA: "Whether one ranking explains the choices, how they lose where none does, how surprising that is.",
    PANEL: "Whose choices can be explained by one ranking, and how the others lose.",
    Committee.SCHEMA: "How many agents it takes to explain the choices, and whether several pay for themselves.",
}


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
        blocks.append(Notice("caution", "Vacuous", "Whatever had been chosen would have passed: this says nothing."))
    ring = p.pump.cycle[::-1] if p.pump is not None and p.pump.cycle else p.certificate.cycle
    if p.pump is not None:
        blocks.append(_pump_table(p))
    if p.certificate.kind in _WEIGHED:
        blocks.append(_weighed(p))
    if p.certificate.utilities is not None:
        blocks.append(_utilities(p.certificate.utilities))
    if c.graph.nodes:
        blocks.append(preference_figure(c.graph, ring if not p.coherent else (), _NODES.get(p.kind, "items")))
    if p.residuals:
        blocks.append(_residuals(p))
    checked = "The certificate was checked again in exact arithmetic."
    sections = [
        Section("The verdict", (p.verdict,), blocks, (p.certificate.statement, checked), p.notes),
    ]
    sections += _how_far(c)
    if p.drawn and not math.isnan(p.surprise.value):
        sections.append(_surprise(p))
    return sections


def _cards(p: Plain) -> Cards:
    cards = [Card("bits of surprise", p.surprise)]
    cards += [Card(words, getattr(p, name).estimate) for name, words in _INDICES[:4] if _stated(getattr(p, name))]
    return Cards([CardGroup("coherent" if p.coherent else "incoherent", f"{p.observations:,} {p.kind}", cards)])


def _stated(index: Index) -> bool:
    return index.estimate.status is not Status.UNSUPPORTED


def _pump_table(p: Plain) -> Table:
    assert p.pump is not None
    rows: list[Row] = [
        [s.start, s.end, s.loss, "strictly" if s.strict else "just as good", s.because] for s in p.pump.steps
    ]
    kind = "Forcing" if p.pump.forcing else "Not forcing: it leans on steps that are just as good"
    return Table(
        "The pump, step by step",
        [Column("from"), Column("to"), Column("pays"), Column("preferred"), Column("because")],
        rows,
        note=f"The chooser {p.pump.sentence}. {kind}.",
    )


_WEIGHED = {"utilities": ("Utilities", "outcome", "utility"), "compound": ("The weights", "choice", "weight")}


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
    ratio = (
        ""
        if math.isnan(u.ratio.value)
        else f" Money is worth up to {u.ratio.value:.4g} times as much to one as to another."
    )
    return Table(
        "A utility of the bundles", [Column("observation"), Column(names[0]), Column(names[1])],
        rows, note=f"Every bundle that cost no more is worth no more: {checked}.{ratio}",
    )  # fmt: skip


def _residuals(p: Plain) -> Table:
    rows: list[Row] = [[s, r] for s, r in sorted(p.residuals.items(), key=lambda item: -abs(item[1]))]
    return Table("Residuals of the entries", [Column("entry"), Column("claimed less backed up")], rows[:_MOST_ROWS])


def _how_far(c: Coherence) -> list[Section]:
    p = c.plain
    stated = [(words, getattr(p, name)) for name, words in _INDICES if _stated(getattr(p, name))]
    axioms = [(n.upper(), getattr(p, n)) for n in ("warp", "sarp", "garp", "harp") if getattr(p, n).stated]
    if not stated and not axioms and not p.stochastic:
        return []
    blocks: list[Block] = []
    if axioms:
        rows: list[Row] = [[n, "holds" if a.holds else "violated", a.violations] for n, a in axioms]
        blocks.append(Table("Axioms", [Column("axiom"), Column("answer"), Column("violating pairs", digits=0)], rows))
    if stated:
        rows = [
            [words, i.estimate, "proved" if i.optimal else "bound", None if i.optimal else i.other]
            for words, i in stated
        ]
        columns = [Column("index"), Column("value", estimate=True), Column("is"), Column("other bound")]
        blocks.append(Table("Indices", columns, rows))
    if p.stochastic:
        rows = [
            [
                t.name,
                None if t.log_e is None else t.log_e / math.log(10),
                t.p_value,
                "rejected" if t.rejected else "not rejected",
            ]
            for t in p.stochastic
        ]
        columns = [Column("hypothesis"), Column("log10 of the e-value"), Column("p at most"), Column("answer")]
        blocks.append(Table("Noisy choices", columns, rows))
    if c.breaks:
        blocks.append(_break_curve(c))
    return [Section("How far from coherent", (), blocks)]


def _break_curve(c: Coherence) -> Figure:
    x, y = [a for a, _ in c.breaks], [100 * b for _, b in c.breaks]
    e = c.plain.ccei.estimate
    rows: list[Row] = [[a, b] for a, b in c.breaks]
    return Figure(
        title="Where the cycles break",
        spec={
            "data": [
                {
                    **charts.line(x, y, 0, texts=[f"level {a:.4g}: {b:.3g}%" for a, b in zip(x, y, strict=True)]),
                    "line": {"color": "@s1", "width": 2, "shape": "hv"},
                }
            ],
            "layout": {
                "xaxis": charts.axis("share of each budget that counts"),
                "yaxis": charts.axis("observations in violating cycles, %", rangemode="tozero"),
                "shapes": [_upright(e.value)],
                "annotations": [_name(e.value, f"CCEI {e.value:.4g}")],
                "showlegend": False,
            },
        },
        summary=f"At the whole budgets {y[0]:.3g}% of the observations lie in violating cycles; none do below "
        f"{e.value:.4g}, the CCEI.",
        table=Table("Observations in violating cycles", [Column("level"), Column("share", percent=True)], rows),
        height=340,
    )


def _surprise(p: Plain) -> Section:
    counts: dict[float, int] = {}
    width = (max(p.drawn) - min(p.drawn)) / 40 or 1.0
    whole = all(v == round(v) for v in p.drawn) and max(p.drawn) - min(p.drawn) <= 60
    for v in p.drawn:
        key = v if whole else (math.floor(v / width) + 0.5) * width
        counts[key] = counts.get(key, 0) + 1
    x = sorted(counts)
    y = [100.0 * counts[v] / len(p.drawn) for v in x]
    observed = p.observed if p.observed is not None else math.nan
    figure = Figure(
        title="Random choosers",
        spec={
            "data": [
                {
                    "type": "bar", "x": x, "y": y, "marker": {"color": "@s1"}, "width": 1.0 if whole else width,
                    "hovertemplate": "%{x:.4g}: %{y:.3g}%<extra></extra>",
                }
            ],
            "layout": {
                "xaxis": charts.axis(p.measure),
                "yaxis": charts.axis("random choosers, %", rangemode="tozero"),
                "shapes": [_upright(observed)],
                "annotations": [_name(observed, f"observed: {notation.value_text(p.surprise)} bits")],
                "showlegend": False,
                "bargap": 0.05,
            },
        },
        summary=f"{p.measure} of {len(p.drawn):,} random choosers, from {min(p.drawn):.4g} to {max(p.drawn):.4g}; "
        f"observed {observed:.4g}, which is {notation.value_text(p.surprise)} bits of surprise.",
        table=Table(
            "Random choosers", [Column(p.measure), Column("share of random choosers", percent=True)],
            [[a, b / 100.0] for a, b in zip(x, y, strict=True)],
        ),
        height=340,
    )  # fmt: skip
    text = (
        f"Of random choosers ({p.surprise.reference}) a share of 2 to the power of minus "
        f"{notation.with_error(p.surprise)} is at least as coherent."
    )
    if not p.surprise.status.ok:
        text = f"{text} {p.surprise.status.message}"
    limits = ["The bars are a thousand random choosers; the share comes from the method named, which reaches further."]
    return Section("How surprising", (text,), [figure], (f"Found by {p.method}.",), limits)


def _upright(x: float) -> dict[str, Any]:
    line = {"color": "@s2", "width": 2}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _name(x: float, text: str) -> dict[str, Any]:
    """The name of an upright line, to the right of its upper end."""
    place = {"x": x, "y": 1, "yref": "paper", "yanchor": "top", "xanchor": "left", "xshift": 4}
    return {**place, "text": charts.plain(text, 60), "showarrow": False, "font": {"color": "@ink"}}


def committee_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a report on subagents.

    Args:
        record: what ``Committee.to_dict()`` gives, schema ``pindown/committee/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    c = read_committee(record)
    blocks: list[Block] = []
    if c.members and not c.verified:
        blocks.append(Notice("bad", "Not verified", "The members do not give every choice."))
    if c.witness:
        blocks.append(Notice("caution", "No committee", f"The witness: {c.witness}."))
    if c.kind == "trades" and c.members and len(c.members[0].order) > 1:
        blocks.append(lattice_figure([m.order for m in c.members]))
    if c.members:
        rows: list[Row] = [
            [f"member {k + 1}", " > ".join(m.order[:20]), len(m.choices) or None] for k, m in enumerate(c.members)
        ]
        columns = [Column("member"), Column("from the best down"), Column("own choices", digits=0)]
        blocks.append(Table("Members", columns, rows))
    gain = c.contract_gain
    if not math.isnan(gain.value):
        card = Card(
            "gain by a contract", Estimate(gain.value, gain.stderr, gain.unit, gain.kind, gain.status, gain.reference)
        )
        blocks.append(Cards([CardGroup("Contract", "all members together, none losing", [card])]))
    return [Section("The committee", (c.verdict,), blocks, (), c.notes), _explanations(c)]


def _explanations(c: Committee) -> Section:
    ordered = sorted(c.description_bits.items(), key=lambda item: item[1])
    finite = [(n, b) for n, b in ordered if math.isfinite(b)]
    rows: list[Row] = [[name, bits] for name, bits in ordered]
    figure = Figure(
        title="Bits of each explanation",
        spec={
            "data": [
                {
                    "type": "bar", "orientation": "h", "x": [b for _, b in finite][::-1],
                    "y": [n for n, _ in finite][::-1],
                    "marker": {"color": "@s1"}, "hovertemplate": "%{y}: %{x:.1f} bits<extra></extra>",
                }
            ],
            "layout": {
                "xaxis": charts.axis("bits; fewer is better"),
                "yaxis": {"showgrid": False, "ticks": ""},
                "showlegend": False,
            },
        },
        summary="; ".join(f"{name}: {bits:.1f} bits" for name, bits in ordered) + ".",
        table=Table("Bits of each explanation", [Column("explanation"), Column("bits")], rows),
        height=280,
    )  # fmt: skip
    verdict = f"The fewest bits: {c.explanation}."
    return Section(
        "What explains the choices", (verdict,), [figure], ("Each explanation pays for what it needs to know.",)
    )


def panel_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a report on many subjects.

    Args:
        record: what ``Panel.to_dict()`` gives, schema ``pindown/coherence-panel/1``.

    Raises:
        CheckpointError: where the record is damaged; the place is named.
    """
    subjects = record.get("subjects")
    if not isinstance(subjects, Sequence) or isinstance(subjects, str) or not subjects:
        raise CheckpointError("a panel record without its subjects", PANEL, "the record is damaged: run it again")
    found = [read_coherence(s) for s in subjects]
    names = [(n, w) for n, w in _INDICES if any(_stated(getattr(c.plain, n)) for c in found)]
    rows: list[Row] = [
        [c.plain.subject, "yes" if c.plain.coherent else "no", *(getattr(c.plain, n).estimate.value for n, _ in names),
         c.plain.pump.sentence if c.plain.pump else None]
        for c in found[:_MOST_ROWS]
    ]  # fmt: skip
    columns = [Column("subject"), Column("coherent"), *(Column(w) for _, w in names), Column("pump")]
    note = f"The first {_MOST_ROWS:,} of {len(found):,}." if len(found) > _MOST_ROWS else ""
    blocks: list[Block] = []
    if any(_stated(c.plain.ccei) for c in found):
        blocks.append(_spread(found))
    blocks.append(Table("Subjects", columns, rows, note=note))
    sections = [Section("The verdict", (str(record.get("verdict", "")),), blocks, limits=_PANEL_LIMITS)]
    drawn = next((s for s, c in zip(subjects, found, strict=True) if c.graph.nodes), None)
    if drawn is not None:
        worst = coherence_sections(drawn)
        sections += [
            Section(f"{s.title}: {drawn.get('subject', '')}", s.verdict, s.blocks, s.method, s.limits) for s in worst
        ]
    return sections


def _spread(found: Sequence[Coherence]) -> Figure:
    values = sorted(c.plain.ccei.estimate.value for c in found if _stated(c.plain.ccei))
    n = len(values)
    shares = [100.0 * (k + 1) / n for k in range(n)]
    rows: list[Row] = [[values[min(n - 1, int(q * n))], q] for q in (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)]
    return Figure(
        title="CCEI of the subjects",
        spec={
            "data": [
                {
                    **charts.line(
                        values,
                        shares,
                        0,
                        texts=[f"{s:.3g}% up to {v:.4g}" for v, s in zip(values, shares, strict=True)],
                    ),
                    "line": {"color": "@s1", "width": 2, "shape": "hv"},
                }
            ],
            "layout": {
                "xaxis": charts.axis("CCEI"),
                "yaxis": charts.axis("subjects up to it, %", rangemode="tozero"),
                "showlegend": False,
            },
        },
        summary=f"The median CCEI of {n:,} subject{'s' * (n != 1)} is {values[n // 2]:.4g}, "
        f"the lowest {values[0]:.4g}.",
        table=Table(
            "CCEI at some shares of the subjects", [Column("CCEI"), Column("share of subjects", percent=True)], rows
        ),
        height=340,
    )
