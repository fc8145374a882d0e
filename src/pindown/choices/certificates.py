"""Certificates that a person can check: ranks, cycles, Dutch books, prices. Each is re-checked in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pindown.errors import CheckpointError
from pindown.estimate import Estimate

__all__ = ["Certificate", "Pump", "Step", "Utilities"]

CertificateKind = Literal["ranks", "cycle", "probabilities", "book", "utilities", "compound", "entries", "consistent"]
_KINDS = get_args(CertificateKind)
_MOST_TOLD = 12


@dataclass(frozen=True)
class Step:
    """One step of a pump.

    Attributes:
        start, end: what is held before and after.
        loss: what the step costs; None where no money is observed.
        strict: whether the step was strictly preferred.
        because: the observation that shows it.
    """

    start: str
    end: str
    loss: float | None
    strict: bool
    because: str


@dataclass(frozen=True)
class Pump:
    """A way round on which the chooser ends where it began, and has paid.

    Attributes:
        cycle: what is held in turn; after the last comes the first again. Empty for a Dutch book and for lotteries.
        steps: one a trade.
        loss: what one way round costs; None where no money is observed.
        share: that as a share of what is spent on the way; None where no money is observed. For lotteries the chance
            with which a branch comes up that is strictly preferred.
        forcing: True where every step is strictly preferred. A pump that is not leans on steps between things that the
            chooser holds to be equally good.
        verified: whether every step was re-checked in fractions.
    """

    cycle: tuple[str, ...]
    steps: tuple[Step, ...]
    loss: float | None
    share: float | None
    forcing: bool
    verified: bool

    @property
    def sentence(self) -> str:
        """The pump in words."""
        if not self.cycle and self.loss is None:
            swaps = _listed([f"{s.start} for {s.end}" for s in self.steps])
            when = "whatever comes up" if self.forcing else f"with a chance of {100 * (self.share or 0.0):.3g}%"
            return f"would pay {when} to swap a compound lottery for itself, branch by branch: {swaps}"
        share = "" if self.share is None else f", {100 * self.share:.3g}% of what it spends on the way"
        lost = "" if self.loss is None else f"{self.loss:.2f}" if self.loss >= 0.995 else f"{self.loss:.3g}"
        if not self.cycle:
            return f"loses at least {lost} in every outcome on {_listed([s.end for s in self.steps])}"
        way = " to ".join([*self.cycle, self.cycle[0]])
        if len(self.cycle) > _MOST_TOLD:
            more = len(self.cycle) - _MOST_TOLD
            way = f"{' to '.join(self.cycle[:_MOST_TOLD])}, by {more:,} more, to {self.cycle[0]}"
        how = "" if self.forcing else " (it need not: not every step is strictly preferred)"
        if self.loss is None:
            return f"would pay at each of {len(self.steps)} steps to go from {way}{how}"
        return f"pays {lost} to go from {way}{share}{how}"

    def to_dict(self) -> dict[str, Any]:
        """The pump as plain JSON values."""
        return {
            "cycle": list(self.cycle),
            "steps": [dict(vars(s)) for s in self.steps],
            "loss": self.loss,
            "share": self.share,
            "forcing": self.forcing,
            "verified": self.verified,
            "sentence": self.sentence,
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Pump:
        """Read back what :meth:`to_dict` wrote."""
        steps = tuple(
            Step(str(s["start"]), str(s["end"]), _maybe(s["loss"]), bool(s["strict"]), str(s["because"]))
            for s in r["steps"]
        )
        return cls(
            tuple(map(str, r["cycle"])), steps, _maybe(r["loss"]), _maybe(r["share"]), bool(r["forcing"]),
            bool(r["verified"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Utilities:
    """A utility that gives choices from budgets, at the bundles bought.

    Attributes:
        utility: of each observation's bundle.
        marginal: of money there. A bundle ``x`` is worth the least of ``utility + marginal (price · x − spent)`` over
            all observations.
        ratio: of the greatest marginal utility to the smallest; 1 for a quasilinear utility, which money is worth the
            same to everywhere. No claim that none is smaller, hence an upper bound.
        logarithmic: whether both are given by exponents of two: the utility is ``−2^utility``, the marginal utility
            ``2^marginal``.
        verified: whether every inequality was re-checked in exact arithmetic.
    """

    utility: Mapping[str, float]
    marginal: Mapping[str, float]
    ratio: Estimate
    logarithmic: bool
    verified: bool

    def to_dict(self) -> dict[str, Any]:
        """The utilities as plain JSON values."""
        return {
            "utility": dict(self.utility), "marginal": dict(self.marginal), "ratio": self.ratio.to_dict(),
            "logarithmic": self.logarithmic, "verified": self.verified,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Utilities:
        """Read back what :meth:`to_dict` wrote."""
        utility, marginal = ({str(k): float(v) for k, v in r[name].items()} for name in ("utility", "marginal"))
        return cls(utility, marginal, Estimate.from_dict(r["ratio"]), bool(r["logarithmic"]), bool(r["verified"]))


@dataclass(frozen=True)
class Certificate:
    """Why the choices are coherent, or why not.

    Attributes:
        kind: ``"ranks"`` (integers that rationalise the choices: never chosen lower over higher), ``"cycle"``,
            ``"probabilities"`` (under which no accepted bet is expected to lose), ``"book"`` (how often to make each
            accepted bet so that every outcome loses), ``"utilities"`` (of outcomes, whose expectation is greater for
            every lottery taken), ``"compound"`` (weights with which the lotteries taken and those refused mix to the
            same one), ``"entries"`` or ``"consistent"`` (for caches of values).
        statement: what it says, in words.
        numbers: the ranks, probabilities, stakes, utilities, weights or residuals, by name.
        exact: the same as fractions in text, where they are not whole.
        cycle: the items or observations of a cycle, each preferred to the next.
        verified: whether it was re-checked in exact arithmetic.
        utilities: for coherent budgets a utility beside the ranks; None for more than 3000 of them.
    """

    kind: CertificateKind
    statement: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    exact: Mapping[str, str] = field(default_factory=dict)
    cycle: tuple[str, ...] = ()
    verified: bool = False
    utilities: Utilities | None = None

    def checked(self, verified: bool) -> Certificate:
        """The same certificate with the outcome of its check."""
        return replace(self, verified=verified)

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain JSON values."""
        return {
            "kind": self.kind,
            "statement": self.statement,
            "numbers": dict(self.numbers),
            "exact": dict(self.exact),
            "cycle": list(self.cycle),
            "verified": self.verified,
            "utilities": None if self.utilities is None else self.utilities.to_dict(),
        }

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Certificate:
        """Read back what :meth:`to_dict` wrote."""
        if r["kind"] not in _KINDS:
            raise CheckpointError(f"a certificate of kind {r['kind']!r}", f"one of {', '.join(_KINDS)}")
        numbers = {str(k): float(v) for k, v in r["numbers"].items()}
        exact = {str(k): str(v) for k, v in r["exact"].items()}
        found = r.get("utilities")  # records of before there were any lack them
        return cls(
            r["kind"], str(r["statement"]), numbers, exact, tuple(map(str, r["cycle"])), bool(r["verified"]),
            None if found is None else Utilities.from_dict(found),
        )  # fmt: skip


def _listed(names: list[str]) -> str:
    """Names in a row, the first dozen of many.

    >>> _listed(["a", "b"]), _listed(list("abcdefghijklmn"))
    ('a, b', 'a, b, c, d, e, f, g, h, i, j, k, l and 2 more')
    """
    more = len(names) - _MOST_TOLD
    return ", ".join(names[:_MOST_TOLD]) + (f" and {more:,} more" if more > 0 else "")


def _maybe(x: Any) -> float | None:
    return None if x is None else float(x)
