"""What an audit will cost, said before it starts."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pindown.engine.polish import place_stages
from pindown.engine.settings import Settings
from pindown.estimate import nats
from pindown.network.digits import digits_subject
from pindown.network.learning_coefficient import plan_learning_coefficient
from pindown.network.objective import NetworkLoss
from pindown.network.over_training import checkpoint_points
from pindown.network.subject import Subject, as_subjects
from pindown.rng import torch_generator

__all__ = [
    "QUICK",
    "SMALL",
    "Plan",
    "SubjectPlan",
    "default_settings",
    "margin_settings",
    "plan_audit",
    "quick_options",
    "quick_questions",
]

# The default audit answers in minutes: fewer chains and sweeps, wider spaced stages. Its interval tells the price.
QUICK = Settings(
    particles=16, chains=2, burn_in=12, sweeps=14, doublings=0, leaps=10, spacing=2.0, ladder_size=0.3, ladder_moves=3,
    warm_moves=2, warm_sweeps=8,
)  # fmt: skip
# Below 500 weights an evaluation takes microseconds, and a run of these sizes seconds.
SMALL = Settings(particles=64, chains=8, burn_in=16, sweeps=24, doublings=1, warm_moves=4, warm_sweeps=16)
_LEAPS = 0.9  # of the most leapfrog steps that a trajectory may take, seen on networks
_LADDER_STEP = 1.2  # standard deviations of the depth that a stage of the descent goes
_COPIES = 5.0  # position, gradient, velocity and two in flight, for each chain
_PROBE_SECONDS = 0.4
_MEMORY_LIMIT = 24e9
_SMALL = 500
_CHECKPOINT_BUDGET = 100_000  # gradients for λ at each checkpoint, without full


def default_settings(dim: int, *, full: bool) -> Settings:
    """The engine's sizes for a network of ``dim`` weights."""
    if full:
        return Settings()
    return SMALL if dim < _SMALL else QUICK


def margin_settings(settings: Settings) -> Settings:
    """The engine's sizes for the margin loss of the same network.

    Ways down to zero training error differ more than those to a low loss: a larger population finds better ones, and
    pays more than long trajectories.
    """
    if settings != QUICK:
        return settings
    return replace(settings, particles=32, ladder_moves=6, leaps=6, burn_in=8, sweeps=12, warm_sweeps=6)


@dataclass(frozen=True)
class SubjectPlan:
    """The cost of one subject.

    Attributes:
        name, parameters: which.
        measurements: how many losses are measured.
        bits: the depth that the other figures assume.
        evaluations: loss evaluations with gradient, all runs and losses together.
        rate: evaluations a second and core, measured just now.
        seconds: wall time.
        memory: bytes at the peak, all processes together.
        advice: what to lower, where it will not fit or takes more than an hour; else empty.
        checkpoints: how many along the training are asked for their learning coefficient; in the figures above.
    """

    name: str
    parameters: int
    measurements: int
    bits: float
    evaluations: float
    rate: float
    seconds: float
    memory: float
    advice: str
    checkpoints: int = 0

    def __str__(self) -> str:
        along = f", λ at {self.checkpoints} checkpoints" if self.checkpoints else ""
        text = (
            f"{self.name}: {self.parameters:,} parameters, {self.measurements} "
            f"{'measurement' if self.measurements == 1 else 'measurements'}{along}, about {_count(self.evaluations)} "
            f"evaluations with gradient at {_count(self.rate)} a second and core: {_time(self.seconds)}, "
            f"{self.memory / 1e9:.2g} GB (if the solutions are about {self.bits:,.0f} bits deep)"
        )
        return f"{text}. {self.advice}" if self.advice else text


@dataclass(frozen=True)
class Plan:
    """The cost of an audit.

    Attributes:
        subjects: one :class:`SubjectPlan` each.
        repeats: independent runs of each measurement.
        workers: processes that run them.
    """

    subjects: tuple[SubjectPlan, ...]
    repeats: int
    workers: int

    @property
    def seconds(self) -> float:
        """Wall time of all subjects, one after the other."""
        return sum(s.seconds for s in self.subjects)

    @property
    def evaluations(self) -> float:
        """Loss evaluations of all subjects."""
        return sum(s.evaluations for s in self.subjects)

    @property
    def memory(self) -> float:
        """Bytes at the peak."""
        return max(s.memory for s in self.subjects)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self) | {"seconds": self.seconds, "evaluations": self.evaluations, "memory": self.memory}

    def __str__(self) -> str:
        lines = [str(s) for s in self.subjects]
        total = f"In all about {_time(self.seconds)} on {self.workers} cores, {self.repeats} runs of each measurement"
        return "\n".join([*lines, f"{total}. An estimate: the depth of the solutions is not known beforehand."])

    def __rich__(self) -> str:
        return str(self)


