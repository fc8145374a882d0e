"""How a learning coefficient is sampled: the plan, the localisation, the rounds, the readings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from pindown.engine.checkpoint import Checkpoint, fingerprint
from pindown.estimate import Estimate
from pindown.network.convergence import Agreement, TemperaturePoint, burn_in, read_point, read_together
from pindown.network.localised import LocalLoss, LocalPosterior
from pindown.network.localised_engine import by_engine
from pindown.network.minibatches import Minibatches
from pindown.network.posterior_chains import SUBSTEPS, Hamiltonian, Langevin, Sampler
from pindown.network.posterior_runs import ChainRun
from pindown.network.progress import Progress
from pindown.rng import torch_generator
from pindown.stats import r_hat

__all__ = ["GAMMAS", "Plan", "Reading", "localise", "measure_points", "plan_run"]

_FLOPS = 3e12  # of one measurement at a fiftieth of λ, some minutes of a core
_PRECISION = 0.02
_EVALUATIONS = (30_000, 2_000_000)
_FULL_BATCH = 1e9  # operations of one gradient on all data, above which minibatches are used
_MOST_LEAPS, _LEAST_LEAPS = 512, 8
_WARM, _WARM_SHORT, _WARM_STEPS = 60, 40, 150
_LEAST_WARM, _LEAST_SWEEPS = 20, 20
_SEARCH = 0.25  # of the budget, for the localisation
_LONG = 128  # trajectories of which there may be more
_ROUNDS, _ROUNDS_STEPS = 4, 2
_BATCH = 64
GAMMAS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)  # localisations that are tried, the widest first
_FALL = 0.75
_TRIED = 3  # pilots that the search's share of the budget has room for
_RECORDED = 0.5  # of a budget, after burn-in and what the burn-in adds
_AGREED = 1.2  # R-hat by then, allowing for one that a short pilot makes too large
_FORGETS = 2.5  # times over, at the steps of the search, which are shorter than those settled on later
_SIZE, _MOST_SIZE = 4.0, 200.0
_PILOT, _LEAST_PILOT = 24, 4
_ILL, _MOST_GONE = 0.75, 0.02
_SMALL_ENGINE, _LEAST_ENGINE = 4, 1000


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        method: the sampler.
        reason: why this one.
        nbeta: inverse temperatures, increasing.
        main: which of them is nearest to n/ln n.
        chains: at each of them.
        batch_size: examples a minibatch; None for all data.
        precision: standard error aimed at, as a share of λ.
        budget: most gradients.
        most_leaps: gradients a Hamiltonian trajectory at most.
        warm: sweeps of the ramp, and of the burn-in with adaptation.
    """

    method: str
    reason: str
    nbeta: tuple[float, ...]
    main: int
    chains: int
    batch_size: int | None
    precision: float
    budget: int
    most_leaps: int
    warm: int

    def for_model(self, local: LocalLoss) -> Plan:
        """The same plan for another model."""
        size = None if self.batch_size is None else min(self.batch_size, local.subject.train_size)
        return replace(self, batch_size=size)


def plan_run(
    local: LocalLoss, method: str, nbeta: Sequence[float], *, chains: int, batch_size: int | None, precision: float,
    budget: int | None, searches: bool,
) -> Plan:  # fmt: skip
    """Choose the sampler and its sizes from what one gradient costs; ``searches`` whether γ has to be found as well."""
    rows = local.point.numel() if local.path == "linear" else local.subject.train_size
    flops = 6.0 * local.point.numel() * min(rows, local.subject.train_size)
    examples = local.subject.train_size
    if method == "auto":
        if not local.differentiable:
            method, reason = "engine", "the loss has no gradient, so the engine's ranks are used"
        elif flops <= _FULL_BATCH and batch_size is None:
            method, reason = "hamiltonian", "gradients on all data are affordable, and moves can be rejected"
        elif batch_size is not None:
            method, reason = "psgld", "minibatches were asked for"
        else:
            method, reason = "psgld", f"one gradient on all data takes {flops:.1e} operations, so minibatches are used"
    else:
        reason = "as asked"
    size = None
    if method in ("sgld", "psgld") and (batch_size is not None or flops > _FULL_BATCH):
        size = min(batch_size or _BATCH, examples)
        flops *= size / examples
    most = _FLOPS / flops * min(1.0, math.sqrt(_PRECISION / precision))
    limit = budget or int(min(max(most, _EVALUATIONS[0]), _EVALUATIONS[1]))
    room = limit * (1.0 - _SEARCH if searches else 1.0)
    stages = chains * len(nbeta) + chains // 2  # the tested stages take twice the gradients
    # Few long trajectories reach farther along a valley than many short ones of the same gradients.
    warm = _WARM if room / stages >= 3.5 * _WARM * _LONG else _WARM_SHORT
    leaps = int(min(max(room / stages / (3.5 * warm), _LEAST_LEAPS), _MOST_LEAPS))
    base = local.terms / math.log(max(local.terms, 3))
    main = int(np.argmin([abs(math.log(b / base)) for b in nbeta]))
    if method not in ("hamiltonian", "engine"):
        warm = int(min(_WARM_STEPS, max(_LEAST_WARM, room / (chains * len(nbeta)) / (3.5 * (SUBSTEPS + 2)))))
    return Plan(method, reason, tuple(nbeta), main, chains, size, precision, limit, leaps, warm)


