"""Published and derived figures of the Boolean task on a 7-…-1 ReLU network, weights N(0, 1/fan-in), biases N(0, 1).

Mingard et al. (2021) publish counts for 64 of 128 inputs of 0011… on 7-40-40-1: the target function has 0.431 of the
random solutions and the mean test error is 0.0210. Their training set is not named, so the figures have to lie within
what training sets give.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from pindown.network.perceptrons import PerceptronPrior
from pindown.network.random_solutions import random_solutions
from pindown.rng import torch_generator
from pindown.studies.tasks import arc_cosine_kernel, boolean_task, orthant_bits_draws


@pytest.mark.slow
def test_random_solutions_are_as_published() -> None:
    shares, errors = [], []
    for s in range(4):
        task = boolean_task(64, training_set=s)
        found = random_solutions(PerceptronPrior((7, 40, 40, 1)), task.train_x, task.train_y, count=500, draws=2**28)
        wrong = found.labels(task.x) != task.y
        assert not wrong[:, task.train].any()
        shares.append(float((~wrong.any(1)).double().mean()))
        errors.append(float(wrong[:, task.rest].double().mean()))
    spread = math.sqrt(0.25 / 500) + np.std(shares, ddof=1)  # of one set's share: its draws and the set
    assert spread < 0.12
    assert abs(np.mean(shares) - 0.431) < 3 * spread
    assert abs(np.mean(errors) - 0.0210) < 3 * (np.std(errors, ddof=1) + 0.0015)


@pytest.mark.slow
def test_width_does_not_make_labels_rarer() -> None:
    """One hidden layer of 10 to 300 units within a third of a bit of the infinitely wide one's orthant."""
    task = boolean_task(32, training_set=1)
    draws = 2**23
    hits, done = orthant_bits_draws(arc_cosine_kernel(task.train_x), task.train_y, draws, torch_generator(0, 1))
    limit = -math.log2(hits / done)
    assert 1 / math.sqrt(hits) / math.log(2) < 0.1
    found = {}
    for h in (10, 30, 100, 300):
        one = random_solutions(PerceptronPrior((7, h, 1)), task.train_x, task.train_y, count=700, draws=2**26, seed=h)
        found[h] = one.bits
        assert one.bits.stderr < 0.12
        assert abs(one.bits.value - limit) < 0.35
    assert abs(found[300].value - limit) < 3 * math.hypot(found[300].stderr, 1 / math.sqrt(hits) / math.log(2))
    deep = random_solutions(PerceptronPrior((7, 40, 40, 1)), task.train_x, task.train_y, count=700, draws=2**26).bits
    assert deep.value > limit + 0.5  # a second layer does cost: about a bit
