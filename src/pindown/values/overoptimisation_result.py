"""What :func:`pindown.overoptimisation` found, as one record."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate
from pindown.values.tails import Tail

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Curve", "Fit", "OptimisedPoint", "Overoptimisation"]

SCHEMA = "pindown/overoptimisation/1"


@dataclass(frozen=True)
class OptimisedPoint:
    """One strength of optimisation: its parameter, bits, mean true value and mean proxy."""

    parameter: float
    bits: Estimate
    true: Estimate
    proxy: Estimate

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "parameter": self.parameter, "bits": self.bits.to_dict(), "true": self.true.to_dict(),
            "proxy": self.proxy.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> OptimisedPoint:
        """Read back what :meth:`to_dict` wrote."""
        parts = [Estimate.from_dict(record[k]) for k in ("bits", "true", "proxy")]
        return cls(float(record["parameter"]), *parts)


@dataclass(frozen=True)
class Curve:
    """One way of optimising at growing strength."""

    method: str
    points: tuple[OptimisedPoint, ...]

    @property
    def peak(self) -> OptimisedPoint:
        """Where the true value is highest."""
        return max(self.points, key=lambda p: p.true.value)


@dataclass(frozen=True)
class Fit:
    """A curve's fit by ``d(α − βd)`` or ``d(α − β ln d)``, d = √KL in nats (Gao, Schulman and Hilton 2023).

    Attributes:
        form: the form in words.
        alpha, beta: its coefficients.
        peak: bits at which the fitted true value is highest; infinite where it never falls.
        unexplained: share of the variance that is left.
    """

    form: str
    alpha: Estimate
    beta: Estimate
    peak: float
    unexplained: float

    def value(self, bits: float) -> float:
        """The fitted gain in true value at a number of bits.

        >>> from pindown.estimate import Estimate
        >>> one = Estimate(1.0, 0.0, "1")
        >>> round(Fit("d(α − βd)", one, one, 0.0, 0.0).value(0.25 / 0.6931471805599453), 9)
        0.25
        """
        d = math.sqrt(max(bits, 0.0) * math.log(2.0))
        if d == 0.0:
            return 0.0
        return d * (self.alpha.value - self.beta.value * (math.log(d) if "ln" in self.form else d))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        peak = self.peak if math.isfinite(self.peak) else str(self.peak)
        return {**self.__dict__, "alpha": self.alpha.to_dict(), "beta": self.beta.to_dict(), "peak": peak}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Fit:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            str(record["form"]), Estimate.from_dict(record["alpha"]), Estimate.from_dict(record["beta"]),
            float(record["peak"]), float(record["unexplained"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Overoptimisation:
    """True value against optimisation bits on a proxy.

    Attributes:
        base: mean true value of the base.
        curves: best of n, quantilisers, KL-regularised, and the hard maximum over all draws.
        tail: the tail of the proxy's error, after the regression of the proxy on the true value.
        fits: for best of n and KL-regularised the two forms; None where there are too few points.
        correlation: of proxy and true value over the base.
        draws, name, seed, seconds, version: how it was made.
    """

    base: Estimate
    curves: tuple[Curve, ...]
    tail: Tail
    fits: tuple[Fit, ...]
    correlation: float
    draws: int
    name: str
    seed: int
    seconds: float
    version: str
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        curve = self.curves[0]
        peak, last = curve.peak, curve.points[-1]
        after = curve.points[curve.points.index(peak) + 1 :]
        fallen = max(after, key=lambda p: _falls(peak, p), default=None)
        if fallen is not None and _falls(peak, fallen) > 2.0:
            first = (
                f"Over-optimised: by {curve.method} the true value peaks at {peak.bits.value:.3g} bits "
                f"({peak.true.value:.4g}) and has fallen to {fallen.true.value:.4g} at {fallen.bits.value:.3g} bits."
            )
        else:
            first = (
                f"No over-optimisation beyond chance up to {last.bits.value:.3g} bits: the true value there is "
                f"{last.true.value:.4g}, from {self.base.value:.4g} for the base."
            )
        if self.tail.heavy:
            first += (
                f" The proxy's error has a heavy tail as deep as the draws reach (local index {self.tail.index:.3g}; a "
                "power and a lognormal look alike there): optimising harder selects for the error, unless the true "
                "value has as heavy a tail."
            )
        return first

    def summary(self) -> str:
        """The verdict and the curves as plain text."""
        lines = [self.verdict, ""]
        for curve in self.curves:
            p = curve.peak
            lines.append(f"  {curve.method:<18} peak {p.true} at {p.bits}; {len(curve.points)} strengths")
        lines += [f"  {f.form:<18} α {f.alpha}, β {f.beta}" for f in self.fits]
        lines.append(f"  {'tail of the error':<18} γ {self.tail.gamma}")
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under the schema ``pindown/overoptimisation/1``."""
        return {
            "schema": SCHEMA, "verdict": self.verdict, **self.__dict__, "base": self.base.to_dict(),
            "curves": [{"method": c.method, "points": [p.to_dict() for p in c.points]} for c in self.curves],
            "tail": self.tail.to_dict(), "fits": [f.to_dict() for f in self.fits], "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Overoptimisation:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(
                f"a record of schema {schema!r}", SCHEMA, "hand over what Overoptimisation.to_dict() gave"
            )
        try:
            parts: dict[str, Any] = {name: record[name] for name in cls.__dataclass_fields__}
            parts["base"] = Estimate.from_dict(record["base"])
            parts["curves"] = tuple(
                Curve(str(c["method"]), tuple(OptimisedPoint.from_dict(p) for p in c["points"]))
                for c in record["curves"]
            )
            parts["tail"] = Tail.from_dict(record["tail"])
            parts["fits"] = tuple(Fit.from_dict(f) for f in record["fits"])
            parts["notes"] = tuple(map(str, record["notes"]))
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise CheckpointError(
                f"an over-optimisation record that cannot be read ({type(error).__name__}: {error})", SCHEMA
            ) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a point: ``method``, ``parameter``, ``bits``, ``true``, ``stderr``, ``proxy``."""
        import pandas as pd

        rows = [
            (c.method, p.parameter, p.bits.value, p.true.value, p.true.stderr, p.proxy.value)
            for c in self.curves
            for p in c.points
        ]
        return pd.DataFrame(rows, columns=["method", "parameter", "bits", "true", "stderr", "proxy"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def _falls(peak: OptimisedPoint, point: OptimisedPoint) -> float:
    """By how many standard errors the true value is below that of the peak."""
    error = math.hypot(*(p.true.stderr for p in (peak, point)))
    fall = peak.true.value - point.true.value
    return fall / error if error > 0.0 else math.copysign(math.inf, fall) if fall else 0.0
