r"""How many low-order planes may be random: sequential decisions at single levels, and a bracket between them.

At k planes the rise is :math:`r(k) = E[L(w')] - L(w)` over uniform random bits in the k low-order planes of a tensor's
codes. Draw j uses the same random words at every k, so that levels are paired.

**One level** is decided by a group-sequential test (Pocock 1977, Group sequential methods in the design and analysis of
clinical trials): after 4, 8, 16, … draws the Student interval of r(k) is compared with ε, its error probability split
evenly over the looks (Bonferroni), so that stopping early costs no confidence. Above ε the draws are cut at 10 ε first:
the mean of :math:`\min(r, 10ε)` is a lower bound of r(k), and unlike r(k) itself it has a variance where random
exponents make losses of any size. If every draw lies above 10 ε the level is decided at the first look: were r(k) ≤ ε
and no draw below −ε, Markov's inequality gives a share of at most 2/11 above 10 ε, and 0.1% that four of four are. One
loss that is not finite makes r(k) infinite. Where neither side is decided after the last look, the level is undecided.

**The bracket** takes r(k) to grow fourfold with each plane of the mantissa: the variance of a uniform k-bit integer is
:math:`(4^k - 1)/12`, and the loss is quadratic where it rises little. From any level that shows a rise, the level where
it reaches ε follows; it and the next one decide. Where that says nothing, it halves. That r(k) grows with k at all is
taken from the levels that were measured, and is checked at a level outside the bracket. Where to begin follows from the
curvature along one random change, which takes two losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.special import stdtrit
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint
from pindown.estimate import Estimate, Status
from pindown.network.number_formats import Codes, NumberFormat, random_words
from pindown.network.plane_levels import Bracket, Decision, Level
from pindown.network.replaced import ReplacedLoss
from pindown.rng import torch_generator
from pindown.stats import mean_and_stderr

__all__ = ["GLANCE", "Ledger", "Randomiser", "Rule", "bracket", "first_guess", "level_at"]

FIRST = 4
CUT = 10.0  # in ε
_SAME = 16  # draws that are all equal say little: two outcomes of even odds agree in 16 draws once in 32768
_GROWTH = math.log(4.0)
_NEAR = 3  # planes over which a rise is taken to grow fourfold each
_TRIES = 4
_BELOW = 6  # planes below the answer at which its check may lie; further down there is mostly nothing to see
GLANCE = 8  # draws of a check

Losses = Callable[[int, int], list[float]]


@dataclass(frozen=True)
class Rule:
    """When a level is decided.

    Attributes:
        epsilon: the largest rise that is tolerated.
        confidence: of each decision.
        most: draws after which a level stays undecided.
        baseline: the loss that rises are relative to.
        resolution: rises below this are the arithmetic's own.
        unit: of the loss.
    """

    epsilon: float
    confidence: float
    most: int
    baseline: float
    resolution: float
    unit: str

    @property
    def looks(self) -> list[int]:
        """Numbers of draws at which it is asked."""
        out = [FIRST]
        while out[-1] < self.most:
            out.append(min(2 * out[-1], self.most))
        return out

    def quantile(self, n: int) -> float:
        """Student's quantile of one look at n draws."""
        share = (1.0 - self.confidence) / len(self.looks)
        return _student(n - 1, 1.0 - share / 2.0)

    def decide(self, rises: Sequence[float]) -> Decision:
        """Whether the mean rise is at most ε, from independent draws of it."""
        if not all(math.isfinite(r) for r in rises):
            return "not tolerated"
        n = len(rises)
        if min(rises) > CUT * self.epsilon:
            return "not tolerated"
        if max(rises) == min(rises) and n < min(_SAME, self.most):
            return "undecided"
        q = self.quantile(n)
        mean, stderr = mean_and_stderr(rises)
        if mean + q * stderr <= self.epsilon:
            return "tolerated"
        mean, stderr = mean_and_stderr([min(r, CUT * self.epsilon) for r in rises])
        return "not tolerated" if mean - q * stderr > self.epsilon else "undecided"

    def estimate(self, rises: Sequence[float]) -> Estimate:
        """The mean rise; where a draw is not finite, the mean of the finite ones bounds it from below."""
        finite = [r for r in rises if math.isfinite(r)]
        reference = f"uniform random bits, baseline {self.baseline:.6g}"
        if len(finite) < len(rises):
            low = mean_and_stderr(finite)[0] if finite else math.inf
            return Estimate(low, math.nan, self.unit, "lower_bound", Status.NON_FINITE, reference)
        mean, stderr = mean_and_stderr(rises)
        return Estimate(mean, stderr, self.unit, reference=reference, dof=max(len(rises) - 1, 1))


