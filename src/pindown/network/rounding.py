"""Rounding to the nearest in the formats that deployments use, and the cheapest of them for each tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.estimate import Estimate, Status
from pindown.network.plane_levels import TensorPlanes
from pindown.network.plane_results import FormatChoice, FormatRise
from pindown.network.precision import Option, cheapest
from pindown.network.replaced import ReplacedLoss, WeightTensor

__all__ = ["OWN", "TARGETS", "Target", "choose_formats", "exportable", "format_rises"]

OWN = "own"
_SCALE_BITS = 32
_ROUNDS = 12
_SHRINK = 0.7


@dataclass(frozen=True)
class Target:
    """A format that weights are stored in.

    Attributes:
        name: such as ``"int8"``.
        bits: of one weight, without its scale.
        group: entries along the last axis that share a scale; 0 for all entries of an output channel, None for none.

    Example:
        >>> w = torch.tensor([[1.0, -0.5, 0.26], [8.0, 0.0, 4.1]])
        >>> TARGETS["int4"].round(w).mul(15).round().tolist()  # steps of 2/15 and 16/15, one scale a row
        [[14.0, -8.0, 4.0], [112.0, 0.0, 64.0]]
    """

    name: str
    bits: int
    group: int | None = None

    def takes(self, w: WeightTensor) -> bool:
        """Whether a tensor is rounded to it: biases and scales are by 16-bit formats only, and only to fewer bits."""
        return (
            w.value is not None and self.bits < 8 * w.value.element_size() and (self.group is None or w.value.ndim > 1)
        )

    def bits_of(self, w: WeightTensor) -> int:
        """Bits of the whole tensor, scales included."""
        groups = 0 if self.group is None else self._grouped(torch.empty(w.shape, device="meta"))[..., 0].numel()
        return w.size * self.bits + groups * _SCALE_BITS

    def round(self, weights: Tensor) -> Tensor:
        r"""The nearest weights in the format, ties to even.

        Integers are symmetric with n bits, :math:`s = \max|w| \cdot 2 / (2^n - 1)` and codes from −2^(n−1) to
        2^(n−1) − 1, which is how torchao and compressed-tensors choose them; fp8 takes :math:`s = \max|w| / 448` a
        channel (57344 for e5m2).
        """
        if self.group is None:
            return weights.to(_HALVES[self.name]).to(weights.dtype)
        rows = self._grouped(weights.float())
        top = rows.abs().amax(-1, keepdim=True)
        top = torch.where(top > 0, top, torch.ones_like(top))
        if self.name in _FP8:
            most = torch.finfo(_FP8[self.name]).max
            scale = top / most
            out = (rows / scale).clamp(-most, most).to(_FP8[self.name]).float() * scale
        else:
            half = 2 ** (self.bits - 1)
            scale = top / (half - 0.5)
            # By the reciprocal, as torchao does it: the largest weight is a tie, which goes with the last bit.
            out = (rows * (1.0 / scale)).round().clamp(-half, half - 1) * scale
        return out.reshape(weights.shape).to(weights.dtype)

    def grouped(self, shape: Sequence[int]) -> int:
        """Entries a group for a tensor of this shape: 0 where each output channel is one."""
        return self.group if self.group and len(shape) == 2 and shape[-1] % self.group == 0 else 0

    def _grouped(self, weights: Tensor) -> Tensor:
        group = self.grouped(weights.shape)
        return weights.reshape(-1, group) if group else weights.flatten(1)


TARGETS = {
    t.name: t
    for t in (
        Target("bf16", 16),
        Target("fp16", 16),
        Target("fp8_e4m3", 8, 0),
        Target("fp8_e5m2", 8, 0),
        Target("int8", 8, 0),
        Target("int4", 4, 32),
    )
}
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FP8 = {"fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}

Kept = Callable[[str, Callable[[], float]], float]


def format_rises(
    tensors: Sequence[WeightTensor], loss: ReplacedLoss, baseline: float, epsilon: float, unit: str, kept: Kept
) -> list[FormatRise]:
    """Rises with all tensors rounded at once, a format each, and of single tensors where that decides something.

    Single tensors are asked for in the formats of 8 bits or fewer up to the first, from cheap to dear, that is within ε
    with all tensors at once: nothing dearer is of use.

    Args:
        tensors: those that can be measured.
        loss: with replaced tensors.
        baseline: of the weights as they are.
        epsilon: the largest rise.
        unit: of the loss.
        kept: ``kept(key, measure)`` gives a loss that is known, or measures it.
    """
    everything = sum(w.size for w in tensors)

    def rise(target: Target, some: Sequence[WeightTensor], key: str) -> Estimate:
        names = {w.name: target.name for w in some}
        value = kept(key, lambda: rounded_loss(loss, some, names)) - baseline if some else 0.0
        return _exact(value, unit, baseline)

    out: dict[str, FormatRise] = {}
    done = False
    for target in sorted(TARGETS.values(), key=lambda t: t.bits):
        some = [w for w in tensors if target.takes(w)]
        together = rise(target, some, f"rounded/{target.name}")
        alone: dict[str, Estimate] = {}
        if target.group is not None and not done:
            alone = {w.name: rise(target, [w], f"rounded/{target.name}/{w.name}") for w in some}
        if target.group is not None and together.status.ok and together.value <= epsilon:
            done = True
        left = sum(_own_bits(w) for w in tensors if not target.takes(w))
        bits = sum(target.bits_of(w) for w in some) + left
        out[target.name] = FormatRise(target.name, together, alone, bits / everything)
    return [out[name] for name in TARGETS]


def choose_formats(
    tensors: Sequence[WeightTensor],
    rises: Sequence[FormatRise],
    loss: ReplacedLoss,
    baseline: float,
    epsilon: float,
    unit: str,
    kept: Kept,
) -> FormatChoice:
    """The cheapest format found for each tensor whose rises together, measured, are within ε.

    A 16-bit format's rise is shared out by size. Where the measured rise of a choice exceeds ε, the budget of its sum
    is lowered and the choice made again; in the end every tensor stays as it is.
    """
    everything = sum(w.size for w in tensors)
    names: list[list[str]] = []
    options: list[list[Option]] = []
    for w in tensors:
        mine, costs = [OWN], [Option(_own_bits(w), 0.0)]
        for f in rises:
            target = TARGETS[f.target]
            if not target.takes(w):
                continue
            alone = f.alone.get(w.name)
            if alone is None and target.group is not None:
                continue
            value = max(alone.value, 0.0) if alone else max(f.together.value, 0.0) * w.size / everything
            mine.append(f.target)
            costs.append(Option(target.bits_of(w), value if math.isfinite(value) else math.inf))
        names.append(mine)
        options.append(costs)
    tried: set[tuple[int, ...]] = set()
    for i in range(_ROUNDS):
        found = cheapest(options, epsilon * _SHRINK**i)
        if found.chosen in tried:
            continue
        tried.add(found.chosen)
        target = {w.name: mine[k] for w, mine, k in zip(tensors, names, found.chosen, strict=True)}
        key = "rounded/choice/" + ",".join(target.values())
        value = kept(key, lambda target=target: rounded_loss(loss, tensors, target)) - baseline
        if value <= epsilon:
            break
    else:
        target, value = {w.name: OWN for w in tensors}, 0.0
        found = cheapest([row[:1] for row in options], epsilon)
    some = {w.name: target[w.name] if exportable(w, target[w.name]) else OWN for w in tensors}
    key = "rounded/exported/" + ",".join(some.values())
    exported = _exact(kept(key, lambda: rounded_loss(loss, tensors, some)) - baseline, unit, baseline)
    predicted = Estimate(found.rise, math.nan, unit, reference="sum of the rises of single tensors")
    return FormatChoice(target, predicted, _exact(value, unit, baseline), exported, found.bits / everything, len(tried))


def rounded_loss(loss: ReplacedLoss, tensors: Sequence[WeightTensor], target: Mapping[str, str]) -> float:
    """The loss with each tensor rounded to its format."""
    replaced = {
        w.name: TARGETS[target[w.name]].round(w.value).unsqueeze(0)
        for w in tensors
        if w.value is not None and target[w.name] != OWN
    }
    return loss(replaced)[0] if replaced else loss.plain()


def exportable(w: WeightTensor | TensorPlanes, target: str) -> bool:
    """Whether quantisation packages round it: the weight of an ``nn.Linear`` that is not tied, to 8 bits or fewer."""
    own = w.layer == "Linear" and not w.aliases and (w.name == "weight" or w.name.endswith(".weight"))
    return own and target != OWN and TARGETS[target].group is not None


def _own_bits(w: WeightTensor) -> int:
    return w.size * 8 * (w.value.element_size() if w.value is not None else 0)


def _exact(value: float, unit: str, baseline: float) -> Estimate:
    status = Status.REACHED if math.isfinite(value) else Status.NON_FINITE
    return Estimate(value, 0.0, unit, "exact", status, f"rounding to nearest, baseline {baseline:.6g}")
