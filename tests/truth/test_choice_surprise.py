"""Bits of surprise against counting, enumeration and plain Monte Carlo; the size of the tests of noisy choices."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import pindown
from pindown import Budgets, Menus, Pairs
from pindown.choices import stochastic
from pindown.choices.axioms import Relation
from pindown.choices.budget_indices import ccei
from pindown.choices.chance import of_budgets
from pindown.choices.chance_losses import BudgetLoss, MenuLoss
from pindown.choices.counting import coherent_patterns
from pindown.choices.graphs import rows_of, some_cycle
from pindown.choices.one_by_one import coherent_bits, picks_of
from pindown.choices.stochastic import (
    StochasticTest,
    menu_tests,
    pair_tests,
    random_utility,
    strong_transitivity,
    weak_transitivity,
)
from pindown.engine.measure import measure
from pindown.spaces.patterns import Patterns


def counted(menus: list[tuple[int, ...]]) -> tuple[int, int]:
    """Coherent patterns and all patterns, by looking at each."""
    coherent, total = 0, 0
    for picks in itertools.product(*menus):
        edges = np.zeros((10, 10), dtype=bool)
        for menu, taken in zip(menus, picks, strict=True):
            edges[taken, [i for i in menu if i != taken]] = True
        coherent += some_cycle(rows_of(edges)) is None
        total += 1
    return coherent, total


def designs() -> list[list[tuple[int, ...]]]:
    rng = np.random.default_rng(1)
    out = [[(0, 1), (1, 2), (0, 2)], [(i, (i + 1) % 10) for i in range(10)], [(0, 1, 2)] * 2]
    for _ in range(12):
        k = int(rng.integers(3, 11))
        sizes = [int(rng.integers(2, min(k, 4) + 1)) for _ in range(int(rng.integers(2, 7)))]
        out.append([tuple(sorted(rng.choice(k, size=s, replace=False).tolist())) for s in sizes])
    return out


@pytest.mark.parametrize("menus", designs(), ids=str)
def test_exact_surprise_equals_enumeration(menus: list[tuple[int, ...]]) -> None:
    coherent, total = counted(menus)
    found = pindown.coherence(Menus(menus, [min(m) for m in menus]))
    assert found.surprise.kind == "exact"
    assert found.surprise.value == pytest.approx(math.log2(total / coherent), abs=1e-12)
    assert found.vacuous == (coherent == total)


@pytest.mark.parametrize("compared", [d for d in designs() if all(len(m) == 2 for m in d)] + [
    list(itertools.combinations(range(5), 2)), [(0, k) for k in range(1, 10)],
    [(i, (i + s) % 10) for s in (1, 3) for i in range(7)],
], ids=len)  # fmt: skip
def test_exact_surprise_of_pairs_equals_enumeration(compared: list[tuple[int, int]]) -> None:
    """Coherent and not: the lower number wins everywhere, and then a coin decides each comparison."""
    compared = list(dict.fromkeys(compared))  # counts of one pair are added up
    coherent, total = counted(compared)
    low, high = [min(p) for p in compared], [max(p) for p in compared]
    found = pindown.coherence(Pairs(low, high))
    assert found.coherent
    assert found.surprise.kind == "exact"
    assert found.surprise.value == pytest.approx(math.log2(total / coherent), abs=1e-12)
    wins = np.random.default_rng(3).integers(0, 2, len(compared))
    other = pindown.coherence(Pairs(low, high, wins, 1 - wins))
    assert other.surprise.kind == "exact"
    assert other.surprise.value <= found.surprise.value + 1e-12


def test_all_pairs_and_five_triples_of_five_items() -> None:
    """Ten pairs tell all 120 orders apart, so that 120 of 2^10 · 3^5 = 248,832 patterns are coherent: 11.02 bits."""
    menus = [*itertools.combinations(range(5), 2), *list(itertools.combinations(range(5), 3))[:5]]
    found = pindown.coherence(Menus(menus, [min(m) for m in menus]))
    assert "120 of 248,832 patterns" in found.method
    assert found.surprise.value == pytest.approx(math.log2(248_832 / 120))
    assert round(found.surprise.value, 2) == 11.02


def test_twelve_menus_with_as_many_patterns_cannot_tell_all_orders_apart() -> None:
    """Two orders that differ in their lowest two items differ on the menu of just these two.

    Without all ten pairs fewer than 120 patterns are coherent, so that no twelve menus with 248,832 patterns have 120:
    those sizes leave room for four pairs, beside five triples and three menus of four.
    """
    pairs, triples, fours = ([*itertools.combinations(range(5), k)] for k in (2, 3, 4))
    menus = [*pairs[:4], *triples[:5], *fours[:3]]
    assert len(menus) == 12
    assert math.prod(map(len, menus)) == 248_832
    patterns = {tuple(min(m, key=o.index) for m in menus) for o in itertools.permutations(range(5))}
    assert coherent_patterns(menus, 5) == len(patterns) < 120


def test_incoherent_patterns_are_enumerated_by_their_swaps() -> None:
    menus = [(0, 1), (1, 2), (0, 2), (0, 1, 2), (1, 2, 3)]
    found = pindown.coherence(Menus(menus, [0, 1, 2, 0, 1]))
    swaps = []
    for picks in itertools.product(*menus):
        swaps.append(
            min(
                sum(sum(o.index(i) < o.index(t) for i in m) for m, t in zip(menus, picks, strict=True))
                for o in itertools.permutations(range(4))
            )
        )
    share = sum(s <= found.swaps.value for s in swaps) / len(swaps)
    assert found.surprise.value == pytest.approx(-math.log2(share))
    assert found.observed == found.swaps.value


def tournament_bits(items: int, seed: int) -> float:
    """How rare orders are among tournaments, measured by splitting."""
    pairs = list(itertools.combinations(range(items), 2))
    loss = MenuLoss(pairs, items)
    profile = measure(Patterns([2] * len(pairs)), loss, tolerance=0.0, particles=200, seed=seed, jobs=1)
    assert profile.status.ok
    assert profile.engine == "splitting"
    return profile.bits().value


def tournament_truth(items: int) -> float:
    """Of ``2^(n(n−1)/2)`` tournaments ``n!`` are orders."""
    return math.comb(items, 2) - math.log2(math.factorial(items))


def test_splitting_at_thirteen_bits() -> None:
    assert abs(tournament_bits(8, 0) - tournament_truth(8)) < 1.0


@pytest.mark.slow
def test_splitting_at_thirty_bits_in_twenty_seeds() -> None:
    """Eleven items: 29.75 bits."""
    truth = tournament_truth(11)
    assert 29.5 < truth < 30.0
    assert [s for s in range(20) if abs(tournament_bits(11, s) - truth) >= 1.0] == []


def of_patterns(menus: list[tuple[int, ...]], items: int) -> float:
    """Bits of one order among random picks from these different menus, by counting."""
    return sum(math.log2(len(m)) for m in menus) - math.log2(coherent_patterns(menus, items))


@pytest.mark.parametrize("seed", range(4))
def test_picking_from_one_menu_after_the_other_equals_counting(seed: int) -> None:
    """Every estimate within four of its errors, and no error above a tenth of a bit at up to 30 bits."""
    rng = np.random.default_rng(seed)
    items = int(rng.integers(6, 12))
    menus = [tuple(sorted(rng.choice(items, int(rng.integers(2, 5)), replace=False).tolist())) for _ in range(30)]
    menus = list(dict.fromkeys(menus))
    bits, error = coherent_bits([picks_of(m) for m in menus], items, seed, choosers=1000)
    assert 0.0 < error < 0.1
    assert abs(bits - of_patterns(menus, items)) < 4 * error


def test_all_orders_of_thirteen_items_by_picking() -> None:
    """Of 2^78 tournaments 13! are orders: 45.46 bits. Every menu twice costs the bits of the second answers more."""
    pairs = list(itertools.combinations(range(13), 2))
    for times in (1, 2):
        found = pindown.coherence(Menus(pairs * times, [min(p) for p in pairs] * times))
        assert "one menu after the other" in found.method
        assert 0.0 < found.surprise.stderr < 0.1
        truth = tournament_truth(13) + len(pairs) * (times - 1)
        assert abs(found.surprise.value - truth) < 4 * found.surprise.stderr


def test_offers_by_picking_equal_enumeration() -> None:
    """Every way to accept offers: those without a ring of accepted ones, 13 offers among six items."""
    rng = np.random.default_rng(5)
    all_offers = [(a, b) for a in range(6) for b in range(6) if a != b]
    offers = [all_offers[k] for k in rng.permutation(len(all_offers))[:13]]
    free = 0
    for answers in itertools.product((0, 1), repeat=len(offers)):
        rows = [0] * 6
        for (a, b), yes in zip(offers, answers, strict=True):
            rows[b] |= yes << a
        free += some_cycle(rows) is None
    bits, error = coherent_bits([[(a, []), (b, [a])] for a, b in offers], 6, 0)
    assert 0.0 < error < 0.02
    assert abs(bits - math.log2(2 ** len(offers) / free)) < 4 * error


def test_picking_without_looking_at_what_is_above_would_find_no_bits() -> None:
    pairs = list(itertools.combinations(range(6), 2))
    blind, _ = coherent_bits([[(a, []), (b, [])] for a, b in pairs], 6, 0)
    assert blind == 0.0
    assert of_patterns(pairs, 6) > 5.0


def budgets(n: int, seed: int) -> Budgets:
    """Coherent shares of random budgets on two goods."""
    rng = np.random.default_rng(seed)
    prices = rng.uniform(0.1, 1.0, (n, 2))
    return Budgets(prices, 0.5 / prices)


def test_the_vectorised_loss_is_one_less_the_index() -> None:
    table = budgets(9, 0)
    loss = BudgetLoss(Relation(table).spending)
    shares = np.random.default_rng(1).dirichlet([1.0, 1.0], (40, 9))
    found = loss(shares.reshape(40, -1))
    assert (found > 0).any()
    for row, value in zip(shares, found, strict=True):
        drawn = Budgets(table.prices, np.maximum(row, 1e-300) / table.prices)
        assert value == pytest.approx(1.0 - ccei(Relation(drawn)).value, abs=1e-9)


def test_surprise_of_budgets_equals_plain_monte_carlo() -> None:
    """Six budgets: the share of coherent random choosers, from 40,000 of them."""
    table = budgets(6, 4)
    relation = Relation(table)
    loss = BudgetLoss(relation.spending)
    shares = np.random.default_rng(2).dirichlet([1.0, 1.0], (40_000, 6)).reshape(40_000, -1)
    share = float((loss(shares) <= 1e-12).mean())
    error = math.sqrt((1 - share) / share / 40_000) / math.log(2)
    found = of_budgets(relation.spending, 1.0, 0).surprise
    assert found.stderr < 0.15
    assert abs(found.value + math.log2(share)) < 4 * math.hypot(found.stderr, error)


def bits_by_turns(prices: np.ndarray, choosers: int, runs: int, seed: int) -> tuple[float, float]:
    """Bits of coherent shares of budgets of 1 on two goods, apart from the engine, with their error.

    With two goods GARP holds just where no two budgets violate WARP (Rose 1958). What earlier choices leave of the next
    budget is then an interval: where its bundle was affordable at an earlier budget whose bundle it can afford, it is
    barred, and such shares are one end of the budget. Shares are drawn from what is left; the mean product of the
    lengths is the share of coherent choosers. Those with short intervals are replaced by copies of others on the way.
    """
    p = prices[np.argsort(prices[:, 0] / prices[:, 1])]
    rng, logs = np.random.default_rng(seed), list[float]()
    for _ in range(runs):
        shares, log = np.zeros((choosers, len(p))), 0.0
        for k in range(len(p)):
            low, high = np.zeros(choosers), np.ones(choosers)
            for i in range(k):
                shown = affordable(p[k], p[i], shares[:, i])
                ends = affordable(p[i], p[k], np.array([0.0, 1.0]))
                if ends.all():
                    low = np.where(shown, high, low)
                elif ends.any():
                    c, d = p[i] / p[k]
                    cut = (1.0 - d) / (c - d)
                    low = np.where(shown & ends[0], np.maximum(low, cut), low)
                    high = np.where(shown & ends[1], np.minimum(high, cut), high)
            length = np.maximum(high - low, 0.0)
            log += math.log(length.mean())
            shares[:, k] = low + length * rng.random(choosers)
            marks = (rng.random() + np.arange(choosers)) / choosers
            shares = shares[np.searchsorted(np.cumsum(length) / length.sum(), marks).clip(0, choosers - 1)]
        logs.append(log)
    found = np.exp(np.array(logs) - max(logs))
    error = found.std(ddof=1) / found.mean() / math.sqrt(runs) / math.log(2)
    return -(max(logs) + math.log(found.mean())) / math.log(2), float(error)


def affordable(at: np.ndarray, of: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Whether what a share on the first good buys at the prices ``of`` costs at most 1 at the prices ``at``."""
    return share * at[0] / of[0] + (1.0 - share) * at[1] / of[1] <= 1.0


