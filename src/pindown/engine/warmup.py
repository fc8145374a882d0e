r"""The other direction: chains that start from known solutions and are warmed up through the same stages.

Chains cooled from the prior lag behind: at each inverse temperature their loss is, if anything, too high, and
the bits that come out too many. Chains warmed up from a solution lag the other way, and the bits come out too
few. Where both agree the lag is below the error, and the solution lies in the bulk that the prior's chains
found; where they do not, they bracket the truth (Grosse, Ancha and Roy 2016, Measuring the reliability of MCMC
inference with bidirectional Monte Carlo; Jarzynski 1997 for the sign of the lag).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.controls import virial
from pindown.engine.moves import Chains, StepSizes, hamiltonian
from pindown.engine.polish import Polish
from pindown.engine.reweight import Recorded

__all__ = ["warm_up"]

Array = NDArray[np.float64]


def warm_up(polish: Polish, known: Tensor, moves: int, tolerance: float) -> tuple[Array, float]:
    """Warm chains up from ``known`` and measure the volume from their side.

    Args:
        polish: the stages, step sizes and recorded sweeps of the cooled side; its chains stay as they are.
        known: solutions as standard normals, ``(m, D)``.
        moves: trajectories at each stage; the first half is not used. The first stage takes four times as many.
        tolerance: where the volume is compared.

    Returns:
        Mean loss at stages 1 to K, and ``ln P(L ≤ tolerance)``.
    """
    stages, n, _ = polish.chains.z.shape
    start = known[torch.arange(n, device=known.device) % len(known)]
    chains = Chains.at(polish.objective, start.unsqueeze(0).clone())
    loss, sums = np.empty((moves - moves // 2, stages, n)), np.empty((moves - moves // 2, stages, n, 2))
    for k in range(stages - 1, 0, -1):
        sizes = StepSizes(polish.sizes.step[k - 1 : k], polish.sizes.scale[k - 1 : k], polish.sizes.most_leaps)
        unused = (4 * moves if k == stages - 1 else moves) - len(loss)
        for move in range(-unused, len(loss)):
            hamiltonian(polish.objective, polish.warp, polish.beta[k : k + 1], chains, sizes, polish.rng)
            if move >= 0:
                loss[move, k] = chains.loss[0].cpu().numpy()
                sums[move, k] = virial(chains, polish.warp, polish.beta[k : k + 1], sizes.scale)[0].cpu().numpy()
    for move in range(len(loss)):
        fresh = Chains.at(polish.objective, polish.objective.prior(n, polish.rng).unsqueeze(0))
        loss[move, 0] = fresh.loss[0].cpu().numpy()
        sums[move, 0] = (
            virial(fresh, polish.warp, polish.beta[:1], torch.ones_like(polish.sizes.scale[:1]))[0].cpu().numpy()
        )
    weighted, _ = Recorded.of(loss, sums, polish.warp, polish.beta).weigh()
    return loss[:, 1:].mean((0, 2)), weighted.log_volume_at(tolerance)
