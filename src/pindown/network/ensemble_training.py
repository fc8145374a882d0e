"""Thousands of small perceptrons trained at once, each from its own start in its own order of examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pindown.errors import InputError
from pindown.network.perceptrons import PerceptronPrior, signs_of
from pindown.rng import torch_generator

__all__ = ["EnsembleOptimiser", "OptimiserRuns", "train_ensemble"]

Progress = Callable[[float, str], None]
_RULES = ("sgd", "adam")
_CHUNK_BYTES = 24_000_000  # weights, their gradients and the optimiser's state of one chunk


@dataclass(frozen=True)
class EnsembleOptimiser:
    """A way to train.

    Attributes:
        rule: ``"sgd"``, with heavy-ball momentum, or ``"adam"`` (Kingma and Ba 2015, algorithm 1, with their β and ε).
        rate: step size.
        batch: examples a step; each epoch goes through all examples in a new random order.
        momentum: of ``"sgd"``.
        weight_decay: subtracted from the weights at each step, times rate and weight (decoupled).
        label_noise: share of the labels of a batch that are flipped, anew at each step.
        dropout: share of hidden units left out, anew for each example and step.
        sharpness: radius ρ of sharpness-aware minimisation (Foret et al. 2021, eq. 2); 0 is without.
    """

    rule: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.1
    batch: int = 8
    momentum: float = 0.0
    weight_decay: float = 0.0
    label_noise: float = 0.0
    dropout: float = 0.0
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise InputError(f"rule {self.rule!r}", '"sgd" or "adam"')
        if not 0.0 < self.rate < math.inf or self.batch < 1:
            raise InputError(f"rate {self.rate} and batch {self.batch}", "a rate above 0 and 1 example or more")
        for name in ("momentum", "label_noise", "dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"{name} {getattr(self, name)}", "at least 0 and below 1")
        for name in ("weight_decay", "sharpness"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} {getattr(self, name)}", "0 or more")

    def __str__(self) -> str:
        extra = [
            f"{words} {getattr(self, name):g}"
            for name, words in (
                ("momentum", "momentum"), ("weight_decay", "weight decay"), ("label_noise", "label noise"),
                ("dropout", "dropout"), ("sharpness", "SAM radius"),
            )
            if getattr(self, name)
        ]  # fmt: skip
        return ", ".join([f"{self.rule.upper() if self.rule == 'sgd' else 'Adam'}, rate {self.rate:g}",
                          f"batches of {self.batch}", *extra])  # fmt: skip


@dataclass(frozen=True, eq=False)
class OptimiserRuns:
    """Networks as an optimiser left them, those without training error.

    Attributes:
        prior: where they started from.
        points: their weights, ``(N, D)``.
        groups: the number of each run, ``(N,)``; runs are independent.
        margins: smallest margin on the training inputs, ``(N,)``.
        losses: mean cross-entropy on the training inputs in nats, ``(N,)``.
        epochs: epoch of the first fit of each, ``(N,)``.
        attempted: how many runs were started.
        stop: when they were taken: epochs after the first fit.
        how: the optimiser.
    """

    prior: PerceptronPrior
    points: Tensor
    groups: Tensor
    margins: Tensor
    losses: Tensor
    epochs: Tensor
    attempted: int
    stop: int
    how: EnsembleOptimiser

    def __len__(self) -> int:
        return len(self.points)

    def labels(self, inputs: Tensor) -> Tensor:
        """Labels of every network on ``inputs``, ``(N, n)``."""
        return self.prior.labels(self.points, inputs)


def train_ensemble(
    prior: PerceptronPrior,
    x: Tensor,
    y: Tensor,
    *,
    runs: int = 1000,
    how: EnsembleOptimiser | None = None,
    stops: Sequence[int] = (0,),
    epochs: int = 2000,
    level: float = math.inf,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[int, OptimiserRuns]:
    """Train ``runs`` networks from draws of the prior by the logistic loss until each fits, and some epochs on.

    A network fits where every training label is right at the end of an epoch, and its mean loss is at most ``level``:
    with one, optimisers are compared at the same training loss.

    Args:
        prior: perceptrons with one output; runs start from its draws.
        x: training inputs ``(n, inputs)``.
        y: labels ``(n,)``, 0 or 1.
        runs: networks.
        how: the optimiser.
        stops: epochs after the first fit at which weights are taken, such as ``(0, 1, 64)``.
        epochs: when a run that has not fitted gives up.
        level: mean training loss in nats above which a run does not count as fitted.
        seed: everything random follows from it.
        progress: called with the share done and a text.

    Returns:
        For each stop the runs that have no training error there. A run that fitted and lost the fit again by a later
        stop is left out there.

    Raises:
        InputError: for labels, inputs or numbers that cannot be used.

    Example:
        >>> import torch
        >>> x, y = torch.eye(4), torch.tensor([0, 1, 1, 0])
        >>> found = train_ensemble(PerceptronPrior((4, 8, 1)), x, y, runs=6, stops=(0, 5))
        >>> len(found[0]), len(found[5]), bool((found[0].margins > 0).all())
        (6, 6, True)
    """
    how = how or EnsembleOptimiser()
    signs = signs_of(y)
    if x.ndim != 2 or len(x) != len(y) or len(x) == 0 or x.shape[1] != prior.widths[0] or prior.widths[-1] != 1:
        raise InputError(
            f"inputs of shape {tuple(x.shape)} for {len(y)} labels and a network {prior.architecture}",
            "one row of inputs for each label, and one output",
        )
    if runs < 1 or epochs < 1 or not stops or min(stops) < 0:
        raise InputError(f"runs {runs}, epochs {epochs}, stops {tuple(stops)}", "1 or more each, stops of 0 or more")
    if not level > 0.0:
        raise InputError(f"level {level}", "a mean loss above 0")
    size = max(1, min(runs, _CHUNK_BYTES // (16 * prior.dim)))
    taken: dict[int, list[_Taken]] = {s: [] for s in stops}
    for number, first in enumerate(range(0, runs, size)):
        count = min(size, runs - first)
        chunk = _Chunk(prior, x.float(), signs, how, torch_generator(seed, 0x7A1, number), count, first, level)
        for share in chunk.train(sorted(set(stops)), epochs, taken):
            if progress is not None:
                progress((first + count * share) / runs, f"training {runs:,} networks: {how}")
    return {stop: _collect(prior, taken[stop], runs, stop, how) for stop in stops}


_Taken = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # points, runs, margins, losses, epochs


class _Chunk:
    """Networks that are trained together; those that are done leave."""

    def __init__(
        self, prior: PerceptronPrior, x: Tensor, signs: Tensor, how: EnsembleOptimiser, rng: torch.Generator,
        count: int, first: int, level: float,
    ) -> None:  # fmt: skip
        self.level = level
        self.prior, self.x, self.signs, self.how, self.rng = prior, x, signs, how, rng
        self.runs = torch.arange(first, first + count)
        self.fit = torch.full((count,), -1)  # epoch of the first fit
        start = prior.sample(count, rng=rng)
        self.params = [t.clone().contiguous() for pair in prior.split(start) for t in pair if t is not None]
        self.first = [torch.zeros_like(p) for p in self.params]
        self.second = [torch.zeros_like(p) for p in self.params] if how.rule == "adam" else []
        self.steps = 0

    def train(self, stops: Sequence[int], epochs: int, taken: dict[int, list[_Taken]]) -> Iterator[float]:
        """Train until all have left; yields the share done."""
        total = len(self.runs)
        for epoch in range(1, epochs + stops[-1] + 1):
            self._epoch()
            points = self._points()
            margins = self.prior.outputs(points, self.x)[..., 0] * self.signs
            smallest = margins.amin(1)
            losses = functional.softplus(-margins).mean(1)
            self.fit[(self.fit < 0) & (smallest > 0) & (losses <= self.level) & (epoch <= epochs)] = epoch
            for stop in stops:
                now = (self.fit >= 0) & (self.fit + stop == epoch) & (smallest > 0)
                if bool(now.any()):
                    taken[stop].append((points[now], self.runs[now], smallest[now], losses[now], self.fit[now]))
            done = ((self.fit >= 0) & (self.fit + stops[-1] <= epoch)) | ((self.fit < 0) & (epoch >= epochs))
            done |= ~torch.isfinite(smallest)  # diverged: will not fit again
            if bool(done.any()):
                self._keep(~done)
            if not len(self.runs):
                return
            yield 1.0 - len(self.runs) / total

    def _epoch(self) -> None:
        n = len(self.signs)
        order = torch.rand(len(self.runs), n, generator=self.rng).argsort(1)
        for start in range(0, n, self.how.batch):
            rows = order[:, start : start + self.how.batch]
            signs = self.signs[rows]
            if self.how.label_noise:
                flipped = torch.rand(signs.shape, generator=self.rng) < self.how.label_noise
                signs = torch.where(flipped, -signs, signs)
            masks = self._masks(rows.shape[1])
            slopes = self._slopes(self.params, self.x[rows], signs, masks)
            if self.how.sharpness:
                norm = torch.stack([s.flatten(1).square().sum(1) for s in slopes]).sum(0).sqrt().clamp_min(1e-12)
                there = [
                    p + s * (self.how.sharpness / norm).view(-1, *[1] * (s.ndim - 1))
                    for p, s in zip(self.params, slopes, strict=True)
                ]
                slopes = self._slopes(there, self.x[rows], signs, masks)
            self._step(slopes)

    def _masks(self, batch: int) -> list[Tensor]:
        """What dropout leaves of each hidden layer, scaled so that its mean is one."""
        p = self.how.dropout
        if not p:
            return []
        shape = (len(self.runs), batch)
        return [
            (torch.rand((*shape, b), generator=self.rng) >= p).float() / (1.0 - p) for _, b in self.prior.layers[:-1]
        ]

    def _slopes(self, params: list[Tensor], h: Tensor, signs: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """Gradients of the mean logistic loss of each network's batch ``(k, b, inputs)``, by hand."""
        wide = 2 if self.prior.bias else 1
        layers = len(self.prior.layers)
        kept: list[tuple[Tensor, Tensor]] = []  # input of each layer, derivative of the activation before it
        slope_before = h
        for i in range(layers):
            weight = params[wide * i]
            kept.append((h, slope_before))
            out = torch.bmm(h, weight.transpose(1, 2))
            if self.prior.bias:
                out = out + params[wide * i + 1].unsqueeze(1)
            if i == layers - 1:
                h = out
                break
            if self.prior.activation == "relu":
                h, slope_before = torch.relu(out), (out > 0).float()
            else:
                h = torch.tanh(out)
                slope_before = 1.0 - h * h
            if masks:
                h, slope_before = h * masks[i], slope_before * masks[i]
        delta = (-signs * torch.sigmoid(-signs * h[..., 0]) / signs.shape[1]).unsqueeze(-1)
        slopes: list[Tensor] = []
        for i in range(layers - 1, -1, -1):
            below, derivative = kept[i]
            own = [torch.bmm(delta.transpose(1, 2), below)] + ([delta.sum(1)] if self.prior.bias else [])
            slopes = own + slopes
            if i:
                delta = torch.bmm(delta, params[wide * i]) * derivative
        return slopes

    def _step(self, slopes: list[Tensor]) -> None:
        how = self.how
        self.steps += 1
        for i, (p, s) in enumerate(zip(self.params, slopes, strict=True)):
            if how.weight_decay:
                p.mul_(1.0 - how.rate * how.weight_decay)
            if how.rule == "adam":
                m, v = self.first[i].mul_(0.9).add_(s, alpha=0.1), self.second[i].mul_(0.999).addcmul_(s, s, value=1e-3)
                c1, c2 = 1.0 - 0.9**self.steps, 1.0 - 0.999**self.steps
                p.addcdiv_(m, (v / c2).sqrt_().add_(1e-8), value=-how.rate / c1)
            elif how.momentum:
                p.sub_(self.first[i].mul_(how.momentum).add_(s), alpha=how.rate)
            else:
                p.sub_(s, alpha=how.rate)

    def _points(self) -> Tensor:
        return torch.cat([p.flatten(1) for p in self.params], 1)

    def _keep(self, keep: Tensor) -> None:
        self.runs, self.fit = self.runs[keep], self.fit[keep]
        for tensors in (self.params, self.first, self.second):
            tensors[:] = [t[keep] for t in tensors]


def _collect(
    prior: PerceptronPrior, taken: list[_Taken], runs: int, stop: int, how: EnsembleOptimiser
) -> OptimiserRuns:
    if not taken:
        none = torch.empty(0)
        return OptimiserRuns(prior, torch.empty((0, prior.dim)), none.long(), none, none, none.long(), runs, stop, how)
    points, number, margins, losses, epochs = (torch.cat([t[i] for t in taken]) for i in range(5))
    order = number.argsort()
    return OptimiserRuns(
        prior, points[order], number[order], margins[order], losses[order], epochs[order], runs, stop, how
    )
