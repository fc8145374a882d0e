"""What was found about the curvature of a loss at one point, as values, to and from plain JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Spectrum"]


@dataclass(frozen=True)
class Spectrum(Record, schema="pindown/spectrum/1"):
    r"""Eigenvalues of the Hessian, or the Gauss–Newton matrix, of the mean training loss.

    Attributes:
        subject, loss: names.
        matrix: ``"hessian"`` or ``"gauss-newton"``.
        method: ``"dense"``: all eigenvalues of the whole matrix; ``"lanczos"``: matrix-vector products only.
        parameters: D.
        loss_value: mean training loss at the point.
        gradient_norm: length of its gradient there.
        eigenvalues: the largest, decreasing. With ``"lanczos"`` the standard error is the residual, within which an
            eigenvalue is certain to lie.
        lowest: the lowest eigenvalue; with ``"lanczos"`` an upper bound on it.
        trace: sum of all.
        shift: δ below.
        shift_reason: where δ comes from, in words.
        log_determinant: :math:`\sum_i \ln(\max(h_i, 0) + \delta)`, in nats: ln det(H + δI) where nothing is negative.
        effective: :math:`\tfrac12 \sum_i \max(h_i,0)/(\max(h_i,0)+\delta)`, half the effective number of parameters
            (MacKay 1992, Bayesian interpolation, eq. 4.10): λ as the tether δ leaves it.
        laplace: λ by Laplace, half the rank; None with ``"lanczos"``, which cannot tell zero from small. A lower
            bound where there are zero directions: there λ = rank/2 + λ of what remains (the splitting lemma).
        zero_directions: eigenvalues that are zero to the precision of the format; None with ``"lanczos"``.
        negative_directions: eigenvalues below zero by more than ``precision``.
        precision: what an eigenvalue has to differ from zero by to count as not zero: what the format resolves, with
            ``"lanczos"`` what the steps resolve.
        decrement: ½ gᵀ(H₊ + δI)⁻¹g, by how much a Newton step would lower the loss.
        nodes, weights: the spectral density as points; the weights sum to one.
        probes: random vectors behind the trace; ``quadrature_probes`` behind the other sums, ``steps`` each.
        products: matrix-vector products in all.
        warnings: where Laplace's approximation, or a figure, is not what it may seem.
        seed, seconds: how it was made.
    """

    subject: str
    loss: str
    matrix: str
    method: str
    parameters: int
    loss_value: float
    gradient_norm: float
    eigenvalues: tuple[Estimate, ...]
    lowest: Estimate
    trace: Estimate
    shift: float
    shift_reason: str
    log_determinant: Estimate
    effective: Estimate
    laplace: Estimate | None
    zero_directions: Estimate | None
    negative_directions: Estimate
    precision: float
    decrement: float
    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    probes: int
    quadrature_probes: int
    steps: int
    products: int
    warnings: tuple[str, ...]
    seed: int
    seconds: float

    def share_above(self, h: float) -> float:
        """Share of the eigenvalues above ``h``, from the spectral density."""
        return float(np.asarray(self.weights)[np.asarray(self.nodes) > h].sum())

    def summary(self) -> str:
        """The figures as plain text."""
        top = ", ".join(f"{e.value:.4g}" for e in self.eigenvalues)
        how = (
            f"all {self.parameters:,} eigenvalues"
            if self.method == "dense"
            else f"{self.probes} probes for the trace, {self.quadrature_probes} of {self.steps} Lanczos steps for the "
            f"other sums, {self.products:,} products"
        )
        lines = [
            f"{self.subject}: {self.matrix} of the {self.loss}, {self.parameters:,} parameters ({how})",
            f"  loss {self.loss_value:.6g}, gradient {self.gradient_norm:.3g}",
            f"  largest eigenvalues: {top}",
            f"  lowest eigenvalue: {self.lowest}",
            f"  trace: {self.trace}",
            f"  ln det(H + {self.shift:.3g} I): {self.log_determinant} (shift: {self.shift_reason})",
            f"  negative directions: {self.negative_directions}",
        ]
        if self.zero_directions is not None:
            lines.append(f"  zero directions: {self.zero_directions} (|h| ≤ {self.precision:.2g})")
        if self.laplace is not None:
            lines.append(f"  λ by Laplace, half the rank: {self.laplace}")
        lines.append(f"  half the effective number of parameters at the shift: {self.effective}")
        return "\n".join([*lines, *(f"  Warning: {w}" for w in self.warnings)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row a figure: name, value, standard error, unit, kind, status, interval."""
        import pandas as pd

        named = [(f"eigenvalue {i}", e) for i, e in enumerate(self.eigenvalues, 1)]
        named += [(n.replace("_", " "), getattr(self, n)) for n in _ESTIMATES if getattr(self, n) is not None]
        rows: list[dict[str, Any]] = []
        for name, e in named:
            low, high = e.interval()
            rows.append(
                {"figure": name, "value": e.value, "stderr": e.stderr, "low": low, "high": high, "unit": e.unit,
                 "kind": e.kind, "status": e.status.value}
            )  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        warnings = "".join(f"<li>{html.escape(w)}</li>" for w in self.warnings)
        return f"{self.to_dataframe().to_html(index=False)}<ul>{warnings}</ul>"


_ESTIMATES = (
    "lowest", "trace", "log_determinant", "effective", "laplace", "zero_directions", "negative_directions"
)  # fmt: skip
