"""The main job: how much a training run has pinned a network down, and what it left free."""

from __future__ import annotations

import datetime
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pindown.engine.measure import measure
from pindown.engine.profile import Profile
from pindown.engine.settings import Settings
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.network.comparison import clustered_mean, difference
from pindown.network.digits import digits_subject
from pindown.network.in_depth import EPSILON, InDepth, in_depth, read_questions
from pindown.network.known import inside_support
from pindown.network.objective import NetworkLoss
from pindown.network.over_training import checkpoint_points
from pindown.network.plan import (
    Plan,
    default_settings,
    margin_settings,
    plan_audit,
    quick_options,
    quick_questions,
)  # fmt: skip
from pindown.network.progress import Progress, part, rising, window
from pindown.network.results import Audit, Comparison, Measurement, SolutionAudit, SubjectAudit, SweepPoint
from pindown.network.subject import Solution, Subject, as_subjects
from pindown.network.verdict import notes, verdict
from pindown.rng import child_seed, torch_generator

__all__ = ["Audit", "Plan", "audit", "audit_digits", "plan_audit"]

DIGITS_WIDTHS = (30, 100)
_TRAINING_RUNS, _TRAINING_RUNS_FULL = 5, 20
_REPEATS, _REPEATS_FULL = 4, 12
_DRAWS, _DRAWS_FULL = 200, 1000
_PRIOR_DRAWS = 256
_SWEEP = 7
_IN_DEPTH_SHARE = 0.3  # of the progress


def audit(
    subject: Subject | Sequence[Subject],
    *,
    seed: int = 0,
    full: bool = False,
    tolerances: Iterable[float] | None = None,
    in_depth: bool | Iterable[str] = True,
    epsilon: float = EPSILON,
    checkpoints: str | Path | None = None,
    repeats: int | None = None,
    budget: int | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    device: str | None = None,
    jobs: int | None = None,
    settings: Settings | None = None,
) -> Audit:
    """Measure how much the trained networks of a subject are pinned down.

    For each subject:

    1. The training loss is measured (:func:`pindown.measure`) down to the lowest loss of its trained networks (not
       below half the median, so that one outlier does not set the price), with the two-sided check started from
       them, and read off at a sweep of tolerances.
    2. For classification the margin surrogate of training error is measured at tolerance 0, zero training error,
       with the check started from the networks that have none.
    3. Each trained network's depth is read off the first curve at its own training loss; below the reach it is a
       bound.
    4. Weights are drawn from the prior given a training loss of at most the mean of the trained networks', and
       their held-out error (held-out loss, where there are no classes) is compared with the trained networks'.
       Draws of one independent run are a cluster.
    5. The trained network with the lowest training loss is asked what :func:`pindown.network.in_depth.in_depth` asks:
       its learning coefficient and basin, its spectrum, and where its bits sit.

    Where training has left the ends of a uniform initialisation and the subject names no prior, the normal of the same
    mean and variance is the prior (:meth:`~pindown.Subject.reaching`), and a note says so.

    Args:
        subject: one or more. Trained weights come from the model itself (where its loss is below all of 256 prior
            draws), from ``solutions=``, and from ``train=``.
        seed: everything random follows from it.
        full: 12 independent runs in place of 4, more draws, and for the digits more training runs.
        tolerances: training losses to read off; the lowest is where the measurement ends.
        in_depth: which questions of the fifth step to ask. By default all, but of networks with 500 weights or more
            the learning coefficient only with ``full``: it takes minutes.
        epsilon: the rise of the mean loss that they count as harmless.
        checkpoints: folder of weights from along a training run, whose learning coefficient is followed.
        repeats: independent runs of each measurement.
        budget: most loss evaluations of each measurement.
        checkpoint: folder for unfinished work; the same call with it resumes.
        progress: called with the share done and a text.
        device: where points are held; by default the subject's device.
        jobs: worker processes, see :func:`pindown.measure`.
        settings: the engine's sizes; by default its own, or quicker ones for a large network without ``full``.

    Raises:
        InputError: if a subject has no trained network and no tolerances are given, or for a bad argument.
        CheckpointError: for ``checkpoints`` that cannot be read or do not fit, before any sampling.

    Example:
        >>> import torch
        >>> from pindown import Subject, audit
        >>> x = torch.eye(2)
        >>> line = Subject(torch.nn.Linear(2, 1, bias=False), "mse", (x, torch.zeros(2, 1)), prior="lecun", name="line")
        >>> result = audit(line, tolerances=[0.1], repeats=2, jobs=1)
        >>> point = result.subjects[0].primary.at_tolerance  # |w|² ≤ 0.2 with w ~ N(0, 1/2): χ²₂ ≤ 0.4
        >>> low, high = point.bits.interval(0.999)  # exactly −log2(1 − e^(−0.2)) = 2.46 bits
        >>> low < 2.46 < high
        True
    """
    began = time.perf_counter()
    subjects = as_subjects(subject)
    progress = None if progress is None else rising(progress)
    wanted, asked = _checked_tolerances(tolerances), read_questions(in_depth)
    along = [None if checkpoints is None else checkpoint_points(s, checkpoints) for s in subjects]
    jobs_done: list[SubjectAudit] = []
    remarks: list[str] = []
    for i, given in enumerate(subjects):
        one, reached = given.reaching()
        questions = asked if full or in_depth is not True else quick_questions(asked, one.space().dim)
        run = _Run(
            one, seed=child_seed(seed, i) % 2**31, full=full, repeats=repeats, budget=budget, jobs=jobs,
            device=device or str(one.device), tolerances=wanted, questions=questions, epsilon=epsilon,
            checkpoints=along[i],
            settings=settings or default_settings(one.space().dim, full=full),
            checkpoint=None if checkpoint is None else Path(checkpoint) / f"{i}-{_slug(one.name)}",
            progress=None if progress is None else part(progress, i, len(subjects), one.name),
        )  # fmt: skip
        jobs_done.append(run.run())
        remarks += [f"{one.name}: {note}" for note in (reached, *one.notes, *run.remarks) if note]
        remarks += [f"{one.name}: {q} is asked with full=True, or by name." for q in asked if q not in questions]
    if progress is not None:
        progress(1.0, "done")
    return Audit(
        verdict=tuple(verdict(jobs_done)),
        notes=(*notes(jobs_done), *remarks),
        subjects=tuple(jobs_done),
        seed=seed,
        seconds=time.perf_counter() - began,
        full=full,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=version("pindown"),
        environment=_environment(subjects[0], device),
    )


