"""The front door: measure how many bits a loss pins down."""

from __future__ import annotations

import math
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import cpu_count
from joblib.parallel import get_active_backend
from torch import Tensor

from pindown.engine.checkpoint import fingerprint
from pindown.engine.cluster import configured_elsewhere
from pindown.engine.enumeration import MOST_POINTS, enumerate_losses
from pindown.engine.islands import Task, run_islands
from pindown.engine.moves import MOST_CORRELATED
from pindown.engine.objective import Loss, Objective
from pindown.engine.profile import Profile
from pindown.engine.record import Island
from pindown.engine.scout import run_pilot
from pindown.engine.settings import Settings
from pindown.engine.solutions import Source
from pindown.engine.two_sided import compare_sides
from pindown.errors import EstimationError, InputError
from pindown.estimate import Status, bits
from pindown.rng import torch_generator
from pindown.spaces.base import Space, check_count, is_finite_space, is_smooth

__all__ = ["measure"]

Progress = Callable[[float, str], None]
_ENGINES = ("auto", "ladder", "splitting", "enumeration")
_PARALLEL_FROM_SECONDS = 8.0
_STAGES = 30  # that most ladders come to
_MOST_EVALUATIONS = 400_000  # in few dimensions there are more chains, but fewer stages and shorter trajectories
_PILOT = 1_000_003
_LEAST_BUDGET = 1000
_FEW = 4  # dimensions up to which random moves of many particles mix better than gradients
_WORST_FIRST = (Status.NON_FINITE, Status.PLATEAU, Status.EXTINCT, Status.BUDGET_SPENT, Status.NOT_CONVERGED)


def measure(
    space: Space,
    loss: Loss,
    *,
    tolerance: float,
    engine: str = "auto",
    particles: int | None = None,
    repeats: int = 4,
    budget: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    known: Any = None,
    jobs: int | None = None,
    strict: bool = False,
    settings: Settings | None = None,
) -> Profile:
    r"""Measure the bits that ``loss ≤ tolerance`` pins down: :math:`-\log_2 P_\mathrm{prior}(L \le t)`.

    Smooth spaces with a differentiable loss are measured by tempered sequential Monte Carlo on a warp of the loss
    that depends on ranks only, followed by replica exchange and free energies from all stages at once
    (:mod:`~pindown.engine.ladder`, :mod:`~pindown.engine.polish`, :mod:`~pindown.engine.reweight`). Everything
    else, and what has four dimensions or fewer, is measured by multilevel splitting
    (:mod:`~pindown.engine.scout`), or by looking at every point of a small finite space. Independent runs give the
    interval. Where those of the ladder disagree and there are few dimensions, splitting is tried as well;
    ``profile.diagnostics["engine_reason"]`` says so.

    Args:
        space: the prior.
        loss: maps points ``(N, dim)`` to values ``(N,)``, lower is better; torch tensors, or NumPy arrays for a loss
            that takes only those.
        tolerance: the loss to go down to.
        engine: ``"auto"``, ``"ladder"``, ``"splitting"`` or ``"enumeration"``.
        particles: particles of one run; by default chosen from the dimension.
        repeats: independent runs; at least two for an interval, four or more for a good one.
        budget: most loss evaluations of all runs together. A run makes eight sweeps, the fewest that can be read, even
            where it cannot afford them; the two-sided check is left out where nothing is left for it.
        seed: everything random follows from it.
        device: where points are held, such as ``"cpu"`` or ``"cuda"``.
        checkpoint: folder for unfinished work. The same call with the same folder resumes; more repeats or more
            sweeps add to what is there.
        progress: called with the share done and a text.
        known: points with low loss, ``(m, dim)``, such as trained weights: starts the two-sided check.
        jobs: worker processes; by default one, or as many as there are cores where the work is worth it, or what
            ``joblib.parallel_config`` says.
        strict: raise :class:`~pindown.errors.EstimationError` where the status is not ok.
        settings: the engine's own numbers.

    Returns:
        The whole curve from the prior down to the tolerance.

    Raises:
        InputError: for a loss or an argument that cannot be used, before any sampling.
        EstimationError: with ``strict=True``, where the measurement did not succeed.

    Example:
        >>> from pindown import Gaussian, measure
        >>> profile = measure(Gaussian(10), lambda x: x.square().sum(-1), tolerance=0.1, seed=0)
        >>> truth = 28.57  # −log2 of the chi-square distribution function, 10 degrees of freedom, at 0.1
        >>> abs(profile.bits().value - truth) < 1
        True
    """
    began = time.perf_counter()
    tolerance = _check_arguments(space, tolerance, engine, repeats, budget, jobs)
    settings = replace(settings or Settings(), **({} if particles is None else _sizes(particles)))
    settings = settings.resolved(space.dim)
    objective = Objective(space, loss, device)
    has_gradient = objective.check(seed)
    chosen, reason = _choose(engine, space, objective, has_gradient, known is not None)
    diagnostics: dict[str, Any] = {"engine_reason": reason, "settings": settings.to_dict(), "device": str(device)}
    if chosen == "enumeration":
        return _enumerated(space, objective, tolerance, seed, began, diagnostics)

    known_z = None
    if known is not None and chosen == "ladder":
        known_z = _known(space, objective, known)
    elif known is not None:
        diagnostics["two_sided_reason"] = f"not run: the {chosen} engine has no tempered stages to warm up through"
    run = _Run(space, objective, tolerance, settings, repeats, seed, device, known_z, progress, jobs)
    profile = run.profile(chosen, budget, checkpoint, diagnostics)
    left = None if budget is None else budget - profile.evaluations
    if engine == "auto" and _wants_second(profile, known_z) and (left is None or left >= _LEAST_BUDGET):
        profile = run.second(profile, left, checkpoint, diagnostics)
    profile = replace(profile, seconds=time.perf_counter() - began)
    at_tolerance = profile.bits().status
    if profile.status.ok and at_tolerance is not profile.status:
        profile = replace(profile, status=at_tolerance)
    if strict and not profile.status.ok:
        raise EstimationError(f"{profile.status}: {profile.status.message}", profile)
    return profile


