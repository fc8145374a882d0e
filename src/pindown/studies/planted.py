"""Cases whose answer is planted: what the measurements of question 3 have to say of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pindown.engine.measure import measure
from pindown.estimate import Estimate
from pindown.network.bitplanes import bitplanes
from pindown.network.pruning import pruning
from pindown.network.subject import Subject
from pindown.network.water_filling import water_filling
from pindown.rng import torch_generator
from pindown.spaces.box import Box

__all__ = ["CONCENTRATED", "SPREAD", "concentrated_or_spread", "planted_answers"]

CONCENTRATED, SPREAD = "16 bits in one weight", "4 bits in each of 4 weights"
_PLANES, _SPARSE, _SIZE = 18, 7, 40


def concentrated_or_spread(*, seed: int, repeats: int = 4) -> dict[str, Any]:
    r"""Volume and worst case of 16 bits in one of four weights, and of 4 bits in each of the four.

    Weights are uniform on :math:`[0,1]^4`; the loss is :math:`\max_i |w_i - c_i|/h_i`, and at most 1 with probability
    :math:`\prod_i \min(1, 2 h_i)`: :math:`2^{-16}` for :math:`h = (2^{-17}, 1, 1, 1)` and for :math:`h_i = 2^{-5}`.
    The steepest slope is :math:`1/\min_i h_i`.
    """
    centre = torch.tensor([0.3, 0.6, 0.45, 0.7], dtype=torch.float64)
    out: dict[str, Any] = {}
    for name, half in (
        (CONCENTRATED, torch.tensor([2.0**-17, 1.0, 1.0, 1.0], dtype=torch.float64)),
        (SPREAD, torch.full((4,), 2.0**-5, dtype=torch.float64)),
    ):
        found = measure(
            Box(0.0, 1.0, dim=4), _Slab(centre, half), tolerance=1.0, engine="splitting", repeats=repeats, seed=seed,
            jobs=1,
        )  # fmt: skip
        per_weight = (-torch.log2((2.0 * half).clamp_max(1.0))).tolist()
        out[name] = {
            "volume": found.bits(1.0).to_dict(), "slope": float(1.0 / half.min()), "most": max(per_weight),
            "weights": sum(b > 0 for b in per_weight),
        }  # fmt: skip
    return out


class _Slab:
    def __init__(self, centre: Tensor, half: Tensor) -> None:
        self.centre, self.half = centre, half

    def __call__(self, w: Tensor) -> Tensor:
        return ((w - self.centre).abs() / self.half).amax(-1)


class _Grid(nn.Linear):
    """A linear layer that does not see the low-order planes of its weights."""

    def forward(self, input: Tensor) -> Tensor:
        kept = (self.weight.view(torch.int32) >> _PLANES << _PLANES).view(torch.float32)
        return input @ kept.T


def planted_answers(*, seed: int) -> dict[str, dict[str, Any]]:
    """What was planted and what was found, by case.

    * 7 weights of 1 among 40, the others 10⁻⁴, orthonormal inputs: losing one of the 7 costs 1, so 7/40 stay at ½;
    * weights on a grid that ends 18 planes up: exactly those 18 planes are free;
    * targets that do not depend on the inputs, weights near zero: pruning can take everything;
    * two weights of curvature 4 and 1 (loss :math:`(4\\delta_1^2 + \\delta_2^2)/2`) at a rise of 1/4: the water level
      is 1/8, the rates are ½ log2 16 and ½ log2 4, 3 bits.
    """
    cases: dict[str, tuple[float, Callable[[int], Estimate]]] = {
        f"{_SPARSE} of {_SIZE} weights hold everything: share kept": (_SPARSE / _SIZE, _sparse),
        f"a grid that ends {_PLANES} planes up: free planes": (float(_PLANES), _grid),
        "random small weights: share kept": (0.0, _flat),
        "linear–Gaussian, curvature 4 and 1: bits by water-filling": (3.0, _water),
    }
    return {name: {"planted": truth, "found": find(seed).to_dict()} for name, (truth, find) in cases.items()}


def _design(n: int, d: int, seed: int) -> Tensor:
    x = torch.randn((n, d), generator=torch_generator(seed, 0x91A), dtype=torch.float64)
    return (torch.linalg.qr(x)[0] * math.sqrt(n)).float()


def _linear(weights: Tensor, x: Tensor, kind: type[nn.Linear] = nn.Linear) -> Subject:
    model = nn.utils.skip_init(kind, len(weights), 1, bias=False)
    assert isinstance(model, nn.Linear)
    with torch.no_grad():
        model.weight.copy_(weights)
    return Subject(model, "mse", (x, model(x).detach()), prior="lecun")


def _sparse(seed: int) -> Estimate:
    w = torch.full((_SIZE,), 1e-4)
    w[:_SPARSE] = 1.0
    return pruning(_linear(w, _design(120, _SIZE, seed)), epsilon=0.5, draws=0, seed=seed).kept


def _grid(seed: int) -> Estimate:
    w = torch.randn(20, generator=torch_generator(seed, 0x91B))
    found = bitplanes(_linear(w, _design(60, 20, seed), _Grid), epsilon=1e-5, check=False, seed=seed)
    bracket = found.joint
    exact = bracket.low == bracket.high
    return Estimate(
        float(bracket.low), 0.0, "planes", "exact" if exact else "lower_bound", reference=found.format
    )  # fmt: skip


def _flat(seed: int) -> Estimate:
    rng = torch_generator(seed, 0x91C)
    model = nn.utils.skip_init(nn.Linear, 6, 1, bias=False)
    assert isinstance(model, nn.Linear)
    with torch.no_grad():
        model.weight.copy_(0.01 * torch.randn((1, 6), generator=rng))
    x, y = torch.randn((80, 6), generator=rng), torch.randn((80, 1), generator=rng)
    return pruning(Subject(model, "mse", (x, y), prior="lecun"), epsilon=0.1, draws=0, seed=seed).kept


def _water(seed: int) -> Estimate:
    x = torch.diag(torch.tensor([2.0, 1.0]))
    return water_filling(_linear(torch.ones(2), x), epsilon=0.25, probes=None, seed=seed).bits
