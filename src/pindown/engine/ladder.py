r"""From the prior down to the tolerance: tempered sequential Monte Carlo on a warp that is learnt on the way.

Particles go through a sequence of tempered densities :math:`e^{-|z|^2/2 - \beta h(L(z))}` by reweighting,
resampling and Hamiltonian moves (Del Moral, Doucet and Jasra 2006, Sequential Monte Carlo samplers). The
particles of one stage also measure the slope of the depth :math:`S(\ell) = -\ln P(L \le \ell)` where they
stand (:meth:`~pindown.engine.warp.Warp.corrected`), and that piece of curve extends the warp on which the next
stage is tempered; the path does not depend on how the loss is labelled.

Its volumes lag when the moves are too few. They serve only to place the stages of the replica exchange that
follows (:mod:`pindown.engine.polish`) and to start its chains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from pindown.engine.checkpoint import placed
from pindown.engine.moves import MOST_CORRELATED, Chains, StepSizes, hamiltonian
from pindown.engine.objective import Objective
from pindown.engine.rotation import Rotation
from pindown.engine.settings import Settings
from pindown.engine.warp import Curve, Schedule, Warp
from pindown.estimate import Status
from pindown.spaces.smooth import SmoothSpace

__all__ = ["MOST_LOG_BETA", "Ladder", "Rung"]

Array = NDArray[np.float64]
_PRIOR_DRAWS = 512
_BASIS_POINTS = 64
_FLOOR_STAGES = 10
_RATE_STAGES = 2
MOST_LOG_BETA = 600.0  # e^709 is the largest number there is
_LESSER_RISES = (0.5, 0.25, 0.0)
_LONGEST = 3.0  # standard deviations of the depth that one stage may go


@dataclass
class Rung:
    """One stage that the particles went through.

    Attributes:
        depth: depth at which the stage sits, nats.
        z: the particles after their moves, ``(n, D)``.
        step: step size found.
        squares: mean squared force along each coordinate, ``(D,)``; in few dimensions all mean products, ``(D, D)``.
        forces: depth of each particle and ``ln |∇S|`` there, ``(n, 2)``.
    """

    depth: float
    z: Tensor
    step: float
    squares: Tensor
    forces: Tensor


@dataclass
class _Trial:
    chains: Chains
    warp: Warp
    beta: float
    sizes: StepSizes
    seen: list[Array]
    squares: Tensor

    @property
    def held(self) -> bool:
        """Whether most particles stay above the end of the curve, past which nothing holds them back."""
        return float(self.chains.loss.median()) > self.warp.loss[-1]


@dataclass
class Ladder:
    """The descending particles and what they have learnt; one call of :meth:`advance` a stage.

    Attributes:
        objective: the loss.
        tolerance: where to stop.
        rng: source of all randomness.
        settings: sizes.
        curve: the curve so far.
        rungs: the stages so far.
        status: None while under way.
    """

    objective: Objective
    tolerance: float
    rng: torch.Generator
    settings: Settings
    curve: Curve = field(default_factory=Curve.empty)
    rungs: list[Rung] = field(default_factory=list)
    status: Status | None = None
    lowest: float = math.inf
    _chains: Chains | None = None
    _warp: Warp | None = None
    _centre: float = 0.0
    _beta: float = 0.0
    _means: list[float] = field(default_factory=list)

    @property
    def schedule(self) -> Schedule:
        """Width of the stages on the way down, where the final depth is not known yet."""
        widest = min(max(1.0, 0.5 * self.objective.space.dim), self.widest)
        return Schedule(floor=min(50.0, widest), growth=self.settings.ladder_growth, ceiling=widest)

    @property
    def widest(self) -> float:
        r"""The variance of the depth at which one step size still fits a whole stage.

        Forces grow with depth at the rate :math:`g = d \ln |\nabla S| / dS`, and the step that they allow shrinks
        with them; it stays within a factor of two over a stage whose standard deviation is :math:`0.7/g`. A
        regular minimum has :math:`g = 1/2λ`, far from binding; a thin shell has 1. Below 1 nat² the warp could not
        be corrected any more, nor β be held as a number.
        """
        if len(self.rungs) < _RATE_STAGES:
            return math.inf
        deep = torch.cat([r.forces for r in self.rungs[-_RATE_STAGES:]])
        deep = deep[torch.isfinite(deep).all(1)].cpu().numpy()
        if len(deep) < 8 or np.ptp(deep[:, 0]) <= 0.0:
            return math.inf
        rate = float(np.polyfit(deep[:, 0], deep[:, 1], 1)[0])
        return max(1.0, self._centre / MOST_LOG_BETA, 0.5 / rate**2) if rate > 0.0 else math.inf

    def start(self) -> None:
        """Draw from the prior and read the first piece of the curve off the ranks."""
        n = self.settings.particles or 32
        z = self.objective.prior(max(_PRIOR_DRAWS, 2 * n), self.rng)
        loss = self.objective.losses(z)
        finite = np.sort(loss[torch.isfinite(loss)].cpu().numpy())
        if finite.size < n:
            self.status = Status.NON_FINITE
            return
        self.lowest = float(finite[0])
        shares = np.array([0.97, 0.9, 0.75, 0.6, 0.45, 0.3, 0.2, 0.12, 0.06, 0.03])
        at, depth = _falling(np.quantile(finite, shares), -np.log(shares))
        if at.size < 3:
            self.status = Status.PLATEAU
            return
        self.curve = Curve.through(at, depth)
        z = z[torch.isfinite(loss)]
        self._turn(z[:_BASIS_POINTS])
        z = self.objective.held(z[:n])
        self._chains = Chains.at(self.objective, z.unsqueeze(0))
        self._means = [float(self._chains.loss.mean())]

    def _turn(self, z: Tensor) -> None:
        """Hold points in a basis that suits the gradients at prior draws, where the space has matrices."""
        space = self.objective.space
        # In few dimensions the stages have bases of their own.
        if isinstance(space, SmoothSpace) and space.matrices and space.dim > MOST_CORRELATED:
            gradient = self.objective.losses_and_gradients(z)[1]
            self.objective.rotation = Rotation.from_gradients(space.matrices, gradient)

    def advance(self) -> None:
        """One stage deeper. Sets :attr:`status` when the descent ends."""
        trial = self._try(1.0)
        for rise in _LESSER_RISES:
            if trial.held:
                break
            trial = self._try(rise)
        self._chains, self._warp, self._beta = trial.chains, trial.warp, trial.beta
        chains, warp, sizes, squares = trial.chains, trial.warp, trial.sizes, trial.squares
        if self.rungs:
            squares = 0.5 * (squares + self.rungs[-1].squares)
        self._extend(np.concatenate(trial.seen[-max(1, len(trial.seen) - 1) :]))
        # The particles' own depth, not the one aimed at: the curve may just have been corrected.
        self._centre = float(np.interp(-float(chains.loss.median()), -self.curve.loss, self.curve.depth))
        rung = Rung(self._centre, chains.z[0].clone(), float(sizes.step[0]), squares, self._forces(warp))
        self.rungs.append(rung)
        self._judge()

    def _try(self, rise: float) -> _Trial:
        """Reweight, resample and move, on a curve that goes on with that share of its slope's rise."""
        start, settings, schedule = self._chains, self.settings, self.schedule
        assert start is not None
        warp = Warp(self.curve.continued(schedule, rise), schedule, self.objective.device)
        beta, log_ratio = self._next(warp, start.loss[0])
        pick = _systematic(log_ratio, self.rng).to(start.z.device)
        chains = Chains(*(t[:, pick] for t in (start.z, start.loss, start.gradient, start.origin)))
        sizes = self._sizes(warp)
        temperature = torch.tensor([beta], dtype=torch.float64, device=chains.z.device)
        before, seen, squares = _ranks(chains.loss[0]), [], []
        for moves in range(1, settings.ladder_moves + 1):
            rate = hamiltonian(self.objective, warp, temperature, chains, sizes, self.rng)
            sizes.adapt(rate)
            seen.append(chains.loss[0].cpu().numpy().copy())
            squares.append(_squares(chains, warp, beta))
            if moves >= 2 and abs(_correlation(before, _ranks(chains.loss[0]))) < settings.rank_correlation:
                break
        # In many dimensions a mean over the last positions has enough terms.
        late = squares[-1] if squares[-1].ndim == 1 else torch.stack(squares[-max(1, len(squares) - 1) :]).mean(0)
        return _Trial(chains, warp, beta, sizes, seen, late)

    def _forces(self, warp: Warp) -> Tensor:
        chains = self._chains
        assert chains is not None
        depth = warp.depths(chains.loss[0].cpu().numpy())
        steepness = warp.value_and_slope(chains.loss[0])[1].cpu().log() + torch.as_tensor(warp.schedule.log_beta(depth))
        size = torch.linalg.vector_norm(chains.gradient[0].double(), dim=1).cpu()
        return torch.stack([torch.as_tensor(depth), steepness + size.log()], dim=1)

    def _sizes(self, warp: Warp) -> StepSizes:
        chains = self._chains
        assert chains is not None
        if self.rungs:
            step, squares = self.rungs[-1].step, self.rungs[-1].squares
        else:
            step, squares = 0.5, torch.zeros_like(chains.z[0, 0])
        at = torch.tensor([step], dtype=torch.float64, device=chains.z.device)
        return StepSizes.from_forces(at, [squares], self.settings.leaps, 2 if self.rungs else 0)

    def _next(self, warp: Warp, loss: Tensor) -> tuple[float, Array]:
        """Inverse temperature of the deepest next stage that keeps the effective sample size, and the log ratios."""
        h = warp.value_and_slope(loss)[0].cpu().numpy()
        old = np.zeros_like(h)
        if self._warp is not None:
            old = self._beta * self._warp.value_and_slope(loss)[0].cpu().numpy()
        h, old = np.nan_to_num(h, posinf=1e300), np.nan_to_num(old, posinf=1e300)

        def to(depth: float) -> tuple[float, Array, float]:
            beta = float(np.exp(warp.schedule.log_beta(depth)))
            log_ratio = old - beta * h
            weight = np.exp(log_ratio - log_ratio.max())
            size = weight.sum() ** 2 / (weight @ weight) / len(h)
            return beta, log_ratio, float(size)

        deviation = math.sqrt(float(warp.schedule.variance(self._centre)))
        low, high = self._centre, self._centre + _LONGEST * deviation
        beta, log_ratio, size = to(high)
        if size >= self.settings.ladder_size:
            return beta, log_ratio
        for _ in range(20):
            middle = 0.5 * (low + high)
            if to(middle)[2] >= self.settings.ladder_size:
                low = middle
            else:
                high = middle
        # A stage always goes somewhere: the warp itself may have changed since the last one.
        depth = max(low, self._centre + 1e-3 * deviation)
        beta, log_ratio, _ = to(depth)
        return beta, log_ratio

    def _extend(self, loss: Array) -> None:
        """Let the stage's samples correct the curve from their median on down."""
        assert self._warp is not None
        finite = np.sort(loss[np.isfinite(loss)])
        if finite.size == 0:
            return
        self.lowest = min(self.lowest, float(finite[0]))
        deviation = math.sqrt(float(self._warp.schedule.variance(self._centre)))
        if finite[finite.size // 2] <= self._warp.loss[-1]:
            # The warp is level there and says nothing of the slope: its end is taken as it was guessed.
            self.curve = self._warp.curve
            return
        curve = self._warp.extended(self.curve, finite, self._beta)
        self.curve = curve.within(self._centre, 2.0 * _LONGEST * deviation)

    def _judge(self) -> None:
        assert self._chains is not None
        loss = self._chains.loss[0]
        self._means.append(float(loss[torch.isfinite(loss)].mean()))
        if float((loss <= self.tolerance).double().mean()) >= self.settings.reached_share:
            self.status = Status.REACHED
        elif not torch.isfinite(loss).any():
            self.status = Status.NON_FINITE
        elif self._at_floor():
            self.status = Status.EXTINCT

    def _at_floor(self) -> bool:
        """Whether the mean loss has settled above the tolerance although the depth went on growing.

        The gain of the last stages over all before is compared with the way that is left; an approach to a floor
        above the tolerance makes their ratio fall below any bound. Where two phases coexist the mean goes up and
        down for a while, so that many stages are looked at.
        """
        if len(self._means) <= 2 * _FLOOR_STAGES:
            return False
        gain = min(self._means[:-_FLOOR_STAGES]) - min(self._means[-_FLOOR_STAGES:])
        gap = min(self._means) - self.tolerance
        deeper = self._centre - self.rungs[-_FLOOR_STAGES].depth
        return gain < 0.01 * gap and deeper > 2.0 * math.sqrt(float(self.schedule.variance(self._centre)))

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain values."""
        chains = self._chains
        return {
            "curve": tuple(torch.as_tensor(a) for a in (self.curve.loss, self.curve.depth, self.curve.slope)),
            "rungs": [(r.depth, r.z, r.step, r.squares, r.forces) for r in self.rungs],
            "status": None if self.status is None else self.status.value,
            "lowest": self.lowest,
            "chains": None if chains is None else (chains.z, chains.loss, chains.gradient, chains.origin),
            "warp": None if self._warp is None else self._warp.state(),
            "numbers": (self._centre, self._beta),
            "means": self._means,
            "rotation": None if self.objective.rotation is None else self.objective.rotation.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where :meth:`state` left off."""
        turned = state["rotation"]
        self.objective.rotation = None if turned is None else Rotation.from_state(turned)
        self.curve = Curve(*(t.numpy() for t in state["curve"]))
        self.rungs = [Rung(*r) for r in placed(state["rungs"], self.objective.device)]
        self.status = None if state["status"] is None else Status(state["status"])
        self.lowest = state["lowest"]
        chains = placed(state["chains"], self.objective.device)
        self._chains = None if chains is None else Chains(*chains)
        if state["warp"] is not None:
            self._warp = Warp.from_state(state["warp"], self.objective.device)
        self._centre, self._beta = state["numbers"]
        self._means = list(state["means"])


def _squares(chains: Chains, warp: Warp, beta: float) -> Tensor:
    """Mean squared force along each coordinate ``(D,)``, or in few dimensions the mean products ``(D, D)``."""
    slope = warp.value_and_slope(chains.loss[0])[1]
    force = (beta * slope).unsqueeze(-1).to(chains.z.dtype) * chains.gradient[0]
    if force.shape[1] > MOST_CORRELATED:
        return force.square().mean(0)
    return force.mT @ force / len(force)


def _falling(loss: Array, depth: Array) -> tuple[Array, Array]:
    """The points at which the loss falls strictly."""
    keep = [0]
    for i in range(1, len(loss)):
        if loss[i] < loss[keep[-1]]:
            keep.append(i)
    return loss[keep], depth[keep]


def _systematic(log_weights: Array, rng: torch.Generator) -> Tensor:
    """Systematic resampling (Carpenter, Clifford and Fearnhead 1999)."""
    n = len(log_weights)
    share = np.exp(log_weights - logsumexp(log_weights))
    u = float(torch.rand((), generator=rng, device=rng.device, dtype=torch.float64))
    index = np.searchsorted(np.cumsum(share), (u + np.arange(n)) / n)
    return torch.as_tensor(np.minimum(index, n - 1))


def _ranks(loss: Tensor) -> Array:
    return loss.argsort().argsort().double().cpu().numpy()


def _correlation(a: Array, b: Array) -> float:
    """Spearman's rank correlation of two rankings."""
    return float(np.corrcoef(a, b)[0, 1])
