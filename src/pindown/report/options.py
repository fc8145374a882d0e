"""The sections of POWER and of empowerment: how much each state of an environment leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Section, Table
from pindown.report.plane_map import row_label
from pindown.report.reader import Reader, read_as
from pindown.report.resource_records import Convergence, Empowerment, Power, check_states

__all__ = ["empowerment_sections", "layer_sections", "power_sections", "state_sections"]

_SHOWN = 25


def power_sections(record: Mapping[str, Any]) -> list[Section]:
    """The section on POWER.

    Args:
        record: what ``Power.to_dict()`` gives, schema ``pindown/power/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    p = read_as(Power, Reader(record, "record"))
    check_states("record", p.states, p.power, p.reachable, p.final)
    order = _order(p.power)
    rows: list[Row] = [[p.states[i], p.power[i], p.reachable[i], p.final[i]] for i in order]
    columns = [Column("state"), Column("POWER", estimate=True), Column("states within reach", digits=0),
               Column("final classes within reach", digits=0)]  # fmt: skip
    table = Table("POWER of every state", columns, rows)
    best = order[0]
    verdict = f"{p.states[best]} has the most POWER, {charts.figure_text(p.power[best])}."
    method = (
        f"POWER is the optimal value on average over {notation.count(p.objectives)} reward functions from the prior "
        f"{p.family}, per step and without the state’s own reward, discount {p.discount:g} (Turner et al. 2021, "
        "Optimal policies tend to seek power).",
    )
    limits = ("It is a fact about the environment and the prior over rewards, not a forecast about agents.",)
    figure = _bars("POWER", "reward a step", p.states, p.power, order, table)
    return [Section("POWER", (verdict,), [figure, table], method, limits)]


