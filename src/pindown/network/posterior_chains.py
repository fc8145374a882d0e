r"""Samplers of the localised posterior, every chain of every inverse temperature in one batch.

Chains of stage ``s`` have the density :math:`e^{-U_s(z)}`, :math:`U_s = b_s\,(L(w^* + z/\sqrt\gamma) - L(w^*)) +
|z|^2/2` with :math:`b = n\beta`. Stages come in pairs of one inverse temperature, the second with a smaller step, for
the step-halving test.

* :class:`Hamiltonian` takes trajectories of the engine's moves, exact in what is flat, and rejects
  (Neal 2011, MCMC using Hamiltonian dynamics; :mod:`pindown.engine.moves`).
* :class:`Langevin` takes steps :math:`z' = z - \tfrac{h}{2} s^2 \nabla U + \sqrt h\, s\, \xi`; with rejection it is
  MALA (Roberts and Tweedie 1996), without SGLD (Welling and Teh 2011), on minibatches or on all data. With scales
  :math:`s` from mean squared forces it is preconditioned (Li, Chen, Carlson and Carin 2016); the scales are fixed
  before anything is recorded, so that the correction for a moving preconditioner is zero.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.engine.moves import Chains, StepSizes, hamiltonian
from pindown.engine.warp import Warp
from pindown.network.localised import LocalPosterior
from pindown.network.minibatches import Minibatches

__all__ = ["SUBSTEPS", "Hamiltonian", "Langevin", "Sampler", "Sweep"]

_FASTEST = 1.2
_CORRELATED, _VERY_CORRELATED = 0.8, 0.95
SUBSTEPS = 10
_SMALL = 1e-6
_TOGETHER = 100_000  # normals drawn at once: they stay in the cache
_DIVERGED = 100.0  # nats, of one step
_RUNAWAY = 20.0  # rejections that a trajectory counts as whose energy ran away


@dataclass(frozen=True)
class Sweep:
    """What one sweep gave.

    Attributes:
        excess: ``L(w) − L(w*)`` of each chain, ``(S, n)``; the mean over the sweep's steps where there are several.
        acceptance: mean acceptance probability of each stage ``(S,)``; of the corrected move where none is made.
        noise: variance of the minibatch gradient's push over that of the injected noise, ``(S,)``; zero on all data.
        diverged: share of trajectories whose energy ran away, ``(S,)``; zero where there are none.
    """

    excess: Tensor
    acceptance: Tensor
    noise: Tensor
    diverged: Tensor


class Sampler(ABC):
    """Chains of paired stages.

    Attributes:
        aim: acceptance that steps are adapted to.
        rejects: whether moves are rejected, so that the step leaves no bias.
        steps: step sizes and scales.
        beta: inverse temperature of each stage, ``(S,)``.
    """

    aim: float
    rejects: bool

    def __init__(
        self, posterior: LocalPosterior, beta: Tensor, *, smaller: float, preconditioned: bool, tested: int | None,
        most_leaps: int = 1,
    ) -> None:  # fmt: skip
        self.posterior, self.beta, self.preconditioned = posterior, beta, preconditioned
        stages, device = len(beta), posterior.device
        self.factor = torch.ones(stages, dtype=torch.float64, device=device)
        if tested is None:
            self.factor[1::2] = smaller
        else:
            self.factor[2 * tested + 1] = smaller
        start = 0.1 * self.factor
        scale = torch.ones(stages, posterior.local.dim, dtype=posterior.dtype, device=device)
        self.steps = StepSizes(start, scale, most_leaps)
        self.stretch = torch.ones(stages, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(scale)
        self._seen = 0

    @abstractmethod
    def sweep(self, chains: Chains, beta: Tensor, rng: torch.Generator) -> Sweep:
        """Move every chain, in place, at the inverse temperatures ``beta`` ``(S,)``."""

    @property
    def leaps(self) -> list[int]:
        """Gradients that each stage takes a recorded move."""
        return [SUBSTEPS] * len(self.beta)

    @property
    @abstractmethod
    def step_size(self) -> list[float]:
        """Step of each pair's first stage, in weights."""

    def adapt(self, done: Sweep, chains: Chains, beta: Tensor) -> None:
        """Move the steps towards the acceptance aimed at (Robbins and Monro 1951), and gather squared forces."""
        steps = self.steps
        steps.round += 1
        rate = 1.5 / steps.round**0.6
        seen = (torch.minimum(done.acceptance, 1.0 - done.noise) - _RUNAWAY * done.diverged)[0::2]
        push = (seen - self.aim) / (1.0 - self.aim if self.aim > 0.9 else 1.0)
        base = (steps.step[0::2].log() + rate * push.clamp(-1.0, 1.0)).exp().clamp(_SMALL, _FASTEST)
        steps.step = base.repeat_interleave(2) * self.factor
        if steps.total is not None:
            steps.total = steps.total[0] + steps.step.log(), steps.total[1] + 1
        if self.preconditioned:
            force = (beta.view(-1, 1, 1).to(chains.gradient.dtype) * chains.gradient).square().mean(1).nan_to_num()
            self._squares += force[0::2].add(force[1::2]).mul_(0.5).repeat_interleave(2, 0)
            self._seen += 1

    def rescale(self) -> None:
        """Take new scales from the squared forces gathered since the last time."""
        if self.preconditioned and self._seen:
            self._set_scale(StepSizes.scale_from(self._squares / self._seen))
            self._squares.zero_()
            self._seen = 0
            self.steps.round = min(self.steps.round, 3)

    def lengthen(self, correlation: Tensor, most: int | None = None) -> None:
        """Where a sweep leaves too much of a chain as it was, ``(S,)``, take longer ones, of at most ``most`` steps."""
        del correlation, most

    def _set_scale(self, scale: Tensor) -> None:
        self.steps.scale = scale

    def start(self, count: int) -> Chains:
        """``count`` chains a stage, all at the trained weights."""
        shape = (len(self.beta), count, self.posterior.local.dim)
        return Chains.at(self.posterior, torch.zeros(shape, dtype=self.posterior.dtype, device=self.posterior.device))


