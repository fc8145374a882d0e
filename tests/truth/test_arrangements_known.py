"""Known answers about arrangements, the control that must break the collapse, and the regions that refute the claim."""

from __future__ import annotations

import json
import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linear_sum_assignment

import pindown
from pindown import Arrangements, ValueProblem
from pindown.values import lock_and_key, steering_bits
from pindown.values.arranging import Base, BestOf, Committee, Oracle, Quantiliser, Singleton, best_of, share_of_best
from pindown.values.bench import Bench, Settings, surprisal
from pindown.values.choice_sources import Comparisons
from pindown.values.coupling import Blocks, CoupledBlocks, equilibria, price_of_anarchy
from pindown.values.equivalence import compare_with_margin, holm
from pindown.values.market import Market, market_prices
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.reading_sources import Channel
from pindown.values.refuting_regions import coupled_problem, refuting_regions
from pindown.values.trials import play
from pindown.values.variance_shares import variance_shares
from pindown.values.views import Human, Views

BARE = {"sharing": (), "tails": (), "shortlists": (), "regions": False}


def arranged(problem: ValueProblem, compared: Any = None, **options: Any) -> Arrangements:
    """Through the record, without sweeps and regions."""
    found = pindown.arrangements(problem, compared, **{**BARE, **options})
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Arrangements.from_dict(record).to_dict() == found.to_dict()
    return found


def linear(plans: int = 24, features: int = 3, particles: int = 200, seed: int = 0, **options: Any) -> ValueProblem:
    table = np.random.default_rng(seed).normal(size=(plans, features))
    return ValueProblem(table, LinearValues(features, "sphere", particles=particles), 0.2, [Comparisons(**options)])


def halves(bits: int) -> ValueProblem:
    """2^bits hypotheses of which each accepts one plan, and a noiseless question for each bit."""
    n = 2**bits
    answers = (np.arange(n)[:, None] >> np.arange(bits)) & 1
    return ValueProblem(Plans(n), Hypotheses(np.eye(n)), "same", [Channel(answers.astype(float), name="halves")])


# Information, optimisation bits and what the person tells, in closed form.


def test_every_halving_question_is_one_bit_and_the_optimisation_follows() -> None:
    """After m of k answers 2^(k−m) plans tie: acceptable with 2^(m−k), and k bits of optimisation as often."""
    found = arranged(halves(5), [], levels=range(6), episodes=20)
    for m, cell in enumerate(found.lines[0].cells):
        assert cell.information.value == pytest.approx(m, abs=1e-9)
        assert cell.acceptable.value == pytest.approx(2.0 ** (m - 5), abs=1e-12)
        assert cell.optimisation.value == pytest.approx(5 * 2.0 ** (m - 5), abs=1e-9)
        assert cell.bought.value == pytest.approx(5 * (2.0 ** (m - 5) - 2.0**-5) - m, abs=1e-9)
        assert cell.optimisation.kind == "exact"


def test_a_pick_is_charged_for_what_it_tells_and_not_for_its_capacity() -> None:
    """Of M plans that tie K are shown. The pick is the truth with K/M, else blind: (K/M) log2 K bits, of log2 K."""
    found = arranged(halves(5), [Oracle(4)], levels=[0, 1, 2], episodes=400, rationality=math.inf)
    for cell in found.line("oracle").cells:
        left = 2 ** (5 - cell.answers)
        assert cell.capacity == pytest.approx(2.0)
        assert cell.told.value == pytest.approx(4 / left * 2.0, abs=1e-9)
        assert cell.acceptable.value == pytest.approx(4 / left, abs=4 * cell.acceptable.stderr + 1e-9)
        assert cell.acceptable.stderr < 0.03


def test_optimisation_bits_of_the_ranks() -> None:
    assert surprisal(np.arange(8.0), np.full(8, 1 / 8)) == pytest.approx([-math.log2((8 - k) / 8) for k in range(8)])
    weighted = surprisal(np.array([2.0, 1.0, 1.0]), np.array([0.2, 0.5, 0.3]))
    assert weighted == pytest.approx([-math.log2(0.2), 0.0, 0.0])


