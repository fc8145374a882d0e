"""Margins matched: a gap that margins make is closed, one that they do not make stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from pindown import compare_samplers
from pindown.studies.labels import Found
from pindown.studies.margins import Drawn, Matched, matched
from pindown.studies.tasks import BinaryTask, boolean_task

TASK: BinaryTask = boolean_task(64)


def found(n: int, mean: float, half: float, seed: int, above: float = 0.0) -> Found:
    """Draws of exponential margins above a bound; the target with the probability m / (m + half), else 20 others."""
    rng = np.random.default_rng(seed)
    margins = above + rng.exponential(mean, n)
    target = rng.random(n) < margins / (margins + half)
    labels = np.repeat(TASK.y.numpy().astype(np.uint8)[None, :], n, axis=0)
    wrong = np.flatnonzero(~target)
    labels[wrong, TASK.rest.numpy()[rng.integers(0, 20, len(wrong))]] ^= 1
    record: dict[str, Any] = {
        "labels": [np.packbits(row).tobytes().hex() for row in labels], "groups": list(range(n)),
        "margins": margins.tolist(), "scaled": margins.tolist(), "attempted": n,
    }  # fmt: skip
    return Found(record, TASK)


def distance(runs: Any, random: Any) -> Any:
    return compare_samplers(runs, random, TASK.x, splits=40).held_out_total_variation


def both(runs: Found, *sources: Drawn) -> Matched:
    answer = matched(runs, sources, "margins", 0)
    assert answer is not None
    return answer


def test_a_gap_that_margins_make_is_closed_by_the_same_margins() -> None:
    """At one margin both find the target equally often; only their margins differ.

    The mean of m/(m + h) over exponential margins of mean μ is 1 − (h/μ) exp(h/μ) E₁(h/μ): 0.474 and 0.277.
    """
    runs, random = found(600, 0.3, 0.2, 3), found(9000, 0.1, 0.2, 4)
    gap, closed = distance(runs.sample(), random.sample()), both(runs, Drawn(random))
    left = distance(closed.runs, closed.random)
    assert 0.1 < gap.value < 0.197 + 3 * gap.stderr  # at most the distance in the mean
    assert left.stderr < 0.06
    assert abs(left.value) < 3 * left.stderr + 0.03  # bins of a tenth of the runs are not points


def test_a_gap_of_another_making_stays() -> None:
    """The control: at one margin the runs find the target more often, so that matching must not close the gap."""
    runs, random = found(600, 0.3, 0.05, 1), found(9000, 0.1, 0.4, 2)
    closed = both(runs, Drawn(random))
    left = distance(closed.runs, closed.random)
    assert left.value > 0.2 + 3 * left.stderr  # at a margin of 0.2 four fifths against a third


def test_margins_as_large_as_the_median_are_no_fair_match() -> None:
    """Why the own margins are asked for: above the threshold random solutions have larger ones than half the runs."""
    runs, random = found(600, 0.3, 0.2, 1), found(9000, 0.3, 0.2, 2)  # one sampler, in fact
    keep = random.margins >= np.median(runs.margins)
    assert distance(runs.sample(), random.sample(keep)).value > 0.08
    closed = both(runs, Drawn(random))
    assert abs(distance(closed.runs, closed.random).value) < 0.05


def test_draws_above_a_margin_fill_the_bins_above_it_alone() -> None:
    runs, random = found(400, 0.3, 0.2, 3), found(3000, 0.06, 0.2, 4)
    median = float(np.median(runs.margins))
    assert matched(runs, [Drawn(random)], "margins", 0) is None  # too few of the runs' upper half
    deep = Drawn(found(3000, 0.3, 0.2, 5, above=median), median)
    closed = both(runs, Drawn(random), deep)
    assert closed.whole
    assert closed.random.size >= 200
    left = distance(closed.runs, closed.random)
    assert abs(left.value) < 3 * left.stderr + 0.03
    # Draws of another distribution below the bound must not be used: with a bound above all runs nothing is left.
    assert matched(runs, [Drawn(random), Drawn(deep.found, 1e3)], "margins", 0) is None


def test_partly_covered_runs_say_so_and_few_runs_are_left_out() -> None:
    runs, random = found(400, 0.3, 0.2, 3), found(9000, 0.12, 0.2, 4)
    closed = both(runs, Drawn(random))
    assert not closed.whole
    assert 300 <= closed.runs.size < 400
    assert matched(found(15, 0.3, 0.2, 3), [Drawn(random)], "margins", 0) is None
