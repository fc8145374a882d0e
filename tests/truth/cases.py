"""The known cases: a space, a loss, a tolerance, the exact answer, and what counts as right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import losses
import numpy as np
import references
from references import Exact
from torch import nn

from pindown import BitString, Box, Gaussian, Simplex, Subset, Weights
from pindown.spaces.network import Normal


@dataclass(frozen=True)
class Case:
    """One known case.

    Attributes:
        name: for test ids and tables.
        space: makes the prior.
        loss: the loss.
        tolerance: t.
        exact: bits and λ at t.
        accuracy: bits by which the value may miss, four or more of the standard errors seen.
        most_stderr: ceiling on the stated standard error, in bits.
        options: further arguments of ``measure``.
        deep: left to the slow suite.
        exact_stderr: standard error of the reference itself, in bits; 0 for a closed form.
    """

    name: str
    space: Callable[[], Any]
    loss: Callable[[Any], Any]
    tolerance: float
    exact: Exact
    accuracy: float
    most_stderr: float
    options: dict[str, Any] = field(default_factory=dict)
    deep: bool = False
    exact_stderr: float = 0.0

    def __str__(self) -> str:
        return self.name


def _ball(dim: int, bits: float, accuracy: float, most: float) -> Case:
    t = references.ball_tolerance(dim, bits)
    exact = references.ball(dim, t)
    name = f"ball-{dim}-{bits:g}"
    return Case(name, lambda: Gaussian(dim), losses.SquaredNorm(), t, exact, accuracy, most)


def _ellipsoid(name: str, dim: int, rotated: bool) -> Case:
    scales, t = tuple(float(v) for v in np.logspace(0, 4, dim)), 0.5
    loss = losses.Quadratic(scales, rotated)
    return Case(name, lambda: Gaussian(dim), loss, t, references.ellipsoid(scales, t), 4.0, 1.5)


def _layer(inputs: int, outputs: int, condition: float, t: float) -> Case:
    """A linear layer without noise whose inputs are correlated: one ellipsoid of the inputs for each output."""
    scales = tuple(float(v) for v in np.logspace(0, math.log10(condition), inputs))

    def space() -> Weights:
        return Weights(nn.Linear(inputs, outputs, bias=False).double(), prior=Normal(0.0, 1.0))

    exact = references.ellipsoid(tuple(np.repeat(scales, outputs).tolist()), t)
    return Case("layer", space, losses.Rows(scales), t, exact, 1.5, 0.6)


DOUBLE = losses.Basins(((2.5, 1.0, 1.0), (-2.5, 0.8, 1.0)))
LATE = losses.Basins(((2.5, 1.0, 1.0), (-2.5, 0.6, 2.0)), knee=1.0)
NARROW = losses.Basins(((0.0, 60.0, 1.0), (8.0, 60.0, 4.0)), knee=0.2)
NARROW_T = 0.014


def _basins(name: str, dim: int, loss: losses.Basins, t: float, accuracy: float, most: float) -> Case:
    gap = abs(loss.basins[0][0] - loss.basins[1][0])
    exact = references.double_basin(dim, loss.balls(t), gap)
    return Case(name, lambda: Gaussian(dim), loss, t, exact, accuracy, most)


def orbit(function: int) -> frozenset[int]:
    """The Boolean functions that the symmetries of the prior make as likely as ``function``.

    Sign flips and permutations of the inputs and the sign of the output leave the prior of a 3-6-1 network alone.
    """
    rows = list(itertools.product([-1, 1], repeat=3))
    table = {row: function >> i & 1 for i, row in enumerate(rows)}
    found: set[int] = set()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([1, -1], repeat=3):
            moved = [
                table[signs[0] * row[order[0]], signs[1] * row[order[1]], signs[2] * row[order[2]]] for row in rows
            ]
            number = sum(v << i for i, v in enumerate(moved))
            found |= {number, 255 - number}
    return frozenset(found)


def _boolean(name: str, function: int, accuracy: float, most: float) -> Case:
    counts, networks = references.boolean_counts("all-standard-normal")
    alike = orbit(function)
    hits = sum(counts[f] for f in alike)
    share = hits / networks
    return Case(
        name,
        lambda: Gaussian(31),
        losses.BooleanNetwork(function),
        0.0,
        Exact(-math.log2(share / len(alike))),
        accuracy,
        most,
        exact_stderr=math.sqrt((1 - share) / hits) / math.log(2),
    )


PARITY, MAJORITY = 150, 232


def _box(low: float, dim: int) -> Callable[[], Any]:
    return lambda: Box(low, 1, dim=dim)


def _power(k: int) -> Case:
    t = 10.0 ** (-10 * k)
    exact = references.power_sum(1, 2 * k, t)
    return Case(f"power-{2 * k}", _box(-1, 1), losses.PowerSum(1, 2.0 * k), t, exact, 1.0, 0.4)


def _crossing(name: str, powers: tuple[float, ...], t: float) -> Case:
    exact = references.crossings(powers, t)
    return Case(f"crossing-{name}", _box(-1, len(powers)), losses.Monomial(powers), t, exact, 1.0, 0.4)


def _corner(name: str, loss: Callable[[Any], Any], t: float, exact: Exact) -> Case:
    return Case(f"corner-{name}", _box(0, 20), loss, t, exact, 2.0, 0.8)


def _gaussian(name: str, dim: int, loss: Callable[[Any], Any], t: float, exact: Exact) -> Case:
    return Case(name, lambda: Gaussian(dim), loss, t, exact, 1.5, 0.6)


def _simplex(name: str, dim: int, loss: Callable[[Any], Any], t: float, exact: Exact) -> Case:
    return Case(f"simplex-{name}", lambda: Simplex(dim), loss, t, exact, 1.5, 0.6)


def _squares() -> Case:
    exact = references.power_sum(30, 2, 1e-4)
    return Case("squares-30-of-100", _box(-1, 100), losses.SquaredNorm(30), 1e-4, exact, 2.5, 1.0)


def _quartics() -> Case:
    exact = references.power_sum(12, 4, 1e-8)
    return Case("quartics", _box(-1, 12), losses.PowerSum(12, 4.0), 1e-8, exact, 1.5, 0.6)


def _subset(name: str, n: int, k: int, missed: int, accuracy: float) -> Case:
    exact = references.overlap_at_least(n, k, k - missed)
    return Case(name, lambda: Subset(n, k), losses.Missed(k), float(missed), exact, accuracy, 0.4)


def _bits(name: str, n: int, zeros: int, accuracy: float) -> Case:
    exact = references.zeros_at_most(n, zeros)
    return Case(name, lambda: BitString(n), losses.Zeros(), float(zeros), exact, accuracy, 0.4)


SMOOTH = [
    _ball(10, 50, 1.5, 0.6),
    _ball(100, 300, 2.5, 1.0),
    _ball(1000, 2000, 4.0, 1.5),
    _gaussian("half-space-8-sigma", 20, losses.Along(), -8.0, references.half_space(8.0)),
    _corner("max", losses.Largest(), 2.0**-5, references.corner_max(20, 2.0**-5)),
    _corner("sum", losses.Total(), 0.5, references.corner_sum(20, 0.5)),
    _gaussian("shell", 50, losses.FromSphere(3.0), 1e-3, references.shell(50, 3.0, 1e-3)),
    _ellipsoid("ellipsoid", 50, rotated=False),
    _ellipsoid("ellipsoid-rotated", 50, rotated=True),
    _ellipsoid("ellipsoid-rotated-12", 12, rotated=True),
    _layer(16, 8, 1e4, 2.0),
    _basins("double-basin", 10, DOUBLE, 0.1, 1.5, 0.6),
    _basins("late-basin", 10, LATE, 0.02, 1.5, 0.6),
    _gaussian("funnel", 20, losses.Funnel(2.0), 1e-6, references.funnel(20, 2.0, 1e-6)),
    _gaussian("rank-one-product", 8, losses.ReducedRank(3, 1, 5), 1e-8, references.product_of_norms(3, 5, 1e-8)),
    _squares(),
    _quartics(),
    _crossing("equal", (2.0, 2.0), 1e-12),
    _crossing("unequal", (2.0, 4.0), 1e-16),
    _crossing("three", (2.0, 2.0, 2.0), 1e-16),
    _simplex("vertex", 8, losses.FromVertex(), 2.0**-6, references.simplex_vertex(8, 2.0**-6)),
    _simplex("centre", 10, losses.FromCentre(), 1e-5, references.simplex_centre(10, 1e-5)),
    _boolean("boolean-parity", PARITY, 0.6, 0.25),
    _boolean("boolean-majority", MAJORITY, 0.6, 0.25),
    *(_power(k) for k in (1, 2, 3)),
]
DISCRETE = [
    _subset("subset-overlap", 64, 16, 2, 1.0),
    _subset("subset-overlap-40", 40, 12, 2, 1.0),
    _bits("all-ones", 32, 0, 1.0),
    _bits("few-zeros", 64, 10, 1.0),
]
SMALL = [_subset("small-subset", 16, 5, 1, 0.6), _bits("small-bits", 12, 2, 0.6)]

LEFT_TO_SLOW = {
    "ball-1000-2000",
    "corner-max",
    "ellipsoid-rotated",
    "layer",
    "rank-one-product",
    "quartics",
    "crossing-three",
    "simplex-centre",
    "boolean-parity",
    "power-4",
    "power-6",
    "few-zeros",
    "subset-overlap",
}
EVENTS = [replace(case, deep=case.name in LEFT_TO_SLOW) for case in SMOOTH + DISCRETE]
BY_NAME = {case.name: case for case in [*EVENTS, *SMALL]}