def audit_digits(
    *,
    seed: int = 0,
    full: bool = False,
    widths: Sequence[int] = DIGITS_WIDTHS,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Audit:
    """Audit the built-in subjects: networks of width 30 and 100 on scikit-learn's digits, trained here.

    Args:
        seed: everything random follows from it, the split of the data and the training runs too.
        full: as in :func:`audit`, and 20 training runs in place of 5.
        widths: hidden units of the networks.
        checkpoint: as in :func:`audit`.
        progress: as in :func:`audit`.
        **options: the other options of :func:`audit`.
    """
    if progress is not None:
        progress(0.0, "training")
    runs = _TRAINING_RUNS_FULL if full else _TRAINING_RUNS
    subjects = [digits_subject(width, seed=seed, runs=runs) for width in widths]
    return audit(subjects, seed=seed, full=full, checkpoint=checkpoint, progress=progress, **options)


class _Run:
    """The audit of one subject."""

    def __init__(
        self, subject: Subject, *, seed: int, full: bool, repeats: int | None, budget: int | None, jobs: int | None,
        device: str, settings: Settings, tolerances: list[float] | None, questions: tuple[str, ...],
        epsilon: float, checkpoints: dict[str, Tensor] | None, checkpoint: Path | None, progress: Progress | None,
    ) -> None:  # fmt: skip
        self.subject, self.seed, self.checkpoint, self.progress = subject, seed, checkpoint, progress
        self.repeats = repeats or (_REPEATS_FULL if full else _REPEATS)
        self.draws = _DRAWS_FULL if full else _DRAWS
        self.full, self.questions, self.epsilon, self.checkpoints = full, questions, epsilon, checkpoints
        self.options: dict[str, Any] = {"budget": budget, "jobs": jobs, "device": device, "settings": settings}
        self.tolerances = tolerances
        self.remarks: list[str] = []
        self.space = subject.space()
        self.loss = subject.objective()
        prior = self.space.sample(_PRIOR_DRAWS, rng=torch_generator(seed, 1)).to(subject.device)
        self.prior_loss = subject.losses(prior)
        self.prior_margin = subject.margin_objective()(prior) if subject.classes is not None else None
        self.solutions = self._trained()
        self.points = torch.stack([s.point for s in self.solutions]) if self.solutions else prior[:0]
        self.train_loss = subject.losses(self.points) if self.solutions else self.prior_loss[:0]
        self.known = self._inside()

    def run(self) -> SubjectAudit:
        """Measure everything."""
        subject = self.subject
        margins = subject.classes is not None
        tolerance, sweep = self._tolerances()
        deep = _IN_DEPTH_SHARE if self._goes_deeper else 0.0
        share = (1.0 - deep) * (0.5 if margins else 1.0)
        profile = self._measure(self.loss, tolerance, self.known, 0, 0.0, share)
        measurements = [self._read(self.loss, profile, tolerance, sweep, primary=True)]
        if margins:
            measurements.append(self._margins(share))
        return SubjectAudit(
            name=subject.name,
            architecture=subject.architecture,
            parameters=self.space.dim,
            frozen=subject.frozen,
            prior=self.space.reference,
            task=subject.task,
            train_size=subject.train_size,
            held_out_size=subject.held_out_size,
            label_bits=subject.label_bits,
            solutions=tuple(self._solutions(profile)),
            measurements=tuple(measurements),
            comparison=self._comparison(profile),
            in_depth=self._in_depth(),
        )

    def _trained(self) -> list[Solution]:
        """The subject's solutions that are better than the prior, or runs of its own training function."""
        subject = self.subject
        points = torch.stack([s.point for s in subject.solutions])
        good = subject.losses(points) < self.prior_loss.min()
        trained = [s for s, ok in zip(subject.solutions, good.tolist(), strict=True) if ok]
        for s, ok in zip(subject.solutions, good.tolist(), strict=True):
            if not ok:
                self.remarks.append(f"{s.name}: not lower in training loss than {_PRIOR_DRAWS} prior draws; left out.")
        if not trained and subject.train is not None:
            states = [subject.train(run) for run in range(_TRAINING_RUNS)]
            named = subject.with_solutions(states).solutions
            trained = [Solution(f"training run {i}", s.point, seed=i) for i, s in enumerate(named)]
        if not trained and self.tolerances is None:
            raise InputError(
                f"{subject.name} without a trained network: no weights are better than {_PRIOR_DRAWS} prior draws",
                "trained weights, or tolerances",
                "train the model first, give Subject(…, solutions=… or train=…), or audit(…, tolerances=[…])",
            )
        return trained

    def _inside(self) -> Tensor:
        """The trained networks as points of the prior's support, where the two-sided checks start."""
        if not self.solutions:
            return self.points
        points, moved = inside_support(self.space, self.loss, self.points)
        if moved:
            lost = "" if self.loss.differentiable else ", which are left out of the check"
            self.remarks.append(
                f"{moved} of {len(self.points)} trained networks have weights that the prior cannot produce{lost}. The "
                "others start the check from the nearest weights inside, trained on there. A prior that reaches them, "
                'such as Subject(…, prior="normal"), avoids this.'
            )
        return points

    def _tolerances(self) -> tuple[float, list[float]]:
        if self.tolerances is not None:
            return self.tolerances[-1], self.tolerances
        if not len(self.known):
            raise InputError(
                f"{self.subject.name} without a trained network that its prior can produce", "tolerances",
                'give audit(…, tolerances=[…]) or Subject(…, prior="normal")',
            )  # fmt: skip
        losses = self.subject.losses(self.known)
        low, median = float(losses.min()), float(losses.median())
        lowest = max(low, 0.5 * median)
        if low < lowest:
            self.remarks.append(f"The lowest training loss, {low:.3g}, is below half the median: its depth is a bound.")
        return lowest, _sweep(float(self.prior_loss.median()), lowest)

    def _measure(
        self,
        loss: NetworkLoss,
        tolerance: float,
        known: Tensor,
        number: int,
        start: float,
        share: float,
        **options: Any,
    ) -> Profile:
        return measure(
            self.space, loss, tolerance=tolerance, repeats=self.repeats, seed=child_seed(self.seed, number) % 2**31,
            known=known if len(known) else None,
            checkpoint=None if self.checkpoint is None else str(self.checkpoint / _slug(loss.name)),
            progress=None if self.progress is None else window(self.progress, start, share, loss.name),
            **self.options | options,
        )  # fmt: skip

    @property
    def _goes_deeper(self) -> bool:
        return bool(self.solutions) and (bool(self.questions) or self.checkpoints is not None)

    def _in_depth(self) -> InDepth | None:
        """What is asked of the best trained network, where there is one."""
        if not self._goes_deeper:
            return None
        best = int(self.train_loss.argmin())
        twin = self.subject.with_solutions(self.solutions)
        return in_depth(
            twin, solution=best, questions=self.questions, epsilon=self.epsilon, seed=child_seed(self.seed, 2) % 2**31,
            options=None if self.full else quick_options(), checkpoints=self.checkpoints,
            checkpoint=None if self.checkpoint is None else self.checkpoint / "in-depth",
            progress=None if self.progress is None else window(
                self.progress, 1.0 - _IN_DEPTH_SHARE, _IN_DEPTH_SHARE, self.solutions[best].name
            ),
        )  # fmt: skip

    def _margins(self, share: float) -> Measurement:
        loss = self.subject.margin_objective()
        shortfall = loss(self.known) if len(self.known) else self.prior_loss[:0]
        tolerance, known = 0.0, self.known[shortfall <= 0]
        if len(self.known) and not len(known):
            tolerance, known = float(shortfall.min()), self.known
            self.remarks.append(f"No trained network has zero training error: the margin loss ends at {tolerance:.3g}.")
        settings = margin_settings(self.options["settings"])
        profile = self._measure(loss, tolerance, known, 1, share, share, settings=settings)
        assert self.prior_margin is not None
        sweep = _sweep(float(self.prior_margin.median()), tolerance)
        return self._read(loss, profile, tolerance, sweep, primary=False)

    def _read(
        self, loss: NetworkLoss, profile: Profile, tolerance: float, sweep: Sequence[float], *, primary: bool
    ) -> Measurement:
        points: list[SweepPoint] = []
        for t in sweep:
            bits = profile.bits(t)
            # λ = d ln V / d ln t has no meaning at t = 0.
            local = t > 0
            points.append(
                SweepPoint(
                    tolerance=t,
                    bits=bits,
                    learning_coefficient=profile.learning_coefficient(t) if local else None,
                    pinned_dimensions=profile.pinned_dimensions(t) if local else None,
                    free_dimensions=profile.free_dimensions(t) if local else None,
                    bits_per_label=_scaled(bits, 1.0 / self.subject.labels),
                )
            )
        return Measurement(loss.name, loss.event, primary, tolerance, tuple(points), profile)

    def _solutions(self, profile: Profile) -> Iterable[SolutionAudit]:
        subject = self.subject
        errors = _listed(subject.errors(self.points)) if subject.classes is not None else None
        held = subject.held_out_size > 0
        held_loss = _listed(subject.held_out_losses(self.points)) if held else None
        held_error = _listed(subject.held_out_errors(self.points)) if held and subject.classes is not None else None
        for i, s in enumerate(self.solutions):
            loss = float(self.train_loss[i])
            yield SolutionAudit(
                name=s.name,
                seed=s.seed,
                optimiser=s.optimiser,
                steps=s.steps,
                train_loss=loss,
                train_error=None if errors is None else errors[i],
                held_out_loss=None if held_loss is None else held_loss[i],
                held_out_error=None if held_error is None else held_error[i],
                depth=profile.bits(loss),
            )

    def _comparison(self, profile: Profile) -> Comparison | None:
        """Random solutions at the trained networks' mean loss, or at up to twice that where it was not reached."""
        subject = self.subject
        if not subject.held_out_size or not self.solutions:
            return None
        mean = float(self.train_loss.mean())
        reached = [t for t in (mean, 1.5 * mean, 2.0 * mean) if _is_reached(profile.bits(t))]
        if not reached:
            self.remarks.append(f"No random solutions were drawn: training loss {2.0 * mean:.4g} was not reached.")
            return None
        at = reached[0]
        if at > mean:
            self.remarks.append(
                f"Random solutions are compared at training loss {at:.4g}, as the trained networks' mean of {mean:.4g} "
                "was not reached."
            )
        drawn = profile.draw(at, n=self.draws, seed=child_seed(self.seed, 2) % 2**31)
        draws = drawn.points.to(subject.device)
        quantity, score = "held_out_error", subject.held_out_errors
        if subject.classes is None:
            quantity, score = "held_out_loss", subject.held_out_losses
        random = clustered_mean(
            _listed(score(draws)), drawn.runs, f"{self.space.reference} given training loss ≤ {at:.4g}"
        )
        sgd = clustered_mean(_listed(score(self.points)), None, "training runs")
        return Comparison(
            quantity, at, sgd, len(self.solutions), random, len(draws), drawn.ancestors, difference(random, sgd)
        )


def _is_reached(bits: Estimate) -> bool:
    return bits.kind == "estimate" and bits.status.ok


def _sweep(top: float, lowest: float) -> list[float]:
    """Tolerances 1, 2, 5 · 10^k from below ``top``, the prior's median, down to ``lowest``, and ``lowest`` itself."""
    floor = max(1.25 * lowest, 1e-2 * top if lowest <= 0 else 0.0)
    steps = sorted({m * 10.0**k for k in range(-12, 7) for m in (1, 2, 5)}, reverse=True)
    between = [t for t in steps if floor <= t <= 0.8 * top]
    return [*between[-(_SWEEP - 1) :], lowest]


def _checked_tolerances(tolerances: Iterable[float] | None) -> list[float] | None:
    if tolerances is None:
        return None
    out = sorted({float(t) for t in tolerances}, reverse=True)
    if not out or not all(0 <= t < float("inf") for t in out):
        raise InputError(f"tolerances {out}", "one number or more, finite and not below zero")
    return out


def _scaled(e: Estimate, factor: float) -> Estimate:
    return Estimate(e.value * factor, e.stderr * factor, e.unit, e.kind, e.status, e.reference, e.dof)


def _listed(values: Tensor) -> list[float]:
    return [float(v) for v in values]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "subject"


def _environment(subject: Subject, device: str | None) -> dict[str, str | int]:
    return {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "device": device or str(subject.device),
    }
