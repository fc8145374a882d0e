"""What the chains of one inverse temperature say, and whether it may be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import rankdata

from pindown.estimate import Estimate, Status
from pindown.stats import effective_sample_size, mean_and_stderr, r_hat

__all__ = ["Agreement", "TemperaturePoint", "burn_in", "read_point", "read_together"]

Array = NDArray[np.float64]
_DRIFT = float(stdtrit(4.0, 0.995))  # four degrees of freedom, 1%
_LEVEL = 0.9995  # a dozen tests are made of one answer
_WITHIN = 0.02  # differences up to this share of λ are no objection
_MOST_R_HAT = 1.1
_LEAST_ESS = 50.0
_LEAST_ACCEPTANCE = 0.95
_LEAST_TAKEN = 0.2
_MOST_NOISE = 0.05
_MOST_DIVERGED = 0.05
_MOST_STEP_BIAS = 0.1
_MOST_ERROR = 0.3
_LITTLE = 0.05


@dataclass(frozen=True)
class Agreement:
    """The difference of two readings that should be equal.

    Attributes:
        difference: of the two.
        stderr: its standard error.
        agrees: whether it is within its error, or below a fiftieth of λ.
    """

    difference: float
    stderr: float
    agrees: bool

    @classmethod
    def of(cls, first: Array, second: Array, scale: float, *, paired: bool) -> Agreement:
        """Compare the means of chains: of the same chains where ``paired``, else of different ones (Welch 1947)."""
        if paired:
            difference, stderr = mean_and_stderr(second - first)
            dof = float(len(first) - 1)
        else:
            (a, sa), (b, sb) = mean_and_stderr(first), mean_and_stderr(second)
            difference, stderr = b - a, math.hypot(sa, sb)
            under = sa**4 / (len(first) - 1) + sb**4 / (len(second) - 1)
            dof = stderr**4 / under if under > 0 else 1.0
        bound = float(stdtrit(dof, 0.5 + 0.5 * _LEVEL)) * stderr
        return cls(difference, stderr, bool(abs(difference) <= max(bound, _WITHIN * scale)))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; what is not finite as None."""
        known = {k: v if math.isfinite(v) else None for k, v in self.__dict__.items()}
        return {**known, "agrees": self.agrees}

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> Agreement:
        """Read back what :meth:`to_dict` wrote."""
        difference, stderr = (math.nan if r[k] is None else float(r[k]) for k in ("difference", "stderr"))
        return cls(difference, stderr, bool(r["agrees"]))


@dataclass(frozen=True)
class TemperaturePoint:
    """λ̂ at one inverse temperature, with every check.

    Attributes:
        nbeta: nβ.
        estimate: λ̂ = nβ (E[L] − L(w*)).
        step_size: of the sampler, in weights.
        leaps: gradients a move.
        acceptance: of moves, or of the corrected move where nothing is rejected.
        noise: variance of the minibatch push over that of the injected noise.
        effective_size: of the mean, over all chains.
        r_hat: split R-hat.
        halves: second half of each chain against its first.
        sides: chains that set out from the trained weights against those that came from larger losses.
        halved_step: chains with the smaller step against the others; None where that was not tested here.
        slope: dλ̂/d ln nβ, which is λ̂ minus the variance of nβL; None on minibatches, whose losses vary more.
        distance: root mean square of |w − w*|.
        objections: what speaks against it, in words; empty where it may be believed.
    """

    nbeta: float
    estimate: Estimate
    step_size: float
    leaps: int
    acceptance: float
    noise: float
    effective_size: float
    r_hat: float
    halves: Agreement
    sides: Agreement
    halved_step: Agreement | None
    slope: float | None
    distance: float
    objections: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.objections

    def to_dict(self) -> dict[str, Any]:
        """The point as plain JSON values."""
        out = dict(self.__dict__)
        for name in ("estimate", "halves", "sides", "halved_step"):
            out[name] = None if out[name] is None else out[name].to_dict()
        finite = ("step_size", "acceptance", "noise", "effective_size", "r_hat", "slope", "distance")
        out |= {k: None if out[k] is None or not math.isfinite(out[k]) else out[k] for k in finite}
        return {**out, "objections": list(self.objections)}

    @classmethod
    def from_dict(cls, r: Mapping[str, Any]) -> TemperaturePoint:
        """Read back what :meth:`to_dict` wrote; figures that were not finite come back as NaN."""
        parts: dict[str, Any] = {k: r[k] for k in cls.__dataclass_fields__}
        parts["estimate"] = Estimate.from_dict(r["estimate"])
        for name in ("halves", "sides", "halved_step"):
            parts[name] = None if r[name] is None else Agreement.from_dict(r[name])
        for name in ("step_size", "acceptance", "noise", "effective_size", "r_hat", "distance"):
            parts[name] = math.nan if r[name] is None else r[name]
        parts["objections"] = tuple(r["objections"])
        return cls(**parts)


