"""What makes a search hard, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.landscapes.constraint_bits import ConstraintBits
from pindown.landscapes.cosine import RandomDirection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decomposition", "Landscape", "SearchMode"]

SCHEMA = "pindown/landscape/1"
_MOST_LINES = 12


@dataclass(frozen=True)
class SearchMode:
    """One way to search, from the held-out starts.

    Attributes:
        name: ``"blind"``, ``"local"``, ``"decomposed"`` or ``"gradient"``.
        predicted: base-2 logarithm of the evaluations that it should take, and ``prediction`` what that rests on.
        achieved: base-2 logarithm of its expected running time; a lower bound where no start arrived.
        solved: how many of ``starts`` arrived.
        bits_per_evaluation: bits reached over evaluations spent, on average.
        evaluations: numbers of evaluations, rising.
        bits: bits reached after so many, on average over the starts.
        why_not: where the mode cannot be used here.
    """

    name: str
    predicted: Estimate
    prediction: str
    achieved: Estimate
    solved: int
    starts: int
    bits_per_evaluation: Estimate
    evaluations: tuple[int, ...] = ()
    bits: tuple[Estimate, ...] = ()
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        out: dict[str, Any] = dict(self.__dict__)
        for name in ("predicted", "achieved", "bits_per_evaluation"):
            out[name] = out[name].to_dict()
        return out | {"evaluations": list(self.evaluations), "bits": [b.to_dict() for b in self.bits]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SearchMode:
        """Read back what :meth:`to_dict` wrote."""
        figures = {n: Estimate.from_dict(record[n]) for n in ("predicted", "achieved", "bits_per_evaluation")}
        return cls(
            name=str(record["name"]), prediction=str(record["prediction"]), solved=int(record["solved"]),
            starts=int(record["starts"]), evaluations=tuple(map(int, record["evaluations"])),
            bits=tuple(map(Estimate.from_dict, record["bits"])), why_not=str(record["why_not"]), **figures,
        )  # fmt: skip


@dataclass(frozen=True)
class Decomposition:
    """Which variables depend on each other, the blocks that this suggests, and whether they are of use.

    Attributes:
        variables: their names.
        edges: pairs of numbers of variables that depend on each other, with the strength.
        blocks: numbers of the variables of each; one block where no factorisation was found.
        exact: whether no dependence was seen across blocks.
        cut: share of the strength that lies across blocks.
        evaluations: spent on finding the dependences and choosing the blocks.
        wins, losses: held-out starts at which the search by blocks did better, and worse, than local search.
        p: of a one-sided sign test.
        control_wins, control_losses, control_p: the same against blocks of the same sizes with shuffled variables; left
            out, with ``control_p`` None, where nothing was seen to depend across blocks.
        verdict: ``"decomposable"``, ``"not decomposable"`` or ``"unsupported"``.
        why: in a sentence.
    """

    variables: tuple[str, ...]
    edges: tuple[tuple[int, int, float], ...]
    blocks: tuple[tuple[int, ...], ...]
    exact: bool
    cut: float
    evaluations: int
    wins: int
    losses: int
    p: float
    control_wins: int
    control_losses: int
    control_p: float | None
    verdict: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        edges = [{"first": a, "second": b, "strength": s} for a, b, s in self.edges]
        blocks = [{"variables": list(b)} for b in self.blocks]
        return {**self.__dict__, "variables": list(self.variables), "edges": edges, "blocks": blocks}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Decomposition:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            variables=tuple(map(str, record["variables"])),
            edges=tuple((int(e["first"]), int(e["second"]), float(e["strength"])) for e in record["edges"]),
            blocks=tuple(tuple(map(int, b["variables"])) for b in record["blocks"]),
            **{k: record[k] for k in _PLAIN},
        )


@dataclass(frozen=True)
class Landscape:
    """What makes one search hard, and what helps.

    Attributes:
        problem: its name.
        space: the prior.
        dim: coordinates.
        tolerance: the loss of the target.
        target: bits of the target.
        method: how they were found.
        engine_target: the engine's own figure where ``target`` was counted exactly; else the same.
        learning_coefficient, free_dimensions: at the target; *unsupported* on discrete spaces.
        constraints: what each adds.
        interaction: the target's bits less those of all constraints alone.
        decomposition: blocks of variables and whether they help.
        modes: of search.
        direction: how a random direction goes with the gradient.
        budget: most evaluations of one search.
        notes: what to know.
    """

    problem: str
    space: str
    dim: int
    tolerance: float
    target: Estimate
    method: str
    engine_target: Estimate
    learning_coefficient: Estimate
    free_dimensions: Estimate
    constraints: tuple[ConstraintBits, ...]
    interaction: Estimate
    decomposition: Decomposition
    modes: tuple[SearchMode, ...]
    direction: RandomDirection
    budget: int
    starts: int
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = ()

    def mode(self, name: str) -> SearchMode:
        """One way to search.

        Raises:
            InputError: for a name that is not there.
        """
        for m in self.modes:
            if m.name == name:
                return m
        raise InputError(f"no mode {name!r}", f"one of {', '.join(m.name for m in self.modes)}")

    def constraint(self, name: str) -> ConstraintBits:
        """One constraint.

        Raises:
            InputError: for a name that is not there.
        """
        for c in self.constraints:
            if c.name == name:
                return c
        raise InputError(
            f"no constraint {name!r}", f"one of {', '.join(c.name for c in self.constraints[:10]) or 'none'}"
        )

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        d = self.decomposition
        first = f"The target holds {self.target}: blind search needs about 2^{self.target.value:.4g} tries."
        if self.target.kind == "lower_bound":
            first = f"The target holds {self.target}: blind search needs more tries than 2^{self.target.value:.4g}."
        if self.target.kind == "lower_bound" and self.target.status is Status.NOT_CONVERGED:
            first = (
                f"How many bits the target holds was not found: the runs on it missed it and died out at "
                f"{self.target.value:.4g} bits, while searches arrived. That is no bound."
            )
        second = "No search was clearly quicker than that within its budget."
        usable = [m for m in self.modes if m.name != "blind" and m.solved]
        quicker = [m for m in usable if m.achieved.interval()[1] < self.target.value]
        best = min(quicker, key=lambda m: m.achieved.value, default=None)
        if best is not None:
            second = (
                f"The quickest search is {best.name}, with 2^{best.achieved.value:.2f} evaluations "
                f"({best.solved} of {best.starts} starts arrived)."
            )
        return f"{first} {second} {d.verdict.capitalize()}: {d.why}"

    def summary(self) -> str:
        """The verdict, the ways to search and the constraints that add most."""
        lines = [self.verdict, "", f"  {'search':<12}{'predicted, log2':>18}{'achieved, log2':>18}  arrived"]
        for m in self.modes:
            if m.why_not:
                lines.append(f"  {m.name:<12}{m.why_not}")
                continue
            lines.append(f"  {m.name:<12}{_short(m.predicted):>18}{_short(m.achieved):>18}  {m.solved}/{m.starts}")
        if self.constraints:
            lines += ["", f"  {'constraint':<26}{'adds':>18}{'alone':>18}"]
            most = sorted(self.constraints, key=lambda c: -c.adds.value if c.adds.value == c.adds.value else math.inf)
            lines += [f"  {c.name[:24]:<26}{_short(c.adds):>18}{_short(c.alone):>18}" for c in most[:_MOST_LINES]]
            if len(most) > _MOST_LINES:
                lines.append(f"  … and {len(most) - _MOST_LINES} more")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the schema ``pindown/landscape/1``."""
        out: dict[str, Any] = {"schema": SCHEMA, "verdict": self.verdict, **self.__dict__}
        for name in _FIGURES:
            out[name] = out[name].to_dict()
        out["constraints"] = [c.to_dict() for c in self.constraints]
        out["modes"] = [m.to_dict() for m in self.modes]
        out |= {"decomposition": self.decomposition.to_dict(), "direction": self.direction.to_dict()}
        return out | {"notes": list(self.notes)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Landscape:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA)
        try:
            parts: dict[str, Any] = {name: record[name] for name in cls.__dataclass_fields__}
            for name in _FIGURES:
                parts[name] = Estimate.from_dict(record[name])
            parts["constraints"] = tuple(map(ConstraintBits.from_dict, record["constraints"]))
            parts["modes"] = tuple(map(SearchMode.from_dict, record["modes"]))
            parts["decomposition"] = Decomposition.from_dict(record["decomposition"])
            parts["direction"] = RandomDirection.from_dict(record["direction"])
            parts["notes"] = tuple(map(str, record["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"a landscape record that cannot be read ({error!r})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a search and number of evaluations: ``mode``, ``evaluations``, ``bits``, ``stderr``."""
        import pandas as pd

        rows = [(m.name, n, b.value, b.stderr) for m in self.modes for n, b in zip(m.evaluations, m.bits, strict=True)]
        return pd.DataFrame(rows, columns=["mode", "evaluations", "bits", "stderr"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


_PLAIN = (
    "exact", "cut", "evaluations", "wins", "losses", "p", "control_wins", "control_losses", "control_p", "verdict",
    "why",
)  # fmt: skip
_FIGURES = ("target", "engine_target", "learning_coefficient", "free_dimensions", "interaction")


def _short(e: Estimate) -> str:
    if math.isnan(e.value):
        return str(e.status)
    text = str(e)
    for unit in (" log2 evaluations", " bits"):
        text = text.replace(unit, "")
    return text.partition(" (")[0]
