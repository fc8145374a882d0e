"""How much of the prior lies around trained weights below a loss, in bits."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint, fingerprint
from pindown.engine.objective import Objective
from pindown.errors import InputError
from pindown.estimate import Estimate, Kind, Status, bits
from pindown.network.basin_result import Basin, BasinPoint
from pindown.network.bridge import BridgeSettings, Run, run_bridge
from pindown.network.known import inside_support
from pindown.network.local_gaussian import LocalGaussian
from pindown.network.progress import Progress, rising
from pindown.network.radial import Rays, shoot
from pindown.network.subject import Solution, Subject
from pindown.rng import child_seed, torch_generator
from pindown.spaces.base import check_count
from pindown.stats import mean_and_stderr

__all__ = ["Basin", "BasinPoint", "BridgeSettings", "basin"]

Method = Literal["both", "radial", "bridge"]
Array = NDArray[np.float64]
_FEWEST_RAYS = 16
_PRIOR_DRAWS = 64
_EXCESSES = (0.25, 0.5, 1.0, 2.0)
_LEAST_ACCEPTANCE, _LEAST_SWAPS = 0.1, 0.01
_SHARE = 0.02  # of the bits, by which runs may still be drifting


def basin(
    subject: Subject,
    *,
    solution: int | Solution = 0,
    cutoff: float | None = None,
    cutoffs: Sequence[float] | None = None,
    method: Method = "both",
    rays: int = 64,
    repeats: int = 4,
    budget: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    settings: BridgeSettings | None = None,
) -> Basin:
    r"""Measure the prior mass of the basin around trained weights: :math:`-\log_2 P_\mathrm{prior}(\text{basin}(c))`.

    The basin is what can be reached from the weights while the loss stays at most the cutoff ``c``. Everything is
    computed in the standard normals that the prior maps to the weights. Two methods, in order of their cost:

    * **Rays** (:mod:`pindown.network.radial`): star-shaped radial estimation (Scherlis and Belrose 2025, Estimating
      the probability of sampling a trained neural network at random), with directions from a Gaussian fitted to the
      Hessian. It sees only the part of the basin that straight lines from the weights reach, and a mean over
      heavy-tailed rays lies below their expectation: a lower bound on the mass, so an *upper bound on the bits*, which
      holds with 95% confidence by Markov's inequality. ``radial_spread`` tells how loose it may be.
    * **The bridge** (:mod:`pindown.network.bridge`): the reference-potential method of basins of attraction (Frenkel
      and Ladd 1984; Xu, Frenkel and Liu 2011) with replica exchange and Bennett's ratios: chains tethered to the
      weights, whose integral is known, are let go step by step. It is the *estimate*, with an interval over
      independent runs. Runs that have not converged have not got far enough and give too many bits: then it is an
      upper bound too, and the status says so.

    At a tempered density chains pass saddles that lie a little above the cutoff; basins that are joined there count as
    one. The bits of the whole prior, :func:`pindown.measure`, cannot be more than these.

    The mass of a basin does not change when the units of a ReLU layer are rescaled along a path inside it; the rays'
    bound does, as what is straight from one point is not from another (Dinh et al. 2017).

    Args:
        subject: the model, its loss and its data.
        solution: which of the subject's solutions, or another.
        cutoff: the loss; by default twice the loss at the weights, or a thousandth of the prior's where that is zero.
        cutoffs: losses of the curve besides it; by default excesses over the loss at the weights of a quarter, a half
            and twice that of ``cutoff``.
        method: ``"both"``, ``"radial"`` or ``"bridge"``.
        rays: of each bound, 16 or more.
        repeats: independent runs of the bridge, two or more.
        budget: most loss evaluations of the bridge, all runs together.
        seed: everything random follows from it.
        jobs: processes for the runs of the bridge.
        checkpoint: folder for unfinished work; the same call with it resumes.
        progress: called with the share done and a text.
        settings: the bridge's sizes.

    Raises:
        InputError: for a loss without two derivatives, a cutoff that is not above the loss at the weights, or weights
            that the prior cannot produce and that cannot be brought inside its support.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> from pindown import Subject, basin
        >>> model = torch.nn.Linear(2, 1, bias=False).double()
        >>> _ = torch.nn.init.zeros_(model.weight)
        >>> x = torch.eye(2, dtype=torch.float64)
        >>> bowl = Subject(model, "mse", (x, 0 * x[:, :1]), prior="lecun")  # loss |w|²/2 with w ~ N(0, 1/2)
        >>> found = basin(bowl, cutoff=0.005, cutoffs=[], rays=16, repeats=2)
        >>> truth = 6.65  # |w|² ≤ 0.01 has P(χ²₂ ≤ 0.02) = 1 − e^(−0.01)
        >>> abs(found.at_cutoff.radial_mean - truth) < 0.1, abs(found.bits.value - truth) < 1
        (True, True)
    """
    began = time.perf_counter()
    _check(method, rays, repeats, budget, jobs)
    chosen = solution if isinstance(solution, Solution) else _listed(subject, solution)
    space, loss = subject.space(), subject.objective()
    if not loss.differentiable:
        raise InputError(f"loss {loss.name} without a gradient", "a loss that is differentiable in the weights")
    tell = rising(progress) if progress is not None else lambda share, text: None
    point, moved, remarks = _inside(subject, chosen)
    at_weights = float(subject.losses(point.unsqueeze(0)))
    prior = subject.losses(space.sample(_PRIOR_DRAWS, rng=torch_generator(seed, 0xBA)).to(subject.device))
    wanted, levels = _cutoffs(cutoff, cutoffs, at_weights, float(prior.median()))
    tell(0.0, "the quadratic model of the loss")
    local, products = LocalGaussian.of(subject, point, seed)
    bounds: list[Rays] = []
    radial = Objective(space, loss, subject.device)
    if method != "bridge":
        for i, level in enumerate(levels):
            tell(0.02 + 0.1 * i / len(levels), f"rays at {level:.3g}")
            bounds.append(shoot(radial, local, level, rays, child_seed(seed, 1, i)))
    runs: list[Run | None] = []
    if method != "radial":
        job = _Bridge(subject, local, tuple(levels), settings or BridgeSettings(), seed, budget, repeats, checkpoint)
        start = 0.15 if bounds else 0.05
        runs = job.all(jobs, lambda share, text: tell(start + (1.0 - start) * share, text))
    tell(1.0, "done")
    found = [r for r in runs if r is not None]
    if len(found) < len(runs):
        remarks.append(f"The budget ended {len(runs) - len(found)} of {len(runs)} runs before they measured anything.")
    points = [
        _point(level, i, found, len(runs), bounds[i] if bounds else None, space.reference, remarks)
        for i, level in enumerate(levels)
    ]
    return Basin(
        subject=subject.name, solution=chosen.name, loss=loss.name, reference=space.reference, parameters=space.dim,
        loss_at_weights=at_weights, cutoff=wanted, curve=tuple(points), directions=len(local.curvature),
        rays=rays if bounds else 0, runs=len(runs), tether=_mean(r.tether for r in found),
        stages=_mean(r.stages for r in found), acceptance=_mean(r.acceptance for r in found),
        swaps=_mean(r.swaps for r in found), distance=_mean(r.distance for r in found),
        evaluations=radial.evaluations + sum(r.evaluations for r in found), radial_evaluations=radial.evaluations,
        products=products, moved=moved, remarks=tuple(dict.fromkeys(remarks)), seed=seed,
        seconds=time.perf_counter() - began,
    )  # fmt: skip


@dataclass(frozen=True)
class _Bridge:
    """The runs of the bridge, each a pure function of its number."""

    subject: Subject
    local: LocalGaussian
    cutoffs: tuple[float, ...]
    settings: BridgeSettings
    seed: int
    budget: int | None
    repeats: int
    checkpoint: str | Path | None

    def one(self, i: int, report: Any = lambda share, text: None) -> Run | None:
        objective = Objective(self.subject.space(), self.subject.objective(), self.subject.device)
        budget = math.inf if self.budget is None else self.budget / self.repeats
        return run_bridge(
            objective, self.local, self.cutoffs, self.settings, child_seed(self.seed, 2, i), budget=budget,
            file=self._file(i), report=report,
        )  # fmt: skip

    def all(self, jobs: int, report: Progress) -> list[Run | None]:
        if jobs == 1:
            return [
                self.one(i, lambda s, t, i=i: report((i + s) / self.repeats, f"run {i + 1}, {t}"))
                for i in range(self.repeats)
            ]
        done = Parallel(n_jobs=jobs, return_as="generator")(delayed(self.one)(i) for i in range(self.repeats))
        out: list[Run | None] = []
        for i, run in enumerate(done):
            out.append(run)
            report((i + 1) / self.repeats, f"run {i + 1} is done")
        return out

    def _file(self, i: int) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        Path(self.checkpoint).mkdir(parents=True, exist_ok=True)
        space = self.subject.space()
        parts: dict[str, Any] = {
            "what": "basin",
            "space": space.reference,
            "cutoffs": [f"{c:.9g}" for c in self.cutoffs],
        }
        parts |= {"seed": self.seed, "run": i, "settings": str(self.settings), "budget": self.budget}
        centre = space.from_normal(self.local.centre.unsqueeze(0))
        near = space.from_normal(0.9 * self.local.centre.unsqueeze(0))
        values = self.subject.losses(torch.cat([centre, near, space.from_normal(0.0 * self.local.centre.unsqueeze(0))]))
        return Checkpoint(self.checkpoint, f"basin-{i}", fingerprint(parts, values.cpu()))


def _inside(subject: Subject, chosen: Solution) -> tuple[Tensor, int, list[str]]:
    """The weights, or the nearest that the prior can produce, trained on there."""
    space, loss = subject.space(), subject.objective()
    point = chosen.point.to(subject.device)
    outside = int((~space.inside(point)).sum())
    if not outside:
        return point, 0, []
    before = float(subject.losses(point.unsqueeze(0)))
    moved, _ = inside_support(space, loss, point.unsqueeze(0))
    after = float(subject.losses(moved))
    remark = (
        f"{outside} of {space.dim:,} weights lie outside the support of the prior, which gives these very weights no "
        f"mass: measured at weights inside it that were trained on from there (loss {before:.4g}, now {after:.4g}). "
        'Subject(…, prior="normal") takes the weights as they are.'
    )
    return moved[0], outside, [remark]


def _cutoffs(
    cutoff: float | None, cutoffs: Sequence[float] | None, at_weights: float, prior: float
) -> tuple[float, list[float]]:
    """The cutoff, and all of the curve from the highest down."""
    if cutoff is None:
        cutoff = 2.0 * at_weights if at_weights > 1e-3 * prior else at_weights + 1e-3 * (prior - at_weights)
    excess = cutoff - at_weights
    if cutoffs is None:
        cutoffs = [at_weights + f * excess for f in _EXCESSES if at_weights + f * excess < 0.5 * (at_weights + prior)]
    every = sorted({float(c) for c in (*cutoffs, cutoff)}, reverse=True)
    if not all(math.isfinite(c) and c > at_weights for c in every):
        raise InputError(
            f"cutoffs {', '.join(f'{c:.6g}' for c in every)}",
            f"finite losses above {at_weights:.6g}, that at the weights", "raise the lowest, or train further",
        )  # fmt: skip
    return float(cutoff), every


def _point(
    cutoff: float, i: int, found: list[Run], asked: int, rays: Rays | None, reference: str, remarks: list[str]
) -> BasinPoint:
    bound = None if rays is None else _bound(rays, reference)
    estimate = None
    if asked:
        estimate = _estimate([r.log_mass[i] for r in found], [r.drift[i] for r in found], found, reference)
        if bound is not None and not found:
            estimate = Estimate(bound.value, 0.0, "bits", "upper_bound", Status.BUDGET_SPENT, reference)
        elif bound is not None and estimate.kind == "estimate" and estimate.interval()[0] > bound.value:
            remarks.append(
                f"At {cutoff:.4g} the rays alone see more of the basin than the runs, which have not converged."
            )
            estimate = Estimate(bound.value, 0.0, "bits", "upper_bound", Status.NOT_CONVERGED, reference)
    if rays is None:
        return BasinPoint(cutoff, estimate, None, None, None, None, None)
    radius = float(np.median(rays.radius))
    return BasinPoint(cutoff, estimate, bound, rays.bits, rays.spread, rays.size, radius)


def _bound(rays: Rays, reference: str) -> Estimate:
    status = Status.REACHED if math.isfinite(rays.bound) else Status.EXTINCT
    return Estimate(rays.bound, 0.0, "bits", "upper_bound", status, reference)


def _estimate(log_mass: list[float], drift: list[float], runs: list[Run], reference: str) -> Estimate:
    """The mean over runs with its interval, or what an unfinished measurement still bounds."""
    value = np.array([-bits(float(v)) for v in log_mass])
    if not len(value) or not np.isfinite(value).all():
        status = Status.BUDGET_SPENT if not len(value) else Status.EXTINCT
        return Estimate(math.inf, math.nan, "bits", "upper_bound", status, reference)
    mean, stderr = mean_and_stderr(value)
    change, noise = mean_and_stderr([-bits(float(v)) for v in drift])
    dof = len(value) - 1.0
    spent = any(r.status is Status.BUDGET_SPENT for r in runs)
    kind: Kind = "estimate"
    status = Status.BUDGET_SPENT if spent else Status.REACHED
    # The second half of a block against its first: where they differ beyond chance, the runs are still on their way.
    chance = noise * float(stdtrit(dof, 0.975)) if dof >= 1 else math.inf
    if not abs(change) <= max(0.25, chance):
        if abs(change) <= max(1.0, _SHARE * mean):
            stderr = math.hypot(stderr, change)
            status = Status.WIDENED if not spent else status
        else:
            kind, status = "upper_bound", Status.NOT_CONVERGED
    wide = Estimate(mean, stderr, "bits", "estimate", status, reference, dof)
    stuck = min(r.acceptance for r in runs) < _LEAST_ACCEPTANCE or min(r.swaps for r in runs) < _LEAST_SWAPS
    if stuck or (kind == "estimate" and wide.interval()[1] - mean > max(10.0, 0.25 * mean)):
        kind, status = "upper_bound", Status.NOT_CONVERGED
    if kind == "upper_bound":
        return Estimate(wide.interval()[1], 0.0, "bits", kind, status, reference)
    return wide


def _mean(values: Any) -> float:
    listed = [float(v) for v in values]
    return sum(listed) / len(listed) if listed else math.nan


def _listed(subject: Subject, number: int) -> Solution:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(subject.solutions):
        raise InputError(f"solution {number!r}", f"0 to {len(subject.solutions) - 1}, or a Solution")
    return subject.solutions[number]


def _check(method: str, rays: int, repeats: int, budget: int | None, jobs: int) -> None:
    if method not in ("both", "radial", "bridge"):
        raise InputError(f"method {method!r}", '"both", "radial" or "bridge"')
    check_count(rays, "rays", low=_FEWEST_RAYS)
    check_count(repeats, "repeats", low=2)
    if budget is not None:
        check_count(budget, "budget", low=1000)
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs == 0:
        raise InputError(f"jobs = {jobs!r}", "a whole number, negative to count from the number of cores")
