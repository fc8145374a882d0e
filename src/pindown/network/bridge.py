r"""Mass of the basin around trained weights, by a bridge from a Gaussian whose integral is known.

The path of stages (:mod:`pindown.network.tether`) starts at the Gaussian of the quadratic model with a tether γ₀ strong
enough for the model to hold, turns the model into the loss, lets go of the tether, and then lowers the inverse
temperature: the reference-potential method for basins of attraction (Frenkel and Ladd 1984; Xu, Frenkel and Liu 2011,
Direct determination of the size of basins of attraction of jammed solids, eq. 4; Martiniani et al. 2016, Turning
intractable counting into sampling). Chains at all stages exchange places, and the ratio of neighbouring integrals is
Bennett's (1976). The first integral is exact, so each stage's is known absolutely, and with the stages that have no
tether

.. math:: M(c) = \sum_{n:\, L_n \le c} w_n,\qquad w_n^{-1} = \textstyle\sum_j N_j\, e^{-\beta_j L_n} / Z_j.

Chains start at the weights and never see the prior without the loss, so that ``M`` is the mass of what can be reached
from the weights at the inverse temperature whose mean loss is the cutoff. Chains that lag behind have gone less far from
the weights than they should, which makes every :math:`\ln Z` too small (its derivative by γ is −E[T]): a run that has not
converged gives too many bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint
from pindown.engine.moves import StepSizes
from pindown.engine.objective import Objective
from pindown.engine.reweight import weigh
from pindown.errors import InputError
from pindown.estimate import Status
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.tether import Stages, Walkers, swap, trajectories
from pindown.rng import torch_generator

__all__ = ["BridgeSettings", "Run", "run_bridge"]

Array = NDArray[np.float64]
_MOST_SPREAD = 2.0  # standard deviation of β(L − Q), in nats, at which the quadratic model still holds
_MOST_STAGES = 3000
_FIRST_STEP = 0.3
_MOST_DIRECTIONS = 256  # beyond, products with them cost more than the loss


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


@dataclass(frozen=True, eq=False)
class Run:
    """One independent run.

    Attributes:
        log_mass: ln M at each cutoff; −inf where no chain came below.
        drift: by how much the second half of the block differs from the first, at each cutoff.
        mean_loss: at the stages without a tether, in order.
        betas: their inverse temperatures.
        tether: γ₀.
        stages: how many in all.
        acceptance, swaps: the lowest over stages of the trajectories' and the exchanges' acceptance.
        distance: root mean square distance from the weights per coordinate at the last stage, in the prior's
            standard deviations.
        evaluations: losses with gradient.
        status: how it ended.
    """

    log_mass: Array
    drift: Array
    mean_loss: Array
    betas: Array
    tether: float
    stages: int
    acceptance: float
    swaps: float
    distance: float
    evaluations: int
    status: Status

    def to_dict(self) -> dict[str, Any]:
        """The run as tensors and plain values, for a checkpoint."""
        out = {k: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}
        return out | {"status": self.status.value}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Run:
        """Read back what :meth:`to_dict` wrote."""
        parts = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in record.items()}
        return cls(**parts | {"status": Status(record["status"])})


class _OutOfBudget(Exception):
    """The budget of evaluations is spent."""


@dataclass
class _Bridge:
    objective: Objective
    local: LocalGaussian
    cutoffs: Sequence[float]
    settings: BridgeSettings
    rng: torch.Generator
    budget: float
    report: Callable[[float, str], None]
    path: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    starts: list[Tensor] = field(default_factory=list[Tensor])
    steps: list[float] = field(default_factory=list[float])

    @property
    def particles(self) -> int:
        """Chains on the way along the path."""
        return self.settings.particles or 32

    def descend(self) -> None:
        """Lay the path: one stage after another, each as far from the last as the spacing allows."""
        local, settings = self.local, self.settings
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

    def _towards(
        self, along: Callable[[tuple[float, float, float], float], tuple[float, float, float]], to: str
    ) -> None:
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
            raise _OutOfBudget
        self._arrive(along(now, t), move=True)
        self.report(0.3 * (1.0 - 1.0 / (1.0 + len(self.path) / 100.0)), f"stage {len(self.path)}, towards {to}")

    def _arrive(self, stage: tuple[float, float, float], *, move: bool) -> None:
        self.path.append(stage)
        stages = Stages.of([stage], self.cloud.x.device)
        sizes = self._sizes([self.step])
        for _ in range(self.settings.moves if move else 0):
            self._spend()
            sizes.adapt(trajectories(self.objective, self.local, stages, self.cloud, sizes, self.rng))
            sizes.round = 1  # the target moves on with every stage, so the adaptation stays quick
        self.step = float(sizes.step[0])
        self.steps.append(self.step)
        self.starts.append(self.cloud.x[0, torch.arange(self.settings.chains or 4) % self.particles].clone())

    def _sizes(self, steps: list[float]) -> StepSizes:
        device = self.local.centre.device
        step = torch.tensor(steps, dtype=torch.float64, device=device)
        return StepSizes(step, torch.ones((len(steps), 1), dtype=torch.float64, device=device), self.settings.leaps, 1)

    def _spend(self) -> None:
        if self.objective.evaluations >= self.budget:
            raise _OutOfBudget

    def begin(self) -> None:
        """Put chains at all stages."""
        device = self.local.centre.device
        self.stages = Stages.of(self.path, device)
        self.walkers = Walkers.at(self.objective, self.local, torch.stack(self.starts))
        self.sizes = self._sizes(self.steps)
        self.rates = torch.ones(len(self.path) - 1, dtype=torch.float64, device=device)
        self.swaps = torch.full_like(self.rates, 0.5)
        self.recorded: list[Tensor] = []
        self.done, self.block = 0, self.settings.sweeps
        self.starts = []

    def sweep(self) -> None:
        """Move all chains once, draw the first stage afresh, exchange neighbours."""
        n = self.walkers.x.shape[1]
        inner = self.walkers[1:]
        rates = trajectories(self.objective, self.local, self.stages[1:], inner, self.sizes_inner, self.rng)
        if self.done < self.settings.burn_in:
            self.sizes_inner.adapt(rates)
            if self.done == 2 * (self.settings.burn_in // 3) + 1:
                self.sizes_inner.gather()
        first = self.stages[:1].rows(n)
        fresh = Walkers.at(
            self.objective, self.local, self.local.at(first.tether, first.beta).draw(self.rng).unsqueeze(0)
        )
        for now, new in zip(self.walkers.tensors(), fresh.tensors(), strict=True):
            now[:1] = new
        for parity in (self.done % 2, 1 - self.done % 2):
            rate = swap(self.stages, self.walkers, parity, self.rng)
            self.swaps[parity::2] += 0.1 * (rate - self.swaps[parity::2])
        self.done += 1
        third = self.settings.burn_in // 3
        if self.done > self.settings.burn_in:
            self.rates += (rates - self.rates) / (self.done - self.settings.burn_in)
        self.recorded.append(self.walkers.stats.clone())
        if self.done in (third, 2 * third):
            self.refine()
        elif self.done == self.settings.burn_in:
            self.sizes_inner.settle()
            self.recorded.clear()

    def refine(self) -> None:
        """Put more stages where neighbours lie further apart than the spacing.

        For neighbours with energy difference u the square of their distance is E_k[u] − E_{k+1}[u], the sum of both
        divergences. What was placed by a few chains on the way is corrected by what many have seen since.
        """
        s = torch.stack(self.recorded)
        c = self.stages.coefficients
        step = c[1:] - c[:-1]
        means = s.mean((0, 2))
        squared = (step * (means[:-1] - means[1:])).sum(1).nan_to_num(0.0).clamp(0.0, 1e4)
        more = (squared.sqrt() / (1.25 * self.settings.spacing)).ceil().long().clamp_min(1) - 1
        path, source = [self.path[0]], [0]
        for k, extra in enumerate(more.tolist()):
            for i in range(1, extra + 1):
                path.append(_between(self.path[k], self.path[k + 1], i / (extra + 1)))
                source.append(k if 2 * i <= extra + 1 and k else k + 1)
            path.append(self.path[k + 1])
            source.append(k + 1)
        pick = torch.tensor(source, device=c.device)
        sizes = self.sizes_inner
        self.path = path
        self.stages = Stages.of(path, c.device)
        self.walkers = Walkers(*(t[pick].clone() for t in self.walkers.tensors()))
        self.sizes = StepSizes(sizes.step[pick[1:] - 1], sizes.scale[pick[1:] - 1], sizes.most_leaps, sizes.round)
        self.rates = torch.ones(len(path) - 1, dtype=torch.float64, device=c.device)
        self.swaps = torch.full_like(self.rates, 0.5)
        self.recorded.clear()

    @property
    def sizes_inner(self) -> StepSizes:
        """Step sizes of all stages but the first, which is drawn."""
        if len(self.sizes.step) == len(self.stages):
            self.sizes = StepSizes(self.sizes.step[1:], self.sizes.scale[1:], self.sizes.most_leaps, 1)
        return self.sizes

    def exchange(self, file: Checkpoint | None) -> bool:
        """Sweep until two halves of a block agree; whether they do."""
        settings = self.settings
        for doubling in range(settings.doublings + 1):
            total = settings.burn_in + self.block
            while self.done < total:
                self._spend()
                self.sweep()
                self.report(
                    0.3 + 0.7 * self.done / (settings.burn_in + settings.sweeps * 2**settings.doublings), "exchange"
                )
                if file is not None:
                    file.save({"state": self.state()})
            if self._settled():
                return True
            if doubling < settings.doublings:
                self.block *= 2
        return False

    def _settled(self) -> bool:
        drift = self._drift()
        return bool((np.abs(drift[np.isfinite(drift)]) < 1.0).all()) and bool(np.isfinite(drift).any())

    def _drift(self) -> Array:
        stats = torch.stack(self.recorded[len(self.recorded) // 3 :])
        half = len(stats) // 2
        with np.errstate(invalid="ignore"):
            return self.log_mass(stats[half:]) - self.log_mass(stats[:half])

    def log_mass(self, stats: Tensor) -> Array:
        """ln M at each cutoff from sweeps ``(T, K, n, 3)``."""
        s = stats.cpu().numpy()
        c = self.stages.coefficients.cpu().numpy()
        f = [-float(self.local.at(self.path[0][0], self.path[0][1]).log_normaliser[0])]
        for k in range(len(self.path) - 1):
            step = c[k + 1] - c[k]
            f.append(f[-1] + bennett((s[:, k] @ step).ravel(), (s[:, k + 1] @ step).ravel()))
        free = self.free_stages
        h = np.minimum(s[:, free][..., 2], 1e300)
        weighted = weigh(h, h, c[free, 2], np.array(f)[free])
        return np.array([weighted.log_volume_at(t) for t in self.cutoffs])

    @property
    def free_stages(self) -> NDArray[np.intp]:
        """Stages of the loss itself without a tether."""
        return np.array([k for k, (g, _, s) in enumerate(self.path) if g == 0.0 and s == 1.0])

    def result(self, status: Status) -> Run:
        """What the recorded sweeps say, the first third left out as the rest of the burn-in."""
        stats = torch.stack(self.recorded[len(self.recorded) // 3 :])
        free = self.free_stages
        mass = self.log_mass(stats)
        last = stats[:, free[-1]][..., 0].mean()
        return Run(
            mass, self._drift(), stats[:, free][..., 2].mean((0, 2)).cpu().numpy(),
            np.array([self.path[k][1] for k in free]), self.path[0][0], len(self.path), float(self.rates.min()),
            float(self.swaps.min()), math.sqrt(2.0 * float(last) / self.local.dim), self.objective.evaluations, status,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        sizes = self.sizes_inner
        return {
            "path": self.path, "walkers": self.walkers.tensors(), "rates": self.rates, "swaps": self.swaps,
            "sizes": (sizes.step, sizes.scale, sizes.most_leaps, sizes.round, sizes.total),
            "recorded": list(self.recorded), "done": self.done, "block": self.block,
            "evaluations": self.objective.evaluations, "rng": self.rng.get_state(),
        }  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """Take up where :meth:`state` left off."""
        device = self.local.centre.device
        self.path = [tuple(row) for row in state["path"]]
        self.stages = Stages.of(self.path, device)
        self.walkers = Walkers(*(t.to(device) for t in state["walkers"]))
        self.sizes = StepSizes(*state["sizes"])
        self.rates, self.swaps = state["rates"], state["swaps"]
        self.recorded, self.done, self.block = list(state["recorded"]), state["done"], state["block"]
        self.objective.evaluations = state["evaluations"]
        self.rng.set_state(state["rng"])


def run_bridge(
    objective: Objective,
    local: LocalGaussian,
    cutoffs: Sequence[float],
    settings: BridgeSettings,
    seed: int,
    *,
    budget: float = math.inf,
    file: Checkpoint | None = None,
    report: Callable[[float, str], None] = lambda share, text: None,
) -> Run | None:
    """One independent run; None where the budget ended it before anything was measured.

    Args:
        objective: the loss in the prior's coordinates, its counters at zero.
        local: the quadratic model at the weights.
        cutoffs: losses, above the one at the weights.
        settings: sizes.
        seed: everything random follows from it.
        budget: most evaluations.
        file: where unfinished work is saved.
        report: called with the share done and a text.
    """
    kept = file.load() if file is not None else None
    if kept is not None and "run" in kept:
        return Run.from_dict(kept["run"])
    settings = settings.resolved(local.dim)
    local = local.strongest(_MOST_DIRECTIONS)
    rng = torch_generator(seed, 0xB1D6, device=local.centre.device)
    bridge = _Bridge(objective, local, cutoffs, settings, rng, budget, report)
    status = Status.REACHED
    try:
        if kept is None:
            bridge.descend()
            bridge.begin()
        else:
            bridge.resume(kept["state"])
        if not bridge.exchange(file):
            status = Status.NOT_CONVERGED
    except _OutOfBudget:
        status = Status.BUDGET_SPENT
        if len(getattr(bridge, "recorded", ())) < settings.sweeps // 2 or bridge.done <= settings.burn_in:
            return None
    found = bridge.result(status)
    if file is not None:
        file.save({"run": found.to_dict()}, final=True)
    return found


def bennett(forward: Array, backward: Array) -> float:
    r"""``f_b − f_a`` from the energy difference :math:`u_b - u_a` at samples of ``a`` and of ``b``, as many of each.

    The root of :math:`\sum_a \sigma(x - w) = \sum_b \sigma(w - x)`, σ the logistic function (Bennett 1976, eq. 12).
    """
    a, b = (v[np.isfinite(v)] for v in (forward, backward))

    def excess(x: float) -> float:
        return float(expit(x - a).mean() - expit(b - x).mean())

    low, high = min(a.min(), b.min()) - 50.0, max(a.max(), b.max()) + 50.0
    return float(brentq(excess, low, high, xtol=1e-10))


def _between(a: tuple[float, float, float], b: tuple[float, float, float], t: float) -> tuple[float, float, float]:
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
