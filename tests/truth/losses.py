"""The losses of the known cases: small picklable objects, each mapping torch points (N, D) to values (N,)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


def rotation(dim: int, columns: int | None = None, seed: int = 0) -> Tensor:
    """``columns`` orthonormal columns of length ``dim``, the same at each call."""
    g = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dim, columns or dim, generator=g, dtype=torch.float64)).Q


@dataclass(frozen=True)
class SquaredNorm:
    """Σ xᵢ², over the first ``count`` coordinates where given, divided by ``scale``."""

    count: int | None = None
    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return x[:, : self.count].square().sum(-1) / self.scale


@dataclass(frozen=True)
class Rows:
    """Σ_r w_rᵀ A w_r over the rows of a matrix of weights, the eigenvalues of A as given and its axes rotated."""

    scales: tuple[float, ...]

    def __call__(self, x: Tensor) -> Tensor:
        turned = x.unflatten(1, (-1, len(self.scales))) @ rotation(len(self.scales)).to(x)
        return (turned.square() * torch.tensor(self.scales).to(x)).sum((1, 2))


@dataclass(frozen=True)
class Along:
    """−x·u with u the unit diagonal: below −s beyond s standard deviations."""

    def __call__(self, x: Tensor) -> Tensor:
        return -x.sum(-1) / x.shape[1] ** 0.5


@dataclass(frozen=True)
class Largest:
    """max xᵢ."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.amax(-1)


@dataclass(frozen=True)
class Total:
    """Σ xᵢ."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.sum(-1)


@dataclass(frozen=True)
class FromSphere:
    """|‖x‖ − radius|."""

    radius: float

    def __call__(self, x: Tensor) -> Tensor:
        return (x.norm(dim=-1) - self.radius).abs()


@dataclass(frozen=True)
class Quadratic:
    """Σ aᵢ yᵢ² with y = x, or y = Qᵀx for a fixed random rotation Q."""

    scales: tuple[float, ...]
    rotated: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        if self.rotated:
            x = x @ _rotation_of(len(self.scales), dtype=x.dtype)
        return (torch.tensor(self.scales, dtype=x.dtype) * x.square()).sum(-1)


@dataclass(frozen=True)
class LowRankQuadratic:
    """‖Uᵀx‖² with ``rank`` orthonormal columns: χ² with ``rank`` degrees of freedom under N(0, I)."""

    dim: int
    rank: int

    def __call__(self, x: Tensor) -> Tensor:
        return (x @ _rotation_of(self.dim, self.rank, x.dtype)).square().sum(-1)


@cache
def _rotation_of(dim: int, columns: int | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    return rotation(dim, columns).to(dtype)


@dataclass(frozen=True)
class Basins:
    """min over basins of a power law in the squared distance to a centre on the first axis.

    Basin b has v = ‖x − c_b e₀‖² / s_b and value v, or k (v/k)^{p_b} once v is below the knee k: the higher the
    power, the more slowly its volume shrinks with the tolerance.
    """

    basins: tuple[tuple[float, float, float], ...]  # (c, s, p)
    knee: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        rest = x[:, 1:].square().sum(-1)
        values = []
        for centre, scale, power in self.basins:
            v = (rest + (x[:, 0] - centre).square()) / scale
            values.append(v if power == 1.0 else torch.where(v < self.knee, self.knee * (v / self.knee) ** power, v))
        return torch.stack(values).amin(0)

    def balls(self, t: float) -> list[tuple[float, float]]:
        """Each basin below ``t`` as (distance of its centre from the origin, squared radius)."""
        out = []
        for centre, scale, power in self.basins:
            v = t if power == 1.0 or t >= self.knee else self.knee * (t / self.knee) ** (1 / power)
            out.append((abs(centre), scale * v))
        return out


@dataclass(frozen=True)
class Funnel:
    """e^{−spread·x₀} Σ_{i≥1} xᵢ²."""

    spread: float

    def __call__(self, x: Tensor) -> Tensor:
        return torch.exp(-self.spread * x[:, 0]) * x[:, 1:].square().sum(-1)


@dataclass(frozen=True)
class ReducedRank:
    """‖BA − C‖² with A (hidden × inputs) and B (outputs × hidden) end to end; C = diag(1, …, 1, 0, …) of ``rank``."""

    inputs: int
    hidden: int
    outputs: int
    rank: int = 0

    @property
    def dim(self) -> int:
        return self.hidden * (self.inputs + self.outputs)

    def __call__(self, x: Tensor) -> Tensor:
        cut = self.hidden * self.inputs
        a = x[:, :cut].view(-1, self.hidden, self.inputs)
        b = x[:, cut:].view(-1, self.outputs, self.hidden)
        truth = torch.zeros(self.outputs, self.inputs, dtype=x.dtype)
        truth[range(self.rank), range(self.rank)] = 1.0
        return (b @ a - truth).square().sum((-1, -2))


@dataclass(frozen=True)
class PowerSum:
    """Σ |wᵢ|^power over the first ``count`` coordinates."""

    count: int
    power: float

    def __call__(self, w: Tensor) -> Tensor:
        return w[:, : self.count].abs().pow(self.power).sum(-1)


@dataclass(frozen=True)
class Monomial:
    """Π |wᵢ|^{kᵢ}."""

    powers: tuple[float, ...]

    def __call__(self, w: Tensor) -> Tensor:
        return w.abs().pow(torch.tensor(self.powers, dtype=w.dtype)).prod(-1)


@dataclass(frozen=True)
class FromVertex:
    """1 − x₀, summed from the other entries so that small values keep their precision."""

    def __call__(self, x: Tensor) -> Tensor:
        return x[:, 1:].sum(-1)


@dataclass(frozen=True)
class FromCentre:
    """Σ (xᵢ − 1/D)²."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x - 1.0 / x.shape[1]).square().sum(-1)


