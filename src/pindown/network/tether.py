r"""Chains around trained weights: held by a tether, by the loss's quadratic model, or by the loss itself.

Stage ``k`` has the density

.. math:: N(z; 0, I)\, \exp\!\big(-\gamma_k T - \beta_k [(1-s_k) Q + s_k L]\big),\qquad T = \tfrac12 |z - z^*|^2,

with the quadratic model ``Q`` of :mod:`pindown.network.local_gaussian`. At :math:`s = 0` it is a Gaussian. Elsewhere it
is that Gaussian times :math:`e^{-\beta s (L - Q)}`, and a chain moves by Hamiltonian trajectories that solve the
Gaussian part exactly, with its own precision ``P`` as mass, so that all of it turns at one speed, and kick by the rest
(Shahbaba, Lan, Johnson and Neal 2014, Split Hamiltonian Monte Carlo; Beskos, Pinski, Sanz-Serna and Stuart 2011,
Hybrid Monte Carlo on Hilbert spaces). Where the loss is quadratic nothing is rejected, whatever the dimension and the
condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.engine.moves import StepSizes
from pindown.engine.objective import Objective
from pindown.network.local_gaussian import LocalGaussian

__all__ = ["Stages", "Walkers", "swap", "trajectories"]

_JITTER = 0.2
_BLOCK_BYTES = 8_000_000


@dataclass(frozen=True, eq=False)
class Stages:
    """Strength of tether, inverse temperature and share of the true loss of each stage, float64 ``(K,)``."""

    tether: Tensor
    beta: Tensor
    share: Tensor

    @property
    def coefficients(self) -> Tensor:
        """What (T, Q, L) are multiplied with, ``(K, 3)``."""
        return torch.stack([self.tether, self.beta * (1.0 - self.share), self.beta * self.share], dim=1)

    def __len__(self) -> int:
        return len(self.beta)

    def rows(self, n: int) -> Stages:
        """Each stage ``n`` times."""
        return Stages(*(t.repeat_interleave(n) for t in (self.tether, self.beta, self.share)))

    def __getitem__(self, rows: slice | Tensor) -> Stages:
        return Stages(self.tether[rows], self.beta[rows], self.share[rows])

    @classmethod
    def of(cls, rows: list[tuple[float, float, float]], device: torch.device) -> Stages:
        """From (tether, beta, share) of each."""
        return cls(*torch.tensor(rows, dtype=torch.float64, device=device).T)


@dataclass(eq=False)
class Walkers:
    """``n`` chains at each of ``K`` stages.

    Attributes:
        x: displacement from the weights, ``(K, n, D)``.
        stats: T, Q and L, ``(K, n, 3)`` float64.
        gradient: of L, ``(K, n, D)``.
    """

    x: Tensor
    stats: Tensor
    gradient: Tensor

    @classmethod
    def at(cls, objective: Objective, local: LocalGaussian, x: Tensor) -> Walkers:
        """Chains at displacements ``x`` ``(K, n, D)``."""
        flat = x.flatten(0, 1)
        loss, gradient = objective.losses_and_gradients(local.centre + flat)
        stats = torch.stack([_tethered(flat), local.model(flat)[0], loss], dim=1)
        return cls(x, stats.view(*x.shape[:2], 3), gradient.view(x.shape))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three together."""
        return self.x, self.stats, self.gradient

    def __getitem__(self, stages: slice) -> Walkers:
        return Walkers(self.x[stages], self.stats[stages], self.gradient[stages])


def _tethered(x: Tensor) -> Tensor:
    return 0.5 * x.square().sum(-1, dtype=torch.float64)