@dataclass(frozen=True)
class Reading:
    """What the chains gave.

    Attributes:
        points: one for each inverse temperature.
        chains, sweeps, burn_in: how many chains at each, moves recorded, and moves thrown away before and after.
        evaluations: losses with gradients.
        non_finite: how many were NaN or infinite.
        choices: step sizes and such, in words.
    """

    points: list[TemperaturePoint]
    chains: int
    sweeps: int
    burn_in: int
    evaluations: int
    non_finite: int
    choices: dict[str, str]


def measure_points(
    local: LocalLoss, plan: Plan, gamma: float, seed: int, *, folder: Path | None, file: str, report: Progress,
    spent: int = 0,
) -> Reading:  # fmt: skip
    """Sample all inverse temperatures until they converge, are precise enough, or the budget is spent.

    ``spent`` of it are gone already.
    """
    if plan.method == "engine":
        return _by_engine(local, plan, gamma, seed, folder, file, report, max(_LEAST_ENGINE, plan.budget - spent))
    run = _run(local, plan, gamma, seed)
    kept = None
    if folder is not None:
        probe = local.excess(0.1 * torch.randn(
            (8, local.dim), generator=torch_generator(seed, 7), dtype=local.point.dtype
        ).to(local.point.device))  # fmt: skip
        parts = {"plan": {k: v for k, v in vars(plan).items() if k != "reason"}, "gamma": gamma, "seed": seed}
        kept = Checkpoint(folder, file, fingerprint(parts, probe.cpu()))
    if not run.resume(kept):
        run.warm_up(lambda share: report(0.3 * share, "finding step sizes"))
    posterior = run.sampler.posterior
    points = _read(run, plan, gamma) if run.sweeps else []
    while not points or not _enough(points, plan):
        rounds = _ROUNDS if plan.method == "hamiltonian" else _ROUNDS_STEPS
        done, wanted = run.sweeps, max(plan.warm, run.sweeps)
        dropped = 2 * plan.warm * run.burnt_in  # a first round is dropped where steps were adapted again
        each = posterior.evaluations / (dropped + done)
        more = int(min(wanted, (plan.budget - spent - posterior.evaluations) / each))
        if points and (more < min(wanted, _LEAST_SWEEPS) or done >= plan.warm * 2**rounds):
            break
        more = max(more, _LEAST_SWEEPS)

        def tell(share: float, done: int = done) -> None:
            report(0.3 + 0.7 * (1.0 - 1.0 / (1.0 + (done + share * plan.warm) / plan.warm)), "sampling")

        run.record(more, tell)
        points = _read(run, plan, gamma)
        if not done and run.burnt_in == 1 and _ill_adapted(run) and plan.budget - spent > 2 * posterior.evaluations:
            # Chains that moved on need other steps; after the first round only, so that a resumed run does the same.
            run.adapt(tell)
            points = []
        if kept is not None:
            kept.save(run.state(), final=True)
    steps = ", ".join(f"{s:.3g}" for s in run.sampler.step_size)
    choices = {"step size": f"{steps} for an acceptance of {run.sampler.aim:g}"}
    trace = run.traces.excess[2 * plan.main : 2 * plan.main + 2].mean((0, 1)).numpy()
    cut = burn_in(trace) if np.isfinite(trace).all() else 0
    choices["burn-in"] = f"{2 * plan.warm} moves of adaptation, {cut} more by the drift of the loss"
    return Reading(
        points, plan.chains, run.sweeps, 2 * plan.warm + cut, posterior.evaluations, posterior.non_finite, choices
    )


