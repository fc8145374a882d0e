"""Seeds branch without collisions, repeat themselves, and leave the global generators alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pindown.errors import InputError
from pindown.rng import child_seed, torch_generator

seeds = st.integers(0, 2**64)
paths = st.lists(st.integers(0, 2**31), max_size=4).map(tuple)


@given(seeds, paths)
def test_a_branch_is_a_pure_function_of_seed_and_path(seed: int, path: tuple[int, ...]) -> None:
    assert child_seed(seed, *path) == child_seed(seed, *path)
    assert 0 <= child_seed(seed, *path) < 2**63
    assert child_seed(np.int64(seed % 2**62), *path) == child_seed(seed % 2**62, *path)


@given(seeds, paths, paths)
def test_branches_of_one_seed_differ(seed: int, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert (child_seed(seed, *one) == child_seed(seed, *other)) == (one == other)


def test_a_grid_of_branches_has_no_collision() -> None:
    grid = {child_seed(seed, a, b) for seed in range(20) for a in range(20) for b in range(20)}
    assert len(grid) == 20**3


def test_sibling_streams_are_uncorrelated() -> None:
    # Under independence each of the 28 correlations of 10⁴ pairs is N(0, 1/10⁴); 5σ has odds below 2·10⁻⁵.
    streams = torch.stack([torch.randn(10_000, generator=torch_generator(0, k)) for k in range(8)])
    correlation = torch.corrcoef(streams) - torch.eye(8)
    assert correlation.abs().max() < 0.05


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True, np.float64(3.0)])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(InputError, match="seed"):
        child_seed(seed)  # type: ignore[arg-type]


def test_generators_of_one_branch_draw_the_same() -> None:
    first, second = (torch.randn(5, generator=torch_generator(3, 1, 2)) for _ in range(2))
    assert torch.equal(first, second)


def test_the_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    torch.randn(5, generator=torch_generator(3))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