class _Plain(Warp):
    """The loss as it is."""

    def __init__(self) -> None:  # no curve behind it
        pass

    def value_and_slope(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        return loss, torch.ones_like(loss)


class Hamiltonian(Sampler):
    """Hamiltonian trajectories, accepted or rejected.

    With the scales as they are a trajectory is a quarter turn in the narrow directions, which mixes a bowl and diffuses
    slowly along a flat valley. Scales that are stretched by a factor, up to the localisation's own width, with a step
    that is smaller by as much, make trajectories longer by this factor: a valley is crossed in a run instead of by
    diffusion.
    """

    aim, rejects = 0.8, True

    def __init__(self, posterior: LocalPosterior, beta: Tensor, *, tested: int, most_leaps: int = 128) -> None:
        super().__init__(posterior, beta, smaller=0.5, preconditioned=True, tested=tested, most_leaps=most_leaps)
        self._plain, self._base = _Plain(), self.steps.scale

    def _set_scale(self, scale: Tensor) -> None:
        self._base = scale
        self.steps.scale = (scale * self.stretch.to(scale.dtype).unsqueeze(1)).clamp_max(1.0)

    def sweep(self, chains: Chains, beta: Tensor, rng: torch.Generator) -> Sweep:
        """One trajectory a chain."""
        diverged = torch.zeros_like(beta)
        accepted = hamiltonian(self.posterior, self._plain, beta, chains, self.steps, rng, diverged)
        return Sweep(chains.loss.clone(), accepted, torch.zeros_like(accepted), diverged)

    def lengthen(self, correlation: Tensor, most: int | None = None) -> None:
        """Double the trajectories of pairs of stages whose chains move too little in one; fourfold where hardly."""
        pair = torch.maximum(correlation[0::2], correlation[1::2])
        leaps = torch.maximum(self.steps.leaps[0::2], self.steps.leaps[1::2])
        room = (most or self.steps.most_leaps) / leaps.double()
        wanted = torch.where(pair > _VERY_CORRELATED, 4.0, torch.where(pair > _CORRELATED, 2.0, 1.0)).to(room)
        more = torch.minimum(wanted, room.clamp_min(1.0)).repeat_interleave(2)
        if bool((more == 1.0).all()):
            return
        self.stretch = self.stretch * more
        self._set_scale(self._base)
        self.steps.step = self.steps.step / more

    @property
    def leaps(self) -> list[int]:
        """Leapfrog steps of each stage's trajectories."""
        return self.steps.leaps.tolist()

    @property
    def step_size(self) -> list[float]:
        """Leapfrog step, in weights of the mean scale."""
        scale = self.steps.scale[0::2].double().mean(1)
        return (self.steps.step[0::2] * scale / math.sqrt(self.posterior.gamma)).tolist()


class Langevin(Sampler):
    """Langevin steps: MALA where they are rejected, else SGLD, preconditioned or not.

    Args:
        posterior: what is sampled.
        beta: inverse temperature of each stage.
        rejects: accept or reject each step by Metropolis and Hastings.
        preconditioned: scale each coordinate by its mean squared force.
        batches: minibatches, each chain its own; None for all data.
    """

    def __init__(
        self, posterior: LocalPosterior, beta: Tensor, *, rejects: bool, preconditioned: bool,
        batches: Minibatches | None = None,
    ) -> None:  # fmt: skip
        super().__init__(posterior, beta, smaller=math.sqrt(0.5), preconditioned=preconditioned, tested=None)
        self.rejects, self.batches = rejects, batches
        self.aim = 0.6 if rejects else 0.975

    @property
    def step_size(self) -> list[float]:
        """ε of ``w' = w − ε/2 ∇U + √ε ξ``, averaged over coordinates where they are scaled."""
        scale = self.steps.scale[0::2].double().square().mean(1)
        return (self.steps.step[0::2].square() * scale / self.posterior.gamma).tolist()

    def sweep(self, chains: Chains, beta: Tensor, rng: torch.Generator) -> Sweep:
        """Several steps a chain, their excess losses averaged."""
        if self.batches is not None:
            return self._minibatch_sweep(chains, beta, rng)
        total = torch.zeros_like(chains.loss)
        accepted = torch.zeros(len(beta), dtype=torch.float64, device=chains.z.device)
        diverged = torch.zeros_like(accepted)
        for _ in range(SUBSTEPS):
            ratio = self._step(chains, beta, rng)
            accepted += ratio.clamp_max(0.0).exp().nan_to_num(0.0).mean(1)
            diverged += 1.0 - (ratio > -_DIVERGED).double().mean(1)
            total += chains.loss
        return Sweep(total / SUBSTEPS, accepted / SUBSTEPS, torch.zeros_like(accepted), diverged / SUBSTEPS)

    def _step(self, chains: Chains, beta: Tensor, rng: torch.Generator) -> Tensor:
        """One step of every chain; the logarithm of its Metropolis–Hastings ratio."""
        z = chains.z
        noise = torch.randn(z.shape, generator=rng, device=z.device, dtype=z.dtype)
        proposal, drift = self._propose(z, chains.gradient, beta, noise)
        flat, slope = self.posterior.losses_and_gradients(proposal.flatten(0, 1))
        loss, gradient = flat.view(chains.loss.shape), slope.view(z.shape)
        change = self._log_ratio(z, proposal, chains.loss, loss, drift, gradient, beta)
        if not self.rejects:
            chains.z, chains.loss, chains.gradient = proposal, loss, gradient
            return change
        coin = torch.rand(change.shape, generator=rng, device=z.device, dtype=torch.float64)
        taken = coin < change.exp()
        wide = taken.unsqueeze(-1)
        chains.z = torch.where(wide, proposal, z)
        chains.gradient = torch.where(wide, gradient, chains.gradient)
        chains.loss = torch.where(taken, loss, chains.loss)
        return change

    def _wide(self, dtype: torch.dtype) -> Tensor:
        """What a step moves each coordinate of each stage's chains by, ``(S, 1, dim)``."""
        return (self.steps.step.to(dtype).view(-1, 1) * self.steps.scale).unsqueeze(1)

    def _propose(self, z: Tensor, gradient: Tensor, beta: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The point that a step with this noise leads to, and ``∇U`` where it starts."""
        push = torch.addcmul(z, gradient, beta.to(z.dtype).view(-1, 1, 1))
        wide = self._wide(z.dtype)
        return torch.addcmul(z, wide.square(), push, value=-0.5).addcmul_(wide, noise), push

    def _log_ratio(
        self, z: Tensor, proposal: Tensor, before: Tensor, after: Tensor, push: Tensor, gradient: Tensor, beta: Tensor
    ) -> Tensor:
        """Logarithm of the Metropolis–Hastings ratio of a step."""
        wide = self._wide(z.dtype)
        back = torch.addcmul(proposal, gradient, beta.to(z.dtype).view(-1, 1, 1))
        energy = beta.view(-1, 1) * (before - after)
        energy = energy + 0.5 * (z.square() - proposal.square()).sum(-1, dtype=torch.float64)
        # ln q(z|z') − ln q(z'|z), with the squares multiplied out: (z' − z)·(∇U + ∇U')/2 + h s² (|∇U|² − |∇U'|²)/8
        forward = ((proposal - z) * (push + back)).sum(-1, dtype=torch.float64) * 0.5
        rest = (wide.square() * (push.square() - back.square())).sum(-1, dtype=torch.float64) / 8.0
        return energy + forward + rest

    def _minibatch_sweep(self, chains: Chains, beta: Tensor, rng: torch.Generator) -> Sweep:
        batches = self.batches
        assert batches is not None
        z, shape = chains.z, chains.loss.shape
        width = 1.0 / math.sqrt(self.posterior.gamma)
        count, factor = shape[0] * shape[1], beta.to(z.dtype).view(-1, 1, 1)
        wide = self._wide(z.dtype)
        half = wide.square().mul_(-0.5)
        sums: list[Tensor] = []
        at_point: list[Tensor] = []
        accepted = spread = torch.zeros(len(beta), dtype=torch.float64, device=z.device)
        steps = zip(batches.draw(count, rng, SUBSTEPS), self._noise(wide, z, rng), strict=True)
        for i, (batch, noise) in enumerate(steps):
            flat, slope = batches.sums_and_gradient(z.flatten(0, 1), batch, width)
            gradient = slope.view(z.shape)
            sums.append(flat)
            at_point.append(batch.at_point)
            push = torch.addcmul(z, gradient, factor)
            proposal = noise.addcmul_(half, push).add_(z)
            if i == 0:
                loss = batches.excess(flat, batch.at_point).view(shape)
                flat, slope = batches.excess_and_gradient(proposal.flatten(0, 1), batch, width)
                after, end = flat.view(shape), slope.view(z.shape)
                change = self._log_ratio(z, proposal, loss, after, push, end, beta)
                accepted = change.clamp_max(0.0).exp().nan_to_num(0.0).mean(1)
                spread = self._spread(batches, z, gradient, beta, width, rng)
                chains.gradient = gradient
            z = proposal
        chains.z = z.clone()  # not a view of the whole sweep's noise
        chains.loss = batches.excess(torch.stack(sums).double(), torch.stack(at_point)).mean(0).view(shape)
        self.posterior.evaluations += (SUBSTEPS + 2) * len(z.flatten(0, 1))
        return Sweep(chains.loss, accepted, spread, torch.zeros_like(accepted))

    def _noise(self, wide: Tensor, z: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """What each step of a sweep injects, a tensor of its own; drawn together while that is small."""
        together = max(1, min(SUBSTEPS, _TOGETHER // z.numel()))
        for first in range(0, SUBSTEPS, together):
            shape = (min(together, SUBSTEPS - first), *z.shape)
            yield from torch.randn(shape, generator=rng, device=z.device, dtype=z.dtype).mul_(wide)

    def _spread(
        self, batches: Minibatches, z: Tensor, gradient: Tensor, beta: Tensor, width: float, rng: torch.Generator
    ) -> Tensor:
        """Variance of the minibatch push over that of the injected noise, where the gradient is noisy.

        A coordinate's push ``h s² b g / 2`` has the variance ``h² s⁴ b² Var g / 4`` beside ``h s²``.
        """
        batch = next(batches.draw(z.shape[0] * z.shape[1], rng))
        _, slope = batches.excess_and_gradient(z.flatten(0, 1), batch, width)
        variance = 0.5 * (slope.view(z.shape) - gradient).square().mean(1).double()
        wide = self.steps.step.view(-1, 1) * self.steps.scale.double()
        share = 0.25 * (wide * beta.view(-1, 1)).square() * variance
        return (share * variance).sum(1) / variance.sum(1).clamp_min(1e-300)
