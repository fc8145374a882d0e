"""The front door: what nearly all objectives want of an environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from pindown import __version__
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.resources.answers import Answers, Place, in_blocks
from pindown.resources.chain import Chain
from pindown.resources.convergence_result import Convergence, FamilyRecord, Item, judge, unmeasured
from pindown.resources.convex_program import ConvexProgram, wanted_in_convex
from pindown.resources.economy import Economy
from pindown.resources.empowerment import empowerment
from pindown.resources.families import Family, draw_objectives, read_families
from pindown.resources.highs import make_solver
from pindown.resources.linear_program import LinearProgram
from pindown.resources.mdp import MDP
from pindown.resources.planning import check_discount
from pindown.resources.power import Power, power, state_rewards
from pindown.resources.shares import Share
from pindown.resources.units import price_unit
from pindown.resources.volume import volume_gains
from pindown.resources.wanted_constraints import constraint_names, wanted_constraints
from pindown.resources.wanted_states import state_items, wanted_layers, wanted_states
from pindown.rng import child_seed
from pindown.stats import mean_and_stderr

__all__ = ["convergence"]

Progress = Callable[[float, str], None]
Problem = LinearProgram | ConvexProgram | MDP | Economy | Chain
Floats = NDArray[np.float64]


def convergence(
    problem: Problem,
    families: Sequence[str | Family] | None = None,
    objectives: int = 1000,
    seed: int = 0,
    *,
    nearly_all: float = 0.8,
    discount: float = 0.95,
    steps: int = 2,
    volume: bool = False,
    solver: str = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Convergence:
    r"""What nearly all objectives want of an environment in which there is no agent.

    Objectives are drawn from several priors. A constraint of a programme is wanted where relaxing it improves the
    optimum; a state or an action, where the best policy spends more discounted time in it than the random one; a state
    of a chain's layer, where none is better. Each share has Wilson's interval. An item is a *resource* only where the
    interval lies above ``nearly_all`` under **every** declared prior; the least share over them is its robustness.

    Args:
        problem: a linear programme, a convex one, an economy, an MDP or a chain.
        families: priors over objectives, by name or a :class:`~pindown.resources.families.Family`; by default all five
            that are built in.
        objectives: how many are drawn from each.
        seed: everything random follows from it.
        nearly_all: the share that a resource has to reach.
        discount: of an MDP.
        steps: actions over which the empowerment of an MDP's states is measured; 0 to leave it out.
        volume: whether to measure as well how many bits of volume a unit of each row opens.
        solver: ``"auto"``, ``"highspy"`` or ``"scipy"``.
        jobs: processes for programmes, threads for MDPs; by default one, or what ``joblib.parallel_config`` says.
            Convex problems are solved one after the other.
        progress: called with the share done and a text.
        checkpoint: folder for unfinished work. The same call with the same folder goes on where it was stopped and
            gives the same answer.

    Returns:
        Shares, values, prices, robustness and verdicts; of an MDP also POWER, option counts and empowerment of each
        state; of a chain what is left of the start in each layer.

    Raises:
        InputError: for no family, too few objectives, or a programme that is infeasible or unbounded as it stands.
        CheckpointError: where the checkpoint folder belongs to another call or is damaged.

    Example:
        >>> from pindown import LinearProgram, convergence
        >>> farm = LinearProgram([3, 2], [[1, 1], [1, 0]], high=[4, 9], maximise=True, rows=["land", "seed"])
        >>> found = convergence(farm, families=["positive", "single"], objectives=100)
        >>> found.resources  # land limits every crop; there is seed enough
        ('land',)
    """
    began = time.perf_counter()
    child_seed(seed)
    chosen = read_families(families)
    if isinstance(objectives, bool) or objectives < 2:
        raise InputError(f"objectives = {objectives!r}", "at least 2")
    if not 0.0 < nearly_all < 1.0:
        raise InputError(f"nearly_all = {nearly_all!r}", "a share between 0 and 1")
    if isinstance(steps, bool) or steps < 0:
        raise InputError(f"steps = {steps!r}", "a whole number from 1, or 0 for no empowerment")
    power_of: tuple[Power, ...] = ()
    able, layers = None, ()
    work = _Work(objectives, seed, jobs, None, _Told(progress, len(chosen)))
    if checkpoint is not None:
        work.place = Place(Path(checkpoint), {"solver": solver, "discount": discount, **_tables(problem)})
    if isinstance(problem, (LinearProgram, ConvexProgram, Economy)):
        program = problem.program() if isinstance(problem, Economy) else problem
        own, method = _own_prices(program, solver)
        names = list(program.rows) if isinstance(program, ConvexProgram) else constraint_names(program)[0]
        answers = [_constraints(program, f, solver, work) for f in chosen]
        if volume and isinstance(program, ConvexProgram):
            raise InputError("volume of a convex problem", "volume=False, or a linear programme")
        inner = None if checkpoint is None else Path(checkpoint) / "volume"
        gains = (
            volume_gains(program, seed=seed, checkpoint=inner) if isinstance(program, LinearProgram) and volume else {}
        )
        value_is = "price × stock / objective, on average"
        kind = "economy" if isinstance(problem, Economy) else "linear programme"
        kind = "convex problem" if isinstance(problem, ConvexProgram) else kind
        prices = [
            Estimate(float(p), 0.0, price_unit(n, program.units), "exact", reference="the problem's own objective")
            for n, p in zip(names, own, strict=True)
        ]
        volumes = [gains.get(n, unmeasured("bits", "not asked for")) for n in names]
        name = program.name
    else:
        if volume:
            raise InputError("volume of a problem that is no programme", "volume=False")
        if isinstance(problem, MDP):
            check_discount(discount)
            names, kind = state_items(problem), "MDP"
            value_is, method = "share of discounted time, on average", "value iteration"
            answers = [
                work.answers(partial(_states, problem, discount), f, state_rewards(problem, f, objectives, seed))
                for f in chosen
            ]
            power_of = tuple(
                power(problem, discount=discount, rewards=f, objectives=objectives, seed=seed, jobs=jobs)
                for f in chosen
            )
            able = empowerment(problem, steps) if steps else None
        elif isinstance(problem, Chain):
            layers = problem.layers()
            names = [f"layer {k}, state {s}" for k, t in enumerate(problem.tables) for s in range(len(t))]
            kind, value_is, method = "chain", "place between the layer's worst and best, on average", "exact"
            own = np.linspace(0.0, 1.0, problem.tables[-1].shape[1])
            answers = [
                work.answers(partial(_layers, problem), f, draw_objectives(f, objectives, own, seed)) for f in chosen
            ]
        else:
            raise InputError(
                f"a {type(problem).__name__}", "a LinearProgram, a ConvexProgram, an Economy, an MDP or a Chain"
            )
        prices = [unmeasured("1", "no constraint") for _ in names]
        volumes = [unmeasured("bits", "no constraint") for _ in names]
        name = problem.name
    shares = [
        {f.name: Share(int(a.wanted[a.finite, i].sum()), int(a.finite.sum())) for f, a in _both(chosen, answers)}
        for i in range(len(names))
    ]
    means = [{f.name: _mean(a, i) for f, a in _both(chosen, answers)} for i in range(len(names))]
    items = tuple(
        Item(n, s, m, p, v, judge(s, nearly_all))
        for n, s, m, p, v in zip(names, shares, means, prices, volumes, strict=True)
    )
    records = tuple(
        FamilyRecord(f.name, f.description, objectives, Share(a.unbounded, objectives), Share(a.infeasible, objectives))
        for f, a in _both(chosen, answers)
    )
    return Convergence(
        kind=kind, problem=name or kind, families=records, items=items, agreement=_agreement(items, chosen),
        nearly_all=nearly_all, value_is=value_is, method=method, discount=discount if kind == "MDP" else None,
        objectives=objectives, seed=seed, seconds=time.perf_counter() - began, version=__version__,
        notes=tuple(_notes(records, answers, chosen)), power=power_of, empowerment=able, layers=layers,
    )  # fmt: skip


class _Told:
    """Progress over families, each a part of the whole."""

    def __init__(self, progress: Progress | None, parts: int) -> None:
        self.progress, self.parts, self.done = progress, parts, 0

    def step(self, family: Family, share: float) -> None:
        if self.progress is not None:
            self.progress((self.done + share) / self.parts, f"{family.name} objectives")
        if share >= 1.0:
            self.done += 1


@dataclass
class _Work:
    """How many objectives are drawn and how they are solved for."""

    objectives: int
    seed: int
    jobs: int | None
    place: Place | None
    told: _Told

    def answers(
        self, solve: Callable[[Floats], Answers], family: Family, rewards: Floats, prefer: str = "threads"
    ) -> Answers:
        kept = None if self.place is None else self.place.checkpoint(family.name, rewards)
        jobs = 1 if prefer == "one" else self.jobs
        told = partial(self.told.step, family)
        return in_blocks(solve, rewards, kept=kept, jobs=jobs, prefer=prefer.replace("one", "threads"), told=told)


def _tables(problem: Problem) -> dict[str, Any]:
    """What a problem consists of, for a checkpoint to tell it from another."""
    if isinstance(problem, Economy):
        problem = problem.program()
    if isinstance(problem, LinearProgram):
        m = problem.matrix
        parts = [m.data, m.indices, m.indptr, problem.low, problem.high, problem.lower, problem.upper]
    elif isinstance(problem, MDP):
        m = problem.kernel
        parts = [m.data, m.indices, m.indptr, problem.available, problem.start]
    elif isinstance(problem, Chain):
        parts = list(problem.tables)
    elif isinstance(problem, ConvexProgram):
        return {"problem": str(problem.problem), "numbers": problem.numbers()}
    else:
        parts = []
    return {f"table {i:03d}": np.asarray(part) for i, part in enumerate(parts)}


def _both(families: Sequence[Family], answers: Sequence[Answers]) -> list[tuple[Family, Answers]]:
    return list(zip(families, answers, strict=True))


def _own_prices(problem: LinearProgram | ConvexProgram, solver: str) -> tuple[Floats, str]:
    """Shadow prices under the programme's own objective, and the solver's name."""
    if isinstance(problem, ConvexProgram):
        found, method = wanted_in_convex(problem, None), "cvxpy"
    else:
        found = wanted_constraints(problem, problem.costs_of(problem.own[None]), solver)
        method = make_solver(problem, solver).name
    if found.infeasible:
        raise InputError("the programme is infeasible as it stands", "one with a solution", "relax its constraints")
    if found.unbounded:
        raise InputError("the programme is unbounded as it stands", "a finite optimum", "bound its columns")
    return found.price[0], method


def _constraints(problem: LinearProgram | ConvexProgram, family: Family, solver: str, work: _Work) -> Answers:
    drawn = draw_objectives(family, work.objectives, problem.own, work.seed)
    if isinstance(problem, ConvexProgram):
        return work.answers(partial(_convex, problem), family, drawn, "one")
    return work.answers(partial(_linear, problem, solver), family, problem.costs_of(drawn), "processes")


def _convex(problem: ConvexProgram, rewards: Floats) -> Answers:
    return Answers.of_wanted(wanted_in_convex(problem, rewards))


def _linear(problem: LinearProgram, solver: str, costs: Floats) -> Answers:
    return Answers.of_wanted(wanted_constraints(problem, costs, solver))


def _states(mdp: MDP, discount: float, rewards: Floats) -> Answers:
    return Answers.of_pair(wanted_states(mdp, rewards, discount))


def _layers(chain: Chain, rewards: Floats) -> Answers:
    return Answers.of_pair(wanted_layers(chain, rewards))


def _mean(answers: Answers, i: int) -> Estimate:
    values = answers.value[answers.finite, i]
    values = values[np.isfinite(values)]
    if not len(values):
        return unmeasured("1", "no objective has a finite optimum")
    mean, stderr = mean_and_stderr(values)
    return Estimate(mean, stderr, "1", reference="objectives drawn")


def _agreement(items: Sequence[Item], families: Sequence[Family]) -> tuple[tuple[str, str, float | None], ...]:
    shares = {f.name: np.array([i.wanted[f.name].count for i in items], dtype=np.float64) for f in families}
    out: list[tuple[str, str, float | None]] = []
    for i, a in enumerate(families):
        for b in families[i + 1 :]:
            flat = any(len(set(shares[f.name])) < 2 for f in (a, b))
            r = None if flat else float(spearmanr(shares[a.name], shares[b.name]).statistic)
            out.append((a.name, b.name, r))
    return tuple(out)


def _notes(records: Sequence[FamilyRecord], answers: Sequence[Answers], families: Sequence[Family]) -> list[str]:
    notes: list[str] = []
    for r in records:
        if r.unbounded.count:
            notes.append(
                f"{r.unbounded.count} of {r.objectives} {r.name} objectives are unbounded; shares are of the rest."
            )
    dropped = sum(a.dropped for a in answers)
    if dropped:
        notes.append(f"{dropped:,} prices of degenerate solutions did not hold when their constraint was relaxed.")
    if len(families) < 4:
        notes.append(f"Priors declared: {len(families)}. A resource should survive at least four.")
    return notes
