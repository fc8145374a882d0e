"""Records of what many objectives want, as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pindown.errors import CheckpointError
from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as

__all__ = [
    "Agreement",
    "Convergence",
    "Empowerment",
    "Family",
    "Item",
    "Layer",
    "Power",
    "Share",
    "check_states",
    "read_convergence",
]


@dataclass(frozen=True)
class Share:
    """How many of so many objectives, with Wilson's interval."""

    count: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share; None where there were no trials."""
        return self.count / self.trials if self.trials else None


@dataclass(frozen=True)
class Family:
    """A prior over objectives."""

    name: str
    description: str
    objectives: int
    unbounded: Share
    infeasible: Share


@dataclass(frozen=True)
class Item:
    """One constraint or state."""

    name: str
    wanted: Mapping[str, Share]
    value: Mapping[str, Estimate]
    price: Estimate
    volume: Estimate
    robustness: Estimate
    verdict: str


@dataclass(frozen=True)
class Agreement:
    """The rank correlation between two families."""

    first: str
    second: str
    correlation: float | None


@dataclass(frozen=True)
class Power:
    """POWER and option counts of the states of an MDP under one prior."""

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
class Empowerment:
    """Empowerment of the states of an MDP."""

    SCHEMA: ClassVar[str] = "pindown/empowerment/1"
    states: tuple[str, ...]
    bits: tuple[Estimate, ...]
    steps: int


@dataclass(frozen=True)
class Layer:
    """What of the start of a chain is left in one layer, and what the last one can see of it."""

    layer: int
    states: int
    information: Estimate
    visible: Estimate
    alike: int


@dataclass(frozen=True)
class Convergence:
    """A convergence record."""

    SCHEMA: ClassVar[str] = "pindown/convergence/1"
    MADE_BY: ClassVar[str] = "pindown resources"
    verdict: str
    kind: str
    problem: str
    families: tuple[Family, ...]
    items: tuple[Item, ...]
    agreement: tuple[Agreement, ...]
    nearly_all: float
    value_is: str
    method: str
    discount: float | None
    objectives: int
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...]
    power: tuple[Power, ...]
    empowerment: Empowerment | None
    layers: tuple[Layer, ...]


def read_convergence(record: Mapping[str, Any]) -> Convergence:
    """Read a convergence record.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    out = read_as(Convergence, Reader(record, "record"))
    names = {f.name for f in out.families}
    for i, item in enumerate(out.items):
        if set(item.wanted) != names or set(item.value) != names:
            raise CheckpointError(f"record.items[{i}] has other families than the record", ", ".join(sorted(names)))
    if not out.families or not out.items:
        raise CheckpointError("a record without families or items", "at least one of each")
    for i, p in enumerate(out.power):
        check_states(f"record.power[{i}]", p.states, p.power, p.reachable, p.final)
        if p.states != out.power[0].states:
            raise CheckpointError(f"record.power[{i}] has other states than the first", "the same states")
    if out.empowerment is not None:
        check_states("record.empowerment", out.empowerment.states, out.empowerment.bits)
    return out


def check_states(where: str, states: Sequence[str], *columns: Sequence[object]) -> None:
    """Refuse columns that have not one value a state.

    Raises:
        CheckpointError: naming the place.
    """
    if not states or any(len(c) != len(states) for c in columns):
        raise CheckpointError(
            f"{where} has {len(states)} states and columns of {[len(c) for c in columns]} values",
            "one value a state, and at least one state", "the record is damaged: run it again",
        )  # fmt: skip