def localise(local: LocalLoss, plan: Plan, seed: int) -> tuple[float, str, int]:
    """The first γ under which λ̂ does not fall by a quarter over the inverse temperatures, why, and gradients spent.

    λ̂ falls where chains find weights with a lower loss than w*: another basin, or the same one where w* is not at its
    bottom. The last γ is taken where none will do, or the one at which a quarter of the budget is spent.

    Within the budget chains also have to come to agree. Steps on minibatches need a γ under which a chain forgets
    where it began: a direction that only γ holds takes 2/(εγ) steps of ε for that. Of trajectories R-hat is read:
    R² − 1 falls at best as one over the length, and what is left of it after the whole budget must be small.
    """
    spent, tried, most_spent = 0, 0, _SEARCH * plan.budget
    least, dear = 0.0, ""
    short = replace(plan, chains=8, warm=_PILOT, most_leaps=min(plan.most_leaps, 32))
    if plan.warm == _WARM_SHORT:  # gradients are dear
        short = replace(short, chains=4, most_leaps=min(plan.most_leaps, 16))
    if plan.batch_size is None:
        short = replace(short, method="hamiltonian")  # it forgets where it began the soonest
    if plan.method == "engine" or len(plan.nbeta) < 2:
        return GAMMAS[0], "γ = 1, a standard normal around the weights", 0
    if short.method == "hamiltonian":
        sweeps = 3.5 * _PILOT * short.chains * len(plan.nbeta)
        short = replace(short, most_leaps=max(2, min(short.most_leaps, int(most_spent / (_TRIED * sweeps)))))
    else:
        sweeps = 3.0 * (SUBSTEPS + 2) * short.chains * len(plan.nbeta)
        short = replace(short, warm=max(_LEAST_PILOT, min(short.warm, int(most_spent / sweeps))))
    for gamma in GAMMAS:
        if gamma < least:
            continue
        if tried and spent * (1.0 + 1.0 / tried) > most_spent:
            why = f"γ = {gamma:g}, the next to be tried when a quarter of the budget was spent on the search{dear}"
            return gamma, why, spent
        run = _run(local, short, gamma, seed + 1)
        run.warm_up(lambda share: None)
        run.record(short.warm, lambda share: None)
        spent += run.sampler.posterior.evaluations
        tried += 1
        excess = run.traces.excess[:, 0::2].mean((1, 2))
        lam = (excess * run.sampler.beta.cpu()).view(-1, 2).mean(1)
        most = float(lam.max())
        if bool(torch.isfinite(lam).all()) and float(lam[-1]) >= _FALL * most:
            if gamma < GAMMAS[-1]:
                times = _over_budget(run, plan, gamma)
                if times > 1.0:
                    least = gamma * times
                    dear = dear or f"; γ = {gamma:g} would take a budget of {plan.budget * times:.1g} or more"
                    continue
            why = f"γ = {gamma:g}, the first of 1, 10, 100, … under which λ̂ does not fall with nβ by a quarter"
            if dear:
                why += f" and chains of this budget can agree{dear}"
            return gamma, why, spent
    return GAMMAS[-1], f"γ = {GAMMAS[-1]:g}, the largest: λ̂ falls with nβ under every one{dear}", spent


def _over_budget(pilot: ChainRun, plan: Plan, gamma: float) -> float:
    """How many times the budget chains under γ would need at least, as far as the pilot shows."""
    if plan.batch_size is not None:
        return _FORGETS * 2.0 / (min(pilot.sampler.step_size) * gamma) / _steps_of_a_chain(plan)
    room = (1.0 - _SEARCH) * plan.budget * _RECORDED / (plan.chains * len(plan.nbeta))  # gradients of a chain
    needed = [
        (r_hat(traces.numpy()) ** 2 - 1.0) / (_AGREED**2 - 1.0) * traces.shape[1] * leaps
        for traces, leaps in zip(pilot.traces.excess, pilot.sampler.leaps, strict=True)
    ]
    return median(needed) / room  # a short pilot's largest R-hat says little


