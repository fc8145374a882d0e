r"""Replica exchange over all stages at once, which takes the lag out of the ladder's volumes.

Chains sit at fixed stages :math:`0 = \beta_0 < \beta_1 < \dots < \beta_K` of one warp. A sweep moves every
chain by one Hamiltonian trajectory, draws the prior stage afresh and offers neighbouring stages each other's
chains. Free energies then come from all samples at once (:mod:`pindown.engine.reweight`), so the estimate has
no memory of the order in which the stages were first visited.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.checkpoint import placed
from pindown.engine.controls import virial
from pindown.engine.ladder import Ladder
from pindown.engine.moves import Chains, StepSizes, hamiltonian, swap_neighbours
from pindown.engine.objective import Objective
from pindown.engine.reweight import Recorded
from pindown.engine.settings import Settings
from pindown.engine.warp import Curve, Schedule, Warp, trusted

__all__ = ["Polish", "place_stages"]

Array = NDArray[np.float64]
_PAST = 0.5
_MOST_LOG_BETA = 600.0
_CURVE_STEP = 0.25  # standard deviations
_NARROW = 4.0  # nats², below which a stage's ranks tell more about the curve than its mean


def place_stages(
    depth: float, dim: int, settings: Settings, widest: float = math.inf, count: int | None = None
) -> tuple[Schedule, Array]:
    """A schedule for a known final depth and the depths of its stages, the prior left out.

    There are ``count`` stages, by default as many as their spacing wants. They are equally spaced in
    ``∫ dS/√variance(S)``, the thermodynamic length, so that neighbours overlap equally everywhere (Gelman and
    Meng 1998).
    """
    half = max(1.0, 0.5 * dim)
    schedule = Schedule(floor=min(max(1.0, settings.width * depth), half, widest))
    grid = np.linspace(0.0, depth, 4001)
    rate = 1.0 / np.sqrt(schedule.variance(grid))
    length = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(grid))])
    count = count or max(2, math.ceil(length[-1] / settings.spacing))
    return schedule, np.interp(np.linspace(0.0, length[-1], count + 1)[1:], length, grid)


@dataclass
class Polish:
    """Chains at all stages and the losses they have seen.

    Attributes:
        objective: the loss.
        rng: source of all randomness.
        warp: the tempered function of the loss.
        beta: inverse temperatures, ``(K + 1,)``, the first 0.
        chains: ``(K + 1, n, D)``.
        sizes: step sizes of stages 1 to K.
        losses: one ``(K + 1, n)`` array a sweep since the last call of :meth:`forget`.
        sums: the sums of :mod:`pindown.engine.controls`, ``(K + 1, n, 2)`` a sweep.
        rates: acceptance of the trajectories of the last sweep, ``(K,)``.
        swaps: running mean acceptance of the exchanges between neighbours, ``(K,)``.
    """

    objective: Objective
    rng: torch.Generator
    warp: Warp
    beta: Tensor
    chains: Chains
    sizes: StepSizes
    losses: list[Array] = field(default_factory=list)
    sums: list[Array] = field(default_factory=list)
    snapshots: list[tuple[Tensor, Array, Array]] = field(default_factory=list)
    rates: Tensor = field(default_factory=lambda: torch.empty(0))
    swaps: Tensor = field(default_factory=lambda: torch.empty(0))
    sweeps: int = 0

    @classmethod
    def from_ladder(cls, ladder: Ladder) -> Polish:
        """Place the stages on the ladder's curve and start each from the ladder's nearest stage."""
        objective, settings, rng = ladder.objective, ladder.settings, ladder.rng
        dim, device, n = objective.space.dim, objective.device, settings.chains or 4
        centre = ladder.rungs[-1].depth if ladder.rungs else 1.0
        schedule, depths = place_stages(centre, dim, settings, ladder.widest)
        warp = Warp(ladder.curve.continued(schedule), schedule, device)
        beta = torch.as_tensor(np.concatenate([[0.0], np.exp(schedule.log_beta(depths))]), device=device)
        rungs = np.array([r.depth for r in ladder.rungs])
        z = [objective.prior(n, rng)]
        steps, squares = [], []
        for depth in depths:
            rung = ladder.rungs[int(np.abs(rungs - depth).argmin())]
            pick = torch.randperm(len(rung.z), generator=rng, device=rng.device)[:n]
            if len(pick) < n:
                pick = torch.randint(len(rung.z), (n,), generator=rng, device=rng.device)
            z.append(rung.z[pick.to(rung.z.device)])
            steps.append(rung.step)
            squares.append(rung.squares)
        at = torch.tensor(steps, dtype=torch.float64, device=device)
        sizes = StepSizes.from_forces(at, squares, settings.leaps, 1)
        return cls(objective, rng, warp, beta, Chains.at(objective, torch.stack(z)), sizes)

    def sweep(self, *, adapt: bool) -> None:
        """Move all chains once and exchange neighbours; ``adapt`` only while nothing is kept."""
        chains = self.chains
        inner = Chains(chains.z[1:], chains.loss[1:], chains.gradient[1:], chains.origin[1:])
        self.rates = hamiltonian(self.objective, self.warp, self.beta[1:], inner, self.sizes, self.rng)
        if adapt:
            self.sizes.adapt(self.rates)
        n, born = chains.z.shape[1], chains.loss.numel() + self.sweeps * chains.z.shape[1]
        fresh = Chains.at(self.objective, self.objective.prior(n, self.rng).unsqueeze(0), born)
        chains.z[:1], chains.loss[:1], chains.gradient[:1] = fresh.z, fresh.loss, fresh.gradient
        chains.origin[:1] = fresh.origin
        h = self.warp.value_and_slope(chains.loss)[0].clamp_max(1e300)
        if self.swaps.numel() == 0:
            self.swaps = torch.zeros(len(self.beta) - 1, dtype=torch.float64, device=h.device)
        for parity in (self.sweeps % 2, 1 - self.sweeps % 2):
            rate = swap_neighbours(h, self.beta, chains, parity, self.rng)
            self.swaps[parity::2] += 0.1 * (rate - self.swaps[parity::2])
        self.sweeps += 1
        self.losses.append(chains.loss.cpu().numpy().copy())
        whole = (chains.z, chains.loss, chains.gradient, chains.origin)
        # The prior stage has no width to learn: all of its weights 1 − s² are 0.
        prior = virial(Chains(*(t[:1] for t in whole)), self.warp, self.beta[:1], None)
        rest = virial(Chains(*(t[1:] for t in whole)), self.warp, self.beta[1:], self.sizes)
        self.sums.append(torch.cat([prior, rest]).cpu().numpy())

    def refine(self, settings: Settings, widest: float, tolerance: float | None) -> None:
        """Correct the warp by what was recorded, and place the stages anew on it.

        The last stage goes where most of its chains come below the tolerance, or with None stays where it is.
        """
        seen = np.stack(self.losses)[:, 1:]
        losses = [np.sort(stage[np.isfinite(stage)], axis=None) for stage in seen.swapaxes(0, 1)]
        if any(stage.size == 0 for stage in losses):
            return
        curve = self._refined(losses)
        stages, dim = len(losses), self.objective.space.dim
        end = float(curve.depth[-1])
        if tolerance is not None:
            schedule = self.warp.schedule
            deviation = math.sqrt(float(schedule.variance(end)))
            reached = float(Warp(curve.continued(schedule), schedule).depths(np.array([tolerance]))[0])
            end = min(max(reached + _PAST * deviation, end - 2.0 * deviation), end + 2.0 * deviation)
        schedule, depths = place_stages(end, dim, settings, widest, stages)
        log_beta = schedule.log_beta(depths)
        if not float(log_beta.max()) < _MOST_LOG_BETA:
            return  # a few chains that agree by chance make a curve that falls off a cliff: the old warp stays
        device = self.beta.device
        self.warp = Warp(curve.continued(schedule), schedule, device)
        self.beta = torch.as_tensor(np.concatenate([[0.0], np.exp(log_beta)]), device=device)
        self.forget()

    def _refined(self, losses: list[Array]) -> Curve:
        """The warp's curve, corrected stage by stage; read off all samples where stages are narrow or it is far off."""
        at, slope, factor = self.warp.corrected(losses, self.beta[1:].cpu().numpy())
        variance = float(self.warp.schedule.variance(self.warp.depth[-1]))
        if variance < _NARROW or not trusted(factor):
            weighted, solved = self.recorded().weigh()
            curve = weighted.curve(_CURVE_STEP * math.sqrt(variance)) if solved else None
            if curve is not None:
                return curve
        return self.warp.curve.below(at, slope)

    def forget(self) -> None:
        """Drop what was recorded so far: it was the way to equilibrium."""
        self.losses.clear()
        self.sums.clear()
        self.snapshots.clear()

    def keep(self, most_bytes: int) -> None:
        """Store the chains' positions of this sweep, the deepest stages first, up to ``most_bytes``."""
        z = self.chains.z
        rows = max(1, most_bytes // (z.element_size() * z.shape[2] * z.shape[1]))
        first = max(0, z.shape[0] - rows)
        kept = (t[first:].flatten(0, 1) for t in (z, self.chains.loss, self.chains.origin))
        points, loss, origin = (t.clone() for t in kept)
        self.snapshots.append((points, loss.cpu().numpy(), origin.cpu().numpy()))

    def recorded(self) -> Recorded:
        """The recorded sweeps."""
        return Recorded.of(np.stack(self.losses), np.stack(self.sums), self.warp, self.beta)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain values."""
        return {
            "warp": self.warp.state(),
            "beta": self.beta,
            "chains": (self.chains.z, self.chains.loss, self.chains.gradient, self.chains.origin),
            "sizes": tuple(vars(self.sizes).values()),
            "losses": [torch.as_tensor(a) for a in self.losses],
            "sums": [torch.as_tensor(a) for a in self.sums],
            "snapshots": [(z, torch.as_tensor(a), torch.as_tensor(o)) for z, a, o in self.snapshots],
            "swaps": self.swaps,
            "rates": self.rates,
            "sweeps": self.sweeps,
        }

    @classmethod
    def from_state(cls, objective: Objective, rng: torch.Generator, state: dict[str, Any]) -> Polish:
        """Take up where :meth:`state` left off."""
        moving = placed({k: state[k] for k in ("beta", "chains", "sizes", "rates", "swaps")}, objective.device)
        return cls(
            objective,
            rng,
            Warp.from_state(state["warp"], objective.device),
            moving["beta"],
            Chains(*moving["chains"]),
            StepSizes(*moving["sizes"]),
            [t.numpy() for t in state["losses"]],
            [t.numpy() for t in state["sums"]],
            [(z.to(objective.device), a.numpy(), o.numpy()) for z, a, o in state["snapshots"]],
            moving["rates"],
            moving["swaps"],
            state["sweeps"],
        )