def first_guess(rule: Rule, form: NumberFormat, curvature: Callable[[int], float], start: int) -> int:
    """The level where the rise should reach ε, by the curvature at a few levels: higher where there is none to see."""
    k = min(max(start, 1), form.mantissa)
    for _ in range(_TRIES):
        rise = curvature(k) - rule.baseline
        if not math.isfinite(rise):
            return k
        seen = rise > 10.0 * rule.resolution
        best = k + math.floor(math.log(rule.epsilon / rise) / _GROWTH) if seen else k + _NEAR + 1
        best, near = min(max(best, 1), form.mantissa), seen and abs(best - k) <= _NEAR
        if near or best == k:
            return best
        k = best
    return k


@cache
def _student(dof: int, share: float) -> float:
    return float(stdtrit(dof, share))


class Ledger:
    """Losses by what was measured, kept in a checkpoint; a resumed run reads them and takes the same path."""

    def __init__(self, kept: Checkpoint | None) -> None:
        self._kept = kept
        state = None if kept is None else kept.load()
        self._losses: dict[str, list[float]] = dict(state["losses"]) if state else {}
        self.used = 0

    def draws(self, key: str, start: int, count: int, measure: Losses) -> list[float]:
        """Losses of draws ``start`` to ``start + count``, measured unless they are known."""
        known = self._losses.setdefault(key, [])
        self.used += count
        if len(known) < start + count:
            known += measure(len(known), start + count - len(known))
            self.save()
        return known[start : start + count]

    def save(self, *, final: bool = False) -> None:
        """Write what is known to the checkpoint."""
        if self._kept is not None:
            self._kept.save({"losses": self._losses}, final=final)

    @classmethod
    def at(cls, folder: str | Path | None, mark: str) -> Ledger:
        """The ledger of a checkpoint folder, or of none."""
        return cls(None if folder is None else Checkpoint(folder, "bitplanes", mark))


class Randomiser:
    """Losses with random low-order bits in some of the tensors.

    Args:
        loss: of the network with replaced tensors.
        codes: of every tensor that can be measured, in the model's order.
        exact: names of the tensors that the format holds as they are.
        seed: draw j of tensor i depends on it, i and j alone.
    """

    def __init__(self, loss: ReplacedLoss, codes: Mapping[str, Codes], exact: frozenset[str], seed: int) -> None:
        self.loss, self.codes, self.exact, self.seed = loss, codes, exact, seed
        self._place = {name: i for i, name in enumerate(codes)}

    def losses(self, planes: Mapping[str, int], start: int, count: int) -> list[float]:
        """Losses of draws ``start`` to ``start + count`` with ``planes`` low-order bits random in each named tensor.

        At zero planes a tensor is rounded to the format; tensors that are not named stay as they are.
        """
        moving = {n: k for n, k in planes.items() if k > 0 or n not in self.exact}
        if not moving:
            return [self.loss.plain()] * count
        rows = self.loss.rows({n: self.codes[n].words for n in moving})
        out: list[float] = []
        for first in range(start, start + count, rows):
            draws = range(first, min(first + rows, start + count))
            out += self.loss({n: self._stack(n, k, draws) for n, k in moving.items()})
        return out

    def curvature(self, name: str, planes: int) -> float:
        """The rise to second order in one draw: the mean loss at the same change forwards and backwards.

        The part that is linear in the change, which is most of the spread between draws, falls out of it.
        """
        there = self._stack(name, planes, range(1))
        here = self.codes[name].weights()
        return sum(self.loss({name: torch.cat([there, 2.0 * here - there])})) / 2.0

    def _stack(self, name: str, planes: int, draws: range) -> Tensor:
        codes = self.codes[name]
        if planes == 0:
            weights = codes.weights()
            return weights.unsqueeze(0).expand(len(draws), *weights.shape)
        words = [
            random_words(codes, torch_generator(self.seed, self._place[name], j)).to(codes.words.device) for j in draws
        ]
        return codes.randomised(planes, torch.stack(words)).weights()


