r"""How many bits each constraint adds.

A constraint *adds* :math:`-\log_2 P(C_i \mid \text{the others})`, by which the target is rarer than without it: 0 where
it is slack. *Alone* it costs :math:`-\log_2 P(C_i)`. The difference is its interaction with the others: below 0 where
they imply it in part, above 0 where they are in its way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.engine.enumeration import MOST_POINTS
from pindown.engine.measure import measure
from pindown.engine.profile import Profile
from pindown.errors import InputError
from pindown.estimate import Estimate, Kind, Status, bits
from pindown.landscapes.cnf import CNF
from pindown.landscapes.model_count import ModelCounter
from pindown.landscapes.problem import Constraint, SearchProblem, violations
from pindown.rng import child_seed
from pindown.spaces.base import is_finite_space

__all__ = [
    "ConstraintBits",
    "count_bits",
    "difference",
    "drawn_bits",
    "formula_bits",
    "is_small",
    "measured_bits",
    "total_interaction",
]

Progress = Callable[[float, str], None]
_SLACK = 0.1  # bits; an interval that ends below this and holds 0 is slack
_MORE_STEPS = 40_000  # of the counter, for all constraints together
_DRAWS = 4096


@dataclass(frozen=True)
class ConstraintBits:
    """One constraint.

    Attributes:
        name: of it.
        alone: bits that it pins down by itself.
        adds: bits by which the target is rarer with it than without.
        interaction: ``adds − alone``.
    """

    name: str
    alone: Estimate
    adds: Estimate
    interaction: Estimate

    @property
    def verdict(self) -> str:
        """``"slack"``, ``"binding"``, ``"undecided"`` or ``"not measured"``."""
        if math.isnan(self.adds.value):
            return "not measured"
        low, high = self.adds.interval()
        if low > 0:
            return "binding"
        return "slack" if high <= _SLACK else "undecided"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        figures = {f.name: getattr(self, f.name).to_dict() for f in fields(self)[1:]}
        return {"name": self.name, **figures, "verdict": self.verdict}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ConstraintBits:
        """Read back what :meth:`to_dict` wrote."""
        return cls(str(record["name"]), *(Estimate.from_dict(record[f.name]) for f in fields(cls)[1:]))


def count_bits(problem: SearchProblem) -> list[ConstraintBits]:
    """Exact bits where every point of the space can be looked at."""
    space = problem.space
    assert is_finite_space(space)
    functions = [c.function for c in problem.constraints]
    blocks: list[NDArray[np.bool_]] = []
    for start in range(0, space.size, 2**14):
        x = space.points(start, min(start + 2**14, space.size))
        try:
            found = violations(functions, x)
        except TypeError:  # functions of NumPy arrays
            found = violations(functions, x.numpy())
        blocks.append((found <= 0).numpy())
    holds = np.concatenate(blocks)
    failed = (~holds).sum(axis=1)
    together = int((failed == 0).sum())
    out: list[ConstraintBits] = []
    for i, c in enumerate(problem.constraints):
        others = together + int(((failed == 1) & ~holds[:, i]).sum())
        alone = _exact(space.size, int(holds[:, i].sum()), space.reference)
        out.append(_with_interaction(c.name, alone, _exact(others, together, space.reference)))
    return out


def formula_bits(
    cnf: CNF, counter: ModelCounter, models: int, progress: Progress | None = None
) -> list[ConstraintBits]:
    """Exact bits of each constraint of a formula, by counting without it; *budget spent* where that takes too long."""
    left = _MORE_STEPS
    out: list[ConstraintBits] = []
    reference = cnf.space.reference
    for i, name in enumerate(cnf.constraint_names):
        before = counter.steps
        others = counter.count(cnf.without(i), left) if left > 0 else None
        left -= counter.steps - before
        adds = _unknown(Status.BUDGET_SPENT, reference) if others is None else _exact(others, models, reference)
        out.append(_with_interaction(name, _formula_alone(cnf, i), adds))
        if progress is not None and i % 16 == 0:
            progress((i + 1) / len(cnf.constraints), f"constraint {name}")
    return out


def drawn_bits(cnf: CNF, seed: int, repeats: int, checkpoint: Path | None) -> list[ConstraintBits]:
    r"""Bits of each constraint of a formula from points on which at most one clause fails.

    Of prior-distributed points with a loss of at most 1, let :math:`n_0` obey everything and :math:`n_i` all but
    constraint ``i``, of which one clause fails at a time: then the constraint adds :math:`\log_2(1 + n_i / n_0)`. The
    draws count as many as they have distinct ancestors.
    """
    near = measure(
        cnf.space, cnf.losses, tolerance=1.0, repeats=repeats, seed=child_seed(seed, 0xC1), checkpoint=checkpoint
    )
    if not near.status.ok:
        unknown = _unknown(near.status, cnf.space.reference)
        return [_with_interaction(name, _formula_alone(cnf, i), unknown) for i, name in enumerate(cnf.constraint_names)]
    draws = near.draw(1.0, _DRAWS, seed)
    failed = cnf.violated(draws.points)
    few = max(1.0, min(float(draws.ancestors), draws.effective_size))
    clean = float((~failed.any(-1)).double().mean())
    out: list[ConstraintBits] = []
    for i, name in enumerate(cnf.constraint_names):
        one = float(failed[:, list(cnf.constraints[i])].any(-1).double().mean())
        adds = _unknown(Status.EXTINCT, cnf.space.reference)
        if clean > 0.0:
            # The standard error of ln(1 + n_i/n_0) = −ln(share) with share = n_0/(n_0 + n_i) of few·(n_0 + n_i) draws;
            # half a draw more of either keeps it above 0 where none was seen.
            count = few * (clean + one) + 1.0
            share = (few * clean + 0.5) / count
            stderr = bits(math.sqrt((1.0 - share) / (share * count)))
            value = math.log2(1.0 + one / clean)
            adds = Estimate(value, stderr, "bits", reference=cnf.space.reference, support=(0.0, math.inf))
        out.append(_with_interaction(name, _formula_alone(cnf, i), adds))
    return out


def measured_bits(
    problem: SearchProblem, target: Estimate, seed: int, repeats: int, checkpoint: Path | None,
    progress: Progress | None = None,
) -> list[ConstraintBits]:  # fmt: skip
    """Bits of each constraint by the engine: two measurements each, without it and of it alone.

    What it adds is the difference to the target's bits, or comes from the share of the solutions without it that obey
    it, whichever is the more precise.
    """
    out: list[ConstraintBits] = []
    m = len(problem.constraints)
    for i, c in enumerate(problem.constraints):
        found: list[Estimate] = []
        share: Estimate | None = None
        for k, some in enumerate(([d for d in problem.constraints if d is not c], [c])):
            if not some:
                found.append(Estimate(0.0, 0.0, "bits", "exact", reference=target.reference))
            elif len(some) == m:
                found.append(target)
            else:
                folder = None if checkpoint is None else checkpoint / f"constraint-{i}-{k}"
                profile = measure(
                    problem.space, problem.only(some), tolerance=0.0, repeats=repeats,
                    seed=child_seed(seed, 0xC0, i, k), checkpoint=folder,
                )  # fmt: skip
                found.append(profile.bits())
                if k == 0 and profile.status.ok:
                    share = _share_bits(c, profile, child_seed(seed, 0xC2, i))
            if progress is not None:
                progress((2 * i + k + 1) / (2 * m), f"constraint {c.name}")
        without, alone = found
        adds = difference(target, without, support=(0.0, math.inf))
        if share is not None and not share.stderr >= adds.stderr:
            adds = share
        out.append(_with_interaction(c.name, alone, adds))
    return out


def _share_bits(constraint: Constraint, profile: Profile, seed: int) -> Estimate | None:
    """Bits by the share of the others' solutions that obey one more constraint, or None where hardly any do."""
    draws = profile.draw(0.0, _DRAWS, seed)
    try:
        failed = violations([constraint.function], draws.points)
    except TypeError:  # a function of NumPy arrays
        failed = violations([constraint.function], draws.points.numpy())
    few = max(1.0, min(float(draws.ancestors), draws.effective_size))
    share = float((failed[:, 0] <= 0).double().mean())
    if share * few < 10.0:
        return None
    smooth = (share * few + 0.5) / (few + 1.0)  # keeps the error above 0 where all obey
    stderr = bits(math.sqrt((1.0 - smooth) / (smooth * (few + 1.0))))
    return Estimate(-math.log2(share) + 0.0, stderr, "bits", reference=profile.reference, support=(0.0, math.inf))


