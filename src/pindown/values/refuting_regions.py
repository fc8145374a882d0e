"""Reference problems on which the claim that the arrangement does not matter is false, each beside one where it holds.

Heavy tails: members err about what plans are worth, each in its own way; a median of members withstands errors of heavy
tails, and one mind does not. Split information: members who have seen different answers and vote. Non-convex coupling:
agents who move block by block settle where no single move helps. The person in the loop: a pick from a shortlist is
information about just what the decision turns on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from pindown.values.arrangement_lines import Excess, Singletons, excess_at
from pindown.values.arrangement_result import Sweep, SweepPoint
from pindown.values.arranging import Arrangement, Committee, Oracle, Singleton, name_of
from pindown.values.bench import Bench, Settings
from pindown.values.choice_sources import Comparisons
from pindown.values.coupling import Blocks, CoupledBlocks
from pindown.values.equivalence import holm
from pindown.values.plans import Plans
from pindown.values.priors import LinearValues
from pindown.values.problem import ValueProblem
from pindown.values.trials import Keep, named, nowhere, play

__all__ = ["coupled_problem", "point", "refuting_regions", "sweep_points"]

_PARTICLES, _RATIONALITY = 400, 4.0


def linear_problem(plans: int = 64, features: int = 4, particles: int = _PARTICLES) -> ValueProblem:
    """Plans with normal features, compared in forty pairs."""
    rng = np.random.default_rng(1)
    table = Plans(rng.normal(size=(plans, features)), reference=f"{plans} plans of {features} features")
    pairs = rng.permuted(np.tile(np.arange(plans), (40, 1)), axis=1)[:, :2]
    source = Comparisons(pairs, rationality=_RATIONALITY)
    return ValueProblem(table, LinearValues(features, "sphere", particles=particles), 0.2, [source])


def coupled_problem(blocks: int = 8, coupling: float = 2.0, particles: int = _PARTICLES, seed: int = 0) -> ValueProblem:
    r"""Plans that choose one of two ways for each block, whose values are coupled.

    :math:`v(s) = \sum_i w_i s_i + \kappa \sum_{i<j} w_{ij} s_i s_j / \sqrt{n}` with :math:`s_i = \pm 1` and standard
    normal weights (Sherrington and Kirkpatrick 1975): separable at κ = 0, with many local maxima beyond.

    Args:
        blocks: n, from 2 to 12.
        coupling: κ.
        particles: how many draws stand for the prior.
        seed: of the pairs that are compared.

    Example:
        >>> len(coupled_problem(3).plans)
        8
    """
    signs = 2.0 * Blocks.grid(*[2] * blocks).table - 1.0
    pairs = [signs[:, i] * signs[:, j] * coupling / math.sqrt(blocks) for i, j in combinations(range(blocks), 2)]
    plans = Plans(np.column_stack([signs, *pairs]), reference=f"{len(signs)} plans of {blocks} blocks")
    rng = np.random.default_rng(seed)
    asked = rng.permuted(np.tile(np.arange(len(plans)), (60, 1)), axis=1)[:, :2]
    prior = LinearValues(plans.features.shape[1], "gaussian", particles=particles)
    return ValueProblem(plans, prior, 1.0, [Comparisons(asked, rationality=2.0)])


def refuting_regions(
    seed: int, episodes: int, margin: float, level: float, progress: Callable[[float, str], None] | None = None,
    keep: Keep | None = None,
) -> tuple[Sweep, ...]:  # fmt: skip
    """The four regions, each with the setting at which the claim holds first.

    Args:
        seed: everything random follows from it.
        episodes: how many, at each setting.
        margin: of the tests in bits.
        level: of significance.
        progress: called with the share done and a text.
        keep: gives the file in which the work of that name is kept.
    """

    def part(name: str) -> Keep:
        return named(keep, f"region-{name}")

    tell = progress or _silent
    plain, many = linear_problem(), linear_problem(256, 16, 600)
    bench, other = Bench(plain, (), seed), Bench(many, (), seed)
    human = 4.0 / bench.spread
    median = Committee("median", "shared")
    vote, length, grid = Committee("vote"), 15, Blocks.grid(*[2] * 8)
    tell(0.0, "region: heavy tails")
    tails = sweep_points(
        [(t, bench, median, Settings((0, length), 5, error=0.2, tail=t)) for t in (math.inf, 2.0, 1.0)],
        episodes, human, margin, level, part("tails"),
    )  # fmt: skip
    tell(0.25, "region: split information")
    sharing = sweep_points(
        [(s, other, vote, Settings((0, length), 5, sharing=s)) for s in (1.0, 0.5, 0.0)],
        episodes, human, margin, level, part("sharing"),
    )  # fmt: skip
    tell(0.5, "region: non-convex coupling")
    coupled = sweep_points(
        [
            (k, Bench(coupled_problem(coupling=k), (), seed), CoupledBlocks(grid), Settings((0, 30), 1))
            for k in (0.0, 1.0, 3.0)
        ],
        episodes, human, margin, level, part("coupling"),
    )  # fmt: skip
    tell(0.75, "region: the person in the loop")
    person = sweep_points(
        [(k, other, Oracle(int(k)), Settings((0, 4), 1)) for k in (1.0, 4.0, 32.0)],
        episodes, human, margin, level, part("shortlist"),
    )  # fmt: skip
    name = plain.plans.reference
    return (
        Sweep("error tails", name, name_of(median), tails),
        Sweep("sharing", many.plans.reference, name_of(vote), sharing),
        Sweep("coupling", "256 plans of 8 blocks", "coupled blocks", coupled),
        Sweep("shortlist", many.plans.reference, "oracle", person),
    )


def sweep_points(
    tried: Sequence[tuple[float, Bench, Arrangement, Settings]], episodes: int, rationality: float, margin: float,
    level: float, keep: Keep | None = None,
) -> tuple[SweepPoint, ...]:  # fmt: skip
    """One arrangement beside the singleton at the last of the levels of several settings, with Holm's correction."""
    found = [point(*one[1:], episodes, rationality, margin, named(keep, str(i + 1))) for i, one in enumerate(tried)]
    adjusted = holm([e.comparison.p_different for e in found])
    return tuple(
        SweepPoint(one[0], e.figure, e.comparison.outcome(level, p))
        for one, e, p in zip(tried, found, adjusted, strict=True)
    )


def point(
    bench: Bench, arrangement: Arrangement, settings: Settings, episodes: int, rationality: float, margin: float,
    keep: Keep | None = None,
) -> Excess:  # fmt: skip
    """The excess of one arrangement at the last of the levels; the singleton's line goes on to four times as many."""
    top = max(settings.levels)
    levels = tuple(dict.fromkeys((*settings.levels, *((2 * top, 4 * top) if not bench.answers else ()))))
    keep = keep or nowhere
    first = play(bench, [Singleton(), arrangement], settings, episodes, rationality, kept=keep("both"))
    line = Singletons(first.optimisation[0], first.information)
    if float(first.told[1, -1].mean()) > 0.0 and len(levels) > len(settings.levels):
        further = play(
            bench, [Singleton()], Settings(levels, settings.members, settings.sharing, settings.error, settings.tail),
            episodes, rationality, kept=keep("singleton"),
        )  # fmt: skip
        line = Singletons(further.optimisation[0], further.information)
    at = len(settings.levels) - 1
    reference = f"{episodes} episodes after {top} answers"
    return excess_at(first.optimisation[1, -1], first.told[1, -1], at, line, margin, reference)


def _silent(share: float, text: str) -> None:
    return
