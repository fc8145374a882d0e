"""One function under many weights: a ReLU layer whose units are rescaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pindown import Subject


def relu_network(scale: Tensor | float, hidden: int = 8, examples: int = 60, seed: int = 0) -> Subject:
    """A perceptron whose hidden units are rescaled by ``scale``: the same function (Dinh et al. 2017, eq. 5)."""
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, hidden), nn.ReLU(), nn.Linear(hidden, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
        s = torch.as_tensor(scale, dtype=torch.float64).expand(hidden)
        model[0].weight.mul_(s[:, None])
        model[0].bias.mul_(s)
        model[2].weight.div_(s)
        x = torch.randn(examples, 5, generator=g, dtype=torch.float64)
        return Subject(model, "cross_entropy", (x, model(x).argmax(1)), prior="he")