def test_two_budgets_have_the_chance_that_can_be_worked_out() -> None:
    """At prices (1, 2) and (2, 1) a third of either budget is affordable at the other: a ninth of choosers violate.

    Of the budget at (1, 2) it is the third that spends least on the first good, 2 s + (1 − s)/2 ≤ 1.
    """
    bits, error = bits_by_turns(np.array([[1.0, 2.0], [2.0, 1.0]]), 20_000, 8, 0)
    assert error < 0.005
    assert abs(bits + math.log2(8 / 9)) < 4 * error
    found = of_budgets(Relation(Budgets([[1, 2], [2, 1]], [[0.5, 0.25], [0.25, 0.5]])).spending, 1.0, 0).surprise
    assert 0.0 < found.stderr < 0.01
    assert abs(found.value + math.log2(8 / 9)) < 4 * found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 5])
def test_fifty_budgets_of_two_goods_are_far_beyond_a_power_of_one(seed: int) -> None:
    """Plain Monte Carlo never sees a coherent chooser; splitting finds the figure of an estimator apart from it.

    A peer's power is 1.000 here and its bits are infinite. With these prices they are between 27 and 31.
    """
    table = budgets(50, seed)
    truth, error = bits_by_turns(table.prices, 4000, 10, 0)
    assert error < 0.3
    assert 27.0 < truth < 31.0
    found = pindown.coherence(table)
    assert found.coherent
    assert found.surprise.status.ok
    assert found.surprise.stderr < 0.7
    assert abs(found.surprise.value - truth) < 4 * math.hypot(found.surprise.stderr, error)
    assert 27.0 < found.surprise.value < 31.0
    assert min(found.drawn) > 0