def _steps_of_a_chain(plan: Plan) -> float:
    """Steps on minibatches that the budget leaves each chain after the search and the burn-in, at least as many."""
    gradients = (1.0 - _SEARCH) * plan.budget / (plan.chains * len(plan.nbeta))
    burnt = 2.0 * plan.warm * SUBSTEPS
    return max(gradients * SUBSTEPS / (SUBSTEPS + 2) - burnt, burnt)


def _run(local: LocalLoss, plan: Plan, gamma: float, seed: int) -> ChainRun:
    posterior = LocalPosterior(local, gamma)
    beta = torch.tensor(plan.nbeta, dtype=torch.float64, device=posterior.device).repeat_interleave(2)
    sampler: Sampler
    if plan.method == "hamiltonian":
        sampler = Hamiltonian(posterior, beta, tested=plan.main, most_leaps=plan.most_leaps)
    else:
        batches = None if plan.batch_size is None else Minibatches(local, plan.batch_size)
        sampler = Langevin(
            posterior, beta, rejects=plan.method == "mala", preconditioned=plan.method != "sgld", batches=batches
        )
    return ChainRun(sampler, plan.chains // 2, plan.warm, torch_generator(seed, 3, device=posterior.device))


def _read(run: ChainRun, plan: Plan, gamma: float) -> list[TemperaturePoint]:
    t, sampler = run.traces, run.sampler
    sizes, leaps = sampler.step_size, sampler.leaps
    out: list[TemperaturePoint] = []
    for k, nbeta in enumerate(plan.nbeta):
        pair = slice(2 * k, 2 * k + 2)
        out.append(
            read_point(
                nbeta,
                t.excess[pair].numpy(),
                t.distance[pair].numpy(),
                t.acceptance[pair].numpy(),
                t.noise[pair].numpy(),
                t.diverged[pair].numpy(),
                rejects=sampler.rejects,
                halved=bool(sampler.factor[2 * k + 1] < 1.0),
                minibatch=plan.batch_size is not None,
                step_size=sizes[k],
                leaps=leaps[2 * k],
                reference=f"nβ = {nbeta:.4g}, γ = {gamma:g}",
            )
        )
    return read_together(out)


def _ill_adapted(run: ChainRun) -> bool:
    """Whether some stage takes too few of its moves, or its energy runs away, although steps were adapted."""
    if not run.sampler.rejects:
        return False
    taken, gone = run.traces.acceptance.mean(1), run.traces.diverged.mean(1)
    return bool((taken < _ILL * run.sampler.aim).any() or (gone > _MOST_GONE).any())


def _enough(points: Sequence[TemperaturePoint], plan: Plan) -> bool:
    """Whether every inverse temperature converged and is as precise as was asked for, allowing for few terms.

    A bias from slow directions is no larger than the standard error only where the chains are many times as long as
    they remember: an effective size that grows with the precision.
    """
    size = min(_SIZE / plan.precision, _MOST_SIZE)
    return all(
        p.converged
        and p.effective_size >= size
        and p.estimate.stderr <= max(plan.precision * abs(p.estimate.value), 1e-3)
        for p in points
    )


def _by_engine(
    local: LocalLoss, plan: Plan, gamma: float, seed: int, folder: Path | None, file: str, report: Progress, budget: int
) -> Reading:
    where = None if folder is None else folder / file
    answer = by_engine(
        local, gamma, list(plan.nbeta), repeats=_SMALL_ENGINE, seed=seed, checkpoint=where, progress=report,
        budget=budget,
    )  # fmt: skip
    nothing = Agreement(0.0, 0.0, True)
    points = [
        TemperaturePoint(
            b, Estimate(e.value, e.stderr, "1", e.kind, e.status, e.reference, e.dof), math.nan, 1, math.nan, 0.0,
            math.nan, math.nan, nothing, nothing, None, None, math.nan,
            () if e.status.ok else (f"the engine's answer is {e.status}",),
        )
        for b, e in zip(plan.nbeta, answer.estimates, strict=True)
    ]  # fmt: skip
    return Reading(points, _SMALL_ENGINE, 0, 0, answer.evaluations, 0, {})
