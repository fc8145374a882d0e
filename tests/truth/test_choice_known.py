"""Known answers about menus, bets, trades, policies, caches and committees."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import pindown
from pindown import Bets, Coherence, Committee, Menus, Pairs, Policy, Trades, ValueCache
from pindown.choices.contracts import best_contract, exchange_gain
from pindown.choices.exact_lp import maximise
from pindown.choices.item_relations import menu_houtman_maks, menu_swaps, of_menus
from pindown.choices.order_dimension import check_orders, smallest_committee
from pindown.choices.trade_committee import order_bits

Edge = tuple[str, str]


def coherence(table: Any) -> Coherence:
    """Without the surprise, and through the record."""
    found = pindown.coherence(table, surprise=False)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Coherence.from_dict(record).to_dict() == found.to_dict()
    assert found.certificate.verified
    return found


def log(accepted: list[Edge], refused: list[Edge]) -> Trades:
    rows = [(a, b, True) for a, b in accepted] + [(a, b, False) for a, b in refused]
    return Trades([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def committee(accepted: list[Edge], refused: list[Edge], **options: Any) -> Committee:
    """Through the record; the members are checked here as well, trade by trade."""
    found = pindown.subagents(log(accepted, refused), **options)
    assert Committee.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))).to_dict() == found.to_dict()
    for a, b in accepted:
        assert all(m.utility[b] > m.utility[a] for m in found.members)
    if found.members:
        assert found.verified
        assert not any(all(m.utility[b] > m.utility[a] for m in found.members) for a, b in refused)
    return found


def standard_example(n: int) -> tuple[list[Edge], list[Edge]]:
    """The poset a_i < b_j for i ≠ j, of dimension n (Dushnik and Miller 1941); everything else is refused."""
    accepted = [(f"a{i}", f"b{j}") for i in range(n) for j in range(n) if i != j]
    names = [f"{side}{i}" for side in "ab" for i in range(n)]
    return accepted, [(x, y) for x in names for y in names if x != y and (x, y) not in accepted]


def test_two_menus_that_share_one_item_violate_nothing() -> None:
    found = coherence(Menus([[0, 1], [1, 2]], [0, 1]))
    assert found.coherent
    assert found.warp
    assert found.sarp
    assert found.garp
    assert found.ranks == 3


def test_a_ring_of_menus_is_a_pump() -> None:
    found = coherence(Menus([["A", "B"], ["B", "C"], ["C", "A"]], ["B", "C", "A"]))
    assert not found.coherent
    assert found.warp
    assert not found.sarp
    assert found.pump is not None
    assert found.pump.forcing
    assert found.pump.sentence == "would pay at each of 3 steps to go from A to B to C to A"
    assert found.houtman_maks.value == pytest.approx(2 / 3)
    assert found.swaps.value == 1


@pytest.mark.parametrize("seed", range(3))
def test_menu_indices_equal_a_search_over_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(15):
        k = int(rng.integers(2, 6))
        menus = [rng.choice(k, size=int(rng.integers(1, k + 1)), replace=False).tolist() for _ in range(8)]
        table = Menus(menus, [m[0] for m in menus])
        relation = of_menus(table)
        kept, swaps = 0, 10**9
        for order in itertools.permutations(range(k)):
            place = [order.index(int(name)) for name in table.items]
            pairs = list(zip(table.offered, table.taken, strict=True))
            kept = max(kept, sum(all(place[t] <= place[i] for i in m) for m, t in pairs))
            swaps = min(swaps, sum(sum(place[i] < place[t] for i in m) for m, t in pairs))
        assert menu_houtman_maks(table, relation, 10.0).value == pytest.approx(kept / len(table))
        assert menu_swaps(table, relation, 10.0).value == swaps


def test_ten_thousand_rows_of_menus_take_a_moment() -> None:
    rng = np.random.default_rng(0)
    rank = rng.permutation(8)
    menus = [rng.choice(8, size=3, replace=False).tolist() for _ in range(10_000)]
    found = coherence(Menus(menus, [min(m, key=lambda i: rank[i]) for m in menus]))
    assert found.coherent


def test_quotes_that_add_up_to_more_than_one_lose_the_excess() -> None:
    """Six tenths on each of two outcomes: buying both pays 1 and costs 1.2."""
    found = coherence(Bets.quotes([["rain"], ["sun"]], [0.6, 0.6], ["rain", "sun"]))
    assert not found.coherent
    assert found.pump is not None
    assert found.pump.loss == pytest.approx(0.2)
    assert found.certificate.kind == "book"
    assert "loses at least 0.2" in found.pump.sentence


def test_quotes_that_add_up_are_their_own_probabilities() -> None:
    found = coherence(Bets.quotes([["a"], ["b"], ["c"], ["a", "b"]], [0.5, 0.3, 0.2, 0.8], ["a", "b", "c"]))
    assert found.coherent
    assert found.certificate.exact == {"a": "1/2", "b": "3/10", "c": "1/5"}


def test_quotes_of_a_union_that_do_not_add_up_are_seen() -> None:
    found = coherence(Bets.quotes([["a"], ["b"], ["c"], ["a", "b"]], [0.5, 0.3, 0.2, 0.7], ["a", "b", "c"]))
    assert not found.coherent
    assert found.pump is not None
    assert found.pump.loss == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(2))
def test_every_table_of_bets_has_a_book_or_probabilities(seed: int) -> None:
    """Each certificate is checked here against the stakes and odds themselves."""
    rng = np.random.default_rng(seed)
    answers = set()
    for _ in range(20):
        n, m = int(rng.integers(1, 6)), int(rng.integers(2, 5))
        stakes, odds = rng.integers(0, 3, (n, m)).astype(float), rng.integers(2, 12, (n, m)) / 2.0
        stakes[stakes.sum(axis=1) == 0, 0] = 1.0
        bets = Bets(stakes, odds)
        found = coherence(bets)
        net = [[Fraction(x) * Fraction(o) - sum(map(Fraction, row)) for x, o in zip(row, at, strict=True)]
               for row, at in zip(stakes.tolist(), odds.tolist(), strict=True)]  # fmt: skip
        exact = {k: Fraction(v) for k, v in found.certificate.exact.items()}
        if found.coherent:
            assert sum(exact.values()) == 1
            for row in net:
                assert sum(exact[o] * g for o, g in zip(bets.outcomes, row, strict=True)) >= 0
        else:
            for s in range(m):
                assert sum(exact.get(b, Fraction(0)) * net[i][s] for i, b in enumerate(bets.names)) < 0
        answers.add(found.coherent)
    assert answers == {True, False}


def test_the_exact_programme_refuses_what_has_no_bound() -> None:
    with pytest.raises(ArithmeticError):
        maximise([Fraction(1)], [[Fraction(-1)]], [Fraction(1)])


COMPLETE = {i: list(range(5)) for i in range(5)}


def test_always_stay_is_incoherent() -> None:
    found = coherence(Policy(COMPLETE, {i: i for i in range(5)}))
    assert not found.coherent
    assert len(found.certificate.cycle) == 2


def test_always_go_to_one_state_has_five_ranks() -> None:
    found = coherence(Policy(COMPLETE, dict.fromkeys(range(5), 0)))
    assert found.coherent
    assert found.ranks == 5
    assert max(found.certificate.numbers, key=lambda k: found.certificate.numbers[k]) == "0"


def test_there_and_back_is_incoherent() -> None:
    found = coherence(Policy({"A": ["A", "B"], "B": ["A", "B"]}, {"A": "B", "B": "A"}))
    assert not found.coherent
    assert set(found.certificate.cycle) == {"A", "B"}


@pytest.mark.parametrize("seed", range(4))
def test_every_policy_on_a_forest_is_vacuous(seed: int) -> None:
    rng = np.random.default_rng(seed)
    transitions: dict[int, list[int]] = {}
    for child in range(1, 12):
        if rng.random() < 0.9:
            transitions.setdefault(int(rng.integers(0, child)), []).append(child)
    for state in list(transitions):
        if rng.random() < 0.5:
            transitions[state].append(state)  # one may stay
    taken = {s: int(rng.choice(ways)) for s, ways in transitions.items()}
    found = pindown.coherence(Policy(transitions, taken))
    assert found.coherent
    assert found.vacuous
    assert found.surprise.value == 0.0
    assert found.surprise.kind == "exact"


def test_a_diamond_is_no_forest() -> None:
    transitions = {"s": ["l", "r"], "l": ["x", "y"], "r": ["x", "y"]}
    one = pindown.coherence(Policy(transitions, {"s": "l", "l": "x", "r": "y"}))
    assert not one.coherent
    other = pindown.coherence(Policy(transitions, {"s": "l", "l": "x", "r": "x"}))
    assert other.coherent
    assert not other.vacuous
    # Of eight policies four take l and r to one state, and these are coherent.
    assert other.surprise.value == pytest.approx(1.0)


def test_a_policy_on_a_grid_of_many_states() -> None:
    """Twenty by twenty with leave to stay: going home is coherent, one state that stays elsewhere contradicts it."""
    n = 20
    ways = {
        f"{i},{j}": {m: f"{i + a},{j + b}" for m, (a, b) in
                     {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1), "stay": (0, 0)}.items()
                     if 0 <= i + a < n and 0 <= j + b < n}
        for i in range(n) for j in range(n)
    }  # fmt: skip
    home = {f"{i},{j}": "up" if i else "left" if j else "stay" for i in range(n) for j in range(n)}
    found = coherence(Policy(ways, home))
    assert found.coherent
    assert found.ranks == n * n
    lost = coherence(Policy(ways, {**home, "5,5": "stay"}))
    assert not lost.coherent
    assert set(lost.certificate.cycle) == {"0,0", "5,5"}
    assert lost.pump is not None
    assert lost.pump.verified


def fibonacci() -> dict[int, int]:
    values = {0: 0, 1: 1}
    for i in range(2, 12):
        values[i] = values[i - 1] + values[i - 2]
    return values


def test_the_wrong_entry_of_a_fibonacci_cache_is_named() -> None:
    terms = {i: [i - 1, i - 2] for i in range(2, 12)}
    assert coherence(ValueCache(fibonacci(), terms)).coherent
    found = coherence(ValueCache({**fibonacci(), 6: 11}, terms))
    assert not found.coherent
    assert found.certificate.cycle == ("6",)
    assert found.certificate.exact == {"6": "8"}
    assert {s: r for s, r in found.residuals.items() if r} == {"6": 3.0, "7": -3.0, "8": -3.0}


def test_a_given_entry_and_a_maximum_can_be_to_blame() -> None:
    wrong = coherence(ValueCache({**fibonacci(), 1: 2}, {i: [i - 1, i - 2] for i in range(2, 12)}))
    assert wrong.certificate.cycle == ("1",)
    rows = [("a", "left", "b", 0.5, 1), ("a", "right", "c", 0.5, 0), ("b", "-", "b", 0.5, 1)]
    assert coherence(ValueCache({"a": 2, "b": 2, "c": 0}, rows)).coherent
    greedy = coherence(ValueCache({"a": 2, "b": 2, "c": 10}, rows))
    assert not greedy.coherent
    assert "a" in greedy.certificate.cycle or "c" in greedy.certificate.cycle


def test_entries_to_blame_are_found_in_a_large_cache_and_not_said_to_be_fewest_without_proof() -> None:
    terms = [(i, "-", i - 1, 0.5, 1) for i in range(1, 3000)]
    right = dict.fromkeys(range(3000), 2)
    found = coherence(ValueCache({**right, 700: 5, 1500: 9}, terms))
    assert found.certificate.cycle == ("700", "1500")
    assert "the fewest" in found.certificate.statement
    # Two entries that hang on each other with discount: backups do not find the pair exactly in a few rounds.
    ring = [("a", "-", "b", 0.5, 1), ("b", "-", "a", 0.5, 1)]
    both = coherence(ValueCache({"a": 3, "b": 7}, ring))
    assert not both.coherent
    assert "the fewest" not in both.certificate.statement
    one = coherence(ValueCache({"a": 2, "b": 7}, ring))
    assert one.certificate.exact == {"b": "2"}


def test_a_chain_needs_one_member() -> None:
    found = committee([("a", "b"), ("b", "c")], [("b", "a"), ("c", "b"), ("c", "a")])
    assert found.size == 1
    assert found.optimal


PIZZA = (
    [("cheese", "pepperoni"), ("cheese", "mushroom"), ("pepperoni", "both"), ("mushroom", "both")],
    [("pepperoni", "mushroom"), ("mushroom", "pepperoni")],
)


def test_an_order_costs_what_it_says_about_the_offers() -> None:
    """A chain of five can be ranked in 16 ways, all pairs of five in 120; fifteen in a ring are estimated by picking.

    A ring of n pairs is ranked in 2^n − 2 ways by orders: all but the two that go round.
    """
    assert order_bits([(k, k + 1) for k in range(4)], 5) == 4.0
    assert order_bits(list(itertools.combinations(range(5), 2)), 5) == pytest.approx(np.log2(120))
    ring = [tuple(sorted((k, (k + 1) % 15))) for k in range(15)]
    assert order_bits(ring, 15) == pytest.approx(np.log2(2**15 - 2), abs=0.01)
    assert order_bits([(k, k + 1) for k in range(99)], 100) == 99.0


def test_two_toppings_need_two_members() -> None:
    found = committee(*PIZZA)
    assert found.size == 2
    assert found.optimal
    assert {m.order[0] for m in found.members} == {"both"}


@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_standard_example_needs_its_dimension(n: int) -> None:
    found = committee(*standard_example(n))
    assert found.size == n
    assert found.optimal


@pytest.mark.parametrize("seed", range(3))
def test_committees_of_random_logs_equal_a_search_over_all_committees(seed: int) -> None:
    """Four items: all sets of one to three orders are tried."""
    rng = np.random.default_rng(seed)
    orders = list(itertools.permutations(range(4)))
    sizes = set()
    for _ in range(25):
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j and rng.random() < 0.6]
        hidden = [orders[k] for k in rng.integers(0, 24, int(rng.integers(1, 4)))]
        honest = rng.random() < 0.7
        yes = [
            (a, b) for a, b in pairs if (all(o.index(b) < o.index(a) for o in hidden) if honest else rng.random() < 0.4)
        ]
        no = [pair for pair in pairs if pair not in yes]
        found = smallest_committee(4, yes, no)
        least = next(
            (k for k in (1, 2, 3) if any(check_orders(c, yes, no) for c in itertools.combinations(orders, k))), 0
        )
        assert len(found.orders) == least
        assert bool(found.witness) == (least == 0)
        assert not found.orders or check_orders(found.orders, yes, no)
        sizes.add(least)
    assert {0, 1, 2} <= sizes


def test_the_witness_of_a_refused_shortcut() -> None:
    found = committee([("A", "B"), ("B", "C")], [("A", "C")])
    assert found.size == 0
    assert found.witness == "it accepts A → B → C and refuses A → C"


def test_the_witness_of_an_accepted_ring() -> None:
    found = committee([("A", "B"), ("B", "C"), ("C", "A")], [])
    assert found.size == 0
    assert found.witness == "it accepts the ring A → B → C → A"
    assert not coherence(log([("A", "B"), ("B", "C"), ("C", "A")], [])).coherent


def test_without_trades_a_contract_gains_nothing() -> None:
    found = committee(*standard_example(3), trade_probabilities=0.0)
    assert found.contract_gain.value == 0.0
    assert found.contract_gain.kind == "exact"


def test_a_contract_gains_where_members_value_trades_differently() -> None:
    """Two vetoed trades out of different items, each worth 3 to one member and −1 to the other.

    From the start (a or c, each with chance ½) taking both gains each member ½·3 − ½·1 = 1 once the trade was made;
    with offers at each round and much patience nearly all of that is had, 2 in all.
    """
    utilities = [[0, 3, 0, -1], [0, -1, 0, 3]]
    offers = np.zeros((4, 4))
    offers[0, 1] = offers[2, 3] = 1.0
    found = best_contract(utilities, offers, [0.5, 0, 0.5, 0], discount=0.999)
    assert found.gain.value == pytest.approx(2 * 0.999, rel=1e-6)
    assert found.members == pytest.approx((0.999, 0.999), rel=1e-6)
    assert {(i, j): round(x, 6) for i, j, x in found.accepts} == {(0, 1): 1.0, (2, 3): 1.0}


def test_where_one_member_loses_what_the_other_gains_there_is_a_proof() -> None:
    """A trade and its reverse: for every weight one member's gain is the other's loss."""
    offers = np.array([[0.0, 0.5], [0.5, 0.0]])
    found = best_contract([[0, 1], [1, 0]], offers, [0.5, 0.5])
    assert found.gain.value == 0.0
    assert all(w > 0 for w in found.weights)
    assert found.proof == pytest.approx(0.0, abs=1e-9)


def test_two_producers_gain_half_a_unit() -> None:
    found = exchange_gain([0.5, 1.0])
    assert found.gain.value == 0.5
    assert (found.more, found.less) == (0, 1)
    assert exchange_gain([0.7, 0.7, 0.7]).gain.value == 0.0


def test_two_rationales_are_found_and_pay_for_themselves() -> None:
    """Pairs by one order and triples by its reverse, four times in mixed order; coins are best explained as coins."""
    menus = [*itertools.combinations(range(6), 2), *itertools.combinations(range(6), 3)] * 4
    rng = np.random.default_rng(0)
    menus = [menus[k] for k in rng.permutation(len(menus))]
    found = pindown.subagents(Menus(menus, [min(m) if len(m) == 2 else max(m) for m in menus]))
    assert found.size == 2
    assert found.optimal
    assert found.explanation == "subagents"
    triples = list(itertools.combinations(range(6), 3))
    coins = [m[k] for m, k in zip(triples, rng.integers(0, 3, 20), strict=True)]
    assert pindown.subagents(Menus(triples, coins)).explanation == "random"


def test_one_agent_with_a_slip_is_one_agent() -> None:
    menus = list(itertools.combinations(range(7), 3))
    choices = [min(m) for m in menus]
    choices[3] = max(menus[3])
    found = pindown.subagents(Menus(menus, choices))
    assert found.size == 2
    assert found.explanation == "one agent with errors"


def test_a_change_of_mind_is_a_hidden_state() -> None:
    menus = list(itertools.combinations(range(6), 3))
    found = pindown.subagents(Menus(menus * 2, [*(min(m) for m in menus), *(max(m) for m in menus)]))
    assert found.explanation == "hidden state"


def test_pairs_and_budgets_are_divided() -> None:
    assert pindown.subagents(Pairs(["a", "b", "c"], ["b", "c", "a"])).size == 2
    budgets = pindown.Budgets([[1, 1], [2, 1]], [[2, 2], [3, 0]])
    found = pindown.subagents(budgets)
    assert found.size == 2
    assert found.optimal
    assert found.verified