def test_budgets_that_do_not_cross_are_vacuous() -> None:
    found = pindown.coherence(Budgets([[1, 1], [0.5, 0.5], [0.25, 0.25]], [[1, 1], [4, 0], [0, 8]]))
    assert found.coherent
    assert found.vacuous
    crossing = pindown.coherence(Budgets([[1, 2], [2, 1]], [[2, 1], [1, 2]]))
    assert crossing.coherent
    assert not crossing.vacuous


def test_the_seed_decides() -> None:
    one, again, other = (pindown.coherence(budgets(6, 4), seed=s).surprise for s in (3, 3, 4))
    assert one == again
    assert one != other


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pindown.coherence(budgets(4, 4))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


ITEMS = ["a", "b", "c", "d"]
ALL = list(itertools.combinations(range(4), 2))


def noisy(chance: Any, n: int, rng: np.random.Generator, pairs: list[tuple[int, int]] = ALL) -> Pairs:
    wins = [int(rng.binomial(n, chance(i, j))) for i, j in pairs]
    return Pairs([ITEMS[i] for i, _ in pairs], [ITEMS[j] for _, j in pairs], wins, [n - w for w in wins])


NULLS = {
    "coins": lambda i, j: 0.5,
    "nearly coins": lambda i, j: 0.52,
    "far apart": lambda i, j: 0.5 + 0.15 * (j - i),
}


