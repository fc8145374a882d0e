"""The sections of POWER and of empowerment: how much each state of an environment leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report import charts, notation
from pindown.report.blocks import Column, Figure, Row, Section, Table
from pindown.report.plane_map import row_label
from pindown.report.reader import Reader, read_as

__all__ = ["empowerment_sections", "power_sections"]

_SHOWN = 25


@dataclass(frozen=True)
class _Power:
    SCHEMA: ClassVar[str] = "pindown/power/1"
    states: tuple[str, ...]
    power: tuple[Estimate, ...]
    reachable: tuple[float, ...]
    final: tuple[float, ...]
    family: str
    discount: float
    objectives: int
    seed: int


@dataclass(frozen=True)
class _Empowerment:
    SCHEMA: ClassVar[str] = "pindown/empowerment/1"
    states: tuple[str, ...]
    bits: tuple[Estimate, ...]
    steps: int


def power_sections(record: Mapping[str, Any]) -> list[Section]:
    """The section on POWER.

    Args:
        record: what ``Power.to_dict()`` gives, schema ``pindown/power/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    p = read_as(_Power, Reader(record, "record"))
    _check(p.states, p.power, p.reachable, p.final)
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
    m = read_as(_Empowerment, Reader(record, "record"))
    _check(m.states, m.bits)
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


def _check(states: Sequence[str], *columns: Sequence[object]) -> None:
    if not states or any(len(c) != len(states) for c in columns):
        raise CheckpointError(
            f"record has {len(states)} states and columns of {[len(c) for c in columns]} values",
            "one value a state, and at least one state", "the record is damaged: run it again",
        )  # fmt: skip


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