def level_at(rule: Rule, form: NumberFormat | None, planes: int, losses: Losses, *, certain: bool = False) -> Level:
    """Draw at one level until it is decided.

    Args:
        rule: when it is.
        form: names the kind of the level's highest plane; None where tensors have a level each.
        planes: the level; -1 where tensors have a level each.
        losses: of draws ``(start, count)``.
        certain: one draw is all there is, since nothing is random.
    """
    kind = "" if form is None or planes < 1 else form.kind(planes - 1)
    if certain:
        rise = losses(0, 1)[0] - rule.baseline
        finite = math.isfinite(rise)
        decision: Decision = "tolerated" if finite and rise <= rule.epsilon else "not tolerated"
        status = Status.REACHED if finite else Status.NON_FINITE
        exact = Estimate(rise, 0.0, rule.unit, "exact", status, f"rounding, baseline {rule.baseline:.6g}")
        return Level(planes, kind, 1, int(not finite), exact, decision)
    rises: list[float] = []
    decision = "undecided"
    for n in rule.looks:
        rises += [v - rule.baseline for v in losses(len(rises), n - len(rises))]
        decision = rule.decide(rises)
        if decision != "undecided":
            break
    estimate = rule.estimate(rises)
    if decision == "undecided":
        estimate = _with_status(estimate, Status.NOT_CONVERGED)
    return Level(planes, kind, len(rises), sum(not math.isfinite(r) for r in rises), estimate, decision)


def bracket(
    rule: Rule,
    form: NumberFormat,
    measure: Callable[[int], Level],
    *,
    guess: int,
    check: Callable[[int], Level] | None = None,
    pick: int = 0,
) -> Bracket:
    """The most planes that may be random, between the highest level that is tolerated and the lowest that is not.

    Args:
        rule: when a level is decided.
        form: the number format.
        measure: draws at a level.
        guess: the level to begin with.
        check: draws, a few are enough, at one level outside the bracket, to ask whether the rise grows with the planes.
        pick: which of these levels it is.
    """
    seen: dict[int, Level] = {0: measure(0)}
    if seen[0].decision != "tolerated":
        return Bracket(0, 0, False, (seen[0],), (), rule.confidence)
    low, high = _narrow(rule, form, seen, measure, min(max(guess, 1), form.bits))
    if check is not None:
        outside = [j for j in range(max(1, low - _BELOW), form.bits + 1) if j not in seen and not low < j <= high + 1]
        if outside:
            j = outside[pick % len(outside)]
            seen[j] = check(j)
            if j < low and seen[j].decision == "not tolerated":
                low, high = _narrow(rule, form, seen, measure, j - 1)
    levels = tuple(seen[j] for j in sorted(seen))
    odd = [v.planes for v in levels if 0 < v.planes < low and v.decision != "tolerated"]
    odd += [v.planes for v in levels if v.planes > high + 1 and v.decision == "tolerated"]
    return Bracket(low, high, True, levels, tuple(odd), rule.confidence)


def _narrow(
    rule: Rule, form: NumberFormat, seen: dict[int, Level], measure: Callable[[int], Level], k: int
) -> tuple[int, int]:
    """Measure until no level is left between the highest that is tolerated and the lowest that is not."""
    first = True
    while True:
        high = min((j - 1 for j, v in seen.items() if v.decision == "not tolerated"), default=form.bits)
        low = max(j for j, v in seen.items() if v.decision == "tolerated" and j <= high)
        open_levels = [j for j in range(low + 1, high + 1) if j not in seen]
        if not open_levels:
            return low, high
        k, first = k if first else _next(rule, form, seen, low, high), False
        k = min(open_levels, key=lambda j, k=k: (abs(j - k), j))
        seen[k] = measure(k)


def _next(rule: Rule, form: NumberFormat, seen: Mapping[int, Level], low: int, high: int) -> int:
    """The level where the rise should reach ε, from the nearest level that shows one; else the middle.

    Beyond the mantissa each plane squares the factor that weights may grow by: from there in doubling steps.
    """
    if low >= form.mantissa:
        return min(low + max(1, low - form.mantissa), (low + high + 1) // 2)
    showing = [
        v
        for j, v in seen.items()
        if 1 <= j <= form.mantissa and v.nonfinite == 0 and v.rise.value > max(rule.resolution, 2.0 * v.rise.stderr)
    ]
    if not showing:
        return (low + high + 1) // 2
    best = min(showing, key=lambda v: abs(math.log(v.rise.value / rule.epsilon)))
    reach = best.planes + math.floor(math.log(rule.epsilon / best.rise.value) / _GROWTH)
    return max(min(reach, form.mantissa), low + 1)


def _with_status(e: Estimate, status: Status) -> Estimate:
    parts: dict[str, Any] = {**vars(e), "status": status if e.status.ok else e.status}
    return Estimate(**parts)