def test_a_recorded_transcript_is_that_of_every_episode() -> None:
    told = [("halves", 0, 1), ("halves", 1, 1)]
    found = arranged(halves(3), [], answers=told, episodes=40)
    last = found.lines[0].cells[-1]
    assert found.transcript == "2 recorded"
    assert (last.answers, last.information.value) == (2, pytest.approx(2.0, abs=1e-9))
    assert last.acceptable.value == pytest.approx(0.5, abs=1e-12)  # values 3 and 7 are left


def test_a_member_who_sees_every_other_answer_is_worth_that_much_less() -> None:
    """Two members: the first has ⌈m/2⌉ of m answers, so that it is worth −⌊m/2⌋ bits: (0 + 0 + 1 + 1 + 2)/5 too few."""

    def first(views: Views, human: Human) -> Any:
        return views.members[0].best()

    found = arranged(halves(4), [first], levels=range(5), episodes=20, members=2)
    line = found.line("first")
    assert line.worth.value == pytest.approx(-0.8, abs=1e-9)
    assert line.cells[4].excess.value == pytest.approx(4 * 2.0**-2 - 4.0, abs=1e-9)


# What is the same by proof.


@pytest.mark.parametrize("by", ["mean", "median", "vote"])
def test_a_committee_with_one_posterior_is_the_singleton_exactly(by: Any) -> None:
    found = arranged(linear(), [Committee(by, "shared")], levels=[0, 2, 8], episodes=30, members=4)
    for one, other in zip(found.lines[0].cells, found.lines[1].cells, strict=True):
        assert other.excess.value == 0.0
        assert other.excess.kind == "exact"
        assert other.optimisation == one.optimisation
        assert other.outcome == "equivalent"
    apart = arranged(linear(), [Committee(by, "split")], levels=[0, 2, 8], episodes=30, members=4)
    assert any(c.excess.value != 0.0 for c in apart.lines[1].cells)  # the control: split information differs


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0.01, 1.0))
@settings(max_examples=60)
def test_a_quantiliser_is_a_distribution_and_the_whole_share_is_the_base(score: list[float], q: float) -> None:
    base = np.linspace(1.0, 2.0, len(score))
    base /= base.sum()
    assert share_of_best(np.array(score), base, 1.0) == pytest.approx(base, abs=1e-12)
    some = share_of_best(np.array(score), base, q)
    assert some.sum() == pytest.approx(1.0)
    assert (some <= base / q + 1e-9).all()


def test_with_full_knowledge_a_quantiliser_takes_what_its_ranks_say() -> None:
    """The best quarter of sixteen: (1/4) Σ log2(16/k) over the first four; q = 1 is the base in every cell."""
    ranks = np.argsort(np.random.default_rng(0).normal(size=(16, 16)), axis=1).astype(float)
    which = Channel(np.eye(16)[:, None, :], name="which")
    problem = ValueProblem(16, Hypotheses(ranks), 0.0, [which])
    found = arranged(problem, [Quantiliser(0.25), Quantiliser(1.0, "all"), BestOf(4)], levels=[1], episodes=20)
    assert found.line("quantiliser").cells[-1].optimisation.value == pytest.approx(
        np.mean([math.log2(16 / k) for k in range(1, 5)]), abs=1e-9
    )
    assert [c.optimisation for c in found.line("all").cells] == [c.optimisation for c in found.line("base").cells]
    weights = [((k / 16) ** 4 - ((k - 1) / 16) ** 4) for k in range(1, 17)]  # of the k-th worst
    expected = sum(w * math.log2(16 / (17 - k)) for k, w in enumerate(weights, start=1))
    assert found.line("best of n").cells[-1].optimisation.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("k", "m"), [(2, 3), (5, 4), (1, 7)])
