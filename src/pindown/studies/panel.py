r"""One network's information, each measurement of it in bits where it is one.

At trained weights :math:`w` with a rise ε of the mean training loss:

* **noise**: the Gaussian noise, relative to each tensor's root mean square, at which the mean loss has risen by ε,
  :math:`\sigma`. A weight then holds :math:`\log_2(\mathrm{rms}/\sigma)` leading bits; all D of them
  :math:`\tfrac D2 \log_2(1 + \sigma^{-2})`, the capacity of that channel (Shannon 1949).
* **pruning**: K of D weights are left at a rise by ε. Naming them and writing their values at the noise above takes
  :math:`\log_2 \binom DK + \tfrac K2 \log_2(1+\sigma^{-2})`; both at once cost the loss about 2ε.
* **water-filling**: :func:`pindown.water_filling`.
* **bit planes**: planes kept in the cheapest allocation found within ε together, :func:`pindown.bitplanes`.
* **code length**: weights sent by that noise under the prior, :math:`\mathrm{KL}(N(w, \sigma^2 \mathrm{rms}^2) \| P)`
  (Hinton and van Camp 1993).
* **as sharp everywhere**: the worst case. With the largest eigenvalue :math:`\eta` of the Hessian a step of length
  :math:`\sqrt{2\varepsilon/\eta}` in that direction costs ε. If all directions were so sharp, all D weights would need
  :math:`\tfrac D2 \log_2(1 + D\,\mathrm{rms}^2 \eta / 2\varepsilon)`. Volume is the other meaning of flat; the two need
  not agree.
* **concentration**: Gini's coefficient and the participation ratio of the squared weights.
"""

from __future__ import annotations

import math

import torch

from pindown.estimate import Estimate, Status, bits
from pindown.network.bitplanes import bitplanes
from pindown.network.concentration import concentration
from pindown.network.curvature import Curvature
from pindown.network.lanczos import top_pairs
from pindown.network.noise_results import NoiseTolerance
from pindown.network.noise_tolerance import noise_tolerance
from pindown.network.pruning import pruning
from pindown.network.subject import Subject
from pindown.network.water_filling import water_filling
from pindown.rng import child_seed, torch_generator
from pindown.spaces.initialisation import Normal

__all__ = ["IN_BITS", "PER_NETWORK", "WEIGHT_SPACE", "measure_panel"]

LEADING, NOISE, KEPT, PRUNED = "leading bits of a weight", "noise", "share of weights kept", "pruning"
WATER, PLANES, CODE, SHARP = "water-filling", "bit planes", "code length", "as sharp everywhere"
GINI, COUNT, LOSS, ETA = "Gini of w²", "weights that count", "training loss", "largest eigenvalue"
VOLUME, PREQUENTIAL = "volume, −log2 P", "prequential code of the labels"

IN_BITS = (PLANES, SHARP, NOISE, PRUNED, WATER, CODE, VOLUME, PREQUENTIAL)
"""What stands on one axis."""
PER_NETWORK = (LEADING, KEPT, COUNT, GINI, ETA, LOSS)
WEIGHT_SPACE = (LEADING, KEPT, WATER, CODE, SHARP, COUNT, GINI)
"""Figures of the weights that rescaling the units of a ReLU layer may move."""


def measure_panel(
    subject: Subject, epsilon: float, *, seed: int = 0, planes: bool = True, accuracy: float = 0.05
) -> dict[str, Estimate]:
    """The figures above of the subject's first solution, by name.

    Args:
        subject: a trained network.
        epsilon: the rise of the mean training loss, in its own unit.
        seed: everything random follows from it. Networks of one shape get the same noise.
        planes: whether bit planes are measured, the dearest of all.
        accuracy: standard error of ln σ.

    Raises:
        InputError: for a loss that is not finite or without second derivatives.
    """
    draws = max(32, int(2.0 / accuracy**2))
    noise = noise_tolerance(subject, epsilon=epsilon, tensors=False, accuracy=accuracy, draws=draws, seed=seed)
    cut = pruning(subject, epsilon=epsilon, draws=0, include=None, seed=child_seed(seed, 1))
    water = water_filling(subject, epsilon=epsilon, probes=16, accuracy=accuracy, draws=draws, seed=child_seed(seed, 2))
    spread = concentration(subject, draws=2, seed=child_seed(seed, 3)).whole
    eta = _largest(subject, seed)
    dim = subject.space().dim
    sigma = noise.joint.sigma
    each, slope = _channel(sigma.value)
    capacity = _like(sigma, dim * each, dim * slope * sigma.stderr / max(sigma.value, 1e-300), turned=True)
    out = {
        LOSS: Estimate(noise.baseline.value, 0.0, noise.unit, "exact", reference="training examples"),
        LEADING: noise.joint.bits,
        NOISE: capacity,
        KEPT: cut.kept,
        PRUNED: _pruned(cut.weights, cut.kept, capacity, dim),
        WATER: water.measured,
        CODE: _code_length(subject, noise),
        ETA: eta,
        SHARP: _sharp(subject, eta, epsilon),
        GINI: spread.gini,
        COUNT: spread.participation,
    }
    if planes:
        found = bitplanes(subject, epsilon=epsilon, check=False, draws=64, seed=child_seed(seed, 4))
        out[PLANES] = Estimate(
            float(found.allocation.bits), 0.0, "bits", "exact", found.allocation.status,
            f"{found.format}, the cheapest allocation found",
        )  # fmt: skip
    return out


