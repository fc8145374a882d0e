"""The report of a ledger of values, of over-optimisation, or of both on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.page import render_page
from pindown.report.value_records import (
    Curve,
    Fit,
    Ledger,
    Overoptimisation,
    Question,
    read_ledger,
    read_overoptimisation,
)

__all__ = ["ledger_sections", "overoptimisation_sections", "write_values_report"]

_SUBTITLE = "How many bits about values are needed, what the sources supply, what is missing, and what to ask next."


def write_values_report(
    record: Mapping[str, Any], path: str | Path, overoptimisation: Mapping[str, Any] | None = None
) -> None:
    """Write the report of a ledger or over-optimisation record as one self-contained HTML file, whole or not at all.

    Args:
        record: what ``Ledger.to_dict()`` or ``Overoptimisation.to_dict()`` gives.
        path: of the file.
        overoptimisation: what ``Overoptimisation.to_dict()`` gives, to stand below a ledger.

    Raises:
        CheckpointError: where a record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    schema = record.get("schema") if isinstance(record, Mapping) else None
    if schema not in (Ledger.SCHEMA, Overoptimisation.SCHEMA):
        raise CheckpointError(f"a record of schema {schema!r}", f"{Ledger.SCHEMA!r} or {Overoptimisation.SCHEMA!r}")
    if schema == Ledger.SCHEMA:
        found: Ledger | Overoptimisation = read_ledger(record)
        sections, title = ledger_sections(record), "Values"
    else:
        found = read_overoptimisation(record)
        sections, title = overoptimisation_sections(record), "Over-optimisation"
    if overoptimisation is not None:
        sections += overoptimisation_sections(overoptimisation)
    facts = [
        ("pindown", found.version or "version not recorded"),
        ("Seed", notation.count(found.seed)),
        ("Time", notation.duration(found.seconds)),
    ]
    if isinstance(found, Ledger):
        facts += [("Prior and plans", found.reference), ("Answers", notation.count(found.answers))]
    else:
        facts.append(("Draws", notation.count(found.draws)))
    title = f"{title}: {found.name}" if found.name else title
    write_atomically(path, render_page(title, sections, facts=facts, subtitle=_SUBTITLE))


def ledger_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a ledger: verdict, waterfall, sources, the next question.

    Args:
        record: what ``Ledger.to_dict()`` gives, schema ``pindown/ledger/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    r = read_ledger(record)
    blocks: list[Block] = [
        Cards(
            [
                CardGroup(
                    "closed" if r.missing.value == 0.0 else "open",
                    f"success rate {r.success:g}",
                    [
                        Card("needed", r.needed),
                        Card("missing", r.missing),
                        Card(f"chance of {charts.plain(r.best_plan, 24)}", r.chance, percent=True),
                        Card("target bits", r.target),
                    ],
                )
            ]
        )
    ]
    if r.earned.earned is False:
        blocks.append(
            Notice(
                "bad", "Not earned",
                f"Held out, the answers are predicted by {r.earned.predicted.value:.3f} bits each, and the sources "
                f"claim {r.earned.claimed.value:.3f}. The posterior is too narrow: its bits are false.",
            )
        )  # fmt: skip
    elif r.earned.earned:
        blocks.append(
            Notice(
                "good", "Earned",
                f"Held out, the answers are predicted by {r.earned.predicted.value:.3f} bits each; the sources claim "
                f"{r.earned.claimed.value:.3f}.",
            )
        )  # fmt: skip
    blocks.append(_waterfall(r))
    limits = [
        "Needed and missing bits are lower bounds on information; supplied bits are information about the value. "
        "Bits supplied about what does not matter for the decision close no gap, so that needed less supplied is not "
        "what is missing.",
        *r.notes,
    ]
    method = (
        "Needed and missing: the binary relative entropy of the success rate from the largest chance of any one plan. "
        "Supplied: information of each source given those above it.",
        f"Effective sample size of the posterior: {notation.number(r.effective_size.value)} particles.",
    )
    sections = [Section("The account", (r.verdict,), blocks, method, limits)]
    if r.sources:
        sections.append(Section("The sources", (), [_sources(r)]))
    asked = [(q, by) for q, by in ((r.next_question, "the decision"), (r.next_by_total, "everything")) if q is not None]
    if asked:
        sections.append(Section("What to ask next", (_next(asked),), [_questions(asked)]))
    return sections