def test_one_best_of_km_is_k_independent_best_of_m_with_a_final(k: int, m: int) -> None:
    rng = np.random.default_rng(1)
    score, base = rng.integers(0, 5, size=9).astype(float), rng.dirichlet(np.ones(9))
    once = best_of(score, base, k * m)
    assert best_of(score, best_of(score, base, m), k) == pytest.approx(once, abs=1e-12)
    # And by drawing: the winner of each round of m, then the best of the k winners, ties broken evenly by rank of draw.
    draws = rng.choice(9, p=base, size=(40_000, k, m))
    rounds = np.take_along_axis(draws, score[draws].argmax(axis=2)[..., None], axis=2)[..., 0]
    final = np.take_along_axis(rounds, score[rounds].argmax(axis=1)[:, None], axis=1)[:, 0]
    seen = np.bincount(final, minlength=9) / len(final)
    assert seen == pytest.approx(once, abs=4 * 0.5 / math.sqrt(len(final)))
    assert abs(seen - best_of(score, base, k * m + 4 * m)).max() > 0.01 or k * m > 15  # the control: more draws differ
    found = arranged(linear(), [BestOf(k * m), BestOf(m, k, "rounds")], levels=[4], episodes=20)
    for one, other in zip(found.lines[1].cells, found.lines[2].cells, strict=True):
        assert one.optimisation.value == pytest.approx(other.optimisation.value, abs=1e-9)


# Blocks, equilibria and markets.


def test_separable_blocks_are_the_singleton_and_coupled_ones_are_not() -> None:
    grid = Blocks.grid(*[2] * 5)
    for owners in (None, np.arange(15) % 5):
        # At κ = 0 the pairs have no effect, whoever owns them; each block then has a part of its own.
        found = arranged(coupled_problem(5, 0.0), [CoupledBlocks(grid, owners=owners)], levels=[0, 10], episodes=40)
        assert [c.excess.value for c in found.lines[1].cells] == [0.0, 0.0]
    apart = arranged(coupled_problem(8, 3.0), [CoupledBlocks(Blocks.grid(*[2] * 8))], levels=[0, 20], episodes=60)
    assert apart.lines[1].cells[-1].outcome == "different"


def pigou(cars: int) -> tuple[Blocks, np.ndarray]:
    """Two roads: one costs 1, the other the share of the cars on it (choice 1). Costs to each car."""
    grid = Blocks.grid(*[2] * cars)
    return grid, np.where(grid.table.T == 1, grid.table.mean(axis=1), 1.0)


@pytest.mark.parametrize("cars", [2, 4, 7, 10])
def test_pigou_costs_four_thirds(cars: int) -> None:
    """All on the open road is an equilibrium of cost 1 a car; with k there it is 1 − k/n + (k/n)², 3/4 at n/2."""
    grid, cost = pigou(cars)
    least = min((cars - k) / cars + (k / cars) ** 2 for k in range(cars + 1))
    ratio = price_of_anarchy(grid, cost).value
    assert ratio == pytest.approx(1.0 / least, abs=1e-12)
    if cars % 2 == 0:
        assert ratio == pytest.approx(4 / 3, abs=1e-12)
    else:
        assert ratio < 4 / 3
    assert len(grid.table) - 1 in equilibria(grid, -cost)


def test_selfish_blocks_pay_pigous_price_and_those_who_mind_all_do_not() -> None:
    grid, cost = pigou(6)
    parts = -cost[:, None, :]
    value = parts.sum(axis=0)
    problem = ValueProblem(
        64, Hypotheses(value), 0.0, [Channel(np.full((1, 1), 0.5), name="nothing")], name="two roads"
    )
    crowded = len(grid.table) - 1
    selfish = CoupledBlocks(grid, parts, start=crowded, name="selfish")
    minding = CoupledBlocks(grid, parts, coupling=np.ones((6, 6)), start=crowded, name="minding")
    found = arranged(problem, [selfish, minding], levels=[1], episodes=20)
    best = -float(value.max())
    assert best == pytest.approx(6 * 0.75)
    assert (best + found.line("selfish").cells[-1].regret.value) / best == pytest.approx(4 / 3, abs=1e-9)
    assert found.line("minding").cells[-1].regret.value == pytest.approx(0.0, abs=1e-9)


