r"""Mass of the star-shaped part of a basin, ray by ray, as a bound that holds with a stated probability.

Let :math:`\theta` be the direction of :math:`x` drawn from any Gaussian :math:`q` around the weights :math:`z^*`, and
:math:`R(\theta)` the radius at which the loss first exceeds the cutoff. In polar coordinates

.. math:: M_\star = \int_{\text{star}} \pi(z)\,dz
          = E_\theta\!\left[\frac{\int_0^{R(\theta)} r^{D-1}\pi(z^* + r\theta)\,dr}
                                {\int_0^{\infty} r^{D-1} q(z^* + r\theta)\,dr}\right],

as the denominator is the density of :math:`\theta` under :math:`q`. With :math:`q = N(z^*, \sigma^2 I)` this is
Scherlis and Belrose (2025), Estimating the probability of sampling a trained neural network at random, section 3; with
:math:`q = N(z^*, AA^\top)` it is their preconditioning by ``A``, with the density ratio that goes with it. Here
:math:`q` is the Gaussian of the quadratic model at the inverse temperature that puts its mean loss at the cutoff, prior
included: for a quadratic loss the logarithm of the ratio is then flat to first order, whatever the condition number.

**Which side.** The star lies inside the basin, and every ray's ratio is an unbiased estimate of :math:`M_\star` above
zero. By Markov's inequality a mean over rays exceeds :math:`M_\star/\alpha` with probability at most α, and all of
``k`` independent means do with at most :math:`\alpha^k` (Gomes, Hoffmann, Sabharwal and Selman 2007, From sampling to
model counting). So the lowest of ``k`` means times :math:`\alpha^{1/k}` is a lower bound on the mass at confidence
:math:`1-\alpha`, however heavy the tail; ``k`` = 1, 2, 4 and 8 share α. The mean itself is, with heavy tails, below the
truth nearly always, by as much as the rays spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp, xlogy
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.estimate import bits
from pindown.network.local_gaussian import LocalGaussian
from pindown.rng import torch_generator
from pindown.stats import kish_size, logmeanexp

__all__ = ["Rays", "first_exit", "log_radial_integral", "shoot"]

Array = NDArray[np.float64]
CONFIDENCE = 0.95
_GROUPS = (1, 2, 4, 8)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_DROP = 50.0  # nats below its peak at which an integrand is left out
_GROWTH = 1.5
_SEARCHES = 200
_PILOT = 16
_TETHERS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


@dataclass(frozen=True, eq=False)
class Rays:
    """What the rays found for one cutoff.

    Attributes:
        log_mass: ln of each ray's ratio, ``(n,)``; −inf for a ray that leaves at once.
        radius: R, in the prior's standard deviations.
        tether, beta: of the Gaussian that the directions came from.
    """

    log_mass: Array
    radius: Array
    tether: float
    beta: float

    @property
    def bits(self) -> float:
        """−log2 of the mean over rays."""
        return -bits(float(logmeanexp(self.log_mass)))

    @property
    def spread(self) -> float:
        """Standard deviation over rays of their logarithms, in bits."""
        return bits(float(np.std(self.log_mass, ddof=1))) if np.isfinite(self.log_mass).all() else math.inf

    @property
    def size(self) -> float:
        """Kish's effective number of rays."""
        return kish_size(self.log_mass) if np.isfinite(self.log_mass).any() else 0.0

    @property
    def bound(self) -> float:
        """Bits that the basin does not exceed, at :data:`CONFIDENCE`."""
        alpha = (1.0 - CONFIDENCE) / len(_GROUPS)
        best = -math.inf
        for k in _GROUPS:
            if k <= len(self.log_mass) // 2:
                means = [float(logmeanexp(part)) for part in np.array_split(self.log_mass, k)]
                best = max(best, min(means) + math.log(alpha) / k)
        return -bits(best)


