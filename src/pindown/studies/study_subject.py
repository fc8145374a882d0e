"""A model at two widths and how it is trained: what the compression study is about."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.subject import Subject

__all__ = ["StudySubject"]

Trained = nn.Module | Mapping[str, Tensor]


@dataclass(frozen=True)
class StudySubject:
    r"""A user's own model and training for the compression study.

    All functions have to be found by their names in a module, so that worker processes can call them.

    Attributes:
        make: ``make(width)`` gives the :class:`pindown.Subject` of a width: model, loss, data and prior. Its weights
            do not count.
        train: ``train(width, seed, treatment)`` gives a trained module or state dict. The same arguments give the same
            weights. All treatments should stop at the same mean training loss: others are told apart by how long they
            trained (see ``matched``). One that does not get there raises :class:`pindown.EstimationError`; the study
            then counts the run among those that do not fit, and says so.
        widths: narrow and wide, or more in rising order.
        treatments: ways to train; the first is the plain one that the others are compared with.
        tolerances: losses at which dimensions and bits are measured, falling.
        epsilon: rise of the training loss that may be lost, for the bits of weights.
        matched: how far mean training losses of two treatments may lie apart, as a share of ``epsilon``.
        train_on: ``train_on(width, seed, examples)`` trains on the first so many examples alone, for the prequential
            code; it is left out without.
        inputs: functions are told apart by their labels on the first so many held-out inputs.
        name: for reports.

    Raises:
        InputError: for functions, widths or numbers that cannot be used.

    Example:
        >>> import torch, pindown
        >>> data = (torch.eye(4), torch.tensor([0, 1, 1, 0]))
        >>> def make(width):
        ...     model = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))
        ...     return pindown.Subject(model, "cross_entropy", data, held_out=data)
        >>> def train(width, seed, treatment):
        ...     return make(width).module
        >>> pindown.StudySubject(make, train, widths=(3, 6)).widths
        (3, 6)
    """

    make: Callable[[int], Subject]
    train: Callable[[int, int, str], Trained]
    widths: tuple[int, ...] = (30, 100)
    treatments: tuple[str, ...] = ("plain",)
    tolerances: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1)
    epsilon: float = 0.05
    matched: float = 0.5
    train_on: Callable[[int, int, int], Trained] | None = None
    inputs: int = 12
    name: str = ""

    def __post_init__(self) -> None:
        for what in ("make", "train"):
            if not callable(getattr(self, what)):
                raise InputError(f"{what} of type {type(getattr(self, what)).__name__}", "a function")
        if len(self.widths) < 2 or list(self.widths) != sorted(set(self.widths)) or self.widths[0] < 1:
            raise InputError(f"widths {self.widths}", "two or more whole numbers of 1 or more, rising")
        if not self.treatments or len(set(self.treatments)) != len(self.treatments):
            raise InputError(f"treatments {self.treatments}", "one or more names, each once, the plain one first")
        falling = sorted(set(self.tolerances), reverse=True)
        if not falling or list(self.tolerances) != falling or not all(0 < t < math.inf for t in falling):
            raise InputError(f"tolerances {self.tolerances}", "losses above 0, falling")
        if not 0 < self.epsilon < math.inf or not 0 < self.matched < math.inf or self.inputs < 1:
            raise InputError(f"epsilon {self.epsilon}, matched {self.matched}, inputs {self.inputs}", "numbers above 0")

    def subject(self, width: int) -> Subject:
        """The subject of a width, under a prior that can produce what training leaves.

        Raises:
            InputError: where ``make`` returns something else.
        """
        return _subject(self.make(width))

    def trained(self, width: int, seed: int, treatment: str = "") -> Subject:
        """The same subject with trained weights as its only solution."""
        return _placed(self.subject(width), self.train(width, seed, treatment or self.treatments[0]))

    def trained_on(self, width: int, seed: int, examples: int) -> Subject:
        """The same, trained on the first so many examples."""
        assert self.train_on is not None
        return _placed(self.subject(width), self.train_on(width, seed, examples))

    def __repr__(self) -> str:
        """Without addresses, since unfinished work is known by it."""
        named = [_named(f) for f in (self.make, self.train, self.train_on)]
        rest = (self.widths, self.treatments, self.tolerances, self.epsilon, self.matched, self.inputs, self.name)
        return f"StudySubject({', '.join(map(repr, (*named, *rest)))})"


def _named(f: Any) -> str:
    """A function by where it is found, with what it is bound to where that has a name of its own."""
    if isinstance(f, functools.partial):
        return f"{_named(f.func)} with {f.args} {f.keywords}"
    owner = getattr(f, "__self__", None)
    bound = "" if owner is None or type(owner).__repr__ is object.__repr__ else f" of {owner!r}"
    return f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', type(f).__qualname__)}{bound}"


def _subject(made: Any) -> Subject:
    if not isinstance(made, Subject):
        raise InputError(f"make(width) returned {type(made).__name__}", "a pindown.Subject")
    return made


def _placed(subject: Subject, weights: Trained) -> Subject:
    solutions: Sequence[Trained] = [weights]
    return subject.with_solutions(solutions).at(0)
