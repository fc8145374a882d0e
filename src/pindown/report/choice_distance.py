"""How far choices are from coherent, and how surprising that is, as sections of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pindown.estimate import Status
from pindown.report import charts, notation
from pindown.report.blocks import Block, Column, Figure, Row, Section, Table
from pindown.report.choice_records import Coherence, Index, Plain

__all__ = ["INDICES", "how_far", "how_surprising", "stated"]

INDICES = (
    ("ccei", "CCEI (Afriat)"),
    ("varian", "Varian’s index"),
    ("houtman_maks", "Houtman–Maks: share kept"),
    ("money_pump_index", "money pump index"),
    ("minimum_cost_index", "minimum cost index"),
    ("swaps", "swaps"),
)
"""The indices, as fields of a record and in words."""

_TITLE = "How surprising"
_LABEL_ROOM = {"t": 34}
_FEW_BITS = 10.0
_MOST_TICKS = 12


def stated(index: Index) -> bool:
    """Whether an index has a meaning for these choices."""
    return index.estimate.status is not Status.UNSUPPORTED


def how_far(c: Coherence) -> list[Section]:
    """The axioms, the indices, the tests of noisy choices, and the level at which cycles break; nothing where none is
    stated.
    """
    p = c.plain
    indices = [(words, getattr(p, name)) for name, words in INDICES if stated(getattr(p, name))]
    axioms = [(n.upper(), getattr(p, n)) for n in ("warp", "sarp", "garp", "harp") if getattr(p, n).stated]
    if not indices and not axioms and not p.stochastic:
        return []
    blocks: list[Block] = []
    if axioms:
        rows: list[Row] = [
            [n, "holds" if a.holds else "violated", a.violations if a.holds or a.violations else None]
            for n, a in axioms
        ]
        blocks.append(Table("Axioms", [Column("axiom"), Column("answer"), Column("violating pairs", digits=0)], rows))
    if indices:
        rows = [
            [words, i.estimate, "proved" if i.optimal else "bound", None if i.optimal else i.other]
            for words, i in indices
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
                "annotations": [_name(e.value, f"CCEI {e.value:.4g}", x)],
                "showlegend": False,
                "margin": _LABEL_ROOM,
            },
        },
        summary=f"At the whole budgets {y[0]:.3g}% of the observations lie in violating cycles; none do below "
        f"{e.value:.4g}, the CCEI.",
        table=Table("Observations in violating cycles", [Column("level"), Column("share", percent=True)], rows),
        height=340,
    )


def how_surprising(p: Plain) -> Section:
    """The bits, and random choosers with the one observed among them; or why there are no bits."""
    if math.isnan(p.surprise.value):
        return Section(_TITLE, (f"Not measured: {p.method}.",))
    return _drawn(p) if p.drawn else Section(_TITLE, _said(p), (), (f"Found by {p.method}.",))


def _drawn(p: Plain) -> Section:
    counts: dict[float, int] = {}
    width = (max(p.drawn) - min(p.drawn)) / 40 or 1.0
    whole = all(v == round(v) for v in p.drawn) and max(p.drawn) - min(p.drawn) <= 60
    for v in p.drawn:
        key = v if whole else (math.floor(v / width) + 0.5) * width
        counts[key] = counts.get(key, 0) + 1
    x = sorted(counts)
    y = [100.0 * counts[v] / len(p.drawn) for v in x]
    observed = p.observed if p.observed is not None else math.nan
    ticks = {"dtick": 1} if whole and max([*x, observed]) - min([*x, observed]) <= _MOST_TICKS else {}
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
                "xaxis": charts.axis(p.measure, **ticks),
                "yaxis": charts.axis("random choosers, %", rangemode="tozero"),
                "shapes": [_upright(observed)],
                "annotations": [_name(observed, f"observed: {notation.value_text(p.surprise)} bits", x)],
                "showlegend": False,
                "margin": _LABEL_ROOM,
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
    limits = ["The bars are a thousand random choosers; the share comes from the method named, which reaches further."]
    return Section(_TITLE, _said(p), [figure], (f"Found by {p.method}.",), limits)


def _said(p: Plain) -> tuple[str, ...]:
    bits = p.surprise.value
    share = f"{100.0 * 2.0**-bits:.3g}%" if bits < _FEW_BITS else f"One in 2 to the power of {bits:.3g}"
    text = (
        f"{share} of random choosers ({p.surprise.reference}) are at least as coherent as this one: "
        f"{notation.with_error(p.surprise)}."
    )
    return (text,) if p.surprise.status.ok else (text, p.surprise.status.message)


def _upright(x: float) -> dict[str, Any]:
    line = {"color": "@s2", "width": 2}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _name(x: float, text: str, among: Sequence[float]) -> dict[str, Any]:
    """The name of an upright line, above its upper end, on the side where there is room."""
    right = x > (min(among) + max(among)) / 2.0
    place = {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "right" if right else "left"}
    return {**place, "text": charts.plain(text, 60), "showarrow": False, "font": {"color": "@ink"}}
