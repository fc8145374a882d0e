"""The built-in subjects: small networks trained on scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.subject import Solution, Subject
from pindown.network.training import SGD, train_perceptrons
from pindown.rng import child_seed, torch_generator
from pindown.spaces.network import Weights

__all__ = ["DIGITS_SGD", "digits_data", "digits_model", "digits_subject"]

TRAIN_SIZE, INPUTS, CLASSES = 500, 64, 10
DIGITS_SGD = SGD()
Split = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def digits_data(seed: int = 0) -> Split:
    """scikit-learn's 1797 digits of 8×8 pixels: 500 to train on and 1297 held out.

    The split is a random one, fixed by ``seed``. Pixels, 0 to 16, are divided by one number so that the training
    images have a mean square of 1, which is what the variance 2/fan_in is derived for.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI repository; the copy
    that scikit-learn ships.

    >>> (x, y), (held_x, held_y) = digits_data()
    >>> x.shape, len(held_y), round(float(x.square().mean()), 4)
    (torch.Size([500, 64]), 1297, 1.0)
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.as_tensor(images, dtype=torch.float32)
    y = torch.as_tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(y), generator=torch_generator(seed, 0xD161))
    train, held = order[:TRAIN_SIZE], order[TRAIN_SIZE:]
    x = x / x[train].square().mean().sqrt()
    return (x[train], y[train]), (x[held], y[held])


def digits_model(width: int) -> nn.Sequential:
    """A 64-``width``-10 network with ReLU."""
    return nn.Sequential(nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, CLASSES))


def digits_subject(width: int, *, seed: int = 0, runs: int = 5, how: SGD = DIGITS_SGD) -> Subject:
    """A network of one hidden layer on 500 digits, trained ``runs`` times to zero training error.

    Weights and biases have the prior N(0, 2/fan_in) (He et al. 2015, Delving deep into rectifiers, eq. 10), and
    the training runs start from draws of that same prior. All runs share the 500 training images.

    Args:
        width: hidden units.
        seed: everything random follows from it: the split, the starts, the order of the examples.
        runs: how many networks are trained.
        how: the optimiser and its stop.

    Raises:
        InputError: for a width or a number of runs below one.
        EstimationError: where training does not reach its stop.
    """
    for value, what in ((width, "width"), (runs, "runs")):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{what} {value!r}", "a whole number of 1 or more")
    train, held_out = digits_data(seed)
    with torch.random.fork_rng(devices=[]):
        model = digits_model(width)
    solutions = _train(range(runs), width=width, seed=seed, how=how)
    space = Weights(model, prior="he")
    model.load_state_dict(space.unflatten(solutions[0].point))
    subject = Subject(
        model, "cross_entropy", train, held_out=held_out, name=f"digits, width {width}", prior="he",
        train=partial(_train_one, width=width, seed=seed, how=how),
    )  # fmt: skip
    return subject.with_solutions(solutions)


def _train(runs: Sequence[int], *, width: int, seed: int, how: SGD) -> list[Solution]:
    (x, y), _ = digits_data(seed)
    with torch.random.fork_rng(devices=[]):
        space = Weights(digits_model(width), prior="he")
    seeds = [child_seed(seed, 0x7EA1, width, run) % 2**31 for run in runs]
    start = torch.cat([space.sample(1, rng=torch_generator(s, 0)) for s in seeds])
    trained = train_perceptrons(start, (INPUTS, width, CLASSES), x, y, seeds, how)
    return [
        Solution(f"SGD run {run}", point, seed=run, optimiser=str(how), steps=steps)
        for run, point, steps in zip(runs, trained.points, trained.steps, strict=True)
    ]


def _train_one(run: int, *, width: int, seed: int, how: SGD) -> dict[str, Tensor]:
    solution = _train([run], width=width, seed=seed, how=how)[0]
    with torch.random.fork_rng(devices=[]):
        space = Weights(digits_model(width), prior="he")
    return space.unflatten(solution.point)
