"""The front door: does it matter who decides with the same information, or only how much there is of it?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.special import stdtr

from pindown import __version__
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.rng import child_seed
from pindown.spaces.base import check_count
from pindown.values.arrangement_lines import Singletons, lines_of
from pindown.values.arrangement_result import IRRELEVANT, ArrangementLine, Arrangements, counted
from pindown.values.arranging import (
    Arrangement,
    Base,
    Leak,
    Singleton,
    check_arrangement,
    name_of,
    standard,
)
from pindown.values.bench import Bench, Settings
from pindown.values.equivalence import holm
from pindown.values.mark import problem_mark
from pindown.values.problem import Answer, ValueProblem
from pindown.values.refuting_regions import refuting_regions
from pindown.values.steering import lock_and_key
from pindown.values.sweeps import check_changed, swept
from pindown.values.trials import Keep, Outcomes, keep_in, nowhere, play, trial_mark
from pindown.values.variance_shares import variance_shares

__all__ = ["arrangements"]

Progress = Callable[[float, str], None]
_LEVELS = (0, 1, 2, 4, 8, 16, 32)
_FEWEST = 20
_REGION_EPISODES = 120
_FEWEST_VALUES = 30.0


def arrangements(
    problem: ValueProblem,
    compared: Sequence[Arrangement] | None = None,
    *,
    answers: Any = None,
    levels: Sequence[int] | None = None,
    episodes: int = 200,
    members: int = 3,
    rationality: float | None = None,
    sharing: Sequence[float] = (1.0, 0.5, 0.0),
    tails: Sequence[float] = (math.inf, 3.0, 1.0),
    shortlists: Sequence[int] = (1, 4, 16),
    minding: Sequence[float] = (1.0, 0.5, 0.0),
    margin: float = 0.5,
    level: float = 0.05,
    regions: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Arrangements:
    r"""Compare arrangements that decide with the same answers: what each makes of how much information.

    Episodes are values drawn from the prior with their transcripts (:mod:`~pindown.values.bench`). For each
    arrangement and each number of answers there are *optimisation bits*, :math:`-\log_2` of the share of plans that are
    at least as good under the true value; *measured information*, the relative entropy of the posterior from the prior
    and what the person's pick tells given that; the *excess* over the singleton at the same measured information with
    its equivalence test (:mod:`~pindown.values.arrangement_lines`); and P(acceptable). The variance of optimisation
    bits splits into shares of information, arrangement and both (:mod:`~pindown.values.variance_shares`).

    The tests are fixed before anything is drawn: reference, statistic, margin and significance are these arguments.
    That *all* are equivalent needs every cell to be; that one is *different* is shown with Holm's correction.

    Args:
        problem: what is to be decided.
        compared: arrangements, functions of (views, human) to probabilities of the plans; by default those of
            :func:`~pindown.values.arranging.standard`. The singleton is always among them, as the reference.
        answers: recorded answers, as for :func:`~pindown.ledger`: they are the transcript of every episode, in their
            order, and values are drawn from the posterior after all of them.
        levels: numbers of answers at which the arrangements decide; 0 is always one of them.
        episodes: how many values, with a transcript each.
        members: of committees.
        rationality: of the person's pick; by default 4 over the standard deviation of values over plans.
        sharing: shares of the answers that reach every member of a committee that votes, for a sweep.
        tails: degrees of freedom of the error of members who decide by their median, for a sweep.
        shortlists: how many plans the person is shown, for a sweep.
        minding: factors on what coupled blocks mind of each other's parts, for a sweep of the first
            :class:`~pindown.values.coupling.CoupledBlocks` compared that has owners; without a coupling of its own 1 is
            all of them minding the whole value.
        margin: of the equivalence tests in bits.
        level: of significance.
        regions: whether the reference problems that refute the claim are run as well.
        seed: everything random follows from it.
        progress: called with the share done and a text.
        checkpoint: a folder; the same call with the same folder goes on from what is there, in sweeps and regions too.
            Arrangements are told apart by what they do in the first two episodes.

    Raises:
        InputError: for parts that do not fit, or an arrangement that returns no distribution; before any episode, but
            for the last.
        CheckpointError: where the folder holds work of another problem or other settings.

    Example:
        >>> import numpy as np
        >>> from pindown import ValueProblem, arrangements
        >>> from pindown.values.arranging import Quantiliser
        >>> from pindown.values.choice_sources import Comparisons
        >>> from pindown.values.priors import LinearValues
        >>> plans = np.random.default_rng(0).normal(size=(12, 2))
        >>> problem = ValueProblem(plans, LinearValues(2, particles=100), 0.1, [Comparisons(flip=0.1)])
        >>> found = arrangements(problem, [Quantiliser(1.0)], levels=[0, 8], episodes=30, sharing=(), tails=(),
        ...     shortlists=(), regions=False)
        >>> found.line("quantiliser").cells[-1].outcome
        'different'
        >>> found.line("quantiliser").cells[-1].optimisation == found.line("base").cells[-1].optimisation
        True
    """
    began = time.perf_counter()
    if not isinstance(problem, ValueProblem):
        raise InputError(f"a problem of type {type(problem).__name__}", "a ValueProblem")
    child_seed(seed)  # refuses what is no seed before any work
    _check_tests(margin, level, rationality)
    given = problem.answers(answers)
    if not problem.sources:
        raise InputError("a problem without sources", "at least one source of answers")
    steps = _levels(levels, given)
    count = check_count(episodes, "episodes", _FEWEST)
    tried = _tried(compared)
    team = check_count(members, "members")
    changed = check_changed(sharing, tails, shortlists, minding)
    told = progress or _silent

    bench = Bench(problem, given, seed)
    beta = (4.0 / bench.spread if bench.spread > 0.0 else math.inf) if rationality is None else float(rationality)
    names, settings = [name_of(a) for a in tried], Settings(steps, team)
    keep = nowhere
    if checkpoint is not None:
        mark = problem_mark(
            problem, seed, names, steps, count, team, str(beta), [[a.source, a.question, a.answer] for a in given],
            trial_mark(bench, tried, settings, beta), str(changed),
        )  # fmt: skip
        keep = keep_in(checkpoint, mark)
    outcomes = play(
        bench, tried, settings, count, beta, kept=keep("arrangements"),
        progress=lambda done, text: told(0.6 * done, text),
    )  # fmt: skip
    line = _singletons(bench, settings, outcomes, count, beta, keep)
    reference = f"{count} episodes; {problem.prior.reference}; {problem.plans.reference}"
    roles = ["reference"] + ["compared"] * (len(tried) - 3) + ["base", "control"]
    lines = lines_of(names, roles, steps, outcomes, line, margin, level, reference)
    parts = variance_shares(outcomes.optimisation[: len(tried) - 2], reference)

    told(0.65, "sweeps")
    sweeps = swept(
        bench, tried, settings, changed, count, beta, margin, level, keep, lambda x, text: told(0.65 + 0.15 * x, text)
    )
    told(0.8, "regions that refute the claim")
    known = ()
    if regions:
        known = refuting_regions(seed, _REGION_EPISODES, margin, level, lambda x, text: told(0.8 + 0.2 * x, text), keep)
    told(1.0, "done")
    control = [c for c in lines[-1].cells if c.outcome == "different" and c.excess.value > 0.0]
    return Arrangements(
        lines=lines, information=parts.information, arrangement=parts.arrangement, interaction=parts.interaction,
        not_information=parts.not_information, sweeps=sweeps, regions=known, counterexample=lock_and_key(),
        claim=_claim(lines), irrelevant=_irrelevant(parts.not_information), control_seen=bool(control),
        margin=float(margin), level=float(level), episodes=count, members=team,
        transcript=_transcript(given), reference=reference,
        name=problem.name, seed=seed, seconds=time.perf_counter() - began, version=__version__,
        notes=_notes(problem, bench, lines, control, float(level)),
    )  # fmt: skip


def _tried(compared: Sequence[Arrangement] | None) -> list[Arrangement]:
    """The singleton, what is compared with it, the base, and the control."""
    given = standard() if compared is None else tuple(compared)
    for one in given:
        check_arrangement(one)
    others = [a for a in given if not isinstance(a, Singleton | Base | Leak)]
    out: list[Arrangement] = [Singleton(), *others, Base(), Leak()]
    names = [name_of(a) for a in out]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"two arrangements named {twice[0]!r}", "a name of its own for each", "give name=")
    return out


def _levels(levels: Sequence[int] | None, given: tuple[Answer, ...]) -> tuple[int, ...]:
    most = len(given) if given else None
    if levels is None:
        chosen = [k for k in _LEVELS if most is None or k <= most] + ([] if most is None else [most])
    else:
        chosen = [0 if k == 0 else check_count(k, "levels") for k in levels]
        if most is not None and chosen and max(chosen) > most:
            raise InputError(f"levels up to {max(chosen)} with {most} recorded answers", f"at most {most}")
    out = tuple(sorted({0, *chosen}))
    if len(out) < 2:
        raise InputError("levels without answers", "at least one number of answers above 0")
    return out


def _transcript(given: tuple[Answer, ...]) -> str:
    return f"{len(given)} recorded" if given else "drawn for every episode"


def _check_tests(margin: float, level: float, rationality: float | None) -> None:
    if not (isinstance(margin, int | float) and 0.0 < margin < math.inf):
        raise InputError(f"margin={margin!r}", "bits above 0, such as 0.5")
    if not (isinstance(level, int | float) and 0.0 < level < 0.5):
        raise InputError(f"level={level!r}", "a significance level such as 0.05")
    if rationality is not None and not (isinstance(rationality, int | float) and rationality >= 0.0):
        raise InputError(f"rationality={rationality!r}", "a number of 0 or more, or inf")


def _singletons(
    bench: Bench, settings: Settings, outcomes: Outcomes, count: int, beta: float, keep: Keep
) -> Singletons:
    """The singleton's line; where somebody else is told more than the transcript, twice and four times as far."""
    if bench.answers or float(outcomes.told.max()) <= 0.0:
        return Singletons(outcomes.optimisation[0], outcomes.information)
    top = max(settings.levels)
    further = replace(settings, levels=(*settings.levels, 2 * top, 4 * top))
    found = play(bench, [Singleton()], further, count, beta, kept=keep("singleton"))
    # Longer transcripts begin like shorter ones, so that the first levels are those of the outcomes again.
    return Singletons(found.optimisation[0], found.information)