def test_prisoners_do_not_cooperate_and_pennies_have_no_equilibrium() -> None:
    grid = Blocks.grid(2, 2)
    assert equilibria(grid, [[3, 0, 5, 1], [3, 5, 0, 1]]).tolist() == [3]
    pennies = price_of_anarchy(grid, [[0, 1, 1, 0], [1, 0, 0, 1]])
    assert pennies.status.value == "unsupported"


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_programme_market_comes_to_the_planners_value(seed: int) -> None:
    """Assignment: the prices' value is that of the best of all permutations, and each buyer wants what it gets."""
    gains = np.random.default_rng(seed).normal(size=(5, 5))
    found = market_prices(gains, np.eye(5), np.ones(5))
    best = max(gains[np.arange(5), p].sum() for p in permutations(range(5)))
    assert found.value == pytest.approx(best, abs=1e-9)
    rows, columns = linear_sum_assignment(-gains)
    assert (gains - found.prices)[rows, columns] == pytest.approx(found.surplus, abs=1e-9)
    assert found.shares[rows, columns] == pytest.approx(np.ones(5), abs=1e-9)
    assert (found.prices >= 0).all()


def assignment(things: int, particles: int = 150) -> tuple[ValueProblem, Blocks, np.ndarray]:
    """Buyers and things, one each; what a thing is worth to a buyer is unknown."""
    orders = np.array(list(permutations(range(things))))
    features = np.stack([np.eye(things)[o].ravel() for o in orders])
    prior = LinearValues(things * things, particles=particles)
    pairs = np.random.default_rng(2).permuted(np.tile(np.arange(len(orders)), (40, 1)), axis=1)[:, :2]
    problem = ValueProblem(features, prior, 0.5, [Comparisons(pairs, rationality=2.0)])
    return problem, Blocks(orders), np.repeat(np.arange(things), things)


def test_a_market_by_prices_is_the_singleton_where_choices_can_be_divided() -> None:
    problem, orders, owners = assignment(4)
    market = Market(orders, np.eye(4), np.ones(4), owners)
    found = arranged(problem, [market], levels=[0, 12], episodes=30)
    for cell in found.line("market").cells:
        assert cell.excess.value == pytest.approx(0.0, abs=1e-9)
        assert cell.outcome == "equivalent"


def test_a_market_of_whole_choices_may_not_clear() -> None:
    """Two units; the first buyer wants both for 5, the second one of them for 3.

    Divided, the first has both units half of the time and the second one unit: 5/2 + 3 at a price of 5/2 each. At that
    price the first does not mind having none and the second buys, so that whole choices come to 3 of the planner's 5.
    """
    table = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]])  # one unit for each choice number: two units in all
    gains = np.array([[0.0, 0.0, 5.0], [0.0, 3.0, 0.0]])
    parts = np.stack([gains[0, table[:, 0]], gains[1, table[:, 1]]])[:, None, :]
    value = parts.sum(axis=0)
    use = np.array([[0.0], [1.0], [2.0]])
    problem = ValueProblem(5, Hypotheses(value), 0.0, [Channel(np.full((1, 1), 0.5), name="nothing")])
    found = arranged(problem, [Market(table, use, [2.0], parts)], levels=[1], episodes=20)
    divided = market_prices(gains, use, [2.0]).value
    assert divided == pytest.approx(5.5)
    assert divided > float(value.max())
    assert found.line("market").cells[-1].regret.value == pytest.approx(5.0 - 3.0, abs=1e-9)


# The control, the regions, the counterexample.


def test_a_filter_that_knows_breaks_the_collapse() -> None:
    found = arranged(linear(), [Committee("vote", "shared")], levels=[0, 4], episodes=60)
    leak = found.line("control: a filter that knows")
    assert found.control_seen is True
    assert leak.cells[0].outcome == "different"
    assert leak.cells[0].acceptable.value == pytest.approx(1.0)
    assert leak.cells[0].excess.interval()[0] > 0.5
    assert found.claim == "equivalent"  # and what was compared is no part of it
    every = ValueProblem(np.eye(3), LinearValues(3, particles=50), 100.0, [Comparisons(flip=0.3)])
    blind = arranged(every, [], levels=[0, 1], episodes=20)
    assert blind.control_seen is False
    assert "not told apart" in blind.verdict