def read_together(points: Sequence[TemperaturePoint]) -> list[TemperaturePoint]:
    """The points, with what speaks against all of them together.

    At every inverse temperature chains from both sides, or the halves of chains, may come within their errors of each
    other and yet keep apart by the same sign at all: the mean of the differences, as shares of λ, is tested as well.
    """
    good = [p for p in points if p.converged and p.estimate.value > 0]
    if len(good) < 2:
        return list(points)
    found: list[str] = []
    tests = {
        "chains from larger losses differ from those from the weights": [p.sides for p in good],
        "second halves differ from first halves": [p.halves for p in good],
    }
    for what, pairs in tests.items():
        share = np.array([[a.difference, a.stderr] for a in pairs]) / np.array([[p.estimate.value] for p in good])
        mean, error = float(share[:, 0].mean()), float(np.linalg.norm(share[:, 1])) / len(good)
        bound = float(stdtrit(3.0 * len(good), 0.5 + 0.5 * _LEVEL)) * error  # at least three degrees of freedom each
        if abs(mean) > max(bound, _WITHIN):
            found.append(f"over all inverse temperatures {what} by {100 * mean:.2g}%")
    if not found:
        return list(points)
    return [
        replace(p, estimate=replace(p.estimate, status=Status.NOT_CONVERGED), objections=tuple(found))
        if p.converged
        else p
        for p in points
    ]


def burn_in(trace: Array) -> int:
    """Sweeps to leave out: the fewest after which the loss no longer drifts, at most half.

    ``trace`` is the mean over chains, ``(T,)``. After a cut the first fifth is compared with the last half in units of
    the spread of tenths (Geweke 1992, Evaluating the accuracy of sampling-based approaches).
    """
    n = len(trace)
    for cut in (0, n // 10, n // 5, n // 3):
        rest = trace[cut:]
        blocks = np.array([b.mean() for b in np.array_split(rest, 10)])
        spread = float(blocks[5:].std(ddof=1))
        # A cut for nothing would favour traces without a rare large loss at their beginning.
        if abs(float(blocks[:2].mean() - blocks[5:].mean())) <= _DRIFT * spread * math.sqrt(1 / 2 + 1 / 5):
            return cut
    return n // 2


def _mean(chains: Array) -> tuple[float, float]:
    """Mean of chains ``(n, T)`` and its standard error: from their means, or from their effective size if that is more.

    A few means may come close to each other by chance.
    """
    value, stderr = mean_and_stderr(chains.mean(1))
    return value, max(stderr, float(chains.std()) / math.sqrt(effective_sample_size(chains)))


def _unmixed(losses: Array, distance: Array) -> float:
    """What the mean loss may be off by because the distance from the weights mixes less well than the loss.

    The part of the loss that goes with the distance, by their correlation, has the distance's effective size.
    """
    if losses.std() == 0.0 or distance.std() == 0.0:
        return 0.0
    together = max(
        abs(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))
        for a, b in ((losses, distance), (rankdata(losses), rankdata(distance)))
    )
    return together * float(losses.std()) / math.sqrt(effective_sample_size(distance))