def plan_audit(
    subjects: Subject | Sequence[Subject] | None = None,
    *,
    full: bool = False,
    repeats: int | None = None,
    budget: int | None = None,
    jobs: int | None = None,
    settings: Settings | None = None,
    checkpoints: str | Path | None = None,
) -> Plan:
    """Estimate evaluations, time and memory of an audit from the engine's sizes and a short run of the loss.

    The depth is not known beforehand. For classification it is taken to be what the labels can hold, else that
    of a quadratic loss in as many dimensions as there are targets, three decades down. Stages follow from the
    depth as the engine places them; the rest is counted.

    Args:
        subjects: one or more; None for the built-in digits, whose networks are then not trained to the end.
        full: as in :func:`pindown.audit`.
        repeats: as there.
        budget: as there; a measurement takes at most that many evaluations.
        jobs: as there.
        settings: as there.
        checkpoints: as there.

    Raises:
        InputError: for something that is no subject.
        CheckpointError: for ``checkpoints`` that cannot be read or do not fit.

    Example:
        >>> import torch
        >>> from pindown.network.subject import Subject
        >>> line = Subject(torch.nn.Linear(2, 1), "mse", (torch.eye(2), torch.zeros(2, 1)))
        >>> plan = plan_audit(line, jobs=1)
        >>> plan.workers, plan.subjects[0].parameters, plan.evaluations > 0
        (1, 3, True)
    """
    if subjects is None:
        subjects = [digits_subject(width, runs=1) for width in (30, 100)]
    several = as_subjects(subjects)
    runs = repeats or (12 if full else 4)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(runs, cores if jobs is None or jobs < 0 else jobs))
    plans = [_plan(s, runs, workers, settings, full, budget) for s in several]
    if checkpoints is not None:
        plans = [
            _with_checkpoints(p, s, len(checkpoint_points(s, checkpoints)), full)
            for p, s in zip(plans, several, strict=True)
        ]
    return Plan(tuple(plans), runs, workers)


def _with_checkpoints(plan: SubjectPlan, subject: Subject, count: int, full: bool) -> SubjectPlan:
    asked = {} if full else quick_options()["over_training"]
    cost = plan_learning_coefficient(subject, points=count, budget=asked.get("budget"))
    return replace(
        plan, checkpoints=count, evaluations=plan.evaluations + cost.evaluations / 3.0,
        seconds=plan.seconds + cost.seconds, memory=max(plan.memory, cost.memory),
    )  # fmt: skip


def _plan(
    subject: Subject, runs: int, workers: int, settings: Settings | None, full: bool, budget: int | None
) -> SubjectPlan:
    dim = subject.space().dim
    chosen = settings or default_settings(dim, full=full)
    sizes = chosen.resolved(dim)
    if subject.label_bits is not None:
        deep = subject.label_bits.value
    else:
        deep = 0.5 * min(dim, subject.labels) * math.log2(1000.0)
    each = [sizes, margin_settings(chosen).resolved(dim)] if subject.classes is not None else [sizes]
    evaluations, rungs = 0.0, 0.0
    for one in each:
        stages = len(place_stages(max(1.0, nats(deep)), dim, one)[1])
        down = stages * one.spacing / _LADDER_STEP * (one.particles or 32)
        sweeps = one.burn_in + 1.5 * one.sweeps + one.warm_moves + one.warm_sweeps
        moves = down * one.ladder_moves + stages * (one.chains or 4) * sweeps
        wanted = runs * moves * _LEAPS * one.leaps
        evaluations += wanted if budget is None else min(wanted, budget)
        rungs = max(rungs, _COPIES * stages * (one.chains or 4) + down)
    measurements = len(each)
    rate = _rate(subject.objective(), subject)
    memory = float(subject.data_bytes) + 3e8  # the interpreter and its libraries
    width = subject.space().from_normal(torch.zeros(1, dim)).element_size()
    memory += rungs * dim * width + sizes.keep_bytes
    memory *= workers
    seconds = evaluations / rate / workers
    advice = ""
    if memory > _MEMORY_LIMIT or seconds > 3600:
        what = f"{memory / 1e9:.0f} GB" if memory > _MEMORY_LIMIT else _time(seconds)
        advice = (
            f"That is {what}: lower it with fewer processes (jobs=1), repeats=, Settings(particles=8, chains=2), fewer "
            "parameters (include=, exclude=) or fewer examples, or put a budget= on it."
        )
    return SubjectPlan(subject.name, dim, measurements, deep, evaluations, rate, seconds, memory, advice)


def _rate(loss: NetworkLoss, subject: Subject) -> float:
    """Evaluations with gradient a second, on one core, through the prior's map as the engine calls it."""
    space = subject.space()
    rows = max(1, min(loss.preferred_rows, 64, int(2e8 // (8 * space.dim)) or 1))
    z = torch.randn((rows, space.dim), generator=torch_generator(0, 7), dtype=space.dtype).to(subject.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        done, seconds = 0, 0.0
        first = True
        while seconds < _PROBE_SECONDS:
            began = time.perf_counter()
            leaf = z.detach().requires_grad_(loss.differentiable)
            value = loss(space.from_normal(leaf))
            if loss.differentiable:
                torch.autograd.grad(value.sum(), leaf)
            if z.is_cuda:
                torch.cuda.synchronize(z.device)
            if not first:
                seconds += time.perf_counter() - began
                done += rows
            first = False  # the first call sets memory up
    finally:
        torch.set_num_threads(threads)
    return done / seconds


def _count(x: float) -> str:
    for size, name in ((1e9, " billion"), (1e6, " million"), (1e3, ",000")):
        if x >= size:
            return f"{x / size:.2g}{name}" if size > 1e3 else f"{round(x, -3):,.0f}"
    return f"{x:.2g}" if x < 10 else f"{x:.0f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} days"


def quick_questions(asked: tuple[str, ...], dim: int) -> tuple[str, ...]:
    """Those of the questions about one network of ``dim`` weights that take seconds."""
    return tuple(q for q in asked if dim < _SMALL or q != "learning_coefficient")


def quick_options() -> dict[str, dict[str, Any]]:
    """Arguments with which the questions about one trained network are answered within the default audit's minutes."""
    return {
        "learning_coefficient": {"precision": 0.1, "self_check": False},
        "over_training": {"budget": _CHECKPOINT_BUDGET},
        "basin": {"method": "radial", "cutoffs": []},
        "bitplanes": {"draws": 64},
        "pruning": {"draws": 4},
        "noise_tolerance": {"accuracy": 0.1},
        "water_filling": {"accuracy": 0.1},
    }
