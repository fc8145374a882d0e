"""One thing changed at a time on somebody's own problem: sharing, tails of errors, shortlists, what blocks mind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pindown.errors import InputError
from pindown.spaces.base import check_count
from pindown.values.arrangement_result import Sweep
from pindown.values.arranging import Arrangement, Committee, Oracle
from pindown.values.bench import Bench, Settings
from pindown.values.coupling import CoupledBlocks
from pindown.values.refuting_regions import sweep_points
from pindown.values.trials import Keep, named

__all__ = ["Changed", "check_changed", "swept"]

_ERROR = 0.2  # of the values' spread: the error whose tail the sweep makes heavier


@dataclass(frozen=True)
class Changed:
    """What is changed, setting by setting; see :func:`~pindown.arrangements`."""

    sharing: tuple[float, ...]
    tails: tuple[float, ...]
    shortlists: tuple[int, ...]
    minding: tuple[float, ...]


def check_changed(
    sharing: Sequence[float], tails: Sequence[float], shortlists: Sequence[int], minding: Sequence[float]
) -> Changed:
    """The settings of the sweeps.

    Raises:
        InputError: for one that there cannot be.
    """
    for s in sharing:
        if not (isinstance(s, int | float) and 0.0 <= s <= 1.0):
            raise InputError(f"sharing of {s!r}", "shares from 0 to 1")
    for t in tails:
        if not (isinstance(t, int | float) and t > 0.0):
            raise InputError(f"tails of {t!r} degrees of freedom", "numbers above 0, or inf")
    for m in minding:
        if not (isinstance(m, int | float) and math.isfinite(m)):
            raise InputError(f"minding of {m!r}", "finite factors, such as 1 and 0")
    shown = tuple(check_count(k, "shortlists") for k in shortlists)
    return Changed(tuple(map(float, sharing)), tuple(map(float, tails)), shown, tuple(map(float, minding)))


def swept(
    bench: Bench, compared: Sequence[Arrangement], settings: Settings, changed: Changed, count: int, beta: float,
    margin: float, level: float, keep: Keep, progress: Callable[[float, str], None],
) -> tuple[Sweep, ...]:  # fmt: skip
    """The sweeps that are asked for, at the most answers.

    Args:
        bench: the problem.
        compared: arrangements; the first coupled blocks with owners among them have their coupling changed.
        settings: levels and members.
        changed: what is changed.
        count: episodes.
        beta: rationality of the person.
        margin: of the tests in bits.
        level: of significance.
        keep: gives the file in which the work of that name is kept.
        progress: called with the share done and a text.
    """
    last = replace(settings, levels=(0, max(settings.levels)))
    vote, median = Committee("vote"), Committee("median", "shared")
    blocks = next((a for a in compared if isinstance(a, CoupledBlocks) and a.owners is not None), None)
    kinds: list[tuple[str, str, list[tuple[float, Bench, Arrangement, Settings]]]] = [
        ("sharing", vote.name, [(s, bench, vote, replace(last, sharing=s)) for s in changed.sharing]),
        ("error tails", median.name, [(t, bench, median, replace(last, error=_ERROR, tail=t)) for t in changed.tails]),
        ("shortlist", "oracle", [(float(k), bench, Oracle(k), last) for k in changed.shortlists]),
    ]
    if blocks is not None:
        kinds.append(("minding", blocks.name, [(m, bench, coupled(blocks, m), last) for m in changed.minding]))
    kinds = [kind for kind in kinds if kind[2]]
    name = bench.problem.name or bench.problem.plans.reference
    out: list[Sweep] = []
    for i, (what, who, tried) in enumerate(kinds):
        progress(i / len(kinds), f"sweep: {what}")
        part = named(keep, f"sweep-{what.replace(' ', '-')}")
        out.append(Sweep(what, name, who, sweep_points(tried, count, beta, margin, level, part)))
    return tuple(out)


def coupled(blocks: CoupledBlocks, minding: float) -> CoupledBlocks:
    """The same blocks, each minding the others' parts by a factor of what it did; its own part as before."""
    n = blocks.blocks.count
    matrix = np.ones((n, n)) if blocks.coupling is None else blocks.coupling
    own = np.eye(n, dtype=np.bool_)
    return replace(blocks, coupling=np.where(own, matrix, minding * matrix))