def difference(a: Estimate, b: Estimate, support: tuple[float, float] | None = None) -> Estimate:
    """``a − b`` of two independent figures; unknown where one of them is a bound."""
    bad = next((e for e in (a, b) if not e.status.ok or e.kind in ("lower_bound", "upper_bound")), None)
    if bad is not None or not (math.isfinite(a.value) and math.isfinite(b.value)):
        return _unknown(Status.UNSUPPORTED if bad is None or bad.status.ok else bad.status, a.reference)
    exact = a.kind == b.kind == "exact"
    value = max(a.value - b.value, support[0]) if support and exact else a.value - b.value
    kind: Kind = "exact" if exact else "estimate"
    stderr = 0.0 if exact else math.hypot(a.stderr, b.stderr)
    dof = min((e.dof for e in (a, b) if e.dof is not None), default=None)
    return Estimate(value + 0.0, stderr, "bits", kind, Status.REACHED, a.reference, None if exact else dof, support)


def total_interaction(target: Estimate, constraints: Sequence[ConstraintBits]) -> Estimate:
    """The target's bits less those of each constraint alone."""
    if not constraints:
        return _unknown(Status.UNSUPPORTED, target.reference)
    sum_alone = Estimate(0.0, 0.0, "bits", "exact", reference=target.reference)
    for c in constraints:
        sum_alone = difference(sum_alone, difference(Estimate(0.0, 0.0, "bits", "exact"), c.alone))
    return difference(target, sum_alone)


def _with_interaction(name: str, alone: Estimate, adds: Estimate) -> ConstraintBits:
    return ConstraintBits(name, alone, adds, difference(adds, alone))


def _formula_alone(cnf: CNF, i: int) -> Estimate:
    """Clauses over the same variables exclude one of their settings each."""
    settings = 2 ** len(cnf.scopes[i])
    return _exact(settings, settings - len(cnf.constraints[i]), cnf.space.reference)


def _exact(whole: int, part: int, reference: str) -> Estimate:
    if not part:
        raise InputError("no point obeys all constraints", "at least one", "leave out or relax constraints")
    return Estimate(math.log2(whole) - math.log2(part) + 0.0, 0.0, "bits", "exact", reference=reference)


def _unknown(status: Status, reference: str) -> Estimate:
    return Estimate(math.nan, math.nan, "bits", status=status, reference=reference)


def is_small(problem: SearchProblem) -> bool:
    """Whether every point can be looked at."""
    return is_finite_space(problem.space) and problem.space.size <= MOST_POINTS
