r"""Which precision each tensor gets, so that the rise of all together stays within a budget at the fewest bits.

With options :math:`o_l` for each tensor l, each with its bits and its rise, this is the multiple-choice knapsack
problem

.. math:: \min \sum_l b_l(o_l) \quad\text{subject to}\quad \sum_l r_l(o_l) \le \varepsilon

(Kellerer, Pferschy and Pisinger 2004, Knapsack problems, ch. 11). Its linear relaxation is solved by the steps along
each tensor's lower convex hull in the order of rise for each bit saved. The greedy solution keeps whole steps; it is
within one step of the relaxation, whose value is reported beside it. For uniform random bits the rise grows fourfold
with each plane, every step is convex, and the solution is reverse water-filling (Cover and Thomas 2006, Elements of
information theory, 10.3.3) in whole bits. Rises do not add up exactly, so a solution counts only once its own rise has
been measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pindown.estimate import Estimate
from pindown.network.number_formats import NumberFormat
from pindown.network.plane_levels import Bracket, Level, TensorPlanes
from pindown.network.plane_results import Allocation
from pindown.network.plane_search import Rule

__all__ = ["Option", "Solution", "allocate", "cheapest", "expected_rises"]

ROUNDS = 6
_FIRST_SHARE = 0.8  # of ε: rises add up to about their sum, and a level close to ε is slow to decide
_AIM = 0.85
_LEAST = 1e-9
_ROOM = 0.7  # a measured rise below this share of ε leaves room for another bit or two
_SHOWING = 3.0  # standard errors
_DRIFT = 0.35  # ln r may drift so much from fourfold growth, a plane away from where the tensor reaches ε


@dataclass(frozen=True)
class Option:
    """What one choice for one tensor costs: ``bits`` in all, and the ``rise`` it is expected to add."""

    bits: float
    rise: float


@dataclass(frozen=True)
class Solution:
    """One option for each tensor.

    Attributes:
        chosen: index of the option, a tensor each.
        bits: of all tensors together.
        rise: expected, of all tensors together.
        bound: no choice within the budget has fewer bits.
        feasible: whether the rise is within the budget.
    """

    chosen: tuple[int, ...]
    bits: float
    rise: float
    bound: float
    feasible: bool


def cheapest(tensors: Sequence[Sequence[Option]], budget: float) -> Solution:
    """The fewest bits within a budget of rise, by steps along the convex hulls.

    Args:
        tensors: the options of each tensor; an option with an infinite rise is never taken.
        budget: the largest sum of rises.

    Example:
        >>> options = [[Option(8, 0.0), Option(4, 0.1), Option(2, 1.0)], [Option(8, 0.0), Option(4, 0.5)]]
        >>> best = cheapest(options, budget=0.7)
        >>> best.chosen, best.bits, round(best.rise, 6)
        ((1, 1), 8, 0.6)
    """
    steps: list[tuple[float, int, int]] = []
    hulls = [_hull(options) for options in tensors]
    for i, hull in enumerate(hulls):
        for j, (a, b) in enumerate(pairwise(hull)):
            saved = tensors[i][a].bits - tensors[i][b].bits
            steps.append(((tensors[i][b].rise - tensors[i][a].rise) / saved, i, j))
    at = [0] * len(tensors)
    rise = math.fsum(options[hull[0]].rise for options, hull in zip(tensors, hulls, strict=True))
    bits = sum(options[hull[0]].bits for options, hull in zip(tensors, hulls, strict=True))
    feasible = rise <= budget
    bound = math.nan
    for _, i, j in sorted(steps):
        here, there = tensors[i][hulls[i][j]], tensors[i][hulls[i][j + 1]]
        if not feasible or at[i] != j:
            continue
        more, saved = there.rise - here.rise, here.bits - there.bits
        if rise + more <= budget:
            at[i], rise, bits = j + 1, rise + more, bits - saved
        elif math.isnan(bound):
            bound = bits - saved * ((budget - rise) / more)
    chosen = tuple(hull[k] for hull, k in zip(hulls, at, strict=True))
    return Solution(chosen, bits, rise, bits if math.isnan(bound) else bound, feasible)


def _solution(chosen: tuple[int, ...], options: Sequence[Sequence[Option]]) -> Solution:
    """Given options as a solution; that no choice has fewer bits than 0 is all that is known of others."""
    taken = [row[k] for row, k in zip(options, chosen, strict=True)]
    bits = sum(o.bits for o in taken)
    return Solution(chosen, bits, math.fsum(o.rise for o in taken), 0.0, True)


def _hull(options: Sequence[Option]) -> list[int]:
    """Indices along the lower convex hull of rise over bits saved, from the least rise to the fewest bits."""
    finite = [k for k, o in enumerate(options) if math.isfinite(o.rise)]
    start = min(finite, key=lambda k: (options[k].rise, options[k].bits))
    hull = [start]
    left = [k for k in finite if options[k].bits < options[start].bits]
    while left:
        here = options[hull[-1]]
        # Of equal slopes the longest step: it has the intermediate options on its way.
        best = min(left, key=lambda k: ((options[k].rise - here.rise) / (here.bits - options[k].bits), options[k].bits))
        hull.append(best)
        left = [k for k in left if options[k].bits < options[best].bits]
    return hull


def expected_rises(t: TensorPlanes, form: NumberFormat, epsilon: float, resolution: float) -> list[float]:
    r"""The rise of one tensor at 0, 1, … random planes, as far as anything is known; beyond that infinite.

    On the mantissa :math:`r(k) = r(0) + c\,4^k`, with ln c the mean over the measured levels that show a rise, weighted
    by their precision, by how near they lie to the answer, and less the further they lie above ε, where a loss
    saturates. Where no level shows one, c is the largest that the highest tolerated level leaves open. Beyond the
    mantissa a level counts as far as it was tolerated. A tensor whose next plane is not tolerated is taken to rise by
    ε/4 at its own limit at least, and by a quarter of that a plane below: that a level alone shows no rise, or even a
    fall, says little of what it does beside others.
    """
    b = t.bracket
    assert b is not None
    start = max(b.levels[0].rise.value, 0.0)
    if not b.fits:
        return [start] + [math.inf] * form.bits
    low = next(v for v in reversed(b.levels) if v.planes <= b.low and v.decision == "tolerated")
    weights, total = 0.0, 0.0
    for v in b.levels:
        rise, error = v.rise.value - start, v.rise.stderr
        if 1 <= v.planes <= form.mantissa and not v.nonfinite and rise > max(resolution, _SHOWING * error):
            far = _DRIFT * abs(v.planes - b.low)
            weight = 1.0 / (((error / rise) ** 2 + 0.01 + far**2) * max(1.0, rise / epsilon))
            weights, total = weights + weight, total + weight * math.log(rise / 4.0**v.planes)
    if weights:
        c = math.exp(total / weights)
    else:
        open_still = max(low.rise.value + 2.0 * low.rise.stderr - start, 0.0)
        c = open_still / 4.0 ** min(low.planes, form.mantissa)
    out = [start + (c * 4.0**k if k else 0.0) for k in range(form.mantissa + 1)]
    out += [max(low.rise.value, start) if k <= b.low else math.inf for k in range(form.mantissa + 1, form.bits + 1)]
    if b.low < form.bits:
        out = [max(r, 0.25 * epsilon * 4.0 ** (k - b.low)) if k else r for k, r in enumerate(out)]
    return [r if k <= b.high else math.inf for k, r in enumerate(out)]


def allocate(
    tensors: Sequence[TensorPlanes],
    form: NumberFormat,
    rule: Rule,
    joint: Bracket,
    measure: Callable[[Mapping[str, int]], Level],
    rounded: Callable[[Mapping[str, int]], Estimate | None],
) -> Allocation:
    """The fewest kept bits whose rise, measured with all tensors at once, is within ε.

    The budget that the sensitivities are given is moved until the measured rise is within ε and close to it, or the
    rounds are spent; each round's decision has its share of the error probability. What was not verified is not given.

    Args:
        tensors: measured ones.
        form: the number format.
        rule: when a level is decided.
        joint: what the same number of planes in all tensors gave, which is given where nothing better is verified.
        measure: draws at once with a number of random planes for each name.
        rounded: the rise with the same planes rounded away.
    """

    def named(s: Solution) -> dict[str, int]:
        return {t.name: k for t, k in zip(tensors, s.chosen, strict=True)}

    rises = [expected_rises(t, form, rule.epsilon, rule.resolution) for t in tensors]
    options = [
        [Option(t.size * (form.bits - k), r) for k, r in enumerate(row)] for t, row in zip(tensors, rises, strict=True)
    ]
    nothing = math.fsum(row[0] for row in rises)
    most = sum(row[0].bits for row in options)
    best = Solution((0,) * len(tensors), most, nothing, most, nothing <= rule.epsilon)
    level, rounds = joint.levels[0], 0
    same = next((v for v in joint.levels if v.planes == joint.low and v.decision == "tolerated"), level)
    if best.feasible and same.planes:
        best, level = _solution((same.planes,) * len(tensors), options), same
        free = [t.bracket is not None and t.bracket.low == form.bits for t in tensors]
        if any(free) and not all(free):
            freed = _solution(tuple(form.bits if f else same.planes for f in free), options)
            seen, rounds = measure(named(freed)), 1
            if seen.decision == "tolerated":
                best, level = freed, seen
    share, good, bad = _FIRST_SHARE, 0.0, math.inf
    tried = {best.chosen}
    while rounds < ROUNDS:
        found = cheapest(options, share * rule.epsilon)
        if found.chosen in tried:
            if good > 0.0 or share < _LEAST:
                break
            share /= 2.0  # the sensitivities may be far too small
            continue
        tried.add(found.chosen)
        rounds += 1
        seen = measure(named(found))
        if seen.decision == "tolerated":
            good = max(good, share)
            if found.bits < best.bits:
                best, level = found, seen
            if seen.rise.value > _ROOM * rule.epsilon:
                break
            share *= min(_AIM * rule.epsilon / max(seen.rise.value, rule.epsilon / 16.0), 4.0)
        else:
            bad = min(bad, share)
            over = math.inf if seen.nonfinite else seen.rise.value / rule.epsilon
            share *= min(max(_AIM / over, 1.0 / 16.0), 0.8)
        if good > 0.0 and share >= bad:
            share = math.sqrt(good * bad)
    planes = named(best)
    predicted = Estimate(best.rise, math.nan, rule.unit, reference="sum of the rises of single tensors")
    kept = {name: form.bits - k for name, k in planes.items()}
    bits = sum(t.size * kept[t.name] for t in tensors)
    return Allocation(kept, predicted, level, rounded(planes), bits, best.bound, rounds)
