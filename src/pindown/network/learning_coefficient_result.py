"""What :func:`pindown.learning_coefficient` found: an estimate that carries all that was chosen and checked."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pindown.estimate import Estimate
from pindown.network.convergence import TemperaturePoint
from pindown.network.record import read_fields, reading, to_record
from pindown.network.temperature_curve import CurveFit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LearningCoefficient", "SelfCheck"]

SCHEMA = "pindown/learning-coefficient/1"


@dataclass(frozen=True)
class SelfCheck:
    """The same settings on a linear model whose learning coefficient is known.

    Attributes:
        truth: half the number of its weights.
        estimate: what the sampler found.
        error: estimate minus truth.
        localised: what λ̂ of the localised posterior is exactly at the inverse temperature nearest to n/ln n; less than
            the truth where the localisation holds directions more than the loss does.
    """

    truth: float
    estimate: Estimate
    error: float
    localised: float | None = None

    def __str__(self) -> str:
        share = 100.0 * self.error / self.truth
        text = f"a linear model of λ = {self.truth:g} gave {self.estimate}, an error of {share:+.1f}%"
        if self.localised is None or abs(lost := 100.0 * (self.localised / self.truth - 1.0)) < 1.0:
            return text
        return f"{text}, where the localisation alone makes {lost:+.1f}%"

    def to_dict(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        error = self.error if math.isfinite(self.error) else None
        return {"truth": self.truth, "estimate": self.estimate.to_dict(), "error": error, "localised": self.localised}

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> SelfCheck:
        """Read back what :meth:`to_dict` wrote."""
        error = math.nan if r["error"] is None else float(r["error"])
        return cls(float(r["truth"]), Estimate.from_dict(r["estimate"]), error, r.get("localised"))


@dataclass(frozen=True)
class LearningCoefficient(Estimate):
    """λ of one trained network, with what was chosen and what was checked.

    Attributes:
        name: the subject's name, or the group's.
        method: the sampler.
        dim: coordinates that moved.
        terms: terms that the mean loss averages; nβ is a number of those.
        loss_at_weights: L(w*).
        localisation: γ.
        chains: chains at each inverse temperature.
        sweeps: recorded moves a chain.
        burn_in: moves of each chain that were thrown away before.
        batch_size: examples a minibatch; None where all data were used.
        path: how losses were evaluated.
        points: one for each inverse temperature, increasing.
        fit: λ and multiplicity from the curve; None where the curve was not used.
        self_check: None where it was not asked for.
        groups: the same of each group of parameters, the others held.
        choices: what was chosen, and why.
        notes: what the figure does not say.
        evaluations: losses with gradients, of one network on all data or on one minibatch.
        seconds: wall-clock time.
        seed: the seed.
    """

    name: str = ""
    method: str = ""
    dim: int = 0
    terms: int = 0
    loss_at_weights: float = math.nan
    localisation: float = math.nan
    chains: int = 0
    sweeps: int = 0
    burn_in: int = 0
    batch_size: int | None = None
    path: str = ""
    points: tuple[TemperaturePoint, ...] = ()
    fit: CurveFit | None = None
    self_check: SelfCheck | None = None
    groups: Mapping[str, LearningCoefficient] = field(default_factory=lambda: {})
    choices: Mapping[str, str] = field(default_factory=lambda: {})
    notes: tuple[str, ...] = ()
    evaluations: int = 0
    seconds: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        return super().__str__()

    @property
    def estimate(self) -> Estimate:
        """The bare figure."""
        return Estimate(self.value, self.stderr, self.unit, self.kind, self.status, self.reference, self.dof)

    def summary(self) -> str:
        """The figure, the curve, the checks and the choices as plain text."""
        lines = [f"λ of {self.name or 'the network'}: {self} ({self.dim:,} weights, {self.method})"]
        for p in self.points:
            lines.append(
                f"  nβ = {p.nbeta:<9.4g} λ = {p.estimate}; acceptance {p.acceptance:.2f}, R-hat {p.r_hat:.2f}, "
                f"effective size {p.effective_size:.0f}" + (f"; {'; '.join(p.objections)}" if p.objections else "")
            )
        if self.fit is not None:
            m = self.fit.likely_multiplicity
            lines.append(
                f"  curve: {self.fit.value:.4g} ± {self.fit.stderr:.2g}, multiplicity {m} "
                f"({100 * self.fit.multiplicity[m - 1]:.0f}%)"
            )
        if self.self_check is not None:
            lines.append(f"  self-check: {self.self_check}")
        lines += [f"  {what}: {why}" for what, why in self.choices.items()]
        for name, group in self.groups.items():
            lines.append(f"  {name}: {group} ({group.dim:,} weights)")
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values under the schema ``pindown/learning-coefficient/1``."""
        return {
            "schema": SCHEMA,
            "estimate": self.estimate.to_dict(),
            **{name: to_record(getattr(self, name)) for name in self._own()},
            "localisation": self.localisation if math.isfinite(self.localisation) else None,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> LearningCoefficient:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        with reading(record, SCHEMA, cls.__name__):
            e = Estimate.from_dict(record["estimate"])
            gamma = math.nan if record["localisation"] is None else record["localisation"]
            own = read_fields(cls, {**record, "localisation": gamma}, cls._own())
            return cls(e.value, e.stderr, e.unit, e.kind, e.status, e.reference, e.dof, **own)

    @classmethod
    def _own(cls) -> list[str]:
        return [name for name in cls.__dataclass_fields__ if name not in Estimate.__dataclass_fields__]

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each inverse temperature, of the whole network and of each group."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, one in {self.name: self, **self.groups}.items():
            for p in one.points:
                low, high = p.estimate.interval()
                rows.append(
                    {
                        "group": name,
                        "parameters": one.dim,
                        "nbeta": p.nbeta,
                        "learning_coefficient": p.estimate.value,
                        "low": low,
                        "high": high,
                        "status": p.estimate.status.value,
                        "acceptance": p.acceptance,
                        "r_hat": p.r_hat,
                        "effective_size": p.effective_size,
                    }
                )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        table = self.to_dataframe().round(3).to_html(index=False)
        return f"<p>{html.escape(str(self))}</p>{table}"