@pytest.mark.parametrize("null", NULLS)
def test_size_of_the_tests_of_noisy_choices(null: str) -> None:
    """Each law lies in all three hypotheses. A test of size 5% rejects ten of 60 or more once in 1000."""
    rng = np.random.default_rng(7)
    rejected = np.zeros(3)
    for _ in range(60):
        rejected += [t.rejected for t in pair_tests(noisy(NULLS[null], 40, rng))]
    assert (rejected < 10).all()


@pytest.mark.slow
@pytest.mark.parametrize("null", NULLS)
def test_size_of_the_tests_of_noisy_choices_in_a_thousand(null: str) -> None:
    rng = np.random.default_rng(8)
    values = [[t.p_value for t in pair_tests(noisy(NULLS[null], 40, rng))] for _ in range(1000)]
    for level in (0.01, 0.05, 0.2):
        share = (np.array(values) <= level).mean(axis=0)
        assert (share <= level + 3 * math.sqrt(level * (1 - level) / 1000)).all()


def law_of(chance: Any, n: int) -> list[tuple[Pairs, float]]:
    """Every outcome of ``n`` comparisons of each pair of three items, with its chance."""
    pairs = list(itertools.combinations(range(3), 2))
    out: list[tuple[Pairs, float]] = []
    for wins in itertools.product(range(n + 1), repeat=3):
        p = [chance(i, j) for i, j in pairs]
        weight = math.prod(math.comb(n, w) * c**w * (1 - c) ** (n - w) for w, c in zip(wins, p, strict=True))
        table = Pairs([ITEMS[i] for i, _ in pairs], [ITEMS[j] for _, j in pairs], wins, [n - w for w in wins])
        out.append((table, weight))
    return out