def read_point(
    nbeta: float, excess: Array, distance: Array, acceptance: Array, noise: Array, diverged: Array, *, rejects: bool,
    halved: bool, minibatch: bool, step_size: float, leaps: int, reference: str,
) -> TemperaturePoint:  # fmt: skip
    """Read one inverse temperature.

    Args:
        nbeta: nβ.
        excess: ``(2, n, T)``: the pair of stages, chains, sweeps; even chains came from larger losses.
        distance: ``|w − w*|²``, the same shape.
        acceptance: ``(2, T)``.
        noise: ``(2, T)``.
        diverged: ``(2, T)``.
        rejects: whether moves were rejected.
        halved: whether the second stage of the pair had the smaller step.
        minibatch: whether losses are those of minibatches.
        step_size: in weights.
        leaps: gradients a move.
        reference: what the estimate is relative to.
    """
    lam = nbeta * excess
    if not np.isfinite(lam).all():
        nothing = Agreement(math.nan, math.nan, False)
        estimate = Estimate(math.nan, math.nan, "1", "estimate", Status.NON_FINITE, reference)
        gone = ("the loss became NaN or infinite",)
        return TemperaturePoint(
            nbeta, estimate, step_size, leaps, float(np.mean(acceptance)), float(np.mean(noise)), 0.0, math.nan,
            nothing, nothing, None, None, math.nan, gone,
        )  # fmt: skip
    cut = burn_in(lam.mean((0, 1)))
    lam, distance = lam[..., cut:], distance[..., cut:]
    chains = lam.reshape(-1, lam.shape[-1])
    means = chains.mean(1)
    value, stderr = _mean(chains)
    dof = float(len(means) - 1)
    scale = abs(value)
    middle = chains.shape[1] // 2
    halves = Agreement.of(chains[:, :middle].mean(1), chains[:, middle:].mean(1), scale, paired=True)
    sides = Agreement.of(lam[:, 1::2].mean(-1).ravel(), lam[:, 0::2].mean(-1).ravel(), scale, paired=False)
    steps = Agreement.of(lam[0].mean(-1), lam[1].mean(-1), scale, paired=False) if halved else None
    if steps is not None and not rejects:
        # The bias is linear in the squared step: twice the smaller step's answer less the larger one's (Richardson).
        (a, sa), (b, sb) = _mean(lam[0]), _mean(lam[1])
        value, stderr, dof = 2.0 * b - a, math.hypot(math.hypot(2.0 * sb, sa), 0.25 * (b - a)), float(len(lam[0]) - 1)
    stderr = math.hypot(stderr, _unmixed(chains, distance.reshape(chains.shape)))
    size, spread = effective_sample_size(chains), r_hat(chains)
    taken, pushed = float(acceptance.mean()), float(noise.mean())
    objections: list[str] = []
    if spread > _MOST_R_HAT:
        objections.append(f"R-hat is {spread:.2f}")
    if size < _LEAST_ESS:
        objections.append(f"the effective sample size is {size:.0f}")
    if diverged.mean() > _MOST_DIVERGED:
        objections.append(f"the energy ran away in {100 * diverged.mean():.2g}% of the trajectories")
    if not halves.agrees:
        objections.append(f"second halves differ from first halves by {halves.difference:.3g}")
    if not sides.agrees:
        objections.append(f"chains from larger losses differ from those from the weights by {sides.difference:.3g}")
    if steps is not None and not steps.agrees:
        objections.append(f"smaller steps change the answer by {steps.difference:.3g}")
    if not rejects and steps is not None and abs(steps.difference) > _MOST_STEP_BIAS * scale + 3.0 * steps.stderr:
        objections.append("steps are too coarse")
    if taken < (_LEAST_TAKEN if rejects else _LEAST_ACCEPTANCE):
        objections.append(f"the acceptance is {taken:.2f}")
    if pushed > _MOST_NOISE:
        objections.append(f"minibatches add {100 * pushed:.0f}% to the noise")
    if stderr > max(_MOST_ERROR * scale, _LITTLE):
        objections.append(f"the standard error is {stderr:.2g}")
    status = Status.NOT_CONVERGED if objections else Status.REACHED
    return TemperaturePoint(
        nbeta, Estimate(value, stderr, "1", "estimate", status, reference, dof), step_size, leaps, taken, pushed, size,
        spread, halves, sides, steps, None if minibatch else value - float(chains.var()),
        math.sqrt(float(distance.mean())), tuple(objections),
    )  # fmt: skip
