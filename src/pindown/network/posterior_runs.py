"""Runs of localised chains: warm-up from both sides, recording in rounds, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint
from pindown.engine.moves import Chains
from pindown.network.posterior_chains import Sampler

__all__ = ["ChainRun", "Traces"]

_BELOW = 16.0  # the ramp starts at this fraction of the lowest inverse temperature
_SHORT = 8  # trajectories of the ramp may be at least this long


@dataclass
class Traces:
    """What the chains of one run went through.

    Attributes:
        excess: ``L(w) − L(w*)``, ``(S, n, T)``; the even chains of a stage came down from a lower inverse
            temperature, the odd ones set out from the trained weights.
        distance: ``|w − w*|²``, ``(S, n, T)``.
        acceptance: ``(S, T)``.
        noise: variance of the minibatch push over that of the injected noise, ``(S, T)``.
        diverged: share of trajectories whose energy ran away, ``(S, T)``.
    """

    excess: Tensor
    distance: Tensor
    acceptance: Tensor
    noise: Tensor
    diverged: Tensor

    @property
    def draws(self) -> int:
        """Recorded sweeps."""
        return self.excess.shape[-1]


@dataclass
class ChainRun:
    """Chains of all stages under one sampler.

    Half of the chains are brought down from a sixteenth of the lowest inverse temperature, so that they approach
    from larger losses; the other half set out from the trained weights themselves, the lowest loss. Where the two
    disagree the chains have not forgotten where they came from.

    Args:
        sampler: with the posterior and the inverse temperatures.
        count: chains a stage, an even number.
        warm: sweeps of the ramp, and again as many of burn-in with adaptation.
        rng: of everything random in this run.
    """

    sampler: Sampler
    count: int
    warm: int
    rng: torch.Generator
    sweeps: int = 0
    burnt_in: int = 0
    chains: Chains | None = None
    _rows: list[tuple[Tensor, ...]] = field(default_factory=lambda: [])

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Ramp, set half of the chains to the trained weights, and adapt; the last step sizes are averages."""
        sampler, beta = self.sampler, self.sampler.beta
        chains = sampler.start(self.count)
        low = beta.min() / _BELOW
        window: list[Tensor] = []
        for i in range(self.warm):
            now = low * (beta / low) ** min(1.0, 1.25 * (i + 1) / self.warm)
            window.append(self._adapting_sweep(chains, now))
            if (i + 1) % max(1, self.warm // 5) == 0:
                sampler.rescale()
                # What the ramp does not mix, later sweeps at one inverse temperature hardly will.
                sampler.lengthen(_correlation(torch.stack(window)), max(_SHORT, sampler.steps.most_leaps // 4))
                window.clear()
            report(0.5 * (i + 1) / self.warm)
        home = sampler.start(self.count)
        chains.z[:, 1::2], chains.loss[:, 1::2] = home.z[:, 1::2], home.loss[:, 1::2]
        chains.gradient[:, 1::2] = home.gradient[:, 1::2]
        self.chains = chains
        self.adapt(lambda share: report(0.5 + 0.5 * share))

    def adapt(self, report: Callable[[float], None]) -> None:
        """Burn in at the inverse temperatures themselves while steps adapt; what was recorded before is dropped."""
        assert self.chains is not None
        sampler, beta, chains = self.sampler, self.sampler.beta, self.chains
        if self.burnt_in:
            sampler.steps.round = min(sampler.steps.round, 3)
        self.burnt_in += 1
        self._rows, self.sweeps = [], 0
        window: list[Tensor] = []
        for i in range(self.warm):
            if i == (3 * self.warm) // 4:
                sampler.steps.gather()
            window.append(self._adapting_sweep(chains, beta))
            if (i + 1) % max(8, self.warm // 10) == 0 and i + 1 <= (3 * self.warm) // 4:
                sampler.lengthen(_correlation(torch.stack(window)))
                window.clear()
            report((i + 1) / self.warm)
        sampler.steps.settle()

    def _adapting_sweep(self, chains: Chains, beta: Tensor) -> Tensor:
        """One sweep that adapts steps; the distances and losses after it, ``(2, S, n)``."""
        sampler = self.sampler
        sampler.adapt(sampler.sweep(chains, beta, self.rng), chains, beta)
        self._bring_back(chains)
        return torch.stack([chains.z.square().sum(-1, dtype=torch.float64), chains.loss])

    @staticmethod
    def _bring_back(chains: Chains) -> None:
        """Set chains that a first step size made diverge to the trained weights; nothing is recorded yet."""
        lost = ~(torch.isfinite(chains.loss) & torch.isfinite(chains.z).all(-1))
        if bool(lost.any()):
            chains.z = chains.z.masked_fill(lost.unsqueeze(-1), 0.0)
            chains.gradient = chains.gradient.masked_fill(lost.unsqueeze(-1), 0.0)
            chains.loss = chains.loss.masked_fill(lost, 0.0)

    def record(self, sweeps: int, report: Callable[[float], None]) -> None:
        """Go on for ``sweeps`` sweeps and keep what they give."""
        assert self.chains is not None
        gamma = self.sampler.posterior.gamma
        for i in range(sweeps):
            done = self.sampler.sweep(self.chains, self.sampler.beta, self.rng)
            distance = self.chains.z.square().sum(-1, dtype=torch.float64) / gamma
            self._rows.append((done.excess, distance, done.acceptance, done.noise, done.diverged))
            self.sweeps += 1
            report((i + 1) / sweeps)

    @property
    def traces(self) -> Traces:
        """Everything recorded so far."""
        return Traces(*(torch.stack(part, -1).cpu() for part in zip(*self._rows, strict=True)))

    def state(self) -> dict[str, Any]:
        """The run as tensors and numbers, from which :meth:`restore` goes on."""
        assert self.chains is not None
        steps, c = self.sampler.steps, self.chains
        parts = [torch.stack(p, -1) for p in zip(*self._rows, strict=True)] if self._rows else []
        posterior = self.sampler.posterior
        return {
            "z": c.z.clone(), "loss": c.loss.clone(), "gradient": c.gradient.clone(), "origin": c.origin.clone(),
            "step": steps.step, "scale": steps.scale, "rng": self.rng.get_state(), "sweeps": self.sweeps, "rows": parts,
            "burnt_in": self.burnt_in,
            "counts": [posterior.evaluations, posterior.gradient_evaluations, posterior.non_finite],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a run that :meth:`state` gave."""
        device = self.sampler.posterior.device
        z, loss, gradient, origin = (state[k].to(device).clone() for k in ("z", "loss", "gradient", "origin"))
        self.chains = Chains(z, loss, gradient, origin)
        self.sampler.steps.step, self.sampler.steps.scale = state["step"].to(device), state["scale"].to(device)
        self.rng.set_state(state["rng"])
        self.sweeps, self.burnt_in = state["sweeps"], state["burnt_in"]
        parts = state["rows"]
        self._rows = [tuple(p[..., i].to(device) for p in parts) for i in range(self.sweeps)] if parts else []
        posterior = self.sampler.posterior
        posterior.evaluations, posterior.gradient_evaluations, posterior.non_finite = state["counts"]

    def resume(self, kept: Checkpoint | None) -> bool:
        """Take up what a checkpoint holds, if anything."""
        state = None if kept is None else kept.load()
        if state is None:
            return False
        self.restore(state)
        return True


def _correlation(window: Tensor) -> Tensor:
    """Correlation between neighbouring sweeps of distance or loss, whichever is more, ``(S,)``, from ``(T, 2, S, n)``.

    The mean is that of the whole stage: chains from both sides that keep apart are as correlated as can be.
    """
    centred = window - window.mean((0, 3), keepdim=True)
    variance = centred.square().mean((0, 3)).clamp_min(1e-300)
    return ((centred[1:] * centred[:-1]).mean((0, 3)) / variance).amax(0)
