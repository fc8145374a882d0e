"""One independent run, from the prior to a small record, and many of them side by side."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint
from pindown.engine.ladder import Ladder
from pindown.engine.objective import Loss, Objective
from pindown.engine.polish import Polish
from pindown.engine.reading import learning_coefficients, local_slopes, read_curve, stored, weights_at
from pindown.engine.record import Island
from pindown.engine.reweight import Recorded, thermodynamic_integral
from pindown.engine.scout import Level, Pilot, run_levels
from pindown.engine.settings import Settings
from pindown.engine.warmup import volume_from, warm_up
from pindown.estimate import Status, bits
from pindown.rng import torch_generator
from pindown.spaces.base import Space

__all__ = ["Task", "run_island", "run_islands"]

Array = NDArray[np.float64]
_BLOCKS = 8
_LEAST_DRIFT = 0.05  # nats
_DRIFT = 6.0  # standard errors of the whole, of which the halves of a settled run differ by 2 (one in forty beyond it)
_LADDER_SHARE = 0.3
_SNAPSHOTS = 4
_LEAST_PARTICLES = 64


@dataclass(frozen=True)
class Task:
    """Everything that one run depends on.

    Attributes:
        space, loss, tolerance, seed, settings, device: as in :func:`pindown.measure`, settings resolved.
        index: number of the run.
        engine: ``"ladder"`` or ``"splitting"``.
        pilot: the frozen levels, for splitting.
        known: known solutions in held coordinates, or None.
        budget: most loss evaluations of this run, or None.
        folder, mark: where and under which fingerprint to checkpoint, or None.
        progress_file: a float64 array file in which this run writes the share that is done, or None.
    """

    space: Space
    loss: Loss
    tolerance: float
    seed: int
    settings: Settings
    index: int
    engine: str
    device: str = "cpu"
    pilot: Pilot | None = None
    known: Tensor | None = None
    budget: int | None = None
    folder: str | None = None
    mark: str = ""
    progress_file: str | None = None


@contextmanager
def _threads(n: int) -> Generator[None, None, None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_island(task: Task, report: Callable[[float], None] | None = None) -> Island:
    """One run: a function of its task and nothing else."""
    if report is None and task.progress_file is not None:
        report = _writer(task.progress_file, task.index)
    with _threads(task.settings.threads):
        if task.engine == "splitting":
            return _splitting_island(task, report)
        return _LadderIsland(task, report).run()


class _LadderIsland:
    """Ladder, polish and the warm-up of one run, resumable between any two stages or sweeps."""

    def __init__(self, task: Task, report: Callable[[float], None] | None) -> None:
        self.task, self.settings = task, task.settings
        self.report = report or (lambda share: None)
        self.objective = Objective(task.space, task.loss, task.device)
        self.rng = torch_generator(task.seed, task.index, device=task.device)
        self.ladder = Ladder(self.objective, task.tolerance, self.rng, self.settings)
        self.polish: Polish | None = None
        self.block, self.burn_in = 0, self.settings.burn_in
        self.began = time.perf_counter()
        self.spent = 0.0
        self.checkpoint = None
        if task.folder is not None:
            self.checkpoint = Checkpoint(task.folder, f"run-{task.index:03d}", task.mark)

    def run(self) -> Island:
        saved = self.checkpoint.load() if self.checkpoint else None
        if saved is not None:
            if saved["island"] is not None and saved["sweeps"] >= self.settings.sweeps:
                return Island.from_state(saved["island"])
            self._restore(saved)
        else:
            self.ladder.start()
        status = self._descend()
        if not self.ladder.rungs and self.polish is None:
            return self._nothing(status)
        if self.polish is None:
            self.polish = Polish.from_ladder(self.ladder)
        status = self._equilibrate(status)
        island = self._record(status)
        if self.checkpoint:
            self._save(island)
        return island

    def _descend(self) -> Status:
        most = None if self.task.budget is None else 0.4 * self.task.budget
        while self.ladder.status is None:
            self._save(None)
            if len(self.ladder.rungs) >= self.settings.stages:
                return Status.EXTINCT
            if most is not None and self.objective.evaluations >= most:
                return Status.BUDGET_SPENT
            self.ladder.advance()
            stages = len(self.ladder.rungs)
            self.report(_LADDER_SHARE * stages / (stages + 40.0))
        return self.ladder.status

    def _equilibrate(self, status: Status) -> Status:
        """Sweeps until the free energies stop drifting: burn-in, then blocks that double."""
        polish, settings = self.polish, self.settings
        assert polish is not None
        while True:
            length = settings.sweeps * 2**self.block
            total = self.burn_in + settings.sweeps
            while polish.sweeps < self.burn_in or len(polish.losses) < length:
                burning, before = polish.sweeps < self.burn_in, self.objective.evaluations
                polish.sweep(adapt=burning)
                again = self.objective.evaluations - before
                if burning and not self._affords((1 + _BLOCKS) * again):
                    self.burn_in = polish.sweeps
                if burning:
                    self._burn(polish, status)
                elif len(polish.losses) % max(1, length // _SNAPSHOTS) == 0:
                    polish.keep(settings.keep_bytes // _SNAPSHOTS)
                done = min(1.0, polish.sweeps / total) if self.block == 0 else len(polish.losses) / length
                self.report(_LADDER_SHARE + (0.97 - _LADDER_SHARE) * done)
                self._save(None)
                if len(polish.losses) >= _BLOCKS and not burning and not self._affords(again):
                    return Status.BUDGET_SPENT
            drift, error = _drift(polish.recorded())
            if abs(drift) <= max(_DRIFT * error, _LEAST_DRIFT) or self.block >= settings.doublings:
                return status
            self.block += 1
            polish.forget()

    def _affords(self, evaluations: float) -> bool:
        budget = self.task.budget
        return budget is None or self.objective.evaluations + evaluations <= budget

    def _burn(self, polish: Polish, status: Status) -> None:
        """Correct the warp half-way by the sweeps of the second quarter; drop what comes before production."""
        burn_in = self.burn_in
        if polish.sweeps == burn_in:
            polish.forget()
            polish.sizes.settle()
        elif polish.sweeps == burn_in // 2:
            polish.refine(self.settings, self.ladder.widest, self.task.tolerance if status.ok else None)
            polish.sizes.gather()
        elif polish.sweeps == burn_in // 4:
            polish.forget()

    def _record(self, status: Status) -> Island:
        polish, task = self.polish, self.task
        assert polish is not None
        recorded = polish.recorded()
        loss, beta = recorded.loss, recorded.beta
        weighted, solved = recorded.weigh()
        drift, within = _drift(recorded)
        curve = read_curve(weighted, loss, polish.warp, task.tolerance)
        # The share of the deepest samples below the tolerance has noise of its own.
        size = curve.at(curve.size, task.tolerance, below=0.0)
        within = math.hypot(within, 1.0 / math.sqrt(max(1.0, size))) if size > 0.0 else max(1.0, within)
        inner = recorded.loss[:, 1:]
        lambda_loss, lambda_value, lambda_spread = learning_coefficients(recorded, polish.warp)
        points, point_loss, origin = stored(polish)
        warm = np.empty(0), math.nan
        sweeps = self.settings.warm_moves + self.settings.warm_sweeps
        leaps = float(polish.sizes.leaps.double().mean())
        if task.known is not None and self._affords(sweeps * polish.chains.loss.numel() * leaps):
            settings, known = self.settings, self.objective.held(task.known.to(polish.chains.z))
            means, side = warm_up(polish, known, settings.warm_moves, settings.warm_sweeps, task.tolerance)
            warm = means, volume_from(side, curve, task.tolerance)
        if status is Status.REACHED and not (solved and curve.reach <= task.tolerance):
            status = Status.NOT_CONVERGED
        self.report(1.0)
        return Island(
            index=task.index,
            status=status,
            loss=curve.loss,
            log_volume=curve.log_volume,
            reach=curve.reach,
            lambda_loss=lambda_loss,
            lambda_value=lambda_value,
            lambda_spread=lambda_spread,
            drift=bits(drift),
            within=bits(within),
            lowest=min(self.ladder.lowest, float(weighted.loss[0])),
            points=self.objective.points(points).detach(),
            point_loss=point_loss,
            point_log_weight=weights_at(weighted, point_loss),
            ancestor=origin,
            warm_loss=warm[0],
            cold_loss=inner.mean((0, 2)),
            warm_log_volume=warm[1],
            stage_beta=beta[1:],
            evaluations=self.objective.evaluations,
            gradient_evaluations=self.objective.gradient_evaluations,
            non_finite=self.objective.non_finite,
            seconds=self.spent + time.perf_counter() - self.began,
            diagnostics={
                "ladder_stages": len(self.ladder.rungs),
                "stages": len(beta) - 1,
                "chains": polish.chains.z.shape[1],
                "sweeps": polish.sweeps,
                "recorded_sweeps": len(polish.losses),
                "doublings": self.block,
                "acceptance": float(polish.rates.mean()),
                "lowest_acceptance": float(polish.rates.min()),
                "swap_acceptance": float(polish.swaps.mean()),
                "lowest_swap_acceptance": float(polish.swaps.min()),
                "mean_leapfrog_steps": float(polish.sizes.leaps.double().mean()),
                "equations_solved": solved,
            },
            smooth=curve.smooth,
        )

    def _nothing(self, status: Status) -> Island:
        empty = np.empty(0)
        task = self.task
        return Island(
            task.index, status, empty, empty, math.inf, empty, empty, empty, 0.0, math.nan, self.ladder.lowest,
            torch.empty(0, task.space.dim), empty, empty, np.empty(0, np.int64), empty, empty, math.nan, empty,
            self.objective.evaluations, self.objective.gradient_evaluations, self.objective.non_finite,
            self.spent + time.perf_counter() - self.began,
        )  # fmt: skip

    def _save(self, island: Island | None) -> None:
        if self.checkpoint is None:
            return
        polish = self.polish
        self.checkpoint.save(
            {
                "ladder": self.ladder.state(),
                "polish": None if polish is None else polish.state(),
                "rng": self.rng.get_state(),
                "block": self.block,
                "burn_in": self.burn_in,
                "counts": (
                    self.objective.evaluations,
                    self.objective.gradient_evaluations,
                    self.objective.non_finite,
                ),
                "spent": self.spent + time.perf_counter() - self.began,
                "sweeps": self.settings.sweeps,
                "island": None if island is None else island.to_state(),
            },
            final=island is not None,
        )

    def _restore(self, saved: dict[str, Any]) -> None:
        self.ladder.restore(saved["ladder"])
        self.rng.set_state(saved["rng"])
        if saved["polish"] is not None:
            self.polish = Polish.from_state(self.objective, self.rng, saved["polish"])
        self.block, self.burn_in, self.spent = saved["block"], saved["burn_in"], saved["spent"]
        o = self.objective
        o.evaluations, o.gradient_evaluations, o.non_finite = saved["counts"]


def _splitting_island(task: Task, report: Callable[[float], None] | None) -> Island:
    """One run through frozen levels as a record."""
    checkpoint = None
    if task.folder is not None:
        checkpoint = Checkpoint(task.folder, f"run-{task.index:03d}", task.mark)
        saved = checkpoint.load()
        if saved is not None:
            return Island.from_state(saved["island"])
    assert task.pilot is not None
    began = time.perf_counter()
    objective = Objective(task.space, task.loss, task.device)
    rng = torch_generator(task.seed, task.index, device=task.device)
    n, levels = _affordable(task.pilot.levels, task.settings.splitting_particles, task.budget)
    run = run_levels(objective, task.tolerance, levels, n, rng, report)
    status = task.pilot.status if len(levels) == len(task.pilot.levels) else Status.BUDGET_SPENT
    if status is Status.REACHED and not run.reached:
        status = Status.EXTINCT
    # ln of an unbiased estimate is low by half its variance; the binomial part of it is known.
    volume = run.log_volume - 0.5 * run.log_variance * run.log_volume / min(run.log_volume[0], -1e-300)
    empty = np.empty(0)
    count = len(run.point_loss)
    island = Island(
        task.index, status, run.loss, volume, float(run.loss[0]) if run.loss.size else math.inf,
        *local_slopes(run.loss, volume), 0.0, bits(math.sqrt(run.log_variance)), run.lowest,
        objective.points(run.points).detach(), run.point_loss, np.zeros(count), run.ancestor,
        empty, empty, math.nan, empty, objective.evaluations, 0, objective.non_finite, time.perf_counter() - began,
        {"levels": len(levels), "particles": n, "ancestors": len(np.unique(run.ancestor))},
    )  # fmt: skip
    if checkpoint is not None:
        checkpoint.save({"island": island.to_state()}, final=True)
    return island


def _affordable(levels: tuple[Level, ...], particles: int, budget: int | None) -> tuple[int, tuple[Level, ...]]:
    """Fewer particles where the budget does not go to all of them, and the first levels where it goes to few."""
    cost = np.cumsum([1, *(level.moves for level in levels)])
    if budget is None or particles * cost[-1] <= budget:
        return particles, levels
    n = max(min(particles, _LEAST_PARTICLES), int(budget // cost[-1]))
    return n, levels[: max(0, int(np.searchsorted(n * cost, budget, side="right")) - 1)]


def run_islands(
    tasks: list[Task], jobs: int | None, progress: Callable[[float, str], None] | None, scratch: Path | None
) -> list[Island]:
    """All runs, one after the other or through joblib, in the order of the tasks.

    Args:
        tasks: the runs.
        jobs: processes; 1 stays in this one, None takes joblib's configured default.
        progress: called with the share done of all runs.
        scratch: folder for the file through which worker processes tell their progress.
    """
    if jobs == 1:
        out = []
        for i, task in enumerate(tasks):
            report = None
            if progress is not None:
                report = _share_of(progress, i, len(tasks))
            out.append(run_island(task, report))
        return out
    watch = None
    if progress is not None and scratch is not None:
        path = scratch / "progress.f64"
        np.zeros(max(t.index for t in tasks) + 1).tofile(path)
        tasks = [replace(t, progress_file=str(path)) for t in tasks]
        watch = _Watch(path, [t.index for t in tasks], progress)
    try:
        results = joblib.Parallel(n_jobs=jobs)(joblib.delayed(run_island)(t) for t in tasks)
        return cast(list[Island], list(results))
    finally:
        if watch is not None:
            watch.stop()


def _writer(path: str, index: int) -> Callable[[float], None] | None:
    if not Path(path).exists():
        return None  # a worker on another machine, which has no way to tell
    shares = np.memmap(path, dtype=np.float64, mode="r+")
    return lambda share: shares.__setitem__(index, share)


def _share_of(progress: Callable[[float, str], None], i: int, n: int) -> Callable[[float], None]:
    return lambda share: progress((i + share) / n, f"run {i + 1} of {n}")


class _Watch:
    """A thread that reads the runs' progress file and passes it on."""

    def __init__(self, path: Path, indices: list[int], progress: Callable[[float, str], None]) -> None:
        self._shares = np.memmap(path, dtype=np.float64, mode="r")
        self._indices, self._progress = indices, progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._over.wait(0.2):
            shares = self._shares[self._indices]
            done = int((shares >= 1.0).sum())
            self._progress(float(shares.mean()), f"{done} of {len(shares)} runs done")

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def _drift(recorded: Recorded) -> tuple[float, float]:
    """Second minus first half of the deepest free energy, and the standard error of the whole, nats."""
    parts = np.array_split(recorded.steady, _BLOCKS)
    blocks = [thermodynamic_integral(part, recorded.beta)[-1] for part in parts]
    half = _BLOCKS // 2
    drift = float(np.mean(blocks[half:]) - np.mean(blocks[:half]))
    # Within each half only, so that the drift itself does not enlarge its own yardstick.
    spread = 0.5 * (np.var(blocks[:half], ddof=1) + np.var(blocks[half:], ddof=1))
    return drift, float(math.sqrt(spread / _BLOCKS))