@dataclass(frozen=True)
class _Run:
    """The arguments of one measurement, for one engine or two."""

    space: Space
    objective: Objective
    tolerance: float
    settings: Settings
    repeats: int
    seed: int
    device: str
    known: Tensor | None
    progress: Progress | None
    jobs: int | None

    def profile(
        self, engine: str, budget: int | None, checkpoint: str | Path | None, diagnostics: dict[str, Any]
    ) -> Profile:
        """All runs of one engine as a profile."""
        space, objective, settings, seed = self.space, self.objective, self.settings, self.seed
        began, diagnostics, before = time.perf_counter(), dict(diagnostics), objective.evaluations
        pilot = None
        if engine == "splitting":
            rng = torch_generator(seed, _PILOT, device=self.device)
            pilot = run_pilot(objective, self.tolerance, settings, rng, None if budget is None else budget // 4)
            diagnostics["pilot_evaluations"] = objective.evaluations - before
            diagnostics["levels"] = len(pilot.levels)
        folder, mark = None, ""
        if checkpoint is not None:
            Path(checkpoint).mkdir(parents=True, exist_ok=True)
            folder = str(Path(checkpoint).absolute())  # a worker elsewhere has a working directory of its own
            mark = _mark(space, objective, self.tolerance, seed, settings, engine, budget)
        each = None if budget is None else max(1, (budget - objective.evaluations + before) // self.repeats)
        tasks = [
            Task(
                space, _numpy_or_torch(objective), self.tolerance, seed, settings, i, engine, str(self.device), pilot,
                self.known, each, folder, mark,
            )
            for i in range(self.repeats)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="pindown-") as scratch:
            workers, diagnostics["jobs"] = _jobs(self.jobs, tasks, objective)
            try:
                islands = run_islands(tasks, workers, self.progress, Path(scratch))
            except pickle.PicklingError as error:
                diagnostics["jobs"] = f"one process: the loss cannot be sent to others ({error})"
                islands = run_islands(tasks, 1, self.progress, Path(scratch))
        return Profile(
            tolerance=self.tolerance,
            dim=space.dim,
            reference=space.reference,
            engine=engine,
            seed=seed,
            status=_status(islands),
            islands=tuple(islands),
            seconds=time.perf_counter() - began,
            diagnostics=diagnostics | {"runs": [i.diagnostics for i in islands]},
            two_sided=compare_sides(islands, self.tolerance, space.reference) if self.known is not None else None,
            plateau_tries=0 if pilot is None else pilot.tries,
            source=Source(space, tasks[0].loss, self.device),
        )

    def second(
        self, first: Profile, budget: int | None, checkpoint: str | Path | None, diagnostics: dict[str, Any]
    ) -> Profile:
        """The splitting engine's answer where that of the ladder did not converge and splitting's does."""
        folder = None if checkpoint is None else Path(checkpoint) / "splitting"
        second = self.profile("splitting", budget, folder, diagnostics)
        found = ", ".join(f"{-bits(i.log_volume_at(self.tolerance)):.2f}" for i in first.islands)
        if second.status.ok and second.bits().status.ok:
            reason = f"the runs of the ladder disagree ({found} bits), those of splitting agree"
            kept, other = second, first
        else:
            reason = f"{first.diagnostics['engine_reason']}; the runs of splitting disagree too"
            kept, other = first, second
        spent = {"other_engine_evaluations": other.evaluations}
        return replace(kept, diagnostics=kept.diagnostics | spent | {"engine_reason": reason})


def _wants_second(profile: Profile, known: Tensor | None) -> bool:
    few = profile.engine == "ladder" and profile.dim <= MOST_CORRELATED and known is None
    return few and profile.reach <= profile.tolerance and profile.bits().status is Status.NOT_CONVERGED


def _check_arguments(
    space: Any, tolerance: Any, engine: str, repeats: Any, budget: Any, jobs: Any
) -> float:  # fmt: skip
    if not isinstance(space, Space):
        raise InputError(f"a space of type {type(space).__name__}", "an object with dim, reference, sample and propose")
    try:
        t = float(tolerance)
    except (TypeError, ValueError):
        t = math.nan
    if math.isnan(t):
        raise InputError(f"tolerance {tolerance!r}", "a number")
    if engine not in _ENGINES:
        raise InputError(f"engine {engine!r}", f"one of {', '.join(_ENGINES)}")
    check_count(repeats, "repeats")
    if budget is not None:
        check_count(budget, "budget", low=_LEAST_BUDGET)
    if jobs is not None and (not isinstance(jobs, int) or jobs == 0):
        raise InputError(f"jobs = {jobs!r}", "a whole number, negative to count from the number of cores")
    return t


def _sizes(particles: int) -> dict[str, int]:
    check_count(particles, "particles", low=8)
    return {"particles": particles, "splitting_particles": particles}


def _choose(engine: str, space: Space, objective: Objective, has_gradient: bool, known: bool) -> tuple[str, str]:
    small = is_finite_space(space) and space.size <= MOST_POINTS
    if engine == "enumeration":
        if not is_finite_space(space):
            raise InputError(f"enumeration of {space.reference}", "a finite space such as BitString or Subset")
        return engine, "asked for"
    if engine == "ladder":
        if not has_gradient:
            raise InputError(
                "the ladder engine with a loss or space that has no usable gradient",
                "a differentiable torch loss on a smooth space", 'use engine="splitting"',
            )  # fmt: skip
        return engine, "asked for"
    if engine == "splitting":
        return engine, "asked for"
    if small and is_finite_space(space):
        return "enumeration", f"the space has only {space.size:,} points"
    if has_gradient and space.dim <= _FEW and not known:
        return "splitting", f"in {space.dim} dimensions many particles mix better by random moves than by gradients"
    if has_gradient:
        return "ladder", "the space is smooth and the loss has a gradient"
    if not is_smooth(space):
        return "splitting", "the space is discrete"
    if objective.takes_numpy:
        return "splitting", "the loss takes NumPy arrays, so it has no gradient"
    return "splitting", "the loss has no gradient, or one that is zero at most prior points"


def _enumerated(
    space: Space, objective: Objective, tolerance: float, seed: int, began: float, diagnostics: dict[str, Any]
) -> Profile:
    assert is_finite_space(space)
    loss = enumerate_losses(objective, space)
    value, count = np.unique(loss, return_counts=True)
    best = np.flatnonzero(loss <= max(tolerance, float(value[0])))[: 2**14]
    points = torch.cat([space.points(int(i), int(i) + 1) for i in best])
    empty = np.empty(0)
    island = Island(
        0, Status.REACHED, value, np.log(np.cumsum(count) / space.size), float(value[0]), empty, empty, empty, 0.0, 0.0,
        float(value[0]), points, loss[best], np.zeros(best.size), best.astype(np.int64), empty, empty, math.nan, empty,
        objective.evaluations, 0, objective.non_finite, time.perf_counter() - began, {"points": space.size},
    )  # fmt: skip
    source = Source(space, _numpy_or_torch(objective), objective.device)
    return Profile(
        tolerance, space.dim, space.reference, "enumeration", seed, Status.REACHED, (island,),
        time.perf_counter() - began, diagnostics, source=source,
    )  # fmt: skip


class _NumpyLoss:
    """A loss on NumPy arrays as a loss on tensors."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, x: Tensor) -> Tensor:
        return torch.as_tensor(np.asarray(self.loss(x.detach().cpu().numpy())))


def _numpy_or_torch(objective: Objective) -> Loss:
    return _NumpyLoss(objective.loss) if objective.takes_numpy else objective.loss


def _known(space: Any, objective: Objective, known: Any) -> Tensor:
    x = torch.as_tensor(known, dtype=objective.dtype, device=objective.device).detach()
    if x.ndim == 1:
        x = x.unsqueeze(0)
    if x.ndim != 2 or x.shape[1] != space.dim or len(x) == 0:
        raise InputError(f"known points of shape {tuple(x.shape)}", f"(m, {space.dim}) with at least one point")
    z = space.to_normal(x)
    value = objective.losses(z)
    if not torch.isfinite(value).all():
        raise InputError(f"a known point with loss {float(value[~torch.isfinite(value)][0])}", "finite losses")
    return z


def _mark(
    space: Space, objective: Objective, tolerance: float, seed: int, settings: Settings, engine: str, budget: int | None
) -> str:
    # More sweeps and more runs may be added later, so they are no part of what a checkpoint belongs to.
    later = ("sweeps", "doublings", "threads", "warm_moves", "warm_sweeps")
    sizes = {k: v for k, v in settings.to_dict().items() if k not in later}
    z = objective.prior(16, torch_generator(seed, _PILOT + 1, device=objective.device))
    parts = {"space": space.reference, "dim": space.dim, "tolerance": tolerance, "seed": seed, "engine": engine}
    return fingerprint(parts | {"settings": sizes, "budget": budget}, objective.losses(z).cpu())


def _jobs(jobs: int | None, tasks: list[Task], objective: Objective) -> tuple[int | None, str]:
    """How many processes, and why."""
    if jobs is not None:
        return (1, "one process, asked for") if jobs == 1 else (jobs, f"{jobs} processes, asked for")
    if configured_elsewhere():
        return None, f"joblib's configured backend, {type(get_active_backend()[0]).__name__}"
    cores = min(cpu_count(), len(tasks))
    if cores == 1 or objective.device.type != "cpu" or os.environ.get("PINDOWN_JOBS") == "1":
        return 1, "one process: one core, or a device of its own"
    seconds = _cost(objective, tasks[0])
    if seconds * len(tasks) < _PARALLEL_FROM_SECONDS:
        return 1, f"one process: about {seconds:.1f} s a run"
    return cores, f"{cores} processes: about {seconds:.0f} s a run"


def _cost(objective: Objective, task: Task) -> float:
    """Seconds that a typical run would take, from the time of one batch."""
    n = max(64, task.settings.particles or 64)
    z = objective.prior(n, torch_generator(task.seed, _PILOT + 2, device=objective.device))
    call = objective.losses_and_gradients if task.engine == "ladder" else objective.losses
    call(z)
    begin = time.perf_counter()
    call(z)
    each = (time.perf_counter() - begin) / n
    if task.pilot is not None:
        return each * task.settings.splitting_particles * sum(level.moves for level in task.pilot.levels)
    s = task.settings
    sweeps = (s.chains or 4) * (s.burn_in + 1.5 * s.sweeps) + (s.particles or 32) * s.ladder_moves
    return each * min(_STAGES * sweeps * s.leaps, _MOST_EVALUATIONS)


def _status(islands: list[Island]) -> Status:
    found = {i.status for i in islands}
    for status in _WORST_FIRST:
        if status in found:
            return status
    return Status.REACHED
