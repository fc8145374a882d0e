"""The study's own models: data of a teacher, digits, a Boolean function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pindown.errors import EstimationError
from pindown.network.digits import CLASSES, INPUTS, digits_data, digits_model
from pindown.network.ensemble_training import EnsembleOptimiser, train_ensemble
from pindown.network.perceptrons import PerceptronPrior
from pindown.network.subject import Subject
from pindown.network.training import SGD, train_perceptrons
from pindown.rng import child_seed, torch_generator
from pindown.spaces.initialisation import preserved_random_state
from pindown.spaces.network import Prior, Weights
from pindown.studies.study_subject import StudySubject
from pindown.studies.tasks import BinaryTask, boolean_task, random_labels

__all__ = [
    "DIGITS_TOLERANCES",
    "TEACHER_TOLERANCES",
    "TREATMENTS",
    "boolean_family",
    "digits_family",
    "teacher_family",
    "two_logits",
]

TEACHER_LOSS, DIGITS_LOSS, BOOLEAN_LOSS = 0.01, 0.05, 0.05  # where training stops
TEACHER_TOLERANCES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
DIGITS_TOLERANCES = (1.0, 0.5, 0.2, 0.1, 0.05)

TREATMENTS: dict[str, EnsembleOptimiser] = {
    "plain SGD": EnsembleOptimiser(rate=0.1, batch=8),
    "dropout": EnsembleOptimiser(rate=0.1, batch=8, dropout=0.1),
    "weight decay": EnsembleOptimiser(rate=0.1, batch=8, weight_decay=0.003),
    "SAM": EnsembleOptimiser(rate=0.1, batch=8, sharpness=0.1),
    "label noise": EnsembleOptimiser(rate=0.1, batch=8, label_noise=0.02),
    "batches of 1": EnsembleOptimiser(rate=0.0125, batch=1),
    "full batch": EnsembleOptimiser(rate=0.4, batch=32),
}
"""Ways to train of question 4, the plain one first; batches of another size at a rate that follows it."""


class Teacher:
    """Data of a tanh teacher of width 3 in five dimensions, 100 examples, targets of mean square 1."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __repr__(self) -> str:
        return f"Teacher({self.seed})"

    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs ``(100, 5)`` and targets ``(100, 1)``."""
        teacher = PerceptronPrior((5, 3, 1), activation="tanh", bias_std=0.0)
        rng = torch_generator(self.seed, 0x7EAC)
        x = torch.randn((100, 5), generator=rng)
        y = teacher.outputs(teacher.sample(1, rng=rng), x)[0]
        return x, y / y.square().mean().sqrt()

    @staticmethod
    def prior(width: int) -> PerceptronPrior:
        """The student's prior."""
        return PerceptronPrior((5, width, 1), activation="tanh", bias_std=0.0, weight_std=1.5)

    def make(self, width: int) -> Subject:
        """The student of a width, without training."""
        student = self.prior(width)
        priors: dict[str, Prior] = dict(student.weight_priors())
        return Subject(student.module(), "mse", self.data(), name=f"teacher data, width {width}", prior=priors)

    def train(self, width: int, seed: int, treatment: str) -> nn.Module:
        """Adam on all examples from a draw of the prior until the mean squared error is at most 0.01.

        Raises:
            EstimationError: where it does not get there.
        """
        prior = self.prior(width)
        x, y = self.data()
        point = prior.sample(1, rng=torch_generator(seed, 0x57)).requires_grad_(True)
        optimiser = torch.optim.Adam([point], lr=0.01)
        for _ in range(20_000):
            loss = (prior.outputs(point, x)[0] - y).square().mean()
            if float(loss.detach()) <= TEACHER_LOSS:
                return prior.module(point.detach()[0])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        raise EstimationError(f"width {width} did not reach a loss of {TEACHER_LOSS:g} on the teacher's data")