def log_radial_integral(power: float, a: Array, b: Array, radius: Array) -> Array:
    r"""``ln ∫₀^R r^power exp(−a r²/2 − b r) dr`` for each row, to about twelve digits.

    The integrand is log-concave. It is integrated by Gauss's rule from where it has fallen by 50 nats below its peak
    on ``[0, R]``, on either side.

    Args:
        power: n, zero or more.
        a: above zero.
        b: any.
        radius: R, above zero, may be infinite.
    """
    a, b, radius = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (a, b, radius)))

    def f(r: Array) -> Array:
        return xlogy(power, r) - 0.5 * a[..., None] * r**2 - b[..., None] * r

    root = np.sqrt(b**2 + 4.0 * a * power)
    # The positive root of a r² + b r = n, without cancellation.
    mode = np.where(b > 0, 2.0 * power / np.maximum(b + root, 1e-300), (root - b) / (2.0 * a))
    peak = np.minimum(mode, radius)
    top = f(peak[..., None])[..., 0]

    def fallen(r: Array) -> NDArray[np.bool_]:
        return f(r[..., None])[..., 0] < top - _DROP

    low, high = np.zeros_like(peak), peak.copy()
    for _ in range(40):
        middle = 0.5 * (low + high)
        out = fallen(middle)
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    start = low
    width = np.sqrt(2.0 * _DROP / a) + 1.0 / np.sqrt(a)
    near, far = peak.copy(), np.minimum(peak + width, np.maximum(radius, peak))
    for _ in range(40):
        middle = 0.5 * (near + far)
        out = fallen(middle)
        near, far = np.where(out, near, middle), np.where(out, middle, far)
    end = np.minimum(far, radius)
    total = np.full(peak.shape, -np.inf)
    # Each side of the peak by itself: a cut at R leaves only the left one.
    for left, right in ((start, peak), (peak, end)):
        half = 0.5 * (right - left)
        r = left[..., None] + half[..., None] * (1.0 + _NODES)
        with np.errstate(divide="ignore"):
            part = logsumexp(f(r) + np.log(_WEIGHTS), axis=-1) + np.log(half)
        total = np.logaddexp(total, part)
    return total


def first_exit(
    objective: Objective, centre: Tensor, directions: Tensor, cutoff: float, start: Array, cap: Array, rtol: float
) -> Array:
    """The radius along each direction at which the loss first exceeds the cutoff, from below.

    Radii are tried from ``start`` upwards, each half as large again, until one is above the cutoff; then the crossing
    is bracketed from both sides (Illinois's rule in ln r, bisection where a value is not finite) until the bracket is
    narrower than ``rtol``. What is returned is its lower end, where the loss was seen to be at most the cutoff. Between
    the radii that were tried the loss is taken to stay below it.

    Args:
        objective: the loss in the prior's coordinates.
        centre: where the rays start, ``(D,)``, with a loss at most the cutoff.
        directions: unit vectors ``(n, D)``.
        cutoff: the loss.
        start: first radius of each.
        cap: radius at which a ray need not be followed any further.
        rtol: relative width of the last bracket.
    """

    def excess(r: Array, rows: NDArray[np.intp]) -> Array:
        at = torch.as_tensor(r, device=centre.device).to(centre.dtype).unsqueeze(1)
        return (objective.losses(centre + at * directions[rows]) - cutoff).cpu().numpy()

    n = len(start)
    r = np.minimum(start, cap)
    low, high = np.zeros(n), np.full(n, np.inf)
    below, above = np.full(n, -np.inf), np.full(n, np.inf)
    open_, falling = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    for _ in range(_SEARCHES):
        rows = np.flatnonzero(open_)
        if not rows.size:
            break
        value = excess(r[rows], rows)
        inside = value <= 0
        i, o = rows[inside], rows[~inside]
        low[i], below[i] = r[i], value[inside]
        high[o], above[o] = r[o], value[~inside]
        # The first radius may already lie outside: go down until one lies inside.
        down = o[low[o] == 0]
        falling[down] = True
        r[down] *= 0.5
        up = i[~falling[i]]
        ended = (r >= cap) | ((low > 0) & np.isfinite(high)) | (r < 1e-12 * cap)
        r[up] = np.minimum(r[up] * _GROWTH, cap[up])
        open_ &= ~ended
    high = np.where((low >= cap) & ~np.isfinite(high), low, high)
    side = np.zeros(n)
    for _ in range(_SEARCHES):
        rows = np.flatnonzero((low > 0) & (high > low * (1.0 + rtol)))
        if not rows.size:
            break
        log_low, log_high = np.log(low[rows]), np.log(high[rows])
        with np.errstate(invalid="ignore"):
            share = below[rows] / (below[rows] - above[rows])
        share = np.where(np.isfinite(share) & np.isfinite(above[rows]), np.clip(share, 1e-3, 1.0 - 1e-3), 0.5)
        # Aim a quarter of the tolerance past the crossing on the side that still lags, so that brackets close.
        log_r = np.clip(
            log_low + share * (log_high - log_low), log_low + 0.25 * rtol, np.maximum(log_high - 0.25 * rtol, log_low)
        )
        trial = np.exp(log_r)
        stuck = (trial <= low[rows]) | (trial >= high[rows])
        trial = np.where(stuck, 0.5 * (low[rows] + high[rows]), trial)
        value = excess(trial, rows)
        inside = value <= 0
        i, o = rows[inside], rows[~inside]
        low[i], below[i], high[o], above[o] = trial[inside], value[inside], trial[~inside], value[~inside]
        above[i] = np.where(side[i] == -1, 0.5 * above[i], above[i])
        below[o] = np.where(side[o] == 1, 0.5 * below[o], below[o])
        side[i], side[o] = -1, 1
    return low


