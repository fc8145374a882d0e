r"""Hamiltonian moves that are exact for the Gaussian prior, many stages and chains at once.

A chain at inverse temperature β has density proportional to :math:`e^{-|z|^2/2 - \beta h(L(z))}`. Its
Hamiltonian is split into the prior part, whose flow is a rotation of position and velocity and is solved
exactly, and the loss part, which only kicks the velocity (Shahbaba, Lan, Johnson and Neal 2014, Split
Hamiltonian Monte Carlo). With mass :math:`1/s_i^2` coordinate ``i`` rotates by :math:`\epsilon s_i` a step:

.. math:: v \leftarrow v - \tfrac{\epsilon}{2} s \odot \beta \nabla h; \quad
          (z, v) \leftarrow (z\cos\epsilon s + v\sin\epsilon s,\; v\cos\epsilon s - z\sin\epsilon s); \quad
          v \leftarrow v - \tfrac{\epsilon}{2} s \odot \beta \nabla h.

Without a loss nothing is ever rejected, whatever the step, the dimension and the mass. In few dimensions the mass may
have correlations: the coordinates above are then those of an orthogonal basis, under which the prior looks the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.engine.rotation import correlated
from pindown.engine.warp import Warp

__all__ = ["ACCEPTANCE", "MOST_CORRELATED", "Chains", "StepSizes", "along", "hamiltonian", "swap_neighbours"]

ACCEPTANCE = 0.8
"""Acceptance that step sizes aim at; 0.65 to 0.9 differ little in cost (Betancourt et al. 2014)."""
MOST_CORRELATED = 64
"""Dimensions up to which a mass with correlations is looked for: it takes several times as many samples."""
_JITTER = 0.2
_DIVERGED = 1000.0  # nats
_TRAJECTORY = math.pi / 2.0  # a quarter turn forgets the start wherever the step fits the curvature


@dataclass
class Chains:
    """Positions of ``n`` chains at each of ``K`` stages, with their losses and gradients.

    Attributes:
        z: positions as standard normals, ``(K, n, D)``.
        loss: ``(K, n)``, float64.
        gradient: of the loss with respect to ``z``, ``(K, n, D)``.
        origin: number of the prior draw or starting point that each chain descends from, ``(K, n)``.
    """

    z: Tensor
    loss: Tensor
    gradient: Tensor
    origin: Tensor

    @classmethod
    def at(cls, objective: Objective, z: Tensor, first_origin: int = 0) -> Chains:
        """Chains at the given positions ``(K, n, D)``, numbered from ``first_origin``."""
        loss, gradient = objective.losses_and_gradients(z.flatten(0, 1))
        origin = first_origin + torch.arange(loss.numel(), device=z.device)
        return cls(z, loss.view(z.shape[:2]), gradient.view(z.shape), origin.view(z.shape[:2]))


@dataclass
class StepSizes:
    """Step size and per-coordinate scale of each stage.

    Attributes:
        step: ``(K,)``, float64; ε above.
        scale: ``(K, D)``; s above, at most 1.
        most_leaps: most leapfrog steps of a trajectory.
        round: how many adaptations were made.
        total: sum of the logarithms of the steps since :meth:`gather`, and over how many adaptations.
        basis: orthonormal columns ``(K, D, D)`` along which the scales are, or None for the coordinates themselves.
    """

    step: Tensor
    scale: Tensor
    most_leaps: int
    round: int = 0
    total: tuple[Tensor, int] | None = None
    basis: Tensor | None = None

    @property
    def leaps(self) -> Tensor:
        """Leapfrog steps a trajectory takes at each stage."""
        return (_TRAJECTORY / self.step).ceil().clamp(2, self.most_leaps).long()

    def adapt(self, accepted: Tensor) -> None:
        """Move each step towards the acceptance aimed at, by less and less (Robbins and Monro 1951)."""
        self.round += 1
        rate = 1.5 / self.round**0.6
        smooth = _smooth(accepted)
        self.step = (self.step.log() + rate * (smooth - ACCEPTANCE)).exp().clamp(1e-6, 1.2)
        if self.total is not None:
            self.total = self.total[0] + self.step.log(), self.total[1] + 1

    def gather(self) -> None:
        """Begin to average the steps' logarithms."""
        self.total = torch.zeros_like(self.step), 0

    def settle(self) -> None:
        """Put the average in the place of the last step, which has noise (Polyak and Juditsky 1992)."""
        if self.total is not None and self.total[1]:
            self.step = (self.total[0] / self.total[1]).exp()
        self.total = None

    @classmethod
    def from_forces(cls, step: Tensor, squares: list[Tensor], most_leaps: int, round: int) -> StepSizes:
        """Scales from mean squared forces, one tensor a stage.

        Args:
            step: ``(K,)``.
            squares: for each stage the mean squares ``(D,)``, or the mean products ``(D, D)``, whose eigenvectors
                become the basis where they are far from the coordinates.
            most_leaps: as in the class.
            round: as in the class.
        """
        if all(s.ndim == 1 for s in squares):
            return cls(step, cls.scale_from(torch.stack(squares)), most_leaps, round)
        products = torch.stack([s if s.ndim == 2 else torch.diag(s) for s in squares])
        values, basis = _axes(products)
        return cls(step, cls.scale_from(values), most_leaps, round, basis=basis)

    @staticmethod
    def scale_from(squares: Tensor) -> Tensor:
        r"""Scales ``1/√(1 + E[(∂φ)²])`` from mean squared forces.

        For a Gaussian target the mean squared force along a coordinate is its curvature up to the prior's
        share, so this is the conditional width of the coordinate.
        """
        return (1.0 + squares).rsqrt()

    def of(self, stages: slice) -> StepSizes:
        """The step sizes of some stages, to be adapted anew."""
        basis = None if self.basis is None else self.basis[stages]
        return StepSizes(self.step[stages], self.scale[stages], self.most_leaps, basis=basis)


