r"""Losses of a network's outputs: cross-entropy, squared error, the margin surrogate, or the user's own.

A head turns the outputs of many networks on one batch into one sum a network. Sums, not means, so that batches of
different size add up to the mean over all examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pindown.errors import DataError, InputError

__all__ = ["CrossEntropy", "Custom", "Head", "Margin", "SquaredError", "head_from", "labels_and_margins"]

TIE = 1e-30  # what a tied example adds to the margin loss: above zero, and lost in any other value


class Head(ABC):
    """One loss.

    Attributes:
        name: its name in reports.
    """

    name: str

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
    r"""The hinge surrogate of training error: the mean over labels of :math:`\max(0, -m_i)`.

    The margin :math:`m_i` is the logit of the label minus the largest other logit. The loss is zero exactly where
    every margin is above zero, that is where the training error is zero: a tie counts as an error, and adds
    1e-30, which is above zero and changes nothing else.
    """

    name = "margin"

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        _, margin = labels_and_margins(outputs, targets)
        hinge = functional.relu(-margin) + TIE * (margin <= 0).to(margin.dtype)
        return hinge.flatten(1).sum(1)

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        return functional.one_hot(targets, classes).T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        hot = prepared.to(outputs.dtype)
        own = (outputs * hot).sum(1)
        others = outputs.masked_fill_(prepared.bool(), -torch.inf)
        best = others.amax(1)
        margin = own.sub_(best)
        wrong = margin <= 0
        sums = (margin.clamp(max=0.0).neg_() + TIE * wrong.to(margin.dtype)).sum(1)
        if not gradient:
            return sums, None
        slope = (others == best.unsqueeze(1)).to(outputs.dtype)
        return sums, slope.sub_(hot).mul_(wrong.to(outputs.dtype).unsqueeze(1))

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