@pytest.mark.parametrize("null", ["coins", "far apart"])
def test_the_mean_of_each_e_value_is_at_most_one(null: str) -> None:
    """Summed over every outcome, which is what makes the size exact at every level.

    From below it is held by the same mean with the greatest likelihood of all in the place of the hypothesis' own, less
    what the search for that may add. The control: the greatest likelihood in the place of the mixture is the likelihood
    ratio as it is often used, whose mean is above 1.
    """
    law = law_of(NULLS[null], 2)
    assert sum(weight for _, weight in law) == pytest.approx(1.0)
    means, control, least = np.zeros(3), np.zeros(3), 0.0
    for table, weight in law:
        logs = np.array([t.log_e for t in pair_tests(table)])
        free, best = stochastic._free(table), stochastic._best(table)
        means += weight * np.exp(logs)
        least += weight * math.exp(free - best)
        control += weight * np.exp(logs - free + best)
    assert (means <= 1.0).all()
    assert (means >= 0.97 * least).all()
    assert (control > 1.0).all()


def test_the_mean_of_the_e_value_of_menus_is_at_most_one() -> None:
    """Two menus, each twice, under an even mixture of two orders."""
    menus = [(0, 1), (0, 1), (0, 1, 2), (0, 1, 2)]
    # The orders 0 1 2 and 2 1 0 take 0 or 1 of the pair, 0 or 2 of the three.
    chances = [{0: 0.5, 1: 0.5}] * 2 + [{0: 0.5, 1: 0.0, 2: 0.5}] * 2
    mean = 0.0
    for picks in itertools.product(*menus):
        weight = math.prod(c[p] for c, p in zip(chances, picks, strict=True))
        if weight:
            mean += weight * math.exp(menu_tests(Menus(menus, picks))[0].log_e)
    assert 0.01 < mean <= 1.0


def test_power_of_the_tests_of_noisy_choices() -> None:
    """A ring at 95% violates all three; weak order without strong violates strong only."""
    rng = np.random.default_rng(9)

    def ring(i: int, j: int) -> float:
        return 0.95 if (j - i) % 4 == 1 else 0.05 if (i - j) % 4 == 1 else 0.5

    assert all(t.rejected for t in pair_tests(noisy(ring, 100, rng)))

    def weak_only(i: int, j: int) -> float:
        return 0.95 if j == i + 1 else 0.55

    table = noisy(weak_only, 400, rng)
    assert not weak_transitivity(table).rejected
    assert strong_transitivity(table).rejected


def test_pairs_never_compared_stay_missing() -> None:
    """A chain a > b > c > d with nothing else compared violates nothing, however sure it is; filled in with ½ it would
    violate strong transitivity."""
    rng = np.random.default_rng(10)
    chain = [(0, 1), (1, 2), (2, 3)]
    missing = noisy(lambda i, j: 0.95, 500, rng, chain)
    assert not any(t.rejected for t in pair_tests(missing))
    filled = noisy(lambda i, j: 0.95 if (i, j) in chain else 0.5, 500, rng)
    assert strong_transitivity(filled).rejected


def test_random_utility_of_menus() -> None:
    """A mixture of orders is not rejected; an item that gains from more competition is (regularity)."""
    rng = np.random.default_rng(11)
    menus = [(0, 1), (0, 1, 2)] * 200
    orders = [(0, 1, 2), (2, 1, 0)]
    mixed = [min(m, key=orders[rng.integers(0, 2)].index) for m in menus]
    (test,) = menu_tests(Menus(menus, mixed))
    assert not test.rejected
    decoyed = [(0 if rng.random() < 0.3 else 1) if len(m) == 2 else (0 if rng.random() < 0.7 else 1) for m in menus]
    (test,) = menu_tests(Menus(menus, decoyed))
    assert test.rejected
    assert menu_tests(Menus([(0, 1)], [0])) == ()


def test_the_record_of_a_test_and_what_is_too_large() -> None:
    many = Pairs(["x"] * 9, [f"y{k}" for k in range(9)])
    test = random_utility(many)
    assert not test.stated
    assert not test.rejected
    assert StochasticTest.from_dict(test.to_dict()).to_dict() == test.to_dict()
    assert str(test) == "not tested: too many items"
