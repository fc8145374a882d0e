"""Shares of objectives with Wilson's interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.stats import wilson_interval

__all__ = ["Share"]

_Z = 1.959963984540054  # the normal quantile of 97.5%


@dataclass(frozen=True)
class Share:
    """How many of so many objectives.

    Attributes:
        count: those that want it.
        trials: those that have an answer.

    Example:
        >>> share = Share(0, 100)
        >>> round(share.low, 3), round(share.high, 3), share.estimate.value
        (0.0, 0.037, 0.0)
    """

    count: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.trials:
            raise InputError(f"{self.count} of {self.trials}", "a count that is not above the trials")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval (Wilson 1927); from 0 to 1 where there were no trials."""
        return wilson_interval(self.count, self.trials) if self.trials else (0.0, 1.0)

    @property
    def low(self) -> float:
        """The interval's lower end."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return self.interval[1]

    @property
    def estimate(self) -> Estimate:
        """The share; its standard error is the half width of Wilson's interval over 1.96, so never 0 by luck."""
        if not self.trials:
            nan = float("nan")
            return Estimate(nan, nan, "1", status=Status.UNSUPPORTED, reference="no objective has a finite optimum")
        stderr = (self.high - self.low) / (2.0 * _Z)
        return Estimate(self.count / self.trials, stderr, "1", reference="objectives drawn", support=(0.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the interval."""
        low, high = self.interval
        return {"count": self.count, "trials": self.trials, "low": low, "high": high}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Share:
        """Read back what :meth:`to_dict` wrote."""
        return cls(int(record["count"]), int(record["trials"]))

    def __str__(self) -> str:
        if not self.trials:
            return "no answer"
        return f"{self.count / self.trials:.3g} (95%: {self.low:.3g} to {self.high:.3g})"
