"""What :func:`pindown.fermi.estimate` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.fermi.bounds import Bound
from pindown.fermi.influence import Curve, Sensitivity, Swing
from pindown.fermi.quantiles import Density

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FermiResult", "Node", "Outcome"]

SCHEMA = "pindown/fermi/1"


@dataclass(frozen=True)
class Outcome:
    """The distribution of one quantity on the axis of the answer.

    Attributes:
        name: its name; for a combination how it was combined.
        bound: what is known of it.
        percentiles: percent to figure, in the answer's unit. Of an upper bound each bounds that percentile.
        density: the histogram; None where there is one value only.
        source: where it comes from.
    """

    name: str
    bound: Bound
    percentiles: Mapping[float, Estimate]
    density: Density | None
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "bound": self.bound,
            "percentiles": [{"percent": p, "estimate": e.to_dict()} for p, e in self.percentiles.items()],
            "density": None if self.density is None else _plain(asdict(self.density)),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Outcome:
        """Read back what :meth:`to_dict` wrote."""
        d = r["density"]
        shape = None if d is None else Density(_floats(d["edges"]), _floats(d["heights"]), bool(d["log"]))
        percentiles = {_percent(p["percent"]): Estimate.from_dict(p["estimate"]) for p in r["percentiles"]}
        return cls(str(r["name"]), r["bound"], percentiles, shape, str(r["source"]))


@dataclass(frozen=True)
class Node:
    """One quantity of the estimate, in its own unit.

    Attributes:
        name: its name.
        unit: its unit.
        bound: what is known of it.
        how: its formula or distribution in words.
        source: where it comes from.
        low, middle, high: its 5%, 50% and 95% points.
    """

    name: str
    unit: str
    bound: Bound
    how: str
    source: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class FermiResult:
    """An estimate: percentiles, what decides it, and how the routes to it compare.

    Attributes:
        title: what it is about.
        answer: the quantity that was asked for.
        unit: its unit, and that of the routes and what stands beside it.
        sensitivity: Sobol' indices of each input or correlated group, largest total first.
        swings: the tornado, widest first.
        curves: the answer given one input, for those with the largest total indices.
        routes: independent ways, on the answer's axis.
        combined: the routes combined: the least upper bound, the largest lower bound, the pool of guesses.
        contradiction: how likely the combined lower bound lies above the combined upper one; None where one is missing.
        beside: further quantities on the same axis.
        nodes: every named quantity and every input.
        log: whether the sensitivity is of the logarithm, and densities are on a logarithmic axis.
        samples, runs: draws in all, and independent scramblings that they come from.
        evaluations: points at which the model was evaluated, with those of the sensitivity.
        notes, seed, seconds, version: how it was made.
    """

    title: str
    answer: Outcome
    unit: str
    sensitivity: tuple[Sensitivity, ...]
    swings: tuple[Swing, ...]
    curves: tuple[Curve, ...]
    routes: tuple[Outcome, ...]
    combined: tuple[Outcome, ...]
    contradiction: Estimate | None
    beside: tuple[Outcome, ...]
    nodes: tuple[Node, ...]
    log: bool
    samples: int
    runs: int
    evaluations: int
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """The name of the quantity that was asked for."""
        return self.answer.name

    @property
    def bound(self) -> Bound:
        """What is known of it."""
        return self.answer.bound

    @property
    def percentiles(self) -> Mapping[float, Estimate]:
        """Percent to figure. Of an upper bound each is an upper bound of the quantity's own percentile."""
        return self.answer.percentiles

    @property
    def status(self) -> Status:
        """How it ended."""
        return next(iter(self.percentiles.values())).status

    @property
    def dominant(self) -> str:
        """The input, or group of inputs, with the largest total index; empty where there is none."""
        told = [s for s in self.sensitivity if math.isfinite(s.total.value)]
        return told[0].name if told else ""

    @property
    def dominant_is_clear(self) -> bool:
        """Whether the largest total index lies above the second by more than twice their joint standard error."""
        told = [s.total for s in self.sensitivity if math.isfinite(s.total.value)]
        if len(told) < 2:
            return bool(told)
        return told[0].value - told[1].value > 2.0 * math.hypot(told[0].stderr, told[1].stderr)

    def interval(self, mass: float = 0.9) -> tuple[Estimate, Estimate]:
        """The two ends between which the quantity lies with chance ``mass``, half of the rest on either side.

        Raises:
            InputError: where only bounds on one side are known, and where those percentiles were not asked for.
        """
        if self.bound in ("upper", "lower", "neither"):
            side = {"upper": "upper bounds", "lower": "lower bounds"}.get(self.bound, "no bound that holds")
            words = {"upper": "ask for at_most(), or add", "lower": "ask for at_least(), or add"}.get(self.bound, "add")
            raise InputError(
                f"a two-sided interval of {self.name!r}, of which only {side} are known"
                if self.bound != "neither"
                else f"an interval of {self.name!r}, which mixes upper and lower bounds: {side} is left",
                "one side" if self.bound != "neither" else "parts that are guesses, or bounds on one side",
                f"{words} parts of which there is a guess",
            )
        tail = 50.0 * (1.0 - mass)
        return self._point(tail), self._point(100.0 - tail)

    def at_most(self, chance: float = 0.95) -> Estimate:
        """A value that the quantity does not exceed with at least this chance.

        Raises:
            InputError: where only lower bounds are known, and where that percentile was not asked for.
        """
        if self.bound in ("lower", "neither"):
            raise InputError(f"an upper end of {self.name!r}, of which no upper bound is known", "at_least()")
        return self._point(100.0 * chance)

    def at_least(self, chance: float = 0.95) -> Estimate:
        """A value that the quantity reaches with at least this chance.

        Raises:
            InputError: where only upper bounds are known, and where that percentile was not asked for.
        """
        if self.bound in ("upper", "neither"):
            raise InputError(f"a lower end of {self.name!r}, of which no lower bound is known", "at_most()")
        return self._point(100.0 * (1.0 - chance))

    def _point(self, percent: float) -> Estimate:
        for p, e in self.percentiles.items():
            if abs(p - percent) < 1e-9:
                return e
        known = ", ".join(f"{p:g}" for p in self.percentiles)
        raise InputError(f"the {percent:g}% point", f"one of {known}", "ask for it with percents=")

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        if not self.status.ok:
            return f"{self.name}: {_WORDS.get(self.status, self.status.message)}"
        parts = [f"{self.name}: {self._said()}."]
        if self.bound in ("upper", "lower"):
            other = "lower" if self.bound == "upper" else "upper"
            parts.append(f"No part of it gives a {other} bound, so there is no two-sided interval.")
        if len(self.sensitivity) > 1 and self.dominant:
            second = "" if self.dominant_is_clear else f", not told apart from {self.sensitivity[1].name}"
            share = 100.0 * min(max(self.sensitivity[0].total.value, 0.0), 1.0)
            of = "the variance of its logarithm" if self.log else "its variance"
            parts.append(f"What decides it most: {self.dominant} ({share:.0f}% of {of}){second}.")
        return " ".join(parts)

    def _said(self) -> str:
        points = self.percentiles
        if self.bound == "exact":
            return f"{next(iter(points.values())).value:.4g} {self._unit}".rstrip()
        if self.bound == "guess":
            inside = [points[p] for p in sorted(points)]
            low, high = inside[0], inside[-1]
            ends = f"{low.value:.3g} to {high.value:.3g} {self._unit}".rstrip()
            return f"{ends} ({min(points):g}% to {max(points):g}% points)"
        p = max(points) if self.bound == "upper" else min(points)
        chance = p if self.bound == "upper" else 100.0 - p
        side = "at most" if self.bound == "upper" else "at least"
        return f"{side} {_outward(points[p]):.3g} {self._unit}".rstrip() + f" with a chance of {chance:g}% or more"

    @property
    def _unit(self) -> str:
        return "" if self.unit == "1" else self.unit

    def summary(self) -> str:
        """The verdict and the figures as plain text."""
        lines = [self.verdict, ""]
        beside = (*self.routes, *self.combined, *self.beside, *self.sensitivity[:8])
        wide = max(26, *(len(x.name) for x in beside)) if beside else 26
        for p, e in self.percentiles.items():
            lines.append(f"  {f'{p:g}% point':<{wide}} {_shown(e)}")
        for heading, several in (("Routes", self.routes), ("Combined", self.combined), ("Beside it", self.beside)):
            if several:
                lines += ["", heading]
                lines += [f"  {o.name:<{wide}} {_range(o)}" for o in several]
        if len(self.sensitivity) > 1:
            lines += ["", "Share of the variance" + (" of the logarithm" if self.log else "") + " (total)"]
            lines += [f"  {s.name:<{wide}} {s.total}" for s in self.sensitivity[:8]]
        return "\n".join([*lines, *(["", *(f"Note: {n}" for n in self.notes)] if self.notes else [])])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/fermi/1``."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "title": self.title,
            "answer": self.answer.to_dict(),
            "unit": self.unit,
            "dominant": self.dominant,
            "dominant_is_clear": self.dominant_is_clear,
            "sensitivity": [
                {"name": s.name, "members": list(s.members), "first": s.first.to_dict(), "total": s.total.to_dict()}
                for s in self.sensitivity
            ],
            "swings": [_plain(asdict(s)) for s in self.swings],
            "curves": [_plain(asdict(c)) for c in self.curves],
            "routes": [o.to_dict() for o in self.routes],
            "combined": [o.to_dict() for o in self.combined],
            "contradiction": None if self.contradiction is None else self.contradiction.to_dict(),
            "beside": [o.to_dict() for o in self.beside],
            "nodes": [_plain(asdict(n)) for n in self.nodes],
            **{k: getattr(self, k) for k in _PLAIN},
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> FermiResult:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(
                f"a record of schema {schema!r}", SCHEMA, "hand over what FermiResult.to_dict() gave"
            )  # fmt: skip
        try:
            r = dict(record)
            sensitivity = tuple(
                Sensitivity(
                    str(s["name"]),
                    tuple(map(str, s["members"])),
                    Estimate.from_dict(s["first"]),
                    Estimate.from_dict(s["total"]),
                )
                for s in r["sensitivity"]
            )
            several = {k: tuple(Outcome.from_dict(o) for o in r[k]) for k in ("routes", "combined", "beside")}
            return cls(
                answer=Outcome.from_dict(r["answer"]),
                sensitivity=sensitivity,
                swings=tuple(_swing(s) for s in r["swings"]),
                curves=tuple(
                    Curve(str(c["name"]), str(c["unit"]), *(_floats(c[k]) for k in ("at", "low", "middle", "high")))
                    for c in r["curves"]
                ),
                contradiction=None if r["contradiction"] is None else Estimate.from_dict(r["contradiction"]),
                nodes=tuple(_node(n) for n in r["nodes"]),
                notes=tuple(map(str, r["notes"])),
                **several,
                **{k: r[k] for k in ("title", "unit", *_PLAIN)},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"an estimate record that cannot be read ({what})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a quantity: its unit, bound and points, and its formula and source."""
        import pandas as pd

        return pd.DataFrame([asdict(n) for n in self.nodes])

    def _repr_html_(self) -> str:
        table = self.to_dataframe()[["name", "unit", "bound", "low", "middle", "high"]]
        return f"<p>{html.escape(self.verdict)}</p>{table.to_html(index=False)}"


_PLAIN = ("log", "samples", "runs", "evaluations", "seed", "seconds", "version")
_WORDS = {
    Status.UNSUPPORTED: "upper and lower bounds are mixed in it, so that nothing is known of it from either side.",
    Status.NON_FINITE: "not every draw is finite. Look for a division by what can be 0, or truncate an input.",
}


def _outward(e: Estimate) -> float:
    """A bound to three digits, rounded to the side on which it stays one."""
    if e.kind not in ("upper_bound", "lower_bound") or not math.isfinite(e.value) or e.value == 0:
        return e.value
    step = 10.0 ** (math.floor(math.log10(abs(e.value))) - 2)
    ratio = e.value / step
    return step * (math.ceil(ratio - 1e-9) if e.kind == "upper_bound" else math.floor(ratio + 1e-9))


def _shown(e: Estimate) -> str:
    value = _outward(e)
    if value == e.value:
        return str(e)
    sign = "≤" if e.kind == "upper_bound" else "≥"
    return f"{sign} {value:.3g} {'' if e.unit == '1' else e.unit}".rstrip()


def _range(o: Outcome) -> str:
    points = [o.percentiles[p] for p in sorted(o.percentiles)]
    if not points[0].status.ok:
        return str(points[0].status)
    unit = "" if points[0].unit == "1" else f" {points[0].unit}"
    if points[0].value == points[-1].value:
        text = f"{points[0].value:.3g}{unit}"
    else:
        text = f"{points[0].value:.3g} to {points[-1].value:.3g}{unit}"
    return f"{text} ({o.bound}{' bound' if o.bound in ('upper', 'lower') else ''})"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers that are not finite as the words that :class:`Estimate` uses."""
    return {k: _number(v) if isinstance(v, float) else [_number(x) for x in v] if isinstance(v, tuple) else v
            for k, v in values.items()}  # fmt: skip


def _number(x: Any) -> float | str:
    return x if math.isfinite(x) else str(float(x))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _percent(p: float) -> float:
    return int(p) if float(p).is_integer() else float(p)


def _swing(s: Mapping[str, Any]) -> Swing:
    return Swing(
        str(s["name"]), str(s["unit"]), *(float(s[k]) for k in ("input_low", "input_high", "low", "high", "middle"))
    )  # fmt: skip


def _node(n: Mapping[str, Any]) -> Node:
    texts = [str(n[k]) for k in ("name", "unit", "bound", "how", "source")]
    return Node(*cast("Any", texts), *(float(n[k]) for k in ("low", "middle", "high")))
