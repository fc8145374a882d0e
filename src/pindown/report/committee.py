"""The report on subagents: the committee, what a contract would gain, and what explains the choices in fewest bits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pindown.report import charts
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.choice_records import Committee, read_committee
from pindown.report.preference_graph import lattice_figure

__all__ = ["committee_sections"]

_MOST_NAMED = 20


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
        blocks.append(_members(c))
    sections = [Section("The committee", (c.verdict,), blocks, (), () if _contracted(c) else c.notes)]
    if _contracted(c):
        sections.append(_contract(c))
    return [*sections, _explanations(c)]


def _members(c: Committee) -> Table:
    divided = any(m.choices for m in c.members)
    named = divided and c.kind != "pairs"  # single comparisons have no names
    rows: list[Row] = []
    for k, m in enumerate(c.members):
        order = " > ".join(m.order[:_MOST_NAMED]) + (" > …" if len(m.order) > _MOST_NAMED else "")
        which = ", ".join(m.choices[:_MOST_NAMED]) + (", …" if len(m.choices) > _MOST_NAMED else "")
        rows.append([f"member {k + 1}", order, *([len(m.choices)] * divided), *([which] * named)])
    columns = [Column("member"), Column("from the best down")]
    columns += [Column("own choices", digits=0)] * divided + [Column("which")] * named
    return Table("Members", columns, rows)


def _contracted(c: Committee) -> bool:
    return not math.isnan(c.contract_gain.value)


def _contract(c: Committee) -> Section:
    """What the members would gain by agreeing beforehand, with the trades, or with the weights that prove 0."""
    blocks: list[Block] = [
        Cards([CardGroup("Contract", "all members together, none losing", [Card("gain", c.contract_gain)])])
    ]
    if c.contract:
        rows: list[Row] = [[a.have, a.offered, a.taken] for a in c.contract]
        columns = [Column("have"), Column("offered"), Column("share of these offers taken", percent=True)]
        blocks.append(Table("The trades of the contract", columns, rows))
        rows = [[f"member {k + 1}", gain] for k, gain in enumerate(c.gains)]
        blocks.append(Table("What each member gains", [Column("member"), Column("gain in utility")], rows))
        verdict = "Agreeing beforehand which trades to make pays, although some of them hurt one member by themselves."
    else:
        rows = [[f"member {k + 1}", weight] for k, weight in enumerate(c.weights)]
        beats = "nothing" if not c.proof else f"at most {c.proof:.2g}"
        note = f"For one agent with the weighted sum of utilities, any way of trading beats vetoing by {beats}."
        blocks.append(Table("Weights that prove it", [Column("member"), Column("weight")], rows, note=note))
        verdict = "No agreement on trades gains anything for one member without a loss to another."
    method = ("A linear programme over the share of time in which each item is held; its dual gives the weights.",)
    return Section("What a contract would gain", (verdict,), blocks, method, c.notes)


def _explanations(c: Committee) -> Section:
    ordered = sorted(c.description_bits.items(), key=lambda item: item[1])
    finite = [(n, b) for n, b in ordered if math.isfinite(b)]
    rows: list[Row] = [[name, bits, c.wording.get(name, "")] for name, bits in ordered]
    colours = ["@s1" if name == c.explanation else "@muted/0.5" for name, _ in finite]
    figure = Figure(
        title="Bits of each explanation",
        spec={
            "data": [
                {
                    "type": "bar", "orientation": "h", "x": [b for _, b in finite][::-1],
                    "y": [n for n, _ in finite][::-1],
                    "marker": {"color": colours[::-1]}, "hovertemplate": "%{y}: %{x:.1f} bits<extra></extra>",
                }
            ],
            "layout": {
                "xaxis": charts.axis("bits; fewer is better"),
                "yaxis": {"showgrid": False, "ticks": ""},
                "showlegend": False,
            },
        },
        summary="; ".join(f"{name}: {bits:.1f} bits" for name, bits in ordered) + ".",
        table=Table("Bits of each explanation", [Column("explanation"), Column("bits"), Column("what it says")], rows),
        height=280,
    )  # fmt: skip
    saved = c.description_bits.get("random", math.nan) - c.description_bits[c.explanation]
    words = c.wording.get(c.explanation, c.explanation)
    verdict = (
        f"Shortest is {words}: {saved:.1f} bits fewer than random choices."
        if saved > 0
        else "No explanation is shorter than random choices: none of them pays for itself."
    )
    return Section(
        "What explains the choices", (verdict,), [figure], ("Each explanation pays for what it needs to know.",)
    )
