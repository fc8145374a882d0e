"""What :func:`pindown.subagents` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.choices.coherence_result import counted_choices
from pindown.choices.description import best_of, said_of
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Committee", "Member"]

SCHEMA = "pindown/committee/1"
_MOST_TOLD = 12


@dataclass(frozen=True)
class Member:
    """One member of a committee.

    Attributes:
        utility: for each item (or, for budgets, each observation that is the member's) a whole number, higher for
            better.
        choices: the observations that are the member's own, where choices are divided between members.
    """

    utility: Mapping[str, int]
    choices: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """The items from the best down."""
        return tuple(sorted(self.utility, key=lambda name: -self.utility[name]))


@dataclass(frozen=True)
class Committee:
    """The smallest group of agents that explains choices which one agent may not.

    Attributes:
        kind: kind of the choices.
        observations: how many there are.
        size: the number of members; 0 where no committee exists.
        optimal: whether no smaller committee exists.
        least: no committee smaller than this exists.
        members: with their utilities.
        witness: why there is no committee of the kind asked about; empty where there is one.
        description_bits: bits of each explanation of the choices, by name.
        explanation: the one of fewest bits.
        contract_gain: what the members would gain by the best contract under which none loses, in utility;
            *unsupported* where the choices are divided between members, who then have nothing to trade.
        contract: (have, offered, how often taken) of that contract.
        gains: what each member gains by that contract; empty where none was looked for.
        weights: where nothing is to be gained, weights of the members that prove it: vetoing is the best policy of one
            agent whose utility is the weighted sum.
        proof: by how much, at most, any contract could beat vetoing under those weights: 0 but for rounding. NaN where
            something is to be gained.
        verified: whether the members were checked against every choice.
        subject, seed, seconds, version: how it was made.
    """

    kind: str
    observations: int
    size: int
    optimal: bool
    least: int
    members: tuple[Member, ...]
    witness: str
    description_bits: Mapping[str, float]
    contract_gain: Estimate
    contract: tuple[tuple[str, str, float], ...]
    gains: tuple[float, ...]
    weights: tuple[float, ...]
    proof: float
    verified: bool
    subject: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        """The explanation of fewest bits."""
        return best_of(dict(self.description_bits))

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        if self.size == 0:
            first = f"No committee without memory explains these {self.kind}: {self.witness}."
        elif self.size == 1:
            first = "One agent explains every choice."
        else:
            proof = "none smaller does" if self.optimal else f"at least {self.least} are needed"
            first = f"{self.size} members explain every choice, and {proof}."
            if self.contract_gain.value > 0:
                first += f" A contract between them would gain {self.contract_gain.value:.4g} in utility over vetoing."
            elif self.proof == self.proof:
                first += " No contract between them would gain anything over vetoing."
        best = self.explanation
        saved = self.description_bits["random"] - self.description_bits[best]
        words = "one agent" if self.size == 1 and best == "one agent with errors" else said_of(best, self.kind)
        second = f"In bits, the best explanation is {words}" + (
            f", {saved:.1f} bits shorter than random choices." if best != "random" else ": no order pays for itself."
        )
        return f"{first} {second}"

    def summary(self) -> str:
        """The verdict, the members and the bits as plain text."""
        lines = [self.verdict, ""]
        for k, member in enumerate(self.members):
            order = " > ".join(member.order[:_MOST_TOLD]) + (" > …" if len(member.order) > _MOST_TOLD else "")
            own = f" ({counted(len(member.choices), 'choice')})" if member.choices else ""
            lines.append(f"  member {k + 1}{own}: {order}")
        lines.append("")
        for name, bits in sorted(self.description_bits.items(), key=lambda item: item[1]):
            lines.append(f"  {name:<24} {bits:10.1f} bits")
        if not math.isnan(self.contract_gain.value):
            lines.append(f"  {'gain by a contract':<24} {self.contract_gain.value:10.4g} in utility")
            lines += [f"    takes {_share(x)} offers of {b} for {a}" for a, b, x in self.contract[:_MOST_TOLD]]
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/committee/1``."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "counted": counted_choices(self.observations, self.kind),
            "explanation": self.explanation,
            "wording": {name: said_of(name, self.kind) for name in self.description_bits},
            **self.__dict__,
            "members": [
                {"utility": dict(m.utility), "order": list(m.order), "choices": list(m.choices)} for m in self.members
            ],
            "description_bits": dict(self.description_bits),
            "contract_gain": self.contract_gain.to_dict(),
            "contract": [{"have": a, "offered": b, "taken": x} for a, b, x in self.contract],
            "gains": list(self.gains),
            "weights": list(self.weights),
            "proof": None if math.isnan(self.proof) else self.proof,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Committee:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA, "hand over what Committee.to_dict() gave")
        try:
            r = dict(record)
            parts: dict[str, Any] = {name: r[name] for name in cls.__dataclass_fields__}
            parts["members"] = tuple(
                Member({str(k): int(v) for k, v in m["utility"].items()}, tuple(map(str, m["choices"])))
                for m in r["members"]
            )
            parts["description_bits"] = {str(k): float(v) for k, v in r["description_bits"].items()}
            parts["contract_gain"] = Estimate.from_dict(r["contract_gain"])
            parts["contract"] = tuple((str(c["have"]), str(c["offered"]), float(c["taken"])) for c in r["contract"])
            parts["gains"], parts["weights"] = (tuple(map(float, r[name])) for name in ("gains", "weights"))
            parts["proof"] = math.nan if r["proof"] is None else float(r["proof"])
            parts["notes"] = tuple(map(str, r["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"a committee record that cannot be read ({what})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each member and item: ``member``, ``item``, ``utility``."""
        import pandas as pd

        rows = [(k + 1, name, value) for k, m in enumerate(self.members) for name, value in m.utility.items()]
        return pd.DataFrame(rows, columns=["member", "item", "utility"])

    def _repr_html_(self) -> str:
        bits = "".join(f"<tr><td>{html.escape(n)}</td><td>{b:.1f}</td></tr>" for n, b in self.description_bits.items())
        head = "<tr><th>explanation</th><th>bits</th></tr>"
        return f"<p>{html.escape(self.verdict)}</p><table>{head}{bits}</table>"


def _share(x: float) -> str:
    return "all" if x > 1.0 - 1e-6 else f"{100.0 * x:.3g}% of the"