def test_the_regions_refute_the_claim_and_each_has_a_setting_that_does_not() -> None:
    found = refuting_regions(3, 100, 0.5, 0.05)
    assert [s.name for s in found] == ["error tails", "sharing", "coupling", "shortlist"]
    for sweep in found:
        assert sweep.points[0].outcome == "equivalent", sweep.name
        assert sweep.points[-1].outcome == "different", sweep.name
        assert abs(sweep.points[-1].excess.value) > 0.5
        assert sweep.points[-1].excess.stderr < 0.25
    signs = [math.copysign(1, s.points[-1].excess.value) for s in found]
    assert signs == [1, -1, -1, 1]  # many minds and the person help; splitting and coupling cost


def test_a_key_opens_a_lock() -> None:
    """One observed bit buys 9.000 bits.

    The state is a key of one bit and a payload of sixteen, 17 bits in all. With the right key the payload comes to the
    one state 0, with the wrong one it stays. Blind: 0 has the probability 1/2 + 2^−17, each of the other 2^16 − 1 has
    2^−17: 1 + 16/2 bits but for the overlap. Seen, nothing is left uncertain: 17 bits less.
    """
    zero = 0.5 + 2.0**-17
    blind = 17.0 - (-zero * math.log2(zero) + (2**16 - 1) * 2.0**-17 * 17)
    found = lock_and_key()
    assert found.observed.value == pytest.approx(1.0, abs=1e-12)
    assert found.blind.value == pytest.approx(blind, abs=1e-9)
    assert found.sighted.value == pytest.approx(17.0, abs=1e-9)
    assert found.bought.value == pytest.approx(17.0 - blind, abs=1e-9)
    assert f"{found.bought.value:.3f}" == "9.000"
    assert not found.holds
    assert found.bought.kind == "exact"
    # Touchette and Lloyd's bound is not touched: with the key known to fit, the best blind reduction is 16 bits.
    assert found.sighted.value <= 16.0 + found.observed.value + 1e-9


def test_three_bits_of_a_key_and_systems_in_which_the_bound_holds() -> None:
    p = 1 / 8
    found = lock_and_key(3, 10)
    left = -p * math.log2(p) - (1 - p) * math.log2(1 - p) + (1 - p) * 10
    assert found.blind.value == pytest.approx(13 - left, abs=0.01)
    assert not found.holds
    turn = steering_bits(np.arange(4)[:, None] ^ np.arange(4))  # one of four turns: seeing two bits buys two
    assert (turn.bought.value, turn.holds) == (pytest.approx(2.0), True)


@given(st.integers(0, 2**31))
@settings(max_examples=25)
def test_seeing_never_costs_and_a_useless_observation_buys_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, size=(6, 3))
    seen = rng.integers(0, 3, size=6)
    found = steering_bits(table, seen, rng.dirichlet(np.ones(6)))
    assert found.bought.value >= -1e-9
    assert steering_bits(table, np.zeros(6)).bought.value == pytest.approx(0.0, abs=1e-12)


# The statistics.


