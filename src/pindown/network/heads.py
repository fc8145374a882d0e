r"""Losses of a network's outputs: cross-entropy, squared error, the margin surrogate, or the user's own.

A head turns the outputs of many networks on one batch into a sum a network, or a few. Sums, not means, so that
batches of different size add up; the loss is a function of the totals, mostly their mean.
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

TAU = 0.25  # relative margins run from −3.3 to 3.3 for ten classes
SHORT = 0.01  # shortfall at which the margin loss has come down to half
TIE = 1e-12  # a tied label is short by this much: above zero, and lost in any other sum
Scale = Callable[[Tensor], "Tensor | float"]


class Head(ABC):
    """One loss.

    Attributes:
        name: its name in reports.
        parts: how many sums there are.
    """

    name: str
    parts: int = 1

    @abstractmethod
    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss summed over a batch, differentiable.

        Args:
            outputs: of N networks, shape ``(N, B, …)``.
            targets: shape ``(B, …)``.

        Returns:
            Shape ``(N,)``, or ``(N, parts)`` where there are several.
        """

    def value(self, total: Tensor, count: int) -> Tensor:
        """The loss ``(N,)`` from the sums over all examples, differentiable."""
        return total / count

    def factors(self, total: Tensor, count: int) -> Tensor | float:
        """The derivative of the loss with respect to the sums, of their shape or one number."""
        del total
        return 1.0 / count

    def count(self, targets: Tensor) -> int:
        """How many terms the sum over these targets has; the loss is the sum over the count."""
        return len(targets)

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        """Targets in the form that :meth:`columns` wants."""
        del classes
        return targets

    def columns(self, outputs: Tensor, prepared: Tensor, scale: Scale | None) -> tuple[Tensor, Tensor | None]:
        """The sums, and a gradient, for outputs laid out as ``(N, C, B)``.

        Args:
            outputs: may be overwritten.
            prepared: from :meth:`prepare`.
            scale: what to multiply the gradient of each sum with, given the sums; None where none is wanted.

        Returns:
            The sums, and the gradient of their scaled total with respect to the outputs ``(N, C, B)``, or None.
        """
        if scale is None:
            return self.sums(outputs.transpose(1, 2), prepared), None
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_(True)
            sums = self.sums(leaf.transpose(1, 2), prepared)
            (slope,) = torch.autograd.grad((sums * scale(sums.detach())).sum(), leaf)
        return sums.detach(), slope

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The sums example by example, ``(N, B)`` for outputs ``(N, B, …)``; they add up to :meth:`sums`.

        Raises:
            InputError: for a loss that is no sum over examples.
        """
        raise InputError(f"the loss {self.name} example by example", "a loss that is a mean over examples")

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

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logp = functional.log_softmax(outputs, dim=2)
        labels = targets.unsqueeze(0).unsqueeze(2).expand(len(outputs), -1, -1, *targets.shape[1:])
        return -logp.gather(2, labels).flatten(2).sum(2)

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        return functional.one_hot(targets, classes).T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, scale: Scale | None) -> tuple[Tensor, Tensor | None]:
        hot = prepared.to(outputs.dtype)
        logp = functional.log_softmax(outputs, dim=1)
        sums = torch.mv(logp.view(len(logp), -1), hot.view(-1)).neg_()
        return sums, (None if scale is None else logp.exp_().sub_(hot).mul_(scale(sums)))

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        check_labels(outputs, targets)


class Margin(Head):
    r"""A surrogate of training error: 0 exactly where no training label is wrong, else above 0.

    The margin of an example is the logit of its label minus the largest other logit, relative to the spread of
    its logits: :math:`u_i = (f_y - \max_{j \ne y} f_j) / s_i` with :math:`s_i^2` the variance of the logits
    :math:`f` over the classes. It does not change when all logits grow or shrink together. With the mean logistic
    loss :math:`A = \frac{1}{n} \sum_i \ln(1 + e^{-u_i/\tau})`, τ = 1/4, and the root mean square shortfall
    :math:`r = \sqrt{\frac{1}{n} \sum_i \max(0, -u_i)^2}` the loss is :math:`A\, r / (r + 0.01)`.

    Neither factor would do alone. The first does not know where the last label turns right. The second is small for
    networks whose two largest logits nearly tie everywhere, with a training error of 40%, which are far more common
    than networks without error. A tie counts as an error.
    """

    name = "margin"
    parts = 2

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        _, margin = labels_and_margins(outputs, targets)
        margin = (margin / _spread(outputs, 2)).flatten(1)
        logistic = functional.softplus(-margin / TAU).sum(1)
        return torch.stack([logistic, _short(margin).square().sum(1)], dim=1)

    def value(self, total: Tensor, count: int) -> Tensor:
        logistic, short = total[:, 0] / count, (total[:, 1] / count).sqrt()
        return logistic * short / (short + SHORT)

    def factors(self, total: Tensor, count: int) -> Tensor:
        logistic, short = total[:, 0] / count, (total[:, 1] / count).sqrt()
        # Inside the event the shortfall has no gradient, whatever it is multiplied with.
        fall = logistic * SHORT / (short + SHORT).square() / (2.0 * short).clamp_min(TIE)
        return torch.stack([short / (short + SHORT), fall], dim=1) / count

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def columns(self, outputs: Tensor, prepared: Tensor, scale: Scale | None) -> tuple[Tensor, Tensor | None]:
        labels = prepared.view(1, 1, -1).expand(len(outputs), 1, -1)
        centred = outputs.sub_(outputs.mean(1, keepdim=True))
        spread = _spread(centred, 1)
        own = centred.gather(1, labels)
        best = centred.scatter_(1, labels, -torch.inf).amax(1, keepdim=True)
        margin = (own - best).squeeze(1).div_(spread)
        short = _short(margin)
        sums = torch.stack([functional.softplus(margin / -TAU).sum(1), short.square().sum(1)], dim=1)
        if scale is None:
            return sums, None
        factor = torch.as_tensor(scale(sums)).unsqueeze(-1)
        rate = torch.sigmoid(margin / -TAU).mul_(factor[:, 0] / -TAU).addcmul_(short, factor[:, 1], value=-2.0)
        # du/df = (e_y − e_best)/s − u (f − mean f)/(C s²)
        rate = rate.div_(spread)
        pull = (rate * margin).div_(spread.mul_(-centred.shape[1]))
        rate = rate.unsqueeze(1)
        rival = (centred == best) * rate
        slope = centred.scatter_(1, labels, own).mul_(pull.unsqueeze(1)).sub_(rival)
        return sums, slope.scatter_add_(1, labels, rate)

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        check_labels(outputs, targets)


class SquaredError(Head):
    """Squared error, the mean over all entries of the outputs."""

    name = "mean squared error"

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().flatten(1).sum(1)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().reshape(*outputs.shape[:2], -1).sum(2)

    def count(self, targets: Tensor) -> int:
        return targets.numel()

    def prepare(self, targets: Tensor, classes: int) -> Tensor:
        del classes
        return targets.T.contiguous()

    def columns(self, outputs: Tensor, prepared: Tensor, scale: Scale | None) -> tuple[Tensor, Tensor | None]:
        error = outputs.sub_(prepared)
        flat = error.view(len(error), -1)
        sums = torch.linalg.vector_norm(flat, dim=1).square_()
        return sums, (None if scale is None else error.mul_(2.0 * scale(sums)))

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

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([self._each(o, targets) for o in outputs])

    def _each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        value = self.loss(outputs, targets)
        if value.ndim:
            return value
        # A mean over the batch: that of a batch of one is the example's own.
        own = torch.stack([self.loss(o.unsqueeze(0), t.unsqueeze(0)) for o, t in zip(outputs, targets, strict=True)])
        if not torch.allclose(own.mean(), value, rtol=1e-3, atol=1e-6, equal_nan=True):
            raise InputError(
                f"loss {self.name}, which is {float(value):.6g} on a batch and {float(own.mean()):.6g} on average over "
                "its examples alone",
                "a mean over examples",
                "let it return one value an example",
            )
        return own

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


def _short(margin: Tensor) -> Tensor:
    """By how much each margin falls short of being above zero."""
    return torch.where(margin > 0, 0.0, (-margin).clamp_min(TIE))


def _spread(outputs: Tensor, classes: int) -> Tensor:
    """Standard deviation of the logits over the axis of classes, never zero; torch's own is many times slower."""
    centred = outputs - outputs.mean(classes, keepdim=True)
    return centred.square().mean(classes).clamp_min(torch.finfo(outputs.dtype).tiny).sqrt()


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