def trajectories(
    objective: Objective, local: LocalGaussian, stages: Stages, walkers: Walkers, sizes: StepSizes, rng: torch.Generator
) -> Tensor:
    """Move every chain by one trajectory, in place; mean acceptance probability of each stage, ``(K,)``.

    Args:
        objective: the loss in the prior's coordinates.
        local: the quadratic model.
        stages: K of them.
        walkers: moved in place.
        sizes: ``sizes.step`` are the angles of a step; ``scale`` is not used.
        rng: source of velocities, jitter and acceptances.
    """
    count, n, dim = walkers.x.shape
    device, dtype = walkers.x.device, walkers.x.dtype
    jitter = 1.0 + _JITTER * (2.0 * torch.rand(count, generator=rng, device=device, dtype=torch.float64) - 1.0)
    coin = torch.rand((count, n), generator=rng, device=device, dtype=torch.float64)
    rate = torch.empty(count, dtype=torch.float64, device=device)
    leaps = sizes.leaps
    order = leaps.argsort(descending=True, stable=True)
    together = max(1, max(objective.rows, _BLOCK_BYTES // (walkers.x.element_size() * dim)) // n)
    for block in order.split(together):
        angle = (sizes.step[block] * jitter[block]).repeat_interleave(n)
        noise = torch.randn((len(block) * n, dim), generator=rng, device=device, dtype=torch.float32).to(dtype)
        start = Walkers(*(t[block] for t in walkers.tensors()))
        end, change = _trajectory(objective, local, stages[block].rows(n), start, noise, angle, leaps[block].tolist())
        probability = torch.exp(-change.clamp_min(0.0)).nan_to_num(0.0).view(len(block), n)
        rate[block] = probability.mean(1)
        taken = (coin[block] < probability).unsqueeze(-1)
        for now, then, whole in zip(end.tensors(), start.tensors(), walkers.tensors(), strict=True):
            whole[block] = torch.where(taken, now.view(then.shape), then)
    return rate


def _trajectory(
    objective: Objective,
    local: LocalGaussian,
    stages: Stages,
    start: Walkers,
    noise: Tensor,
    angle: Tensor,
    leaps: list[int],
) -> tuple[Walkers, Tensor]:
    """One trajectory of stages sorted by their leaps, the longest first; those that end early drop out."""
    n, dtype, u = start.x.shape[1], noise.dtype, local.directions
    metric = local.at(stages.tether, stages.beta)
    shift = metric.shift
    pull = (stages.beta * stages.share).unsqueeze(1)
    off, on = metric.off, metric.on
    shift_on = (shift @ u.T).double()
    v = metric.power(noise, -0.5)
    y = start.x.flatten(0, 1) - shift
    v_on, y_on = (v @ u.T).double(), (y @ u.T).double()
    cos, sin = torch.cos(angle).unsqueeze(1), torch.sin(angle).unsqueeze(1)
    small_cos, small_sin = cos.to(dtype), sin.to(dtype)

    def kick(v: Tensor, v_on: Tensor, y_on: Tensor, gradient: Tensor, size: Tensor) -> Tensor:
        """Add −size · P⁻¹ βs ∇(L − Q) to the velocities, on and off ``U``; returns v_on."""
        m = len(v)
        strength = size * pull[:m]
        slope = local.slope + local.curvature * (y_on + shift_on[:m])
        seen = (gradient @ u.T).double()
        inside = (1.0 / on[:m] - 1.0 / off[:m]) * seen - slope / on[:m]
        v.addcmul_((strength / off[:m]).to(dtype), gradient, value=-1.0)
        v.sub_((strength * inside).to(dtype) @ u)
        return v_on - strength * (seen - slope) / on[:m]

    def energy(y: Tensor, v: Tensor, y_on: Tensor, v_on: Tensor, loss: Tensor, rows: slice) -> Tensor:
        total = torch.zeros(len(y), dtype=torch.float64, device=y.device)
        for t, t_on in ((y, y_on), (v, v_on)):
            rest = t.square().sum(-1, dtype=torch.float64) - t_on.square().sum(-1)
            total += 0.5 * (off[rows, 0] * rest + (on[rows] * t_on.square()).sum(-1))
        return total + pull[rows, 0] * (loss - local.quadratic(y_on + shift_on[rows]))

    everything = slice(None)
    loss, gradient = start.stats[..., 2].flatten(), start.gradient.flatten(0, 1)
    before = energy(y, v, y_on, v_on, loss, everything)
    step = angle.unsqueeze(1)
    v_on = kick(v, v_on, y_on, gradient, 0.5 * step)
    ended: list[tuple[Tensor, ...]] = []
    leap, alive = 0, len(y)
    while alive:
        leap += 1
        y, v = (
            small_cos[:alive] * y + small_sin[:alive] * v,
            small_cos[:alive] * v - small_sin[:alive] * y,
        )
        y_on, v_on = cos[:alive] * y_on + sin[:alive] * v_on, cos[:alive] * v_on - sin[:alive] * y_on
        x = y + shift[:alive]
        loss, gradient = objective.losses_and_gradients(local.centre + x, look=False)
        going = n * sum(count > leap for count in leaps)
        size = step[:alive].clone()
        size[going:] *= 0.5  # the last kick of a trajectory
        v_on = kick(v, v_on, y_on, gradient, size)
        if going < alive:
            last = slice(going, alive)
            # Fresh projections for what the acceptance is decided on, free of what rounding has gathered.
            true_y, true_v = (y[last] @ u.T).double(), (v[last] @ u.T).double()
            after = energy(y[last], v[last], true_y, true_v, loss[last], last)
            stats = torch.stack([_tethered(x[last]), local.quadratic(true_y + shift_on[last]), loss[last]], dim=1)
            ended.append((x[last], stats, gradient[last], after))
            y, v, y_on, v_on = y[:going], v[:going], y_on[:going], v_on[:going]
            alive = going
    x, stats, gradient, after = (torch.cat(parts) for parts in zip(*reversed(ended), strict=True))
    return Walkers(x, stats, gradient), after - before


def swap(stages: Stages, walkers: Walkers, parity: int, rng: torch.Generator) -> Tensor:
    r"""Offer chains of neighbouring stages each other's places, in place; mean acceptance of each pair.

    Accepted with probability :math:`\min(1, e^{(c_k - c_{k+1}) \cdot (S_a - S_b)})`, ``c`` the stages' coefficients and
    ``S`` the chains' (T, Q, L) (Hukushima and Nemoto 1996, Exchange Monte Carlo method).
    """
    count, n, _ = walkers.stats.shape
    device = walkers.stats.device
    low = torch.arange(parity, count - 1, 2, device=device)
    if not len(low):
        return torch.empty(0, dtype=torch.float64, device=device)
    shift = int(torch.randint(n, (1,), generator=rng, device=device))
    partner = (torch.arange(n, device=device) + shift) % n
    c = stages.coefficients
    gap = walkers.stats[low] - walkers.stats[low + 1][:, partner]
    gain = ((c[low] - c[low + 1]).unsqueeze(1) * gap).sum(-1)
    probability = gain.clamp_max(0.0).exp().nan_to_num(0.0)
    coin = torch.rand(gain.shape, generator=rng, device=device, dtype=torch.float64)
    pair, i = (coin < probability).nonzero(as_tuple=True)
    a, b, j = low[pair], low[pair] + 1, partner[i]
    for t in walkers.tensors():
        t[a, i], t[b, j] = t[b, j], t[a, i]
    return probability.mean(1)
