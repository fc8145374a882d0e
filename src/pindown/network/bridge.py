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
from the weights at the inverse temperature whose mean loss is the cutoff. Chains that lag behind have gone less far
from the weights than they should, which makes every :math:`\ln Z` too small (its derivative by γ is −E[T]): a run that
has not converged gives too many bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from pindown.estimate import Status
from pindown.network.bridge_path import BridgeSettings, Descent, OutOfBudget, Stage, between, step_sizes
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.tether import Stages, Walkers, swap, trajectories
from pindown.rng import torch_generator

__all__ = ["BridgeSettings", "Run", "run_bridge"]

Array = NDArray[np.float64]
_MOST_DIRECTIONS = 256  # beyond, products with them cost more than the loss


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
        parts: dict[str, Any] = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in record.items()}
        parts["status"] = Status(record["status"])
        return cls(**parts)


class _Bridge:
    """Chains at all stages of a path, and what they have seen."""

    def __init__(self, descent: Descent) -> None:
        self.descent = descent
        self.objective, self.local, self.settings = descent.objective, descent.local, descent.settings
        self.cutoffs, self.rng, self.report = descent.cutoffs, descent.rng, descent.report
        self.path: list[Stage] = []
        self.recorded: list[Tensor] = []
        self.done, self.block = 0, self.settings.sweeps

    def begin(self) -> None:
        """Lay the path and put chains at all of its stages."""
        device = self.local.centre.device
        self.descent.descend()
        self.path = self.descent.path
        self.stages = Stages.of(self.path, device)
        self.walkers = Walkers.at(self.objective, self.local, torch.stack(self.descent.starts))
        self.descent.starts.clear()
        # The first stage is drawn, not moved.
        self.sizes = step_sizes(self.descent.steps[1:], self.settings.leaps, device)
        self.rates = torch.ones(len(self.path) - 1, dtype=torch.float64, device=device)
        self.swaps = torch.full_like(self.rates, 0.5)

    def sweep(self) -> None:
        """Move all chains once, draw the first stage afresh, exchange neighbours."""
        n = self.walkers.x.shape[1]
        inner = self.walkers[1:]
        rates = trajectories(self.objective, self.local, self.stages[1:], inner, self.sizes, self.rng)
        if self.done < self.settings.burn_in:
            self.sizes.adapt(rates)
            if self.done == 2 * (self.settings.burn_in // 3) + 1:
                self.sizes.gather()
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
            self.sizes.settle()
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
                path.append(between(self.path[k], self.path[k + 1], i / (extra + 1)))
                source.append(k if 2 * i <= extra + 1 and k else k + 1)
            path.append(self.path[k + 1])
            source.append(k + 1)
        pick = torch.tensor(source, device=c.device)
        sizes = self.sizes
        self.path = path
        self.stages = Stages.of(path, c.device)
        self.walkers = Walkers(*(t[pick].clone() for t in self.walkers.tensors()))
        self.sizes = StepSizes(sizes.step[pick[1:] - 1], sizes.scale[pick[1:] - 1], sizes.most_leaps, sizes.round)
        self.rates = torch.ones(len(path) - 1, dtype=torch.float64, device=c.device)
        self.swaps = torch.full_like(self.rates, 0.5)
        self.recorded.clear()

    def exchange(self, file: Checkpoint | None) -> bool:
        """Sweep until two halves of a block agree; whether they do."""
        settings = self.settings
        for doubling in range(settings.doublings + 1):
            total = settings.burn_in + self.block
            while self.done < total:
                self.descent.spend()
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
        """Ln M at each cutoff from sweeps ``(T, K, n, 3)``."""
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
        sizes = self.sizes
        return {
            "path": self.path, "walkers": self.walkers.tensors(), "rates": self.rates, "swaps": self.swaps,
            "sizes": (sizes.step, sizes.scale, sizes.most_leaps, sizes.round, sizes.total),
            "recorded": list(self.recorded), "done": self.done, "block": self.block,
            "evaluations": self.objective.evaluations, "rng": self.rng.get_state(),
        }  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """Take up where :meth:`state` left off."""
        device = self.local.centre.device
        self.path = [(float(g), float(b), float(s)) for g, b, s in state["path"]]
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
    bridge = _Bridge(Descent(objective, local, cutoffs, settings, rng, budget, report))
    status = Status.REACHED
    try:
        if kept is None:
            bridge.begin()
        else:
            bridge.resume(kept["state"])
        if not bridge.exchange(file):
            status = Status.NOT_CONVERGED
    except OutOfBudget:
        status = Status.BUDGET_SPENT
        if bridge.done < settings.burn_in + settings.sweeps // 2:
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