def shoot(
    objective: Objective, local: LocalGaussian, cutoff: float, rays: int, seed: int, *, pilot: bool = True
) -> Rays:
    """Masses of the star-shaped basin along ``rays`` directions.

    With ``pilot`` a few rays of their own choose the tether and β of the Gaussian that the directions are drawn from,
    by the mean of their logarithms, which no choice can raise above the truth. Any choice leaves the mean over the
    other rays unbiased.
    """
    beta, tether = local.beta_for(cutoff - local.loss), 0.0
    device = local.centre.device

    def along(n: int, stream: int, t: float, b: float) -> Rays:
        return _along(objective, local, cutoff, n, torch_generator(seed, stream, device=device), t, b)

    if pilot:

        def score(t: float, b: float) -> float:
            # The same noise for each, so that they are compared and not the noise.
            return float(np.maximum(along(_PILOT, 1, t, b).log_mass, -1e9).mean())

        best = score(tether, beta)
        for t in _TETHERS:
            new = score(t, beta)
            if new > best:
                best, tether = new, t
            elif new < best - 20.0:
                break
        step = 4.0 if beta > 0 else 1.0
        while step > 1.1:
            for factor in (step, 1.0 / step):
                new = score(tether, factor * beta)
                if new > best:
                    best, beta = new, factor * beta
                    break
            else:
                step **= 0.5
    return along(rays, 0, tether, beta)


def _along(
    objective: Objective, local: LocalGaussian, cutoff: float, n: int, rng: torch.Generator, tether: float, beta: float
) -> Rays:
    metric = local.at([tether] * n, [beta] * n)
    x = metric.draw(rng).double()
    theta = x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
    dim, centre = local.dim, local.centre.double()
    on = theta @ local.directions.double().T
    a = (metric.off[:, 0] * (1.0 - on.square().sum(1)) + (metric.on * on.square()).sum(1)).cpu().numpy()
    b = (theta @ centre - ((metric.pull - metric.own) * on).sum(1)).cpu().numpy()
    towards = (theta @ centre).cpu().numpy()
    power, infinite = float(dim - 1), np.full(n, np.inf)
    own = float(centre.square().sum())
    density = log_radial_integral(power, a, b, infinite)
    density += (-0.5 * metric.pull_energy + 0.5 * metric.log_determinant).cpu().numpy()
    # Beyond the prior's own mode by nine standard deviations, or more, nothing is left to gain.
    mode = 0.5 * (np.sqrt(towards**2 + 4.0 * power) - towards)
    cap = mode + 9.0
    h = (on.square() @ local.curvature).cpu().numpy()
    s = (on @ local.slope).cpu().numpy()
    room = max(cutoff - local.loss, 0.0)
    guess = 2.0 * room / np.maximum(s + np.sqrt(np.maximum(s**2 + 2.0 * h * room, 0.0)), 1e-300)
    start = np.clip(0.5 * guess, 1e-6 * cap, 0.25 * cap)
    radius = first_exit(
        objective, local.centre, theta.to(local.centre.dtype), cutoff, start, cap, 0.01 / dim
    )  # fmt: skip
    log_mass = np.full(n, -np.inf)
    some = radius > 0
    # A ray that was followed to its cap is taken to end there.
    log_mass[some] = log_radial_integral(power, np.ones(int(some.sum())), towards[some], radius[some])
    return Rays(log_mass - 0.5 * own - density, radius, tether, beta)
