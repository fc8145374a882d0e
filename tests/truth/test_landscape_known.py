"""Known answers of search landscapes, and what has to fail beside them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from landscape_cases import parity, parity_chain, ring, separable

from pindown import CNF, BitString, Box, Gaussian, landscape
from pindown.engine.objective import Objective
from pindown.estimate import Status
from pindown.landscapes.blocks import sign_test
from pindown.landscapes.constraint_bits import formula_bits
from pindown.landscapes.cosine import random_direction
from pindown.landscapes.decomposed import decomposed_search
from pindown.landscapes.dependence import candidate_blocks, couplings, formula_couplings
from pindown.landscapes.model_count import ModelCounter
from pindown.landscapes.searches import blind_search, gradient_search, local_search
from pindown.landscapes.traces import Traces, expected_evaluations
from pindown.landscapes.variables import Variables

FOURS = tuple(tuple(range(4 * i, 4 * i + 4)) for i in range(4))


def ball_bits(dim: int, radius: float = 1.0) -> float:
    """−log2 of the share of the cube [−1, 1]^d that a ball fills: 2^d over π^(d/2) r^d / Γ(d/2 + 1)."""
    log_volume = 0.5 * dim * math.log(math.pi) + dim * math.log(radius) - math.lgamma(dim / 2 + 1)
    return dim - log_volume / math.log(2)


def brute_count(clauses: list[tuple[int, ...]], n: int) -> int:
    return sum(all(any((v > 0) == x[abs(v) - 1] for v in c) for c in clauses) for x in product((False, True), repeat=n))


def random_clauses(rng: np.random.Generator, n: int, m: int) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in rng.choice(np.arange(1, n + 1), 3, False) * rng.choice([-1, 1], 3)) for _ in range(m)]


def test_the_ball_in_the_issue() -> None:
    """The formula gives the figures that are asked for."""
    assert ball_bits(20) == pytest.approx(25.276, abs=5e-4)
    assert ball_bits(50) == pytest.approx(92.39, abs=5e-3)
    assert ball_bits(30, 0.01) == pytest.approx(244.79, abs=5e-3)


@pytest.mark.parametrize("length", [10, 20])
def test_a_chain_of_parities_pins_one_bit_each(length: int) -> None:
    """n constraints of rank n over the field of two elements leave 2^(variables − n) solutions; each adds 1 bit."""
    cnf = CNF(parity_chain(length))
    counter = ModelCounter(cnf.variables)
    models = counter.count(cnf.clauses)
    assert models == 2 ** (cnf.variables - length)
    found = formula_bits(cnf, counter, models)
    assert [(c.adds.value, c.alone.value, c.interaction.value) for c in found] == [(1.0, 1.0, 0.0)] * length
    assert {c.verdict for c in found} == {"binding"}
    assert counter.steps < 2000  # a chain is narrow: two to the power of its length would be a million
    halved = counter.count([*cnf.clauses, *parity((1, 2), True)])
    assert halved == models // 2  # one that does not follow from them takes one bit more


def rank(rows: list[int]) -> int:
    """Rank over the field of two elements, rows as bit masks."""
    pivots: list[int] = []
    for row in rows:
        for p in pivots:
            row = min(row, row ^ p)
        if row:
            pivots.append(row)
    return len(pivots)


@given(st.lists(st.tuples(st.sets(st.integers(1, 9), min_size=1, max_size=4), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=60)
def test_parities_are_counted_by_their_rank(system: list[tuple[set[int], bool]]) -> None:
    clauses = [c for names, odd in system for c in parity(sorted(names), odd)]
    found = ModelCounter(9).count(clauses)
    left = rank([sum(1 << v for v in names) for names, _ in system])
    both = rank([sum(1 << v for v in names) | int(odd) for names, odd in system])
    assert found == (0 if both > left else 2 ** (9 - left))


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 30))
@settings(max_examples=60)
def test_models_are_counted_like_one_by_one(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    clauses = [
        tuple(int(v) for v in rng.choice(np.arange(1, n + 1), min(n, int(rng.integers(1, 4))), False))
        for _ in range(m)
    ]  # fmt: skip
    clauses = [tuple(v * int(rng.choice([-1, 1])) for v in c) for c in clauses]
    counter = ModelCounter(n)
    assert counter.count(clauses) == brute_count(clauses, n)
    assert counter.count(clauses[1:]) == brute_count(clauses[1:], n)  # what is kept of one count serves another


def test_a_count_that_takes_too_long_is_given_up(rng: np.random.Generator) -> None:
    clauses = random_clauses(rng, 40, 120)
    assert ModelCounter(40, most_steps=5).count(clauses) is None
    assert (ModelCounter(40).count(clauses) or 0) > 0


def test_separable_landscape_is_solved_whole_within_64_evaluations() -> None:
    """Four blocks of four bits: 4·2⁴ = 64 in place of 2¹⁶."""
    found = landscape(BitString(16), separable(16, 4), starts=16, budget=2**11)
    assert found.target.kind == "exact"
    assert found.target.value == 16.0  # one best point of 65,536
    assert found.decomposition.blocks == FOURS
    assert found.decomposition.exact
    assert found.decomposition.verdict == "decomposable"
    mode = found.mode("decomposed")
    assert mode.solved == mode.starts == 16
    assert 2**mode.predicted.value == 64.0
    assert max(n for n in mode.evaluations) <= 64
    assert mode.achieved.interval()[1] <= 6.0
    blind = found.mode("blind")
    assert (blind.predicted.value, blind.solved) == (16.0, 0)
    assert blind.achieved.kind == "lower_bound"
    assert found.mode("local").achieved.interval()[0] > mode.achieved.interval()[1]


def test_wrong_blocks_do_not_solve_it() -> None:
    """The control: four blocks of the same size that cut across the true ones."""
    objective = Objective(BitString(16), separable(16, 4))
    variables = Variables.of(BitString(16))
    rng = torch.Generator().manual_seed(0)
    x = objective.prior(32, rng)
    best = float(objective.losses(BitString(16).points(0, 2**16)).min()) + 1e-12
    right = decomposed_search(objective, variables, FOURS, x, best, 64, rng)
    across = tuple(tuple(range(i, 16, 4)) for i in range(4))
    wrong = decomposed_search(objective, variables, across, x, best, 64, rng)
    assert right.arrived.all()
    assert wrong.arrived.mean() < 0.3
    assert sign_test(right, wrong)[2] < 1e-4
    assert sign_test(wrong, right)[2] > 0.9


def test_the_landscape_in_which_all_depends_on_all_is_solved_by_nothing() -> None:
    """On independent losses no search that does not come back is better than another (Wolpert and Macready 1997), so of
    12 starts with 1024 tries 0.2 arrive. That 4 do has a probability below 1e-4; the control is far beyond."""
    found = landscape(BitString(16), ring(16, 15), starts=12, budget=2**10)
    assert found.target.value == 16.0
    assert found.decomposition.verdict == "not decomposable"
    assert "ot decomposable" in found.verdict
    assert all(mode.solved < 4 for mode in found.modes)
    control = landscape(BitString(16), ring(16, 1), starts=12, budget=2**10)
    assert control.mode("local").solved > 8


@pytest.mark.slow
def test_random_landscapes_are_rarely_called_decomposable() -> None:
    """At a level of 5% for each of two tests, more than 4 of 20 would have a chance below 0.3%."""
    found = [landscape(BitString(10), ring(10, 9, seed), seed, starts=12, budget=512) for seed in range(20)]
    called = [f.decomposition.verdict for f in found]
    for name in ("local", "decomposed"):
        # Without coming back (2¹⁰ + 1)/2 tries are needed on average, whatever the search.
        needed = [f.mode(name).achieved.value for f in found if not f.mode(name).why_not]
        assert np.mean(needed) > 8.5
    assert called.count("decomposable") <= 4
    assert set(called) <= {"decomposable", "not decomposable"}


def test_a_target_of_b_bits_takes_two_to_the_b_blind_tries() -> None:
    """Six bits that must all be 1: the number of tries is geometric with mean 64."""
    objective = Objective(BitString(6), lambda x: 6.0 - x.sum(-1))
    runs = blind_search(objective, 400, 0.0, 2000, torch.Generator().manual_seed(3))
    found = expected_evaluations(runs, "test")
    # The standard deviation of a geometric number is about its mean, so that of the logarithm is 1/ln 2/√400.
    assert found.stderr == pytest.approx(1 / math.log(2) / 20, rel=0.15)
    assert abs(found.value - 6.0) < 4 * found.stderr
    assert abs(found.value - 7.0) > 4 * found.stderr


@pytest.mark.parametrize("budget", [32, 400])
def test_expected_evaluations_cover_the_truth(budget: int, rng: np.random.Generator) -> None:
    """Geometric tries with p = 1/32, cut at a budget that most or few reach: 95% intervals hold 5 at 90% or more."""
    held = wide = 0
    for _ in range(400):
        tries = rng.geometric(1 / 32, 30)
        traces = Traces(30, 1, 0.0)
        traces.used, traces.arrived = np.minimum(tries, budget), tries <= budget
        low, high = expected_evaluations(traces, "test").interval()
        held += low <= 5.0 <= high
        wide += high - low > 3.0
        naive = np.log2(tries.mean() / 2)  # a figure that is one bit off has to fall outside
        assert not low <= naive - 1.0 <= high
    assert held >= 0.9 * 400
    assert wide < 0.1 * 400


def test_where_none_arrives_there_is_a_bound() -> None:
    traces = Traces(12, 100, 0.0)
    traces.add(torch.ones((12, 100)))
    found = expected_evaluations(traces, "test")
    assert (found.kind, found.status) == ("lower_bound", Status.BUDGET_SPENT)
    assert 2**found.value == pytest.approx(400)  # at p = 3/1200, 1200 tries fail with probability e⁻³ = 5%


def test_dependences_are_found_and_none_is_made_up() -> None:
    space = BitString(12)
    objective = Objective(space, separable(12, 3))
    found = couplings(objective, Variables.of(space), torch.Generator().manual_seed(0))
    inside = np.kron(np.eye(4), np.ones((3, 3)) - np.eye(3)) > 0
    assert np.array_equal(found.strength > 0, inside)
    assert found.evaluations == 6 * (1 + 12 + 66)
    assert candidate_blocks(found) == [tuple(tuple(range(3 * i, 3 * i + 3)) for i in range(4))]
    smooth = Objective(Box(-1, 1, dim=5), lambda x: x.pow(4).sum(-1) + 3 * x[:, 1] * x[:, 3])
    pair = couplings(smooth, Variables.of(smooth.space), torch.Generator().manual_seed(0)).strength
    assert {(i, j) for i, j in zip(*np.nonzero(np.triu(pair)), strict=True)} == {(1, 3)}


def test_dependences_of_a_formula_are_those_of_its_loss() -> None:
    """The mean |δ| of two variables of one clause of three is 1/2; the loss's variance sums 7/64 a clause."""
    cnf = CNF([(1, 2, 3), (-4, 5, 6)])
    strength = formula_couplings(cnf).strength
    assert strength[0, 1] == pytest.approx(0.5 / math.sqrt(14 / 64))
    assert strength[0, 3] == 0.0
    assert candidate_blocks(formula_couplings(cnf)) == [((0, 1, 2), (3, 4, 5))]