class Digits:
    """500 of scikit-learn's digits on a ReLU network of one hidden layer."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __repr__(self) -> str:
        return f"Digits({self.seed})"

    def make(self, width: int) -> Subject:
        """The network of a width, without training."""
        train, held_out = digits_data(self.seed)
        return Subject(
            _digits_model(width), "cross_entropy", train, held_out=held_out, name=f"digits, width {width}", prior="he"
        )

    def train(self, width: int, seed: int, treatment: str) -> dict[str, Tensor]:
        """SGD to a training cross-entropy of at most 0.05 without error."""
        return self.train_on(width, seed, len(digits_data(self.seed)[0][1]))

    def train_on(self, width: int, seed: int, examples: int) -> dict[str, Tensor]:
        """The same on the first so many examples."""
        (x, y), _ = digits_data(self.seed)
        space = Weights(_digits_model(width), prior="he")
        run = child_seed(seed, 0x7EA1, width) % 2**31
        start = space.sample(1, rng=torch_generator(run, 0))
        how = SGD(target=DIGITS_LOSS, epochs=4000)
        trained = train_perceptrons(start, (INPUTS, width, CLASSES), x[:examples], y[:examples], [run], how)
        return space.unflatten(trained.points[0])


class Boolean:
    """0011… of seven bits on a 7-40-40-1 ReLU network, ``m`` inputs to train on."""

    def __init__(self, training_set: int, m: int = 32, coins: int | None = None) -> None:
        self.training_set, self.m, self.coins = training_set, m, coins

    def __repr__(self) -> str:
        return f"Boolean({self.training_set}, {self.m}, {self.coins})"

    def task(self) -> BinaryTask:
        """The labels."""
        task = boolean_task(self.m, training_set=self.training_set)
        return task if self.coins is None else random_labels(task, self.coins)

    @staticmethod
    def prior(width: int) -> PerceptronPrior:
        """Two hidden layers of a width."""
        return PerceptronPrior((7, width, width, 1))

    def make(self, width: int) -> Subject:
        """The network of a width, without training."""
        task, prior = self.task(), self.prior(width)
        priors: dict[str, Prior] = dict(prior.weight_priors())
        rest = (task.x[task.rest], task.y[task.rest])
        return Subject(
            prior.module(), "cross_entropy", (task.train_x, task.train_y), held_out=rest,
            name=f"0011… of seven bits, width {width}", prior=priors, forward=two_logits,
        )  # fmt: skip

    def train(self, width: int, seed: int, treatment: str) -> nn.Module:
        """One run of a treatment until every label is right and the mean loss is at most 0.05.

        Raises:
            EstimationError: where it does not get there.
        """
        task, prior = self.task(), self.prior(width)
        how = TREATMENTS[treatment]
        runs = train_ensemble(prior, task.train_x, task.train_y, runs=1, how=how, level=BOOLEAN_LOSS, seed=seed)[0]
        if not len(runs):
            raise EstimationError(f"{how} did not reach a loss of {BOOLEAN_LOSS:g} with seed {seed}")
        return prior.module(runs.points[0])


def two_logits(call: Callable[..., Tensor], inputs: Tensor) -> Tensor:
    """One output f as the logits (0, f), whose cross-entropy is the logistic loss of f."""
    out = call(inputs)
    return torch.cat([torch.zeros_like(out), out], -1)


def _digits_model(width: int) -> nn.Sequential:
    with preserved_random_state():
        return digits_model(width)


def teacher_family(seed: int, tolerances: tuple[float, ...] = TEACHER_TOLERANCES) -> StudySubject:
    """Width 30 and width 100 on the same data of a teacher of width 3."""
    own = Teacher(child_seed(seed, 0x24) % 2**31)
    return StudySubject(own.make, own.train, tolerances=tolerances, epsilon=TEACHER_LOSS, name="teacher data")


def digits_family(seed: int, tolerances: tuple[float, ...] = DIGITS_TOLERANCES) -> StudySubject:
    """Width 30 and width 100 on 500 digits."""
    own = Digits(child_seed(seed, 0x25) % 2**31)
    return StudySubject(
        own.make, own.train, tolerances=tolerances, epsilon=DIGITS_LOSS, train_on=own.train_on, name="digits"
    )


def boolean_family(seed: int, widths: tuple[int, ...] = (20, 40)) -> StudySubject:
    """The Boolean task and the treatments of question 4."""
    own = Boolean(child_seed(seed, 0x26) % 2**31)
    return StudySubject(
        own.make, own.train, widths=widths, treatments=tuple(TREATMENTS), tolerances=(0.5, 0.2, 0.1),
        epsilon=BOOLEAN_LOSS, name="0011… of seven bits",
    )  # fmt: skip
