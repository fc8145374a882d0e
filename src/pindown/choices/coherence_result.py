"""What :func:`pindown.coherence` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pindown.choices.certificates import Certificate, Pump
from pindown.choices.indices import Axiom, Index
from pindown.choices.stochastic import StochasticTest
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["INDICES", "Coherence", "Graph", "counted_choices"]

SCHEMA = "pindown/coherence/1"

INDICES = {
    "ccei": "CCEI (Afriat)",
    "varian": "Varian’s index",
    "houtman_maks": "Houtman–Maks, share kept",
    "money_pump_index": "money pump index",
    "minimum_cost_index": "minimum cost index",
    "swaps": "swaps",
}
"""The indices, as fields and in words."""


@dataclass(frozen=True)
class Graph:
    """The preferences to draw: nodes with their ranks, and edges between numbers of nodes.

    Attributes:
        nodes: names.
        ranks: a rank for each node, higher above; the same within a cycle.
        edges: (preferred, other, whether strictly).
        left_out: how many nodes are not listed because there are too many to draw.
    """

    nodes: tuple[str, ...]
    ranks: tuple[int, ...]
    edges: tuple[tuple[int, int, bool], ...]
    left_out: int = 0


@dataclass(frozen=True)
class Coherence:
    """Whether choices are coherent, why, how far from it, and how surprising that is.

    Attributes:
        kind: kind of the choices.
        observations: how many there are.
        coherent: whether some ranking, utility, probabilities or values explain them all.
        certificate: what a person can check it by.
        pump: where incoherent, a way round on which the chooser loses.
        warp, sarp, garp, harp: the axioms.
        ccei, varian, houtman_maks, money_pump_index, minimum_cost_index, swaps: the indices.
        surprise: bits of being at least this coherent by chance.
        vacuous: whether any choices at all would have passed.
        measure, observed, drawn, method: what was compared with random choosers, its value, theirs, and how.
        stochastic: tests of noisy comparisons.
        residuals: for caches of values the residual of each entry.
        breaks: for budgets, the share of observations in violating cycles against the level, to draw.
        graph: the preferences, to draw.
        ranks: how many ranks there are.
        subject, seed, seconds, version: how it was made.
    """

    kind: str
    observations: int
    coherent: bool
    certificate: Certificate
    pump: Pump | None
    warp: Axiom
    sarp: Axiom
    garp: Axiom
    harp: Axiom
    ccei: Index
    varian: Index
    houtman_maks: Index
    money_pump_index: Index
    minimum_cost_index: Index
    swaps: Index
    surprise: Estimate
    vacuous: bool
    measure: str
    observed: float
    drawn: tuple[float, ...]
    method: str
    stochastic: tuple[StochasticTest, ...]
    residuals: Mapping[str, float]
    breaks: tuple[tuple[float, float], ...]
    graph: Graph
    ranks: int
    subject: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def counted(self) -> str:
        """How many choices there are, in words."""
        return counted_choices(self.observations, self.kind)

    @property
    def verdict(self) -> str:
        """The answer in one or two sentences."""
        n = self.counted
        if self.vacuous:
            return f"{n}: coherent, and would be whatever was chosen (vacuous: {self.method})."
        told = f" Surprise against {self.surprise.reference}: {self.surprise}."
        told = "" if math.isnan(self.surprise.value) else told
        if self.coherent:
            return f"{n}: coherent. {self.certificate.statement}{told}"
        way = f" The chooser {self.pump.sentence}." if self.pump is not None else f" {self.certificate.statement}"
        return f"{n}: incoherent.{way}{told}"

    def summary(self) -> str:
        """The verdict and the figures as plain text."""
        lines = [self.verdict, ""]
        axioms = {"WARP": self.warp, "SARP": self.sarp, "GARP": self.garp, "HARP": self.harp}
        lines += [f"  {name:<26} {axiom}" for name, axiom in axioms.items() if axiom.stated]
        for name, words in INDICES.items():
            index: Index = getattr(self, name)
            if index.stated:
                lines.append(f"  {words:<26} {index}")
        for test in self.stochastic:
            lines.append(f"  {test.name:<26} {test}")
        if not math.isnan(self.surprise.value):
            lines.append(f"  {'surprise':<26} {self.surprise} ({self.method})")
        elif self.method:
            lines.append(f"  {'surprise':<26} not measured: {self.method}")
        if self.residuals:
            wrong = {k: v for k, v in self.residuals.items() if v}
            of = counted(len(self.residuals), "entry", "entries")
            lines.append(f"  {'residuals':<26} {len(wrong):,} of {of} differ{'s' * (len(wrong) == 1)}")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/coherence/1``."""
        out: dict[str, Any] = {"schema": SCHEMA, "verdict": self.verdict, "counted": self.counted}
        for name, value in self.__dict__.items():
            out[name] = value.to_dict() if hasattr(value, "to_dict") else value
        out["stochastic"] = [t.to_dict() for t in self.stochastic]
        out["observed"] = None if math.isnan(self.observed) else self.observed
        out["drawn"] = list(self.drawn)
        out["residuals"] = dict(self.residuals)
        out["breaks"] = [list(b) for b in self.breaks]
        out["graph"] = {
            "nodes": list(self.graph.nodes),
            "ranks": list(self.graph.ranks),
            "edges": [list(e) for e in self.graph.edges],
            "left_out": self.graph.left_out,
        }
        out["notes"] = list(self.notes)
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Coherence:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA, "hand over what Coherence.to_dict() gave")
        try:
            r = dict(record)
            parts: dict[str, Any] = {name: r[name] for name in cls.__dataclass_fields__}
            parts["certificate"] = Certificate.from_dict(r["certificate"])
            parts["pump"] = None if r["pump"] is None else Pump.from_dict(r["pump"])
            for name in ("warp", "sarp", "garp", "harp"):
                parts[name] = Axiom.from_dict(r[name])
            for name in INDICES:
                parts[name] = Index.from_dict(r[name])
            parts["surprise"] = Estimate.from_dict(r["surprise"])
            parts["observed"] = math.nan if r["observed"] is None else float(r["observed"])
            parts["drawn"] = tuple(map(float, r["drawn"]))
            parts["stochastic"] = tuple(StochasticTest.from_dict(t) for t in r["stochastic"])
            parts["residuals"] = {str(k): float(v) for k, v in r["residuals"].items()}
            parts["breaks"] = tuple((float(a), float(b)) for a, b in r["breaks"])
            g = r["graph"]
            edges = tuple((int(a), int(b), bool(s)) for a, b, s in g["edges"])
            parts["graph"] = Graph(
                tuple(map(str, g["nodes"])), tuple(map(int, g["ranks"])), edges, int(g["left_out"])
            )  # fmt: skip
            parts["notes"] = tuple(map(str, r["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"a coherence record that cannot be read ({what})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a figure: ``figure``, ``value``, ``other`` bound, ``optimal``."""
        import pandas as pd

        axioms = {"WARP": self.warp, "SARP": self.sarp, "GARP": self.garp, "HARP": self.harp}
        rows: list[tuple[str, float, float, bool]] = [
            (name, float(axiom.holds), float(axiom.holds), True) for name, axiom in axioms.items() if axiom.stated
        ]
        for name in INDICES:
            index: Index = getattr(self, name)
            if index.stated:
                rows.append((name, index.value, index.other, index.optimal))
        if not math.isnan(self.surprise.value):
            rows.append(("surprise", self.surprise.value, self.surprise.value, self.surprise.kind == "exact"))
        return pd.DataFrame(rows, columns=["figure", "value", "other", "optimal"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def counted_choices(n: int, kind: str) -> str:
    """A number of choices of a kind, in words.

    >>> counted_choices(1, "menus"), counted_choices(14, "value cache")
    ('1 menu', '14 entries')
    """
    return counted(n, *_UNITS[kind])


_UNITS = {
    "budgets": ("budget",), "menus": ("menu",), "pairs": ("pair",), "bets": ("bet",), "trades": ("offer",),
    "policy": ("state",), "lotteries": ("choice",), "value cache": ("entry", "entries"),
}  # fmt: skip
