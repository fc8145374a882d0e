"""A linear model of known learning coefficient, of the size of another."""

from __future__ import annotations

import torch
from torch import nn

from pindown.network.localised import LocalLoss
from pindown.network.subject import Subject
from pindown.rng import torch_generator

__all__ = ["linear_check_subject", "localised_linear"]

_MOST_WEIGHTS = 256
_MOST_EXAMPLES = 4096


def linear_check_subject(local: LocalLoss, seed: int) -> Subject:
    """Linear regression without noise: as many weights as ``local`` has, at most 256, and λ half of that.

    The loss is regular with curvature 2 in every direction, up to the randomness of the inputs.
    """
    dim = min(local.dim, _MOST_WEIGHTS)
    examples = max(4 * dim, min(local.subject.train_size, _MOST_EXAMPLES))
    rng = torch_generator(seed, 0)
    dtype = local.point.dtype
    x = torch.randn((examples, dim), generator=rng, dtype=torch.float64).to(dtype)
    weight = torch.randn((1, dim), generator=rng, dtype=torch.float64).to(dtype) / dim**0.5
    with torch.random.fork_rng(devices=[]):
        model = nn.Linear(dim, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(weight)
        y = model(x)
    return Subject(model, "mse", (x, y), name="linear model", device=local.point.device)


def localised_linear(subject: Subject, nbeta: float, gamma: float) -> float:
    """What λ̂(nβ) of such a model is under a localisation γ: ``½ Σ nβhᵢ/(nβhᵢ + γ)``, its posterior being normal.

    ``hᵢ`` are the eigenvalues of the Hessian, ``2 XᵀX/n``.
    """
    x = next(iter(subject.examples))[0]
    assert isinstance(x, torch.Tensor)
    singular = torch.linalg.svdvals(x.double())
    stiff = nbeta * 2.0 * singular.square() / len(x)
    return float(0.5 * (stiff / (stiff + gamma)).sum())