def _claim(lines: tuple[ArrangementLine, ...]) -> str:
    outcomes = [c.outcome for x in lines if x.role == "compared" for c in x.cells]
    if "different" in outcomes:
        return "different"
    return "equivalent" if outcomes and set(outcomes) == {"equivalent"} else "undecided"


def _irrelevant(share: Estimate) -> bool | None:
    if not math.isfinite(share.value):
        return None
    low, high = share.interval()
    return True if high < IRRELEVANT else False if low > IRRELEVANT else None


def _notes(
    problem: ValueProblem, bench: Bench, lines: tuple[ArrangementLine, ...], control: Sequence[Any], level: float
) -> tuple[str, ...]:  # fmt: skip
    notes: list[str] = []
    unsure = [c.answers for c in lines[0].cells if not c.information.status.ok]
    if unsure:
        notes.append(
            f"From {counted(unsure[0])} on the particles that stand for the prior are told apart: measured information "
            "is a lower bound there. Raise particles=."
        )
    if bench.answers and not problem.prior.finite and bench.truth_size < _FEWEST_VALUES:
        notes.append(
            f"Only {bench.truth_size:.0f} effective particles are left after the recorded answers: raise particles=."
        )
    if problem.plans.drawn:
        notes.append("Plans are draws of a larger set: optimisation bits are among the draws.")
    if not control:
        notes.append(
            "The control knows what is acceptable and still did not come out above the margin: too much is acceptable "
            "here, or there are too few episodes, for differences to be seen."
        )
    notes += _bought(lines, level)
    return tuple(notes)


def _bought(lines: tuple[ArrangementLine, ...], level: float) -> list[str]:
    """Where more bits of optimisation were bought than observed, by Holm's correction over all cells."""
    cells = [(x.name, c) for x in lines if x.role in ("reference", "compared") for c in x.cells[1:]]
    tried = [(n, c) for n, c in cells if c.bought.stderr > 0.0]
    p = [float(stdtr(c.bought.dof or math.inf, -c.bought.value / c.bought.stderr)) for _, c in tried]
    more = [one for one, adjusted in zip(tried, holm(p), strict=True) if adjusted <= level]
    if not more:
        return []
    name, cell = max(more, key=lambda nc: nc[1].bought.value)
    return [
        f"More bits of optimisation were bought than observed in {len(more)} of {len(tried)} cells, the most by {name} "
        f"after {counted(cell.answers)}: {cell.bought.value:.2f} above."
    ]


def _silent(share: float, text: str) -> None:
    return
