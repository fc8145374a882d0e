"""Losses and errors of each example, so that two networks can be compared on the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.data import Inputs
from pindown.network.heads import labels_and_margins
from pindown.network.subject import Subject

__all__ = ["Evaluation", "Examples", "crossed_mean", "loss_unit", "paired_mean"]

Outputs = Callable[[Inputs], Tensor]
_BYTES = 500_000_000  # weight vectors held at once


@dataclass(frozen=True, eq=False)
class Evaluation:
    """N networks on n examples.

    Attributes:
        losses: ``(N, n)`` in double precision, weighted so that the mean over examples is the mean loss.
        errors: share of wrong labels ``(N, n)``, weighted likewise; None without classes.
    """

    losses: Tensor
    errors: Tensor | None

    def rises(self, base: Evaluation) -> Tensor:
        """``losses − base.losses`` example by example, ``(N, n)``; a loss that is not a number counts as infinite."""
        return torch.nan_to_num(self.losses - base.losses, nan=math.inf, posinf=math.inf, neginf=-math.inf)


class Examples:
    """The training or held-out examples of a subject, evaluated one by one at weight vectors.

    Args:
        subject: the model, its loss and its data.
        held_out: whether it is the held-out examples.

    Attributes:
        size: number of examples, n.
        evaluations: networks evaluated so far, each on all examples.

    Raises:
        DataError: where held-out examples are asked for and there are none.
        InputError: for a loss that is no mean over examples.
    """

    def __init__(self, subject: Subject, *, held_out: bool = False) -> None:
        self.subject, self.held_out = subject, held_out
        self.batches = subject.batches(held_out=held_out)
        self.size = self.batches.size
        self.evaluations = 0
        self._labels = self.batches.targets.numel()
        self._terms = sum(subject.head.count(y) for _, y in self.batches)

    def at(self, points: Tensor) -> Evaluation:
        """Evaluate weights ``(N, D)``."""
        self.evaluations += len(points)
        return self._with(lambda inputs: self.subject.outputs(points, inputs))

    def of(self, outputs: Outputs) -> Evaluation:
        """Evaluate one network, given as a map from inputs to outputs ``(B, …)``."""
        self.evaluations += 1
        with torch.no_grad():
            return self._with(lambda inputs: outputs(inputs).unsqueeze(0))

    def _with(self, outputs: Outputs) -> Evaluation:
        losses: list[Tensor] = []
        errors: list[Tensor] = []
        classes = self.subject.classes is not None
        for inputs, targets in self.batches:
            out = outputs(inputs)
            losses.append(self.subject.head.each(out, targets).detach().double())
            if classes:
                _, margin = labels_and_margins(out, targets)
                errors.append((~(margin > 0)).reshape(*margin.shape[:2], -1).sum(2).double())
        loss = torch.cat(losses, 1) * (self.size / self._terms)
        return Evaluation(loss, torch.cat(errors, 1) * (self.size / self._labels) if classes else None)

    def chunks(self, count: int) -> Iterator[range]:
        """Which of ``count`` weight vectors go together, so that they fit into memory."""
        space = self.subject.space()
        rows = max(1, min(64, _BYTES // max(1, space.dim * torch.finfo(space.dtype).bits // 8)))
        for start in range(0, count, rows):
            yield range(start, min(start + rows, count))


def loss_unit(subject: Subject) -> str:
    """The unit that the subject's loss comes in."""
    return "nats" if subject.head.name == "cross-entropy" else "1"


def paired_mean(values: Tensor, unit: str, reference: str) -> Estimate:
    """The mean of one value an example, ``(n,)``, with its standard error over examples.

    Of differences between two networks on the same examples this is the paired error: what the examples have in
    common cancels.
    """
    n = len(values)
    if not bool(torch.isfinite(values).all()):
        return Estimate(math.inf, math.nan, unit, status=Status.NON_FINITE, reference=reference)
    stderr = float(values.std()) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(values.mean()), stderr, unit, reference=reference, dof=float(max(n - 1, 1)))


def crossed_mean(values: Tensor, unit: str, reference: str) -> Estimate:
    r"""The mean over draws and examples ``(K, n)`` that are crossed: every draw meets every example.

    Both are taken as samples. With row means :math:`a_k`, column means :math:`b_i` and residuals :math:`e_{ki}` the
    variance of the mean is

    .. math:: \frac{s_a^2}{K} + \frac{s_b^2}{n} - \frac{s_e^2}{Kn}

    where the last term takes out what the first two both count (the two-way random-effects model; Searle, Casella and
    McCulloch 1992, Variance components, ch. 4), and no less than either of the first two.

    Raises:
        InputError: unless ``values`` has two axes.
    """
    if values.ndim != 2 or values.numel() == 0:
        raise InputError(f"values of shape {tuple(values.shape)}", "(draws, examples)")
    if not bool(torch.isfinite(values).all()):
        return paired_mean(values.flatten(), unit, reference)
    k, n = values.shape
    mean = float(values.mean())
    if k < 2 or n < 2:
        return Estimate(mean, math.nan, unit, reference=reference)
    rows, columns = values.mean(1), values.mean(0)
    between = float(rows.var()) / k
    over = float(columns.var()) / n
    residual = values - rows.unsqueeze(1) - columns.unsqueeze(0) + mean
    shared = float(residual.square().sum()) / ((k - 1) * (n - 1)) / (k * n)
    variance = max(between + over - shared, between, over)
    # Satterthwaite's degrees of freedom of the two sums.
    parts = between**2 / (k - 1) + over**2 / (n - 1)
    dof = (between + over) ** 2 / parts if parts > 0 else None
    return Estimate(mean, math.sqrt(variance), unit, reference=reference, dof=dof)
