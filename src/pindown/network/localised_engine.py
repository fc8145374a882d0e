"""The learning coefficient from the engine itself, localised at the trained weights."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from pindown.engine.measure import measure
from pindown.engine.settings import Settings
from pindown.estimate import Estimate, Status
from pindown.network.localised import LocalLoss
from pindown.network.progress import Progress
from pindown.spaces.smooth import SmoothSpace

__all__ = ["EngineAnswer", "Tether", "by_engine"]


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
    """``L(w* + u) − L(w*)`` as the engine's loss; below zero counts as zero."""

    def __init__(self, local: LocalLoss) -> None:
        self.local, self.preferred_rows = local, local.rows

    def __call__(self, u: Tensor) -> Tensor:
        if u.requires_grad and torch.is_grad_enabled():
            return _WithGradient.apply(u, self.local)  # type: ignore[no-any-return]
        return self.local.excess(u).clamp_min(0.0)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, u: Tensor, local: LocalLoss) -> Tensor:  # type: ignore[override]
        value, slope = local.excess_and_gradient(u)
        ctx.save_for_backward(slope * (value > 0).unsqueeze(1))  # type: ignore[attr-defined]
        return value.clamp_min(0.0)

    @staticmethod
    def backward(ctx: object, above: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return slope * above.unsqueeze(1).to(slope.dtype), None


class EngineAnswer:
    """λ at the tolerances that belong to the inverse temperatures, and what it cost.

    Attributes:
        estimates: one for each tolerance.
        evaluations: losses.
        seconds: wall-clock time.
    """

    def __init__(self, estimates: list[Estimate], evaluations: int, seconds: float) -> None:
        self.estimates, self.evaluations, self.seconds = estimates, evaluations, seconds


def by_engine(
    local: LocalLoss, gamma: float, nbeta: list[float], *, repeats: int, seed: int, checkpoint: Path | None,
    progress: Progress | None, settings: Settings | None = None,
) -> EngineAnswer:  # fmt: skip
    r"""λ(t) = d ln V / d ln t of the localised volume, at t = λ/nβ where the mean of L under nβ lies.

    ``V(t)`` is the mass of :math:`L - L^* \le t` under N(w*, I/γ), which goes like :math:`t^\lambda (-\ln t)^{m-1}`
    (Watanabe 2009, theorem 7.1). :func:`pindown.measure` gives its logarithmic slope at each ``t``; at the tolerance
    where the posterior at nβ has its mean the two figures are the same one, up to the width of the posterior.
    """
    guess = 0.25 * local.dim
    profile = measure(
        Tether(local, gamma), _Excess(local), tolerance=guess / nbeta[-1], repeats=repeats, seed=seed, jobs=1,
        device=str(local.point.device), checkpoint=checkpoint, progress=progress, settings=settings,
    )  # fmt: skip
    out: list[Estimate] = []
    for b in nbeta:
        e, lam = profile.learning_coefficient(guess / b), guess
        for _ in range(3):  # the tolerance and λ decide each other
            if not (e.status.ok and e.value > 0):
                break
            lam = e.value
            again = profile.learning_coefficient(max(lam / b, profile.tolerance))
            e = again if again.status.ok else e
        ok = e.status.ok and math.isfinite(e.value)
        out.append(e if ok else Estimate(0.0, 0.0, "1", "lower_bound", Status.NOT_CONVERGED, e.reference))
    return EngineAnswer(out, profile.evaluations, profile.seconds)