def test_the_two_one_sided_tests_are_those_of_scipy() -> None:
    x = np.random.default_rng(0).normal(0.2, 1.0, size=50)
    found = compare_with_margin(x, 0.5)
    lower = stats.ttest_1samp(x, -0.5, alternative="greater").pvalue
    upper = stats.ttest_1samp(x, 0.5, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(max(lower, upper), abs=1e-12)
    far = compare_with_margin(x + 1.0, 0.5)
    assert far.p_different == pytest.approx(2 * stats.ttest_1samp(x + 1.0, 0.5, alternative="greater").pvalue)
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert compare_with_margin(np.full(5, 0.1), 0.5).outcome(0.05) == "equivalent"
    assert compare_with_margin(np.full(5, -0.7), 0.5).outcome(0.05) == "different"
    assert compare_with_margin(np.full(5, 0.5), 0.5).outcome(0.05) == "undecided"


def test_equivalence_at_the_margin_is_claimed_no_more_often_than_allowed() -> None:
    rng = np.random.default_rng(1)
    at, inside = rng.normal(0.5, 1.0, size=(2000, 40)), rng.normal(0.0, 0.3, size=(200, 40))
    claimed = sum(compare_with_margin(x, 0.5).outcome(0.05) == "equivalent" for x in at)
    assert claimed <= 100 + 4 * math.sqrt(2000 * 0.05 * 0.95)
    assert claimed >= 40  # the test is not idle there either
    assert all(compare_with_margin(x, 0.5).outcome(0.05) == "equivalent" for x in inside)


def test_the_shares_of_the_variance_are_found_and_their_intervals_cover() -> None:
    rng = np.random.default_rng(2)
    level, kind = np.array([-1.5, -0.5, 0.5, 1.5]), np.array([-0.6, 0.0, 0.6])
    inter = np.outer(np.array([1.0, -2.0, 1.0]), np.array([1.0, -1.0, -1.0, 1.0])) * 0.2
    mean = level[None, :] + kind[:, None] + inter
    parts = np.array([3 * np.square(level).sum(), 4 * np.square(kind).sum(), np.square(inter).sum()])
    truth = parts / parts.sum()
    hits, found, errors = np.zeros(3), [], []
    for _ in range(60):
        noise = rng.normal(size=(1, 1, 50)) + rng.normal(size=(3, 4, 50))
        shares = variance_shares(mean[..., None] + noise, "")
        each = [shares.information, shares.arrangement, shares.interaction]
        hits += [low <= t <= high for t, (low, high) in zip(truth, (e.interval() for e in each), strict=True)]
        found.append([e.value for e in each])
        errors.append([e.stderr for e in each])
        assert sum(found[-1]) == pytest.approx(1.0)
        assert shares.not_information.value == pytest.approx(1.0 - found[-1][0])
    assert np.mean(found, axis=0) == pytest.approx(truth, abs=4 * 0.06 / math.sqrt(60))
    assert (np.mean(errors, axis=0) < 0.07).all()
    assert (hits >= 50).all()  # of 60 at 95%; fewer than 50 have a chance below 1e-3


def test_noise_is_no_arrangement() -> None:
    """Levels alone matter; the noise of cells is as large. Uncorrected, it would make a quarter of the variance."""
    rng = np.random.default_rng(3)
    x = np.array([-1.0, 0.0, 1.0])[None, :, None] + rng.normal(size=(5, 3, 6)) * 1.5
    means = x.mean(axis=2)
    rows = means.mean(axis=1) - means.mean()
    raw = 3 * np.square(rows).sum() / np.square(means - means.mean()).sum()
    averaged = [
        variance_shares(np.array([-1.0, 0.0, 1.0])[None, :, None] + rng.normal(size=(5, 3, 6)) * 1.5, "")
        for _ in range(40)
    ]
    corrected = float(np.mean([s.arrangement.value for s in averaged]))
    assert corrected < 0.1
    assert raw > 0.0


def test_episodes_are_the_same_for_fewer_of_them_and_for_longer_transcripts() -> None:
    asked = linear(pairs=[[0, 1], [1, 2], [2, 3], [3, 4]], flip=0.2)  # so few that they are asked again
    few = play(Bench(asked, (), 5), [Singleton()], Settings((0, 3), 2), 7, 1.0)
    more = play(Bench(asked, (), 5), [Base(), Singleton()], Settings((0, 3, 9), 3), 45, 1.0)
    assert more.optimisation[1, :2, :7] == pytest.approx(few.optimisation[0], abs=1e-12)
    assert more.information[:2, :7] == pytest.approx(few.information, abs=1e-12)


def test_heavier_tails_keep_their_quartiles() -> None:
    bench = Bench(linear(200), (), 0)
    for tail in (math.inf, 3.0, 1.0):
        drawn = np.concatenate([bench.errors(e, Settings((1,), 5, error=0.2, tail=tail)).ravel() for e in range(60)])
        inside = float(np.mean(np.abs(drawn) < 0.2 * bench.spread * stats.norm.ppf(0.75)))
        assert inside == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(drawn)))