@dataclass(frozen=True)
class Missed:
    """How many of the first ``k`` items a membership vector lacks."""

    k: int

    def __call__(self, x: Tensor) -> Tensor:
        return self.k - x[:, : self.k].sum(-1)


@dataclass(frozen=True)
class Zeros:
    """How many bits are 0."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.shape[1] - x.sum(-1)


@dataclass(frozen=True)
class Gate:
    """0 where x·u reaches ``sigmas``, 1 elsewhere: nothing to descend."""

    sigmas: float

    def __call__(self, x: Tensor) -> Tensor:
        return (x.sum(-1) / x.shape[1] ** 0.5 < self.sigmas).to(x.dtype)


@dataclass(frozen=True)
class Needle:
    """0 on the all-ones string, 1 elsewhere."""

    def __call__(self, x: Tensor) -> Tensor:
        return 1.0 - x.amin(-1)


@dataclass(frozen=True)
class BooleanNetwork:
    """Largest margin by which a 3-6-1 tanh network with 31 parameters gets one of the eight signs wrong.

    At most 0 exactly where the network computes ``function``, bit i of which is the value on input row i (rows of ±1,
    first input most significant). Parameters: 6 × 3 weights, 6 biases, 6 weights, 1 bias.
    """

    function: int

    def __call__(self, x: Tensor) -> Tensor:
        rows = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=x.dtype)
        sign = torch.tensor([1.0 if self.function >> i & 1 else -1.0 for i in range(8)], dtype=x.dtype)
        hidden = torch.tanh(x[:, :18].view(-1, 6, 3) @ rows.T + x[:, 18:24].unsqueeze(-1))
        out = (x[:, 24:30].unsqueeze(-1) * hidden).sum(1) + x[:, 30:31]
        return (-sign * out).amax(-1)


@dataclass(frozen=True)
class Relabelled:
    """An increasing function of another loss: the event at the relabelled tolerance is the same."""

    loss: SquaredNorm
    how: str

    def apply(self, value: Tensor) -> Tensor:
        if self.how == "log":
            return value.log()
        if self.how == "cube":
            return value**3
        if self.how == "saturating":
            return -torch.expm1(-value)
        return value

    def tolerance(self, t: float) -> float:
        return float(self.apply(torch.tensor(t, dtype=torch.float64)))

    def __call__(self, x: Tensor) -> Tensor:
        return self.apply(self.loss(x))
