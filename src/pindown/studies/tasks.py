"""The study's own labels: Boolean functions of seven bits, pairs of digits, data of a teacher."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.rng import torch_generator

__all__ = ["BinaryTask", "arc_cosine_kernel", "boolean_task", "digit_pair_task", "orthant_bits_draws", "random_labels"]


@dataclass(frozen=True, eq=False)
class BinaryTask:
    """Labels 0 and 1 on a set of inputs, some of which are for training.

    Attributes:
        name: in words.
        x: all inputs ``(n, d)``.
        y: their labels ``(n,)``.
        train: numbers of the training inputs.
    """

    name: str
    x: Tensor
    y: Tensor
    train: Tensor

    @property
    def train_x(self) -> Tensor:
        """Training inputs."""
        return self.x[self.train]

    @property
    def train_y(self) -> Tensor:
        """Training labels."""
        return self.y[self.train]

    @property
    def rest(self) -> Tensor:
        """Numbers of the inputs that are not for training."""
        mask = torch.ones(len(self.x), dtype=torch.bool)
        mask[self.train] = False
        return mask.nonzero().flatten()


def boolean_task(m: int, *, training_set: int = 0) -> BinaryTask:
    """The function 0011 0011 … of seven bits 0 or 1 (it is its sixth bit), on ``m`` random inputs to train on.

    >>> task = boolean_task(64)
    >>> task.y[:8].tolist(), len(task.train), len(task.rest)
    ([0, 0, 1, 1, 0, 0, 1, 1], 64, 64)
    """
    if not 1 <= m <= 127:
        raise InputError(f"{m} training inputs", "1 to 127 of the 128")
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=7)))
    train = torch.randperm(128, generator=torch_generator(training_set, 0xB001))[:m]
    return BinaryTask(f"0011… of seven bits, {m} to train on", x, (x[:, 5] > 0.5).long(), train)


def random_labels(task: BinaryTask, seed: int) -> BinaryTask:
    """The same inputs with fair coins as labels."""
    y = torch.randint(0, 2, task.y.shape, generator=torch_generator(seed, 0xB002))
    return BinaryTask(f"coins in place of {task.name}", task.x, y, task.train)


def digit_pair_task(first: int, second: int, m: int, *, training_set: int = 0) -> BinaryTask:
    """Two of scikit-learn's digits, pixels in 16 principal directions of all images, ``m`` to train on.

    Whitened inputs have a mean square of one, so that the prior's scales suit them.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.as_tensor(images, dtype=torch.float64)
    x = x - x.mean(0)
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    x = (u[:, :16] * s[:16] / (s[:16].square().mean() / len(x)).sqrt()).float()
    y = torch.as_tensor(labels)
    own = ((y == first) | (y == second)).nonzero().flatten()
    if not 1 <= m < len(own):
        raise InputError(f"{m} training images of {first} and {second}", f"1 to {len(own) - 1}")
    order = torch.randperm(len(own), generator=torch_generator(training_set, 0xB003, first, second))
    return BinaryTask(
        f"digits {first} and {second}, {m} to train on",
        x[own],
        (y[own] == second).long(),
        order[:m],
    )


def arc_cosine_kernel(x: Tensor, *, weight_std: float = 1.0, bias_std: float = 1.0, layers: int = 1) -> Tensor:
    r"""Covariance of the outputs of an infinitely wide ReLU network, ``(n, n)``.

    .. math:: K_{l+1} = \sigma_b^2 + \frac{\sigma_w^2}{2\pi}\sqrt{K_l(x,x)K_l(x',x')}
              \,(\sin\theta + (\pi-\theta)\cos\theta)

    with :math:`\theta` the angle between both under :math:`K_l` (Cho and Saul 2009, Kernel methods for deep learning,
    eq. 6; Lee et al. 2018, Deep neural networks as Gaussian processes, eq. 5).
    """
    x = x.double()
    k = bias_std**2 + weight_std**2 * (x @ x.T) / x.shape[1]
    for _ in range(layers):
        scale = k.diagonal().sqrt()
        norm = scale.unsqueeze(0) * scale.unsqueeze(1)
        cosine = (k / norm).clamp(-1.0, 1.0)
        angle = torch.arccos(cosine)
        k = bias_std**2 + weight_std**2 / (2 * math.pi) * norm * (angle.sin() + (math.pi - angle) * cosine)
    return k


def orthant_bits_draws(kernel: Tensor, y: Tensor, draws: int, rng: torch.Generator) -> tuple[int, int]:
    """Hits and draws of a Gaussian with this covariance whose signs are all those of the labels."""
    signs = (2 * y - 1).double()
    root = torch.linalg.cholesky(kernel + 1e-10 * torch.eye(len(kernel), dtype=torch.float64))
    root = (root * signs.unsqueeze(1)).float()
    hits = done = 0
    while done < draws:
        n = min(2**18, draws - done)
        z = torch.randn((len(kernel), n), generator=rng)
        # Rows of the root are triangular: the first values decide most draws.
        alive = ((root[:8, :8] @ z[:8]) > 0).all(0).nonzero().flatten()
        if len(alive):
            hits += int(((root @ z[:, alive]) > 0).all(0).sum())
        done += n
    return hits, done
