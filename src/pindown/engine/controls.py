r"""Control variates that take most of the noise out of the free energies.

Under the tempered density :math:`e^{-U}` with :math:`U = |z|^2/2 + \beta h(L(z))` partial integration gives, for any
weights :math:`a_i`,

.. math:: E\Big[\sum_i a_i (z_i\, \partial_i U - 1)\Big] = 0,

the virial identity. What fluctuates in a sample's energy mostly fluctuates in these sums too, and their means are
known, so that regression on them leaves little: nothing at all for a quadratic loss whose coordinates are
independent, with weights :math:`1 - s_i^2` where :math:`s_i` is the width of coordinate ``i``. (Assaraf and Caffarel
1999, Zero-variance principle for Monte Carlo algorithms; for thermodynamic integration Oates, Papamarkou and Girolami
2016, The controlled thermodynamic integral for Bayesian model evidence comparison.) Both the equal weights and the
:math:`1 - s_i^2` are used.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.moves import Chains, StepSizes, along
from pindown.engine.warp import Warp

__all__ = ["controlled", "virial"]

Array = NDArray[np.float64]


def virial(chains: Chains, warp: Warp, beta: Tensor, sizes: StepSizes | None) -> Tensor:
    """The two sums above for each chain.

    Args:
        chains: ``(K, n, D)``.
        warp: the tempered function of the loss.
        beta: inverse temperature of each stage, ``(K,)``.
        sizes: the width of each coordinate at each stage; None for stages at the prior, where it is 1.

    Returns:
        ``(K, n, 2)``, float64.
    """
    force = (beta.unsqueeze(1) * warp.value_and_slope(chains.loss)[1]).unsqueeze(-1)
    basis = None if sizes is None else sizes.basis
    z, gradient = along(chains.z, basis), along(chains.gradient, basis)
    scale = torch.ones_like(z[:, 0]) if sizes is None else sizes.scale
    weight = torch.stack([torch.ones_like(scale), 1.0 - scale.square()], dim=-1)  # (K, D, 2)
    prior = torch.matmul(z.square(), weight).double()
    pull = torch.matmul(z * gradient, weight).double()
    return prior + force * pull - weight.sum(1, dtype=torch.float64).unsqueeze(1)


def controlled(h: Array, sums: Array) -> Array:
    """Warped losses with the part that the virial sums explain taken out, stage by stage.

    Args:
        h: warped losses ``(T, K, n)``.
        sums: from :func:`virial`, ``(T, K, n, 2)``.

    Returns:
        ``(T, K, n)``, of the same expectation as ``h`` and less spread.
    """
    out = h.copy()
    for k in range(h.shape[1]):
        y, x = h[:, k].reshape(-1), sums[:, k].reshape(-1, sums.shape[-1])
        spread = x.std(0)
        x = x[:, spread > 1e-9 * (1.0 + np.abs(x).max(0))]
        if y.max() > 1e200 or not np.isfinite(x).all() or len(y) < 16 * (1 + x.shape[1]):
            continue
        centred = x - x.mean(0)
        factor = np.linalg.lstsq(centred / centred.std(0), y - y.mean())[0] / centred.std(0)
        out[:, k] = (y - x @ factor).reshape(out[:, k].shape)
    return out
