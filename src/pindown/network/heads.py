r"""Losses of a network's outputs: cross-entropy, squared error, the margin surrogate, or the user's own.

A head turns the outputs of many networks on one batch into one sum a network. Sums, not means, so that batches of
different size add up to the mean over all examples; :class:`Total` adds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pindown.errors import DataError, InputError

__all__ = ["CrossEntropy", "Custom", "Head", "Margin", "SquaredError", "Total", "head_from", "labels_and_margins"]

TIE = 1e-30  # what a tied example adds to the margin loss: above zero, and lost in any other value


class Head(ABC):
    """One loss.

    Attributes:
        name: its name in reports.
        signed: whether a batch below zero counts only where no batch is above; see :class:`Total`.
    """

    name: str
    signed: bool = False

    @abstractmethod
    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss summed over a batch, differentiable.

        Args:
            outputs: of N networks, shape ``(N, B, …)``.
            targets: shape ``(B, …)``.

        Returns:
            Shape ``(N,)``.
        """

    def count(self, targets: Tensor) -> int:
        """How many terms the sum over these targets has; the loss is the sum over the count."""
        return len(targets)

    def finish(self, total: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The loss from the total of all batches ``(N,)``, and its derivative with respect to the total."""
        return total / count, torch.full_like(total, 1.0 / count)

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        """Targets in the form that :meth:`columns` wants."""
        del classes
        return targets

    def columns(self, outputs: Tensor, prepared: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        """The sums, and their gradient, for outputs laid out as ``(N, C, B)``.

        Args:
            outputs: may be overwritten.
            prepared: from :meth:`prepare`.
            gradient: whether the gradient is wanted.

        Returns:
            Sums ``(N,)`` and the gradient with respect to the outputs ``(N, C, B)``, or None.
        """
        if not gradient:
            return self.sums(outputs.transpose(1, 2), prepared), None
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_(True)
            sums = self.sums(leaf.transpose(1, 2), prepared)
            (slope,) = torch.autograd.grad(sums.sum(), leaf)
        return sums.detach(), slope

    @abstractmethod
    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Whether targets fit the outputs ``(B, …)`` of one network.

        Raises:
            DataError: where they do not.
        """


class CrossEntropy(Head):
    r"""Cross-entropy in nats: the mean over labels of :math:`-\ln \mathrm{softmax}(f(x))_y`."""

    name = "cross-entropy"

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logp = functional.log_softmax(outputs, dim=2)
        labels = targets.unsqueeze(0).unsqueeze(2).expand(len(outputs), -1, -1, *targets.shape[1:])
        return -logp.gather(2, labels).flatten(1).sum(1)

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        return functional.one_hot(targets, classes).T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        hot = prepared.to(outputs.dtype)
        logp = functional.log_softmax(outputs, dim=1)
        sums = torch.mv(logp.view(len(logp), -1), hot.view(-1)).neg_()
        return sums, (logp.exp_().sub_(hot) if gradient else None)

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        check_labels(outputs, targets)


class Margin(Head):
    r"""A surrogate of training error that is below zero exactly where no training label is wrong.

    The margin of an example is the logit of its label minus the largest other logit, relative to the spread of
    its logits: :math:`u_i = (f_y - \max_{j \ne y} f_j) / s_i` with :math:`s_i^2` the variance of the logits
    :math:`f` over the classes. It does not change when all logits grow or shrink together, so that small logits
    do not pass for a small loss. Where some margin is not above zero the loss is the root mean square shortfall,
    :math:`\sqrt{\frac{1}{n} \sum_i \max(0, -u_i)^2}`; where all are, it goes on below zero as
    :math:`-(n \sum_i u_i^{-2})^{-1/2}`. Both are smooth, and where one last label turns right they meet with the same
    slope: a sampler meets neither the kinks of a sum of hinges nor a plateau. A tie counts as an error.
    """

    name = "margin"
    signed = True

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        _, margin = labels_and_margins(outputs, targets)
        margin = (margin / _spread(outputs, 2)).flatten(1)
        short = functional.relu(-margin).square().sum(1) + TIE * (margin <= 0).sum(1).to(margin.dtype)
        right = (margin > 0).all(1)
        # The other branch must not bring infinite slopes in where it is not taken.
        inside = torch.where(right.unsqueeze(1), margin, 1.0)
        return torch.where(right, -inside.pow(-2).sum(1), short)

    def finish(self, total: Tensor, count: int) -> tuple[Tensor, Tensor]:
        size = (count * total.abs()).clamp_min(torch.finfo(total.dtype).tiny)
        outside = (size.sqrt() / count, 0.5 * size.rsqrt())
        inside = (-size.rsqrt(), -0.5 * count * size.pow(-1.5))
        value, factor = (torch.where(total > 0, a, b) for a, b in zip(outside, inside, strict=True))
        return value, factor

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        return functional.one_hot(targets, classes).T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        hot = prepared.to(outputs.dtype)
        centred = outputs - outputs.mean(1, keepdim=True)
        spread = _spread(outputs, 1)
        own = (outputs * hot).sum(1)
        others = outputs.masked_fill_(prepared.bool(), -torch.inf)
        best = others.amax(1)
        margin = own.sub_(best).div_(spread)
        right = (margin > 0).all(1)
        short = margin.clamp(max=0.0)
        sums = short.square().sum(1) + TIE * (margin <= 0).sum(1).to(margin.dtype)
        sums = torch.where(right, -margin.pow(-2).sum(1), sums)
        if not gradient:
            return sums, None
        rate = torch.where(right.unsqueeze(1), 2.0 * margin.pow(-3), 2.0 * short) / spread  # d sums / d margin, over s
        # du/df = (e_y − e_best)/s − u (f − mean f)/(C s²)
        slope = hot.sub((others == best.unsqueeze(1)).to(outputs.dtype)).mul_(rate.unsqueeze(1))
        pull = rate.mul_(margin).div_(spread.mul_(outputs.shape[1]))
        return sums, slope.sub_(centred.mul_(pull.unsqueeze(1)))

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        check_labels(outputs, targets)


class SquaredError(Head):
    """Squared error, the mean over all entries of the outputs."""

    name = "mean squared error"

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().flatten(1).sum(1)

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        del classes
        return targets.T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        error = outputs.sub_(prepared)
        flat = error.view(len(error), -1)
        sums = torch.linalg.vector_norm(flat, dim=1).square_()
        return sums, (error.mul_(2.0) if gradient else None)

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        if outputs.shape != targets.shape:
            raise DataError(
                f"outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)}",
                "the same shape",
                "give the targets the shape of the outputs, for example targets.unsqueeze(-1)",
            )
        if not targets.is_floating_point():
            raise DataError(
                f"regression targets of type {targets.dtype}", "floating-point numbers", "use targets.float()"
            )


class Custom(Head):
    """A user's ``loss(outputs, targets)``: a scalar that is the mean over the batch, or one value an example."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.loss = loss
        self.name = getattr(loss, "__name__", type(loss).__name__)
        self.vectorised = False

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.vectorised:
            return torch.func.vmap(lambda o: self._sum(o, targets))(outputs)
        return torch.stack([self._sum(o, targets) for o in outputs])

    def _sum(self, outputs: Tensor, targets: Tensor) -> Tensor:
        value = self.loss(outputs, targets)
        return value * len(targets) if value.ndim == 0 else value.sum()

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        try:
            value: Any = self.loss(outputs, targets)
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise InputError(
                f"loss {self.name} failed on outputs of shape {tuple(outputs.shape)} and targets of shape "
                f"{tuple(targets.shape)} ({error})",
                "a value",
            ) from error
        if not isinstance(value, Tensor):
            raise InputError(f"loss {self.name} returned {type(value).__name__}", "a torch tensor")
        if value.ndim and tuple(value.shape) != (len(targets),):
            raise InputError(
                f"loss {self.name} returned shape {tuple(value.shape)}",
                f"a scalar, the mean over the batch, or ({len(targets)},), one value an example",
            )
        try:
            with torch.no_grad():
                batched = torch.func.vmap(lambda o: self._sum(o, targets))(outputs.unsqueeze(0))
            self.vectorised = bool(torch.allclose(batched[0], self._sum(outputs, targets), equal_nan=True))
        except (RuntimeError, ValueError, TypeError, NotImplementedError):
            self.vectorised = False  # a loop over networks serves any loss


class Total:
    """Values and gradients of batches put together.

    They are added; of a signed loss only those above zero are, where there are any. So the loss of several batches
    is that of one large batch.

    Args:
        head: the loss.
        points: networks ``(N, D)`` that the totals are for.
        gradient: whether gradients come along.
    """

    def __init__(self, head: Head, points: Tensor, *, gradient: bool) -> None:
        self.signed = head.signed
        self.value = torch.zeros(len(points), dtype=points.dtype, device=points.device)
        self.slope = torch.zeros_like(points) if gradient else None
        self._first = True

    def add(self, value: Tensor, slope: Tensor | None) -> None:
        """One batch more."""
        keep = take = torch.ones_like(value)
        if self.signed and not self._first:
            above, more = self.value > 0, value > 0
            keep, take = (above | ~more).to(value.dtype), (more | ~above).to(value.dtype)
        self._first = False
        self.value = keep * self.value + take * value
        if self.slope is not None and slope is not None:
            self.slope = keep.unsqueeze(1) * self.slope + take.unsqueeze(1) * slope


def head_from(loss: str | Callable[[Tensor, Tensor], Tensor]) -> Head:
    """The head for a name or a callable.

    Raises:
        InputError: for another name, or something that cannot be called.
    """
    named: dict[str, type[Head]] = {"cross_entropy": CrossEntropy, "mse": SquaredError}
    if isinstance(loss, str):
        if loss not in named:
            raise InputError(f"loss {loss!r}", '"cross_entropy", "mse" or a callable')
        return named[loss]()
    if not callable(loss):
        raise InputError(f"a loss of type {type(loss).__name__}", '"cross_entropy", "mse" or a callable')
    return Custom(loss)


def labels_and_margins(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The logit of each label, and its margin over the largest other logit, both ``(N, B, …)``."""
    labels = targets.unsqueeze(0).unsqueeze(2).expand(len(outputs), -1, -1, *targets.shape[1:])
    own = outputs.gather(2, labels).squeeze(2)
    best = outputs.scatter(2, labels, -torch.inf).amax(2)
    return own, own - best


def _spread(outputs: Tensor, classes: int) -> Tensor:
    """Standard deviation of the logits over the axis of classes, never zero."""
    return outputs.var(classes, correction=0).sqrt().clamp_min(torch.finfo(outputs.dtype).tiny)


def check_labels(outputs: Tensor, targets: Tensor) -> None:
    """Whether ``targets`` are labels for ``outputs`` ``(B, C, …)``.

    Raises:
        DataError: where they are not.
    """
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise DataError(f"labels of type {targets.dtype}", "class numbers as integers", "use targets.long()")
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        raise DataError(f"outputs of shape {tuple(outputs.shape)}", "(examples, classes) with two classes or more")
    if (len(outputs), *outputs.shape[2:]) != tuple(targets.shape):
        raise DataError(
            f"outputs of shape {tuple(outputs.shape)} and labels of shape {tuple(targets.shape)}",
            f"labels of shape {(len(outputs), *outputs.shape[2:])}",
        )
    low, high, classes = int(targets.min()), int(targets.max()), outputs.shape[1]
    if low < 0 or high >= classes:
        raise DataError(f"labels from {low} to {high} for {classes} outputs", f"labels from 0 to {classes - 1}")
