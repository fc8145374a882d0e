r"""The other direction: chains that start from known solutions and are warmed up through the same stages.

Chains cooled from the prior lag behind: at each inverse temperature their loss is, if anything, too high, and
the bits that come out too many. Chains warmed up from a solution lag the other way, and the bits come out too
few. Where both agree the lag is below the error, and the solution lies in the bulk that the prior's chains
found; where they do not, they bracket the truth (Grosse, Ancha and Roy 2016, Measuring the reliability of MCMC
inference with bidirectional Monte Carlo; Jarzynski 1997 for the sign of the lag).

The chains climb stage by stage, leaving a copy at each, and the copies then take sweeps of replica exchange like those
of the cooled side, whose estimate is so made twice in the same way from opposite ends.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.moves import Chains, hamiltonian
from pindown.engine.polish import Polish
from pindown.engine.reading import Reading, read_curve

__all__ = ["volume_from", "warm_up"]

Array = NDArray[np.float64]
_UNUSED = 0.5  # share of the sweeps
_NEAR = 0.01  # of the depth
_AT_FIRST = 64  # times as many moves at the deepest stage, where a known solution may be far from typical


def warm_up(polish: Polish, known: Tensor, moves: int, sweeps: int, tolerance: float) -> tuple[Array, Reading]:
    """Warm chains up from ``known`` and measure the volume from their side.

    Args:
        polish: the stages and step sizes of the cooled side; its chains stay as they are.
        known: solutions as standard normals, ``(m, D)``.
        moves: trajectories at each stage on the way up.
        sweeps: sweeps of replica exchange from there; the first half is not used.
        tolerance: where the volume is compared.

    Returns:
        Mean loss at stages 1 to K, and the curve.
    """
    warm = Polish(polish.objective, polish.rng, polish.warp, polish.beta, _climb(polish, known, moves), polish.sizes)
    unused = int(_UNUSED * sweeps)
    for sweep in range(sweeps):
        if sweep == unused:
            warm.forget()
        warm.sweep(adapt=False)
    recorded = warm.recorded()
    curve = read_curve(recorded.weigh()[0], recorded.loss, polish.warp, tolerance)
    return recorded.loss[:, 1:].mean((0, 2)), curve


def volume_from(warm: Reading, cold: Reading, tolerance: float) -> float:
    r"""``ln P(L ≤ tolerance)`` of the warmed side; −inf where it ended well above the tolerance.

    The last sweeps of a few chains may just miss a tolerance that is the loss of the solutions themselves. Within a
    hundredth of the depth above it the two sides are compared at the lowest loss :math:`t` of the warmed one, and
    :math:`\ln V_{warm}(t) + \ln V_{cold}(\text{tolerance}) - \ln V_{cold}(t)` keeps their difference.
    """
    at = max(tolerance, float(warm.loss[0])) if warm.loss.size else math.inf
    volume, there = (cold.at(cold.log_volume, t, below=-math.inf) for t in (tolerance, at))
    if at > tolerance and not there - volume <= _NEAR * -volume:
        return -math.inf
    missed = there - volume if at > tolerance else 0.0
    return warm.at(warm.log_volume, at, below=-math.inf) - missed


def _climb(polish: Polish, known: Tensor, moves: int) -> Chains:
    """Chains at all stages that descend from known solutions."""
    stages, n, _ = polish.chains.z.shape
    start = known[torch.arange(n, device=known.device) % len(known)]
    chains = Chains.at(polish.objective, start.unsqueeze(0).clone())
    left = []
    for k in range(stages - 1, 0, -1):
        sizes = polish.sizes.of(slice(k - 1, k))
        for _ in range(_AT_FIRST * moves if k == stages - 1 else moves):
            hamiltonian(polish.objective, polish.warp, polish.beta[k : k + 1], chains, sizes, polish.rng)
        left.append(Chains(*(t.clone() for t in (chains.z, chains.loss, chains.gradient, chains.origin))))
    left.append(Chains.at(polish.objective, polish.objective.prior(n, polish.rng).unsqueeze(0)))
    parts = [(c.z, c.loss, c.gradient, c.origin) for c in reversed(left)]
    return Chains(*(torch.cat(p) for p in zip(*parts, strict=True)))