def _channel(sigma: float) -> tuple[float, float]:
    """``½ log2(1 + σ⁻²)`` and its slope by ``ln σ``, without the sign."""
    if sigma <= 0.0:
        return math.inf, math.nan
    return 0.5 * bits(math.log1p(sigma**-2)), bits(1.0 / (1.0 + sigma**2))


def _like(e: Estimate, value: float, stderr: float, *, turned: bool = False, reference: str = "") -> Estimate:
    """A figure that follows from another: its kind and status, with bounds turned round where it falls with it."""
    kind = e.kind
    if turned and kind in ("lower_bound", "upper_bound"):
        kind = "upper_bound" if kind == "lower_bound" else "lower_bound"
    return Estimate(value, stderr, "bits", kind, e.status, reference or e.reference)


def _pruned(weights: int, kept: Estimate, capacity: Estimate, dim: int) -> Estimate:
    """Positions and values of what pruning leaves; parameters that cannot be pruned keep their values."""
    k = kept.value * weights
    where = bits(math.lgamma(weights + 1) - math.lgamma(k + 1) - math.lgamma(weights - k + 1))
    each = capacity.value / dim
    left = k + dim - weights
    # ln of the binomial has slope ln((n − k)/k) in k.
    slope = bits(math.log(max(weights - k, 0.5) / max(k, 0.5))) + each
    error = math.hypot(slope * kept.stderr * weights, left / dim * capacity.stderr)
    worse = kept if not kept.status.ok else capacity
    return Estimate(
        where + left * each, error, "bits", worse.kind if worse.kind != "exact" else "estimate", worse.status,
        "positions, and values at the noise",
    )  # fmt: skip


def _code_length(subject: Subject, noise: NoiseTolerance) -> Estimate:
    r"""``Σ ½ [(σ² + (w − μ)²)/s² − 1 − ln(σ²/s²)]`` in bits, with each tensor's own σ."""
    space, sigma = subject.space(), noise.joint.sigma
    if not all(isinstance(p.prior, Normal) for p in space.parameters):
        return Estimate(math.nan, math.nan, "bits", status=Status.UNSUPPORTED, reference="a prior that is not normal")
    point = subject.solutions[0].point.double()
    value = slope = 0.0
    for p in space.parameters:
        assert isinstance(p.prior, Normal)
        w = point[space.slices[p.name]].cpu()
        scale, mean = (_entries(v, p.shape, p.free) for v in (p.prior.std, p.prior.mean))
        rms = float(w.square().mean().sqrt())
        if rms == 0.0:
            continue
        variance = (sigma.value * rms) ** 2 / scale.square()
        terms = variance + ((w - mean) / scale).square() - 1.0 - variance.log()
        value += 0.5 * float(terms.expand(w.shape).sum())
        slope += float((variance - 1.0).expand(w.shape).sum())  # by ln σ
    stderr = bits(abs(slope)) * sigma.stderr / max(sigma.value, 1e-300)
    return _like(sigma, bits(value), stderr, turned=True, reference=space.reference)


def _entries(value: float | torch.Tensor, shape: tuple[int, ...], free: torch.Tensor | None) -> torch.Tensor:
    full = torch.as_tensor(value, dtype=torch.float64)
    if full.ndim == 0:
        return full
    full = full.expand(shape).reshape(-1)
    return full if free is None else full[free]


def _largest(subject: Subject, seed: int) -> Estimate:
    curvature = Curvature(subject)
    start = torch.randn(curvature.dim, generator=torch_generator(seed, 0x5A)).to(curvature.point)
    unit = "loss/weight²"
    if curvature.dim < 3:
        top = float(torch.linalg.eigvalsh(curvature.dense().double())[-1])
        return Estimate(top, 0.0, unit, "exact", reference="Hessian")
    found = top_pairs(curvature.product, curvature.dim, 1, start=start, tolerance=1e-3)
    if not len(found.values):
        return Estimate(math.nan, math.nan, unit, status=Status.NOT_CONVERGED, reference="Hessian")
    status = Status.REACHED if found.converged else Status.NOT_CONVERGED
    return Estimate(float(found.values[0]), float(found.residuals[0]), unit, status=status, reference="Hessian")


def _sharp(subject: Subject, eta: Estimate, epsilon: float) -> Estimate:
    point = subject.solutions[0].point.double()
    ratio = float(point.square().sum()) * max(eta.value, 0.0) / (2.0 * epsilon)
    dim = len(point)
    stderr = 0.5 * dim * bits(ratio / (1.0 + ratio)) * eta.stderr / eta.value if eta.value > 0 else math.nan
    return Estimate(
        0.5 * dim * bits(math.log1p(ratio)), stderr, "bits", "upper_bound" if eta.status.ok else "estimate",
        eta.status, "quadratic loss, every direction as sharp as the sharpest",
    )  # fmt: skip
