"""Find blocks of variables, choose among them on training starts, and judge them on held-out ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from pindown.engine.objective import Objective
from pindown.estimate import Estimate
from pindown.landscapes.cnf import CNF
from pindown.landscapes.decomposed import decomposed_search, looked_through
from pindown.landscapes.dependence import (
    MOST_VARIABLES,
    Blocks,
    Couplings,
    candidate_blocks,
    couplings,
    formula_couplings,
)
from pindown.landscapes.landscape_result import Decomposition
from pindown.landscapes.traces import LOG2_EVALUATIONS, Traces, expected_evaluations
from pindown.landscapes.variables import Variables
from pindown.rng import torch_generator

__all__ = ["BlockSearch", "search_by_blocks", "sign_test"]

_SIGNIFICANT = 0.05
_MOST_EDGES = 5000
_CHOOSING = 4  # candidates are compared with this part of the budget
_LEAST_CHOOSING = 256
_MOST_IN_FORMULA = 2000
Test = tuple[int, int, float]


@dataclass(frozen=True)
class BlockSearch:
    """The blocks, their search from the held-out starts, and what it was predicted to take."""

    decomposition: Decomposition
    held_out: Traces | None
    predicted: Estimate | None
    prediction: str


def sign_test(mine: Traces, other: Traces) -> tuple[int, int, float]:
    """Starts at which ``mine`` did better and worse, and the one-sided p of as many wins by chance.

    A search did better where it arrived earlier, or, where neither arrived, got lower.
    """
    wins = losses = 0
    a, b = mine.best(), other.best()
    for i in range(len(mine.used)):
        first = (0, float(mine.used[i])) if mine.arrived[i] else (1, float(a[i]))
        second = (0, float(other.used[i])) if other.arrived[i] else (1, float(b[i]))
        wins, losses = wins + (first < second), losses + (first > second)
    p = float(binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue) if wins + losses else 1.0
    return wins, losses, p


def search_by_blocks(
    objective: Objective, variables: Variables, names: tuple[str, ...], cnf: CNF | None, starts: Tensor, local: Traces,
    goal: float, budget: int, seed: int, report: Callable[[float], None] | None = None,
) -> BlockSearch:  # fmt: skip
    """The whole of it.

    Args:
        objective: the loss.
        variables: of the space.
        names: of the variables.
        cnf: the formula, where it is one: its clauses tell the dependences.
        starts: training starts, then as many held-out ones.
        local: local search from all of them.
        goal: the loss of the target.
        budget: most evaluations of one search.
        seed: everything random follows from it.
        report: called with the share done.
    """
    n = len(variables)
    if n < 2:
        return _unsupported(names, "The space is one whole: no part of it can be changed on its own.")
    if n > (MOST_VARIABLES if cnf is None else _MOST_IN_FORMULA):
        return _unsupported(names, f"{n:,} variables are more than the {MOST_VARIABLES} whose pairs are looked at.")
    before = objective.evaluations
    found = formula_couplings(cnf) if cnf is not None else couplings(objective, variables, torch_generator(seed, 0xB10))
    candidates = candidate_blocks(found)
    half = len(starts) // 2
    training, held = starts[:half], starts[half:]

    def run(blocks: Blocks, x: Tensor, most: int, stream: int) -> Traces:
        rng = torch_generator(seed, 0xB11, stream)
        return decomposed_search(objective, variables, blocks, x, goal, most, rng, report)

    if not candidates:
        spent = objective.evaluations - before
        why = "every variable depends on the others, and no cut leaves blocks that are small enough."
        return BlockSearch(_described(found, names, (), spent, (0, 0, 1.0), why), None, None, "")
    chosen = candidates[0]
    if len(candidates) > 1:
        most = max(_LEAST_CHOOSING, budget // _CHOOSING)
        chosen = min(candidates, key=lambda b: _rank(run(b, training, most, 0)))
    exact = _cut(found, chosen) == 0.0
    if exact and all(looked_through(variables, b) for b in chosen):
        total = math.log2(sum(2 ** len(b) for b in chosen))
        predicted = Estimate(total, 0.0, LOG2_EVALUATIONS, "exact", reference="sum over blocks of 2^bits")
        prediction = "sum over the blocks of 2^bits"
    else:
        predicted = expected_evaluations(run(chosen, training, budget, 1), "training starts")
        prediction = "training starts"
    spent = objective.evaluations - before
    traces = run(chosen, held, budget, 2)
    test = sign_test(traces, local.part(slice(half, None)))
    # A search through blocks of any variables can beat local search a little; the blocks have to beat those as well.
    control = None
    if not exact:
        control = sign_test(traces, run(_shuffled(chosen, n, seed), held, budget, 3))
    why = _sentence(len(chosen), _cut(found, chosen), test, control)
    return BlockSearch(_described(found, names, chosen, spent, test, why, control), traces, predicted, prediction)


def _shuffled(blocks: Blocks, n: int, seed: int) -> Blocks:
    order = torch.randperm(n, generator=torch_generator(seed, 0xB12)).tolist()
    return tuple(tuple(sorted(order[v] for v in block)) for block in blocks)


def _sentence(blocks: int, cut: float, test: Test, control: Test | None) -> str:
    wins, losses, p = test
    against = f"beat local search at {wins} of {wins + losses} held-out starts (p = {p:.2g})"
    if not _holds(test, None):
        return f"the best blocks that were found, {blocks} of them, {against}."
    if control is None:
        return f"{blocks} blocks {against}; nothing was seen to depend across them."
    shuffled = f"blocks of shuffled variables at {control[0]} of {control[0] + control[1]} (p = {control[2]:.2g})"
    also = "and" if _holds(test, control) else "but"
    return f"{blocks} blocks, which cut {cut:.0%} of the dependence, {against} {also} {shuffled}."


def _holds(test: Test, control: Test | None) -> bool:
    return test[2] < _SIGNIFICANT and (control is None or control[2] < _SIGNIFICANT)


def _rank(traces: Traces) -> tuple[float, float]:
    e = expected_evaluations(traces, "")
    return (e.value if e.kind == "estimate" else math.inf), float(np.mean(traces.best()))


def _cut(found: Couplings, blocks: Blocks) -> float:
    """Share of the strength across blocks."""
    total = float(found.strength.sum())
    inside = sum(float(found.strength[np.ix_(b, b)].sum()) for b in blocks)
    return max(0.0, 1.0 - inside / total) if total > 0 and not math.isclose(inside, total) else 0.0


def _described(
    found: Couplings, names: tuple[str, ...], blocks: Blocks, evaluations: int, test: Test, why: str,
    control: Test | None = None,
) -> Decomposition:  # fmt: skip
    first, second = np.nonzero(np.triu(found.strength))
    strength = found.strength[first, second]
    strongest = np.sort(np.argsort(-strength, kind="stable")[:_MOST_EDGES])
    edges = tuple((int(first[k]), int(second[k]), float(strength[k])) for k in strongest)
    whole = blocks or (tuple(range(len(names))),)
    cut = _cut(found, whole)
    verdict = "decomposable" if _holds(test, control) else "not decomposable"
    other = control or (0, 0, None)
    return Decomposition(names, edges, whole, cut == 0.0, cut, evaluations, *test, *other, verdict, why)


def _unsupported(names: tuple[str, ...], why: str) -> BlockSearch:
    whole = (tuple(range(len(names))),)
    return BlockSearch(
        Decomposition(names, (), whole, True, 0.0, 0, 0, 0, 1.0, 0, 0, None, "unsupported", why), None, None, ""
    )
