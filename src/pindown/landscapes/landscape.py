"""The front door: what makes a search hard, and what helps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown import __version__
from pindown.engine.measure import measure
from pindown.engine.objective import Objective
from pindown.engine.profile import Profile
from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.landscapes.blocks import BlockSearch, search_by_blocks
from pindown.landscapes.cnf import CNF
from pindown.landscapes.constraint_bits import (
    ConstraintBits,
    count_bits,
    drawn_bits,
    formula_bits,
    is_small,
    measured_bits,
    total_interaction,
)
from pindown.landscapes.cosine import random_direction
from pindown.landscapes.landscape_result import Landscape, SearchMode
from pindown.landscapes.model_count import ModelCounter
from pindown.landscapes.problem import Constraint, Loss, SearchProblem
from pindown.landscapes.searches import blind_search, gradient_search, local_search
from pindown.landscapes.traces import LOG2_EVALUATIONS, Traces, expected_evaluations
from pindown.landscapes.variables import Variables
from pindown.rng import child_seed, torch_generator
from pindown.spaces.base import Space, check_count
from pindown.stats import mean_and_stderr

__all__ = ["landscape"]

Progress = Callable[[float, str], None]
BitsAt = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_SAME = 1e-9  # of the losses' standard deviation: what counts as the lowest loss
_NOT_NEGATIVE = (0.0, math.inf)
_TARGET, _CONSTRAINTS = 0.3, 0.3  # shares of the progress bar


def landscape(
    space: Space | CNF | SearchProblem,
    loss_or_constraints: Loss | CNF | Sequence[Loss | Constraint] | Mapping[str, Loss] | None = None,
    seed: int = 0,
    *,
    tolerance: float | None = None,
    budget: int = 2**13,
    starts: int = 16,
    repeats: int = 4,
    particles: int | None = None,
    name: str = "",
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Landscape:
    r"""What makes a search hard, and what helps.

    A target of :math:`b` bits takes :math:`2^b` blind tries. Whatever beats that uses structure: local search and
    gradients need losses that tell of the target from afar; decomposition needs parts that do not depend on each other,
    so that costs are summed and not multiplied: :math:`k\,2^b` tries for ``k`` blocks of ``b`` bits in place of
    :math:`2^{kb}`. Each is predicted and then tried from held-out starts. The blocks come from mixed differences of the
    loss; where they do not beat local search at those starts, the verdict is *not decomposable*.

    Bits are those of :func:`pindown.measure`; formulas are counted exactly where that is possible.

    Args:
        space: the prior; or a formula or a whole :class:`~pindown.landscapes.problem.SearchProblem` in place of both.
        loss_or_constraints: a loss, constraints or a formula; see there.
        seed: everything random follows from it.
        tolerance: of a loss; where every point can be looked at, the lowest loss by default.
        budget: most evaluations of one search from one start.
        starts: held-out starts; as many more are for training.
        repeats: runs of each measurement.
        particles: of each run on the target, where that is not counted; by default chosen from the dimension.
        name: for reports.
        progress: called with the share done and a text.
        checkpoint: folder for unfinished measurements.

    Returns:
        Bits of the target and of each constraint, dependences, blocks, and how each search did.

    Raises:
        InputError: for input that cannot be used, a loss without a tolerance on a space too large to look at whole, or
            a target that no point meets.

    Example:
        >>> from pindown import BitString, landscape
        >>> found = landscape(BitString(8), lambda x: 2 - x[:, :4].prod(-1) - x[:, 4:].prod(-1), starts=8)
        >>> print(found.target, [len(b) for b in found.decomposition.blocks])
        8 bits [4, 4]
    """
    began = time.perf_counter()
    child_seed(seed)
    check_count(budget, "budget", low=64)
    check_count(starts, "starts", low=6)
    check_count(repeats, "repeats")
    problem = _problem(space, loss_or_constraints, tolerance, name)
    tell = progress or (lambda share, text: None)
    objective = Objective(problem.space, problem.loss)
    has_gradient = objective.check(seed)
    kept = None if checkpoint is None else Path(checkpoint)
    notes: list[str] = []

    counted = _Counted(problem)
    profile = _profile(problem, repeats, particles, seed, kept, lambda s, t: tell(_TARGET * s, "target"))
    target, method = profile.bits(), _method(profile)
    if counted.models is not None:
        target, method = counted.target(), f"exact model count: {counted.models:,} solutions"
        own = profile.bits()
        if own.kind == "estimate" and own.status.ok and abs(own.value - target.value) > 4.0 * own.stderr:
            notes.append(f"The engine alone says {own} for the target, more than four standard errors off the count.")
    if math.isinf(target.value):
        raise InputError("no point meets the target", "at least one", "relax the constraints or raise the tolerance")
    if not target.status.ok:
        notes.append(f"The target was not reached: {target.status.message}")
    constraints = _constraints(
        problem, counted, target, seed, repeats, kept, lambda s, t: tell(_TARGET + _CONSTRAINTS * s, t)
    )

    search = _Searches(problem, objective, profile.tolerance, budget, starts, seed, _bits_at(profile, target))
    modes, blocks = search.run(target, has_gradient, lambda s, t: tell(_TARGET + _CONSTRAINTS + 0.4 * s, t))
    there = [m.name for m in modes if m.solved]
    if there and target.status is Status.EXTINCT:
        # What the runs missed may hold more than what they followed, so that their bound is none.
        target = replace(target, status=Status.NOT_CONVERGED)
        notes[-1] = (
            f"The runs on the target died out above it, and {', '.join(there)} search arrived: they missed where it "
            "lies, so that their bits are no bound. Raise particles= or repeats=."
        )
    own_rng = torch_generator(seed, 0xD1)
    direction = random_direction(problem.space.dim, objective if has_gradient else None, own_rng)
    tell(1.0, "done")
    return Landscape(
        problem=problem.name, space=problem.space.reference, dim=problem.space.dim, tolerance=profile.tolerance,
        target=target, method=method, engine_target=profile.bits(), learning_coefficient=profile.learning_coefficient(),
        free_dimensions=profile.free_dimensions(), constraints=tuple(constraints),
        interaction=total_interaction(target, constraints), decomposition=blocks.decomposition, modes=modes,
        direction=direction, budget=budget, starts=starts, seed=seed, seconds=time.perf_counter() - began,
        version=__version__, notes=tuple(notes),
    )  # fmt: skip


def _problem(space: Any, what: Any, tolerance: float | None, name: str) -> SearchProblem:
    if isinstance(space, SearchProblem):
        if what is not None or tolerance is not None:
            raise InputError("a SearchProblem and something beside it", "a SearchProblem alone")
        problem = space
    else:
        problem = SearchProblem(space, what, tolerance=tolerance, name=name)
    if problem.tolerance is None and not is_small(problem):
        raise InputError(
            f"a loss on {problem.space.reference} without a tolerance", "the loss that counts as found",
            "give tolerance=, such as tolerance=0.01",
        )  # fmt: skip
    return problem


class _Counted:
    """The exact number of solutions of a formula, where it can be had."""

    def __init__(self, problem: SearchProblem) -> None:
        self.cnf, self.models, self.counter = problem.cnf, None, None
        if self.cnf is None:
            return
        _check_satisfiable(self.cnf)
        self.counter = ModelCounter(self.cnf.variables)
        self.models = self.counter.count(self.cnf.clauses)

    def target(self) -> Estimate:
        assert self.cnf is not None
        assert self.models is not None
        value = self.cnf.variables - math.log2(self.models)
        return Estimate(value + 0.0, 0.0, "bits", "exact", reference=self.cnf.space.reference)


def _check_satisfiable(cnf: CNF) -> None:
    from pysat.solvers import Cadical153

    with Cadical153(bootstrap_with=[list(c) for c in cnf.clauses]) as solver:
        if not solver.solve():
            raise InputError(f"formula {cnf.name or cnf!r} has no solution", "one that can be satisfied")


def _profile(
    problem: SearchProblem, repeats: int, particles: int | None, seed: int, kept: Path | None, tell: Progress
) -> Profile:
    tolerance = -math.inf if problem.tolerance is None else problem.tolerance

    def measured(engine: str, folder: str) -> Profile:
        return measure(
            problem.space, problem.loss, tolerance=tolerance, engine=engine, repeats=repeats, particles=particles,
            seed=child_seed(seed, 0x7A), checkpoint=None if kept is None else kept / folder, progress=tell,
        )  # fmt: skip

    profile = measured("auto", "target")
    if profile.engine == "ladder" and not profile.status.ok:
        # Gradients lead astray where there are many valleys; random moves of many particles may not.
        second = measured("splitting", "target-splitting")
        better = second.status.ok or second.bits().value > profile.bits().value  # of two bounds the higher
        profile = second if better else profile
    if problem.tolerance is None:
        losses = profile.islands[0].loss
        lowest = float(losses[0]) + _SAME * float(losses.std())
        profile = replace(profile, tolerance=lowest)
    return profile


def _method(profile: Profile) -> str:
    if profile.engine == "enumeration":
        return f"all {int(profile.islands[0].diagnostics['points']):,} points"
    return f"{profile.engine}, {profile.repeats} runs"


def _constraints(
    problem: SearchProblem, counted: _Counted, target: Estimate, seed: int, repeats: int, kept: Path | None,
    tell: Progress,
) -> list[ConstraintBits]:  # fmt: skip
    if problem.cnf is not None:
        cnf = problem.cnf
        found: list[ConstraintBits] = []
        if counted.models is not None and counted.counter is not None:
            found = formula_bits(cnf, counted.counter, counted.models, tell)
        if not found or any(math.isnan(c.adds.value) for c in found):
            folder = None if kept is None else kept / "near"
            drawn = drawn_bits(cnf, seed, repeats, folder)
            found = [d if math.isnan(c.adds.value) else c for c, d in zip(found or drawn, drawn, strict=True)]
        return found
    if not problem.constraints:
        return []
    if is_small(problem):
        return count_bits(problem)
    return measured_bits(problem, target, seed, repeats, kept, tell)


def _bits_at(profile: Profile, target: Estimate) -> BitsAt:
    """Bits of losses, by the measured curve; those of the target at the tolerance and below."""
    known: dict[float, float] = {}

    def one(t: float) -> float:
        if t <= profile.tolerance:
            return target.value
        if t not in known:
            inside = max(t, profile.reach)
            curves = [-bits(i.log_volume_at(inside)) for i in profile.islands]
            value = max(0.0, float(np.mean(curves)))
            known[t] = value if target.kind == "lower_bound" else min(value, target.value)
        return known[t]

    return lambda losses: np.array([one(float(t)) for t in losses])


class _Searches:
    """Every way to search, from the same starts."""

    def __init__(
        self, problem: SearchProblem, objective: Objective, goal: float, budget: int, starts: int, seed: int,
        bits_at: BitsAt,
    ) -> None:  # fmt: skip
        self.problem, self.objective, self.goal = problem, objective, goal
        self.budget, self.starts, self.seed, self.bits_at = budget, starts, seed, bits_at
        self.variables = Variables.of(problem.space)

    def run(self, target: Estimate, has_gradient: bool, tell: Progress) -> tuple[tuple[SearchMode, ...], BlockSearch]:
        held, seed, goal, budget = slice(self.starts, None), self.seed, self.goal, self.budget
        start = self.objective.prior(2 * self.starts, torch_generator(seed, 0x57))
        blind = blind_search(self.objective, self.starts, goal, budget, torch_generator(seed, 0xB1))
        tell(0.1, "blind search")
        local = local_search(
            self.objective, self.variables, start, goal, budget, torch_generator(seed, 0x10),
            lambda s: tell(0.1 + 0.3 * s, "local search"),
        )  # fmt: skip
        names = tuple(_name(self.problem.variable_names, places) for places in self.variables.coordinates)
        blocks = search_by_blocks(
            self.objective, self.variables, names, self.problem.cnf, start, local, goal, budget, seed,
            lambda s: tell(0.4 + 0.3 * s, "search by blocks"),
        )  # fmt: skip
        predicted = replace(target, unit=LOG2_EVALUATIONS)
        modes = [self._mode("blind", blind, predicted, "2^bits of the target")]
        modes.append(self._mode("local", local.part(held), *_trained(local.part(slice(0, self.starts)))))
        if blocks.held_out is None or blocks.predicted is None:
            modes.append(self._left_out("decomposed", "no blocks"))
        else:
            modes.append(self._mode("decomposed", blocks.held_out, blocks.predicted, blocks.prediction))
        if has_gradient:
            found = gradient_search(
                self.objective, start, goal, budget, torch_generator(seed, 0x64),
                lambda s: tell(0.7 + 0.3 * s, "gradient search"),
            )  # fmt: skip
            modes.append(self._mode("gradient", found.part(held), *_trained(found.part(slice(0, self.starts)))))
        else:
            modes.append(self._left_out("gradient", "no gradient"))
        return tuple(modes), blocks

    def _mode(self, name: str, traces: Traces, predicted: Estimate, prediction: str) -> SearchMode:
        marks = sorted({round(2 ** (k / 2)) for k in range(int(2 * math.log2(self.budget)) + 1)} | {self.budget})
        longest = int(traces.used.max())
        marks = [m for m in marks if m <= longest or m == next(x for x in marks if x >= longest)]
        curve = [self._mean(self.bits_at(traces.best_after(m)), "bits") for m in marks]
        rate = self.bits_at(traces.best()) / traces.used
        return SearchMode(
            name, predicted, prediction, expected_evaluations(traces, "held-out starts"), int(traces.arrived.sum()),
            len(traces.used), self._mean(rate, "bits per evaluation"), tuple(marks), tuple(curve),
        )  # fmt: skip

    def _mean(self, values: NDArray[np.float64], unit: str) -> Estimate:
        mean, stderr = mean_and_stderr(values)
        return Estimate(
            mean,
            stderr,
            unit,
            reference=self.problem.space.reference,
            dof=max(1.0, len(values) - 1.0),
            support=_NOT_NEGATIVE,
        )

    def _left_out(self, name: str, why: str) -> SearchMode:
        none = Estimate(math.nan, math.nan, LOG2_EVALUATIONS, status=Status.UNSUPPORTED, reference=why)
        return SearchMode(name, none, "", none, 0, 0, replace(none, unit="bits per evaluation"), why_not=why)


def _trained(traces: Traces) -> tuple[Estimate, str]:
    return expected_evaluations(traces, "training starts"), "training starts"


def _name(names: tuple[str, ...], places: tuple[int, ...]) -> str:
    if len(places) == 1:
        return names[places[0]]
    return f"{names[places[0]]} to {names[places[-1]]}"
