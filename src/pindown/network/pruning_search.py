r"""Along one order of pruning: the rise of the loss at shares kept, the share where it reaches ε, and its error.

The rise after m units are gone is :math:`r(m) = \frac1n \sum_i [\ell_i(m) - \ell_i(0)]`, paired example by example with
the network as it was, so that its standard error over examples is that of the differences. It is measured at a grid of
shares kept, the first point above ε and the one before are a bracket, and halving finds neighbours :math:`m^*, m^* + 1`
with :math:`r(m^*) \le \varepsilon < r(m^* + 1)`. Nothing says that r grows with m: where it falls from one measured
point to a later one by more than chance allows (Bonferroni over the pairs, 5%), that is listed, and the threshold is
the first crossing that was seen.

The error of the share kept is the bootstrap's over examples (Efron and Tibshirani 1993, An introduction to the
bootstrap): resampled examples give another curve r, on the measured points with straight lines between them, and its
first crossing. With several draws of the order (random pruning), draws are resampled alongside, which is never too
small an error (Owen 2007, The pigeonhole bootstrap). Networks with as many examples are resampled alike, so that
replicates are paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from pindown.estimate import Estimate, Kind, Status
from pindown.network.examples import Evaluation, crossed_mean, paired_mean
from pindown.network.kept import Kept
from pindown.network.progress import Progress
from pindown.network.pruning_results import Fall, PruningCurve, PruningPoint
from pindown.rng import child_seed

__all__ = ["GRID", "REPLICATES", "Measured", "Path", "Rows"]

GRID = (0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.0)
REPLICATES = 400
_RESOLUTION = 1e-4  # of the units, where there are more than ten thousand
_HALVINGS = 14.0  # at most, for a plan

Floats = NDArray[np.float64]


class Path(Protocol):
    """Units in the order in which they go.

    Attributes:
        name: of the order.
        size: how many units can go.
        draws: how many orders there are: one, or several random ones.
    """

    name: str
    size: int
    draws: int

    def kept(self, m: int) -> float:
        """Share of the weights that is left when m units are gone, on average over draws."""
        ...

    def evaluate(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[Evaluation, Evaluation | None]]:
        """Training and held-out examples for each pair of (m, draw)."""
        ...


class Rows:
    """What is known about each m: rises and errors example by example, ``(draws, …)``, kept in a checkpoint."""

    def __init__(self, path: Path, base: Evaluation, held_base: Evaluation | None, kept: Kept) -> None:
        self.path, self.base, self.held_base, self.store = path, base, held_base, kept
        n, h = base.losses.shape[1], 0 if held_base is None else held_base.losses.shape[1]
        classes = base.errors is not None
        widths = [n, n if classes else 0, h, h if classes else 0]
        ends = np.cumsum([0, *widths])
        self._cuts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.known: dict[int, Tensor] = {}

    def fetch(self, ms: Sequence[int]) -> None:
        """Evaluate those of ``ms`` that are missing."""
        missing: list[int] = []
        for m in dict.fromkeys(ms):
            found = self.known.get(m)
            found = self.store.find(self._key(m)) if found is None else found
            if found is None:
                missing.append(m)
            else:
                self.known[m] = found
        wanted = [(m, k) for m in missing for k in range(self.path.draws)]
        rows = [self._row(train, held) for train, held in self.path.evaluate(wanted)]
        for i, m in enumerate(missing):
            self.known[m] = torch.cat(rows[i * self.path.draws : (i + 1) * self.path.draws])
            self.store.put(self._key(m), self.known[m])

    def rises(self, m: int, *, held_out: bool = False) -> Tensor:
        """``(draws, examples)``; empty without held-out data."""
        self.fetch([m])
        return self.known[m][:, self._cuts[2 if held_out else 0]].double()

    def errors(self, m: int, *, held_out: bool = False) -> Tensor:
        """Likewise; empty without classes."""
        self.fetch([m])
        return self.known[m][:, self._cuts[3 if held_out else 1]].double()

    def mean(self, m: int) -> float:
        """The mean rise on the training examples."""
        return float(self.rises(m).mean())

    def _key(self, m: int) -> str:
        return f"{self.path.name} {m}"

    def _row(self, train: Evaluation, held: Evaluation | None) -> Tensor:
        parts = [train.rises(self.base), *([] if train.errors is None else [train.errors])]
        if held is not None and self.held_base is not None:
            parts += [held.rises(self.held_base), *([] if held.errors is None else [held.errors])]
        return torch.cat(parts, 1).float().cpu()


class Measured:
    """One order, measured.

    Args:
        rows: its evaluations.
        epsilon: the rise that is asked about.
        unit: of the loss.
        seed: of the resampling.
    """

    def __init__(self, rows: Rows, epsilon: float, unit: str, seed: int) -> None:
        self.rows, self.epsilon, self.unit, self.seed = rows, epsilon, unit, seed
        self.path = rows.path
        examples = f"{rows.base.losses.shape[1]:,} training examples as a sample"
        self.reference = f"{self.path.name} pruning, {examples}"
        self.low, self.high = 0, self.path.size + 1
        self.points: list[int] = []

    def run(self, tell: Progress) -> PruningCurve:
        """Measure the curve and the threshold."""
        size = self.path.size
        grid = sorted({*(min(size, round(size * (1.0 - share))) for share in GRID), 0, min(1, size)})
        tell(0.0, "curve")
        self.rows.fetch(grid)
        above = [m for m in grid if self.rows.mean(m) > self.epsilon]
        if above:
            self.high = above[0]
            self.low = max(m for m in grid if m < self.high)
            tell(0.6, "threshold")
            self._halve()
        self.points = sorted(self.rows.known)
        tell(0.9, "error")
        replicates = self._replicates()
        threshold = self._threshold(bool(above), replicates)
        at = None if not above else self._point(self.low)
        return PruningCurve(
            order=self.path.name, draws=self.path.draws, units=size, pruned=self.low if above else size,
            kept=threshold, at=at, points=tuple(self._point(m) for m in self.points), falls=tuple(self._falls()),
            below_again=tuple(
                self.path.kept(m) for m in self.points if m > self.high and self.rows.mean(m) <= self.epsilon
            ),
            replicates=tuple(float(v) for v in replicates),
        )  # fmt: skip

    def _halve(self) -> None:
        fine = max(1, int(_RESOLUTION * self.path.size))
        while self.high - self.low > fine:
            middle = (self.low + self.high) // 2
            if self.rows.mean(middle) > self.epsilon:
                self.high = middle
            else:
                self.low = middle

    def _threshold(self, crossed: bool, replicates: Floats) -> Estimate:
        if not crossed:
            return Estimate(
                self.path.kept(self.path.size), 0.0, "1", "upper_bound", Status.OUT_OF_RANGE, self.reference
            )
        kind: Kind = "estimate" if self.low > 0 else "lower_bound"
        status = Status.REACHED if self.low > 0 else Status.OUT_OF_RANGE
        error = float(np.std(replicates, ddof=1)) if self.low > 0 else 0.0
        return Estimate(self.path.kept(self.low), error, "1", kind, status, self.reference, support=(0.0, 1.0))

    def _point(self, m: int) -> PruningPoint:
        estimates: list[Estimate | None] = []
        held = self.rows.held_base is not None
        for values, unit in (
            (self.rows.rises(m), self.unit),
            (self.rows.errors(m), "1"),
            (self.rows.rises(m, held_out=True) if held else None, self.unit),
            (self.rows.errors(m, held_out=True) if held else None, "1"),
        ):
            if values is None or values.shape[1] == 0:
                estimates.append(None)
            elif len(values) == 1:
                estimates.append(paired_mean(values[0], unit, self.reference))
            else:
                estimates.append(crossed_mean(values, unit, self.reference))
        rise, error, held_rise, held_error = estimates
        assert rise is not None
        return PruningPoint(m, self.path.kept(m), rise, error, held_rise, held_error)

    def _falls(self) -> list[Fall]:
        """Neighbouring points between which the rise falls by more than chance allows."""
        pairs = list(pairwise(self.points))
        out: list[Fall] = []
        if not pairs:
            return out
        least = float(ndtri(1.0 - 0.05 / len(pairs)))
        for a, b in pairs:
            fall = self.rows.rises(a) - self.rows.rises(b)
            if not bool(torch.isfinite(fall).all()):
                continue
            e = (
                paired_mean(fall[0], self.unit, self.reference)
                if len(fall) == 1
                else crossed_mean(fall, self.unit, self.reference)
            )
            if e.value > 1e-6 and e.value > least * e.stderr:
                out.append(Fall(self.path.kept(a), self.path.kept(b), e))
        return out

    def _replicates(self) -> Floats:
        """Shares kept at the first crossing of resampled curves."""
        n, k = self.rows.base.losses.shape[1], self.path.draws
        rng = np.random.default_rng(child_seed(self.seed, 0xB007, n))
        stack = np.stack([self.rows.rises(m).numpy() for m in self.points]).reshape(len(self.points) * k, n)
        finite = np.where(np.isfinite(stack), stack, 1e30)
        kept = np.array([self.path.kept(m) for m in self.points])
        out = np.empty(REPLICATES)
        for i in range(REPLICATES):
            counts = np.bincount(rng.integers(n, size=n), minlength=n)
            means = (finite @ counts / n).reshape(len(self.points), k)
            if k > 1:
                means = means @ (np.bincount(rng.integers(k, size=k), minlength=k) / k)
            out[i] = first_crossing(kept, means.reshape(len(self.points)), self.epsilon)
        return out


def first_crossing(kept: Floats, rises: Floats, epsilon: float) -> float:
    """The share kept where straight lines through the rises first exceed ε; the last one where they do not.

    >>> first_crossing(np.array([1.0, 0.5, 0.0]), np.array([0.0, 1.0, 3.0]), 2.0)
    0.25
    """
    over = np.flatnonzero(rises > epsilon)
    if not over.size:
        return float(kept[-1])
    j = int(over[0])
    if j == 0:
        return float(kept[0])
    share = (epsilon - rises[j - 1]) / (rises[j] - rises[j - 1])
    return float(kept[j - 1] + share * (kept[j] - kept[j - 1]))


def planned_evaluations(draws: int, size: int) -> float:
    """How many networks an order takes, on average."""
    return draws * (len(GRID) + 2 + min(_HALVINGS, math.log2(max(2, size))))
