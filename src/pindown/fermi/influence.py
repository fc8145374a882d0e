"""Which input matters: Sobol' indices through SALib, one-at-a-time swings, and conditional curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pindown.estimate import Estimate, Status
from pindown.fermi import units
from pindown.fermi.quantiles import points
from pindown.fermi.quantity import Quantity
from pindown.fermi.sampling import Sampler
from pindown.rng import child_seed

__all__ = ["Curve", "Sensitivity", "Swing", "conditional_curves", "leading_directions", "sobol_indices", "swings"]

Array = NDArray[np.float64]
_TAIL = float(special.ndtri(0.95))
_LEVEL = 0.95
_STEP = 0.5
_BESIDE = 1e-3
"""Share of a slope beside the directions so far from which it makes one of its own."""


@dataclass(frozen=True)
class Sensitivity:
    """How much of the variance of the answer an input, or a group of correlated inputs, accounts for.

    Attributes:
        name: of the input or the group.
        members: names of the inputs in it.
        first: first-order index: the share that knowing it would remove on average.
        total: total index: the share that is left where all else is known.
    """

    name: str
    members: tuple[str, ...]
    first: Estimate
    total: Estimate


@dataclass(frozen=True)
class Swing:
    """The answer with one input at its 5% and 95% points, the others at their medians (given it, where correlated).

    Attributes:
        name: of the input.
        unit: of the input; empty for the choice that a mixture makes.
        input_low: the input's 5% point.
        input_high: its 95% point.
        low: the answer at the one.
        high: the answer at the other.
        middle: the answer with all inputs at their medians.
    """

    name: str
    unit: str
    input_low: float
    input_high: float
    low: float
    high: float
    middle: float


@dataclass(frozen=True)
class Curve:
    """The answer given one input: its 5%, 50% and 95% points in each of twenty slices of equal chance."""

    name: str
    unit: str
    at: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]


def sobol_indices(sampler: Sampler, target: Quantity, n: int, log: bool, seed: int) -> tuple[Sensitivity, ...]:
    r"""Sobol' indices of each input or correlated group, largest total first.

    :math:`S_i = \mathrm{Var}\,E[Y \mid x_i] / \mathrm{Var}\,Y` and
    :math:`S_{Ti} = E\,\mathrm{Var}[Y \mid x_{\sim i}] / \mathrm{Var}\,Y` of the answer, or of its logarithm, by the
    design and estimators of Saltelli et al. (2010, Comput. Phys. Commun. 181:259) in SALib, over n (groups + 2) points.
    Standard errors are SALib's, from resampling the rows; for scrambled points they are on the large side.
    """
    behind = sampler.behind(target)
    of_group = [sampler.groups[k] for k in behind]
    groups = list(dict.fromkeys(of_group))
    members = {g: tuple(sampler.names[k] for k in behind if sampler.groups[k] == g) for g in groups}
    if not groups:
        return ()
    if len(groups) == 1:
        one = Estimate(1.0, 0.0, "1", kind="exact", reference="the variance of the answer")
        return (Sensitivity(groups[0], members[groups[0]], one, one),)
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as design

    problem: dict[str, Any] = {
        "num_vars": len(behind),
        "names": [sampler.names[k] for k in behind],
        "groups": of_group,
        "bounds": [[0.0, 1.0]] * len(behind),
    }
    generator = np.random.default_rng(child_seed(seed, 1))
    points = design.sample(problem, n, calc_second_order=False, seed=generator)
    whole = np.full((len(points), sampler.dim), 0.5)
    whole[:, behind] = np.clip(points, 2.0**-32, 1.0 - 2.0**-32)
    (y,) = sampler.values(whole, [target])
    reference = f"the variance of {'the logarithm of ' if log else ''}the answer"
    if log and y.min() > 0:
        y = np.log(y)
    if not np.isfinite(y).all() or y.min() == y.max():
        status = Status.NON_FINITE if not np.isfinite(y).all() else Status.UNSUPPORTED
        none = Estimate(float("nan"), float("nan"), "1", status=status, reference=reference)
        return tuple(Sensitivity(g, members[g], none, none) for g in groups)
    # SALib takes a seed of 0 for none and would then draw from the global random state.
    found = analysis.analyze(
        problem, y, calc_second_order=False, conf_level=_LEVEL, seed=1 + child_seed(seed, 2) % (2**31)
    )
    z = float(special.ndtri(0.5 + _LEVEL / 2.0))

    def index(key: str, k: int) -> Estimate:
        error = float(found[f"{key}_conf"][k]) / z
        return Estimate(float(found[key][k]), error, "1", reference=reference, support=(0.0, 1.0))

    out = [Sensitivity(g, members[g], index("S1", k), index("ST", k)) for k, g in enumerate(groups)]
    return tuple(sorted(out, key=lambda s: -s.total.value))


def swings(sampler: Sampler, target: Quantity) -> tuple[Swing, ...]:
    """One swing for each input, the widest first."""
    points = [np.full(sampler.dim, 0.5)]
    behind = sampler.behind(target)
    for k in behind:
        points += [sampler.moved(k, -_TAIL), sampler.moved(k, _TAIL)]
    values = sampler.values(np.stack(points), [target, *sampler.inputs])
    y, inputs = values[0], values[1:]
    out: list[Swing] = []
    for i, k in enumerate(behind):
        low, high, q, own = 1 + 2 * i, 2 + 2 * i, sampler.inputs[k], inputs[k]
        out.append(
            Swing(
                sampler.names[k],
                units.shown(q.unit) if q.distribution is not None else "",
                float(own[low]),
                float(own[high]),
                float(y[low]),
                float(y[high]),
                float(y[0]),
            )
        )
    if all(min(s.low, s.high) > 0 for s in out):
        return tuple(sorted(out, key=lambda s: -abs(float(np.log(s.high / s.low)))))
    return tuple(sorted(out, key=lambda s: -abs(s.high - s.low)))


def leading_directions(sampler: Sampler, target: Quantity) -> list[Array]:
    r"""Orthonormal directions in normal scores along which the answer, or its logarithm, changes most.

    The first is that of the change between the 5% and 95% points of each input at the others' medians; the second and
    the third are what the slopes at the answer's lower and upper end, along the first, have beside it. None where the
    answer does not change. What is left over is bounded by the slopes' change, as for the bases of active subspaces
    (Constantine, Dow and Wang 2014, SIAM J. Sci. Comput. 36:A1500), but each follows from the model without a sort, so
    that rounding moves no direction far.
    """
    if sampler.dim < 2:
        return []
    behind = sampler.behind(target)

    def slope(centre: Array, step: float) -> Array | None:
        scores = np.repeat(centre[None, :], 2 * len(behind), axis=0)
        for i, k in enumerate(behind):
            scores[2 * i, k] -= step
            scores[2 * i + 1, k] += step
        (y,) = sampler.values(special.ndtr(scores), [target])
        if not np.isfinite(y).all():
            return None
        y = np.log(y) if y.min() > 0 else y
        found = np.zeros(sampler.dim)
        found[behind] = (y[1::2] - y[::2]) / (2.0 * step)
        return found if np.abs(found).max(initial=0.0) > 1e-12 * max(1.0, float(np.abs(y).max())) else None

    first = slope(np.zeros(sampler.dim), _TAIL)
    if first is None:
        return []
    out = [first / np.linalg.norm(first)]
    for end in (-_TAIL, _TAIL):
        found = slope(end * out[0], _STEP)
        if found is None:
            continue
        left = found.copy()
        for b in out:
            left -= b * float(b @ left)
        length = float(np.linalg.norm(left))
        if len(out) < len(behind) and length > _BESIDE * float(np.linalg.norm(found)):
            out.append(left / length)
    return out


def conditional_curves(
    sampler: Sampler, inputs: Sequence[int], draws: Sequence[Array], y: Array, slices: int = 20
) -> tuple[Curve, ...]:
    """The answer given each of the inputs, from the draws that there are.

    Args:
        sampler: the model.
        inputs: which inputs.
        draws: their values.
        y: the answers.
        slices: how many slices; inputs with fewer values than that get one for each value.
    """
    out: list[Curve] = []
    for k, x in zip(inputs, draws, strict=True):
        order = np.argsort(x, kind="stable")
        ordered = x[order]
        steps = 1 + np.flatnonzero(np.diff(ordered) > 0)
        if not steps.size:
            continue
        edges = steps if steps.size < slices else np.linspace(0, len(x), slices + 1).astype(np.int64)[1:-1]
        low, middle, high = np.array([points(np.sort(y[p]), (0.05, 0.5, 0.95)) for p in np.split(order, edges)]).T
        at = [float(points(part, (0.5,))[0]) for part in np.split(ordered, edges)]
        unit = units.shown(sampler.inputs[k].unit)
        out.append(Curve(sampler.names[k], unit, tuple(at), *(tuple(map(float, c)) for c in (low, middle, high))))
    return tuple(out)
