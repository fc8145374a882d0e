"""Axioms and indices of budgets against looking at everything, in fractions."""

from __future__ import annotations

import numpy as np
import pytest
from choice_brute_force import everything

from pindown import Budgets, coherence
from pindown.choices.axioms import Relation, harp
from pindown.choices.budget_coherence import budget_certificate, budget_pump
from pindown.choices.budget_indices import budget_indices, houtman_maks, varian
from pindown.choices.drops import drop_nodes, drop_pairs, lower_levels

INDICES = ("ccei", "varian", "houtman_maks", "money_pump_index", "minimum_cost_index", "swaps")
# The indices are ratios and sums of a few fractions, rounded once or a few times.
ROUNDING = 1e-12


def integers(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers: equal costs, equal bundles and equal budgets are common."""
    goods = int(rng.integers(2, 4))
    p, q = rng.integers(1, 4, (n, goods)), rng.integers(0, 4, (n, goods))
    q[q.sum(axis=1) == 0, 0] = 1
    return p.astype(float), q.astype(float)


def decimals(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Tenths, whose ties binary fractions do not have."""
    p, q = integers(rng, n)
    return p / 10.0, q / 10.0


def continuous(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    goods = int(rng.integers(2, 4))
    return rng.uniform(0.2, 2.0, (n, goods)), rng.uniform(0.0, 2.0, (n, goods))


DRAWS = {"integers": integers, "decimals": decimals, "continuous": continuous}


def compare(draw: str, cases: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    violated = 0
    for case in range(cases):
        prices, quantities = DRAWS[draw](rng, int(rng.integers(1, most + 1)))
        truth = everything(prices, quantities)
        relation = Relation(Budgets(prices, quantities))
        indices = budget_indices(relation)
        found = {name: bool(getattr(relation, name)()) for name in ("warp", "sarp", "garp")}
        found |= {"harp": harp(relation.spending)}
        where = f"{draw} case {case}: {prices.tolist()}, {quantities.tolist()}"
        for name, value in found.items():
            assert value == truth[name], f"{name}, {where}"
        for name in INDICES:
            index = getattr(indices, name)
            assert index.optimal, f"{name}, {where}"
            assert abs(index.value - float(truth[name])) < ROUNDING, f"{name}, {where}"
        cycle = relation.violating_cycle()
        assert (cycle is None) == truth["garp"], where
        certificate = budget_certificate(relation, cycle)
        assert certificate.verified, where
        if cycle is not None:
            violated += 1
            pump = budget_pump(relation, cycle)
            assert pump.verified, where
            assert pump.loss is not None
            assert pump.loss > 0
    assert cases / 10 < violated < 9 * cases / 10  # both answers are tested


@pytest.mark.parametrize("draw", DRAWS)
def test_everything_equals_brute_force(draw: str) -> None:
    compare(draw, 60, 4, 11)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "cases"), [("integers", 1000), ("continuous", 1000), ("decimals", 200)])
def test_everything_equals_brute_force_on_a_thousand(draw: str, cases: int) -> None:
    compare(draw, cases, 6, 12)


@pytest.mark.parametrize("draw", ["integers", "continuous"])
def test_large_components_take_the_other_way_to_the_same_answer(draw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Implicit hitting sets, which components of more than a dozen take, against dynamic programming."""
    rng = np.random.default_rng(5)
    tried = 0
    for _ in range(6):
        relation = Relation(Budgets(*DRAWS[draw](rng, 7)))
        costs = relation.spending.own[:, None] * (1.0 - relation.spending.ratios())
        small = (
            drop_nodes(relation.weak, relation.strict),
            drop_pairs(relation.weak, relation.strict),
            drop_pairs(relation.strict, relation.strict, costs),
            lower_levels(relation.strict, relation.spending.ratios()),
        )
        with monkeypatch.context() as patch:
            patch.setattr("pindown.choices.drops._DP_NODES", 0)
            large = (
                drop_nodes(relation.weak, relation.strict),
                drop_pairs(relation.weak, relation.strict),
                drop_pairs(relation.strict, relation.strict, costs),
                lower_levels(relation.strict, relation.spending.ratios()),
            )
        for a, b in zip(small, large, strict=True):
            assert a.optimal
            assert b.optimal
            assert a.cost == pytest.approx(b.cost, abs=1e-9)
        tried += small[0].cost > 0
    assert tried >= 2


def test_an_index_that_is_not_proved_gives_both_bounds() -> None:
    """Without time the answer is whatever was repaired, and the other bound is on the far side of the truth."""
    rng = np.random.default_rng(3)
    # A solver is given a twentieth of a second at least: too little for 120 budgets, which take it minutes.
    hasty = varian(Relation(Budgets(rng.uniform(0.2, 2.0, (120, 3)), rng.uniform(0.0, 2.0, (120, 3)))), seconds=1e-3)
    assert not hasty.optimal
    assert hasty.estimate.kind == "lower_bound"
    assert not hasty.estimate.status.ok
    assert hasty.value < hasty.other <= 1.0
    assert "between" in str(hasty)
    relation = Relation(Budgets(rng.uniform(0.2, 2.0, (40, 3)), rng.uniform(0.0, 2.0, (40, 3))))
    kept = houtman_maks(relation, seconds=20.0)
    assert kept.optimal
    some = houtman_maks(relation, seconds=1e-3)
    assert some.value <= kept.value <= some.other + 1e-9


@pytest.mark.parametrize("rows", [[0, 1], [1, 0]])
def test_the_pair_that_violates_warp_and_garp(rows: list[int]) -> None:
    """At (1, 1) the bundle (3, 0) costs 3 of 4; at (2, 1) the bundle (2, 2) costs all of 6."""
    prices, quantities = np.array([[1, 1], [2, 1]])[rows], np.array([[2, 2], [3, 0]])[rows]
    found = coherence(Budgets(prices, quantities), surprise=False)
    assert not found.warp
    assert not found.garp
    assert not found.coherent
    assert found.pump is not None
    assert found.pump.loss == 1.0
    assert found.pump.share == 0.1
    assert not found.pump.forcing  # the second step gives up a bundle that costs just as much
    assert found.ccei.value == 1.0  # a supremum: any lower level breaks the tie


def test_what_the_money_pump_index_says_is_the_pump() -> None:
    """Three budgets in a ring: each gives up 1 of 10 for the next."""
    prices = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]])
    quantities = np.array([[1.0, 0.0, 3.0], [3.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    truth = everything(prices, quantities)
    found = coherence(Budgets(prices, quantities, names=["A", "B", "C"]), surprise=False)
    assert found.pump is not None
    assert found.money_pump_index.value == pytest.approx(float(truth["money_pump_index"]))
    assert found.pump.share == pytest.approx(found.money_pump_index.value)
    assert found.pump.forcing
    assert set(found.pump.cycle) == {"A", "B", "C"} or len(found.pump.cycle) == 2
    lost = sum(step.loss or 0.0 for step in found.pump.steps)
    assert found.pump.loss == pytest.approx(lost)
    assert "pays" in found.pump.sentence


def test_a_thousand_budgets_do_not_overflow() -> None:
    """A utility buys fixed shares of each budget: coherent, also where Afriat's recursion leaves the floats."""
    rng = np.random.default_rng(0)
    prices = np.exp(rng.uniform(-3, 3, (1000, 3)))
    income = np.exp(rng.uniform(-3, 3, 1000))
    quantities = income[:, None] * np.array([0.5, 0.3, 0.2]) / prices
    relation = Relation(Budgets(prices, quantities))
    assert relation.garp()
    assert len(relation.parts) == 1000
    assert budget_certificate(relation, None).verified


@pytest.mark.parametrize("draw", DRAWS)
def test_ranks_hold_just_where_fractions_say_so(draw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right ranks and wrong ones, by blocks of two rows and in fractions; ties are common."""
    from pindown.choices.budget_coherence import _ranks_hold

    monkeypatch.setattr("pindown.choices.spending._BLOCK_BYTES", 8 * 4 * 2)
    rng = np.random.default_rng(6)
    answers = list[bool]()
    for case in range(60):
        relation = Relation(Budgets(*DRAWS[draw](rng, 4)))
        rank = [0] * 4
        for k, members in enumerate(relation.parts):
            for i in members:
                rank[i] = len(relation.parts) - k
        if case % 3 == 1:
            i, j = rng.integers(0, 4, 2)
            rank[i], rank[j] = rank[j], rank[i]
        elif case % 3 == 2:
            rank = rng.integers(0, 4, 4).tolist()
        exactly = _ranks_hold(relation.spending, rank)
        assert relation.spending.ranks_hold(rank) == exactly
        answers.append(exactly)
    assert 5 < sum(answers) < 55


def test_the_certificate_can_fail() -> None:
    """Ranks turned upside down do not pass the check."""
    from pindown.choices.budget_coherence import _ranks_hold

    relation = Relation(Budgets([[1, 2], [2, 1]], [[3, 1], [1, 1]]))
    assert relation.garp()
    assert _ranks_hold(relation.spending, [1, 0])
    assert not _ranks_hold(relation.spending, [0, 1])