@pytest.mark.parametrize("dim", [3, 1000])
def test_cosine_of_a_random_direction(dim: int) -> None:
    """E[cos²] = 1/n and E|cos| ≈ √(2/πn): 25-fold apart at n = 1000."""
    objective = Objective(Gaussian(dim), lambda x: x.square().sum(-1))
    found = random_direction(dim, objective, torch.Generator().manual_seed(1))
    assert found.mean_square.value == 1 / dim
    assert found.mean_absolute.value == pytest.approx(math.sqrt(2 / math.pi / dim), rel=1 / (3 * dim) + 1e-3)
    for seen, truth in ((found.seen_square, found.mean_square), (found.seen_absolute, found.mean_absolute)):
        assert abs(seen.value - truth.value) < 4 * seen.stderr
        assert seen.stderr < 0.1 * truth.value
    if dim == 1000:
        assert found.mean_absolute.value / found.mean_square.value == pytest.approx(25.2, abs=0.1)
        assert abs(found.seen_square.value - found.mean_absolute.value) > 50 * found.seen_square.stderr


def test_constraints_add_what_they_should() -> None:
    """Of x0, x1 and "x0 or x1" the last follows from either; alone they cost 1, 1 and log2(4/3) bits."""
    rules = {"a": lambda x: x[:, 0] > 0, "b": lambda x: x[:, 1] > 0, "a or b": lambda x: x[:, :2].sum(-1) > 0}
    found = landscape(BitString(3), rules, starts=6, budget=64)
    assert found.target.value == 2.0
    third = math.log2(4 / 3)
    adds = {c.name: (c.adds.value, c.alone.value, c.interaction.value, c.verdict) for c in found.constraints}
    assert adds["a"] == (1.0, 1.0, 0.0, "binding")
    assert adds["a or b"] == (0.0, pytest.approx(third), pytest.approx(-third), "slack")
    assert found.interaction.value == pytest.approx(-third)


