"""The sections of networks compared, and of an optimiser compared with random solutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.report import charts, notation
from pindown.report.blocks import Block, Column, Figure, Notice, Row, Section, Table
from pindown.report.page import render_page
from pindown.report.reader import Reader, read_as
from pindown.report.study import comparison_blocks
from pindown.report.study_records import Named, Samplers

__all__ = ["comparison_sections", "samplers_sections", "write_samplers_report"]

_SAMPLERS = "pindown/sampler-comparison/1"
_LIMITS = ("A difference that is not resolved is not shown to be none: its interval says how large it may still be.",)
_PAIRED = {"runs": "seed by seed", "examples": "on the same examples", "draws": "with the same draws"}


@dataclass(frozen=True)
class _Network:
    name: str
    architecture: str
    parameters: int
    runs: tuple[str, ...]


@dataclass(frozen=True)
class _Difference:
    network: str
    against: str
    difference: Estimate
    paired: str
    outcome: str


@dataclass(frozen=True)
class _Measure:
    name: str
    words: str
    level: str
    figures: tuple[Estimate, ...]
    differences: tuple[_Difference, ...]


@dataclass(frozen=True)
class _Compared:
    SCHEMA: ClassVar[str] = "pindown/network-comparison/1"
    networks: tuple[_Network, ...]
    measures: tuple[_Measure, ...]
    skipped: tuple[str, ...]
    epsilon: float
    level: float
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]


def comparison_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of trained networks side by side.

    Args:
        record: what ``NetworkComparison.to_dict()`` gives, schema ``pindown/network-comparison/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    c = read_as(_Compared, Reader(record, "record"))
    names = {n.name for n in c.networks}
    for i, m in enumerate(c.measures):
        if len(m.figures) != len(c.networks) or any({d.network, d.against} - names for d in m.differences):
            raise CheckpointError(
                f"record.measures[{i}] is of other networks than the record", ", ".join(sorted(names)),
                "the record is damaged: run it again",
            )  # fmt: skip
    blocks: list[Block] = [*_gaps(c)]
    if any(m.differences for m in c.measures):
        blocks.append(_standardised(c))
    blocks += [_figures(c), _differences(c), _networks(c)]
    method = (
        f"The rise of the loss that noise, pruning and bits are about is {notation.number(c.epsilon)}. Intervals "
        f"behind the outcomes are at {notation.number(100 * c.level)}%, so that all hold together at 95% (Bonferroni).",
        "Differences are taken on the same examples, draws or seeds wherever both networks have them.",
        *(f"Left out: {s}." for s in c.skipped),
    )
    return [Section("Networks side by side", _said(c), blocks, method, [*_LIMITS, *c.notes])]


def _said(c: _Compared) -> list[str]:
    out: list[str] = []
    for network in c.networks[1:]:
        own = [(m, d) for m in c.measures for d in m.differences if d.network == network.name]
        against = own[0][1].against if own else c.networks[0].name
        for outcome in ("above", "below"):
            resolved = [m.words for m, d in own if d.outcome == outcome]
            if resolved:
                out.append(f"{network.name} lies {outcome} {against} in {_listed(resolved)}.")
        open_ones = [m.words for m, d in own if d.outcome not in ("above", "below")]
        if open_ones:
            out.append(f"No difference between {network.name} and {against} is resolved in {_listed(open_ones)}.")
    return out


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _gaps(c: _Compared) -> list[Notice]:
    """What has no usable figure, once for each status."""
    found: dict[Any, list[str]] = {}
    for m in c.measures:
        for n, e in zip(c.networks, m.figures, strict=True):
            if not e.status.ok:
                found.setdefault(e.status, []).append(f"{m.words} of {n.name}")
    words = {s: notation.status_words(s) for s in found}
    return [
        Notice("caution", f"{words[s][:1].upper()}{words[s][1:]}: {_listed(where)}.", s.message)
        for s, where in found.items()
    ]


def _standardised(c: _Compared) -> Figure:
    """Every difference over its own standard error: measures of all units on one axis."""
    rows = [m.words for m in c.measures if m.differences]
    several = list(dict.fromkeys(d.network for m in c.measures for d in m.differences))
    against = next(d.against for m in c.measures for d in m.differences)
    reach = _reach(c)
    traces: list[charts.Trace] = []
    table: list[Row] = []
    for i, network in enumerate(several):
        colour, symbol, _ = charts.series(i)
        x: list[float] = []
        y: list[float] = []
        texts: list[str] = []
        offset = 0.5 / max(len(several), 2) * (i - (len(several) - 1) / 2)
        for k, m in enumerate(m for m in c.measures if m.differences):
            for d in (d for d in m.differences if d.network == network):
                z = d.difference.value / d.difference.stderr if d.difference.stderr > 0 else math.nan
                table.append([m.words, network, d.difference, z, d.outcome])
                if math.isfinite(z):
                    x.append(z)
                    y.append(k + offset)
                    texts.append(f"{m.words}, {network}: {charts.figure_text(d.difference)}, {d.outcome}")
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": x, "y": y, "name": charts.plain(network, 40),
                "marker": {"symbol": symbol, "size": 10, "color": colour},
                "text": [charts.plain(t, 200) for t in texts], "hovertemplate": "%{text}<extra></extra>",
            }
        )  # fmt: skip
    edges = [
        {"type": "line", "x0": v, "x1": v, "y0": 0, "y1": 1, "yref": "paper",
         "line": {"color": "@muted", "width": 1, "dash": dash}}
        for v, dash in ((0.0, "solid"), (-reach, "dot"), (reach, "dot"))
    ]  # fmt: skip
    title = f"Differences from {against}, in standard errors"
    return Figure(
        title=title,
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(several) > 1,
                "xaxis": charts.axis("difference / its standard error", range=_room([*_marks(traces), reach, -reach])),
                "yaxis": {
                    "tickvals": list(range(len(rows))), "ticktext": [charts.plain(r, 44) for r in rows],
                    "autorange": "reversed", "ticks": "", "ticklabelposition": "inside top", "showgrid": False,
                },
                "shapes": edges,
            },
        },
        summary=" ".join(f"{r[1]}, {r[0]}: {r[4]}." for r in table),
        table=Table(
            title,
            [Column("measure"), Column("network"), Column("difference", estimate=True), Column("in standard errors"),
             Column("outcome")],
            table,
        ),
        caption=f"Beyond the dotted lines a difference is resolved where its error is that of many examples or draws; "
        f"with few runs the line lies farther out, and the outcome in the table decides. What lies left of 0 is lower "
        f"than in {against}.",
        height=150 + 44 * len(rows),
    )  # fmt: skip


def _marks(traces: Sequence[charts.Trace]) -> list[float]:
    return [float(x) for trace in traces for x in trace["x"]]


def _room(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [low - 0.06 * (high - low), high + 0.06 * (high - low)]


def _reach(c: _Compared) -> float:
    """How many standard errors the simultaneous interval of a normal figure reaches."""
    return Estimate(0.0, 1.0, "1").interval(c.level)[1] if 0.0 < c.level < 1.0 else 1.96


def _figures(c: _Compared) -> Table:
    columns = [Column("measure"), Column("unit"), *(Column(n.name, estimate=True) for n in c.networks)]
    columns.append(Column("is a figure of"))
    level = {"function": "the function", "weights": "the weights"}
    rows: list[Row] = [
        [m.words, m.figures[0].unit if m.figures[0].unit != "1" else "", *m.figures, level.get(m.level, "not known")]
        for m in c.measures
    ]
    return Table("Every measure of every network", columns, rows)


def _differences(c: _Compared) -> Table:
    columns = [Column("measure"), Column("network"), Column("minus"), Column("difference", estimate=True),
               Column("paired"), Column("outcome")]  # fmt: skip
    rows: list[Row] = [
        [m.words, d.network, d.against, d.difference, _PAIRED.get(d.paired, "no"), d.outcome]
        for m in c.measures
        for d in m.differences
    ]
    return Table("Differences", columns, rows)


def _networks(c: _Compared) -> Table:
    columns = [
        Column("network"),
        Column("architecture"),
        Column("parameters", digits=0),
        Column("training runs", digits=0),
    ]
    rows: list[Row] = [[n.name, n.architecture, n.parameters, len(n.runs)] for n in c.networks]
    return Table("The networks", columns, rows)


def samplers_sections(record: Mapping[str, Any]) -> list[Section]:
    """The section of an optimiser's functions against those of random solutions.

    Args:
        record: what ``SamplerComparison.to_dict()`` gives, schema ``pindown/sampler-comparison/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    if record.get("schema") != _SAMPLERS:
        raise CheckpointError(f"a record of schema {record.get('schema')!r}", repr(_SAMPLERS))
    r = Reader(record, "record")
    s = read_as(Samplers, r)
    excess, inputs = r.estimate("excess"), r.number("inputs")
    said = f"On held-out draws the total variation is {_stated(s.held_out_total_variation)}."
    if excess is not None:
        said += f" Over what one sampler shows against itself it is {_stated(excess)}."
    where = "the inputs" if inputs is None else f"{notation.count(inputs)} inputs"
    method = (
        f"{notation.count(s.draws)} of {notation.count(s.attempted)} runs fitted; {notation.count(s.random_draws)} "
        f"random solutions. Functions are told apart by their labels on {where}.",
    )
    limits = ("Functions that neither sampler has shown are not compared; the unseen mass says how much that may be.",)
    compared = [Named("the optimiser", "", "all", s)]
    return [Section("Optimiser against random solutions", (said,), comparison_blocks(compared), method, limits)]


def _stated(e: Estimate) -> str:
    return charts.figure_text(e).replace("≥", "at least").replace("≤", "at most")


def write_samplers_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write one comparison of samplers as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    subtitle = "Does an optimiser find functions as often as random solutions do?"
    write_atomically(path, render_page("Two samplers", samplers_sections(record), subtitle=subtitle))
