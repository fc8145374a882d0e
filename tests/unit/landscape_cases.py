"""Formulas and landscapes whose answers are known, for several tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor


def parity(variables: Sequence[int], odd: bool) -> list[tuple[int, ...]]:
    """Clauses that make the sum of some variables odd, or even: one for each setting that is not so."""
    return [
        tuple(-v if value else v for v, value in zip(variables, setting, strict=True))
        for setting in product((0, 1), repeat=len(variables))
        if sum(setting) % 2 != odd
    ]


def parity_chain(length: int) -> list[tuple[int, ...]]:
    """Parities of three neighbours each. Each brings in a variable that none before has, so all are independent."""
    return [clause for i in range(1, length + 1) for clause in parity((i, i + 1, i + 2), i % 2 == 1)]


def nk(n: int, neighbours: Sequence[Sequence[int]], seed: int) -> Callable[[Tensor], Tensor]:
    """Kauffman's landscape: the mean of n random tables, each of one bit and its neighbours; lower is better."""
    table = torch.rand((n, 2 ** len(neighbours[0])), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    places = torch.tensor([list(row) for row in neighbours])
    weight = 2 ** torch.arange(places.shape[1])

    def loss(x: Tensor) -> Tensor:
        number = (x.long()[:, places] * weight).sum(-1)
        return -table[torch.arange(n), number].mean(-1)

    return loss


def separable(n: int, size: int, seed: int = 1) -> Callable[[Tensor], Tensor]:
    """Blocks of ``size`` bits that do not depend on each other."""
    return nk(n, [[i // size * size + j for j in range(size)] for i in range(n)], seed)


def ring(n: int, k: int, seed: int = 1) -> Callable[[Tensor], Tensor]:
    """Each bit with the ``k`` that follow it; all with all for ``k = n − 1``."""
    return nk(n, [[(i + j) % n for j in range(k + 1)] for i in range(n)], seed)