def _waterfall(r: Ledger) -> Figure:
    """Needed, then the usable bits of each source on top of one another with what translation loses, then missing."""
    bars: list[tuple[str, float, float, str, Estimate]] = [("needed", 0.0, _drawn(r.needed), "@s1", r.needed)]
    level = 0.0
    for s in r.sources:
        bars.append((s.name, level, _drawn(s.usable), "@s2", s.usable))
        level += _drawn(s.usable)
        if s.lost.value > 1e-9:
            bars.append((f"{s.name}: lost in translation", level, _drawn(s.lost), "@s4", s.lost))
    bars.append(("missing", 0.0, _drawn(r.missing), "@s3", r.missing))
    rows: list[Row] = [[name, e] for name, _, _, _, e in bars]
    when = "realised" if r.answers else "expected"
    spec: dict[str, Any] = {
        "data": [
            {
                "type": "bar", "orientation": "h", "y": [charts.plain(b[0], 34) for b in group],
                "base": [b[1] for b in group],
                "x": [b[2] for b in group], "marker": {"color": colour}, "showlegend": False,
                "text": [charts.plain(_bar_text(b[4])) for b in group], "textposition": "outside", "cliponaxis": False,
                "hovertext": [charts.plain(f"{b[0]}: {charts.figure_text(b[4])}", 120) for b in group],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
            for colour in ("@s1", "@s2", "@s3", "@s4")
            if (group := [b for b in bars if b[3] == colour])
        ],
        "layout": {
            "xaxis": charts.axis("bits", rangemode="tozero", range=[0, _reach(bars)]),
            "yaxis": {
                "autorange": "reversed", "showgrid": False, "ticks": "", "categoryorder": "array",
                "categoryarray": [charts.plain(b[0], 34) for b in bars],
            },
            "barmode": "overlay",
            "showlegend": False,
            "margin": {"r": 60},
        },
    }  # fmt: skip
    told = "; ".join(f"{name}: {_value(e)}" for name, _, _, _, e in bars)
    return Figure(
        title=f"Bits needed, supplied ({when}) and missing",
        spec=spec,
        summary=f"{told}.",
        table=Table("Bits needed, supplied and missing", [Column("what"), Column("bits", estimate=True)], rows),
        caption="Sources stand on one another: each adds what those above it had not told. Needed and missing are "
        "bounds of another kind, and start at 0.",
        height=140 + 44 * len(bars),
    )


def _reach(bars: Sequence[tuple[str, float, float, str, Estimate]]) -> float:
    return 1.25 * max(0.1, *(b[1] + b[2] for b in bars))


def _drawn(e: Estimate) -> float:
    return e.value if math.isfinite(e.value) else 0.0


def _value(e: Estimate) -> str:
    return notation.with_error(e) if math.isfinite(e.value) else "infinitely many bits"


def _bar_text(e: Estimate) -> str:
    """Without the unit, which the axis has: on a phone there is no room for it beside a bar."""
    return notation.value_text(e) if math.isfinite(e.value) else "infinitely many"


def _sources(r: Ledger) -> Table:
    columns = [
        Column("source"), Column("kind"), Column("noise"), Column("price"), Column("questions", digits=0),
        Column("expected", estimate=True), Column("realised", estimate=True), Column("usable", estimate=True),
        Column("answers at least", estimate=True),
    ]  # fmt: skip
    rows: list[Row] = [
        [
            s.name, s.kind, s.noise, s.price, s.asked, s.expected, None if math.isnan(s.realised.value) else s.realised,
            s.usable, s.answers_needed,
        ]
        for s in r.sources
    ]  # fmt: skip
    return Table("What each source supplies, in bits", columns, rows)


def _next(asked: Sequence[tuple[Question, str]]) -> str:
    q = asked[0][0]
    return f"Ask {q.source}: {q.text}"


def _questions(asked: Sequence[tuple[Question, str]]) -> Table:
    columns = [
        Column("best for"), Column("source"), Column("question"), Column("about the decision", estimate=True),
        Column("in all", estimate=True), Column("price"),
    ]  # fmt: skip
    rows: list[Row] = [[by, q.source, q.text, q.decision, q.total, q.price] for q, by in asked]
    return Table("Questions of most information per price", columns, rows)


def overoptimisation_sections(record: Mapping[str, Any]) -> list[Section]:
    """The section on over-optimisation: true value and proxy against optimisation bits.

    Args:
        record: what ``Overoptimisation.to_dict()`` gives, schema ``pindown/overoptimisation/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    r = read_overoptimisation(record)
    blocks: list[Block] = []
    if r.tail.heavy:
        blocks.append(
            Notice(
                "caution", "Heavy tail",
                "As deep as the draws reach, the largest errors of the proxy fall off like a power of index "
                f"{r.tail.index:.3g}: there the hardest optimisation finds the largest error, not the largest value. "
                "The index tells a tail that is this heavy from a normal one; it cannot tell a power from a lognormal "
                "error, whose index goes on growing further out. Either wins over a value of lighter tail.",
            )
        )  # fmt: skip
    blocks.append(_curves(r))
    if r.fits:
        columns = [Column("form"), Column("α", estimate=True), Column("β", estimate=True), Column("peak, bits")]
        columns.append(Column("left unexplained", percent=True))
        rows: list[Row] = [[f.form, f.alpha, f.beta, f.peak, f.unexplained] for f in r.fits]
        blocks.append(Table("Fitted forms, d = √KL in nats", columns, rows))
    limits = (
        "Draws from the base bound what can be seen: harder optimisation than the curves show was not tried.",
        "A tail that is not shown to be heavy is not thereby shown to be light: a lognormal error of scale 1/2 is "
        "found in half of all sets of 20,000 draws, and lets the error win all the same.",
        "The index is that of the depth that the draws reach: more draws give a lognormal error another one.",
        *r.notes,
    )
    return [Section("Over-optimisation", (r.verdict,), blocks, (), limits)]


def _curves(r: Overoptimisation) -> Figure:
    data: list[dict[str, Any]] = []
    rows: list[Row] = []
    for i, curve in enumerate(r.curves):
        x = [p.bits.value for p in curve.points]
        texts = [f"{curve.method}, {p.bits.value:.3g} bits: {charts.figure_text(p.true)}" for p in curve.points]
        data += charts.estimates(x, [p.true for p in curve.points], i, curve.method, texts=texts, joined=True)
        rows += [[curve.method, p.bits.value, p.true, p.proxy] for p in curve.points]
    data += _fitted(r.curves, r.fits, r.base.value)
    first, last = r.curves[0], r.curves[0].points[-1]
    return Figure(
        title="True value against optimisation on the proxy",
        spec={
            "data": data,
            "layout": {
                "xaxis": charts.axis("optimisation bits", rangemode="tozero"),
                "yaxis": charts.axis("mean true value"),
                "shapes": [
                    {
                        "type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": r.base.value, "y1": r.base.value,
                        "line": {"color": "@muted", "width": 1, "dash": "dot"},
                    }
                ],
            },
        },
        summary=f"By {first.method} the true value goes from {first.points[0].true.value:.4g} to "
        f"{last.true.value:.4g} at {last.bits.value:.3g} bits; the base has {r.base.value:.4g}.",
        table=Table(
            "True value and proxy against optimisation bits",
            [Column("method"), Column("bits"), Column("true value", estimate=True), Column("proxy", estimate=True)],
            rows,
        ),
        caption="The dotted line is the base. Thin lines are the fitted forms.",
    )  # fmt: skip


def _fitted(curves: Sequence[Curve], fits: Sequence[Fit], base: float) -> list[dict[str, Any]]:
    """Each form on the curve that it was fitted to."""
    out: list[dict[str, Any]] = []
    for fit in fits:
        method = "KL-regularised" if "ln" in fit.form else "best of n"
        i = next((k for k, c in enumerate(curves) if c.method == method), None)
        if i is None:
            continue
        top = max(p.bits.value for p in curves[i].points)
        x = [top * k / 60 for k in range(1, 61)]
        d = [math.sqrt(b * math.log(2.0)) for b in x]
        y = [base + v * (fit.alpha.value - fit.beta.value * (math.log(v) if "ln" in fit.form else v)) for v in d]
        out.append({**charts.line(x, y, i, texts=[fit.form] * len(x)), "line": {"color": f"@s{i + 1}", "width": 1}})
    return out
