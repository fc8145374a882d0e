"""What many objectives turned out to want, as one record."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.resources.chain import LayerRecord
from pindown.resources.empowerment import Empowerment
from pindown.resources.power import Power
from pindown.resources.shares import Share

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Convergence", "FamilyRecord", "Item", "judge"]

SCHEMA = "pindown/convergence/1"
_SHORT = {"under some priors": "some priors", "not a resource": "no"}


@dataclass(frozen=True)
class FamilyRecord:
    """One prior over objectives, and how many of them have no answer."""

    name: str
    description: str
    objectives: int
    unbounded: Share
    infeasible: Share


@dataclass(frozen=True)
class Item:
    """One constraint or state.

    Attributes:
        name: of it.
        wanted: by which share of each family's objectives.
        value: its part of the value, or of the time, on average over each family's objectives.
        price: shadow price under the problem's own objective.
        volume: bits of reachable volume per unit relaxed; *unsupported* where it was not measured.
        verdict: ``"resource"``, ``"under some priors"``, ``"not a resource"`` or ``"undecided"``.
    """

    name: str
    wanted: Mapping[str, Share]
    value: Mapping[str, Estimate]
    price: Estimate
    volume: Estimate
    verdict: str

    @property
    def robustness(self) -> Estimate:
        """The least share over all declared priors; *unsupported* where one of them has no answer."""
        shares = list(self.wanted.values())
        empty = next((s for s in shares if not s.trials), None)
        return (empty or min(shares, key=lambda s: s.count / s.trials)).estimate


def judge(wanted: Mapping[str, Share], nearly_all: float) -> str:
    """The verdict: a resource only where each family's interval lies above ``nearly_all``.

    >>> judge({"a": Share(99, 100), "b": Share(100, 100)}, 0.8), judge({"a": Share(99, 100), "b": Share(1, 100)}, 0.8)
    ('resource', 'under some priors')
    """
    shares = list(wanted.values())
    above, below = [s.low >= nearly_all for s in shares], [s.high < nearly_all for s in shares]
    if all(above):
        return "resource"
    if not any(below):
        return "undecided"
    return "under some priors" if any(above) else "not a resource"


@dataclass(frozen=True)
class Convergence:
    """What many objectives want of one environment.

    Attributes:
        kind: ``"linear programme"``, ``"economy"``, ``"MDP"`` or ``"chain"``.
        problem: its name.
        families: the priors.
        items: constraints or states.
        agreement: Spearman's rank correlation of the wanted-by shares for each two families; None where one of them is
            the same for every item.
        nearly_all: the share that a resource has to reach under every prior.
        value_is: what the values are.
        method: how it was solved.
        notes: what to know.
        power: of an MDP, POWER and option counts of its states, for each family.
        empowerment: of an MDP, that of its states.
        layers: of a chain, what of the start is left in each and what objectives on the last can see of it.
    """

    kind: str
    problem: str
    families: tuple[FamilyRecord, ...]
    items: tuple[Item, ...]
    agreement: tuple[tuple[str, str, float | None], ...]
    nearly_all: float
    value_is: str
    method: str
    discount: float | None
    objectives: int
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = ()
    power: tuple[Power, ...] = ()
    empowerment: Empowerment | None = None
    layers: tuple[LayerRecord, ...] = ()

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the items that every declared prior wants."""
        return tuple(i.name for i in self.items if i.verdict == "resource")

    @property
    def verdict(self) -> str:
        """The answer in one or two sentences."""
        some = sum(i.verdict == "under some priors" for i in self.items)
        tail = f" Wanted under some priors only: {some}." if some else ""
        if not self.resources:
            return f"Nothing is wanted by {self.nearly_all:.0%} or more of the objectives under every prior.{tail}"
        names = ", ".join(self.resources[:8]) + (", …" if len(self.resources) > 8 else "")
        return f"Wanted by {self.nearly_all:.0%} or more of the objectives under every prior: {names}.{tail}"

    def of(self, name: str) -> Item:
        """One constraint or state by its name.

        Raises:
            InputError: for a name that is not there.
        """
        for item in self.items:
            if item.name == name:
                return item
        raise InputError(f"nothing named {name!r}", f"one of {', '.join(i.name for i in self.items[:10])}, …")

    def summary(self) -> str:
        """The verdict and the twenty items that the least convinced family wants most."""
        wide = min(32, max(14, 64 - 9 * len(self.families)))  # with five families a line has 80 characters
        lines = [self.verdict, "", f"  {'':<{wide}}" + "".join(f"{f.name[:8]:>9}" for f in self.families)]
        for item in self.ranked()[:20]:
            shares = [f"{s.count / s.trials:>9.2f}" if s.trials else f"{'–':>9}" for s in item.wanted.values()]
            lines.append(f"  {item.name[:wide]:<{wide}}{''.join(shares)}  {_SHORT.get(item.verdict, item.verdict)}")
        if self.layers:
            lines += ["", f"  {'':<10} {'left of the start':>20} {'seen from the last':>20}"]
            lines += [f"  layer {x.layer:<4} {x.information!s:>20} {x.visible!s:>20}" for x in self.layers]
        if self.power:
            lines += ["", *self.power[0].summary(most=6).splitlines()]
        if self.empowerment is not None:
            lines += ["", *self.empowerment.summary(most=6).splitlines()]
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def ranked(self) -> list[Item]:
        """Items by their least share, then by their mean share."""

        def key(item: Item) -> tuple[float, float]:
            shares = [s.count / s.trials if s.trials else 0.0 for s in item.wanted.values()]
            return -min(shares), -sum(shares)

        return sorted(self.items, key=key)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the schema ``pindown/convergence/1``."""
        out: dict[str, Any] = {"schema": SCHEMA, "verdict": self.verdict, **self.__dict__}
        out["families"] = [
            {**f.__dict__, "unbounded": f.unbounded.to_dict(), "infeasible": f.infeasible.to_dict()}
            for f in self.families
        ]
        out["items"] = [
            {
                "name": i.name,
                "wanted": {k: s.to_dict() for k, s in i.wanted.items()},
                "value": {k: e.to_dict() for k, e in i.value.items()},
                "price": i.price.to_dict(),
                "volume": i.volume.to_dict(),
                "robustness": i.robustness.to_dict(),
                "verdict": i.verdict,
            }
            for i in self.items
        ]
        out["agreement"] = [{"first": a, "second": b, "correlation": r} for a, b, r in self.agreement]
        out["notes"] = list(self.notes)
        out["power"] = [p.to_dict() for p in self.power]
        out["empowerment"] = None if self.empowerment is None else self.empowerment.to_dict()
        out["layers"] = [x.to_dict() for x in self.layers]
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Convergence:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA)
        try:
            parts: dict[str, Any] = {name: record[name] for name in cls.__dataclass_fields__}
            parts["families"] = tuple(
                FamilyRecord(
                    str(f["name"]), str(f["description"]), int(f["objectives"]), Share.from_dict(f["unbounded"]),
                    Share.from_dict(f["infeasible"]),
                )
                for f in record["families"]
            )  # fmt: skip
            parts["items"] = tuple(
                Item(
                    str(i["name"]), {k: Share.from_dict(s) for k, s in i["wanted"].items()},
                    {k: Estimate.from_dict(e) for k, e in i["value"].items()}, Estimate.from_dict(i["price"]),
                    Estimate.from_dict(i["volume"]), str(i["verdict"]),
                )
                for i in record["items"]
            )  # fmt: skip
            parts["agreement"] = tuple((a["first"], a["second"], a["correlation"]) for a in record["agreement"])
            parts["notes"] = tuple(map(str, record["notes"]))
            parts["power"] = tuple(map(Power.from_dict, record["power"]))
            bits = record["empowerment"]
            parts["empowerment"] = None if bits is None else Empowerment.from_dict(bits)
            parts["layers"] = tuple(map(LayerRecord.from_dict, record["layers"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"a convergence record that cannot be read ({error!r})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row an item and family: ``item``, ``family``, ``wanted``, ``low``, ``high``, ``value``, ``price``,
        ``robustness``, ``verdict``.
        """
        import pandas as pd

        rows = [
            (i.name, k, s.estimate.value, s.low, s.high, i.value[k].value, i.price.value, i.robustness.value, i.verdict)
            for i in self.items
            for k, s in i.wanted.items()
        ]
        names = ["item", "family", "wanted", "low", "high", "value", "price", "robustness", "verdict"]
        return pd.DataFrame(rows, columns=names)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def unmeasured(unit: str, why: str) -> Estimate:
    """A figure that was not asked for, or that such a problem does not have."""
    nan = float("nan")
    return Estimate(nan, nan, unit, status=Status.UNSUPPORTED, reference=why)
