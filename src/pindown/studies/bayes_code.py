r"""Codes of labels on one prior over weights, and the inequality that orders them.

Under a 0/1 likelihood, labels have probability 1 where the network fits them all and 0 elsewhere, so their evidence is
:math:`P(S)` and :math:`-\log_2 P(S)` is the length of the exact Bayes code. A receiver who shares the prior can be sent
the labels by any distribution :math:`Q` over fitting weights at :math:`\mathrm{KL}(Q\,\|\,P)` bits (bits back: Hinton
and van Camp 1993, Keeping the neural networks simple; Honkela and Valpola 2004), and

.. math:: \mathrm{KL}(Q\,\|\,P) \ge -\log_2 P(S)

with equality for the prior given the fit alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.network.perceptrons import PerceptronPrior
from pindown.rng import torch_generator

__all__ = ["bits_back_length"]


def bits_back_length(
    prior: PerceptronPrior, x: Tensor, y: Tensor, centre: Tensor, std: float, *, draws: int = 4096, seed: int = 0
) -> Estimate:
    r"""Bits to send the labels by noise of ``std`` prior standard deviations around fitting weights ``centre``.

    :math:`Q` is the Gaussian around the centre given that every label is right:

    .. math:: \mathrm{KL} = E_Q[\log_2 (g/p)] - \log_2 g(S)

    with :math:`g` the Gaussian before it is cut to the fitting weights. Both terms are means over the same draws.

    Raises:
        InputError: for a prior that is not normal, or a centre that does not fit.
    """
    if prior.law != "normal":
        raise InputError(f"a {prior.law} prior", "a normal one")
    if float(prior.margins(centre.unsqueeze(0), x, y).amin()) <= 0:
        raise InputError("a centre that does not fit the labels", "weights without training error")
    if not 0.0 < std < math.inf or draws < 2:
        raise InputError(f"std {std} and {draws} draws", "one above 0, two or more")
    scale = prior.scales()
    z0 = centre / scale
    z = torch.randn((draws, prior.dim), generator=torch_generator(seed, 0xBB))
    points = z0 + std * z
    fits = prior.margins(points * scale, x, y).amin(1) > 0
    reference = f"{prior.reference}; 0/1 likelihood"
    count = int(fits.sum())
    if count < 2:
        return Estimate(math.inf, math.nan, "bits", status=Status.EXTINCT, reference=reference)
    # ln g/p of each draw in standard coordinates, where p is N(0, I) and g is N(z0, std² I).
    log_ratio = -prior.dim * math.log(std) - 0.5 * z.square().sum(1) + 0.5 * points.square().sum(1)
    kept = log_ratio[fits].double()
    share = count / draws
    value = float(kept.mean()) - math.log(share)
    variance = float(kept.var()) / count + (1 - share) / (share * draws)
    return Estimate(bits(value), bits(math.sqrt(variance)), "bits", reference=reference)
