"""What the tour measures: built-in data, small enough for seconds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pindown.choices.budgets import Budgets
from pindown.choices.trades import Trades
from pindown.landscapes.problem import SearchProblem
from pindown.network.subject import Solution, Subject
from pindown.network.training import SGD, train_perceptrons
from pindown.resources.linear_program import LinearProgram
from pindown.resources.mdp import MDP
from pindown.rng import child_seed, torch_generator
from pindown.spaces.bitstring import BitString
from pindown.spaces.network import Weights
from pindown.values.choice_sources import Comparisons
from pindown.values.plans import Plans
from pindown.values.priors import LinearValues
from pindown.values.problem import ValueProblem

__all__ = ["LONGER", "PLAIN", "farm", "rooms", "shopping", "small_digits", "switches", "toppings", "writers"]

PLAIN = SGD(rate=0.02, target=0.1)
LONGER = SGD(rate=0.02, target=0.01)
_DIGITS, _WIDTH, _TRAIN, _RUNS = (2, 6, 9), 8, 100, 6


def small_digits(seed: int = 0, how: SGD = PLAIN, *, name: str = "digits 2, 6, 9") -> Subject:
    """A 16-8-3 network that tells the digits 2, 6 and 9 apart, trained six times on 100 of them.

    The images are scikit-learn's (E. Alpaydin and C. Kaynak 1998, Optical Recognition of Handwritten Digits, UCI
    repository), averaged over squares of 2×2 pixels to 4×4 and divided by one number so that their mean square is 1.
    The same seed gives the same images and the same starts, however they are trained.

    Args:
        seed: everything random follows from it.
        how: the optimiser and its stop.
        name: for reports.
    """
    from sklearn.datasets import load_digits

    images, digits = map(np.asarray, load_digits(return_X_y=True))
    kept = np.isin(digits, _DIGITS)
    pooled = images[kept].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    x = torch.as_tensor(pooled, dtype=torch.float32)
    y = torch.as_tensor(np.searchsorted(_DIGITS, digits[kept]), dtype=torch.int64)
    order = torch.randperm(len(y), generator=torch_generator(seed, 0x269))
    train, held = order[:_TRAIN], order[_TRAIN:]
    x = x / x[train].square().mean().sqrt()
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(16, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, len(_DIGITS)))
    space = Weights(model, prior="he")
    seeds = [child_seed(seed, 0x26A, run) % 2**31 for run in range(_RUNS)]
    start = torch.cat([space.sample(1, rng=torch_generator(s, 0)) for s in seeds])
    trained = train_perceptrons(start, (16, _WIDTH, len(_DIGITS)), x[train], y[train], seeds, how)
    solutions = [
        Solution(f"SGD run {run}", point, seed=run, optimiser=str(how), steps=steps)
        for run, (point, steps) in enumerate(zip(trained.points, trained.steps, strict=True))
    ]
    model.load_state_dict(space.unflatten(solutions[0].point))
    data = ((x[train], y[train]), (x[held], y[held]))
    subject = Subject(model, "cross_entropy", data[0], held_out=data[1], name=name, prior="he")
    return subject.with_solutions(solutions)


def shopping() -> Budgets:
    """Three days' purchases that no ranking explains: each day's bundle could have been had for less on the next."""
    return Budgets(
        prices=[[1, 2, 3], [3, 1, 2], [2, 3, 1]],
        quantities=[[1, 0, 3], [3, 1, 0], [0, 3, 1]],
        names=["Monday", "Tuesday", "Wednesday"],
    )


def toppings() -> Trades:
    """Accepted and refused trades of toppings that take two agents to explain."""
    return Trades(
        ["cheese", "cheese", "pepperoni", "mushroom", "pepperoni", "mushroom"],
        ["pepperoni", "mushroom", "both", "both", "mushroom", "pepperoni"],
        [True, True, True, True, False, False],
    )


def writers(seed: int = 0) -> ValueProblem:
    """Twelve ways to answer, told apart by three features, to be judged by an expert and by a crowd."""
    features = np.random.default_rng(child_seed(seed, 0x3A1)).normal(size=(12, 3))
    return ValueProblem(
        Plans(features, names=[f"policy {c}" for c in "ABCDEFGHIJKL"]),
        LinearValues(3, "sphere", particles=800),
        acceptable=0.3,
        sources=[
            Comparisons(rationality=8.0, price=5.0, name="expert"),
            Comparisons(flip=0.25, price=1.0, name="crowd"),
        ],
        success=0.9,
        name="how to answer",
    )


def farm() -> LinearProgram:
    """Two crops on a farm that has land, seed and a store, each of them short for some objectives."""
    return LinearProgram(
        [3, 2],
        [[1, 1], [1, 0], [2, 1]],
        high=[4, 3, 9],
        maximise=True,
        rows=["land", "seed", "store"],
        units={"land": "hectare", "objective": "euro"},
        name="a farm",
    )


def rooms() -> MDP:
    """A corridor from which one may stay, go to a hall with three doors, or into a closet without a way out."""
    nothing = -1
    return MDP(
        [
            [0, 1, 2],
            [3, 4, 5],
            [2, nothing, nothing],
            [3, 1, nothing],
            [4, 1, nothing],
            [5, nothing, nothing],
        ],
        states=["corridor", "hall", "closet", "left room", "right room", "cellar"],
        start="corridor",
    )


def switches() -> SearchProblem:
    """Three boxes of four switches; each box has one best setting, which no single switch tells of."""
    table = torch.as_tensor(np.random.default_rng(7).random((3, 16)))
    places = 2 ** torch.arange(4)
    best = float(table.min(1).values.sum())

    def loss(x: Tensor) -> Tensor:
        codes = (x.reshape(len(x), 3, 4).long() * places).sum(-1)
        return table.to(x.device).gather(1, codes.T).sum(0)

    return SearchProblem(BitString(12), loss, tolerance=best + 1e-9, name="switches")
