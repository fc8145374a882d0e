"""The front door: percentiles of an estimate, what decides it, and how the routes to it compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown import __version__
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.fermi import quantiles, units
from pindown.fermi.bounds import Bound
from pindown.fermi.distributions import Constant
from pindown.fermi.formula import formula, identifiers, written_out
from pindown.fermi.influence import conditional_curves, leading_directions, sobol_indices, swings
from pindown.fermi.model import Correlation, Model, name_of
from pindown.fermi.quantity import Quantity
from pindown.fermi.result import FermiResult, Node, Outcome
from pindown.fermi.sampling import Sampler, sobol_runs, turned
from pindown.rng import child_seed

__all__ = ["estimate"]

Array = NDArray[np.float64]
_MOST_RUNS, _RUN = 16, 64
_MOST_CURVES = 6
_FEWEST, _MOST = 1 << 8, 1 << 22


def estimate(
    node: Quantity | Model,
    seed: int = 0,
    *,
    samples: int = 1 << 14,
    percents: Sequence[float] = quantiles.PERCENTS,
    correlations: Sequence[tuple[Quantity | str, Quantity | str, float]] = (),
    sensitivity: int = 1 << 10,
    progress: Callable[[float, str], None] | None = None,
) -> FermiResult:
    r"""Estimate a quantity by scrambled Sobol' points.

    Each quantity is sampled once, wherever it stands. Percentiles come from sixteen independent scramblings (fewer
    below 1,024 points), whose spread gives the standard error; their first coordinates run along the directions that
    move the answer most (Owen 1997, SIAM J. Numer. Anal. 34:1884; L'Ecuyer 2018; Imai and Tan 2006). That error is of
    the computation alone: how wrong the inputs are is in the percentiles, if they are honest, and nowhere else.

    Args:
        node: the quantity, or a model with routes to it.
        seed: everything random follows from it.
        samples: points in all, a power of 2 from 256.
        percents: which percentiles, above 0 and below 100.
        correlations: pairs of distributions with Spearman's rank correlation between them.
        sensitivity: rows of the design for Sobol' indices, a power of 2; 0 leaves them out.
        progress: called with the share done and a text.

    Returns:
        Percentiles, sensitivity, swings, conditional curves, densities, routes compared and combined.

    Raises:
        InputError: for what cannot be estimated, before any work.

    Example:
        >>> from pindown import fermi
        >>> x = fermi.interval(1, 10, unit="bit", name="x")
        >>> fermi.estimate(x - x).percentiles[95].value
        0.0
    """
    began = time.perf_counter()
    child_seed(seed)  # refuses what is no seed before any work
    points = _checked(samples, percents, sensitivity)
    if not isinstance(node, (Quantity, Model)):
        raise InputError(f"{type(node).__name__} {node!r}", "a quantity or a model")
    model = node if isinstance(node, Model) else Model(node)
    if correlations:
        added: tuple[Correlation, ...] = tuple((name_of(a), name_of(b), float(r)) for a, b, r in correlations)
        model = replace(model, correlations=(*model.correlations, *added))
    sampler = Sampler(model)
    say = progress or _nobody

    say(0.0, "drawing")
    runs = _runs(samples)
    n = samples // runs
    wanted = model.nodes
    directions = leading_directions(sampler, model.target)
    per_run: list[list[Array]] = []
    for run, u in enumerate(sobol_runs(n, sampler.dim, runs, seed, 0)):
        per_run.append(sampler.values(turned(u, directions), wanted))
        say(0.6 * (run + 1) / runs, "drawing")
    draws = {q: np.stack([values[k] for values in per_run]) for k, q in enumerate(wanted)}
    y = draws[model.target]
    log = bool(np.isfinite(y).all() and y.min() > 0)

    say(0.6, "sensitivity")
    indices = sobol_indices(sampler, model.target, sensitivity, log, seed) if sensitivity else ()
    behind = [sampler.names[k] for k in sampler.behind(model.target)]
    leading = _leading(sampler, [s.members for s in indices] or [tuple(behind)])
    curves = ()
    if np.isfinite(y).all():
        curves = conditional_curves(sampler, leading, [draws[sampler.inputs[k]].ravel() for k in leading], y.ravel())
    say(0.9, "comparing routes")
    unit = units.shown(model.target.unit)
    outcomes = _Outcomes(model, draws, points, unit)
    routes = tuple(outcomes.of(q) for q in model.routes)
    combined, contradiction = outcomes.combined()
    result = FermiResult(
        title=model.title,
        answer=outcomes.of(model.target),
        unit=unit,
        sensitivity=indices,
        swings=swings(sampler, model.target) if np.isfinite(y).all() else (),
        curves=curves,
        routes=routes,
        combined=combined,
        contradiction=contradiction,
        beside=tuple(outcomes.of(q) for q in model.beside),
        nodes=_nodes(model, draws),
        log=log,
        samples=samples,
        runs=runs,
        evaluations=samples
        + (sensitivity * (len(indices) + 2) if len(indices) > 1 else 0)
        + 1
        + 2 * len(behind)
        + 6 * len(behind),
        seed=seed,
        seconds=time.perf_counter() - began,
        version=__version__,
        notes=model.notes,
    )
    say(1.0, "done")
    return result


class _Outcomes:
    """Quantities on the axis of the answer."""

    def __init__(self, model: Model, draws: dict[Quantity, Array], percents: Sequence[float], unit: str) -> None:
        self.model, self.draws, self.percents, self.unit = model, draws, percents, unit
        self.names = model.names

    def values(self, q: Quantity) -> Array:
        return self.draws[q] * units.conversion(q.unit, self.model.target.unit)

    def of(self, q: Quantity) -> Outcome:
        return self._outcome(self.names[q], q.bound, self.values(q), q.source)

    def _outcome(self, name: str, bound: Bound, values: Array, source: str) -> Outcome:
        found = quantiles.percentiles(values, self.percents, self.unit, bound, _REFERENCE)
        log = bool(values.min() > 0)
        return Outcome(name, bound, found, quantiles.density(values.ravel(), log), source)

    def combined(self) -> tuple[tuple[Outcome, ...], Estimate | None]:
        """Bounds by the tightest, guesses by their pool, and how likely the bounds contradict each other."""
        out: list[Outcome] = []
        uppers, lowers = ([self.values(q) for q in self.model.routes if q.bound == b] for b in ("upper", "lower"))
        guesses = [self.values(q) for q in self.model.routes if q.bound in ("guess", "exact")]
        if len(uppers) > 1:
            least = np.min(np.stack(uppers), axis=0)
            out.append(self._outcome("the least of the upper bounds", "upper", least, ""))
        if len(lowers) > 1:
            most = np.max(np.stack(lowers), axis=0)
            out.append(self._outcome("the largest of the lower bounds", "lower", most, ""))
        if len(guesses) > 1:
            out.append(self._outcome("the pool of the guesses", "guess", np.concatenate(guesses, axis=1), ""))
        if not uppers or not lowers:
            return tuple(out), None
        crossed = np.max(np.stack(lowers), axis=0) > np.min(np.stack(uppers), axis=0)
        each = crossed.mean(axis=1)
        error = float(each.std(ddof=1) / np.sqrt(len(each)))
        share = Estimate(
            float(each.mean()), error, "1", reference=_REFERENCE, dof=len(each) - 1.0, support=(0.0, 1.0)
        )  # fmt: skip
        return tuple(out), share


_REFERENCE = "the inputs' distributions"


def _runs(samples: int) -> int:
    """Runs of 64 points at least: percentiles of fewer are biased in the tails."""
    return min(_MOST_RUNS, samples // _RUN)


def _checked(samples: int, percents: Sequence[float], sensitivity: int) -> tuple[float, ...]:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples & (samples - 1) or samples < _FEWEST:
        raise InputError(f"samples = {samples!r}", f"a power of 2 from {_FEWEST}")
    if samples > _MOST:
        raise InputError(f"samples = {samples:,}", f"at most {_MOST:,}")
    rows = sensitivity
    if isinstance(rows, bool) or not isinstance(rows, int) or (rows and (rows & (rows - 1) or rows < 32)):
        raise InputError(f"sensitivity = {sensitivity!r}", "0, or a power of 2 from 32")
    out = tuple(sorted({int(p) if float(p).is_integer() else float(p) for p in percents}))
    if not out or out[0] <= 0 or out[-1] >= 100:
        raise InputError(f"percents = {list(percents)}", "numbers above 0 and below 100")
    draws = samples // _runs(samples)
    for p in out:
        if draws * min(p, 100 - p) < 50:  # less than half a draw of a run lies beyond it
            raise InputError(f"the {p:g}% point from {draws} draws in a run", "more", "raise samples=")
    return out


def _leading(sampler: Sampler, members: Sequence[tuple[str, ...]]) -> list[int]:
    """The inputs whose curves are kept: members of the leading groups, but not the choices of mixtures."""
    ordered = [name for group in members for name in group]
    places = [sampler.names.index(name) for name in ordered]
    return [k for k in places if sampler.inputs[k].distribution is not None][:_MOST_CURVES]


def _nodes(model: Model, draws: dict[Quantity, Array]) -> tuple[Node, ...]:
    names = model.names
    words = identifiers(names)
    out: list[Node] = []
    for q in model.nodes:
        if written_out(q) and q is not model.target:
            continue
        x = draws[q].ravel()
        finite = bool(np.isfinite(x).all())
        low, middle, high = map(
            float, quantiles.points(np.sort(x), (0.05, 0.5, 0.95)) if finite else np.full(3, np.nan)
        )
        out.append(Node(names[q], units.shown(q.unit), q.bound, _how(q, words), q.source, low, middle, high))
    return tuple(out)


def _how(q: Quantity, words: dict[Quantity, str]) -> str:
    d = q.distribution
    if isinstance(d, Constant):
        return "one value"
    if d is not None:
        record: dict[str, Any] = d.record()
        inner = ", ".join(
            f"{k} {v:.4g}" if isinstance(v, float | int) else f"{len(v)} {k}" for k, v in record.items()
        )  # fmt: skip
        return f"{d.kind}: {inner}"
    return formula(q, words, written_out)


def _nobody(share: float, text: str) -> None:
    """Nobody watches."""