def empowerment_sections(record: Mapping[str, Any]) -> list[Section]:
    """The section on empowerment.

    Args:
        record: what ``Empowerment.to_dict()`` gives, schema ``pindown/empowerment/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    m = read_as(Empowerment, Reader(record, "record"))
    check_states("record", m.states, m.bits)
    order = _order(m.bits)
    rows: list[Row] = [[m.states[i], m.bits[i]] for i in order]
    table = Table("Empowerment of every state", [Column("state"), Column("bits", estimate=True)], rows)
    best = order[0]
    verdict = f"{m.states[best]} has the most empowerment, {charts.figure_text(m.bits[best])}."
    steps = "one action" if m.steps == 1 else f"{m.steps} actions"
    method = (f"The capacity of the channel from {steps} to the state that follows (Klyubin et al. 2005).",)
    limits = ("A capacity is what actions could put into states, whatever an agent wants there.",)
    return [Section("Empowerment", (verdict,), [_bars("Empowerment", "bits", m.states, m.bits, order, table), table],
                    method, limits)]  # fmt: skip


def state_sections(c: Convergence) -> list[Section]:
    """What each state of an MDP leaves open: POWER under every prior, options and empowerment in one table."""
    if not c.power:
        return []
    first = c.power[0]
    order, bits = _order(first.power), c.empowerment
    able = dict(zip(bits.states, bits.bits, strict=True)) if bits is not None else {}
    columns = [Column("state"), Column("states within reach", digits=0), Column("final classes within reach", digits=0)]
    rows: list[Row] = []
    for i in order:
        state = first.states[i]
        own: list[Any] = [p.power[i] for p in c.power] + ([able.get(state)] if bits is not None else [])
        rows.append([state, first.reachable[i], first.final[i], *own])
    columns += [Column(f"POWER, {p.family}", estimate=True) for p in c.power]
    columns += [Column("empowerment, bits", estimate=True)] if bits is not None else []
    table = Table("POWER, options and empowerment", columns, rows)
    chart = Table(
        "POWER", [Column("state"), Column("POWER", estimate=True)], [[first.states[i], first.power[i]] for i in order]
    )
    figure = _bars(f"POWER, {first.family} rewards,", "reward a step", first.states, first.power, order, chart)
    verdict = f"{first.states[order[0]]} has the most POWER under {first.family} rewards, "
    method = [
        "POWER is the optimal value on average over a prior’s reward functions, per step and without the state’s own "
        "reward (Turner et al. 2021, Optimal policies tend to seek power). Final classes are sets of states that no "
        "action leads out of."
    ]
    if bits is not None:
        steps = "one action" if bits.steps == 1 else f"{bits.steps} actions"
        method.append(f"Empowerment: the capacity from {steps} to the state that they lead to (Klyubin et al. 2005).")
    limits = ("These are facts about the environment and a prior over rewards, not forecasts about agents.",)
    sentence = f"{verdict}{charts.figure_text(first.power[order[0]])}."
    return [Section("What each state leaves open", (sentence,), [figure, table], method, limits)]


def layer_sections(c: Convergence) -> list[Section]:
    """What of the start of a chain is left in each layer, and what objectives on the last can see of each."""
    if not c.layers:
        return []
    at = [x.layer for x in c.layers]
    rows: list[Row] = [[x.layer, x.states, x.information, x.visible, x.alike] for x in c.layers]
    columns = [Column("layer", digits=0), Column("states", digits=0)]
    columns += [Column(f"{name}, bits", estimate=True) for name in ("left of the start", "seen from the last")]
    table = Table("What is left and what is seen", [*columns, Column("states that look like another", digits=0)], rows)
    lines = (
        ("left of the start", [x.information for x in c.layers]),
        ("seen from the last", [x.visible for x in c.layers]),
    )
    data: list[charts.Trace] = []
    for k, (name, found) in enumerate(lines):
        texts = [f"layer {n}, {name}: {charts.figure_text(e)}" for n, e in zip(at, found, strict=True)]
        data += [charts.legend_entry(k, name), charts.line(at, [e.value for e in found], k, texts=texts)]
    first, last = c.layers[0], c.layers[-1]
    sentence = (
        f"Of {charts.figure_text(first.information)} of the start {charts.figure_text(last.information)} are left in "
        f"the last layer; no objective there can depend on more than {charts.figure_text(first.visible)} of the first."
    )
    figure = Figure(
        title="Bits from layer to layer",
        spec={"data": data, "layout": {"xaxis": charts.axis("layer", tickvals=at),
                                       "yaxis": charts.axis("bits", rangemode="tozero")}},
        summary=sentence, table=table,
        caption="What is left of the start can only fall. What the last layer can see of a layer can only rise.",
        height=320,
    )  # fmt: skip
    method = [
        "Left of the start: the mutual information between the start and a layer, which is the relative entropy that "
        "survives on average over starts; by the data processing inequality it never rises. Seen from the last: the "
        "capacity of the channel from a layer to the last one."
    ]
    return [Section("What far objectives can see", (sentence,), [figure, table], method)]


def _order(values: Sequence[Estimate]) -> list[int]:
    """From the largest down; what has no value last."""
    return sorted(range(len(values)), key=lambda i: -values[i].value if math.isfinite(values[i].value) else math.inf)


def _bars(
    title: str, unit: str, states: Sequence[str], values: Sequence[Estimate], order: Sequence[int], table: Table
) -> Figure:
    shown = order[:_SHOWN]
    found = [values[i] for i in shown]
    left = f" The {_SHOWN} highest of {len(states):,}." if len(states) > _SHOWN else ""
    return Figure(
        title=f"{title} of the states",
        spec={
            "data": charts.estimates(
                list(range(len(shown))), found, 0, title, sideways=True,
                texts=[f"{states[i]}: {charts.figure_text(values[i])}" for i in shown],
                stem=0.05 * charts.span([e.value for e in found]),
            ),
            "layout": {
                "showlegend": False,
                "xaxis": charts.axis(unit),
                "yaxis": {
                    "tickvals": list(range(len(shown))), "ticktext": [row_label(states[i], 26) for i in shown],
                    "autorange": "reversed", "ticks": "",
                },
            },
        },
        summary="; ".join(f"{states[i]}: {charts.figure_text(values[i])}" for i in shown[:12]) + ".",
        table=table,
        caption=f"Bars: 95% intervals.{left}",
        height=130 + 28 * len(shown),
    )  # fmt: skip
