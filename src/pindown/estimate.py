"""Estimates and their units: a figure never travels without its error, kind, status and reference.

This is the only module in which nats become bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pindown.errors import CheckpointError, InputError

__all__ = ["Estimate", "Kind", "Status", "bits", "counted", "nats"]

Kind = Literal["exact", "estimate", "lower_bound", "upper_bound"]
KINDS: tuple[Kind, ...] = ("exact", "estimate", "lower_bound", "upper_bound")
SCHEMA = "pindown/estimate/1"
_LN2 = math.log(2.0)


def bits(nats: float) -> float:
    """Convert nats to bits: ``bits = nats / ln 2``.

    >>> bits(math.log(8.0))
    3.0
    """
    return nats / _LN2


def nats(bits: float) -> float:
    """Convert bits to nats: ``nats = bits · ln 2``.

    >>> round(nats(1.0), 6)
    0.693147
    """
    return bits * _LN2


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number of things in words.

    >>> counted(1, "budget"), counted(1200, "entry", "entries")
    ('1 budget', '1,200 entries')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


class Status(StrEnum):
    """How a measurement ended. ``.message`` tells the user what it means and what to do.

    >>> Status.BUDGET_SPENT.message.startswith("The budget")
    True
    """

    REACHED = "reached"
    WIDENED = "widened"
    BUDGET_SPENT = "budget spent"
    PLATEAU = "plateau"
    EXTINCT = "extinct"
    NON_FINITE = "non-finite"
    NOT_CONVERGED = "not converged"
    BEYOND_REACH = "beyond reach"
    UNSUPPORTED = "unsupported"
    OUT_OF_RANGE = "out of range"

    @property
    def message(self) -> str:
        """What happened and what can be done about it, in one or two sentences."""
        return _MESSAGES[self]

    @property
    def ok(self) -> bool:
        """True where the figure can be used as it stands with its interval."""
        return self in (Status.REACHED, Status.WIDENED)

    def __str__(self) -> str:
        return self.value


_MESSAGES = {
    Status.REACHED: "The tolerance was reached and the independent runs agree.",
    Status.WIDENED: (
        "The tolerance was reached, but the runs were still drifting; the interval was widened by the "
        "drift. More sweeps or more repeats narrow it."
    ),
    Status.BUDGET_SPENT: (
        "The budget of loss evaluations was spent before the tolerance was reached; the figure is what was "
        "reached until then. Raise budget= or the tolerance."
    ),
    Status.PLATEAU: (
        "The loss is flat where the search stands: no move found a lower value. Use a loss that still "
        "differs between failures (for classification the margins), or raise particles=."
    ),
    Status.EXTINCT: (
        "No particle came below the tolerance. It may lie below the lowest attainable loss: see loss_floor, "
        "and raise the tolerance or particles=."
    ),
    Status.NON_FINITE: (
        "The loss became NaN or infinite inside the search. Clip it, or use a wider floating-point format."
    ),
    Status.NOT_CONVERGED: (
        "The independent runs, or the runs from the prior and those from known solutions, disagree by more than "
        "their errors allow. Where the figure is an estimate, its error is all that they differ by, and may still be "
        "too small: raise repeats=, or sweeps and chains in settings=."
    ),
    Status.BEYOND_REACH: (
        "This loss is lower than the runs went, so only a bound is known. Measure again with a lower tolerance."
    ),
    Status.UNSUPPORTED: "This cannot be measured on this input.",
    Status.OUT_OF_RANGE: (
        "The loss does not cross the rise that was asked for within the range that was searched: the figure is a bound "
        "at the end of that range. Another epsilon= moves the crossing."
    ),
}


@dataclass(frozen=True)
class Estimate:
    """One figure with everything that it takes to read it.

    Attributes:
        value: the figure, in ``unit``. For bounds, the bound.
        stderr: its standard error in the same unit (0 for exact figures, NaN where it is unknown).
        unit: ``"bits"``, ``"nats"``, ``"dimensions"``, ``"1"`` for a pure number, …
        kind: ``"exact"``, ``"estimate"``, ``"lower_bound"`` or ``"upper_bound"``.
        status: how the measurement ended.
        reference: the measure it is relative to, such as the prior.
        dof: degrees of freedom behind ``stderr``; None for a normal interval.
        support: lowest and highest value that the quantity can have, such as (0, 1) for a share: intervals end there.
            None where it can have any.

    ``str()`` prints value ± one standard error, rounded to two digits of the error.

    Raises:
        InputError: for an unknown kind, a negative standard error, or a support that is no range.

    Example:
        >>> e = Estimate(812.31, 1.9, "bits", reference="Gaussian(1000)", dof=3)
        >>> print(e)
        812.3 ± 1.9 bits
        >>> low, high = e.interval(0.95)
        >>> round(low, 1), round(high, 1)
        (806.3, 818.4)
        >>> print(Estimate(40.0, 0.0, "bits", kind="lower_bound", status=Status.BUDGET_SPENT))
        ≥ 40 bits (budget spent)
        >>> Estimate(0.97, 0.02, "1", support=(0.0, 1.0)).interval()[1]
        1.0
    """

    value: float
    stderr: float
    unit: str
    kind: Kind = "estimate"
    status: Status = Status.REACHED
    reference: str = ""
    dof: float | None = None
    support: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"an estimate of kind {self.kind!r}", f"one of {', '.join(KINDS)}")
        if self.stderr < 0:
            raise InputError(f"a standard error of {self.stderr}", "zero or more")
        if self.support is not None and not self.support[0] < self.support[1]:
            raise InputError(f"a support of {self.support}", "a lowest and a highest value")
        object.__setattr__(self, "status", Status(self.status))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval at ``level``: ``value ± q · stderr`` with q Student's t (``dof``) or normal.

        It is cut where the quantity's support ends. A bound gives the half-line that it leaves open; an exact figure
        gives a point; an estimate whose error is unknown gives the whole line.
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"an interval level of {level}", "a number between 0 and 1, such as 0.95")
        if self.kind == "exact":
            return self.value, self.value
        if self.kind == "lower_bound":
            return self.value, math.inf
        if self.kind == "upper_bound":
            return -math.inf, self.value
        if math.isnan(self.stderr) or math.isnan(self.value):
            return -math.inf, math.inf
        from scipy.special import ndtri, stdtrit

        upper = 0.5 + level / 2.0
        q = float(ndtri(upper)) if self.dof is None else float(stdtrit(self.dof, upper))
        low, high = self.value - q * self.stderr, self.value + q * self.stderr
        if self.support is None:
            return low, high
        return max(low, self.support[0]), min(high, self.support[1])

    def __str__(self) -> str:
        unit = "" if self.unit in ("", "1") else f" {self.unit}"
        note = "" if self.status.ok else f" ({self.status})"
        if self.kind == "estimate" and math.isfinite(self.stderr) and self.stderr > 0:
            digits = max(0, 1 - math.floor(math.log10(self.stderr)))
            return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f}{unit}{note}"
        sign = {"lower_bound": "≥ ", "upper_bound": "≤ "}.get(self.kind, "")
        tail = " ± ?" if math.isnan(self.stderr) and self.kind == "estimate" else ""
        return f"{sign}{self.value:.6g}{tail}{unit}{note}"

    def _repr_html_(self) -> str:
        low, high = self.interval()
        return f"<span title='95%: {low:.6g} to {high:.6g}; {self.status.message}'>{self}</span>"

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain JSON values (non-finite numbers as strings) under a named schema."""
        support = {} if self.support is None else {"support": [_number_out(end) for end in self.support]}
        return {
            "schema": SCHEMA,
            "value": _number_out(self.value),
            "stderr": _number_out(self.stderr),
            "unit": self.unit,
            "kind": self.kind,
            "status": self.status.value,
            "reference": self.reference,
            "dof": self.dof,
            **support,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Estimate:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or lacks a field.
        """
        if record.get("schema") != SCHEMA:
            raise CheckpointError(f"an estimate record of schema {record.get('schema')!r}", SCHEMA)
        try:
            ends = record.get("support")
            return cls(
                value=float(record["value"]),
                stderr=float(record["stderr"]),
                unit=str(record["unit"]),
                kind=record["kind"],
                status=Status(record["status"]),
                reference=str(record["reference"]),
                dof=None if record["dof"] is None else float(record["dof"]),
                support=None if ends is None else (float(ends[0]), float(ends[1])),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise CheckpointError(f"an estimate record that cannot be read ({error})", SCHEMA) from error


def _number_out(x: float) -> float | str:
    return float(x) if math.isfinite(x) else str(float(x))