def along(x: Tensor, basis: Tensor | None) -> Tensor:
    """Points ``(K, n, D)`` in the coordinates of each stage's basis."""
    return x if basis is None else torch.matmul(x, basis)


def _axes(products: Tensor) -> tuple[Tensor, Tensor | None]:
    """Mean squares along the axes of each matrix ``(K, D, D)``, and the axes; None where the coordinates will do."""
    squares = products.diagonal(dim1=1, dim2=2)
    turned = correlated(products)
    values, basis = torch.linalg.eigh(products)
    straight = torch.eye(products.shape[1], dtype=products.dtype, device=products.device)
    basis = torch.where(turned.view(-1, 1, 1), basis, straight)
    return torch.where(turned.unsqueeze(1), values.clamp_min(0.0), squares), basis if bool(turned.any()) else None


def _smooth(x: Tensor) -> Tensor:
    """Average each stage with two neighbours on either side: one stage alone has few chains."""
    padded = torch.cat([x[:1], x[:1], x, x[-1:], x[-1:]])
    return padded.unfold(0, 5, 1).mean(1)


def hamiltonian(
    objective: Objective, warp: Warp, beta: Tensor, chains: Chains, sizes: StepSizes, rng: torch.Generator,
    diverged: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Move every chain by one trajectory, in place.

    Args:
        objective: the loss.
        warp: the function of the loss that is tempered.
        beta: inverse temperature of each stage, ``(K,)`` float64.
        chains: moved in place.
        sizes: step sizes.
        rng: source of velocities, jitter and acceptances.
        diverged: takes the share of each stage's trajectories, ``(K,)``, whose energy rose by more than 1000 nats or
            became infinite: steps too long for where they led (Betancourt 2017, A conceptual introduction to
            Hamiltonian Monte Carlo, 6.2).

    Returns:
        Mean acceptance probability of each stage, ``(K,)``.
    """
    stages, n, dim = chains.z.shape
    device, dtype = chains.z.device, chains.z.dtype
    jitter = 1.0 + _JITTER * (2.0 * torch.rand(stages, generator=rng, device=device, dtype=torch.float64) - 1.0)
    coin = torch.rand((stages, n), generator=rng, device=device, dtype=torch.float64)
    rate = torch.empty(stages, dtype=torch.float64, device=device)
    leaps = sizes.leaps
    order = leaps.argsort(descending=True, stable=True)
    for block in order.split(max(1, objective.rows // n)):
        turn = ((sizes.step[block] * jitter[block]).to(dtype).view(-1, 1) * sizes.scale[block]).unsqueeze(1)
        # Single precision is drawn several times faster, and a velocity's last bits matter to nothing.
        velocity = torch.randn((len(block), n, dim), generator=rng, device=device, dtype=torch.float32).to(dtype)
        start = Chains(chains.z[block], chains.loss[block], chains.gradient[block], chains.origin[block])
        target = _Target(objective, warp, beta[block].unsqueeze(1), None if sizes.basis is None else sizes.basis[block])
        end, energy_change = _trajectory(target, start, velocity, turn, sizes.scale[block], leaps[block].tolist())
        probability = torch.exp(-energy_change.clamp_min(0.0)).nan_to_num(0.0)
        rate[block] = probability.mean(1)
        if diverged is not None:
            diverged[block] = 1.0 - (energy_change < _DIVERGED).double().mean(1)
        taken = coin[block] < probability
        wide = taken.unsqueeze(-1)
        chains.z[block] = torch.where(wide, end.z, start.z)
        chains.gradient[block] = torch.where(wide, end.gradient, start.gradient)
        chains.loss[block] = torch.where(taken, end.loss, start.loss)
    return rate


@dataclass
class _Target:
    """The tempered density of some stages, in the coordinates of their bases."""

    objective: Objective
    warp: Warp
    beta: Tensor
    basis: Tensor | None

    def losses_and_gradients(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and gradients of the first ``len(z)`` stages."""
        basis = None if self.basis is None else self.basis[: len(z)]
        x = along(z, None if basis is None else basis.mT)
        loss, gradient = self.objective.losses_and_gradients(x.view(-1, x.shape[-1]), look=False)
        return loss.view(z.shape[:2]), along(gradient.view(z.shape), basis)


def _trajectory(
    target: _Target, start: Chains, v: Tensor, turn: Tensor, scale: Tensor, leaps: list[int]
) -> tuple[Chains, Tensor]:
    """One trajectory of stages that are sorted by their leaps, the longest first; those that end early drop out."""
    # The velocity is held as v/s, so that a kick by ε s β ∇h is one multiplication by a number a chain.
    epsilon = turn[..., :1] / scale[:, None, :1]
    cos, sin = torch.cos(turn), torch.sin(turn)
    forward, back = sin * scale.unsqueeze(1), sin / scale.unsqueeze(1)
    v /= scale.unsqueeze(1)

    def kick(v: Tensor, size: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """Kick the velocities in place; returns β h."""
        value, slope = target.warp.value_and_slope(loss)
        force = (target.beta[: len(v)] * slope).to(v.dtype).unsqueeze(-1) * size
        v.addcmul_(gradient, force, value=-1.0)
        return target.beta[: len(v)] * value

    def kinetic(z: Tensor, v: Tensor, scale: Tensor) -> Tensor:
        speed = v * scale.unsqueeze(1)
        # Sums of many squares are what a rejection is decided on.
        return 0.5 * (z.square().sum(-1, dtype=torch.float64) + speed.square().sum(-1, dtype=torch.float64))

    z = along(start.z, target.basis)
    before = kinetic(z, v, scale) + kick(v, 0.5 * epsilon, start.loss, along(start.gradient, target.basis))
    ended, leap = [], 0
    while len(z):
        leap += 1
        c, n = cos[: len(z)], len(z)
        z, turned = (c * z).addcmul_(forward[:n], v), z
        v.mul_(c).addcmul_(back[:n], turned, value=-1.0)
        loss, gradient = target.losses_and_gradients(z)
        going = sum(count > leap for count in leaps)
        # The last kick of a trajectory is half a kick.
        size = epsilon[:n].clone()
        size[going:] *= 0.5
        tempered = kick(v, size, loss, gradient)
        if going < n:
            last = slice(going, n)
            energy = kinetic(z[last], v[last], scale[last]) + tempered[last]
            ended.append((z[last], loss[last], gradient[last], energy))
            z, v = z[:going], v[:going]
    z, loss, gradient, after = (torch.cat(parts) for parts in zip(*reversed(ended), strict=True))
    back_again = None if target.basis is None else target.basis.mT
    return Chains(along(z, back_again), loss, along(gradient, back_again), start.origin), after - before


def swap_neighbours(h: Tensor, beta: Tensor, chains: Chains, parity: int, rng: torch.Generator) -> Tensor:
    r"""Offer chains of neighbouring stages each other's places, in place (replica exchange).

    The exchange is accepted with probability :math:`\min(1, e^{(\beta_k - \beta_{k+1})(h_a - h_b)})`
    (Geyer 1991; Hukushima and Nemoto 1996). Stages ``parity, parity+1``, ``parity+2, …`` are paired, chains
    within a pair at a random shift.

    Args:
        h: warped losses, ``(K, n)``; kept in step with the chains.
        beta: inverse temperatures, ``(K,)``.
        chains: exchanged in place.
        parity: 0 or 1.
        rng: source of the shift and the acceptances.

    Returns:
        Mean acceptance of each pair.
    """
    stages, n = h.shape
    low = torch.arange(parity, stages - 1, 2, device=h.device)
    if len(low) == 0:
        return torch.empty(0, dtype=torch.float64, device=h.device)
    shift = int(torch.randint(n, (1,), generator=rng, device=h.device))
    column = torch.arange(n, device=h.device)
    partner = (column + shift) % n
    gain = (beta[low] - beta[low + 1]).unsqueeze(1) * (h[low] - h[low + 1][:, partner])
    probability = gain.clamp_max(0.0).exp().nan_to_num(0.0)
    coin = torch.rand(gain.shape, generator=rng, device=h.device, dtype=torch.float64)
    pair, i = (coin < probability).nonzero(as_tuple=True)
    a, b, j = low[pair], low[pair] + 1, partner[i]
    for t in (chains.z, chains.loss, chains.gradient, chains.origin, h):
        t[a, i], t[b, j] = t[b, j], t[a, i]
    return probability.mean(1)
