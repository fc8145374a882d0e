"""The learning coefficient from the engine itself, localised at the trained weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.measure import measure
from pindown.engine.profile import Profile
from pindown.engine.settings import Settings
from pindown.estimate import Estimate, Status
from pindown.network.localised import LocalLoss
from pindown.network.progress import Progress
from pindown.spaces.smooth import SmoothSpace
from pindown.stats import mean_and_stderr

__all__ = ["EngineAnswer", "Tether", "by_engine", "tempered_mean"]

Array = NDArray[np.float64]
_LOWEST = 0.01  # of the mean loss at the largest inverse temperature
_MOST_BELOW = 0.02


class Tether(SmoothSpace):
    """Displacements from trained weights under the localisation, N(0, I/γ)."""

    def __init__(self, local: LocalLoss, gamma: float) -> None:
        self.dim, self.dtype, self._width = local.dim, local.point.dtype, 1.0 / math.sqrt(gamma)
        self.reference = f"N(w*, I/{gamma:g}) in {local.dim} weights"

    def from_normal(self, z: Tensor) -> Tensor:
        """Standard normals to displacements."""
        return z * self._width

    def to_normal(self, x: Tensor) -> Tensor:
        """Displacements to standard normals."""
        return x / self._width


class _Excess:
    """``L(w* + u) − L(w*)`` as the engine's loss; zero where it is below, the largest number where it is not finite."""

    def __init__(self, local: LocalLoss) -> None:
        self.local, self.preferred_rows = local, local.rows

    def __call__(self, u: Tensor) -> Tensor:
        if u.requires_grad and torch.is_grad_enabled():
            return _WithGradient.apply(u, self.local)  # type: ignore[no-any-return]
        return _finite(self.local.excess(u)).clamp_min(0.0)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, u: Tensor, local: LocalLoss) -> Tensor:  # type: ignore[override]
        value, slope = local.excess_and_gradient(u)
        usable = (torch.isfinite(value) & (value > 0)).unsqueeze(1)
        ctx.save_for_backward(torch.where(usable, slope, 0.0))  # type: ignore[attr-defined]
        return _finite(value).clamp_min(0.0)

    @staticmethod
    def backward(ctx: object, above: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return slope * above.unsqueeze(1).to(slope.dtype), None


def _finite(loss: Tensor) -> Tensor:
    most = torch.finfo(loss.dtype).max
    return torch.nan_to_num(loss, nan=most, posinf=most, neginf=most)


class EngineAnswer:
    """λ̂ at the inverse temperatures, and what it cost.

    Attributes:
        estimates: one for each inverse temperature.
        evaluations: losses.
        seconds: wall-clock time.
    """

    def __init__(self, estimates: list[Estimate], evaluations: int, seconds: float) -> None:
        self.estimates, self.evaluations, self.seconds = estimates, evaluations, seconds


def by_engine(
    local: LocalLoss, gamma: float, nbeta: list[float], *, repeats: int, seed: int, checkpoint: Path | None,
    progress: Progress | None, settings: Settings | None = None, budget: int | None = None,
) -> EngineAnswer:  # fmt: skip
    r"""λ̂(nβ) from the localised volume ``V(t)``, the mass of :math:`L - L^* \le t` under N(w*, I/γ).

    .. math:: \hat\lambda(n\beta) = n\beta\,\frac{\int t\, e^{-n\beta t}\, dV(t)}{\int e^{-n\beta t}\, dV(t)}

    is the figure that chains at nβ have as their mean. :func:`pindown.measure` gives ``V`` down to a hundredth of the
    mean at the largest nβ; what lies lower is taken as a power of ``t``.
    """
    guess = 0.25 * local.dim
    profile = measure(
        Tether(local, gamma), _Excess(local), tolerance=_LOWEST * guess / nbeta[-1], repeats=repeats, seed=seed, jobs=1,
        device=str(local.point.device), checkpoint=checkpoint, progress=progress, settings=settings,
        budget=budget,
    )  # fmt: skip
    return EngineAnswer([_at(profile, b) for b in nbeta], profile.evaluations, profile.seconds)


def _at(profile: Profile, nbeta: float) -> Estimate:
    """One inverse temperature; *not converged* where the curve ends too early or its runs disagree."""
    read = [tempered_mean(i.loss, i.log_volume, nbeta) for i in profile.islands if i.loss.size > 1]
    nothing = Estimate(0.0, 0.0, "1", "lower_bound", Status.NOT_CONVERGED, profile.reference)
    if len(read) < len(profile.islands) or any(below > _MOST_BELOW for _, below in read):
        return nothing
    value, stderr = mean_and_stderr([v for v, _ in read])
    status = profile.bits(max(value / nbeta, profile.tolerance)).status
    if not status.ok or not value > 0.0:
        return nothing
    return Estimate(value, stderr, "1", "estimate", status, profile.reference, len(read) - 1.0)


def tempered_mean(loss: Array, log_volume: Array, nbeta: float) -> tuple[float, float]:
    """λ̂(nβ) from one curve, losses increasing, and the share of it that comes from below the curve's lowest loss."""
    volume = np.exp(log_volume - log_volume[-1])
    tempered = np.exp(-nbeta * (loss - loss[0]))
    mass = 0.5 * (tempered[1:] + tempered[:-1]) * np.diff(volume)
    moment = 0.5 * (tempered[1:] * loss[1:] + tempered[:-1] * loss[:-1]) * np.diff(volume)
    # Below the curve V goes on as a power of the loss, of which the mean is a share s/(1 + s).
    near = np.searchsorted(log_volume, log_volume[0] + 1.0).clip(1, len(loss) - 1)
    rise = math.log(loss[near] / loss[0]) if loss[0] > 0.0 else math.inf
    power = float(log_volume[near] - log_volume[0]) / rise if rise > 0.0 else 0.0
    rest = float(volume[0] * loss[0]) * power / (1.0 + power)
    whole = float(moment.sum()) + rest
    return nbeta * whole / (float(mass.sum()) + float(volume[0])), rest / whole if whole > 0.0 else 1.0
