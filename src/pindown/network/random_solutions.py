r"""Random networks that fit their training labels: draws of the prior given zero training error.

**Rejection.** A block draws ``hidden`` sets of all layers but the last and ``last`` last layers, and tries every pair.
Each pair is a draw of the prior, so counts are unbiased, while almost all of the work is one matrix product; the signs
of eight examples reject all but about one in a thousand pairs before the others are looked at. Pairs of one block share
layers, so blocks, not pairs, are the independent units: every solution carries its block as ``group``.

**Splitting.** Where a solution is too rare to wait for, :func:`pindown.measure` goes down to it by levels of the
smallest margin; solutions then carry the run that they come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint, fingerprint
from pindown.engine.measure import measure
from pindown.engine.settings import Settings
from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.network.perceptrons import PerceptronPrior, signs_of
from pindown.rng import child_seed, torch_generator
from pindown.spaces.gaussian import Gaussian

__all__ = ["RandomSolutions", "random_solutions", "solution_bits"]

Progress = Callable[[float, str], None]
_FIRST = 8  # examples that are looked at first
_HIDDEN, _LAST = 64, 1024
_WORTH_BITS = 22.0  # from which splitting costs less than waiting
_PILOT = 2**24
_SPLITTING_RUNS, _SPLITTING = 6, Settings()


@dataclass(frozen=True, eq=False)
class RandomSolutions:
    """Networks drawn from a prior given that they fit their training labels.

    Attributes:
        prior: the prior.
        points: their weights, ``(N, D)``.
        groups: the independent block or run that each comes from, ``(N,)``.
        margins: smallest margin ``min ±f(x_i)`` on the training inputs, ``(N,)``.
        draws: networks that were tried; pairs of blocks, or loss evaluations of splitting.
        blocks: how many independent blocks or runs there were, with those that held no solution.
        bits: ``−log2 P(S)``: the bits that the labels pin down.
        engine: ``"rejection"`` or ``"splitting"``.
    """

    prior: PerceptronPrior
    points: Tensor
    groups: Tensor
    margins: Tensor
    draws: int
    blocks: int
    bits: Estimate
    engine: str

    def __len__(self) -> int:
        return len(self.points)

    def labels(self, inputs: Tensor) -> Tensor:
        """Labels of every network on ``inputs``, ``(N, n)``."""
        return self.prior.labels(self.points, inputs)

    def where(self, keep: Tensor) -> RandomSolutions:
        """The solutions that the mask ``keep`` ``(N,)`` names; ``bits`` stays that of all of them."""
        return replace(self, points=self.points[keep], groups=self.groups[keep], margins=self.margins[keep])


def random_solutions(
    prior: PerceptronPrior,
    x: Tensor,
    y: Tensor,
    *,
    count: int = 1000,
    draws: int = 2**28,
    margin: float = 0.0,
    engine: Literal["auto", "rejection", "splitting"] = "auto",
    repeats: int = _SPLITTING_RUNS,
    settings: Settings = _SPLITTING,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> RandomSolutions:
    r"""Draw networks from the prior given that every training label is right.

    The bits are :math:`-\log_2 P(S)` with :math:`P(S)` the share of draws that fit; their error is that of the ratio
    over independent blocks. With ``margin`` :math:`\gamma` above 0 the event is
    :math:`\min_i \pm f(x_i) > \gamma`.

    Args:
        prior: perceptrons with one output.
        x: training inputs ``(n, inputs)``.
        y: labels ``(n,)``, 0 or 1.
        count: rejection stops at the end of the block that holds this many.
        draws: networks after which rejection stops anyway.
        margin: the margin asked for.
        engine: ``"auto"`` takes rejection, and splitting where the first 2²⁴ draws show that a solution is rarer than
            about 22 bits.
        repeats: independent runs of splitting, four or more for a comparison of samplers.
        settings: of splitting.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        The solutions with their groups and bits. Where none was found by rejection, ``bits`` is a lower bound: the
        probability is below 3 in the number of draws at 95%.

    Raises:
        InputError: for labels, inputs or numbers that cannot be used.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> found = random_solutions(PerceptronPrior((2, 1), bias_std=0.0), torch.eye(2), torch.tensor([1, 1]),
        ...                          count=20_000)
        >>> abs(found.bits.value - 2.0) < 0.1  # a quarter of all directions has both signs right
        True
    """
    signs = signs_of(y)
    if x.ndim != 2 or len(x) != len(y) or len(x) == 0 or x.shape[1] != prior.widths[0]:
        raise InputError(f"inputs of shape {tuple(x.shape)}", f"({len(y)}, {prior.widths[0]}), one row for each label")
    if prior.widths[-1] != 1:
        raise InputError(f"{prior.widths[-1]} outputs", "one output, whose sign is the label")
    if count < 1 or draws < 1 or not 0.0 <= margin < math.inf:
        raise InputError(f"count {count}, draws {draws}, margin {margin}", "whole numbers of 1 or more, 0 or more")
    if engine not in ("auto", "rejection", "splitting"):
        raise InputError(f"engine {engine!r}", '"auto", "rejection" or "splitting"')
    if engine != "splitting":
        stop_early = engine == "auto"
        found = _rejection(prior, x.float(), signs, count, draws, margin, seed, checkpoint, progress, stop_early)
        if found is not None:
            return found
    return _splitting(prior, x.float(), y, count, margin, repeats, settings, seed, checkpoint, progress)


def solution_bits(hits: np.ndarray, pairs: int, reference: str) -> Estimate:
    """``−log2`` of the share of draws that are solutions, from the hits of independent blocks of ``pairs`` draws each.

    The error is that of the mean over blocks, by the delta method.
    """
    blocks, total = len(hits), int(hits.sum())
    if total == 0:
        bound = -math.log2(3.0 / (blocks * pairs)) if blocks else 0.0
        return Estimate(max(0.0, bound), 0.0, "bits", "lower_bound", Status.BUDGET_SPENT, reference)
    share = total / (blocks * pairs)
    if total == blocks * pairs:
        return Estimate(0.0, 0.0, "bits", reference=reference)
    spread = float(hits.std(ddof=1)) / math.sqrt(blocks) / (pairs * share) if blocks > 1 else math.nan
    # Few hits over many blocks have at least the spread of a Poisson count.
    spread = max(spread, math.sqrt((1.0 - share) / total)) if not math.isnan(spread) else spread
    return Estimate(-math.log2(share), bits(spread), "bits", reference=reference)


def _rejection(
    prior: PerceptronPrior, x: Tensor, signs: Tensor, count: int, draws: int, margin: float, seed: int,
    checkpoint: str | Path | None, progress: Progress | None, stop_early: bool,
) -> RandomSolutions | None:  # fmt: skip
    """Solutions by trying pairs; None where ``stop_early`` and they are too rare."""
    hidden, last = (_HIDDEN, _LAST) if len(prior.widths) > 2 else (1, _HIDDEN * _LAST)
    pairs = hidden * last
    blocks = max(1, -(-draws // pairs))
    mark = fingerprint({"prior": repr(prior), "margin": margin, "seed": seed, "pairs": pairs}, _content(x, signs))
    kept = None if checkpoint is None else Checkpoint(checkpoint, "rejection", mark)
    state = (kept.load() if kept is not None else None) or {"hits": [], "points": [], "margins": []}
    hits: list[int] = list(state["hits"])
    points: list[Tensor] = list(state["points"])
    margins: list[Tensor] = list(state["margins"])
    # A folder may hold more than is asked for now: the answer is that of the first blocks that suffice.
    total, used = 0, 0
    while used < blocks and total < count:
        if used == len(hits):
            block = _Block(prior, x, signs, margin, hidden, last, torch_generator(seed, 0x5A4D, used))
            found, smallest = block.solutions()
            hits.append(len(found))
            points += [found] if len(found) else []
            margins += [smallest] if len(found) else []
            if kept is not None:
                kept.save({"hits": hits, "points": points, "margins": margins})
        total += hits[used]
        used += 1
        if stop_early and used * pairs >= _PILOT and total < max(1, used * pairs * 2.0**-_WORTH_BITS):
            return None
        if progress is not None and used % 16 == 0:
            share = max(total / count, used / blocks)
            progress(min(1.0, share), f"{total:,} random solutions in {used * pairs:,} draws")
    if kept is not None:
        kept.save({"hits": hits, "points": points, "margins": margins}, final=True)
    each = np.asarray(hits[:used])
    full = int((each > 0).sum())
    group = torch.as_tensor(np.repeat(np.arange(used), each))
    empty = torch.empty((0, prior.dim))
    return RandomSolutions(
        prior, torch.cat(points[:full]) if full else empty, group,
        torch.cat(margins[:full]) if full else torch.empty(0), used * pairs, used,
        solution_bits(each, pairs, prior.reference), "rejection",
    )  # fmt: skip


class _Block:
    """All pairs of some sets of hidden layers with some last layers."""

    def __init__(
        self, prior: PerceptronPrior, x: Tensor, signs: Tensor, margin: float, hidden: int, last: int,
        rng: torch.Generator,
    ) -> None:  # fmt: skip
        self.prior, self.margin, self.rng = prior, margin, rng
        self.weights: list[tuple[Tensor, Tensor | None]] = []
        h = x.T.expand(hidden, -1, -1)
        for a, b in prior.layers[:-1]:
            weight = prior.unit((hidden, b, a), rng) * (prior.weight_std / math.sqrt(a))
            if prior.bias:
                bias = prior.unit((hidden, b), rng) * prior.bias_std
                h = torch.baddbmm(bias.unsqueeze(-1), weight, h)
                self.weights.append((weight, bias))
            else:
                h = torch.bmm(weight, h)
                self.weights.append((weight, None))
            h = h.relu_() if prior.activation == "relu" else h.tanh_()
        fan = prior.layers[-1][0]
        parts = [h * (prior.weight_std / math.sqrt(fan))]
        if prior.bias:
            parts.append(torch.full((hidden, 1, len(signs)), prior.bias_std))
        self.features = torch.cat(parts, 1) * signs  # (hidden, fan + bias, n): their product is the margin
        self.last = prior.unit((last, self.features.shape[1]), rng)

    def solutions(self) -> tuple[Tensor, Tensor]:
        """Points of the solutions and their smallest margins."""
        hidden, rank, n = self.features.shape
        first = min(_FIRST, n)
        early = self.features[:, :, :first].permute(1, 0, 2).reshape(rank, hidden * first)
        least = (self.last @ early).view(len(self.last), hidden, first).amin(-1)
        row, column = (least > self.margin).nonzero(as_tuple=True)
        if not len(row):
            return torch.empty((0, self.prior.dim)), torch.empty(0)
        smallest = least[row, column]
        if n > first:
            parts = [
                torch.bmm(self.last[r].unsqueeze(1), self.features[c][:, :, first:]).amin((1, 2))
                for r, c in zip(row.split(4096), column.split(4096), strict=True)
            ]
            smallest = torch.minimum(smallest, torch.cat(parts))
        good = smallest > self.margin
        return self._points(row[good], column[good]), smallest[good]

    def _points(self, row: Tensor, column: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for weight, bias in self.weights:
            parts.append(weight[column].flatten(1))
            if bias is not None:
                parts.append(bias[column])
        fan = self.prior.layers[-1][0]
        own = self.last[row]
        parts.append(own[:, :fan] * (self.prior.weight_std / math.sqrt(fan)))
        if self.prior.bias:
            parts.append(own[:, fan:] * self.prior.bias_std)
        return torch.cat(parts, 1)


class _MarginLoss:
    """Standard normals ``(N, D)`` to minus the smallest margin, ``(N,)``."""

    def __init__(self, prior: PerceptronPrior, x: Tensor, y: Tensor) -> None:
        self.prior, self.x, self.y = prior, x, y

    def __call__(self, z: Tensor) -> Tensor:
        return -self.prior.margins(self.prior.from_normal(z.detach().float()), self.x, self.y).amin(-1)


def _splitting(
    prior: PerceptronPrior, x: Tensor, y: Tensor, count: int, margin: float, repeats: int, settings: Settings,
    seed: int, checkpoint: str | Path | None, progress: Progress | None,
) -> RandomSolutions:  # fmt: skip
    tell = None if progress is None else (lambda share, text: progress(share, f"random solutions by splitting: {text}"))
    # Below, not at: a margin of exactly 0 is a tie, which counts as an error.
    profile = measure(
        Gaussian(prior.dim, dtype=torch.float32), _MarginLoss(prior, x, y), tolerance=-max(margin, 1e-9),
        engine="splitting", repeats=repeats, seed=child_seed(seed, 0x5B17), jobs=1,
        checkpoint=None if checkpoint is None else Path(checkpoint) / "splitting", progress=tell, settings=settings,
    )  # fmt: skip
    estimate = profile.bits(profile.tolerance)
    estimate = replace(estimate, reference=prior.reference)
    try:
        drawn = profile.draw(profile.tolerance, count, seed)
    except InputError:
        if profile.status.ok:
            raise
        none = torch.empty(0)
        return RandomSolutions(
            prior, torch.empty((0, prior.dim)), none.long(), none, profile.evaluations, repeats, estimate,
            "splitting",
        )  # fmt: skip
    points = prior.from_normal(drawn.points.float())
    smallest = prior.margins(points, x, y).amin(-1)
    return RandomSolutions(
        prior, points, torch.as_tensor(drawn.runs), smallest, profile.evaluations, repeats, estimate,
        "splitting",
    )  # fmt: skip


def _content(x: Tensor, signs: Tensor) -> Tensor:
    """A few numbers that differ where the training set does."""
    position = torch.arange(1, x.numel() + 1, dtype=torch.float64)
    place = torch.arange(1, len(signs) + 1, dtype=torch.float64)
    return torch.stack([(x.flatten().double() * position.sin()).sum(), (signs.double() * place.cos()).sum()])
