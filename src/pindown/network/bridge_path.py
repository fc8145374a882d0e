"""The way from a Gaussian at trained weights to the loss, laid stage by stage with a cloud of chains.

Sequential Monte Carlo with stages placed as it goes (Del Moral, Doucet and Jasra 2006): each stage is as far from the
last as the spread of the chains' log-ratios allows; chains are reweighted, resampled and moved. It starts at the
Gaussian of the quadratic model under the weakest tether that makes the model hold, turns the model into the loss, and
lets go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pindown.engine.moves import StepSizes
from pindown.engine.objective import Objective
from pindown.errors import InputError
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.tether import Stages, Walkers, trajectories

__all__ = ["BridgeSettings", "Descent", "OutOfBudget", "between", "step_sizes"]

Stage = tuple[float, float, float]
_MOST_SPREAD = 2.0  # standard deviation of β(L − Q), in nats, at which the quadratic model still holds
_MOST_STAGES = 3000
_FIRST_STEP = 0.3


@dataclass(frozen=True)
class BridgeSettings:
    """Sizes of a run.

    Attributes:
        particles: chains on the way along the path; by default 64 in few dimensions, 24 in many.
        chains: chains at each stage of the exchange; by default 16 in few dimensions, 2 in many.
        moves: trajectories a stage takes on the way.
        spacing: distance of neighbouring stages, in standard deviations of the logarithm of their ratio.
        burn_in: sweeps in which step sizes adapt.
        sweeps: sweeps of the first block that counts; blocks double until their halves agree.
        doublings: how often.
        leaps: most leapfrog steps of a trajectory.
    """

    particles: int | None = None
    chains: int | None = None
    moves: int = 4
    spacing: float = 1.0
    burn_in: int = 36
    sweeps: int = 64
    doublings: int = 2
    leaps: int = 12

    def __post_init__(self) -> None:
        least = {"particles": 8, "chains": 1, "moves": 1, "burn_in": 9, "sweeps": 12, "doublings": 0, "leaps": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"settings.{name} = {value}", f"{low} or more")

    def resolved(self, dim: int) -> BridgeSettings:
        """The settings with the sizes that depend on the dimension filled in."""
        return replace(
            self,
            particles=self.particles or max(24, min(64, 2**14 // dim)),
            chains=self.chains or max(2, min(16, 2**12 // dim)),
        )


class OutOfBudget(Exception):
    """The budget of evaluations is spent."""


@dataclass
class Descent:
    """The path and the chains that have gone along it.

    Attributes:
        objective: the loss in the prior's coordinates.
        local: the quadratic model.
        cutoffs: losses to come below and to rise above.
        settings: sizes, resolved.
        rng: source of all randomness.
        budget: most evaluations.
        report: called with the share done and a text.
        path: (tether, β, share of the true loss) of each stage.
        starts: chains at each stage, ``(chains, D)``.
        steps: step size at each stage.
    """

    objective: Objective
    local: LocalGaussian
    cutoffs: Sequence[float]
    settings: BridgeSettings
    rng: torch.Generator
    budget: float
    report: Callable[[float, str], None]
    path: list[Stage] = field(default_factory=list[Stage])
    starts: list[Tensor] = field(default_factory=list[Tensor])
    steps: list[float] = field(default_factory=list[float])

    @property
    def particles(self) -> int:
        """Chains on the way along the path."""
        return self.settings.particles or 32

    def descend(self) -> None:
        """Lay the path: one stage after another, each as far from the last as the spacing allows."""
        local = self.local
        excess = min(self.cutoffs) - local.loss
        # Where nothing curves upwards that is known, as if every dimension did: cold enough to stay.
        beta = local.beta_for(excess) if len(local.curvature) else 0.5 * local.dim / excess
        tether, cloud = self._anchor(beta)
        self.cloud, self.step = cloud, _FIRST_STEP
        self._arrive((tether, beta, 0.0), move=False)
        while self.path[-1][2] < 1.0:
            self._towards(lambda now, t: (now[0], now[1], now[2] + t * (1.0 - now[2])), "the quadratic model")
        while self.path[-1][0] > 0.0 or self._mean_loss() > min(self.cutoffs):
            g, mean, deviation = self.path[-1][0], self._mean_loss(), float(self.cloud.stats[0, :, 2].std())
            if g > 0.0 and mean <= min(self.cutoffs) + 0.5 * deviation:
                # In ln(1 + γ), down to none.
                self._towards(
                    lambda now, t, g=g: ((1.0 + g) ** (1.0 - t) - 1.0 if t < 1 else 0.0, now[1], 1.0), "the free basin"
                )
            else:
                # Colder first: chains let go above the cutoff could leave the basin.
                self._towards(lambda now, t: (now[0], now[1] * 4.0**t, 1.0), "the lowest cutoff")
        while self._mean_loss() < max(self.cutoffs):
            self._towards(lambda now, t: (0.0, now[1] * 0.25**t, 1.0), "the highest cutoff")

    def _anchor(self, beta: float) -> tuple[float, Walkers]:
        """The weakest tether under which the model describes the loss and chains lie below the lowest cutoff."""
        tether, lowest = 0.0, min(self.cutoffs)
        while True:
            x = self.local.at([tether] * self.particles, [beta] * self.particles).draw(self.rng)
            cloud = Walkers.at(self.objective, self.local, x.unsqueeze(0))
            loss = cloud.stats[0, :, 2]
            gap = beta * (loss - cloud.stats[0, :, 1])
            fits = bool(torch.isfinite(gap).all()) and float(gap.std()) <= _MOST_SPREAD
            if (fits and float(loss.mean()) <= lowest + float(loss.std())) or tether > 1e15:
                return tether, cloud
            tether = 1.0 if tether == 0.0 else 4.0 * tether

    def _mean_loss(self) -> float:
        return float(self.cloud.stats[0, :, 2].mean())

    def _towards(self, along: Callable[[Stage, float], Stage], to: str) -> None:
        """Go on by one stage: as far along as the spacing allows, with the chains reweighted, resampled and moved."""
        now = self.path[-1]
        stats = self.cloud.stats[0]
        device = stats.device
        here = Stages.of([now], device).coefficients[0]

        def log_ratio(t: float) -> Tensor:
            return -(stats * (Stages.of([along(now, t)], device).coefficients[0] - here)).sum(1)

        t = 1.0
        if not float(log_ratio(1.0).std()) <= self.settings.spacing:
            low, high = -12.0, 0.0
            for _ in range(40):
                middle = 0.5 * (low + high)
                fits = float(log_ratio(math.exp(middle)).std()) <= self.settings.spacing
                low, high = (middle, high) if fits else (low, middle)
            t = math.exp(low)
        weight = (log_ratio(t) - log_ratio(t).max()).exp()
        pick = _systematic(weight, self.rng)
        self.cloud = Walkers(*(s[:, pick].clone() for s in self.cloud.tensors()))
        if len(self.path) >= _MOST_STAGES:
            raise OutOfBudget
        self._arrive(along(now, t), move=True)
        self.report(0.3 * (1.0 - 1.0 / (1.0 + len(self.path) / 100.0)), f"stage {len(self.path)}, towards {to}")

    def _arrive(self, stage: Stage, *, move: bool) -> None:
        self.path.append(stage)
        stages = Stages.of([stage], self.cloud.x.device)
        sizes = step_sizes([self.step], self.settings.leaps, self.local.centre.device)
        for _ in range(self.settings.moves if move else 0):
            self.spend()
            sizes.adapt(trajectories(self.objective, self.local, stages, self.cloud, sizes, self.rng))
            sizes.round = 1  # the target moves on with every stage, so the adaptation stays quick
        self.step = float(sizes.step[0])
        self.steps.append(self.step)
        self.starts.append(self.cloud.x[0, torch.arange(self.settings.chains or 4) % self.particles].clone())

    def spend(self) -> None:
        """Stop where the budget is spent.

        Raises:
            OutOfBudget: there.
        """
        if self.objective.evaluations >= self.budget:
            raise OutOfBudget


def step_sizes(steps: list[float], leaps: int, device: torch.device) -> StepSizes:
    """Step sizes of as many stages, not yet adapted."""
    step = torch.tensor(steps, dtype=torch.float64, device=device)
    return StepSizes(step, torch.ones((len(steps), 1), dtype=torch.float64, device=device), leaps, 1)


def between(a: Stage, b: Stage, t: float) -> Stage:
    """The stage a share ``t`` of the way from ``a`` to ``b``, as the path was laid."""
    if a[2] != b[2]:
        return a[0], a[1], a[2] + t * (b[2] - a[2])
    tether = math.exp((1.0 - t) * math.log1p(a[0]) + t * math.log1p(b[0])) - 1.0
    return tether, a[1] ** (1.0 - t) * b[1] ** t, a[2]


def _systematic(weight: Tensor, rng: torch.Generator) -> Tensor:
    """Indices drawn by systematic resampling (Kitagawa 1996)."""
    n = len(weight)
    edges = weight.double().cumsum(0) / weight.double().sum()
    at = (torch.arange(n, device=weight.device) + torch.rand(1, generator=rng, device=weight.device)).double() / n
    return torch.searchsorted(edges, at).clamp_max(n - 1)