def test_constraints_of_a_continuous_space_are_measured() -> None:
    """A ball in [−1, 1]⁴ cut in half: log2(16 / (π²/2)) = 1.697 bits and 1; a bound that nothing reaches adds 0."""
    rules = {
        "ball": lambda x: x.square().sum(-1) - 1,
        "half": lambda x: -x[:, 0],
        "far": lambda x: x.sum(-1) - 9,
    }
    found = landscape(Box(-1, 1, dim=4), rules, starts=6, budget=64, repeats=3)
    truth = {"ball": ball_bits(4), "half": 1.0, "far": 0.0}
    assert abs(found.target.value - ball_bits(4) - 1) < 4 * found.target.stderr + 0.02
    assert found.target.stderr < 0.1
    for c in found.constraints:
        assert abs(c.adds.value - truth[c.name]) < 4 * c.adds.stderr + 0.02
        assert c.adds.stderr < 0.15
    assert found.constraint("far").verdict == "slack"
    assert found.constraint("ball").verdict == found.constraint("half").verdict == "binding"


def test_gradients_beat_blind_search_and_local_search_on_a_bowl() -> None:
    objective = Objective(Gaussian(20), lambda x: x.square().sum(-1))
    objective.check(0)
    rng = torch.Generator().manual_seed(0)
    x = objective.prior(16, rng)
    gradient = gradient_search(objective, x, 1e-3, 2000, rng)
    local = local_search(objective, Variables.of(objective.space), x, 1e-3, 2000, rng)
    assert gradient.arrived.all()
    assert local.arrived.all()
    assert gradient.used.max() < local.used.min()
    assert not blind_search(objective, 16, 1e-3, 2000, rng).arrived.any()


def test_many_valleys_are_decomposed() -> None:
    """Rastrigin's function in four dimensions: 9 to 11 valleys a coordinate, 4 times ten in place of ten thousand."""

    def valleys(x: torch.Tensor) -> torch.Tensor:
        return (x.square() + 10 * (1 - torch.cos(2 * math.pi * x))).sum(-1)

    objective = Objective(Box(-5, 5, dim=4), valleys)
    variables = Variables.of(objective.space)
    rng = torch.Generator().manual_seed(0)
    x = objective.prior(8, rng)
    whole = local_search(objective, variables, x, 1.0, 2000, rng)
    parts = decomposed_search(objective, variables, ((0,), (1,), (2,), (3,)), x, 1.0, 2000, rng)
    assert parts.arrived.sum() >= 7
    assert sign_test(parts, whole)[2] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("dim", [20, 50])
def test_a_ball_in_a_cube(dim: int) -> None:
    found = landscape(Box(-1, 1, dim=dim), {"ball": lambda x: x.square().sum(-1) - 1}, starts=6, budget=128)
    assert abs(found.target.value - ball_bits(dim)) < 5 * found.target.stderr + 0.02
    assert found.target.stderr < 0.15
    assert found.mode("blind").predicted.value == found.target.value
    assert found.constraints[0].adds.value == found.target.value


@pytest.mark.slow
def test_a_bowl_with_seventy_free_dimensions() -> None:
    found = landscape(Box(-1, 1, dim=100), lambda x: x[:, :30].square().sum(-1), tolerance=1e-4, starts=6, budget=256)
    assert abs(found.target.value - ball_bits(30, 0.01)) < 5 * found.target.stderr
    assert found.target.stderr < 0.3
    assert abs(found.learning_coefficient.value - 15) < 0.1
    assert abs(found.free_dimensions.value - 70) < 0.2
    assert found.mode("gradient").solved == 6
    assert found.mode("gradient").achieved.value < 8


@pytest.mark.slow
def test_a_long_chain_of_parities_through_the_front_door() -> None:
    found = landscape(CNF(parity_chain(20)), starts=6, budget=2**11)
    assert found.target.value == 20.0
    assert found.target.kind == "exact"
    assert found.interaction.value == 0.0
    assert abs(found.engine_target.value - 20.0) < 5 * found.engine_target.stderr + 0.5
